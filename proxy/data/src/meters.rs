//! Metric handles of the request path, resolved once per connection, route or endpoint and only counted per request.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use hauberk_model::identity::Identity;
use hauberk_model::metadata::Metadata;
use hauberk_model::status::{self, GrpcCode};
use hauberk_observe::families as f;
use hauberk_observe::{Counter, CounterFamily, Gauge, Histogram, HistogramFamily, Labels, Registry};
use hauberk_tls::Handshake;

/// Which way a connection goes, seen from the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Inbound,
    Outbound,
}

impl Direction {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// What TLS a connection has, as metrics tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TlsState {
    /// mTLS of the mesh with this peer; `None`: the client had no certificate.
    Mesh(Option<Identity>),
    /// No TLS of ours, and why.
    None(NoTls),
}

/// `no_tls_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoTls {
    Undiscovered,
    FromRemote,
    Loopback,
}

impl NoTls {
    fn label(self) -> &'static str {
        match self {
            Self::Undiscovered => "not_provided_by_service_discovery",
            Self::FromRemote => "no_tls_from_remote",
            Self::Loopback => "loopback",
        }
    }
}

/// `tls`, and `no_tls_reason` or the peer's identity under `peer_label`.
pub(crate) fn tls_labels(labels: Labels, tls: &TlsState, peer_label: &'static str) -> Labels {
    match tls {
        TlsState::Mesh(peer) => {
            labels.with("tls", "true").with_some(peer_label, peer.as_ref().map(Identity::shared))
        }
        TlsState::None(reason) => labels.with("tls", "no_identity").with("no_tls_reason", reason.label()),
    }
}

/// `target_addr`, `target_ip`, `target_port`.
pub(crate) fn target_labels(labels: Labels, target: SocketAddr) -> Labels {
    labels
        .with("target_addr", target.to_string())
        .with("target_ip", target.ip().to_string())
        .with("target_port", target.port().to_string())
}

/// Names of an object's labels.
#[derive(Clone, Copy)]
pub(crate) struct ObjectNames {
    group: &'static str,
    kind: &'static str,
    name: &'static str,
    namespace: Option<&'static str>,
    port: Option<&'static str>,
    section: Option<&'static str>,
}

macro_rules! object_names {
    ($prefix:literal, $namespace:expr, $port:expr, $section:expr) => {
        ObjectNames {
            group: concat!($prefix, "_group"),
            kind: concat!($prefix, "_kind"),
            name: concat!($prefix, "_name"),
            namespace: $namespace,
            port: $port,
            section: $section,
        }
    };
}

pub(crate) const SERVER: ObjectNames = object_names!("srv", None, Some("srv_port"), None);
pub(crate) const AUTHORIZATION: ObjectNames = object_names!("authz", None, None, None);
pub(crate) const ROUTE: ObjectNames = object_names!("route", Some("route_namespace"), None, None);
pub(crate) const PARENT: ObjectNames =
    object_names!("parent", Some("parent_namespace"), Some("parent_port"), Some("parent_section_name"));
pub(crate) const BACKEND: ObjectNames =
    object_names!("backend", Some("backend_namespace"), Some("backend_port"), Some("backend_section_name"));
pub(crate) const RATE_LIMIT: ObjectNames = object_names!("ratelimit", None, None, None);

/// The labels of an object's name.
pub(crate) fn object_labels(labels: Labels, names: ObjectNames, object: &Metadata) -> Labels {
    let mut labels = labels
        .with(names.group, object.group())
        .with(names.kind, object.kind())
        .with(names.name, object.name());
    if let Some(namespace) = names.namespace {
        labels = labels.with(namespace, object.namespace());
    }
    if let Some(port) = names.port {
        labels = labels.with_some(port, object.port().map(|port| port.to_string()));
    }
    match names.section {
        Some(section) => labels.with(section, object.section()),
        None => labels,
    }
}

/// Errors that are not of one request's route: by direction and protocol.
pub(crate) struct Errors {
    registry: Registry,
    counters: RefCell<Vec<((&'static str, &'static str), Counter)>>,
}

