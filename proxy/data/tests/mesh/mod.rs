//! Two proxies on loopback with real mTLS between them, an application behind one and a client before the other.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use hauberk_data::{Config, Drained, Origin, Watching};
use hauberk_model::discovery::{Discovery, Watched};
use hauberk_model::drain::Drain;
use hauberk_model::endpoint::{Endpoint, EndpointSet, Http2Params, ProtocolHint, TlsTarget};
use hauberk_model::identity::Identity;
use hauberk_model::inbound::{
    Authentication, Authorization, Cidr, InboundPolicy, InboundProtocol, Network, RouteAuthorizations,
};
use hauberk_model::metadata::Metadata;
use hauberk_model::outbound::{
    Backend, BackendKind, Distribution, HttpPolicy, OpaquePolicy, OpaqueRoute, OutboundPolicy,
    OutboundProtocol, RouteBackend, RouteTarget,
};
use hauberk_model::route::{HttpRoute, HttpRule, Timeouts};
use hauberk_observe::Registry;
use hauberk_tls::{Credentials, Keypair, PostQuantum, TrustAnchors};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub const CLIENT: &str = "client.shop.serviceaccount.identity.linkerd.cluster.local";
pub const SERVER: &str = "server.shop.serviceaccount.identity.linkerd.cluster.local";
const AUTHORITY: &str = "server.shop.svc.cluster.local:80";

/// A certificate authority.
pub struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub fn credentials(&self, identity: &str) -> Arc<Credentials> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![identity.to_owned()]).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        let keypair = Keypair::from_pkcs8(&key.serialize_der()).unwrap();
        let anchors = TrustAnchors::from_pem(self.pem.as_bytes()).unwrap();
        let not_after = SystemTime::now() + Duration::from_secs(3600);
        let identity = Identity::parse(identity).unwrap();
        Arc::new(
            Credentials::new(
                &anchors,
                identity,
                &keypair,
                leaf,
                Vec::new(),
                not_after,
                PostQuantum::default(),
            )
            .unwrap(),
        )
    }
}

/// What the proxies are told.
#[derive(Clone)]
pub struct World(Arc<Mutex<Answers>>);

struct Answers {
    outbound: watch::Sender<Option<Arc<OutboundPolicy>>>,
    endpoints: watch::Sender<Option<Arc<EndpointSet>>>,
    inbound: HashMap<u16, watch::Sender<Option<Arc<InboundPolicy>>>>,
    inbound_default: Option<Arc<InboundPolicy>>,
}

impl World {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Answers {
            outbound: watch::channel(Some(Arc::new(detect()))).0,
            endpoints: watch::channel(None).0,
            inbound: HashMap::new(),
            inbound_default: Some(Arc::new(inbound(InboundProtocol::Opaque))),
        })))
    }

    pub fn outbound(&self, policy: OutboundPolicy) {
        self.0.lock().unwrap().outbound.send_replace(Some(Arc::new(policy)));
    }

    pub fn endpoints(&self, endpoints: Vec<Endpoint>) {
        let endpoints = endpoints.into_iter().map(Arc::new).collect();
        self.0
            .lock()
            .unwrap()
            .endpoints
            .send_replace(Some(Arc::new(EndpointSet { exists: true, endpoints })));
    }

    pub fn inbound(&self, policy: InboundPolicy) {
        let mut answers = self.0.lock().unwrap();
        let policy = Some(Arc::new(policy));
        answers.inbound_default.clone_from(&policy);
        for port in answers.inbound.values() {
            port.send_replace(policy.clone());
        }
    }
}

impl Discovery for World {
    fn outbound(&self, _: SocketAddr) -> Watched<OutboundPolicy> {
        self.0.lock().unwrap().outbound.subscribe()
    }
    fn endpoints(&self, _: &str) -> Watched<EndpointSet> {
        self.0.lock().unwrap().endpoints.subscribe()
    }
    fn inbound(&self, port: u16) -> Watched<InboundPolicy> {
        let mut answers = self.0.lock().unwrap();
        let default = answers.inbound_default.clone();
        answers.inbound.entry(port).or_insert_with(|| watch::channel(default).0).subscribe()
    }
}

/// A running proxy.
pub struct Proxy {
    pub outbound: SocketAddr,
    pub inbound: SocketAddr,
    pub registry: Registry,
    drain: watch::Sender<Drain>,
    thread: Option<std::thread::JoinHandle<Drained>>,
    _credentials: watch::Sender<Option<Arc<Credentials>>>,
}

