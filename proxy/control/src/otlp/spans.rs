//! A span as OTLP says it, by the semantic conventions for HTTP and gRPC.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use hauberk_model::metadata::Metadata;
use hauberk_model::story::Side;
use hauberk_model::trace::Span;

use super::message as otlp;

/// Methods that are named; of others a client could make any number.
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
const OTHER: &str = "_OTHER";
/// gRPC codes by which its server failed, and not its client: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL,
/// UNAVAILABLE, DATA_LOSS.
const SERVER_FAILURES: [u16; 6] = [2, 4, 12, 13, 14, 15];
/// Flags of a span: sampled; the parent is known to be remote.
const SAMPLED: u32 = 0x001;
const REMOTE_PARENT: u32 = 0x300;

/// An attribute whose value is text.
#[must_use]
pub fn attribute(key: &str, text: impl Into<String>) -> otlp::KeyValue {
    with(key, otlp::Value::Text(text.into()))
}

fn number(key: &str, number: impl Into<i64>) -> otlp::KeyValue {
    with(key, otlp::Value::Number(number.into()))
}

fn with(key: &str, value: otlp::Value) -> otlp::KeyValue {
    otlp::KeyValue { key: key.to_owned(), value: Some(otlp::AnyValue { value: Some(value) }) }
}

