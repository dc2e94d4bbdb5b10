//! What the filters of a rule do to a request: an answer instead of forwarding, or changed headers.

pub mod cors;
pub mod fault;
pub mod rewrite;

use std::sync::Arc;

use self::rewrite::replace_prefix;
use crate::random::Random;
use crate::route::{Filter, HeaderModifier, PathRewrite, Ratio, Redirect};

/// An answer that a filter gives in place of the backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An injected HTTP failure.
    HttpFailure {
        /// Status to answer with.
        status: u16,
        /// For `l5d-proxy-error`.
        message: Arc<str>,
    },
    /// An injected gRPC failure.
    GrpcFailure {
        /// `grpc-status`.
        code: u16,
        /// `grpc-message`.
        message: Arc<str>,
    },
    /// A redirection.
    Redirect {
        /// Status to answer with.
        status: u16,
        /// The `Location` header.
        location: String,
    },
    /// What a browser asks before a cross-origin request.
    Preflight(Vec<cors::Header>),
    /// The filter cannot be carried out: 500, with the reason.
    Misconfigured(Arc<str>),
}

/// What redirections are computed from.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Authority as forwarded, with its port if it has one.
    pub authority: &'a str,
    /// Path as forwarded.
    pub path: &'a str,
    /// Query without its question mark.
    pub query: Option<&'a str>,
    /// Of the match ([`crate::matching::Found::prefix_len`]).
    pub prefix_len: Option<usize>,
}

/// Status of a redirection that names none (`http_route.RequestRedirect.status`).
const REDIRECT_STATUS: u16 = 301;

/// The first answer that the filters give, in their order; `None`: forward.
pub fn answer(filters: &[Filter], target: Target<'_>, random: &mut Random) -> Option<Answer> {
    filters.iter().find_map(|filter| match filter {
        Filter::HttpFailure { status, message, ratio } => strikes(*ratio, random)
            .then(|| Answer::HttpFailure { status: *status, message: Arc::clone(message) }),
        Filter::GrpcFailure { code, message, ratio } => {
            strikes(*ratio, random).then(|| Answer::GrpcFailure { code: *code, message: Arc::clone(message) })
        }
        Filter::Redirect(redirect) => redirection(redirect, target),
        Filter::Unknown(what) => {
            Some(Answer::Misconfigured(Arc::from(format!("filter {what} is not known to this proxy"))))
        }
        Filter::RequestHeaders(_)
        | Filter::ResponseHeaders(_)
        | Filter::Rewrite { .. }
        | Filter::Fault(_)
        | Filter::Mirror(_)
        | Filter::Cors(_) => None,
    })
}

/// Changes to the request's headers, in order.
pub fn request_headers(filters: &[Filter]) -> impl Iterator<Item = &HeaderModifier> {
    filters.iter().filter_map(|filter| match filter {
        Filter::RequestHeaders(modifier) => Some(modifier),
        Filter::Rewrite { host, .. } => host.as_ref(),
        Filter::ResponseHeaders(_)
        | Filter::Cors(_)
        | Filter::Fault(_)
        | Filter::Mirror(_)
        | Filter::HttpFailure { .. }
        | Filter::GrpcFailure { .. }
        | Filter::Redirect(_)
        | Filter::Unknown(_) => None,
    })
}

/// Changes to the response's headers, in order.
pub fn response_headers(filters: &[Filter]) -> impl Iterator<Item = &HeaderModifier> {
    filters.iter().filter_map(|filter| match filter {
        Filter::ResponseHeaders(modifier) => Some(modifier),
        Filter::RequestHeaders(_)
        | Filter::Rewrite { .. }
        | Filter::Cors(_)
        | Filter::Fault(_)
        | Filter::Mirror(_)
        | Filter::HttpFailure { .. }
        | Filter::GrpcFailure { .. }
        | Filter::Redirect(_)
        | Filter::Unknown(_) => None,
    })
}

/// A header table that a modifier may change.
pub trait HeaderTable {
    /// Adds a value after those that are there.
    fn append(&mut self, name: &str, value: &[u8]);
    /// Removes all values.
    fn remove(&mut self, name: &str);
}

/// Headers that a modifier may not touch: they frame the message or belong to one hop (RFC 9110 §7.6.1),
/// and the proxy writes them itself. `host` may be set: Gateway API says so.
pub const UNTOUCHABLE: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "l5d-client-id",
];

