//! Connections to the proxy's own port: mTLS with a client identity, and a transport header (INTERFACE §5.2 and §5.3).

use std::net::SocketAddr;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use hauberk_tls::ALPN_TRANSPORT;
use hauberk_wire::transport_header::{self, SessionProtocol, TransportHeader};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Accepted, ClientTls, InboundError, Rest, accept_tls, app_address, opaque};
use crate::io::{Io, Socket, Stream};
use crate::worker::Worker;

/// Handles a connection whose original destination is the proxy's own port.
pub(super) async fn open(
    worker: &Rc<Worker>,
    stream: TcpStream,
    client: SocketAddr,
    target: SocketAddr,
) -> Result<Rest, InboundError> {
    let (mut stream, handshake, session) =
        accept_tls(worker, client, Socket::new(Bytes::new(), stream)).await?;
    let tls = ClientTls::of(handshake.peer.as_ref());
    if tls.peer().is_none() {
        return Err(InboundError::NoClientIdentity);
    }
    if handshake.alpn.as_deref() != Some(ALPN_TRANSPORT) {
        return Err(InboundError::TransportHeaderRequired);
    }
    let mut seen = BytesMut::new();
    let header = async {
        loop {
            match transport_header::decode(&mut seen) {
                Err(_) => return Err(InboundError::TransportHeader),
                Ok(Some(header)) => return Ok(header),
                Ok(None) => {
                    if stream.read_buf(&mut seen).await? == 0 {
                        return Err(InboundError::TransportHeader);
                    }
                }
            }
        }
    };
    let header = timeout(worker.config.limits.head_timeout, header)
        .await
        .map_err(|_| InboundError::TransportHeaderTimeout)??;
    // From here on the connection is one to the application's port: metrics and redirects name that.
    let target = SocketAddr::new(target.ip(), local_port(&header, worker.inbound_port.get())?);
    let port = worker.ports.obtain(worker, target.port());
    port.count_header(worker, &header, &tls);
    let mut io = Io::new(Stream::Accepted(stream), Some(port.client_transport(worker, &tls, target)))
        .with_session(session);
    io.unread(seen.freeze());
    let app = app_address(target.ip(), port.number);
    let accepted = Accepted { worker: Rc::clone(worker), port, client, tls, target, app };
    proceed(accepted, io, header.protocol).await
}

/// The port of this workload that the header asks for.
fn local_port(header: &TransportHeader, own: u16) -> Result<u16, InboundError> {
    if let Some(name) = &header.name {
        return Err(InboundError::Gateway(name.to_string()));
    }
    if header.port.get() == own {
        return Err(InboundError::Loop);
    }
    Ok(header.port.get())
}

async fn proceed(accepted: Accepted, io: Io, session: Option<SessionProtocol>) -> Result<Rest, InboundError> {
    match session {
        Some(SessionProtocol::Http1) => Ok(accepted.http1(io)),
        Some(SessionProtocol::Http2) => Ok(accepted.http2(io)),
        None => {
            let plan = accepted.port.policy(&accepted.worker).await?;
            // The client says "bytes". Where requests are judged, saying so must not be a way around it.
            if plan.judges_requests() {
                // Boxed: rare, and larger than all the rest.
                return Box::pin(super::redirected::detected(accepted, io)).await;
            }
            opaque::open(accepted, io, None).await
        }
    }
}
