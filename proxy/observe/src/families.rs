//! The families that this proxy exposes. Names and labels are those of Linkerd 2.20, which users' dashboards
//! query (INTERFACE of the project, metrics); `hauberk_*` is what Linkerd does not have.
//!
//! The doc comment of each names its labels. `target_*` stands for `target_addr`, `target_ip` and
//! `target_port`; `srv_*`, `route_*`, `authz_*`, `parent_*` and `backend_*` for the parts of an object's name.

pub mod balancer;
pub mod frames;

use crate::family::{
    BACKEND_RESPONSE_BOUNDS, CounterFamily, GaugeFamily, HistogramFamily, ROUTE_REQUEST_BOUNDS,
};

/// Labels: `direction`, `authority`, `target_addr`, `target_ip`, `target_port`, `tls`, `no_tls_reason`,
/// `client_id` or `server_id`, and inbound `srv_*`, `route_*`, `authz_*`, outbound `dst_*`.
pub static REQUEST_TOTAL: CounterFamily =
    CounterFamily { name: "request_total", help: "Total count of HTTP requests." };

/// Labels: `direction`, `authority`, `target_addr`, `target_ip`, `target_port`, `tls`, `no_tls_reason`,
/// `client_id` or `server_id`, and inbound `srv_*`, `route_*`, `authz_*`, outbound `dst_*`, `status_code`,
/// `classification`, `grpc_status`, `error`.
pub static RESPONSE_TOTAL: CounterFamily =
    CounterFamily { name: "response_total", help: "Total count of HTTP responses." };

/// Labels: `direction`, `authority`, `target_addr`, `target_ip`, `target_port`, `tls`, `no_tls_reason`,
/// `client_id` or `server_id`, and inbound `srv_*`, `route_*`, `authz_*`, outbound `dst_*`, `status_code`.
pub static RESPONSE_LATENCY_MS: HistogramFamily = HistogramFamily::latency_ms(
    "response_latency_ms",
    "Elapsed times between a request's headers being received and its response stream completing.",
);

/// Labels: `direction`, `dst`, `rt_route`. Of the routes of ServiceProfiles.
pub static ROUTE_REQUEST_TOTAL: CounterFamily =
    CounterFamily { name: "route_request_total", help: "Total count of HTTP requests of a route." };

/// Labels: `direction`, `dst`, `rt_route`, `status_code`, `classification`, `grpc_status`.
pub static ROUTE_RESPONSE_TOTAL: CounterFamily =
    CounterFamily { name: "route_response_total", help: "Total count of HTTP responses of a route." };

/// Labels: `direction`, `dst`, `rt_route`, `status_code`.
pub static ROUTE_RESPONSE_LATENCY_MS: HistogramFamily = HistogramFamily::latency_ms(
    "route_response_latency_ms",
    "Elapsed times between a request's headers being received and its response stream completing, by route.",
);

/// Labels: `direction`, `dst`, `rt_route`. Retries are requests of their own.
pub static ROUTE_ACTUAL_REQUEST_TOTAL: CounterFamily = CounterFamily {
    name: "route_actual_request_total",
    help: "Total count of HTTP requests sent for a route, retries included.",
};

/// Labels: `direction`, `dst`, `rt_route`, `status_code`, `classification`, `grpc_status`.
pub static ROUTE_ACTUAL_RESPONSE_TOTAL: CounterFamily = CounterFamily {
    name: "route_actual_response_total",
    help: "Total count of HTTP responses received for a route, retries included.",
};

/// Labels: `direction`, `dst`, `rt_route`, `status_code`.
pub static ROUTE_ACTUAL_RESPONSE_LATENCY_MS: HistogramFamily = HistogramFamily::latency_ms(
    "route_actual_response_latency_ms",
    "Elapsed times between a request being sent for a route and its response's headers.",
);

/// Labels: `direction`, `peer`, `target_addr`, `target_ip`, `target_port`, `tls`, `no_tls_reason`,
/// `client_id` or `server_id`, inbound `srv_*`, outbound `dst_*`.
pub static TCP_OPEN_TOTAL: CounterFamily =
    CounterFamily { name: "tcp_open_total", help: "Total count of opened connections." };

