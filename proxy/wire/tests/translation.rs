//! Requests and responses keep their meaning from HTTP/1 over HTTP/2 to HTTP/1, and nothing crosses that HTTP/1 cannot say.

#![expect(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

use bytes::BytesMut;
use hauberk_wire::h1::{self, Asked, Body, Limits, Version, request, response};
use hauberk_wire::translate::{self, FIELDS_MAX, H2Request, Honour, TranslateError, down, forward, up};
use hauberk_wire::{Edits, RequestView, strip};
use http::{HeaderMap, HeaderValue, Request, Response};

fn up_request(text: &str) -> Result<http::request::Parts, TranslateError> {
    let head = request::parse(&mut BytesMut::from(text), &Limits::default()).unwrap().unwrap();
    up::request(&head, &up::UpRequest::MESH, &Edits::strip(&strip::REQUEST_FROM_APP))
}

fn down_request(parts: http::request::Parts, end_stream: bool) -> Result<String, TranslateError> {
    let head = H2Request::read(parts, Honour::OrigProto)?;
    let mut out = BytesMut::new();
    let how = down::DownRequest::of(&head, end_stream);
    down::request(&head, &how, &Edits::strip(&strip::REQUEST_FROM_PEER), &mut out)?;
    Ok(String::from_utf8(out.to_vec()).unwrap())
}

fn h2(builder: http::request::Builder) -> http::request::Parts {
    builder.body(()).unwrap().into_parts().0
}

