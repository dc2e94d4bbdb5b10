//! A backend of one destination: its endpoints, how they are balanced, and how long a request may wait for one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hauberk_model::balance::{Balancer, EndpointKey, InFlight, Outcome, Settings, Wanted};
use hauberk_model::budget::Budget;
use hauberk_model::discovery::Watched;
use hauberk_model::endpoint::{Endpoint as Spec, EndpointSet};
use hauberk_model::outbound::{Backend as BackendSpec, BackendKind, FailureAccrual};
use hauberk_observe::families as f;
use hauberk_observe::families::balancer::BalancerFamilies;
use hauberk_observe::{Counter, Gauge, Labels};
use tokio::time::{sleep, timeout};

use super::affinity::SetVersion;
use super::endpoint::{Endpoint, endpoint_labels, plain};
use super::limit::{ConnectionLimit, ServiceLimits};
use crate::meters::{BACKEND, Http, object_labels};
use crate::recorder::Telling;
use crate::worker::Worker;

/// Latency assumed, and averaged over, where a backend is one endpoint and the policy says nothing.
const SINGLE_RTT: Duration = Duration::from_millis(30);
const SINGLE_DECAY: Duration = Duration::from_secs(10);
/// How often a request that waits for a ready endpoint looks again: ejections end without an event.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Endpoints and their state, as connections of one destination see them.
pub(crate) struct Backend {
    pub(crate) spec: Arc<BackendSpec>,
    accrual: Option<FailureAccrual>,
    authority: Option<Arc<str>>,
    set: RefCell<Option<Watched<EndpointSet>>>,
    balancer: RefCell<Balancer>,
    slots: RefCell<Slots>,
    pub(crate) budget: RefCell<Budget>,
    /// The last wait for a ready endpoint was in vain; until one is ready the next ones need not wait.
    failing: Cell<bool>,
    waiting: Cell<u32>,
    ejections: Ejections,
    endpoints: EndpointGauges,
    families: &'static BalancerFamilies,
    limits: ServiceLimits,
    set_version: SetVersion,
}

/// An endpoint among a backend's.
pub(crate) struct Slot {
    pub(crate) endpoint: Rc<Endpoint>,
    pub(crate) http: Http,
}

/// The endpoints that requests have gone to, by the index of their keys.
#[derive(Default)]
struct Slots(Vec<Option<(EndpointKey, Rc<Slot>)>>);

impl Slots {
    /// The place of a key; what is there may be another key's that had the same index.
    fn of(&mut self, key: EndpointKey) -> Option<&mut Option<(EndpointKey, Rc<Slot>)>> {
        let index = key.index();
        if self.0.len() <= index {
            self.0.resize_with(index + 1, Option::default);
        }
        self.0.get_mut(index)
    }
}

/// An endpoint chosen for a request.
pub(crate) struct Picked {
    pub(crate) key: EndpointKey,
    pub(crate) slot: Rc<Slot>,
}

/// There is no ready endpoint, and there was none while the request could wait.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoEndpoint {
    #[error("no endpoint is ready")]
    FailFast,
    #[error("too many requests wait for an endpoint")]
    Full,
    #[error("too many requests wait for the service")]
    Pending,
    #[error("the service has as many requests as it takes")]
    Busy,
}

impl Backend {
    pub(crate) fn new(
        worker: &Worker,
        spec: &Arc<BackendSpec>,
        accrual: Option<FailureAccrual>,
        authority: Option<Arc<str>>,
        families: &'static BalancerFamilies,
    ) -> Rc<Self> {
        let now = Instant::now();
        let (default_rtt, decay, penalty) = match &spec.kind {
            BackendKind::Balance { default_rtt, decay, penalty, .. } => (*default_rtt, *decay, *penalty),
            BackendKind::Forward(_) | BackendKind::OriginalDestination(_) => (SINGLE_RTT, SINGLE_DECAY, None),
        };
        let mut balancer = Balancer::new(Settings {
            default_rtt,
            decay,
            accrual: accrual.clone(),
            penalty,
            zones: spec.allowance.zones,
        });
        if let Some(hashing) = &spec.hashing {
            balancer.hash(hashing.load_percent);
        }
        let set = match &spec.kind {
            BackendKind::Balance { authority, .. } => Some(worker.discovery.endpoints(authority)),
            BackendKind::Forward(endpoint) => {
                balancer.update(&single(Arc::clone(endpoint)), now);
                None
            }
            BackendKind::OriginalDestination(addr) => {
                balancer.update(&single(Arc::new(plain(*addr))), now);
                None
            }
        };
        if let Some(set) = &set
            && let Some(first) = &*set.borrow()
        {
            balancer.update(first, now);
        }
        let labels = object_labels(Labels::new(), BACKEND, &spec.metadata);
        Rc::new(Self {
            limits: ServiceLimits::new(&spec.allowance, &worker.registry, &labels),
            ejections: Ejections::new(worker, spec),
            endpoints: EndpointGauges::new(worker, spec, families, &balancer),
            families,
            spec: Arc::clone(spec),
            accrual,
            authority,
            set: RefCell::new(set),
            balancer: RefCell::new(balancer),
            slots: RefCell::default(),
            budget: RefCell::new(Budget::new(spec.allowance.budget, now)),
            failing: Cell::new(false),
            set_version: SetVersion::default(),
            waiting: Cell::new(0),
        })
    }

