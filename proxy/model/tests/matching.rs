//! Route matching: Gateway API's rules as tables, and the whole against a naive matcher that sorts.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod request;

use std::cmp::Reverse;
use std::sync::Arc;

use hauberk_model::matching;
use hauberk_model::metadata::Metadata;
use hauberk_model::route::{
    GrpcMatch, GrpcRoute, GrpcRule, HeaderMatch, HostMatch, HttpMatch, HttpRoute, HttpRule, NameMatch,
    PathMatch, QueryMatch, ValueMatch, whole,
};
use proptest::prelude::*;
use request::Request;

fn get(path: &str) -> Request {
    let (path, query) =
        path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query.to_owned())));
    Request {
        method: "GET".into(),
        authority: "web.shop:8080".into(),
        path: path.into(),
        query,
        headers: Vec::new(),
    }
}

fn route(hosts: Vec<HostMatch>, rules: Vec<Vec<HttpMatch>>) -> HttpRoute<usize> {
    let rules = rules.into_iter().enumerate();
    HttpRoute {
        metadata: Metadata::Default(Arc::from("test")),
        hosts,
        rules: rules.map(|(then, matches)| HttpRule { matches, filters: Vec::new(), then }).collect(),
    }
}

fn one(path: PathMatch) -> Vec<HttpMatch> {
    vec![HttpMatch { path: Some(path), ..HttpMatch::default() }]
}

fn prefix(path: &str) -> PathMatch {
    PathMatch::Prefix(Arc::from(path))
}

fn exact(path: &str) -> PathMatch {
    PathMatch::Exact(Arc::from(path))
}

fn regex(pattern: &str) -> PathMatch {
    PathMatch::Regex(whole(pattern).unwrap())
}

fn header(name: &str, value: &str) -> HeaderMatch {
    HeaderMatch { name: Arc::from(name), value: ValueMatch::Exact(Arc::from(value.as_bytes())) }
}

fn found(routes: &[HttpRoute<usize>], request: &Request) -> Option<(usize, usize)> {
    matching::http(routes, request).map(|found| (found.route_index, found.rule_index))
}

#[test]
fn an_exact_path_goes_before_the_longest_prefix_and_a_prefix_ends_at_a_segment() {
    let rules = vec![one(prefix("/")), one(prefix("/a/")), one(exact("/a/b")), one(prefix("/a/b"))];
    let routes = [route(vec![], rules)];
    for (path, rule) in
        [("/a/b", 2), ("/a/b/", 3), ("/a/b/c", 3), ("/a/bc", 1), ("/a", 1), ("/ab", 0), ("/", 0)]
    {
        assert_eq!(found(&routes, &get(path)), Some((0, rule)), "{path}");
    }
}

#[test]
fn a_regular_expression_matches_whole_paths_and_is_not_hidden_by_the_default_prefix() {
    let routes =
        [route(vec![], vec![one(prefix("/")), one(regex("/v[0-9]+|/v[0-9]+/x")), one(exact("/v1"))])];
    for (path, rule) in [("/v2", 1), ("/v2/x", 1), ("/v2/y", 0), ("/a/v2", 0), ("/v1", 2)] {
        assert_eq!(found(&routes, &get(path)), Some((0, rule)), "{path}");
    }
    assert!(whole("a)|(b").is_err());
}

#[test]
fn an_exact_host_goes_before_a_longer_suffix_before_a_shorter_one_before_none_whatever_the_path() {
    let suffix = |labels: &[&str]| HostMatch::Suffix(labels.iter().map(|label| Arc::from(*label)).collect());
    let all = || vec![vec![]];
    let routes = [
        route(vec![], vec![one(exact("/a"))]),
        route(vec![suffix(&["com", "example"])], all()),
        route(vec![suffix(&["com", "example", "api"])], all()),
        route(vec![HostMatch::Exact(Arc::from("v1.api.example.com"))], all()),
    ];
    for (authority, expected) in [
        ("v1.API.example.com:443", Some((3, 0))),
        ("v2.api.example.com.", Some((2, 0))),
        ("api.example.com", Some((1, 0))),
        ("example.com", Some((0, 0))),
        (".example.com", Some((0, 0))),
        ("badexample.com", Some((0, 0))),
        ("[::1]:80", Some((0, 0))),
    ] {
        assert_eq!(
            found(&routes, &Request { authority: authority.into(), ..get("/a") }),
            expected,
            "{authority}"
        );
    }
    assert_eq!(found(&routes, &get("/b")), None);
}

