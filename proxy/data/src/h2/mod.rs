//! The seam to the HTTP/2 library: nothing else names its streams.

mod client;
mod head_room;
mod meter;
mod muted;
mod server;
mod stream;

pub(crate) use client::{Client, Lease, connect};
pub(crate) use head_room::HeadRoom;
pub(crate) use server::{Respond, serve};
pub(crate) use stream::{Incoming, Outgoing};
