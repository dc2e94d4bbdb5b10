//! HTTP/1 connections that clients open: one request after the other, in the order in which they came.

use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use hauberk_wire::Edits;
use hauberk_wire::h1::request::{self, RequestHead};
use hauberk_wire::h1::{Asked, Body as Framing, Limits as WireLimits, Scan, Version};
use tokio::time::{Instant, sleep_until, timeout};

use super::message::{Incoming, Outgoing};
use super::{Conn, H1Error, wire_limits};
use crate::body::{Body, BodyError, Frame};
use crate::config::Limits;
use crate::drain::{DrainBell, DrainListener};
use crate::exchange::{Handler, Reply, Request};
use crate::heads::{self, RequestMeta, ResponseMeta};
use crate::idle::Idle;
use crate::respond;

/// Bytes of an unwanted request body that are read away so that the connection can go on; more cost less to cut.
const DISCARD_BYTES_MAX: usize = 64 * 1024;
/// Bytes that are read away before a close: a client that is still sending would lose the answer to a reset
/// (RFC 9112 §9.6). What a client sends within [`LINGER`], in practice.
const LINGER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long the rest of an unwanted body, or the client's close, is waited for.
const LINGER: Duration = Duration::from_millis(500);

/// The status of the word to go on (RFC 9110 §15.2.1).
const CONTINUE: u16 = 100;

/// Serves a connection until the client closes, an error, or the drain. What is brief or rare is boxed: an idle connection is
/// in here, and there may be thousands.
pub(crate) async fn serve<H: Handler>(conn: Rc<Conn>, limits: &Limits, drain: DrainBell, handler: Rc<H>) {
    let mut drained = drain.listen();
    let wire = wire_limits(limits);
    loop {
        conn.rest();
        let head = match next_head(&conn, &wire, limits.head_timeout, &mut drained).await {
            Next::Head(head) => head,
            Next::Over => break,
            Next::Malformed(error) => {
                Box::pin(refuse(&conn, error, &*handler)).await;
                break;
            }
        };
        let request = begin(&conn, head, limits, &drain);
        // Boxed, so that a connection without a request holds nothing of one.
        Box::pin(Rc::clone(&handler).handle(request)).await;
        if !conn.body_written.get() || !conn.reusable.get() {
            break;
        }
        if !conn.body_read.get() && !Box::pin(rest_of_body(&conn)).await {
            break;
        }
    }
    Box::pin(linger(&conn)).await;
}

enum Next {
    Head(Box<RequestHead>),
    /// The client has closed, or the drain has begun between two requests, or the head did not come in time.
    Over,
    Malformed(H1Error),
}

async fn next_head(conn: &Conn, limits: &WireLimits, within: Duration, drained: &mut DrainListener) -> Next {
    let mut scan = Scan::default();
    let mut late: Option<std::pin::Pin<Box<tokio::time::Sleep>>> = None;
    poll_fn(|cx| {
        loop {
            let parsed = request::resume(&mut conn.input.borrow_mut(), limits, &mut scan);
            match parsed {
                Ok(Some(head)) => return Poll::Ready(Next::Head(Box::new(head))),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Next::Malformed(error)),
            }
            match conn.poll_fill(cx) {
                Poll::Ready(Ok(1..)) => continue,
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Next::Over),
                Poll::Pending => {}
            }
            if conn.input.borrow().is_empty() {
                return drained.poll(cx).map(|()| Next::Over);
            }
            // A head has begun: it must end in time.
            let late = late.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + within)));
            return late.as_mut().poll(cx).map(|()| Next::Over);
        }
    })
    .await
}

fn begin(conn: &Rc<Conn>, head: Box<RequestHead>, limits: &Limits, drain: &DrainBell) -> Request {
    let framing = head.body();
    let ends_with_head = matches!(framing, Framing::None | Framing::Length(0));
    conn.body_read.set(ends_with_head);
    conn.body_written.set(false);
    conn.awaits_continue.set(head.expect_continue() && !ends_with_head);
    let body = if ends_with_head {
        Body::Empty
    } else {
        let body = Incoming::new(conn, framing, &wire_limits(limits));
        Body::H1(body.bounded(Idle::new(limits.body_idle_timeout)))
    };
    let reply = Respond {
        conn: Rc::clone(conn),
        version: head.version(),
        asked: Asked::by(head.method()),
        keep_alive: head.keep_alive(),
        drain: drain.clone(),
        unread: limits.unread_timeout,
    };
    Request { head: RequestMeta::H1(head), body, reply: Reply::H1(reply) }
}