#[test]
fn method_then_headers_then_query_then_order_decide_between_equal_paths() {
    let base = || HttpMatch { path: Some(prefix("/")), ..HttpMatch::default() };
    let query = QueryMatch { name: Arc::from("q"), value: ValueMatch::Exact(Arc::from(&b"a b"[..])) };
    let headers = || vec![header("x-a", "1"), header("x-b", "2")];
    let routes = [
        route(vec![], vec![vec![base()], vec![base()]]),
        route(vec![], vec![vec![HttpMatch { query: vec![query], ..base() }]]),
        route(vec![], vec![vec![HttpMatch { headers: headers(), ..base() }]]),
        route(vec![], vec![vec![HttpMatch { method: Some(Arc::from("PUT")), ..base() }]]),
    ];
    let mut request = get("/?q=a%20b&q=c");
    assert_eq!(found(&routes, &request), Some((1, 0)));
    request.headers = vec![("x-a".into(), "1".into()), ("x-b".into(), "2".into())];
    assert_eq!(found(&routes, &request), Some((2, 0)));
    request.method = "PUT".into();
    assert_eq!(found(&routes, &request), Some((3, 0)));
    request.method = "put".into();
    assert_eq!(found(&routes, &request), Some((2, 0)));
    assert_eq!(found(&routes, &get("/?q=c&q=a+b")), Some((0, 0)));
    assert_eq!(found(&routes, &get("/?%71=a+b")), Some((1, 0)));
}

#[test]
fn a_header_rule_sees_all_values_and_not_only_the_first() {
    let only = HttpMatch { headers: vec![header("x-role", "user")], ..HttpMatch::default() };
    let routes = [route(vec![], vec![vec![only]])];
    let mut request = get("/");
    request.headers = vec![("x-role".into(), "user".into())];
    assert_eq!(found(&routes, &request), Some((0, 0)));
    request.headers.push(("x-role".into(), "admin".into()));
    assert_eq!(found(&routes, &request), None);
}

#[test]
fn the_matched_prefix_is_told_for_its_rewrite() {
    let routes = [route(vec![], vec![one(prefix("/foo/")), one(exact("/bar"))])];
    assert_eq!(matching::http(&routes, &get("/foo/x")).unwrap().prefix_len, Some(4));
    assert_eq!(matching::http(&routes, &get("/bar")).unwrap().prefix_len, None);
    let everything = [route(vec![], vec![vec![]])];
    assert_eq!(matching::http(&everything, &get("/x")).unwrap().prefix_len, Some(1));
}

#[test]
fn a_call_is_matched_by_service_and_method() {
    let call = |service: Option<&str>, method: Option<&str>| GrpcMatch {
        service: service.map(|name| NameMatch::Exact(Arc::from(name))),
        method: method.map(|name| NameMatch::Exact(Arc::from(name))),
        headers: Vec::new(),
    };
    let rules = [
        vec![],
        vec![call(None, Some("Vote"))],
        vec![call(Some("emoji.v1.Voting"), None)],
        vec![call(Some("emoji.v1.Voting"), Some("Vote"))],
    ];
    let rules =
        rules.into_iter().map(|matches| GrpcRule { matches, filters: Vec::new(), then: () }).collect();
    let routes = [GrpcRoute { metadata: Metadata::Default(Arc::from("test")), hosts: Vec::new(), rules }];
    for (path, rule) in [
        ("/emoji.v1.Voting/Vote", 3),
        ("/emoji.v1.Voting/List", 2),
        ("/other.Voting/Vote", 1),
        ("/other.Voting/List", 0),
        ("/emoji.v1.voting/vote", 0),
        ("/", 0),
        ("", 0),
    ] {
        let found = matching::grpc(&routes, &get(path));
        assert_eq!(found.map(|found| found.rule_index), Some(rule), "{path}");
    }
}

