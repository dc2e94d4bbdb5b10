//! A second reading of a request body, beside the one that serves the request and never in its way.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use h2::Reason;

use crate::body::{BodyError, Frame};

/// Bytes that may lie between the request and a reader that is slower. With more, the reader loses.
const BEHIND_BYTES_MAX: usize = 64 * 1024;

/// Where the frames of the request are put.
#[derive(Debug)]
pub(crate) struct Tee(Rc<RefCell<State>>);

/// What the second reader reads.
#[derive(Debug)]
pub(crate) struct TeeBody(Rc<RefCell<State>>);

/// Tells whether the second reader was too slow.
#[derive(Debug)]
pub(crate) struct TeeWatch(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    frames: VecDeque<Frame>,
    bytes: usize,
    course: Course,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// More may come.
    Open,
    Ended,
    /// The request broke off, or its body was not read to the end.
    Broken,
    /// The reader was too slow.
    Behind,
}

/// The two ends of a body.
pub(crate) fn tee() -> (Tee, TeeBody, TeeWatch) {
    let state = State { frames: VecDeque::new(), bytes: 0, course: Course::Open, waker: None };
    let state = Rc::new(RefCell::new(state));
    (Tee(Rc::clone(&state)), TeeBody(Rc::clone(&state)), TeeWatch(state))
}

impl Tee {
    /// Passes on a frame that the request has just given; `ends`: and none follows.
    pub(crate) fn push(&self, frame: &Frame, ends: bool) {
        let mut state = self.0.borrow_mut();
        if state.course != Course::Open {
            return;
        }
        state.bytes = state.bytes.saturating_add(size(frame));
        if state.bytes > BEHIND_BYTES_MAX {
            state.frames = VecDeque::new();
            state.turn(Course::Behind);
            return;
        }
        state.frames.push_back(frame.clone());
        let ends = ends || matches!(frame, Frame::Trailers(_));
        state.turn(if ends { Course::Ended } else { Course::Open });
    }

    /// The request has no more frames.
    pub(crate) fn end(&self) {
        let mut state = self.0.borrow_mut();
        if state.course == Course::Open {
            state.turn(Course::Ended);
        }
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        let mut state = self.0.borrow_mut();
        if state.course == Course::Open {
            state.turn(Course::Broken);
        }
    }
}

impl State {
    fn turn(&mut self, course: Course) {
        self.course = course;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl TeeBody {
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        let mut state = self.0.borrow_mut();
        if let Some(frame) = state.frames.pop_front() {
            state.bytes = state.bytes.saturating_sub(size(&frame));
            return Poll::Ready(Ok(Some(frame)));
        }
        match state.course {
            Course::Open => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Course::Ended => Poll::Ready(Ok(None)),
            Course::Broken | Course::Behind => Poll::Ready(Err(BodyError::Cancelled(Reason::CANCEL))),
        }
    }

    pub(crate) fn is_end(&self) -> bool {
        let state = self.0.borrow();
        state.frames.is_empty() && state.course == Course::Ended
    }
}

impl TeeWatch {
    /// Whether the body went past the reader.
    pub(crate) fn is_behind(&self) -> bool {
        self.0.borrow().course == Course::Behind
    }
}

fn size(frame: &Frame) -> usize {
    match frame {
        Frame::Data(bytes) => bytes.len(),
        Frame::Trailers(trailers) => {
            trailers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn poll(body: &mut TeeBody) -> Poll<Result<Option<usize>, ()>> {
        let mut cx = Context::from_waker(Waker::noop());
        body.poll_frame(&mut cx).map(|read| read.map(|frame| frame.as_ref().map(size)).map_err(|_| ()))
    }

    fn data(len: usize) -> Frame {
        Frame::Data(Bytes::from(vec![0; len]))
    }

    #[test]
    fn the_second_reader_sees_every_frame_and_the_end() {
        let (tee, mut body, watch) = tee();
        assert_eq!(poll(&mut body), Poll::Pending);
        tee.push(&data(3), false);
        tee.push(&data(4), true);
        drop(tee);
        assert_eq!(poll(&mut body), Poll::Ready(Ok(Some(3))));
        assert!(!body.is_end());
        assert_eq!(poll(&mut body), Poll::Ready(Ok(Some(4))));
        assert!(body.is_end() && !watch.is_behind());
        assert_eq!(poll(&mut body), Poll::Ready(Ok(None)));
    }

    #[test]
    fn a_reader_that_falls_behind_loses_and_what_it_held_is_freed() {
        let (tee, mut body, watch) = tee();
        tee.push(&data(BEHIND_BYTES_MAX), false);
        assert!(!watch.is_behind());
        tee.push(&data(1), false);
        assert!(watch.is_behind());
        tee.push(&data(1), true);
        assert_eq!(poll(&mut body), Poll::Ready(Err(())));
        assert_eq!(body.0.borrow().frames.len(), 0);
    }

    #[test]
    fn a_request_that_breaks_off_breaks_its_copy_off() {
        let (tee, mut body, watch) = tee();
        tee.push(&data(1), false);
        drop(tee);
        assert_eq!(poll(&mut body), Poll::Ready(Ok(Some(1))));
        assert_eq!(poll(&mut body), Poll::Ready(Err(())));
        assert!(!watch.is_behind());
    }
}
