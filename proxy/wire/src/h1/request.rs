//! Request heads.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use httparse::{EMPTY_HEADER, Header, Status};

use super::grammar::{content_length, is_host, is_protocol, list, transfer_encoding};
use super::headers::{Connection, Kind, Span, Table};
use super::limits::Limits;
use super::scan::{self, Message, STACK_FIELDS, Scan};
use super::target::{self, TargetSpans};
use super::{Body, H1Error, Headers, Target};

/// The versions of HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

impl Version {
    /// As on the start line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        }
    }
}

/// A request head that passed every rule of [`parse`]. Holds the bytes it was read from; moving it copies no text.
#[derive(Clone, Debug)]
pub struct RequestHead {
    headers: Headers,
    method: Span,
    target: TargetSpans,
    host: Span,
    upgrade: Option<Span>,
    facts: Facts,
}

/// What the framing fields say.
#[derive(Clone, Copy, Debug)]
struct Facts {
    version: Version,
    body: Body,
    keep_alive: bool,
    expect_continue: bool,
    te_trailers: bool,
}

/// Reads one request head from the front of `buf` and takes it off; `None`: more bytes are needed, nothing was taken.
///
/// For a buffer that grows slowly, [`resume`] with one [`Scan`] per head looks at each byte once.
pub fn parse(buf: &mut BytesMut, limits: &Limits) -> Result<Option<RequestHead>, H1Error> {
    resume(buf, limits, &mut Scan::default())
}

/// [`parse`], remembering in `scan` what was looked at. Start the next head with a fresh `Scan`.
pub fn resume(buf: &mut BytesMut, limits: &Limits, scan: &mut Scan) -> Result<Option<RequestHead>, H1Error> {
    let Some(skip) = scan::leading_empty_lines(buf)? else { return Ok(None) };
    read_from(buf, skip, limits, scan)
}

/// [`resume`] behind the empty lines; apart, since most looks find nothing to read.
#[inline(never)]
fn read_from(
    buf: &mut BytesMut,
    skip: usize,
    limits: &Limits,
    scan: &mut Scan,
) -> Result<Option<RequestHead>, H1Error> {
    let head = buf.get(skip..).unwrap_or_default();
    let mut table = Table::new();
    let lexed = if scan.may_be_complete(head) { lex(head, limits, &mut table)? } else { None };
    let Some(lexed) = lexed else {
        scan::may_grow(head, limits.request_line_bytes_max, limits)?;
        scan.incomplete(head.len());
        return Ok(None);
    };
    buf.advance(skip);
    let block = buf.split_to(lexed.len).freeze();
    RequestHead::read(block, table, lexed).map(Some)
}

struct Lexed {
    len: usize,
    method: Span,
    target: Span,
    version: Version,
}

