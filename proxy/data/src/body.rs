//! Message bodies: where frames come from, where they go, and the pump between the two.
//!
//! Everything is polled by the task of the connection that the message belongs to; nothing is spawned.

use std::io;
use std::task::{Context, Poll, ready};

use ::h2::Reason;
use bytes::Bytes;
use hauberk_observe::Sizes;
use hauberk_wire::h1::H1Error;
use hauberk_wire::translate::{TranslateError, forward};
use http::{HeaderMap, HeaderName};
use tokio::time::Instant;

use crate::h1;
use crate::h2;
use crate::replay::Replay;
use crate::tee::TeeBody;

/// A piece of a body.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    Data(Bytes),
    /// Nothing follows.
    Trailers(HeaderMap),
}

/// Why a body did not come to its end, or could not be passed on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// The sender broke HTTP/1's rules.
    #[error("the body is malformed")]
    Malformed(#[from] H1Error),
    /// The stream or its connection failed.
    #[error("the HTTP/2 stream failed")]
    H2(#[from] ::h2::Error),
    /// The other side wants no more of it.
    #[error("the receiver cancelled")]
    Cancelled(Reason),
    /// The message cannot be said in the receiver's protocol.
    #[error("the message cannot be passed on")]
    Unsayable(#[from] TranslateError),
    /// A replay was asked for that is no longer possible.
    #[error("the body was not kept for replay")]
    NotKept,
}

impl BodyError {
    /// How the rest of the message is called off: as its sender did, where it said so.
    fn reason(&self) -> Reason {
        match self {
            Self::H2(error) if error.is_reset() => error.reason().unwrap_or(Reason::INTERNAL_ERROR),
            Self::Cancelled(reason) => *reason,
            Self::Io(_) => Reason::CANCEL,
            Self::H2(_) | Self::Malformed(_) | Self::Unsayable(_) | Self::NotKept => Reason::INTERNAL_ERROR,
        }
    }
}

/// Where the frames of a message come from.
#[derive(Debug)]
pub(crate) enum Body {
    /// No frames.
    Empty,
    H1(h1::Incoming),
    H2(h2::Incoming),
    /// A request body that may be sent more than once.
    Shared(Replay),
    /// A copy of a request body.
    Tee(TeeBody),
}

impl Body {
    /// The next frame; `None` after the last.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        match self {
            Self::Empty => Poll::Ready(Ok(None)),
            Self::H1(body) => body.poll_frame(cx),
            Self::H2(body) => body.poll_frame(cx),
            Self::Shared(body) => body.poll_frame(cx),
            Self::Tee(body) => body.poll_frame(cx),
        }
    }

    /// Whether it is known that no frame follows.
    pub(crate) fn is_end(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::H1(body) => body.is_end(),
            Self::H2(body) => body.is_end(),
            Self::Shared(body) => body.is_end(),
            Self::Tee(body) => body.is_end(),
        }
    }
}

/// Where the frames of a message go.
#[derive(Debug)]
pub(crate) enum Sink {
    /// The head was all.
    None,
    H1(h1::Outgoing),
    H2(h2::Outgoing),
}

impl Sink {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        match self {
            Self::None => Poll::Ready(Ok(())),
            Self::H1(sink) => sink.poll_ready(cx),
            Self::H2(sink) => sink.poll_ready(cx),
        }
    }

    fn data(&mut self, bytes: Bytes, end: bool) -> Result<(), BodyError> {
        match self {
            Self::None => Ok(()),
            Self::H1(sink) => sink.data(bytes, end),
            Self::H2(sink) => sink.data(bytes, end),
        }
    }

    fn trailers(&mut self, trailers: HeaderMap) -> Result<(), BodyError> {
        match self {
            Self::None => Ok(()),
            Self::H1(sink) => sink.trailers(&trailers),
            Self::H2(sink) => sink.trailers(forward::trailers(trailers)),
        }
    }

    fn end(&mut self) -> Result<(), BodyError> {
        match self {
            Self::None => Ok(()),
            Self::H1(sink) => sink.end(),
            Self::H2(sink) => sink.end(),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        match self {
            Self::None => Poll::Ready(Ok(())),
            Self::H1(sink) => sink.poll_flush(cx),
            Self::H2(sink) => sink.poll_gone(cx),
        }
    }

    /// Tells the receiver that the message broke off.
    fn abort(&mut self, reason: Reason) {
        match self {
            Self::None => {}
            Self::H1(sink) => sink.abort(),
            Self::H2(sink) => sink.abort(reason),
        }
    }
}

