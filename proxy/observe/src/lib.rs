//! Metrics and access log lines of the proxy.
//!
//! A data thread asks the [`Registry`] once for a handle and then only writes to it: a relaxed load and
//! store on memory that nobody else writes, without a lock prefix. The scrape adds up the shards.

#![forbid(unsafe_code)]

pub mod access_log;
pub mod exposition;
pub mod families;
pub mod family;
pub mod labels;
pub mod process;
pub mod registry;
pub mod shard;
pub mod sizes;

pub use family::{CounterFamily, GaugeFamily, HistogramFamily, Unit};
pub use labels::Labels;
pub use registry::{Limits, Registry};
pub use shard::{Counter, Gauge, Histogram};
pub use sizes::Sizes;
