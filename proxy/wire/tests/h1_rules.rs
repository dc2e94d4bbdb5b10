//! Each rule of RFC 9112 that guards against smuggling, as a table of heads.

#![expect(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

use bytes::{BufMut, BytesMut};
use hauberk_wire::h1::{
    Asked, Body, FIELDS_MAX, H1Error, HOP_FIELDS_MAX, Limits, RequestHead, ResponseHead, Target, Version,
    encode, request, response,
};
use hauberk_wire::{Edits, strip};

fn read(text: &[u8]) -> Result<Option<RequestHead>, H1Error> {
    request::parse(&mut BytesMut::from(text), &Limits::default())
}

fn head(text: &str) -> RequestHead {
    read(text.as_bytes()).unwrap().unwrap()
}

fn refusal(text: &[u8]) -> Option<H1Error> {
    read(text).err()
}

fn answer(text: &str, asked: Asked) -> Result<Option<ResponseHead>, H1Error> {
    response::parse(&mut BytesMut::from(text), &Limits::default(), asked)
}

fn rewritten(text: &str) -> String {
    let head = head(text);
    let mut out = BytesMut::new();
    let how = encode::RequestOut::of(&head);
    encode::request(&head, &how, &Edits::strip(&strip::REQUEST_FROM_APP), &mut out).unwrap();
    String::from_utf8(out.to_vec()).unwrap()
}

