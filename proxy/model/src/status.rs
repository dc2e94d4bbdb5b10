//! Every failure of the proxy, and what becomes of it: HTTP status, gRPC code, metric label, header text.
//!
//! The only place where a failure turns into any of these.

mod explained;

pub use explained::Explained;

/// gRPC status codes (`google.rpc.Code`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of google.rpc.Code, which says what each means")]
#[repr(u16)]
pub enum GrpcCode {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl GrpcCode {
    /// Codes and the names that metrics show.
    const NAMES: [(Self, &'static str); 17] = [
        (Self::Ok, "OK"),
        (Self::Cancelled, "CANCELLED"),
        (Self::Unknown, "UNKNOWN"),
        (Self::InvalidArgument, "INVALID_ARGUMENT"),
        (Self::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        (Self::NotFound, "NOT_FOUND"),
        (Self::AlreadyExists, "ALREADY_EXISTS"),
        (Self::PermissionDenied, "PERMISSION_DENIED"),
        (Self::ResourceExhausted, "RESOURCE_EXHAUSTED"),
        (Self::FailedPrecondition, "FAILED_PRECONDITION"),
        (Self::Aborted, "ABORTED"),
        (Self::OutOfRange, "OUT_OF_RANGE"),
        (Self::Unimplemented, "UNIMPLEMENTED"),
        (Self::Internal, "INTERNAL"),
        (Self::Unavailable, "UNAVAILABLE"),
        (Self::DataLoss, "DATA_LOSS"),
        (Self::Unauthenticated, "UNAUTHENTICATED"),
    ];

    /// The code of a number; what is not assigned is UNKNOWN, as in Linkerd's metrics.
    #[must_use]
    pub fn from_number(number: u16) -> Self {
        Self::NAMES.get(usize::from(number)).map_or(Self::Unknown, |(code, _)| *code)
    }

    /// The code of a `grpc-status` value.
    #[must_use]
    pub fn from_header(value: &[u8]) -> Self {
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        number.map_or(Self::Unknown, Self::from_number)
    }

    /// As the `grpc_status` label of policy metrics shows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.get(self as usize).map_or("UNKNOWN", |(_, name)| name)
    }

    /// Whether a call that ended so counts as failed (Linkerd's default for gRPC).
    #[must_use]
    pub const fn is_failure(self) -> bool {
        match self {
            Self::Unknown
            | Self::DeadlineExceeded
            | Self::PermissionDenied
            | Self::Internal
            | Self::Unavailable
            | Self::DataLoss => true,
            Self::Ok
            | Self::Cancelled
            | Self::InvalidArgument
            | Self::NotFound
            | Self::AlreadyExists
            | Self::ResourceExhausted
            | Self::FailedPrecondition
            | Self::Aborted
            | Self::OutOfRange
            | Self::Unimplemented
            | Self::Unauthenticated => false,
        }
    }
}

/// Whether a response with this status counts as failed.
#[must_use]
pub const fn is_failure(http_status: u16) -> bool {
    http_status >= 500
}

/// A request that the proxy answers itself, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No endpoint became ready in time.
    FailFast,
    /// Too much is in flight.
    LoadShed,
    /// The service takes no more requests at once (`hauberk.io/max-concurrent-requests`), and none ended in time.
    ConcurrencyLimit,
    /// No more requests may wait for the service (`hauberk.io/max-pending-requests`).
    PendingLimit,
    /// The service takes no more connections (`hauberk.io/max-connections`).
    ConnectionLimit,
    /// The endpoint refused, or the connection failed otherwise.
    Connect,
    /// The endpoint did not accept in time.
    ConnectTimeout,
    /// The endpoint is not who it should be.
    WrongPeer,
    /// `l5d-require-id` names another peer.
    RequiredIdentity,
    /// The connection ended before an answer.
    Reset,
    /// The endpoint said that it did not process the request.
    Refused,
    /// The endpoint asked for calm (RFC 9113 §7, `ENHANCE_YOUR_CALM`).
    EnhanceYourCalm,
    /// The endpoint sent what is no HTTP.
    BadResponse,
    /// No response head in time.
    ResponseHeadersTimeout,
    /// The response did not end in time.
    ResponseStreamTimeout,
    /// The request was not done in time.
    RequestTimeout,
    /// Silence for too long.
    IdleTimeout,
    /// No route matches.
    RouteNotFound,
    /// The route has no backend.
    NoBackend,
    /// No authorization admits the client.
    Unauthorized,
    /// The request has no token that an authorization accepts.
    Unauthenticated,
    /// A service that was asked denies the request, with this status.
    Refuted(u16),
    /// A rate limit is used up.
    RateLimited,
    /// A policy that cannot be carried out.
    InvalidPolicy,
    /// The EgressNetwork of the destination denies it, or no route of it allows the host.
    EgressDenied,
    /// The Host of a request that leaves the mesh is not that of its connection.
    EgressHost,
    /// A filter injects this HTTP status.
    InjectedHttp(u16),
    /// A filter injects this gRPC code.
    InjectedGrpc(u16),
    /// A filter redirects with this status.
    Redirected(u16),
    /// A filter answers a browser's preflight request.
    Preflight,
    /// A gateway connection for a name that is not ours to serve.
    GatewayDomain,
    /// A gateway connection without a client identity.
    GatewayIdentity,
    /// The request has been here before.
    Loop,
    /// The request is not HTTP as RFC 9110 to 9113 write it.
    BadRequest,
    /// The head does not fit.
    HeadTooLarge,
    /// The path can be read in two ways where a rule judges it.
    AmbiguousPath,
    /// CONNECT or Upgrade where no policy allows it.
    TunnelForbidden,
    /// The client is gone; nobody reads the answer.
    Cancelled,
    /// A fault of the proxy.
    Unexpected,
}

/// What becomes of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Status of the answer to an HTTP client.
    pub http: u16,
    /// `grpc-status` of the answer to a gRPC client, which gets HTTP status 200.
    pub grpc: u16,
    /// The `error` label of `{inbound,outbound}_http_errors_total`.
    pub label: &'static str,
    /// The `error` label of route metrics; `None`: the status stands there.
    pub route_label: Option<&'static str>,
    /// Whether another attempt could end better, the request allowing.
    pub retryable: bool,
    /// Whether the client's connection is closed after the answer (`l5d-proxy-connection: close`), so that it may
    /// come to another replica.
    pub closes: bool,
    /// `l5d-proxy-error` and `grpc-message`.
    pub text: &'static str,
}

