//! The control plane's clients: discovery, policy and identity, turned into snapshots for the data threads.
//!
//! Everything here runs on the control thread. Answers are kept for as long as it takes when the control plane is
//! gone; what was never known is decided by [`defaults`].

#![forbid(unsafe_code)]

mod causes;
mod chance;
pub mod convert;
pub mod defaults;
mod digest;
pub mod directory;
mod endpoints;
pub mod extension;
mod freshness;
pub mod identity;
mod join;
pub mod otlp;
pub mod quota;
pub mod stream;
mod table;
pub mod tap;
pub mod transport;
pub mod trust;

pub use directory::{Directory, Services};
