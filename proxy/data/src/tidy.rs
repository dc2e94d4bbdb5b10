//! When memory that connections have given up is worth giving back to the kernel.
//!
//! The allocator keeps what was freed for a while, and looks for what it may give back only when it is used. A proxy whose
//! clients have gone does nothing any more, so it is told.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use crate::worker::Worker;

/// How often is looked: connections that ended are given back within twice that.
const LOOK: Duration = Duration::from_secs(5);
/// Fewer connections than these are not worth the trouble: about half a MiB.
const CROWD_MIN: usize = 32;

/// How many connections there were, and whether so many have gone that their memory is worth giving back.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tide {
    high: usize,
    /// It has fallen, and nothing was given back since.
    has_fallen: bool,
}

impl Tide {
    /// Whether to give back now: `open` connections are there, and `peak` of them were at once since the last look. What was
    /// freed just now is left for the next look: it may be used again at once.
    fn looks(&mut self, open: usize, peak: usize) -> bool {
        self.high = self.high.max(peak);
        let due = std::mem::take(&mut self.has_fallen);
        let fallen = self.high.saturating_sub(open);
        if fallen >= CROWD_MIN && fallen >= self.high / 4 {
            self.has_fallen = true;
            self.high = open;
        }
        due
    }
}

/// Has memory given back for as long as the worker lives.
pub(crate) async fn keep(worker: Rc<Worker>, give_back: fn()) {
    let mut tide = Tide::default();
    loop {
        sleep(LOOK).await;
        let open = worker.connections.len();
        if tide.looks(open, worker.peak.replace(open)) {
            give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_one_look_after_a_crowd_has_left_and_once() {
        let mut tide = Tide::default();
        let looked: Vec<bool> =
            [0, 1_000, 1_000, 10, 10, 10].into_iter().map(|open| tide.looks(open, open)).collect();
        assert_eq!(looked, [false, false, false, false, true, false]);
    }

    #[test]
    fn a_crowd_that_came_and_went_between_two_looks_is_noticed() {
        let mut tide = Tide::default();
        let looked: Vec<bool> = [0, 1_000, 0, 0].into_iter().map(|peak| tide.looks(0, peak)).collect();
        assert_eq!(looked, [false, false, true, false]);
    }

    #[test]
    fn a_few_that_come_and_go_change_nothing() {
        let mut tide = Tide::default();
        for open in [0, 31, 0, 1_000, 900, 1_000, 800, 1_000] {
            assert!(!tide.looks(open, open), "{open}");
        }
    }

    #[test]
    fn a_crowd_that_leaves_bit_by_bit_is_noticed_too() {
        let mut tide = Tide::default();
        tide.looks(1_000, 1_000);
        let given = (0..=20).rev().filter(|step| tide.looks(step * 50, step * 50)).count();
        assert!(given >= 3, "{given}");
    }
}
