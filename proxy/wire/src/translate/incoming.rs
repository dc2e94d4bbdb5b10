//! HTTP/2 requests as they arrive, brought into the one form before anything is decided about them.

use http::header::{CONTENT_LENGTH, COOKIE, HOST, TE};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use super::{ORIG_PROTO, OrigProto, TranslateError};
use crate::h1::grammar::{content_length, is_host, is_token};
use crate::h1::target::check_path_and_query;
use crate::h1::{self, Body, Kind};

/// Whether `l5d-orig-proto` is obeyed: only from a peer whose identity was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Honour {
    /// From a meshed peer.
    OrigProto,
    /// From an application or a stranger: the field is dropped.
    Nothing,
}

/// An HTTP/2 request in canonical form. Only [`H2Request::read`] makes one, so that whoever holds one knows:
/// the host is one, well-formed and in the authority; there is no Host field; the path is visible ASCII from `/` (or
/// `*`); no field belongs to a connection, except `te: trailers`; every value could stand in HTTP/1; cookies are one
/// field; Content-Length is at most one number.
#[derive(Clone, Debug)]
pub struct H2Request {
    parts: Parts,
    orig: Option<OrigProto>,
    length: Option<u64>,
    is_grpc: bool,
}

/// What kinds of fields there are: what is not there need not be looked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) length: bool,
    host: bool,
    mesh: bool,
    /// Anything that belongs to a connection, `te` and `connection` among it.
    hop: bool,
}

impl Seen {
    /// Looks at every field once. Names are lower-case tokens, values could stand in HTTP/1: no control characters, no
    /// whitespace at the ends. The types promise most of that: names are lower case and but for the quotation mark
    /// tokens, values have no control characters.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, TranslateError> {
        let mut seen = Self::default();
        for (name, value) in headers {
            let name = name.as_str().as_bytes();
            if name.contains(&b'"') {
                return Err(TranslateError::FieldName);
            }
            let value = value.as_bytes();
            if matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t']) {
                return Err(TranslateError::FieldValue);
            }
            match Kind::of(name) {
                Kind::EndToEnd | Kind::Expect | Kind::Trailer => {}
                Kind::Mesh => seen.mesh = true,
                Kind::Host => seen.host = true,
                Kind::ContentLength => seen.length = true,
                Kind::TransferEncoding | Kind::Connection | Kind::Upgrade | Kind::Te | Kind::Hop => {
                    seen.hop = true;
                }
            }
        }
        Ok(seen)
    }
}

/// Whether the fields are those of a gRPC call.
fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(http::header::CONTENT_TYPE);
    let rest = content_type.and_then(|value| value.as_bytes().strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
}

/// Most fields of an HTTP/2 request: as many as one of HTTP/1 may have ([`crate::h1::Limits`]), since the two versions
/// must not differ in what they let pass. A meshed peer may have added end-to-end fields to as many as it may let in.
pub const FIELDS_MAX: usize = h1::FIELDS_MAX + h1::HOP_FIELDS_MAX;

fn are_within_limits(headers: &HeaderMap, honour: Honour) -> bool {
    let is_end_to_end = |name: &HeaderName| Kind::of(name.as_str().as_bytes()).is_end_to_end();
    let end_to_end = || headers.iter().filter(|(name, _)| is_end_to_end(name)).count();
    headers.len() <= h1::FIELDS_MAX
        || (headers.len() <= FIELDS_MAX && (honour == Honour::OrigProto || end_to_end() <= h1::FIELDS_MAX))
}

impl H2Request {
    /// Brings `parts` into canonical form, or refuses them.
    pub fn read(mut parts: Parts, honour: Honour) -> Result<Self, TranslateError> {
        if parts.method == Method::CONNECT {
            return Err(TranslateError::Tunnel);
        }
        if !is_token(parts.method.as_str().as_bytes()) {
            return Err(TranslateError::Method);
        }
        if !are_within_limits(&parts.headers, honour) {
            return Err(TranslateError::TooManyFields);
        }
        let seen = Seen::of(&parts.headers)?;
        let orig = match (seen.mesh, honour) {
            (false, _) => None,
            (true, Honour::OrigProto) => OrigProto::take(&mut parts.headers)?,
            (true, Honour::Nothing) => {
                parts.headers.remove(&ORIG_PROTO);
                None
            }
        };
        parts.uri = canonical_uri(&parts.method, &parts.uri, &parts.headers, seen)?;
        if seen.host {
            parts.headers.remove(HOST);
        }
        let length = if seen.length { read_length(&parts.headers)? } else { None };
        drop_hop_by_hop(&mut parts.headers, seen);
        join_cookies(&mut parts.headers)?;
        let is_grpc = is_grpc(&parts.headers);
        Ok(Self { parts, orig, length, is_grpc })
    }

