//! The connection as the request path sees it: plain or mTLS, with bytes already read put back in front.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use hauberk_tls::{ClientStream, ServerStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::arrival::Arrivals;
use crate::meters::{TlsSession, Transport};
use crate::outbound::limit::HeldConnection;

/// A stream with bytes that were read from it and are to be read again.
#[derive(Debug)]
pub(crate) struct Prefixed<S> {
    prefix: Bytes,
    inner: S,
}

/// A TCP connection whose first bytes may have been looked at.
pub(crate) type Socket = Prefixed<TcpStream>;

impl<S> Prefixed<S> {
    pub(crate) fn new(prefix: Bytes, inner: S) -> Self {
        Self { prefix, inner }
    }
}

impl Socket {
    /// Waits until there is something to read, or the connection has ended.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        if self.prefix.is_empty() { self.inner.readable().await } else { Ok(()) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let n = self.prefix.len().min(buf.remaining());
        buf.put_slice(&self.prefix.split_to(n));
        if self.prefix.is_empty() {
            // Lets go of the buffer that the prefix was part of.
            self.prefix = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }
    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Any connection of ours. One concrete type, so that every protocol is compiled once.
#[derive(Debug)]
pub(crate) struct Io {
    stream: Prefixed<Stream>,
    arrivals: Arrivals,
    /// Counts bytes, and the close when dropped.
    transport: Option<Counted>,
    /// Counts the mTLS session while it is open.
    session: Option<TlsSession>,
    /// The place that it takes of a service's limit.
    held: Option<HeldConnection>,
}

/// What carries the bytes.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Plaintext, or TLS that is not ours.
    Plain(Socket),
    /// mTLS that a peer opened. Boxed: a session is a thousand bytes that plaintext connections do not need.
    Accepted(Box<ServerStream<Socket>>),
    /// mTLS that we opened.
    Dialed(Box<ClientStream<Socket>>),
}

impl Io {
    pub(crate) fn new(stream: Stream, transport: Option<Rc<Transport>>) -> Self {
        let transport = transport.map(Counted::new);
        let stream = Prefixed::new(Bytes::new(), stream);
        Self { stream, arrivals: Arrivals::new(), transport, session: None, held: None }
    }

    /// The same connection, counted as an mTLS session.
    pub(crate) fn with_session(mut self, session: TlsSession) -> Self {
        self.session = Some(session);
        self
    }

    /// The same connection, taking a place of a service's limit.
    pub(crate) fn holding(mut self, held: Option<HeldConnection>) -> Self {
        self.held = held;
        self
    }

    /// Counts this connection from now on.
    pub(crate) fn count_by(&mut self, transport: Rc<Transport>) {
        self.transport = Some(Counted::new(transport));
    }

    /// The TCP connection with what was read from it in front; `None` if this is TLS already.
    pub(crate) fn into_socket(self) -> Option<Socket> {
        let Prefixed { prefix, inner } = self.stream;
        match inner {
            Stream::Plain(socket) if socket.prefix.is_empty() => Some(Prefixed { prefix, ..socket }),
            Stream::Plain(_) | Stream::Accepted(_) | Stream::Dialed(_) => None,
        }
    }

    /// Puts bytes back that were read from this connection.
    pub(crate) fn unread(&mut self, bytes: Bytes) {
        if self.stream.prefix.is_empty() {
            self.stream.prefix = bytes;
        } else if !bytes.is_empty() {
            let mut joined = bytes::BytesMut::from(bytes.as_ref());
            joined.extend_from_slice(self.stream.prefix.chunk());
            self.stream.prefix = joined.freeze();
        }
    }
}

/// Counts an open connection until it is dropped.
#[derive(Debug)]
struct Counted {
    transport: Rc<Transport>,
    /// What broke it, if anything did; 0: nothing.
    errno: Cell<i32>,
}

impl Counted {
    fn new(transport: Rc<Transport>) -> Self {
        transport.opened();
        Self { transport, errno: Cell::new(0) }
    }

    /// Notes the error of a connection that breaks.
    #[cold]
    fn broken(&self, error: &io::Error) {
        self.errno.set(error.raw_os_error().unwrap_or_default());
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.transport.closed(self.errno.get());
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let Self { stream, arrivals, .. } = &mut *self;
        let polled = if stream.prefix.is_empty() {
            arrivals.poll(cx, |cx| Pin::new(&mut stream.inner).poll_read(cx, buf))
        } else {
            Pin::new(stream).poll_read(cx, buf)
        };
        if let Some(counted) = &self.transport {
            counted.transport.read(buf.filled().len().saturating_sub(before));
            if let Poll::Ready(Err(error)) = &polled {
                counted.broken(error);
            }
        }
        polled
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(&polled);
        polled
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(&polled);
        polled
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Io {
    fn written(&self, polled: &Poll<io::Result<usize>>) {
        match (&self.transport, polled) {
            (Some(counted), Poll::Ready(Ok(n))) => counted.transport.wrote(*n),
            (Some(counted), Poll::Ready(Err(error))) => counted.broken(error),
            (_, Poll::Pending) | (None, _) => {}
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Self::Accepted(io) => Pin::new(io.as_mut()).poll_read(cx, buf),
            Self::Dialed(io) => Pin::new(io.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Self::Accepted(io) => Pin::new(io.as_mut()).poll_write(cx, buf),
            Self::Dialed(io) => Pin::new(io.as_mut()).poll_write(cx, buf),
        }
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Accepted(io) => Pin::new(io.as_mut()).poll_write_vectored(cx, bufs),
            Self::Dialed(io) => Pin::new(io.as_mut()).poll_write_vectored(cx, bufs),
        }
    }
    fn is_write_vectored(&self) -> bool {
        true
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Accepted(io) => Pin::new(io.as_mut()).poll_flush(cx),
            Self::Dialed(io) => Pin::new(io.as_mut()).poll_flush(cx),
        }
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Accepted(io) => Pin::new(io.as_mut()).poll_shutdown(cx),
            Self::Dialed(io) => Pin::new(io.as_mut()).poll_shutdown(cx),
        }
    }
}

/// Dials `to` with our mark, bounded by `within`.
///
/// # Errors
/// The kernel's, or `TimedOut`.
pub(crate) async fn dial(
    to: SocketAddr,
    mark: Option<u32>,
    within: std::time::Duration,
) -> io::Result<TcpStream> {
    let socket =
        if to.is_ipv4() { tokio::net::TcpSocket::new_v4()? } else { tokio::net::TcpSocket::new_v6()? };
    if let Some(mark) = mark {
        socket2::SockRef::from(&socket).set_mark(mark)?;
    }
    match tokio::time::timeout(within, socket.connect(to)).await {
        Ok(connected) => {
            let stream = connected?;
            crate::accept::prepare(&stream)?;
            Ok(stream)
        }
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
