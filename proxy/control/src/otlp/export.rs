//! The queue of spans and what empties it.

use std::time::Duration;

use hauberk_model::backoff::{Attempts, CONTROL_STREAM};
use hauberk_model::trace::Span;
use hauberk_observe::{Counter, Labels, Registry, families as f};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::message::{
    ExportTraceServiceRequest, ExportTraceServiceResponse, InstrumentationScope, KeyValue, Resource,
    ResourceSpans, ScopeSpans, Span as Message,
};
use super::spans::encode;
use crate::chance;
use crate::extension::unary;
use crate::transport::Channel;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Spans that may wait: about a MiB of ordinary ones.
const WAITING_MAX: usize = 2_048;
/// A batch is sent when it holds so many spans, ...
const BATCH_SPANS_MAX: usize = 256;
/// ... or so many bytes of them, well below what a call may carry, ...
const BATCH_BYTES_MAX: usize = 40 * 1024;
/// ... or when its first span has waited so long.
const BATCH_WITHIN: Duration = Duration::from_secs(1);
/// How long the collector may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Attempts at one batch after a connection was there.
const ATTEMPTS_MAX: u32 = 5;
/// How long the last batch may take when the proxy ends.
const LAST_WITHIN: Duration = Duration::from_millis(500);

/// What is counted of spans.
#[derive(Debug)]
pub struct Meters {
    streams: Counter,
    requests: Counter,
    exported: Counter,
    unexported: Counter,
    rejected: Counter,
}

impl Meters {
    fn new(registry: &Registry) -> Self {
        let dropped =
            |reason| registry.counter(&f::HAUBERK_SPANS_DROPPED_TOTAL, Labels::new().with("reason", reason));
        Self {
            streams: registry.counter(&f::OPENTELEMETRY_SPAN_EXPORT_STREAMS, Labels::new()),
            requests: registry.counter(&f::OPENTELEMETRY_SPAN_EXPORT_REQUESTS, Labels::new()),
            exported: registry.counter(&f::OPENTELEMETRY_SPAN_EXPORTS, Labels::new()),
            unexported: dropped("export"),
            rejected: dropped("rejected"),
        }
    }
}

/// The data thread's end.
#[derive(Debug)]
pub struct Queue {
    spans: mpsc::Sender<Span>,
    dropped: Counter,
}

impl Queue {
    /// Takes a span, or drops and counts it.
    pub fn put(&self, span: Span) {
        if self.spans.try_send(span).is_err() {
            self.dropped.inc();
        }
    }
}

/// The control thread's end.
#[derive(Debug)]
pub struct Exporter {
    spans: mpsc::Receiver<Span>,
    meters: Meters,
    resource: Vec<KeyValue>,
}

/// A queue of spans of the workload that `resource` describes.
#[must_use]
pub fn queue(registry: &Registry, resource: Vec<KeyValue>) -> (Queue, Exporter) {
    let (sender, spans) = mpsc::channel(WAITING_MAX);
    let labels = Labels::new().with("reason", "queue");
    let dropped = registry.counter(&f::HAUBERK_SPANS_DROPPED_TOTAL, labels);
    (Queue { spans: sender, dropped }, Exporter { spans, meters: Meters::new(registry), resource })
}

/// A batch that grows.
#[derive(Default)]
struct Batch {
    spans: Vec<Message>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, span: &Span) {
        let message = encode(span);
        self.bytes = self.bytes.saturating_add(message.encoded_len());
        self.spans.push(message);
    }

    fn is_full(&self) -> bool {
        self.spans.len() >= BATCH_SPANS_MAX || self.bytes >= BATCH_BYTES_MAX
    }
}

/// How an attempt at a batch ended.
enum Sent {
    Taken,
    Later,
    Never,
}

