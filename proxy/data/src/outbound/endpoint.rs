//! One endpoint: how it is reached, and the connections to it that requests share.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hauberk_model::balance::Outcome;
use hauberk_model::endpoint::{Endpoint as Spec, Http2Params, ProtocolHint, TlsTarget};
use hauberk_observe::Labels;
use hauberk_tls::{ALPN_H2, ALPN_TRANSPORT, HandshakeError};
use hauberk_wire::transport_header::{self, SessionProtocol, TransportHeader};
use tokio::io::AsyncWriteExt;

use super::limit::ConnectionLimit;
use crate::io::{Io, Socket, Stream, dial};
use crate::meters::{Direction, NoTls, TlsState, Transport, target_labels, tls_labels};
use crate::pool::{Http1Pool, Http2Pool};
use crate::worker::Worker;

/// Every endpoint in use, so that targets which share one share its connections.
#[derive(Default)]
pub(crate) struct Endpoints(RefCell<HashMap<ByAddress, Weak<Endpoint>>>);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("cannot connect to {to}")]
    Connect {
        to: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("no connection to {to} within {after:?}")]
    TimedOut { to: SocketAddr, after: Duration },
    #[error("mTLS with {to} failed")]
    Tls {
        to: SocketAddr,
        #[source]
        source: HandshakeError,
    },
    #[error("{to} does not take transport headers")]
    NoTransport { to: SocketAddr },
    #[error("there is no certificate yet to meet {to} with")]
    NoCertificate { to: SocketAddr },
    #[error("the service of {to} takes no more connections")]
    Limited { to: SocketAddr },
    #[error("HTTP/2 with {to} failed")]
    Http2 {
        to: SocketAddr,
        #[source]
        source: h2::Error,
    },
}

impl DialError {
    /// A short name for a metric label.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::TimedOut { .. } => "connect_timeout",
            Self::Tls { source, .. } => source.label(),
            Self::NoTransport { .. } => "tls_alpn",
            Self::NoCertificate { .. } => "no_certificate",
            Self::Limited { .. } => "connection_limit",
            Self::Http2 { .. } => "http2",
        }
    }
}

impl DialError {
    /// Descriptors, buffers or local ports that ran out (errno: ENFILE, EMFILE, EADDRNOTAVAIL, ENOBUFS, ENOMEM).
    const LOCAL: [i32; 5] = [23, 24, 99, 105, 12];

    /// What the failure says of the endpoint: nothing, if the fault is ours.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Connect { source, .. }
                if source.raw_os_error().is_some_and(|code| Self::LOCAL.contains(&code)) =>
            {
                Outcome::Cancelled
            }
            Self::NoCertificate { .. } | Self::Limited { .. } => Outcome::Cancelled,
            Self::Connect { .. }
            | Self::TimedOut { .. }
            | Self::Tls { .. }
            | Self::NoTransport { .. }
            | Self::Http2 { .. } => Outcome::Unreachable,
        }
    }
}

/// As many times a connection's own limit a handshake may take: three messages each way, and certificates to verify.
/// A frozen peer still accepts connections, so this bounds how long it can hold a request.
const HANDSHAKE_FACTOR: u32 = 3;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    Opaque,
    Http1,
    Http2,
}

/// How an endpoint is reached.
#[derive(Clone, Debug, PartialEq)]
enum Way {
    /// In plaintext.
    Plain(SocketAddr),
    /// mTLS straight to the application's port, whose proxy recognises its own name.
    Mesh { to: SocketAddr, tls: TlsTarget },
    /// mTLS to the proxy's port, which is told the application's.
    Transport { to: SocketAddr, tls: TlsTarget, port: NonZeroU16 },
}

/// An endpoint and its connections.
pub(crate) struct Endpoint {
    pub(crate) spec: Arc<Spec>,
    way: Way,
    transport: Rc<Transport>,
    pub(crate) tls_state: TlsState,
    pub(crate) http1: Http1Pool,
    pub(crate) http2: Http2Pool,
    connect_timeout: Duration,
}

impl Endpoints {
    /// The endpoint of this description, shared with whoever uses it already.
    pub(crate) fn obtain(&self, worker: &Worker, spec: &Arc<Spec>) -> Rc<Endpoint> {
        let mut all = self.0.borrow_mut();
        if let Some(endpoint) = all.get(&ByAddress(Arc::clone(spec))).and_then(Weak::upgrade) {
            return endpoint;
        }
        if all.len() >= all.capacity() {
            all.retain(|_, endpoint| endpoint.strong_count() > 0);
        }
        let endpoint = Rc::new(Endpoint::new(worker, spec));
        all.insert(ByAddress(Arc::clone(spec)), Rc::downgrade(&endpoint));
        endpoint
    }
}

