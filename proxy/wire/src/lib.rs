//! The protocols of the wire, without I/O: bytes in, decisions and bytes out. Nothing here waits, dials or panics.
//!
//! - [`h1`]: strict HTTP/1 heads and bodies, and writing them with our own framing.
//! - [`detect`]: what a connection speaks, from its first bytes; [`client_hello`] for the names in TLS.
//! - [`transport_header`]: the header between meshed proxies.
//! - [`translate`]: HTTP/1 over HTTP/2 and back.
//! - [`view`]: the one form of a request that policy judges and that is forwarded.
//! - [`strip`], [`edit`]: what is dropped, changed and added on the way.

pub mod client_hello;
pub mod detect;
pub mod edit;
pub mod h1;
pub mod strip;
pub mod translate;
pub mod transport_header;
pub mod view;

pub use edit::{Edits, Modifier};
pub use strip::Strip;
pub use view::RequestView;
