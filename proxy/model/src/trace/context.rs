//! Trace contexts in header fields: W3C Trace Context level 2 and B3, single and multiple.

use super::{SpanId, TraceId};
use crate::matching::RequestView;

const TRACEPARENT: &str = "traceparent";
const B3: &str = "b3";
const B3_TRACE: &str = "x-b3-traceid";
const B3_SPAN: &str = "x-b3-spanid";
const B3_PARENT: &str = "x-b3-parentspanid";
const B3_SAMPLED: &str = "x-b3-sampled";
const B3_FLAGS: &str = "x-b3-flags";

/// Bytes of a `traceparent` of version 00; those of later versions begin alike.
const TRACEPARENT_BYTES: usize = 55;
/// Flags of a `traceparent` that we know: sampled, and a trace id made by chance.
const SAMPLED: u8 = 1;
const RANDOM: u8 = 2;

/// What a request says of its trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// Something that names no trace, or is malformed.
    Unusable,
    /// This.
    Context(Context),
}

/// A request's place in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: TraceId,
    /// The span of whoever sent the request; `None`: the trace begins here.
    pub parent: Option<SpanId>,
    /// Whether spans are wanted.
    pub sampled: bool,
    forms: Forms,
}

/// Every form in which the request says this, and what must stay in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Forms {
    /// Flags of `traceparent`.
    w3c: Option<u8>,
    b3: Option<Single>,
    multi: bool,
}

/// What stays in a `b3` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Single {
    /// 16 digits instead of 32.
    short: bool,
    /// `0`, `1` or `d`.
    state: u8,
}

/// Fields that tell the next hop whose child it is; each replaces what came.
#[derive(Debug, PartialEq, Eq)]
pub struct Propagated(Vec<(&'static str, String)>);

impl Propagated {
    /// Names and values.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (*name, value.as_bytes()))
    }
}

impl Context {
    /// A trace that begins with this request.
    #[must_use]
    pub fn begin(trace: TraceId) -> Self {
        let forms = Forms { w3c: Some(SAMPLED | RANDOM), ..Forms::default() };
        Self { trace, parent: None, sampled: true, forms }
    }

    /// The fields of a request that `span` sends on, in the forms in which the context came.
    #[must_use]
    pub fn propagate(&self, span: SpanId) -> Propagated {
        let (trace, id) = (self.trace.0, span.0);
        let mut fields = Vec::new();
        if let Some(flags) = self.forms.w3c {
            fields.push((TRACEPARENT, format!("00-{trace:032x}-{id:016x}-{flags:02x}")));
        }
        if let Some(Single { short, state }) = self.forms.b3 {
            let width = if short { 16 } else { 32 };
            let parent = self.parent.map(|parent| format!("-{:016x}", parent.0)).unwrap_or_default();
            fields.push((B3, format!("{trace:0width$x}-{id:016x}-{}{parent}", char::from(state))));
        }
        if self.forms.multi {
            fields.push((B3_SPAN, format!("{id:016x}")));
            fields.extend(self.parent.map(|parent| (B3_PARENT, format!("{:016x}", parent.0))));
        }
        Propagated(fields)
    }

    /// Joins what another form says, if it is the same.
    fn and(mut self, other: Self) -> Self {
        if (self.trace, self.sampled) == (other.trace, other.sampled) {
            self.forms.w3c = self.forms.w3c.or(other.forms.w3c);
            self.forms.b3 = self.forms.b3.or(other.forms.b3);
            self.forms.multi |= other.forms.multi;
        }
        self
    }
}

/// Reads the context of a request. Of several forms the first one counts: W3C, `b3`, `x-b3-*`.
pub fn find(request: &impl RequestView) -> Found {
    let read = [w3c(request), single(request), multi(request)];
    let mut found = Found::Nothing;
    for one in read {
        found = match (found, one) {
            (Found::Context(first), Found::Context(other)) => Found::Context(first.and(other)),
            (first @ Found::Context(_), _) => first,
            (_, Found::Context(first)) => Found::Context(first),
            (Found::Unusable, _) | (_, Found::Unusable) => Found::Unusable,
            (Found::Nothing, Found::Nothing) => Found::Nothing,
        };
    }
    found
}

/// The only value of a field.
enum Value<'r> {
    Absent,
    One(&'r str),
    /// Several, or no text.
    Unusable,
}

fn value<'r>(request: &'r impl RequestView, name: &'r str) -> Value<'r> {
    let mut values = request.header(name);
    match (values.next(), values.next()) {
        (None, _) => Value::Absent,
        (Some(one), None) => std::str::from_utf8(one).map_or(Value::Unusable, |text| Value::One(text.trim())),
        (Some(_), Some(_)) => Value::Unusable,
    }
}

fn read<'r>(
    request: &'r impl RequestView,
    name: &'r str,
    parse: impl FnOnce(&str) -> Option<Context>,
) -> Found {
    match value(request, name) {
        Value::Absent => Found::Nothing,
        Value::Unusable => Found::Unusable,
        Value::One(text) => parse(text).map_or(Found::Unusable, Found::Context),
    }
}