    /// Whether a new policy may keep using this state.
    pub(crate) fn serves(
        &self,
        spec: &BackendSpec,
        accrual: Option<&FailureAccrual>,
        families: &'static BalancerFamilies,
    ) -> bool {
        std::ptr::eq(self.families, families) && *self.spec == *spec && self.accrual.as_ref() == accrual
    }

    /// Whether an endpoint is ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.refresh();
        self.balancer.borrow().ready() > 0
    }

    /// Grows with every change of the set of endpoints.
    pub(super) fn set_version(&self) -> u64 {
        self.refresh();
        self.set_version.get()
    }

    /// Whether discovery has said anything of the endpoints.
    pub(super) fn is_known(&self) -> bool {
        self.set.borrow().as_ref().is_none_or(|set| set.borrow().is_some())
    }

    /// Waits until it has, but no longer than a request waits for an endpoint.
    pub(super) async fn known(&self) {
        let known = async {
            while !self.is_known() {
                self.changed().await;
            }
        };
        // In vain, the request goes on without.
        let _ = timeout(self.spec.failfast_timeout, known).await;
    }

    /// Shows all endpoints of the set.
    pub(super) fn each_endpoint(&self, mut show: impl FnMut(EndpointKey, &Spec)) {
        for (key, spec) in self.balancer.borrow().endpoints() {
            show(key, spec);
        }
    }

    /// Whether an endpoint is ready.
    pub(super) fn takes(&self, key: EndpointKey) -> bool {
        self.balancer.borrow().is_ready(key)
    }

    /// An endpoint for a request now.
    pub(crate) fn pick(&self, worker: &Worker, wanted: Wanted<'_>, now: Instant) -> Option<Picked> {
        self.refresh();
        if self.is_busy() {
            return None;
        }
        let mut balancer = self.balancer.borrow_mut();
        let key = balancer.pick(now, &mut worker.random.borrow_mut(), wanted)?;
        self.failing.set(false);
        let spec = balancer.endpoint(key)?;
        let mut slots = self.slots.borrow_mut();
        let slot = match slots.of(key)? {
            Some((held, slot)) if *held == key && Arc::ptr_eq(&slot.endpoint.spec, spec) => Rc::clone(slot),
            place => {
                let slot = Rc::new(self.slot(worker, spec));
                *place = Some((key, Rc::clone(&slot)));
                slot
            }
        };
        Some(Picked { key, slot })
    }

    /// An endpoint, waiting for one if need be.
    ///
    /// # Errors
    /// [`NoEndpoint`] once the backend's fail-fast timeout has passed.
    pub(crate) async fn ready(&self, worker: &Worker, wanted: Wanted<'_>) -> Result<Picked, NoEndpoint> {
        if let Some(picked) = self.pick(worker, wanted, Instant::now()) {
            return Ok(picked);
        }
        if self.failing.get() && !self.is_busy() {
            return Err(NoEndpoint::FailFast);
        }
        if self.waiting.get() >= self.spec.queue_capacity {
            return Err(if self.refused_busy() { NoEndpoint::Pending } else { NoEndpoint::Full });
        }
        let _waiting = Waiting::new(&self.waiting, &self.endpoints);
        let found = async {
            loop {
                self.changed().await;
                if let Some(picked) = self.pick(worker, wanted, Instant::now()) {
                    return picked;
                }
            }
        };
        timeout(self.spec.failfast_timeout, found).await.map_err(|_| {
            if self.refused_busy() {
                return NoEndpoint::Busy;
            }
            self.failing.set(true);
            NoEndpoint::FailFast
        })
    }

    /// Whether the service has as many requests as it takes.
    fn is_busy(&self) -> bool {
        self.limits.requests().is_some_and(super::limit::RequestLimit::is_reached)
    }

    /// Whether a request is refused for that, and counts it.
    fn refused_busy(&self) -> bool {
        let reached = self.limits.requests().filter(|limit| limit.is_reached());
        if let Some(limit) = reached {
            limit.refused();
        }
        reached.is_some()
    }

    /// What bounds the service's connections.
    pub(super) fn connection_limit(&self) -> Option<&ConnectionLimit> {
        self.limits.connections()
    }

    /// How long an endpoint may take before the request is also sent elsewhere.
    pub(crate) fn patience(&self, key: EndpointKey, now: Instant) -> Duration {
        self.balancer.borrow().patience(key, now)
    }

    /// Tells of the endpoint that was picked, and of those that were not to be.
    pub(crate) fn tell(&self, story: &Telling<'_>, endpoint: &Arc<Spec>) {
        story.tries(endpoint);
        let (ready, pending) = self.endpoints.shown.get();
        if pending > 0 {
            let balancer = self.balancer.borrow();
            story.skips(balancer.skipped(Instant::now()), ready, ready + pending);
        }
    }

    /// Tells why there is no endpoint to pick.
    #[cold]
    pub(crate) fn tell_skipped(&self, story: &Telling<'_>) {
        let balancer = self.balancer.borrow();
        story.skips(balancer.skipped(Instant::now()), balancer.ready(), balancer.len());
    }

    fn finished(&self, worker: &Worker, request: InFlight, outcome: Outcome, now: Instant) {
        let mut balancer = self.balancer.borrow_mut();
        balancer.finished(request, outcome, now, &mut worker.random.borrow_mut());
        self.ejections.count(balancer.ejections());
        self.endpoints.show(&balancer);
    }

    async fn changed(&self) {
        let set = self.set.borrow().clone();
        let heard = async {
            match set {
                Some(mut set) => drop(set.changed().await),
                None => std::future::pending().await,
            }
        };
        let ended = async {
            match self.limits.requests() {
                Some(limit) => limit.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = heard => {}
            () = ended => {}
            () = sleep(LOOK_AGAIN) => {}
        }
    }

    /// Takes in what discovery has said since the last look.
    fn refresh(&self) {
        let mut watched = self.set.borrow_mut();
        let Some(watched) = watched.as_mut() else { return };
        if !watched.has_changed().unwrap_or(false) {
            return;
        }
        let set = watched.borrow_and_update().clone();
        let Some(set) = set else { return };
        let mut balancer = self.balancer.borrow_mut();
        balancer.update(&set, Instant::now());
        self.set_version.changed();
        self.endpoints.updates.inc();
        self.endpoints.show(&balancer);
        let mut slots = self.slots.borrow_mut();
        for place in &mut slots.0 {
            // The others are made anew when a request goes there.
            place.take_if(|(key, slot)| {
                !balancer.endpoint(*key).is_some_and(|spec| Arc::ptr_eq(spec, &slot.endpoint.spec))
            });
        }
    }

    fn slot(&self, worker: &Worker, spec: &Arc<Spec>) -> Slot {
        let endpoint = worker.endpoints.obtain(worker, spec);
        let labels = endpoint_labels(spec, &endpoint.tls_state)
            .with_some("authority", self.authority.as_ref().map(Arc::clone));
        Slot { http: Http::new(&worker.registry, labels), endpoint }
    }
}