/// Labels: `direction`, `peer`, `target_addr`, `target_ip`, `target_port`, `tls`, `no_tls_reason`,
/// `client_id` or `server_id`, inbound `srv_*`, outbound `dst_*`, `errno`.
pub static TCP_CLOSE_TOTAL: CounterFamily =
    CounterFamily { name: "tcp_close_total", help: "Total count of closed connections." };

/// Labels: `direction`, `peer`, `target_addr`, `target_ip`, `target_port`, `tls`, `no_tls_reason`,
/// `client_id` or `server_id`, inbound `srv_*`, outbound `dst_*`.
pub static TCP_OPEN_CONNECTIONS: GaugeFamily =
    GaugeFamily { name: "tcp_open_connections", help: "Number of currently-open connections." };

/// Labels: `direction`, `peer`, `target_addr`, `target_ip`, `target_port`, `tls`, `no_tls_reason`,
/// `client_id` or `server_id`, inbound `srv_*`, outbound `dst_*`.
pub static TCP_READ_BYTES_TOTAL: CounterFamily =
    CounterFamily { name: "tcp_read_bytes_total", help: "Total count of bytes read from peers." };

/// Labels: `direction`, `peer`, `target_addr`, `target_ip`, `target_port`, `tls`, `no_tls_reason`,
/// `client_id` or `server_id`, inbound `srv_*`, outbound `dst_*`.
pub static TCP_WRITE_BYTES_TOTAL: CounterFamily =
    CounterFamily { name: "tcp_write_bytes_total", help: "Total count of bytes written to peers." };

/// Labels: `target_addr`, `target_ip`, `target_port`, `srv_*`, `route_*`, `tls`, `client_id`, `authz_*`.
pub static INBOUND_HTTP_AUTHZ_ALLOW_TOTAL: CounterFamily = CounterFamily {
    name: "inbound_http_authz_allow_total",
    help: "The total number of inbound HTTP requests that were authorized.",
};

/// Labels: `target_addr`, `target_ip`, `target_port`, `srv_*`, `route_*`, `tls`, `client_id`.
pub static INBOUND_HTTP_AUTHZ_DENY_TOTAL: CounterFamily = CounterFamily {
    name: "inbound_http_authz_deny_total",
    help: "The total number of inbound HTTP requests that could not be processed due to being deny by policy.",
};

/// Requests that an audit admits and everything else would deny. Labels: `target_addr`, `target_ip`, `target_port`,
/// `srv_*`, `route_*`, `tls`, `client_id`, `reason`.
pub static HAUBERK_INBOUND_HTTP_AUTHZ_AUDIT_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_inbound_http_authz_audit_total",
    help: "Inbound HTTP requests that were admitted by an audit and would otherwise have been denied.",
};

/// Why requests were denied. Labels: `target_addr`, `target_ip`, `target_port`, `srv_*`, `route_*`, `tls`, `client_id`,
/// `reason`.
pub static HAUBERK_INBOUND_HTTP_AUTHZ_DENIALS_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_inbound_http_authz_denials_total",
    help: "Inbound HTTP requests that were denied, by reason.",
};

/// Connections that an audit admits and everything else would deny. Labels: `target_addr`, `target_ip`, `target_port`,
/// `srv_*`, `tls`, `client_id`.
pub static HAUBERK_INBOUND_TCP_AUTHZ_AUDIT_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_inbound_tcp_authz_audit_total",
    help: "Inbound TCP connections that were admitted by an audit and would otherwise have been denied.",
};

/// Tokens that were looked at. Labels: `policy`, `result` (`verified`, `cached`, or the code of what is wrong).
pub static HAUBERK_INBOUND_TOKENS_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_inbound_tokens_total",
    help: "JSON Web Tokens that were judged, by result.",
};

