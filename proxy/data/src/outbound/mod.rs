//! Connections of the application: what they mean, and where they go.

mod affinity;
mod ask;
mod attempt;
mod backend;
mod byte_meters;
mod demands;
mod egress;
pub(crate) mod endpoint;
mod fault;
mod hedge;
pub(crate) mod hostnames;
mod http;
pub(crate) mod limit;
mod meters;
mod mirror;
mod opaque;
mod plan;
mod profile_meters;
mod said;
mod target;
mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use hauberk_wire::detect::Detection;
use tokio::net::TcpStream;

use self::opaque::{Carried, OpaqueError};
use self::plan::{BytesPlan, Protocol, TlsPlan};
use self::target::Target;
use crate::h1;
use crate::h2;
use crate::io::{Io, Socket, Stream};
use crate::sniff::{Look, Sniffed, sniff_both};
use crate::worker::Worker;

pub(crate) use ask::{AskError, call};
pub(crate) use endpoint::Endpoints;
pub(crate) use target::Targets;

/// Why a connection was closed without being forwarded to its end.
#[derive(Debug, thiserror::Error)]
enum OutboundError {
    #[error("the original destination is unknown")]
    Origin(#[source] io::Error),
    #[error("the destination is this proxy itself")]
    Loop,
    #[error("the policy of {0} is not known yet")]
    NoPolicy(SocketAddr),
    #[error("the client's connection broke")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Opaque(#[from] OpaqueError),
    #[error("HTTP/2 broke")]
    Http2(#[from] ::h2::Error),
}

impl OutboundError {
    fn label(&self) -> &'static str {
        match self {
            Self::Origin(_) => "original_destination",
            Self::Loop => "loop",
            Self::NoPolicy(_) => "policy_unknown",
            Self::Io(_) => "io",
            Self::Opaque(error) => error.label(),
            Self::Http2(_) => "http2",
        }
    }
}

/// What is left to do once it is known what a connection is. Boxed, and made by the phase before, so that an open connection
/// holds the room of what it does and of nothing that it has done or might have been.
type Rest = Pin<Box<dyn Future<Output = Result<(), OutboundError>>>>;

/// Handles one accepted connection to its end.
pub(crate) async fn connection(worker: Rc<Worker>, stream: TcpStream, client: SocketAddr) {
    let ended = match Box::pin(open(&worker, stream, client)).await {
        Ok(rest) => rest.await,
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        log::debug!("outbound connection ended: {error}; client={client}");
        worker.errors.outbound_tcp(error.label());
    }
}

/// Finds out what a connection is, and what is to be done with it.
async fn open(worker: &Rc<Worker>, stream: TcpStream, client: SocketAddr) -> Result<Rest, OutboundError> {
    let addr = worker.origin(&stream).map_err(OutboundError::Origin)?;
    let local = crate::origin::canonical(stream.local_addr()?);
    if would_loop(addr, local, &worker.config.own_ips) {
        return Err(OutboundError::Loop);
    }
    let target = worker.targets.obtain(worker, addr);
    let socket = Socket::new(Bytes::new(), stream);
    let io = Io::new(Stream::Plain(socket), Some(Rc::clone(&target.client)));
    let plan = target.first_plan(worker).await.ok_or(OutboundError::NoPolicy(addr))?;
    match &plan.protocol {
        Protocol::Detect { timeout, opaque, tls, .. } => {
            detect(worker, &target, (opaque, tls.as_deref()), *timeout, io, client).await
        }
        Protocol::Http1(_) => {
            target.count_protocol(worker, "http/1");
            Ok(http1(worker, &target, io, client))
        }
        Protocol::Http2(_) | Protocol::Grpc(_) => {
            target.count_protocol(worker, "http/2");
            Ok(http2(worker, &target, io, client))
        }
        Protocol::Opaque(plan) => {
            target.count_protocol(worker, "opaque");
            Ok(bytes(&target, opaque::carry(worker, plan, None, io).await?))
        }
        Protocol::Tls(tls) => {
            target.count_protocol(worker, "tls");
            match tls::serve(worker, tls, io).await? {
                Some(carried) => Ok(bytes(&target, carried)),
                None => Ok(nothing()),
            }
        }
    }
}

/// Whether forwarding to `addr` would come back to the listener that `local` belongs to.
fn would_loop(addr: SocketAddr, local: SocketAddr, own: &[std::net::IpAddr]) -> bool {
    let ip = addr.ip();
    addr.port() == local.port()
        && (ip == local.ip() || ip.is_loopback() || ip.is_unspecified() || own.contains(&ip))
}

/// Looks at the first bytes. While there are none, the server is asked whether it speaks first.
async fn detect(
    worker: &Rc<Worker>,
    target: &Rc<Target>,
    (plan, tls): (&BytesPlan, Option<&TlsPlan>),
    within: Duration,
    mut io: Io,
    client: SocketAddr,
) -> Result<Rest, OutboundError> {
    let mut load = None;
    let early = async || {
        let connected = opaque::connect(worker, plan).await.ok()?;
        let (io, held) = connected.into_parts();
        load = Some(held);
        Some(io)
    };
    let sniffed = sniff_both(&mut io, Look::All, within, early).await?;
    target.count_detected(worker, &sniffed);
    match sniffed {
        Sniffed::Closed => Ok(nothing()),
        Sniffed::Protocol(Detection::Http1) => Ok(http1(worker, target, io, client)),
        Sniffed::Protocol(Detection::Http2) => Ok(http2(worker, target, io, client)),
        Sniffed::Protocol(other) if let Some(tls) = tls => {
            let hello = if let Detection::Tls(hello) = &other { Some(hello) } else { None };
            Ok(bytes(target, tls::connect(worker, tls, hello, io).await?))
        }
        sniffed @ (Sniffed::Protocol(_) | Sniffed::Silent | Sniffed::ServerFirst(_)) => {
            let server = match (sniffed.into_server(), load) {
                (Some(server), Some(load)) => Some(opaque::Connected::from_parts(server, load)),
                (_, _) => None,
            };
            Ok(bytes(target, opaque::carry(worker, plan, server, io).await?))
        }
    }
}

fn nothing() -> Rest {
    Box::pin(std::future::ready(Ok(())))
}

/// Bytes both ways. The target stays in use as long.
fn bytes(target: &Rc<Target>, mut carried: Carried) -> Rest {
    let target = Rc::clone(target);
    Box::pin(async move {
        let error = carried.forward().await;
        carried.open.ended(error);
        drop(target);
        Ok(())
    })
}

fn http1(worker: &Rc<Worker>, target: &Rc<Target>, io: Io, client: SocketAddr) -> Rest {
    let handler = Rc::new(http::Outbound::new(worker, target, client));
    let (worker, conn) = (Rc::clone(worker), h1::Conn::new(io));
    Box::pin(async move {
        h1::serve(conn, &worker.config.limits, worker.drain.clone(), handler).await;
        Ok(())
    })
}

fn http2(worker: &Rc<Worker>, target: &Rc<Target>, io: Io, client: SocketAddr) -> Rest {
    let handler = Rc::new(http::Outbound::new(worker, target, client));
    let worker = Rc::clone(worker);
    Box::pin(async move {
        let drain = worker.drain.clone();
        Ok(h2::serve(io, &worker.config.limits, drain, handler, &worker.heads).await?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_that_is_our_own_listener_is_a_loop() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let own = ["10.0.0.9".parse().unwrap()];
        assert!(would_loop(at("127.0.0.1:4140"), at("127.0.0.1:4140"), &own));
        assert!(would_loop(at("10.0.0.9:4140"), at("127.0.0.1:4140"), &own));
        assert!(!would_loop(at("10.0.0.8:4140"), at("127.0.0.1:4140"), &own));
        assert!(!would_loop(at("10.0.0.9:8080"), at("127.0.0.1:4140"), &own));
    }
}
