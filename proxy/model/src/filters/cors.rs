//! Cross-origin requests, answered and marked for browsers (Gateway API, `HTTPCORSFilter`; Fetch standard §3.2).
//!
//! CORS lets a browser show a response to a page of another origin; it keeps nobody out. A request of an origin that
//! is not allowed is therefore passed on, and its response says nothing of origins.

use std::sync::Arc;

use crate::matching::RequestView;
use crate::route::{Filter, HeaderModifier};

/// What a route lets other origins do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// Empty: no origin is allowed.
    pub origins: Vec<Origin>,
    /// Whether the browser may send and show what belongs to its user.
    pub credentials: bool,
    /// `*` is all.
    pub methods: Vec<Arc<str>>,
    /// Of requests, beyond those that are always allowed; `*` is all.
    pub headers: Vec<Arc<str>>,
    /// Of responses, that the page may read; `*` is all.
    pub exposed: Vec<Arc<str>>,
    /// How long the browser may keep the answer to a preflight, seconds.
    pub max_age_s: u32,
}

/// Origins as a route names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `*`.
    Any,
    /// The whole origin, in lower case.
    Exact(Arc<str>),
    /// `scheme://*.example.com[:port]`.
    Below {
        /// With its `://`.
        scheme: Arc<str>,
        /// `.example.com`, with the port if there is one.
        suffix: Arc<str>,
    },
}

impl Origin {
    /// Reads an origin of a route; `None`: it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        let text = text.to_ascii_lowercase();
        let (scheme, host) = text.split_once("://")?;
        let sound =
            !scheme.is_empty() && !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic());
        if !sound || host.contains('/') {
            return None;
        }
        match host.strip_prefix('*') {
            None if host.contains('*') => None,
            None => Some(Self::Exact(text.into())),
            Some(suffix) if suffix.starts_with('.') && !suffix.contains('*') => {
                Some(Self::Below { scheme: format!("{scheme}://").into(), suffix: suffix.into() })
            }
            Some(_) => None,
        }
    }

    fn covers(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact.eq_ignore_ascii_case(origin),
            Self::Below { scheme, suffix } => {
                let origin = origin.to_ascii_lowercase();
                let below = origin.strip_prefix(&**scheme).and_then(|host| host.strip_suffix(&**suffix));
                below.is_some_and(|labels| {
                    !labels.is_empty()
                        && !labels.starts_with('.')
                        && !labels.ends_with('.')
                        && labels.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
                })
            }
        }
    }
}

/// A header of an answer.
pub type Header = (&'static str, String);

/// The answer to a preflight request, if this is one and a filter speaks of it.
pub fn preflight(filters: &[Filter], request: &impl RequestView) -> Option<Vec<Header>> {
    let cors = of(filters)?;
    let origin = header(request, "origin")?;
    let method = header(request, "access-control-request-method")?;
    if request.method() != "OPTIONS" {
        return None;
    }
    let mut answer = vec![("vary", "origin".to_owned())];
    if !allows(cors, origin) {
        return Some(answer);
    }
    answer.extend(origin_headers(cors, origin));
    if let Some(methods) = listed(&cors.methods, cors.credentials, Some(method)) {
        answer.push(("access-control-allow-methods", methods));
    }
    let asked = header(request, "access-control-request-headers");
    if let Some(headers) = listed(&cors.headers, cors.credentials, asked) {
        answer.push(("access-control-allow-headers", headers));
    }
    answer.push(("access-control-max-age", cors.max_age_s.to_string()));
    Some(answer)
}

/// What the response to a request of an origin says besides.
pub fn response(filters: &[Filter], request: &impl RequestView) -> Option<HeaderModifier> {
    let cors = of(filters)?;
    let pair = |(name, value): Header| (Arc::from(name), Arc::from(value.into_bytes()));
    let vary = vec![pair(("vary", "origin".to_owned()))];
    let Some(origin) = header(request, "origin").filter(|origin| allows(cors, origin)) else {
        // What the application would say of origins is the route's to say.
        let remove =
            ["access-control-allow-origin", "access-control-allow-credentials"].map(Arc::from).into();
        return Some(HeaderModifier { add: vary, remove, ..HeaderModifier::default() });
    };
    let mut set: Vec<_> = origin_headers(cors, origin).map(pair).collect();
    if let Some(exposed) = listed(&cors.exposed, cors.credentials, None) {
        set.push(pair(("access-control-expose-headers", exposed)));
    }
    Some(HeaderModifier { set, add: vary, remove: Vec::new() })
}

fn of(filters: &[Filter]) -> Option<&Cors> {
    filters.iter().find_map(|filter| match filter {
        Filter::Cors(cors) => Some(&**cors),
        Filter::HttpFailure { .. }
        | Filter::GrpcFailure { .. }
        | Filter::RequestHeaders(_)
        | Filter::ResponseHeaders(_)
        | Filter::Redirect(_)
        | Filter::Rewrite { .. }
        | Filter::Fault(_)
        | Filter::Mirror(_)
        | Filter::Unknown(_) => None,
    })
}

fn header<'r>(request: &'r impl RequestView, name: &'static str) -> Option<&'r str> {
    let value = std::str::from_utf8(request.header(name).next()?).ok()?;
    // It may be echoed: only what a header can hold, and no list.
    (!value.is_empty() && value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())).then_some(value)
}

