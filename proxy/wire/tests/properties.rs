//! Properties of reading and writing HTTP/1: any split gives the same result, nothing panics, and nothing that we write
//! is refused by our own reader.

#![expect(clippy::indexing_slicing, reason = "a test's helper fails by panicking")]

use bytes::BytesMut;
use hauberk_wire::detect::{Detection, detect};
use hauberk_wire::h1::body::{Decoded, Decoder};
use hauberk_wire::h1::encoder::Encoder;
use hauberk_wire::h1::{Asked, Body, H1Error, Limits, RequestHead, Scan, encode, request, response};
use hauberk_wire::translate::{H2Request, Honour, down, up};
use hauberk_wire::{Edits, strip};
use proptest::collection::vec;
use proptest::prelude::*;

/// A failing input is printed, not kept: tests leave no files.
fn many(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases: cases.max(ProptestConfig::default().cases),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// What two readings of a head must agree on.
fn summary(head: &RequestHead) -> (String, String, String, Fields, Body, bool) {
    let fields =
        head.headers().forwarded().map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec()));
    (
        head.method().into(),
        head.path_and_query().into(),
        head.host().into(),
        fields.collect(),
        head.body(),
        head.te_trailers(),
    )
}

fn whole(text: &[u8]) -> Result<Option<RequestHead>, H1Error> {
    request::parse(&mut BytesMut::from(text), &Limits::default())
}

fn in_pieces(text: &[u8], cuts: &[usize]) -> Result<Option<RequestHead>, H1Error> {
    let (mut buf, mut scan, mut from) = (BytesMut::new(), Scan::default(), 0);
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).chain([text.len()]).collect();
    cuts.sort_unstable();
    for cut in cuts {
        buf.extend_from_slice(&text[from..cut]);
        from = cut;
        if let Some(head) = request::resume(&mut buf, &Limits::default(), &mut scan)? {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

/// Whether there is an empty line behind the first line.
fn is_complete(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches(['\r', '\n']);
    text.contains("\n\r\n") || text.contains("\n\n")
}

/// Fields of all kinds that matter, well-formed and not.
fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        60 => "[A-Za-z][A-Za-z0-9-]{0,12}:[ \t]{0,2}[!-~]([ -~]{0,20}[!-~])?[ \t]{0,2}",
        9 => "(l5d|L5D)[-_][a-z-]{1,10}: [a-z]{1,5}",
        9 => "Connection: (close|keep-alive|upgrade|x-a|te|, ,a)(, ?(close|Upgrade|x-b|content-length))?",
        9 => "(Upgrade|TE|Expect|Trailer|Keep-Alive|X-A|X-B): (websocket|h2c|trailers|100-continue|a)",
        5 => "(Content-Length|content-length): (0|5|12|005)",
        5 => "Transfer-Encoding: (chunked|Chunked)",
        1 => "Content-Length: (\\+5|5,5|)",
        1 => "Transfer-Encoding: (gzip|chunked, chunked)",
        1 => "Host: [a-z.:0-9]{0,8}",
        1 => "[ -~]{0,20}",
    ]
}

fn request_text() -> impl Strategy<Value = String> {
    let method = prop_oneof![3 => Just("GET"), 1 => Just("POST"), 1 => Just("OPTIONS"), 1 => Just("X!")];
    let target = prop_oneof![
        4 => "/[!-~]{0,5}",
        4 => "/[a-z0-9/.%;?=&-]{0,20}",
        2 => "https?://[a-z][a-z.]{1,5}(:[0-9]{1,4})?(/[a-z?=%.]{0,9})?",
        1 => Just("*".to_owned()),
    ];
    let method_and_target = prop_oneof![
        9 => (method, target).prop_map(|(method, target)| format!("{method} {target}")),
        1 => "(CONNECT|GET) [a-z]{1,4}:[0-9]{1,4}",
    ];
    let version = prop_oneof![9 => Just("HTTP/1.1"), 3 => Just("HTTP/1.0"), 1 => Just("HTTP/1.2")];
    let host = prop_oneof![9 => Just("Host: a.test\r\n"), 1 => Just("")];
    let fields = prop_oneof![9 => vec(field(), 0..10), 1 => vec(field(), 30..90)];
    (method_and_target, version, host, fields).prop_map(|(start, version, host, fields)| {
        let lines: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        format!("{start} {version}\r\n{host}{lines}\r\n")
    })
}

