//! A port of the application: its policy as last heard, and the handles of its metrics.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use hauberk_model::authorize::{has_http_policy, has_requirements};
use hauberk_model::canonical::judges_path;
use hauberk_model::discovery::Watched;
use hauberk_model::identity::Identity;
use hauberk_model::inbound::{InboundPolicy, InboundProtocol, RouteAuthorizations};
use hauberk_model::matching::index::{GrpcIndex, HttpIndex};
use hauberk_model::metadata::Metadata;
use hauberk_model::ratelimit::RateLimiter;
use hauberk_model::route::{HttpRoute, HttpRule};
use hauberk_observe::Labels;
use hauberk_observe::families as f;
use hauberk_wire::transport_header::{SessionProtocol, TransportHeader};
use tokio::time::timeout;

use super::audit::SeldomLog;
use super::meters::ClientMeters;
use super::requirements::Checks;
use super::{ClientTls, InboundError};
use crate::meters::{Direction, SERVER, Transport, object_labels, target_labels, tls_labels};
use crate::outbound::endpoint::Endpoint;
use crate::sniff::Sniffed;
use crate::worker::Worker;

/// Clients whose handles are kept for one port; more share nothing and pay for their own.
const CLIENTS_MAX: usize = 1_024;
/// Ports kept. The application listens on a few; a scan over all of them must not grow us.
const PORTS_MAX: usize = 256;

/// Every port that has been asked for.
#[derive(Default)]
pub(crate) struct Ports(RefCell<HashMap<u16, Rc<Port>>>);

/// One port.
pub(crate) struct Port {
    pub(crate) number: u16,
    watched: RefCell<Watched<InboundPolicy>>,
    plan: RefCell<Option<Rc<Plan>>>,
    clients: RefCell<HashMap<ClientKey, Rc<Client>>>,
    apps: RefCell<Vec<Rc<Endpoint>>>,
    pub(super) audits: SeldomLog,
}

/// Identity, whether there was no mTLS at all, and the address that was meant.
type ClientKey = (Option<Identity>, bool, SocketAddr);

/// Handles that depend on who the client is.
struct Client {
    transport: Rc<Transport>,
    meters: RefCell<Option<Rc<ClientMeters>>>,
}

/// The policy of a port, ready.
pub(crate) struct Plan {
    pub(crate) policy: Arc<InboundPolicy>,
    /// Routes of HTTP; for a port of bytes, one that leads everywhere.
    pub(crate) routes: Arc<[HttpRoute<RouteAuthorizations>]>,
    pub(crate) index: HttpIndex,
    /// Of the policy's routes, where they are gRPC's.
    pub(crate) grpc_index: GrpcIndex,
    pub(crate) judges_path: bool,
    pub(crate) limiter: Option<Rc<RefCell<RateLimiter>>>,
    /// What requests must bring besides their client, where anything is required.
    pub(super) checks: Option<Rc<Checks>>,
}

impl std::ops::Deref for Plan {
    type Target = InboundPolicy;

    fn deref(&self) -> &InboundPolicy {
        &self.policy
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Port({})", self.number)
    }
}

impl Ports {
    pub(crate) fn obtain(&self, worker: &Worker, number: u16) -> Rc<Port> {
        let mut all = self.0.borrow_mut();
        if let Some(port) = all.get(&number) {
            return Rc::clone(port);
        }
        if all.len() >= PORTS_MAX {
            all.retain(|number, port| {
                Rc::strong_count(port) > 1 || worker.config.inbound_ports.contains(number)
            });
        }
        let port = Rc::new(Port {
            number,
            watched: RefCell::new(worker.discovery.inbound(number)),
            plan: RefCell::default(),
            clients: RefCell::default(),
            apps: RefCell::default(),
            audits: SeldomLog::default(),
        });
        all.insert(number, Rc::clone(&port));
        port
    }
}

impl Port {
    /// The latest policy; waits for the first one.
    pub(crate) async fn policy(&self, worker: &Worker) -> Result<Rc<Plan>, InboundError> {
        if let Some(plan) = self.plan() {
            return Ok(plan);
        }
        let mut watched = self.subscribe();
        let known = async { watched.wait_for(Option::is_some).await.is_ok() };
        if timeout(worker.config.limits.discovery_timeout, known).await != Ok(true) {
            return Err(InboundError::NoPolicy(self.number));
        }
        self.plan().ok_or(InboundError::NoPolicy(self.number))
    }

    /// The latest policy, if there has been one.
    pub(crate) fn plan(&self) -> Option<Rc<Plan>> {
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
        let plan = Rc::new(Plan::new(policy, self.plan.borrow().as_deref()));
        *self.plan.borrow_mut() = Some(Rc::clone(&plan));
        Some(plan)
    }

    /// A view of the policy that tells of changes from now on.
    pub(crate) fn subscribe(&self) -> Watched<InboundPolicy> {
        let mut watched = self.watched.borrow().clone();
        watched.mark_unchanged();
        watched
    }

    /// Counts connections of this client.
    pub(crate) fn client_transport(
        &self,
        worker: &Worker,
        tls: &ClientTls,
        target: SocketAddr,
    ) -> Rc<Transport> {
        Rc::clone(&self.client(worker, tls, target).transport)
    }

