//! What a service takes at most (`hauberk.io/max-*`): connections and requests at once, held while they last.

use std::cell::Cell;
use std::rc::Rc;

use hauberk_model::outbound::Allowance;
use hauberk_observe::families as f;
use hauberk_observe::{Counter, Labels, Registry};
use tokio::sync::Notify;

/// The limits of one backend; each is absent where the service has none.
#[derive(Debug)]
pub(crate) struct ServiceLimits {
    connections: Option<ConnectionLimit>,
    requests: Option<RequestLimit>,
}

impl ServiceLimits {
    /// `labels`: `backend_*`.
    pub(super) fn new(allowance: &Allowance, registry: &Registry, labels: &Labels) -> Self {
        let reached = |limit: &'static str| {
            registry.counter(&f::HAUBERK_SERVICE_LIMIT_REACHED_TOTAL, labels.clone().with("limit", limit))
        };
        Self {
            connections: allowance.max_connections.map(|max| {
                ConnectionLimit(Rc::new(Connections {
                    open: Cell::new(0),
                    max,
                    reached: reached("connections"),
                }))
            }),
            requests: allowance.max_concurrent_requests.map(|max| RequestLimit {
                running: Cell::new(0),
                max,
                ended: Notify::new(),
                reached: reached("requests"),
            }),
        }
    }

    pub(super) fn connections(&self) -> Option<&ConnectionLimit> {
        self.connections.as_ref()
    }

    pub(super) fn requests(&self) -> Option<&RequestLimit> {
        self.requests.as_ref()
    }
}

/// A bound on open connections.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimit(Rc<Connections>);

#[derive(Debug)]
struct Connections {
    open: Cell<u32>,
    max: u32,
    reached: Counter,
}

impl ConnectionLimit {
    /// Room for one connection more, if there is any.
    pub(crate) fn take(&self) -> Option<HeldConnection> {
        if self.0.open.get() >= self.0.max {
            self.0.reached.inc();
            return None;
        }
        self.0.open.set(self.0.open.get() + 1);
        Some(HeldConnection(Rc::clone(&self.0)))
    }
}

/// A connection's place; dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct HeldConnection(Rc<Connections>);

impl Drop for HeldConnection {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
    }
}

/// A bound on requests at once.
#[derive(Debug)]
pub(super) struct RequestLimit {
    running: Cell<u32>,
    max: u32,
    ended: Notify,
    reached: Counter,
}

impl RequestLimit {
    pub(super) fn is_reached(&self) -> bool {
        self.running.get() >= self.max
    }

    pub(super) fn begin(&self) {
        self.running.set(self.running.get().saturating_add(1));
    }

    pub(super) fn end(&self) {
        self.running.set(self.running.get().saturating_sub(1));
        self.ended.notify_one();
    }

    /// Counts a request that was refused.
    pub(super) fn refused(&self) {
        self.reached.inc();
    }

    /// Waits until one request has ended.
    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }
}