/// How long questions to external authorization took. Labels: `policy`.
pub static HAUBERK_INBOUND_EXTERNAL_AUTHZ_DURATION_SECONDS: HistogramFamily = HistogramFamily::seconds(
    "hauberk_inbound_external_authz_duration_seconds",
    "Time until external authorization answered or was given up.",
    ROUTE_REQUEST_BOUNDS,
);

/// Questions to external authorization. Labels: `policy`, `result` (`allowed`, `denied`, `failed`, `cached`).
pub static HAUBERK_INBOUND_EXTERNAL_AUTHZ_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_inbound_external_authz_total",
    help: "Decisions of external authorization, by result.",
};

/// Labels: `target_addr`, `target_ip`, `target_port`, `srv_*`, `tls`, `client_id`.
pub static INBOUND_HTTP_ROUTE_NOT_FOUND_TOTAL: CounterFamily = CounterFamily {
    name: "inbound_http_route_not_found_total",
    help: "The total number of inbound HTTP requests that could not be associated with a route.",
};

/// Labels: `target_addr`, `target_ip`, `target_port`, `srv_*`, `route_*`, `tls`, `client_id`,
/// `ratelimit_{group,kind,name}`, `scope`.
pub static INBOUND_HTTP_LOCAL_RATELIMIT_TOTAL: CounterFamily = CounterFamily {
    name: "inbound_http_local_ratelimit_total",
    help: "The total number of inbound HTTP requests that could not be processed due to being rate limited.",
};

/// Labels: `target_addr`, `target_ip`, `target_port`, `srv_*`, `tls`, `client_id`, `authz_*`.
pub static INBOUND_TCP_AUTHZ_ALLOW_TOTAL: CounterFamily = CounterFamily {
    name: "inbound_tcp_authz_allow_total",
    help: "The total number of inbound TCP connections that were authorized.",
};

/// Labels: `target_addr`, `target_ip`, `target_port`, `srv_*`, `tls`, `client_id`.
pub static INBOUND_TCP_AUTHZ_DENY_TOTAL: CounterFamily = CounterFamily {
    name: "inbound_tcp_authz_deny_total",
    help: "The total number of inbound TCP connections that were denied.",
};

/// Labels: `target_addr`, `target_ip`, `target_port`, `srv_*`, `tls`, `client_id`.
pub static INBOUND_TCP_AUTHZ_TERMINATE_TOTAL: CounterFamily = CounterFamily {
    name: "inbound_tcp_authz_terminate_total",
    help: "The total number of inbound TCP connections that were terminated due to an authorization change.",
};

/// Labels: `error`, `target_addr`, `target_ip`, `target_port`.
pub static INBOUND_HTTP_ERRORS_TOTAL: CounterFamily = CounterFamily {
    name: "inbound_http_errors_total",
    help: "The total number of inbound HTTP requests that could not be processed due to a proxy error.",
};

/// Labels: `error`, `target_addr`, `target_ip`, `target_port`.
pub static INBOUND_TCP_ERRORS_TOTAL: CounterFamily = CounterFamily {
    name: "inbound_tcp_errors_total",
    help: "The total number of inbound TCP connections that could not be processed due to a proxy error.",
};

/// Labels: `error`.
pub static OUTBOUND_HTTP_ERRORS_TOTAL: CounterFamily = CounterFamily {
    name: "outbound_http_errors_total",
    help: "The total number of outbound HTTP requests that could not be processed due to a proxy error.",
};

/// Labels: `error`.
pub static OUTBOUND_TCP_ERRORS_TOTAL: CounterFamily = CounterFamily {
    name: "outbound_tcp_errors_total",
    help: "The total number of outbound TCP connections that could not be processed due to a proxy error.",
};

/// Labels: `parent_*`, `route_*`, `backend_*`.
pub static OUTBOUND_HTTP_ROUTE_BACKEND_REQUESTS_TOTAL: CounterFamily = CounterFamily {
    name: "outbound_http_route_backend_requests_total",
    help: "The total number of HTTP requests dispatched to route-backends.",
};

