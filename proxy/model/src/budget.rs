//! How many retries a backend may see: a share of its requests, and a few per second in any case.

use std::time::{Duration, Instant};

/// What a budget allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetLimits {
    /// Retries per request, as a share.
    pub ratio: f64,
    /// Retries per second that are allowed however few requests there are.
    pub min_per_second: f64,
    /// How long what was saved may be spent.
    pub ttl: Duration,
}

impl Default for BudgetLimits {
    /// As Linkerd's default: 20 %, at least 10 per second, over 10 s.
    fn default() -> Self {
        Self { ratio: 0.2, min_per_second: 10.0, ttl: Duration::from_secs(10) }
    }
}

/// The budget of one backend: each request deposits `ratio`, time deposits the minimum, a retry costs one.
///
/// What time deposits is kept for one second at most, what requests deposit drains evenly over `ttl`, so that
/// in any second at most `min_per_second` and a share of the requests of the last `ttl` are retried.
#[derive(Clone, Debug)]
pub struct Budget {
    limits: BudgetLimits,
    reserve: f64,
    saved: f64,
    at: Instant,
}

impl Budget {
    /// A budget with its reserve of one second.
    #[must_use]
    pub fn new(limits: BudgetLimits, now: Instant) -> Self {
        Self { limits, reserve: limits.min_per_second, saved: 0.0, at: now }
    }

    /// Notes a request that is no retry.
    pub fn deposit(&mut self, now: Instant) {
        self.pass(now);
        self.saved += self.limits.ratio;
    }

    /// Takes one retry out; false: the failure must be passed on.
    #[must_use]
    pub fn withdraw(&mut self, now: Instant) -> bool {
        self.pass(now);
        let purse = if self.saved >= 1.0 { &mut self.saved } else { &mut self.reserve };
        let enough = *purse >= 1.0;
        if enough {
            *purse -= 1.0;
        }
        enough
    }

    fn pass(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        if passed <= 0.0 {
            return;
        }
        self.at = now;
        self.reserve = (self.reserve + self.limits.min_per_second * passed).min(self.limits.min_per_second);
        let ttl = self.limits.ttl.as_secs_f64();
        self.saved *= if ttl > 0.0 { (-passed / ttl).exp() } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_steady_failure_is_retried_for_a_fifth_of_requests_and_the_minimum() {
        let start = Instant::now();
        let mut budget = Budget::new(BudgetLimits::default(), start);
        let mut retried = 0;
        for tick in 0..60_000_u32 {
            let now = start + Duration::from_millis(u64::from(tick));
            budget.deposit(now);
            retried += u32::from(budget.withdraw(now));
        }
        // 60 s at 1000 requests/s: 12 000 by share, 600 by minimum, 10 of the first reserve.
        assert!((12_000..=12_650).contains(&retried), "{retried}");
    }

    #[test]
    fn an_idle_backend_may_retry_its_minimum_at_once_and_no_more() {
        let start = Instant::now();
        let mut budget = Budget::new(BudgetLimits::default(), start);
        let later = start + Duration::from_secs(3_600);
        assert_eq!((0..100).filter(|_| budget.withdraw(later)).count(), 10);
    }

    proptest! {
        /// The rule that bounds a retry storm, whatever the order of events.
        #[test]
        fn retries_never_exceed_share_and_minimum(steps in proptest::collection::vec((0_u64..200, any::<bool>()), 1..500)) {
            let start = Instant::now();
            let limits = BudgetLimits::default();
            let mut budget = Budget::new(limits, start);
            let (mut now, mut requests, mut retries) = (start, 0.0, 0.0);
            for (pause, is_request) in steps {
                now += Duration::from_millis(pause);
                if is_request {
                    budget.deposit(now);
                    requests += 1.0;
                } else if budget.withdraw(now) {
                    retries += 1.0;
                }
                let passed = now.duration_since(start).as_secs_f64();
                let allowed = requests * limits.ratio + limits.min_per_second * (passed + 1.0);
                prop_assert!(retries <= allowed + 1e-6, "{retries} retries, {allowed} allowed");
            }
        }
    }
}
