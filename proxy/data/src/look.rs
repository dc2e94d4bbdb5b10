//! What looks at a request besides the recorder, each only where it is switched on: the access log, taps and tracing.
//!
//! Off, all together cost a request two branches and one load. On, what they need of a head is copied when it is read,
//! since it will have been given away when the request ends.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hauberk_model::endpoint::{Endpoint, Labels};
use hauberk_model::identity::Identity;
use hauberk_model::matching::RequestView as _;
use hauberk_model::random::Random;
use hauberk_model::story::{RequestId, Side, Story};
use hauberk_model::tap::{Event, Facts, Headers, REDACTED, Tap, Taps, What};
use hauberk_model::trace::Propagated;
use hauberk_observe::access_log::{self, Format, Record};

use crate::heads::{RequestMeta, ResponseMeta};
use crate::meters::Ended;
use crate::tracing::{Traced, Tracing};

/// Takes lines of the access log. Must not block: a line that cannot be kept is dropped and counted there.
pub trait Lines {
    /// Takes one line, without its line feed.
    fn put(&self, line: String);
}

/// The access log of inbound requests.
pub struct AccessLog {
    /// How lines look.
    pub format: Format,
    /// Where they go.
    pub lines: Box<dyn Lines + Send>,
}

/// Everything that may look.
#[derive(Default)]
pub(crate) struct Lookers {
    pub(crate) access: Option<AccessLog>,
    pub(crate) taps: Taps,
    /// Header names that taps do not show, in lower case, besides [`REDACTED`].
    pub(crate) redacted: Vec<String>,
    pub(crate) tracing: Option<Tracing>,
}

/// One request that is looked at.
pub(crate) struct Look {
    pub(crate) client: SocketAddr,
    target: SocketAddr,
    pub(crate) peer: Option<Identity>,
    pub(crate) method: String,
    pub(crate) authority: String,
    path_and_query: String,
    entry: Option<Entry>,
    traced: Option<Traced>,
    /// Asked when the endpoint is known.
    candidates: Vec<Arc<Tap>>,
    taps: Vec<Arc<Tap>>,
    headers: Headers,
    endpoint: Option<Arc<Endpoint>>,
    answered: Option<Duration>,
    response_bytes: Option<u64>,
}

/// What only the access log says.
struct Entry {
    timestamp: SystemTime,
    version: &'static str,
    user_agent: String,
    referer: String,
    trace_id: String,
    request_bytes: Option<u64>,
    processing: Duration,
    status: Option<u16>,
}

impl Lookers {
    /// Begins to look at a request, if anybody wants to.
    pub(crate) fn look(
        &self,
        side: Side,
        head: &RequestMeta,
        peer: Option<&Identity>,
        (client, target): (SocketAddr, SocketAddr),
        random: &RefCell<Random>,
    ) -> Option<Box<Look>> {
        let logs = self.access.is_some() && side == Side::Inbound;
        let traced = match &self.tracing {
            None => None,
            Some(tracing) => tracing.begin(side, head, peer, random),
        };
        if !logs && traced.is_none() && !self.taps.any() {
            return None;
        }
        let candidates: Vec<_> = self.taps.all().into_iter().filter(|tap| !tap.is_spent()).collect();
        let wants_headers = candidates.iter().any(|tap| tap.headers);
        Some(Box::new(Look {
            client,
            target,
            peer: peer.cloned(),
            method: head.method().to_owned(),
            authority: head.authority().to_owned(),
            path_and_query: head.path_and_query().to_owned(),
            entry: logs.then(|| Entry::of(head)),
            traced,
            headers: if wants_headers { self.shown(head.fields()) } else { Vec::new() },
            candidates,
            taps: Vec::new(),
            endpoint: None,
            answered: None,
            response_bytes: None,
        }))
    }

    /// What taps may show of header fields.
    fn shown<'h>(&self, fields: impl Iterator<Item = (&'h str, &'h [u8])>) -> Headers {
        let is_secret = |name: &str| {
            REDACTED.iter().any(|secret| name.eq_ignore_ascii_case(secret))
                || self.redacted.iter().any(|secret| name.eq_ignore_ascii_case(secret))
        };
        let value =
            |name, value: &[u8]| if is_secret(name) { b"[redacted]".to_vec() } else { value.to_vec() };
        fields.map(|(name, held)| (name.to_ascii_lowercase(), value(name, held))).collect()
    }

    /// Ends the look: the line is written, taps see the end.
    pub(crate) fn ended(&self, look: &mut Look, story: &Story, ended: Ended, after: Duration) {
        // A request that found no endpoint is shown when it fails.
        look.sent(story, after);
        look.show(story, |_| What::End {
            since_request: after,
            since_response: look.answered.map(|answered| after.saturating_sub(answered)),
            bytes: look.response_bytes.unwrap_or_default(),
            grpc_status: ended.grpc_status,
            reset: !ended.complete,
        });
        if let (Some(access), Some(entry)) = (&self.access, &look.entry) {
            access.lines.put(look.line(access.format, entry, story, ended, after));
        }
        if let (Some(tracing), Some(traced)) = (&self.tracing, look.traced.take()) {
            tracing.spans.put(traced.end(look, story, ended, after));
        }
    }

    /// The response has begun.
    pub(crate) fn responds(&self, look: &mut Look, story: &Story, head: &ResponseMeta, after: Duration) {
        look.answered = Some(after);
        look.response_bytes = head.header("content-length").and_then(number);
        if let Some(entry) = &mut look.entry {
            entry.status = Some(head.status());
        }
        if look.taps.is_empty() {
            return;
        }
        let headers =
            if look.taps.iter().any(|tap| tap.headers) { self.shown(head.fields()) } else { Vec::new() };
        look.show(story, |tap| What::Response {
            since_request: after,
            status: head.status(),
            headers: if tap.headers { headers.clone() } else { Vec::new() },
        });
    }
}