#[test]
fn an_expression_of_a_call_spans_the_whole_name_and_goes_behind_the_exact_name() {
    let rule = |service: NameMatch| GrpcRule {
        matches: vec![GrpcMatch { service: Some(service), ..GrpcMatch::default() }],
        filters: Vec::new(),
        then: (),
    };
    let rules = vec![
        rule(NameMatch::Regex(whole("emoji[.]v[0-9]").expect("pattern"))),
        rule(NameMatch::Exact("emoji.v2".into())),
    ];
    let routes = [GrpcRoute { metadata: Metadata::Default(Arc::from("test")), hosts: Vec::new(), rules }];
    for (path, rule) in
        [("/emoji.v1/A", Some(0)), ("/emoji.v2/A", Some(1)), ("/emoji.v10/A", None), ("/xemoji.v1/A", None)]
    {
        assert_eq!(matching::grpc(&routes, &get(path)).map(|found| found.rule_index), rule, "{path}");
    }
}

/// The specification as one sort over everything that matches.
fn naive(routes: &[HttpRoute<usize>], request: &Request) -> Option<(usize, usize)> {
    let mut all = Vec::new();
    let host = request.authority.split(':').next().unwrap().to_ascii_lowercase();
    for (at, route) in routes.iter().enumerate() {
        let host_scores: Vec<i32> = route
            .hosts
            .iter()
            .filter_map(|one| match one {
                HostMatch::Exact(name) => (name.to_ascii_lowercase() == host).then_some(1_000),
                HostMatch::Suffix(labels) => {
                    let mut dotted: Vec<&str> = labels.iter().map(|label| &**label).collect();
                    dotted.reverse();
                    let ending = format!(".{}", dotted.join("."));
                    (host.len() > ending.len() && host.ends_with(&ending)).then_some(labels.len() as i32)
                }
            })
            .collect();
        let host_score = if route.hosts.is_empty() { Some(0) } else { host_scores.into_iter().max() };
        let Some(host_score) = host_score else { continue };
        for (index, rule) in route.rules.iter().enumerate() {
            let default = [HttpMatch::default()];
            let matches = if rule.matches.is_empty() { &default[..] } else { &rule.matches[..] };
            for one in matches {
                if let Some(score) = naive_match(one, request) {
                    all.push((Reverse((host_score, score)), at, index));
                }
            }
        }
    }
    all.sort();
    all.first().map(|(_, at, index)| (*at, *index))
}

type Score = (usize, u8, bool, usize, usize);

fn naive_match(one: &HttpMatch, request: &Request) -> Option<Score> {
    let segments = |path: &str| -> Vec<String> {
        path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
    };
    let (len, kind) = match &one.path {
        None => (1, 1),
        Some(PathMatch::Prefix(wanted)) => {
            segments(&request.path).starts_with(&segments(wanted)).then_some(())?;
            (wanted.trim_end_matches('/').len().max(1), 1)
        }
        Some(PathMatch::Exact(wanted)) => {
            (**wanted == *request.path).then_some(())?;
            (wanted.len(), 2)
        }
        Some(PathMatch::Regex(wanted)) => {
            wanted.is_match(&request.path).then_some(())?;
            (request.path.len(), 0)
        }
    };
    let value = |wanted: &ValueMatch, have: &str| match wanted {
        ValueMatch::Exact(bytes) => **bytes == *have.as_bytes(),
        ValueMatch::Regex(regex) => regex.is_match(have),
    };
    let headers = one.headers.iter().all(|wanted| {
        let have: Vec<&str> = request
            .headers
            .iter()
            .filter(|(name, _)| **name == *wanted.name)
            .map(|(_, v)| v.as_str())
            .collect();
        !have.is_empty() && value(&wanted.value, &have.join(","))
    });
    let query = one.query.iter().all(|wanted| {
        let pairs = request.query.as_deref().unwrap_or("").split('&').filter_map(|pair| pair.split_once('='));
        let first = pairs.into_iter().find(|(name, _)| **name == *wanted.name);
        first.is_some_and(|(_, have)| value(&wanted.value, have))
    });
    let method = one.method.as_ref().is_none_or(|wanted| **wanted == *request.method);
    (headers && query && method).then_some((
        len,
        kind,
        one.method.is_some(),
        one.headers.len(),
        one.query.len(),
    ))
}

