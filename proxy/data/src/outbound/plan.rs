//! A policy made ready: backends resolved, handles of metrics made, so that a request only compares and counts.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hauberk_model::backend::choose;
use hauberk_model::canonical::judges_path;
use hauberk_model::matching::index::{GrpcIndex, HttpIndex};
use hauberk_model::metadata::Metadata;
use hauberk_model::outbound::{
    Backend as BackendSpec, Distribution, FailureAccrual, GrpcPolicy, HttpPolicy, OpaquePolicy,
    OpaqueRefusal, OpaqueRoute, OutboundPolicy, OutboundProtocol, RouteBackend, RouteTarget, TlsPolicy,
    TlsRoute,
};
use hauberk_model::route::{Filter, GrpcRoute, HttpRoute};
use hauberk_model::server_name::NameRefusal;
use hauberk_model::story::Place;
use hauberk_observe::families::balancer::{self, BalancerFamilies};
use hauberk_observe::{Labels, Sizes};

use super::affinity::Sessions;
use super::backend::Backend;
use super::byte_meters::{ByteKind, ByteMeters};
use super::egress::{self, Egress};
use super::meters::{Kind, RouteBackendMeters, RouteMeters};
use super::mirror::Mirror;
use super::profile_meters::ProfileMeters;
use crate::meters::Ended;
use crate::worker::Worker;

/// What to do with connections to one destination.
pub(crate) struct Plan {
    pub(crate) protocol: Protocol,
    /// What requests that leave the mesh are held to; `None` within it.
    pub(super) egress: Option<Egress>,
}

/// [`OutboundProtocol`], ready.
pub(crate) enum Protocol {
    Detect {
        timeout: Duration,
        http1: HttpPlan,
        http2: HttpPlan,
        opaque: BytesPlan,
        tls: Option<Box<TlsPlan>>,
    },
    Http1(HttpPlan),
    Http2(HttpPlan),
    Grpc(GrpcPlan),
    Opaque(BytesPlan),
    Tls(TlsPlan),
}

/// Routes of HTTP.
#[derive(Clone)]
pub(crate) struct HttpPlan {
    pub(crate) routes: Arc<[HttpRoute<Arc<RouteTarget>>]>,
    pub(crate) index: Rc<HttpIndex>,
    pub(crate) judges_path: bool,
    pub(crate) rules: Rc<[Vec<Rc<Rule>>]>,
}

/// Routes of gRPC.
#[derive(Clone)]
pub(crate) struct GrpcPlan {
    pub(crate) routes: Arc<[GrpcRoute<Arc<RouteTarget>>]>,
    pub(crate) index: Rc<GrpcIndex>,
    pub(crate) rules: Rc<[Vec<Rc<Rule>>]>,
}

/// The route of bytes.
pub(crate) struct BytesPlan {
    pub(crate) rule: Result<Rc<Rule>, Refused>,
    pub(super) meters: Rc<ByteMeters>,
}

/// Routes of TLS, by server name.
pub(crate) struct TlsPlan {
    pub(crate) routes: Arc<[TlsRoute]>,
    pub(super) rules: Vec<BytesPlan>,
    /// Of connections that no route takes.
    pub(super) unrouted: Rc<ByteMeters>,
}

/// Why bytes are not forwarded.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("policy has no route")]
    NoRoute,
    #[error("the route is invalid: {0}")]
    Invalid(Arc<str>),
    #[error("policy forbids the connection")]
    Forbidden,
    #[error(transparent)]
    Name(#[from] NameRefusal),
}

/// One rule of one route.
pub(crate) struct Rule {
    /// Whether it stands for what no route of an EgressNetwork takes.
    pub(super) is_egress_default: bool,
    pub(crate) target: Arc<RouteTarget>,
    pub(crate) backends: Vec<RuleBackend>,
    pub(crate) mirrors: Vec<Rc<Mirror>>,
    pub(super) sessions: Option<Sessions>,
    pub(crate) meters: RouteMeters,
    pub(crate) profile: Option<ProfileMeters>,
    pub(crate) place: Arc<Place>,
}

/// One backend of one rule, in the order of its distribution.
pub(crate) struct RuleBackend {
    pub(crate) backend: Rc<Backend>,
    pub(crate) reference: RouteBackend,
    /// Of requests that this backend gets.
    pub(crate) mirrors: Vec<Rc<Mirror>>,
    pub(crate) meters: RouteBackendMeters,
}

