//! What holds where the control plane has never said anything: after the first-answer limit, and only then.
//!
//! Inbound: the configured default policy. Outbound: an address outside the cluster's networks is reached as the
//! application asked; one inside is refused, because it may belong to a workload that must be spoken to in mTLS
//! (docs/decisions/0005-unknown-policy.md).

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hauberk_model::endpoint::{Endpoint, Labels};
use hauberk_model::inbound::{
    Authentication, Authorization, Cidr, InboundPolicy, InboundProtocol, Network, RouteAuthorizations,
};
use hauberk_model::metadata::Metadata;
use hauberk_model::outbound::{
    Allowance, Backend, BackendKind, Distribution, HttpPolicy, OpaquePolicy, OpaqueRefusal, OpaqueRoute,
    OutboundProtocol, RouteBackend,
};
use hauberk_model::route::{HttpRoute, HttpRule};

use crate::convert::outbound::{
    Backends, DECAY, DEFAULT_RTT, DETECT_WITHIN, FAILFAST_WITHIN, QUEUE_CAPACITY, target,
};

/// `INBOUND_DEFAULT_POLICY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultPolicy {
    /// Nobody.
    Deny,
    /// Everybody.
    AllUnauthenticated,
    /// Everybody with a mesh identity.
    AllAuthenticated,
    /// Everybody within the cluster's networks.
    ClusterUnauthenticated,
    /// Everybody within the cluster's networks with a mesh identity.
    ClusterAuthenticated,
    /// Everybody, and metrics say that it was by audit.
    Audit,
}

impl DefaultPolicy {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::AllUnauthenticated => "all-unauthenticated",
            Self::AllAuthenticated => "all-authenticated",
            Self::ClusterUnauthenticated => "cluster-unauthenticated",
            Self::ClusterAuthenticated => "cluster-authenticated",
            Self::Audit => "audit",
        }
    }

    /// The policy of any port under this default.
    #[must_use]
    pub fn policy(self, cluster_networks: &[Cidr]) -> InboundPolicy {
        let everybody = Authentication::Unauthenticated;
        let proven = Authentication::TlsIdentities { identities: Vec::new(), suffixes: vec![Vec::new()] };
        let permitted = match self {
            Self::Deny => None,
            Self::AllUnauthenticated | Self::Audit => Some((everywhere(), everybody)),
            Self::AllAuthenticated => Some((everywhere(), proven)),
            Self::ClusterUnauthenticated => Some((cluster_networks.to_vec(), everybody)),
            Self::ClusterAuthenticated => Some((cluster_networks.to_vec(), proven)),
        };
        let metadata = Metadata::Default(self.name().into());
        let authorization = permitted.map(|(networks, authentication)| {
            let networks = networks.into_iter().map(|net| Network { net, except: Vec::new() }).collect();
            Authorization::new(metadata.clone(), networks, authentication)
        });
        let rule =
            HttpRule { matches: Vec::new(), filters: Vec::new(), then: RouteAuthorizations(Arc::new([])) };
        let metadata_of_route = Metadata::Default("default".into());
        let route = HttpRoute { metadata: metadata_of_route, hosts: Vec::new(), rules: vec![rule] };
        InboundPolicy {
            generation: 1,
            server: metadata,
            protocol: InboundProtocol::Detect { timeout: DETECT_WITHIN, routes: Arc::new([route]) },
            authorizations: authorization.into_iter().collect(),
            limits: Arc::new([]),
            labels: Labels::from([]),
        }
    }
}

impl FromStr for DefaultPolicy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let all = [
            Self::Deny,
            Self::AllUnauthenticated,
            Self::AllAuthenticated,
            Self::ClusterUnauthenticated,
            Self::ClusterAuthenticated,
            Self::Audit,
        ];
        let known = all.into_iter().find(|policy| policy.name() == text);
        known.ok_or("must be deny, all-unauthenticated, all-authenticated, cluster-unauthenticated, cluster-authenticated or audit")
    }
}

fn everywhere() -> Vec<Cidr> {
    let any = |addr: IpAddr| Cidr { addr, prefix_len: 0 };
    vec![any(std::net::Ipv4Addr::UNSPECIFIED.into()), any(std::net::Ipv6Addr::UNSPECIFIED.into())]
}

/// Whether `ip` is in one of `networks`.
#[must_use]
pub fn within(networks: &[Cidr], ip: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(ip))
}

/// The address as the application asked for it, in plaintext.
pub(crate) fn original(to: SocketAddr, backends: &mut Backends) -> OutboundProtocol {
    detect(&first(backends, Metadata::Default("original-dst".into()), BackendKind::OriginalDestination(to)))
}

/// A workload's own address.
pub(crate) fn forward(endpoint: &Arc<Endpoint>, backends: &mut Backends) -> OutboundProtocol {
    detect(&first(backends, Metadata::Default("endpoint".into()), BackendKind::Forward(Arc::clone(endpoint))))
}

