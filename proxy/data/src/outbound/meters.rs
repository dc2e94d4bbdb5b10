//! Metrics of routes and their backends.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hauberk_model::metadata::Metadata;
use hauberk_observe::families::{self as f, frames};
use hauberk_observe::{Counter, CounterFamily, Histogram, HistogramFamily, Labels, Registry, Sizes};

use crate::meters::{BACKEND, Ended, find_or_make, object_labels};

/// Whose families are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Http,
    Grpc,
    /// Bytes have no requests: nothing is counted per route.
    Bytes,
}

struct Families {
    requests: &'static CounterFamily,
    backend_statuses: &'static CounterFamily,
    backend_duration: &'static HistogramFamily,
    response_frames: &'static HistogramFamily,
    request_frames: &'static HistogramFamily,
    statuses: &'static CounterFamily,
    duration: &'static HistogramFamily,
    retries: &'static CounterFamily,
    retry_successes: &'static CounterFamily,
    retry_limit: &'static CounterFamily,
    retry_overflow: &'static CounterFamily,
}

static HTTP: Families = Families {
    requests: &f::OUTBOUND_HTTP_ROUTE_BACKEND_REQUESTS_TOTAL,
    backend_statuses: &f::OUTBOUND_HTTP_ROUTE_BACKEND_RESPONSE_STATUSES_TOTAL,
    backend_duration: &f::OUTBOUND_HTTP_ROUTE_BACKEND_RESPONSE_DURATION_SECONDS,
    response_frames: &frames::OUTBOUND_HTTP_ROUTE_BACKEND_RESPONSE_FRAME_SIZE_BYTES,
    request_frames: &frames::OUTBOUND_HTTP_ROUTE_REQUEST_FRAME_SIZE_BYTES,
    statuses: &f::OUTBOUND_HTTP_ROUTE_REQUEST_STATUSES_TOTAL,
    duration: &f::OUTBOUND_HTTP_ROUTE_REQUEST_DURATION_SECONDS,
    retries: &f::OUTBOUND_HTTP_ROUTE_RETRY_REQUESTS_TOTAL,
    retry_successes: &f::OUTBOUND_HTTP_ROUTE_RETRY_SUCCESSES_TOTAL,
    retry_limit: &f::OUTBOUND_HTTP_ROUTE_RETRY_LIMIT_EXCEEDED_TOTAL,
    retry_overflow: &f::OUTBOUND_HTTP_ROUTE_RETRY_OVERFLOW_TOTAL,
};

static GRPC: Families = Families {
    requests: &f::OUTBOUND_GRPC_ROUTE_BACKEND_REQUESTS_TOTAL,
    backend_statuses: &f::OUTBOUND_GRPC_ROUTE_BACKEND_RESPONSE_STATUSES_TOTAL,
    backend_duration: &f::OUTBOUND_GRPC_ROUTE_BACKEND_RESPONSE_DURATION_SECONDS,
    response_frames: &frames::OUTBOUND_GRPC_ROUTE_BACKEND_RESPONSE_FRAME_SIZE_BYTES,
    request_frames: &frames::OUTBOUND_GRPC_ROUTE_REQUEST_FRAME_SIZE_BYTES,
    statuses: &f::OUTBOUND_GRPC_ROUTE_REQUEST_STATUSES_TOTAL,
    duration: &f::OUTBOUND_GRPC_ROUTE_REQUEST_DURATION_SECONDS,
    retries: &f::OUTBOUND_GRPC_ROUTE_RETRY_REQUESTS_TOTAL,
    retry_successes: &f::OUTBOUND_GRPC_ROUTE_RETRY_SUCCESSES_TOTAL,
    retry_limit: &f::OUTBOUND_GRPC_ROUTE_RETRY_LIMIT_EXCEEDED_TOTAL,
    retry_overflow: &f::OUTBOUND_GRPC_ROUTE_RETRY_OVERFLOW_TOTAL,
};

impl Kind {
    fn families(self) -> Option<&'static Families> {
        match self {
            Self::Http => Some(&HTTP),
            Self::Grpc => Some(&GRPC),
            Self::Bytes => None,
        }
    }
}

/// Requests of one route.
pub(crate) struct RouteMeters(Option<Route>);

struct Route {
    registry: Registry,
    labels: Labels,
    families: &'static Families,
    outcomes: Outcomes,
    /// By host, where that is asked for; bounded by `Hostnames`.
    by_host: RefCell<HashMap<Arc<str>, Outcomes>>,
    retries: Counter,
    retry_successes: Counter,
    retry_limit: Counter,
    retry_overflow: Counter,
    hedges: Counter,
    hedge_wins: Counter,
}

/// How requests ended.
struct Outcomes {
    labels: Labels,
    duration: Histogram,
    frames: Histogram,
    statuses: Statuses,
}

impl Outcomes {
    fn new(registry: &Registry, families: &Families, labels: Labels) -> Self {
        let duration = registry.histogram(families.duration, labels.clone());
        let frames = registry.histogram(families.request_frames, labels.clone());
        Self { labels, duration, frames, statuses: Statuses::default() }
    }

