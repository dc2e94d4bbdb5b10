//! Says in the log what an audit admits and like events, seldom enough that clients cannot flood it.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// At most one line for each port in this time; the counters tell of the rest.
const INTERVAL: Duration = Duration::from_secs(10);

/// When the last line was, and what was not said since.
#[derive(Debug, Default)]
pub(crate) struct SeldomLog {
    last: Cell<Option<Instant>>,
    unsaid: Cell<u64>,
}

impl SeldomLog {
    /// How many were left out since the last line, if a line is due now.
    pub(super) fn due(&self, now: Instant) -> Option<u64> {
        if self.last.get().is_some_and(|last| now.duration_since(last) < INTERVAL) {
            self.unsaid.set(self.unsaid.get().saturating_add(1));
            return None;
        }
        self.last.set(Some(now));
        Some(self.unsaid.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_an_interval_says_how_many_it_stands_for() {
        let (log, start) = (SeldomLog::default(), Instant::now());
        let after = |seconds| log.due(start + Duration::from_secs(seconds));
        assert_eq!([0, 1, 9, 10, 11, 30].map(after), [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
