use hauberk_control::transport::Authority;

use hauberk_observe::access_log::{Fields, Format as AccessFormat};

use super::*;

const ANCHOR: &str = include_str!("anchor.pem");

fn env(more: &[(&str, &str)]) -> Result<Config, Vec<Mistake>> {
    let base = [
        ("LINKERD2_PROXY_DESTINATION_SVC_ADDR", "127.0.0.1:8086"),
        ("LINKERD2_PROXY_POLICY_SVC_ADDR", "127.0.0.1:8090"),
        ("LINKERD2_PROXY_IDENTITY_SVC_ADDR", "127.0.0.1:8080"),
        ("LINKERD2_PROXY_IDENTITY_LOCAL_NAME", "web.shop.serviceaccount.identity.linkerd.cluster.local"),
        ("LINKERD2_PROXY_IDENTITY_TOKEN_FILE", "/token"),
        ("LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS", ANCHOR),
    ];
    // Later values win, as in an environment.
    let all: std::collections::BTreeMap<_, _> = base.iter().chain(more).copied().collect();
    Config::from_env(all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())))
}

fn mistakes(more: &[(&str, &str)]) -> Vec<String> {
    env(more).err().unwrap_or_default().into_iter().map(|mistake| mistake.to_string()).collect()
}

#[test]
fn the_injectors_environment_is_read() {
    let config = env(&[
        ("LINKERD2_PROXY_INBOUND_PORTS", "80,443"),
        ("LINKERD2_PROXY_INBOUND_IPS", "10.0.0.7"),
        ("LINKERD2_PROXY_INBOUND_DEFAULT_POLICY", "all-authenticated"),
        ("LINKERD2_PROXY_INBOUND_SERVER_HTTP2_KEEP_ALIVE_INTERVAL", "10s"),
        ("LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD", "30s"),
    ])
    .unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    assert_eq!(config.data.inbound_ports.len(), 2);
    assert_eq!(config.shutdown_grace, Duration::from_secs(30));
    assert_eq!(config.directory.default_policy, DefaultPolicy::AllAuthenticated);
    assert_eq!(config.directory.first_answer, Duration::from_millis(2_500));
    assert!(config.destination.target.is_none(), "this machine needs no proof");
    assert!(config.unknown.is_empty() && config.missing.is_empty());
}

#[test]
fn a_control_plane_elsewhere_must_be_named() {
    let addr = ("LINKERD2_PROXY_POLICY_SVC_ADDR", "linkerd-policy.linkerd.svc.cluster.local.:8090");
    assert_eq!(mistakes(&[addr]), ["LINKERD2_PROXY_POLICY_SVC_NAME: must be set"]);
    let name = "linkerd-destination.linkerd.serviceaccount.identity.linkerd.cluster.local";
    let named = env(&[addr, ("LINKERD2_PROXY_POLICY_SVC_NAME", name)]).unwrap_or_else(|_| panic!("named"));
    assert!(matches!(named.policy.authority, Authority::Name { port: 8090, .. }));
    assert_eq!(named.policy.target.expect("proof").identity.as_str(), name);
}

#[test]
fn every_mistake_is_told_at_once_by_its_variable() {
    let told = mistakes(&[
        ("LINKERD2_PROXY_DESTINATION_SVC_ADDR", "nowhere"),
        ("HAUBERK_PROXY_INBOUND_LISTEN_ADDR", "4143"),
        ("LINKERD2_PROXY_INBOUND_DEFAULT_POLICY", "allow"),
        ("LINKERD2_PROXY_LOG", "loud"),
        ("LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS", "none"),
        ("HAUBERK_PROXY_TYPO", "1"),
    ]);
    let names: Vec<_> = told.iter().filter_map(|text| text.split(':').next()).collect();
    assert_eq!(
        names,
        [
            "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS",
            "LINKERD2_PROXY_DESTINATION_SVC_ADDR",
            "HAUBERK_PROXY_INBOUND_LISTEN_ADDR",
            "LINKERD2_PROXY_INBOUND_DEFAULT_POLICY",
            "LINKERD2_PROXY_LOG",
            "HAUBERK_PROXY_TYPO",
        ]
    );
}

#[test]
fn a_protection_that_we_do_not_have_is_refused_and_not_ignored() {
    assert_eq!(mistakes(&[("LINKERD2_PROXY_INBOUND_PORTS_REQUIRE_TLS", "80")]).len(), 1);
    assert!(mistakes(&[("LINKERD2_PROXY_INGRESS_MODE", "false")]).is_empty());
}

