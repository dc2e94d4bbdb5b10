//! The policy of an outbound destination (`outbound.OutboundPolicy`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::balance::zones::ZoneBand;
use crate::budget::BudgetLimits;
use crate::endpoint::Endpoint;
use crate::metadata::Metadata;
use crate::route::{Filter, GrpcRoute, HostMatch, HttpRoute, Timeouts};
use crate::session::Session;

/// How connections to one original destination are handled.
#[derive(Clone, Debug)]
pub struct OutboundPolicy {
    /// Grows by one with each change of this target's policy.
    pub generation: u64,
    /// The Service, EgressNetwork or default that it belongs to.
    pub parent: Metadata,
    /// `svc.ns.svc.cluster.local:port` where known: the `authority`/`dst` of metrics.
    pub authority: Option<Arc<str>>,
    /// What to expect on the connection.
    pub protocol: OutboundProtocol,
}

/// `outbound.ProxyProtocol`.
#[derive(Clone, Debug)]
pub enum OutboundProtocol {
    /// Look at the first bytes; after `timeout` without any, treat as opaque.
    Detect {
        /// How long to wait for the first bytes.
        timeout: Duration,
        /// If it is HTTP/1.
        http1: HttpPolicy,
        /// If it is HTTP/2.
        http2: HttpPolicy,
        /// If it is neither.
        opaque: OpaquePolicy,
        /// If it is TLS of the application's own; `None`: that is `opaque`, too.
        tls: Option<TlsPolicy>,
    },
    /// HTTP/1 without detection.
    Http1(HttpPolicy),
    /// HTTP/2 without detection.
    Http2(HttpPolicy),
    /// gRPC: HTTP/2 whose calls are matched by service and method.
    Grpc(GrpcPolicy),
    /// Bytes.
    Opaque(OpaquePolicy),
    /// TLS of the application's own, routed by SNI.
    Tls(TlsPolicy),
}

/// Routes for HTTP.
#[derive(Clone, Debug)]
pub struct HttpPolicy {
    /// In order of precedence as given; [`crate::matching`] picks the best match.
    pub routes: Arc<[HttpRoute<Arc<RouteTarget>>]>,
    /// Circuit breaking; `None`: only passive ejection of refused and reset connections.
    pub failure_accrual: Option<FailureAccrual>,
}

/// Routes for gRPC.
#[derive(Clone, Debug)]
pub struct GrpcPolicy {
    /// As given.
    pub routes: Arc<[GrpcRoute<Arc<RouteTarget>>]>,
    /// As for HTTP.
    pub failure_accrual: Option<FailureAccrual>,
}

/// Routes for bytes: the first one counts.
#[derive(Clone, Debug)]
pub struct OpaquePolicy {
    /// As given.
    pub routes: Arc<[OpaqueRoute]>,
}

/// Routes for TLS, by SNI.
#[derive(Clone, Debug)]
pub struct TlsPolicy {
    /// As given.
    pub routes: Arc<[TlsRoute]>,
}

/// An opaque route.
#[derive(Clone, Debug)]
pub struct OpaqueRoute {
    /// The object it comes from.
    pub metadata: Metadata,
    /// Where it leads.
    pub target: Arc<RouteTarget>,
    /// Why connections are refused, if they are.
    pub refusal: Option<OpaqueRefusal>,
}

/// A TLS route.
#[derive(Clone, Debug)]
pub struct TlsRoute {
    /// The object it comes from.
    pub metadata: Metadata,
    /// Empty: every SNI.
    pub snis: Vec<HostMatch>,
    /// Where it leads.
    pub target: Arc<RouteTarget>,
    /// Why connections are refused, if they are.
    pub refusal: Option<OpaqueRefusal>,
}

/// `opaque_route.Invalid` and `Forbidden`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpaqueRefusal {
    /// The route is wrong, with the reason.
    Invalid(Arc<str>),
    /// Policy denies it.
    Forbidden,
}

/// Where a rule of a route sends requests.
#[derive(Clone, Debug, Default)]
pub struct RouteTarget {
    /// How a backend is chosen.
    pub distribution: Distribution,
    /// Limits of the route.
    pub timeouts: Timeouts,
    /// Retries asked for by the route.
    pub retry: Option<Retry>,
    /// Whether `l5d-retry-*` and `l5d-*timeout` request headers count.
    pub allow_l5d_request_headers: bool,
    /// Statuses that count as failures, both ends included; `None`: from 500.
    pub failures: Option<Arc<[(u16, u16)]>>,
    /// Attempts beside one that is not answered.
    pub hedge: Option<Hedge>,
    /// How requests of one session find the same endpoint.
    pub session: Option<Arc<Session>>,
}

impl RouteTarget {
    /// Whether a response with this status counts as failed.
    #[must_use]
    pub fn is_failure(&self, status: u16) -> bool {
        match &self.failures {
            None => crate::status::is_failure(status),
            Some(ranges) => ranges.iter().any(|(from, to)| (*from..=*to).contains(&status)),
        }
    }
}

