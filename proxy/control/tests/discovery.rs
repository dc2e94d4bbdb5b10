//! Discovery against a control plane that comes, goes and errs.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail where it stands"
)]

mod fake;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fake::{Call, ControlPlane, Step, say};
use hauberk_control::Services;
use hauberk_control::defaults::DefaultPolicy;
use hauberk_control::directory::{Config, Directory};
use hauberk_control::extension::proto as extension;
use hauberk_control::stream::Limits;
use hauberk_control::transport::{Authority, Meters, Resolver, Security, Service, maintain};
use hauberk_model::discovery::{Discovery as _, Watched};
use hauberk_model::inbound::{Cidr, InboundProtocol};
use hauberk_model::limits::Total;
use hauberk_model::outbound::{BackendKind, Distribution, OutboundPolicy, OutboundProtocol};
use hauberk_observe::Registry;
use linkerd2_proxy_api::destination::{self as dst, GetDestination};
use linkerd2_proxy_api::inbound as inb;
use linkerd2_proxy_api::net::TcpAddress;
use linkerd2_proxy_api::outbound as out;
use prost::Message as _;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const GET: &str = "/io.linkerd.proxy.destination.Destination/Get";
const PROFILE: &str = "/io.linkerd.proxy.destination.Destination/GetProfile";
const OUTBOUND: &str = "/io.linkerd.proxy.outbound.OutboundPolicies/Watch";
const INBOUND: &str = "/io.linkerd.proxy.inbound.InboundServerPolicies/WatchPort";
const NOT_FOUND: u16 = 5;
/// Nothing here takes a second; a test that waits this long has failed.
const SOON: Duration = Duration::from_secs(20);

struct Proxy {
    directory: Directory,
    registry: Registry,
    _stop: tokio_util::sync::DropGuard,
}

impl Proxy {
    fn new(addr: SocketAddr, first_answer: Duration) -> Self {
        let stop = CancellationToken::new();
        let channel = |name| {
            let service = Service {
                name,
                authority: Authority::Address(addr),
                security: Security::Plaintext,
                mark: None,
                meters: Meters::unseen(),
            };
            let (channel, task) =
                maintain(service, Resolver::new("/nowhere".into(), None, None), stop.clone());
            tokio::spawn(task);
            channel
        };
        let services = Services { destination: channel("destination"), policy: channel("policy") };
        let inside = vec![Cidr { addr: [10, 0, 0, 0].into(), prefix_len: 8 }];
        let config = Config {
            context: "context".into(),
            workload: "workload".into(),
            limits: Limits::default(),
            first_answer,
            require_identity: [81].into(),
            default_policy: DefaultPolicy::AllUnauthenticated,
            cluster_networks: inside.clone(),
            profile_networks: inside,
            dangerous_forward_unknown: false,
        };
        let registry = Registry::new(hauberk_observe::Limits::default());
        let directory = Directory::new(services, config, Handle::current(), &registry);
        Self { directory, registry, _stop: stop.drop_guard() }
    }
}

async fn next(calls: &mut UnboundedReceiver<Call>) -> Call {
    timeout(SOON, calls.recv()).await.expect("a call in time").expect("a call")
}

async fn until<T>(watched: &mut Watched<T>, wanted: impl Fn(&T) -> bool) -> Arc<T> {
    let found = watched.wait_for(|value| value.as_deref().is_some_and(&wanted));
    let found = timeout(SOON, found).await.expect("in time").expect("published");
    Arc::clone(found.as_ref().expect("known"))
}

fn add(lasts: &[u8]) -> dst::Update {
    let addr = |last: &u8| dst::WeightedAddr {
        addr: Some(TcpAddress { ip: Some([10, 0, 0, *last].into()), port: 8080 }),
        weight: 10_000,
        ..Default::default()
    };
    let addrs = lasts.iter().map(addr).collect();
    dst::Update {
        update: Some(dst::update::Update::Add(dst::WeightedAddrSet { addrs, ..Default::default() })),
    }
}

fn opaque_policy(valid: bool) -> out::OutboundPolicy {
    let routes = if valid { vec![] } else { vec![out::OpaqueRoute::default()] };
    let kind = out::proxy_protocol::Kind::Opaque(out::proxy_protocol::Opaque { routes });
    out::OutboundPolicy { protocol: Some(out::ProxyProtocol { kind: Some(kind) }), metadata: None }
}

