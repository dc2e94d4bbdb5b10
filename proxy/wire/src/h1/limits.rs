//! Bounds on what one HTTP/1 head may cost.

/// Bounds on one message's head and on its trailers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of a head, from the first byte of the start line to the empty line. 128 KiB by default, so that
    /// headers of 64 KiB and more pass; at most [`HEAD_BYTES_MAX`].
    pub head_bytes_max: usize,
    /// Most end-to-end fields of a head, those that are passed on as they are. Besides there may be
    /// [`HOP_FIELDS_MAX`] that every hop writes anew, so that a head which is let in can be written and is let in again.
    pub fields_max: usize,
    /// Most bytes of a request line. Below the 64 KiB that an `http::Uri` can hold with a host beside it.
    pub request_line_bytes_max: usize,
    /// Most bytes of a trailer section.
    pub trailer_bytes_max: usize,
    /// Most fields of a trailer section.
    pub trailer_fields_max: usize,
}

/// No head may be configured larger than this: offsets are kept in 32 bits.
pub const HEAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// [`Limits::fields_max`] by default.
pub const FIELDS_MAX: usize = 256;

/// Fields of a head that are not end-to-end: framing, connection and the mesh's own. A writer of ours makes five of the
/// first two (Host, framing, TE, Upgrade, Connection) and a few of the last.
pub const HOP_FIELDS_MAX: usize = 16;

/// Most bytes of a host with its port. A name has at most 253, and a host must fit into an `http::Uri` beside the
/// longest path.
pub const HOST_BYTES_MAX: usize = 2 * 1024;

/// Empty lines tolerated before a start line (RFC 9112 §2.2), left behind by clients that end a body with CRLF.
pub const EMPTY_LINES_MAX: usize = 2;

/// Most bytes of one field name, so that its length fits 16 bits.
pub const NAME_BYTES_MAX: usize = 4 * 1024;

impl Limits {
    /// Most fields of all kinds.
    pub(crate) fn fields_of_all_kinds_max(&self) -> usize {
        self.fields_max.saturating_add(HOP_FIELDS_MAX)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 128 * 1024,
            fields_max: FIELDS_MAX,
            request_line_bytes_max: 60 * 1024,
            trailer_bytes_max: 16 * 1024,
            trailer_fields_max: 64,
        }
    }
}