fn allows(cors: &Cors, origin: &str) -> bool {
    cors.origins.iter().any(|allowed| allowed.covers(origin))
}

/// With credentials a browser takes no `*` (Fetch §3.2.5): the origin itself is said.
fn origin_headers(cors: &Cors, origin: &str) -> impl Iterator<Item = Header> {
    let any = !cors.credentials && cors.origins.contains(&Origin::Any);
    let said = if any { "*".to_owned() } else { origin.to_owned() };
    let credentials = cors.credentials.then(|| ("access-control-allow-credentials", "true".to_owned()));
    [("access-control-allow-origin", said)].into_iter().chain(credentials)
}

/// A list as the browser is told it; with credentials `*` would be a name, so what was asked for is said instead.
fn listed(names: &[Arc<str>], credentials: bool, asked: Option<&str>) -> Option<String> {
    if names.iter().any(|name| &**name == "*") {
        return if credentials { asked.map(str::to_owned) } else { Some("*".to_owned()) };
    }
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Asked(&'static str, Vec<(&'static str, &'static str)>);

    impl RequestView for Asked {
        fn method(&self) -> &str {
            self.0
        }
        fn authority(&self) -> &str {
            "web"
        }
        fn path(&self) -> &str {
            "/"
        }
        fn query(&self) -> Option<&str> {
            None
        }
        fn header(&self, name: &str) -> impl Iterator<Item = &[u8]> {
            self.1.iter().filter(move |(have, _)| *have == name).map(|(_, value)| value.as_bytes())
        }
    }

    fn cors(origin: &str, credentials: bool) -> [Filter; 1] {
        [Filter::Cors(Arc::new(Cors {
            origins: vec![Origin::parse(origin).expect("an origin")],
            credentials,
            methods: vec!["*".into()],
            headers: vec!["x-one".into(), "x-two".into()],
            exposed: vec!["*".into()],
            max_age_s: 5,
        }))]
    }

    #[test]
    fn an_origin_is_covered_whole_or_by_labels_below() {
        for (pattern, origin, covered) in [
            ("*", "https://a.example", true),
            ("https://a.example", "HTTPS://A.example", true),
            ("https://a.example", "http://a.example", false),
            ("https://a.example", "https://a.example:8443", false),
            ("https://*.example", "https://a.example", true),
            ("https://*.example", "https://a.b.example", true),
            ("https://*.example", "https://example", false),
            ("https://*.example", "https://.example", false),
            ("https://*.example", "https://evil.com/.example", false),
            ("https://*.example", "https://evilexample", false),
            ("https://*.example:8443", "https://a.example:8443", true),
            ("https://*.example:8443", "https://a.example", false),
        ] {
            let parsed = Origin::parse(pattern).expect("an origin");
            assert_eq!(parsed.covers(origin), covered, "{pattern} {origin}");
        }
        for wrong in ["", "a.example", "https://", "https://a*.example", "https://*", "https://*.*.example"] {
            assert_eq!(Origin::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_preflight_is_answered_and_only_an_allowed_origin_hears_more() {
        let asked =
            |origin| Asked("OPTIONS", vec![("origin", origin), ("access-control-request-method", "PUT")]);
        let said = preflight(&cors("https://a.example", true), &asked("https://a.example"));
        assert_eq!(
            said.expect("an answer"),
            [
                ("vary", "origin".to_owned()),
                ("access-control-allow-origin", "https://a.example".to_owned()),
                ("access-control-allow-credentials", "true".to_owned()),
                ("access-control-allow-methods", "PUT".to_owned()),
                ("access-control-allow-headers", "x-one, x-two".to_owned()),
                ("access-control-max-age", "5".to_owned()),
            ]
        );
        let said = preflight(&cors("https://a.example", true), &asked("https://b.example"));
        assert_eq!(said.expect("an answer"), [("vary", "origin".to_owned())]);
    }

    #[test]
    fn a_request_that_is_no_preflight_is_passed_on() {
        let plain = Asked("OPTIONS", vec![("origin", "https://a.example")]);
        assert_eq!(preflight(&cors("*", false), &plain), None);
        let get = Asked("GET", vec![("origin", "x://y"), ("access-control-request-method", "GET")]);
        assert_eq!(preflight(&cors("*", false), &get), None);
        assert_eq!(preflight(&[], &get), None);
    }

    #[test]
    fn a_star_is_said_only_where_no_credentials_are_allowed() {
        let of = |credentials| {
            let asked = Asked("GET", vec![("origin", "https://a.example")]);
            let said = response(&cors("*", credentials), &asked).expect("a modifier");
            let find = |wanted: &str| {
                let found = said.set.iter().find(|(name, _)| &**name == wanted);
                found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            };
            (find("access-control-allow-origin"), find("access-control-expose-headers"))
        };
        assert_eq!(of(false), (Some("*".to_owned()), Some("*".to_owned())));
        assert_eq!(of(true), (Some("https://a.example".to_owned()), None));
    }
}