/// Labels: `parent_*`, `route_*`, `backend_*`, `http_status`, `error`.
pub static OUTBOUND_HTTP_ROUTE_BACKEND_RESPONSE_STATUSES_TOTAL: CounterFamily = CounterFamily {
    name: "outbound_http_route_backend_response_statuses_total",
    help: "Completed responses of route-backends, by HTTP status.",
};

/// Labels: `parent_*`, `route_*`, `backend_*`.
pub static OUTBOUND_HTTP_ROUTE_BACKEND_RESPONSE_DURATION_SECONDS: HistogramFamily = HistogramFamily::seconds(
    "outbound_http_route_backend_response_duration_seconds",
    "The time between request completion and response completion.",
    BACKEND_RESPONSE_BOUNDS,
);

/// Labels: `parent_*`, `route_*`, `hostname`, `http_status`, `error`.
pub static OUTBOUND_HTTP_ROUTE_REQUEST_STATUSES_TOTAL: CounterFamily = CounterFamily {
    name: "outbound_http_route_request_statuses_total",
    help: "Completed request-response streams, by HTTP status.",
};

/// Labels: `parent_*`, `route_*`, `hostname`.
pub static OUTBOUND_HTTP_ROUTE_REQUEST_DURATION_SECONDS: HistogramFamily = HistogramFamily::seconds(
    "outbound_http_route_request_duration_seconds",
    "The time between request initialization and response completion.",
    ROUTE_REQUEST_BOUNDS,
);

/// Labels: `parent_*`, `route_*`.
pub static OUTBOUND_HTTP_ROUTE_RETRY_REQUESTS_TOTAL: CounterFamily =
    CounterFamily { name: "outbound_http_route_retry_requests_total", help: "Retry requests emitted." };

/// Labels: `parent_*`, `route_*`.
pub static OUTBOUND_HTTP_ROUTE_RETRY_SUCCESSES_TOTAL: CounterFamily = CounterFamily {
    name: "outbound_http_route_retry_successes_total",
    help: "Successful responses to retry requests.",
};

/// Labels: `parent_*`, `route_*`.
pub static OUTBOUND_HTTP_ROUTE_RETRY_LIMIT_EXCEEDED_TOTAL: CounterFamily = CounterFamily {
    name: "outbound_http_route_retry_limit_exceeded_total",
    help: "Retryable requests not retried because the retry limit was reached.",
};

/// Labels: `parent_*`, `route_*`.
pub static OUTBOUND_HTTP_ROUTE_RETRY_OVERFLOW_TOTAL: CounterFamily = CounterFamily {
    name: "outbound_http_route_retry_overflow_total",
    help: "Retryable requests not retried because the retry budget was exhausted.",
};

/// Labels: `parent_*`, `route_*`, `backend_*`.
pub static OUTBOUND_GRPC_ROUTE_BACKEND_REQUESTS_TOTAL: CounterFamily = CounterFamily {
    name: "outbound_grpc_route_backend_requests_total",
    help: "The total number of gRPC requests dispatched to route-backends.",
};

/// Labels: `parent_*`, `route_*`, `backend_*`, `grpc_status`, `error`.
pub static OUTBOUND_GRPC_ROUTE_BACKEND_RESPONSE_STATUSES_TOTAL: CounterFamily = CounterFamily {
    name: "outbound_grpc_route_backend_response_statuses_total",
    help: "Completed responses of route-backends, by gRPC status.",
};

/// Labels: `parent_*`, `route_*`, `backend_*`.
pub static OUTBOUND_GRPC_ROUTE_BACKEND_RESPONSE_DURATION_SECONDS: HistogramFamily = HistogramFamily::seconds(
    "outbound_grpc_route_backend_response_duration_seconds",
    "The time between request completion and response completion.",
    BACKEND_RESPONSE_BOUNDS,
);

/// Labels: `parent_*`, `route_*`, `hostname`, `grpc_status`, `error`.
pub static OUTBOUND_GRPC_ROUTE_REQUEST_STATUSES_TOTAL: CounterFamily = CounterFamily {
    name: "outbound_grpc_route_request_statuses_total",
    help: "Completed request-response streams, by gRPC status.",
};

