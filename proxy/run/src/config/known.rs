//! Names of the peer's environment that are accepted and change nothing in this proxy.

use super::read::Reader;

/// For one direction each: `INBOUND_…` and `OUTBOUND_…`.
const BOTH: &[&str] = &[
    "ACCEPT_KEEPALIVE",
    "ACCEPT_USER_TIMEOUT",
    "CONNECT_EXP_BACKOFF_JITTER",
    "CONNECT_EXP_BACKOFF_MAX",
    "CONNECT_EXP_BACKOFF_MIN",
    "CONNECT_KEEPALIVE",
    "CONNECT_USER_TIMEOUT",
    "DISCOVERY_IDLE_TIMEOUT",
    "HTTP1_CONNECTION_POOL_IDLE_TIMEOUT",
    "HTTP_FAILFAST_TIMEOUT",
    "HTTP_QUEUE_CAPACITY",
    "MAX_IN_FLIGHT",
    "MAX_IDLE_CONNS_PER_ENDPOINT",
    "SERVER_HTTP2_INITIAL_CONNECTION_WINDOW_SIZE",
    "SERVER_HTTP2_INITIAL_STREAM_WINDOW_SIZE",
    "SERVER_HTTP2_KEEP_ALIVE_INTERVAL",
    "SERVER_HTTP2_KEEP_ALIVE_TIMEOUT",
    "SERVER_HTTP2_MAX_CONCURRENT_STREAMS",
    "SERVER_HTTP2_MAX_FRAME_SIZE",
    "SERVER_HTTP2_MAX_HEADER_LIST_SIZE",
    "SERVER_HTTP2_MAX_PENDING_ACCEPT_RESET_STREAMS",
    "SERVER_HTTP2_MAX_SEND_BUF_SIZE",
    "TCP_FAILFAST_TIMEOUT",
    "TCP_LISTEN_BACKLOG",
    "TCP_QUEUE_CAPACITY",
];

const ONE: &[&str] = &[
    "CORES_MAX",
    "CORES_MAX_RATIO",
    "CORES_MIN",
    "DESTINATION_PROFILE_INITIAL_TIMEOUT",
    "DESTINATION_PROFILE_SUFFIXES",
    "HTTP2_INITIAL_CONNECTION_WINDOW_SIZE",
    "HTTP2_INITIAL_STREAM_WINDOW_SIZE",
    "IDENTITY_SERVER_ID",
    "IDENTITY_SERVER_NAME",
    "IDENTITY_SPIRE_SOCKET",
    "IDENTITY_SPIRE_WORKLOAD_API_ADDRESS",
    "INBOUND_GATEWAY_SUFFIXES",
    "INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION",
    "INBOUND_PORTS_REQUIRE_TLS",
    "INGRESS_MODE",
    "OUTBOUND_LISTEN_ADDR",
];

/// Settings that promise protection or a mode which this proxy does not have: to ignore them would be to lie.
const REFUSED: &[(&str, &str)] = &[
    ("IDENTITY_SPIRE_SOCKET", "identities from SPIRE are not supported"),
    ("IDENTITY_SPIRE_WORKLOAD_API_ADDRESS", "identities from SPIRE are not supported"),
    ("INGRESS_MODE", "ingress mode is not supported"),
    ("INBOUND_PORTS_REQUIRE_TLS", "is not supported; use a Server with an AuthorizationPolicy"),
];

/// Features of the peer that this proxy does not have: whoever asks for one is told, and served without.
const MISSING: &[&str] = &["INBOUND_GATEWAY_SUFFIXES"];

/// Accepts the names; returns those that ask for a feature which is missing.
pub(super) fn accept(env: &mut Reader) -> Vec<&'static str> {
    for name in ONE {
        env.accept(name);
    }
    for name in BOTH {
        env.accept(&format!("INBOUND_{name}"));
        env.accept(&format!("OUTBOUND_{name}"));
    }
    for (name, reason) in REFUSED {
        let off = env.text(name).is_none_or(|value| value.eq_ignore_ascii_case("false"));
        if !off {
            env.mistake(name, *reason);
        }
    }
    MISSING.iter().copied().filter(|name| env.text(name).is_some()).collect()
}
