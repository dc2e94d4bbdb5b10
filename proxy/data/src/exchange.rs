//! A request and its answer, whichever protocols carry them, and the relay between the two sides.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::Reason;
use hauberk_model::status::Failure;
use hauberk_model::story::RequestId;
use hauberk_observe::Sizes;
use hauberk_wire::Edits;
use hauberk_wire::translate::Honour;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::body::{Body, BodyError, Frame, Pump, PumpError, Sink};
use crate::heads::{RequestMeta, ResponseMeta};
use crate::meters::Ended;
use crate::respond;
use crate::{h1, h2 as http2};

/// A request as it came in.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) head: RequestMeta,
    pub(crate) body: Body,
    pub(crate) reply: Reply,
}

/// What requests are given to. It answers each of them through its [`Reply`], and dropping that breaks the stream off.
pub(crate) trait Handler: 'static {
    /// Whether what the client says of a request's original protocol is believed: only of a verified peer.
    fn honours(&self) -> Honour;

    /// Notes a head that is no request and was answered with `status`; names it.
    fn refuses(&self, failure: Failure, status: u16) -> RequestId;

    /// Handles one request to its end.
    fn handle(self: Rc<Self>, request: Request) -> impl Future<Output = ()>;
}

/// Where the answer to a request goes.
#[derive(Debug)]
pub(crate) enum Reply {
    H1(h1::Respond),
    H2(http2::Respond),
}

impl Reply {
    /// Sends the head of the response; `ends`: and nothing after it.
    ///
    /// # Errors
    /// When the client is gone.
    pub(crate) fn head(self, head: ResponseMeta, edits: &Edits<'_>, ends: bool) -> Result<Sink, BodyError> {
        match self {
            Self::H1(respond) => Ok(Sink::H1(respond.head(head, edits, ends)?)),
            Self::H2(respond) => respond.head(head, edits, ends),
        }
    }

    /// Sends an interim response, if the client can hear it.
    pub(crate) fn interim(&mut self, head: ResponseMeta, edits: &Edits<'_>) {
        match self {
            Self::H1(respond) => respond.interim(head, edits),
            Self::H2(respond) => respond.interim(head, edits),
        }
    }

    /// Moves interim responses that are still on their way.
    pub(crate) fn poll_interims(&mut self, cx: &mut Context<'_>) {
        match self {
            Self::H1(respond) => respond.poll_interims(cx),
            // The connection's own task writes.
            Self::H2(_) => {}
        }
    }

    /// Ready when the client has cancelled and will not look at an answer.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::H1(respond) => respond.poll_gone(cx),
            Self::H2(respond) => respond.poll_gone(cx),
        }
    }

    /// Whether the client can be told of a failure by a reset of its stream alone.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self, Self::H2(_))
    }

    /// Breaks the request off without an answer.
    pub(crate) fn reset(self, reason: Reason) {
        match self {
            Self::H1(respond) => respond.reset(),
            Self::H2(respond) => respond.reset(reason),
        }
    }
}

/// A response that has begun, while the rest of the request may still be on its way.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) response: ResponseMeta,
    pub(crate) body: Body,
    pub(crate) request: Pump,
    hold: Hold,
}

/// What must live as long as the exchange, or be given back after it.
#[derive(Debug)]
enum Hold {
    Stream(http2::Lease),
    Connection(h1::Lease),
}

impl Exchange {
    /// Boxed, since it is handed through many futures.
    pub(crate) fn over_stream(
        response: ResponseMeta,
        body: Body,
        request: Pump,
        lease: http2::Lease,
    ) -> Box<Self> {
        Box::new(Self { response, body, request, hold: Hold::Stream(lease) })
    }

    /// Likewise.
    pub(crate) fn over_connection(
        response: ResponseMeta,
        body: Body,
        request: Pump,
        lease: h1::Lease,
    ) -> Box<Self> {
        Box::new(Self { response, body, request, hold: Hold::Connection(lease) })
    }
}

/// Why an attempt at a request brought no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttemptError {
    /// The server has certainly not acted on it: any request may be tried elsewhere.
    #[error("the request was not sent")]
    Unsent(#[source] BodyError),
    /// The server may have acted on it.
    #[error("the connection broke before the response")]
    Broken(#[source] BodyError),
    /// What the server sent is no response.
    #[error("the server's response is malformed")]
    Malformed(#[source] h1::H1Error),
    /// The client stopped sending. Nobody else is to blame.
    #[error("the request body broke off")]
    RequestBody(#[source] BodyError),
}

impl AttemptError {
    /// REFUSED_STREAM, and a GOAWAY without error for a stream beyond its last, promise that nothing was done (RFC 9113 §8.7).
    pub(crate) fn of_stream(error: h2::Error) -> Self {
        let untouched = error.is_remote()
            && (error.reason() == Some(Reason::REFUSED_STREAM)
                || (error.is_go_away() && error.reason() == Some(Reason::NO_ERROR)));
        if untouched { Self::Unsent(error.into()) } else { Self::Broken(error.into()) }
    }

    /// Whether the connection is of no further use.
    pub(crate) fn ends_connection(&self) -> bool {
        match self {
            Self::Unsent(BodyError::H2(error)) | Self::Broken(BodyError::H2(error)) => {
                error.is_io() || error.is_go_away()
            }
            Self::Unsent(_) | Self::Broken(_) | Self::Malformed(_) => true,
            Self::RequestBody(_) => false,
        }
    }
}

/// Waits for `work` unless the client cancels first. The caller has pinned it: given by value, it would be there twice.
pub(crate) async fn unless_gone<T>(
    reply: &mut Reply,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => reply.poll_gone(cx).map(|()| None),
    })
    .await
}

/// The status after which a connection speaks another protocol.
const SWITCHING_PROTOCOLS: u16 = 101;

/// Bounds in time on what is left of an exchange.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    pub(crate) deadline: Option<Instant>,
    pub(crate) idle: Option<Duration>,
}

