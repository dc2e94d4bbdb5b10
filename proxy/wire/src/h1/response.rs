//! Response heads.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use httparse::{EMPTY_HEADER, Header, Status};

use super::grammar::{content_length, is_protocol, is_value_byte, list, transfer_encoding};
use super::headers::{Connection, Kind, Span, Table};
use super::limits::Limits;
use super::scan::{self, Message, STACK_FIELDS, Scan};
use super::{Body, H1Error, Headers, Version};

/// What the request was, as far as it decides how the response is framed (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// HEAD: no body whatever the fields say.
    Head,
    /// CONNECT: a 2xx turns the connection into a tunnel.
    Connect,
    /// Any other method.
    Other,
}

impl Asked {
    /// From the request's method.
    pub fn by(method: &str) -> Self {
        match method {
            "HEAD" => Self::Head,
            "CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }
}

/// A response head that passed every rule of [`parse`].
#[derive(Clone, Debug)]
pub struct ResponseHead {
    headers: Headers,
    version: Version,
    status: u16,
    reason: Span,
    body: Body,
    declared: Option<u64>,
    keep_alive: bool,
    upgrade: Option<Span>,
}

/// Reads one response head from the front of `buf` and takes it off; `None`: more bytes are needed, nothing was taken.
///
/// Interim responses (1xx) come out like any other; the caller reads on for the final one.
pub fn parse(buf: &mut BytesMut, limits: &Limits, asked: Asked) -> Result<Option<ResponseHead>, H1Error> {
    resume(buf, limits, asked, &mut Scan::default())
}

/// [`parse`], remembering in `scan` what was looked at. Start the next head with a fresh `Scan`.
pub fn resume(
    buf: &mut BytesMut,
    limits: &Limits,
    asked: Asked,
    scan: &mut Scan,
) -> Result<Option<ResponseHead>, H1Error> {
    match buf.first() {
        None => Ok(None),
        Some(b'\r' | b'\n') => Err(H1Error::EmptyLines),
        Some(_) => read_from(buf, limits, asked, scan),
    }
}

/// [`resume`] with something to read.
#[inline(never)]
fn read_from(
    buf: &mut BytesMut,
    limits: &Limits,
    asked: Asked,
    scan: &mut Scan,
) -> Result<Option<ResponseHead>, H1Error> {
    let mut table = Table::new();
    let lexed = if scan.may_be_complete(buf) { lex(buf, limits, &mut table)? } else { None };
    let Some(lexed) = lexed else {
        scan::may_grow(buf, limits.head_bytes_max, limits)?;
        scan.incomplete(buf.len());
        return Ok(None);
    };
    let block = buf.split_to(lexed.len).freeze();
    ResponseHead::read(block, table, lexed, asked).map(Some)
}

struct Lexed {
    len: usize,
    version: Version,
    status: u16,
    reason: Span,
}

fn lex(head: &[u8], limits: &Limits, table: &mut Table) -> Result<Option<Lexed>, H1Error> {
    let mut few = [const { MaybeUninit::uninit() }; STACK_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut response, head, &mut few) {
        Ok(Status::Complete(len)) => accept(head, len, &response, limits, table).map(Some),
        Ok(Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) if limits.fields_of_all_kinds_max() > STACK_FIELDS => {
            lex_many(head, limits, table)
        }
        Err(error) => Err(scan::complaint(head, error, Message::Response)),
    }
}

/// Reads a head with more fields than fit on the stack.
fn lex_many(head: &[u8], limits: &Limits, table: &mut Table) -> Result<Option<Lexed>, H1Error> {
    let mut many: Vec<Header<'_>> = vec![EMPTY_HEADER; limits.fields_of_all_kinds_max()];
    let mut response = httparse::Response::new(&mut many);
    match response.parse(head) {
        Ok(Status::Complete(len)) => accept(head, len, &response, limits, table).map(Some),
        Ok(Status::Partial) => Ok(None),
        Err(error) => Err(scan::complaint(head, error, Message::Response)),
    }
}

fn accept(
    head: &[u8],
    len: usize,
    response: &httparse::Response<'_, '_>,
    limits: &Limits,
    table: &mut Table,
) -> Result<Lexed, H1Error> {
    let head = head.get(..len).unwrap_or_default();
    let (Some(minor), Some(status)) = (response.version, response.code) else {
        return Err(H1Error::Malformed);
    };
    if len > limits.head_bytes_max {
        return Err(H1Error::HeadTooLarge);
    }
    if !(100..=999).contains(&status) {
        return Err(H1Error::StatusLine);
    }
    let line_len = head.iter().position(|&byte| byte == b'\n').ok_or(H1Error::StatusLine)?;
    let Some([line @ .., b'\r']) = head.get(..line_len) else { return Err(H1Error::BareLf) };
    let reason_at = "HTTP/1.1 200 ".len().min(line.len());
    let reason = line.get(reason_at..).unwrap_or_default();
    if !reason.iter().all(|&byte| is_value_byte(byte)) {
        return Err(H1Error::StatusLine);
    }
    let reason = Span::new(reason_at, reason.len())?;
    scan::tabulate(head, line_len + 1, response.headers, Message::Response, table)?;
    if !table.is_within(limits) {
        return Err(H1Error::TooManyFields);
    }
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    Ok(Lexed { len, version, status, reason })
}

#[derive(Default)]
struct Gathered {
    length: Option<u64>,
    chunked: bool,
    connection: Connection,
    upgrade: Option<Span>,
}

impl Gathered {
    fn read(block: &[u8], table: &mut Table) -> Result<Self, H1Error> {
        let mut found = Self::default();
        for slot in table.slots() {
            let value = slot.value().of(block);
            match slot.kind {
                Kind::ContentLength if found.length.is_some() => return Err(H1Error::LengthRepeated),
                Kind::ContentLength => found.length = Some(content_length(value)?),
                Kind::TransferEncoding if found.chunked => return Err(H1Error::TransferEncoding),
                Kind::TransferEncoding => {
                    transfer_encoding(value)?;
                    found.chunked = true;
                }
                Kind::Connection => found.connection.read(value),
                Kind::Upgrade => found.upgrade = Some(slot.value()),
                Kind::EndToEnd
                | Kind::Mesh
                | Kind::Expect
                | Kind::Trailer
                | Kind::Host
                | Kind::Te
                | Kind::Hop => {}
            }
        }
        if found.connection.nominates {
            table.nominate(block);
        }
        Ok(found)
    }

    fn body(&self, status: u16, version: Version, asked: Asked) -> Result<Body, H1Error> {
        let framed = match (self.length, self.chunked, version) {
            (Some(_), true, _) => return Err(H1Error::LengthAndChunked),
            (None, true, Version::Http10) => return Err(H1Error::TransferEncodingIn10),
            (None, true, Version::Http11) => Body::Chunked,
            (Some(length), false, _) => Body::Length(length),
            (None, false, _) => Body::UntilClose,
        };
        Ok(match (status, asked) {
            (100..=199 | 204 | 304, _) | (_, Asked::Head) | (200..=299, Asked::Connect) => Body::None,
            (_, Asked::Connect | Asked::Other) => framed,
        })
    }
}

/// Whether Content-Length describes what is not sent (RFC 9110 §8.6).
pub(crate) fn describes(status: u16, asked: Asked) -> bool {
    status == 304 || (asked == Asked::Head && status >= 200 && status != 204)
}

impl ResponseHead {
    fn read(block: Bytes, mut table: Table, lexed: Lexed, asked: Asked) -> Result<Self, H1Error> {
        let Lexed { version, status, reason, .. } = lexed;
        let found = Gathered::read(&block, &mut table)?;
        let body = found.body(status, version, asked)?;
        let all_protocols = |span: &Span| {
            let mut protocols = list(span.of(&block)).peekable();
            protocols.peek().is_some() && protocols.all(is_protocol)
        };
        let upgrade = found.upgrade.filter(|_| status == 101).filter(all_protocols);
        let keep_alive = found.connection.persists(version) && body != Body::UntilClose && status != 101;
        Ok(Self {
            headers: Headers { block, table },
            version,
            status,
            reason,
            body,
            declared: found.length.filter(|_| describes(status, asked)),
            keep_alive,
            upgrade,
        })
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// 100 to 999.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase, possibly empty, possibly not ASCII.
    pub fn reason(&self) -> &[u8] {
        self.reason.of(&self.headers.block)
    }

    /// The fields.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// How the body is framed. [`Body::None`] after a 2xx to CONNECT or a 101: what follows is a tunnel.
    pub fn body(&self) -> Body {
        self.body
    }

    /// Content-Length where no body follows although it was given: of HEAD and 304 it describes the representation,
    /// and is passed on.
    pub fn declared_length(&self) -> Option<u64> {
        self.declared
    }

    /// Whether the connection can take another request after this response.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// The protocol that a 101 switches to.
    pub fn upgrade(&self) -> Option<&str> {
        self.upgrade.map(|span| self.headers.text(span))
    }
}
