//! The seam between the control thread, which learns, and the data threads, which read.
//!
//! Each answer is a whole value in a watch channel: the latest wins, and a reader compares one
//! version per request ([`watch::Receiver::has_changed`]) before it looks again. `None` means
//! "not known yet". A value once given is never taken back: when the control plane is gone the
//! last answer stays (fail static).

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;

use crate::endpoint::EndpointSet;
use crate::inbound::InboundPolicy;
use crate::outbound::OutboundPolicy;

/// A value that the control thread publishes.
pub type Watched<T> = watch::Receiver<Option<Arc<T>>>;

/// What data threads may ask. Asking starts a watch, or joins the one that runs; none of these wait.
///
/// A target that the control plane does not know is answered by a policy that forwards to the
/// original destination, so that every target gets an answer.
pub trait Discovery: Send + Sync {
    /// The policy of connections to an original destination.
    fn outbound(&self, target: SocketAddr) -> Watched<OutboundPolicy>;
    /// The endpoints of an authority (`web.shop.svc.cluster.local:8080`), as a policy's backend names it.
    fn endpoints(&self, authority: &str) -> Watched<EndpointSet>;
    /// The policy of a port of this workload.
    fn inbound(&self, port: u16) -> Watched<InboundPolicy>;
}