/// What an exchange has moved.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moved {
    pub(crate) request: Sizes,
    pub(crate) response: Sizes,
    /// When the request was sent to its end; `None` where its head was all, or its end never came.
    pub(crate) sent: Option<Instant>,
}

/// Passes the response on, and what is left of the request, until both have ended.
pub(crate) async fn relay(
    exchange: Box<Exchange>,
    reply: Reply,
    edits: &Edits<'_>,
    is_grpc: bool,
    bounds: Bounds,
) -> (Ended, Fault, Moved) {
    let Exchange { response, body, mut request, hold } = *exchange;
    let status = response.status();
    let head_grpc = response.grpc_status();
    if status == SWITCHING_PROTOCOLS {
        let complete = match (hold, reply) {
            (Hold::Connection(server), Reply::H1(client)) => {
                Box::pin(h1::tunnel(client, server, response, edits)).await
            }
            (_, reply) => {
                reply.reset(Reason::INTERNAL_ERROR);
                false
            }
        };
        return (Ended { status, grpc_status: None, complete }, Fault::None, Moved::default());
    }
    let sink = match reply.head(response, edits, body.is_end()) {
        Ok(sink) => sink,
        Err(_) => {
            let ended = Ended { status, grpc_status: head_grpc, complete: false };
            return (ended, Fault::Client, Moved::default());
        }
    };
    let mut down = Pump::new(body, sink);
    if is_grpc {
        down.rescue_with(respond::grpc_trailers);
    }
    let mut relay = Relay { up: &mut request, down: &mut down, clock: Clock::start(bounds), moved: 0 };
    let fault = poll_fn(|cx| relay.poll(cx)).await;
    let complete = fault == Fault::None;
    let grpc_status = down.grpc_status.or(head_grpc);
    let whole = request.is_done() && complete;
    let moved = Moved { request: request.sizes, response: down.sizes, sent: request.done_at };
    match hold {
        Hold::Connection(lease) => lease.release(whole),
        Hold::Stream(lease) if whole => lease.end((request, down)),
        Hold::Stream(_) => {}
    }
    (Ended { status, grpc_status, complete }, fault, moved)
}

/// Bytes of a response that nobody sees which are read all the same, so that its server can end it in peace.
const DISCARD_BYTES_MAX: usize = 1024 * 1024;

/// Sends the rest of the request and reads the response away. Whether both came through; a response that is longer
/// than is worth reading did.
pub(crate) async fn discard(exchange: Box<Exchange>) -> bool {
    let Exchange { response: _, mut body, mut request, hold } = *exchange;
    let mut bytes = 0_usize;
    let whole = poll_fn(|cx| {
        if !request.is_done()
            && let Poll::Ready(Err(_)) = request.poll(cx)
        {
            return Poll::Ready(Some(false));
        }
        loop {
            match ready!(body.poll_frame(cx)) {
                Ok(Some(Frame::Data(data))) => bytes = bytes.saturating_add(data.len()),
                Ok(Some(Frame::Trailers(_)) | None) => return Poll::Ready(Some(true)),
                Err(_) => return Poll::Ready(Some(false)),
            }
            if bytes > DISCARD_BYTES_MAX {
                return Poll::Ready(None);
            }
        }
    })
    .await;
    if let Hold::Connection(lease) = hold {
        lease.release(request.is_done() && whole == Some(true));
    }
    whole.unwrap_or(true)
}

/// Who broke a response off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nobody.
    None,
    Client,
    Server,
    /// A bound in time.
    Timeout,
}

struct Relay<'a> {
    up: &'a mut Pump,
    down: &'a mut Pump,
    clock: Clock,
    moved: u64,
}

impl Relay<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Fault> {
        if !self.up.is_done()
            && let Poll::Ready(Err(PumpError::Body(_))) = self.up.poll(cx)
        {
            // The client broke its request off: it does not wait for the response.
            self.down.abort();
            return Poll::Ready(Fault::Client);
        }
        if let Poll::Ready(moved) = self.down.poll(cx) {
            return Poll::Ready(match moved {
                Ok(()) => Fault::None,
                Err(PumpError::Body(_)) => Fault::Server,
                Err(PumpError::Sink(_)) => Fault::Client,
            });
        }
        let moved = self.up.sizes.bytes().saturating_add(self.down.sizes.bytes());
        if moved != self.moved {
            self.moved = moved;
            self.clock.restart_idle();
        }
        if self.clock.poll(cx).is_ready() {
            self.down.time_out();
            // One more turn, so that what tells the client may leave.
            let _ = self.down.poll(cx);
            return Poll::Ready(Fault::Timeout);
        }
        Poll::Pending
    }
}

/// The timers of [`Bounds`]; none are made where there is no bound.
struct Clock {
    deadline: Option<Pin<Box<Sleep>>>,
    idle: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl Clock {
    fn start(bounds: Bounds) -> Self {
        Self {
            deadline: bounds.deadline.map(|at| Box::pin(sleep_until(at))),
            idle: bounds.idle.map(|idle| (idle, Box::pin(sleep(idle)))),
        }
    }

    fn restart_idle(&mut self) {
        if let Some((idle, timer)) = &mut self.idle {
            timer.as_mut().reset(Instant::now() + *idle);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline.as_mut().map_or(Poll::Pending, |timer| timer.as_mut().poll(cx));
        let idle = self.idle.as_mut().map_or(Poll::Pending, |(_, timer)| timer.as_mut().poll(cx));
        if deadline.is_ready() || idle.is_ready() { Poll::Ready(()) } else { Poll::Pending }
    }
}