    fn ended(&self, route: &Route, ended: Ended, after: Duration, request: &Sizes) {
        self.duration.observe(after);
        self.frames.gather(request);
        let labels = || status_labels(&self.labels, ended);
        count(&self.statuses, ended, labels, &route.registry, route.families.statuses);
    }
}

type Statuses = RefCell<Vec<((u16, Option<u16>, bool), Counter)>>;

impl RouteMeters {
    /// `labels`: `parent_*` and `route_*`.
    pub(super) fn new(registry: &Registry, kind: Kind, labels: Labels) -> Self {
        Self(kind.families().map(|families| Route {
            outcomes: Outcomes::new(registry, families, labels.clone()),
            by_host: RefCell::default(),
            retries: registry.counter(families.retries, labels.clone()),
            retry_successes: registry.counter(families.retry_successes, labels.clone()),
            retry_limit: registry.counter(families.retry_limit, labels.clone()),
            retry_overflow: registry.counter(families.retry_overflow, labels.clone()),
            hedges: registry.counter(&f::HAUBERK_ROUTE_HEDGE_REQUESTS_TOTAL, labels.clone()),
            hedge_wins: registry.counter(&f::HAUBERK_ROUTE_HEDGE_WINS_TOTAL, labels.clone()),
            registry: registry.clone(),
            labels,
            families,
        }))
    }

    /// A request with such frames has ended, `after` its start.
    pub(crate) fn ended(&self, ended: Ended, after: Duration, request: &Sizes, hostname: Option<Arc<str>>) {
        let Some(route) = &self.0 else { return };
        let Some(hostname) = hostname else { return route.outcomes.ended(route, ended, after, request) };
        let mut by_host = route.by_host.borrow_mut();
        let labels = |hostname: &Arc<str>| route.labels.clone().with("hostname", Arc::clone(hostname));
        let make = |hostname: &Arc<str>| Outcomes::new(&route.registry, route.families, labels(hostname));
        by_host.entry(hostname).or_insert_with_key(make).ended(route, ended, after, request);
    }

    pub(crate) fn retried(&self) {
        self.with(|route| route.retries.inc());
    }

    pub(crate) fn retry_succeeded(&self) {
        self.with(|route| route.retry_successes.inc());
    }

    pub(crate) fn retry_limit_reached(&self) {
        self.with(|route| route.retry_limit.inc());
    }

    pub(crate) fn retry_budget_empty(&self) {
        self.with(|route| route.retry_overflow.inc());
    }

    /// An attempt begins beside one that is not answered. It is a retry in all that counts.
    pub(crate) fn hedged(&self) {
        self.with(|route| {
            route.retries.inc();
            route.hedges.inc();
        });
    }

    pub(crate) fn hedge_won(&self) {
        self.with(|route| route.hedge_wins.inc());
    }

    fn with(&self, act: impl FnOnce(&Route)) {
        if let Some(route) = &self.0 {
            act(route);
        }
    }
}

/// Requests of one route to one backend.
pub(crate) struct RouteBackendMeters(Option<RouteBackend>);

struct RouteBackend {
    registry: Registry,
    labels: Labels,
    families: &'static Families,
    requests: Counter,
    duration: Histogram,
    frames: Histogram,
    statuses: Statuses,
}

impl RouteBackendMeters {
    pub(super) fn new(registry: &Registry, kind: Kind, route: &Labels, backend: &Metadata) -> Self {
        Self(kind.families().map(|families| {
            let labels = object_labels(route.clone(), BACKEND, backend);
            RouteBackend {
                requests: registry.counter(families.requests, labels.clone()),
                duration: registry.histogram(families.backend_duration, labels.clone()),
                frames: registry.histogram(families.response_frames, labels.clone()),
                statuses: Statuses::default(),
                registry: registry.clone(),
                labels,
                families,
            }
        }))
    }

    /// For requests that are no route's own.
    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(crate) fn requested(&self) {
        if let Some(backend) = &self.0 {
            backend.requests.inc();
        }
    }

    /// A response had such frames.
    pub(crate) fn moved(&self, response: &Sizes) {
        if let Some(backend) = &self.0 {
            backend.frames.gather(response);
        }
    }

    /// A response has ended, `after` the request was sent.
    pub(crate) fn ended(&self, ended: Ended, after: Duration) {
        let Some(backend) = &self.0 else { return };
        backend.duration.observe(after);
        let labels = || status_labels(&backend.labels, ended);
        count(&backend.statuses, ended, labels, &backend.registry, backend.families.backend_statuses);
    }
}

fn count(
    statuses: &Statuses,
    ended: Ended,
    labels: impl FnOnce() -> Labels,
    registry: &Registry,
    family: &'static CounterFamily,
) {
    let key = (ended.status, ended.grpc_status, ended.complete);
    find_or_make(statuses, key, || registry.counter(family, labels()), Counter::inc);
}

fn status_labels(labels: &Labels, ended: Ended) -> Labels {
    let labels = labels.clone();
    let labels = match ended.grpc_status {
        Some(code) => labels.with("grpc_status", code.to_string()),
        None => labels.with("http_status", ended.status.to_string()),
    };
    labels.with("error", if ended.complete { "" } else { "reset" })
}
