//! Route matches and filters, shared by both directions (Gateway API HTTPRoute and GRPCRoute).

use std::sync::Arc;
use std::time::Duration;

use regex_lite::Regex;

use crate::condition::Condition;
use crate::filters::cors::Cors;
use crate::filters::fault::Fault;
use crate::metadata::Metadata;
use crate::outbound::Backend;

/// A route: hosts, and rules in order. `R` is what a rule leads to.
#[derive(Clone, Debug)]
pub struct HttpRoute<R> {
    /// The object it comes from.
    pub metadata: Metadata,
    /// Empty: every host.
    pub hosts: Vec<HostMatch>,
    /// At least one.
    pub rules: Vec<HttpRule<R>>,
}

/// One rule of an HTTP route.
#[derive(Clone, Debug)]
pub struct HttpRule<R> {
    /// Alternatives; empty: every request.
    pub matches: Vec<HttpMatch>,
    /// Applied in order.
    pub filters: Vec<Filter>,
    /// Where it leads or what it allows.
    pub then: R,
}

/// A gRPC route. Methods are matched by service and method name.
#[derive(Clone, Debug)]
pub struct GrpcRoute<R> {
    /// The object it comes from.
    pub metadata: Metadata,
    /// Empty: every host.
    pub hosts: Vec<HostMatch>,
    /// At least one.
    pub rules: Vec<GrpcRule<R>>,
}

/// One rule of a gRPC route.
#[derive(Clone, Debug)]
pub struct GrpcRule<R> {
    /// Alternatives; empty: every call.
    pub matches: Vec<GrpcMatch>,
    /// Applied in order.
    pub filters: Vec<Filter>,
    /// Where it leads or what it allows.
    pub then: R,
}

/// A host of a route, compared without its port and without regard to case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostMatch {
    /// The whole name.
    Exact(Arc<str>),
    /// `*.example.com`: kept as labels from the right (`["com", "example"]`), at least one more label must precede.
    Suffix(Vec<Arc<str>>),
}

/// All parts must match; a part that is `None` or empty matches everything.
#[derive(Clone, Debug, Default)]
pub struct HttpMatch {
    /// Path without query.
    pub path: Option<PathMatch>,
    /// Every one of them.
    pub headers: Vec<HeaderMatch>,
    /// Every one of them.
    pub query: Vec<QueryMatch>,
    /// Method as on the request line; case matters.
    pub method: Option<Arc<str>>,
    /// What else the request must be.
    pub condition: Option<Arc<Condition>>,
}

impl HttpMatch {
    /// Whether this match lets some requests through and others not.
    #[must_use]
    pub fn tells_apart(&self) -> bool {
        let by_path = match &self.path {
            None => false,
            Some(PathMatch::Prefix(prefix)) => &**prefix != "/",
            Some(PathMatch::Exact(_) | PathMatch::Regex(_)) => true,
        };
        let by_parts = !self.headers.is_empty() || !self.query.is_empty() || self.condition.is_some();
        by_path || self.method.is_some() || by_parts
    }
}

/// Path of a request.
#[derive(Clone, Debug)]
pub enum PathMatch {
    /// The whole path.
    Exact(Arc<str>),
    /// Whole segments from the start: `/a` matches `/a` and `/a/b`, not `/ab`.
    Prefix(Arc<str>),
    /// The whole path must match; build it with [`whole`]. Linear time.
    Regex(Regex),
}

/// Compiles a pattern that must match a whole value, as Gateway API regular expressions do here.
///
/// # Errors
/// The pattern is not one that `regex-lite` takes, or compiles to more than its size limit.
pub fn whole(pattern: &str) -> Result<Regex, regex_lite::Error> {
    // Alone first: `a)|(b` is wrong, but would become right inside the group.
    Regex::new(pattern)?;
    Regex::new(&format!("^(?:{pattern})$"))
}

/// A header, all of whose values are seen joined by commas.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderMatch {
    /// Lower case.
    pub name: Arc<str>,
    /// What the value must be.
    pub value: ValueMatch,
}

/// A query parameter, after percent decoding; the first of that name counts.
#[derive(Clone, Debug)]
pub struct QueryMatch {
    /// Exact name.
    pub name: Arc<str>,
    /// What the value must be.
    pub value: ValueMatch,
}

