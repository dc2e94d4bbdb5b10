//! Which rule of which route a request follows (Gateway API v1.2 HTTPRoute and GRPCRoute, "precedence").
//!
//! The better host wins: exact, then the longer suffix, then none. Among those the longer matched path, and
//! for equal lengths exact before prefix before regular expression; then a method, more headers, more query
//! parameters. What is still equal is decided by order: the first wins. A regular expression matches the
//! whole path, so it goes before every shorter prefix, as in Linkerd; were it below all prefixes, the
//! default prefix `/` of another rule would hide it.
//!
//! The path must be in the form that is forwarded: see [`crate::canonical`].

pub mod index;

use std::cmp::Ordering;
use std::iter;

use crate::route::{
    GrpcMatch, GrpcRoute, GrpcRule, HeaderMatch, HostMatch, HttpMatch, HttpRoute, HttpRule, NameMatch,
    PathMatch, QueryMatch, ValueMatch,
};

/// What matching looks at. Nothing is copied.
pub trait RequestView {
    /// Method as on the request line.
    fn method(&self) -> &str;
    /// Authority as forwarded, with or without a port; empty if there is none.
    fn authority(&self) -> &str;
    /// Path as forwarded, without query.
    fn path(&self) -> &str;
    /// Query without its question mark.
    fn query(&self) -> Option<&str>;
    /// All values of a header; `name` is lower case.
    fn header(&self, name: &str) -> impl Iterator<Item = &[u8]>;
}

/// A matched rule and where it stands.
#[derive(Debug)]
pub struct Found<'r, Route, Rule> {
    /// Index of the route.
    pub route_index: usize,
    /// Index of the rule in its route.
    pub rule_index: usize,
    /// Bytes of the path that a prefix match covers, for a rewrite of the prefix; `None` for other matches.
    pub prefix_len: Option<usize>,
    /// The route.
    pub route: &'r Route,
    /// Its rule.
    pub rule: &'r Rule,
}

/// A matched HTTP rule.
pub type FoundHttp<'r, R> = Found<'r, HttpRoute<R>, HttpRule<R>>;

/// A matched gRPC rule.
pub type FoundGrpc<'r, R> = Found<'r, GrpcRoute<R>, GrpcRule<R>>;

/// The rule of an HTTP request.
pub fn http<'r, R>(routes: &'r [HttpRoute<R>], request: &impl RequestView) -> Option<FoundHttp<'r, R>> {
    if let Some(found) = only_catch_all(routes) {
        return Some(found);
    }
    let host = host_of(request.authority());
    let mut best: Option<(HttpRank, FoundHttp<'r, R>)> = None;
    for (route_index, route) in routes.iter().enumerate() {
        let Some(host_rank) = host_rank(&route.hosts, host) else { continue };
        for (rule_index, rule) in route.rules.iter().enumerate() {
            let Some(matched) = best_of(&rule.matches, |one| http_rank(one, request), HttpRank::everything())
            else {
                continue;
            };
            let rank = HttpRank { host: host_rank, ..matched };
            if best.as_ref().is_none_or(|(held, _)| rank > *held) {
                let prefix_len = rank.path.prefix_len();
                best = Some((rank, Found { route_index, rule_index, prefix_len, route, rule }));
            }
        }
    }
    best.map(|(_, found)| found)
}

/// The rule of a gRPC call, whose path is `/package.Service/Method`.
pub fn grpc<'r, R>(routes: &'r [GrpcRoute<R>], request: &impl RequestView) -> Option<FoundGrpc<'r, R>> {
    let host = host_of(request.authority());
    let call = call_of(request.path());
    let mut best: Option<(GrpcRank, FoundGrpc<'r, R>)> = None;
    for (route_index, route) in routes.iter().enumerate() {
        let Some(host_rank) = host_rank(&route.hosts, host) else { continue };
        for (rule_index, rule) in route.rules.iter().enumerate() {
            let Some(matched) =
                best_of(&rule.matches, |one| grpc_rank(one, call, request), GrpcRank::default())
            else {
                continue;
            };
            let rank = GrpcRank { host: host_rank, ..matched };
            if best.as_ref().is_none_or(|(held, _)| rank > *held) {
                best = Some((rank, Found { route_index, rule_index, prefix_len: None, route, rule }));
            }
        }
    }
    best.map(|(_, found)| found)
}