/// The same with one byte changed, taken out or put in.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let byte =
        prop_oneof![Just(b'\r'), Just(b'\n'), Just(b' '), Just(b':'), Just(b'\t'), Just(0), any::<u8>()];
    (request_text(), any::<proptest::sample::Index>(), byte, 0..8_u8).prop_map(|(text, at, byte, how)| {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            2 => drop(bytes.remove(at)),
            _ => {}
        }
        bytes
    })
}

proptest! {
    #![proptest_config(many(2000))]

    #[test]
    fn what_is_accepted_is_written_so_that_it_is_accepted_with_the_same_meaning(bytes in damaged()) {
        let Ok(Some(head)) = whole(&bytes) else { return Ok(()) };
        let mut out = BytesMut::new();
        let edits = Edits::strip(&strip::REQUEST_FROM_PEER);
        encode::request(&head, &encode::RequestOut::of(&head), &edits, &mut out).unwrap();
        let text = out.clone();
        let again = request::parse(&mut out, &Limits::default());
        let again = again.map_err(|error| TestCaseError::fail(format!("{error}: {}", text.escape_ascii())))?.unwrap();
        prop_assert!(out.is_empty());
        let (mut before, mut after) = (summary(&head), summary(&again));
        let kept = |(name, _): &(Vec<u8>, Vec<u8>)| !name.starts_with(b"l5d") && name != b"trailer";
        before.3.retain(kept);
        after.3.retain(kept);
        prop_assert_eq!(before, after);
        prop_assert!(!again.headers().forwarded().any(|field| field.name.to_ascii_lowercase().starts_with(b"l5d-")));
    }

    #[test]
    fn an_accepted_head_has_no_line_end_but_crlf_and_no_control_characters(bytes in damaged()) {
        if let Ok(Some(_)) = whole(&bytes) {
            let head = &bytes[..bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap()];
            let text = String::from_utf8_lossy(head).replace("\r\n", "");
            prop_assert!(!text.contains(['\r', '\n', '\0']));
        }
    }

    #[test]
    fn any_split_of_a_head_gives_the_same_result(bytes in damaged(), cuts in vec(any::<usize>(), 0..6)) {
        let (one, many) = (whole(&bytes), in_pieces(&bytes, &cuts));
        match (&one, &many) {
            (Ok(Some(one)), Ok(Some(many))) => prop_assert_eq!(summary(one), summary(many)),
            // A head that is broken and not complete may be refused at once or when it is complete.
            (Err(_), Ok(None)) => prop_assert!(!is_complete(&bytes)),
            _ => prop_assert_eq!(one.is_err(), many.is_err(), "{:?} {:?} {}", one, many, bytes.escape_ascii()),
        }
    }

    #[test]
    fn what_is_accepted_crosses_the_mesh_and_comes_out_accepted(bytes in damaged()) {
        let Ok(Some(head)) = whole(&bytes) else { return Ok(()) };
        if head.method() == "CONNECT" {
            return Ok(());
        }
        let parts = up::request(&head, &up::UpRequest::MESH, &Edits::strip(&strip::REQUEST_FROM_APP)).unwrap();
        let h2 = H2Request::read(parts, Honour::OrigProto).unwrap();
        let end_stream = matches!(head.body(), Body::None | Body::Length(0));
        let mut out = BytesMut::new();
        let how = down::DownRequest::of(&h2, end_stream);
        down::request(&h2, &how, &Edits::strip(&strip::REQUEST_FROM_PEER), &mut out).unwrap();
        let text = out.clone();
        let again = request::parse(&mut out, &Limits::default());
        let again = again.map_err(|error| TestCaseError::fail(format!("{error}: {}", text.escape_ascii())))?.unwrap();
        prop_assert_eq!((again.method(), again.path_and_query(), again.host()), (head.method(), head.path_and_query(), head.host()));
        prop_assert_eq!((again.version(), again.body()), (head.version(), head.body()));
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..300), asked in prop_oneof![Just(Asked::Head), Just(Asked::Other)]) {
        let _ = whole(&bytes);
        let _ = response::parse(&mut BytesMut::from(&bytes[..]), &Limits::default(), asked);
        let _ = response::parse(&mut BytesMut::from(&[b"HTTP/1.1 200 OK\r\n", &bytes[..]].concat()[..]), &Limits::default(), asked);
        let _ = decode_all(&bytes, Body::Chunked, &[]);
        let _ = detect(&bytes);
    }

    #[test]
    fn detection_never_changes_its_mind(bytes in prop_oneof![
        request_text().prop_map(String::into_bytes),
        vec(any::<u8>(), 0..100),
        vec(any::<u8>(), 0..100).prop_map(|tail| [&[22, 3, 1, 0, 50, 1, 0, 0, 46][..], &tail].concat()),
        "PRI \\* HTTP/[12]\\.[01]\r\n\r\n(SM\r\n\r\n|XX)?".prop_map(String::into_bytes),
    ]) {
        let mut last = Detection::NeedMore;
        for cut in 0..=bytes.len() {
            let now = detect(&bytes[..cut]);
            prop_assert!(last == Detection::NeedMore || now == last, "{:?} then {:?} at {}", last, now, cut);
            last = now;
        }
    }
}

