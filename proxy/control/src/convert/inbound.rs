//! Inbound policies (`inbound.Server`).

use std::sync::Arc;
use std::time::Duration;

use hauberk_model::identity::Identity;
use hauberk_model::inbound::{
    Authentication, Authorization, Cidr, InboundPolicy, InboundProtocol, Network, RouteAuthorizations,
};
use hauberk_model::metadata::{Metadata, Resource};
use hauberk_model::requirement::Requirements;
use hauberk_model::route::{GrpcRoute, GrpcRule, HttpRoute, HttpRule};
use linkerd2_proxy_api::inbound as proto;
use linkerd2_proxy_api::net;

use super::{Malformed, authz, duration, filters, ip_address, labels, limits, matches, metadata};
use crate::extension::{Extended, paired, proto as extension};
use crate::quota::Quotas;

/// Detection timeout where the control plane gives none, as the peer has it.
const DETECT_WITHIN: Duration = Duration::from_secs(10);

/// Reads the policy of a port. Its generation is the caller's to set.
///
/// # Errors
/// [`Malformed`] if it cannot be understood as a whole.
pub fn policy(
    answer: Extended<proto::Server, extension::ServerOverlay>,
    quotas: &Quotas,
) -> Result<InboundPolicy, Malformed> {
    use proto::proxy_protocol::Kind;
    let Extended { message: proto, overlay } = answer;
    let within = overlay.protocol.unwrap_or_default();
    let labels = labels(proto.labels);
    let kind = proto.protocol.and_then(|protocol| protocol.kind).ok_or(Malformed::Missing("protocol"))?;
    let mut linkerd = (None, None);
    let protocol = match kind {
        Kind::Detect(detect) => {
            let overlay = within.detect.unwrap_or_default();
            linkerd = (detect.http_local_rate_limit, overlay.http_local_rate_limit);
            let timeout = detect.timeout.map(|timeout| duration("detection timeout", timeout));
            InboundProtocol::Detect {
                timeout: timeout.transpose()?.unwrap_or(DETECT_WITHIN),
                routes: http_routes(detect.http_routes, overlay.http_routes)?,
            }
        }
        Kind::Http1(http) => {
            let overlay = within.http1.unwrap_or_default();
            linkerd = (http.local_rate_limit, overlay.local_rate_limit);
            InboundProtocol::Http1 { routes: http_routes(http.routes, overlay.routes)? }
        }
        Kind::Http2(http) => {
            let overlay = within.http2.unwrap_or_default();
            linkerd = (http.local_rate_limit, overlay.local_rate_limit);
            InboundProtocol::Http2 { routes: http_routes(http.routes, overlay.routes)? }
        }
        Kind::Grpc(grpc) => {
            let overlay = within.grpc.unwrap_or_default();
            InboundProtocol::Grpc { routes: grpc_routes(grpc.routes, overlay.routes)? }
        }
        Kind::Opaque(_) => InboundProtocol::Opaque,
        Kind::Tls(_) => InboundProtocol::Tls,
    };
    let extension = overlay.extension.unwrap_or_default();
    let own = extension.rate_limits.into_iter().map(|limit| limits::extended(limit, quotas));
    let limits = limits::linkerd(linkerd.0, linkerd.1).transpose().into_iter().chain(own);
    Ok(InboundPolicy {
        generation: 0,
        server: server(&labels),
        protocol,
        authorizations: authorizations(proto.authorizations, overlay.authorizations)?,
        limits: limits.collect::<Result<_, _>>()?,
        labels,
    })
}

/// The message has no metadata of its own: `group`, `kind` and `name` are among its labels.
fn server(labels: &[(Arc<str>, Arc<str>)]) -> Metadata {
    let label = |wanted: &str| {
        let found = labels.iter().find(|(name, _)| name.as_ref() == wanted);
        found.map(|(_, value)| Arc::clone(value)).unwrap_or_default()
    };
    match label("kind").as_ref() {
        "" | "default" => Metadata::Default(label("name")),
        _ => Metadata::Resource(Arc::new(Resource {
            group: label("group"),
            kind: label("kind"),
            name: label("name"),
            ..Resource::default()
        })),
    }
}

