//! Traces that pass through: the contexts of W3C and B3 as they come, what is said of them to the next hop, and what
//! one span remembers.
//!
//! A context is either understood whole or not at all. What is not understood is passed on as it came, and nobody
//! begins a trace in its place.

mod context;
mod span;

pub use context::{Context, Found, Propagated, find};
pub use span::{SPAN_TEXT_BYTES_MAX, Span, TRACE_STATE_BYTES_MAX};

/// Names one trace. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

/// Names one span of a trace. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId(u64);

impl TraceId {
    /// `None`: zero names no trace.
    #[must_use]
    pub const fn new(number: u128) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    /// A new one of 128 bits by chance.
    #[must_use]
    pub fn of(high: u64, low: u64) -> Self {
        Self((u128::from(high) << 64 | u128::from(low)).max(1))
    }

    /// As in OTLP.
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl SpanId {
    /// `None`: zero names no span.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    /// A new one of bits by chance.
    #[must_use]
    pub fn of(bits: u64) -> Self {
        Self(bits.max(1))
    }

    /// As in OTLP.
    #[must_use]
    pub const fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}
