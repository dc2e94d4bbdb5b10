//! The vocabulary and the decisions of the data plane: pure code, no socket, no clock, no lock.
//!
//! `control` turns the control plane's answers into these types; `data` carries out what they decide.

pub mod discovery;
pub mod endpoint;
pub mod identity;
pub mod inbound;
pub mod metadata;
pub mod outbound;
pub mod route;
