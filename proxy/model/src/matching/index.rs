//! The same answers as [`super::http`] and [`super::grpc`], from a table that is asked by host and path: what a request
//! costs does not grow with the routes that it does not match.
//!
//! The table only narrows down. Whatever it names is ranked by the same functions as in a search through all routes, so
//! a wrong table could miss a rule but never let one match that does not. What has no key (regular expressions, rules
//! that differ by method, headers or query alone) is tried one by one among those with the same host and path.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use super::{
    Found, FoundGrpc, FoundHttp, GrpcRank, HttpRank, RequestView, best_of, call_of, grpc_rank, host_of,
    host_rank, http_rank, only_catch_all,
};
use crate::route::{GrpcRoute, HostMatch, HttpRoute, NameMatch, PathMatch};

/// Matches up to which trying all of them costs less than asking the table.
const FEW: usize = 8;

/// A rule, by the indices of its route and within that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    route: usize,
    rule: usize,
}

/// What is kept for each host that routes name.
#[derive(Debug, Default)]
struct Hosts<T> {
    exact: HashMap<Box<str>, T>,
    suffixes: HashMap<Box<str>, T>,
    /// Lengths that occur among the suffixes: a client that sends many dots costs no more.
    suffix_lengths: BTreeSet<usize>,
    any: T,
}

impl<T: Default> Hosts<T> {
    /// Gives `add` what is kept for each of a route's hosts.
    fn add(&mut self, hosts: &[HostMatch], mut add: impl FnMut(&mut T)) {
        if hosts.is_empty() {
            add(&mut self.any);
        }
        for host in hosts {
            match host {
                HostMatch::Exact(name) => {
                    add(self.exact.entry(host_of(name).to_ascii_lowercase().into()).or_default());
                }
                HostMatch::Suffix(labels) => {
                    let name = labels.iter().rev().map(|label| &**label).collect::<Vec<_>>().join(".");
                    self.suffix_lengths.insert(name.len());
                    add(self.suffixes.entry(name.to_ascii_lowercase().into()).or_default());
                }
            }
        }
    }

    /// Gives `look` what is kept for this host, until it has found something: better hosts come first.
    fn find<R>(&self, host: &str, mut look: impl FnMut(&T) -> Option<R>) -> Option<R> {
        if !self.exact.is_empty() || !self.suffixes.is_empty() {
            let lower = host.to_ascii_lowercase();
            if let Some(found) = self.exact.get(lower.as_str()).and_then(&mut look) {
                return Some(found);
            }
            // Longer suffixes of one host have more labels.
            for length in self.suffix_lengths.iter().rev() {
                let kept = suffix_of(&lower, *length).and_then(|suffix| self.suffixes.get(suffix));
                if let Some(found) = kept.and_then(&mut look) {
                    return Some(found);
                }
            }
        }
        look(&self.any)
    }
}

/// The end of a host of this length, if whole labels with at least one more before them make the host.
fn suffix_of(host: &str, length: usize) -> Option<&str> {
    let at = host.len().checked_sub(length)?;
    let suffix = host.get(at..)?;
    let before = if length == 0 { host } else { host.get(..at)?.strip_suffix('.')? };
    (!before.is_empty() && !before.ends_with('.')).then_some(suffix)
}

/// Rules by path.
#[derive(Debug, Default)]
struct Paths {
    exact: HashMap<Box<str>, Vec<Place>>,
    /// Without the slash at the end.
    prefixes: HashMap<Box<str>, Vec<Place>>,
    /// Lengths that occur among the prefixes: a client that sends many slashes costs no more.
    prefix_lengths: BTreeSet<usize>,
    regexes: Vec<Place>,
}

impl Paths {
    fn add(&mut self, path: Option<&PathMatch>, place: Place) {
        match path {
            Some(PathMatch::Exact(path)) => push(self.exact.entry((**path).into()).or_default(), place),
            Some(PathMatch::Prefix(prefix)) => self.add_prefix(prefix.trim_end_matches('/'), place),
            Some(PathMatch::Regex(_)) => push(&mut self.regexes, place),
            None => self.add_prefix("", place),
        }
    }

    fn add_prefix(&mut self, prefix: &str, place: Place) {
        self.prefix_lengths.insert(prefix.len());
        push(self.prefixes.entry(prefix.into()).or_default(), place);
    }

    /// Rules whose path may match.
    fn of<'a>(&'a self, path: &'a str) -> impl Iterator<Item = Place> + 'a {
        let exact = self.exact.get(path).into_iter().flatten();
        let ends = |length: usize| path.as_bytes().get(length).is_none_or(|next| *next == b'/');
        let prefixes = self.prefix_lengths.iter().filter(move |length| **length == 0 || ends(**length));
        let prefixes = prefixes.filter_map(|length| self.prefixes.get(path.get(..*length)?)).flatten();
        exact.chain(prefixes).chain(&self.regexes).copied()
    }
}

/// One rule may have several matches with the same key.
fn push(places: &mut Vec<Place>, place: Place) {
    if places.last() != Some(&place) {
        places.push(place);
    }
}

/// A table of HTTP routes. It belongs to the routes that it was made of.
#[derive(Debug, Default)]
pub struct HttpIndex(Option<Hosts<Paths>>);