/// What a request or connection weighs on its endpoint; without another word it counts as cancelled.
pub(crate) struct Load {
    worker: Rc<Worker>,
    backend: Rc<Backend>,
    in_flight: Option<InFlight>,
}

impl Load {
    pub(crate) fn new(worker: &Rc<Worker>, backend: &Rc<Backend>, key: EndpointKey, now: Instant) -> Self {
        if let Some(limit) = backend.limits.requests() {
            limit.begin();
        }
        let in_flight = Some(backend.balancer.borrow_mut().started(key, now));
        Self { worker: Rc::clone(worker), backend: Rc::clone(backend), in_flight }
    }

    /// The endpoint has begun to answer.
    pub(crate) fn answered(&mut self, now: Instant) {
        if let Some(in_flight) = &mut self.in_flight {
            self.backend.balancer.borrow_mut().answered(in_flight, now);
        }
    }

    /// The endpoint refused work, or says when it wants to be asked again.
    pub(super) fn pushed_back(&mut self, refused: bool, come_back: Option<Duration>) {
        let Some(in_flight) = &mut self.in_flight else { return };
        if refused {
            self.backend.balancer.borrow_mut().refused(in_flight.key(), come_back, Instant::now());
        }
        if let Some(come_back) = come_back {
            in_flight.hinted(come_back);
        }
    }

