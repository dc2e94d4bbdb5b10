//! HTTP/1 messages: strict reading (RFC 9112) over slices, and writing in which all framing is our own.

pub mod body;
mod diagnose;
pub mod encode;
pub mod encoder;
mod error;
pub(crate) mod grammar;
pub(crate) mod headers;
mod limits;
pub mod request;
pub mod response;
pub(crate) mod scan;
pub(crate) mod target;
pub mod trailers;

pub use error::H1Error;
pub use headers::{Field, Headers, Kind};
pub use limits::{FIELDS_MAX, HOP_FIELDS_MAX, Limits};
pub use request::{RequestHead, Version};
pub use response::{Asked, ResponseHead};
pub use scan::Scan;
pub use target::Target;
pub use trailers::Trailers;

/// How the end of a message's body is found (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// The message ends with its head.
    None,
    /// Exactly this many bytes follow.
    Length(u64),
    /// Chunked transfer coding, with possible trailers.
    Chunked,
    /// Everything until the sender closes. Responses only.
    UntilClose,
}
