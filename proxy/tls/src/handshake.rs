//! Handshakes, what became known in them, and why they fail.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hauberk_model::endpoint::TlsTarget;
use hauberk_model::identity::Identity;
use rustls::{AlertDescription, CertificateError, CommonState, Error};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::credentials::{Credentials, Dialer};
use crate::provider::{group_name, suite_name};
use crate::verify::VerifiedPeer;

/// A connection that we accepted.
pub type ServerStream<IO> = tokio_rustls::server::TlsStream<IO>;
/// A connection that we dialled.
pub type ClientStream<IO> = tokio_rustls::client::TlsStream<IO>;

/// The facts of a finished handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// Who the peer is. `None` only on the server's side: the client has no certificate, or none with an identity.
    pub peer: Option<VerifiedPeer>,
    /// `TLSv1.3`.
    pub version: &'static str,
    /// Registered name of the cipher suite.
    pub suite: &'static str,
    /// Registered name of the key exchange group.
    pub group: &'static str,
    /// What ALPN agreed on.
    pub alpn: Option<Vec<u8>>,
    /// The server name that the client asked for.
    pub sni: Option<Arc<str>>,
}

/// Why there is no connection. A peer with the wrong proof is evidence, not bad luck: see [`HandshakeError::is_retryable`].
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// Not finished in time.
    #[error("no TLS handshake within {0:?}")]
    TimedOut(Duration),
    /// The connection broke.
    #[error("the connection broke during the TLS handshake")]
    Io(#[source] io::Error),
    /// The name to ask for is not a DNS name.
    #[error("{0} cannot be sent as a server name")]
    ServerName(Arc<str>),
    /// The peer proved to be someone else.
    #[error("the peer is not {0}")]
    WrongPeer(Identity),
    /// The peer's certificate is expired, not yet valid, from an unknown issuer or malformed.
    #[error("the peer's certificate was refused")]
    Certificate(#[source] Error),
    /// We have no version, suite, group or protocol in common.
    #[error("the peer speaks no TLS that we accept")]
    Incompatible(#[source] Error),
    /// The peer refused us.
    #[error("the peer refused the handshake: {0:?}")]
    Refused(AlertDescription),
    /// What came is no TLS, or breaks its rules.
    #[error("the peer broke the TLS protocol")]
    Protocol(#[source] Error),
}

impl HandshakeError {
    /// Whether another try, or another endpoint, may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::TimedOut(_) | Self::Io(_) => true,
            Self::ServerName(_)
            | Self::WrongPeer(_)
            | Self::Certificate(_)
            | Self::Incompatible(_)
            | Self::Refused(_)
            | Self::Protocol(_) => false,
        }
    }

    /// A short name for a metric label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::TimedOut(_) => "tls_timeout",
            Self::Io(_) => "tls_io",
            Self::ServerName(_) => "tls_server_name",
            Self::WrongPeer(_) => "tls_identity_mismatch",
            Self::Certificate(_) => "tls_certificate",
            Self::Incompatible(_) => "tls_incompatible",
            Self::Refused(_) => "tls_refused",
            Self::Protocol(_) => "tls_protocol",
        }
    }
}

/// Answers a client's handshake within `within`.
///
/// # Errors
/// [`HandshakeError`]; the connection is of no further use.
pub async fn accept<IO>(
    io: IO,
    credentials: &Credentials,
    within: Duration,
) -> Result<(ServerStream<IO>, Handshake), HandshakeError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let acceptor = TlsAcceptor::from(Arc::clone(credentials.server()));
    let stream = match timeout(within, acceptor.accept(io)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(classify(error, None)),
        Err(_) => return Err(HandshakeError::TimedOut(within)),
    };
    let (_, connection) = stream.get_ref();
    let handshake = facts(connection, connection.server_name().map(Arc::from));
    Ok((stream, handshake))
}

/// Dials `target` over an open connection, within `within`. The peer has proven exactly `target.identity` when this returns.
///
/// # Errors
/// [`HandshakeError`]; the connection is of no further use.
pub async fn connect<IO>(
    io: IO,
    dialer: &Dialer,
    target: &TlsTarget,
    alpn: &[&[u8]],
    within: Duration,
) -> Result<(ClientStream<IO>, Handshake), HandshakeError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from(target.server_name.to_string())
        .map_err(|_| HandshakeError::ServerName(Arc::clone(&target.server_name)))?;
    let connector = TlsConnector::from(dialer.config_for(target.identity.clone(), alpn));
    let stream = match timeout(within, connector.connect(name, io)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(classify(error, Some(&target.identity))),
        Err(_) => return Err(HandshakeError::TimedOut(within)),
    };
    let (_, connection) = stream.get_ref();
    let handshake = facts(connection, Some(Arc::clone(&target.server_name)));
    Ok((stream, handshake))
}

fn facts(connection: &CommonState, sni: Option<Arc<str>>) -> Handshake {
    let leaf = connection.peer_certificates().and_then(|chain| chain.first());
    Handshake {
        peer: leaf.and_then(VerifiedPeer::of_verified),
        // Nothing else is configured.
        version: "TLSv1.3",
        suite: connection.negotiated_cipher_suite().map_or("unknown", |suite| suite_name(suite.suite())),
        group: connection.negotiated_key_exchange_group().map_or("unknown", |group| group_name(group.name())),
        alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
        sni,
    }
}

fn classify(error: io::Error, expected: Option<&Identity>) -> HandshakeError {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return HandshakeError::Io(error);
    };
    match (tls, expected) {
        (Error::InvalidCertificate(CertificateError::NotValidForName), Some(expected)) => {
            HandshakeError::WrongPeer(expected.clone())
        }
        (Error::InvalidCertificate(_), _) => HandshakeError::Certificate(tls.clone()),
        // An older server aborts with this alert where a newer one would agree on 1.2.
        (Error::AlertReceived(AlertDescription::ProtocolVersion), _)
        | (Error::PeerIncompatible(_) | Error::NoApplicationProtocol, _) => {
            HandshakeError::Incompatible(tls.clone())
        }
        (Error::AlertReceived(alert), _) => HandshakeError::Refused(*alert),
        _ => HandshakeError::Protocol(tls.clone()),
    }
}

#[cfg(test)]
mod tests;
