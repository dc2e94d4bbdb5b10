//! The one form of a request: what policy judges here is what is forwarded, from either protocol.

use http::HeaderMap;

use crate::h1::{Headers, Kind, RequestHead};
use crate::strip::Strip;
use crate::translate::H2Request;

/// A request as routes and policies see it. Made only from heads that passed their rules; holds no copy.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// As sent; case matters.
    pub method: &'a str,
    /// `host [":" port]` as it will be forwarded, possibly empty.
    pub host: &'a str,
    /// Begins with `/`, or is `*`, or is empty (CONNECT). Not percent-decoded, not normalised.
    pub path: &'a str,
    /// Behind the first `?`.
    pub query: Option<&'a str>,
    headers: Source<'a>,
    strip: &'a Strip,
}

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    H1(&'a Headers),
    H2(&'a HeaderMap),
}

/// Why two servers may read one path differently. A rule that allows by path should refuse such a request (400) rather
/// than guess which reading the application has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguity {
    /// A segment `.` or `..`, percent-encoded or not: some servers resolve it.
    DotSegment,
    /// An encoded `/`, `\` or NUL, or a plain `\`: some servers decode it before they split.
    Separator,
    /// An empty segment within the path: some servers merge slashes.
    EmptySegment,
    /// A `;`: some servers cut parameters off a segment.
    Parameter,
}

impl<'a> RequestView<'a> {
    /// Of an HTTP/1 request.
    pub fn of_h1(head: &'a RequestHead, strip: &'a Strip) -> Self {
        Self::new(head.method(), head.host(), head.path_and_query(), Source::H1(head.headers()), strip)
    }

    /// Of an HTTP/2 request.
    pub fn of_h2(head: &'a H2Request, strip: &'a Strip) -> Self {
        Self::new(head.method(), head.host(), head.path_and_query(), Source::H2(head.headers()), strip)
    }

    fn new(method: &'a str, host: &'a str, target: &'a str, headers: Source<'a>, strip: &'a Strip) -> Self {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        Self { method, host, path, query, headers, strip }
    }

    /// The host without its port. An address in brackets keeps them.
    pub fn host_name(&self) -> &'a str {
        let after_address = self.host.rfind(']').map_or(0, |end| end + 1);
        match self.host.get(after_address..).and_then(|rest| rest.find(':')) {
            Some(colon) => self.host.get(..after_address + colon).unwrap_or(self.host),
            None => self.host,
        }
    }

    /// All values of a header (name in lower case), in order, as far as they will be forwarded: nothing hop-by-hop and
    /// nothing that is stripped at this crossing. `host` gives the one host.
    pub fn values<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b [u8]> {
        let kind = Kind::of(name.as_bytes());
        let visible = kind.is_forwarded() && !self.strip.drops(name.as_bytes(), kind);
        let (h1, h2) = match self.headers {
            Source::H1(headers) => (Some(headers), None),
            Source::H2(headers) => (None, Some(headers)),
        };
        let h1 = h1.into_iter().filter(move |_| visible).flat_map(move |headers| headers.values(name));
        let h2 = h2.into_iter().filter(move |_| visible).flat_map(move |headers| headers.get_all(name));
        let host = (kind == Kind::Host).then_some(self.host.as_bytes());
        host.into_iter().chain(h1).chain(h2.map(http::HeaderValue::as_bytes))
    }

    /// Why the path may be read differently elsewhere, if it may.
    pub fn ambiguity(&self) -> Option<Ambiguity> {
        ambiguity(self.path)
    }
}

fn ambiguity(path: &str) -> Option<Ambiguity> {
    let plain = |byte: u8| !matches!(byte, b'.' | b'%' | b'\\' | b';');
    if !path.contains("//") && path.bytes().all(plain) {
        return None;
    }
    let lower = path.to_ascii_lowercase();
    let decoded = lower.replace("%2e", ".").replace("%5c", "\\").replace("%2f", "/");
    let name = |segment: &str| segment.split(';').next().map(str::to_owned).unwrap_or_default();
    if decoded.split(['/', '\\']).any(|segment| matches!(name(segment).as_str(), "." | "..")) {
        return Some(Ambiguity::DotSegment);
    }
    if ["\\", "%5c", "%2f", "%00"].iter().any(|separator| lower.contains(separator)) {
        return Some(Ambiguity::Separator);
    }
    if path.contains("//") {
        return Some(Ambiguity::EmptySegment);
    }
    (path.contains(';') || lower.contains("%3b")).then_some(Ambiguity::Parameter)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::h1::{Limits, request};
    use crate::strip::REQUEST_FROM_PEER;

    fn head(text: &str) -> RequestHead {
        request::parse(&mut BytesMut::from(text), &Limits::default()).unwrap().unwrap()
    }

    #[test]
    fn policy_sees_no_header_that_is_not_forwarded() {
        let head = head(
            "GET /a?b?c HTTP/1.1\r\nHost: a.test:8080\r\nConnection: x-admin\r\nX-Admin: 1\r\nl5d-client-id: me\r\n\
             A: 1\r\nB: 2\r\na: 3\r\nKeep-Alive: 1\r\n\r\n",
        );
        let view = RequestView::of_h1(&head, &REQUEST_FROM_PEER);
        let values = |name: &str| {
            view.values(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(values("a"), ["1", "3"]);
        assert_eq!(values("host"), ["a.test:8080"]);
        for hidden in ["x-admin", "l5d-client-id", "keep-alive", "connection", "content-length"] {
            assert!(values(hidden).is_empty(), "{hidden}");
        }
        assert_eq!(
            (view.method, view.path, view.query, view.host_name()),
            ("GET", "/a", Some("b?c"), "a.test")
        );
    }

    #[test]
    fn the_port_is_cut_off_a_host_and_not_off_an_address() {
        for (host, name) in [("a", "a"), ("a:1", "a"), ("[::1]", "[::1]"), ("[::1]:1", "[::1]"), ("a:", "a")]
        {
            let head = head(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            assert_eq!(RequestView::of_h1(&head, &REQUEST_FROM_PEER).host_name(), name);
        }
    }

    #[test]
    fn a_path_that_servers_read_differently_is_called_so() {
        for path in ["/", "/a/b.c", "/a/.b", "/a..b", "/a%20b", "/a/b/", "*", "", "/..."] {
            assert_eq!(ambiguity(path), None, "{path}");
        }
        for (path, why) in [
            ("/a/../b", Ambiguity::DotSegment),
            ("/a/.", Ambiguity::DotSegment),
            ("/a/%2E%2e/b", Ambiguity::DotSegment),
            ("/a/..%2fb", Ambiguity::DotSegment),
            ("/a/..;x/b", Ambiguity::DotSegment),
            ("/a\\..\\b", Ambiguity::DotSegment),
            ("/a\\b", Ambiguity::Separator),
            ("/a%2Fb", Ambiguity::Separator),
            ("/a%5cb", Ambiguity::Separator),
            ("/a%00", Ambiguity::Separator),
            ("//a", Ambiguity::EmptySegment),
            ("/a;b", Ambiguity::Parameter),
        ] {
            assert_eq!(ambiguity(path), Some(why), "{path}");
        }
    }
}