impl Endpoint {
    /// The application itself, at `addr`.
    pub(crate) fn app(worker: &Worker, addr: SocketAddr) -> Self {
        // Applications are not pinged: some servers take pings for abuse.
        let http2 = Http2Params { keep_alive_interval: None, ..Http2Params::default() };
        let spec = Arc::new(Spec { http2, ..plain(addr) });
        let tls_state = TlsState::None(NoTls::Loopback);
        let labels = Labels::new()
            .with("direction", Direction::Inbound.label())
            .with("target_port", addr.port().to_string());
        let transport = Transport::new(&worker.registry, tls_labels(labels, &tls_state, "server_id"), "dst");
        Self {
            way: Way::Plain(addr),
            transport: Rc::new(transport),
            tls_state,
            http1: Http1Pool::new(worker.config.http1_pool_idle_timeout),
            http2: Http2Pool::default(),
            connect_timeout: worker.config.inbound_connect_timeout,
            spec,
        }
    }

    fn new(worker: &Worker, spec: &Arc<Spec>) -> Self {
        let way = way_to(spec, worker.is_own(spec.addr));
        let tls_state = match &way {
            Way::Plain(_) if spec.tls.is_some() => TlsState::None(NoTls::Loopback),
            Way::Plain(_) => TlsState::None(NoTls::Undiscovered),
            Way::Mesh { tls, .. } | Way::Transport { tls, .. } => TlsState::Mesh(Some(tls.identity.clone())),
        };
        let transport = Transport::new(&worker.registry, endpoint_labels(spec, &tls_state), "dst");
        Self {
            spec: Arc::clone(spec),
            way,
            transport: Rc::new(transport),
            tls_state,
            http1: Http1Pool::new(worker.config.http1_pool_idle_timeout),
            http2: Http2Pool::default(),
            connect_timeout: worker.config.outbound_connect_timeout,
        }
    }

    /// Whether HTTP/1 requests travel inside HTTP/2 to it.
    pub(crate) fn upgrades_http1(&self) -> bool {
        self.is_meshed() && self.spec.hint == ProtocolHint::Http2
    }

    /// Whether the connection is mTLS.
    pub(crate) fn is_meshed(&self) -> bool {
        match self.way {
            Way::Plain(_) => false,
            Way::Mesh { .. } | Way::Transport { .. } => true,
        }
    }

    /// The same within a service's limit on connections.
    ///
    /// # Errors
    /// [`DialError`]; nothing of any request was sent.
    pub(crate) async fn connect_within(
        &self,
        worker: &Worker,
        session: Session,
        limit: Option<&ConnectionLimit>,
    ) -> Result<Io, DialError> {
        let Some(limit) = limit else { return self.connect(worker, session).await };
        let held = limit.take().ok_or(DialError::Limited { to: self.spec.addr })?;
        Ok(self.connect(worker, session).await?.holding(Some(held)))
    }

    /// Opens a connection for `session`; over mTLS the peer has proven the endpoint's identity.
    ///
    /// # Errors
    /// [`DialError`]; nothing of any request was sent.
    pub(crate) async fn connect(&self, worker: &Worker, session: Session) -> Result<Io, DialError> {
        // Boxed: a handshake's state is large, and whoever waits for it outlives it by far.
        Box::pin(self.open(worker, session)).await
    }

    async fn open(&self, worker: &Worker, session: Session) -> Result<Io, DialError> {
        let (to, tls) = match &self.way {
            Way::Plain(to) => (*to, None),
            Way::Mesh { to, tls } | Way::Transport { to, tls, .. } => (*to, Some(tls)),
        };
        let within = self.connect_timeout;
        let stream = dial(to, worker.config.mark, within).await.map_err(|source| {
            if source.kind() == io::ErrorKind::TimedOut {
                DialError::TimedOut { to, after: within }
            } else {
                DialError::Connect { to, source }
            }
        })?;
        let socket = Socket::new(Bytes::new(), stream);
        let Some(tls) = tls else {
            return Ok(Io::new(Stream::Plain(socket), Some(Rc::clone(&self.transport))));
        };
        self.meet(worker, socket, to, tls, session).await
    }

