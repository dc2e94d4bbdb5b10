//! HTTP/1 connections of both sides. What a message may look like is the wire crate's business; here is when bytes move.

mod client;
mod conn;
mod message;
mod server;
mod tunnel;

pub(crate) use client::{Lease, request};
pub(crate) use conn::Conn;
pub(crate) use hauberk_wire::h1::H1Error;
pub(crate) use message::{Incoming, Outgoing};
pub(crate) use server::{Respond, serve};
pub(crate) use tunnel::tunnel;

use crate::config::Limits;

/// The wire's limits by ours.
pub(crate) fn wire_limits(limits: &Limits) -> hauberk_wire::h1::Limits {
    hauberk_wire::h1::Limits { head_bytes_max: limits.head_bytes_max, ..hauberk_wire::h1::Limits::default() }
}
