//! HTTP/2 connections that clients open: each stream becomes a call of the handler.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};

use hauberk_wire::Edits;
use hauberk_wire::translate::{H2Request, Honour};

use super::head_room::{self, ConnectionRoom, HeadRoom, Room, Taken};
use super::meter::{Meter, Metered};
use super::muted::Muted;
use super::stream::{Incoming, Outgoing};
use crate::body::{Body, BodyError, Sink};
use crate::config::Limits;
use crate::drain::{DrainBell, DrainListener};
use crate::exchange::{Handler, Reply, Request};
use crate::heads::{self, RequestMeta, ResponseMeta};
use crate::idle::Idle;
use crate::io::Io;

/// Bytes of one stream that may wait in our memory for the connection.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Streams that a client reset before we looked at them; more end the connection (rapid reset, CVE-2023-44487). As many
/// as it may have open: a client may cancel all its calls at once, and on a connection that many share it must not take
/// the others' calls with it. How often it may do so is the [`Meter`]'s.
const RESET_STREAMS_MAX: usize = 512;
/// Streams that we had to reset for the client's errors (MadeYouReset, CVE-2025-8671); more end the connection.
const LOCAL_ERROR_RESETS_MAX: usize = 128;
/// Window of one stream and of the connection: as the client half of a pair has them by default.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// How long a client that floods us may take to read that it is sent away.
const CALM: Duration = Duration::from_millis(500);

/// Turns that streams get at once before the other connections of the worker have theirs.
const STREAM_TURNS: usize = 3;

/// Serves a connection until it ends or `drain` has let its last stream finish.
///
/// # Errors
/// Whatever ended the connection before its time.
pub(crate) async fn serve<H: Handler>(
    io: Io,
    limits: &Limits,
    drain: DrainBell,
    handler: Rc<H>,
    heads: &HeadRoom,
) -> Result<(), h2::Error> {
    let (io, meter) = Metered::new(io);
    let room = heads.connection();
    let handshake = h2::server::Builder::new()
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(limits.http2_streams_max)
        .max_header_list_size(super::header_list_bytes_max(limits))
        .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
        .max_local_error_reset_streams(Some(LOCAL_ERROR_RESETS_MAX))
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .handshake::<_, Bytes>(io);
    let Ok(handshake) = tokio::time::timeout(limits.head_timeout, handshake).await else { return Ok(()) };
    let (muted, waker) = Muted::new();
    let mut serving = Serving {
        connection: handshake?,
        meter,
        room,
        streams: FuturesUnordered::new(),
        drained: drain.listen(),
        is_draining: false,
        muted,
        unread: limits.unread_timeout,
        waker,
        of_streams: StreamWaker::new(),
    };
    // Boxed, so that only streams that are open weigh.
    let start = |request| Box::pin(Rc::clone(&handler).handle(request));
    match poll_fn(|cx| serving.poll(cx, handler.honours(), start)).await {
        Ended::Over(ended) => ended,
        Ended::Flooded => send_away(&mut serving.connection).await,
    }
}

/// How a connection ended; streams that have not are broken off then.
enum Ended {
    Over(Result<(), h2::Error>),
    /// It sent more frames without use than it may.
    Flooded,
}

/// A connection and the calls of the handler that it has under way, all in one task: what streams do and what the
/// connection then writes is one turn.
struct Serving<F> {
    connection: Connection<Metered, Bytes>,
    meter: Rc<Meter>,
    room: ConnectionRoom,
    streams: FuturesUnordered<Open<F>>,
    drained: DrainListener,
    is_draining: bool,
    muted: Arc<Muted>,
    /// Of `muted`.
    waker: Waker,
    /// How long an answer may stay unread.
    unread: Duration,
    of_streams: StreamWaker,
}

/// What streams are polled with.
struct StreamWaker {
    muted: Arc<Muted>,
    waker: Waker,
}

impl StreamWaker {
    fn new() -> Self {
        let (muted, waker) = Muted::new();
        Self { muted, waker }
    }
}

/// A stream that its handler has.
struct Open<F> {
    handling: Pin<Box<F>>,
    _room: Option<Taken>,
}

impl<F: Future<Output = ()>> Future for Open<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.handling.as_mut().poll(cx)
    }
}