/// Applies one modifier: additions, then replacements, then removals (`http_route.proto`).
pub fn apply(modifier: &HeaderModifier, headers: &mut impl HeaderTable) {
    let ours = |name: &str| !UNTOUCHABLE.contains(&name);
    for (name, value) in modifier.add.iter().filter(|(name, _)| ours(name)) {
        headers.append(name, value);
    }
    for (name, value) in modifier.set.iter().filter(|(name, _)| ours(name)) {
        headers.remove(name);
        headers.append(name, value);
    }
    for name in modifier.remove.iter().filter(|name| ours(name)) {
        headers.remove(name);
    }
}

/// Whether this request is of the share.
pub fn strikes(ratio: Ratio, random: &mut Random) -> bool {
    ratio.numerator >= ratio.denominator
        || random.below(u64::from(ratio.denominator)) < u64::from(ratio.numerator)
}

/// `None` if the redirection names a place and the request is already there: an answer would send it in circles. One that
/// names none, but a status, is answered (Gateway API, conformance test `MeshHTTPRoute303Redirect`).
fn redirection(redirect: &Redirect, target: Target<'_>) -> Option<Answer> {
    let scheme = redirect.scheme.as_deref().unwrap_or(target.scheme);
    let Some(authority) = authority(redirect, target, scheme) else {
        return Some(Answer::Misconfigured(Arc::from("redirection of a request without a host")));
    };
    let mut location = format!("{scheme}://{authority}");
    match (&redirect.path, target.prefix_len) {
        (None, _) => location.push_str(target.path),
        (Some(PathRewrite::Full(path)), _) => location.push_str(path),
        (Some(PathRewrite::Prefix(with)), Some(len)) => {
            location.push_str(&replace_prefix(target.path, len, with));
        }
        (Some(PathRewrite::Prefix(_)), None) => {
            return Some(Answer::Misconfigured(Arc::from("prefix replaced where no prefix was matched")));
        }
    }
    let full = matches!(redirect.path, Some(PathRewrite::Full(_)));
    if let (false, Some(query)) = (full, target.query) {
        location.push('?');
        location.push_str(query);
    }
    if !location.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(Answer::Misconfigured(Arc::from("redirection to a location that no header can hold")));
    }
    let here = match target.query {
        Some(query) => format!("{}://{}{}?{query}", target.scheme, target.authority, target.path),
        None => format!("{}://{}{}", target.scheme, target.authority, target.path),
    };
    let status = redirect.status.unwrap_or(REDIRECT_STATUS);
    (location != here || !redirect.names_place()).then_some(Answer::Redirect { status, location })
}

impl Redirect {
    /// Whether anything of the location is another than the request's by name.
    fn names_place(&self) -> bool {
        self.scheme.is_some() || self.host.is_some() || self.port.is_some() || self.path.is_some()
    }
}

/// Host and port of the new location; a port that is the scheme's own is left out.
fn authority(redirect: &Redirect, target: Target<'_>, scheme: &str) -> Option<String> {
    let (host, given_port) = split_port(target.authority);
    let new_host = redirect.host.as_deref().unwrap_or(host);
    if new_host.is_empty() {
        return None;
    }
    let port = match redirect.port {
        Some(port) => Some(port),
        // Another scheme without a port means that scheme's port (Gateway API, `HTTPRequestRedirectFilter.port`).
        None if redirect.scheme.is_some() => None,
        None => given_port,
    };
    let own = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    match port {
        Some(port) if Some(port) != own => Some(format!("{new_host}:{port}")),
        Some(_) | None => Some(new_host.to_owned()),
    }
}

fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (authority, None),
        },
        Some(_) | None => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target<'static> {
        Target {
            scheme: "http",
            authority: "web.shop:8080",
            path: "/foo/bar",
            query: Some("a=b"),
            prefix_len: Some(4),
        }
    }

    fn location(redirect: Redirect, target: Target<'_>) -> Option<String> {
        match answer(&[Filter::Redirect(redirect)], target, &mut Random::seeded(1)) {
            Some(Answer::Redirect { location, .. }) => Some(location),
            Some(other) => panic!("{other:?}"),
            None => None,
        }
    }

    #[test]
    fn a_redirection_keeps_what_it_does_not_name() {
        let text = |t: &str| Some(Arc::from(t));
        let base = Redirect::default;
        for (redirect, expected) in [
            (Redirect { host: text("new.shop"), ..base() }, "http://new.shop:8080/foo/bar?a=b"),
            (Redirect { scheme: text("https"), ..base() }, "https://web.shop/foo/bar?a=b"),
            (
                Redirect { scheme: text("https"), port: Some(8443), ..base() },
                "https://web.shop:8443/foo/bar?a=b",
            ),
            (Redirect { port: Some(80), ..base() }, "http://web.shop/foo/bar?a=b"),
            (Redirect { path: Some(PathRewrite::Full(Arc::from("/x"))), ..base() }, "http://web.shop:8080/x"),
            (
                Redirect { path: Some(PathRewrite::Prefix(Arc::from("/qux/"))), ..base() },
                "http://web.shop:8080/qux/bar?a=b",
            ),
            (
                Redirect { path: Some(PathRewrite::Prefix(Arc::from("/"))), ..base() },
                "http://web.shop:8080/bar?a=b",
            ),
        ] {
            assert_eq!(location(redirect, target()).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_replaced_prefix_keeps_whole_segments() {
        let redirect =
            || Redirect { path: Some(PathRewrite::Prefix(Arc::from("/qux"))), ..Redirect::default() };
        for (path, prefix_len, expected) in [
            ("/foo", 4, "http://h/qux"),
            ("/foo/", 4, "http://h/qux/"),
            ("/foo", 1, "http://h/qux/foo"),
            ("/", 1, "http://h/qux"),
        ] {
            let target =
                Target { scheme: "http", authority: "h", path, query: None, prefix_len: Some(prefix_len) };
            assert_eq!(location(redirect(), target).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn a_redirection_to_the_same_place_forwards_if_it_names_a_place() {
        let here = Redirect { scheme: Some(Arc::from("http")), port: Some(8080), ..Redirect::default() };
        assert_eq!(location(here, target()), None);
        let see_other = Redirect { status: Some(303), ..Redirect::default() };
        assert_eq!(location(see_other, target()).as_deref(), Some("http://web.shop:8080/foo/bar?a=b"));
    }

    #[test]
    fn a_redirection_that_cannot_be_written_is_an_error_and_never_forwards() {
        let prefix = Redirect { path: Some(PathRewrite::Prefix(Arc::from("/q"))), ..Redirect::default() };
        let split = Redirect { path: Some(PathRewrite::Full(Arc::from("/a\r\nb"))), ..Redirect::default() };
        let cases = [
            (Filter::Redirect(prefix), Target { prefix_len: None, ..target() }),
            (Filter::Redirect(split), target()),
            (Filter::Redirect(Redirect::default()), Target { authority: "", ..target() }),
            (Filter::Unknown(Arc::from("mirror")), target()),
        ];
        for (filter, target) in cases {
            let given = answer(&[filter], target, &mut Random::seeded(1));
            assert!(matches!(given, Some(Answer::Misconfigured(_))), "{given:?}");
        }
    }

    #[test]
    fn failures_strike_their_share_and_the_first_answer_wins() {
        let fail = |numerator, denominator| Filter::HttpFailure {
            status: 503,
            message: Arc::from("injected"),
            ratio: Ratio { numerator, denominator },
        };
        let mut random = Random::seeded(3);
        let struck = (0..10_000).filter(|_| answer(&[fail(1, 4)], target(), &mut random).is_some()).count();
        assert!((2_300..2_700).contains(&struck), "{struck}");
        assert!((0..100).all(|_| answer(&[fail(0, 4)], target(), &mut random).is_none()));
        let both = [fail(1, 1), Filter::Unknown(Arc::from("x"))];
        assert!(matches!(
            answer(&both, target(), &mut random),
            Some(Answer::HttpFailure { status: 503, .. })
        ));
    }

    #[derive(Default)]
    struct Table(Vec<(String, Vec<u8>)>);

    impl HeaderTable for Table {
        fn append(&mut self, name: &str, value: &[u8]) {
            self.0.push((name.to_owned(), value.to_vec()));
        }
        fn remove(&mut self, name: &str) {
            self.0.retain(|(have, _)| have != name);
        }
    }

    #[test]
    fn additions_come_first_then_replacements_then_removals_and_framing_is_safe() {
        let pair = |name: &str, value: &str| (Arc::from(name), Arc::from(value.as_bytes()));
        let modifier = HeaderModifier {
            add: vec![pair("x-a", "2"), pair("x-b", "1"), pair("transfer-encoding", "chunked")],
            set: vec![pair("x-b", "3"), pair("content-length", "0")],
            remove: vec![Arc::from("x-c"), Arc::from("connection")],
        };
        let mut table = Table::default();
        for (name, value) in [("x-a", "1"), ("x-c", "9"), ("connection", "close")] {
            table.append(name, value.as_bytes());
        }
        apply(&modifier, &mut table);
        let seen: Vec<(&str, &[u8])> = table.0.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
        assert_eq!(seen, [("x-a", &b"1"[..]), ("connection", b"close"), ("x-a", b"2"), ("x-b", b"3")]);
    }
}
