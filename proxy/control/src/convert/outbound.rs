//! Outbound policies (`outbound.OutboundPolicy`).

use std::sync::Arc;
use std::time::Duration;

use hauberk_model::endpoint::Labels;
use hauberk_model::metadata::Metadata;
use hauberk_model::outbound::{
    Backend, BackendKind, Backoff, Distribution, FailureAccrual, GrpcPolicy, HttpPolicy, OutboundProtocol,
    Retry, RouteBackend, RouteTarget,
};
use hauberk_model::route::{Filter, GrpcRoute, GrpcRule, HttpRoute, HttpRule, Timeouts};
use linkerd2_proxy_api::{http_route, outbound as proto};
use prost::Message;

use super::affinity;
use super::resilience;
use super::{Malformed, duration, endpoint, filters, limit, matches, metadata};
use crate::extension::{Extended, paired, proto as extension};

/// Detection timeout where the control plane gives none, as the peer has it.
pub(crate) const DETECT_WITHIN: Duration = Duration::from_secs(10);
/// How long a request waits for a ready endpoint where the control plane gives no limit.
pub(crate) const FAILFAST_WITHIN: Duration = Duration::from_secs(3);
/// Requests that may wait where the control plane gives no limit.
pub(crate) const QUEUE_CAPACITY: u32 = 10_000;
/// Latency assumed of an endpoint without history, and the time constant of the average, where none is given.
pub(crate) const DEFAULT_RTT: Duration = Duration::from_millis(30);
pub(crate) const DECAY: Duration = Duration::from_secs(10);
/// Largest body that is kept for replay where a retry gives no limit.
const RETRY_BODY_BYTES: u32 = 64 * 1024;

/// Backends by value: routes that name the same one share it, also from one answer to the next, so that its
/// balancer and breakers are kept.
#[derive(Debug, Default)]
pub struct Backends(Vec<Arc<Backend>>);

impl Backends {
    pub(crate) fn intern(&mut self, backend: Backend) -> Arc<Backend> {
        if let Some(known) = self.0.iter().find(|known| ***known == backend) {
            return Arc::clone(known);
        }
        let backend = Arc::new(backend);
        self.0.push(Arc::clone(&backend));
        backend
    }

    /// Forgets backends that no policy holds any more.
    pub(crate) fn sweep(&mut self) {
        self.0.retain(|backend| Arc::strong_count(backend) > 1);
    }
}

/// Reads the protocol and the parent of a policy.
///
/// # Errors
/// [`Malformed`] if it cannot be understood as a whole.
pub fn policy(
    answer: Extended<proto::OutboundPolicy, extension::OutboundPolicyOverlay>,
    backends: &mut Backends,
) -> Result<(Metadata, OutboundProtocol), Malformed> {
    use proto::proxy_protocol::Kind;
    let Extended { message: proto, overlay } = answer;
    let own = overlay.extension.unwrap_or_default();
    let overlay = overlay.protocol.unwrap_or_default();
    let kind = proto.protocol.and_then(|protocol| protocol.kind).ok_or(Malformed::Missing("protocol"))?;
    let mut read = Reader(backends);
    let protocol = match kind {
        Kind::Detect(detect) => {
            let http1 = detect.http1.ok_or(Malformed::Missing("HTTP/1 policy"))?;
            let http2 = detect.http2.ok_or(Malformed::Missing("HTTP/2 policy"))?;
            let opaque = detect.opaque.ok_or(Malformed::Missing("opaque policy"))?;
            let overlay = overlay.detect.unwrap_or_default();
            let timeout = detect.timeout.map(|timeout| duration("detection timeout", timeout));
            OutboundProtocol::Detect {
                timeout: timeout.transpose()?.unwrap_or(DETECT_WITHIN),
                http1: read.http(http1.routes, http1.failure_accrual, overlay.http1)?,
                http2: read.http(http2.routes, http2.failure_accrual, overlay.http2)?,
                opaque: read.opaque(opaque.routes, overlay.opaque)?,
                tls: read.detected_tls(own.detected_tls.as_deref())?,
            }
        }
        Kind::Http1(http) => {
            OutboundProtocol::Http1(read.http(http.routes, http.failure_accrual, overlay.http1)?)
        }
        Kind::Http2(http) => {
            OutboundProtocol::Http2(read.http(http.routes, http.failure_accrual, overlay.http2)?)
        }
        Kind::Grpc(grpc) => {
            OutboundProtocol::Grpc(read.grpc(grpc.routes, grpc.failure_accrual, overlay.grpc)?)
        }
        Kind::Opaque(opaque) => OutboundProtocol::Opaque(read.opaque(opaque.routes, overlay.opaque)?),
        Kind::Tls(tls) => OutboundProtocol::Tls(read.tls(tls, overlay.tls)?),
    };
    Ok((metadata(proto.metadata), protocol))
}

