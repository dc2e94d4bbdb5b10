//! Bytes both ways, with half-close, backpressure and no buffer while idle.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes read at once. Four TLS records; larger reads no longer save calls that matter.
const SCRATCH_BYTES: usize = 64 * 1024;

thread_local! {
    /// One buffer for all connections of the worker: it holds bytes only within a single poll.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
}

/// Reads what is there into the worker's scratch buffer and hands it to `use_bytes`. Empty: end of stream.
pub(crate) fn poll_read_scratch<R, T>(
    reader: &mut R,
    cx: &mut Context<'_>,
    use_bytes: impl FnOnce(&mut Context<'_>, &[u8]) -> T,
) -> Poll<io::Result<T>>
where
    R: AsyncRead + Unpin,
{
    SCRATCH.with(|scratch| {
        let mut scratch = scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        ready!(Pin::new(reader).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(use_bytes(cx, buffer.filled())))
    })
}

/// Which side a copy failed on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    /// Reading from or writing to the side that connected to us.
    #[error("the client's side failed")]
    Client(#[source] io::Error),
    /// Reading from or writing to the side that we connected to.
    #[error("the server's side failed")]
    Server(#[source] io::Error),
}

/// Copies until both directions have ended. The end of one direction is passed on as a half-close; an error ends both.
///
/// # Errors
/// [`CopyError`] names the side that failed.
pub(crate) async fn both_ways<C, S>(client: &mut C, server: &mut S) -> Result<(), CopyError>
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut up = Direction::default();
    let mut down = Direction::default();
    poll_fn(|cx| {
        let up = up.poll(cx, client, server).map_err(|error| match error {
            Side::From(error) => CopyError::Client(error),
            Side::To(error) => CopyError::Server(error),
        })?;
        let down = down.poll(cx, server, client).map_err(|error| match error {
            Side::From(error) => CopyError::Server(error),
            Side::To(error) => CopyError::Client(error),
        })?;
        if up.is_ready() && down.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

enum Side {
    From(io::Error),
    To(io::Error),
}

/// One direction. Bytes that the writer did not take at once are kept, and nothing is read until they are gone.
#[derive(Default)]
struct Direction {
    left: Vec<u8>,
    sent: usize,
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    Open,
    /// The reader has ended; the writer is being told.
    Closing,
    Closed,
}

impl Direction {
    fn poll<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<Result<(), Side>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            match self.state {
                State::Closed => return Poll::Ready(Ok(())),
                State::Closing => {
                    ready!(self.poll_left(cx, to)).map_err(Side::To)?;
                    ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(Side::To)?;
                    self.state = State::Closed;
                }
                State::Open => {
                    ready!(self.poll_left(cx, to)).map_err(Side::To)?;
                    let read = poll_read_scratch(from, cx, |cx, bytes| {
                        self.pass(cx, to, bytes).map(|()| bytes.len())
                    });
                    match read.map_err(Side::From)? {
                        Poll::Ready(passed) => {
                            if passed.map_err(Side::To)? == 0 {
                                self.state = State::Closing;
                            }
                        }
                        Poll::Pending => {
                            // What is buffered in a TLS session must go out before we wait.
                            if let Poll::Ready(flushed) = Pin::new(&mut *to).poll_flush(cx) {
                                flushed.map_err(Side::To)?;
                            }
                            return Poll::Pending;
                        }
                    }
                }
            }
        }
    }

    /// Writes `bytes`, and keeps what the writer does not take now.
    fn pass<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
        bytes: &[u8],
    ) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match Pin::new(&mut *to).poll_write(cx, rest)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(n) => rest = rest.get(n..).unwrap_or_default(),
                Poll::Pending => {
                    self.left.extend_from_slice(rest);
                    break;
                }
            }
        }
        Ok(())
    }

    fn poll_left<W: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, to: &mut W) -> Poll<io::Result<()>> {
        while let Some(rest) = self.left.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut *to).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.sent += n,
            }
        }
        if self.sent > 0 {
            self.left = Vec::new();
            self.sent = 0;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test(flavor = "current_thread")]
    async fn the_end_of_one_direction_leaves_the_other_open() {
        let (mut client, mut near) = duplex(16);
        let (mut far, mut server) = duplex(16);
        let copy = both_ways(&mut near, &mut far);
        let talk = async {
            client.write_all(b"question").await.unwrap();
            client.shutdown().await.unwrap();
            let mut heard = Vec::new();
            server.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"question");
            server.write_all(b"a rather long answer").await.unwrap();
            server.shutdown().await.unwrap();
            heard.clear();
            client.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"a rather long answer");
        };
        let (copied, ()) = tokio::join!(copy, talk);
        copied.unwrap();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_slow_reader_holds_back_the_writer_and_loses_nothing() {
        let (mut client, mut near) = duplex(1024);
        let (mut far, mut server) = duplex(7);
        let sent: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        let expected = sent.clone();
        let copy = both_ways(&mut near, &mut far);
        let write = async {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
        };
        let read = async {
            let mut heard = Vec::new();
            server.read_to_end(&mut heard).await.unwrap();
            server.shutdown().await.unwrap();
            heard
        };
        let (copied, (), heard) = tokio::join!(copy, write, read);
        copied.unwrap();
        assert!(heard == expected);
    }
}
