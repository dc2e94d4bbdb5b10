//! Who is ready: passive ejection, failure accrual, probes.
//!
//! - *Passive*, always on: an endpoint that cannot be reached is ejected at once, one that leaves
//!   [`UNANSWERED_MAX`] requests in a row unanswered or falls silent after these. The pause doubles from 1 s to
//!   60 s with jitter. The last ready endpoint is never ejected this way, and if all are out they are used
//!   nevertheless: a guess is better than a certain failure.
//! - *Accrual*, by policy (`outbound.FailureAccrual`): failures in a row, or a success rate over a window. These
//!   open the circuit even of the last endpoint, but never below `min_ready_endpoints`.
//!
//! When the pause is over, single requests probe the endpoint; the first success takes it back.

use std::time::{Duration, Instant};

use super::Outcome;
use crate::outbound::{Backoff, FailureAccrual};
use crate::random::Random;
use crate::story::Skip;

/// Requests in a row that an endpoint may leave unanswered: one slow request must not eject, a frozen endpoint
/// must not cost more than these.
pub const UNANSWERED_MAX: u32 = 3;

/// Pauses of passive ejection.
pub const PASSIVE: Backoff = Backoff {
    min: Duration::from_secs(1),
    max: Duration::from_secs(60),
    jitter_ratio: 0.5,
    honour_retry_after: false,
};

/// How long a probe may stay without a result before another may be sent.
const PROBE_MAX: Duration = Duration::from_secs(10);

/// Why an endpoint was ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Refused, reset or not connected.
    Connection,
    /// Not answered in time.
    Timeout,
    /// Accrual: failures in a row.
    ConsecutiveFailures,
    /// Accrual: success rate.
    SuccessRate,
}

impl Reason {
    /// The `reason` label of `hauberk_endpoint_ejections_total`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::SuccessRate => "success_rate",
        }
    }

    const fn is_passive(self) -> bool {
        match self {
            Self::Connection | Self::Timeout => true,
            Self::ConsecutiveFailures | Self::SuccessRate => false,
        }
    }
}

/// The rules that a balancer's endpoints are judged by.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    accrual: Option<FailureAccrual>,
}

impl Limits {
    pub(super) fn of(accrual: Option<&FailureAccrual>) -> Self {
        Self { accrual: accrual.cloned() }
    }

    fn backoff(&self, reason: Reason) -> Backoff {
        match &self.accrual {
            Some(accrual) if !reason.is_passive() => accrual.backoff,
            Some(_) | None => PASSIVE,
        }
    }

    /// Whether an endpoint may go while so many others are ready.
    fn permits(&self, reason: Reason, others_ready: usize) -> bool {
        let least = self.accrual.as_ref().map_or(0, |accrual| accrual.min_ready_endpoints as usize);
        if reason.is_passive() { others_ready >= least.max(1) } else { others_ready >= least }
    }
}

/// Whether and why an endpoint that is not chosen from may be used all the same.
pub(super) enum Admission {
    Ready,
    /// Ejected without a policy, until then.
    Panic(Instant),
    /// A policy's circuit is open.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Ready,
    Ejected {
        reason: Reason,
        until: Instant,
        pause: Duration,
    },
    /// One request is out; its end decides.
    Probing {
        reason: Reason,
        since: Instant,
    },
}

/// The health of one endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Health {
    state: State,
    /// Ejections in a row: the pause doubles with each.
    strikes: u32,
    recovered_at: Instant,
    unanswered: u32,
    failures: u32,
    rate: Rate,
}

/// Requests and successes, both fading with the window.
#[derive(Clone, Copy, Debug)]
struct Rate {
    requests: f64,
    successes: f64,
    at: Instant,
}

impl Health {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            state: State::Ready,
            strikes: 0,
            recovered_at: now,
            unanswered: 0,
            failures: 0,
            rate: Rate { requests: 0.0, successes: 0.0, at: now },
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// Why the endpoint is not chosen from, and for how long, or since when a probe is out; `None`: it is ready.
    pub(super) fn skip(&self, now: Instant) -> Option<(Skip, Duration)> {
        match self.state {
            State::Ready => None,
            State::Ejected { reason, until, .. } => {
                Some((Skip::Ejected(reason), until.saturating_duration_since(now)))
            }
            State::Probing { reason, since } => {
                Some((Skip::Probing(reason), now.saturating_duration_since(since)))
            }
        }
    }

    pub(super) fn admission(&self, now: Instant) -> Admission {
        match self.state {
            State::Ready => Admission::Ready,
            State::Ejected { reason, until, .. } if reason.is_passive() || until <= now => {
                Admission::Panic(until)
            }
            State::Probing { reason, since } if reason.is_passive() => Admission::Panic(since),
            State::Ejected { .. } | State::Probing { .. } => Admission::Closed,
        }
    }

    /// When this endpoint may be probed next.
    pub(super) fn probe_at(&self) -> Option<Instant> {
        match self.state {
            State::Ready => None,
            State::Ejected { until, .. } => Some(until),
            State::Probing { since, .. } => Some(since + PROBE_MAX),
        }
    }

