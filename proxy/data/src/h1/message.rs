//! Bodies of HTTP/1 messages.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hauberk_wire::h1::body::{Decoded, Decoder};
use hauberk_wire::h1::encoder::Encoder;
use hauberk_wire::h1::{Body as Framing, Limits};
use hauberk_wire::translate::{down, up};
use http::HeaderMap;
use tokio::time::{Sleep, sleep};

use super::Conn;
use crate::body::{BodyError, Frame};
use crate::idle::{Idle, timed_out};

/// What a client that waits is told where nobody else does (RFC 9110 §10.1.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// How long the server's word is waited for before we say it ourselves: some proxies and servers take `Expect` and never
/// answer it. As long as patient clients wait by themselves.
const CONTINUE_AFTER: Duration = Duration::from_secs(1);

/// A body that arrives.
#[derive(Debug)]
pub(crate) struct Incoming {
    conn: Rc<Conn>,
    decoder: Decoder,
    /// Runs while the client waits to be told to send.
    late: Option<Pin<Box<Sleep>>>,
    /// Bounds a client's body; an application's answer may take its time.
    idle: Option<Idle>,
}

impl Incoming {
    pub(crate) fn new(conn: &Rc<Conn>, framing: Framing, limits: &Limits) -> Self {
        Self { conn: Rc::clone(conn), decoder: Decoder::new(framing, limits), late: None, idle: None }
    }

    /// The same, which must not stand still for long.
    pub(crate) fn bounded(mut self, idle: Idle) -> Self {
        self.idle = Some(idle);
        self
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        loop {
            let decoded = self.decoder.decode(&mut self.conn.input.borrow_mut());
            match decoded.inspect_err(|_| self.conn.reusable.set(false))? {
                Decoded::Data(bytes) => {
                    self.conn.awaits_continue.set(false);
                    return Poll::Ready(Ok(Some(Frame::Data(bytes))));
                }
                Decoded::Trailers(trailers) => {
                    let trailers = up::trailers(&trailers).map_err(BodyError::Unsayable)?;
                    return Poll::Ready(Ok(Some(Frame::Trailers(trailers))));
                }
                Decoded::End => {
                    self.conn.body_read.set(true);
                    return Poll::Ready(Ok(None));
                }
                Decoded::NeedMore => {}
            }
            if self.conn.awaits_continue.get() {
                self.poll_continue(cx)?;
            }
            if ready!(self.poll_fill(cx))? == 0 {
                self.conn.reusable.set(false);
                self.decoder.close()?;
                self.conn.body_read.set(true);
            }
        }
    }

    /// Tells the client to go on once nobody else has for too long.
    fn poll_continue(&mut self, cx: &mut Context<'_>) -> std::io::Result<()> {
        let late = self.late.get_or_insert_with(|| Box::pin(sleep(CONTINUE_AFTER)));
        if late.as_mut().poll(cx).is_pending() {
            return Ok(());
        }
        self.late = None;
        self.conn.awaits_continue.set(false);
        self.conn.write(|out| out.extend_from_slice(CONTINUE));
        match self.conn.poll_flush(cx) {
            Poll::Ready(flushed) => flushed,
            Poll::Pending => Ok(()),
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        let filled = self.conn.poll_fill(cx);
        let Some(idle) = &mut self.idle else { return filled };
        if filled.is_ready() {
            idle.moved();
            return filled;
        }
        ready!(idle.poll(cx));
        self.conn.reusable.set(false);
        Poll::Ready(Err(timed_out()))
    }

    pub(crate) fn is_end(&self) -> bool {
        let done = self.decoder.is_done();
        if done {
            self.conn.body_read.set(true);
        }
        done
    }

    /// A body that was given up before its end.
    pub(crate) fn resume(conn: &Rc<Conn>, left: Unread) -> Self {
        Self { conn: Rc::clone(conn), decoder: left.decoder, late: None, idle: None }
    }
}

/// Where reading stopped in a body that nobody wanted to the end.
#[derive(Debug)]
pub(crate) struct Unread {
    decoder: Decoder,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.decoder.is_done() {
            self.conn.unread.set(Some(Unread { decoder: self.decoder.clone() }));
        }
    }
}

/// A body that is sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    conn: Rc<Conn>,
    encoder: Encoder,
    /// Bounds how long a client leaves an answer unread; what waits since the last look.
    unread: Option<(Idle, usize)>,
}

impl Outgoing {
    /// For a message whose head, with this framing, is queued on `conn`.
    pub(crate) fn new(conn: &Rc<Conn>, framing: Framing) -> Self {
        if framing == Framing::UntilClose {
            conn.reusable.set(false);
        }
        conn.body_written.set(false);
        Self { conn: Rc::clone(conn), encoder: Encoder::new(framing), unread: None }
    }

    /// The same, which must not stay unread for long.
    pub(crate) fn bounded(self, idle: Idle) -> Self {
        Self { unread: Some((idle, 0)), ..self }
    }

    /// Has what waits for the receiver wait no longer than it may.
    fn poll_unread(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<std::io::Result<()>>,
    ) -> Poll<Result<(), BodyError>> {
        let Some((idle, before)) = &mut self.unread else { return Poll::Ready(Ok(ready!(polled)?)) };
        if let Poll::Ready(done) = polled {
            idle.moved();
            return Poll::Ready(Ok(done?));
        }
        let waiting = self.conn.waiting();
        if std::mem::replace(before, waiting) != waiting {
            idle.moved();
        }
        ready!(idle.poll(cx));
        self.conn.reusable.set(false);
        Poll::Ready(Err(timed_out().into()))
    }

    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let polled = self.conn.poll_room(cx);
        self.poll_unread(cx, polled)
    }

    pub(crate) fn data(&mut self, bytes: Bytes, end: bool) -> Result<(), BodyError> {
        let frame = self.encoder.frame(bytes.len()).map_err(|error| self.broken(error))?;
        self.conn.write(|out| out.extend_from_slice(frame.prefix()));
        self.conn.push(bytes);
        self.conn.write(|out| out.extend_from_slice(frame.suffix));
        if end { self.end() } else { Ok(()) }
    }

    pub(crate) fn trailers(&mut self, trailers: &HeaderMap) -> Result<(), BodyError> {
        self.finish(down::trailers(trailers))
    }

    pub(crate) fn end(&mut self) -> Result<(), BodyError> {
        self.finish(std::iter::empty())
    }

    fn finish<'a>(&mut self, trailers: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<(), BodyError> {
        let finished = self.conn.write(|out| self.encoder.finish(trailers, out));
        finished.map_err(|error| self.broken(error))?;
        self.conn.body_written.set(true);
        Ok(())
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let polled = self.conn.poll_flush(cx);
        self.poll_unread(cx, polled)
    }

    /// The message cannot be completed: the connection ends without the body's end.
    pub(crate) fn abort(&mut self) {
        self.conn.reusable.set(false);
    }

    fn broken(&self, error: hauberk_wire::h1::encode::EncodeError) -> BodyError {
        self.conn.reusable.set(false);
        BodyError::Unsayable(error.into())
    }
}
