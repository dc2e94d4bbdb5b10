//! What an answer says of when to come again: `Retry-After` (RFC 9110 §10.2.3) and `grpc-retry-pushback-ms` (gRFC A6).

use std::time::Duration;

/// When the server wants to see the request again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pushback {
    /// It does not say.
    #[default]
    None,
    /// Not before this.
    After(Duration),
    /// Not at all.
    Never,
}

impl Pushback {
    /// Of an answer's fields; gRPC's word counts before HTTP's. `now_s`: seconds since 1970.
    #[must_use]
    pub fn of(retry_after: Option<&[u8]>, grpc_ms: Option<&[u8]>, now_s: u64) -> Self {
        if let Some(text) = grpc_ms {
            // What is negative or no number means never (gRFC A6).
            let ms = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok());
            return ms.map_or(Self::Never, |ms| Self::After(Duration::from_millis(ms)));
        }
        let after = retry_after.and_then(|value| parse_retry_after(value, now_s));
        after.map_or(Self::None, Self::After)
    }

    /// The pause it asks for.
    #[must_use]
    pub fn pause(self) -> Option<Duration> {
        match self {
            Self::After(pause) => Some(pause),
            Self::None | Self::Never => None,
        }
    }
}

/// Seconds, or a date in the one form that may be sent (IMF-fixdate); a date that has passed is zero.
fn parse_retry_after(value: &[u8], now_s: u64) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit is for ever.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    Some(Duration::from_secs(imf_fixdate(text)?.saturating_sub(now_s)))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` as seconds since 1970.
fn imf_fixdate(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let mut parts = rest.split(' ');
    let day: u64 = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|known| *known == name)? as u64 + 1;
    let year: u64 = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let sane = parts.next() == Some("GMT")
        && parts.next().is_none()
        && (1970..=9999).contains(&year)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    sane.then(|| days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Days of the proleptic Gregorian calendar; years are counted from March, so that the leap day is the last.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const THEN: u64 = 784_111_777;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let after = |text: &str| Pushback::of(Some(text.as_bytes()), None, THEN);
        let seconds = |s| Pushback::After(Duration::from_secs(s));
        for (text, expected) in [
            ("0", seconds(0)),
            ("120", seconds(120)),
            (" 7 ", seconds(7)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", seconds(10)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", seconds(0)),
            ("Sat, 05 Nov 1994 08:49:37 GMT", seconds(0)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", seconds(86_400)),
            ("1.5", Pushback::None),
            ("-1", Pushback::None),
            ("", Pushback::None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Pushback::None),
            ("Sun, 06 Nov 1994 25:49:37 GMT", Pushback::None),
        ] {
            assert_eq!(after(text), expected, "{text}");
        }
        assert_eq!(imf_fixdate("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
        assert_eq!(imf_fixdate("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
    }

    #[test]
    fn grpc_may_ask_for_a_pause_or_forbid_a_retry() {
        let of = |text: &str| Pushback::of(Some(b"9"), Some(text.as_bytes()), THEN);
        assert_eq!(of("250"), Pushback::After(Duration::from_millis(250)));
        assert_eq!(of("-1"), Pushback::Never);
        assert_eq!(of("soon"), Pushback::Never);
    }
}