/// The address of a service that nobody listens on: only discovery knows what it means.
pub const SERVICE: &str = "10.96.0.10:80";

impl Proxy {
    pub fn start(world: &World, credentials: Arc<Credentials>) -> Self {
        Self::start_with(world, credentials, |_| {})
    }

    pub fn start_with(
        world: &World,
        credentials: Arc<Credentials>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = Config {
            outbound_listen: vec!["127.0.0.1:0".parse().unwrap()],
            inbound_listen: "127.0.0.1:0".parse().unwrap(),
            identity: Some(credentials.identity().clone()),
            ..Config::default()
        };
        let outbound = Arc::new(Mutex::new(None));
        let known = Arc::clone(&outbound);
        config.origin = Origin(Arc::new(move |stream: &TcpStream| {
            let local = stream.local_addr()?;
            let is_outbound = Some(local) == *known.lock().unwrap();
            Ok(if is_outbound { SERVICE.parse().unwrap() } else { local })
        }));
        change(&mut config);
        let listeners = hauberk_data::bind(&config).unwrap();
        let at = listeners.outbound_addrs().unwrap()[0];
        *outbound.lock().unwrap() = Some(at);
        let inbound = listeners.inbound_addr().unwrap();
        let registry = Registry::default();
        let (drain, draining) = watch::channel(Drain::Running);
        let (tell, told) = watch::channel(Some(credentials));
        let (world, counted) = (world.clone(), registry.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let serving = hauberk_data::serve(
                config,
                listeners,
                Arc::new(world),
                told,
                counted,
                draining,
                Watching::default(),
            );
            runtime.block_on(serving).unwrap()
        });
        Self { outbound: at, inbound, registry, drain, thread: Some(thread), _credentials: tell }
    }

    pub fn drain(&self, within: Duration) {
        self.drain.send_replace(Drain::Draining { until: Instant::now() + within });
    }

    pub fn ended(mut self) -> Drained {
        self.thread.take().unwrap().join().unwrap()
    }

    pub fn metrics(&self) -> String {
        self.registry.render()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.drain.send_replace(Drain::Done { cut: 0 });
    }
}

/// A pair of proxies, and the world they see.
pub struct Pair {
    pub world: World,
    pub ca: Ca,
    pub client: Proxy,
    pub server: Proxy,
}

impl Pair {
    /// With the application at `app`, reached through the mesh; everything is allowed.
    pub fn before(app: SocketAddr) -> Self {
        let (ca, world) = (Ca::new(), World::new());
        let server = Proxy::start(&world, ca.credentials(SERVER));
        let client = Proxy::start(&world, ca.credentials(CLIENT));
        world.endpoints(vec![meshed(app, server.inbound.port(), SERVER)]);
        world.inbound(inbound(http_routes(Vec::new())));
        Self { world, ca, client, server }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.client.outbound).await.unwrap()
    }
}

pub fn meshed(app: SocketAddr, transport_port: u16, identity: &str) -> Endpoint {
    let identity = Identity::parse(identity).unwrap();
    Endpoint {
        tls: Some(TlsTarget { server_name: identity.shared(), identity }),
        hint: ProtocolHint::Http2,
        transport_port: Some(transport_port),
        ..plain(app)
    }
}

pub fn plain(addr: SocketAddr) -> Endpoint {
    Endpoint {
        addr,
        weight: 10_000,
        tls: None,
        hint: ProtocolHint::Unknown,
        transport_port: None,
        authority_override: None,
        http2: Http2Params::default(),
        labels: Arc::from([]),
        other_zone: false,
    }
}

pub fn backend() -> RouteBackend {
    let backend = Backend {
        metadata: Metadata::Default(Arc::from("service")),
        kind: BackendKind::Balance {
            authority: Arc::from(AUTHORITY),
            default_rtt: Duration::from_millis(30),
            decay: Duration::from_secs(10),
            penalty: None,
        },
        failfast_timeout: Duration::from_millis(500),
        queue_capacity: 100,
        allowance: Default::default(),
        hashing: None,
    };
    RouteBackend { backend: Arc::new(backend), filters: Vec::new() }
}

pub fn target(timeouts: Timeouts) -> Arc<RouteTarget> {
    Arc::new(RouteTarget {
        distribution: Distribution::FirstAvailable(Arc::from([backend()])),
        timeouts,
        ..RouteTarget::default()
    })
}

