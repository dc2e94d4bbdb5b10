//! Spans to a collector: OTLP over gRPC.
//!
//! Spans come through a bounded queue from the data thread, which never waits: what finds no room is dropped and
//! counted. Here they are sent in batches; while the collector is away one batch waits, and the queue behind it.

mod export;
pub mod message;
mod spans;

pub use export::{Exporter, Meters, Queue, queue};
pub use spans::{attribute, encode};