/// A service of which only the name is known.
pub(crate) fn balance(authority: Arc<str>, parent: Metadata, backends: &mut Backends) -> OutboundProtocol {
    detect(&first(backends, parent, balanced(authority)))
}

/// Several authorities by weight.
pub(crate) fn split<'a>(
    shares: impl IntoIterator<Item = (&'a Arc<str>, u32, &'a Metadata)>,
    backends: &mut Backends,
) -> OutboundProtocol {
    let share = |(authority, weight, metadata): (&Arc<str>, u32, &Metadata)| {
        let backend = backend(metadata.clone(), balanced(Arc::clone(authority)));
        (RouteBackend { backend: backends.intern(backend), filters: Vec::new() }, weight)
    };
    detect(&Distribution::RandomAvailable(shares.into_iter().map(share).collect()))
}

/// Nothing may be sent: 500 for HTTP, a closed connection for bytes.
pub(crate) fn refuse(reason: &str) -> OutboundProtocol {
    let mut refused = detect(&Distribution::Empty);
    if let OutboundProtocol::Detect { opaque, .. } = &mut refused {
        let route = OpaqueRoute {
            metadata: Metadata::Default("refused".into()),
            target: Arc::new(target(Distribution::Empty)),
            refusal: Some(OpaqueRefusal::Invalid(reason.into())),
        };
        opaque.routes = Arc::new([route]);
    }
    refused
}

fn first(backends: &mut Backends, metadata: Metadata, kind: BackendKind) -> Distribution {
    let backend = backends.intern(backend(metadata, kind));
    Distribution::FirstAvailable(Arc::new([RouteBackend { backend, filters: Vec::new() }]))
}

fn backend(metadata: Metadata, kind: BackendKind) -> Backend {
    Backend {
        metadata,
        kind,
        failfast_timeout: FAILFAST_WITHIN,
        queue_capacity: QUEUE_CAPACITY,
        allowance: Allowance::default(),
        hashing: None,
    }
}

fn balanced(authority: Arc<str>) -> BackendKind {
    BackendKind::Balance { authority, default_rtt: DEFAULT_RTT, decay: DECAY, penalty: None }
}

/// One default route per protocol, all to `distribution`.
fn detect(distribution: &Distribution) -> OutboundProtocol {
    let to = Arc::new(target(distribution.clone()));
    let http = |name: &str| {
        let rule = HttpRule { matches: Vec::new(), filters: Vec::new(), then: Arc::clone(&to) };
        let metadata = Metadata::Default(name.into());
        HttpPolicy {
            routes: Arc::new([HttpRoute { metadata, hosts: Vec::new(), rules: vec![rule] }]),
            failure_accrual: None,
        }
    };
    let metadata = Metadata::Default("opaque".into());
    let opaque = OpaqueRoute { metadata, target: Arc::clone(&to), refusal: None };
    OutboundProtocol::Detect {
        timeout: Duration::from_secs(10),
        http1: http("http"),
        http2: http("http"),
        opaque: OpaquePolicy { routes: Arc::new([opaque]) },
        tls: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deny_admits_nobody_and_authenticated_asks_for_a_proof() {
        let networks = [Cidr { addr: [10, 0, 0, 0].into(), prefix_len: 8 }];
        assert!(DefaultPolicy::Deny.policy(&networks).authorizations.is_empty());
        let cluster = DefaultPolicy::ClusterAuthenticated.policy(&networks);
        assert_eq!(cluster.authorizations.len(), 1);
        assert_eq!(cluster.authorizations[0].networks[0].net, networks[0]);
        let Authentication::TlsIdentities { identities, suffixes } =
            &cluster.authorizations[0].authentication
        else {
            panic!("no proof asked for");
        };
        assert!(identities.is_empty() && suffixes == &[Vec::<Arc<str>>::new()]);
        assert_eq!("deny".parse(), Ok(DefaultPolicy::Deny));
        assert!("allow".parse::<DefaultPolicy>().is_err());
    }

    #[test]
    fn an_address_is_within_a_network_that_shares_its_prefix() {
        let nets = [
            Cidr { addr: [10, 0, 0, 0].into(), prefix_len: 8 },
            Cidr { addr: "fd00::".parse().expect("address"), prefix_len: 8 },
        ];
        assert!(within(&nets, [10, 255, 0, 1].into()));
        assert!(!within(&nets, [11, 0, 0, 1].into()));
        assert!(within(&nets, "fd12::1".parse().expect("address")));
        assert!(!within(&nets, "fe80::1".parse().expect("address")));
        assert!(within(&[Cidr { addr: [0, 0, 0, 0].into(), prefix_len: 0 }], [1, 2, 3, 4].into()));
    }
}
