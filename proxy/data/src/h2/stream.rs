//! Bodies of HTTP/2 streams.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;

use crate::body::{BodyError, Frame};
use crate::idle::{Idle, timed_out};

/// A body that arrives. The window opens only when the frame before has been passed on.
#[derive(Debug)]
pub(crate) struct Incoming {
    stream: RecvStream,
    unreleased: usize,
    data_ended: bool,
}

impl Incoming {
    pub(crate) fn new(stream: RecvStream) -> Self {
        Self { stream, unreleased: 0, data_ended: false }
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        if self.unreleased > 0 {
            // Fails only when the stream is over, and then nobody waits for the window.
            let _ = self.stream.flow_control().release_capacity(self.unreleased);
            self.unreleased = 0;
        }
        while !self.data_ended {
            match ready!(self.stream.poll_data(cx)).transpose()? {
                Some(bytes) if bytes.is_empty() => {}
                Some(bytes) => {
                    self.unreleased = bytes.len();
                    return Poll::Ready(Ok(Some(Frame::Data(bytes))));
                }
                None => self.data_ended = true,
            }
        }
        Poll::Ready(Ok(ready!(self.stream.poll_trailers(cx))?.map(Frame::Trailers)))
    }

    pub(crate) fn is_end(&self) -> bool {
        self.stream.is_end_stream()
    }
}

/// A body that is sent, one frame at a time.
#[derive(Debug)]
pub(crate) struct Outgoing {
    stream: SendStream<Bytes>,
    pending: Bytes,
    end: bool,
    /// Bounds how long a client leaves an answer unread.
    unread: Option<Idle>,
}

impl Outgoing {
    pub(crate) fn new(stream: SendStream<Bytes>) -> Self {
        Self { stream, pending: Bytes::new(), end: false, unread: None }
    }

    /// The same, which must not stay unread for long.
    pub(crate) fn bounded(self, idle: Idle) -> Self {
        Self { unread: Some(idle), ..self }
    }

    /// Ready when the frame given last has gone to the connection.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        while !self.pending.is_empty() {
            if self.stream.capacity() == 0 {
                self.stream.reserve_capacity(self.pending.len());
                if self.stream.capacity() == 0 {
                    match self.stream.poll_capacity(cx) {
                        Poll::Ready(Some(Ok(_))) => {}
                        Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(self.explain(cx, error))),
                        Poll::Ready(None) => return Poll::Ready(Err(self.gone(cx))),
                        Poll::Pending => return self.poll_unread(cx),
                    }
                }
            }
            let n = self.stream.capacity().min(self.pending.len());
            if n > 0 {
                let bytes = self.pending.split_to(n);
                let end = self.end && self.pending.is_empty();
                self.stream.send_data(bytes, end)?;
                if let Some(idle) = &mut self.unread {
                    idle.moved();
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The client's window is closed: it may cancel, or open it in time.
    fn poll_unread(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        if let gone @ Poll::Ready(_) = self.poll_gone(cx) {
            return gone;
        }
        let Some(idle) = &mut self.unread else { return Poll::Pending };
        ready!(idle.poll(cx));
        self.stream.send_reset(Reason::CANCEL);
        Poll::Ready(Err(timed_out().into()))
    }

    pub(crate) fn data(&mut self, bytes: Bytes, end: bool) -> Result<(), BodyError> {
        self.end = end;
        if bytes.is_empty() {
            if end {
                self.stream.send_data(bytes, true)?;
            }
            return Ok(());
        }
        self.stream.reserve_capacity(bytes.len());
        self.pending = bytes;
        Ok(())
    }

    pub(crate) fn trailers(&mut self, trailers: HeaderMap) -> Result<(), BodyError> {
        Ok(self.stream.send_trailers(trailers)?)
    }

    pub(crate) fn end(&mut self) -> Result<(), BodyError> {
        Ok(self.stream.send_data(Bytes::new(), true)?)
    }

    /// Ready with an error when the receiver has cancelled; otherwise pending, to be asked while there is nothing to send.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        match self.stream.poll_reset(cx) {
            Poll::Ready(Ok(reason)) => Poll::Ready(Err(BodyError::Cancelled(reason))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    pub(crate) fn abort(&mut self, reason: Reason) {
        self.stream.send_reset(reason);
    }

    fn gone(&mut self, cx: &mut Context<'_>) -> BodyError {
        match self.stream.poll_reset(cx) {
            Poll::Ready(Ok(reason)) => BodyError::Cancelled(reason),
            Poll::Ready(Err(error)) => error.into(),
            Poll::Pending => BodyError::Cancelled(Reason::CANCEL),
        }
    }

    fn explain(&mut self, cx: &mut Context<'_>, error: h2::Error) -> BodyError {
        if error.is_reset() { self.gone(cx) } else { error.into() }
    }
}