/// The message of a span.
#[must_use]
pub fn encode(span: &Span) -> otlp::Span {
    let start = nanos(span.began);
    let end = start.saturating_add(u64::try_from(span.took.as_nanos()).unwrap_or(u64::MAX));
    otlp::Span {
        trace_id: span.trace.bytes().to_vec(),
        span_id: span.id.bytes().to_vec(),
        trace_state: span.trace_state.clone(),
        parent_span_id: span.parent.map(|parent| parent.bytes().to_vec()).unwrap_or_default(),
        name: name(span),
        kind: match span.side {
            Side::Outbound => otlp::SpanKind::Client,
            Side::Inbound => otlp::SpanKind::Server,
        }
        .into(),
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        attributes: attributes(span),
        status: error_type(span).map(|_| otlp::Status {
            message: span.failure.map(|failure| failure.explained().meaning.to_owned()).unwrap_or_default(),
            code: otlp::StatusCode::Error.into(),
        }),
        flags: SAMPLED | REMOTE_PARENT,
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The service and method of a call: `/package.Service/Method`.
fn rpc(span: &Span) -> Option<(&str, &str)> {
    let path = span.path.strip_prefix('/').filter(|_| span.is_grpc)?;
    path.split_once('/').filter(|(service, method)| !service.is_empty() && !method.contains('/'))
}

fn method(span: &Span) -> &str {
    if METHODS.contains(&span.method.as_str()) { &span.method } else { OTHER }
}

/// Of few values, whatever clients ask for; a call's name is the client's to choose, as in the conventions.
fn name(span: &Span) -> String {
    match (rpc(span), method(span)) {
        (Some((service, method)), _) => format!("{service}/{method}"),
        (None, OTHER) => "HTTP".to_owned(),
        (None, method) => method.to_owned(),
    }
}

fn attributes(span: &Span) -> Vec<otlp::KeyValue> {
    let mut all = Vec::with_capacity(24);
    all.push(attribute("http.request.method", method(span)));
    if method(span) == OTHER {
        all.push(attribute("http.request.method_original", &*span.method));
    }
    all.push(attribute("url.scheme", "http"));
    all.push(attribute("url.path", &*span.path));
    let (host, port) = host_and_port(&span.authority);
    if !host.is_empty() {
        all.push(attribute("server.address", host));
        all.push(number("server.port", port.unwrap_or(80)));
    }
    if span.status > 0 {
        all.push(number("http.response.status_code", span.status));
    }
    all.extend(error_type(span).map(|error| attribute("error.type", error)));
    all.push(attribute("network.protocol.name", "http"));
    all.push(attribute("network.protocol.version", if span.is_http1 { "1.1" } else { "2" }));
    all.push(attribute("network.transport", "tcp"));
    network(&mut all, span);
    if let Some((service, method)) = rpc(span) {
        all.push(attribute("rpc.system", "grpc"));
        all.push(attribute("rpc.service", service));
        all.push(attribute("rpc.method", method));
    }
    all.extend(span.grpc_status.map(|code| number("rpc.grpc.status_code", code)));
    if span.attempts > 1 {
        all.push(number("http.request.resend_count", span.attempts - 1));
    }
    ours(&mut all, span);
    all
}

/// Who is at the other end.
fn network(all: &mut Vec<otlp::KeyValue>, span: &Span) {
    let peer: SocketAddr = match span.side {
        Side::Outbound => span.server,
        Side::Inbound => span.client,
    };
    all.push(attribute("network.peer.address", peer.ip().to_string()));
    all.push(number("network.peer.port", peer.port()));
    if span.side == Side::Inbound {
        all.push(attribute("client.address", peer.ip().to_string()));
        all.push(attribute("network.local.address", span.server.ip().to_string()));
        all.push(number("network.local.port", span.server.port()));
    }
}

/// What only a mesh knows.
fn ours(all: &mut Vec<otlp::KeyValue>, span: &Span) {
    let direction = match span.side {
        Side::Outbound => "outbound",
        Side::Inbound => "inbound",
    };
    all.push(attribute("direction", direction));
    all.push(attribute("hauberk.request.id", span.request.to_string()));
    all.extend(span.peer.as_ref().map(|peer| attribute("hauberk.peer.identity", peer.as_str())));
    if let Some(place) = &span.place {
        all.push(attribute("hauberk.parent", object(&place.parent)));
        all.extend(place.route.as_ref().map(|route| attribute("hauberk.route", object(route))));
    }
    all.extend(span.backend.as_ref().map(|backend| attribute("hauberk.backend", object(backend))));
    all.extend(span.failure.map(|failure| attribute("hauberk.error", failure.explained().code)));
}

/// `Kind/namespace/name[:port]`.
fn object(of: &Metadata) -> String {
    match of {
        Metadata::Default(name) => format!("default/{name}"),
        Metadata::Resource(object) if object.port > 0 => {
            format!("{}/{}/{}:{}", object.kind, object.namespace, object.name, object.port)
        }
        Metadata::Resource(object) => format!("{}/{}/{}", object.kind, object.namespace, object.name),
    }
}

/// Why the span failed; `None`: it did not. A server did not fail by what its client did wrong.
fn error_type(span: &Span) -> Option<String> {
    if let Some(failure) = span.failure.filter(|_| span.status == 0 || span.status >= 400 || !span.complete) {
        return Some(failure.explained().code.to_owned());
    }
    let from = match span.side {
        Side::Outbound => 400,
        Side::Inbound => 500,
    };
    match span.grpc_status {
        Some(0) => None,
        Some(code) if span.side == Side::Inbound && !SERVER_FAILURES.contains(&code) => None,
        Some(code) => Some(code.to_string()),
        None if span.status >= from => Some(span.status.to_string()),
        None if !span.complete => Some("incomplete".to_owned()),
        None => None,
    }
}

fn host_and_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && (!host.contains(':') || host.ends_with(']')) => {
            (host, port.parse().ok())
        }
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use hauberk_model::metadata::Resource;
    use hauberk_model::status::Failure;
    use hauberk_model::story::{Place, RequestId};
    use hauberk_model::trace::{SpanId, TraceId};

    use super::*;

    fn span() -> Span {
        let service = Metadata::Resource(Arc::new(Resource {
            kind: Arc::from("Service"),
            namespace: Arc::from("shop"),
            name: Arc::from("web"),
            port: 80,
            ..Resource::default()
        }));
        Span {
            trace: TraceId::of(1, 2),
            id: SpanId::of(3),
            parent: SpanId::new(4),
            trace_state: "a=b".into(),
            side: Side::Outbound,
            began: UNIX_EPOCH + Duration::from_secs(10),
            took: Duration::from_millis(5),
            method: "GET".into(),
            authority: "web.shop:8080".into(),
            path: "/orders".into(),
            is_http1: true,
            is_grpc: false,
            client: SocketAddr::from(([10, 0, 0, 1], 1234)),
            server: SocketAddr::from(([10, 0, 0, 2], 80)),
            peer: None,
            place: Some(Arc::new(Place { parent: service.clone(), route: None })),
            backend: Some(service),
            attempts: 2,
            request: RequestId(5),
            status: 200,
            grpc_status: None,
            failure: None,
            complete: true,
        }
    }

    fn said(span: &Span, key: &str) -> Option<String> {
        let found = attributes(span).into_iter().find(|one| one.key == key)?;
        Some(match found.value?.value? {
            otlp::Value::Text(text) => text,
            otlp::Value::Flag(flag) => flag.to_string(),
            otlp::Value::Number(number) => number.to_string(),
        })
    }

    #[test]
    fn a_span_says_what_the_conventions_ask_for_and_what_the_mesh_knows() {
        let span = span();
        for (key, value) in [
            ("http.request.method", "GET"),
            ("url.path", "/orders"),
            ("server.address", "web.shop"),
            ("server.port", "8080"),
            ("http.response.status_code", "200"),
            ("network.peer.address", "10.0.0.2"),
            ("http.request.resend_count", "1"),
            ("hauberk.backend", "Service/shop/web:80"),
            ("hauberk.request.id", "0000000000000005"),
        ] {
            assert_eq!(said(&span, key).as_deref(), Some(value), "{key}");
        }
        let message = encode(&span);
        assert_eq!(message.end_time_unix_nano - message.start_time_unix_nano, 5_000_000);
        assert_eq!((message.name.as_str(), message.status), ("GET", None));
    }

    #[test]
    fn the_client_failed_by_4xx_and_the_server_did_not_and_a_proxys_own_answer_says_its_code() {
        let refused = Span { status: 404, ..span() };
        assert_eq!(error_type(&refused).as_deref(), Some("404"));
        assert_eq!(error_type(&Span { side: Side::Inbound, ..refused }), None);
        let own = Span { status: 504, failure: Some(Failure::FailFast), ..span() };
        assert_eq!(error_type(&own).as_deref(), Some("fail-fast"));
        let call = Span { grpc_status: Some(5), is_grpc: true, path: "/shop.Web/Get".into(), ..span() };
        assert_eq!((name(&call).as_str(), error_type(&call).as_deref()), ("shop.Web/Get", Some("5")));
        assert_eq!(error_type(&Span { side: Side::Inbound, ..call }), None);
    }

    #[test]
    fn no_client_chooses_the_name_of_a_span_by_its_method() {
        let odd = Span { method: "BREW".into(), ..span() };
        assert_eq!(name(&odd), "HTTP");
        assert_eq!(said(&odd, "http.request.method_original").as_deref(), Some("BREW"));
    }
}