#[test]
fn an_access_log_has_a_format_and_json_may_choose_its_fields() {
    let of = |more: &[(&str, &str)]| env(more).ok().and_then(|config| config.observing.access_log);
    let (log, fields) = ("LINKERD2_PROXY_ACCESS_LOG", "HAUBERK_PROXY_ACCESS_LOG_FIELDS");
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[(log, "apache")]), Some(AccessFormat::Apache));
    let chosen = Fields::parse("status,uri").map(AccessFormat::Json).ok();
    assert_eq!(of(&[(log, "json"), (fields, "status,uri")]), chosen);
    assert_eq!(mistakes(&[(log, "xml")]), ["LINKERD2_PROXY_ACCESS_LOG: must be apache or json"]);
    assert_eq!(mistakes(&[(fields, "status")]).len(), 1);
    assert_eq!(mistakes(&[(log, "json"), (fields, "body")]).len(), 1);
}

#[test]
fn nobody_taps_unless_named() {
    let name = "tap.linkerd-viz.serviceaccount.identity.linkerd.cluster.local";
    let tap = |more: &[(&str, &str)]| env(more).ok().and_then(|config| config.observing.tap);
    assert_eq!(tap(&[]), None);
    let named = ("LINKERD2_PROXY_TAP_SVC_NAME", name);
    let found = tap(&[named, ("HAUBERK_PROXY_TAP_REDACT_HEADERS", "X-Token, x-other")]).expect("tap");
    assert_eq!((found.client.as_str(), found.listen.port()), (name, 4190));
    assert_eq!(found.redacted, ["x-token", "x-other"]);
    assert_eq!(mistakes(&[named, ("HAUBERK_PROXY_TAP_REDACT_HEADERS", "a b")]).len(), 1);
}

#[test]
fn requests_are_traced_where_a_collector_is_named_and_elsewhere_the_rest_changes_nothing() {
    let of = |more: &[(&str, &str)]| env(more).ok().and_then(|config| config.tracing);
    let addr = ("LINKERD2_PROXY_TRACE_COLLECTOR_SVC_ADDR", "collector.observe.svc.cluster.local:4317");
    let name = "collector.observe.serviceaccount.identity.linkerd.cluster.local";
    let named = ("LINKERD2_PROXY_TRACE_COLLECTOR_SVC_NAME", name);
    let ratio = ("HAUBERK_PROXY_TRACE_SAMPLE_RATIO", "0.5");
    assert_eq!(of(&[named, ratio, ("LINKERD2_PROXY_TRACE_PROTOCOL", "opentelemetry")]), None);
    assert_eq!(mistakes(&[addr]), ["LINKERD2_PROXY_TRACE_COLLECTOR_SVC_NAME: must be set"]);
    let extra = ("LINKERD2_PROXY_TRACE_EXTRA_ATTRIBUTES", "k8s.pod.uid=7\nk8s.container.name=proxy");
    let all = [addr, named, ratio, extra, ("OTEL_RESOURCE_ATTRIBUTES", "service.name=web")];
    let found = of(&all).expect("tracing");
    assert!((found.ratio() - 0.5).abs() < f64::EPSILON);
    assert_eq!(found.attributes.len(), 4);
    assert_eq!(found.collector.target.expect("proof").identity.as_str(), name);
    assert_eq!(mistakes(&[addr, named, ("LINKERD2_PROXY_TRACE_PROTOCOL", "opencensus")]).len(), 1);
    assert_eq!(mistakes(&[("HAUBERK_PROXY_TRACE_SAMPLE_RATIO", "2")]).len(), 1);
}

#[test]
fn without_identity_nothing_of_it_is_needed() {
    let bare = Config::from_env(
        [
            ("LINKERD2_PROXY_DESTINATION_SVC_ADDR", "127.0.0.1:8086"),
            ("LINKERD2_PROXY_POLICY_SVC_ADDR", "127.0.0.1:8090"),
            ("LINKERD2_PROXY_IDENTITY_DISABLED", "disabled"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    assert!(bare.unwrap_or_else(|mistakes| panic!("{mistakes:?}")).identity.is_none());
}

#[test]
fn approved_mode_is_asked_for_by_one_word_and_never_without_encryption() {
    assert!(!env(&[]).unwrap_or_else(|mistakes| panic!("{mistakes:?}")).fips);
    let asked = env(&[("HAUBERK_PROXY_FIPS", "required")]);
    assert!(asked.unwrap_or_else(|mistakes| panic!("{mistakes:?}")).fips);
    assert_eq!(mistakes(&[("HAUBERK_PROXY_FIPS", "true")]), ["HAUBERK_PROXY_FIPS: must be required"]);
    let plaintext = [("HAUBERK_PROXY_FIPS", "required"), ("LINKERD2_PROXY_IDENTITY_DISABLED", "1")];
    assert_eq!(
        mistakes(&plaintext),
        ["HAUBERK_PROXY_FIPS: is required, and identity is disabled: nothing would be encrypted"]
    );
}
