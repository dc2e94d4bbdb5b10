//! The protocols of the wire, without I/O: bytes in, decisions and bytes out. Nothing here waits, dials or panics.
//!
//! - [`h1`]: strict HTTP/1 heads and bodies, and writing them with our own framing.
//! - [`strip`], [`edit`]: what is dropped, changed and added on the way.

pub mod edit;
pub mod h1;
pub mod strip;

pub use edit::{Edits, Modifier};
pub use strip::Strip;
