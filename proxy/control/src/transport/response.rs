//! A response's body as `http_body` wants it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body, Frame};

/// Data, then trailers. Dropping it cancels the call.
#[derive(Debug)]
pub struct ResponseBody {
    stream: RecvStream,
    part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Data,
    Trailers,
    End,
}

impl ResponseBody {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self { stream, part: Part::Data }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let Some(data) = ready!(self.stream.poll_data(cx)) else {
            self.part = Part::Trailers;
            return self.poll_trailers(cx);
        };
        Poll::Ready(Some(data.and_then(|data| {
            self.stream.flow_control().release_capacity(data.len())?;
            Ok(Frame::data(data))
        })))
    }

    fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let trailers = ready!(self.stream.poll_trailers(cx));
        self.part = Part::End;
        Poll::Ready(trailers.transpose().map(|trailers| trailers.map(Frame::trailers)))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        match self.part {
            Part::Data => self.poll_data(cx),
            Part::Trailers => self.poll_trailers(cx),
            Part::End => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.part == Part::End
    }
}
