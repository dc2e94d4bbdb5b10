//! Latency as a moving average that believes bad news at once and good news slowly.

use std::time::{Duration, Instant};

/// Peak EWMA: a higher latency replaces the estimate, a lower one and silence let it sink with the time constant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ewma {
    seconds: f64,
    at: Instant,
}

/// Least estimate. Without it an idle endpoint's cost would sink to zero, and the number of pending requests
/// would no longer tell endpoints apart.
const FLOOR_SECONDS: f64 = 1e-6;

impl Ewma {
    pub(super) fn new(assumed: Duration, now: Instant) -> Self {
        Self { seconds: assumed.as_secs_f64().max(FLOOR_SECONDS), at: now }
    }

    pub(super) fn observe(&mut self, latency: Duration, now: Instant, decay: Duration) {
        let observed = latency.as_secs_f64();
        self.seconds = if observed >= self.seconds {
            observed
        } else {
            let kept = kept_share(self.at, now, decay);
            self.seconds * kept + observed * (1.0 - kept)
        };
        self.at = now.max(self.at);
    }

    /// Whether the estimate is no more than this now, and so at any time until something is observed.
    pub(super) fn at_most(&self, latency: Duration) -> bool {
        self.seconds <= latency.as_secs_f64()
    }

    /// The estimate at `now`: it sinks while nothing is observed, so that a slow endpoint is tried again.
    pub(super) fn seconds(&self, now: Instant, decay: Duration) -> f64 {
        (self.seconds * kept_share(self.at, now, decay)).max(FLOOR_SECONDS)
    }
}

/// What is left of a value that counts in full until `from`.
pub(super) fn faded(value: f64, from: Instant, now: Instant, decay: Duration) -> f64 {
    value * kept_share(from, now, decay)
}

fn kept_share(since: Instant, now: Instant, decay: Duration) -> f64 {
    let passed = now.saturating_duration_since(since).as_secs_f64();
    let decay = decay.as_secs_f64();
    if decay > 0.0 { (-passed / decay).exp() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_counts_at_once_and_fades_with_the_time_constant() {
        let start = Instant::now();
        let decay = Duration::from_secs(10);
        let mut latency = Ewma::new(Duration::from_millis(30), start);
        latency.observe(Duration::from_secs(1), start, decay);
        assert!((latency.seconds(start, decay) - 1.0).abs() < 1e-9);
        let later = start + decay;
        assert!((latency.seconds(later, decay) - 1.0 / std::f64::consts::E).abs() < 1e-9);
        latency.observe(Duration::from_millis(10), later, decay);
        let estimate = latency.seconds(later, decay);
        assert!((0.3..0.5).contains(&estimate), "{estimate}");
    }
}