/// Labels: `parent_*`, `route_*`, `hostname`.
pub static OUTBOUND_GRPC_ROUTE_REQUEST_DURATION_SECONDS: HistogramFamily = HistogramFamily::seconds(
    "outbound_grpc_route_request_duration_seconds",
    "The time between request initialization and response completion.",
    ROUTE_REQUEST_BOUNDS,
);

/// Labels: `parent_*`, `route_*`.
pub static OUTBOUND_GRPC_ROUTE_RETRY_REQUESTS_TOTAL: CounterFamily =
    CounterFamily { name: "outbound_grpc_route_retry_requests_total", help: "Retry requests emitted." };

/// Labels: `parent_*`, `route_*`.
pub static OUTBOUND_GRPC_ROUTE_RETRY_SUCCESSES_TOTAL: CounterFamily = CounterFamily {
    name: "outbound_grpc_route_retry_successes_total",
    help: "Successful responses to retry requests.",
};

/// Labels: `parent_*`, `route_*`.
pub static OUTBOUND_GRPC_ROUTE_RETRY_LIMIT_EXCEEDED_TOTAL: CounterFamily = CounterFamily {
    name: "outbound_grpc_route_retry_limit_exceeded_total",
    help: "Retryable requests not retried because the retry limit was reached.",
};

/// Labels: `parent_*`, `route_*`.
pub static OUTBOUND_GRPC_ROUTE_RETRY_OVERFLOW_TOTAL: CounterFamily = CounterFamily {
    name: "outbound_grpc_route_retry_overflow_total",
    help: "Retryable requests not retried because the retry budget was exhausted.",
};

/// Labels: `parent_*`, `route_*`.
pub static HAUBERK_ROUTE_HEDGE_REQUESTS_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_route_hedge_requests_total",
    help: "Attempts made beside one that was not answered.",
};

/// Labels: `parent_*`, `route_*`.
pub static HAUBERK_ROUTE_HEDGE_WINS_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_route_hedge_wins_total",
    help: "Requests answered by an attempt beside the first.",
};

/// Labels: `limit` (`connections`, `pending` or `requests`), `backend_*`.
pub static HAUBERK_SERVICE_LIMIT_REACHED_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_service_limit_reached_total",
    help: "Requests and connections refused because a service takes no more.",
};

/// Labels: `backend_*`.
pub static HAUBERK_BALANCER_ZONE_OVERFLOW_PERCENT: GaugeFamily = GaugeFamily {
    name: "hauberk_balancer_zone_overflow_percent",
    help: "The share of requests that endpoints of other zones take.",
};

/// Labels: `parent_*`, `route_*`.
pub static OUTBOUND_TCP_ROUTE_OPEN_TOTAL: CounterFamily =
    CounterFamily { name: "outbound_tcp_route_open_total", help: "Connections given to TCP routes." };

/// Labels: `parent_*`, `route_*`, `error`.
pub static OUTBOUND_TCP_ROUTE_CLOSE_TOTAL: CounterFamily = CounterFamily {
    name: "outbound_tcp_route_close_total",
    help: "Connections of TCP routes that have ended, or were refused by them.",
};

/// Labels: `parent_*`, `route_*`, `hostname`.
pub static OUTBOUND_TLS_ROUTE_OPEN_TOTAL: CounterFamily =
    CounterFamily { name: "outbound_tls_route_open_total", help: "Connections given to TLS routes." };

/// Labels: `parent_*`, `route_*`, `hostname`, `error`.
pub static OUTBOUND_TLS_ROUTE_CLOSE_TOTAL: CounterFamily = CounterFamily {
    name: "outbound_tls_route_close_total",
    help: "Connections of TLS routes that have ended, or were refused by them.",
};

/// Labels: `parent_*`, `route_*`.
pub static INBOUND_HTTP_REQUESTS_TOTAL: CounterFamily =
    CounterFamily { name: "inbound_http_requests_total", help: "The total number of inbound HTTP requests." };

