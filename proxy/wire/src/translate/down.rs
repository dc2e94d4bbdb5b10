//! HTTP/2 messages written as HTTP/1.

use bytes::{BufMut, BytesMut};
use http::header::TE;
use http::{HeaderMap, response};

use super::incoming::{Seen, drop_hop_by_hop, read_length};
use super::{H2Request, OrigProto, TranslateError};
use crate::edit::Edits;
use crate::h1::encode::{self, EncodeError, ResponseOut};
use crate::h1::grammar::is_host;
use crate::h1::target::check_path_and_query;
use crate::h1::{Asked, Body, Kind, Version};

/// How a request is written. Start from [`DownRequest::of`].
#[derive(Clone, Copy, Debug)]
pub struct DownRequest<'a> {
    /// Framing to declare; what is sent must match it.
    pub body: Body,
    /// Whether the connection is meant to be used again.
    pub persist: bool,
    /// Host instead of the request's own.
    pub host: Option<&'a str>,
    /// Path and query instead of the request's own.
    pub path_and_query: Option<&'a str>,
}

impl DownRequest<'_> {
    /// As the request came. `end_stream`: the HEADERS frame ended the stream.
    pub fn of(head: &H2Request, end_stream: bool) -> Self {
        Self { body: head.body(end_stream), persist: true, host: None, path_and_query: None }
    }
}

/// Writes a request head, in its original version and form if a meshed peer told them. A body without a length makes it
/// HTTP/1.1 whatever it was.
pub fn request(
    head: &H2Request,
    how: &DownRequest<'_>,
    edits: &Edits<'_>,
    out: &mut BytesMut,
) -> Result<(), TranslateError> {
    let orig = head.orig_proto().unwrap_or(OrigProto::HTTP_11);
    let version = if how.body == Body::Chunked { Version::Http11 } else { orig.version };
    encode::check(version, how.body, edits)?;
    let other = how.host.or_else(|| edits.host());
    // The request's own was judged when it was read.
    if other.is_some_and(|host| !is_host(host.as_bytes())) {
        return Err(EncodeError::Host.into());
    }
    let host = other.unwrap_or(head.host());
    let path = how.path_and_query.unwrap_or(head.path_and_query());
    if how.path_and_query.is_some() && check_path_and_query(path.as_bytes()).is_err() {
        return Err(EncodeError::Target.into());
    }
    let absolute = orig.absolute_form && !host.is_empty();
    let (scheme, authority) = if absolute { ("http://", host) } else { ("", "") };
    // OPTIONS of a whole server has no path in absolute form.
    let path = if absolute && path == "*" { "" } else { path };
    for part in [head.method(), " ", scheme, authority, path, " ", version.as_str(), "\r\n"] {
        out.put_slice(part.as_bytes());
    }
    if version == Version::Http11 || !host.is_empty() {
        encode::line(out, b"Host", host.as_bytes());
    }
    fields(head.headers(), edits, how.body == Body::Chunked, out);
    encode::framing(how.body, out);
    let te = head.headers().contains_key(TE);
    if te {
        encode::line(out, b"TE", b"trailers");
    }
    encode::connection(version, how.persist, None, te, out);
    out.put_slice(b"\r\n");
    Ok(())
}

/// How a response from HTTP/2 is framed for an HTTP/1 client of this version.
pub fn response_out(
    parts: &response::Parts,
    end_stream: bool,
    version: Version,
    asked: Asked,
    client_keeps_alive: bool,
) -> Result<ResponseOut, TranslateError> {
    let bodiless = matches!(parts.status.as_u16(), 100..=199 | 204 | 304) || asked == Asked::Head;
    let body = match (read_length(&parts.headers)?, end_stream, version) {
        (_, _, _) if bodiless => Body::None,
        (_, true, _) => Body::Length(0),
        (Some(length), false, _) => Body::Length(length),
        (None, false, Version::Http11) => Body::Chunked,
        (None, false, Version::Http10) => Body::UntilClose,
    };
    Ok(ResponseOut { version, asked, body, persist: client_keeps_alive && body != Body::UntilClose })
}

/// Writes a response head, interim ones too.
pub fn response(
    mut parts: response::Parts,
    how: &ResponseOut,
    edits: &Edits<'_>,
    out: &mut BytesMut,
) -> Result<(), TranslateError> {
    let status = parts.status;
    if status == http::StatusCode::SWITCHING_PROTOCOLS {
        return Err(TranslateError::Tunnel);
    }
    let seen = Seen::of(&parts.headers)?;
    encode::check_response(status.as_u16(), how, edits)?;
    // Of a body that is sent, its framing says the length.
    let is_told = seen.length && how.body == Body::None;
    let declared = if is_told { read_length(&parts.headers)? } else { None };
    drop_hop_by_hop(&mut parts.headers, seen);
    let reason = status.canonical_reason().unwrap_or_default();
    encode::status_line(how.version, status.as_u16(), reason.as_bytes(), out);
    fields(&parts.headers, edits, how.body == Body::Chunked, out);
    encode::response_framing(status.as_u16(), declared, how, out);
    encode::response_connection(status.as_u16(), None, how, out);
    out.put_slice(b"\r\n");
    Ok(())
}

/// Trailers for [`crate::h1::encoder::Encoder::finish`], which drops names that may not stand there.
pub fn trailers(map: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    map.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
}

fn fields(headers: &HeaderMap, edits: &Edits<'_>, has_trailers: bool, out: &mut BytesMut) {
    for (name, value) in headers {
        let name = name.as_str().as_bytes();
        let kind = Kind::of(name);
        if (kind != Kind::Trailer || has_trailers) && edits.keeps(name, kind) {
            encode::line(out, name, value.as_bytes());
        }
    }
    for (name, value) in edits.written() {
        encode::line(out, name.as_bytes(), value);
    }
}
