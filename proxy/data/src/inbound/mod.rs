//! Connections to the application: found out who asks for which port, judged, forwarded.

mod audit;
mod direct;
mod external;
mod gate;
mod http;
mod meters;
mod opaque;
mod port;
mod redirected;
mod requirements;
mod token;

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;

use hauberk_model::authorize::{Client, Tls};
use hauberk_model::identity::Identity;
use tokio::net::TcpStream;

use crate::h1;
use crate::h2;
use crate::io::{Io, Socket};
use crate::meters::{Direction, NoTls, TlsSession, TlsState};
use crate::outbound::endpoint::{DialError, Endpoint, Session};
use crate::worker::Worker;

pub(crate) use external::Denied;
pub(crate) use gate::Gate;
pub(crate) use port::{Port, Ports};

/// What is left to do once it is known what a connection is. Boxed, and made by the phase before, so that an open connection
/// holds the room of what it does and of nothing that it has done or might have been.
type Rest = Pin<Box<dyn Future<Output = Result<(), InboundError>>>>;

/// Handles one accepted connection to its end.
pub(crate) async fn connection(worker: Rc<Worker>, stream: TcpStream, client: SocketAddr) {
    let target = match worker.origin(&stream) {
        Ok(target) => target,
        Err(_) => return worker.errors.inbound_tcp("original_destination"),
    };
    let opened = if target.port() == worker.inbound_port.get() {
        Box::pin(direct::open(&worker, stream, client, target)).await
    } else {
        Box::pin(redirected::open(&worker, stream, client, target)).await
    };
    let ended = match opened {
        Ok(rest) => rest.await,
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        log::debug!("inbound connection refused: {error}; client={client} target={target}");
        worker.errors.inbound_tcp(error.label());
    }
}

fn nothing() -> Rest {
    Box::pin(std::future::ready(Ok(())))
}