#[test]
fn the_generated_requests_are_accepted_often_enough_to_say_something() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let texts = (0..1000).map(|_| damaged().new_tree(&mut runner).unwrap().current());
    let accepted = texts.filter(|bytes| matches!(whole(bytes), Ok(Some(_)))).count();
    assert!((200..900).contains(&accepted), "{accepted}");
}

type Decoding = Result<(Vec<u8>, Fields, Vec<u8>), H1Error>;

/// Body, trailers and what is left; fails with `Truncated` if the body does not end.
fn decode_all(text: &[u8], body: Body, cuts: &[usize]) -> Decoding {
    let (mut buf, mut from) = (BytesMut::new(), 0);
    let mut decoder = Decoder::new(body, &Limits::default());
    let (mut data, mut trailers) = (Vec::new(), Vec::new());
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).chain([text.len()]).collect();
    cuts.sort_unstable();
    for cut in cuts {
        buf.extend_from_slice(&text[from..cut]);
        from = cut;
        loop {
            match decoder.decode(&mut buf)? {
                Decoded::Data(bytes) => data.extend_from_slice(&bytes),
                Decoded::Trailers(found) => {
                    trailers.extend(found.iter().map(|field| (field.name.to_vec(), field.value.to_vec())));
                }
                Decoded::End => {
                    buf.extend_from_slice(&text[from..]);
                    return Ok((data, trailers, buf.to_vec()));
                }
                Decoded::NeedMore => break,
            }
        }
    }
    decoder.close().map(|()| (data, trailers, buf.to_vec()))
}

proptest! {
    #![proptest_config(many(1000))]

    #[test]
    fn a_body_comes_out_as_it_went_in_whatever_the_chunks_and_splits(
        pieces in vec(vec(any::<u8>(), 0..50), 0..8),
        trailers in vec(("x-[a-z]{1,8}", "[!-~]{1,9}"), 0..4),
        kind in 0..3_u8,
        cuts in vec(any::<usize>(), 0..6),
    ) {
        let all = pieces.concat();
        let body = [Body::Chunked, Body::Length(all.len() as u64), Body::UntilClose][usize::from(kind)];
        let (mut encoder, mut out) = (Encoder::new(body), BytesMut::new());
        for piece in &pieces {
            encoder.data(piece, &mut out).unwrap();
        }
        let fields = trailers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        encoder.finish(fields, &mut out).unwrap();
        let rest: &[u8] = if body == Body::UntilClose { b"" } else { b"GET" };
        out.extend_from_slice(rest);
        let sent = if body == Body::Chunked { trailers } else { Vec::new() };
        let sent: Vec<_> = sent.into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes())).collect();
        prop_assert_eq!(decode_all(&out, body, &cuts), Ok((all, sent, rest.to_vec())));
    }

    #[test]
    fn any_split_of_a_damaged_chunked_body_gives_the_same_result(
        text in "([0-9a-fA-F]{1,2}(;[a-z=]{0,3})?\r?\n[a-z]{0,6}(\r\n)?){0,4}0\r\n(a:b\r\n)?\r\n",
        cuts in vec(any::<usize>(), 0..6),
    ) {
        // Which of two broken rules is named may depend on how much was there.
        let outcome = |cuts: &[usize]| decode_all(text.as_bytes(), Body::Chunked, cuts).map_err(|_| ());
        prop_assert_eq!(outcome(&[]), outcome(&cuts));
    }
}

