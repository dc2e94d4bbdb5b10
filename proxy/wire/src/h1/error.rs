//! Why an HTTP/1 message was refused.

use thiserror::Error;

/// A refused head, body or trailer section. The connection cannot be used after one.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum H1Error {
    /// More empty lines before the start line than RFC 9112 §2.2 asks to tolerate.
    #[error("too many empty lines before the message")]
    EmptyLines,
    /// The method is not a token.
    #[error("method is not a token")]
    Method,
    /// The request target is in none of the four forms, or in one that its method does not allow.
    #[error("request target is malformed")]
    Target,
    /// The request target holds a byte outside visible ASCII.
    #[error("request target holds a byte outside visible ASCII")]
    TargetBytes,
    /// The request target holds a space, or fields of the request line are separated by more than one.
    #[error("request line holds extra whitespace")]
    TargetSpace,
    /// The request target holds a fragment.
    #[error("request target holds a fragment")]
    TargetFragment,
    /// A well-formed version that is neither HTTP/1.0 nor HTTP/1.1.
    #[error("HTTP version is not supported")]
    Version,
    /// The status line is malformed.
    #[error("status line is malformed")]
    StatusLine,
    /// A line ends in LF without CR.
    #[error("line ends in a bare LF")]
    BareLf,
    /// CR without LF.
    #[error("bare CR")]
    BareCr,
    /// A field line begins with whitespace (obsolete line folding).
    #[error("obsolete line folding")]
    ObsFold,
    /// Whitespace between a field name and its colon.
    #[error("whitespace before the colon of a field")]
    SpaceBeforeColon,
    /// A field name is empty, too long, or not a token.
    #[error("field name is not a token")]
    FieldName,
    /// A field value holds NUL or another control character.
    #[error("field value holds a control character")]
    FieldValue,
    /// HTTP/1.1 request without Host.
    #[error("Host is missing")]
    HostMissing,
    /// More than one Host.
    #[error("Host is repeated")]
    HostRepeated,
    /// Host, or the authority of the target, is not `host [":" port]`.
    #[error("Host is malformed")]
    Host,
    /// Both Content-Length and Transfer-Encoding.
    #[error("both Content-Length and Transfer-Encoding")]
    LengthAndChunked,
    /// More than one Content-Length, also as a list in one field.
    #[error("Content-Length is repeated")]
    LengthRepeated,
    /// Content-Length is not a plain decimal number.
    #[error("Content-Length is not a number")]
    Length,
    /// Content-Length above 2^63 - 1.
    #[error("Content-Length is too large")]
    LengthOverflow,
    /// A transfer coding other than exactly `chunked`.
    #[error("transfer coding is not supported")]
    TransferCoding,
    /// More than one Transfer-Encoding, or an empty one.
    #[error("Transfer-Encoding is repeated or empty")]
    TransferEncoding,
    /// Transfer-Encoding in an HTTP/1.0 message.
    #[error("Transfer-Encoding in HTTP/1.0")]
    TransferEncodingIn10,
    /// CONNECT with a body.
    #[error("CONNECT with a body")]
    ConnectBody,
    /// The request line exceeds its limit.
    #[error("request line is too long")]
    RequestLineTooLong,
    /// The head exceeds its limit.
    #[error("head is too large")]
    HeadTooLarge,
    /// More fields than the limit.
    #[error("too many fields")]
    TooManyFields,
    /// Malformed in a way that has no name of its own.
    #[error("message is malformed")]
    Malformed,
    /// A chunk line is not `chunk-size [chunk-ext] CRLF`.
    #[error("chunk line is malformed")]
    ChunkLine,
    /// A chunk size above 2^63 - 1 or of more than 16 digits.
    #[error("chunk size is too large")]
    ChunkSize,
    /// Chunk extensions exceed their limit.
    #[error("chunk extensions are too large")]
    ChunkExtensions,
    /// Chunk data is not followed by CRLF.
    #[error("chunk data is not followed by CRLF")]
    ChunkEnd,
    /// The trailer section exceeds its limits.
    #[error("trailers are too large")]
    TrailersTooLarge,
    /// The sender closed in the middle of a body.
    #[error("body ends early")]
    Truncated,
}

impl H1Error {
    /// The status to answer a refused request with. A refused response is a 502 whatever the reason.
    pub fn status(self) -> u16 {
        match self {
            Self::Version => 505,
            Self::TransferCoding => 501,
            Self::RequestLineTooLong => 414,
            Self::HeadTooLarge | Self::TooManyFields | Self::TrailersTooLarge => 431,
            Self::EmptyLines
            | Self::Method
            | Self::Target
            | Self::TargetBytes
            | Self::TargetSpace
            | Self::TargetFragment
            | Self::StatusLine
            | Self::BareLf
            | Self::BareCr
            | Self::ObsFold
            | Self::SpaceBeforeColon
            | Self::FieldName
            | Self::FieldValue
            | Self::HostMissing
            | Self::HostRepeated
            | Self::Host
            | Self::LengthAndChunked
            | Self::LengthRepeated
            | Self::Length
            | Self::LengthOverflow
            | Self::TransferEncoding
            | Self::TransferEncodingIn10
            | Self::ConnectBody
            | Self::Malformed
            | Self::ChunkLine
            | Self::ChunkSize
            | Self::ChunkExtensions
            | Self::ChunkEnd
            | Self::Truncated => 400,
        }
    }
}
