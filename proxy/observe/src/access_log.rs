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
    /// The part of it before the request was sent on.
    pub processing: Duration,
    /// `grpc-status`, if the response had one.
    pub grpc_status: Option<u16>,
    /// The code of an answer that the proxy gave itself; empty otherwise.
    pub code: &'a str,
    /// The request's id in the flight recorder.
    pub request_id: &'a str,
}

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Apache's combined log format.
    Apache,
    /// One JSON object with these fields, under Linkerd's names where it has them.
    Json(Fields),
}

/// What a JSON line may say, in the order in which it says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    ClientAddr,
    ClientId,
    Code,
    GrpcStatus,
    Host,
    Method,
    ProcessingNs,
    Referer,
    RequestBytes,
    RequestId,
    ResponseBytes,
    Status,
    Timestamp,
    TotalNs,
    TraceId,
    Uri,
    UserAgent,
    Version,
}

/// Names; `true`: Linkerd's lines have it.
const FIELDS: [(Field, &str, bool); 18] = [
    (Field::ClientAddr, "client.addr", true),
    (Field::ClientId, "client.id", true),
    (Field::Code, "code", false),
    (Field::GrpcStatus, "grpc_status", false),
    (Field::Host, "host", true),
    (Field::Method, "method", true),
    (Field::ProcessingNs, "processing_ns", true),
    (Field::Referer, "referer", false),
    (Field::RequestBytes, "request_bytes", true),
    (Field::RequestId, "request_id", false),
    (Field::ResponseBytes, "response_bytes", true),
    (Field::Status, "status", true),
    (Field::Timestamp, "timestamp", true),
    (Field::TotalNs, "total_ns", true),
    (Field::TraceId, "trace_id", true),
    (Field::Uri, "uri", true),
    (Field::UserAgent, "user_agent", true),
    (Field::Version, "version", true),
];

/// A choice of fields. The default is Linkerd's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields(u32);

impl Default for Fields {
    fn default() -> Self {
        let linkerds = FIELDS.iter().filter(|(_, _, is_linkerds)| *is_linkerds);
        Self(linkerds.fold(0, |set, (field, _, _)| set | bit(*field)))
    }
}

impl Fields {
    /// Reads a list such as `timestamp,status,uri`; a name with `+` before it adds to Linkerd's fields.
    ///
    /// # Errors
    /// The name that is none.
    pub fn parse(list: &str) -> Result<Self, String> {
        let names = || list.split(',').map(str::trim).filter(|name| !name.is_empty());
        let adds = names().all(|name| name.starts_with('+'));
        let mut set = if adds { Self::default() } else { Self(0) };
        for name in names() {
            let plain = name.strip_prefix('+').unwrap_or(name);
            let known = FIELDS.iter().find(|(_, known, _)| *known == plain);
            let (field, _, _) = known.ok_or_else(|| format!("there is no field {plain}"))?;
            set.0 |= bit(*field);
        }
        Ok(set)
    }

    fn has(self, field: Field) -> bool {
        self.0 & bit(field) != 0
    }
}

const fn bit(field: Field) -> u32 {
    1 << field as u32
}

/// The line of a request, without its line feed.
#[must_use]
pub fn line(format: Format, record: &Record<'_>) -> String {
    match format {
        Format::Apache => apache(record),
        Format::Json(fields) => json(record, fields),
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

fn json(record: &Record<'_>, fields: Fields) -> String {
    let mut out = String::with_capacity(384);
    out.push('{');
    for (field, name, _) in FIELDS {
        if fields.has(field) {
            json_field(&mut out, field, name, record);
        }
    }
    if out.ends_with(',') {
        out.pop();
    }
    out.push('}');
    out
}

fn json_field(out: &mut String, field: Field, name: &str, record: &Record<'_>) {
    match field {
        Field::ClientAddr => json_text(out, name, &record.client_addr.to_string()),
        Field::ClientId => json_text(out, name, record.client_id.unwrap_or("-")),
        Field::Code => json_text(out, name, record.code),
        Field::GrpcStatus => json_number(out, name, record.grpc_status),
        Field::Host => json_text(out, name, record.host),
        Field::Method => json_text(out, name, record.method),
        Field::ProcessingNs => json_text(out, name, &record.processing.as_nanos().to_string()),
        Field::Referer => json_text(out, name, record.referer),
        Field::RequestBytes => json_text(out, name, &decimal(record.request_bytes)),
        Field::RequestId => json_text(out, name, record.request_id),
        Field::ResponseBytes => json_text(out, name, &decimal(record.response_bytes)),
        Field::Status => json_number(out, name, record.status),
        Field::Timestamp => json_text(out, name, &rfc3339(record.timestamp)),
        Field::TotalNs => json_text(out, name, &record.total.as_nanos().to_string()),
        Field::TraceId => json_text(out, name, record.trace_id),
        Field::Uri => json_text(out, name, record.uri),
        Field::UserAgent => json_text(out, name, record.user_agent),
        Field::Version => json_text(out, name, record.version),
    }
}

/// Nothing where there is none.
fn json_number(out: &mut String, name: &str, value: Option<u16>) {
    if let Some(value) = value {
        put(out, format_args!("\"{name}\":{value},"));
    }
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
            grpc_status: None,
            code: "",
            request_id: "00000000000000ab",
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
            line(Format::Json(Fields::default()), &record()),
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
    fn fields_are_chosen_or_added_by_name() {
        let of = |list: &str| line(Format::Json(Fields::parse(list).unwrap_or_default()), &record());
        assert_eq!(of("status, request_id"), r#"{"request_id":"00000000000000ab","status":200}"#);
        assert!(of("+request_id,+code").contains(r#""client.id""#));
        assert!(of("+request_id").contains(r#""request_id""#));
        assert_eq!(of("grpc_status"), "{}");
        assert_eq!(Fields::parse("status,passwords"), Err("there is no field passwords".into()));
    }

    proptest::proptest! {
        #[test]
        fn no_header_ends_a_line_or_a_string_early(text in "\\PC*|[\\x00-\\x7f]{0,40}") {
            let hostile = Record { user_agent: &text, uri: &text, host: &text, referer: &text, ..record() };
            let apache = line(Format::Apache, &hostile);
            proptest::prop_assert!(apache.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            let quotes = apache.bytes().zip(std::iter::once(0).chain(apache.bytes()));
            let bare = quotes.filter(|(byte, before)| *byte == b'"' && *before != b'\\').count();
            // A backslash of the text is doubled, so that it does not hide the quote after it.
            proptest::prop_assert!(bare <= 6);
            let json = line(Format::Json(Fields::default()), &hostile);
            proptest::prop_assert!(!json.chars().any(char::is_control));
        }
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