/// Labels: `parent_*`, `route_*`, `http_status`, `error`.
pub static INBOUND_HTTP_STATUSES_TOTAL: CounterFamily = CounterFamily {
    name: "inbound_http_statuses_total",
    help: "Completed inbound responses, by HTTP status.",
};

/// Labels: `parent_*`, `route_*`.
pub static INBOUND_HTTP_REQUEST_DURATION_SECONDS: HistogramFamily = HistogramFamily::seconds(
    "inbound_http_request_duration_seconds",
    "The time between request initialization and response completion.",
    ROUTE_REQUEST_BOUNDS,
);

/// Labels: `parent_*`, `route_*`.
pub static INBOUND_GRPC_REQUESTS_TOTAL: CounterFamily =
    CounterFamily { name: "inbound_grpc_requests_total", help: "The total number of inbound gRPC requests." };

/// Labels: `parent_*`, `route_*`, `grpc_status`, `error`.
pub static INBOUND_GRPC_STATUSES_TOTAL: CounterFamily = CounterFamily {
    name: "inbound_grpc_statuses_total",
    help: "Completed inbound responses, by gRPC status.",
};

/// Labels: `parent_*`, `route_*`.
pub static INBOUND_GRPC_REQUEST_DURATION_SECONDS: HistogramFamily = HistogramFamily::seconds(
    "inbound_grpc_request_duration_seconds",
    "The time between request initialization and response completion.",
    ROUTE_REQUEST_BOUNDS,
);

/// Labels: `result` (`http/1`, `http/2`, `not_http`, `read_timeout`, `error`), `srv_*`, `target_*`.
pub static INBOUND_TCP_DETECT_HTTP_RESULTS_TOTAL: CounterFamily = CounterFamily {
    name: "inbound_tcp_detect_http_results_total",
    help: "Results of inbound protocol detection.",
};

/// Labels: `result` (`http/1`, `http/2`, `not_http`, `read_timeout`, `error`), `parent_*`.
pub static OUTBOUND_TCP_DETECT_HTTP_RESULTS_TOTAL: CounterFamily = CounterFamily {
    name: "outbound_tcp_detect_http_results_total",
    help: "Results of outbound protocol detection.",
};

/// Labels: `protocol` (`http/1`, `http/2`, `tls`, `opaque`, `unknown`), `parent_*`.
pub static OUTBOUND_TCP_PROTOCOL_CONNECTIONS_TOTAL: CounterFamily = CounterFamily {
    name: "outbound_tcp_protocol_connections_total",
    help: "Connections of the application, by the protocol that was configured or detected.",
};

/// Labels: `session_protocol`, `target_port`, `target_name`, `client_id`.
pub static INBOUND_TCP_TRANSPORT_HEADER_CONNECTIONS_TOTAL: CounterFamily = CounterFamily {
    name: "inbound_tcp_transport_header_connections_total",
    help: "TCP connections with transport headers.",
};

/// Labels: none.
pub static IDENTITY_CERT_EXPIRATION_TIMESTAMP_SECONDS: GaugeFamily = GaugeFamily {
    name: "identity_cert_expiration_timestamp_seconds",
    help: "Time when this proxy's current mTLS identity certificate will expire (in seconds since the UNIX epoch).",
};

/// Labels: none.
pub static IDENTITY_CERT_REFRESH_TIMESTAMP_SECONDS: GaugeFamily = GaugeFamily {
    name: "identity_cert_refresh_timestamp_seconds",
    help: "Time when this proxy's mTLS identity certificate was last refreshed (in seconds since the UNIX epoch).",
};

/// Labels: `result` (`success`, `failure`).
pub static IDENTITY_CERT_REFRESHES_TOTAL: CounterFamily = CounterFamily {
    name: "identity_cert_refreshes_total",
    help: "The total number of times this proxy's mTLS identity certificate was to be refreshed, by result.",
};

