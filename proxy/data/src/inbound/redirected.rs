//! Connections that were redirected on their way to a port of the application.

use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use hauberk_model::authorize;
use hauberk_model::inbound::{InboundPolicy, InboundProtocol};
use hauberk_wire::detect::Detection;
use tokio::net::TcpStream;

use super::{Accepted, ClientTls, InboundError, Rest, accept_tls, app_address, nothing, opaque};
use crate::io::{Io, Socket, Stream};
use crate::sniff::{Look, Sniffed, sniff_both};
use crate::worker::Worker;

/// Handles a connection that was meant for `target`.
pub(super) async fn open(
    worker: &Rc<Worker>,
    stream: TcpStream,
    client: SocketAddr,
    target: SocketAddr,
) -> Result<Rest, InboundError> {
    let port = worker.ports.obtain(worker, target.port());
    let app = app_address(target.ip(), target.port());
    let tls = ClientTls::None;
    let accepted = Accepted { worker: Rc::clone(worker), port, client, tls, target, app };
    let policy = accepted.port.policy(worker).await?;
    let mut io = Io::new(Stream::Plain(Socket::new(Bytes::new(), stream)), None);
    let judge = judge_of(&policy);
    let early = async || opaque::early(&accepted, judge).await;
    let look = match &policy.protocol {
        InboundProtocol::Opaque | InboundProtocol::Tls => Look::Tls,
        InboundProtocol::Detect { .. }
        | InboundProtocol::Http1 { .. }
        | InboundProtocol::Http2 { .. }
        | InboundProtocol::Grpc { .. } => Look::All,
    };
    match sniff_both(&mut io, look, detect_timeout(worker, &policy), early).await? {
        Sniffed::Protocol(Detection::Tls(hello)) if is_ours(worker, hello.sni.as_deref()) => {
            Box::pin(terminated(accepted, io)).await
        }
        sniffed @ (Sniffed::Protocol(_) | Sniffed::ServerFirst(_) | Sniffed::Silent | Sniffed::Closed) => {
            let transport = accepted.port.client_transport(worker, &accepted.tls, target);
            io.count_by(transport);
            by_protocol(accepted, io, &policy, sniffed).await
        }
    }
}

/// mTLS straight to the application's port, with the name of this workload: ends here.
async fn terminated(mut accepted: Accepted, io: Io) -> Result<Rest, InboundError> {
    let worker = Rc::clone(&accepted.worker);
    let socket = io.into_socket().ok_or(InboundError::Loop)?;
    let (stream, handshake, session) = accept_tls(&worker, accepted.client, socket).await?;
    accepted.tls = ClientTls::of(handshake.peer.as_ref());
    let transport = accepted.port.client_transport(&worker, &accepted.tls, accepted.target);
    let io = Io::new(Stream::Accepted(stream), Some(transport)).with_session(session);
    detected(accepted, io).await
}

/// Looks at the first bytes, and serves by what they are and what the policy expects.
pub(super) async fn detected(accepted: Accepted, mut io: Io) -> Result<Rest, InboundError> {
    let policy = accepted.port.policy(&accepted.worker).await?;
    let sniffed = match &policy.protocol {
        InboundProtocol::Opaque | InboundProtocol::Tls => Sniffed::Silent,
        InboundProtocol::Detect { .. }
        | InboundProtocol::Http1 { .. }
        | InboundProtocol::Http2 { .. }
        | InboundProtocol::Grpc { .. } => {
            let early = async || opaque::early(&accepted, judge_of(&policy)).await;
            sniff_both(&mut io, Look::All, detect_timeout(&accepted.worker, &policy), early).await?
        }
    };
    by_protocol(accepted, io, &policy, sniffed).await
}

async fn by_protocol(
    accepted: Accepted,
    io: Io,
    policy: &InboundPolicy,
    sniffed: Sniffed,
) -> Result<Rest, InboundError> {
    accepted.port.count_detected(&accepted.worker, &sniffed);
    let judge = judge_of(policy);
    match (&policy.protocol, sniffed) {
        (_, Sniffed::Closed) => Ok(nothing()),
        (InboundProtocol::Opaque | InboundProtocol::Tls, sniffed) => {
            opaque::judged(accepted, io, sniffed.into_server(), judge).await
        }
        (_, Sniffed::Protocol(Detection::Http1)) => Ok(accepted.http1(io)),
        (_, Sniffed::Protocol(Detection::Http2)) => Ok(accepted.http2(io)),
        (_, sniffed @ (Sniffed::Protocol(_) | Sniffed::ServerFirst(_) | Sniffed::Silent)) => {
            opaque::judged(accepted, io, sniffed.into_server(), judge).await
        }
    }
}

/// How a connection without HTTP is judged on this port: silence is no way around an HTTP policy.
fn judge_of(policy: &InboundPolicy) -> opaque::Judge {
    match &policy.protocol {
        InboundProtocol::Opaque | InboundProtocol::Tls => authorize::connection,
        InboundProtocol::Detect { .. }
        | InboundProtocol::Http1 { .. }
        | InboundProtocol::Http2 { .. }
        | InboundProtocol::Grpc { .. } => authorize::undetected,
    }
}

fn detect_timeout(worker: &Worker, policy: &InboundPolicy) -> std::time::Duration {
    match &policy.protocol {
        InboundProtocol::Detect { timeout, .. } => *timeout,
        InboundProtocol::Http1 { .. }
        | InboundProtocol::Http2 { .. }
        | InboundProtocol::Grpc { .. }
        | InboundProtocol::Opaque
        | InboundProtocol::Tls => worker.config.detect_timeout,
    }
}

/// Whether a ClientHello asks for this workload by its identity. Other TLS is the application's own.
fn is_ours(worker: &Worker, sni: Option<&str>) -> bool {
    match (sni, &worker.config.identity) {
        (Some(sni), Some(identity)) => sni.eq_ignore_ascii_case(identity.as_str()),
        (None, _) | (_, None) => false,
    }
}
