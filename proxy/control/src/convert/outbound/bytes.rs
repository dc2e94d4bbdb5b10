//! Routes of bytes and of TLS.

use std::sync::Arc;

use hauberk_model::outbound::{
    Distribution, OpaquePolicy, OpaqueRefusal, OpaqueRoute, RouteBackend, RouteTarget, TlsPolicy, TlsRoute,
};
use hauberk_model::route::Filter;
use linkerd2_proxy_api::outbound as proto;
use prost::Message;

use super::{Malformed, Reader, matches, metadata, paired, target};
use crate::extension::proto as extension;

impl Reader<'_> {
    pub(super) fn opaque(
        &mut self,
        routes: Vec<proto::OpaqueRoute>,
        overlay: Option<extension::OutboundBytesOverlay>,
    ) -> Result<OpaquePolicy, Malformed> {
        let routes = paired(routes, overlay.unwrap_or_default().routes);
        let read = |(route, overlay): (proto::OpaqueRoute, extension::BytesRouteOverlay)| {
            let mut rules = Vec::with_capacity(route.rules.len());
            for (rule, overlay) in paired(route.rules, overlay.rules) {
                let filter =
                    |(filter, _): (proto::opaque_route::Filter, extension::OutboundFilterOverlay)| {
                        Ok(Filter::Unknown(reason(&opaque_refusal(filter))))
                    };
                let distribution = distribution!(
                    self,
                    rule.backends,
                    overlay.backends,
                    proto::opaque_route::distribution::Kind,
                    filter
                )?;
                rules.push((distribution, rule.filters.into_iter().next().map(opaque_refusal)));
            }
            let Merged { target, refusal } = merged(rules)?;
            Ok(OpaqueRoute { metadata: metadata(route.metadata), target, refusal })
        };
        Ok(OpaquePolicy { routes: routes.map(read).collect::<Result<_, _>>()? })
    }

    pub(super) fn tls(
        &mut self,
        tls: proto::proxy_protocol::Tls,
        overlay: Option<extension::OutboundBytesOverlay>,
    ) -> Result<TlsPolicy, Malformed> {
        let routes =
            paired(tls.routes, overlay.unwrap_or_default().routes).map(|route| self.tls_route(route));
        Ok(TlsPolicy { routes: routes.collect::<Result<_, _>>()? })
    }

    /// The TLS routes beside detection, which are our extension.
    pub(super) fn detected_tls(&mut self, encoded: Option<&[u8]>) -> Result<Option<TlsPolicy>, Malformed> {
        let Some(encoded) = encoded else { return Ok(None) };
        let unreadable = |error: prost::DecodeError| Malformed::unreadable("detected TLS", error);
        let tls = proto::proxy_protocol::Tls::decode(encoded).map_err(unreadable)?;
        let overlay = extension::OutboundBytesOverlay::decode(encoded).map_err(unreadable)?;
        self.tls(tls, Some(overlay)).map(Some)
    }

    fn tls_route(
        &mut self,
        (route, overlay): (proto::TlsRoute, extension::BytesRouteOverlay),
    ) -> Result<TlsRoute, Malformed> {
        let mut rules = Vec::with_capacity(route.rules.len());
        for (rule, overlay) in paired(route.rules, overlay.rules) {
            let filter = |(filter, _): (proto::tls_route::Filter, extension::OutboundFilterOverlay)| {
                Ok(Filter::Unknown(reason(&tls_refusal(filter))))
            };
            let distribution = distribution!(
                self,
                rule.backends,
                overlay.backends,
                proto::tls_route::distribution::Kind,
                filter
            )?;
            rules.push((distribution, rule.filters.into_iter().next().map(tls_refusal)));
        }
        let Merged { target, refusal } = merged(rules)?;
        let snis = matches::snis(route.snis)?;
        Ok(TlsRoute { metadata: metadata(route.metadata), snis, target, refusal })
    }
}

struct Merged {
    target: Arc<RouteTarget>,
    refusal: Option<OpaqueRefusal>,
}

/// Rules for bytes have nothing to tell them apart, so all of them are one: weights add up, and one that refuses
/// refuses for all.
fn merged(rules: Vec<(Distribution, Option<OpaqueRefusal>)>) -> Result<Merged, Malformed> {
    let mut distributions = Vec::with_capacity(rules.len());
    let mut refusal = None;
    for (distribution, refused) in rules {
        distributions.push(distribution);
        refusal = refusal.or(refused);
    }
    let distribution = match distributions.len() {
        0 => return Err(Malformed::Missing("rule of a route")),
        1 => distributions.pop().unwrap_or(Distribution::Empty),
        _ => Distribution::RandomAvailable(distributions.iter().flat_map(weighted).collect()),
    };
    Ok(Merged { target: Arc::new(target(distribution)), refusal })
}

fn weighted(distribution: &Distribution) -> Vec<(RouteBackend, u32)> {
    match distribution {
        Distribution::Empty => Vec::new(),
        Distribution::FirstAvailable(backends) => {
            backends.iter().take(1).map(|backend| (backend.clone(), 1)).collect()
        }
        Distribution::RandomAvailable(backends) => backends.to_vec(),
    }
}

fn opaque_refusal(filter: proto::opaque_route::Filter) -> OpaqueRefusal {
    use proto::opaque_route::filter::Kind;
    match filter.kind {
        Some(Kind::Invalid(invalid)) => OpaqueRefusal::Invalid(invalid.message.into()),
        Some(Kind::Forbidden(_)) => OpaqueRefusal::Forbidden,
        None => unknown_refusal(),
    }
}

fn tls_refusal(filter: proto::tls_route::Filter) -> OpaqueRefusal {
    use proto::tls_route::filter::Kind;
    match filter.kind {
        Some(Kind::Invalid(invalid)) => OpaqueRefusal::Invalid(invalid.message.into()),
        Some(Kind::Forbidden(_)) => OpaqueRefusal::Forbidden,
        None => unknown_refusal(),
    }
}

fn unknown_refusal() -> OpaqueRefusal {
    OpaqueRefusal::Invalid("the control plane sent a filter that this proxy does not know".into())
}

/// What a backend's own filter says; bytes have no filter that passes them.
fn reason(refusal: &OpaqueRefusal) -> Arc<str> {
    match refusal {
        OpaqueRefusal::Invalid(reason) => Arc::clone(reason),
        OpaqueRefusal::Forbidden => Arc::from("the backend is forbidden"),
    }
}