/// The four kinds of route have their own, equal messages for a distribution over backends.
macro_rules! distribution {
    ($read:expr, $proto:expr, $overlay:expr, $($kind:ident)::+, $filter:expr) => {{
        use $($kind)::+ as Kind;
        let overlay: extension::DistributionOverlay = $overlay.unwrap_or_default();
        match $proto.and_then(|distribution| distribution.kind) {
            None => Err(Malformed::Missing("distribution")),
            Some(Kind::Empty(_)) => Ok(Distribution::Empty),
            Some(Kind::FirstAvailable(first)) => {
                let mut backends = Vec::with_capacity(first.backends.len());
                let overlays = overlay.first_available.unwrap_or_default().backends;
                for (one, overlay) in paired(first.backends, overlays) {
                    backends.push(route_backend!($read, Some(one), overlay, $filter)?);
                }
                Ok(Distribution::FirstAvailable(backends.into()))
            }
            Some(Kind::RandomAvailable(random)) => {
                let mut backends = Vec::with_capacity(random.backends.len());
                let overlays = overlay.random_available.unwrap_or_default().backends;
                for (one, overlay) in paired(random.backends, overlays) {
                    let overlay = overlay.backend.unwrap_or_default();
                    backends.push((route_backend!($read, one.backend, overlay, $filter)?, one.weight));
                }
                Ok(Distribution::RandomAvailable(backends.into()))
            }
        }
    }};
}

macro_rules! route_backend {
    ($read:expr, $proto:expr, $overlay:expr, $filter:expr) => {{
        match $proto {
            None => Err(Malformed::Missing("backend")),
            Some(given) => paired(given.filters, $overlay.filters)
                .map($filter)
                .collect::<Result<Vec<Filter>, Malformed>>()
                .and_then(|filters| {
                    Ok(RouteBackend { backend: $read.backend(given.backend, $overlay.backend)?, filters })
                }),
        }
    }};
}

mod bytes;

struct Reader<'a>(&'a mut Backends);