/// A value of a header or query parameter.
#[derive(Clone, Debug)]
pub enum ValueMatch {
    /// The whole value.
    Exact(Arc<[u8]>),
    /// The whole value must match.
    Regex(Regex),
}

impl PartialEq for ValueMatch {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(one), Self::Exact(other)) => one == other,
            (Self::Regex(one), Self::Regex(other)) => one.as_str() == other.as_str(),
            (Self::Exact(_), Self::Regex(_)) | (Self::Regex(_), Self::Exact(_)) => false,
        }
    }
}

/// The name of a gRPC service or method.
#[derive(Clone, Debug)]
pub enum NameMatch {
    /// The whole name.
    Exact(Arc<str>),
    /// The whole name must match.
    Regex(Regex),
}

/// A gRPC call: `None` matches every service or method.
#[derive(Clone, Debug, Default)]
pub struct GrpcMatch {
    /// Full service name, `package.Service`.
    pub service: Option<NameMatch>,
    /// Method name.
    pub method: Option<NameMatch>,
    /// Every one of them.
    pub headers: Vec<HeaderMatch>,
}

/// What a rule does to a request or response.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Answer with this status instead of forwarding, for a share of requests.
    HttpFailure {
        /// 100 to 599.
        status: u16,
        /// For `l5d-proxy-error`.
        message: Arc<str>,
        /// Which share of requests fails.
        ratio: Ratio,
    },
    /// Answer with this gRPC status instead of forwarding, for a share of calls.
    GrpcFailure {
        /// `grpc-status`.
        code: u16,
        /// `grpc-message`.
        message: Arc<str>,
        /// Which share of calls fails.
        ratio: Ratio,
    },
    /// Change the request's headers.
    RequestHeaders(HeaderModifier),
    /// Change the response's headers.
    ResponseHeaders(HeaderModifier),
    /// Answer with a redirection.
    Redirect(Redirect),
    /// Send the request on to another target (`HTTPURLRewriteFilter`).
    Rewrite {
        /// Sets `host`.
        host: Option<HeaderModifier>,
        /// New path.
        path: Option<PathRewrite>,
    },
    /// Delay or fail a share of requests for a time.
    Fault(Arc<Fault>),
    /// Send a share of the requests to another backend too, whose answer nobody sees.
    Mirror(Arc<Mirror>),
    /// Answer preflight requests, and tell browsers which origins may read the response.
    Cors(Arc<Cors>),
    /// A filter that this proxy does not know: requests that reach it are refused with 500, never passed.
    Unknown(Arc<str>),
}

/// Where requests are mirrored to (`HTTPRequestMirrorFilter`).
#[derive(Clone, Debug, PartialEq)]
pub struct Mirror {
    /// Has no part in the answer.
    pub backend: Arc<Backend>,
    /// Which share of requests.
    pub ratio: Ratio,
}

/// A share of requests, numerator over denominator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// At most `denominator`.
    pub numerator: u32,
    /// Never zero.
    pub denominator: u32,
}

/// Headers to add, set and remove, in this order; names are lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderModifier {
    /// Replaces all values.
    pub set: Vec<(Arc<str>, Arc<[u8]>)>,
    /// Appends a value.
    pub add: Vec<(Arc<str>, Arc<[u8]>)>,
    /// Removes all values.
    pub remove: Vec<Arc<str>>,
}

/// A redirection; a part that is `None` stays as in the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirect {
    /// `http` or `https`.
    pub scheme: Option<Arc<str>>,
    /// Host without port.
    pub host: Option<Arc<str>>,
    /// New path.
    pub path: Option<PathRewrite>,
    /// Port.
    pub port: Option<u16>,
    /// 301, 302, 303, 307 or 308; `None`: 301 (`http_route.RequestRedirect`).
    pub status: Option<u16>,
}

/// How a path is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRewrite {
    /// The whole path.
    Full(Arc<str>),
    /// The prefix that the rule matched.
    Prefix(Arc<str>),
}

/// `http_route.Timeouts`; `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Start of the request to the end of the response.
    pub request: Option<Duration>,
    /// End of the request to the end of the response.
    pub response: Option<Duration>,
    /// Silence in both directions.
    pub idle: Option<Duration>,
}
