//! Metrics of what one client is allowed and denied on one port.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hauberk_model::inbound::{Authorization, InboundPolicy};
use hauberk_model::metadata::Metadata;
use hauberk_model::ratelimit::{Limited, Refused};
use hauberk_model::requirement::Unmet;
use hauberk_model::story::Place;
use hauberk_observe::families::{self as f, frames};
use hauberk_observe::{Counter, CounterFamily, Histogram, Labels, Registry};
use tokio::time::Instant;

use super::ClientTls;
use crate::exchange::Moved;
use crate::meters::{
    AUTHORIZATION, Direction, Ended, Http, PARENT, RATE_LIMIT, ROUTE, SERVER, find_or_make, object_labels,
    target_labels, tls_labels,
};

/// Handles kept for one client. Authorities are the client's to choose: beyond this they are looked up anew, and the
/// registry bounds the series.
const ROUTES_MAX: usize = 256;

/// Handles of one client under one version of the policy.
pub(crate) struct ClientMeters {
    policy: Arc<InboundPolicy>,
    registry: Registry,
    /// `target_*`, `srv_*`, `tls`, `client_id`.
    labels: Labels,
    tcp_denied: Counter,
    tcp_terminated: Counter,
    routes: RefCell<HashMap<RouteKey, Rc<RouteMeters>>>,
    /// The handles asked for last: a client mostly asks for the same.
    last: RefCell<Option<(RouteKey, Rc<RouteMeters>)>>,
}

/// Index of the route and kind of the request, the address of the authorization's name, and the authority if it is shown.
type RouteKey = (usize, Option<usize>, Option<Arc<str>>);

/// Counters by HTTP status, gRPC status and completeness.
type Statuses = RefCell<Vec<((u16, Option<u16>, bool), Counter)>>;

/// What is told of bodies, and of the time after a request's end.
struct Bodies {
    request: Histogram,
    response: Histogram,
    after: Histogram,
}

impl Bodies {
    fn new(registry: &Registry, is_grpc: bool, labels: &Labels) -> Self {
        let (request, response, after) = if is_grpc {
            (
                &frames::INBOUND_GRPC_REQUEST_FRAME_SIZE_BYTES,
                &frames::INBOUND_GRPC_RESPONSE_FRAME_SIZE_BYTES,
                &frames::INBOUND_GRPC_RESPONSE_DURATION_SECONDS,
            )
        } else {
            (
                &frames::INBOUND_HTTP_REQUEST_FRAME_SIZE_BYTES,
                &frames::INBOUND_HTTP_RESPONSE_FRAME_SIZE_BYTES,
                &frames::INBOUND_HTTP_RESPONSE_DURATION_SECONDS,
            )
        };
        let histogram = |family| registry.histogram(family, labels.clone());
        Self { request: histogram(request), response: histogram(response), after: histogram(after) }
    }
}