fn w3c(request: &impl RequestView) -> Found {
    read(request, TRACEPARENT, traceparent)
}

fn single(request: &impl RequestView) -> Found {
    read(request, B3, b3)
}

/// `00-TRACE-PARENT-FLAGS`. Of a later version, what version 00 knows of it.
fn traceparent(text: &str) -> Option<Context> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut parts = text.split('-');
    let version = digits(parts.next()?, 2)?;
    let trace = TraceId::new(digits(parts.next()?, 32)?)?;
    let parent = span_id(parts.next()?)?;
    let flags = u8::try_from(digits(parts.next()?, 2)?).ok()?;
    if version == 0xff || (version == 0 && text.len() != TRACEPARENT_BYTES) {
        return None;
    }
    let forms = Forms { w3c: Some(flags & (SAMPLED | RANDOM)), ..Forms::default() };
    Some(Context { trace, parent: Some(parent), sampled: flags & SAMPLED != 0, forms })
}

/// `TRACE-SPAN[-STATE[-PARENT]]`; a state alone names no trace.
fn b3(text: &str) -> Option<Context> {
    let mut parts = text.split('-');
    let trace = parts.next()?;
    let short = trace.len() == 16;
    let trace = b3_trace(trace)?;
    let parent = span_id(parts.next()?)?;
    let state = match parts.next() {
        None => None,
        Some(state @ ("0" | "1" | "d")) => state.bytes().next(),
        Some(_) => return None,
    };
    let grandparent = parts.next();
    if parts.next().is_some() || grandparent.is_some_and(|id| span_id(id).is_none()) {
        return None;
    }
    let forms = Forms { b3: state.map(|state| Single { short, state }), ..Forms::default() };
    Some(Context { trace, parent: Some(parent), sampled: matches!(state, Some(b'1' | b'd')), forms })
}

fn multi(request: &impl RequestView) -> Found {
    let names = [B3_TRACE, B3_SPAN, B3_SAMPLED, B3_FLAGS];
    let [trace, span, sampled, flags] = names.map(|name| value(request, name));
    match (trace, span, sampled, flags) {
        (Value::Absent, Value::Absent, Value::Absent, Value::Absent) => Found::Nothing,
        (Value::One(trace), Value::One(span), sampled, flags) => {
            multiple(trace, span, &sampled, &flags).map_or(Found::Unusable, Found::Context)
        }
        _ => Found::Unusable,
    }
}

fn multiple(trace: &str, span: &str, sampled: &Value<'_>, flags: &Value<'_>) -> Option<Context> {
    let (trace, parent) = (b3_trace(trace)?, span_id(span)?);
    let sampled = match (sampled, flags) {
        // Debug implies an accept decision.
        (_, Value::One("1")) | (Value::One("1" | "true"), Value::Absent | Value::One("0")) => true,
        (Value::Absent | Value::One("0" | "false"), Value::Absent | Value::One("0")) => false,
        _ => return None,
    };
    let forms = Forms { multi: true, ..Forms::default() };
    Some(Context { trace, parent: Some(parent), sampled, forms })
}