fn http_routes(
    proto: Vec<proto::HttpRoute>,
    overlays: Vec<extension::InboundRouteOverlay>,
) -> Result<Arc<[HttpRoute<RouteAuthorizations>]>, Malformed> {
    let read = |(route, overlay): (proto::HttpRoute, extension::InboundRouteOverlay)| {
        let then = RouteAuthorizations(authorizations(route.authorizations, overlay.authorizations)?);
        let rule = |(rule, overlay): (proto::http_route::Rule, extension::InboundRuleOverlay)| {
            Ok(HttpRule {
                matches: rule.matches.into_iter().map(matches::http).collect::<Result<_, _>>()?,
                filters: paired(rule.filters, overlay.filters)
                    .map(filters::inbound_http)
                    .collect::<Result<_, _>>()?,
                then: then.clone(),
            })
        };
        Ok(HttpRoute {
            metadata: metadata(route.metadata),
            hosts: matches::hosts(route.hosts)?,
            rules: paired(route.rules, overlay.rules).map(rule).collect::<Result<_, _>>()?,
        })
    };
    paired(proto, overlays).map(read).collect()
}

fn grpc_routes(
    proto: Vec<proto::GrpcRoute>,
    overlays: Vec<extension::InboundRouteOverlay>,
) -> Result<Arc<[GrpcRoute<RouteAuthorizations>]>, Malformed> {
    let read = |(route, overlay): (proto::GrpcRoute, extension::InboundRouteOverlay)| {
        let then = RouteAuthorizations(authorizations(route.authorizations, overlay.authorizations)?);
        let rule = |(rule, overlay): (proto::grpc_route::Rule, extension::InboundRuleOverlay)| {
            Ok(GrpcRule {
                matches: paired(rule.matches, overlay.extension.unwrap_or_default().grpc_methods)
                    .map(matches::grpc)
                    .collect::<Result<_, _>>()?,
                filters: paired(rule.filters, overlay.filters)
                    .map(filters::inbound_grpc)
                    .collect::<Result<_, _>>()?,
                then: then.clone(),
            })
        };
        Ok(GrpcRoute {
            metadata: metadata(route.metadata),
            hosts: matches::hosts(route.hosts)?,
            rules: paired(route.rules, overlay.rules).map(rule).collect::<Result<_, _>>()?,
        })
    };
    paired(proto, overlays).map(read).collect()
}

/// An authorization that names no network or proof that we know admits nobody, so it is left out (`inbound.Authz`).
fn authorizations(
    proto: Vec<proto::Authz>,
    overlays: Vec<extension::AuthzOverlay>,
) -> Result<Arc<[Authorization]>, Malformed> {
    let mut known = Vec::with_capacity(proto.len());
    for (authz, overlay) in paired(proto, overlays) {
        let Some((authentication, requirements)) = proof(authz.authentication, overlay.extension)? else {
            continue;
        };
        let networks = authz.networks.into_iter().map(network).collect::<Result<Vec<_>, _>>()?;
        if networks.is_empty() {
            continue;
        }
        let metadata = match authz.metadata {
            Some(given) => metadata(Some(given)),
            None => server(&labels(authz.labels)),
        };
        let authorization = Authorization::new(metadata, networks, authentication);
        known.push(Authorization { requirements, ..authorization });
    }
    Ok(known.into())
}

/// Who the client must be, and what else is required; `None`: nobody is admitted. An extension stands for the message's
/// own authentication, which admits nobody.
#[expect(clippy::type_complexity, reason = "read once, where it is called")]
fn proof(
    authn: Option<proto::Authn>,
    extension: Option<extension::AuthzExtension>,
) -> Result<Option<(Authentication, Option<Arc<Requirements>>)>, Malformed> {
    let Some(extension) = extension else {
        return Ok(authentication(authn)?.map(|authentication| (authentication, None)));
    };
    match authz::read(extension) {
        Ok((authentication, requirements)) => Ok(Some((authentication, Some(Arc::new(requirements))))),
        Err(error) => {
            log::warn!(error:%; "an authorization cannot be judged and admits nobody");
            Ok(None)
        }
    }
}