    async fn meet(
        &self,
        worker: &Worker,
        socket: Socket,
        to: SocketAddr,
        tls: &TlsTarget,
        session: Session,
    ) -> Result<Io, DialError> {
        let credentials = worker.credentials().ok_or(DialError::NoCertificate { to })?;
        let port = match self.way {
            Way::Transport { port, .. } => Some(port),
            Way::Plain(_) | Way::Mesh { .. } => None,
        };
        let alpn: &[&[u8]] = match (port, session) {
            (Some(_), _) => &[ALPN_TRANSPORT],
            (None, Session::Http2) => &[ALPN_H2],
            (None, Session::Http1 | Session::Opaque) => &[],
        };
        let within = worker.config.limits.handshake_timeout.min(self.connect_timeout * HANDSHAKE_FACTOR);
        let (stream, handshake) = hauberk_tls::connect(socket, credentials.dialer(), tls, alpn, within)
            .await
            .map_err(|source| DialError::Tls { to, source })?;
        let facts = worker.tls_sessions.open(
            Direction::Outbound,
            Some(credentials.identity()),
            Some(&tls.identity),
            &handshake,
        );
        let mut io =
            Io::new(Stream::Dialed(Box::new(stream)), Some(Rc::clone(&self.transport))).with_session(facts);
        if let Some(port) = port {
            if handshake.alpn.as_deref() != Some(ALPN_TRANSPORT) {
                return Err(DialError::NoTransport { to });
            }
            let mut header = BytesMut::new();
            transport_header::encode(
                &TransportHeader { port, name: None, protocol: session.protocol() },
                &mut header,
            );
            let sent = async {
                io.write_all(&header).await?;
                // A session may keep what the socket did not take, and a client that waits sends nothing after it.
                io.flush().await
            };
            sent.await.map_err(|source| DialError::Connect { to, source })?;
        }
        Ok(io)
    }
}

impl Session {
    fn protocol(self) -> Option<SessionProtocol> {
        match self {
            Self::Opaque => None,
            Self::Http1 => Some(SessionProtocol::Http1),
            Self::Http2 => Some(SessionProtocol::Http2),
        }
    }
}

/// Chooses how an endpoint is reached. Our own address is reached in plaintext: there is no proxy between.
fn way_to(spec: &Spec, is_own: bool) -> Way {
    match (&spec.tls, spec.transport_port) {
        (None, _) => Way::Plain(spec.addr),
        (Some(_), _) if is_own => Way::Plain(spec.addr),
        (Some(tls), None) => Way::Mesh { to: spec.addr, tls: tls.clone() },
        (Some(tls), Some(proxy)) => match NonZeroU16::new(spec.addr.port()) {
            Some(port) => {
                Way::Transport { to: SocketAddr::new(spec.addr.ip(), proxy), tls: tls.clone(), port }
            }
            // No connection can be made to port 0 either way.
            None => Way::Mesh { to: spec.addr, tls: tls.clone() },
        },
    }
}

/// Weight of an endpoint that discovery did not weigh: one unit.
const WEIGHT_ONE: u32 = 10_000;

/// An address outside the mesh.
pub(crate) fn plain(addr: SocketAddr) -> Spec {
    Spec {
        addr,
        weight: WEIGHT_ONE,
        tls: None,
        hint: ProtocolHint::Unknown,
        transport_port: None,
        authority_override: None,
        http2: Http2Params::default(),
        labels: Arc::from([]),
        other_zone: false,
    }
}

/// Labels of connections and requests to an endpoint.
pub(crate) fn endpoint_labels(spec: &Spec, tls: &TlsState) -> Labels {
    let labels = Labels::new().with("direction", Direction::Outbound.label());
    tls_labels(target_labels(labels, spec.addr), tls, "server_id").with_all(spec.labels.iter())
}

/// An endpoint's description as a key: hashed by address, compared as a whole.
struct ByAddress(Arc<Spec>);

impl PartialEq for ByAddress {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for ByAddress {}

impl std::hash::Hash for ByAddress {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.addr.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hauberk_model::identity::Identity;

    fn spec(tls: bool, transport_port: Option<u16>) -> Spec {
        let identity = Identity::parse("web.shop.serviceaccount.identity.linkerd.cluster.local").unwrap();
        Spec {
            addr: "10.1.1.1:8080".parse().unwrap(),
            weight: 10_000,
            tls: tls.then(|| TlsTarget { server_name: identity.shared(), identity }),
            hint: ProtocolHint::Http2,
            transport_port,
            authority_override: None,
            http2: Http2Params::default(),
            labels: Arc::from([]),
            other_zone: false,
        }
    }

    #[test]
    fn an_identity_is_never_reached_in_plaintext_unless_it_is_our_own_address() {
        assert!(matches!(way_to(&spec(true, None), false), Way::Mesh { .. }));
        assert!(matches!(way_to(&spec(true, Some(4143)), false), Way::Transport { .. }));
        assert!(matches!(way_to(&spec(true, Some(4143)), true), Way::Plain(_)));
        assert!(matches!(way_to(&spec(false, Some(4143)), false), Way::Plain(_)));
    }

    #[test]
    fn a_transport_connection_goes_to_the_proxy_and_names_the_application_port() {
        let Way::Transport { to, port, .. } = way_to(&spec(true, Some(4143)), false) else {
            panic!("transport")
        };
        assert_eq!((to, port.get()), ("10.1.1.1:4143".parse().unwrap(), 8080));
    }
}
