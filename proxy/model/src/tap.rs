//! Taps: who may see requests as they pass, and which of them. Nothing here costs while nobody taps.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::endpoint::Labels;
use crate::inbound::Cidr;
use crate::metadata::Metadata;
use crate::story::{RequestId, Side};

/// Taps at once. Each copies what it sees; more are refused.
pub const TAPS_MAX: usize = 16;
/// Events of one tap that wait for its reader; more are dropped and counted.
pub const EVENTS_MAX: usize = 1_024;
/// Headers whose values nobody may see.
pub const REDACTED: [&str; 5] = ["authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"];

/// Which requests a tap shows (`tap.ObserveRequest.Match`).
#[derive(Clone, Debug, PartialEq)]
pub enum Match {
    /// All of these.
    All(Vec<Self>),
    /// Any of these.
    Any(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
    /// The client's socket.
    Source(Address),
    /// The server's.
    Destination(Address),
    /// `http` or `https`, as far as the proxy sees it.
    Scheme(Box<str>),
    /// The method.
    Method(Box<str>),
    /// `Host` or `:authority`.
    Authority(Text),
    /// The path, without the query.
    Path(Text),
    /// A label of the chosen endpoint, without `dst_`.
    DestinationLabel(Box<str>, Box<str>),
    /// A label of the route (`group`, `kind`, `namespace`, `name`).
    RouteLabel(Box<str>, Box<str>),
}

/// Part of an address.
#[derive(Clone, Debug, PartialEq)]
pub enum Address {
    /// The network it is in.
    Net(Cidr),
    /// The ports, both included.
    Ports(u16, u16),
}

/// How a text is compared.
#[derive(Clone, Debug, PartialEq)]
pub enum Text {
    /// The whole.
    Exact(Box<str>),
    /// The beginning.
    Prefix(Box<str>),
}

/// What a request is matched by.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The client's socket.
    pub source: SocketAddr,
    /// The server's, if one was chosen.
    pub destination: Option<SocketAddr>,
    /// Method.
    pub method: &'a str,
    /// `Host` or `:authority`.
    pub authority: &'a str,
    /// Path.
    pub path: &'a str,
    /// Labels of the endpoint.
    pub labels: &'a [(Arc<str>, Arc<str>)],
    /// The route.
    pub route: Option<&'a Metadata>,
}

impl Match {
    /// Whether a request is shown.
    #[must_use]
    pub fn admits(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::All(all) => all.iter().all(|one| one.admits(facts)),
            Self::Any(any) => any.iter().any(|one| one.admits(facts)),
            Self::Not(other) => !other.admits(facts),
            Self::Source(address) => address.holds(facts.source),
            Self::Destination(address) => facts.destination.is_some_and(|to| address.holds(to)),
            Self::Scheme(scheme) => &**scheme == "http",
            Self::Method(method) => facts.method == &**method,
            Self::Authority(text) => text.holds(facts.authority),
            Self::Path(text) => text.holds(facts.path),
            Self::DestinationLabel(key, value) => facts
                .labels
                .iter()
                .any(|(name, held)| name.strip_prefix("dst_").unwrap_or(name) == &**key && **held == **value),
            Self::RouteLabel(key, value) => facts.route.is_some_and(|route| {
                let held = match &**key {
                    "group" => route.group(),
                    "kind" => route.kind(),
                    "namespace" => route.namespace(),
                    "name" | "route" => route.name(),
                    _ => return false,
                };
                held == &**value
            }),
        }
    }
}

impl Address {
    fn holds(&self, address: SocketAddr) -> bool {
        match self {
            Self::Net(net) => net.contains(address.ip()),
            Self::Ports(min, max) => (*min..=*max).contains(&address.port()),
        }
    }
}

impl Text {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => text == &**exact,
            Self::Prefix(prefix) => text.starts_with(&**prefix),
        }
    }
}

/// Header names and values as they came, redacted.
pub type Headers = Vec<(String, Vec<u8>)>;

/// One thing that a tap shows.
#[derive(Clone, Debug)]
pub struct Event {
    /// Names the request.
    pub id: RequestId,
    /// Who saw it.
    pub side: Side,
    /// The client's socket.
    pub source: SocketAddr,
    /// The identity that the client proved; outbound, nothing.
    pub client_id: Option<Arc<str>>,
    /// The server's socket.
    pub destination: SocketAddr,
    /// The identity that the server must prove.
    pub server_id: Option<Arc<str>>,
    /// Labels of the endpoint.
    pub labels: Labels,
    /// The route.
    pub route: Option<Metadata>,
    /// What has happened.
    pub what: What,
}

/// A moment of a request.
#[derive(Clone, Debug)]
pub enum What {
    /// The head was read.
    Request {
        /// Method.
        method: String,
        /// `Host` or `:authority`.
        authority: String,
        /// Path and query.
        path: String,
        /// Empty unless asked for.
        headers: Headers,
    },
    /// The head of the response was read.
    Response {
        /// After the request.
        since_request: Duration,
        /// Status.
        status: u16,
        /// Empty unless asked for.
        headers: Headers,
    },
    /// It is over.
    End {
        /// After the request.
        since_request: Duration,
        /// After the head of the response, if there was one.
        since_response: Option<Duration>,
        /// Bytes of the body by `Content-Length`, if it said so.
        bytes: u64,
        /// gRPC status.
        grpc_status: Option<u16>,
        /// Whether it broke off.
        reset: bool,
    },
}