/// Labels: none; the name that Linkerd's documents use.
pub static IDENTITY_CERT_REFRESH_COUNT: CounterFamily = CounterFamily {
    name: "identity_cert_refresh_count",
    help: "The total number of times this proxy's mTLS identity certificate has been refreshed by the Identity service.",
};

/// Labels: `addr`, `tls`, `no_tls_reason`, `server_id`.
pub static CONTROL_REQUEST_TOTAL: CounterFamily =
    CounterFamily { name: "control_request_total", help: "Total count of requests to the control plane." };

/// Labels: `addr`, `tls`, `no_tls_reason`, `server_id`, `status_code`, `classification`, `grpc_status`,
/// `error`.
pub static CONTROL_RESPONSE_TOTAL: CounterFamily =
    CounterFamily { name: "control_response_total", help: "Total count of responses of the control plane." };

/// Labels: `addr`, `tls`, `no_tls_reason`, `server_id`, `status_code`.
pub static CONTROL_RESPONSE_LATENCY_MS: HistogramFamily = HistogramFamily::latency_ms(
    "control_response_latency_ms",
    "Elapsed times between a control-plane request and the headers of its response.",
);

/// Labels: `client` (`destination`, `identity`, `policy`, `trace-collector`), `record_type`, `result` (`ok`, `error`).
pub static CONTROL_DNS_RESOLUTIONS_TOTAL: CounterFamily = CounterFamily {
    name: "control_dns_resolutions_total",
    help: "Names of the control plane's services that were looked up, by result.",
};

/// Labels: `version`, `git_sha`, `profile`, `vendor`, `date`; always 1.
pub static PROXY_BUILD_INFO: GaugeFamily =
    GaugeFamily { name: "proxy_build_info", help: "Proxy build info." };

/// Labels: `tls_suites`, `tls_kx_groups`, `tls_rand`, `tls_key_provider`, `tls_fips`; always 1.
pub static RUSTLS_INFO: GaugeFamily = GaugeFamily { name: "rustls_info", help: "Proxy TLS info." };

/// Labels: `module`, `version`, `approved`; always 1. Ours.
pub static HAUBERK_CRYPTO_MODULE_INFO: GaugeFamily = GaugeFamily {
    name: "hauberk_crypto_module_info",
    help: "The cryptographic module, and whether it has shown itself to be in approved mode.",
};

/// Labels: none.
pub static PROCESS_START_TIME_SECONDS: GaugeFamily = GaugeFamily {
    name: "process_start_time_seconds",
    help: "Time that the process started (in seconds since the UNIX epoch).",
};

/// Labels: none.
pub static PROCESS_UPTIME_SECONDS_TOTAL: CounterFamily = CounterFamily {
    name: "process_uptime_seconds_total",
    help: "Total time since the process started (in seconds).",
};

/// Labels: none.
pub static PROCESS_CPU_SECONDS_TOTAL: CounterFamily = CounterFamily {
    name: "process_cpu_seconds_total",
    help: "Total user and system CPU time spent in seconds.",
};

/// Labels: none.
pub static PROCESS_OPEN_FDS: GaugeFamily =
    GaugeFamily { name: "process_open_fds", help: "Number of open file descriptors." };

/// Labels: none.
pub static PROCESS_MAX_FDS: GaugeFamily =
    GaugeFamily { name: "process_max_fds", help: "Maximum number of open file descriptors." };

/// Labels: none.
pub static PROCESS_VIRTUAL_MEMORY_BYTES: GaugeFamily =
    GaugeFamily { name: "process_virtual_memory_bytes", help: "Virtual memory size in bytes." };

/// Labels: none.
pub static PROCESS_RESIDENT_MEMORY_BYTES: GaugeFamily =
    GaugeFamily { name: "process_resident_memory_bytes", help: "Resident memory size in bytes." };

/// Labels: none.
pub static PROCESS_THREADS: GaugeFamily =
    GaugeFamily { name: "process_threads", help: "Number of OS threads in the process." };

