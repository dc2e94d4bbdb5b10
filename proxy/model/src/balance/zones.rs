//! How much of the traffic leaves the client's own zone.
//!
//! The own zone is preferred: crossing costs money and time. Its load is watched by two measures, requests in flight
//! per endpoint and latency against what is usual. While both are within the [`ZoneBand`] nothing crosses. Above it the
//! share of other zones grows step by step, between half the band and the band it stays, below it shrinks more slowly
//! than it grew: traffic neither jumps nor swings. Endpoints of the own zone that are out leave their part of the
//! traffic to other zones at once.

use std::time::{Duration, Instant};

/// How far the own zone is preferred.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ZoneBand {
    /// Requests in flight per ready endpoint of the own zone, above which others help.
    pub max_in_flight: u32,
    /// As many times its usual latency, above which others help.
    pub latency_ratio: f64,
}

/// The load of the own zone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ZoneLoad {
    /// Endpoints that are ready.
    pub ready: usize,
    /// All of them.
    pub all: usize,
    /// Requests that have not ended.
    pub in_flight: u32,
}

/// How often the share is looked at.
pub const STEP: Duration = Duration::from_millis(100);
/// What the share grows by in a step: from nothing to all it may be in two seconds.
pub const GROWTH: f64 = 0.05;
/// What it shrinks by: back in five seconds.
pub const SHRINKAGE: f64 = 0.02;
/// The largest share for load's sake; what stays tells when the zone has recovered.
pub const SHARE_MAX: f64 = 0.9;
/// Part of the band below which the share shrinks; between this and the band it stays.
pub const CALM_PART: f64 = 0.5;
/// Endpoints that may be out before their traffic leaves the zone: with this factor, two of seven.
const OVERPROVISION: f64 = 1.4;
/// A latency that is longer by less than this is no reason to cross: crossing may cost as much.
const LATENCY_SLACK_S: f64 = 0.005;
/// Answers that the current latency is a mean of.
const SAMPLES: f64 = 32.0;
/// How slowly the usual latency follows one that has grown for good.
const USUAL_GROWS: Duration = Duration::from_secs(600);
/// Steps that are caught up with after silence.
const STEPS_MAX: u32 = 20;

/// The share of requests that other zones take.
#[derive(Clone, Debug)]
pub struct Overflow {
    band: ZoneBand,
    share: f64,
    at: Instant,
    samples: f64,
    latency_s: f64,
    usual_s: Option<f64>,
    /// What endpoints that are out leave to other zones.
    unavailable: f64,
}

impl Overflow {
    /// Nothing crosses at first.
    #[must_use]
    pub fn new(band: ZoneBand, now: Instant) -> Self {
        Self { band, share: 0.0, at: now, samples: 0.0, latency_s: 0.0, usual_s: None, unavailable: 0.0 }
    }

    /// Takes in another band; the share stays.
    pub fn configure(&mut self, band: ZoneBand) {
        self.band = band;
    }

    /// Notes the latency of an answer from the own zone.
    pub fn answered(&mut self, latency: Duration) {
        self.samples = (self.samples + 1.0).min(SAMPLES);
        self.latency_s += (latency.as_secs_f64() - self.latency_s) / self.samples;
    }

    /// Whether the load should be looked at again.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) >= STEP
    }

    /// The share as of the last look, 0 to 1.
    #[must_use]
    pub fn current(&self) -> f64 {
        self.share.max(self.unavailable)
    }

    /// Notes how many of the zone's endpoints are ready.
    pub fn available(&mut self, ready: usize, all: usize) {
        self.unavailable = unavailable(ready, all);
    }

    /// The share now, 0 to 1.
    pub fn share(&mut self, load: ZoneLoad, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at);
        let steps = u32::try_from(passed.as_millis() / STEP.as_millis()).unwrap_or(u32::MAX);
        if steps > 0 {
            self.at = now;
            self.follow_usual(passed);
            let change = f64::from(steps.min(STEPS_MAX));
            match self.strain(load) {
                Strain::Above => self.share = (self.share + GROWTH * change).min(SHARE_MAX),
                Strain::Within => {}
                Strain::Below => self.share = (self.share - SHRINKAGE * change).max(0.0),
            }
        }
        self.available(load.ready, load.all);
        self.current()
    }

    fn follow_usual(&mut self, passed: Duration) {
        if self.samples < SAMPLES {
            return;
        }
        let usual = self.usual_s.unwrap_or(self.latency_s);
        let grown = usual * (1.0 + passed.as_secs_f64() / USUAL_GROWS.as_secs_f64());
        self.usual_s = Some(self.latency_s.min(grown));
    }

    fn strain(&self, load: ZoneLoad) -> Strain {
        let per_endpoint = f64::from(load.in_flight) / (load.ready.max(1) as f64);
        let band = f64::from(self.band.max_in_flight);
        let longer = self.usual_s.map_or(0.0, |usual| self.latency_s - usual);
        let ratio = self.usual_s.filter(|usual| *usual > 0.0).map_or(1.0, |usual| self.latency_s / usual);
        let calm_ratio = 1.0 + (self.band.latency_ratio - 1.0) * CALM_PART;
        if per_endpoint > band || (ratio > self.band.latency_ratio && longer > LATENCY_SLACK_S) {
            Strain::Above
        } else if per_endpoint <= band * CALM_PART && (ratio <= calm_ratio || longer <= LATENCY_SLACK_S) {
            Strain::Below
        } else {
            Strain::Within
        }
    }
}