impl Errors {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self { registry: registry.clone(), counters: RefCell::default() }
    }

    pub(crate) fn inbound_tcp(&self, error: &'static str) {
        self.count(&f::INBOUND_TCP_ERRORS_TOTAL, error);
    }

    pub(crate) fn inbound_http(&self, error: &'static str) {
        self.count(&f::INBOUND_HTTP_ERRORS_TOTAL, error);
    }

    pub(crate) fn outbound_tcp(&self, error: &'static str) {
        self.count(&f::OUTBOUND_TCP_ERRORS_TOTAL, error);
    }

    pub(crate) fn outbound_http(&self, error: &'static str) {
        self.count(&f::OUTBOUND_HTTP_ERRORS_TOTAL, error);
    }

    fn count(&self, family: &'static CounterFamily, error: &'static str) {
        let make = || self.registry.counter(family, Labels::new().with("error", error));
        find_or_make(&self.counters, (family.name, error), make, Counter::inc);
    }
}

/// Connections of one kind: opened, closed, and their bytes.
#[derive(Debug)]
pub(crate) struct Transport {
    open_total: Counter,
    close_total: Counter,
    /// Of those that broke, by `errno`.
    broken: RefCell<Vec<(i32, Counter)>>,
    registry: Registry,
    labels: Labels,
    open: Gauge,
    read: Counter,
    written: Counter,
}

impl Transport {
    /// `labels` without `peer`.
    pub(crate) fn new(registry: &Registry, labels: Labels, peer: &'static str) -> Self {
        let labels = labels.with("peer", peer);
        Self {
            open_total: registry.counter(&f::TCP_OPEN_TOTAL, labels.clone()),
            close_total: registry.counter(&f::TCP_CLOSE_TOTAL, labels.clone()),
            open: registry.gauge(&f::TCP_OPEN_CONNECTIONS, labels.clone()),
            read: registry.counter(&f::TCP_READ_BYTES_TOTAL, labels.clone()),
            written: registry.counter(&f::TCP_WRITE_BYTES_TOTAL, labels.clone()),
            broken: RefCell::default(),
            registry: registry.clone(),
            labels,
        }
    }

    pub(crate) fn opened(&self) {
        self.open_total.inc();
        self.open.inc();
    }

    /// A connection has ended; `errno` broke it, unless it is 0.
    pub(crate) fn closed(&self, errno: i32) {
        self.open.dec();
        if errno == 0 {
            return self.close_total.inc();
        }
        let make = || {
            let labels = self.labels.clone().with("errno", errno_name(errno));
            self.registry.counter(&f::TCP_CLOSE_TOTAL, labels)
        };
        find_or_make(&self.broken, errno, make, Counter::inc);
    }

    pub(crate) fn read(&self, n: usize) {
        if n > 0 {
            self.read.add(n as u64);
        }
    }

    pub(crate) fn wrote(&self, n: usize) {
        if n > 0 {
            self.written.add(n as u64);
        }
    }
}

/// Names of what breaks connections (Linux); anything else is one series.
fn errno_name(errno: i32) -> &'static str {
    match errno {
        32 => "EPIPE",
        103 => "ECONNABORTED",
        104 => "ECONNRESET",
        110 => "ETIMEDOUT",
        111 => "ECONNREFUSED",
        112 => "EHOSTDOWN",
        113 => "EHOSTUNREACH",
        _ => "other",
    }
}

/// mTLS connections, counted by kind: sessions of one kind share their counters.
#[derive(Debug)]
pub(crate) struct TlsSessions {
    registry: Registry,
    kinds: RefCell<Vec<Rc<TlsKind>>>,
}

/// Kinds that are looked through; beyond, those without a session are forgotten. Peers of one workload are few.
const TLS_KINDS_MAX: usize = 64;

/// What the sessions of one kind have in common.
#[derive(Debug)]
struct TlsKind {
    direction: Direction,
    client: Option<Identity>,
    server: Option<Identity>,
    version: &'static str,
    suite: &'static str,
    group: &'static str,
    total: Counter,
    open: Gauge,
}

/// One open mTLS connection, counted while it lives.
#[derive(Debug)]
pub(crate) struct TlsSession(Rc<TlsKind>);