fn backend(policy: &OutboundPolicy) -> Option<BackendKind> {
    let OutboundProtocol::Detect { opaque, .. } = &policy.protocol else { panic!("{policy:?}") };
    match &opaque.routes[0].target.distribution {
        Distribution::FirstAvailable(backends) => Some(backends[0].backend.kind.clone()),
        Distribution::Empty => None,
        Distribution::RandomAvailable(_) => panic!("{policy:?}"),
    }
}

#[tokio::test]
async fn endpoints_outlive_the_control_plane_and_are_replaced_by_the_first_answer_of_the_next() {
    let first = ControlPlane::start().await;
    let mut calls = first.calls(GET);
    let proxy = Proxy::new(first.addr, Duration::from_secs(3));
    let mut watched = proxy.directory.endpoints("web.shop.svc.cluster.local:8080");
    let call = next(&mut calls).await;
    let asked = GetDestination::decode(call.request.clone()).expect("request");
    assert_eq!(
        (asked.path.as_str(), asked.context_token.as_str()),
        ("web.shop.svc.cluster.local:8080", "context")
    );
    call.steps.send(say(&add(&[1, 2]))).expect("sent");
    call.steps.send(say(&add(&[3]))).expect("sent");
    let known = until(&mut watched, |set| set.endpoints.len() == 3).await;

    let addr = first.kill().await;
    // Gone, and asked for again after an idle time: the answer is still there, and its age is told.
    drop(watched);
    let mut watched = proxy.directory.endpoints("web.shop.svc.cluster.local:8080");
    assert_eq!(watched.borrow().as_deref(), Some(known.as_ref()));
    let second = ControlPlane::start_at(addr).await;
    let mut calls = second.calls(GET);
    next(&mut calls).await.steps.send(say(&add(&[2, 4]))).expect("sent");
    let replaced = until(&mut watched, |set| set.endpoints.len() == 2).await;
    assert!(Arc::ptr_eq(&known.endpoints[1], &replaced.endpoints[0]), "what did not change is the same");
    let metrics = proxy.registry.render();
    assert!(metrics.contains("hauberk_discovery_age_seconds{kind=\"endpoints\""), "{metrics}");
}

#[tokio::test]
async fn a_stream_that_fails_is_opened_again_on_the_same_connection() {
    let plane = ControlPlane::start().await;
    let mut calls = plane.calls(GET);
    let proxy = Proxy::new(plane.addr, Duration::from_secs(3));
    let mut watched = proxy.directory.endpoints("web:80");
    next(&mut calls).await.steps.send(Step::End(14)).expect("sent");
    next(&mut calls).await.steps.send(say(&add(&[1]))).expect("sent");
    until(&mut watched, |set| set.exists).await;
}

#[tokio::test]
async fn an_authority_that_does_not_exist_is_known_not_to() {
    let plane = ControlPlane::start().await;
    let mut calls = plane.calls(GET);
    let proxy = Proxy::new(plane.addr, Duration::from_secs(3));
    let mut watched = proxy.directory.endpoints("none:80");
    next(&mut calls).await.steps.send(Step::End(NOT_FOUND)).expect("sent");
    until(&mut watched, |set| !set.exists).await;
}

#[tokio::test]
async fn a_target_that_nobody_knows_is_reached_as_asked() {
    let plane = ControlPlane::start().await;
    let (mut policies, mut profiles) = (plane.calls(OUTBOUND), plane.calls(PROFILE));
    let proxy = Proxy::new(plane.addr, SOON);
    let target = SocketAddr::from(([10, 1, 1, 1], 443));
    let mut watched = proxy.directory.outbound(target);
    next(&mut policies).await.steps.send(Step::End(NOT_FOUND)).expect("sent");
    next(&mut profiles).await.steps.send(Step::End(NOT_FOUND)).expect("sent");
    let policy = until(&mut watched, |_| true).await;
    assert_eq!(backend(&policy), Some(BackendKind::OriginalDestination(target)));
}

#[tokio::test]
async fn a_policy_that_makes_no_sense_is_counted_and_the_one_before_it_kept() {
    let plane = ControlPlane::start().await;
    let mut policies = plane.calls(OUTBOUND);
    let proxy = Proxy::new(plane.addr, SOON);
    // Outside the profile's networks: the policy alone decides.
    let mut watched = proxy.directory.outbound(SocketAddr::from(([192, 0, 2, 1], 443)));
    let call = next(&mut policies).await;
    call.steps.send(say(&opaque_policy(true))).expect("sent");
    let good = until(&mut watched, |_| true).await;
    call.steps.send(say(&opaque_policy(false))).expect("sent");
    let again = until(&mut watched, |policy| policy.generation > good.generation).await;
    let OutboundProtocol::Opaque(kept) = &again.protocol else { panic!("{again:?}") };
    assert!(kept.routes.is_empty());
    let metrics = proxy.registry.render();
    assert!(metrics.contains("hauberk_discovery_answers_refused_total{kind=\"outbound\"} 1"), "{metrics}");
}

