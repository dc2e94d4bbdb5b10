//! Requests that leave the mesh: their Host must agree with the connection that carries them.
//!
//! The proxy judges a request by the Host that it names, and sends it to the address that the application dialled. Where
//! routes allow by Host, one that plainly belongs to another connection is refused. Whether a *name* is that of the
//! address cannot be seen without asking a resolver that the application may also deceive, and is not judged.

use std::net::{IpAddr, SocketAddr};

use hauberk_model::matching::{RequestView, host_of};
use hauberk_model::metadata::Metadata;
use hauberk_model::outbound::{OutboundPolicy, OutboundProtocol};
use hauberk_model::status::Failure;

use super::plan::Rule;
use crate::heads::RequestMeta;
use crate::respond::Synthesised;

/// Whether `parent` speaks for addresses outside of the mesh.
fn is_egress(parent: &Metadata) -> bool {
    parent.kind() == "EgressNetwork"
}

/// Whether `route` is what an EgressNetwork does where none of its routes holds.
pub(super) fn is_default(parent: &Metadata, route: &Metadata) -> bool {
    is_egress(parent) && matches!(route, Metadata::Default(_))
}

/// The answer of a rule's filters, by its own code where an EgressNetwork refuses by default.
pub(super) fn answer(rule: &Rule, answer: Synthesised) -> Synthesised {
    let refuses = matches!(answer.failure(), Failure::InjectedHttp(_) | Failure::InjectedGrpc(_));
    if refuses && rule.is_egress_default { answer.counted_as(Failure::EgressDenied) } else { answer }
}

/// What requests of one EgressNetwork are held to.
pub(super) struct Egress {
    /// Whether a route names hosts, so that the Host decides about a door.
    judges_host: bool,
}

impl Egress {
    /// `None`: the destination is within the mesh.
    pub(super) fn of(policy: &OutboundPolicy) -> Option<Self> {
        is_egress(&policy.parent).then(|| Self { judges_host: names_hosts(&policy.protocol) })
    }

    /// Whether a request may go on to `meant`, as far as its Host is concerned.
    pub(super) fn judge(&self, head: &RequestMeta, meant: SocketAddr) -> Result<(), Failure> {
        if !self.judges_host || agrees(head.authority(), meant) { Ok(()) } else { Err(Failure::EgressHost) }
    }
}

fn names_hosts(protocol: &OutboundProtocol) -> bool {
    match protocol {
        OutboundProtocol::Detect { http1, http2, .. } => {
            [http1, http2].iter().any(|http| http.routes.iter().any(|route| !route.hosts.is_empty()))
        }
        OutboundProtocol::Http1(http) | OutboundProtocol::Http2(http) => {
            http.routes.iter().any(|route| !route.hosts.is_empty())
        }
        OutboundProtocol::Grpc(grpc) => grpc.routes.iter().any(|route| !route.hosts.is_empty()),
        OutboundProtocol::Opaque(_) | OutboundProtocol::Tls(_) => false,
    }
}

/// Whether a Host can be that of a connection to `meant`: it names somebody, a literal address is the same one, and so
/// is a port that is written out.
fn agrees(authority: &str, meant: SocketAddr) -> bool {
    let host = host_of(authority);
    if host.is_empty() {
        return false;
    }
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if literal.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical() != meant.ip().to_canonical()) {
        return false;
    }
    let port =
        authority.rsplit_once(':').filter(|(before, _)| !before.contains(':') || before.ends_with(']'));
    match port {
        Some((_, port)) => port.is_empty() || port.parse() == Ok(meant.port()),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_is_plainly_another_connections_does_not_agree() {
        let meant = "192.0.2.1:80".parse().unwrap();
        for host in ["a.test", "a.test:80", "a.test:", "192.0.2.1", "192.0.2.1:80", "A.TEST."] {
            assert!(agrees(host, meant), "{host}");
        }
        for host in ["", ":80", "a.test:81", "192.0.2.2", "[::1]", "::1", "a.test:x", "a.test:99999"] {
            assert!(!agrees(host, meant), "{host}");
        }
        let six = "[2001:db8::1]:8080".parse().unwrap();
        assert!(agrees("[2001:db8::1]:8080", six) && agrees("[2001:db8::1]", six));
        assert!(!agrees("[2001:db8::2]:8080", six) && !agrees("[2001:db8::1]:80", six));
    }
}
