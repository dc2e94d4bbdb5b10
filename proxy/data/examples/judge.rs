//! Whether a request follows a rule, and what is sent on of it, for pairs on standard input: the suite
//! `conformance/policy-view` holds what policy saw against what a backend sees.
//!
//! A pair is four texts, each with a length (16 bits, big endian): `exact` or `prefix`, the path, the host and the value
//! of `x-role` that the rule wants (empty: any); and then the bytes of a connection (length of 16 bits, too). The answer
//! is one byte and the request as it is sent on, with a length of 32 bits.

use std::borrow::Cow;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::sync::Arc;

use bytes::BytesMut;
use hauberk_model::canonical::{canonical_path, judges_path};
use hauberk_model::matching::{self, RequestView};
use hauberk_model::metadata::Metadata;
use hauberk_model::route::{HeaderMatch, HostMatch, HttpMatch, HttpRoute, HttpRule, PathMatch, ValueMatch};
use hauberk_wire::h1::encode::{self, RequestOut};
use hauberk_wire::h1::{Body, Limits, RequestHead, request};
use hauberk_wire::{Edits, strip};

/// The answers.
const REFUSED: u8 = 0;
const OUTSIDE: u8 = 1;
const MATCHED: u8 = 2;

fn main() -> io::Result<()> {
    let mut input = BufReader::with_capacity(1 << 20, io::stdin().lock());
    let mut output = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    while let Ok(kind) = text(&mut input) {
        let (path, host, role) = (text(&mut input)?, text(&mut input)?, text(&mut input)?);
        let sent = text(&mut input)?;
        let (answer, message) =
            judge(&route(&kind, &path, &host, &role), &sent).unwrap_or((REFUSED, BytesMut::new()));
        output.write_all(&[answer])?;
        output.write_all(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes())?;
        output.write_all(&message)?;
        // The other side waits for the answers to all that it has written.
        if input.buffer().is_empty() {
            output.flush()?;
        }
    }
    Ok(())
}

fn text(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    input.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn route(kind: &[u8], path: &[u8], host: &[u8], role: &[u8]) -> HttpRoute<()> {
    let shared = |bytes: &[u8]| -> Arc<str> { String::from_utf8_lossy(bytes).into() };
    let path =
        if kind == b"exact" { PathMatch::Exact(shared(path)) } else { PathMatch::Prefix(shared(path)) };
    let header = |value: &[u8]| HeaderMatch { name: "x-role".into(), value: ValueMatch::Exact(value.into()) };
    let headers = Some(role).filter(|role| !role.is_empty()).map(header).into_iter().collect();
    let one = HttpMatch { path: Some(path), headers, ..HttpMatch::default() };
    let hosts = Some(host).filter(|host| !host.is_empty()).map(|host| HostMatch::Exact(shared(host)));
    HttpRoute {
        metadata: Metadata::Default("rule".into()),
        hosts: hosts.into_iter().collect(),
        rules: vec![HttpRule { matches: vec![one], filters: Vec::new(), then: () }],
    }
}

/// The request as it is judged: as the proxy does it, with the path in the one form where a rule looks at paths.
struct View<'a> {
    head: &'a RequestHead,
    path: Cow<'a, str>,
}

impl RequestView for View<'_> {
    fn method(&self) -> &str {
        self.head.method()
    }
    fn authority(&self) -> &str {
        self.head.host()
    }
    fn path(&self) -> &str {
        &self.path
    }
    fn query(&self) -> Option<&str> {
        self.head.path_and_query().split_once('?').map(|(_, query)| query)
    }
    fn header(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = self.head.headers().forwarded();
        named.filter(move |field| field.name.eq_ignore_ascii_case(name.as_bytes())).map(|field| field.value)
    }
}

fn judge(route: &HttpRoute<()>, sent: &[u8]) -> Option<(u8, BytesMut)> {
    let head = request::parse(&mut BytesMut::from(sent), &Limits::default()).ok()??;
    if head.method() == "CONNECT" || !matches!(head.body(), Body::None | Body::Length(0)) {
        return None;
    }
    let target = head.path_and_query();
    let (raw, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let routes = std::slice::from_ref(route);
    let path = if judges_path(routes) { canonical_path(raw).ok()? } else { Cow::Borrowed(raw) };
    let changed = match (&path, query) {
        (Cow::Borrowed(_), _) => None,
        (Cow::Owned(path), None) => Some(path.clone()),
        (Cow::Owned(path), Some(query)) => Some(format!("{path}?{query}")),
    };
    let view = View { head: &head, path };
    let answer = if matching::http(routes, &view).is_some() { MATCHED } else { OUTSIDE };
    let how = RequestOut { path_and_query: changed.as_deref(), ..RequestOut::of(&head) };
    let mut out = BytesMut::new();
    encode::request(&head, &how, &Edits::strip(&strip::REQUEST_FROM_PEER), &mut out).ok()?;
    Some((answer, out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_two_readings_is_refused_and_one_with_one_is_judged_by_it() {
        let route = route(b"prefix", b"/admin", b"", b"");
        let ask = |target: &str| {
            judge(&route, format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
                .map_or(REFUSED, |(answer, _)| answer)
        };
        assert_eq!(ask("/x/..%2fadmin"), REFUSED);
        assert_eq!(ask("/x/%2e%2e//%61dmin/y"), MATCHED);
        assert_eq!(ask("/administrator"), OUTSIDE);
    }
}
