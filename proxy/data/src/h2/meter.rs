//! What a client's frames cost, counted above the HTTP/2 library: frames that carry nothing for anybody are paid from an
//! allowance, and no connection has more than its turn of the worker.
//!
//! The library bounds some floods (CONTINUATION, empty DATA, resets), but neither SETTINGS, PING, PRIORITY nor
//! WINDOW_UPDATE: each is cheap, and a client can send millions a second while everybody else waits.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::io::Io;

/// Bytes that one connection may hand to the library before other connections have their turn.
const TURN_BYTES: usize = 64 * 1024;
/// The allowance of a new connection, and the most that can be saved up: a client that cancels a thousand calls at once
/// passes, and one that reconnects for more spends its time in handshakes.
const SAVED_MAX: u32 = 1_024;
/// What an idle connection gains in a second. Pings and settings of honest clients come once in seconds.
const GAIN_PER_SECOND: u32 = 200;
/// Bytes of answers for which a client gains one: it opens windows and measures round trips by them.
const BYTES_PER_GAIN: usize = 16;

/// The client's preface (RFC 9113 §3.4), before the first frame.
const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;

/// Frame types (RFC 9113 §6).
mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const PING: u8 = 6;
}

/// What one frame changes: a request brings the frames that belong to it, one that asks for an answer costs two.
fn change_of(kind: u8, length: usize) -> i32 {
    match (kind, length) {
        (kind::DATA, 1..) => 1,
        (kind::HEADERS, _) => 3,
        // More than its request brought: only so many may be made and cancelled.
        (kind::RST_STREAM, _) => -4,
        (kind::SETTINGS | kind::PING, _) => -2,
        (_, _) => -1,
    }
}

/// Finds the frames in a client's bytes.
#[derive(Debug)]
struct Scan {
    head: [u8; HEAD_BYTES],
    have: usize,
    skip: usize,
}

impl Scan {
    fn new() -> Self {
        Self { head: [0; HEAD_BYTES], have: 0, skip: PREFACE_BYTES }
    }

    /// Calls `found` with the type and length of each frame that begins in `bytes`.
    fn see(&mut self, mut bytes: &[u8], mut found: impl FnMut(u8, usize)) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let n = self.skip.min(bytes.len());
                self.skip -= n;
                bytes = bytes.get(n..).unwrap_or_default();
                continue;
            }
            let missing = HEAD_BYTES - self.have;
            let (part, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
            for (slot, byte) in self.head.iter_mut().skip(self.have).zip(part) {
                *slot = *byte;
            }
            self.have += part.len();
            bytes = rest;
            if self.have == HEAD_BYTES {
                let [high, middle, low, kind, ..] = self.head;
                self.have = 0;
                self.skip = u32::from_be_bytes([0, high, middle, low]) as usize;
                found(kind, self.skip);
            }
        }
    }
}

/// Frames that a client may still send for nothing.
#[derive(Debug)]
struct Allowance {
    saved: u32,
    since: Instant,
}

impl Allowance {
    /// False: there is not enough.
    fn spend(&mut self, cost: u32, now: impl FnOnce() -> Instant) -> bool {
        if self.saved < cost {
            let now = now();
            let ms = now.saturating_duration_since(self.since).as_millis();
            let gained = u32::try_from(ms.saturating_mul(u128::from(GAIN_PER_SECOND)) / 1_000);
            let gained = gained.unwrap_or(SAVED_MAX);
            if gained > 0 {
                self.gain(gained);
                self.since = now;
            }
        }
        match self.saved.checked_sub(cost) {
            Some(left) => {
                self.saved = left;
                true
            }
            None => false,
        }
    }

    fn gain(&mut self, more: u32) {
        self.saved = self.saved.saturating_add(more).min(SAVED_MAX);
    }
}

/// What is known of one client's frames.
#[derive(Debug)]
pub(crate) struct Meter {
    scan: RefCell<Scan>,
    allowance: RefCell<Allowance>,
    turn_left: Cell<usize>,
    written: Cell<usize>,
    is_exhausted: Cell<bool>,
}

impl Meter {
    fn new() -> Self {
        Self {
            scan: RefCell::new(Scan::new()),
            allowance: RefCell::new(Allowance { saved: SAVED_MAX, since: Instant::now() }),
            turn_left: Cell::new(TURN_BYTES),
            written: Cell::new(0),
            is_exhausted: Cell::new(false),
        }
    }