    /// Counts what this client is allowed and denied by `plan`.
    pub(crate) fn client_meters(
        &self,
        worker: &Worker,
        plan: &Rc<Plan>,
        tls: &ClientTls,
        target: SocketAddr,
    ) -> Rc<ClientMeters> {
        let client = self.client(worker, tls, target);
        let mut held = client.meters.borrow_mut();
        if let Some(meters) = held.as_ref().filter(|meters| meters.is_of(&plan.policy)) {
            return Rc::clone(meters);
        }
        let meters = Rc::new(ClientMeters::new(&worker.registry, &plan.policy, tls, target));
        *held = Some(Rc::clone(&meters));
        meters
    }

    fn client(&self, worker: &Worker, tls: &ClientTls, target: SocketAddr) -> Rc<Client> {
        let mut clients = self.clients.borrow_mut();
        let key = (tls.peer().cloned(), *tls == ClientTls::None, target);
        if let Some(client) = clients.get(&key) {
            return Rc::clone(client);
        }
        if clients.len() >= CLIENTS_MAX {
            clients.retain(|_, client| Rc::strong_count(&client.transport) > 1);
        }
        let labels = target_labels(Labels::new().with("direction", Direction::Inbound.label()), target);
        let mut labels = tls_labels(labels, &tls.state(), "client_id");
        if let Some(plan) = &*self.plan.borrow() {
            labels = object_labels(labels, SERVER, &plan.policy.server);
        }
        let transport = Rc::new(Transport::new(&worker.registry, labels, "src"));
        let client = Rc::new(Client { transport, meters: RefCell::default() });
        clients.insert(key, Rc::clone(&client));
        client
    }

    /// The application at `addr`: one address for each family that clients use.
    pub(super) fn app(&self, worker: &Worker, addr: SocketAddr) -> Rc<Endpoint> {
        let mut apps = self.apps.borrow_mut();
        if let Some(app) = apps.iter().find(|app| app.spec.addr == addr) {
            return Rc::clone(app);
        }
        let app = Rc::new(Endpoint::app(worker, addr));
        apps.push(Rc::clone(&app));
        app
    }

    pub(super) fn count_header(&self, worker: &Worker, header: &TransportHeader, tls: &ClientTls) {
        let protocol = match header.protocol {
            None => "",
            Some(SessionProtocol::Http1) => "http/1",
            Some(SessionProtocol::Http2) => "http/2",
        };
        let labels = Labels::new()
            .with("session_protocol", protocol)
            .with("target_port", header.port.to_string())
            .with("target_name", header.name.as_deref().unwrap_or_default())
            .with_some("client_id", tls.peer().map(Identity::shared));
        worker.registry.counter(&f::INBOUND_TCP_TRANSPORT_HEADER_CONNECTIONS_TOTAL, labels).inc();
    }

    pub(super) fn count_detected(&self, worker: &Worker, sniffed: &Sniffed) {
        let mut labels =
            Labels::new().with("result", sniffed.label()).with("target_port", self.number.to_string());
        if let Some(plan) = &*self.plan.borrow() {
            labels = object_labels(labels, SERVER, &plan.policy.server);
        }
        worker.registry.counter(&f::INBOUND_TCP_DETECT_HTTP_RESULTS_TOTAL, labels).inc();
    }
}

impl Plan {
    /// A rate limit that did not change goes on where it was.
    fn new(policy: Arc<InboundPolicy>, before: Option<&Self>) -> Self {
        let limiter = (!policy.limits.is_empty()).then(|| {
            let same = before.filter(|before| before.policy.limits == policy.limits);
            match same.and_then(|before| before.limiter.as_ref()) {
                Some(limiter) => Rc::clone(limiter),
                None => Rc::new(RefCell::new(RateLimiter::new(Arc::clone(&policy.limits), Instant::now()))),
            }
        });
        let routes = match &policy.protocol {
            InboundProtocol::Detect { routes, .. }
            | InboundProtocol::Http1 { routes, .. }
            | InboundProtocol::Http2 { routes, .. } => Arc::clone(routes),
            InboundProtocol::Grpc { .. } | InboundProtocol::Opaque | InboundProtocol::Tls => everything(),
        };
        let grpc_index = match &policy.protocol {
            InboundProtocol::Grpc { routes } => GrpcIndex::of(routes),
            InboundProtocol::Detect { .. }
            | InboundProtocol::Http1 { .. }
            | InboundProtocol::Http2 { .. }
            | InboundProtocol::Opaque
            | InboundProtocol::Tls => GrpcIndex::default(),
        };
        let index = HttpIndex::of(&routes);
        let checks = Checks::of(&policy);
        Self { judges_path: judges_path(&routes), routes, index, grpc_index, limiter, checks, policy }
    }

    /// Whether requests are judged one by one, so that bytes may not pass unseen.
    pub(super) fn judges_requests(&self) -> bool {
        match &self.policy.protocol {
            InboundProtocol::Detect { routes, .. } => {
                !self.policy.limits.is_empty() || has_http_policy(routes) || has_requirements(&self.policy)
            }
            InboundProtocol::Http1 { .. } | InboundProtocol::Http2 { .. } | InboundProtocol::Grpc { .. } => {
                true
            }
            InboundProtocol::Opaque | InboundProtocol::Tls => false,
        }
    }
}

/// The route of requests on a port whose policy knows no HTTP: the server's authorizations decide.
fn everything() -> Arc<[HttpRoute<RouteAuthorizations>]> {
    let rule =
        HttpRule { matches: Vec::new(), filters: Vec::new(), then: RouteAuthorizations(Arc::from([])) };
    let metadata = Metadata::Default(Arc::from("default"));
    Arc::from([HttpRoute { metadata, hosts: Vec::new(), rules: vec![rule] }])
}