/// Whether another attempt could help, and whether the client should come anew.
#[derive(Clone, Copy)]
struct Then {
    retryable: bool,
    closes: bool,
}

const FINAL: Then = Then { retryable: false, closes: false };
const CLOSE: Then = Then { retryable: false, closes: true };
const RETRY: Then = Then { retryable: true, closes: false };
const RETRY_CLOSE: Then = Then { retryable: true, closes: true };

impl Failure {
    /// The row of the table.
    #[must_use]
    #[rustfmt::skip]
    pub const fn row(self) -> Row {
        use GrpcCode as G;
        match self {
            Self::FailFast => row(504, G::DeadlineExceeded, "failfast", Some("FAIL_FAST"), CLOSE, "service in fail-fast"),
            Self::LoadShed => row(503, G::Unavailable, "loadshed", Some("LOAD_SHED"), CLOSE, "service has too many requests in flight"),
            Self::ConcurrencyLimit => row(503, G::Unavailable, "concurrency limit", Some("LOAD_SHED"), FINAL, "service takes no more concurrent requests"),
            Self::PendingLimit => row(503, G::Unavailable, "pending limit", Some("LOAD_SHED"), FINAL, "service takes no more pending requests"),
            Self::ConnectionLimit => row(503, G::Unavailable, "connection limit", Some("LOAD_SHED"), FINAL, "service takes no more connections"),
            Self::Connect => row(502, G::Unavailable, "connect", Some("IO"), RETRY_CLOSE, "error trying to connect"),
            Self::ConnectTimeout => row(504, G::DeadlineExceeded, "connect timeout", Some("IO"), RETRY_CLOSE, "connect timed out"),
            Self::WrongPeer => row(502, G::Unavailable, "identity mismatch", Some("IO"), CLOSE, "peer identity is not the expected one"),
            Self::RequiredIdentity => row(502, G::Unavailable, "identity required", Some("UNKNOWN"), CLOSE, "required identity is not the peer's"),
            Self::Reset => row(502, G::Unavailable, "i/o", Some("RESET"), RETRY_CLOSE, "connection closed before the response"),
            Self::Refused => row(502, G::Unavailable, "refused", Some("REFUSED"), RETRY, "request refused by the endpoint"),
            Self::EnhanceYourCalm => row(502, G::Unavailable, "enhance your calm", Some("ENHANCE_YOUR_CALM"), FINAL, "endpoint asked for calm"),
            Self::BadResponse => row(502, G::Unavailable, "bad response", Some("UNKNOWN"), CLOSE, "endpoint sent an invalid response"),
            Self::ResponseHeadersTimeout => row(504, G::DeadlineExceeded, "response timeout", Some("RESPONSE_HEADERS_TIMEOUT"), RETRY, "timed out waiting for response headers"),
            Self::ResponseStreamTimeout => row(504, G::DeadlineExceeded, "response timeout", Some("RESPONSE_STREAM_TIMEOUT"), FINAL, "timed out waiting for the response to end"),
            Self::RequestTimeout => row(504, G::DeadlineExceeded, "request timeout", Some("REQUEST_TIMEOUT"), FINAL, "request timed out"),
            Self::IdleTimeout => row(504, G::DeadlineExceeded, "idle timeout", Some("IDLE_TIMEOUT"), FINAL, "stream was idle for too long"),
            Self::RouteNotFound => row(404, G::NotFound, "route not found", Some("UNKNOWN"), FINAL, "no route found for request"),
            Self::NoBackend => row(500, G::Unavailable, "no backend", Some("UNKNOWN"), FINAL, "route has no backend"),
            Self::Unauthorized => row(403, G::PermissionDenied, "unauthorized", Some("UNKNOWN"), FINAL, "unauthorized request on route"),
            Self::Unauthenticated => row(401, G::Unauthenticated, "unauthenticated", Some("UNKNOWN"), FINAL, "request has no acceptable token"),
            Self::Refuted(401) => row(401, G::Unauthenticated, "externally denied", Some("UNKNOWN"), FINAL, "denied by external authorization"),
            Self::Refuted(status) => row(status, G::PermissionDenied, "externally denied", Some("UNKNOWN"), FINAL, "denied by external authorization"),
            Self::RateLimited => row(429, G::ResourceExhausted, "rate limited", Some("UNKNOWN"), FINAL, "rate limit exceeded"),
            Self::InvalidPolicy => row(500, G::Internal, "invalid policy", Some("UNKNOWN"), CLOSE, "invalid policy configuration"),
            Self::EgressDenied => row(403, G::PermissionDenied, "egress denied", Some("UNKNOWN"), FINAL, "egress is not allowed"),
            Self::EgressHost => row(403, G::PermissionDenied, "egress host mismatch", Some("UNKNOWN"), FINAL, "host does not agree with the destination"),
            Self::InjectedHttp(status) => row(status, G::FailedPrecondition, "injected failure", None, FINAL, "failure injected by route"),
            Self::InjectedGrpc(code) => Row { grpc: code, ..row(200, G::Unknown, "injected failure", None, FINAL, "failure injected by route") },
            Self::Redirected(status) => row(status, G::NotFound, "redirected", None, FINAL, "redirected"),
            Self::Preflight => row(204, G::NotFound, "preflight", None, FINAL, "cross-origin preflight answered by route"),
            Self::GatewayDomain => row(404, G::NotFound, "gateway domain invalid", Some("UNKNOWN"), FINAL, "gateway does not serve this domain"),
            Self::GatewayIdentity => row(403, G::Unauthenticated, "gateway identity required", Some("UNKNOWN"), FINAL, "gateway requires an identity"),
            Self::Loop => row(508, G::Aborted, "gateway loop", Some("UNKNOWN"), CLOSE, "loop detected"),
            Self::BadRequest => row(400, G::Internal, "bad request", Some("UNKNOWN"), CLOSE, "invalid request"),
            Self::HeadTooLarge => row(431, G::ResourceExhausted, "head too large", Some("UNKNOWN"), CLOSE, "request head is too large"),
            Self::AmbiguousPath => row(400, G::InvalidArgument, "ambiguous path", Some("UNKNOWN"), FINAL, "request path is ambiguous"),
            Self::TunnelForbidden => row(403, G::PermissionDenied, "tunnel forbidden", Some("UNKNOWN"), CLOSE, "tunnels are not allowed here"),
            Self::Cancelled => row(499, G::Cancelled, "cancelled", Some("CANCEL"), FINAL, "client cancelled the request"),
            Self::Unexpected => row(500, G::Internal, "unexpected", Some("UNKNOWN"), CLOSE, "unexpected error"),
        }
    }
}

