//! `io.linkerd.proxy.tap.Tap/Observe`: requests as they pass, shown to the one identity that may tap.

mod message;
mod server;

pub use server::{Tapping, serve};
