//! The table of routes finds what a search through all of them finds.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::sync::Arc;

use hauberk_model::matching::index::{GrpcIndex, HttpIndex};
use hauberk_model::matching::{self, RequestView};
use hauberk_model::metadata::Metadata;
use hauberk_model::route::{
    GrpcMatch, GrpcRoute, GrpcRule, HeaderMatch, HostMatch, HttpMatch, HttpRoute, HttpRule, NameMatch,
    PathMatch, ValueMatch, whole,
};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Request {
    method: &'static str,
    authority: String,
    path: String,
    header: Option<&'static str>,
}

impl RequestView for Request {
    fn method(&self) -> &str {
        self.method
    }
    fn authority(&self) -> &str {
        &self.authority
    }
    fn path(&self) -> &str {
        &self.path
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn header(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.header.filter(|_| name == "x").map(str::as_bytes).into_iter()
    }
}

fn metadata() -> Metadata {
    Metadata::Default(Arc::from("test"))
}

fn labels(name: &str) -> HostMatch {
    HostMatch::Suffix(name.rsplit('.').filter(|label| !label.is_empty()).map(Arc::from).collect())
}

fn http_route(hosts: Vec<HostMatch>, rules: Vec<Vec<HttpMatch>>) -> HttpRoute<()> {
    let rules = rules.into_iter().map(|matches| HttpRule { matches, filters: Vec::new(), then: () });
    HttpRoute { metadata: metadata(), hosts, rules: rules.collect() }
}

fn grpc_route(hosts: Vec<HostMatch>, rules: Vec<Vec<GrpcMatch>>) -> GrpcRoute<()> {
    let rules = rules.into_iter().map(|matches| GrpcRule { matches, filters: Vec::new(), then: () });
    GrpcRoute { metadata: metadata(), hosts, rules: rules.collect() }
}

fn some_header() -> impl Strategy<Value = Vec<HeaderMatch>> {
    let one = prop::sample::select(vec!["1", "2"]).prop_map(|value| HeaderMatch {
        name: Arc::from("x"),
        value: ValueMatch::Exact(Arc::from(value.as_bytes())),
    });
    prop::collection::vec(one, 0..2)
}

fn some_path() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec!["a", "b", "ab", "", "A"]);
    prop::collection::vec(segment, 0..4).prop_map(|segments| format!("/{}", segments.join("/")))
}

fn some_match() -> impl Strategy<Value = HttpMatch> {
    let path = prop_oneof![
        Just(None),
        some_path().prop_map(|path| Some(PathMatch::Exact(path.into()))),
        some_path().prop_map(|path| Some(PathMatch::Prefix(path.into()))),
        prop::sample::select(vec!["/a.*", "/(a|ab)/b", ".*"])
            .prop_map(|pattern| Some(PathMatch::Regex(whole(pattern).unwrap()))),
    ];
    let method = prop::option::of(prop::sample::select(vec!["GET", "POST"]).prop_map(Arc::from));
    (path, some_header(), method).prop_map(|(path, headers, method)| HttpMatch {
        path,
        headers,
        method,
        ..HttpMatch::default()
    })
}

fn some_call() -> impl Strategy<Value = GrpcMatch> {
    let name = |exact: Vec<&'static str>, pattern: &'static str| {
        prop::option::of(prop_oneof![
            prop::sample::select(exact).prop_map(|name| NameMatch::Exact(Arc::from(name))),
            Just(NameMatch::Regex(whole(pattern).unwrap())),
        ])
    };
    let service = name(vec!["p.A", "p.B", "x/p.A"], "p[.].*");
    let method = name(vec!["Get", "Set"], ".et");
    (service, method, some_header()).prop_map(|(service, method, headers)| GrpcMatch {
        service,
        method,
        headers,
    })
}

fn some_hosts() -> impl Strategy<Value = Vec<HostMatch>> {
    let host = prop_oneof![
        prop::sample::select(vec!["a.x.org", "B.x.org", "x.org", "b.x.org.:80"])
            .prop_map(|name| HostMatch::Exact(Arc::from(name))),
        prop::sample::select(vec!["org", "x.org", "X.org", "a.x.org", ""]).prop_map(labels),
    ];
    prop::collection::vec(host, 0..3)
}

fn some_authority() -> impl Strategy<Value = String> {
    let hosts =
        ["a.x.org", "B.x.org:80", "x.org", "c.a.x.org.", ".x.org", "a..org", "org", "", "[::1]:80", "c"];
    prop::sample::select(hosts.to_vec()).prop_map(str::to_owned)
}

fn some_request() -> impl Strategy<Value = Request> {
    let path = prop_oneof![
        some_path(),
        prop::sample::select(vec!["/p.A/Get", "/p.B/Set", "/x/p.A/Get", "/p.A/", "/p.A", "*", ""])
            .prop_map(str::to_owned)
    ];
    let header = prop::option::of(prop::sample::select(vec!["1", "2"]));
    (prop::sample::select(vec!["GET", "POST"]), some_authority(), path, header)
        .prop_map(|(method, authority, path, header)| Request { method, authority, path, header })
}

/// Enough that a table is made; nothing that is asked for has this host.
fn elsewhere() -> Vec<HostMatch> {
    vec![HostMatch::Exact(Arc::from("elsewhere.test"))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_table_of_http_routes_finds_what_the_search_finds(
        mut routes in prop::collection::vec(
            (some_hosts(), prop::collection::vec(prop::collection::vec(some_match(), 0..3), 1..3))
                .prop_map(|(hosts, rules)| http_route(hosts, rules)),
            0..6,
        ),
        request in some_request(),
    ) {
        routes.push(http_route(elsewhere(), vec![vec![]; 9]));
        let searched = matching::http(&routes, &request);
        let asked = HttpIndex::of(&routes).find(&routes, &request);
        let place = |found: matching::FoundHttp<'_, ()>| (found.route_index, found.rule_index, found.prefix_len);
        prop_assert_eq!(asked.map(place), searched.map(place));
    }

    #[test]
    fn the_table_of_grpc_routes_finds_what_the_search_finds(
        mut routes in prop::collection::vec(
            (some_hosts(), prop::collection::vec(prop::collection::vec(some_call(), 0..3), 1..3))
                .prop_map(|(hosts, rules)| grpc_route(hosts, rules)),
            0..6,
        ),
        request in some_request(),
    ) {
        routes.push(grpc_route(elsewhere(), vec![vec![]; 9]));
        let searched = matching::grpc(&routes, &request);
        let asked = GrpcIndex::of(&routes).find(&routes, &request);
        let place = |found: matching::FoundGrpc<'_, ()>| (found.route_index, found.rule_index);
        prop_assert_eq!(asked.map(place), searched.map(place));
    }
}
