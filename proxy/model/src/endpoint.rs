//! Endpoints as discovered: addresses, who must answer there, and how to speak to them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::identity::Identity;

/// Label names and values, sorted by name.
pub type Labels = Arc<[(Arc<str>, Arc<str>)]>;

/// One address of a destination and all that is known of it (`destination.WeightedAddr`).
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Address of the application's port.
    pub addr: SocketAddr,
    /// Relative share of traffic; 10 000 is one unit.
    pub weight: u32,
    /// Who must answer. `None`: the endpoint is not in the mesh and is spoken to in plaintext.
    pub tls: Option<TlsTarget>,
    /// What the peer's proxy understands.
    pub hint: ProtocolHint,
    /// The peer proxy's inbound port, when it takes connections with a transport header (INTERFACE §5.2).
    pub transport_port: Option<u16>,
    /// Authority to send instead of the client's.
    pub authority_override: Option<Arc<str>>,
    /// Settings of the HTTP/2 connection to it.
    pub http2: Http2Params,
    /// Metric labels (`dst_pod`, `dst_namespace`, ...), the set's own labels joined in.
    pub labels: Labels,
    /// Not meant for clients of this zone while those that are can take the load.
    pub other_zone: bool,
}

/// The identity a peer must prove, and the SNI to ask for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsTarget {
    /// Compared exactly with the peer's certificate.
    pub identity: Identity,
    /// Server name of the ClientHello.
    pub server_name: Arc<str>,
}

/// `destination.ProtocolHint`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProtocolHint {
    /// Nothing is known: speak to the endpoint as the client does.
    #[default]
    Unknown,
    /// The peer is a mesh proxy: HTTP/1 may travel inside HTTP/2.
    Http2,
    /// Bytes only.
    Opaque,
}

/// `destination.Http2ClientParams`, with the defaults of INTERFACE §5.6.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Http2Params {
    /// Time between pings; `None`: no pings.
    pub keep_alive_interval: Option<Duration>,
    /// How long a ping may stay unanswered.
    pub keep_alive_timeout: Duration,
    /// Whether to ping while no stream is open.
    pub keep_alive_while_idle: bool,
    /// Stream window, bytes.
    pub initial_stream_window: u32,
    /// Connection window, bytes.
    pub initial_connection_window: u32,
}

impl Default for Http2Params {
    fn default() -> Self {
        Self {
            keep_alive_interval: Some(Duration::from_secs(10)),
            keep_alive_timeout: Duration::from_secs(3),
            keep_alive_while_idle: true,
            initial_stream_window: 64 * 1024,
            initial_connection_window: 1024 * 1024,
        }
    }
}

/// All endpoints of one authority, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointSet {
    /// Whether the destination exists at all. An existing one may have no endpoints.
    pub exists: bool,
    /// Sorted by address. An endpoint that did not change keeps its `Arc` between sets.
    pub endpoints: Arc<[Arc<Endpoint>]>,
}
