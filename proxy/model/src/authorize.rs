//! Who may connect, and who may use a route (`inbound.Authz`).
//!
//! HTTP and gRPC are judged per request: the route must be found, and the route's own list or the server's
//! must admit the client ([`request`]). Bytes are judged per connection by the server's list
//! ([`connection`]), again whenever the policy changes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::identity::Identity;
use crate::inbound::{
    Authentication, Authorization, Cidr, InboundPolicy, InboundProtocol, Network, RouteAuthorizations,
};
use crate::metadata::Metadata;
use crate::route::HttpRoute;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// The other end of the connection.
    pub addr: SocketAddr,
    /// What it has proven.
    pub tls: Tls<'a>,
}

/// What a client has proven about itself on this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls<'a> {
    /// No mesh TLS: plaintext, or TLS of the application's own.
    None,
    /// Mesh TLS without a client certificate.
    Unauthenticated,
    /// Mesh TLS with this verified identity.
    Peer(&'a Identity),
}

/// Nobody on the lists is this client: 403, PERMISSION_DENIED, or a closed connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("client is not authorized")]
pub struct Denied;

/// Judges a request on a matched route, and names the authorization that admits it.
///
/// A route's own authorizations extend the server's (`inbound.HttpRoute.authorizations`); they are asked first.
///
/// # Errors
/// [`Denied`]: none admits the client.
pub fn request<'p>(
    policy: &'p InboundPolicy,
    route: &'p RouteAuthorizations,
    client: &Client<'_>,
) -> Result<&'p Metadata, Denied> {
    let mut all = route.0.iter().chain(policy.authorizations.iter());
    all.find(|one| admits(one, client)).map(|one| &one.metadata).ok_or(Denied)
}

/// Judges a connection whose bytes are not looked at, and names the authorization that admits it.
///
/// # Errors
/// [`Denied`]: none admits the client.
pub fn connection<'p>(policy: &'p InboundPolicy, client: &Client<'_>) -> Result<&'p Metadata, Denied> {
    policy.authorizations.iter().find(|one| admits(one, client)).map(|one| &one.metadata).ok_or(Denied)
}

/// Judges a connection on which protocol detection saw no HTTP: it timed out, or the bytes are another
/// protocol's.
///
/// It is judged as bytes, unless the port has an HTTP policy. Then silence would be a way around it, and the
/// connection is refused: a port whose protocol is HTTP by declaration, one with a rate limit, or one whose
/// routes do more than let everything through.
///
/// # Errors
/// [`Denied`]: the connection must be closed.
pub fn undetected<'p>(policy: &'p InboundPolicy, client: &Client<'_>) -> Result<&'p Metadata, Denied> {
    match &policy.protocol {
        InboundProtocol::Detect { routes, .. } if !policy.limits.is_empty() || has_http_policy(routes) => {
            Err(Denied)
        }
        InboundProtocol::Http1 { .. } | InboundProtocol::Http2 { .. } | InboundProtocol::Grpc { .. } => {
            Err(Denied)
        }
        InboundProtocol::Detect { .. } | InboundProtocol::Opaque | InboundProtocol::Tls => {
            connection(policy, client)
        }
    }
}

/// Whether these routes say more than "everything, to whom the server admits": own authorizations, a host,
/// a match or a filter.
#[must_use]
pub fn has_http_policy(routes: &[HttpRoute<RouteAuthorizations>]) -> bool {
    routes.iter().any(|route| {
        !route.hosts.is_empty()
            || route.rules.iter().any(|rule| {
                !rule.then.0.is_empty()
                    || !rule.filters.is_empty()
                    || rule.matches.iter().any(crate::route::HttpMatch::tells_apart)
            })
    })
}

/// The authorization that every server has besides those of the control plane: a workload may always reach itself
/// over its loopback address, as under Linkerd. `control` appends it to [`InboundPolicy::authorizations`].
#[must_use]
pub fn localhost() -> Authorization {
    let host = |addr: IpAddr, prefix_len| Network { net: Cidr { addr, prefix_len }, except: Vec::new() };
    Authorization {
        metadata: Metadata::Default(Arc::from("localhost")),
        networks: vec![host(Ipv4Addr::LOCALHOST.into(), 32), host(Ipv6Addr::LOCALHOST.into(), 128)],
        authentication: Authentication::Unauthenticated,
    }
}

/// An authorization without networks admits nobody (`inbound.Authz.networks`).
fn admits(authorization: &Authorization, client: &Client<'_>) -> bool {
    let ip = client.addr.ip().to_canonical();
    authorization.networks.iter().any(|network| network.contains(ip))
        && authorization.authentication.is_met_by(client.tls)
}

impl Authentication {
    /// Whether a client has proven enough.
    #[must_use]
    pub fn is_met_by(&self, tls: Tls<'_>) -> bool {
        match (self, tls) {
            (Self::Unauthenticated, _) | (Self::TlsUnauthenticated, Tls::Unauthenticated | Tls::Peer(_)) => {
                true
            }
            (Self::TlsUnauthenticated, Tls::None)
            | (Self::TlsIdentities { .. }, Tls::None | Tls::Unauthenticated) => false,
            (Self::TlsIdentities { identities, suffixes }, Tls::Peer(peer)) => {
                identities.contains(peer) || suffixes.iter().any(|suffix| has_suffix(peer, suffix))
            }
        }
    }
}

/// `inbound.IdentitySuffix`: no parts match every identity; `["prod", "example"]` matches DNS-like names
/// with at least one label before `.prod.example`. A SPIFFE URI is no DNS-like name: its path is not a
/// sequence of labels, so no suffix but the empty one matches it.
fn has_suffix<P: AsRef<str>>(peer: &Identity, suffix: &[P]) -> bool {
    if suffix.is_empty() {
        return true;
    }
    if peer.is_uri() {
        return false;
    }
    let mut labels = peer.as_str().rsplit('.');
    let all = suffix
        .iter()
        .rev()
        .all(|part| labels.next().is_some_and(|label| label.eq_ignore_ascii_case(part.as_ref())));
    all && labels.next().is_some_and(|label| !label.is_empty())
}

impl Network {
    /// Whether an address is in the network and in none of its exceptions.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.net.contains(ip) && !self.except.iter().any(|except| except.contains(ip))
    }
}

impl Cidr {
    /// Whether an address has this prefix. An IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2) is the IPv4
    /// address, on both sides.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let mapped_bits = match (self.addr, self.addr.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(_)) => 96,
            _ => 0,
        };
        match (self.addr.to_canonical(), ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let bits = self.prefix_len.saturating_sub(mapped_bits);
                let differing = u32::from(net) ^ u32::from(ip);
                bits == 0 || differing.checked_shr(32_u32.saturating_sub(u32::from(bits))).unwrap_or(0) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let differing = u128::from(net) ^ u128::from(ip);
                let host_bits = 128_u32.saturating_sub(u32::from(self.prefix_len));
                self.prefix_len == 0 || differing.checked_shr(host_bits).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}
