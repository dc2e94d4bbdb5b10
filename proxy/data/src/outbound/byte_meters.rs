//! Metrics of routes for bytes and for TLS: connections opened and ended, by route, host name and error.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use hauberk_observe::families as f;
use hauberk_observe::{Counter, CounterFamily, Labels, Registry};

/// Whose families are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteKind {
    Tcp,
    Tls,
}

/// Connections of one route. Its series come into being with the first connection.
pub(crate) struct ByteMeters {
    registry: Registry,
    labels: Labels,
    open: &'static CounterFamily,
    close: &'static CounterFamily,
    counters: RefCell<HashMap<Key, Counter>>,
}

/// A host name, and how the connection ended; `None`: it began.
type Key = (Option<Arc<str>>, Option<&'static str>);

impl ByteMeters {
    /// `labels`: `parent_*` and `route_*`.
    pub(super) fn new(registry: &Registry, kind: ByteKind, labels: Labels) -> Self {
        let (open, close) = match kind {
            ByteKind::Tcp => (&f::OUTBOUND_TCP_ROUTE_OPEN_TOTAL, &f::OUTBOUND_TCP_ROUTE_CLOSE_TOTAL),
            ByteKind::Tls => (&f::OUTBOUND_TLS_ROUTE_OPEN_TOTAL, &f::OUTBOUND_TLS_ROUTE_CLOSE_TOTAL),
        };
        Self { registry: registry.clone(), labels, open, close, counters: RefCell::default() }
    }

    /// Counts a connection, and its end when the answer is dropped.
    pub(super) fn opened(self: &Rc<Self>, hostname: Option<Arc<str>>) -> Opened {
        self.count((hostname.clone(), None));
        Opened { meters: Rc::clone(self), hostname, error: "cancelled" }
    }

    fn count(&self, key: Key) {
        let mut counters = self.counters.borrow_mut();
        let make = |(hostname, end): &Key| {
            let labels = self.labels.clone().with_some("hostname", hostname.clone());
            match end {
                None => self.registry.counter(self.open, labels),
                Some(error) => self.registry.counter(self.close, labels.with("error", *error)),
            }
        };
        match counters.get(&key) {
            Some(counter) => counter.inc(),
            None => {
                let counter = make(&key);
                counter.inc();
                counters.insert(key, counter);
            }
        }
    }
}

/// A connection that is counted as open.
pub(super) struct Opened {
    meters: Rc<ByteMeters>,
    hostname: Option<Arc<str>>,
    error: &'static str,
}

impl Opened {
    /// It has ended so; no text: well.
    pub(super) fn ended(mut self, error: &'static str) {
        self.error = error;
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.meters.count((self.hostname.take(), Some(self.error)));
    }
}
