//! The stable code of every failure, what it means and what to do about it.
//!
//! The page `docs/guide/errors.md` is made of this table (`tests/errors_page.rs`), and `hauberk explain` points into it.

use super::Failure;

/// What a person is told of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The value of `hauberk-error`, and the anchor in the page. Never changes its meaning.
    pub code: &'static str,
    /// What has happened.
    pub meaning: &'static str,
    /// What helps.
    pub action: &'static str,
}

/// One arm of the match and one entry of the list for each failure, so that neither can forget one.
macro_rules! table {
    ($($sample:expr, $pattern:pat => $code:literal, $meaning:literal, $action:literal;)*) => {
        impl Failure {
            /// Each failure once; those with a value, with an example of it.
            pub const ALL: &'static [Self] = &[$($sample),*];

            /// The failure's code and what to say of it.
            #[must_use]
            pub const fn explained(self) -> Explained {
                match self {
                    $($pattern => Explained { code: $code, meaning: $meaning, action: $action },)*
                }
            }
        }
    };
}

table! {
    Self::FailFast, Self::FailFast => "fail-fast",
        "No endpoint of the backend became ready in time.",
        "Look at the skipped endpoints of `hauberk explain`: breakers that are open name their reason. If none is listed, the Service has no ready pod.";
    Self::LoadShed, Self::LoadShed => "overloaded",
        "Too many requests wait for an endpoint, or are in flight.",
        "Add replicas, or lower the rate at which clients send.";
    Self::ConcurrencyLimit, Self::ConcurrencyLimit => "concurrency-limit",
        "The Service takes no more requests at once, and none ended in time.",
        "Add replicas, or raise `hauberk.io/max-concurrent-requests` of the Service.";
    Self::PendingLimit, Self::PendingLimit => "pending-limit",
        "No more requests may wait for the Service.",
        "Add replicas, or raise `hauberk.io/max-pending-requests` of the Service.";
    Self::ConnectionLimit, Self::ConnectionLimit => "connection-limit",
        "The Service takes no more connections.",
        "Add replicas, or raise `hauberk.io/max-connections` of the Service.";
    Self::Connect, Self::Connect => "connect-failed",
        "The endpoint refused the connection, or it broke while it was made.",
        "Check that the application listens on the port, on an address that its proxy can reach.";
    Self::ConnectTimeout, Self::ConnectTimeout => "connect-timeout",
        "The endpoint did not accept the connection in time.",
        "Check the network between the pods and whether the endpoint's node is alive; `config.linkerd.io/proxy-outbound-connect-timeout` is the bound.";
    Self::WrongPeer, Self::WrongPeer => "identity-mismatch",
        "Whoever answered at the endpoint's address did not prove the identity that discovery named.",
        "Usually the address was given to another pod a moment ago. If it stays, the pod runs under another ServiceAccount than its Service's endpoints say, or somebody takes its place.";
    Self::RequiredIdentity, Self::RequiredIdentity => "identity-required",
        "The request demands a peer by `l5d-require-id`, and the endpoint is not that peer.",
        "Check the header that the application sends.";
    Self::Reset, Self::Reset => "connection-broken",
        "The connection ended before the response began.",
        "Look for a crash or a restart of the application at that time. Requests that may be sent twice are retried by a retry policy.";
    Self::Refused, Self::Refused => "request-refused",
        "The endpoint said that it did not act on the request.",
        "The endpoint is about to end, or its application did not take the connection: see the record of its own proxy.";
    Self::EnhanceYourCalm, Self::EnhanceYourCalm => "enhance-your-calm",
        "The endpoint asked for fewer requests (HTTP/2 ENHANCE_YOUR_CALM).",
        "The server limits resets or pings: look at its settings and at clients that cancel many requests.";
    Self::BadResponse, Self::BadResponse => "invalid-response",
        "The endpoint sent what is no valid HTTP response.",
        "Check the application's server: two lengths, bytes after the end and control characters in fields are refused.";
    Self::ResponseHeadersTimeout, Self::ResponseHeadersTimeout => "response-timeout",
        "The response did not begin in time.",
        "Compare the route's timeouts with how long the application takes.";
    Self::ResponseStreamTimeout, Self::ResponseStreamTimeout => "response-body-timeout",
        "The response began and did not end in time.",
        "Compare `timeout.linkerd.io/response` with how long the stream may last.";
    Self::RequestTimeout, Self::RequestTimeout => "request-timeout",
        "The request with all its attempts took longer than its route allows.",
        "Compare the route's request timeout with how long the application takes, retries included.";
    Self::IdleTimeout, Self::IdleTimeout => "idle-timeout",
        "Nothing moved on the stream for longer than its route allows.",
        "Send something from time to time, or raise `timeout.linkerd.io/idle`.";
    Self::RouteNotFound, Self::RouteNotFound => "route-not-found",
        "Routes are attached to the destination, and none of them matches the request.",
        "Compare method, path and headers of the record with the rules of the HTTPRoutes and GRPCRoutes.";
    Self::NoBackend, Self::NoBackend => "no-backend",
        "The route that matches has no backend that can take the request.",
        "Check the `backendRefs` of the route: they may name a Service or port that does not exist, or have weight 0.";
    Self::Unauthorized, Self::Unauthorized => "unauthorized",
        "No authorization of the server admits this client on this route.",
        "Compare the client's identity in the record with the AuthorizationPolicies of the Server and route that it names.";
    Self::Unauthenticated, Self::Unauthenticated => "unauthenticated",
        "The authorizations of the server ask for a token, and the request has none that they accept.",
        "Send a token of the issuer and audience that the JWTAuthentication names; the record says what is wrong with the one that was sent.";
    Self::Refuted(403), Self::Refuted(_) => "externally-denied",
        "A service that the authorization asks denied the request.",
        "The reason is in that service's log.";
    Self::RateLimited, Self::RateLimited => "rate-limited",
        "A rate limit of the server is used up.",
        "Send less, or raise the HTTPLocalRateLimitPolicy of the Server.";
    Self::InvalidPolicy, Self::InvalidPolicy => "invalid-policy",
        "A policy asks for something that cannot be carried out, so the request was refused.",
        "The route's status and the log of the control plane name the field.";
    Self::EgressDenied, Self::EgressDenied => "egress-denied",
        "The EgressNetwork of the destination denies it, or none of its routes allows the host.",
        "Attach a route for the host to the EgressNetwork, or set its trafficPolicy to Allow.";
    Self::EgressHost, Self::EgressHost => "egress-host",
        "The host of the request is not the one that its connection was made for.",
        "Check the client: a route that allows one host must not carry requests for another.";
    Self::InjectedHttp(503), Self::InjectedHttp(_) => "injected-http",
        "A filter of the route answers with this status on purpose.",
        "Remove the filter to end it.";
    Self::InjectedGrpc(14), Self::InjectedGrpc(_) => "injected-grpc",
        "A filter of the route answers with this gRPC status on purpose.",
        "Remove the filter to end it.";
    Self::Redirected(302), Self::Redirected(_) => "redirected",
        "A filter of the route redirects the request.",
        "Nothing is wrong.";
    Self::Preflight, Self::Preflight => "cors-preflight",
        "A CORS filter of the route answers the browser's preflight request.",
        "Nothing is wrong.";
    Self::GatewayDomain, Self::GatewayDomain => "gateway-domain",
        "The gateway does not serve this name.",
        "Export the Service, or correct the name that the client asks for.";
    Self::GatewayIdentity, Self::GatewayIdentity => "gateway-identity",
        "The gateway serves only clients that prove an identity.",
        "Put the client into a mesh that shares the trust anchors.";
    Self::Loop, Self::Loop => "loop",
        "The request came back to a proxy that it had passed already.",
        "Check that mirrored Services and gateways do not point at each other.";
    Self::BadRequest, Self::BadRequest => "bad-request",
        "The request is not valid HTTP, or cannot be said in the protocol of the next hop.",
        "Check the client: the strict reading refuses what two servers could read in two ways.";
    Self::HeadTooLarge, Self::HeadTooLarge => "head-too-large",
        "The head of the request is larger than the proxy takes.",
        "Send smaller cookies and tokens.";
    Self::AmbiguousPath, Self::AmbiguousPath => "ambiguous-path",
        "The path can be read in two ways, and a rule judges paths.",
        "Send the path without encoded slashes, dots or backslashes.";
    Self::TunnelForbidden, Self::TunnelForbidden => "tunnel-forbidden",
        "CONNECT, or an upgrade that no policy allows.",
        "Connect to the destination itself; the mesh carries any TCP connection without a tunnel.";
    Self::Cancelled, Self::Cancelled => "cancelled",
        "The client went away before the response was whole.",
        "Look at the client's own timeout.";
    Self::Unexpected, Self::Unexpected => "unexpected",
        "A fault of the proxy, or no policy is known yet.",
        "Look at the proxy's log at that time, and at `hauberk check`.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_code_names_one_failure_and_can_stand_in_a_header_and_an_anchor() {
        let codes: BTreeSet<_> = Failure::ALL.iter().map(|failure| failure.explained().code).collect();
        assert_eq!(codes.len(), Failure::ALL.len());
        assert!(codes.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
    }
}