#[tokio::test]
async fn without_a_control_plane_the_defaults_hold_until_it_speaks() {
    let addr = ControlPlane::start().await.kill().await;
    let proxy = Proxy::new(addr, Duration::from_millis(50));
    let mut inside = proxy.directory.outbound(SocketAddr::from(([10, 1, 1, 1], 80)));
    assert_eq!(backend(&*until(&mut inside, |_| true).await), None, "refused");
    let outside = SocketAddr::from(([192, 0, 2, 1], 443));
    let mut passed = proxy.directory.outbound(outside);
    let policy = until(&mut passed, |_| true).await;
    assert_eq!(backend(&policy), Some(BackendKind::OriginalDestination(outside)));
    let mut port = proxy.directory.inbound(80);
    assert_eq!(until(&mut port, |_| true).await.authorizations.len(), 1);

    let plane = ControlPlane::start_at(addr).await;
    let mut calls = plane.calls(INBOUND);
    let opaque = inb::proxy_protocol::Kind::Opaque(inb::proxy_protocol::Opaque {});
    let server =
        inb::Server { protocol: Some(inb::ProxyProtocol { kind: Some(opaque) }), ..Default::default() };
    next(&mut calls).await.steps.send(say(&server)).expect("sent");
    let policy = until(&mut port, |policy| matches!(policy.protocol, InboundProtocol::Opaque)).await;
    assert!(policy.authorizations.is_empty() && policy.generation == 2);
}

#[tokio::test]
async fn a_first_inbound_policy_that_makes_no_sense_admits_nobody() {
    let plane = ControlPlane::start().await;
    let mut calls = plane.calls(INBOUND);
    let proxy = Proxy::new(plane.addr, SOON);
    let mut port = proxy.directory.inbound(80);
    next(&mut calls).await.steps.send(say(&inb::Server::default())).expect("sent");
    assert!(until(&mut port, |_| true).await.authorizations.is_empty());
}

#[tokio::test]
async fn targets_are_asked_for_once_while_their_watch_runs() {
    let plane = ControlPlane::start().await;
    let mut calls = plane.calls(INBOUND);
    let proxy = Proxy::new(plane.addr, SOON);
    let (one, two) = (proxy.directory.inbound(80), proxy.directory.inbound(80));
    assert!(one.same_channel(&two));
    next(&mut calls).await;
    assert!(calls.try_recv().is_err());
}

/// Digests of 10.0.0.1 to 10.0.0.3 at port 8080, as `mesh/destination/digest.ts` has them.
const ONE_AND_TWO: u64 = 15_804_228_142_496_794_273;
const ONE_TWO_AND_THREE: u64 = 9_333_409_117_355_535_670;

/// An update with what the control plane says of the set after it: field 1000 of the message, as on the wire.
fn proven(update: &dst::Update, version: u64, digest: u64, endpoints: u32) -> Step {
    let extension = extension::UpdateExtension { version, digest, endpoints };
    let overlay = extension::UpdateOverlay { add: None, extension: Some(extension) };
    // Messages on the wire are the sum of their fields.
    let bytes = [update.encode_to_vec(), overlay.encode_to_vec()].concat();
    Step::Say(bytes.into())
}

