//! One HTTP/2 connection to an endpoint.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Connection, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, Reason};
use hauberk_model::endpoint::Http2Params;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep, sleep};

use super::muted::Muted;
use super::stream::{Incoming, Outgoing};
use crate::body::{Body, BodyError, Pump, PumpError, Sink};
use crate::config::Limits;
use crate::exchange::{AttemptError, Exchange};
use crate::heads::ResponseMeta;
use crate::interim::{INTERIM_MAX, Interims};
use crate::io::Io;

/// Bytes of one stream that may wait in our memory for the connection.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Largest frame we take: fewer frames for bulk bodies, still one TLS record each.
const FRAME_BYTES: u32 = 16 * 1024;

/// A connection on which requests can be made.
pub(crate) struct Client {
    send: SendRequest<Bytes>,
    muted: Arc<Muted>,
    active: Cell<usize>,
    state: Rc<Liveness>,
}

/// What the connection's driver tells.
#[derive(Debug, Default)]
struct Liveness {
    closed: Cell<bool>,
    /// The peer does not answer pings.
    dead: Cell<bool>,
}

/// Makes the connection usable and starts its driver, which ends with it.
///
/// # Errors
/// When the preface cannot be written.
pub(crate) async fn connect(io: Io, params: &Http2Params, limits: &Limits) -> Result<Rc<Client>, h2::Error> {
    let (send, mut connection) = h2::client::Builder::new()
        .initial_window_size(params.initial_stream_window)
        .initial_connection_window_size(params.initial_connection_window)
        .max_frame_size(FRAME_BYTES)
        .max_header_list_size(super::header_list_bytes_max(limits))
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .enable_push(false)
        .handshake::<_, Bytes>(io)
        .await?;
    let state = Rc::new(Liveness::default());
    let pinger = connection.ping_pong().and_then(|ping_pong| KeepAlive::new(params, ping_pong));
    let (muted, waker) = Muted::new();
    let pinging = pinger.map(|pinger| {
        tokio::task::spawn_local(keep_alive(pinger, Rc::clone(&state), waker.clone())).abort_handle()
    });
    let driver = Driver { connection, pinging, state: Rc::clone(&state), muted: Arc::clone(&muted), waker };
    tokio::task::spawn_local(driver);
    Ok(Rc::new(Client { send, muted, active: Cell::new(0), state }))
}

impl Client {
    /// Requests that are under way.
    pub(crate) fn active(&self) -> usize {
        self.active.get()
    }

    /// Whether no new request may be made.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.closed.get()
    }

    /// Sends a request and waits for the head of the response, while the body goes out; interim ones are put into
    /// `interims`.
    ///
    /// # Errors
    /// [`AttemptError`] tells whether the server may have seen the request.
    pub(crate) async fn request(
        self: &Rc<Self>,
        head: http::Request<()>,
        body: Body,
        interims: &Interims,
    ) -> Result<Box<Exchange>, AttemptError> {
        let lease = Lease::new(self);
        let mut send = match self.send.clone().ready().await {
            Ok(send) => send,
            Err(error) => {
                self.state.closed.set(true);
                return Err(AttemptError::Unsent(error.into()));
            }
        };
        self.muted.catch_up();
        let end = body.is_end();
        let (response, stream) =
            send.send_request(head, end).map_err(|error| AttemptError::Unsent(error.into()))?;
        let sink = if end { Sink::None } else { Sink::H2(Outgoing::new(stream)) };
        let mut waiting = Waiting { response, pump: Pump::timed(body, sink), interims, interim: 0 };
        let response = poll_fn(|cx| waiting.poll(cx)).await.inspect_err(|error| {
            if error.ends_connection() {
                self.state.closed.set(true);
            }
        })?;
        let (parts, stream) = response.into_parts();
        let body = if stream.is_end_stream() { Body::Empty } else { Body::H2(Incoming::new(stream)) };
        let head = ResponseMeta::of(http::Response::from_parts(parts, ()));
        Ok(Exchange::over_stream(head, body, waiting.pump, lease))
    }
}

/// A request whose response has not begun.
struct Waiting<'a> {
    response: ResponseFuture,
    pump: Pump,
    interims: &'a Interims,
    interim: usize,
}

