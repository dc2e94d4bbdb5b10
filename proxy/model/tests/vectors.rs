//! The vectors that hold the control plane's view of routes and paths together with ours: `mesh/policy` reads them, too.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail where it stands")]

mod request;

use std::sync::Arc;

use hauberk_model::canonical::canonical_path;
use hauberk_model::matching;
use hauberk_model::metadata::Metadata;
use hauberk_model::route::{
    HeaderMatch, HostMatch, HttpMatch, HttpRoute, HttpRule, PathMatch, QueryMatch, ValueMatch, whole,
};
use request::Request;

const PATHS: &str = include_str!("../vectors/paths.txt");
const ROUTES: &str = include_str!("../vectors/routes.txt");

fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn given(word: &str) -> Option<&str> {
    (word != "-").then_some(word)
}

fn value(word: &str) -> (Arc<str>, ValueMatch) {
    match word.split_once(['=', '~']) {
        Some((name, text)) if word.get(name.len()..=name.len()) == Some("~") => {
            (name.into(), ValueMatch::Regex(whole(text).unwrap()))
        }
        Some((name, text)) => (name.into(), ValueMatch::Exact(text.as_bytes().into())),
        None => panic!("{word} is no value"),
    }
}

fn route(text: &str) -> HttpRoute<()> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [host, kind, path, method, headers, query] = words.as_slice() else { panic!("{text}") };
    let hosts = given(host).map(|host| match host.strip_prefix("*.") {
        Some(suffix) => HostMatch::Suffix(suffix.rsplit('.').map(Arc::from).collect()),
        None => HostMatch::Exact((*host).into()),
    });
    let path = match *kind {
        "exact" => Some(PathMatch::Exact((*path).into())),
        "prefix" => Some(PathMatch::Prefix((*path).into())),
        "regex" => Some(PathMatch::Regex(whole(path).unwrap())),
        _ => None,
    };
    let headers = given(headers).into_iter().flat_map(|all| all.split(',')).map(value);
    let one = HttpMatch {
        path,
        headers: headers.map(|(name, value)| HeaderMatch { name, value }).collect(),
        query: given(query).map(value).map(|(name, value)| QueryMatch { name, value }).into_iter().collect(),
        method: given(method).map(Arc::from),
        ..HttpMatch::default()
    };
    HttpRoute {
        metadata: Metadata::Default("vector".into()),
        hosts: hosts.into_iter().collect(),
        rules: vec![HttpRule { matches: vec![one], filters: Vec::new(), then: () }],
    }
}

fn request(text: &str) -> Request {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [authority, path, method, headers, query] = words.as_slice() else { panic!("{text}") };
    let pairs = given(headers).into_iter().flat_map(|all| all.split(','));
    Request {
        method: (*method).into(),
        authority: (*authority).into(),
        path: (*path).into(),
        query: given(query).map(String::from),
        headers: pairs
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
    }
}

#[test]
fn paths_have_the_form_that_the_vectors_say() {
    let mut looked = 0;
    for line in lines(PATHS) {
        let (path, expected) = line.split_once(' ').unwrap();
        let found = canonical_path(path).map_or_else(|_| "!".to_owned(), std::borrow::Cow::into_owned);
        assert_eq!(found, expected, "{path}");
        looked += 1;
    }
    assert!(looked > 30);
}

#[test]
fn requests_follow_the_routes_that_the_vectors_say() {
    let mut looked = 0;
    for line in lines(ROUTES) {
        let parts: Vec<&str> = line.split(" | ").collect();
        let [rules, asked, expected] = parts.as_slice() else { panic!("{line}") };
        let routes: Vec<HttpRoute<()>> = rules.split(" ; ").map(route).collect();
        let found = matching::http(&routes, &request(asked)).map(|found| found.route_index.to_string());
        assert_eq!(found.as_deref().unwrap_or("!"), *expected, "{line}");
        looked += 1;
    }
    assert!(looked > 40);
}