impl TlsSessions {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self { registry: registry.clone(), kinds: RefCell::default() }
    }

    /// Counts a session that has begun.
    pub(crate) fn open(
        &self,
        direction: Direction,
        ours: Option<&Identity>,
        peer: Option<&Identity>,
        handshake: &Handshake,
    ) -> TlsSession {
        let (client, server) = match direction {
            Direction::Inbound => (peer, ours),
            Direction::Outbound => (ours, peer),
        };
        let mut kinds = self.kinds.borrow_mut();
        let is_it = |kind: &&Rc<TlsKind>| {
            kind.direction == direction
                && (kind.client.as_ref(), kind.server.as_ref()) == (client, server)
                && (kind.version, kind.suite, kind.group)
                    == (handshake.version, handshake.suite, handshake.group)
        };
        let kind = match kinds.iter().find(is_it) {
            Some(kind) => Rc::clone(kind),
            None => {
                if kinds.len() >= TLS_KINDS_MAX {
                    kinds.retain(|kind| Rc::strong_count(kind) > 1);
                }
                let kind = Rc::new(TlsKind::new(&self.registry, direction, client, server, handshake));
                kinds.push(Rc::clone(&kind));
                kind
            }
        };
        kind.total.inc();
        kind.open.inc();
        TlsSession(kind)
    }
}

impl TlsKind {
    fn new(
        registry: &Registry,
        direction: Direction,
        client: Option<&Identity>,
        server: Option<&Identity>,
        handshake: &Handshake,
    ) -> Self {
        let labels = Labels::new()
            .with("direction", direction.label())
            .with_some("client_id", client.map(Identity::shared))
            .with_some("server_id", server.map(Identity::shared))
            .with("tls_version", handshake.version)
            .with("tls_cipher", handshake.suite)
            .with("tls_group", handshake.group);
        Self {
            direction,
            client: client.cloned(),
            server: server.cloned(),
            version: handshake.version,
            suite: handshake.suite,
            group: handshake.group,
            total: registry.counter(&f::HAUBERK_TLS_CONNECTIONS_TOTAL, labels.clone()),
            open: registry.gauge(&f::HAUBERK_TLS_OPEN_CONNECTIONS, labels),
        }
    }
}

impl Drop for TlsSession {
    fn drop(&mut self) {
        self.0.open.dec();
    }
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// HTTP status; 0 if there was no response.
    pub(crate) status: u16,
    /// gRPC status, if the response named one.
    pub(crate) grpc_status: Option<u16>,
    /// Whether the body came through whole.
    pub(crate) complete: bool,
}

impl Ended {
    /// Whether the server did what it was asked, as Linkerd classifies it.
    pub(crate) fn is_success(self) -> bool {
        self.complete
            && match self.grpc_status {
                Some(code) => !GrpcCode::from_number(code).is_failure(),
                // Status 0: no response came.
                None => self.status >= 100 && !status::is_failure(self.status),
            }
    }
}

/// The families that requests and responses are counted in.
#[derive(Debug)]
pub(crate) struct HttpFamilies {
    requests: &'static CounterFamily,
    responses: &'static CounterFamily,
    latencies: &'static HistogramFamily,
}

static PLAIN: HttpFamilies = HttpFamilies {
    requests: &f::REQUEST_TOTAL,
    responses: &f::RESPONSE_TOTAL,
    latencies: &f::RESPONSE_LATENCY_MS,
};

/// Of a ServiceProfile's route.
pub(crate) static PROFILE_ROUTE: HttpFamilies = HttpFamilies {
    requests: &f::ROUTE_REQUEST_TOTAL,
    responses: &f::ROUTE_RESPONSE_TOTAL,
    latencies: &f::ROUTE_RESPONSE_LATENCY_MS,
};

/// Of the attempts at a ServiceProfile's route.
pub(crate) static PROFILE_ACTUAL: HttpFamilies = HttpFamilies {
    requests: &f::ROUTE_ACTUAL_REQUEST_TOTAL,
    responses: &f::ROUTE_ACTUAL_RESPONSE_TOTAL,
    latencies: &f::ROUTE_ACTUAL_RESPONSE_LATENCY_MS,
};

/// `request_total`, `response_total` and `response_latency_ms` of one kind of request, or their like.
#[derive(Debug)]
pub(crate) struct Http {
    families: &'static HttpFamilies,
    registry: Registry,
    labels: Labels,
    requests: Counter,
    responses: RefCell<Vec<((Ended, bool), Counter)>>,
    latencies: RefCell<Vec<(u16, Histogram)>>,
}

/// Outcomes whose handles are kept. A server that invents more statuses pays for each of their requests, and the
/// registry bounds the series.
const OUTCOMES_MAX: usize = 64;

