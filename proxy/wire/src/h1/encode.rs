//! Writing heads. Framing and connection fields are always our own; the rest is copied in runs of whole lines.

use bytes::{BufMut, BytesMut};
use thiserror::Error;

use super::grammar::is_host;
use super::response::describes;
use super::target::check_path_and_query;
use super::{Asked, Body, Headers, Kind, RequestHead, ResponseHead, Target, Version};
use crate::edit::Edits;

/// Why a message could not be written. Nothing was.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum EncodeError {
    /// A filter or the proxy gave a field that cannot stand in a message.
    #[error("field to add is malformed")]
    Field,
    /// The new host is not `host [":" port]`.
    #[error("host to write is malformed")]
    Host,
    /// The new path is not one, or the target's form has none.
    #[error("target to write is malformed")]
    Target,
    /// HTTP/1.0 has no chunked coding; end the body by closing, or use a length.
    #[error("chunked body in HTTP/1.0")]
    ChunkedIn10,
    /// A request cannot end by closing, nor have a body with CONNECT; 1xx, 204 and 304 have no body.
    #[error("this message cannot have that body")]
    Body,
    /// A body that ends by closing on a connection that is to stay open.
    #[error("body until close on a persistent connection")]
    Persistence,
    /// More body than declared.
    #[error("body is longer than declared")]
    BodyTooLong,
    /// Less body than declared.
    #[error("body is shorter than declared")]
    BodyTooShort,
}

/// How a request is sent on. Start from [`RequestOut::of`].
#[derive(Clone, Copy, Debug)]
pub struct RequestOut<'a> {
    /// Version on the request line.
    pub version: Version,
    /// Framing to declare; what is sent must match it.
    pub body: Body,
    /// Whether the connection is meant to be used again.
    pub persist: bool,
    /// Host instead of the request's own.
    pub host: Option<&'a str>,
    /// Path and query instead of the request's own.
    pub path_and_query: Option<&'a str>,
    /// Whether the wish to upgrade is passed on.
    pub upgrade: bool,
}

impl RequestOut<'_> {
    /// As the request came.
    pub fn of(head: &RequestHead) -> Self {
        let version = head.version();
        Self { version, body: head.body(), persist: true, host: None, path_and_query: None, upgrade: true }
    }
}

/// Writes a request head.
pub fn request(
    head: &RequestHead,
    how: &RequestOut<'_>,
    edits: &Edits<'_>,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    check(how.version, how.body, edits)?;
    let host = how.host.or_else(|| edits.host());
    if host.is_some_and(|host| !is_host(host.as_bytes())) {
        return Err(EncodeError::Host);
    }
    if how.path_and_query.is_some_and(|path| check_path_and_query(path.as_bytes()).is_err()) {
        return Err(EncodeError::Target);
    }
    let (host, upgrade) = (host.unwrap_or(head.host()), head.upgrade().filter(|_| how.upgrade));
    out.reserve(head.headers().bytes() + MARGIN);
    let start = out.len();
    if let Err(error) = request_line(head, how, host, out) {
        out.truncate(start);
        return Err(error);
    }
    if how.version == Version::Http11 || !host.is_empty() {
        line(out, b"Host", host.as_bytes());
    }
    let has_trailers = how.body == Body::Chunked;
    fields(head.headers(), edits, |kind| kind != Kind::Trailer || has_trailers, out);
    framing(how.body, out);
    if head.te_trailers() {
        line(out, b"TE", b"trailers");
    }
    connection(how.version, how.persist, upgrade, head.te_trailers(), out);
    out.put_slice(b"\r\n");
    Ok(())
}

/// How a response is sent on. Start from [`ResponseOut::of`].
#[derive(Clone, Copy, Debug)]
pub struct ResponseOut {
    /// Version of the request that is answered.
    pub version: Version,
    /// What the request was.
    pub asked: Asked,
    /// Framing to declare; what is sent must match it.
    pub body: Body,
    /// Whether the connection stays open after this response. Ignored for interim responses.
    pub persist: bool,
}

