//! HTTP/1 heads and bodies.

use bytes::BytesMut;
use hauberk_wire::h1::body::{Decoded, Decoder};
use hauberk_wire::h1::encoder::Encoder;
use hauberk_wire::h1::{
    Asked, Body, H1Error, Limits, RequestHead, ResponseHead, Scan, Version, encode, request, response,
};
use hauberk_wire::{Edits, strip};

use crate::{choice, held};

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Most pieces into which an input is cut: enough to cut every delimiter, few enough to be fast.
const PIECES_MAX: usize = 64;

/// What every reader must agree on.
pub(crate) fn meaning(head: &RequestHead) -> (String, String, String, Fields, Body) {
    let fields = head.headers().forwarded();
    let fields = fields.map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec()));
    // Ours are stripped, and Trailer stands only where trailers may come.
    let kept = |(name, _): &(Vec<u8>, Vec<u8>)| !name.starts_with(b"l5d") && name != b"trailer";
    (
        head.method().into(),
        head.path_and_query().into(),
        head.host().into(),
        fields.filter(kept).collect(),
        head.body(),
    )
}

pub(crate) fn read(bytes: &[u8]) -> Result<Option<RequestHead>, H1Error> {
    request::parse(&mut BytesMut::from(bytes), &Limits::default())
}

/// No line ends but CRLF, and no NUL, in the head that `bytes` begin with.
pub(crate) fn is_clean(bytes: &[u8]) -> bool {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(bytes.len());
    let head = bytes.get(..end).unwrap_or(bytes);
    let mut previous = 0;
    let mut lines = head.iter().chain([&b'\r', &b'\n']).all(|&byte| {
        let fine = byte != 0 && (byte == b'\n') == (previous == b'\r');
        previous = byte;
        fine
    });
    lines &= previous == b'\n';
    lines
}

fn in_pieces(bytes: &[u8], piece: usize) -> Result<Option<RequestHead>, H1Error> {
    let (mut buf, mut scan) = (BytesMut::new(), Scan::default());
    for part in bytes.chunks(piece) {
        buf.extend_from_slice(part);
        if let Some(head) = request::resume(&mut buf, &Limits::default(), &mut scan)? {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

/// The size of pieces for an input.
fn piece_of(by: u8, bytes: &[u8]) -> usize {
    usize::from(by).max(bytes.len().div_ceil(PIECES_MAX)).max(1)
}

pub(crate) fn request_head(bytes: &[u8]) {
    let (by, bytes) = choice(bytes);
    let whole = read(bytes);
    if let (Ok(Some(one)), Ok(Some(many))) = (&whole, &in_pieces(bytes, piece_of(by, bytes))) {
        assert_eq!(meaning(one), meaning(many), "pieces of a request");
    }
    let Ok(Some(head)) = whole else { return };
    let pieces = in_pieces(bytes, piece_of(by, bytes));
    assert!(matches!(pieces, Ok(Some(_))), "whole, and not in pieces: {pieces:?}");
    let mut out = BytesMut::new();
    let edits = Edits::strip(&strip::REQUEST_FROM_PEER);
    let written = encode::request(&head, &encode::RequestOut::of(&head), &edits, &mut out);
    if held(written, "an accepted request cannot be written").is_none() {
        return;
    }
    assert!(is_clean(&out), "{}", out.escape_ascii());
    let text = out.clone();
    let again = held(request::parse(&mut out, &Limits::default()), "our own request is refused");
    let again = again.flatten();
    assert!(again.is_some() && out.is_empty(), "our own request is not whole: {}", text.escape_ascii());
    if let Some(again) = again {
        assert_eq!(meaning(&head), meaning(&again));
        let leaks =
            again.headers().forwarded().any(|field| field.name.to_ascii_lowercase().starts_with(b"l5d-"));
        assert!(!leaks, "a field of ours passed: {}", text.escape_ascii());
    }
}

fn answer(head: &ResponseHead) -> (u16, Body) {
    (head.status(), head.body())
}

pub(crate) fn response_head(bytes: &[u8]) {
    let (by, bytes) = choice(bytes);
    let asked = if by & 1 == 0 { Asked::Other } else { Asked::Head };
    let version = if by & 2 == 0 { Version::Http11 } else { Version::Http10 };
    let limits = Limits::default();
    let Ok(Some(head)) = response::parse(&mut BytesMut::from(bytes), &limits, asked) else { return };
    let how = encode::ResponseOut::of(&head, version, asked, true);
    let mut out = BytesMut::new();
    if encode::response(&head, &how, &Edits::strip(&strip::RESPONSE_FROM_STRANGER), &mut out).is_err() {
        return;
    }
    assert!(is_clean(&out), "{}", out.escape_ascii());
    let text = out.clone();
    let again = held(response::parse(&mut out, &limits, asked), "our own response is refused").flatten();
    assert!(again.is_some() && out.is_empty(), "our own response is not whole: {}", text.escape_ascii());
    if let Some(again) = again {
        assert_eq!(again.status(), head.status());
        // Interim and bodiless responses have no framing to keep.
        let kept =
            matches!(how.body, Body::Length(_) | Body::Chunked | Body::None) || version == Version::Http10;
        assert!(kept || how.body == Body::UntilClose);
        assert_eq!(answer(&again).1, how.body, "{}", text.escape_ascii());
    }
}

/// Data, trailers and what is left.
type Decoding = Result<(Vec<u8>, Fields, Vec<u8>), H1Error>;

fn decode(bytes: &[u8], piece: usize) -> Decoding {
    let mut buf = BytesMut::new();
    let mut decoder = Decoder::new(Body::Chunked, &Limits::default());
    let (mut data, mut trailers) = (Vec::new(), Vec::new());
    let mut given = 0;
    for part in bytes.chunks(piece) {
        buf.extend_from_slice(part);
        given += part.len();
        loop {
            match decoder.decode(&mut buf)? {
                Decoded::Data(bytes) => data.extend_from_slice(&bytes),
                Decoded::Trailers(found) => {
                    trailers.extend(found.iter().map(|field| (field.name.to_vec(), field.value.to_vec())));
                }
                Decoded::End => {
                    buf.extend_from_slice(bytes.get(given..).unwrap_or_default());
                    return Ok((data, trailers, buf.to_vec()));
                }
                Decoded::NeedMore => break,
            }
        }
    }
    decoder.close().map(|()| (data, trailers, buf.to_vec()))
}

pub(crate) fn chunked_body(bytes: &[u8]) {
    let (by, bytes) = choice(bytes);
    let whole = decode(bytes, bytes.len().max(1));
    // Which of two broken rules is named may depend on how much was there.
    let pieces = decode(bytes, piece_of(by, bytes)).map_err(drop);
    assert_eq!(pieces, whole.clone().map_err(drop), "pieces of a body");
    let Ok((data, trailers, _)) = whole else { return };
    let (mut encoder, mut out) = (Encoder::new(Body::Chunked), BytesMut::new());
    for part in data.chunks(piece_of(by, &data)) {
        held(encoder.data(part, &mut out), "decoded data cannot be written");
    }
    let fields = trailers.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
    held(encoder.finish(fields, &mut out), "decoded trailers cannot be written");
    let again = held(decode(&out, out.len().max(1)), "our own body is refused");
    if let Some((again, fields, rest)) = again {
        assert!(again == data && rest.is_empty(), "a body changed: {}", out.escape_ascii());
        let is_known = |field: &(Vec<u8>, Vec<u8>)| trailers.contains(field);
        assert!(fields.iter().all(is_known), "trailers appeared: {}", out.escape_ascii());
    }
}
