//! What a connection speaks, found without making a server that speaks first wait.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use hauberk_wire::detect::{Detection, detect};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::copy::poll_read_scratch;
use crate::io::Io;

/// How long a client may be silent before the server is asked whether it speaks first. A client that speaks
/// first does so with its handshake's last packet; one round trip of a cluster is far below this.
const SILENCE: Duration = Duration::from_millis(20);

/// Pauses between tries to reach a server that may speak first: the first one, and the longest.
const REDIAL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Connections that a server may close without a word before its close is taken for its answer. One that is being
/// restarted closes one or two, and then the client's first byte shall still find another.
const WORDLESS_MAX: u32 = 3;

/// What the first bytes say, or that there were none.
#[derive(Debug)]
pub(crate) enum Sniffed {
    /// The protocol is known; the bytes have been put back.
    Protocol(Detection),
    /// The server spoke first, or closed for good, over a connection made meanwhile: bytes both ways.
    ServerFirst(Io),
    /// No byte, or too few, within the time allowed; what there was has been put back.
    Silent,
    /// The client closed without a word.
    Closed,
}

/// What is worth telling apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Every protocol.
    All,
    /// TLS, which may be the mesh's own; whatever else it is, it is passed on at once.
    Tls,
}

impl Look {
    /// First byte of a TLS handshake record (RFC 8446 §5.1).
    const HANDSHAKE: u8 = 22;

    fn at(self, seen: &[u8]) -> Detection {
        match (self, seen.first()) {
            (Self::Tls, Some(first)) if *first != Self::HANDSHAKE => Detection::Other,
            (Self::All | Self::Tls, _) => detect(seen),
        }
    }
}

/// Looks at the client's first bytes for at most `within`.
///
/// # Errors
/// The client's connection failed.
pub(crate) async fn sniff(client: &mut Io, within: Duration) -> io::Result<Sniffed> {
    let mut seen = BytesMut::new();
    sniff_from(client, &mut seen, Look::All, Instant::now() + within).await
}

/// As [`sniff`]; while the client is silent, `dial` connects to the server, which may speak first. A client that waits
/// for a greeting waits no longer than the server does: what cannot be reached is tried again.
///
/// # Errors
/// The client's connection failed.
pub(crate) async fn sniff_both(
    client: &mut Io,
    look: Look,
    within: Duration,
    dial: impl AsyncFnMut() -> Option<Io>,
) -> io::Result<Sniffed> {
    let start = Instant::now();
    let mut seen = BytesMut::new();
    if let Some(sniffed) = timeout_at(start + SILENCE, more(client, &mut seen)).await.ok().transpose()? {
        match sniffed {
            0 => return Ok(Sniffed::Closed),
            _ => return sniff_from(client, &mut seen, look, start + within).await,
        }
    }
    // Boxed: hardly any client is silent.
    let mut server = Box::pin(server_speaks(dial));
    let mut silence = pin!(sleep_until(start + within));
    let first = poll_fn(|cx| {
        if let Poll::Ready(read) = poll_more(client, cx, &mut seen) {
            return Poll::Ready(First::Client(read));
        }
        if let Poll::Ready(server) = server.as_mut().poll(cx) {
            return Poll::Ready(First::Server(server));
        }
        silence.as_mut().poll(cx).map(|()| First::Nobody)
    })
    .await;
    match first {
        First::Client(read) => match read? {
            0 => Ok(Sniffed::Closed),
            _ => sniff_from(client, &mut seen, look, start + within).await,
        },
        First::Server(server) => Ok(Sniffed::ServerFirst(server)),
        First::Nobody => Ok(Sniffed::Silent),
    }
}

enum First {
    Client(io::Result<usize>),
    Server(Io),
    Nobody,
}

/// Returns when the server has spoken, or has closed without a word as often as means it.
async fn server_speaks(mut dial: impl AsyncFnMut() -> Option<Io>) -> Io {
    let (mut pause, longest) = REDIAL;
    let mut wordless = 0;
    loop {
        if let Some(mut server) = dial().await {
            let mut seen = BytesMut::new();
            match more(&mut server, &mut seen).await {
                Ok(0) => {
                    wordless += 1;
                    if wordless >= WORDLESS_MAX {
                        return server;
                    }
                }
                Ok(_) => {
                    server.unread(seen.freeze());
                    return server;
                }
                Err(_) => {}
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

async fn sniff_from(client: &mut Io, seen: &mut BytesMut, look: Look, until: Instant) -> io::Result<Sniffed> {
    let found = loop {
        match look.at(seen) {
            Detection::NeedMore => match timeout_at(until, more(client, seen)).await {
                Err(_) => break Sniffed::Silent,
                Ok(read) => match (read?, seen.is_empty()) {
                    (0, true) => break Sniffed::Closed,
                    // The client closed its direction after a few bytes: whatever they are, they are not HTTP.
                    (0, false) => break Sniffed::Protocol(Detection::Other),
                    (_, _) => {}
                },
            },
            known @ (Detection::Http1 | Detection::Http2 | Detection::Tls(_) | Detection::Other) => {
                break Sniffed::Protocol(known);
            }
        }
    };
    client.unread(std::mem::take(seen).freeze());
    Ok(found)
}

async fn more(io: &mut Io, seen: &mut BytesMut) -> io::Result<usize> {
    poll_fn(|cx| poll_more(io, cx, seen)).await
}

fn poll_more(io: &mut Io, cx: &mut Context<'_>, seen: &mut BytesMut) -> Poll<io::Result<usize>> {
    poll_read_scratch(&mut Pin::new(io), cx, |_, bytes| {
        seen.extend_from_slice(bytes);
        bytes.len()
    })
}

impl Sniffed {
    /// The connection to the server, if it was made already.
    pub(crate) fn into_server(self) -> Option<Io> {
        match self {
            Self::ServerFirst(server) => Some(server),
            Self::Protocol(_) | Self::Silent | Self::Closed => None,
        }
    }

    /// The `result` of detection metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Protocol(Detection::Http1) => "http/1",
            Self::Protocol(Detection::Http2) => "http/2",
            Self::Protocol(_) | Self::ServerFirst(_) => "not_http",
            Self::Silent => "read_timeout",
            Self::Closed => "error",
        }
    }
}