/// Labels: `direction`, `client_id`, `server_id`, `tls_version`, `tls_cipher`, `tls_group`.
pub static HAUBERK_TLS_CONNECTIONS_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_tls_connections_total",
    help: "Mesh TLS connections established, with what was negotiated.",
};

/// Labels: `direction`, `client_id`, `server_id`, `tls_version`, `tls_cipher`, `tls_group`.
pub static HAUBERK_TLS_OPEN_CONNECTIONS: GaugeFamily = GaugeFamily {
    name: "hauberk_tls_open_connections",
    help: "Mesh TLS connections open now, with what was negotiated.",
};

/// Labels: `kind` (`endpoints`, `outbound`, `inbound`), `target`.
pub static HAUBERK_DISCOVERY_AGE_SECONDS: GaugeFamily = GaugeFamily {
    name: "hauberk_discovery_age_seconds",
    help: "Time since the control plane last confirmed what is known of a target.",
};

/// Labels: `kind`.
pub static HAUBERK_DISCOVERY_CONNECTED: GaugeFamily = GaugeFamily {
    name: "hauberk_discovery_connected",
    help: "Whether a stream to the control plane is up (1) or answers are the last known ones (0).",
};

/// Labels: `reason` (`connection`, `timeout`, `consecutive_failures`, `success_rate`), `backend_*`.
pub static HAUBERK_ENDPOINT_EJECTIONS_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_endpoint_ejections_total",
    help: "Endpoints taken out of a balancer, by reason.",
};

/// Labels: `fault_namespace`, `fault_name`, `kind` (`delay`, `abort`).
pub static HAUBERK_FAULTS_INJECTED_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_faults_injected_total",
    help: "Requests delayed or failed by an HTTPFaultInjection.",
};

/// Labels: `parent_*`, `route_*`, `backend_*`, `outcome` (`sent`, `dropped`, `failed`).
pub static HAUBERK_MIRRORED_REQUESTS_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_mirrored_requests_total",
    help: "Copies of requests: answered, given up for being late or too many, or failed at their backend.",
};

/// Labels: none.
pub static HAUBERK_FLIGHT_RECORDER_LOST_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_flight_recorder_lost_total",
    help: "Open requests whose story was overwritten because too many were open.",
};

/// Labels: `parent_*`, `route_*`, `outcome` (`began`, `kept`, `lost`).
pub static HAUBERK_SESSION_REQUESTS_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_session_requests_total",
    help: "Requests of rules with sessions: the first of one, answered by its endpoint, or begun anew elsewhere.",
};

/// Labels: none.
pub static HAUBERK_ACCESS_LOG_LINES_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_access_log_lines_total",
    help: "Lines of the access log that were given to its writer.",
};

/// Labels: none.
pub static HAUBERK_ACCESS_LOG_DROPPED_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_access_log_dropped_total",
    help: "Lines of the access log that were dropped because its reader does not keep up.",
};

/// Labels: none.
pub static OPENTELEMETRY_SPAN_EXPORT_STREAMS: CounterFamily = CounterFamily {
    name: "opentelemetry_span_export_streams",
    help: "Connections to the trace collector over which spans were exported.",
};

/// Labels: none.
pub static OPENTELEMETRY_SPAN_EXPORT_REQUESTS: CounterFamily = CounterFamily {
    name: "opentelemetry_span_export_requests",
    help: "Requests to the trace collector that it answered.",
};

/// Labels: none.
pub static OPENTELEMETRY_SPAN_EXPORTS: CounterFamily =
    CounterFamily { name: "opentelemetry_span_exports", help: "Spans that the trace collector has taken." };

/// Labels: `reason` (`queue`, `export`, `rejected`).
pub static HAUBERK_SPANS_DROPPED_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_spans_dropped_total",
    help: "Spans that nobody will see: too many waited, they could not be exported, or the collector rejected them.",
};

/// Labels: `family`. Made by the registry itself.
pub static SERIES_REFUSED_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_metrics_series_refused_total",
    help: "Handles that were given an overflow series because their family was full.",
};
