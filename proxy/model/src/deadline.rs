//! Deadlines: which of several limits counts, and `grpc-timeout` on the wire.

use std::time::{Duration, Instant};

/// Most digits of a `grpc-timeout` value (gRPC over HTTP2, "Timeout").
const DIGITS_MAX: usize = 8;

/// Reads `grpc-timeout`: up to eight digits and one of `H M S m u n`.
#[must_use]
pub fn parse_grpc_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount = digits.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_secs(amount * 3_600)),
        b'M' => Some(Duration::from_secs(amount * 60)),
        b'S' => Some(Duration::from_secs(amount)),
        b'm' => Some(Duration::from_millis(amount)),
        b'u' => Some(Duration::from_micros(amount)),
        b'n' => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

/// Writes `grpc-timeout` in the finest unit that fits; rounded down, so that the backend gives up first,
/// but never to zero, which some servers take for "none".
#[must_use]
pub fn format_grpc_timeout(left: Duration) -> String {
    const FITS: u128 = 100_000_000;
    let units: [(u128, char); 6] = [
        (1, 'n'),
        (1_000, 'u'),
        (1_000_000, 'm'),
        (1_000_000_000, 'S'),
        (60_000_000_000, 'M'),
        (3_600_000_000_000, 'H'),
    ];
    let nanos = left.as_nanos().max(1);
    let fitting = units.into_iter().find(|(size, _)| nanos / size < FITS);
    match fitting {
        Some((size, unit)) => format!("{}{unit}", nanos / size),
        None => format!("{}H", FITS - 1),
    }
}

/// Linkerd's duration headers (`l5d-request-timeout`, `l5d-retry-timeout`, ...): digits and one of `ms s m h d`,
/// without fractions; bare zero is allowed.
#[must_use]
pub fn parse_l5d_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    let amount: u64 = digits.parse().ok()?;
    let millis = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        "" if amount == 0 => Some(0),
        _ => None,
    }?;
    Some(Duration::from_millis(amount.checked_mul(millis)?))
}

/// The moment by which a request must be done: the earliest of its limits, each counted from `start`.
#[must_use]
pub fn deadline(start: Instant, limits: impl IntoIterator<Item = Option<Duration>>) -> Option<Instant> {
    limits.into_iter().flatten().filter_map(|limit| start.checked_add(limit)).min()
}

/// What is left of a deadline; `None`: it has passed.
#[must_use]
pub fn left(deadline: Instant, now: Instant) -> Option<Duration> {
    deadline.checked_duration_since(now).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn grpc_timeouts_are_read_as_the_protocol_says() {
        for (text, expected) in [
            ("1S", Some(Duration::from_secs(1))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3_600))),
            ("250m", Some(Duration::from_millis(250))),
            ("7u", Some(Duration::from_micros(7))),
            ("123456789n", None),
            ("S", None),
            ("1", None),
            ("1x", None),
            ("-1S", None),
            ("", None),
        ] {
            assert_eq!(parse_grpc_timeout(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_forwarded_timeout_is_never_longer_and_loses_little(nanos in 1_u64..) {
            let left = Duration::from_nanos(nanos);
            let read = parse_grpc_timeout(format_grpc_timeout(left).as_bytes());
            prop_assert!(read.is_some_and(|read| read <= left && read.as_secs_f64() >= left.as_secs_f64() * 0.99));
        }
    }

    #[test]
    fn linkerd_durations_have_a_unit_and_no_fraction() {
        for (text, expected) in [
            ("250ms", Some(Duration::from_millis(250))),
            ("2m", Some(Duration::from_secs(120))),
            ("1d", Some(Duration::from_secs(86_400))),
            ("0", Some(Duration::ZERO)),
            ("5", None),
            ("1.5s", None),
            ("s", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(parse_l5d_duration(text), expected, "{text}");
        }
    }

    #[test]
    fn the_earliest_limit_counts_and_no_limit_is_no_deadline() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(deadline(start, [None, Some(second), Some(2 * second)]), Some(start + second));
        assert_eq!(deadline(start, [None, None]), None);
        assert_eq!(left(start + second, start), Some(second));
        assert_eq!(left(start, start), None);
    }
}
