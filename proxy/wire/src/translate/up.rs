//! HTTP/1 messages put on an HTTP/2 connection.

use http::header::{CONTENT_LENGTH, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, request, response};

use super::incoming::assemble;
use super::{ORIG_PROTO, OrigProto, TranslateError};
use crate::edit::Edits;
use crate::h1::encode::{DIGITS_MAX, decimal};
use crate::h1::grammar::is_host;
use crate::h1::target::check_path_and_query;
use crate::h1::{Body, Headers, Kind, RequestHead, ResponseHead, Trailers, Version};

/// Carries the request's id between proxies; the same name as in the model, which this crate does not know.
static REQUEST_ID: HeaderName = HeaderName::from_static("hauberk-request-id");

/// How a request is put on HTTP/2.
#[derive(Clone, Copy, Debug)]
pub struct UpRequest<'a> {
    /// Host instead of the request's own.
    pub host: Option<&'a str>,
    /// A host that was read before: if it is the request's own, it need not be read again.
    pub known: Option<&'a Authority>,
    /// Path and query instead of the request's own.
    pub path_and_query: Option<&'a str>,
    /// Whether the other side is a meshed proxy that will take it off again.
    pub orig_proto: bool,
}

impl UpRequest<'_> {
    /// To a meshed proxy, as the request came.
    pub const MESH: Self = Self { host: None, known: None, path_and_query: None, orig_proto: true };
}

/// Translates a request head. A wish to upgrade is not passed on; CONNECT is refused.
pub fn request(
    head: &RequestHead,
    how: &UpRequest<'_>,
    edits: &Edits<'_>,
) -> Result<request::Parts, TranslateError> {
    if head.method() == "CONNECT" {
        return Err(TranslateError::Tunnel);
    }
    let other = how.host.or_else(|| edits.host());
    // The request's own was judged when it was read.
    if other.is_some_and(|host| !is_host(host.as_bytes())) {
        return Err(TranslateError::Host);
    }
    let path = match (how.path_and_query, head.shared_path_and_query()) {
        (Some(path), _) if check_path_and_query(path.as_bytes()).is_err() => {
            return Err(TranslateError::Target);
        }
        (Some(path), _) => PathAndQuery::try_from(path),
        (None, Some(path)) => PathAndQuery::from_maybe_shared(path),
        (None, None) => PathAndQuery::try_from(head.path_and_query()),
    };
    let path = path.map_err(|_| TranslateError::Target)?;
    let authority = match other {
        Some("") => None,
        Some(host) => Some(Authority::try_from(host)),
        None if head.has_no_host() => None,
        None if how.known.is_some_and(|known| known.as_str() == head.host()) => how.known.cloned().map(Ok),
        None => Some(Authority::from_maybe_shared(head.shared_host())),
    };
    let authority = authority.transpose().map_err(|_| TranslateError::Host)?;
    let mut headers = HeaderMap::with_capacity(head.headers().len().saturating_add(4));
    copy(head.headers(), edits, |_| true, &mut headers)?;
    if let Body::Length(length) = head.body() {
        append(&mut headers, CONTENT_LENGTH, length_value(length)?)?;
    }
    if head.te_trailers() {
        append(&mut headers, TE, HeaderValue::from_static("trailers"))?;
    }
    if how.orig_proto {
        let said = HeaderValue::from_static(OrigProto::of(head).as_str());
        append(&mut headers, ORIG_PROTO.clone(), said)?;
    }
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = Method::from_bytes(head.method().as_bytes()).map_err(|_| TranslateError::Method)?;
    parts.uri = assemble(Some(Scheme::HTTP), authority, path)?;
    parts.version = http::Version::HTTP_2;
    parts.headers = headers;
    Ok(parts)
}

/// Translates a response head, interim ones too. `orig_proto`: the request came with `l5d-orig-proto`, so the response
/// says its version back. 101 is refused.
pub fn response(
    head: &ResponseHead,
    orig_proto: bool,
    edits: &Edits<'_>,
) -> Result<response::Parts, TranslateError> {
    if head.status() == 101 {
        return Err(TranslateError::Tunnel);
    }
    let mut headers = HeaderMap::with_capacity(head.headers().len().saturating_add(2));
    copy(head.headers(), edits, |_| true, &mut headers)?;
    let length = match head.body() {
        Body::Length(length) => Some(length),
        Body::None => head.declared_length(),
        Body::Chunked | Body::UntilClose => None,
    };
    if let Some(length) = length {
        append(&mut headers, CONTENT_LENGTH, length_value(length)?)?;
    }
    if orig_proto {
        let said = HeaderValue::from_static(version(head.version()));
        append(&mut headers, ORIG_PROTO.clone(), said)?;
    }
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.status = StatusCode::from_u16(head.status()).map_err(|_| TranslateError::FieldValue)?;
    parts.version = http::Version::HTTP_2;
    parts.headers = headers;
    Ok(parts)
}

/// Translates trailers; only names that may stand in one are there.
pub fn trailers(trailers: &Trailers) -> Result<HeaderMap, TranslateError> {
    let mut map = HeaderMap::new();
    for field in trailers.iter() {
        let name = HeaderName::from_bytes(field.name).map_err(|_| TranslateError::FieldName)?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| TranslateError::FieldValue)?;
        map.try_append(name, value).map_err(|_| TranslateError::TooManyFields)?;
    }
    Ok(map)
}

fn version(version: Version) -> &'static str {
    OrigProto { version, absolute_form: false }.as_str()
}

/// Fills the map with the kept and the added fields. Values share the head's bytes.
fn copy(
    headers: &Headers,
    edits: &Edits<'_>,
    passes: impl Fn(Kind) -> bool,
    map: &mut HeaderMap,
) -> Result<(), TranslateError> {
    let block = &headers.block;
    for slot in headers.table.slots() {
        let name = slot.name().of(block);
        if passes(slot.kind) && edits.keeps(name, slot.kind) {
            let name = HeaderName::from_bytes(name).map_err(|_| TranslateError::FieldName)?;
            let value = HeaderValue::from_maybe_shared(slot.value().share(block));
            append(map, name, value.map_err(|_| TranslateError::FieldValue)?)?;
        }
    }
    add_written(edits, map)
}

/// Adds what filters and the proxy write.
pub(crate) fn add_written(edits: &Edits<'_>, map: &mut HeaderMap) -> Result<(), TranslateError> {
    if !edits.are_writable() {
        return Err(crate::h1::encode::EncodeError::Field.into());
    }
    for (name, value) in edits.written() {
        if name == REQUEST_ID.as_str() {
            let mut id = HeaderValue::from_bytes(value).map_err(|_| TranslateError::FieldValue)?;
            // No two requests have the same one: in the compression tables it would only push out what returns.
            id.set_sensitive(true);
            append(map, REQUEST_ID.clone(), id)?;
            continue;
        }
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| TranslateError::FieldName)?;
        append(map, name, HeaderValue::from_bytes(value).map_err(|_| TranslateError::FieldValue)?)?;
    }
    Ok(())
}

/// A length with one allocation, where the library's own conversion takes two.
fn length_value(length: u64) -> Result<HeaderValue, TranslateError> {
    let mut digits = [b'0'; DIGITS_MAX];
    HeaderValue::from_bytes(decimal(length, &mut digits)).map_err(|_| TranslateError::Length)
}

/// Adds a field that is not there: what is regenerated is never copied.
fn append(map: &mut HeaderMap, name: HeaderName, value: HeaderValue) -> Result<(), TranslateError> {
    map.try_append(name, value).map(|_| ()).map_err(|_| TranslateError::TooManyFields)
}
