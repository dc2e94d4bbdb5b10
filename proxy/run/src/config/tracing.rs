//! Where spans go: `TRACE_*` and `OTEL_RESOURCE_ATTRIBUTES`.

use std::path::PathBuf;

use super::read::Reader;
use super::{Peer, service};

/// The variable that OpenTelemetry itself names, without a prefix of ours or the peer's.
pub const OTEL_RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// How spans are exported.
#[derive(Debug, PartialEq, Eq)]
pub struct Tracing {
    /// `TRACE_COLLECTOR_SVC_*`.
    pub collector: Peer,
    /// `TRACE_SAMPLE_RATIO`, ours, in millionths: with how many requests without a context a trace begins.
    pub ratio_millionths: u32,
    /// `TRACE_ATTRIBUTES_PATH`: the pod's labels, as the downward API writes them.
    pub labels: Option<PathBuf>,
    /// `TRACE_ANNOTATIONS_PATH`: the pod's annotations, likewise.
    pub annotations: Option<PathBuf>,
    /// Attributes that the environment gives, the later before the earlier ones.
    pub attributes: Vec<(String, String)>,
}

/// Millionths of a ratio.
const WHOLE: f64 = 1_000_000.0;

impl Tracing {
    /// `TRACE_SAMPLE_RATIO`.
    pub fn ratio(&self) -> f64 {
        f64::from(self.ratio_millionths) / WHOLE
    }
}

/// Reads them; `otel` is the value of [`OTEL_RESOURCE_ATTRIBUTES`].
pub(super) fn tracing(env: &mut Reader, otel: Option<&str>) -> Option<Tracing> {
    let is_on = env.text("TRACE_COLLECTOR_SVC_ADDR").is_some();
    // Known, and without a collector of no effect.
    env.accept("TRACE_COLLECTOR_SVC_NAME");
    let _: Option<()> = env.parse("TRACE_PROTOCOL", |text| match text {
        "opentelemetry" => Ok(()),
        _ => Err("must be opentelemetry".to_owned()),
    });
    let ratio_millionths = env.parse("TRACE_SAMPLE_RATIO", ratio).unwrap_or(0);
    let (labels, annotations) = (env.text("TRACE_ATTRIBUTES_PATH"), env.text("TRACE_ANNOTATIONS_PATH"));
    let name = env.text("TRACE_SERVICE_NAME").unwrap_or_else(|| "linkerd-proxy".to_owned());
    let mut attributes = vec![("service.name".to_owned(), name)];
    attributes.extend(env.text("TRACE_EXTRA_ATTRIBUTES").iter().flat_map(|text| lines(text)));
    attributes.extend(otel.iter().flat_map(|text| listed(text)));
    if !is_on {
        return None;
    }
    let collector = service(env, "TRACE_COLLECTOR")?;
    let (labels, annotations) = (labels.map(PathBuf::from), annotations.map(PathBuf::from));
    Some(Tracing { collector, ratio_millionths, labels, annotations, attributes })
}

/// A share from 0 to 1.
fn ratio(text: &str) -> Result<u32, String> {
    let ratio: f64 = text.parse().map_err(|_| "must be a number from 0 to 1".to_owned())?;
    if !(0.0..=1.0).contains(&ratio) {
        return Err("must be from 0 to 1".to_owned());
    }
    Ok((ratio * WHOLE).round() as u32)
}

/// `name=value` in lines; what the downward API writes has quotes around the value.
pub fn lines(text: &str) -> Vec<(String, String)> {
    let pair = |line: &str| {
        let (name, value) = line.trim().split_once('=')?;
        (!name.is_empty()).then(|| (name.trim().to_owned(), unquoted(value.trim())))
    };
    text.lines().filter_map(pair).collect()
}

/// `name=value` between commas, with `%` escapes (the specification of OpenTelemetry's environment).
fn listed(text: &str) -> Vec<(String, String)> {
    let pair = |one: &str| {
        let (name, value) = one.split_once('=')?;
        (!name.trim().is_empty()).then(|| (unescaped(name.trim()), unescaped(value.trim())))
    };
    text.split(',').filter_map(pair).collect()
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.split_at_checked(2).filter(|_| *first == b'%');
        let byte = escaped.and_then(|(digits, _)| std::str::from_utf8(digits).ok());
        match (byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()), escaped) {
            (Some(byte), Some((_, after))) => {
                bytes.push(byte);
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The text of a quoted string, as Go's `%q` writes it; escapes of control characters are left as they are.
fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return text.to_owned();
    };
    inner.replace("\\\"", "\"").replace("\\\\", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn attributes_are_read_as_each_of_their_places_writes_them() {
        let pod = "app=\"web\"\nresource.opentelemetry.io/a.b=\"say \\\"hi\\\"\"\n\nno pair\n=x\n";
        assert_eq!(lines(pod), pairs(&[("app", "web"), ("resource.opentelemetry.io/a.b", "say \"hi\"")]));
        let otel = "service.name=web%20shop,k=a%2Cb%,%zz=1,broken";
        assert_eq!(listed(otel), pairs(&[("service.name", "web shop"), ("k", "a,b%"), ("%zz", "1")]));
    }

    #[test]
    fn a_ratio_is_a_share() {
        assert_eq!(ratio("0.25"), Ok(250_000));
        assert_eq!(ratio("1"), Ok(1_000_000));
        for bad in ["-0.1", "1.1", "NaN", "", "half"] {
            assert!(ratio(bad).is_err(), "{bad}");
        }
    }
}