/// The route by SNI or by a bare host: the best host match, the first of equals.
pub fn by_host<'r, T>(
    routes: &'r [T],
    hosts: impl Fn(&T) -> &[HostMatch],
    host: &str,
) -> Option<(usize, &'r T)> {
    let mut best: Option<(HostRank, usize, &'r T)> = None;
    for (index, route) in routes.iter().enumerate() {
        if let Some(rank) = host_rank(hosts(route), host_of(host))
            && best.is_none_or(|(held, _, _)| rank > held)
        {
            best = Some((rank, index, route));
        }
    }
    best.map(|(_, index, route)| (index, route))
}

/// Nearly every port has just this: one route with one rule for everything.
fn only_catch_all<R>(routes: &[HttpRoute<R>]) -> Option<FoundHttp<'_, R>> {
    let [route] = routes else { return None };
    let [rule] = route.rules.as_slice() else { return None };
    let everything = match rule.matches.as_slice() {
        [] => true,
        [one] => !one.tells_apart(),
        _ => false,
    };
    (route.hosts.is_empty() && everything).then_some(Found {
        route_index: 0,
        rule_index: 0,
        prefix_len: Some(1),
        route,
        rule,
    })
}

/// The field order is the precedence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct HttpRank {
    host: HostRank,
    path: PathRank,
    method: bool,
    headers: usize,
    query: usize,
}