const REFUSED: &[(&[u8], H1Error, u16)] = &[
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        H1Error::LengthAndChunked,
        400,
    ),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        H1Error::LengthRepeated,
        400,
    ),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5,5\r\n\r\n", H1Error::LengthRepeated, 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", H1Error::Length, 400),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        H1Error::LengthOverflow,
        400,
    ),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", H1Error::TransferCoding, 501),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", H1Error::TransferCoding, 501),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        H1Error::TransferEncoding,
        400,
    ),
    (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", H1Error::TransferEncodingIn10, 400),
    (b"GET / HTTP/1.1\r\n\r\n", H1Error::HostMissing, 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", H1Error::HostRepeated, 400),
    (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", H1Error::Host, 400),
    (b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", H1Error::Host, 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", H1Error::BareCr, 400),
    (b"GET / HTTP/1.1\nHost: a\r\n\r\n", H1Error::BareLf, 400),
    (b"GET / HTTP/1.1\r\nHost: a\n\r\n", H1Error::BareLf, 400),
    (b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", H1Error::BareLf, 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\n\n", H1Error::BareLf, 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX:\n\r\n", H1Error::BareLf, 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", H1Error::FieldValue, 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x0bb\r\n\r\n", H1Error::FieldValue, 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n", H1Error::FieldValue, 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", H1Error::ObsFold, 400),
    (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", H1Error::ObsFold, 400),
    (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", H1Error::SpaceBeforeColon, 400),
    (b"GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", H1Error::SpaceBeforeColon, 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX(y): a\r\n\r\n", H1Error::FieldName, 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n", H1Error::FieldName, 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", H1Error::FieldName, 400),
    (b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", H1Error::TargetBytes, 400),
    (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", H1Error::TargetFragment, 400),
    (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", H1Error::TargetSpace, 400),
    (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", H1Error::TargetSpace, 400),
    (b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", H1Error::TargetSpace, 400),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", H1Error::Version, 505),
    (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", H1Error::Version, 505),
    (b"GET / http/1.1\r\nHost: a\r\n\r\n", H1Error::Malformed, 400),
    (b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", H1Error::Method, 400),
    (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 0\r\n\r\n", H1Error::ConnectBody, 400),
    (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\n\r\n", H1Error::ConnectBody, 400),
    (b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", H1Error::EmptyLines, 400),
];

#[test]
fn ambiguous_or_malformed_requests_are_refused_each_for_its_own_reason() {
    for &(text, why, status) in REFUSED {
        assert_eq!(refusal(text), Some(why), "{}", text.escape_ascii());
        assert_eq!(why.status(), status);
    }
}

#[test]
fn the_authority_of_the_target_replaces_host() {
    let head = head("GET http://a.test:80/x?y HTTP/1.1\r\nHost: b.test\r\n\r\n");
    assert_eq!(head.host(), "a.test:80");
    assert_eq!(head.path_and_query(), "/x?y");
    assert_eq!(
        head.target(),
        Target::Absolute { scheme: "http", authority: "a.test:80", path_and_query: "/x?y" }
    );
    assert_eq!(
        rewritten("GET http://a.test:80/x?y HTTP/1.1\r\nHost: b.test\r\n\r\n"),
        "GET http://a.test:80/x?y HTTP/1.1\r\nHost: a.test:80\r\n\r\n"
    );
}

#[test]
fn what_belongs_to_the_connection_stays_on_it() {
    let text = "GET / HTTP/1.1\r\nA: 1\r\nHost: a\r\nConnection: x-one, close\r\nX-One: 1\r\nKeep-Alive: 5\r\n\
                Proxy-Connection: a\r\nHTTP2-Settings: a\r\nUpgrade: h2c\r\nTE: trailers, deflate\r\nl5d-client-id: me\r\n\
                Proxy-Authorization: p\r\nB:2\r\nC: 3 \r\n\r\n";
    let out = "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nProxy-Authorization: p\r\nB:2\r\nC: 3 \r\nTE: trailers\r\nConnection: TE\r\n\r\n";
    assert_eq!(rewritten(text), out);
    assert!(!head(text).keep_alive());
}

#[test]
fn a_second_spelling_of_the_framing_fields_goes_no_further() {
    let text =
        "GET / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\nTRANSFER_ENCODING: chunked\r\nA_B: 1\r\n\r\n";
    assert_eq!(rewritten(text), "GET / HTTP/1.1\r\nHost: a\r\nA_B: 1\r\n\r\n");
}

#[test]
fn an_upgrade_is_seen_only_when_connection_asks_for_it_and_never_to_h2c() {
    let upgrade =
        |lines: &str| head(&format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")).upgrade().map(str::to_owned);
    assert_eq!(
        upgrade("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n").as_deref(),
        Some("websocket")
    );
    assert_eq!(upgrade("Upgrade: websocket\r\n"), None);
    assert_eq!(upgrade("Connection: upgrade\r\nUpgrade: h2c\r\n"), None);
    assert_eq!(upgrade("Connection: upgrade\r\nUpgrade: websocket, H2C\r\n"), None);
    assert_eq!(upgrade("Connection: upgrade\r\n"), None);
    assert_eq!(head("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").upgrade(), None);
    assert_eq!(
        rewritten("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
    );
}

#[test]
fn a_connection_persists_by_version_and_connection_field() {
    let keeps = |text: &str| head(text).keep_alive();
    assert!(keeps("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(!keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n"));
    assert!(!keeps("GET / HTTP/1.0\r\n\r\n"));
    assert!(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    assert!(!keeps("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"));
    assert_eq!(rewritten("GET / HTTP/1.0\r\n\r\n"), "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
}

#[test]
fn large_heads_pass_up_to_the_limits_and_get_a_431_or_414_above() {
    let with =
        |name: &str, len: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{name}: {}\r\n\r\n", "x".repeat(len));
    assert_eq!(
        head(&with("big", 100 * 1024)).headers().values("big").next().map(<[u8]>::len),
        Some(100 * 1024)
    );
    assert_eq!(refusal(with("big", 128 * 1024).as_bytes()), Some(H1Error::HeadTooLarge));
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a: b\r\n".repeat(count));
    assert_eq!(head(&fields(256)).headers().len(), 257);
    assert_eq!(refusal(fields(257).as_bytes()), Some(H1Error::TooManyFields));
    let target = |len: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(len));
    assert_eq!(head(&target(59 * 1024)).path_and_query().len(), 59 * 1024 + 1);
    assert_eq!(refusal(target(60 * 1024).as_bytes()), Some(H1Error::RequestLineTooLong));
    assert_eq!(refusal("x".repeat(61 * 1024).as_bytes()), Some(H1Error::RequestLineTooLong));
    assert_eq!(
        [H1Error::HeadTooLarge, H1Error::TooManyFields, H1Error::RequestLineTooLong].map(H1Error::status),
        [431, 431, 414]
    );
}

#[test]
fn bytes_after_the_head_stay_in_the_buffer() {
    let mut buf = BytesMut::from(&b"\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET"[..]);
    let head = request::parse(&mut buf, &Limits::default()).unwrap().unwrap();
    assert_eq!((head.method(), head.version(), head.body()), ("POST", Version::Http11, Body::Length(3)));
    assert_eq!(&buf[..], b"abcGET");
}

#[test]
fn the_framing_of_a_response_depends_on_its_request_and_status() {
    let body = |text: &str, asked| answer(text, asked).map(|head| head.unwrap().body());
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(body(length, Asked::Other), Ok(Body::Length(5)));
    assert_eq!(body(length, Asked::Head), Ok(Body::None));
    assert_eq!(body(length, Asked::Connect), Ok(Body::None));
    assert_eq!(body(chunked, Asked::Other), Ok(Body::Chunked));
    assert_eq!(body("HTTP/1.1 200 OK\r\n\r\n", Asked::Other), Ok(Body::UntilClose));
    assert_eq!(body("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", Asked::Other), Ok(Body::None));
    assert_eq!(body("HTTP/1.1 304 \r\nContent-Length: 5\r\n\r\n", Asked::Other), Ok(Body::None));
    assert_eq!(body("HTTP/1.1 100\r\n\r\n", Asked::Other), Ok(Body::None));
    for (text, why) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            H1Error::LengthAndChunked,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", H1Error::LengthRepeated),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", H1Error::TransferCoding),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", H1Error::TransferEncodingIn10),
        ("HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\n", H1Error::BareLf),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", H1Error::ObsFold),
        ("HTTP/1.1 20 OK\r\n\r\n", H1Error::StatusLine),
        ("HTTP/1.1 200OK\r\n\r\n", H1Error::StatusLine),
        ("HTTP/1.1 099 OK\r\n\r\n", H1Error::StatusLine),
        ("HTTP/3.0 200 OK\r\n\r\n", H1Error::Version),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", H1Error::EmptyLines),
    ] {
        assert_eq!(body(text, Asked::Other), Err(why), "{text}");
    }
}

#[test]
fn a_forwarded_response_has_our_framing() {
    let forward = |text: &str, version, asked| {
        let head = answer(text, asked).unwrap().unwrap();
        let mut out = BytesMut::new();
        let how = encode::ResponseOut::of(&head, version, asked, true);
        encode::response(&head, &how, &Edits::strip(&strip::RESPONSE_FROM_APP), &mut out).unwrap();
        out.put_slice(b"");
        String::from_utf8(out.to_vec()).unwrap()
    };
    let (v11, v10) = (Version::Http11, Version::Http10);
    for (text, version, asked, out) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 005\r\nA: b\r\nKeep-Alive: 5\r\n\r\n",
            v11,
            Asked::Other,
            "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\n\r\n",
        ),
        (
            "HTTP/1.1 200\r\nA: b\r\n\r\n",
            v11,
            Asked::Other,
            "HTTP/1.1 200 \r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            v10,
            Asked::Other,
            "HTTP/1.0 200 OK\r\n\r\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            v10,
            Asked::Other,
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            v11,
            Asked::Head,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        ),
        (
            "HTTP/1.1 304 N\r\nContent-Length: 5\r\n\r\n",
            v11,
            Asked::Other,
            "HTTP/1.1 304 N\r\nContent-Length: 5\r\n\r\n",
        ),
        ("HTTP/1.1 204 N\r\nContent-Length: 0\r\n\r\n", v11, Asked::Other, "HTTP/1.1 204 N\r\n\r\n"),
        (
            "HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n",
            v11,
            Asked::Other,
            "HTTP/1.1 100 Continue\r\n\r\n",
        ),
        (
            "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nl5d-x: y\r\n\r\n",
            v11,
            Asked::Other,
            "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        ),
    ] {
        assert_eq!(forward(text, version, asked), out, "{text}");
    }
}

/// What is let in with as many fields as may be is let in again after every hop that writes it anew.
#[test]
fn a_request_with_the_most_fields_can_be_written_and_read_again() {
    let most = "a: b\r\n".repeat(FIELDS_MAX);
    for text in [
        format!("GET http://a/ HTTP/1.0\r\n{most}te: trailers\r\n\r\n"),
        format!("POST / HTTP/1.1\r\nHost: a\r\n{most}te: trailers\r\nContent-Length: 0\r\n\r\n"),
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{most}te: trailers\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\n\r\n"
        ),
    ] {
        let once = rewritten(&text);
        assert_eq!(rewritten(&once), once);
    }
    let dropped = |count: usize| {
        format!("GET / HTTP/1.1\r\nHost: a\r\n{most}{}\r\n", "keep-alive: 1\r\n".repeat(count))
    };
    assert_eq!(head(&dropped(HOP_FIELDS_MAX - 1)).headers().len(), FIELDS_MAX + HOP_FIELDS_MAX);
    assert_eq!(refusal(dropped(HOP_FIELDS_MAX).as_bytes()), Some(H1Error::TooManyFields));
}

/// The same of a response.
#[test]
fn a_response_with_the_most_fields_can_be_written_and_read_again() {
    let most = "a: b\r\n".repeat(FIELDS_MAX);
    for text in [
        format!("HTTP/1.1 200 OK\r\n{most}\r\n"),
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n{most}\r\n"),
        format!("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: a\r\n{most}\r\n"),
    ] {
        for version in [Version::Http11, Version::Http10] {
            let head = answer(&text, Asked::Other).unwrap().unwrap();
            let how = encode::ResponseOut::of(&head, version, Asked::Other, false);
            let mut out = BytesMut::new();
            encode::response(&head, &how, &Edits::strip(&strip::RESPONSE_FROM_PEER), &mut out).unwrap();
            let again = response::parse(&mut out, &Limits::default(), Asked::Other);
            assert!(matches!(again, Ok(Some(_))), "{again:?}");
        }
    }
}