impl Plan {
    /// Resolves `policy`, going on with the state of those of `held` that it still names. Returns what it uses.
    pub(super) fn new(
        worker: &Worker,
        policy: &OutboundPolicy,
        held: &[Rc<Backend>],
    ) -> (Self, Vec<Rc<Backend>>) {
        let families = match &policy.protocol {
            OutboundProtocol::Opaque(_) => &balancer::OUTBOUND_TCP,
            OutboundProtocol::Tls(_) => &balancer::OUTBOUND_TLS,
            OutboundProtocol::Detect { .. }
            | OutboundProtocol::Http1(_)
            | OutboundProtocol::Http2(_)
            | OutboundProtocol::Grpc(_) => &balancer::OUTBOUND_HTTP,
        };
        let resolver = Resolver { worker, policy, held, families, used: RefCell::default() };
        let protocol = match &policy.protocol {
            OutboundProtocol::Detect { timeout, http1, http2, opaque, tls } => Protocol::Detect {
                timeout: *timeout,
                http1: resolver.http(http1),
                http2: resolver.http(http2),
                opaque: resolver.bytes(opaque),
                tls: tls.as_ref().map(|tls| Box::new(resolver.tls(tls))),
            },
            OutboundProtocol::Http1(http) => Protocol::Http1(resolver.http(http)),
            OutboundProtocol::Http2(http) => Protocol::Http2(resolver.http(http)),
            OutboundProtocol::Grpc(grpc) => Protocol::Grpc(resolver.grpc(grpc)),
            OutboundProtocol::Opaque(opaque) => Protocol::Opaque(resolver.bytes(opaque)),
            OutboundProtocol::Tls(tls) => Protocol::Tls(resolver.tls(tls)),
        };
        let used = resolver.used.into_inner();
        (Self { protocol, egress: Egress::of(policy) }, used)
    }
}

struct Resolver<'a> {
    worker: &'a Worker,
    policy: &'a OutboundPolicy,
    held: &'a [Rc<Backend>],
    /// In which the balancers are shown: one of a destination whose protocol is detected serves all of them.
    families: &'static BalancerFamilies,
    used: RefCell<Vec<Rc<Backend>>>,
}