#[tokio::test]
async fn an_update_that_was_corrupted_on_the_way_is_noticed_and_everything_asked_anew() {
    let plane = ControlPlane::start().await;
    let mut calls = plane.calls(GET);
    let proxy = Proxy::new(plane.addr, Duration::from_secs(3));
    let mut watched = proxy.directory.endpoints("web.shop.svc.cluster.local:8080");
    let call = next(&mut calls).await;
    call.steps.send(proven(&add(&[1, 2]), 7, ONE_AND_TWO, 2)).expect("sent");
    until(&mut watched, |set| set.endpoints.len() == 2).await;
    // The control plane said that 3 came; on the way it became 4.
    call.steps.send(proven(&add(&[4]), 8, ONE_TWO_AND_THREE, 3)).expect("sent");
    let again = next(&mut calls).await;
    assert_eq!(watched.borrow().as_ref().map(|set| set.endpoints.len()), Some(2), "4 was never used");
    again.steps.send(proven(&add(&[1, 2, 3]), 8, ONE_TWO_AND_THREE, 3)).expect("sent");
    let set = until(&mut watched, |set| set.endpoints.len() == 3).await;
    assert_eq!(set.endpoints[2].addr, SocketAddr::from(([10, 0, 0, 3], 8080)));
    let metrics = proxy.registry.render();
    assert!(metrics.contains("hauberk_discovery_digest_mismatches_total{kind=\"endpoints\"} 1"), "{metrics}");
    let version =
        "hauberk_discovery_version{kind=\"endpoints\",target=\"web.shop.svc.cluster.local:8080\"} 8";
    assert!(metrics.contains(version), "{metrics}");
}

#[tokio::test]
async fn whole_answers_that_stay_wrong_are_used_at_last_because_there_is_nothing_better() {
    let plane = ControlPlane::start().await;
    let mut calls = plane.calls(GET);
    let proxy = Proxy::new(plane.addr, Duration::from_secs(3));
    let mut watched = proxy.directory.endpoints("web:8080");
    for _ in 0..3 {
        next(&mut calls).await.steps.send(proven(&add(&[1]), 1, 0xbad, 1)).expect("sent");
    }
    until(&mut watched, |set| set.endpoints.len() == 1).await;
}

const LEASE: &str = "/hauberk.proxy.v1.Quota/Lease";

#[allow(clippy::needless_update, reason = "the extension has few fields, and will have more")]
/// A port whose clients may send 90 requests per second to all servers together.
fn limited() -> Step {
    let name = extension::ObjectName { name: "limit".into(), ..Default::default() };
    let limit = extension::HttpRateLimit {
        metadata: Some(name),
        total: Some(extension::HttpRate { requests_per_second: 90, burst: 0 }),
        quota: Some(extension::ClusterQuota { key: "prod/limit".into(), initial_milli_per_second: 30_000 }),
        ..Default::default()
    };
    let overlay = extension::ServerOverlay {
        extension: Some(extension::InboundExtension {
            rate_limits: vec![limit],
            version: 3,
            ..Default::default()
        }),
        ..Default::default()
    };
    let kind = inb::proxy_protocol::Kind::Http1(inb::proxy_protocol::Http1::default());
    let server =
        inb::Server { protocol: Some(inb::ProxyProtocol { kind: Some(kind) }), ..Default::default() };
    Step::Say([server.encode_to_vec(), overlay.encode_to_vec()].concat().into())
}

#[tokio::test]
async fn a_share_is_leased_and_outlives_the_control_plane() {
    let plane = ControlPlane::start().await;
    let (mut ports, mut leases) = (plane.calls(INBOUND), plane.calls(LEASE));
    let proxy = Proxy::new(plane.addr, SOON);
    let mut port = proxy.directory.inbound(80);
    next(&mut ports).await.steps.send(limited()).expect("sent");
    let policy = until(&mut port, |_| true).await;
    let Some(Total::Leased { share, .. }) = &policy.limits[0].total else { panic!("{policy:?}") };
    assert_eq!(share.milli_per_second(), 30_000, "an even part until a lease is heard of");
    let call = next(&mut leases).await;
    let asked = extension::LeaseRequest::decode(call.request.clone()).expect("request");
    assert_eq!((asked.workload.as_str(), asked.demands[0].held_milli_per_second), ("workload", 30_000));
    let lease = extension::QuotaLease { key: "prod/limit".into(), milli_per_second: 50_000, valid_ms: 100 };
    let answer = extension::LeaseResponse { leases: vec![lease], next_ms: 100 };
    call.steps.send(say(&answer)).expect("sent");
    call.steps.send(Step::End(0)).expect("sent");
    // The next report says what is enforced now; the control plane dies over it, and the lease ends.
    let call = next(&mut leases).await;
    let asked = extension::LeaseRequest::decode(call.request.clone()).expect("request");
    assert_eq!(asked.demands[0].held_milli_per_second, 50_000);
    plane.kill().await;
    tokio::time::timeout(Duration::from_millis(300), std::future::pending::<()>()).await.expect_err("waited");
    assert_eq!(share.milli_per_second(), 50_000);
    let metrics = proxy.registry.render();
    assert!(metrics.contains("hauberk_quota_share{limit=\"prod/limit\"} 50"), "{metrics}");
}