pub fn detect() -> OutboundPolicy {
    detect_with(Timeouts::default())
}

pub fn detect_with(timeouts: Timeouts) -> OutboundPolicy {
    let target = target(timeouts);
    let metadata = Metadata::Default(Arc::from("default"));
    let rule = HttpRule { matches: Vec::new(), filters: Vec::new(), then: Arc::clone(&target) };
    let route = HttpRoute { metadata: metadata.clone(), hosts: Vec::new(), rules: vec![rule] };
    let http = HttpPolicy { routes: Arc::from([route]), failure_accrual: None };
    let opaque = OpaqueRoute { metadata: metadata.clone(), target, refusal: None };
    OutboundPolicy {
        generation: 1,
        parent: metadata,
        authority: Some(Arc::from(AUTHORITY)),
        protocol: OutboundProtocol::Detect {
            timeout: Duration::from_secs(10),
            http1: http.clone(),
            http2: http,
            opaque: OpaquePolicy { routes: Arc::from([opaque]) },
            tls: None,
        },
    }
}

pub fn everyone(authentication: Authentication) -> Authorization {
    let net = Cidr { addr: "0.0.0.0".parse().unwrap(), prefix_len: 0 };
    let networks = vec![Network { net, except: Vec::new() }];
    Authorization::new(Metadata::Default(Arc::from("all")), networks, authentication)
}

pub fn only(identity: &str) -> Authorization {
    let identities = vec![Identity::parse(identity).unwrap()];
    everyone(Authentication::TlsIdentities { identities, suffixes: Vec::new() })
}

pub fn inbound(protocol: InboundProtocol) -> InboundPolicy {
    inbound_by(protocol, vec![everyone(Authentication::Unauthenticated)])
}

pub fn inbound_by(protocol: InboundProtocol, authorizations: Vec<Authorization>) -> InboundPolicy {
    InboundPolicy {
        generation: 1,
        server: Metadata::Default(Arc::from("test")),
        protocol,
        authorizations: Arc::from(authorizations),
        limits: Arc::from([]),
        labels: Arc::from([]),
    }
}

/// One route for everything, with these authorizations of its own.
pub fn http_routes(authorizations: Vec<Authorization>) -> InboundProtocol {
    let then = RouteAuthorizations(Arc::from(authorizations));
    let rule = HttpRule { matches: Vec::new(), filters: Vec::new(), then };
    let metadata = Metadata::Default(Arc::from("default"));
    let route = HttpRoute { metadata, hosts: Vec::new(), rules: vec![rule] };
    InboundProtocol::Detect { timeout: Duration::from_millis(400), routes: Arc::from([route]) }
}

/// An application that handles each connection with `handle`.
pub async fn app<F, Fut>(handle: F) -> SocketAddr
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(handle(stream));
        }
    });
    at
}

/// An application that answers each HTTP/1 request without a body by its request line and headers.
pub async fn echo_head() -> SocketAddr {
    app(|mut stream| async move {
        let mut seen = Vec::new();
        while let Some(head) = head_of(&mut stream, &mut seen).await {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len());
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await
}

/// Reads one head, leaving what follows in `seen`.
pub async fn head_of(stream: &mut TcpStream, seen: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = seen.split_off(end + 4);
            return Some(String::from_utf8(std::mem::replace(seen, rest)).unwrap());
        }
        if stream.read_buf(seen).await.ok()? == 0 {
            return None;
        }
    }
}

/// A response as text: its head, and a body of the declared length.
pub async fn response_of(stream: &mut TcpStream, seen: &mut Vec<u8>) -> (String, String) {
    let head = soon(head_of(stream, seen)).await.expect("a response");
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length:").map(|v| v.trim().parse().unwrap())
        })
        .unwrap_or(0_usize);
    while seen.len() < length {
        assert!(soon(stream.read_buf(seen)).await.unwrap() > 0, "body ends early after {head}");
    }
    let rest = seen.split_off(length);
    let body = String::from_utf8(std::mem::replace(seen, rest)).unwrap();
    (head, body)
}

/// Everything up to the close.
pub async fn all_of(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    soon(stream.read_to_end(&mut all)).await.unwrap();
    String::from_utf8_lossy(&all).into_owned()
}

/// What does not come soon is a failed test and not a hanging one.
pub async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(8), work).await.expect("in time")
}

pub fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}
