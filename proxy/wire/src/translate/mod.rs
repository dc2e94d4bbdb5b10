//! Between HTTP/1 and HTTP/2: [`up`] puts HTTP/1 messages on an HTTP/2 connection, [`down`] takes them off again, and
//! [`forward`] passes HTTP/2 on as HTTP/2.
//!
//! Between meshed proxies the original form of a request travels in `l5d-orig-proto: HTTP/1.1[; absolute-form]`, and the
//! response says the version it was in the same way.

pub mod down;
pub mod forward;
mod incoming;
pub mod up;

use http::{HeaderMap, HeaderName};
use thiserror::Error;

use crate::h1::{RequestHead, Target, Version};

pub use incoming::{FIELDS_MAX, H2Request, Honour};

/// The field in which meshed proxies tell the original protocol.
pub static ORIG_PROTO: HeaderName = HeaderName::from_static("l5d-orig-proto");

/// Why a message cannot be said in the other protocol. For a request answer 400, or 501 for [`TranslateError::Tunnel`];
/// for a response 502.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TranslateError {
    /// CONNECT, an upgrade, or another method of HTTP/2 that makes a tunnel: these need a connection of their own.
    #[error("tunnels are not translated")]
    Tunnel,
    /// The authority, or Host, is malformed.
    #[error("authority is malformed")]
    Host,
    /// Host is repeated.
    #[error("Host is repeated")]
    HostRepeated,
    /// The path is missing, malformed, or not in visible ASCII.
    #[error("path is malformed")]
    Target,
    /// The method is not one that can be said.
    #[error("method is malformed")]
    Method,
    /// A name is not a lower-case token.
    #[error("field name is malformed")]
    FieldName,
    /// A value holds control characters, or whitespace at its ends.
    #[error("field value is malformed")]
    FieldValue,
    /// Content-Length is repeated or not a number.
    #[error("Content-Length is malformed")]
    Length,
    /// `l5d-orig-proto` of a peer is repeated or unknown.
    #[error("l5d-orig-proto is malformed")]
    OrigProto,
    /// More fields than a map can hold.
    #[error("too many fields")]
    TooManyFields,
    /// A change to the message is malformed, or its framing cannot be written.
    #[error(transparent)]
    Encode(#[from] crate::h1::encode::EncodeError),
}

impl TranslateError {
    /// The status to answer a refused request with.
    pub fn status(self) -> u16 {
        match self {
            Self::Tunnel => 501,
            Self::TooManyFields => 431,
            Self::Encode(_) => 500,
            Self::Host
            | Self::HostRepeated
            | Self::Target
            | Self::Method
            | Self::FieldName
            | Self::FieldValue
            | Self::Length
            | Self::OrigProto => 400,
        }
    }
}

/// What a request was before it was put on HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrigProto {
    /// Its version.
    pub version: Version,
    /// Whether its target was in absolute form.
    pub absolute_form: bool,
}

impl OrigProto {
    /// The usual one.
    pub const HTTP_11: Self = Self { version: Version::Http11, absolute_form: false };

    /// Of an HTTP/1 request.
    pub fn of(head: &RequestHead) -> Self {
        let absolute_form = matches!(head.target(), Target::Absolute { .. });
        Self { version: head.version(), absolute_form }
    }

    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match (self.version, self.absolute_form) {
            (Version::Http11, false) => "HTTP/1.1",
            (Version::Http11, true) => "HTTP/1.1; absolute-form",
            (Version::Http10, false) => "HTTP/1.0",
            (Version::Http10, true) => "HTTP/1.0; absolute-form",
        }
    }

    /// Takes the field out of the map. What is unknown is refused: a wrong guess would be a wrong framing.
    pub fn take(headers: &mut HeaderMap) -> Result<Option<Self>, TranslateError> {
        let before = headers.len();
        let Some(value) = headers.remove(&ORIG_PROTO) else { return Ok(None) };
        // All its values are gone; there must have been one.
        if headers.len() + 1 != before {
            return Err(TranslateError::OrigProto);
        }
        let (version, absolute_form) = match value.as_bytes() {
            b"HTTP/1.1" => (Version::Http11, false),
            b"HTTP/1.1; absolute-form" => (Version::Http11, true),
            b"HTTP/1.0" => (Version::Http10, false),
            b"HTTP/1.0; absolute-form" => (Version::Http10, true),
            _ => return Err(TranslateError::OrigProto),
        };
        Ok(Some(Self { version, absolute_form }))
    }
}