impl Look {
    /// What the next hop is told of the request's trace.
    pub(crate) fn propagated(&self) -> Option<Propagated> {
        self.traced.as_ref().map(Traced::propagate)
    }

    /// The path without the query.
    pub(crate) fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }

    /// Who the endpoint has to be.
    pub(crate) fn server(&self) -> Option<&Identity> {
        self.endpoint.as_ref()?.tls.as_ref().map(|tls| &tls.identity)
    }

    /// What is left of a story whose place was taken.
    pub(crate) fn story(&self, id: RequestId, side: Side, began: Instant) -> Story {
        Story::begin(id, side, began, self.client, self.target)
    }

    /// The request goes to an endpoint: inbound, to the application.
    pub(crate) fn sends(&mut self, story: &Story, endpoint: Option<&Arc<Endpoint>>, after: Duration) {
        if self.endpoint.is_none() {
            self.endpoint = endpoint.map(Arc::clone);
        }
        self.sent(story, after);
    }

    fn sent(&mut self, story: &Story, after: Duration) {
        if let Some(entry) = &mut self.entry
            && entry.processing.is_zero()
        {
            entry.processing = after;
        }
        let candidates = std::mem::take(&mut self.candidates);
        if candidates.is_empty() {
            return;
        }
        let path = self.path();
        let facts = Facts {
            source: self.client,
            destination: Some(self.destination()),
            method: &self.method,
            authority: &self.authority,
            path,
            labels: self.endpoint.as_ref().map_or(&[], |endpoint| &*endpoint.labels),
            route: story.place.as_ref().and_then(|place| place.route.as_ref()),
        };
        self.taps = candidates.into_iter().filter(|tap| tap.matches.admits(&facts) && tap.take()).collect();
        self.show(story, |tap| What::Request {
            method: self.method.clone(),
            authority: self.authority.clone(),
            path: self.path_and_query.clone(),
            headers: if tap.headers { self.headers.clone() } else { Vec::new() },
        });
    }

    pub(crate) fn destination(&self) -> SocketAddr {
        self.endpoint.as_ref().map_or(self.target, |endpoint| endpoint.addr)
    }

    fn show(&self, story: &Story, what: impl Fn(&Tap) -> What) {
        for tap in &self.taps {
            tap.show(Event {
                id: story.id,
                side: story.side,
                source: self.client,
                client_id: self.peer.as_ref().map(Identity::shared),
                destination: self.destination(),
                server_id: self.server().map(Identity::shared),
                labels: self
                    .endpoint
                    .as_ref()
                    .map_or_else(no_labels, |endpoint| Arc::clone(&endpoint.labels)),
                route: story.place.as_ref().and_then(|place| place.route.clone()),
                what: what(tap),
            });
        }
    }

    fn line(&self, format: Format, entry: &Entry, story: &Story, ended: Ended, total: Duration) -> String {
        let id = story.id.digits();
        let record = Record {
            timestamp: entry.timestamp,
            client_addr: self.client,
            client_id: self.peer.as_ref().map(Identity::as_str),
            method: &self.method,
            uri: &self.path_and_query,
            version: entry.version,
            host: &self.authority,
            user_agent: &entry.user_agent,
            referer: &entry.referer,
            trace_id: &entry.trace_id,
            request_bytes: entry.request_bytes,
            response_bytes: self.response_bytes,
            status: entry.status.or((ended.status > 0).then_some(ended.status)),
            total,
            processing: entry.processing,
            grpc_status: ended.grpc_status,
            code: story.failure.map_or("", |failure| failure.explained().code),
            request_id: std::str::from_utf8(&id).unwrap_or_default(),
        };
        access_log::line(format, &record)
    }
}

fn no_labels() -> Labels {
    Arc::from([])
}

impl Entry {
    fn of(head: &RequestMeta) -> Self {
        let text = |name| {
            let value = head.header(name).next().unwrap_or_default();
            cut(String::from_utf8_lossy(value).into_owned(), FIELD_BYTES_MAX)
        };
        let traces = ["x-b3-traceid", "x-request-id", "x-amzn-trace-id"];
        Self {
            timestamp: SystemTime::now(),
            version: if head.is_http1() { "HTTP/1.1" } else { "HTTP/2.0" },
            user_agent: text("user-agent"),
            referer: text("referer"),
            trace_id: traces.into_iter().map(text).find(|trace| !trace.is_empty()).unwrap_or_default(),
            request_bytes: head.header("content-length").next().and_then(number),
            processing: Duration::ZERO,
            status: None,
        }
    }
}

/// Most bytes of one header in a line.
const FIELD_BYTES_MAX: usize = 1_024;

/// A text of at most so many bytes.
pub(crate) fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let at = (0..=bytes_max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(at);
    }
    text
}

fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}