/// Moves one body. What it has seen stays readable after the end.
#[derive(Debug)]
pub(crate) struct Pump {
    body: Body,
    sink: Sink,
    state: PumpState,
    /// Makes the trailers that end a gRPC response whose server failed midway (INTERFACE §6).
    rescue: Option<fn(Rescue) -> HeaderMap>,
    /// `grpc-status` of the trailers that went through.
    pub(crate) grpc_status: Option<u16>,
    /// What went through.
    pub(crate) sizes: Sizes,
    /// When the last of it went, where that is asked for.
    pub(crate) done_at: Option<Instant>,
    is_timed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PumpState {
    Moving,
    /// The last frame was taken; it may still be on its way out.
    Flushing,
    Done,
}

impl Pump {
    pub(crate) fn new(body: Body, sink: Sink) -> Self {
        let state = if matches!(sink, Sink::None) { PumpState::Done } else { PumpState::Moving };
        let sizes = Sizes::default();
        Self { body, sink, state, rescue: None, grpc_status: None, sizes, done_at: None, is_timed: false }
    }

    /// One that notes when it is done, if there is anything to move.
    pub(crate) fn timed(body: Body, sink: Sink) -> Self {
        Self { is_timed: !body.is_end(), ..Self::new(body, sink) }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == PumpState::Done
    }

    /// Moves what there is. Ready when all has gone, or with what went wrong, once.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PumpError>> {
        let polled = self.poll_moving(cx);
        if let Poll::Ready(Err(error)) = &polled {
            if let PumpError::Body(error) = error {
                self.end_early(Rescue::Broken, error.reason());
            }
            self.state = PumpState::Done;
        }
        polled
    }

    /// Has `trailers` end the message properly where its sender does not.
    pub(crate) fn rescue_with(&mut self, trailers: fn(Rescue) -> HeaderMap) {
        self.rescue = Some(trailers);
    }

    /// Ends a message that took too long.
    pub(crate) fn time_out(&mut self) {
        if self.state == PumpState::Moving {
            self.end_early(Rescue::TimedOut, Reason::CANCEL);
            self.state = PumpState::Done;
        }
    }

    fn end_early(&mut self, why: Rescue, reason: Reason) {
        if let Some(rescue) = self.rescue {
            let trailers = rescue(why);
            self.grpc_status = grpc_status(&trailers);
            if self.sink.trailers(trailers).is_ok() {
                return;
            }
        }
        self.sink.abort(reason);
    }

    fn poll_moving(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PumpError>> {
        loop {
            match self.state {
                PumpState::Done => return Poll::Ready(Ok(())),
                PumpState::Flushing => {
                    ready!(self.sink.poll_ready(cx)).map_err(PumpError::Sink)?;
                    if let Sink::H1(_) = self.sink {
                        ready!(self.sink.poll_flush(cx)).map_err(PumpError::Sink)?;
                    }
                    self.state = PumpState::Done;
                    if self.is_timed {
                        self.done_at = Some(Instant::now());
                    }
                }
                PumpState::Moving => {
                    ready!(self.sink.poll_ready(cx)).map_err(PumpError::Sink)?;
                    match self.body.poll_frame(cx) {
                        Poll::Pending => {
                            if let Poll::Ready(flushed) = self.sink.poll_flush(cx) {
                                flushed.map_err(PumpError::Sink)?;
                            }
                            return Poll::Pending;
                        }
                        Poll::Ready(frame) => self.pass(frame)?,
                    }
                }
            }
        }
    }

    fn pass(&mut self, frame: Result<Option<Frame>, BodyError>) -> Result<(), PumpError> {
        match frame {
            Err(error) => return Err(PumpError::Body(error)),
            Ok(None) => {
                self.sink.end().map_err(PumpError::Sink)?;
                self.state = PumpState::Flushing;
            }
            Ok(Some(Frame::Data(bytes))) => {
                self.sizes.add(bytes.len());
                let end = self.body.is_end();
                self.sink.data(bytes, end).map_err(PumpError::Sink)?;
                if end {
                    self.state = PumpState::Flushing;
                }
            }
            Ok(Some(Frame::Trailers(trailers))) => {
                self.grpc_status = grpc_status(&trailers).or(self.grpc_status);
                self.sink.trailers(trailers).map_err(PumpError::Sink)?;
                self.state = PumpState::Flushing;
            }
        }
        Ok(())
    }

    /// Gives up: the receiver learns that the message broke off, and the sender that nobody listens.
    pub(crate) fn abort(&mut self) {
        if self.state != PumpState::Done {
            self.sink.abort(Reason::CANCEL);
            self.state = PumpState::Done;
        }
    }
}

/// Why a message ends before its sender ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rescue {
    /// The sender failed.
    Broken,
    /// A bound in time was reached.
    TimedOut,
}

/// Which end of a pump failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PumpError {
    #[error("the sender failed")]
    Body(#[source] BodyError),
    #[error("the receiver failed")]
    Sink(#[source] BodyError),
}

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The gRPC status of a head or of trailers.
pub(crate) fn grpc_status(headers: &HeaderMap) -> Option<u16> {
    headers.get(&GRPC_STATUS)?.to_str().ok()?.parse().ok()
}
