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
use crate::requirement::{Requirements, Unmet};
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

/// Nobody on the lists is this client: a closed connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("client is not authorized")]
pub struct Denied;

/// A request that may go on, or may if somebody else says so.
#[derive(Debug)]
pub enum Judged<'p, M> {
    /// Admitted.
    Admitted(Admitted<'p, M>),
    /// Some service must be asked: the first of these that is content admits it, else `audit` does, if there is one.
    Asks {
        /// What is met but for the asking, in order.
        asks: Vec<Admitted<'p, M>>,
        /// Admits whatever is said.
        audit: Option<&'p Authorization>,
        /// Why nothing else admits it.
        unmet: Unmet,
    },
}

/// An authorization and how its requirements are met.
#[derive(Debug)]
pub struct Admitted<'p, M> {
    /// The authorization.
    pub by: &'p Authorization,
    /// What its requirements brought to light; `None` if it has none.
    pub met: Option<M>,
    /// Why the request would have been denied, but for an audit.
    pub audited: Option<Unmet>,
}

/// Services asked about one request, at most: each of them delays it.
const ASKS_MAX: usize = 4;

/// Judges a request on a matched route, and names the authorization that admits it.
///
/// A route's own authorizations extend the server's (`inbound.HttpRoute.authorizations`); they are asked first. One that
/// needs nobody's word goes before those that do. An audit comes last, whatever its place. `meets` judges requirements,
/// all but asking another service.
///
/// # Errors
/// [`Unmet`]: none admits the request.
pub fn request<'p, M>(
    policy: &'p InboundPolicy,
    route: &'p RouteAuthorizations,
    client: &Client<'_>,
    mut meets: impl FnMut(&'p Requirements) -> Result<M, Unmet>,
) -> Result<Judged<'p, M>, Unmet> {
    let (mut asks, mut audit, mut unmet) = (Vec::new(), None, Unmet::Client);
    for by in route.0.iter().chain(policy.authorizations.iter()).filter(|one| admits(one, client)) {
        if by.is_audit {
            audit = audit.or(Some(by));
            continue;
        }
        let Some(requirements) = &by.requirements else {
            return Ok(Judged::Admitted(Admitted { by, met: None, audited: None }));
        };
        match meets(requirements) {
            Err(why) => unmet = unmet.max(why),
            Ok(met) => {
                let admitted = Admitted { by, met: Some(met), audited: None };
                if requirements.external.is_none() {
                    return Ok(Judged::Admitted(admitted));
                }
                asks.push(admitted);
            }
        }
    }
    asks.truncate(ASKS_MAX);
    if !asks.is_empty() {
        return Ok(Judged::Asks { asks, audit, unmet });
    }
    match audit {
        Some(by) => Ok(Judged::Admitted(Admitted { by, met: None, audited: Some(unmet) })),
        None => Err(unmet),
    }
}

/// Judges a connection whose bytes are not looked at, and names the authorization that admits it.
///
/// # Errors
/// [`Denied`]: none admits the client.
pub fn connection<'p>(policy: &'p InboundPolicy, client: &Client<'_>) -> Result<&'p Authorization, Denied> {
    // Bytes have no headers and no token: what requires them admits no bytes.
    let admitting = |one: &&Authorization| one.requirements.is_none() && admits(one, client);
    let mut all = policy.authorizations.iter().filter(admitting);
    let first = all.next().ok_or(Denied)?;
    // An audit comes last, whatever its place.
    Ok(if first.is_audit { all.find(|one| !one.is_audit).unwrap_or(first) } else { first })
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
pub fn undetected<'p>(policy: &'p InboundPolicy, client: &Client<'_>) -> Result<&'p Authorization, Denied> {
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

/// Whether requests are judged by more than their route and their client, so that bytes must not pass for them.
#[must_use]
pub fn has_requirements(policy: &InboundPolicy) -> bool {
    policy.authorizations.iter().any(|one| one.requirements.is_some())
}

/// The authorization that every server has besides those of the control plane: a workload may always reach itself
/// over its loopback address, as under Linkerd. `control` appends it to [`InboundPolicy::authorizations`].
#[must_use]
pub fn localhost() -> Authorization {
    let host = |addr: IpAddr, prefix_len| Network { net: Cidr { addr, prefix_len }, except: Vec::new() };
    Authorization::new(
        Metadata::Default(Arc::from("localhost")),
        vec![host(Ipv4Addr::LOCALHOST.into(), 32), host(Ipv6Addr::LOCALHOST.into(), 128)],
        Authentication::Unauthenticated,
    )
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