    /// The method.
    pub fn method(&self) -> &str {
        self.parts.method.as_str()
    }

    /// The host with its port if it has one, possibly empty.
    pub fn host(&self) -> &str {
        self.parts.uri.authority().map(Authority::as_str).unwrap_or_default()
    }

    /// Begins with `/`, or is `*`.
    pub fn path_and_query(&self) -> &str {
        self.parts.uri.path_and_query().map_or("/", PathAndQuery::as_str)
    }

    /// The fields, without Host.
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// What the request was before a meshed peer put it on HTTP/2; `None`: HTTP/2 from the start.
    pub fn orig_proto(&self) -> Option<OrigProto> {
        self.orig
    }

    /// Whether this is a gRPC call.
    pub fn is_grpc(&self) -> bool {
        self.is_grpc
    }

    /// How the body is framed in HTTP/1. `end_stream`: the HEADERS frame ended the stream.
    pub fn body(&self, end_stream: bool) -> Body {
        match (self.length, end_stream) {
            (Some(length), false) => Body::Length(length),
            (Some(_), true) => Body::Length(0),
            (None, true) => Body::None,
            (None, false) => Body::Chunked,
        }
    }

    /// Declared Content-Length.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    pub(crate) fn into_parts(self) -> Parts {
        self.parts
    }
}

/// `:authority` wins over Host; Host stands in where there is none.
fn canonical_uri(method: &Method, uri: &Uri, headers: &HeaderMap, seen: Seen) -> Result<Uri, TranslateError> {
    let mut hosts = seen.host.then(|| headers.get_all(HOST).iter()).into_iter().flatten();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(TranslateError::HostRepeated);
    }
    if host.is_some_and(|host| !is_host(host.as_bytes())) {
        return Err(TranslateError::Host);
    }
    let path = match uri.path_and_query() {
        Some(path) if path.as_str() == "*" && method == Method::OPTIONS => path.clone(),
        Some(path) if check_path_and_query(path.as_str().as_bytes()).is_ok() => path.clone(),
        Some(_) | None => return Err(TranslateError::Target),
    };
    let authority = match (uri.authority(), host) {
        (Some(authority), _) if is_host(authority.as_str().as_bytes()) => Some(authority.clone()),
        (Some(_), _) => return Err(TranslateError::Host),
        (None, Some(host)) if !host.is_empty() => {
            Some(Authority::try_from(host.as_bytes()).map_err(|_| TranslateError::Host)?)
        }
        (None, Some(_) | None) => None,
    };
    assemble(uri.scheme().cloned(), authority, path)
}

/// A URI of these parts; without an authority it is only a path.
pub(crate) fn assemble(
    scheme: Option<Scheme>,
    authority: Option<Authority>,
    path: PathAndQuery,
) -> Result<Uri, TranslateError> {
    let mut parts = http::uri::Parts::default();
    if authority.is_some() {
        parts.scheme = Some(scheme.unwrap_or(Scheme::HTTP));
    }
    parts.authority = authority;
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).map_err(|_| TranslateError::Target)
}

pub(crate) fn read_length(headers: &HeaderMap) -> Result<Option<u64>, TranslateError> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(None),
        (Some(length), None) => {
            content_length(length.as_bytes()).map(Some).map_err(|_| TranslateError::Length)
        }
        (Some(_), Some(_)) => Err(TranslateError::Length),
    }
}

/// Removes what belongs to a connection, by name or because `connection` names it. `te` survives as `trailers` or not
/// at all; Content-Length stays, since HTTP/2 checks it.
pub(crate) fn drop_hop_by_hop(headers: &mut HeaderMap, seen: Seen) {
    if !seen.hop && !seen.host {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(http::header::CONNECTION)
        .iter()
        .flat_map(|value| crate::h1::grammar::list(value.as_bytes()))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| Kind::of(name.as_str().as_bytes()).is_forwarded())
        .collect();
    for name in named {
        headers.remove(name);
    }
    let trailers = headers.get_all(TE).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"));
    let dropped = |kind: Kind| !kind.is_forwarded() && kind != Kind::ContentLength;
    let gone: Vec<HeaderName> =
        headers.keys().filter(|name| dropped(Kind::of(name.as_str().as_bytes()))).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// HTTP/2 may split cookies into crumbs (RFC 9113 §8.2.3); HTTP/1 servers expect one field.
fn join_cookies(headers: &mut HeaderMap) -> Result<(), TranslateError> {
    let mut crumbs = headers.get_all(COOKIE).iter();
    if let (Some(_), Some(_)) = (crumbs.next(), crumbs.next()) {
        let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        let joined =
            HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).map_err(|_| TranslateError::FieldValue)?;
        headers.insert(COOKIE, joined);
    }
    Ok(())
}
