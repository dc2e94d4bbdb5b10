//! What is said of this workload in every batch of spans.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hauberk_control::otlp::attribute;
use hauberk_control::otlp::message::KeyValue;

use crate::config::tracing::{Tracing, lines};

/// Annotations that say it of a pod.
const ANNOTATION: &str = "resource.opentelemetry.io/";
/// Bytes of a file that are looked at, and of all that is said: every batch carries it.
const FILE_BYTES_MAX: u64 = 256 * 1024;
const ALL_BYTES_MAX: usize = 8 * 1024;

/// The attributes: labels, then the environment's, then those that annotations give; the later of a name wins.
pub fn resource(tracing: &Tracing) -> Vec<KeyValue> {
    let labels = tracing.labels.as_deref().map(read).unwrap_or_default();
    let labels = labels.into_iter().map(|(name, value)| (format!("k8s.pod.label.{name}"), value));
    let annotations = tracing.annotations.as_deref().map(read).unwrap_or_default();
    let annotations = annotations.into_iter().filter_map(|(name, value)| {
        name.strip_prefix(ANNOTATION)
            .map(|name| (name.to_owned(), value))
            .filter(|(name, _)| !name.is_empty())
    });
    let all: BTreeMap<String, String> =
        labels.chain(tracing.attributes.iter().cloned()).chain(annotations).collect();
    let mut left = ALL_BYTES_MAX;
    // Who it is comes first, and is kept first.
    let (name, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|(key, _)| key == "service.name");
    let fits = |(key, value): &(String, String)| {
        let fits = left.checked_sub(key.len().saturating_add(value.len()));
        left = fits.unwrap_or(left);
        fits.is_some()
    };
    name.into_iter().chain(rest).filter(fits).map(|(key, value)| attribute(&key, value)).collect()
}

fn read(path: &Path) -> Vec<(String, String)> {
    let size = fs::metadata(path).map(|file| file.len());
    let text = match size {
        Ok(size) if size > FILE_BYTES_MAX => Err(std::io::Error::other("is too large")),
        _ => fs::read_to_string(path),
    };
    match text {
        Ok(text) => lines(&text),
        Err(error) => {
            log::warn!(path:% = path.display(), error:%; "spans go without what this file says");
            Vec::new()
        }
    }
}
