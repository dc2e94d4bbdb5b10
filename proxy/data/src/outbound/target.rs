//! An original destination: its policy as last heard, made ready for use.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;

use hauberk_model::discovery::Watched;
use hauberk_model::outbound::OutboundPolicy;
use hauberk_observe::Labels;
use hauberk_observe::families as f;
use hauberk_wire::detect::Detection;
use tokio::time::{Instant, timeout};

use super::backend::Backend;
use super::plan::Plan;
use crate::meters::{
    Direction, NoTls, PARENT, TlsState, Transport, object_labels, target_labels, tls_labels,
};
use crate::sniff::Sniffed;
use crate::worker::Worker;

/// Destinations kept although nobody connects to them. Each costs a watch; a scan over addresses must not grow it.
const IDLE_MAX: usize = 1_024;

/// Every destination that has been asked for, the least recently used leaving first.
#[derive(Default)]
pub(crate) struct Targets(RefCell<HashMap<SocketAddr, Rc<Target>>>);

/// One destination.
pub(crate) struct Target {
    pub(crate) addr: SocketAddr,
    watched: RefCell<Watched<OutboundPolicy>>,
    plan: RefCell<Option<Rc<Plan>>>,
    backends: RefCell<Vec<Rc<Backend>>>,
    pub(crate) client: Rc<Transport>,
    used: Cell<Instant>,
}

impl Targets {
    pub(crate) fn obtain(&self, worker: &Worker, addr: SocketAddr) -> Rc<Target> {
        let mut all = self.0.borrow_mut();
        if let Some(target) = all.get(&addr) {
            target.used.set(Instant::now());
            return Rc::clone(target);
        }
        if all.len() >= IDLE_MAX {
            // In use means that a connection holds it too; those stay whatever their number.
            let oldest = all
                .iter()
                .filter(|(_, target)| Rc::strong_count(target) == 1)
                .min_by_key(|(_, target)| target.used.get())
                .map(|(addr, _)| *addr);
            if let Some(oldest) = oldest {
                all.remove(&oldest);
            }
        }
        let labels = target_labels(Labels::new().with("direction", Direction::Outbound.label()), addr);
        let labels = tls_labels(labels, &TlsState::None(NoTls::Loopback), "client_id");
        let target = Rc::new(Target {
            addr,
            watched: RefCell::new(worker.discovery.outbound(addr)),
            plan: RefCell::default(),
            backends: RefCell::default(),
            client: Rc::new(Transport::new(&worker.registry, labels, "src")),
            used: Cell::new(Instant::now()),
        });
        all.insert(addr, Rc::clone(&target));
        target
    }
}

impl Target {
    pub(super) fn count_detected(&self, worker: &Worker, sniffed: &Sniffed) {
        let labels = self.of_parent(Labels::new().with("result", sniffed.label()));
        worker.registry.counter(&f::OUTBOUND_TCP_DETECT_HTTP_RESULTS_TOTAL, labels).inc();
        let protocol = match sniffed {
            Sniffed::Protocol(Detection::Http1) => "http/1",
            Sniffed::Protocol(Detection::Http2) => "http/2",
            Sniffed::Protocol(Detection::Tls(_)) => "tls",
            Sniffed::Protocol(_) | Sniffed::ServerFirst(_) | Sniffed::Silent => "opaque",
            Sniffed::Closed => "unknown",
        };
        self.count_protocol(worker, protocol);
    }

    /// What a connection of the application carries.
    pub(super) fn count_protocol(&self, worker: &Worker, protocol: &'static str) {
        let labels = self.of_parent(Labels::new().with("protocol", protocol));
        worker.registry.counter(&f::OUTBOUND_TCP_PROTOCOL_CONNECTIONS_TOTAL, labels).inc();
    }

    fn of_parent(&self, labels: Labels) -> Labels {
        match &*self.watched.borrow().borrow() {
            Some(policy) => object_labels(labels, PARENT, &policy.parent),
            None => labels,
        }
    }

    /// The plan by the latest policy; waits for the first one, within the discovery timeout.
    pub(crate) async fn first_plan(&self, worker: &Worker) -> Option<Rc<Plan>> {
        if let Some(plan) = self.plan(worker) {
            return Some(plan);
        }
        let mut watched = self.watched.borrow().clone();
        let known = async { watched.wait_for(Option::is_some).await.is_ok() };
        if timeout(worker.config.limits.discovery_timeout, known).await != Ok(true) {
            return None;
        }
        self.plan(worker)
    }

    /// The plan by the latest policy, if there has been one.
    pub(crate) fn plan(&self, worker: &Worker) -> Option<Rc<Plan>> {
        {
            let watched = self.watched.borrow();
            let plan = self.plan.borrow();
            if let Some(plan) = &*plan
                && !watched.has_changed().unwrap_or(false)
            {
                return Some(Rc::clone(plan));
            }
        }
        let policy = self.watched.borrow_mut().borrow_and_update().clone()?;
        let mut backends = self.backends.borrow_mut();
        let (plan, used) = Plan::new(worker, &policy, &backends);
        *backends = used;
        let plan = Rc::new(plan);
        *self.plan.borrow_mut() = Some(Rc::clone(&plan));
        Some(plan)
    }
}
