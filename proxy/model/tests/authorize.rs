//! Who is let in.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hauberk_model::authorize::{self, Client, Denied, Judged, Tls};
use hauberk_model::identity::Identity;
use hauberk_model::inbound::{
    Authentication, Authorization, Cidr, InboundPolicy, InboundProtocol, Network, RouteAuthorizations,
};
use hauberk_model::metadata::Metadata;
use hauberk_model::requirement::{ExternalCheck, Requirements, Unmet};
use hauberk_model::route::{HttpMatch, HttpRoute, HttpRule, PathMatch};
use proptest::prelude::*;

fn cidr(text: &str) -> Cidr {
    let (addr, prefix_len) = text.split_once('/').unwrap();
    Cidr { addr: addr.parse().unwrap(), prefix_len: prefix_len.parse().unwrap() }
}

fn network(net: &str, except: &[&str]) -> Network {
    Network { net: cidr(net), except: except.iter().map(|text| cidr(text)).collect() }
}

fn anywhere() -> Vec<Network> {
    vec![network("0.0.0.0/0", &[]), network("::/0", &[])]
}

fn authorization(name: &str, networks: Vec<Network>, authentication: Authentication) -> Authorization {
    Authorization::new(Metadata::Default(Arc::from(name)), networks, authentication)
}

fn identities(names: &[&str], suffixes: &[&[&str]]) -> Authentication {
    Authentication::TlsIdentities {
        identities: names.iter().map(|name| Identity::parse(name).unwrap()).collect(),
        suffixes: suffixes.iter().map(|parts| parts.iter().map(|part| Arc::from(*part)).collect()).collect(),
    }
}

fn policy(protocol: InboundProtocol, authorizations: Vec<Authorization>) -> InboundPolicy {
    InboundPolicy {
        generation: 1,
        server: Metadata::Default(Arc::from("server")),
        protocol,
        authorizations: authorizations.into(),
        limits: Arc::from([]),
        labels: Arc::from([]),
    }
}

fn client<'a>(ip: &str, tls: Tls<'a>) -> Client<'a> {
    Client { addr: SocketAddr::new(ip.parse().unwrap(), 40_000), tls }
}

fn name(of: Result<&Authorization, Denied>) -> Result<&str, Denied> {
    of.map(|one| one.metadata.name())
}

/// With a header requirement that is met or not, and an external one if `asks`.
fn requiring(name: &str, asks: bool) -> Authorization {
    let external = asks.then(|| {
        Arc::new(ExternalCheck {
            name: Arc::from("shop/asked"),
            address: "10.0.0.9:9000".parse().unwrap(),
            authority: Arc::from("asked"),
            timeout: Duration::from_secs(1),
            cache: Duration::ZERO,
            dangerous_allow_on_failure: false,
            headers: vec![],
            sets: vec![],
            context: vec![],
        })
    });
    let requirements = Some(Arc::new(Requirements { external, ..Requirements::default() }));
    Authorization { requirements, ..authorization(name, anywhere(), Authentication::Unauthenticated) }
}

/// What becomes of a request: who admits it and whether that is an audit, who is asked, or why not.
fn judged(all: Vec<Authorization>, met: Result<(), Unmet>) -> String {
    let (policy, route) = (policy(InboundProtocol::Opaque, all), RouteAuthorizations([].into()));
    match authorize::request(&policy, &route, &client("10.0.0.1", Tls::None), |_| met) {
        Ok(Judged::Admitted(one)) => {
            format!("{} {:?}", one.by.metadata.name(), one.audited.map(Unmet::code))
        }
        Ok(Judged::Asks { asks, audit, .. }) => {
            let asks: Vec<&str> = asks.iter().map(|one| one.by.metadata.name()).collect();
            format!("asks {} {:?}", asks.join(","), audit.map(|one| one.metadata.name()))
        }
        Err(unmet) => unmet.code().to_owned(),
    }
}

