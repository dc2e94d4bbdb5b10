//! Hosts, paths, headers, query parameters and methods that routes match.

use std::sync::Arc;

use hauberk_model::route::{
    GrpcMatch, HeaderMatch, HostMatch, HttpMatch, NameMatch, PathMatch, QueryMatch, ValueMatch,
};
use linkerd2_proxy_api::{grpc_route, http_route as proto, tls_route};
use regex_lite::Regex;

use super::Malformed;
use crate::extension::proto as extension;

/// Reads a route's hosts.
///
/// # Errors
/// [`Malformed`] if one is of a kind that we do not know.
pub fn hosts(proto: Vec<proto::HostMatch>) -> Result<Vec<HostMatch>, Malformed> {
    use proto::host_match::Match;
    let read = |host: proto::HostMatch| match host.r#match.ok_or(Malformed::Missing("host match"))? {
        Match::Exact(name) => Ok(HostMatch::Exact(name.to_ascii_lowercase().into())),
        Match::Suffix(suffix) => Ok(self::suffix(suffix.reverse_labels)),
    };
    proto.into_iter().map(read).collect()
}

/// Reads the server names of a TLS route.
///
/// # Errors
/// [`Malformed`] if one is of a kind that we do not know.
pub fn snis(proto: Vec<tls_route::SniMatch>) -> Result<Vec<HostMatch>, Malformed> {
    use tls_route::sni_match::Match;
    let read = |sni: tls_route::SniMatch| match sni.r#match.ok_or(Malformed::Missing("SNI match"))? {
        Match::Exact(name) => Ok(HostMatch::Exact(name.to_ascii_lowercase().into())),
        Match::Suffix(suffix) => Ok(self::suffix(suffix.reverse_labels)),
    };
    proto.into_iter().map(read).collect()
}

fn suffix(reverse_labels: Vec<String>) -> HostMatch {
    HostMatch::Suffix(reverse_labels.iter().map(|label| label.to_ascii_lowercase().into()).collect())
}

/// Reads one alternative of an HTTP rule.
///
/// # Errors
/// [`Malformed`]: a match that is not understood may not match more than it should.
pub fn http(proto: proto::HttpRouteMatch) -> Result<HttpMatch, Malformed> {
    let method = proto.method.map(|method| {
        let method =
            http::Method::try_from(method).map_err(|error| Malformed::unreadable("method", error))?;
        Ok(Arc::from(method.as_str()))
    });
    Ok(HttpMatch {
        path: proto.path.map(path).transpose()?,
        headers: headers(proto.headers)?,
        query: proto.query_params.into_iter().map(query).collect::<Result<_, _>>()?,
        method: method.transpose()?,
        condition: None,
    })
}

/// Reads one alternative of a gRPC rule.
///
/// # Errors
/// As for [`http`].
pub fn grpc(
    (proto, pattern): (grpc_route::GrpcRouteMatch, extension::GrpcMethodPattern),
) -> Result<GrpcMatch, Malformed> {
    let name = |name: String, pattern: &str| match (name.is_empty(), pattern.is_empty()) {
        (true, true) => Ok(None),
        (false, true) => Ok(Some(NameMatch::Exact(name.into()))),
        (_, false) => Ok(Some(NameMatch::Regex(whole(pattern)?))),
    };
    let (service, method) = proto.rpc.map_or_else(Default::default, |rpc| (rpc.service, rpc.method));
    Ok(GrpcMatch {
        service: name(service, &pattern.service)?,
        method: name(method, &pattern.method)?,
        headers: headers(proto.headers)?,
    })
}

fn path(proto: proto::PathMatch) -> Result<PathMatch, Malformed> {
    use proto::path_match::Kind;
    match proto.kind.ok_or(Malformed::Missing("path match"))? {
        Kind::Exact(path) => Ok(PathMatch::Exact(path.into())),
        Kind::Prefix(prefix) => Ok(PathMatch::Prefix(prefix.into())),
        Kind::Regex(pattern) => Ok(PathMatch::Regex(whole(&pattern)?)),
    }
}

pub(super) fn headers(proto: Vec<proto::HeaderMatch>) -> Result<Vec<HeaderMatch>, Malformed> {
    use proto::header_match::Value;
    let read = |header: proto::HeaderMatch| {
        let value = match header.value.ok_or(Malformed::Missing("header match"))? {
            Value::Exact(bytes) => ValueMatch::Exact(bytes.into()),
            Value::Regex(pattern) => ValueMatch::Regex(whole(&pattern)?),
        };
        Ok(HeaderMatch { name: header.name.to_ascii_lowercase().into(), value })
    };
    proto.into_iter().map(read).collect()
}

fn query(proto: proto::QueryParamMatch) -> Result<QueryMatch, Malformed> {
    use proto::query_param_match::Value;
    let value = match proto.value.ok_or(Malformed::Missing("query match"))? {
        Value::Exact(text) => ValueMatch::Exact(text.into_bytes().into()),
        Value::Regex(pattern) => ValueMatch::Regex(whole(&pattern)?),
    };
    Ok(QueryMatch { name: proto.name.into(), value })
}

/// Compiles a pattern that must match a whole value.
pub(crate) fn whole(pattern: &str) -> Result<Regex, Malformed> {
    hauberk_model::route::whole(pattern).map_err(|error| Malformed::unreadable("regular expression", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_value_or_not_at_all() {
        let pattern = whole("a|b").expect("pattern");
        assert!(pattern.is_match("a") && pattern.is_match("b"));
        assert!(!pattern.is_match("ab") && !pattern.is_match("xa"));
        assert!(whole("a)|(b").is_err());
        assert!(whole("(?:(?:a{1000}){1000}){1000}").is_err());
    }

    #[test]
    fn a_match_of_unknown_kind_is_refused() {
        let unknown =
            proto::HttpRouteMatch { path: Some(proto::PathMatch { kind: None }), ..Default::default() };
        assert_eq!(http(unknown).err(), Some(Malformed::Missing("path match")));
        assert!(hosts(vec![proto::HostMatch { r#match: None }]).is_err());
    }
}