impl HttpRank {
    /// A rule without matches is a prefix match on `/` (Gateway API, `HTTPRouteRule.matches`).
    const fn everything() -> Self {
        let path = PathRank { len: 1, kind: PathKind::Prefix };
        Self { host: HostRank::Any, path, method: false, headers: 0, query: 0 }
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct GrpcRank {
    host: HostRank,
    service: usize,
    exact_service: bool,
    method: usize,
    exact_method: bool,
    headers: usize,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum HostRank {
    #[default]
    Any,
    Suffix(usize),
    Exact,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct PathRank {
    len: usize,
    kind: PathKind,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum PathKind {
    Regex,
    Prefix,
    Exact,
}

impl PathRank {
    fn prefix_len(self) -> Option<usize> {
        match self.kind {
            PathKind::Prefix => Some(self.len),
            PathKind::Regex | PathKind::Exact => None,
        }
    }
}

/// The best rank among alternatives; without any, everything matches.
fn best_of<M, K: Ord>(matches: &[M], rank: impl Fn(&M) -> Option<K>, everything: K) -> Option<K> {
    if matches.is_empty() {
        return Some(everything);
    }
    matches.iter().filter_map(rank).max()
}

fn http_rank(one: &HttpMatch, request: &impl RequestView) -> Option<HttpRank> {
    if one.condition.as_ref().is_some_and(|condition| !condition.holds(request)) {
        return None;
    }
    if one.method.as_ref().is_some_and(|method| **method != *request.method()) {
        return None;
    }
    let path = match &one.path {
        None => PathRank { len: 1, kind: PathKind::Prefix },
        Some(path) => path_rank(path, request.path())?,
    };
    let all = one.headers.iter().all(|header| header_matches(header, request))
        && one.query.iter().all(|query| query_matches(query, request.query()));
    all.then_some(HttpRank {
        host: HostRank::Any,
        path,
        method: one.method.is_some(),
        headers: one.headers.len(),
        query: one.query.len(),
    })
}

fn grpc_rank(one: &GrpcMatch, call: Option<(&str, &str)>, request: &impl RequestView) -> Option<GrpcRank> {
    let mut rank = GrpcRank { headers: one.headers.len(), ..GrpcRank::default() };
    if let Some(service) = &one.service {
        let (called, _) = call?;
        name_matches(service, called).then_some(())?;
        rank.service = called.len();
        rank.exact_service = matches!(service, NameMatch::Exact(_));
    }
    if let Some(method) = &one.method {
        let (_, called) = call?;
        name_matches(method, called).then_some(())?;
        rank.method = called.len();
        rank.exact_method = matches!(method, NameMatch::Exact(_));
    }
    one.headers.iter().all(|header| header_matches(header, request)).then_some(rank)
}

/// Service and method of a call (gRPC over HTTP2, "Path"). Anything else is no call and matches only
/// what asks for neither.
#[must_use]
pub fn call_of(path: &str) -> Option<(&str, &str)> {
    let (service, method) = path.strip_prefix('/')?.rsplit_once('/')?;
    (!service.is_empty() && !method.is_empty()).then_some((service, method))
}

/// The host of an authority, without port and trailing dot.
#[must_use]
pub fn host_of(authority: &str) -> &str {
    let host = match authority.rsplit_once(':') {
        // The last colon of a bare IPv6 address is no port separator: brackets are required then.
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !bare_ipv6(host) => host,
        Some(_) | None => authority,
    };
    host.strip_suffix('.').unwrap_or(host)
}

fn bare_ipv6(host: &str) -> bool {
    host.contains(':') && !host.ends_with(']')
}

fn host_rank(hosts: &[HostMatch], host: &str) -> Option<HostRank> {
    if hosts.is_empty() {
        return Some(HostRank::Any);
    }
    let ranks = hosts.iter().filter_map(|one| match one {
        HostMatch::Exact(name) => host_of(name).eq_ignore_ascii_case(host).then_some(HostRank::Exact),
        HostMatch::Suffix(labels) => {
            let mut given = host.rsplit('.');
            let all =
                labels.iter().all(|label| given.next().is_some_and(|have| have.eq_ignore_ascii_case(label)));
            let more = given.next().is_some_and(|label| !label.is_empty());
            (all && more).then_some(HostRank::Suffix(labels.len()))
        }
    });
    ranks.max()
}

fn path_rank(wanted: &PathMatch, path: &str) -> Option<PathRank> {
    match wanted {
        PathMatch::Exact(exact) => {
            (**exact == *path).then_some(PathRank { len: path.len(), kind: PathKind::Exact })
        }
        PathMatch::Prefix(prefix) => {
            let prefix = prefix.trim_end_matches('/');
            if prefix.is_empty() {
                return Some(PathRank { len: 1, kind: PathKind::Prefix });
            }
            let rest = path.strip_prefix(prefix)?;
            let whole_segments = rest.is_empty() || rest.starts_with('/');
            whole_segments.then_some(PathRank { len: prefix.len(), kind: PathKind::Prefix })
        }
        PathMatch::Regex(regex) => {
            spans(regex, path).then_some(PathRank { len: path.len(), kind: PathKind::Regex })
        }
    }
}

/// A regular expression that was not anchored by mistake must not match more than it says.
fn spans(regex: &regex_lite::Regex, text: &str) -> bool {
    regex.find(text).is_some_and(|found| found.start() == 0 && found.end() == text.len())
}

fn name_matches(wanted: &NameMatch, name: &str) -> bool {
    match wanted {
        NameMatch::Exact(exact) => **exact == *name,
        NameMatch::Regex(regex) => spans(regex, name),
    }
}

pub(crate) fn header_matches(wanted: &HeaderMatch, request: &impl RequestView) -> bool {
    let mut values = request.header(&wanted.name);
    let Some(first) = values.next() else { return false };
    let Some(second) = values.next() else { return value_matches(&wanted.value, first) };
    // All values count, joined by commas (RFC 9110 §5.3): none may hide behind the first.
    let mut joined = first.to_vec();
    for value in iter::once(second).chain(values) {
        joined.push(b',');
        joined.extend_from_slice(value);
    }
    value_matches(&wanted.value, &joined)
}

fn value_matches(wanted: &ValueMatch, value: &[u8]) -> bool {
    match wanted {
        ValueMatch::Exact(exact) => **exact == *value,
        ValueMatch::Regex(regex) => std::str::from_utf8(value).is_ok_and(|text| spans(regex, text)),
    }
}

fn query_matches(wanted: &QueryMatch, query: Option<&str>) -> bool {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let named = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    for (name, value) in named {
        if form_decoded(name).cmp(wanted.name.bytes()) != Ordering::Equal {
            continue;
        }
        return match &wanted.value {
            ValueMatch::Exact(exact) => form_decoded(value).eq(exact.iter().copied()),
            ValueMatch::Regex(_) => value_matches(&wanted.value, &form_decoded(value).collect::<Vec<u8>>()),
        };
    }
    false
}

/// `application/x-www-form-urlencoded` octets; a `%` that encodes nothing stands for itself (WHATWG URL §5.1).
fn form_decoded(text: &str) -> impl Iterator<Item = u8> + '_ {
    let mut rest = text.as_bytes();
    iter::from_fn(move || {
        let (first, after) = rest.split_first()?;
        rest = after;
        match (first, after) {
            (b'+', _) => Some(b' '),
            (b'%', [high, low, tail @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = tail;
                    Some(high * 16 + low)
                }
                (None, _) | (_, None) => Some(b'%'),
            },
            (other, _) => Some(*other),
        }
    })
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
