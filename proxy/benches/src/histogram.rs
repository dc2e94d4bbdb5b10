//! Durations by size class: 128 linear classes per power of two, so that a quantile is off by less than 0.8 %.

use std::time::Duration;

use serde_json::{Value, json};

const CLASSES_PER_OCTAVE: u64 = 128;
/// Below this many nanoseconds each has a class of its own.
const LINEAR_BELOW: u64 = 2 * CLASSES_PER_OCTAVE;

/// Counts of durations in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    sum_ns: u128,
    max_ns: u64,
}

impl Histogram {
    /// Counts one duration.
    pub fn add(&mut self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let class = class_of(ns);
        if self.counts.len() <= class {
            self.counts.resize(class.saturating_add(1), 0);
        }
        if let Some(count) = self.counts.get_mut(class) {
            *count = count.saturating_add(1);
        }
        self.count = self.count.saturating_add(1);
        self.sum_ns = self.sum_ns.saturating_add(ns.into());
        self.max_ns = self.max_ns.max(ns);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The smallest class bound that at least `share` (0 to 1) of all durations do not exceed; 0 when empty.
    pub fn quantile_ns(&self, share: f64) -> u64 {
        let wanted = (share * to_f64(self.count)).ceil();
        let mut seen = 0_u64;
        for (class, count) in self.counts.iter().enumerate() {
            seen = seen.saturating_add(*count);
            if *count > 0 && to_f64(seen) >= wanted {
                return upper_bound(class).min(self.max_ns);
            }
        }
        0
    }

    /// Microseconds: mean, p50, p90, p99, p999, max.
    pub fn to_json(&self) -> Value {
        let us = |ns: u64| to_f64(ns) / 1000.0;
        let mean_ns =
            u64::try_from(self.sum_ns.checked_div(self.count.into()).unwrap_or(0)).unwrap_or(u64::MAX);
        json!({
            "mean": us(mean_ns),
            "p50": us(self.quantile_ns(0.5)),
            "p90": us(self.quantile_ns(0.9)),
            "p99": us(self.quantile_ns(0.99)),
            "p999": us(self.quantile_ns(0.999)),
            "max": us(self.max_ns),
        })
    }
}

/// Counts stay far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds of a run stay below 2^53")]
fn to_f64(number: u64) -> f64 {
    number as f64
}

fn class_of(ns: u64) -> usize {
    let class = match ns.checked_ilog2() {
        Some(octave) if ns >= LINEAR_BELOW => {
            let within = ns >> octave.saturating_sub(7); // 128..256
            u64::from(octave.saturating_sub(6)) * CLASSES_PER_OCTAVE + (within - CLASSES_PER_OCTAVE)
        }
        _ => ns,
    };
    usize::try_from(class).unwrap_or(usize::MAX)
}

/// The largest duration of a class.
fn upper_bound(class: usize) -> u64 {
    let class = u64::try_from(class).unwrap_or(u64::MAX);
    if class < LINEAR_BELOW {
        return class;
    }
    let (octave, within) = (class / CLASSES_PER_OCTAVE + 6, class % CLASSES_PER_OCTAVE);
    let shift = octave.saturating_sub(7);
    let low = u128::from(CLASSES_PER_OCTAVE + within) << shift;
    u64::try_from(low + (1_u128 << shift) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_numbers_are_exact() {
        let mut histogram = Histogram::default();
        (1..=100).for_each(|ns| histogram.add(Duration::from_nanos(ns)));
        assert_eq!(histogram.quantile_ns(0.5), 50);
        assert_eq!(histogram.quantile_ns(0.99), 99);
        assert_eq!(histogram.quantile_ns(1.0), 100);
        assert_eq!(Histogram::default().quantile_ns(0.5), 0);
    }

    proptest! {
        #[test]
        fn a_class_holds_its_numbers_within_one_part_in_128(ns: u64) {
            let bound = upper_bound(class_of(ns));
            prop_assert!(bound >= ns);
            prop_assert!(u128::from(bound - ns) * 128 <= u128::from(ns));
        }

        #[test]
        fn classes_are_in_order(a: u64, b: u64) {
            prop_assert_eq!(class_of(a.min(b)).cmp(&class_of(a.max(b))) == std::cmp::Ordering::Greater, false);
        }
    }
}