impl Resolver<'_> {
    fn http(&self, http: &HttpPolicy) -> HttpPlan {
        let accrual = http.failure_accrual.as_ref();
        let rules = http.routes.iter().map(|route| {
            let rules = route.rules.iter();
            rules
                .map(|rule| self.rule((Kind::Http, &rule.filters), &rule.then, &route.metadata, accrual))
                .collect()
        });
        HttpPlan {
            judges_path: judges_path(&http.routes),
            rules: rules.collect(),
            index: Rc::new(HttpIndex::of(&http.routes)),
            routes: Arc::clone(&http.routes),
        }
    }

    fn grpc(&self, grpc: &GrpcPolicy) -> GrpcPlan {
        let accrual = grpc.failure_accrual.as_ref();
        let rules = grpc.routes.iter().map(|route| {
            let rules = route.rules.iter();
            rules
                .map(|rule| self.rule((Kind::Grpc, &rule.filters), &rule.then, &route.metadata, accrual))
                .collect()
        });
        GrpcPlan {
            rules: rules.collect(),
            index: Rc::new(GrpcIndex::of(&grpc.routes)),
            routes: Arc::clone(&grpc.routes),
        }
    }

    fn bytes(&self, opaque: &OpaquePolicy) -> BytesPlan {
        let none = Metadata::Default("none".into());
        let route = opaque.routes.first();
        let rule = match route {
            None => Err(Refused::NoRoute),
            Some(OpaqueRoute { refusal: Some(refusal), .. }) => Err(Refused::from(refusal)),
            Some(route) => Ok(self.rule((Kind::Bytes, &[]), &route.target, &route.metadata, None)),
        };
        let meters = self.byte_meters(ByteKind::Tcp, route.map_or(&none, |route| &route.metadata));
        BytesPlan { rule, meters }
    }

    fn tls(&self, tls: &TlsPolicy) -> TlsPlan {
        let rules = tls.routes.iter().map(|route| BytesPlan {
            rule: match &route.refusal {
                Some(refusal) => Err(Refused::from(refusal)),
                None => Ok(self.rule((Kind::Bytes, &[]), &route.target, &route.metadata, None)),
            },
            meters: self.byte_meters(ByteKind::Tls, &route.metadata),
        });
        TlsPlan {
            rules: rules.collect(),
            routes: Arc::clone(&tls.routes),
            unrouted: self.byte_meters(ByteKind::Tls, &Metadata::Default("none".into())),
        }
    }

    fn byte_meters(&self, kind: ByteKind, route: &Metadata) -> Rc<ByteMeters> {
        Rc::new(ByteMeters::new(&self.worker.registry, kind, self.labels(route)))
    }

    /// `parent_*` and `route_*`.
    fn labels(&self, route: &Metadata) -> Labels {
        let labels = crate::meters::object_labels(Labels::new(), crate::meters::PARENT, &self.policy.parent);
        crate::meters::object_labels(labels, crate::meters::ROUTE, route)
    }

    fn rule(
        &self,
        (kind, filters): (Kind, &[Filter]),
        target: &Arc<RouteTarget>,
        route: &Metadata,
        accrual: Option<&FailureAccrual>,
    ) -> Rc<Rule> {
        let labels = self.labels(route);
        let references: Vec<&RouteBackend> = match &target.distribution {
            Distribution::Empty => Vec::new(),
            Distribution::FirstAvailable(backends) => backends.iter().collect(),
            Distribution::RandomAvailable(backends) => backends.iter().map(|(backend, _)| backend).collect(),
        };
        let backends = references.into_iter().map(|reference| RuleBackend {
            backend: self.backend(&reference.backend, accrual),
            reference: reference.clone(),
            mirrors: self.mirrors(&reference.filters, accrual, &labels),
            meters: RouteBackendMeters::new(
                &self.worker.registry,
                kind,
                &labels,
                &reference.backend.metadata,
            ),
        });
        Rc::new(Rule {
            is_egress_default: egress::is_default(&self.policy.parent, route),
            target: Arc::clone(target),
            backends: backends.collect(),
            mirrors: self.mirrors(filters, accrual, &labels),
            sessions: target
                .session
                .as_ref()
                .map(|session| Sessions::new(session, &self.worker.registry, &labels)),
            meters: RouteMeters::new(&self.worker.registry, kind, labels),
            profile: ProfileMeters::of(&self.worker.registry, route, self.policy.authority.as_ref()),
            place: Arc::new(Place { parent: self.policy.parent.clone(), route: Some(route.clone()) }),
        })
    }

    fn mirrors(
        &self,
        filters: &[Filter],
        accrual: Option<&FailureAccrual>,
        labels: &Labels,
    ) -> Vec<Rc<Mirror>> {
        let resolve = |filter: &Filter| {
            let Filter::Mirror(mirror) = filter else { return None };
            let to = RuleBackend {
                backend: self.backend(&mirror.backend, accrual),
                reference: RouteBackend { backend: Arc::clone(&mirror.backend), filters: Vec::new() },
                mirrors: Vec::new(),
                meters: RouteBackendMeters::none(),
            };
            Some(Mirror::new(self.worker, to, mirror.ratio, labels))
        };
        filters.iter().filter_map(resolve).collect()
    }

    fn backend(&self, spec: &Arc<BackendSpec>, accrual: Option<&FailureAccrual>) -> Rc<Backend> {
        let mut used = self.used.borrow_mut();
        let mut held = used.iter().chain(self.held);
        let known = held.find(|backend| backend.serves(spec, accrual, self.families)).map(Rc::clone);
        let backend = known.unwrap_or_else(|| {
            let authority = self.policy.authority.clone();
            Backend::new(self.worker, spec, accrual.cloned(), authority, self.families)
        });
        if !used.iter().any(|have| Rc::ptr_eq(have, &backend)) {
            used.push(Rc::clone(&backend));
        }
        backend
    }
}

impl Rule {
    /// Counts the end of a request, `after` its start; a failed or broken one is none that succeeded.
    pub(crate) fn ended(
        &self,
        ended: Ended,
        success: bool,
        after: Duration,
        request: &Sizes,
        hostname: Option<Arc<str>>,
    ) {
        if let Some(profile) = &self.profile {
            profile.ended(ended, success && ended.complete, after);
        }
        self.meters.ended(ended, after, request, hostname);
    }

    /// The backend for one request, by weight among those that have a ready endpoint.
    pub(crate) fn choose(&self, worker: &Worker) -> Option<&RuleBackend> {
        if let ([only], Distribution::FirstAvailable(_)) =
            (self.backends.as_slice(), &self.target.distribution)
        {
            return Some(only);
        }
        let is_ready = |spec: &BackendSpec| {
            let found = self.backends.iter().find(|one| std::ptr::eq(&*one.reference.backend, spec));
            found.is_some_and(|one| one.backend.is_ready())
        };
        let (index, _) = choose(&self.target.distribution, &mut worker.random.borrow_mut(), is_ready)?;
        self.backends.get(index)
    }
}

impl Refused {
    /// What a backend's filter refuses.
    pub(super) fn by_filter(filter: &Filter) -> Self {
        if let Filter::Unknown(reason) = filter {
            return Self::Invalid(Arc::clone(reason));
        }
        Self::Invalid("a filter of a backend cannot be applied to bytes".into())
    }
}

impl From<&OpaqueRefusal> for Refused {
    fn from(refusal: &OpaqueRefusal) -> Self {
        match refusal {
            OpaqueRefusal::Invalid(reason) => Self::Invalid(Arc::clone(reason)),
            OpaqueRefusal::Forbidden => Self::Forbidden,
        }
    }
}