const CHUNKED_REFUSED: &[(&[u8], H1Error)] = &[
    (b"\r\n0\r\n\r\n", H1Error::ChunkLine),
    (b"g\r\n", H1Error::ChunkLine),
    (b"0x5\r\nabcde\r\n0\r\n\r\n", H1Error::ChunkLine),
    (b"+5\r\nabcde\r\n0\r\n\r\n", H1Error::ChunkLine),
    (b" 5\r\nabcde\r\n0\r\n\r\n", H1Error::ChunkLine),
    (b"5 \r\nabcde\r\n0\r\n\r\n", H1Error::ChunkLine),
    (b"5 a\r\nabcde\r\n0\r\n\r\n", H1Error::ChunkLine),
    (b"5\nabcde\r\n0\r\n\r\n", H1Error::ChunkLine),
    (b"5\rabcde\r\n0\r\n\r\n", H1Error::ChunkLine),
    (b"5;a\nabcde\r\n0\r\n\r\n", H1Error::ChunkLine),
    (b"5;a\rb\r\nabcde\r\n0\r\n\r\n", H1Error::ChunkLine),
    (b"5;a\0\r\nabcde\r\n0\r\n\r\n", H1Error::ChunkLine),
    (b"5\r\nabcdef\r\n0\r\n\r\n", H1Error::ChunkEnd),
    (b"5\r\nabcde\n0\r\n\r\n", H1Error::ChunkEnd),
    (b"5\r\nabcde\r0\r\n\r\n", H1Error::ChunkEnd),
    (b"ffffffffffffffff\r\n", H1Error::ChunkSize),
    (b"00000000000000005\r\n", H1Error::ChunkSize),
    (b"0\r\na b: c\r\n\r\n", H1Error::FieldName),
    (b"0\r\na : c\r\n\r\n", H1Error::SpaceBeforeColon),
    (b"0\r\n a: c\r\n\r\n", H1Error::ObsFold),
    (b"0\r\na: c\n\r\n", H1Error::BareLf),
    (b"0\r\na: \0\r\n\r\n", H1Error::FieldValue),
    (b"0\r\n\n", H1Error::BareLf),
    (b"5\r\nabc", H1Error::Truncated),
    (b"0\r\n", H1Error::Truncated),
];

#[test]
fn a_malformed_chunk_or_trailer_is_refused_for_its_own_reason() {
    for (text, why) in CHUNKED_REFUSED {
        assert_eq!(decode_all(text, Body::Chunked, &[]), Err(*why), "{}", text.escape_ascii());
    }
}

#[test]
fn chunk_extensions_are_dropped_and_bounded() {
    let line = |len: usize| format!("1;{}\r\nx\r\n", "e".repeat(len)).into_bytes();
    let end = b"0\r\n\r\n".to_vec();
    let body = [b"1;a=\"b\"\r\nx\r\n1 ;c\r\ny\r\n".to_vec(), end.clone()].concat();
    assert_eq!(decode_all(&body, Body::Chunked, &[]), Ok((b"xy".to_vec(), vec![], vec![])));
    assert!(decode_all(&[line(255), end.clone()].concat(), Body::Chunked, &[]).is_ok());
    assert_eq!(decode_all(&line(256), Body::Chunked, &[]), Err(H1Error::ChunkExtensions));
    assert_eq!(
        decode_all(&[line(250).repeat(70), end].concat(), Body::Chunked, &[]),
        Err(H1Error::ChunkExtensions)
    );
}

#[test]
fn trailers_are_bounded() {
    let fields = |count: usize| format!("0\r\n{}\r\n", "a: b\r\n".repeat(count)).into_bytes();
    assert_eq!(decode_all(&fields(64), Body::Chunked, &[]).map(|(_, trailers, _)| trailers.len()), Ok(64));
    assert_eq!(decode_all(&fields(65), Body::Chunked, &[]), Err(H1Error::TrailersTooLarge));
    let large = format!("0\r\na: {}\r\n\r\n", "b".repeat(17_000)).into_bytes();
    assert_eq!(decode_all(&large, Body::Chunked, &[]), Err(H1Error::TrailersTooLarge));
    assert_eq!(decode_all(&large[..16_900], Body::Chunked, &[]), Err(H1Error::TrailersTooLarge));
}
