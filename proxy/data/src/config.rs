//! What the request path is told at start. Parsed and checked by `run`; nothing here is text.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hauberk_model::identity::Identity;
use tokio::net::TcpStream;

use crate::origin;

/// Settings of both directions. [`Config::default`] holds the defaults of INTERFACE §4 and §10.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where redirected connections of the application arrive.
    pub outbound_listen: Vec<SocketAddr>,
    /// Where connections to the application arrive. An unspecified IPv6 address takes IPv4 too.
    pub inbound_listen: SocketAddr,
    /// Addresses of this workload: a destination among them is served without mTLS.
    pub own_ips: Vec<IpAddr>,
    /// The identity of this workload; `None` only where identity is switched off.
    pub identity: Option<Identity>,
    /// Netfilter mark of our own connections (`SO_MARK`); needs `CAP_NET_ADMIN`.
    pub mark: Option<u32>,
    /// Ports of the application, whose policies are watched from the start.
    pub inbound_ports: BTreeSet<u16>,
    /// How long to wait for first bytes where the policy does not say.
    pub detect_timeout: Duration,
    /// How long an outbound connection may take to be made.
    pub outbound_connect_timeout: Duration,
    /// How long a connection to the application may take to be made.
    pub inbound_connect_timeout: Duration,
    /// How long an idle HTTP/1 connection to an endpoint is kept.
    pub http1_pool_idle_timeout: Duration,
    /// Whether `l5d-proxy-error` and `l5d-proxy-connection` are sent to the application's clients.
    pub informational_headers: bool,
    /// Whether inbound metrics carry the client's authority, which the client chooses.
    pub inbound_authority_label: bool,
    /// Whether metrics of outbound routes carry the host that the application asked for.
    pub outbound_hostname_labels: bool,
    /// Bounds on what a peer may make us hold.
    pub limits: Limits,
    /// How the original destination of a redirected connection is found.
    pub origin: Origin,
    /// Has the allocator give back what is free, some time after many connections have ended; `None`: it does by itself.
    pub give_back: Option<fn()>,
}

/// Finds the address that the client of a redirected connection meant.
#[derive(Clone)]
pub struct Origin(pub Arc<OriginOf>);

/// From an accepted connection to the address that its client meant.
pub type OriginOf = dyn Fn(&TcpStream) -> io::Result<SocketAddr> + Send + Sync;

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Origin")
    }
}

/// Bounds on what a peer may make us hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Streams a peer may have open on one HTTP/2 connection. Enough for a busy gRPC client, few enough to bound memory.
    pub http2_streams_max: u32,
    /// Bytes of a request or response head. Large cookies and tokens reach 64 KiB; twice that is refused.
    pub head_bytes_max: usize,
    /// How long a client may take to send a head once it has begun. Ends slow-header attacks.
    pub head_timeout: Duration,
    /// How long an HTTP/1 client may leave a body that it has begun standing still; up to twice that. Calls of HTTP/2 may be
    /// quiet for as long as they like.
    pub body_idle_timeout: Duration,
    /// How long a client may leave an answer unread that waits for it; up to twice that.
    pub unread_timeout: Duration,
    /// How long a TLS handshake may take, in either role.
    pub handshake_timeout: Duration,
    /// How long a new connection may wait for the first policy of its target.
    pub discovery_timeout: Duration,
    /// Connections per direction; more wait in the kernel's queue. A worker with 2 GiB holds this many idle ones.
    pub connections_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            http2_streams_max: 512,
            head_bytes_max: 128 * 1024,
            head_timeout: Duration::from_secs(10),
            body_idle_timeout: Duration::from_secs(60),
            unread_timeout: Duration::from_secs(300),
            handshake_timeout: Duration::from_secs(10),
            discovery_timeout: Duration::from_secs(3),
            connections_max: 65_536,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            outbound_listen: vec![
                SocketAddr::from((Ipv4Addr::LOCALHOST, 4140)),
                SocketAddr::from((Ipv6Addr::LOCALHOST, 4140)),
            ],
            inbound_listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 4143)),
            own_ips: Vec::new(),
            identity: None,
            mark: None,
            inbound_ports: BTreeSet::new(),
            detect_timeout: Duration::from_secs(10),
            outbound_connect_timeout: Duration::from_secs(1),
            inbound_connect_timeout: Duration::from_millis(300),
            http1_pool_idle_timeout: Duration::from_secs(3),
            informational_headers: true,
            inbound_authority_label: false,
            outbound_hostname_labels: false,
            limits: Limits::default(),
            origin: Origin(Arc::new(origin::original_destination)),
            give_back: None,
        }
    }
}