/// Answers one request.
#[derive(Debug)]
pub(crate) struct Respond {
    conn: Rc<Conn>,
    version: Version,
    asked: Asked,
    keep_alive: bool,
    /// Asked when the response begins: a drain may have begun since the request.
    drain: DrainBell,
    /// How long the answer may stay unread.
    unread: Duration,
}

impl Respond {
    /// Queues the head of the response.
    pub(crate) fn head(
        self,
        head: ResponseMeta,
        edits: &Edits<'_>,
        ends: bool,
    ) -> Result<Outgoing, BodyError> {
        // A client that was not told to send its body may send it now, or not: what comes next cannot be told apart.
        let is_open = self.conn.reusable.get() && !self.conn.awaits_continue.get();
        let persist = self.keep_alive && is_open && !self.drain.has_rung();
        let how = heads::Answered { version: self.version, asked: self.asked, persist, ends };
        let written = self.conn.write(|out| heads::write_response(head, &how, edits, out));
        let (framing, persist) = written.map_err(BodyError::Unsayable)?;
        if !persist {
            self.conn.reusable.set(false);
        }
        Ok(Outgoing::new(&self.conn, framing).bounded(Idle::new(self.unread)))
    }

    /// Queues an interim response. HTTP/1.0 knows none, and word to go on is for a client that waits for it. One that
    /// cannot be written is left out.
    pub(crate) fn interim(&mut self, head: ResponseMeta, edits: &Edits<'_>) {
        let is_continue = head.status() == CONTINUE;
        if self.version == Version::Http10 || (is_continue && !self.conn.awaits_continue.get()) {
            return;
        }
        let how = heads::Answered { version: self.version, asked: self.asked, persist: true, ends: true };
        let written = self.conn.write(|out| heads::write_response(head, &how, edits, out));
        if is_continue && written.is_ok() {
            self.conn.awaits_continue.set(false);
        }
    }

    /// Writes what [`Respond::interim`] has queued. That the connection has failed is [`Respond::poll_gone`]'s to tell.
    pub(crate) fn poll_interims(&mut self, cx: &mut Context<'_>) {
        if self.conn.waiting() > 0 {
            let _ = self.conn.poll_flush(cx);
        }
    }

    /// Ready when the client's connection has failed. A close of its direction alone is no cancellation (RFC 9112 §9.6).
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.conn.body_read.get() || !self.conn.input.borrow().is_empty() {
            return Poll::Pending;
        }
        match self.conn.poll_fill(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        }
    }

    pub(crate) fn reset(self) {
        self.conn.reusable.set(false);
    }

    pub(crate) fn conn(&self) -> Rc<Conn> {
        Rc::clone(&self.conn)
    }
}

/// Answers a head that is no request.
async fn refuse<H: Handler>(conn: &Rc<Conn>, error: H1Error, handler: &H) {
    conn.body_read.set(false);
    let id = handler.refuses(respond::failure_of_head(error), error.status());
    conn.write(|out| respond::malformed(error, id, out));
    let _ = timeout(LINGER, poll_fn(|cx| conn.poll_flush(cx))).await;
}

/// Reads away what is left of a request body after its answer. False: the connection cannot go on.
async fn rest_of_body(conn: &Rc<Conn>) -> bool {
    if conn.awaits_continue.get() {
        return false;
    }
    let Some(left) = conn.unread.take() else { return false };
    let mut body = Incoming::resume(conn, left);
    let mut left = DISCARD_BYTES_MAX;
    let discard = async {
        loop {
            match poll_fn(|cx| body.poll_frame(cx)).await {
                Ok(None) => return true,
                Ok(Some(Frame::Trailers(_))) => {}
                Ok(Some(Frame::Data(bytes))) => match left.checked_sub(bytes.len()) {
                    Some(rest) => left = rest,
                    None => return false,
                },
                Err(_) => return false,
            }
        }
    };
    timeout(LINGER, discard).await.unwrap_or(false)
}

/// Closes so that the client can read what was sent: a close with unread input would reset the connection.
async fn linger(conn: &Rc<Conn>) {
    let close = async {
        poll_fn(|cx| conn.poll_shutdown(cx)).await?;
        if !conn.ended.get() && (!conn.body_read.get() || !conn.input.borrow().is_empty()) {
            let mut left = LINGER_BYTES_MAX;
            while left > 0 {
                conn.input.borrow_mut().clear();
                match poll_fn(|cx| conn.poll_fill(cx)).await? {
                    0 => break,
                    n => left = left.saturating_sub(n),
                }
            }
        }
        std::io::Result::Ok(())
    };
    let _ = timeout(LINGER, close).await;
}