#[test]
fn an_audit_admits_last_and_says_why_nothing_else_did() {
    let audit = || authorization("audit", anywhere(), Authentication::Unauthenticated);
    let open = || authorization("open", anywhere(), Authentication::Unauthenticated);
    assert_eq!(judged(vec![audit()], Ok(())), r#"audit Some("client")"#);
    assert_eq!(judged(vec![audit(), open()], Ok(())), "open None");
    assert_eq!(judged(vec![audit(), requiring("token", false)], Ok(())), "token None");
    assert_eq!(
        judged(vec![audit(), requiring("token", false)], Err(Unmet::NoToken)),
        r#"audit Some("token_missing")"#
    );
    let both = policy(InboundProtocol::Opaque, vec![audit(), open()]);
    assert_eq!(name(authorize::connection(&both, &client("10.0.0.1", Tls::None))), Ok("open"));
}

#[test]
fn what_requires_more_than_a_client_admits_only_requests_that_bring_it() {
    assert_eq!(judged(vec![requiring("a", false)], Ok(())), "a None");
    assert_eq!(judged(vec![requiring("a", false)], Err(Unmet::Header)), "header");
    assert_eq!(judged(vec![requiring("a", true), requiring("b", false)], Ok(())), "b None");
    assert_eq!(judged(vec![requiring("a", true), requiring("b", true)], Ok(())), "asks a,b None");
    assert_eq!(judged(vec![requiring("a", true)], Err(Unmet::Claims)), "token_claims");
    let bytes = policy(InboundProtocol::Opaque, vec![requiring("a", false)]);
    assert_eq!(name(authorize::connection(&bytes, &client("10.0.0.1", Tls::None))), Err(Denied));
}

#[test]
fn without_an_authorization_nobody_is_admitted_and_without_networks_it_is_ignored() {
    let empty = policy(InboundProtocol::Opaque, vec![]);
    assert_eq!(name(authorize::connection(&empty, &client("127.0.0.1", Tls::None))), Err(Denied));
    let open = authorization("open", vec![], Authentication::Unauthenticated);
    let ignored = policy(InboundProtocol::Opaque, vec![open]);
    assert_eq!(name(authorize::connection(&ignored, &client("10.0.0.1", Tls::None))), Err(Denied));
}

#[test]
fn each_authentication_asks_for_its_proof() {
    let web = Identity::parse("web.shop.serviceaccount.identity.linkerd.cluster.local").unwrap();
    let uri = Identity::parse("spiffe://cluster.local/ns/shop/sa/web").unwrap();
    let (dns, spiffe) = (Tls::Peer(&web), Tls::Peer(&uri));
    let exact = identities(&["web.shop.serviceaccount.identity.linkerd.cluster.local"], &[]);
    let exact_uri = identities(&["spiffe://cluster.local/ns/shop/sa/web"], &[]);
    let all = identities(&[], &[&[]]);
    let suffix = identities(&[], &[&["cluster", "local"]]);
    let whole =
        identities(&[], &[&["web", "shop", "serviceaccount", "identity", "linkerd", "cluster", "local"]]);
    let tail = identities(&[], &[&["sa", "web"]]);
    for (rule, authentication, admitted) in [
        ("unauthenticated", Authentication::Unauthenticated, [true, true, true, true]),
        ("tls", Authentication::TlsUnauthenticated, [false, true, true, true]),
        ("exact", exact, [false, false, true, false]),
        ("exact uri", exact_uri, [false, false, false, true]),
        ("every identity", all, [false, false, true, true]),
        ("suffix", suffix, [false, false, true, false]),
        ("the whole name is not its own suffix", whole, [false, false, false, false]),
        ("a suffix is not of a path", tail, [false, false, false, false]),
        ("nobody", identities(&[], &[]), [false, false, false, false]),
    ] {
        let given = [Tls::None, Tls::Unauthenticated, dns, spiffe].map(|tls| authentication.is_met_by(tls));
        assert_eq!(given, admitted, "{rule}");
    }
}

#[test]
fn networks_have_exceptions_and_a_mapped_address_is_its_ipv4_address() {
    for (net, ip, inside) in [
        (network("10.0.0.0/8", &["10.1.0.0/16"]), "10.2.3.4", true),
        (network("10.0.0.0/8", &["10.1.0.0/16"]), "10.1.3.4", false),
        (network("10.0.0.0/8", &[]), "::ffff:10.9.9.9", true),
        (network("10.0.0.0/8", &["10.9.9.9/32"]), "::ffff:10.9.9.9", false),
        (network("::ffff:10.0.0.0/104", &[]), "10.9.9.9", true),
        (network("::ffff:10.0.0.0/104", &[]), "11.9.9.9", false),
        (network("0.0.0.0/0", &[]), "2001:db8::1", false),
        (network("::/0", &[]), "10.0.0.1", false),
        (network("::/0", &[]), "2001:db8::1", true),
        (network("fd00::/8", &[]), "fd12::1", true),
        (network("fd00::/8", &[]), "fe80::1", false),
        (network("10.0.0.1/32", &[]), "10.0.0.2", false),
    ] {
        assert_eq!(net.contains(ip.parse::<IpAddr>().unwrap().to_canonical()), inside, "{net:?} {ip}");
    }
}

#[test]
fn a_routes_own_authorizations_extend_the_servers() {
    let server = authorization("server", vec![network("10.0.0.0/8", &[])], Authentication::Unauthenticated);
    let own = authorization("route", vec![network("192.168.0.0/16", &[])], Authentication::Unauthenticated);
    let policy = policy(InboundProtocol::Opaque, vec![server]);
    let route = RouteAuthorizations([own].into());
    let ask = |ip: &str| match authorize::request(&policy, &route, &client(ip, Tls::None), |_| Ok(())) {
        Ok(Judged::Admitted(one)) => Ok(one.by.metadata.name().to_owned()),
        Ok(Judged::Asks { .. }) => Ok("asks".to_owned()),
        Err(unmet) => Err(unmet),
    };
    assert_eq!(ask("192.168.1.1"), Ok("route".to_owned()));
    assert_eq!(ask("10.1.1.1"), Ok("server".to_owned()));
    assert_eq!(ask("172.16.0.1"), Err(Unmet::Client));
}

#[test]
fn a_workload_reaches_itself_over_loopback() {
    let policy = policy(InboundProtocol::Opaque, vec![authorize::localhost()]);
    for (ip, expected) in
        [("127.0.0.1", Ok("localhost")), ("::1", Ok("localhost")), ("127.0.0.2", Err(Denied))]
    {
        assert_eq!(name(authorize::connection(&policy, &client(ip, Tls::None))), expected, "{ip}");
    }
}

fn detect(rules: Vec<HttpRule<RouteAuthorizations>>) -> InboundProtocol {
    let route = HttpRoute { metadata: Metadata::Default(Arc::from("r")), hosts: vec![], rules };
    InboundProtocol::Detect { timeout: Duration::from_secs(10), routes: [route].into() }
}

fn rule(matches: Vec<HttpMatch>, own: Vec<Authorization>) -> HttpRule<RouteAuthorizations> {
    HttpRule { matches, filters: vec![], then: RouteAuthorizations(own.into()) }
}

#[test]
fn silence_is_no_way_around_an_http_policy() {
    let open = || authorization("open", anywhere(), Authentication::Unauthenticated);
    let exact = HttpMatch { path: Some(PathMatch::Exact(Arc::from("/a"))), ..HttpMatch::default() };
    for (what, protocol, expected) in [
        ("the default route", detect(vec![rule(vec![], vec![])]), Ok("open")),
        ("a default match", detect(vec![rule(vec![HttpMatch::default()], vec![])]), Ok("open")),
        ("own authorizations", detect(vec![rule(vec![], vec![open()])]), Err(Denied)),
        ("a match", detect(vec![rule(vec![exact], vec![])]), Err(Denied)),
        ("declared", InboundProtocol::Grpc { routes: [].into() }, Err(Denied)),
        ("bytes", InboundProtocol::Opaque, Ok("open")),
    ] {
        let policy = policy(protocol, vec![open()]);
        assert_eq!(name(authorize::undetected(&policy, &client("10.0.0.1", Tls::None))), expected, "{what}");
    }
}

proptest! {
    /// Prefixes by arithmetic against prefixes by comparing bit strings.
    #[test]
    fn a_prefix_compares_the_leading_bits(net: u32, ip: u32, len in 0_u8..=32, close in 0_u32..=32) {
        let ip = if close == 0 { ip } else { net ^ (1_u32.rotate_right(close)) };
        let bits = |value: u32| format!("{value:032b}");
        let expected = bits(net)[..usize::from(len)] == bits(ip)[..usize::from(len)];
        let cidr = Cidr { addr: IpAddr::V4(net.into()), prefix_len: len };
        prop_assert_eq!(cidr.contains(IpAddr::V4(ip.into())), expected);
        let mapped = Cidr { addr: IpAddr::V6(std::net::Ipv4Addr::from(net).to_ipv6_mapped()), prefix_len: 96 + len };
        prop_assert_eq!(mapped.contains(IpAddr::V4(ip.into())), expected);
    }

    /// A suffix matches exactly the names that end with a dot and its parts.
    #[test]
    fn a_suffix_matches_by_whole_labels(labels in proptest::collection::vec("[ab]{1,2}", 1..5), parts in proptest::collection::vec("[abAB]{1,2}", 1..4)) {
        let id = Identity::parse(&labels.join(".")).unwrap();
        let ending = format!(".{}", parts.join(".").to_ascii_lowercase());
        let suffixes = vec![parts.iter().map(|part| Arc::from(part.as_str())).collect()];
        let authentication = Authentication::TlsIdentities { identities: vec![], suffixes };
        let expected = id.as_str().ends_with(&ending);
        prop_assert_eq!(authentication.is_met_by(Tls::Peer(&id)), expected);
    }
}