enum Strain {
    Above,
    Within,
    Below,
}

/// What the zone's endpoints that are out leave to others.
fn unavailable(ready: usize, all: usize) -> f64 {
    if ready == 0 {
        return 1.0;
    }
    (1.0 - OVERPROVISION * ready as f64 / all.max(ready) as f64).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BAND: ZoneBand = ZoneBand { max_in_flight: 10, latency_ratio: 2.0 };

    fn load(in_flight: u32) -> ZoneLoad {
        ZoneLoad { ready: 2, all: 2, in_flight }
    }

    /// The share after `steps` steps of one load.
    fn after(overflow: &mut Overflow, start: &mut Instant, steps: u32, load: ZoneLoad) -> f64 {
        let mut share = 0.0;
        for _ in 0..steps {
            *start += STEP;
            share = overflow.share(load, *start);
        }
        share
    }

    #[test]
    fn a_zone_within_its_band_keeps_everything() {
        let mut now = Instant::now();
        let mut overflow = Overflow::new(BAND, now);
        assert!(after(&mut overflow, &mut now, 100, load(20)) <= 0.0);
    }

    #[test]
    fn load_above_the_band_crosses_gradually_and_returns_more_slowly_below_half_of_it() {
        let mut now = Instant::now();
        let mut overflow = Overflow::new(BAND, now);
        let one = after(&mut overflow, &mut now, 1, load(21));
        assert!((one - GROWTH).abs() < 1e-9);
        let grown = after(&mut overflow, &mut now, 9, load(21));
        assert!((grown - 10.0 * GROWTH).abs() < 1e-9);
        // Inside the band it stays: no swinging.
        assert!((after(&mut overflow, &mut now, 50, load(15)) - grown).abs() < 1e-9);
        let less = after(&mut overflow, &mut now, 5, load(10));
        assert!((less - (grown - 5.0 * SHRINKAGE)).abs() < 1e-9);
        assert!(after(&mut overflow, &mut now, 1_000, load(0)) <= 0.0);
    }

    #[test]
    fn latency_beyond_the_usual_crosses_and_a_single_slow_answer_does_not() {
        let mut now = Instant::now();
        let mut overflow = Overflow::new(BAND, now);
        (0..64).for_each(|_| overflow.answered(Duration::from_millis(10)));
        assert!(after(&mut overflow, &mut now, 5, load(2)) <= 0.0);
        overflow.answered(Duration::from_millis(200));
        assert!(after(&mut overflow, &mut now, 5, load(2)) <= 0.0);
        (0..64).for_each(|_| overflow.answered(Duration::from_millis(80)));
        assert!(after(&mut overflow, &mut now, 5, load(2)) > 0.0);
        (0..200).for_each(|_| overflow.answered(Duration::from_millis(10)));
        assert!(after(&mut overflow, &mut now, 500, load(2)) <= 0.0);
    }

    #[test]
    fn endpoints_that_are_out_leave_their_part_at_once() {
        let now = Instant::now();
        let mut overflow = Overflow::new(BAND, now);
        let out = |ready, all| ZoneLoad { ready, all, in_flight: 0 };
        assert!((overflow.share(out(0, 4), now) - 1.0).abs() < 1e-9);
        assert!((overflow.share(out(2, 4), now) - 0.3).abs() < 1e-9);
        assert!(overflow.share(out(3, 4), now) <= 0.0);
    }

    proptest! {
        #[test]
        fn the_share_is_a_share_and_never_jumps_for_load(
            steps in proptest::collection::vec((0_u32..100, 0_u64..400, 0_u64..2_000), 1..200)
        ) {
            let mut now = Instant::now();
            let mut overflow = Overflow::new(BAND, now);
            let mut before = 0.0;
            for (in_flight, pause_ms, latency_ms) in steps {
                now += Duration::from_millis(pause_ms);
                overflow.answered(Duration::from_millis(latency_ms));
                let share = overflow.share(load(in_flight), now);
                prop_assert!((0.0..=SHARE_MAX).contains(&share));
                let steps = (pause_ms / 100 + 1) as f64;
                prop_assert!((share - before).abs() <= GROWTH * steps + 1e-9, "{before} {share}");
                before = share;
            }
        }
    }
}
