//! HTTP/1 over HTTP/2 and back.

use bytes::BytesMut;
use hauberk_wire::h1::{Body, Limits, request};
use hauberk_wire::translate::{FIELDS_MAX, H2Request, Honour, down, up};
use hauberk_wire::{Edits, strip};
use http::{HeaderName, HeaderValue, Method, Request, Uri};

use crate::http1::{is_clean, meaning, read};
use crate::{choice, held};

/// An accepted HTTP/1 request crosses the mesh and comes out with the same meaning.
pub(crate) fn h1_to_h2(bytes: &[u8]) {
    let Ok(Some(head)) = read(bytes) else { return };
    if head.method() == "CONNECT" {
        return;
    }
    let crossed = up::request(&head, &up::UpRequest::MESH, &Edits::strip(&strip::REQUEST_FROM_APP));
    let Some(parts) = held(crossed, "an accepted request cannot cross") else { return };
    let Some(h2) = held(H2Request::read(parts, Honour::OrigProto), "our own HTTP/2 request is refused")
    else {
        return;
    };
    let ends = matches!(head.body(), Body::None | Body::Length(0));
    let Some(again) = written(&h2, ends, &Limits::default()) else { return };
    let (mut before, mut after) = (meaning(&head), meaning(&again));
    // Fields of one name keep their order; those of different names need not. Expect is the last proxy's.
    for fields in [&mut before.3, &mut after.3] {
        fields.retain(|(name, _)| name != b"expect" && name != b"upgrade" && name != b"cookie");
        fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    }
    assert_eq!(before, after);
    assert_eq!(head.version(), again.version());
}

/// Whatever HTTP/2 request is accepted becomes exactly one HTTP/1 request, to the same host and path.
pub(crate) fn h2_to_h1(bytes: &[u8]) {
    let (how, bytes) = choice(bytes);
    let Some(parts) = parts_of(bytes) else { return };
    let honour = if how & 1 == 0 { Honour::Nothing } else { Honour::OrigProto };
    let Ok(head) = H2Request::read(parts, honour) else { return };
    // A peer may have added to as many fields as are let in.
    let fields_max = if honour == Honour::OrigProto { FIELDS_MAX } else { Limits::default().fields_max };
    let limits = Limits { fields_max, ..Limits::default() };
    let Some(again) = written(&head, how & 2 != 0, &limits) else { return };
    assert_eq!(
        (again.method(), again.path_and_query(), again.host()),
        (head.method(), head.path_and_query(), head.host())
    );
}

/// Writes the request as HTTP/1, and reads it as a stranger would.
fn written(head: &H2Request, ends: bool, limits: &Limits) -> Option<request::RequestHead> {
    let how = down::DownRequest::of(head, ends);
    let mut out = BytesMut::new();
    let edits = Edits::strip(&strip::REQUEST_FROM_PEER);
    down::request(head, &how, &edits, &mut out).ok()?;
    assert!(is_clean(&out), "{}", out.escape_ascii());
    let text = out.clone();
    let again = held(request::parse(&mut out, limits), "our own HTTP/1 request is refused")?;
    assert!(again.is_some() && out.is_empty(), "our own HTTP/1 request is not one: {}", text.escape_ascii());
    let again = again?;
    assert_eq!(again.body(), how.body, "{}", text.escape_ascii());
    Some(again)
}

/// `METHOD URI`, then `name: value` lines, as an HTTP/2 library would hand them over: values may hold what only it lets
/// pass.
fn parts_of(bytes: &[u8]) -> Option<http::request::Parts> {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let mut start = lines.next()?.splitn(2, |&byte| byte == b' ');
    let method = Method::from_bytes(start.next()?).ok()?;
    let uri = Uri::try_from(start.next()?).ok()?;
    let mut request =
        Request::builder().method(method).uri(uri).version(http::Version::HTTP_2).body(()).ok()?;
    for line in lines {
        let at = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = line.split_at_checked(at)?;
        let name = HeaderName::from_lowercase(name).ok()?;
        let value = HeaderValue::from_bytes(value.get(1..)?).ok()?;
        request.headers_mut().append(name, value);
    }
    Some(request.into_parts().0)
}
