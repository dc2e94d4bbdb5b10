//! Answers that the proxy gives itself: errors, injected failures, redirections.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hauberk_model::canonical::Ambiguous;
use hauberk_model::filters::Answer;
use hauberk_model::filters::cors::Header;
use hauberk_model::requirement::Unmet;
use hauberk_model::status::{Failure, GrpcCode};
use hauberk_model::story::{self, RequestId};
use hauberk_wire::h1::H1Error;
use hauberk_wire::{Edits, strip};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::body::{Body, Pump, Rescue};
use crate::exchange::Reply;
use crate::heads::ResponseMeta;
use crate::inbound::Denied;
use crate::meters::Ended;
use crate::recorder::Telling;
use crate::replay::Source;

/// Why a proxy answered in the application's place.
const PROXY_ERROR: &str = "l5d-proxy-error";
/// Asks the client to come anew, so that it may reach another replica.
const PROXY_CONNECTION: &str = "l5d-proxy-connection";

/// To whom the answer goes.
#[derive(Clone, Copy)]
pub(crate) struct Audience<'a> {
    /// Names the request, and is told how it ended.
    pub(crate) story: &'a Telling<'a>,
    /// gRPC clients understand only gRPC's own statuses.
    pub(crate) is_grpc: bool,
    /// Whether the client may be told more than the status.
    pub(crate) is_informed: bool,
}

/// An answer, before it is put into a protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Synthesised {
    failure: Failure,
    text: String,
    headers: Vec<Header>,
    /// In the words of another service.
    given: Option<Box<Given>>,
    /// When the client may come again.
    wait: Option<Duration>,
}

/// Headers and body that another service chose.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Given {
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl From<Failure> for Synthesised {
    fn from(failure: Failure) -> Self {
        Self { failure, text: failure.row().text.to_owned(), headers: Vec::new(), given: None, wait: None }
    }
}

impl From<Ambiguous> for Synthesised {
    fn from(error: Ambiguous) -> Self {
        Self::saying(Failure::AmbiguousPath, error.to_string())
    }
}

impl Synthesised {
    /// A failure with more to say than its row.
    pub(crate) fn saying(failure: Failure, text: impl Into<String>) -> Self {
        Self { failure, text: text.into(), headers: Vec::new(), given: None, wait: None }
    }

    /// A rate limit is used up; another request would be admitted in this time.
    pub(crate) fn limited(text: String, wait: Duration) -> Self {
        Self { wait: Some(wait), ..Self::saying(Failure::RateLimited, text) }
    }

    /// No authorization admits the request, for this reason.
    pub(crate) fn denied(reason: Unmet) -> Self {
        let failure = if reason.wants_token() { Failure::Unauthenticated } else { Failure::Unauthorized };
        let mut answer = Self::saying(failure, format!("{}: {}", failure.row().text, reason.code()));
        if reason.wants_token() {
            // RFC 6750 §3: a request without a token is told of no error.
            let challenge = match reason {
                Unmet::Token(error) => {
                    format!("Bearer error=\"invalid_token\", error_description=\"{error}\"")
                }
                Unmet::NoToken
                | Unmet::Client
                | Unmet::Header
                | Unmet::Claims
                | Unmet::Unanswered
                | Unmet::Refused => "Bearer".to_owned(),
            };
            answer.headers.push(("www-authenticate", challenge));
        }
        answer
    }

    /// Another service denies the request, and says how. `is_head`: the answer may have no body.
    pub(crate) fn refuted(denied: Denied, is_head: bool) -> Self {
        let Denied { status, headers, body } = denied;
        let failure = Failure::Refuted(status);
        let body = if is_head { Bytes::new() } else { Bytes::from(body) };
        Self {
            given: Some(Box::new(Given { headers, body })),
            ..Self::saying(failure, format!("{}: {}", failure.row().text, Unmet::Refused.code()))
        }
    }

    pub(crate) fn of_filter(answer: Answer) -> Self {
        match answer {
            Answer::HttpFailure { status, message } => Self::saying(Failure::InjectedHttp(status), &*message),
            Answer::GrpcFailure { code, message } => Self::saying(Failure::InjectedGrpc(code), &*message),
            Answer::Redirect { status, location } => {
                Self { headers: vec![("location", location)], ..Self::from(Failure::Redirected(status)) }
            }
            Answer::Preflight(headers) => Self { headers, ..Self::from(Failure::Preflight) },
            Answer::Misconfigured(reason) => Self::saying(Failure::InvalidPolicy, &*reason),
        }
    }

    /// The same words, under another code.
    pub(crate) fn counted_as(self, failure: Failure) -> Self {
        Self { failure, ..self }
    }

    pub(crate) fn failure(&self) -> Failure {
        self.failure
    }
}

