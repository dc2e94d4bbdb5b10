//! Heads of requests and responses as they came, in either protocol, and their way into either protocol.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use bytes::BytesMut;
use hauberk_model::canonical::{Ambiguous, canonical_path};
use hauberk_model::filters::Target;
use hauberk_model::matching::RequestView;
use hauberk_model::route::{Filter, HeaderModifier};
use hauberk_wire::h1::encode::{self, RequestOut, ResponseOut};
use hauberk_wire::h1::{Asked, Body as Framing, RequestHead, ResponseHead, Version};
use hauberk_wire::translate::down::{self, DownRequest};
use hauberk_wire::translate::forward::{self, ForwardRequest};
use hauberk_wire::translate::up::{self, UpRequest};
use hauberk_wire::translate::{H2Request, TranslateError};
use hauberk_wire::{Edits, Modifier};
use http::uri::Authority;

use crate::body::grpc_status;

/// A request head that was read and found well-formed.
#[derive(Clone, Debug)]
pub(crate) enum RequestMeta {
    H1(Box<RequestHead>),
    H2(Box<H2Request>),
}

impl RequestMeta {
    pub(crate) fn path_and_query(&self) -> &str {
        match self {
            Self::H1(head) => head.path_and_query(),
            Self::H2(head) => head.path_and_query(),
        }
    }

    /// All fields that are passed on, as far as their names are text.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let (h1, h2) = match self {
            Self::H1(head) => {
                let text = |name| std::str::from_utf8(name).ok();
                (
                    Some(
                        head.headers().forwarded().filter_map(move |one| Some((text(one.name)?, one.value))),
                    ),
                    None,
                )
            }
            Self::H2(head) => {
                (None, Some(head.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()))))
            }
        };
        h1.into_iter().flatten().chain(h2.into_iter().flatten())
    }

    /// Whether a field's name begins so, in any case.
    pub(crate) fn mentions(&self, beginning: &str) -> bool {
        let begins = |name: &[u8]| {
            name.get(..beginning.len()).is_some_and(|part| part.eq_ignore_ascii_case(beginning.as_bytes()))
        };
        match self {
            Self::H1(head) => head.headers().all().any(|field| begins(field.name)),
            Self::H2(head) => head.headers().keys().any(|name| begins(name.as_str().as_bytes())),
        }
    }

    /// Whether the answer must be one that gRPC understands.
    pub(crate) fn is_grpc(&self) -> bool {
        match self {
            Self::H1(_) => false,
            Self::H2(head) => head.is_grpc(),
        }
    }

    /// Whether the client asks for another protocol on its connection.
    pub(crate) fn upgrade(&self) -> Option<&str> {
        match self {
            Self::H1(head) => head.upgrade(),
            Self::H2(_) => None,
        }
    }

    /// Whether the request names no host.
    pub(crate) fn has_no_authority(&self) -> bool {
        match self {
            Self::H1(head) => head.has_no_host(),
            Self::H2(head) => head.host().is_empty(),
        }
    }

    /// Whether the client wants a tunnel made.
    pub(crate) fn is_connect(&self) -> bool {
        self.method() == "CONNECT"
    }

    /// Whether the request is to travel as HTTP/1: it came so, or it was so before a peer put it on HTTP/2.
    pub(crate) fn is_http1(&self) -> bool {
        match self {
            Self::H1(_) => true,
            Self::H2(head) => head.orig_proto().is_some(),
        }
    }
}

impl RequestMeta {
    /// Names of fields of this request, in lower case, that are one of `names` (lower case, with `-`) to somebody: an
    /// application behind CGI naming takes `_` for `-`.
    pub(crate) fn names_like(&self, names: &[Arc<str>]) -> Vec<Arc<str>> {
        let plain = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        let like = |name: &[u8], other: &str| {
            name.len() == other.len() && name.iter().zip(other.bytes()).all(|(a, b)| plain(*a) == plain(b))
        };
        let mut found: Vec<Arc<str>> = Vec::new();
        let mut look = |name: &[u8]| {
            if names.iter().any(|other| like(name, other))
                && let Ok(text) = std::str::from_utf8(name)
            {
                found.push(Arc::from(text.to_ascii_lowercase()));
            }
        };
        match self {
            Self::H1(head) => head.headers().forwarded().for_each(|field| look(field.name)),
            Self::H2(head) => head.headers().keys().for_each(|name| look(name.as_str().as_bytes())),
        }
        found
    }
}

/// Whether two names are one, the first in lower case.
fn is(known: &str, name: &str) -> bool {
    known.len() == name.len() && known.eq_ignore_ascii_case(name)
}

impl RequestView for RequestMeta {
    fn method(&self) -> &str {
        match self {
            Self::H1(head) => head.method(),
            Self::H2(head) => head.method(),
        }
    }

