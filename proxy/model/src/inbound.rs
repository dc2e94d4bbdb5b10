//! The policy of a port of this workload (`inbound.Server`).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::endpoint::Labels;
use crate::identity::Identity;
use crate::limits::RateLimit;
use crate::metadata::Metadata;
use crate::requirement::Requirements;
use crate::route::{GrpcRoute, HttpRoute};

/// How connections to one port are handled, and who may make them.
#[derive(Clone, Debug)]
pub struct InboundPolicy {
    /// Grows by one with each change of this port's policy.
    pub generation: u64,
    /// The Server or the default policy it comes from (`srv_*` labels).
    pub server: Metadata,
    /// What to expect on the connection.
    pub protocol: InboundProtocol,
    /// Who may connect, and use any route: a route's own list extends this one (`inbound.HttpRoute`).
    pub authorizations: Arc<[Authorization]>,
    /// How many requests: each must pass all that speak of it.
    pub limits: Arc<[RateLimit]>,
    /// Descriptive labels as given.
    pub labels: Labels,
}

/// `inbound.ProxyProtocol`.
#[derive(Clone, Debug)]
pub enum InboundProtocol {
    /// Look at the first bytes. After `timeout` without any: opaque if no route has its own authorizations, else refuse.
    Detect {
        /// How long to wait for the first bytes.
        timeout: Duration,
        /// If it is HTTP.
        routes: Arc<[HttpRoute<RouteAuthorizations>]>,
    },
    /// HTTP/1 without detection.
    Http1 {
        /// In order of precedence as given.
        routes: Arc<[HttpRoute<RouteAuthorizations>]>,
    },
    /// HTTP/2 without detection.
    Http2 {
        /// In order of precedence as given.
        routes: Arc<[HttpRoute<RouteAuthorizations>]>,
    },
    /// gRPC.
    Grpc {
        /// In order of precedence as given.
        routes: Arc<[GrpcRoute<RouteAuthorizations>]>,
    },
    /// Bytes.
    Opaque,
    /// TLS of the application's own: bytes.
    Tls,
}

/// Who may use a route besides those whom the server's own list admits. All rules of one route share one list.
#[derive(Clone, Debug)]
pub struct RouteAuthorizations(pub Arc<[Authorization]>);

/// `inbound.Authz`.
#[derive(Clone, Debug, PartialEq)]
pub struct Authorization {
    /// The policy it comes from (`authz_*` labels).
    pub metadata: Metadata,
    /// The client's address must be in one of these.
    pub networks: Vec<Network>,
    /// What the client must prove.
    pub authentication: Authentication,
    /// What the request must bring besides.
    pub requirements: Option<Arc<Requirements>>,
    /// It admits what nothing else does, so that it can be told what would be denied.
    pub is_audit: bool,
}

impl Authorization {
    /// By network and proof alone. The default policy `audit` is known by its name, as Linkerd's control plane sends it.
    #[must_use]
    pub fn new(metadata: Metadata, networks: Vec<Network>, authentication: Authentication) -> Self {
        let is_audit = matches!(&metadata, Metadata::Default(name) if **name == *"audit");
        Self { metadata, networks, authentication, requirements: None, is_audit }
    }
}

/// A network without its exceptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Included.
    pub net: Cidr,
    /// Excluded again.
    pub except: Vec<Cidr>,
}

/// An address prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// Any address within it.
    pub addr: IpAddr,
    /// Leading bits that count: 0..=32 or 0..=128.
    pub prefix_len: u8,
}

/// `inbound.Authn`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Nothing need be proven.
    Unauthenticated,
    /// Mesh TLS, with or without a client certificate.
    TlsUnauthenticated,
    /// Mesh TLS with one of these identities.
    TlsIdentities {
        /// Exact identities.
        identities: Vec<Identity>,
        /// Suffixes of DNS-like identities, as labels from the left (`*.prod.…` is `["prod", …]`); empty: every identity.
        suffixes: Vec<Vec<Arc<str>>>,
    },
}
