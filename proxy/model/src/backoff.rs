//! Pauses between attempts: exponential, bounded, with jitter so that a fleet does not move in step.

use std::time::Duration;

use crate::outbound::Backoff;
use crate::random::Random;

/// Pauses before reconnecting a control stream: soon once, then rarely, and never forever.
pub const CONTROL_STREAM: Backoff = Backoff {
    min: Duration::from_millis(100),
    max: Duration::from_secs(10),
    jitter_ratio: 0.5,
    honour_retry_after: false,
};

impl Backoff {
    /// The pause after `failures` failures in a row; one failure gives the first pause, none gives zero.
    /// The jitter is added, so that the pause is never shorter than it says.
    #[must_use]
    pub fn pause(&self, failures: u32, random: &mut Random) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let pause = self.min.saturating_mul(factor).min(self.max);
        self.jittered(pause, random)
    }

    /// The same where the server may have said when to come again: its word counts within `min` and `max`, if it is
    /// to be honoured.
    #[must_use]
    pub fn hinted_pause(&self, failures: u32, hint: Option<Duration>, random: &mut Random) -> Duration {
        match hint.filter(|_| self.honour_retry_after) {
            Some(hint) => self.jittered(hint.max(self.min).min(self.max), random),
            None => self.pause(failures, random),
        }
    }

    fn jittered(&self, pause: Duration, random: &mut Random) -> Duration {
        let jitter = f64::from(self.jitter_ratio).clamp(0.0, 1.0) * random.unit();
        pause.saturating_add(pause.mul_f64(jitter))
    }
}

/// Where a retrying loop stands: what a control stream keeps between attempts.
#[derive(Clone, Debug)]
pub struct Attempts {
    backoff: Backoff,
    failures: u32,
}

impl Attempts {
    /// Nothing has failed yet.
    #[must_use]
    pub const fn new(backoff: Backoff) -> Self {
        Self { backoff, failures: 0 }
    }

    /// Notes a failure; the pause before the next attempt.
    pub fn failed(&mut self, random: &mut Random) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.backoff.pause(self.failures, random)
    }

    /// Notes an answer: the next failure is the first again.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_pause_doubles_within_its_bounds(seed: u64, failures in 1_u32..200) {
            let pause = CONTROL_STREAM.pause(failures, &mut Random::seeded(seed));
            let bare = CONTROL_STREAM.min.saturating_mul(1 << (failures - 1).min(20)).min(CONTROL_STREAM.max);
            prop_assert!(bare <= pause && pause <= bare.mul_f64(1.5));
        }
    }

    #[test]
    fn an_answer_makes_the_next_failure_the_first_again() {
        let mut attempts = Attempts::new(Backoff { jitter_ratio: 0.0, ..CONTROL_STREAM });
        let mut random = Random::seeded(1);
        let pauses: Vec<u128> = (0..3).map(|_| attempts.failed(&mut random).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400]);
        attempts.succeeded();
        assert_eq!(attempts.failed(&mut random), Duration::from_millis(100));
    }
}
