//! The seam to the HTTP/2 library: nothing else names its streams.

mod client;
mod server;
mod stream;

pub(crate) use client::{Client, Lease, connect};
pub(crate) use server::{Respond, serve};
pub(crate) use stream::{Incoming, Outgoing};