impl ResponseOut {
    /// As the response came, for a client of this version: a chunked body ends by closing in HTTP/1.0.
    pub fn of(head: &ResponseHead, version: Version, asked: Asked, client_keeps_alive: bool) -> Self {
        let body = match (head.body(), version) {
            (Body::Chunked, Version::Http10) => Body::UntilClose,
            // Without a length the end can be told by chunks where the client knows them.
            (Body::UntilClose, Version::Http11) => Body::Chunked,
            (body @ (Body::None | Body::Length(_) | Body::Chunked | Body::UntilClose), _) => body,
        };
        Self { version, asked, body, persist: client_keeps_alive && body != Body::UntilClose }
    }
}

/// Writes a response head.
pub fn response(
    head: &ResponseHead,
    how: &ResponseOut,
    edits: &Edits<'_>,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    check_response(head.status(), how, edits)?;
    out.reserve(head.headers().bytes() + MARGIN);
    status_line(how.version, head.status(), head.reason(), out);
    let has_trailers = how.body == Body::Chunked;
    fields(head.headers(), edits, |kind| kind != Kind::Trailer || has_trailers, out);
    response_framing(head.status(), head.declared_length(), how, out);
    response_connection(head.status(), head.upgrade(), how, out);
    out.put_slice(b"\r\n");
    Ok(())
}

/// Room for what is regenerated besides what is copied.
const MARGIN: usize = 256;

pub(crate) fn check_response(status: u16, how: &ResponseOut, edits: &Edits<'_>) -> Result<(), EncodeError> {
    if how.body != Body::UntilClose {
        check(how.version, how.body, edits)?;
    } else if !edits.are_writable() {
        return Err(EncodeError::Field);
    } else if how.persist {
        return Err(EncodeError::Persistence);
    }
    if how.body != Body::None && !may_have_body(status, how.asked) {
        return Err(EncodeError::Body);
    }
    Ok(())
}

/// RFC 9112 §6.3, rules 1 and 2.
fn may_have_body(status: u16, asked: Asked) -> bool {
    let bodiless_status = matches!(status, 100..=199 | 204 | 304);
    let tunnel = asked == Asked::Connect && (200..=299).contains(&status);
    !bodiless_status && !tunnel && asked != Asked::Head
}

pub(crate) fn check(version: Version, body: Body, edits: &Edits<'_>) -> Result<(), EncodeError> {
    match (version, body) {
        (Version::Http10, Body::Chunked) => Err(EncodeError::ChunkedIn10),
        (_, Body::UntilClose) => Err(EncodeError::Body),
        (_, Body::None | Body::Length(_) | Body::Chunked) if !edits.are_writable() => Err(EncodeError::Field),
        (_, Body::None | Body::Length(_) | Body::Chunked) => Ok(()),
    }
}

fn request_line(
    head: &RequestHead,
    how: &RequestOut<'_>,
    host: &str,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    out.put_slice(head.method().as_bytes());
    out.put_u8(b' ');
    match (head.target(), how.path_and_query) {
        (Target::Origin { .. }, Some(path)) | (Target::Origin { path_and_query: path }, None) => {
            out.put_slice(path.as_bytes());
        }
        (Target::Absolute { scheme, .. }, Some(path))
        | (Target::Absolute { scheme, path_and_query: path, .. }, None) => {
            for part in [scheme, "://", host, path] {
                out.put_slice(part.as_bytes());
            }
        }
        (Target::Authority { .. }, None) => {
            if how.body != Body::None {
                return Err(EncodeError::Body);
            }
            if !host.contains(':') {
                return Err(EncodeError::Host);
            }
            out.put_slice(host.as_bytes());
        }
        (Target::Asterisk, None) => out.put_u8(b'*'),
        (Target::Authority { .. } | Target::Asterisk, Some(_)) => return Err(EncodeError::Target),
    }
    for part in [" ", how.version.as_str(), "\r\n"] {
        out.put_slice(part.as_bytes());
    }
    Ok(())
}