    /// It has ended so, now.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        self.end_at(outcome, Instant::now());
    }

    /// It has ended so.
    pub(crate) fn end_at(&mut self, outcome: Outcome, now: Instant) {
        if let Some(in_flight) = self.in_flight.take() {
            if let Some(limit) = self.backend.limits.requests() {
                limit.end();
            }
            self.backend.finished(&self.worker, in_flight, outcome, now);
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if self.in_flight.is_some() {
            self.end(Outcome::Cancelled);
        }
    }
}

/// Counts one waiting request.
struct Waiting<'a>(&'a Cell<u32>, &'a EndpointGauges);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a Cell<u32>, gauges: &'a EndpointGauges) -> Self {
        waiting.set(waiting.get() + 1);
        gauges.queued.inc();
        gauges.queue.inc();
        Self(waiting, gauges)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
        self.1.queue.dec();
    }
}

/// `hauberk_endpoint_ejections_total`, from the balancer's running totals.
struct Ejections {
    connection: Counter,
    timeout: Counter,
    consecutive_failures: Counter,
    success_rate: Counter,
    seen: Cell<hauberk_model::balance::Ejections>,
}

impl Ejections {
    fn new(worker: &Worker, spec: &BackendSpec) -> Self {
        let counter = |reason: &'static str| {
            let labels = object_labels(Labels::new(), BACKEND, &spec.metadata).with("reason", reason);
            worker.registry.counter(&f::HAUBERK_ENDPOINT_EJECTIONS_TOTAL, labels)
        };
        Self {
            connection: counter("connection"),
            timeout: counter("timeout"),
            consecutive_failures: counter("consecutive_failures"),
            success_rate: counter("success_rate"),
            seen: Cell::default(),
        }
    }

    fn count(&self, now: hauberk_model::balance::Ejections) {
        let seen = self.seen.replace(now);
        if seen == now {
            return;
        }
        self.connection.add(now.connection.saturating_sub(seen.connection));
        self.timeout.add(now.timeout.saturating_sub(seen.timeout));
        self.consecutive_failures.add(now.consecutive_failures.saturating_sub(seen.consecutive_failures));
        self.success_rate.add(now.success_rate.saturating_sub(seen.success_rate));
    }
}

/// What is told of the endpoints and of who waits for them.
struct EndpointGauges {
    ready: Gauge,
    pending: Gauge,
    all: Gauge,
    /// Requests that wait for one.
    queue: Gauge,
    queued: Counter,
    updates: Counter,
    shown: Cell<(usize, usize)>,
    /// Where zones are told apart.
    overflow: Option<Gauge>,
}

impl EndpointGauges {
    fn new(
        worker: &Worker,
        spec: &BackendSpec,
        families: &'static BalancerFamilies,
        balancer: &Balancer,
    ) -> Self {
        let gauge = |state: &'static str| {
            let labels = object_labels(Labels::new(), BACKEND, &spec.metadata).with("endpoint_state", state);
            worker.registry.gauge(&families.endpoints, labels)
        };
        let overflow = spec.allowance.zones.map(|_| {
            let labels = object_labels(Labels::new(), BACKEND, &spec.metadata);
            worker.registry.gauge(&f::HAUBERK_BALANCER_ZONE_OVERFLOW_PERCENT, labels)
        });
        let labels = || object_labels(Labels::new(), BACKEND, &spec.metadata);
        let gauges = Self {
            ready: gauge("ready"),
            pending: gauge("pending"),
            all: worker.registry.gauge(&families.p2c_endpoints, labels()),
            queue: worker.registry.gauge(&families.queue_length, labels()),
            queued: worker.registry.counter(&families.queue_requests, labels()),
            updates: worker.registry.counter(&families.p2c_updates, labels()),
            shown: Cell::new((0, 0)),
            overflow,
        };
        gauges.show(balancer);
        gauges
    }

    fn show(&self, balancer: &Balancer) {
        if let (Some(gauge), Some(share)) = (&self.overflow, balancer.overflow()) {
            gauge.set((share * 100.0).round() as i64);
        }
        let ready = balancer.ready();
        let pending = balancer.len().saturating_sub(ready);
        if self.shown.replace((ready, pending)) != (ready, pending) {
            self.ready.set(i64::try_from(ready).unwrap_or(i64::MAX));
            self.pending.set(i64::try_from(pending).unwrap_or(i64::MAX));
            self.all.set(i64::try_from(ready + pending).unwrap_or(i64::MAX));
        }
    }
}

fn single(endpoint: Arc<Spec>) -> EndpointSet {
    EndpointSet { exists: true, endpoints: Arc::from([endpoint]) }
}
