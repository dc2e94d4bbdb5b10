//! The state of one data thread.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use hauberk_model::discovery::Discovery;
use hauberk_model::identity::Identity;
use hauberk_model::matching::RequestView as _;
use hauberk_model::random::Random;
use hauberk_model::status::Failure;
use hauberk_model::story::{REQUEST_ID, RequestId, Side};
use hauberk_observe::Registry;
use hauberk_tls::{Credentials, CredentialsWatch};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::drain::DrainBell;
use crate::h2::HeadRoom;
use crate::heads::{LastHost, RequestMeta};
use crate::inbound::{Gate, Ports};
use crate::look::Lookers;
use crate::meters::{Ended, Errors, TlsSessions};
use crate::outbound::hostnames::Hostnames;
use crate::outbound::{Endpoints, Targets};
use crate::patience::Patience;
use crate::recorder::{Recorder, Telling};

/// Everything that connections share. Lives as long as the worker.
pub(crate) struct Worker {
    pub(crate) config: Config,
    pub(crate) discovery: Arc<dyn Discovery>,
    credentials: CredentialsWatch,
    pub(crate) registry: Registry,
    pub(crate) drain: DrainBell,
    pub(crate) connections: TaskTracker,
    /// Most of them at once since `tidy` looked.
    pub(crate) peak: Cell<usize>,
    pub(crate) random: RefCell<Random>,
    pub(crate) targets: Targets,
    pub(crate) endpoints: Endpoints,
    pub(crate) ports: Ports,
    pub(crate) errors: Errors,
    pub(crate) tls_sessions: TlsSessions,
    pub(crate) patience: Patience,
    /// Bounds the large heads of all HTTP/2 requests in flight.
    pub(crate) heads: HeadRoom,
    pub(crate) hostnames: Hostnames,
    pub(crate) last_host: LastHost,
    /// Mirrored requests on their way.
    pub(crate) mirrored: Cell<u32>,
    /// Bounds the TLS handshakes that are under way.
    pub(crate) gate: Gate,
    pub(crate) recorder: Recorder,
    /// Where inbound connections arrive, as bound: a connection to this port is for the proxy itself.
    pub(crate) inbound_port: Cell<u16>,
}

impl Worker {
    pub(crate) fn new(
        config: Config,
        discovery: Arc<dyn Discovery>,
        credentials: CredentialsWatch,
        registry: Registry,
        drain: DrainBell,
        lookers: Lookers,
    ) -> Rc<Self> {
        // Balancing is no secret, but two workers should not make the same choices.
        let seed = RandomState::new().hash_one(std::process::id());
        Rc::new(Self {
            inbound_port: Cell::new(config.inbound_listen.port()),
            errors: Errors::new(&registry),
            tls_sessions: TlsSessions::new(&registry),
            hostnames: Hostnames::new(config.outbound_hostname_labels),
            recorder: Recorder::new(&registry, lookers),
            config,
            discovery,
            credentials,
            registry,
            drain,
            connections: TaskTracker::new(),
            peak: Cell::new(0),
            random: RefCell::new(Random::seeded(seed)),
            targets: Targets::default(),
            endpoints: Endpoints::default(),
            ports: Ports::default(),
            patience: Patience::default(),
            heads: HeadRoom::default(),
            last_host: LastHost::default(),
            mirrored: Cell::default(),
            gate: Gate::default(),
        })
    }

    /// Begins the story of a request of the application.
    pub(crate) fn tell_outbound(
        &self,
        head: &RequestMeta,
        addresses: (SocketAddr, SocketAddr),
        began: Instant,
    ) -> Telling<'_> {
        let story = self.recorder.begin(Side::Outbound, None, &self.random, addresses, began.into_std());
        story.asks(head.method(), head.authority(), head.path());
        story.look_at(head, None, addresses, &self.random);
        story
    }

    /// Begins the story of a request to the application. What a verified peer calls the request is its name here too.
    pub(crate) fn tell_inbound(
        &self,
        head: &RequestMeta,
        peer: Option<&Identity>,
        addresses: (SocketAddr, SocketAddr),
        began: Instant,
    ) -> Telling<'_> {
        let named = peer.and_then(|_| RequestId::parse(head.header(REQUEST_ID).next()?));
        let story = self.recorder.begin(Side::Inbound, named, &self.random, addresses, began.into_std());
        story.asks(head.method(), head.authority(), head.path());
        story.peer(peer);
        story.look_at(head, peer, addresses, &self.random);
        story
    }

    /// Tells of a head that is no request.
    pub(crate) fn tell_refused(
        &self,
        side: Side,
        peer: Option<&Identity>,
        addresses: (SocketAddr, SocketAddr),
        failure: Failure,
        status: u16,
    ) -> RequestId {
        let began = std::time::Instant::now();
        let story = self.recorder.begin(side, None, &self.random, addresses, began);
        story.peer(peer);
        story.fails(failure);
        story.ends(Ended { status, grpc_status: None, complete: true });
        story.id
    }

    /// Our certificate, if there is one yet.
    pub(crate) fn credentials(&self) -> Option<Arc<Credentials>> {
        self.credentials.borrow().clone()
    }

    /// The original destination of a redirected connection.
    pub(crate) fn origin(&self, stream: &TcpStream) -> io::Result<SocketAddr> {
        (self.config.origin.0)(stream).map(crate::origin::canonical)
    }

    /// Whether an address is this workload's own.
    pub(crate) fn is_own(&self, address: SocketAddr) -> bool {
        self.config.own_ips.contains(&address.ip())
    }
}
