use linkerd2_proxy_api::opaque_route::Forbidden;
use linkerd2_proxy_api::outbound::opaque_route as opaque;

use hauberk_model::outbound::{OpaquePolicy, OpaqueRefusal};

use super::*;

fn balancer(path: &str) -> proto::Backend {
    use proto::backend::{BalanceP2c, EndpointDiscovery, balance_p2c, endpoint_discovery};
    let get = endpoint_discovery::DestinationGet { path: path.into() };
    proto::Backend {
        kind: Some(proto::backend::Kind::Balancer(BalanceP2c {
            discovery: Some(EndpointDiscovery { kind: Some(endpoint_discovery::Kind::Dst(get)) }),
            load: Some(balance_p2c::Load::PeakEwma(balance_p2c::PeakEwma::default())),
        })),
        ..Default::default()
    }
}

fn opaque_route(filter: Option<opaque::filter::Kind>) -> proto::OpaqueRoute {
    let backend = opaque::RouteBackend { backend: Some(balancer("web:80")), filters: vec![] };
    let first = opaque::distribution::FirstAvailable { backends: vec![backend] };
    let kind = Some(opaque::distribution::Kind::FirstAvailable(first));
    proto::OpaqueRoute {
        rules: vec![opaque::Rule {
            backends: Some(opaque::Distribution { kind }),
            filters: filter.map(|kind| opaque::Filter { kind: Some(kind) }).into_iter().collect(),
        }],
        ..Default::default()
    }
}

fn opaque_policy(routes: Vec<proto::OpaqueRoute>) -> proto::OutboundPolicy {
    let kind = proto::proxy_protocol::Kind::Opaque(proto::proxy_protocol::Opaque { routes });
    proto::OutboundPolicy { protocol: Some(proto::ProxyProtocol { kind: Some(kind) }), metadata: None }
}

fn read(
    message: proto::OutboundPolicy,
    backends: &mut Backends,
) -> Result<(Metadata, OutboundProtocol), Malformed> {
    policy(Extended { message, overlay: extension::OutboundPolicyOverlay::default() }, backends)
}

fn backend_of(protocol: &OutboundProtocol) -> Arc<Backend> {
    let OutboundProtocol::Opaque(OpaquePolicy { routes }) = protocol else { panic!("opaque") };
    let Distribution::FirstAvailable(backends) = &routes[0].target.distribution else { panic!("first") };
    Arc::clone(&backends[0].backend)
}

#[test]
fn a_backend_that_did_not_change_is_the_same_one_in_the_next_answer() {
    let mut backends = Backends::default();
    let (_, first) = read(opaque_policy(vec![opaque_route(None)]), &mut backends).expect("first");
    let (_, second) = read(opaque_policy(vec![opaque_route(None)]), &mut backends).expect("second");
    assert!(Arc::ptr_eq(&backend_of(&first), &backend_of(&second)));
    drop((first, second));
    backends.sweep();
    assert!(backends.0.is_empty());
}

#[test]
fn a_forbidden_opaque_route_keeps_its_refusal() {
    let forbidden = opaque_route(Some(opaque::filter::Kind::Forbidden(Forbidden {})));
    let (_, protocol) = read(opaque_policy(vec![forbidden]), &mut Backends::default()).expect("policy");
    let OutboundProtocol::Opaque(OpaquePolicy { routes }) = protocol else { panic!("opaque") };
    assert_eq!(routes[0].refusal, Some(OpaqueRefusal::Forbidden));
}