/// Handles of one route, and of the authorization that admitted the client.
pub(crate) struct RouteMeters {
    pub(crate) http: Http,
    allowed: Counter,
    denied: Counter,
    requests: Counter,
    duration: Histogram,
    bodies: Bodies,
    registry: Registry,
    route_labels: Labels,
    is_grpc: bool,
    statuses: Statuses,
    /// `target_*`, `srv_*`, `tls`, `client_id`, `route_*`.
    subject: Labels,
    /// By the code of the reason and whether it was an audit.
    reasons: RefCell<Vec<((&'static str, bool), Counter)>>,
    pub(crate) place: Arc<Place>,
}

impl ClientMeters {
    pub(super) fn new(
        registry: &Registry,
        policy: &Arc<InboundPolicy>,
        tls: &ClientTls,
        target: SocketAddr,
    ) -> Self {
        let labels = object_labels(target_labels(Labels::new(), target), SERVER, &policy.server);
        let labels = tls_labels(labels, &tls.state(), "client_id");
        Self {
            policy: Arc::clone(policy),
            tcp_denied: registry.counter(&f::INBOUND_TCP_AUTHZ_DENY_TOTAL, labels.clone()),
            tcp_terminated: registry.counter(&f::INBOUND_TCP_AUTHZ_TERMINATE_TOTAL, labels.clone()),
            registry: registry.clone(),
            labels,
            routes: RefCell::default(),
            last: RefCell::default(),
        }
    }

    pub(super) fn is_of(&self, policy: &Arc<InboundPolicy>) -> bool {
        Arc::ptr_eq(&self.policy, policy)
    }

    pub(super) fn tcp_allowed(&self, by: &Authorization) {
        if by.is_audit {
            self.registry.counter(&f::HAUBERK_INBOUND_TCP_AUTHZ_AUDIT_TOTAL, self.labels.clone()).inc();
        }
        let labels = object_labels(self.labels.clone(), AUTHORIZATION, &by.metadata);
        self.registry.counter(&f::INBOUND_TCP_AUTHZ_ALLOW_TOTAL, labels).inc();
    }

    pub(super) fn tcp_denied(&self) {
        self.tcp_denied.inc();
    }

    pub(super) fn tcp_terminated(&self) {
        self.tcp_terminated.inc();
    }

    pub(super) fn route_not_found(&self) {
        self.registry.counter(&f::INBOUND_HTTP_ROUTE_NOT_FOUND_TOTAL, self.labels.clone()).inc();
    }

    pub(super) fn limited(&self, route: &Metadata, refused: &Refused) {
        let scope = match refused.limited {
            Limited::Total(_) => "total",
            Limited::Identity(_) => "identity",
            Limited::Override(_) => "override",
            Limited::Header(_) => "header",
            Limited::Cluster(_) => "cluster",
        };
        let labels = object_labels(object_labels(self.labels.clone(), ROUTE, route), RATE_LIMIT, &refused.by);
        self.registry.counter(&f::INBOUND_HTTP_LOCAL_RATELIMIT_TOTAL, labels.with("scope", scope)).inc();
    }

    /// Handles of the route with this index, for requests admitted `by`; `None`: by nobody.
    pub(super) fn route(
        &self,
        index: usize,
        route: &Metadata,
        is_grpc: bool,
        by: Option<&Metadata>,
        authority: Option<&str>,
    ) -> Rc<RouteMeters> {
        // The policy is held, so the address of one of its parts is an identity.
        let authority: Option<Arc<str>> = authority.map(Arc::from);
        let by_address = by.map(|by| std::ptr::from_ref(by).addr());
        let key = (index * 2 + usize::from(is_grpc), by_address, authority.clone());
        if let Some((_, meters)) = self.last.borrow().as_ref().filter(|(last, _)| *last == key) {
            return Rc::clone(meters);
        }
        let mut routes = self.routes.borrow_mut();
        let known = routes.get(&key).map(Rc::clone);
        let meters = known.unwrap_or_else(|| {
            let meters = Rc::new(self.make(route, is_grpc, by, authority));
            if routes.len() >= ROUTES_MAX {
                routes.clear();
            }
            routes.insert(key.clone(), Rc::clone(&meters));
            meters
        });
        *self.last.borrow_mut() = Some((key, Rc::clone(&meters)));
        meters
    }

    fn make(
        &self,
        route: &Metadata,
        is_grpc: bool,
        by: Option<&Metadata>,
        authority: Option<Arc<str>>,
    ) -> RouteMeters {
        let labels = object_labels(self.labels.clone(), ROUTE, route);
        let allowed = match by {
            Some(by) => object_labels(labels.clone(), AUTHORIZATION, by),
            None => labels.clone(),
        };
        let http = allowed.clone().with("direction", Direction::Inbound.label());
        let http = http.with_some("authority", authority);
        let policy = object_labels(Labels::new(), PARENT, &self.policy.server);
        let policy = object_labels(policy, ROUTE, route);
        let (requests, duration) = if is_grpc {
            (&f::INBOUND_GRPC_REQUESTS_TOTAL, &f::INBOUND_GRPC_REQUEST_DURATION_SECONDS)
        } else {
            (&f::INBOUND_HTTP_REQUESTS_TOTAL, &f::INBOUND_HTTP_REQUEST_DURATION_SECONDS)
        };
        RouteMeters {
            http: Http::new(&self.registry, http),
            allowed: self.registry.counter(&f::INBOUND_HTTP_AUTHZ_ALLOW_TOTAL, allowed),
            denied: self.registry.counter(&f::INBOUND_HTTP_AUTHZ_DENY_TOTAL, labels.clone()),
            subject: labels,
            reasons: RefCell::default(),
            requests: self.registry.counter(requests, policy.clone()),
            duration: self.registry.histogram(duration, policy.clone()),
            bodies: Bodies::new(&self.registry, is_grpc, &policy),
            registry: self.registry.clone(),
            route_labels: policy,
            is_grpc,
            statuses: RefCell::default(),
            place: Arc::new(Place { parent: self.policy.server.clone(), route: Some(route.clone()) }),
        }
    }
}

impl RouteMeters {
    pub(super) fn allowed(&self) {
        self.allowed.inc();
        self.http.requested();
        self.requests.inc();
    }

    /// An audit admits what nothing else does.
    pub(super) fn audited(&self, reason: Unmet) {
        self.count_reason(reason, true);
    }

    fn count_reason(&self, reason: Unmet, is_audit: bool) {
        let family: &'static CounterFamily = if is_audit {
            &f::HAUBERK_INBOUND_HTTP_AUTHZ_AUDIT_TOTAL
        } else {
            &f::HAUBERK_INBOUND_HTTP_AUTHZ_DENIALS_TOTAL
        };
        let counter = || self.registry.counter(family, self.subject.clone().with("reason", reason.code()));
        find_or_make(&self.reasons, (reason.code(), is_audit), counter, Counter::inc);
    }

    pub(super) fn denied(&self, reason: Unmet) {
        self.denied.inc();
        self.count_reason(reason, false);
        self.http.requested();
        self.requests.inc();
    }

    /// A response of the application was passed on, `total` after the request's `start`.
    pub(super) fn moved(&self, moved: &Moved, start: Instant, total: Duration) {
        self.bodies.request.gather(&moved.request);
        self.bodies.response.gather(&moved.response);
        let request = moved.sent.map_or(Duration::ZERO, |sent| sent.saturating_duration_since(start));
        self.bodies.after.observe(total.saturating_sub(request));
    }

    /// A response has ended: its head took `latency`, all of it `total`.
    pub(super) fn ended(&self, ended: Ended, latency: Duration, total: Duration) {
        self.http.responded(ended, latency);
        self.duration.observe(total);
        let family: &'static CounterFamily =
            if self.is_grpc { &f::INBOUND_GRPC_STATUSES_TOTAL } else { &f::INBOUND_HTTP_STATUSES_TOTAL };
        let labels = || {
            let labels = self.route_labels.clone().with("error", if ended.complete { "" } else { "reset" });
            match ended.grpc_status {
                Some(code) => labels.with("grpc_status", code.to_string()),
                None => labels.with("http_status", ended.status.to_string()),
            }
        };
        let key = (ended.status, ended.grpc_status, ended.complete);
        find_or_make(&self.statuses, key, || self.registry.counter(family, labels()), Counter::inc);
    }
}