impl Http {
    pub(crate) fn new(registry: &Registry, labels: Labels) -> Self {
        Self::by(&PLAIN, registry, labels)
    }

    /// The same in other families.
    pub(crate) fn by(families: &'static HttpFamilies, registry: &Registry, labels: Labels) -> Self {
        Self {
            requests: registry.counter(families.requests, labels.clone()),
            families,
            registry: registry.clone(),
            labels,
            responses: RefCell::default(),
            latencies: RefCell::default(),
        }
    }

    pub(crate) fn requested(&self) {
        self.requests.inc();
    }

    /// Counts the end of a response whose head took `latency`.
    pub(crate) fn responded(&self, ended: Ended, latency: Duration) {
        self.responded_as(ended, ended.is_success(), latency);
    }

    /// The same where the route says what is a success.
    pub(crate) fn responded_as(&self, ended: Ended, success: bool, latency: Duration) {
        find_or_make(
            &self.responses,
            (ended, success),
            || {
                let labels = self.labels.clone().with("status_code", ended.status.to_string());
                let labels = labels
                    .with("classification", if success { "success" } else { "failure" })
                    .with_some("grpc_status", ended.grpc_status.map(|code| code.to_string()));
                self.registry.counter(self.families.responses, labels)
            },
            Counter::inc,
        );
        find_or_make(
            &self.latencies,
            ended.status,
            || {
                let labels = self.labels.clone().with("status_code", ended.status.to_string());
                self.registry.histogram(self.families.latencies, labels)
            },
            |histogram| histogram.observe(latency),
        );
    }
}

/// A few handles found by comparing, which beats hashing for the handful of outcomes that a server has.
pub(crate) fn find_or_make<K: PartialEq + Copy, H>(
    handles: &RefCell<Vec<(K, H)>>,
    key: K,
    make: impl FnOnce() -> H,
    act: impl FnOnce(&H),
) {
    let mut handles = handles.borrow_mut();
    if let Some((_, handle)) = handles.iter().find(|(have, _)| *have == key) {
        return act(handle);
    }
    let made = make();
    act(&made);
    if handles.len() < OUTCOMES_MAX {
        handles.push((key, made));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_response_succeeds_if_it_is_whole_and_neither_5xx_nor_a_grpc_failure() {
        let ended = |status, grpc_status, complete| Ended { status, grpc_status, complete }.is_success();
        assert!(ended(200, None, true));
        assert!(ended(404, None, true));
        assert!(ended(200, Some(0), true));
        assert!(ended(200, Some(5), true));
        assert!(!ended(500, None, true));
        assert!(!ended(200, Some(14), true));
        assert!(!ended(200, Some(7), true));
        assert!(!ended(200, None, false));
        assert!(!ended(0, None, true));
    }

    #[test]
    fn statuses_that_a_server_invents_are_counted_as_what_they_are_until_the_family_is_full() {
        let series_max = 100;
        let registry = Registry::new(hauberk_observe::Limits { series_max, ..Default::default() });
        let http = Http::new(&registry, Labels::new().with("server", "hostile"));
        for code in 0..1_000 {
            http.responded(Ended { status: 200, grpc_status: Some(code), complete: true }, Duration::ZERO);
        }
        let text = registry.render();
        let of = |part: &str| {
            text.lines().filter(|line| line.starts_with("response_total") && line.contains(part)).count()
        };
        assert_eq!(of("grpc_status=\"80\""), 1, "beyond the kept handles, with its own label");
        assert_eq!(of("response_total"), series_max + 1);
        let overflow = text.lines().find(|line| line.starts_with("response_total{overflow=\"true\"}"));
        assert_eq!(overflow.and_then(|line| line.rsplit(' ').next()), Some("900"));
        assert!(text.contains("hauberk_metrics_series_refused_total{family=\"response_total\"} 900"));
    }

    #[test]
    fn a_default_policy_is_labelled_by_kind_default() {
        let labels =
            object_labels(Labels::new(), SERVER, &Metadata::Default(Arc::from("all-unauthenticated")));
        assert_eq!(labels.value("srv_kind"), Some("default"));
        assert_eq!(labels.value("srv_name"), Some("all-unauthenticated"));
        assert_eq!(labels.value("srv_group"), Some(""));
    }
}
