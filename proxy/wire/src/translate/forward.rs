//! HTTP/2 passed on as HTTP/2.

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, request, response};

use super::incoming::{Seen, assemble, drop_hop_by_hop};
use super::up::add_written;
use super::{H2Request, ORIG_PROTO, OrigProto, TranslateError};
use crate::edit::Edits;
use crate::h1::grammar::is_host;
use crate::h1::target::check_path_and_query;
use crate::h1::{Kind, trailers};

/// How an HTTP/2 request is sent on.
#[derive(Clone, Copy, Debug, Default)]
pub struct ForwardRequest<'a> {
    /// Host instead of the request's own.
    pub host: Option<&'a str>,
    /// Path and query instead of the request's own.
    pub path_and_query: Option<&'a str>,
}

/// Sends a request on. One that a peer had put on HTTP/2 keeps saying so.
pub fn request(
    head: H2Request,
    how: &ForwardRequest<'_>,
    edits: &Edits<'_>,
) -> Result<request::Parts, TranslateError> {
    let orig = head.orig_proto();
    let mut parts = head.into_parts();
    edit(&mut parts.headers, edits)?;
    if let Some(orig) = orig {
        parts.headers.insert(&ORIG_PROTO, http::HeaderValue::from_static(OrigProto::as_str(orig)));
    }
    parts.version = http::Version::HTTP_2;
    let host = how.host.or_else(|| edits.host());
    if host.is_none() && how.path_and_query.is_none() {
        return Ok(parts);
    }
    let authority = match host {
        Some(host) if host.is_empty() || !is_host(host.as_bytes()) => return Err(TranslateError::Host),
        Some(host) => Some(Authority::try_from(host).map_err(|_| TranslateError::Host)?),
        None => parts.uri.authority().cloned(),
    };
    let path = match how.path_and_query {
        Some(path) if check_path_and_query(path.as_bytes()).is_err() => return Err(TranslateError::Target),
        Some(path) => PathAndQuery::try_from(path).map_err(|_| TranslateError::Target)?,
        None => parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")),
    };
    let scheme = parts.uri.scheme().cloned().unwrap_or(Scheme::HTTP);
    parts.uri = assemble(Some(scheme), authority, path)?;
    Ok(parts)
}

/// Sends a response on, interim ones too.
pub fn response(mut parts: response::Parts, edits: &Edits<'_>) -> Result<response::Parts, TranslateError> {
    let seen = Seen::of(&parts.headers)?;
    drop_hop_by_hop(&mut parts.headers, seen);
    edit(&mut parts.headers, edits)?;
    parts.version = http::Version::HTTP_2;
    Ok(parts)
}

/// Drops what may not stand in trailers: framing, routing, authentication, and the mesh's own.
pub fn trailers(mut map: HeaderMap) -> HeaderMap {
    let gone: Vec<HeaderName> =
        map.keys().filter(|name| !trailers::is_allowed(name.as_str().as_bytes())).cloned().collect();
    for name in gone {
        map.remove(name);
    }
    map
}

/// Strips, removes and adds.
fn edit(headers: &mut HeaderMap, edits: &Edits<'_>) -> Result<(), TranslateError> {
    let is_gone = |name: &&HeaderName| {
        let name = name.as_str().as_bytes();
        let kind = Kind::of(name);
        kind.is_forwarded() && !edits.keeps(name, kind)
    };
    let gone: Vec<HeaderName> = headers.keys().filter(is_gone).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
    add_written(edits, headers)
}