const fn row(
    http: u16,
    grpc: GrpcCode,
    label: &'static str,
    route_label: Option<&'static str>,
    then: Then,
    text: &'static str,
) -> Row {
    Row { http, grpc: grpc as u16, label, route_label, retryable: then.retryable, closes: then.closes, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statuses_are_those_that_linkerd_users_know() {
        for (failure, http, grpc) in [
            (Failure::FailFast, 504, "DEADLINE_EXCEEDED"),
            (Failure::LoadShed, 503, "UNAVAILABLE"),
            (Failure::Connect, 502, "UNAVAILABLE"),
            (Failure::WrongPeer, 502, "UNAVAILABLE"),
            (Failure::ConnectTimeout, 504, "DEADLINE_EXCEEDED"),
            (Failure::ResponseHeadersTimeout, 504, "DEADLINE_EXCEEDED"),
            (Failure::RouteNotFound, 404, "NOT_FOUND"),
            (Failure::GatewayDomain, 404, "NOT_FOUND"),
            (Failure::Unauthorized, 403, "PERMISSION_DENIED"),
            (Failure::RateLimited, 429, "RESOURCE_EXHAUSTED"),
            (Failure::Loop, 508, "ABORTED"),
            (Failure::InvalidPolicy, 500, "INTERNAL"),
            (Failure::InjectedHttp(418), 418, "FAILED_PRECONDITION"),
            (Failure::InjectedGrpc(8), 200, "RESOURCE_EXHAUSTED"),
        ] {
            let row = failure.row();
            assert_eq!((row.http, GrpcCode::from_number(row.grpc).name()), (http, grpc), "{failure:?}");
        }
    }

    #[test]
    fn a_peer_with_the_wrong_name_is_evidence_and_not_bad_luck() {
        assert!(!Failure::WrongPeer.row().retryable);
        assert!(Failure::Connect.row().retryable);
    }

    #[test]
    fn codes_are_their_own_index() {
        for (number, (code, name)) in (0..).zip(GrpcCode::NAMES) {
            assert_eq!((code as u16, code.name(), GrpcCode::from_number(number)), (number, name, code));
        }
        assert_eq!(GrpcCode::from_header(b"14"), GrpcCode::Unavailable);
        assert_eq!(GrpcCode::from_header(b"99"), GrpcCode::Unknown);
        assert_eq!(GrpcCode::from_header(b""), GrpcCode::Unknown);
    }
}
