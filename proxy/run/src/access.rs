//! The access log's writer: a thread of its own, so that a reader who does not keep up stops nobody.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use hauberk_data::Lines;
use hauberk_observe::{Counter, Labels, Registry, families as f};

/// Bytes of lines that may wait; what comes beyond them is dropped. A second of a busy proxy's lines.
const WAITING_BYTES_MAX: usize = 1024 * 1024;
/// Bytes that are written at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// The data thread's end.
pub struct Log {
    lines: Sender<String>,
    waiting: Arc<AtomicUsize>,
    taken: Counter,
    dropped: Counter,
}

/// Starts a writer to `out`. It ends once the log is dropped and all that waited is written.
///
/// # Errors
/// No thread can be started.
pub fn start(
    registry: &Registry,
    out: impl Write + Send + 'static,
) -> io::Result<(Log, JoinHandle<io::Result<()>>)> {
    let (lines, written) = channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let log = Log {
        lines,
        waiting: Arc::clone(&waiting),
        taken: registry.counter(&f::HAUBERK_ACCESS_LOG_LINES_TOTAL, Labels::new()),
        dropped: registry.counter(&f::HAUBERK_ACCESS_LOG_DROPPED_TOTAL, Labels::new()),
    };
    let writer = thread::Builder::new()
        .name("access-log".into())
        .spawn(move || write(&written, &waiting, BufWriter::with_capacity(BUFFER_BYTES, out)))?;
    Ok((log, writer))
}

fn write(lines: &Receiver<String>, waiting: &AtomicUsize, mut out: impl Write) -> io::Result<()> {
    while let Ok(first) = lines.recv() {
        for line in std::iter::once(first).chain(lines.try_iter()) {
            waiting.fetch_sub(line.len(), Ordering::Relaxed);
            writeln!(out, "{line}")?;
        }
        out.flush()?;
    }
    Ok(())
}

impl Lines for Log {
    fn put(&self, line: String) {
        // Only this thread adds, so that the bound holds.
        let room = WAITING_BYTES_MAX.checked_sub(self.waiting.load(Ordering::Relaxed));
        if room.is_none_or(|room| room < line.len()) {
            return self.dropped.inc();
        }
        self.waiting.fetch_add(line.len(), Ordering::Relaxed);
        match self.lines.send(line) {
            Ok(()) => self.taken.inc(),
            // The writer has ended: nobody reads any more.
            Err(_) => self.dropped.inc(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    /// Takes nothing until it is told to.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_who_does_not_keep_up_costs_lines_and_never_waits_for_anybody() {
        let registry = Registry::default();
        let (go, stuck) = sync_channel(1_000);
        let (log, writer) = start(&registry, Stuck(stuck)).expect("a thread");
        for _ in 0..3_000 {
            log.put("x".repeat(1_000));
        }
        let text = registry.render();
        let count = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).expect(name);
            line.rsplit(' ').next().and_then(|number| number.parse::<u64>().ok()).expect("number")
        };
        let (taken, dropped) =
            (count("hauberk_access_log_lines_total "), count("hauberk_access_log_dropped_total "));
        assert_eq!(taken + dropped, 3_000);
        assert!(dropped > 1_000, "{dropped}");
        drop((log, go));
        assert!(writer.join().expect("no panic").is_ok());
    }
}