fn path_text() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop::sample::select(vec!["a", "b", "ab"]), 0..4)
        .prop_map(|segments| format!("/{}", segments.join("/")))
}

fn some_match() -> impl Strategy<Value = HttpMatch> {
    let path = prop_oneof![
        Just(None),
        path_text().prop_map(|path| Some(exact(&path))),
        path_text().prop_map(|path| Some(prefix(&path))),
        path_text().prop_map(|path| Some(prefix(&format!("{path}/")))),
        prop::sample::select(vec!["/a.*", "/(a|ab)/b", ".*"]).prop_map(|pattern| Some(regex(pattern))),
    ];
    let headers = proptest::collection::vec(
        (prop::sample::select(vec!["x", "y"]), prop::sample::select(vec!["1", "2", "1,2"]))
            .prop_map(|(name, value)| header(name, value)),
        0..3,
    );
    let query = proptest::collection::vec(
        prop::sample::select(vec!["1", "2"]).prop_map(|value| QueryMatch {
            name: Arc::from("q"),
            value: ValueMatch::Exact(Arc::from(value.as_bytes())),
        }),
        0..2,
    );
    let method = prop::option::of(prop::sample::select(vec!["GET", "POST"]).prop_map(Arc::from));
    (path, headers, query, method).prop_map(|(path, headers, query, method)| HttpMatch {
        path,
        headers,
        query,
        method,
        condition: None,
    })
}

fn some_routes() -> impl Strategy<Value = Vec<HttpRoute<usize>>> {
    let host = prop_oneof![
        prop::sample::select(vec!["a.x.org", "b.x.org"]).prop_map(|name| HostMatch::Exact(Arc::from(name))),
        Just(HostMatch::Suffix(vec![Arc::from("org")])),
        Just(HostMatch::Suffix(vec![Arc::from("org"), Arc::from("x")])),
    ];
    let rules = proptest::collection::vec(proptest::collection::vec(some_match(), 0..3), 1..4);
    let one = (proptest::collection::vec(host, 0..3), rules).prop_map(|(hosts, rules)| route(hosts, rules));
    proptest::collection::vec(one, 0..4)
}

fn some_request() -> impl Strategy<Value = Request> {
    let headers = proptest::collection::vec(
        (prop::sample::select(vec!["x", "y"]), prop::sample::select(vec!["1", "2"])),
        0..3,
    );
    (
        prop::sample::select(vec!["GET", "POST"]),
        prop::sample::select(vec!["a.x.org", "B.x.org:80", "x.org", "c"]),
        path_text(),
        prop::option::of(prop::sample::select(vec!["q=1", "q=2&q=1", "r=1"])),
        headers,
    )
        .prop_map(|(method, authority, path, query, headers)| Request {
            method: method.into(),
            authority: authority.into(),
            path,
            query: query.map(str::to_owned),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_chosen_rule_is_the_first_of_the_best(routes in some_routes(), request in some_request()) {
        prop_assert_eq!(found(&routes, &request), naive(&routes, &request));
    }
}
