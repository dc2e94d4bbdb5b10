//! Request bodies that may have to be sent more than once.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::body::{Body, BodyError, Frame};
use crate::tee::{self, Tee, TeeWatch};

/// A request body kept while it is sent, so that another endpoint can be tried. Without frames it is nothing at all.
#[derive(Clone, Debug)]
pub(crate) struct Source(Option<Rc<Shared>>);

#[derive(Debug)]
struct Shared {
    body: RefCell<Body>,
    kept: RefCell<Kept>,
    /// Copies of the body, fed as it is read for the first time.
    tees: RefCell<Vec<Tee>>,
    /// Frames that have been read.
    read: Cell<u64>,
}

#[derive(Debug)]
struct Kept {
    frames: VecDeque<Frame>,
    bytes: usize,
    bytes_max: usize,
    /// Frames that were passed on and are gone.
    lost: bool,
    ended: bool,
}

impl Source {
    /// Keeps up to `bytes_max` bytes; with more, or with 0, the body can be sent once.
    pub(crate) fn new(body: Body, bytes_max: usize) -> Self {
        if let Body::Empty = body {
            return Self(None);
        }
        let kept = Kept { frames: VecDeque::new(), bytes: 0, bytes_max, lost: false, ended: false };
        Self(Some(Shared::new(body, kept)))
    }

    /// A copy of the body, which must not have been read yet; it is fed while the body is read and never waited for.
    pub(crate) fn tee(&self) -> (Body, Option<TeeWatch>) {
        let Some(shared) = self.0.as_ref().filter(|shared| !shared.body.borrow().is_end()) else {
            return (Body::Empty, None);
        };
        let (tee, body, watch) = tee::tee();
        shared.tees.borrow_mut().push(tee);
        (Body::Tee(body), Some(watch))
    }

    /// A body that is known as a whole.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        let kept = Kept {
            bytes: bytes.len(),
            bytes_max: bytes.len(),
            frames: VecDeque::from([Frame::Data(bytes)]),
            lost: false,
            ended: true,
        };
        Self(Some(Shared::new(Body::Empty, kept)))
    }

    /// Whether the whole body, or what there has been of it, can be sent again.
    pub(crate) fn can_replay(&self) -> bool {
        self.0.as_ref().is_none_or(|shared| !shared.kept.borrow().lost)
    }

    /// Whether all of it has arrived and is kept, so that it can be sent twice at once.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.as_ref().is_none_or(|shared| {
            let kept = shared.kept.borrow();
            !kept.lost && (kept.ended || (kept.frames.is_empty() && shared.body.borrow().is_end()))
        })
    }

    /// Frames that have been read so far: while this grows, the client is not silent.
    pub(crate) fn read(&self) -> u64 {
        self.0.as_ref().map_or(0, |shared| shared.read.get())
    }

    /// The body from its start.
    pub(crate) fn replay(&self) -> Body {
        match &self.0 {
            Some(shared) if !shared.is_over() => Body::Shared(Replay { source: Rc::clone(shared), next: 0 }),
            Some(_) | None => Body::Empty,
        }
    }
}

impl Shared {
    fn new(body: Body, kept: Kept) -> Rc<Self> {
        Rc::new(Self {
            body: RefCell::new(body),
            kept: RefCell::new(kept),
            tees: RefCell::default(),
            read: Cell::new(0),
        })
    }

    /// Whether there is no frame, and none will be.
    fn is_over(&self) -> bool {
        self.kept.borrow().frames.is_empty() && self.body.borrow().is_end()
    }
}

/// One reading of a [`Source`].
#[derive(Debug)]
pub(crate) struct Replay {
    source: Rc<Shared>,
    next: usize,
}

impl Replay {
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        {
            let kept = self.source.kept.borrow();
            if let Some(frame) = kept.frames.get(self.next) {
                self.next += 1;
                return Poll::Ready(Ok(Some(frame.clone())));
            }
            if kept.ended {
                return Poll::Ready(Ok(None));
            }
            if kept.lost && self.next != usize::MAX {
                return Poll::Ready(Err(BodyError::NotKept));
            }
        }
        let frame = ready!(self.source.body.borrow_mut().poll_frame(cx))?;
        for tee in &*self.source.tees.borrow() {
            match &frame {
                None => tee.end(),
                Some(frame) => tee.push(frame, self.source.body.borrow().is_end()),
            }
        }
        self.source.read.set(self.source.read.get().wrapping_add(1));
        let mut kept = self.source.kept.borrow_mut();
        match &frame {
            None => kept.ended = true,
            Some(frame) => self.next = kept.keep(frame, self.next),
        }
        Poll::Ready(Ok(frame))
    }

    pub(crate) fn is_end(&self) -> bool {
        let kept = self.source.kept.borrow();
        (kept.lost || self.next >= kept.frames.len()) && (kept.ended || self.source.body.borrow().is_end())
    }
}

impl Kept {
    /// Keeps a frame that was just read, and tells what the reader's next position is.
    fn keep(&mut self, frame: &Frame, at: usize) -> usize {
        if self.lost {
            return usize::MAX;
        }
        let size = match frame {
            Frame::Data(bytes) => bytes.len(),
            Frame::Trailers(trailers) => {
                trailers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
            }
        };
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.bytes_max {
            self.lost = true;
            self.frames = VecDeque::new();
            return usize::MAX;
        }
        self.frames.push_back(frame.clone());
        at + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_without_frames_is_whole_and_is_replayed_as_nothing() {
        let source = Source::new(Body::Empty, 0);
        assert!(source.is_whole() && source.can_replay());
        assert!(matches!(source.replay(), Body::Empty));
    }

    #[test]
    fn what_exceeds_the_limit_is_sent_once() {
        let mut kept = Kept { frames: VecDeque::new(), bytes: 0, bytes_max: 4, lost: false, ended: false };
        let at = kept.keep(&Frame::Data(bytes::Bytes::from_static(b"abc")), 0);
        assert_eq!((at, kept.lost), (1, false));
        let at = kept.keep(&Frame::Data(bytes::Bytes::from_static(b"de")), at);
        assert_eq!((at, kept.lost, kept.frames.len()), (usize::MAX, true, 0));
    }
}
