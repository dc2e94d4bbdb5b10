//! Label sets: small, sorted, built once per series and not per request.

use std::fmt::Write;
use std::sync::Arc;

/// Most bytes kept of one label value. Authorities and identities are shorter; whatever is longer came
/// from a peer and is cut, so that one request cannot make a page of `/metrics`.
pub const VALUE_BYTES_MAX: usize = 512;

/// A label's name: ours are static, those of discovery (`dst_pod`) are shared.
#[derive(Clone, Debug)]
pub enum Name {
    /// Known at build time.
    Static(&'static str),
    /// From the control plane.
    Shared(Arc<str>),
}

impl Name {
    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Static(name) => name,
            Self::Shared(name) => name,
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl From<&'static str> for Name {
    fn from(name: &'static str) -> Self {
        Self::Static(name)
    }
}

impl From<&Arc<str>> for Name {
    fn from(name: &Arc<str>) -> Self {
        Self::Shared(Arc::clone(name))
    }
}

/// Names and values, sorted by name, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels(Vec<(Name, Arc<str>)>);

impl Labels {
    /// No label.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The set with this label too; a label of the same name is replaced.
    #[must_use]
    pub fn with(mut self, name: impl Into<Name>, value: impl Into<Arc<str>>) -> Self {
        self.set(name.into(), value.into());
        self
    }

    /// The set with this label too, if there is a value.
    #[must_use]
    pub fn with_some(self, name: impl Into<Name>, value: Option<impl Into<Arc<str>>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The set with all of these labels too.
    #[must_use]
    pub fn with_all<'a>(mut self, labels: impl IntoIterator<Item = &'a (Arc<str>, Arc<str>)>) -> Self {
        for (name, value) in labels {
            self.set(Name::from(name), Arc::clone(value));
        }
        self
    }

    /// The value of a label.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        let found = self.0.binary_search_by(|(have, _)| have.as_str().cmp(name)).ok()?;
        self.0.get(found).map(|(_, value)| &**value)
    }

    /// Whether there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn set(&mut self, name: Name, value: Arc<str>) {
        let value = bounded(value);
        match self.0.binary_search_by(|(have, _)| have.cmp(&name)) {
            Ok(at) => {
                if let Some(slot) = self.0.get_mut(at) {
                    slot.1 = value;
                }
            }
            Err(at) => self.0.insert(at, (name, value)),
        }
    }

    /// Appends `name="value",…` without braces.
    pub(crate) fn render(&self, out: &mut String) {
        for (at, (name, value)) in self.0.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            push_name(out, name.as_str());
            out.push_str("=\"");
            push_value(out, value);
            out.push('"');
        }
    }
}

fn bounded(value: Arc<str>) -> Arc<str> {
    if value.len() <= VALUE_BYTES_MAX {
        return value;
    }
    let end = value.floor_char_boundary(VALUE_BYTES_MAX);
    value.get(..end).map_or_else(|| Arc::from(""), Arc::from)
}

/// Label names of other people's objects may hold what Prometheus does not allow.
fn push_name(out: &mut String, name: &str) {
    for (at, c) in name.chars().enumerate() {
        let allowed = c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit());
        out.push(if allowed { c } else { '_' });
    }
}

/// Prometheus text format 0.0.4: backslash, quote and line feed are escaped in label values.
fn push_value(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => {
                // Writing to a String cannot fail.
                let _ = out.write_char(other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(labels: &Labels) -> String {
        let mut out = String::new();
        labels.render(&mut out);
        out
    }

    #[test]
    fn labels_are_sorted_and_the_last_value_of_a_name_wins() {
        let labels = Labels::new().with("tls", "true").with("direction", "inbound").with("tls", "disabled");
        assert_eq!(text(&labels), r#"direction="inbound",tls="disabled""#);
        assert_eq!(labels.value("tls"), Some("disabled"));
        assert_eq!(labels, Labels::new().with("direction", "inbound").with("tls", "disabled"));
    }

    #[test]
    fn values_are_escaped_and_foreign_names_made_legal() {
        let foreign: Arc<str> = Arc::from("9app.kubernetes.io/name");
        let labels = Labels::new().with(&foreign, "a\\b\"c\nd");
        assert_eq!(text(&labels), "_app_kubernetes_io_name=\"a\\\\b\\\"c\\nd\"");
    }

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        let labels = Labels::new().with("authority", "é".repeat(VALUE_BYTES_MAX));
        assert_eq!(labels.value("authority").map(str::len), Some(VALUE_BYTES_MAX));
    }
}