/// Answers, and waits until the answer is on its way.
pub(crate) async fn synthesise(reply: Reply, answer: &Synthesised, to: Audience<'_>) -> Ended {
    // Boxed: requests that are forwarded need not carry the room for it.
    Box::pin(answer_with(reply, answer, to)).await
}

async fn answer_with(reply: Reply, answer: &Synthesised, to: Audience<'_>) -> Ended {
    let row = answer.failure.row();
    to.story.fails(answer.failure);
    let mut response = http::Response::new(());
    let status = if to.is_grpc { 200 } else { row.http };
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if to.is_grpc {
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from(row.grpc));
        if let Ok(text) = HeaderValue::from_str(&percent_encoded(&answer.text)) {
            headers.insert("grpc-message", text);
        }
        if let Some(wait) = answer.wait {
            // gRFC A6.
            let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            headers.insert("grpc-retry-pushback-ms", HeaderValue::from(ms.max(1)));
        }
    } else {
        if let Some(wait) = answer.wait {
            // Whole seconds are all that the field can say (RFC 9110 §10.2.3).
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().saturating_add(1)));
        }
        for (name, value) in &answer.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().append(*name, value);
            }
        }
    }
    let given = answer.given.as_deref().filter(|_| !to.is_grpc);
    let body = given.map(|given| given.body.clone()).filter(|body| !body.is_empty());
    if let Some(given) = given {
        let headers = response.headers_mut();
        headers.extend(given.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(given.body.len()));
    }
    let text = header_text(&answer.text);
    let id = to.story.id.digits();
    let code = answer.failure.explained().code.as_bytes();
    let own = [
        (PROXY_ERROR, text.as_bytes()),
        (story::ERROR, code),
        (story::REQUEST_ID, &id),
        (PROXY_CONNECTION, &b"close"[..]),
    ];
    let said = match (to.is_informed, row.closes) {
        (false, _) => 0,
        (true, false) => 3,
        (true, true) => 4,
    };
    let strip = strip::RESPONSE_FROM_STRANGER;
    let edits =
        Edits { own: own.get(..said).unwrap_or_default(), own_is_sound: false, ..Edits::strip(&strip) };
    let grpc_status = to.is_grpc.then_some(row.grpc);
    let complete = match reply.head(ResponseMeta::of(response), &edits, body.is_none()) {
        Ok(sink) => {
            let body = body.map_or(Body::Empty, |body| Source::whole(body).replay());
            let mut pump = Pump::new(body, sink);
            std::future::poll_fn(|cx| pump.poll(cx)).await.is_ok()
        }
        Err(_) => false,
    };
    Ended { status, grpc_status, complete }
}

/// The trailers that end a gRPC response whose server failed midway.
pub(crate) fn grpc_trailers(why: Rescue) -> HeaderMap {
    let (code, text) = match why {
        Rescue::Broken => (GrpcCode::Unavailable, "the connection broke within the response"),
        Rescue::TimedOut => (GrpcCode::DeadlineExceeded, "the response did not end in time"),
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(code as u16));
    trailers.insert("grpc-message", HeaderValue::from_static(text));
    trailers
}

/// What a malformed head is called.
pub(crate) fn failure_of_head(error: H1Error) -> Failure {
    if error.status() == Failure::HeadTooLarge.row().http {
        Failure::HeadTooLarge
    } else {
        Failure::BadRequest
    }
}

/// Answers what is no HTTP/1 request, on its connection.
pub(crate) fn malformed(error: H1Error, id: RequestId, out: &mut BytesMut) {
    let code = failure_of_head(error).explained().code;
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let reason = status.canonical_reason().unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n{PROXY_ERROR}: {error}\r\n\
         {}: {code}\r\n{}: {id}\r\n\r\n",
        status.as_u16(),
        story::ERROR,
        story::REQUEST_ID,
    );
    out.extend_from_slice(head.as_bytes());
}

/// Text that a header may hold.
fn header_text(text: &str) -> String {
    text.trim().chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}

/// `grpc-message` (gRPC over HTTP2, "Percent-Encoded").
fn percent_encoded(text: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grpc_message_is_percent_encoded() {
        assert_eq!(percent_encoded("100% größer"), "100%25 gr%C3%B6%C3%9Fer");
    }

    #[test]
    fn a_refused_head_is_answered_and_the_connection_ends() {
        let mut out = BytesMut::new();
        malformed(H1Error::HeadTooLarge, RequestId(0xab), &mut out);
        let text = std::str::from_utf8(&out).unwrap();
        assert!(text.starts_with("HTTP/1.1 431 "));
        assert!(text.contains("Connection: close\r\n"));
        assert!(
            text.contains("\r\nhauberk-error: head-too-large\r\nhauberk-request-id: 00000000000000ab\r\n")
        );
        assert!(text.ends_with("\r\n\r\n"));
    }
}
