//! The request path of the proxy: accepts, detects, authorises, picks and forwards.
//!
//! One current-thread worker; state is `Rc`, `Cell` and `RefCell`. Snapshots of policy come in through
//! [`hauberk_model::discovery::Discovery`]; a connection compares one version per request.

mod accept;
mod config;
mod copy;
mod origin;

pub use accept::{Listeners, bind};
pub use config::{Config, Limits, Origin};
