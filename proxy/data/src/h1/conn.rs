//! One HTTP/1 connection: its bytes in and out, shared by the halves of an exchange within one task.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::message::Unread;
use crate::copy::poll_read_scratch;
use crate::io::Io;

/// Bytes that may wait for a slow receiver before the sender is held back.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// Pieces up to this size are copied together, larger ones are written from where they are.
const COPY_BYTES_MAX: usize = 4 * 1024;
/// What a buffer for small pieces begins with: most heads fit, and it need not grow by doubling.
const HEAD_BYTES: usize = 512;
/// Pieces that one write takes.
const PIECES: usize = 16;

/// The connection. Buffers exist only while there is something in them.
pub(crate) struct Conn {
    io: RefCell<Io>,
    pub(crate) input: RefCell<BytesMut>,
    output: RefCell<Output>,
    /// The peer has closed its direction.
    pub(crate) ended: Cell<bool>,
    /// Whether this message and the ones before left the connection usable for another one.
    pub(crate) reusable: Cell<bool>,
    /// The body that is coming in has been read to its end.
    pub(crate) body_read: Cell<bool>,
    /// The message that is going out has been queued to its end.
    pub(crate) body_written: Cell<bool>,
    /// The client sends its body only when it is told to (RFC 9110 §10.1.1), and has neither been told nor begun.
    pub(crate) awaits_continue: Cell<bool>,
    /// A request body that its handler dropped before the end.
    pub(crate) unread: Cell<Option<Unread>>,
}

#[derive(Debug, Default)]
struct Output {
    pieces: VecDeque<Bytes>,
    tail: BytesMut,
    waiting: usize,
    unflushed: bool,
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Conn")
    }
}

impl Conn {
    pub(crate) fn new(io: Io) -> Rc<Self> {
        Rc::new(Self {
            io: RefCell::new(io),
            input: RefCell::default(),
            output: RefCell::default(),
            ended: Cell::new(false),
            reusable: Cell::new(true),
            body_read: Cell::new(true),
            body_written: Cell::new(false),
            awaits_continue: Cell::new(false),
            unread: Cell::new(None),
        })
    }

    /// Reads what there is into `input`; 0: the peer has closed.
    pub(crate) fn poll_fill(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.ended.get() {
            return Poll::Ready(Ok(0));
        }
        let mut io = self.io.borrow_mut();
        let read = ready!(poll_read_scratch(&mut *io, cx, |_, bytes| {
            self.input.borrow_mut().extend_from_slice(bytes);
            bytes.len()
        }))?;
        if read == 0 {
            self.ended.set(true);
        }
        Poll::Ready(Ok(read))
    }

    /// Lets go of the input buffer if nothing is in it: an idle connection holds none.
    pub(crate) fn rest(&self) {
        let mut input = self.input.borrow_mut();
        if input.is_empty() {
            *input = BytesMut::new();
        }
    }

    /// Gives `write` the buffer to put small pieces into.
    pub(crate) fn write<T>(&self, write: impl FnOnce(&mut BytesMut) -> T) -> T {
        let mut output = self.output.borrow_mut();
        let before = output.tail.len();
        if output.tail.capacity() == 0 {
            output.tail.reserve(HEAD_BYTES);
        }
        let written = write(&mut output.tail);
        output.waiting += output.tail.len().saturating_sub(before);
        output.unflushed = true;
        written
    }

    /// Queues a piece of a body.
    pub(crate) fn push(&self, bytes: Bytes) {
        if bytes.len() <= COPY_BYTES_MAX {
            self.write(|tail| tail.extend_from_slice(&bytes));
            return;
        }
        let mut output = self.output.borrow_mut();
        output.waiting += bytes.len();
        output.unflushed = true;
        if !output.tail.is_empty() {
            let tail = output.tail.split().freeze();
            output.pieces.push_back(tail);
        }
        output.pieces.push_back(bytes);
    }

    /// Ready when another piece may be queued.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.output.borrow().waiting < OUTPUT_BYTES_MAX {
            return Poll::Ready(Ok(()));
        }
        self.poll_flush(cx)
    }

    /// Bytes that are queued.
    pub(crate) fn waiting(&self) -> usize {
        self.output.borrow().waiting
    }

    /// Writes everything that is queued.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut output = self.output.borrow_mut();
        let mut io = self.io.borrow_mut();
        while output.waiting > 0 {
            let written = ready!(output.poll_write(cx, &mut io))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            output.consume(written);
        }
        if output.unflushed {
            ready!(Pin::new(&mut *io).poll_flush(cx))?;
            output.unflushed = false;
        }
        if output.tail.capacity() > 0 {
            output.tail = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Closes our direction, once everything is written.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut *self.io.borrow_mut()).poll_shutdown(cx)
    }
}

impl Output {
    fn poll_write(&self, cx: &mut Context<'_>, io: &mut Io) -> Poll<io::Result<usize>> {
        if self.pieces.is_empty() {
            return Pin::new(io).poll_write(cx, &self.tail);
        }
        let mut slices = [IoSlice::new(&[]); PIECES];
        let pieces = self.pieces.iter().map(Bytes::as_ref).chain(std::iter::once(self.tail.as_ref()));
        let mut used = 0;
        for (slot, piece) in slices.iter_mut().zip(pieces) {
            *slot = IoSlice::new(piece);
            used += 1;
        }
        Pin::new(io).poll_write_vectored(cx, slices.get(..used).unwrap_or_default())
    }

    fn consume(&mut self, mut written: usize) {
        self.waiting = self.waiting.saturating_sub(written);
        while let Some(first) = self.pieces.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.pieces.pop_front();
        }
        self.tail.advance(written.min(self.tail.len()));
    }
}

/// The connection as bytes, after its messages: what a 101 leads to.
#[derive(Debug)]
pub(crate) struct Raw(pub(crate) Rc<Conn>);

impl AsyncRead for Raw {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut input = self.0.input.borrow_mut();
        if !input.is_empty() {
            let n = input.len().min(buf.remaining());
            buf.put_slice(&input.split_to(n));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut *self.0.io.borrow_mut()).poll_read(cx, buf)
    }
}

impl AsyncWrite for Raw {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.0.poll_flush(cx))?;
        Pin::new(&mut *self.0.io.borrow_mut()).poll_write(cx, buf)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.0.poll_flush(cx))?;
        Pin::new(&mut *self.0.io.borrow_mut()).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}