impl Reader<'_> {
    fn http(
        &mut self,
        routes: Vec<proto::HttpRoute>,
        accrual: Option<proto::FailureAccrual>,
        overlay: Option<extension::OutboundHttpOverlay>,
    ) -> Result<HttpPolicy, Malformed> {
        let routes = paired(routes, overlay.unwrap_or_default().routes);
        Ok(HttpPolicy {
            routes: routes.map(|route| self.http_route(route)).collect::<Result<_, _>>()?,
            failure_accrual: accrual.map(failure_accrual).transpose()?.flatten(),
        })
    }

    fn grpc(
        &mut self,
        routes: Vec<proto::GrpcRoute>,
        accrual: Option<proto::FailureAccrual>,
        overlay: Option<extension::OutboundHttpOverlay>,
    ) -> Result<GrpcPolicy, Malformed> {
        let routes = paired(routes, overlay.unwrap_or_default().routes);
        Ok(GrpcPolicy {
            routes: routes.map(|route| self.grpc_route(route)).collect::<Result<_, _>>()?,
            failure_accrual: accrual.map(failure_accrual).transpose()?.flatten(),
        })
    }

    fn http_route(
        &mut self,
        (proto, overlay): (proto::HttpRoute, extension::OutboundRouteOverlay),
    ) -> Result<HttpRoute<Arc<RouteTarget>>, Malformed> {
        let rules = paired(proto.rules, overlay.rules);
        Ok(HttpRoute {
            metadata: metadata(proto.metadata),
            hosts: matches::hosts(proto.hosts)?,
            rules: rules.map(|rule| self.http_rule(rule)).collect::<Result<_, _>>()?,
        })
    }

    #[expect(deprecated, reason = "older control planes send only `requestTimeout`")]
    fn http_rule(
        &mut self,
        (proto, overlay): (proto::http_route::Rule, extension::OutboundRuleOverlay),
    ) -> Result<HttpRule<Arc<RouteTarget>>, Malformed> {
        let distribution = distribution!(
            self,
            proto.backends,
            overlay.backends,
            proto::http_route::distribution::Kind,
            filters::outbound_http
        )?;
        let extension = overlay.extension.unwrap_or_default();
        let matches = proto.matches.into_iter().map(matches::http).collect::<Result<_, _>>()?;
        Ok(HttpRule {
            matches: resilience::conditional(matches, extension.condition)?,
            filters: paired(proto.filters, overlay.filters)
                .map(filters::outbound_http)
                .collect::<Result<_, _>>()?,
            then: Arc::new(RouteTarget {
                distribution,
                timeouts: timeouts(proto.timeouts, proto.request_timeout)?,
                retry: proto.retry.map(|retry| http_retry(retry, &extension.retry_grpc_codes)).transpose()?,
                allow_l5d_request_headers: proto.allow_l5d_request_headers,
                failures: extension.failures.map(resilience::failures).transpose()?,
                hedge: extension.hedge.as_ref().and_then(resilience::hedge),
                session: extension.session.map(affinity::session).transpose()?.flatten(),
            }),
        })
    }

    fn grpc_route(
        &mut self,
        (proto, overlay): (proto::GrpcRoute, extension::OutboundRouteOverlay),
    ) -> Result<GrpcRoute<Arc<RouteTarget>>, Malformed> {
        let rules = paired(proto.rules, overlay.rules);
        Ok(GrpcRoute {
            metadata: metadata(proto.metadata),
            hosts: matches::hosts(proto.hosts)?,
            rules: rules.map(|rule| self.grpc_rule(rule)).collect::<Result<_, _>>()?,
        })
    }

    #[expect(deprecated, reason = "older control planes send only `requestTimeout`")]
    fn grpc_rule(
        &mut self,
        (proto, overlay): (proto::grpc_route::Rule, extension::OutboundRuleOverlay),
    ) -> Result<GrpcRule<Arc<RouteTarget>>, Malformed> {
        let distribution = distribution!(
            self,
            proto.backends,
            overlay.backends,
            proto::grpc_route::distribution::Kind,
            filters::outbound_grpc
        )?;
        let extension = overlay.extension.unwrap_or_default();
        Ok(GrpcRule {
            matches: paired(proto.matches, extension.grpc_methods)
                .map(matches::grpc)
                .collect::<Result<_, _>>()?,
            filters: paired(proto.filters, overlay.filters)
                .map(filters::outbound_grpc)
                .collect::<Result<_, _>>()?,
            then: Arc::new(RouteTarget {
                distribution,
                timeouts: timeouts(proto.timeouts, proto.request_timeout)?,
                retry: proto.retry.map(grpc_retry).transpose()?,
                allow_l5d_request_headers: proto.allow_l5d_request_headers,
                failures: extension.failures.map(resilience::failures).transpose()?,
                hedge: extension.hedge.as_ref().and_then(resilience::hedge),
                session: extension.session.map(affinity::session).transpose()?.flatten(),
            }),
        })
    }

    fn backend(
        &mut self,
        proto: Option<proto::Backend>,
        overlay: Option<extension::BackendOverlay>,
    ) -> Result<Arc<Backend>, Malformed> {
        let proto = proto.ok_or(Malformed::Missing("backend"))?;
        Ok(self.0.intern(backend(proto, overlay.unwrap_or_default())?))
    }
}

