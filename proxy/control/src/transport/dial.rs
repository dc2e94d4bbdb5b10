//! One connection to the control plane: resolve, connect, prove.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hauberk_model::endpoint::TlsTarget;
use hauberk_tls::{CredentialsWatch, Dialer, HandshakeError};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::meters::Meters;
use super::resolve::{Authority, ResolveError, Resolver};

/// Longest wait for a TCP connection to one address.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// Longest wait for a TLS handshake.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

/// A service of the control plane.
#[derive(Clone)]
pub struct Service {
    /// Its name in logs: `destination`, `policy`, `identity`.
    pub name: &'static str,
    /// Where it is.
    pub authority: Authority,
    /// How it proves itself.
    pub security: Security,
    /// Netfilter mark of the connection.
    pub mark: Option<u32>,
    /// What is told of it.
    pub meters: Meters,
}

/// How a service proves itself, and we to it.
#[derive(Clone)]
pub enum Security {
    /// On this machine: nothing.
    Plaintext,
    /// TLS with our certificate; there is no connection before we have one.
    Mutual {
        /// Who must answer.
        target: TlsTarget,
        /// Our certificate.
        credentials: CredentialsWatch,
    },
    /// TLS with our certificate if we have one, else without: the identity service.
    Server {
        /// Who must answer.
        target: TlsTarget,
        /// Our certificate.
        credentials: CredentialsWatch,
        /// Before we have a certificate, and after it has ended.
        anonymous: watch::Receiver<Dialer>,
    },
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name has no address.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// No address answers.
    #[error("cannot connect to {to}")]
    Connect {
        /// The last one tried.
        to: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The service does not prove itself, or refuses us.
    #[error("no TLS with {to}")]
    Handshake {
        /// The address.
        to: SocketAddr,
        /// Why.
        #[source]
        source: HandshakeError,
    },
    /// The proxy ends.
    #[error("there will be no certificate any more")]
    NoCredentials,
}

/// A byte stream of either kind. One vtable call per read: the control plane's traffic is small.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Connects to the first address that answers, starting at a place that changes with `round`.
pub(super) async fn dial(
    service: &Service,
    resolver: &Resolver,
    round: usize,
) -> Result<(Box<dyn Io>, SocketAddr), DialError> {
    // Waits for a certificate first, so that an address is not looked up hours before it is used.
    let prover = Prover::of(&service.security).await?;
    let resolved = resolver.resolve(&service.authority).await;
    if let Authority::Name { .. } = &service.authority {
        service.meters.looked_up(resolved.is_ok());
    }
    let mut addresses = resolved?;
    service.meters.resolved(addresses.len());
    let count = addresses.len().max(1);
    addresses.rotate_left(round.checked_rem(count).unwrap_or(0));
    let mut last = None;
    for to in addresses {
        match connect(to, service.mark).await {
            Ok(stream) => match prover.prove(stream).await {
                Ok(io) => return Ok((io, to)),
                Err(source) => last = Some(DialError::Handshake { to, source }),
            },
            Err(source) => last = Some(DialError::Connect { to, source }),
        }
    }
    Err(last.unwrap_or(DialError::NoCredentials))
}

async fn connect(to: SocketAddr, mark: Option<u32>) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(mark) = mark {
        SockRef::from(&socket).set_mark(mark)?;
    }
    let stream = timeout(CONNECT_WITHIN, socket.connect(to)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

enum Prover<'a> {
    Plaintext,
    Tls { target: &'a TlsTarget, dialer: Dialer },
}

impl<'a> Prover<'a> {
    async fn of(security: &'a Security) -> Result<Self, DialError> {
        match security {
            Security::Plaintext => Ok(Self::Plaintext),
            Security::Mutual { target, credentials } => {
                let mut credentials = credentials.clone();
                let current =
                    credentials.wait_for(Option::is_some).await.map_err(|_| DialError::NoCredentials)?;
                let dialer = current.as_ref().map(|current| current.dialer().clone());
                Ok(Self::Tls { target, dialer: dialer.ok_or(DialError::NoCredentials)? })
            }
            Security::Server { target, credentials, anonymous } => {
                let ours = credentials.borrow().as_ref().map(|current| current.dialer().clone());
                Ok(Self::Tls { target, dialer: ours.unwrap_or_else(|| anonymous.borrow().clone()) })
            }
        }
    }

    async fn prove(&self, stream: TcpStream) -> Result<Box<dyn Io>, HandshakeError> {
        match self {
            Self::Plaintext => Ok(Box::new(stream)),
            Self::Tls { target, dialer } => {
                let (stream, _) = hauberk_tls::connect(stream, dialer, target, &[], HANDSHAKE_WITHIN).await?;
                Ok(Box::new(stream))
            }
        }
    }
}