    fn authority(&self) -> &str {
        match self {
            Self::H1(head) => head.host(),
            Self::H2(head) => head.host(),
        }
    }

    fn path(&self) -> &str {
        let target = self.path_and_query();
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    fn query(&self) -> Option<&str> {
        self.path_and_query().split_once('?').map(|(_, query)| query)
    }

    fn header(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let (h1, h2) = match self {
            Self::H1(head) => {
                let fields = head.headers().forwarded();
                let named = fields.filter(move |field| field.name.eq_ignore_ascii_case(name.as_bytes()));
                (Some(named.map(|field| field.value)), None)
            }
            Self::H2(head) => {
                // Heads are short: to look at every name costs less than to hash one.
                let named = head.headers().iter().filter(move |(other, _)| is(other.as_str(), name));
                (None, Some(named.map(|(_, value)| value.as_bytes())))
            }
        };
        h1.into_iter().flatten().chain(h2.into_iter().flatten())
    }
}

/// The request as it is judged: with the path in the one form.
pub(crate) struct View<'a> {
    head: &'a RequestMeta,
    path: Option<String>,
}

impl<'a> View<'a> {
    /// With the path as it came.
    pub(crate) fn as_it_came(head: &'a RequestMeta) -> Self {
        Self { head, path: None }
    }

    /// With the path in the one form that every server reads alike, for rules that judge it.
    ///
    /// # Errors
    /// [`Ambiguous`]: there is no such form.
    pub(crate) fn canonical(head: &'a RequestMeta) -> Result<Self, Ambiguous> {
        let path = match canonical_path(head.path())? {
            Cow::Borrowed(_) => None,
            Cow::Owned(path) => Some(path),
        };
        Ok(Self { head, path })
    }

    /// The request as it came.
    pub(crate) fn request(&self) -> &'a RequestMeta {
        self.head
    }

    /// What redirections are computed from.
    pub(crate) fn filter_target(&self, prefix_len: Option<usize>) -> Target<'_> {
        Target {
            scheme: "http",
            authority: self.authority(),
            path: self.path(),
            query: self.query(),
            prefix_len,
        }
    }

    /// The target in the form that was judged, where that differs from how it came.
    pub(crate) fn into_path_and_query(self) -> Option<String> {
        let query = self.head.query();
        self.path.map(|path| match query {
            Some(query) => format!("{path}?{query}"),
            None => path,
        })
    }
}

impl RequestView for View<'_> {
    fn method(&self) -> &str {
        self.head.method()
    }
    fn authority(&self) -> &str {
        self.head.authority()
    }
    fn path(&self) -> &str {
        self.path.as_deref().unwrap_or_else(|| self.head.path())
    }
    fn query(&self) -> Option<&str> {
        self.head.query()
    }
    fn header(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.head.header(name)
    }
}

/// What changes on a request's way on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Onward<'a> {
    pub(crate) host: Option<&'a str>,
    /// A host that was read before, perhaps this request's.
    pub(crate) known: Option<&'a Authority>,
    pub(crate) path_and_query: Option<&'a str>,
    pub(crate) edits: Edits<'a>,
    /// The next hop is a meshed proxy that takes HTTP/1 off HTTP/2 again.
    pub(crate) to_mesh: bool,
    /// The body has no frames.
    pub(crate) ends: bool,
}

/// The request for an HTTP/2 connection.
///
/// # Errors
/// [`TranslateError`]: it cannot be said there.
pub(crate) fn for_http2(head: &RequestMeta, on: &Onward<'_>) -> Result<http::Request<()>, TranslateError> {
    let parts = match head {
        RequestMeta::H1(head) => {
            let how = UpRequest {
                host: on.host,
                known: on.known,
                path_and_query: on.path_and_query,
                orig_proto: on.to_mesh,
            };
            up::request(head, &how, &on.edits)?
        }
        RequestMeta::H2(head) => {
            let how = ForwardRequest { host: on.host, path_and_query: on.path_and_query };
            forward::request(H2Request::clone(head), &how, &on.edits)?
        }
    };
    Ok(http::Request::from_parts(parts, ()))
}

/// Writes the request for an HTTP/1 connection, and tells how its body must be framed.
///
/// # Errors
/// [`TranslateError`]: it cannot be said there.
pub(crate) fn write_http1(
    head: &RequestMeta,
    on: &Onward<'_>,
    out: &mut BytesMut,
) -> Result<Framing, TranslateError> {
    match head {
        RequestMeta::H1(head) => {
            let how = RequestOut { host: on.host, path_and_query: on.path_and_query, ..RequestOut::of(head) };
            encode::request(head, &how, &on.edits, out)?;
            Ok(how.body)
        }
        RequestMeta::H2(head) => {
            let how = DownRequest {
                host: on.host,
                path_and_query: on.path_and_query,
                ..DownRequest::of(head, on.ends)
            };
            down::request(head, &how, &on.edits, out)?;
            Ok(how.body)
        }
    }
}

