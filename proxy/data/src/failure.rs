//! What errors of attempts and of connections are to the client, on both sides.

use hauberk_model::status::Failure;

use crate::body::BodyError;
use crate::exchange::AttemptError;
use crate::outbound::endpoint::DialError;

/// What a failed attempt is to the client.
pub(crate) fn failure_of(error: &AttemptError) -> Failure {
    match error {
        AttemptError::Unsent(BodyError::Unsayable(_)) => Failure::BadRequest,
        AttemptError::Unsent(_) => Failure::Refused,
        AttemptError::Broken(_) => Failure::Reset,
        AttemptError::Malformed(_) => Failure::BadResponse,
        AttemptError::RequestBody(BodyError::Malformed(_)) => Failure::BadRequest,
        AttemptError::RequestBody(_) => Failure::Cancelled,
    }
}

/// What a failed connection is to the client.
pub(crate) fn failure_of_dial(error: &DialError) -> Failure {
    match error {
        DialError::Tls { source: hauberk_tls::HandshakeError::WrongPeer(_), .. } => Failure::WrongPeer,
        DialError::TimedOut { .. }
        | DialError::Tls { source: hauberk_tls::HandshakeError::TimedOut(_), .. } => Failure::ConnectTimeout,
        DialError::Limited { .. } => Failure::ConnectionLimit,
        DialError::Connect { .. }
        | DialError::Tls { .. }
        | DialError::NoTransport { .. }
        | DialError::NoCertificate { .. }
        | DialError::Http2 { .. } => Failure::Connect,
    }
}