#[test]
fn several_rules_for_bytes_are_one_whose_weights_add_up_and_any_refusal_holds() {
    let rule = |path: &str, weight| {
        let backend = opaque::RouteBackend { backend: Some(balancer(path)), filters: vec![] };
        let backends = vec![opaque::WeightedRouteBackend { backend: Some(backend), weight }];
        let random = opaque::distribution::RandomAvailable { backends };
        let kind = Some(opaque::distribution::Kind::RandomAvailable(random));
        opaque::Rule { backends: Some(opaque::Distribution { kind }), filters: vec![] }
    };
    let mut route =
        proto::OpaqueRoute { rules: vec![rule("a:80", 3), rule("b:80", 1)], ..Default::default() };
    let route_of = |route| {
        let (_, protocol) = read(opaque_policy(vec![route]), &mut Backends::default()).expect("policy");
        let OutboundProtocol::Opaque(OpaquePolicy { routes }) = protocol else { panic!("opaque") };
        routes[0].clone()
    };
    let read = route_of(route.clone());
    let Distribution::RandomAvailable(backends) = &read.target.distribution else { panic!("random") };
    assert_eq!(backends.iter().map(|(_, weight)| *weight).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(read.refusal, None);
    route.rules[1].filters =
        vec![opaque::Filter { kind: Some(opaque::filter::Kind::Forbidden(Forbidden {})) }];
    assert_eq!(route_of(route).refusal, Some(OpaqueRefusal::Forbidden));
}

#[test]
fn tls_beside_detection_is_read_from_its_extension() {
    use prost::Message;
    use proto::proxy_protocol::{Detect, Http1, Http2, Opaque, Tls};
    let kind = proto::proxy_protocol::Kind::Detect(Detect {
        timeout: None,
        opaque: Some(Opaque { routes: vec![opaque_route(None)] }),
        http1: Some(Http1::default()),
        http2: Some(Http2::default()),
    });
    let message =
        proto::OutboundPolicy { protocol: Some(proto::ProxyProtocol { kind: Some(kind) }), metadata: None };
    let tls_of = |detected_tls| {
        let own = extension::OutboundExtension { detected_tls, ..Default::default() };
        let overlay = extension::OutboundPolicyOverlay { extension: Some(own), ..Default::default() };
        let answer = Extended { message: message.clone(), overlay };
        policy(answer, &mut Backends::default()).map(|(_, protocol)| {
            let OutboundProtocol::Detect { tls, .. } = protocol else { panic!("detect") };
            tls.map(|tls| tls.routes.len())
        })
    };
    assert_eq!(tls_of(None), Ok(None));
    assert_eq!(tls_of(Some(Tls::default().encode_to_vec())), Ok(Some(0)));
    assert!(tls_of(Some(vec![0xff])).is_err());
}

#[test]
fn an_opaque_filter_of_unknown_kind_refuses() {
    let mut route = opaque_route(None);
    route.rules[0].filters = vec![opaque::Filter { kind: None }];
    let (_, protocol) = read(opaque_policy(vec![route]), &mut Backends::default()).expect("policy");
    let OutboundProtocol::Opaque(OpaquePolicy { routes }) = protocol else { panic!("opaque") };
    assert!(matches!(routes[0].refusal, Some(OpaqueRefusal::Invalid(_))));
}

#[test]
fn a_policy_without_protocol_distribution_or_discovery_is_malformed() {
    let mut backends = Backends::default();
    assert!(read(proto::OutboundPolicy::default(), &mut backends).is_err());
    let mut route = opaque_route(None);
    route.rules[0].backends = None;
    assert!(read(opaque_policy(vec![route]), &mut backends).is_err());
}

#[test]
fn a_breaker_with_every_rule_off_is_none_and_one_without_a_pause_is_malformed() {
    use proto::failure_accrual::{ConsecutiveFailures, Kind};
    let accrual = |max_failures, backoff| proto::FailureAccrual {
        kind: Some(Kind::ConsecutiveFailures(ConsecutiveFailures { max_failures, backoff })),
        ejection: None,
    };
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let pause = proto::ExponentialBackoff {
        min_backoff: seconds(1),
        max_backoff: seconds(60),
        jitter_ratio: 0.5,
        respect_retry_after_hint: false,
    };
    assert_eq!(failure_accrual(accrual(0, Some(pause))), Ok(None));
    assert!(failure_accrual(accrual(7, None)).is_err());
    assert!(failure_accrual(accrual(7, Some(pause))).is_ok_and(|accrual| accrual.is_some()));
    let backwards = proto::ExponentialBackoff { max_backoff: seconds(0), ..pause };
    assert!(failure_accrual(accrual(7, Some(backwards))).is_err());
}
