//! The Prometheus text format 0.0.4.

use std::fmt::{Display, Write};

use crate::family::{HistogramFamily, Unit};
use crate::labels::Labels;

/// The content type of a scrape.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The type of a family.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram(&'static HistogramFamily),
}

impl Kind {
    /// Whether a dropped handle's value still counts.
    pub(crate) fn keeps_what_is_gone(&self) -> bool {
        match self {
            Self::Counter | Self::Histogram(_) => true,
            Self::Gauge => false,
        }
    }
}

/// The values of one series, as its handles lay them out.
pub(crate) struct Sample<'a> {
    pub(crate) kind: &'a Kind,
    pub(crate) values: &'a [u64],
}

/// Writes HELP and TYPE.
pub(crate) fn head(out: &mut String, name: &str, help: &str, kind: &Kind) {
    let kind = match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    };
    push(out, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
}

/// Writes all lines of one series.
pub(crate) fn sample(out: &mut String, name: &str, labels: &Labels, sample: &Sample<'_>) {
    let first = sample.values.first().copied().unwrap_or(0);
    match sample.kind {
        Kind::Counter => number(out, name, labels, first),
        Kind::Gauge => number(out, name, labels, first.cast_signed()),
        Kind::Histogram(family) => histogram(out, family, labels, sample.values),
    }
}

/// Writes one line.
pub(crate) fn number(out: &mut String, name: &str, labels: &Labels, value: impl Display) {
    out.push_str(name);
    if !labels.is_empty() {
        out.push('{');
        labels.render(out);
        out.push('}');
    }
    push(out, format_args!(" {value}\n"));
}

fn histogram(out: &mut String, family: &HistogramFamily, labels: &Labels, values: &[u64]) {
    let mut common = String::new();
    labels.render(&mut common);
    let comma = if common.is_empty() { "" } else { "," };
    let name = family.name;
    let mut count = 0_u64;
    let bounds = family.bounds_us.iter().map(Some).chain([None]);
    for (bound, value) in bounds.zip(values) {
        count = count.wrapping_add(*value);
        push(out, format_args!("{name}_bucket{{{common}{comma}le=\""));
        match bound {
            Some(bound) => scaled(out, *bound, family.unit),
            None => out.push_str("+Inf"),
        }
        push(out, format_args!("\"}} {count}\n"));
    }
    let braces = if common.is_empty() { String::new() } else { format!("{{{common}}}") };
    push(out, format_args!("{name}_sum{braces} "));
    scaled(out, values.last().copied().unwrap_or(0), family.unit);
    push(out, format_args!("\n{name}_count{braces} {count}\n"));
}

/// Microseconds as a decimal of the unit, without rounding and without trailing zeros.
fn scaled(out: &mut String, value_us: u64, unit: Unit) {
    let (scale, digits) = match unit {
        Unit::Milliseconds => (1_000, 3),
        Unit::Seconds => (1_000_000, 6),
        Unit::Bytes => (1, 0),
    };
    push(out, format_args!("{}", value_us / scale));
    let rest = value_us % scale;
    if rest > 0 {
        let fraction = format!("{rest:0digits$}");
        push(out, format_args!(".{}", fraction.trim_end_matches('0')));
    }
}

/// Writing to a `String` cannot fail.
fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}