/// Why a connection was closed without being forwarded to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InboundError {
    #[error("there is no certificate yet")]
    NoCertificate,
    #[error("the TLS handshake failed")]
    Tls(#[from] hauberk_tls::HandshakeError),
    #[error("a direct connection needs a client identity")]
    NoClientIdentity,
    #[error("a direct connection needs ALPN transport.l5d.io/v1")]
    TransportHeaderRequired,
    #[error("the transport header is malformed")]
    TransportHeader,
    #[error("no transport header in time")]
    TransportHeaderTimeout,
    #[error("gateway connections are not supported; the client asked for {0}")]
    Gateway(String),
    #[error("the target is this proxy itself")]
    Loop,
    #[error("the policy of port {0} is not known yet")]
    NoPolicy(u16),
    #[error("the client is not authorized")]
    Denied,
    #[error("cannot connect to the application")]
    Connect(#[from] DialError),
    #[error("the connection broke")]
    Io(#[from] io::Error),
    #[error("HTTP/2 broke")]
    Http2(#[from] ::h2::Error),
}

impl InboundError {
    fn label(&self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::Tls(error) => error.label(),
            Self::NoClientIdentity => "direct_client_identity_required",
            Self::TransportHeaderRequired => "transport_header_required",
            Self::TransportHeader => "transport_header_malformed",
            Self::TransportHeaderTimeout => "transport_header_timeout",
            Self::Gateway(_) => "gateway_unsupported",
            Self::Loop => "loop",
            Self::NoPolicy(_) => "policy_unknown",
            Self::Denied => "unauthorized",
            Self::Connect(error) => error.label(),
            Self::Io(_) => "io",
            Self::Http2(_) => "http2",
        }
    }
}

/// What is known of a connection to the application when its bytes are about to be looked at.
#[derive(Clone)]
pub(crate) struct Accepted {
    pub(crate) worker: Rc<Worker>,
    pub(crate) port: Rc<Port>,
    pub(crate) client: SocketAddr,
    pub(crate) tls: ClientTls,
    /// The address that the client meant.
    pub(crate) target: SocketAddr,
    /// Where the application is.
    pub(crate) app: SocketAddr,
}

/// What the client proved, kept for the life of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClientTls {
    None,
    Unauthenticated,
    Peer(Identity),
}

impl ClientTls {
    fn of(peer: Option<&hauberk_tls::VerifiedPeer>) -> Self {
        peer.map_or(Self::Unauthenticated, |peer| Self::Peer(peer.identity().clone()))
    }

    pub(crate) fn peer(&self) -> Option<&Identity> {
        match self {
            Self::Peer(identity) => Some(identity),
            Self::None | Self::Unauthenticated => None,
        }
    }

    pub(crate) fn state(&self) -> TlsState {
        match self {
            Self::None => TlsState::None(NoTls::FromRemote),
            Self::Unauthenticated => TlsState::Mesh(None),
            Self::Peer(identity) => TlsState::Mesh(Some(identity.clone())),
        }
    }
}

impl Accepted {
    pub(crate) fn as_client(&self) -> Client<'_> {
        let tls = match &self.tls {
            ClientTls::None => Tls::None,
            ClientTls::Unauthenticated => Tls::Unauthenticated,
            ClientTls::Peer(identity) => Tls::Peer(identity),
        };
        Client { addr: self.client, tls }
    }

    /// As another service is told of this connection.
    fn asker(&self) -> external::Asker<'_> {
        external::Asker {
            worker: &self.worker,
            client: self.client,
            identity: self.tls.peer(),
            target: self.target,
        }
    }

    /// Says that an audit admits what nothing else does, unless that was said a moment ago.
    fn say_audited(&self, reason: &str) {
        if let Some(unsaid) = self.port.audits.due(tokio::time::Instant::now()) {
            let (port, identity) = (self.port.number, self.tls.peer().map(Identity::as_str));
            log::info!(client:% = self.client, identity, port, reason, unsaid; "would be denied; admitted by an audit");
        }
    }

    /// The application, and the connections to it that requests share.
    pub(crate) fn app_endpoint(&self) -> Rc<Endpoint> {
        self.port.app(&self.worker, self.app)
    }

    /// Connects to the application.
    pub(crate) async fn dial_app(&self) -> Result<Io, DialError> {
        self.app_endpoint().connect(&self.worker, Session::Opaque).await
    }

    /// Serves HTTP/1 on `io`.
    fn http1(self, io: Io) -> Rest {
        let (worker, conn) = (Rc::clone(&self.worker), h1::Conn::new(io));
        let handler = Rc::new(http::Inbound::new(self));
        Box::pin(async move {
            h1::serve(conn, &worker.config.limits, worker.drain.clone(), handler).await;
            Ok(())
        })
    }

    /// Serves HTTP/2 on `io`.
    fn http2(self, io: Io) -> Rest {
        let worker = Rc::clone(&self.worker);
        let handler = Rc::new(http::Inbound::new(self));
        Box::pin(async move {
            let drain = worker.drain.clone();
            Ok(h2::serve(io, &worker.config.limits, drain, handler, &worker.heads).await?)
        })
    }
}

/// The application's address for a port: the loopback of the family that the client used, as in Linkerd.
fn app_address(target: IpAddr, port: u16) -> SocketAddr {
    match target {
        IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
    }
}

/// Terminates mTLS and counts the session.
async fn accept_tls(
    worker: &Worker,
    client: SocketAddr,
    socket: Socket,
) -> Result<(Box<hauberk_tls::ServerStream<Socket>>, hauberk_tls::Handshake, TlsSession), InboundError> {
    let credentials = worker.credentials().ok_or(InboundError::NoCertificate)?;
    let within = worker.config.limits.handshake_timeout;
    // Boxed, as the session is: the connection outlives the handshake by far.
    let accept = async {
        let (stream, handshake) = worker.gate.accept(client.ip(), socket, &credentials, within).await?;
        Ok::<_, hauberk_tls::HandshakeError>((Box::new(stream), handshake))
    };
    let (stream, handshake) = Box::pin(accept).await?;
    let peer = handshake.peer.as_ref().map(hauberk_tls::VerifiedPeer::identity);
    let session =
        worker.tls_sessions.open(Direction::Inbound, Some(credentials.identity()), peer, &handshake);
    Ok((stream, handshake, session))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_application_is_reached_on_the_loopback_of_the_clients_family() {
        assert_eq!(app_address("10.0.0.1".parse().unwrap(), 80), "127.0.0.1:80".parse().unwrap());
        assert_eq!(app_address("fd00::1".parse().unwrap(), 80), "[::1]:80".parse().unwrap());
    }
}