/// The host of the last HTTP/1 request that was put on HTTP/2: nearly always the next one's too.
#[derive(Debug, Default)]
pub(crate) struct LastHost(RefCell<Option<Authority>>);

/// A longer host is read each time.
const HOST_BYTES_MAX: usize = 255;

impl LastHost {
    /// The request's own host, if it has one that can be kept.
    pub(crate) fn of(&self, head: &RequestMeta) -> Option<Authority> {
        let RequestMeta::H1(head) = head else { return None };
        let host = head.host();
        let mut last = self.0.borrow_mut();
        if last.as_ref().is_none_or(|last| last.as_str() != host) && host.len() <= HOST_BYTES_MAX {
            *last = Authority::try_from(host).ok();
        }
        last.clone()
    }
}

/// A response head.
#[derive(Debug)]
pub(crate) enum ResponseMeta {
    H1(Box<ResponseHead>),
    H2(Box<http::response::Parts>),
}

impl ResponseMeta {
    /// From HTTP/2, or made by us.
    pub(crate) fn of(response: http::Response<()>) -> Self {
        Self::H2(Box::new(response.into_parts().0))
    }

    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::H1(head) => head.status(),
            Self::H2(parts) => parts.status.as_u16(),
        }
    }

    /// The first value of a field, also of those that are not passed on.
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        match self {
            Self::H1(head) => {
                let mut all = head.headers().all();
                all.find(|field| field.name.eq_ignore_ascii_case(name.as_bytes())).map(|field| field.value)
            }
            Self::H2(parts) => parts.headers.get(name).map(http::HeaderValue::as_bytes),
        }
    }

    /// All fields, as far as their names are text.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let (h1, h2) = match self {
            Self::H1(head) => {
                let text = |name| std::str::from_utf8(name).ok();
                (Some(head.headers().all().filter_map(move |one| Some((text(one.name)?, one.value)))), None)
            }
            Self::H2(parts) => {
                (None, Some(parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))))
            }
        };
        h1.into_iter().flatten().chain(h2.into_iter().flatten())
    }

    pub(crate) fn grpc_status(&self) -> Option<u16> {
        match self {
            Self::H1(_) => std::str::from_utf8(self.header("grpc-status")?).ok()?.parse().ok(),
            Self::H2(parts) => grpc_status(&parts.headers),
        }
    }
}

/// How an HTTP/1 client gets its response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) version: Version,
    pub(crate) asked: Asked,
    pub(crate) persist: bool,
    pub(crate) ends: bool,
}

/// Writes a response for an HTTP/1 client; tells how its body must be framed, and whether the connection stays.
///
/// # Errors
/// [`TranslateError`]: it cannot be said there.
pub(crate) fn write_response(
    head: ResponseMeta,
    to: &Answered,
    edits: &Edits<'_>,
    out: &mut BytesMut,
) -> Result<(Framing, bool), TranslateError> {
    let how = match head {
        ResponseMeta::H1(head) => {
            let how = ResponseOut::of(&head, to.version, to.asked, to.persist);
            encode::response(&head, &how, edits, out)?;
            how
        }
        ResponseMeta::H2(parts) => {
            let how = down::response_out(&parts, to.ends, to.version, to.asked, to.persist)?;
            down::response(*parts, &how, edits, out)?;
            how
        }
    };
    Ok((how.body, how.persist))
}

/// The response for an HTTP/2 client. `orig_proto`: the request said what it was before it came on HTTP/2.
///
/// # Errors
/// [`TranslateError`]: it cannot be said there.
pub(crate) fn response_for_http2(
    head: ResponseMeta,
    orig_proto: bool,
    edits: &Edits<'_>,
) -> Result<http::Response<()>, TranslateError> {
    let parts = match head {
        ResponseMeta::H1(head) => up::response(&head, orig_proto, edits)?,
        ResponseMeta::H2(parts) => forward::response(*parts, edits)?,
    };
    Ok(http::Response::from_parts(parts, ()))
}

/// The changes that filters make to a request.
pub(crate) fn request_modifiers<'a>(filters: impl IntoIterator<Item = &'a [Filter]>) -> Vec<Modifier<'a>> {
    let all = filters.into_iter().flat_map(hauberk_model::filters::request_headers);
    all.map(|one| Modifier { set: &one.set, add: &one.add, remove: &one.remove }).collect()
}

/// The changes that filters make to a response, and after them those that were made for this one.
pub(crate) fn response_modifiers<'a>(
    filters: impl IntoIterator<Item = &'a [Filter]>,
    own: impl IntoIterator<Item = &'a HeaderModifier>,
) -> Vec<Modifier<'a>> {
    let all = filters.into_iter().flat_map(hauberk_model::filters::response_headers).chain(own);
    all.map(|one| Modifier { set: &one.set, add: &one.add, remove: &one.remove }).collect()
}