impl<F: Future<Output = ()>> Serving<F> {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        honour: Honour,
        start: impl Fn(Request) -> Pin<Box<F>>,
    ) -> Poll<Ended> {
        if !self.is_draining && self.drained.poll(cx).is_ready() {
            self.is_draining = true;
            self.connection.graceful_shutdown();
        }
        self.muted.follow(cx);
        self.of_streams.muted.follow(cx);
        loop {
            // Streams first, and without a wake: the connection has its turn right after them.
            self.poll_streams();
            match self.connection.poll_accept(&mut Context::from_waker(&self.waker)) {
                Poll::Ready(None) => return Poll::Ready(Ended::Over(Ok(()))),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Ended::Over(Err(error))),
                Poll::Ready(Some(Ok((request, respond)))) => {
                    if let Some((request, room)) = self.admit(request, respond, honour) {
                        self.streams.push(Open { handling: start(request), _room: room });
                    }
                }
                Poll::Pending if self.meter.is_exhausted() => return Poll::Ready(Ended::Flooded),
                Poll::Pending => {
                    if self.meter.next_turn() {
                        cx.waker().wake_by_ref();
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Polls the streams that something has happened to. The library wakes a stream for what the stream does itself, and
    /// the set of streams asks for another turn whenever all have had theirs: both have it here.
    fn poll_streams(&mut self) {
        let Self { streams, muted, of_streams, .. } = self;
        if streams.is_empty() {
            return;
        }
        let cx = &mut Context::from_waker(&of_streams.waker);
        for _ in 0..STREAM_TURNS {
            muted.quietly(|| {
                of_streams.muted.quietly(|| while let Poll::Ready(Some(())) = streams.poll_next_unpin(cx) {});
            });
            if !of_streams.muted.has_missed() {
                return;
            }
        }
        // Who has still not enough waits until others had their turn.
        of_streams.waker.wake_by_ref();
    }

    /// A stream's request, if it is still wanted and there is room for it.
    fn admit(
        &self,
        request: http::Request<RecvStream>,
        respond: SendResponse<Bytes>,
        honour: Honour,
    ) -> Option<(Request, Option<Taken>)> {
        let weight = head_room::weight(request.headers(), request.uri());
        let respond = still_wanted(respond)?;
        let room = match self.room.take(weight) {
            Room::Free => None,
            Room::Taken(taken) => Some(taken),
            Room::None => {
                refuse(respond);
                return None;
            }
        };
        Some((of_stream(request, respond, honour, self.unread)?, room))
    }
}

/// Ends the connection of a client that floods us, and tells it so if it listens.
async fn send_away(connection: &mut Connection<Metered, Bytes>) -> Result<(), h2::Error> {
    connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
    let _ = tokio::time::timeout(CALM, poll_fn(|cx| connection.poll_closed(cx))).await;
    Err(Reason::ENHANCE_YOUR_CALM.into())
}

/// A stream that its client has not cancelled meanwhile: nothing is done for one that it has.
fn still_wanted(mut respond: SendResponse<Bytes>) -> Option<SendResponse<Bytes>> {
    match respond.poll_reset(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(_) => None,
        Poll::Pending => Some(respond),
    }
}

/// Refuses a stream of which nothing was done, so that any request may be tried again (RFC 9113 §8.7).
fn refuse(mut respond: SendResponse<Bytes>) {
    respond.send_reset(Reason::REFUSED_STREAM);
}

/// The request of a stream; what is malformed is answered at once.
fn of_stream(
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    honour: Honour,
    unread: Duration,
) -> Option<Request> {
    let (parts, stream) = request.into_parts();
    match H2Request::read(parts, honour) {
        Ok(head) => {
            let body = if stream.is_end_stream() { Body::Empty } else { Body::H2(Incoming::new(stream)) };
            let orig_proto = head.orig_proto().is_some();
            let reply = Reply::H2(Respond { respond, orig_proto, unread });
            Some(Request { head: RequestMeta::H2(Box::new(head)), body, reply })
        }
        Err(error) => {
            let mut answer = http::Response::new(());
            *answer.status_mut() = http::StatusCode::from_u16(error.status()).unwrap_or_default();
            // Fails only if the client has gone already.
            let _ = respond.send_response(answer, true);
            None
        }
    }
}

/// Answers one stream.
#[derive(Debug)]
pub(crate) struct Respond {
    respond: SendResponse<Bytes>,
    orig_proto: bool,
    /// How long the answer may stay unread.
    unread: Duration,
}

impl Respond {
    /// Sends the head; `ends`: and nothing after it.
    pub(crate) fn head(
        mut self,
        head: ResponseMeta,
        edits: &Edits<'_>,
        ends: bool,
    ) -> Result<Sink, BodyError> {
        let head = heads::response_for_http2(head, self.orig_proto, edits).inspect_err(|_| {
            self.respond.send_reset(Reason::INTERNAL_ERROR);
        })?;
        let stream = self.respond.send_response(head, ends)?;
        Ok(if ends { Sink::None } else { Sink::H2(Outgoing::new(stream).bounded(Idle::new(self.unread))) })
    }

    /// Sends an interim response. One that cannot be said is left out, and a client that has gone is noticed elsewhere.
    pub(crate) fn interim(&mut self, head: ResponseMeta, edits: &Edits<'_>) {
        if let Ok(head) = heads::response_for_http2(head, false, edits) {
            let _ = self.respond.send_informational(head);
        }
    }

    /// Ready when the client has cancelled.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.respond.poll_reset(cx).map(|_| ())
    }

    pub(crate) fn reset(mut self, reason: Reason) {
        self.respond.send_reset(reason);
    }
}
