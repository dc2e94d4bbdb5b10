//! Rate limits (`inbound.HttpLocalRateLimit` and `hauberk.proxy.v1.HttpRateLimit`).

use std::sync::Arc;

use hauberk_model::identity::Identity;
use hauberk_model::limits::{HEADER_VALUES_MAX, HeaderRate, Rate, RateLimit, Total};
use hauberk_model::metadata::{Metadata, Resource};
use linkerd2_proxy_api::inbound as proto;

use super::{Malformed, metadata};
use crate::extension::proto as extension;
use crate::quota::Quotas;

/// Linkerd's limit, unless an extended one stands for it.
pub(super) fn linkerd(
    proto: Option<proto::HttpLocalRateLimit>,
    overlay: Option<extension::RateLimitOverlay>,
) -> Result<Option<RateLimit>, Malformed> {
    let is_superseded =
        overlay.and_then(|overlay| overlay.extension).is_some_and(|extension| extension.superseded);
    let Some(proto) = proto.filter(|_| !is_superseded) else { return Ok(None) };
    let overrides = proto.overrides.into_iter().map(|one| {
        let limit = one.limit.ok_or(Malformed::Missing("rate limit of an override"))?;
        let clients = one.clients.map(|clients| clients.identities).unwrap_or_default();
        let clients = clients.iter().map(|client| identity(&client.name)).collect::<Result<_, _>>()?;
        Ok((clients, Rate::even(limit.requests_per_second)))
    });
    Ok(Some(RateLimit {
        metadata: metadata(proto.metadata),
        route: None,
        total: proto.total.map(|limit| Total::Own(Rate::even(limit.requests_per_second))),
        per_identity: proto.identity.map(|limit| Rate::even(limit.requests_per_second)),
        overrides: overrides.collect::<Result<_, _>>()?,
        header: None,
    }))
}

/// One of our own limits.
pub(super) fn extended(proto: extension::HttpRateLimit, quotas: &Quotas) -> Result<RateLimit, Malformed> {
    let overrides = proto.overrides.into_iter().map(|one| {
        let limit = one.limit.ok_or(Malformed::Missing("rate limit of an override"))?;
        let clients = one.clients.iter().map(|client| identity(client)).collect::<Result<_, _>>()?;
        Ok((clients, rate(limit)))
    });
    let total = match (proto.total.map(rate), proto.quota) {
        (None, None) => None,
        (Some(rate), None) => Some(Total::Own(rate)),
        (Some(rate), Some(quota)) => {
            Some(Total::Leased { rate, share: quotas.share(&quota.key, quota.initial_milli_per_second) })
        }
        (None, Some(_)) => return Err(Malformed::Missing("rate of a quota")),
    };
    Ok(RateLimit {
        metadata: object(proto.metadata.ok_or(Malformed::Missing("name of a rate limit"))?),
        route: proto.route.map(object),
        total,
        per_identity: proto.identity.map(rate),
        overrides: overrides.collect::<Result<_, _>>()?,
        header: proto.header.map(header).transpose()?,
    })
}

fn header(proto: extension::HttpHeaderRate) -> Result<HeaderRate, Malformed> {
    if proto.name.is_empty() || proto.name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(Malformed::Range("header of a rate limit"));
    }
    let limit = proto.limit.ok_or(Malformed::Missing("rate limit of a header"))?;
    let values_max = usize::try_from(proto.values_max).unwrap_or(HEADER_VALUES_MAX).min(HEADER_VALUES_MAX);
    Ok(HeaderRate { name: proto.name.into(), rate: rate(limit), values_max })
}

fn rate(proto: extension::HttpRate) -> Rate {
    match proto.burst {
        0 => Rate::even(proto.requests_per_second),
        burst => Rate { per_second: proto.requests_per_second, burst },
    }
}

fn identity(name: &str) -> Result<Identity, Malformed> {
    Identity::parse(name).map_err(|error| Malformed::unreadable("identity", error))
}

fn object(proto: extension::ObjectName) -> Metadata {
    Metadata::Resource(Arc::new(Resource {
        group: proto.group.into(),
        kind: proto.kind.into(),
        name: proto.name.into(),
        namespace: proto.namespace.into(),
        ..Resource::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named() -> Option<extension::ObjectName> {
        Some(extension::ObjectName { name: "limit".into(), ..Default::default() })
    }

    #[test]
    fn a_limit_that_stands_for_linkerds_replaces_it() {
        let overlay = |superseded| {
            Some(extension::RateLimitOverlay {
                extension: Some(extension::RateLimitExtension { superseded }),
            })
        };
        let given = Some(proto::HttpLocalRateLimit::default());
        assert!(linkerd(given.clone(), overlay(false)).expect("read").is_some());
        assert!(linkerd(given.clone(), None).expect("read").is_some());
        assert!(linkerd(given, overlay(true)).expect("read").is_none());
    }

    #[test]
    fn a_quota_without_its_rate_and_a_header_in_capitals_are_refused() {
        let quotas = Quotas::default();
        let quota = Some(extension::ClusterQuota { key: "a/b".into(), initial_milli_per_second: 1 });
        let bare = extension::HttpRateLimit { metadata: named(), quota, ..Default::default() };
        assert_eq!(extended(bare, &quotas), Err(Malformed::Missing("rate of a quota")));
        let limit = Some(extension::HttpRate { requests_per_second: 1, burst: 0 });
        let header = Some(extension::HttpHeaderRate { name: "X-Tenant".into(), limit, values_max: 1 });
        let shouted = extension::HttpRateLimit { metadata: named(), header, ..Default::default() };
        assert_eq!(extended(shouted, &quotas), Err(Malformed::Range("header of a rate limit")));
    }

    #[test]
    fn a_burst_that_is_not_given_is_one_seconds_worth() {
        let of = |burst| rate(extension::HttpRate { requests_per_second: 7, burst });
        assert_eq!((of(0), of(20)), (Rate::even(7), Rate { per_second: 7, burst: 20 }));
    }
}
