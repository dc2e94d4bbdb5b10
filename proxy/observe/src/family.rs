//! What a metric is: its name, its meaning and, for histograms, its buckets.

/// A number that only grows.
#[derive(Debug)]
pub struct CounterFamily {
    /// Name in the exposition.
    pub name: &'static str,
    /// The HELP line.
    pub help: &'static str,
}

/// A number that goes up and down.
#[derive(Debug)]
pub struct GaugeFamily {
    /// Name in the exposition.
    pub name: &'static str,
    /// The HELP line.
    pub help: &'static str,
}

/// A distribution of durations, or of sizes.
#[derive(Debug)]
pub struct HistogramFamily {
    /// Name in the exposition.
    pub name: &'static str,
    /// The HELP line.
    pub help: &'static str,
    /// The unit of `le` and of the sum.
    pub unit: Unit,
    /// Upper ends of the buckets in microseconds (bytes, if that is the unit), each included, ascending; `+Inf` is implied.
    pub bounds_us: &'static [u64],
    /// For each bit length of a value, the first bucket that it may fall into.
    first: [u8; 65],
}

/// The unit that a histogram shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// As in Linkerd's older metrics.
    Milliseconds,
    /// As in its newer ones, and as Prometheus advises.
    Seconds,
    /// Sizes.
    Bytes,
}

/// Frames of bodies: Linkerd's bounds.
pub(crate) const FRAME_SIZE_BOUNDS: &[u64] = &[128, 1_024, 10_240];
/// Those, and `+Inf`.
pub(crate) const FRAME_SIZE_BUCKETS: usize = FRAME_SIZE_BOUNDS.len() + 1;

/// `response_latency_ms`, in microseconds.
const LATENCY_MS_BOUNDS: &[u64] = &[
    1_000, 2_000, 3_000, 4_000, 5_000, 10_000, 20_000, 30_000, 40_000, 50_000, 100_000, 200_000, 300_000,
    400_000, 500_000, 1_000_000, 2_000_000, 3_000_000, 4_000_000, 5_000_000, 10_000_000, 20_000_000,
    30_000_000, 40_000_000, 50_000_000,
];

/// Request durations of routes. Linkerd's bounds (50 ms, 500 ms, 1 s, 10 s), so that queries made for them hold, and
/// others between and below, since most routes of a cluster answer within the first of Linkerd's buckets.
pub(crate) const ROUTE_REQUEST_BOUNDS: &[u64] =
    &[1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 10_000_000];

/// Response durations of backends: Linkerd's bounds (from 25 ms), and finer ones below.
pub(crate) const BACKEND_RESPONSE_BOUNDS: &[u64] =
    &[1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 10_000_000];

impl HistogramFamily {
    /// A histogram of latency in milliseconds with Linkerd's buckets, 1 ms to 50 s.
    #[must_use]
    pub const fn latency_ms(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, Unit::Milliseconds, LATENCY_MS_BOUNDS)
    }

    /// A histogram of durations in seconds.
    #[must_use]
    pub const fn seconds(name: &'static str, help: &'static str, bounds_us: &'static [u64]) -> Self {
        Self::new(name, help, Unit::Seconds, bounds_us)
    }

    /// A histogram of the sizes of frames.
    #[must_use]
    pub const fn bytes(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, Unit::Bytes, FRAME_SIZE_BOUNDS)
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "const evaluation; every index is below a length just tested"
    )]
    const fn new(name: &'static str, help: &'static str, unit: Unit, bounds_us: &'static [u64]) -> Self {
        // Bit length b covers values 2^(b-1) .. 2^b - 1; the least of them decides where the search begins.
        let mut first = [0_u8; 65];
        let mut bits = 1;
        while bits < 65 {
            let least = 1_u64 << (bits - 1);
            let mut bucket = 0;
            while bucket < bounds_us.len() && bounds_us[bucket] < least {
                bucket += 1;
            }
            first[bits] = bucket as u8;
            bits += 1;
        }
        Self { name, help, unit, bounds_us, first }
    }

    /// The bucket of a value; `bounds_us.len()` is `+Inf`.
    #[must_use]
    pub fn bucket(&self, value_us: u64) -> usize {
        let bits = (u64::BITS - value_us.leading_zeros()) as usize;
        let mut bucket = usize::from(self.first.get(bits).copied().unwrap_or(0));
        while self.bounds_us.get(bucket).is_some_and(|bound| *bound < value_us) {
            bucket += 1;
        }
        bucket
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    static LATENCY: HistogramFamily = HistogramFamily::latency_ms("l", "L.");

    proptest! {
        #[test]
        fn the_bucket_is_the_first_whose_bound_is_not_below_the_value(value in prop_oneof![0_u64..60_000_000, any::<u64>()]) {
            let expected = LATENCY.bounds_us.iter().position(|bound| value <= *bound).unwrap_or(LATENCY.bounds_us.len());
            prop_assert_eq!(LATENCY.bucket(value), expected);
        }
    }

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        for (at, bound) in LATENCY.bounds_us.iter().enumerate() {
            assert_eq!(LATENCY.bucket(*bound), at);
            assert_eq!(LATENCY.bucket(bound + 1), at + 1);
        }
    }
}
