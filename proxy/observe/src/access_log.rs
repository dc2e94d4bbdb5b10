//! Lines of the access log (annotation `config.linkerd.io/access-log`: `apache` or `json`).
//!
//! Pure: the caller gives the facts and writes the line. Nothing of a header but the ones named here gets in.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One request, at its end.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// When the request's head was read.
    pub timestamp: SystemTime,
    /// The client's socket.
    pub client_addr: SocketAddr,
    /// The identity that the client proved.
    pub client_id: Option<&'a str>,
    /// Method.
    pub method: &'a str,
    /// Target as forwarded.
    pub uri: &'a str,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: &'a str,
    /// `Host` or `:authority`.
    pub host: &'a str,
    /// `User-Agent`.
    pub user_agent: &'a str,
    /// `Referer`.
    pub referer: &'a str,
    /// `x-b3-traceid`, else `x-request-id`, else `x-amzn-trace-id`.
    pub trace_id: &'a str,
    /// `Content-Length` of the request, if it had one.
    pub request_bytes: Option<u64>,
    /// Bytes of the response's body, if known.
    pub response_bytes: Option<u64>,
    /// Status; `None`: the stream ended without a response.
    pub status: Option<u16>,
    /// From the request's head to the response's end.
    pub total: Duration,
    /// The part of it spent in this proxy.
    pub processing: Duration,
}

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Apache's combined log format.
    Apache,
    /// One JSON object, with Linkerd's field names.
    Json,
}

/// The line of a request, without its line feed.
#[must_use]
pub fn line(format: Format, record: &Record<'_>) -> String {
    match format {
        Format::Apache => apache(record),
        Format::Json => json(record),
    }
}

fn apache(record: &Record<'_>) -> String {
    let mut out = String::with_capacity(256);
    let id = record.client_id.unwrap_or("-");
    put(&mut out, format_args!("{} ", record.client_addr.ip().to_canonical()));
    escaped(&mut out, id);
    put(&mut out, format_args!(" - [{}] \"", clf_time(record.timestamp)));
    for (at, part) in [record.method, record.uri, record.version].into_iter().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        escaped(&mut out, part);
    }
    out.push_str("\" ");
    number_or_dash(&mut out, record.status.map(u64::from));
    out.push(' ');
    number_or_dash(&mut out, record.response_bytes);
    for quoted in [record.referer, record.user_agent] {
        out.push_str(" \"");
        escaped(&mut out, if quoted.is_empty() { "-" } else { quoted });
        out.push('"');
    }
    out
}

fn json(record: &Record<'_>) -> String {
    let mut out = String::with_capacity(384);
    out.push('{');
    let addr = record.client_addr.to_string();
    let time = rfc3339(record.timestamp);
    let texts = [
        ("client.addr", addr.as_str()),
        ("client.id", record.client_id.unwrap_or("-")),
        ("host", record.host),
        ("method", record.method),
    ];
    for (name, value) in texts {
        json_text(&mut out, name, value);
    }
    put(&mut out, format_args!("\"processing_ns\":\"{}\",", record.processing.as_nanos()));
    json_text(&mut out, "request_bytes", &decimal(record.request_bytes));
    json_text(&mut out, "response_bytes", &decimal(record.response_bytes));
    if let Some(status) = record.status {
        put(&mut out, format_args!("\"status\":{status},"));
    }
    json_text(&mut out, "timestamp", &time);
    put(&mut out, format_args!("\"total_ns\":\"{}\",", record.total.as_nanos()));
    let texts = [
        ("trace_id", record.trace_id),
        ("uri", record.uri),
        ("user_agent", record.user_agent),
        ("version", record.version),
    ];
    for (name, value) in texts {
        json_text(&mut out, name, value);
    }
    out.pop();
    out.push('}');
    out
}

fn decimal(value: Option<u64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn number_or_dash(out: &mut String, value: Option<u64>) {
    match value {
        Some(value) => put(out, format_args!("{value}")),
        None => out.push('-'),
    }
}

/// As Apache does since 2.0.46: quotes and backslashes by a backslash, what is not printable as `\xhh`.
fn escaped(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b' '..=b'~' => out.push(char::from(byte)),
            other => put(out, format_args!("\\x{other:02x}")),
        }
    }
}