/// A backend as an extension carries it.
pub(super) fn encoded_backend(bytes: &[u8]) -> Result<Backend, Malformed> {
    let unreadable = |error| Malformed::unreadable("backend of an extension", error);
    let overlay = extension::BackendOverlay::decode(bytes).map_err(unreadable)?;
    backend(proto::Backend::decode(bytes).map_err(unreadable)?, overlay)
}

fn backend(proto: proto::Backend, overlay: extension::BackendOverlay) -> Result<Backend, Malformed> {
    use proto::backend::Kind;
    let kind = match proto.kind.ok_or(Malformed::Missing("kind of a backend"))? {
        Kind::Forward(address) => BackendKind::Forward(Arc::new(endpoint::endpoint(
            (address, extension::WeightedAddrOverlay::default()),
            &Labels::from([]),
        )?)),
        Kind::Balancer(balancer) => balance(balancer)?,
    };
    let (capacity, failfast) =
        proto.queue.map_or((0, None), |queue| (queue.capacity, queue.failfast_timeout));
    let extension = overlay.extension.unwrap_or_default();
    let most_pending = extension.limits.as_ref().and_then(|limits| limits.max_pending_requests);
    let capacity = if capacity == 0 { QUEUE_CAPACITY } else { capacity };
    Ok(Backend {
        metadata: metadata(proto.metadata),
        kind,
        failfast_timeout: limit("failfast timeout", failfast)?.unwrap_or(FAILFAST_WITHIN),
        queue_capacity: most_pending.unwrap_or(capacity),
        allowance: resilience::allowance(&extension)?,
        hashing: extension.hash.and_then(affinity::hashing),
    })
}

fn balance(proto: proto::backend::BalanceP2c) -> Result<BackendKind, Malformed> {
    use proto::backend::balance_p2c::Load;
    use proto::backend::endpoint_discovery::Kind;
    let discovery = proto.discovery.and_then(|discovery| discovery.kind);
    let Kind::Dst(get) = discovery.ok_or(Malformed::Missing("discovery of a backend"))?;
    let (default_rtt, decay, penalty) = match proto.load.ok_or(Malformed::Missing("load of a balancer"))? {
        Load::PeakEwma(ewma) => (ewma.default_rtt, ewma.decay, None),
        Load::PenaltyPeakEwma(ewma) => {
            let penalty = resilience::penalty(ewma.penalty, ewma.max_retry_after, ewma.penalty_decay)?;
            (ewma.default_rtt, ewma.decay, Some(penalty))
        }
    };
    Ok(BackendKind::Balance {
        authority: get.path.into(),
        default_rtt: limit("default RTT", default_rtt)?.unwrap_or(DEFAULT_RTT),
        decay: limit("decay", decay)?.unwrap_or(DECAY),
        penalty,
    })
}

/// A target without limits or retries.
pub(crate) fn target(distribution: Distribution) -> RouteTarget {
    RouteTarget { distribution, ..RouteTarget::default() }
}

fn timeouts(
    proto: Option<http_route::Timeouts>,
    older: Option<prost_types::Duration>,
) -> Result<Timeouts, Malformed> {
    let Some(proto) = proto else {
        return Ok(Timeouts { response: limit("request timeout", older)?, ..Timeouts::default() });
    };
    Ok(Timeouts {
        request: limit("request timeout", proto.request)?,
        response: limit("response timeout", proto.response)?,
        idle: limit("idle timeout", proto.idle)?,
    })
}