fn lex(head: &[u8], limits: &Limits, table: &mut Table) -> Result<Option<Lexed>, H1Error> {
    let mut few = [const { MaybeUninit::uninit() }; STACK_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(head, &mut few) {
        Ok(Status::Complete(len)) => accept(head, len, &request, limits, table).map(Some),
        Ok(Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) if limits.fields_of_all_kinds_max() > STACK_FIELDS => {
            lex_many(head, limits, table)
        }
        Err(error) => Err(scan::complaint(head, error, Message::Request)),
    }
}

/// Reads a head with more fields than fit on the stack.
fn lex_many(head: &[u8], limits: &Limits, table: &mut Table) -> Result<Option<Lexed>, H1Error> {
    let mut many: Vec<Header<'_>> = vec![EMPTY_HEADER; limits.fields_of_all_kinds_max()];
    let mut request = httparse::Request::new(&mut many);
    match request.parse(head) {
        Ok(Status::Complete(len)) => accept(head, len, &request, limits, table).map(Some),
        Ok(Status::Partial) => Ok(None),
        Err(error) => Err(scan::complaint(head, error, Message::Request)),
    }
}

fn accept(
    head: &[u8],
    len: usize,
    request: &httparse::Request<'_, '_>,
    limits: &Limits,
    table: &mut Table,
) -> Result<Lexed, H1Error> {
    let head = head.get(..len).unwrap_or_default();
    let (Some(method), Some(path), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(H1Error::Malformed);
    };
    let method = scan::span_in(head, method.as_bytes())?;
    let target = scan::span_in(head, path.as_bytes())?;
    let fields_at = target.end() + " HTTP/1.1\r\n".len();
    if fields_at > limits.request_line_bytes_max.saturating_add(2) {
        return Err(H1Error::RequestLineTooLong);
    }
    if len > limits.head_bytes_max {
        return Err(H1Error::HeadTooLarge);
    }
    scan::tabulate(head, fields_at, request.headers, Message::Request, table)?;
    if !table.is_within(limits) {
        return Err(H1Error::TooManyFields);
    }
    if head.get(fields_at.saturating_sub(2)..fields_at) != Some(b"\r\n") {
        return Err(H1Error::BareLf);
    }
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    Ok(Lexed { len, method, target, version })
}

/// The framing and connection fields, gathered in one pass.
#[derive(Default)]
struct Gathered {
    host: Option<Span>,
    length: Option<u64>,
    chunked: bool,
    connection: Connection,
    upgrade: Option<Span>,
    upgrades: u32,
    expect_continue: bool,
    te_trailers: bool,
}

impl Gathered {
    fn read(block: &[u8], table: &mut Table) -> Result<Self, H1Error> {
        let mut found = Self::default();
        for slot in table.slots() {
            let value = slot.value().of(block);
            match slot.kind {
                Kind::Host if found.host.is_some() => return Err(H1Error::HostRepeated),
                Kind::Host => found.host = Some(slot.value()),
                Kind::ContentLength if found.length.is_some() => return Err(H1Error::LengthRepeated),
                Kind::ContentLength => found.length = Some(content_length(value)?),
                Kind::TransferEncoding if found.chunked => return Err(H1Error::TransferEncoding),
                Kind::TransferEncoding => {
                    transfer_encoding(value)?;
                    found.chunked = true;
                }
                Kind::Connection => found.connection.read(value),
                Kind::Upgrade => {
                    found.upgrades += 1;
                    found.upgrade = Some(slot.value());
                }
                Kind::Expect => found.expect_continue |= value.eq_ignore_ascii_case(b"100-continue"),
                Kind::Te => {
                    found.te_trailers |= list(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
                }
                Kind::EndToEnd | Kind::Mesh | Kind::Trailer | Kind::Hop => {}
            }
        }
        if found.connection.nominates {
            table.nominate(block);
        }
        Ok(found)
    }

    /// The one protocol asked for. h2c is never offered: it would carry requests past the rules for HTTP/1.
    fn protocol(&self, block: &[u8], version: Version) -> Option<Span> {
        let wanted = self.connection.upgrade && self.upgrades == 1 && version == Version::Http11;
        let span = self.upgrade.filter(|_| wanted)?;
        let offered = |name: &[u8]| is_protocol(name) && !name.eq_ignore_ascii_case(b"h2c");
        let mut protocols = list(span.of(block)).peekable();
        (protocols.peek().is_some() && protocols.all(offered)).then_some(span)
    }
}

impl RequestHead {
    fn read(block: Bytes, mut table: Table, lexed: Lexed) -> Result<Self, H1Error> {
        let Lexed { method, target: target_span, version, .. } = lexed;
        let target = target::read(method.of(&block), target_span.of(&block), target_span.start as usize)?;
        let found = Gathered::read(&block, &mut table)?;
        let host = match (found.host, version) {
            (Some(host), _) if is_host(host.of(&block)) => host,
            (Some(_), _) => return Err(H1Error::Host),
            (None, Version::Http11) => return Err(H1Error::HostMissing),
            (None, Version::Http10) => Span::default(),
        };
        let host = match target {
            TargetSpans::Absolute { authority, .. } | TargetSpans::Authority { authority } => authority,
            TargetSpans::Origin { .. } | TargetSpans::Asterisk => host,
        };
        let body = match (found.length, found.chunked, version) {
            (Some(_), true, _) => return Err(H1Error::LengthAndChunked),
            (None, true, Version::Http10) => return Err(H1Error::TransferEncodingIn10),
            (None, true, Version::Http11) => Body::Chunked,
            (Some(length), false, _) => Body::Length(length),
            (None, false, _) => Body::None,
        };
        if body != Body::None && matches!(target, TargetSpans::Authority { .. }) {
            return Err(H1Error::ConnectBody);
        }
        let facts = Facts {
            version,
            body,
            keep_alive: found.connection.persists(version),
            expect_continue: found.expect_continue && version == Version::Http11,
            te_trailers: found.te_trailers,
        };
        let upgrade = found.protocol(&block, version);
        Ok(Self { headers: Headers { block, table }, method, target, host, upgrade, facts })
    }

    /// The method, exactly as sent.
    pub fn method(&self) -> &str {
        match self.method.of(&self.headers.block) {
            b"GET" => "GET",
            b"POST" => "POST",
            b"PUT" => "PUT",
            b"HEAD" => "HEAD",
            _ => self.headers.text(self.method),
        }
    }

    /// Whether the request names no host.
    pub fn has_no_host(&self) -> bool {
        self.host.len == 0
    }

    /// [`RequestHead::host`], sharing the head's bytes.
    pub(crate) fn shared_host(&self) -> Bytes {
        self.host.share(&self.headers.block)
    }

    /// [`RequestHead::path_and_query`], sharing the head's bytes where the target is no more than that.
    pub(crate) fn shared_path_and_query(&self) -> Option<Bytes> {
        match self.target {
            TargetSpans::Origin { path_and_query } => Some(path_and_query.share(&self.headers.block)),
            TargetSpans::Absolute { .. } | TargetSpans::Authority { .. } | TargetSpans::Asterisk => None,
        }
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.facts.version
    }

    /// The target, in the form in which it was sent.
    pub fn target(&self) -> Target<'_> {
        let text = |span| self.headers.text(span);
        match self.target {
            TargetSpans::Origin { path_and_query } => Target::Origin { path_and_query: text(path_and_query) },
            TargetSpans::Absolute { scheme, authority, path_and_query } => Target::Absolute {
                scheme: text(scheme),
                authority: text(authority),
                path_and_query: text(path_and_query),
            },
            TargetSpans::Authority { authority } => Target::Authority { authority: text(authority) },
            TargetSpans::Asterisk => Target::Asterisk,
        }
    }

    /// Path and query whatever the form of the target: begins with `/`, or is `*`, or is empty (CONNECT).
    pub fn path_and_query(&self) -> &str {
        match self.target() {
            Target::Absolute { path_and_query: "", .. } if self.method() == "OPTIONS" => "*",
            Target::Absolute { path_and_query: "", .. } => "/",
            Target::Origin { path_and_query } | Target::Absolute { path_and_query, .. } => path_and_query,
            Target::Authority { .. } => "",
            Target::Asterisk => "*",
        }
    }

    /// The one host of this request, with its port if it has one: the target's authority if there is one, else
    /// `Host`, else empty. This is what is judged and what is forwarded.
    pub fn host(&self) -> &str {
        self.headers.text(self.host)
    }

    /// The fields.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// How the body is framed; never [`Body::UntilClose`].
    pub fn body(&self) -> Body {
        self.facts.body
    }

    /// Whether the sender wants to send another request on this connection.
    pub fn keep_alive(&self) -> bool {
        self.facts.keep_alive
    }

    /// The value of `Upgrade`, if `Connection` asks for it and it does not name h2c.
    pub fn upgrade(&self) -> Option<&str> {
        self.upgrade.map(|span| self.headers.text(span))
    }

    /// Whether the sender waits for 100 (Continue) before it sends the body.
    pub fn expect_continue(&self) -> bool {
        self.facts.expect_continue
    }

    /// Whether the sender accepts trailers (`TE: trailers`).
    pub fn te_trailers(&self) -> bool {
        self.facts.te_trailers
    }
}