impl Exporter {
    /// Exports until `end`, and then what still waits, if that is done soon.
    pub async fn run(mut self, channel: Channel, end: CancellationToken) {
        let mut connection = Connection::default();
        while let Some(Some(first)) = end.run_until_cancelled(self.spans.recv()).await {
            let batch = self.gather(&first, &end).await;
            let count = batch.spans.len() as u64;
            if end.run_until_cancelled(self.send(&channel, &mut connection, batch)).await.is_none() {
                self.meters.unexported.add(count);
            }
        }
        self.spans.close();
        let _ = timeout(LAST_WITHIN, self.finish(&channel, &mut connection)).await;
    }

    /// What waits when the proxy ends.
    async fn finish(&mut self, channel: &Channel, connection: &mut Connection) {
        while channel.is_connected()
            && let Ok(first) = self.spans.try_recv()
        {
            let mut batch = Batch::default();
            batch.push(&first);
            while !batch.is_full()
                && let Ok(span) = self.spans.try_recv()
            {
                batch.push(&span);
            }
            self.send(channel, connection, batch).await;
        }
    }

    async fn gather(&mut self, first: &Span, end: &CancellationToken) -> Batch {
        let mut batch = Batch::default();
        batch.push(first);
        let until = Instant::now() + BATCH_WITHIN;
        while !batch.is_full() {
            let next = end.run_until_cancelled(timeout_at(until, self.spans.recv())).await;
            match next {
                Some(Ok(Some(span))) => batch.push(&span),
                Some(Ok(None) | Err(_)) | None => break,
            }
        }
        batch
    }

    /// Sends a batch, again if need be. While there is no connection it waits.
    async fn send(&mut self, channel: &Channel, connection: &mut Connection, batch: Batch) {
        let count = batch.spans.len() as u64;
        let request = self.request(batch);
        let (mut attempts, mut random) = (Attempts::new(CONTROL_STREAM), chance::random());
        for _ in 0..ATTEMPTS_MAX {
            if !channel.connected().await {
                break;
            }
            connection.used(&self.meters);
            match self.attempt(channel, request.clone(), count).await {
                Sent::Taken => return,
                Sent::Later => {
                    connection.is_open = channel.is_connected() && connection.is_open;
                    sleep(attempts.failed(&mut random)).await;
                }
                Sent::Never => break,
            }
        }
        self.meters.unexported.add(count);
    }

    fn request(&self, batch: Batch) -> ExportTraceServiceRequest {
        let scope = InstrumentationScope {
            name: "hauberk-proxy".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource { attributes: self.resource.clone() }),
                scope_spans: vec![ScopeSpans { scope: Some(scope), spans: batch.spans }],
            }],
        }
    }

    async fn attempt(&mut self, channel: &Channel, request: ExportTraceServiceRequest, count: u64) -> Sent {
        let asked = unary(channel.clone(), channel.origin(), EXPORT, request);
        let answer: Result<ExportTraceServiceResponse, Status> = timeout(ANSWER_WITHIN, asked)
            .await
            .unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")));
        match answer {
            Ok(answer) => {
                let partial = answer.partial_success.unwrap_or_default();
                let rejected = u64::try_from(partial.rejected_spans).unwrap_or(0).min(count);
                if rejected > 0 {
                    log::warn!(rejected, why:? = partial.error_message; "the trace collector rejected spans");
                }
                self.meters.requests.inc();
                self.meters.rejected.add(rejected);
                self.meters.exported.add(count.saturating_sub(rejected));
                Sent::Taken
            }
            Err(status) if may_repeat(status.code()) => {
                log::debug!(status:%; "spans are exported later");
                Sent::Later
            }
            Err(status) => {
                log::warn!(status:%, spans = count; "the trace collector refuses spans");
                Sent::Never
            }
        }
    }
}

/// Counts connections as they are used.
#[derive(Default)]
struct Connection {
    is_open: bool,
}

impl Connection {
    fn used(&mut self, meters: &Meters) {
        if !self.is_open {
            self.is_open = true;
            meters.streams.inc();
        }
    }
}

/// Codes after which OTLP asks to come again.
fn may_repeat(code: Code) -> bool {
    matches!(
        code,
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
            // What tonic makes of a connection that broke.
            | Code::Unknown
    )
}