/// One who taps.
#[derive(Debug)]
pub struct Tap {
    /// What is shown.
    pub matches: Match,
    /// Whether headers are.
    pub headers: bool,
    left: AtomicU32,
    events: mpsc::Sender<Event>,
    dropped: AtomicU64,
}

impl Tap {
    /// Takes one of the requests that may be shown; false: there is none left.
    #[must_use]
    pub fn take(&self) -> bool {
        let next = |left: u32| left.checked_sub(1);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    /// Whether no further request is shown.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    /// Shows an event if the reader keeps up; the data thread waits for nobody.
    pub fn show(&self, event: Event) {
        if self.events.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Events that the reader did not get.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// All who tap. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Taps(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    open: AtomicUsize,
    taps: Mutex<Vec<Arc<Tap>>>,
}

/// A tap while its reader is there.
#[derive(Debug)]
pub struct Opened {
    /// What is shared with the data thread.
    pub tap: Arc<Tap>,
    taps: Taps,
}

impl Taps {
    /// Whether anybody taps: one load.
    #[must_use]
    pub fn any(&self) -> bool {
        self.0.open.load(Ordering::Relaxed) > 0
    }

    /// Those who tap now.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Tap>> {
        self.list().clone()
    }

    /// Opens a tap for `limit` requests; `None`: there are [`TAPS_MAX`].
    #[must_use]
    pub fn open(&self, matches: Match, headers: bool, limit: u32) -> Option<(Opened, mpsc::Receiver<Event>)> {
        let (events, seen) = mpsc::channel(EVENTS_MAX);
        let tap = Arc::new(Tap {
            matches,
            headers,
            left: AtomicU32::new(limit),
            events,
            dropped: AtomicU64::new(0),
        });
        let mut list = self.list();
        if list.len() >= TAPS_MAX {
            return None;
        }
        list.push(Arc::clone(&tap));
        self.0.open.store(list.len(), Ordering::Relaxed);
        Some((Opened { tap, taps: self.clone() }, seen))
    }

    /// Held for a few instructions by either thread; a list is valid between any two statements.
    fn list(&self) -> MutexGuard<'_, Vec<Arc<Tap>>> {
        self.0.taps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut list = self.taps.list();
        list.retain(|tap| !Arc::ptr_eq(tap, &self.tap));
        self.taps.0.open.store(list.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts<'static> {
        Facts {
            source: SocketAddr::from(([10, 0, 0, 1], 4_000)),
            destination: Some(SocketAddr::from(([10, 0, 0, 2], 80))),
            method: "GET",
            authority: "web.shop",
            path: "/orders/1",
            labels: &[],
            route: None,
        }
    }

    #[test]
    fn a_match_is_read_as_linkerd_reads_it() {
        let path = |text| Match::Path(Text::Prefix(Box::from(text)));
        let port = |min, max| Match::Destination(Address::Ports(min, max));
        for (one, admits) in [
            (Match::All(vec![]), true),
            (Match::Any(vec![]), false),
            (Match::All(vec![path("/orders"), port(80, 80)]), true),
            (Match::All(vec![path("/orders"), port(81, 90)]), false),
            (Match::Any(vec![path("/x"), port(1, 100)]), true),
            (Match::Not(Box::new(path("/orders"))), false),
            (Match::Method(Box::from("POST")), false),
            (Match::Authority(Text::Exact(Box::from("web.shop"))), true),
            (Match::DestinationLabel(Box::from("pod"), Box::from("web-0")), false),
            (Match::RouteLabel(Box::from("name"), Box::from("x")), false),
        ] {
            assert_eq!(one.admits(&facts()), admits, "{one:?}");
        }
        let labels: Labels = Arc::from([(Arc::from("dst_pod"), Arc::from("web-0"))]);
        let labelled = Facts { labels: &labels, ..facts() };
        assert!(Match::DestinationLabel(Box::from("pod"), Box::from("web-0")).admits(&labelled));
    }

    #[test]
    fn a_tap_ends_with_its_reader_or_its_limit() {
        let taps = Taps::default();
        assert!(!taps.any());
        let (opened, _seen) = taps.open(Match::All(vec![]), false, 2).expect("room");
        assert!(taps.any());
        assert_eq!([opened.tap.take(), opened.tap.take(), opened.tap.take()], [true, true, false]);
        assert!(opened.tap.is_spent());
        drop(opened);
        assert!(!taps.any());
        let many: Vec<_> = (0..TAPS_MAX).map(|_| taps.open(Match::All(vec![]), false, 1)).collect();
        assert!(many.iter().all(Option::is_some) && taps.open(Match::All(vec![]), false, 1).is_none());
    }
}
