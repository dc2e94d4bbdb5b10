//! The application's own TLS, routed by the name in its ClientHello. Nothing is terminated.

use std::rc::Rc;

use hauberk_model::server_name::{Hello, NameRefusal, route_of};
use hauberk_wire::client_hello::ClientHello;
use hauberk_wire::detect::Detection;

use super::OutboundError;
use super::opaque::{self, Carried, OpaqueError};
use super::plan::{Refused, TlsPlan};
use crate::io::Io;
use crate::sniff::{Sniffed, sniff};
use crate::worker::Worker;

/// Reads the hello of a connection that must be TLS, and forwards it.
pub(super) async fn serve(
    worker: &Rc<Worker>,
    tls: &TlsPlan,
    mut io: Io,
) -> Result<Option<Carried>, OutboundError> {
    match sniff(&mut io, worker.config.detect_timeout).await? {
        Sniffed::Protocol(Detection::Tls(hello)) => Ok(Some(connect(worker, tls, Some(&hello), io).await?)),
        Sniffed::Closed => Ok(None),
        Sniffed::Protocol(_) | Sniffed::ServerFirst(_) | Sniffed::Silent => {
            Ok(Some(connect(worker, tls, None, io).await?))
        }
    }
}

/// Connects by `hello`; `None`: there is none that can be read.
pub(super) async fn connect(
    worker: &Rc<Worker>,
    tls: &TlsPlan,
    hello: Option<&ClientHello>,
    client: Io,
) -> Result<Carried, OpaqueError> {
    let sni = hello.and_then(|hello| hello.sni.as_deref());
    let hostname = worker.hostnames.label(sni.unwrap_or_default());
    let seen = hello.map_or(Hello::Unreadable, |hello| Hello::Read { sni, encrypted: hello.encrypted });
    let routed = route_of(&tls.routes, seen);
    let planned = routed.and_then(|index| tls.rules.get(index).ok_or(NameRefusal::Unlisted));
    let meters = planned.as_ref().map_or(&tls.unrouted, |planned| &planned.meters);
    let open = meters.opened(hostname);
    let connected = match planned {
        Ok(planned) => opaque::connect(worker, planned).await,
        Err(refusal) => Err(OpaqueError::Refused(Refused::Name(refusal))),
    };
    match connected {
        Ok(server) => Ok(Carried { client, server, open }),
        Err(error) => {
            open.ended(error.label());
            Err(error)
        }
    }
}