fn authentication(proto: Option<proto::Authn>) -> Result<Option<Authentication>, Malformed> {
    use proto::authn::Permit;
    use proto::authn::permit_mesh_tls::Clients;
    let clients = match proto.and_then(|authn| authn.permit) {
        None => return Ok(None),
        Some(Permit::Unauthenticated(_)) => return Ok(Some(Authentication::Unauthenticated)),
        Some(Permit::MeshTls(tls)) => tls.clients,
    };
    Ok(match clients {
        None => None,
        Some(Clients::Unauthenticated(_)) => Some(Authentication::TlsUnauthenticated),
        Some(Clients::Identities(permitted)) => Some(Authentication::TlsIdentities {
            identities: identities(permitted.identities)?,
            suffixes: permitted
                .suffixes
                .into_iter()
                .map(|suffix| suffix.parts.iter().map(|part| part.to_ascii_lowercase().into()).collect())
                .collect(),
        }),
    })
}

fn identities(proto: Vec<proto::Identity>) -> Result<Vec<Identity>, Malformed> {
    let read = |identity: proto::Identity| {
        Identity::parse(&identity.name).map_err(|error| Malformed::unreadable("identity", error))
    };
    proto.into_iter().map(read).collect()
}

fn network(proto: proto::Network) -> Result<Network, Malformed> {
    let net = proto.net.ok_or(Malformed::Missing("network"))?;
    Ok(Network { net: cidr(net)?, except: proto.except.into_iter().map(cidr).collect::<Result<_, _>>()? })
}

fn cidr(proto: net::IpNetwork) -> Result<Cidr, Malformed> {
    let addr = proto.ip.ok_or(Malformed::Missing("network")).and_then(|ip| ip_address("network", ip))?;
    let bits = if addr.is_ipv4() { 32 } else { 128 };
    let prefix_len = u8::try_from(proto.prefix_len).ok().filter(|len| *len <= bits);
    Ok(Cidr { addr, prefix_len: prefix_len.ok_or(Malformed::Range("network prefix"))? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authz(permit: Option<proto::authn::Permit>, networks: Vec<proto::Network>) -> proto::Authz {
        proto::Authz { networks, authentication: Some(proto::Authn { permit }), ..Default::default() }
    }

    fn everywhere() -> Vec<proto::Network> {
        let net = net::IpNetwork { ip: Some([0, 0, 0, 0].into()), prefix_len: 0 };
        vec![proto::Network { net: Some(net), except: vec![] }]
    }

    fn unauthenticated() -> Option<proto::authn::Permit> {
        Some(proto::authn::Permit::Unauthenticated(proto::authn::PermitUnauthenticated {}))
    }

    #[test]
    fn an_authorization_of_unknown_kind_or_without_network_admits_nobody() {
        assert_eq!(
            authorizations(vec![authz(unauthenticated(), everywhere())], vec![]).expect("read").len(),
            1
        );
        assert_eq!(authorizations(vec![authz(None, everywhere())], vec![]).expect("read").len(), 0);
        assert_eq!(authorizations(vec![authz(unauthenticated(), vec![])], vec![]).expect("read").len(), 0);
        let tls = proto::authn::PermitMeshTls { clients: None };
        let unknown = authz(Some(proto::authn::Permit::MeshTls(tls)), everywhere());
        assert_eq!(authorizations(vec![unknown], vec![]).expect("read").len(), 0);
    }

    #[test]
    fn an_unknown_protocol_is_refused() {
        assert_eq!(
            policy(Extended::default(), &Quotas::default()).err(),
            Some(Malformed::Missing("protocol"))
        );
    }

    #[test]
    fn a_prefix_longer_than_its_address_is_refused() {
        let net = net::IpNetwork { ip: Some([10, 0, 0, 0].into()), prefix_len: 33 };
        assert_eq!(cidr(net), Err(Malformed::Range("network prefix")));
    }
}