    /// Whether the client has sent more than its allowance. Nothing more is read of it.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.is_exhausted.get()
    }

    /// Begins another turn if the one before was used up; tells whether it was.
    pub(crate) fn next_turn(&self) -> bool {
        let used_up = self.turn_left.get() == 0 && !self.is_exhausted();
        if used_up {
            self.turn_left.set(TURN_BYTES);
        }
        used_up
    }

    fn read(&self, bytes: &[u8]) {
        self.turn_left.set(self.turn_left.get().saturating_sub(bytes.len()));
        let mut allowance = self.allowance.borrow_mut();
        self.scan.borrow_mut().see(bytes, |kind, length| {
            let change = change_of(kind, length);
            if change >= 0 {
                allowance.gain(change.unsigned_abs());
            } else if !allowance.spend(change.unsigned_abs(), Instant::now) {
                self.is_exhausted.set(true);
            }
        });
    }

    fn wrote(&self, n: usize) {
        let written = self.written.get() + n;
        self.written.set(written % BYTES_PER_GAIN);
        self.allowance.borrow_mut().gain(u32::try_from(written / BYTES_PER_GAIN).unwrap_or(SAVED_MAX));
    }
}

/// A connection whose client's frames are counted.
#[derive(Debug)]
pub(crate) struct Metered {
    io: Io,
    meter: Rc<Meter>,
}

impl Metered {
    pub(crate) fn new(io: Io) -> (Self, Rc<Meter>) {
        let meter = Rc::new(Meter::new());
        (Self { io, meter: Rc::clone(&meter) }, meter)
    }
}

impl AsyncRead for Metered {
    /// Pending while it is not this connection's turn: whoever polls the connection asks [`Meter::next_turn`].
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.meter.turn_left.get() == 0 || self.meter.is_exhausted() {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.meter.read(buf.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let n = ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        self.meter.wrote(n);
        Poll::Ready(Ok(n))
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let n = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, bufs))?;
        self.meter.wrote(n);
        Poll::Ready(Ok(n))
    }
    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([kind, 0, 0, 0, 0, 1]);
        bytes.extend(payload);
        bytes
    }

    proptest! {
        #[test]
        fn frames_are_found_however_the_bytes_are_cut(
            frames in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..20),
            cut in 1_usize..30,
        ) {
            let mut bytes = vec![b'P'; PREFACE_BYTES];
            for (kind, payload) in &frames {
                bytes.extend(frame(*kind, payload));
            }
            let (mut scan, mut found) = (Scan::new(), Vec::new());
            for part in bytes.chunks(cut) {
                scan.see(part, |kind, length| found.push((kind, length)));
            }
            let sent: Vec<_> = frames.iter().map(|(kind, payload)| (*kind, payload.len())).collect();
            prop_assert_eq!(found, sent);
        }
    }

    fn send(meter: &Meter, kind: u8, payload: &[u8], times: usize) -> bool {
        let bytes = frame(kind, payload).repeat(times);
        meter.read(&bytes);
        !meter.is_exhausted()
    }

    fn begun() -> Meter {
        let meter = Meter::new();
        meter.read(&[b'P'; PREFACE_BYTES]);
        meter
    }

    #[test]
    fn a_flood_of_frames_without_use_exhausts_the_allowance() {
        for kind in [2, 4, 6, 8, 9, 99] {
            assert!(!send(&begun(), kind, &[0; 8], 2 * SAVED_MAX as usize), "{kind}");
        }
        assert!(!send(&begun(), kind::DATA, &[], 2 * SAVED_MAX as usize));
    }

    #[test]
    fn requests_and_their_bodies_may_be_sent_without_end() {
        let meter = begun();
        for _ in 0..10_000 {
            assert!(send(&meter, kind::HEADERS, &[1; 30], 1) && send(&meter, kind::DATA, &[1; 30], 2));
        }
    }

    #[test]
    fn a_thousand_calls_may_be_cancelled_at_once_but_not_cancelled_for_ever() {
        let meter = begun();
        let cancelled = |times: usize| {
            (0..times).all(|_| {
                send(&meter, kind::HEADERS, &[1; 30], 1) && send(&meter, kind::RST_STREAM, &[0; 4], 1)
            })
        };
        assert!(cancelled(1_000));
        assert!(!cancelled(1_000));
    }

    #[test]
    fn a_reader_may_open_windows_and_measure_round_trips_for_what_it_is_sent() {
        let meter = begun();
        for _ in 0..10_000 {
            // One message of five bytes in a frame, and the answer to a ping.
            meter.wrote(9 + 5 + 10);
            meter.wrote(17);
            assert!(send(&meter, kind::PING, &[0; 8], 1));
        }
    }

    #[test]
    fn time_gives_the_allowance_back() {
        let start = Instant::now();
        let mut allowance = Allowance { saved: 0, since: start };
        assert!(!allowance.spend(1, || start));
        assert!(allowance.spend(200, || start + Duration::from_secs(1)));
        assert!(!allowance.spend(1, || start + Duration::from_secs(1)));
    }
}