/// 64 or 128 bits.
fn b3_trace(text: &str) -> Option<TraceId> {
    let width = if text.len() == 16 { 16 } else { 32 };
    TraceId::new(digits(text, width)?)
}

fn span_id(text: &str) -> Option<SpanId> {
    SpanId::new(u64::try_from(digits(text, 16)?).ok()?)
}

/// Exactly so many hexadecimal digits.
fn digits(text: &str, count: usize) -> Option<u128> {
    if text.len() != count {
        return None;
    }
    text.bytes().try_fold(0, |number, byte| {
        char::from(byte).to_digit(16).map(|digit| number << 4 | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";
    const OURS: SpanId = SpanId(0xab);

    struct Fields(Vec<(String, String)>);

    impl RequestView for Fields {
        fn method(&self) -> &'static str {
            "GET"
        }
        fn authority(&self) -> &'static str {
            "web"
        }
        fn path(&self) -> &'static str {
            "/"
        }
        fn query(&self) -> Option<&str> {
            None
        }
        fn header(&self, name: &str) -> impl Iterator<Item = &[u8]> {
            self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_bytes())
        }
    }

    fn fields(of: &[(&str, &str)]) -> Fields {
        Fields(of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    fn found(of: &[(&str, &str)]) -> Found {
        find(&fields(of))
    }

    fn context(of: &[(&str, &str)]) -> Context {
        match found(of) {
            Found::Context(context) => context,
            other @ (Found::Nothing | Found::Unusable) => panic!("{of:?}: {other:?}"),
        }
    }

    fn onward(of: &[(&str, &str)]) -> Vec<(String, String)> {
        let Propagated(fields) = context(of).propagate(OURS);
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        fields(of).0
    }

    #[test]
    fn each_form_is_read_and_said_again_with_our_span_in_place_of_the_parent() {
        let w3c = format!("00-{TRACE}-{PARENT}-03");
        assert_eq!(
            onward(&[("traceparent", &w3c)]),
            pairs(&[("traceparent", &format!("00-{TRACE}-00000000000000ab-03"))])
        );
        let b3 = format!("{TRACE}-{PARENT}-d");
        assert_eq!(onward(&[("b3", &b3)]), pairs(&[("b3", &format!("{TRACE}-00000000000000ab-d-{PARENT}"))]));
        let multi = [("x-b3-traceid", TRACE), ("x-b3-spanid", PARENT), ("x-b3-sampled", "1")];
        assert_eq!(
            onward(&multi),
            pairs(&[("x-b3-spanid", "00000000000000ab"), ("x-b3-parentspanid", PARENT)])
        );
        let short = format!("{PARENT}-{PARENT}-1");
        assert_eq!(
            onward(&[("b3", &short)]),
            pairs(&[("b3", &format!("{PARENT}-00000000000000ab-1-{PARENT}"))])
        );
    }

    #[test]
    fn forms_that_agree_are_said_again_together_and_of_others_the_first_counts() {
        let w3c = format!("00-{TRACE}-{PARENT}-01");
        let same = format!("{TRACE}-{PARENT}-1");
        let other = format!("{PARENT}-{PARENT}-1");
        assert_eq!(onward(&[("traceparent", &w3c), ("b3", &same)]).len(), 2);
        let names: Vec<_> =
            onward(&[("traceparent", &w3c), ("b3", &other)]).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["traceparent"]);
        assert_eq!(onward(&[("traceparent", "nonsense"), ("b3", &same)]).len(), 1);
    }

    #[test]
    fn only_the_parents_decision_samples() {
        for (name, value, sampled) in [
            ("traceparent", format!("00-{TRACE}-{PARENT}-00"), false),
            ("traceparent", format!("00-{TRACE}-{PARENT}-02"), false),
            ("traceparent", format!("cc-{TRACE}-{PARENT}-01-more"), true),
            ("b3", format!("{TRACE}-{PARENT}"), false),
            ("b3", format!("{TRACE}-{PARENT}-0"), false),
            ("b3", format!("{TRACE}-{PARENT}-1-{PARENT}"), true),
        ] {
            assert_eq!(context(&[(name, &value)]).sampled, sampled, "{value}");
        }
        let multi =
            |sampled| context(&[("x-b3-traceid", TRACE), ("x-b3-spanid", PARENT), ("x-b3-sampled", sampled)]);
        assert!(multi("1").sampled && !multi("0").sampled);
        assert!(
            context(&[("x-b3-traceid", TRACE), ("x-b3-spanid", PARENT), ("x-b3-flags", "1")]).sampled,
            "debug"
        );
    }

    #[test]
    fn what_is_malformed_names_no_trace_and_is_not_taken_for_nothing() {
        let zero = "0".repeat(32);
        let good = format!("00-{TRACE}-{PARENT}-01");
        for bad in [
            String::new(),
            format!("00-{zero}-{PARENT}-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-01-"),
            format!("00-{TRACE}-{PARENT}-1"),
            format!("00-{TRACE}-{PARENT}"),
            good.to_uppercase(),
            good.replace('4', "g"),
            format!("cc-{TRACE}-{PARENT}-01more"),
        ] {
            assert_eq!(found(&[("traceparent", &bad)]), Found::Unusable, "{bad}");
        }
        assert_eq!(found(&[("traceparent", &good), ("traceparent", &good)]), Found::Unusable);
        for bad in ["0", "1", "", &format!("{zero}-{PARENT}-1"), &format!("{TRACE}-{PARENT}-2")] {
            assert_eq!(found(&[("b3", bad)]), Found::Unusable, "{bad}");
        }
        assert_eq!(found(&[("x-b3-sampled", "1")]), Found::Unusable);
        assert_eq!(found(&[("x-b3-traceid", TRACE), ("x-b3-spanid", "0")]), Found::Unusable);
        assert_eq!(found(&[("x-request-id", "1")]), Found::Nothing);
    }

    fn any_field() -> impl Strategy<Value = (String, String)> {
        let names = prop::sample::select(vec![TRACEPARENT, B3, B3_TRACE, B3_SPAN, B3_SAMPLED, B3_FLAGS]);
        let values = prop_oneof![
            "[0-9a-fA-Fdx-]{0,60}",
            "(00|01|ff)-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]",
            "([0-9a-f]{16}|[0-9a-f]{32})-[0-9a-f]{16}(-[01d](-[0-9a-f]{16})?)?",
            "[0-9a-f]{16}|[0-9a-f]{32}",
            "[01]",
            ".{0,20}",
        ];
        (names, values).prop_map(|(name, value)| (name.to_owned(), value))
    }

    proptest! {
        #[test]
        fn what_is_said_again_means_the_same_with_our_span_as_the_parent(
            of in prop::collection::vec(any_field(), 0..5),
            ours in 1_u64..,
        ) {
            let request = Fields(of);
            let Found::Context(context) = find(&request) else { return Ok(()) };
            let Propagated(said) = context.propagate(SpanId(ours));
            // As the next hop sees it: what we say replaces what came.
            let mut next: Vec<_> = request.0;
            next.retain(|(name, _)| said.iter().all(|(own, _)| own != name));
            next.extend(said.into_iter().map(|(name, value)| (name.to_owned(), value)));
            let Found::Context(seen) = find(&Fields(next)) else { panic!("unreadable") };
            prop_assert_eq!((seen.trace, seen.sampled), (context.trace, context.sampled));
            if context.sampled {
                prop_assert_eq!(seen.parent, Some(SpanId(ours)));
            }
        }
    }
}