impl Waiting<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<http::Response<h2::RecvStream>, AttemptError>> {
        if !self.pump.is_done()
            && let Poll::Ready(Err(PumpError::Body(error))) = self.pump.poll(cx)
        {
            return Poll::Ready(Err(AttemptError::RequestBody(error)));
        }
        // A failed sink is no answer yet: the server may have answered before it stopped reading.
        while let Some(head) = ready!(self.response.poll_informational(cx)) {
            let head = head.map_err(AttemptError::of_stream)?;
            self.interim += 1;
            if self.interim > INTERIM_MAX {
                return Poll::Ready(Err(AttemptError::Broken(BodyError::Cancelled(
                    Reason::ENHANCE_YOUR_CALM,
                ))));
            }
            self.interims.push(ResponseMeta::of(head));
        }
        Poll::Ready(ready!(Pin::new(&mut self.response).poll(cx)).map_err(AttemptError::of_stream))
    }
}

/// Counts one request as under way.
#[derive(Debug)]
pub(crate) struct Lease(Rc<Client>);

impl Lease {
    fn new(client: &Rc<Client>) -> Self {
        client.active.set(client.active.get() + 1);
        Self(Rc::clone(client))
    }
}

impl Lease {
    /// Lets go of what is left of an exchange that both sides have ended. Nothing is to be sent for it, so the
    /// connection need not look, if there is no other stream that would wake it in vain: it looks with the next request.
    pub(crate) fn end<T>(self, ended: T) {
        if self.0.active() == 1 && !self.0.is_closed() {
            self.0.muted.quietly(|| drop(ended));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.active.set(self.0.active.get().saturating_sub(1));
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("active", &self.active)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Moves the connection's bytes until it ends.
struct Driver {
    connection: Connection<Io, Bytes>,
    /// A task of its own, so that requests do not ask its timer.
    pinging: Option<AbortHandle>,
    state: Rc<Liveness>,
    muted: Arc<Muted>,
    /// Of `muted`.
    waker: Waker,
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.state.dead.get() {
            // Dropping the connection fails every stream on it, and their requests move on.
            self.state.closed.set(true);
            return Poll::Ready(());
        }
        let this = &mut *self;
        this.muted.follow(cx);
        let polled = Pin::new(&mut this.connection).poll(&mut Context::from_waker(&this.waker));
        if polled.is_ready() {
            self.state.closed.set(true);
        }
        polled.map(|_| ())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(pinging) = &self.pinging {
            pinging.abort();
        }
    }
}

/// Ends the connection's driver, which `driver` wakes, once the peer does not answer.
async fn keep_alive(mut pinger: KeepAlive, state: Rc<Liveness>, driver: Waker) {
    poll_fn(|cx| pinger.poll_dead(cx)).await;
    state.dead.set(true);
    driver.wake();
}

/// Pings, so that a peer that vanished is noticed (INTERFACE §5.6).
struct KeepAlive {
    ping_pong: PingPong,
    interval: Duration,
    timeout: Duration,
    timer: Pin<Box<Sleep>>,
    waiting: bool,
}

impl KeepAlive {
    fn new(params: &Http2Params, ping_pong: PingPong) -> Option<Self> {
        let interval = params.keep_alive_interval?;
        let timeout = params.keep_alive_timeout;
        Some(Self { ping_pong, interval, timeout, timer: Box::pin(sleep(interval)), waiting: false })
    }

    /// Ready when a ping has stayed unanswered for too long.
    fn poll_dead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.waiting {
                match self.ping_pong.poll_pong(cx) {
                    Poll::Ready(Ok(_)) => {
                        self.waiting = false;
                        self.timer.as_mut().reset(Instant::now() + self.interval);
                        continue;
                    }
                    // The connection has ended; its own future tells.
                    Poll::Ready(Err(_)) => return Poll::Pending,
                    Poll::Pending => return self.timer.as_mut().poll(cx),
                }
            }
            ready!(pin!(&mut self.timer).poll(cx));
            if self.ping_pong.send_ping(Ping::opaque()).is_err() {
                return Poll::Pending;
            }
            self.waiting = true;
            self.timer.as_mut().reset(Instant::now() + self.timeout);
        }
    }
}
