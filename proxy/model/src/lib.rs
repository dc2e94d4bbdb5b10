//! The vocabulary and the decisions of the data plane: pure code, no socket, no clock, no lock.
//!
//! `control` turns the control plane's answers into these types; `data` carries out what they decide. Time
//! and chance are arguments.

#![forbid(unsafe_code)]

pub mod authorize;
pub mod backend;
pub mod backoff;
pub mod balance;
pub mod budget;
pub mod canonical;
pub mod condition;
pub mod deadline;
pub mod discovery;
pub mod drain;
pub mod endpoint;
pub mod filters;
pub mod identity;
pub mod inbound;
pub mod jwt;
pub mod lease;
pub mod limits;
pub mod matching;
pub mod metadata;
pub mod outbound;
pub mod pushback;
pub mod random;
pub mod ratelimit;
pub mod requirement;
pub mod retry;
pub mod route;
pub mod server_name;
pub mod session;
pub mod status;
pub mod story;
pub mod tap;
pub mod trace;