#[test]
fn a_request_keeps_version_form_and_fields_across_the_mesh() {
    for (text, end_stream, out) in [
        (
            "GET /a?b HTTP/1.1\r\nHost: a.test:80\r\nX-Y: 1\r\nx-y: 2\r\nl5d-client-id: me\r\nConnection: z\r\nZ: 1\r\n\r\n",
            true,
            "GET /a?b HTTP/1.1\r\nHost: a.test:80\r\nx-y: 1\r\nx-y: 2\r\n\r\n",
        ),
        (
            "GET http://a.test/a HTTP/1.1\r\nHost: b.test\r\nTE: trailers\r\n\r\n",
            true,
            "GET http://a.test/a HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nConnection: TE\r\n\r\n",
        ),
        ("GET / HTTP/1.0\r\n\r\n", true, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        (
            "POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\n",
            false,
            "POST / HTTP/1.0\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n",
            false,
            "POST / HTTP/1.1\r\nHost: a\r\ntrailer: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", true, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
        (
            "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n",
            true,
            "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        ("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", true, "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", true, "GET / HTTP/1.1\r\nHost: \r\n\r\n"),
    ] {
        assert_eq!(down_request(up_request(text).unwrap(), end_stream).as_deref(), Ok(out), "{text}");
    }
}

#[test]
fn on_the_mesh_a_request_says_what_it_was() {
    let parts =
        up_request("POST http://a.test/b HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
            .unwrap();
    assert_eq!(parts.uri.to_string(), "http://a.test/b");
    assert_eq!(parts.headers.len(), 3);
    assert_eq!(parts.headers["l5d-orig-proto"], "HTTP/1.0; absolute-form");
    // Whoever has the application answers it.
    assert_eq!(parts.headers["expect"], "100-continue");
    assert_eq!(parts.headers["content-length"], "3");
    let parts = up_request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(parts.headers["l5d-orig-proto"], "HTTP/1.1");
}

#[test]
fn tunnels_are_not_put_on_http_2() {
    assert_eq!(up_request("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n").err(), Some(TranslateError::Tunnel));
    let parts = h2(Request::builder().method("CONNECT").uri("a:1"));
    assert_eq!(H2Request::read(parts, Honour::Nothing).err(), Some(TranslateError::Tunnel));
}

#[test]
fn an_http_2_request_that_http_1_cannot_say_is_refused() {
    let get = |uri: &str| Request::builder().uri(uri);
    for (builder, why) in [
        (get("http://u@a.test/"), TranslateError::Host),
        (get("/").header("host", "a, b"), TranslateError::Host),
        (get("/").header("host", "a").header("host", "a"), TranslateError::HostRepeated),
        (get("http://a.test/\u{e9}"), TranslateError::Target),
        (get("http://a.test").method("POST").header("content-length", "5, 5"), TranslateError::Length),
        (get("/").header("content-length", "5").header("content-length", "5"), TranslateError::Length),
        (get("/").header("a", " b"), TranslateError::FieldValue),
        (get("/").header("a", "b\t"), TranslateError::FieldValue),
        (get("/").header("l5d-orig-proto", "HTTP/2"), TranslateError::OrigProto),
        (
            get("/").header("l5d-orig-proto", "HTTP/1.1").header("l5d-orig-proto", "HTTP/1.1"),
            TranslateError::OrigProto,
        ),
        (get("*"), TranslateError::Target),
    ] {
        let parts = h2(builder);
        assert_eq!(down_request(parts.clone(), true).err(), Some(why), "{parts:?}");
    }
}

#[test]
fn an_http_2_request_has_no_more_fields_than_one_of_http_1() {
    let with = |fields: usize| {
        let request = Request::get("http://web/");
        h2((0..fields).fold(request, |request, at| request.header(format!("x-{at}"), "1")))
    };
    assert!(down_request(with(FIELDS_MAX), true).is_ok());
    let refused = down_request(with(FIELDS_MAX + 1), true).err();
    assert_eq!(refused.map(TranslateError::status), Some(431));
    // Of an application there may be as many end-to-end fields as in HTTP/1, and then those of the hop.
    let of_app = |fields: usize| H2Request::read(with(fields), Honour::Nothing).map(drop);
    assert_eq!(of_app(h1::FIELDS_MAX), Ok(()));
    assert_eq!(of_app(h1::FIELDS_MAX + 1), Err(TranslateError::TooManyFields));
    let mut parts = with(h1::FIELDS_MAX);
    parts.headers.insert("content-length", HeaderValue::from_static("1"));
    assert_eq!(H2Request::read(parts, Honour::Nothing).map(drop), Ok(()));
}

/// What HTTP/1 lets in crosses, in as many fields as may be and with a host that needs all that may be said of one.
#[test]
fn what_http_1_lets_in_crosses() {
    let most = "a: b\r\n".repeat(h1::FIELDS_MAX);
    for host in ["[1:2:3:4:5:6:7::]:65535", "a_b~-.", "a:", ""] {
        let text =
            format!("POST / HTTP/1.1\r\nHost: {host}\r\n{most}TE: trailers\r\nContent-Length: 1\r\n\r\n");
        let down = down_request(up_request(&text).unwrap(), false).unwrap();
        assert!(down.starts_with(&format!("POST / HTTP/1.1\r\nHost: {host}\r\n")), "{down}");
        let again = request::parse(&mut BytesMut::from(down.as_str()), &Limits::default());
        assert!(matches!(again, Ok(Some(_))), "{again:?}");
    }
}

#[test]
fn the_authority_wins_over_host_and_cookies_are_one_field() {
    let parts = h2(Request::builder()
        .uri("http://a.test/")
        .header("host", "b.test")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("connection", "x-y, authorization")
        .header("x-y", "1")
        .header("authorization", "1")
        .header("l5d-client-id", "me"));
    let out = "GET / HTTP/1.1\r\nHost: a.test\r\ncookie: a=1; b=2\r\n\r\n";
    assert_eq!(down_request(parts, true).as_deref(), Ok(out));
}

#[test]
fn orig_proto_is_obeyed_only_where_it_is_honoured() {
    let parts = h2(Request::builder().uri("http://a.test/").header("l5d-orig-proto", "HTTP/1.0"));
    assert!(H2Request::read(parts.clone(), Honour::OrigProto).unwrap().orig_proto().is_some());
    let ignored = H2Request::read(parts, Honour::Nothing).unwrap();
    assert_eq!(ignored.orig_proto(), None);
    assert!(ignored.headers().is_empty());
}

#[test]
fn a_grpc_call_goes_on_with_its_te_and_without_what_is_not_its_own() {
    let parts = h2(Request::builder()
        .method("POST")
        .uri("http://a.test/p.S/M")
        .header("te", "trailers")
        .header("content-type", "application/grpc+proto")
        .header("grpc-timeout", "1S")
        .header("l5d-dst-override", "b.test")
        .header("keep-alive", "1"));
    let head = H2Request::read(parts, Honour::Nothing).unwrap();
    assert!(head.is_grpc());
    let edits = Edits {
        own: &[("l5d-client-id", b"me")],
        own_is_sound: false,
        ..Edits::strip(&strip::REQUEST_FROM_PEER)
    };
    let parts = forward::request(head, &forward::ForwardRequest::default(), &edits).unwrap();
    let mut names: Vec<&str> = parts.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-type", "grpc-timeout", "l5d-client-id", "te"]);
    assert_eq!(parts.uri.to_string(), "http://a.test/p.S/M");
}

#[test]
fn a_rewrite_changes_host_and_path_on_every_way() {
    let head = H2Request::read(h2(Request::builder().uri("http://a.test/x?y")), Honour::Nothing).unwrap();
    let how = forward::ForwardRequest { host: Some("b.test"), path_and_query: Some("/z") };
    let edits = Edits::strip(&strip::REQUEST_FROM_APP);
    assert_eq!(forward::request(head, &how, &edits).unwrap().uri.to_string(), "http://b.test/z");
    let head = request::parse(&mut BytesMut::from("GET /x HTTP/1.1\r\nHost: a\r\n\r\n"), &Limits::default());
    let how = up::UpRequest { host: Some("b.test"), path_and_query: Some("/z"), ..up::UpRequest::MESH };
    assert_eq!(
        up::request(&head.unwrap().unwrap(), &how, &edits).unwrap().uri.to_string(),
        "http://b.test/z"
    );
}

#[test]
fn a_response_keeps_its_meaning_across_the_mesh() {
    let cross = |text: &str, end_stream, version, asked| {
        let head = response::parse(&mut BytesMut::from(text), &Limits::default(), asked).unwrap().unwrap();
        let parts = up::response(&head, true, &Edits::strip(&strip::RESPONSE_FROM_APP)).unwrap();
        assert_eq!(parts.headers["l5d-orig-proto"], "HTTP/1.1");
        let how = down::response_out(&parts, end_stream, version, asked, true).unwrap();
        let mut out = BytesMut::new();
        down::response(parts, &how, &Edits::strip(&strip::RESPONSE_FROM_PEER), &mut out).unwrap();
        String::from_utf8(out.to_vec()).unwrap()
    };
    let (v11, v10) = (Version::Http11, Version::Http10);
    for (text, end_stream, version, asked, out) in [
        (
            "HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nl5d-x: y\r\nKeep-Alive: 1\r\n\r\n",
            false,
            v11,
            Asked::Other,
            "HTTP/1.1 200 OK\r\nset-cookie: a\r\nset-cookie: b\r\nContent-Length: 5\r\n\r\n",
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\n",
            false,
            v11,
            Asked::Other,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        ("HTTP/1.1 200 OK\r\n\r\n", false, v10, Asked::Other, "HTTP/1.0 200 OK\r\n\r\n"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            true,
            v11,
            Asked::Head,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        ),
        (
            "HTTP/1.1 304 N\r\nContent-Length: 5\r\n\r\n",
            true,
            v11,
            Asked::Other,
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        ),
        ("HTTP/1.1 204 N\r\n\r\n", true, v11, Asked::Other, "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            "HTTP/1.1 103 E\r\nLink: a\r\n\r\n",
            false,
            v11,
            Asked::Other,
            "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n",
        ),
    ] {
        assert_eq!(cross(text, end_stream, version, asked), out, "{text}");
    }
}

#[test]
fn a_response_framed_twice_or_malformed_is_refused() {
    let out = |builder: http::response::Builder| {
        let parts = builder.body(()).unwrap().into_parts().0;
        down::response_out(&parts, false, Version::Http11, Asked::Other, true).and_then(|how| {
            down::response(parts, &how, &Edits::strip(&strip::RESPONSE_FROM_PEER), &mut BytesMut::new())
        })
    };
    let twice = Response::builder().header("content-length", "5").header("content-length", "6");
    assert_eq!(out(twice), Err(TranslateError::Length));
    assert_eq!(out(Response::builder().header("a", " b")), Err(TranslateError::FieldValue));
    assert_eq!(out(Response::builder().status(101)), Err(TranslateError::Tunnel));
}

#[test]
fn forbidden_trailers_are_dropped_on_every_way() {
    let mut map = HeaderMap::new();
    for name in ["grpc-status", "content-length", "authorization", "l5d-client-id", "host"] {
        map.insert(http::HeaderName::from_static(name), HeaderValue::from_static("1"));
    }
    let kept = forward::trailers(map);
    assert_eq!(kept.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["grpc-status"]);
}

#[test]
fn the_view_of_policy_is_the_same_from_both_protocols() {
    let text =
        "GET /a?b HTTP/1.1\r\nHost: a.test\r\nX: 1\r\nConnection: y\r\nY: 1\r\nl5d-z: 1\r\nX: 2\r\n\r\n";
    let head = request::parse(&mut BytesMut::from(text), &Limits::default()).unwrap().unwrap();
    let h2 = H2Request::read(up_request(text).unwrap(), Honour::OrigProto).unwrap();
    let seen = |view: &RequestView<'_>| {
        let values = |name: &str| view.values(name).map(<[u8]>::to_vec).collect::<Vec<_>>();
        let headers = ["x", "y", "l5d-z", "host", "connection"].map(values);
        (
            view.method.to_owned(),
            view.host.to_owned(),
            view.path.to_owned(),
            view.query.map(str::to_owned),
            headers,
        )
    };
    let rules = &strip::REQUEST_FROM_PEER;
    assert_eq!(seen(&RequestView::of_h1(&head, rules)), seen(&RequestView::of_h2(&h2, rules)));
    assert_eq!(h2.body(true), Body::None);
    assert_eq!(h2.orig_proto(), Some(translate::OrigProto::HTTP_11));
}