/// RFC 8259 §7.
fn json_text(out: &mut String, name: &str, value: &str) {
    put(out, format_args!("\"{name}\":\""));
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => put(out, format_args!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push_str("\",");
}

/// A moment in UTC by the proleptic Gregorian calendar.
struct Utc {
    year: u64,
    month: usize,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    nanos: u32,
}

/// Days of four centuries: 400 years with 97 leap days.
const DAYS_PER_ERA: u64 = 146_097;

/// Times before 1970 show as its beginning: no request was served then.
fn utc(time: SystemTime) -> Utc {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (days, rest) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Years are counted from 1 March of year 0, so that the leap day is the last of its year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / DAYS_PER_ERA, shifted % DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, carry) =
        if month_from_march < 10 { (month_from_march + 3, 0) } else { (month_from_march - 9, 1) };
    Utc {
        year: era * 400 + year_of_era + carry,
        month: usize::try_from(month).unwrap_or(1),
        day,
        hour: rest / 3_600,
        minute: rest / 60 % 60,
        second: rest % 60,
        nanos: since.subsec_nanos(),
    }
}

/// `10/Oct/2000:13:55:36 +0000`.
fn clf_time(time: SystemTime) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let t = utc(time);
    let month = MONTHS.get(t.month.wrapping_sub(1)).copied().unwrap_or("Jan");
    format!("{:02}/{month}/{:04}:{:02}:{:02}:{:02} +0000", t.day, t.year, t.hour, t.minute, t.second)
}

/// `2000-10-10T13:55:36.000000000Z`.
#[must_use]
pub fn rfc3339(time: SystemTime) -> String {
    let t = utc(time);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z",
        t.year, t.month, t.day, t.hour, t.minute, t.second, t.nanos
    )
}

/// Writing to a `String` cannot fail.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record<'static> {
        Record {
            timestamp: UNIX_EPOCH + Duration::new(971_186_136, 5_000_000),
            client_addr: SocketAddr::from(([10, 0, 0, 7], 40_000)),
            client_id: Some("web.shop.serviceaccount.identity.linkerd.cluster.local"),
            method: "GET",
            uri: "/a?b=c",
            version: "HTTP/1.1",
            host: "api.shop",
            user_agent: "curl \"7\"\n",
            referer: "",
            trace_id: "",
            request_bytes: None,
            response_bytes: Some(12),
            status: Some(200),
            total: Duration::from_micros(1_500),
            processing: Duration::from_nanos(20),
        }
    }

    #[test]
    fn the_combined_format_is_apaches() {
        assert_eq!(
            line(Format::Apache, &record()),
            "10.0.0.7 web.shop.serviceaccount.identity.linkerd.cluster.local - [10/Oct/2000:13:55:36 +0000] \
             \"GET /a?b=c HTTP/1.1\" 200 12 \"-\" \"curl \\\"7\\\"\\x0a\""
        );
    }

    #[test]
    fn a_json_line_has_linkerds_fields_and_no_raw_control_character() {
        assert_eq!(
            line(Format::Json, &record()),
            concat!(
                r#"{"client.addr":"10.0.0.7:40000","#,
                r#""client.id":"web.shop.serviceaccount.identity.linkerd.cluster.local","#,
                r#""host":"api.shop","method":"GET","processing_ns":"20","request_bytes":"","#,
                r#""response_bytes":"12","status":200,"timestamp":"2000-10-10T13:55:36.005000000Z","#,
                r#""total_ns":"1500000","trace_id":"","uri":"/a?b=c","#,
                r#""user_agent":"curl \"7\"\u000a","version":"HTTP/1.1"}"#
            )
        );
    }

    #[test]
    fn leap_days_and_ends_of_years_are_right() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000000Z"),
            (1_709_164_799, "2024-02-28T23:59:59.000000000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000000000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000000Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