/// Copies the kept fields, as many adjacent lines at once as possible, then writes the added ones.
fn fields(headers: &Headers, edits: &Edits<'_>, passes: impl Fn(Kind) -> bool, out: &mut BytesMut) {
    let block = &headers.block;
    let slots = headers.table.slots();
    let ends = slots.iter().skip(1).map(super::headers::Slot::start).chain([block.len().saturating_sub(2)]);
    let (mut from, mut to) = (0, 0);
    for (slot, end) in slots.iter().zip(ends) {
        if passes(slot.kind) && edits.keeps(slot.name().of(block), slot.kind) {
            if to != slot.start() {
                out.put_slice(block.get(from..to).unwrap_or_default());
                from = slot.start();
            }
            to = end;
        }
    }
    out.put_slice(block.get(from..to).unwrap_or_default());
    for (name, value) in edits.written() {
        line(out, name.as_bytes(), value);
    }
}

pub(crate) fn line(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    for part in [name, b": ", value, b"\r\n"] {
        out.put_slice(part);
    }
}

pub(crate) fn framing(body: Body, out: &mut BytesMut) {
    match body {
        Body::None | Body::UntilClose => {}
        Body::Length(length) => length_line(length, out),
        Body::Chunked => line(out, b"Transfer-Encoding", b"chunked"),
    }
}

pub(crate) fn response_framing(status: u16, declared: Option<u64>, how: &ResponseOut, out: &mut BytesMut) {
    match (how.body, declared) {
        (Body::None, Some(length)) if describes(status, how.asked) => length_line(length, out),
        (Body::None, _) if may_have_body(status, how.asked) => length_line(0, out),
        (body @ (Body::None | Body::Length(_) | Body::Chunked | Body::UntilClose), _) => framing(body, out),
    }
}

fn length_line(length: u64, out: &mut BytesMut) {
    let mut digits = [b'0'; DIGITS_MAX];
    line(out, b"Content-Length", decimal(length, &mut digits));
}

/// Digits of the largest number.
pub(crate) const DIGITS_MAX: usize = 20;

/// The number in digits.
pub(crate) fn decimal(number: u64, digits: &mut [u8; DIGITS_MAX]) -> &[u8] {
    let mut left = number;
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0'.wrapping_add((left % 10) as u8);
        left /= 10;
        used += 1;
        if left == 0 {
            break;
        }
    }
    digits.get(DIGITS_MAX - used..).unwrap_or_default()
}

pub(crate) fn status_line(version: Version, status: u16, reason: &[u8], out: &mut BytesMut) {
    let digit = |place: u16| b'0'.wrapping_add((status / place % 10) as u8);
    out.put_slice(version.as_str().as_bytes());
    out.put_slice(&[b' ', digit(100), digit(10), digit(1), b' ']);
    out.put_slice(reason);
    out.put_slice(b"\r\n");
}

pub(crate) fn response_connection(status: u16, upgrade: Option<&str>, how: &ResponseOut, out: &mut BytesMut) {
    match status {
        101 => connection(Version::Http11, true, upgrade, false, out),
        100..=199 => {}
        _ => connection(how.version, how.persist, None, false, out),
    }
}

/// Writes `Connection` and `Upgrade`, if they have anything to say.
pub(crate) fn connection(
    version: Version,
    persist: bool,
    upgrade: Option<&str>,
    te: bool,
    out: &mut BytesMut,
) {
    let upgrade = upgrade.filter(|_| version == Version::Http11);
    if let Some(protocols) = upgrade {
        line(out, b"Upgrade", protocols.as_bytes());
    }
    let tokens = [
        (upgrade.is_some(), "upgrade"),
        (te, "TE"),
        (!persist && version == Version::Http11, "close"),
        (persist && version == Version::Http10, "keep-alive"),
    ];
    let mut separator = "Connection: ";
    for (_, token) in tokens.iter().filter(|(said, _)| *said) {
        out.put_slice(separator.as_bytes());
        out.put_slice(token.as_bytes());
        separator = ", ";
    }
    if separator == ", " {
        out.put_slice(b"\r\n");
    }
}