/// Attempts beside one that is not answered; each is paid from the retry budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hedge {
    /// Silence after which the next attempt begins.
    pub after: Duration,
    /// Attempts beside the first.
    pub limit: u32,
    /// Whether requests are hedged whose methods are not idempotent.
    pub any_method: bool,
}

/// How one of several backends is chosen.
#[derive(Clone, Debug, Default)]
pub enum Distribution {
    /// No backend: 500 for HTTP, UNAVAILABLE for gRPC, close for bytes.
    #[default]
    Empty,
    /// The first with ready endpoints.
    FirstAvailable(Arc<[RouteBackend]>),
    /// At random by weight, for each request; a weight of zero is never chosen.
    RandomAvailable(Arc<[(RouteBackend, u32)]>),
}

/// A backend and the filters of its reference.
#[derive(Clone, Debug)]
pub struct RouteBackend {
    /// Shared between routes that name the same backend, so that its state is kept once.
    pub backend: Arc<Backend>,
    /// Applied after the rule's.
    pub filters: Vec<Filter>,
}

/// `outbound.Backend`.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// The object it comes from.
    pub metadata: Metadata,
    /// Where its endpoints come from.
    pub kind: BackendKind,
    /// How long a request may wait for a ready endpoint.
    pub failfast_timeout: Duration,
    /// Most requests that may wait.
    pub queue_capacity: u32,
    /// What it is spared.
    pub allowance: Allowance,
    /// By what requests go to the same endpoint; `None`: by load alone.
    pub hashing: Option<Arc<ConsistentHash>>,
}

/// Requests with the same key go to the same endpoint while it has no more than its share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistentHash {
    /// Where the key is; requests without one go by load alone.
    pub by: HashKey,
    /// Most requests in flight of one endpoint, in percent of the mean.
    pub load_percent: u32,
}

/// Where the key of a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// In a header, lower case.
    Header(Arc<str>),
    /// In a cookie.
    Cookie(Arc<str>),
    /// In a query parameter.
    Query(Arc<str>),
    /// It is the client's address.
    SourceIp,
}

/// What a service takes at most from this client, and how far its own zone is preferred.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Allowance {
    /// Retries and hedges.
    pub budget: BudgetLimits,
    /// Open connections; `None`: no limit.
    pub max_connections: Option<u32>,
    /// Attempts at once; `None`: no limit.
    pub max_concurrent_requests: Option<u32>,
    /// `None`: zones are all the same.
    pub zones: Option<ZoneBand>,
}

/// `outbound.PenaltyPeakEwma`: what a response that refuses work weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Penalty {
    /// The latency that stands for it.
    pub latency: Duration,
    /// Longest time for which `Retry-After` holds it up.
    pub max_retry_after: Duration,
    /// Time constant by which it fades afterwards.
    pub decay: Duration,
}

/// One endpoint or a balanced destination.
#[derive(Clone, Debug, PartialEq)]
pub enum BackendKind {
    /// A single endpoint.
    Forward(Arc<Endpoint>),
    /// The address that the client meant, in plaintext. Not on the wire: `control` makes it for unknown targets.
    OriginalDestination(SocketAddr),
    /// Endpoints from discovery, power of two choices by peak EWMA.
    Balance {
        /// The path for `Destination.Get`.
        authority: Arc<str>,
        /// Latency assumed of an endpoint without history.
        default_rtt: Duration,
        /// Time constant of the moving average.
        decay: Duration,
        /// Penalty for endpoints that refuse work; `None`: they weigh what their latency is.
        penalty: Option<Penalty>,
    },
}

/// `outbound.*.Retry`.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Tries after the first.
    pub max_retries: u32,
    /// Largest body that is kept for replay, bytes.
    pub max_request_bytes: u32,
    /// HTTP status ranges, both ends included.
    pub statuses: Vec<(u16, u16)>,
    /// gRPC codes.
    pub grpc_codes: Vec<u16>,
    /// Limit of each try.
    pub timeout: Option<Duration>,
    /// Pause between tries.
    pub backoff: Option<Backoff>,
}

/// `outbound.ExponentialBackoff`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// First pause.
    pub min: Duration,
    /// Longest pause.
    pub max: Duration,
    /// Share of the pause that may be added at random.
    pub jitter_ratio: f32,
    /// Whether `Retry-After` sets the first pause, within min and max.
    pub honour_retry_after: bool,
}

/// `outbound.FailureAccrual`.
#[derive(Clone, Debug, PartialEq)]
pub struct FailureAccrual {
    /// Failures in a row that trip the circuit; 0: this rule is off.
    pub max_consecutive_failures: u32,
    /// Success rate below which the circuit trips, 0 to 1; 0: this rule is off.
    pub success_rate_threshold: f64,
    /// Window of the success rate.
    pub decay: Duration,
    /// Requests before the success rate counts.
    pub min_requests: u32,
    /// How long an endpoint is out.
    pub backoff: Backoff,
    /// Endpoints that are never ejected.
    pub min_ready_endpoints: u32,
}
