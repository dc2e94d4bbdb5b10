//! What the proxy would send on, for cases on standard input: the suite `conformance/differential` has other readers
//! judge it.
//!
//! A case is a kind (one byte), a length (32 bits, big endian) and so many bytes. The answer to each is a number of
//! messages (16 bits), each with its length (32 bits); none if the case is refused or is no whole message.

use std::io::{self, BufReader, BufWriter, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use hauberk_wire::h1::body::{Decoded, Decoder};
use hauberk_wire::h1::encode::{self, RequestOut};
use hauberk_wire::h1::encoder::Encoder;
use hauberk_wire::h1::{Body, Limits, RequestHead, request};
use hauberk_wire::translate::down::{self, DownRequest};
use hauberk_wire::translate::up::{self, UpRequest};
use hauberk_wire::translate::{H2Request, Honour};
use hauberk_wire::{Edits, strip};
use http::request::Parts;
use http::uri::{self, Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

/// The bytes of a connection, passed on as HTTP/1.
const AS_HTTP1: u8 = 1;
/// The same, put on HTTP/2 by one proxy and taken off again by the next.
const OVER_HTTP2: u8 = 2;
/// A request of HTTP/2, passed on as HTTP/1: method, scheme, authority, path, and then names and values, each with a
/// length of 16 bits; after an empty name, the body.
const FROM_HTTP2: u8 = 3;

fn main() -> io::Result<()> {
    let mut input = BufReader::with_capacity(1 << 20, io::stdin().lock());
    let mut output = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let mut head = [0; 5];
    while input.read_exact(&mut head).is_ok() {
        let [kind, length @ ..] = head;
        let mut case = vec![0; u32::from_be_bytes(length) as usize];
        input.read_exact(&mut case)?;
        let messages = match kind {
            AS_HTTP1 | OVER_HTTP2 => connection(&case, kind == OVER_HTTP2),
            FROM_HTTP2 => from_http2(case.into()).into_iter().collect(),
            other => return Err(io::Error::other(format!("no kind of case is {other}"))),
        };
        output.write_all(&u16::try_from(messages.len()).unwrap_or(u16::MAX).to_be_bytes())?;
        for message in messages {
            output.write_all(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes())?;
            output.write_all(&message)?;
        }
        // The other side waits for the answers to all that it has written.
        if input.buffer().is_empty() {
            output.flush()?;
        }
    }
    Ok(())
}

/// Every whole request of a connection, until one is refused or ends the connection.
fn connection(bytes: &[u8], over_http2: bool) -> Vec<BytesMut> {
    let (mut input, limits) = (BytesMut::from(bytes), Limits::default());
    let mut messages = Vec::new();
    while let Ok(Some(head)) = request::parse(&mut input, &limits) {
        let Some((body, trailers)) = body_of(&mut input, head.body(), &limits) else { break };
        let sent =
            if over_http2 { taken_off(&head, &body, &trailers) } else { passed_on(&head, &body, &trailers) };
        let Some(sent) = sent else { break };
        messages.push(sent);
        if !head.keep_alive() || head.upgrade().is_some() {
            break;
        }
    }
    messages
}

fn body_of(input: &mut BytesMut, framing: Body, limits: &Limits) -> Option<(Vec<u8>, HeaderMap)> {
    let mut decoder = Decoder::new(framing, limits);
    let (mut body, mut trailers) = (Vec::new(), HeaderMap::new());
    loop {
        match decoder.decode(input).ok()? {
            Decoded::Data(bytes) => body.extend_from_slice(&bytes),
            Decoded::Trailers(found) => trailers = up::trailers(&found).ok()?,
            Decoded::End => return Some((body, trailers)),
            Decoded::NeedMore => return None,
        }
    }
}

fn write_body(framing: Body, body: &[u8], trailers: &HeaderMap, out: &mut BytesMut) -> Option<()> {
    let mut encoder = Encoder::new(framing);
    if !body.is_empty() {
        encoder.data(body, out).ok()?;
    }
    encoder.finish(down::trailers(trailers), out).ok()
}

fn passed_on(head: &RequestHead, body: &[u8], trailers: &HeaderMap) -> Option<BytesMut> {
    // The proxy makes no tunnels.
    if head.method() == "CONNECT" {
        return None;
    }
    let how = RequestOut::of(head);
    let mut out = BytesMut::new();
    encode::request(head, &how, &Edits::strip(&strip::REQUEST_FROM_PEER), &mut out).ok()?;
    write_body(how.body, body, trailers, &mut out)?;
    Some(out)
}

fn taken_off(head: &RequestHead, body: &[u8], trailers: &HeaderMap) -> Option<BytesMut> {
    // An upgrade is not put on HTTP/2.
    if head.upgrade().is_some() {
        return passed_on(head, body, trailers);
    }
    let parts = up::request(head, &UpRequest::MESH, &Edits::strip(&strip::REQUEST_FROM_APP)).ok()?;
    let has_body = !matches!(head.body(), Body::None | Body::Length(0));
    down(&H2Request::read(parts, Honour::OrigProto).ok()?, !has_body, body, trailers)
}

fn down(head: &H2Request, ends: bool, body: &[u8], trailers: &HeaderMap) -> Option<BytesMut> {
    let how = DownRequest::of(head, ends);
    let mut out = BytesMut::new();
    down::request(head, &how, &Edits::strip(&strip::REQUEST_FROM_PEER), &mut out).ok()?;
    write_body(how.body, body, trailers, &mut out)?;
    Some(out)
}

fn from_http2(mut case: Bytes) -> Option<BytesMut> {
    let mut take = || -> Option<Bytes> {
        let length = if case.len() < 2 { return None } else { case.get_u16() as usize };
        (case.len() >= length).then(|| case.split_to(length))
    };
    let (method, scheme, authority, path) = (take()?, take()?, take()?, take()?);
    let mut headers = HeaderMap::new();
    loop {
        let name = take()?;
        if name.is_empty() {
            break;
        }
        // What these types do not hold, the HTTP/2 library refuses as it decodes; upper case, too.
        if name.iter().any(u8::is_ascii_uppercase) {
            return None;
        }
        headers.append(HeaderName::from_bytes(&name).ok()?, HeaderValue::from_bytes(&take()?).ok()?);
    }
    let body = take()?;
    let mut uri = uri::Parts::default();
    // As the library reads the pseudo-header fields.
    if !authority.is_empty() {
        uri.scheme = Some(Scheme::try_from(scheme.as_ref()).ok()?);
        uri.authority = Some(Authority::try_from(authority.as_ref()).ok()?);
    }
    uri.path_and_query = Some(PathAndQuery::try_from(path.as_ref()).ok()?);
    let mut parts: Parts = Request::new(()).into_parts().0;
    parts.method = Method::from_bytes(&method).ok()?;
    parts.uri = Uri::from_parts(uri).ok()?;
    parts.headers = headers;
    parts.version = http::Version::HTTP_2;
    let head = H2Request::read(parts, Honour::Nothing).ok()?;
    // The library ends a stream whose body has not the declared length.
    if head.length().is_some_and(|length| length != body.len() as u64) {
        return None;
    }
    down(&head, body.is_empty(), &body, &HeaderMap::new())
}