/// `grpc_codes`: those that calls on an HTTP route are retried for.
fn http_retry(proto: proto::http_route::Retry, grpc_codes: &[u32]) -> Result<Retry, Malformed> {
    let conditions = proto.conditions.ok_or(Malformed::Missing("retry conditions"))?;
    let range = |range: proto::http_route::retry::conditions::StatusRange| {
        let status = |status: u32| u16::try_from(status).map_err(|_| Malformed::Range("retry status"));
        Ok((status(range.start)?, status(range.end)?))
    };
    Ok(Retry {
        statuses: conditions.status_ranges.into_iter().map(range).collect::<Result<_, _>>()?,
        grpc_codes: grpc_codes.iter().filter_map(|code| u16::try_from(*code).ok()).collect(),
        ..retry(proto.max_retries, proto.max_request_bytes, proto.timeout, proto.backoff)?
    })
}

fn grpc_retry(proto: proto::grpc_route::Retry) -> Result<Retry, Malformed> {
    let given = proto.conditions.ok_or(Malformed::Missing("retry conditions"))?;
    let codes = [
        (given.cancelled, 1),
        (given.deadine_exceeded, 4),
        (given.resource_exhausted, 8),
        (given.internal, 13),
        (given.unavailable, 14),
    ];
    Ok(Retry {
        grpc_codes: codes.into_iter().filter(|(wanted, _)| *wanted).map(|(_, code)| code).collect(),
        ..retry(proto.max_retries, proto.max_request_bytes, proto.timeout, proto.backoff)?
    })
}

fn retry(
    max_retries: u32,
    max_request_bytes: u32,
    timeout: Option<prost_types::Duration>,
    pause: Option<proto::ExponentialBackoff>,
) -> Result<Retry, Malformed> {
    Ok(Retry {
        max_retries,
        max_request_bytes: if max_request_bytes == 0 { RETRY_BODY_BYTES } else { max_request_bytes },
        statuses: Vec::new(),
        grpc_codes: Vec::new(),
        timeout: limit("retry timeout", timeout)?,
        backoff: pause.map(backoff).transpose()?,
    })
}

fn backoff(proto: proto::ExponentialBackoff) -> Result<Backoff, Malformed> {
    let min = limit("least pause", proto.min_backoff)?.ok_or(Malformed::Missing("least pause"))?;
    let max = limit("longest pause", proto.max_backoff)?.ok_or(Malformed::Missing("longest pause"))?;
    if max < min || !proto.jitter_ratio.is_finite() || proto.jitter_ratio < 0.0 {
        return Err(Malformed::Range("backoff"));
    }
    let honour_retry_after = proto.respect_retry_after_hint;
    Ok(Backoff { min, max, jitter_ratio: proto.jitter_ratio, honour_retry_after })
}

/// `None` where every rule is off.
fn failure_accrual(proto: proto::FailureAccrual) -> Result<Option<FailureAccrual>, Malformed> {
    use proto::failure_accrual::Kind;
    let min_ready_endpoints = proto.ejection.map_or(0, |ejection| ejection.min_ready_endpoints);
    let pause = |given: Option<_>| given.map(backoff).ok_or(Malformed::Missing("backoff of a breaker"))?;
    let accrual = match proto.kind {
        // Nothing to count: a kind that we do not know ejects nothing, which is what no breaker does.
        None => return Ok(None),
        Some(Kind::ConsecutiveFailures(given)) => FailureAccrual {
            max_consecutive_failures: given.max_failures,
            success_rate_threshold: 0.0,
            decay: Duration::ZERO,
            min_requests: 0,
            backoff: pause(given.backoff)?,
            min_ready_endpoints,
        },
        Some(Kind::Unified(given)) => FailureAccrual {
            max_consecutive_failures: given.max_consecutive_failures,
            success_rate_threshold: given.success_rate_threshold,
            decay: limit("decay of a breaker", given.decay)?.unwrap_or(DECAY),
            min_requests: given.min_requests,
            backoff: pause(given.backoff)?,
            min_ready_endpoints,
        },
    };
    if !(0.0..=1.0).contains(&accrual.success_rate_threshold) {
        return Err(Malformed::Range("success rate"));
    }
    let counts = accrual.max_consecutive_failures > 0 || accrual.success_rate_threshold > 0.0;
    Ok(counts.then_some(accrual))
}

#[cfg(test)]
#[path = "outbound_tests.rs"]
mod tests;
