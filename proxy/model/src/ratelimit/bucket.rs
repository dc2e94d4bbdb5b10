//! One token bucket, and many of them by key within a bound.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::limits::Rate;

/// Longest wait that is told, seconds: of a share that has nothing, nobody knows when it will.
const WAIT_S_MAX: f64 = 60.0;

/// Tokens come evenly, up to a depth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    per_second: f64,
    depth: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub(super) fn full(rate: Rate, now: Instant) -> Self {
        let depth = f64::from(rate.burst.max(1));
        Self { per_second: f64::from(rate.per_second), depth, tokens: depth, at: now }
    }

    /// A share of `rate`, which may be less than a token.
    pub(super) fn leased(rate: Rate, milli_per_second: u64, now: Instant) -> Self {
        let mut bucket = Self { per_second: 0.0, depth: 0.0, tokens: 0.0, at: now };
        bucket.follow(rate, milli_per_second, now);
        bucket.tokens = bucket.depth;
        bucket
    }

    /// Goes on with another share: what came until now came at the old rate. The depth is the share's part of the
    /// burst, yet one request at least, or a small share would never admit any.
    #[expect(clippy::cast_precision_loss, reason = "rates are below 2^43")]
    pub(super) fn follow(&mut self, rate: Rate, milli_per_second: u64, now: Instant) {
        let per_second = milli_per_second as f64 / 1_000.0;
        if per_second.to_bits() == self.per_second.to_bits() {
            return;
        }
        self.refill(now);
        self.per_second = per_second;
        let part = per_second / f64::from(rate.per_second.max(1));
        self.depth = if milli_per_second == 0 { 0.0 } else { (part * f64::from(rate.burst)).max(1.0) };
        self.tokens = self.tokens.min(self.depth);
    }

    pub(super) fn has_token(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.tokens >= 1.0
    }

    /// How long after the last look there will be a token.
    pub(super) fn wait(&self) -> Duration {
        let missing = (1.0 - self.tokens).max(0.0);
        let seconds = if self.per_second > 0.0 { missing / self.per_second } else { WAIT_S_MAX };
        Duration::from_secs_f64(seconds.min(WAIT_S_MAX))
    }

    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.tokens >= self.depth
    }

    pub(super) fn take(&mut self) {
        self.tokens -= 1.0;
    }

    pub(super) fn give_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.depth);
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.depth);
        self.at = now.max(self.at);
    }
}

/// Least time between two searches for buckets that can be forgotten: a client that sends a new key with each request
/// makes us look through all of them once in this time, not once per request.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Buckets by key, at most `max`; keys beyond share one.
#[derive(Debug)]
pub(super) struct Apart<K> {
    rate: Rate,
    max: usize,
    by_key: HashMap<K, Bucket>,
    crowd: Bucket,
    swept: Option<Instant>,
}

impl<K: Clone + Eq + Hash> Apart<K> {
    pub(super) fn new(rate: Rate, max: usize, now: Instant) -> Self {
        Self { rate, max, by_key: HashMap::new(), crowd: Bucket::full(rate, now), swept: None }
    }

    pub(super) const fn rate(&self) -> Rate {
        self.rate
    }

    /// The bucket of `key`; the shared one if there is no room.
    pub(super) fn bucket(&mut self, key: &K, now: Instant) -> &mut Bucket {
        let is_known = self.by_key.contains_key(key);
        if !is_known && self.by_key.len() >= self.max {
            self.sweep(now);
        }
        if !is_known && self.by_key.len() >= self.max {
            return &mut self.crowd;
        }
        let rate = self.rate;
        self.by_key.entry(key.clone()).or_insert_with(|| Bucket::full(rate, now))
    }

    /// A full bucket remembers nothing.
    fn sweep(&mut self, now: Instant) {
        let is_due = self.swept.is_none_or(|at| now.saturating_duration_since(at) >= SWEEP_EVERY);
        if is_due {
            self.swept = Some(now);
            self.by_key.retain(|_, bucket| !bucket.is_full(now));
        }
    }
}