impl HttpIndex {
    /// The table of these routes; for a few there is none.
    #[must_use]
    pub fn of<R>(routes: &[HttpRoute<R>]) -> Self {
        let rules = routes.iter().flat_map(|route| &route.rules);
        if rules.map(|rule| rule.matches.len().max(1)).sum::<usize>() <= FEW {
            return Self(None);
        }
        let mut hosts = Hosts::<Paths>::default();
        for (at, route) in routes.iter().enumerate() {
            for (rule, one) in route.rules.iter().enumerate() {
                let place = Place { route: at, rule };
                hosts.add(&route.hosts, |paths| match one.matches.as_slice() {
                    [] => paths.add(None, place),
                    all => all.iter().for_each(|one| paths.add(one.path.as_ref(), place)),
                });
            }
        }
        Self(Some(hosts))
    }

    /// The rule of a request: as [`super::http`] finds it among the routes that the table was made of.
    pub fn find<'r, R>(
        &self,
        routes: &'r [HttpRoute<R>],
        request: &impl RequestView,
    ) -> Option<FoundHttp<'r, R>> {
        let Some(hosts) = &self.0 else { return super::http(routes, request) };
        if let Some(found) = only_catch_all(routes) {
            return Some(found);
        }
        let host = host_of(request.authority());
        hosts.find(host, |paths| {
            let ranked = paths.of(request.path()).filter_map(|place| {
                let route = routes.get(place.route)?;
                let rule = route.rules.get(place.rule)?;
                let matched = best_of(&rule.matches, |one| http_rank(one, request), HttpRank::everything())?;
                let rank = HttpRank { host: host_rank(&route.hosts, host)?, ..matched };
                let prefix_len = rank.path.prefix_len();
                let found =
                    Found { route_index: place.route, rule_index: place.rule, prefix_len, route, rule };
                Some(((rank, Reverse(place)), found))
            });
            ranked.max_by_key(|(rank, _)| *rank).map(|(_, found)| found)
        })
    }
}

/// Rules by `service/method`, where either is missing if it is not one name.
type Calls = HashMap<Box<str>, Vec<Place>>;

/// A table of gRPC routes. It belongs to the routes that it was made of.
#[derive(Debug, Default)]
pub struct GrpcIndex(Option<Hosts<Calls>>);

impl GrpcIndex {
    /// The table of these routes; for a few there is none.
    #[must_use]
    pub fn of<R>(routes: &[GrpcRoute<R>]) -> Self {
        let rules = routes.iter().flat_map(|route| &route.rules);
        if rules.map(|rule| rule.matches.len().max(1)).sum::<usize>() <= FEW {
            return Self(None);
        }
        let mut hosts = Hosts::<Calls>::default();
        for (at, route) in routes.iter().enumerate() {
            for (rule, one) in route.rules.iter().enumerate() {
                let place = Place { route: at, rule };
                hosts.add(&route.hosts, |calls| {
                    if one.matches.is_empty() {
                        push(calls.entry("/".into()).or_default(), place);
                    }
                    for call in &one.matches {
                        let service = exact(call.service.as_ref());
                        let method = exact(call.method.as_ref());
                        let key = format!("{service}/{method}");
                        push(calls.entry(key.into()).or_default(), place);
                    }
                });
            }
        }
        Self(Some(hosts))
    }

    /// The rule of a call: as [`super::grpc`] finds it among the routes that the table was made of.
    pub fn find<'r, R>(
        &self,
        routes: &'r [GrpcRoute<R>],
        request: &impl RequestView,
    ) -> Option<FoundGrpc<'r, R>> {
        let Some(hosts) = &self.0 else { return super::grpc(routes, request) };
        let host = host_of(request.authority());
        let path = request.path();
        let call = call_of(path);
        let keys = keys_of(path);
        hosts.find(host, |calls| {
            let places = keys.iter().flatten().filter_map(|key| calls.get(*key)).flatten();
            let ranked = places.filter_map(|place| {
                let route = routes.get(place.route)?;
                let rule = route.rules.get(place.rule)?;
                let matched =
                    best_of(&rule.matches, |one| grpc_rank(one, call, request), GrpcRank::default())?;
                let rank = GrpcRank { host: host_rank(&route.hosts, host)?, ..matched };
                let found =
                    Found { route_index: place.route, rule_index: place.rule, prefix_len: None, route, rule };
                Some(((rank, Reverse(*place)), found))
            });
            ranked.max_by_key(|(rank, _)| *rank).map(|(_, found)| found)
        })
    }
}

/// The name, where there is just one that matches.
fn exact(name: Option<&NameMatch>) -> &str {
    match name {
        Some(NameMatch::Exact(name)) => name,
        Some(NameMatch::Regex(_)) | None => "",
    }
}

/// The keys under which the rules of a call may be: by both names, by one, by none.
fn keys_of(path: &str) -> [Option<&str>; 4] {
    let named = call_of(path).and_then(|(service, method)| {
        let both = path.strip_prefix('/')?;
        let slash = path.len().checked_sub(method.len() + 1)?;
        Some((both, both.get(..=service.len())?, path.get(slash..)?))
    });
    match named {
        None => [None, None, None, Some("/")],
        Some((both, service, method)) => [Some(both), Some(service), Some(method), Some("/")],
    }
}