    /// A request that cannot be moved is risked only where failing costs little (a refused connection is noticed
    /// before anything is sent), or when no other came by for as long as the pause was.
    pub(super) fn admits_probe(&self, now: Instant, movable: bool) -> bool {
        match self.state {
            State::Ready => false,
            State::Ejected { reason, until, pause } => {
                let anyone = movable || reason == Reason::Connection || until + pause <= now;
                until <= now && anyone
            }
            State::Probing { since, .. } => since + PROBE_MAX <= now,
        }
    }

    pub(super) fn begin_probe(&mut self, now: Instant) {
        match self.state {
            State::Ejected { reason, .. } | State::Probing { reason, .. } => {
                self.state = State::Probing { reason, since: now };
            }
            State::Ready => {}
        }
    }

    /// Requests wait and nothing comes back.
    pub(super) fn stalled(
        &mut self,
        limits: &Limits,
        others_ready: usize,
        now: Instant,
        random: &mut Random,
    ) -> Option<Reason> {
        self.eject(Reason::Timeout, None, limits, others_ready, now, random)
    }

    /// Takes in the end of a request, and when the endpoint then wanted to be asked again; the reason, if it ejects the endpoint now.
    pub(super) fn on(
        &mut self,
        outcome: Outcome,
        come_back: Option<Duration>,
        limits: &Limits,
        others_ready: usize,
        now: Instant,
        random: &mut Random,
    ) -> Option<Reason> {
        if outcome == Outcome::Cancelled {
            if let State::Probing { reason, .. } = self.state {
                // It told nothing: the next request probes.
                self.state = State::Ejected { reason, until: now, pause: Duration::ZERO };
            }
            return None;
        }
        let success = outcome == Outcome::Success;
        self.unanswered = if outcome == Outcome::Unanswered { self.unanswered.saturating_add(1) } else { 0 };
        self.failures = if success { 0 } else { self.failures.saturating_add(1) };
        if let Some(accrual) = &limits.accrual {
            self.rate.note(success, accrual.decay, now);
        }
        match self.state {
            State::Ready => self
                .verdict(outcome, limits)
                .and_then(|reason| self.eject(reason, come_back, limits, others_ready, now, random)),
            State::Probing { reason, .. } => {
                let well = match outcome {
                    Outcome::Success => true,
                    // It answers: that is all passive ejection asks.
                    Outcome::Failure => reason.is_passive(),
                    Outcome::Unreachable | Outcome::Unanswered | Outcome::Cancelled => false,
                };
                if well {
                    self.recover(now);
                } else {
                    self.pause(reason, come_back, limits, now, random);
                }
                None
            }
            // The end of a request that was sent before the ejection, or in panic.
            State::Ejected { reason, .. } => {
                if reason.is_passive() && success {
                    self.recover(now);
                }
                None
            }
        }
    }

    fn verdict(&self, outcome: Outcome, limits: &Limits) -> Option<Reason> {
        if outcome == Outcome::Success {
            return None;
        }
        if let Some(accrual) = &limits.accrual {
            if accrual.max_consecutive_failures > 0 && self.failures >= accrual.max_consecutive_failures {
                return Some(Reason::ConsecutiveFailures);
            }
            let counts = self.rate.requests >= f64::from(accrual.min_requests.max(1)) - RATE_SLACK;
            if accrual.success_rate_threshold > 0.0
                && counts
                && self.rate.share() < accrual.success_rate_threshold
            {
                return Some(Reason::SuccessRate);
            }
        }
        match outcome {
            Outcome::Unreachable => Some(Reason::Connection),
            Outcome::Unanswered if self.unanswered >= UNANSWERED_MAX => Some(Reason::Timeout),
            Outcome::Unanswered | Outcome::Failure | Outcome::Success | Outcome::Cancelled => None,
        }
    }

    fn eject(
        &mut self,
        reason: Reason,
        come_back: Option<Duration>,
        limits: &Limits,
        others_ready: usize,
        now: Instant,
        random: &mut Random,
    ) -> Option<Reason> {
        if !limits.permits(reason, others_ready) {
            return None;
        }
        if now.saturating_duration_since(self.recovered_at) >= limits.backoff(reason).max {
            self.strikes = 0;
        }
        self.pause(reason, come_back, limits, now, random);
        Some(reason)
    }

    fn pause(
        &mut self,
        reason: Reason,
        come_back: Option<Duration>,
        limits: &Limits,
        now: Instant,
        random: &mut Random,
    ) {
        self.strikes = self.strikes.saturating_add(1);
        let pause = limits.backoff(reason).hinted_pause(self.strikes, come_back, random);
        self.state = State::Ejected { reason, until: now + pause, pause };
    }

    fn recover(&mut self, now: Instant) {
        self.state = State::Ready;
        self.recovered_at = now;
        self.unanswered = 0;
        self.failures = 0;
        self.rate = Rate { requests: 0.0, successes: 0.0, at: now };
    }
}

/// Requests fade from the moment they are counted; the share of one that may have faded before it is compared.
const RATE_SLACK: f64 = 0.5;

impl Rate {
    fn note(&mut self, success: bool, window: Duration, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        let window = window.as_secs_f64();
        let kept = if window > 0.0 { (-passed / window).exp() } else { 0.0 };
        self.requests = self.requests * kept + 1.0;
        self.successes = self.successes * kept + if success { 1.0 } else { 0.0 };
        self.at = now.max(self.at);
    }

    fn share(&self) -> f64 {
        if self.requests > 0.0 { self.successes / self.requests } else { 1.0 }
    }
}
