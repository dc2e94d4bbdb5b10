//! The seam to the HTTP/2 library: nothing else names its streams.

mod client;
mod head_room;
mod meter;
mod muted;
mod server;
mod stream;

use hauberk_wire::translate::FIELDS_MAX;

use crate::config::Limits;

pub(crate) use client::{Client, Lease, connect};
pub(crate) use head_room::HeadRoom;
pub(crate) use server::{Respond, serve};
pub(crate) use stream::{Incoming, Outgoing};

/// What HTTP/2 adds to each field when it measures a list of them (RFC 9113 §6.5.2).
const FIELD_OVERHEAD_BYTES: usize = 32;
/// `:method`, `:scheme`, `:authority`, `:path`, or `:status`.
const PSEUDO_FIELDS_MAX: usize = 4;

/// `SETTINGS_MAX_HEADER_LIST_SIZE`, by which a head that HTTP/1 let in comes through, however many fields it has.
fn header_list_bytes_max(limits: &Limits) -> u32 {
    let overhead = FIELD_OVERHEAD_BYTES * (FIELDS_MAX + PSEUDO_FIELDS_MAX);
    u32::try_from(limits.head_bytes_max.saturating_add(overhead)).unwrap_or(u32::MAX)
}
