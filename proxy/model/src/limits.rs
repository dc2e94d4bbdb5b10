//! Rate limits as policy states them (`inbound.HttpLocalRateLimit`, `hauberk.proxy.v1.HttpRateLimit`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::identity::Identity;
use crate::metadata::Metadata;

/// Most distinct values of a header that are counted apart, whatever a policy asks for. About 60 bytes each.
pub const HEADER_VALUES_MAX: usize = 4_096;

/// How fast tokens come, and how many are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests per second; zero never limits, as Linkerd has it.
    pub per_second: u32,
    /// Most requests at once after a pause.
    pub burst: u32,
}

impl Rate {
    /// A rate whose burst is one second's worth.
    #[must_use]
    pub const fn even(per_second: u32) -> Self {
        Self { per_second, burst: per_second }
    }
}

/// One policy of a port. A request must pass all policies that speak of it.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimit {
    /// The policy it comes from.
    pub metadata: Metadata,
    /// The route whose requests it counts; `None`: every request of the port.
    pub route: Option<Metadata>,
    /// All clients together.
    pub total: Option<Total>,
    /// Each identity.
    pub per_identity: Option<Rate>,
    /// Named identities, instead of `per_identity`; those of one entry share it, as in Linkerd.
    pub overrides: Vec<(Vec<Identity>, Rate)>,
    /// Each value of a header.
    pub header: Option<HeaderRate>,
}

/// What binds all clients of a policy together.
#[derive(Clone, Debug, PartialEq)]
pub enum Total {
    /// Counted by this proxy alone.
    Own(Rate),
    /// The cluster's, of which this proxy has a share.
    Leased {
        /// Of the whole cluster.
        rate: Rate,
        /// What this proxy may use of it now.
        share: Arc<Share>,
    },
}

/// A limit for each value of one header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRate {
    /// Name in lower case.
    pub name: Arc<str>,
    /// Of each value; requests without the header count as one value.
    pub rate: Rate,
    /// Values counted apart; all others share one bucket. At most [`HEADER_VALUES_MAX`].
    pub values_max: usize,
}

/// This proxy's share of a cluster-wide limit: written by the control thread, read by the data thread.
#[derive(Debug)]
pub struct Share {
    key: Arc<str>,
    milli_per_second: AtomicU64,
    asked: AtomicU64,
}

impl Share {
    /// A share of the limit `key`, before a lease was heard of.
    #[must_use]
    pub fn new(key: Arc<str>, milli_per_second: u64) -> Self {
        Self { key, milli_per_second: AtomicU64::new(milli_per_second), asked: AtomicU64::new(0) }
    }

    /// The limit's name at the control plane.
    #[must_use]
    pub const fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// Thousandths of a request per second.
    #[must_use]
    pub fn milli_per_second(&self) -> u64 {
        self.milli_per_second.load(Ordering::Relaxed)
    }

    /// Takes over a lease.
    pub fn lease(&self, milli_per_second: u64) {
        self.milli_per_second.store(milli_per_second, Ordering::Relaxed);
    }

    /// Requests that asked for a token so far, whether they got one or not.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Counts a request that asks for a token.
    pub fn ask(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }
}

impl PartialEq for Share {
    /// There is one share of each key: another one is another counter.
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}
