//! Pods whose network was made before the plugin was chained, from what the runtime's library remembers of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::conflist::CAPABILITY;
use crate::plugin::{redirection, strings, within};

/// Where libcni keeps results, below its cache directory.
const RESULTS: &str = "results";
/// Most of one file: a pod's annotations may have 256 KiB, and stand in it once more in another encoding.
const RESULT_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// A pod that asks for a redirection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The sandbox, by which it is remembered.
    pub container: String,
    /// `NAMESPACE/NAME`.
    pub pod: String,
    /// Where its network is.
    pub netns: String,
    /// The words after `init`.
    pub words: Vec<String>,
}

/// What became of an attachment.
#[derive(Debug, PartialEq)]
pub enum Repaired {
    /// It was redirected only now.
    Now(String),
    /// It cannot be.
    Failed(String, String),
}

/// Reads what one cached result says; `None` if its pod asks for no redirection.
pub fn attachment(text: &str) -> Option<Attachment> {
    let value: Value = serde_json::from_str(text).ok()?;
    let annotations = strings(value.get("capabilityArgs").and_then(|args| args.get(CAPABILITY)));
    let words = redirection(&annotations).ok().flatten()?;
    let arguments = pairs(value.get("cniArgs"));
    let part = |name: &str| arguments.get(name).cloned().unwrap_or_default();
    Some(Attachment {
        container: value.get("containerId")?.as_str()?.to_owned(),
        pod: format!("{}/{}", part("K8S_POD_NAMESPACE"), part("K8S_POD_NAME")),
        netns: value.get("netns").and_then(Value::as_str).filter(|path| !path.is_empty())?.to_owned(),
        words,
    })
}

fn pairs(list: Option<&Value>) -> BTreeMap<String, String> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items
        .filter_map(|item| match item.as_array()?.as_slice() {
            [name, value] => Some((name.as_str()?.to_owned(), value.as_str()?.to_owned())),
            _ => None,
        })
        .collect()
}

/// Redirects every pod of the cache that asks for it and is not; `settled` are those known to be.
///
/// `init` runs `hauberk-proxy init` with the words given, on a thread of its own.
pub fn repair(
    cache: &Path,
    settled: &mut BTreeSet<String>,
    init: impl Fn(Vec<String>) -> Result<(), String>,
) -> Vec<Repaired> {
    let files = fs::read_dir(cache.join(RESULTS)).into_iter().flatten().flatten();
    let readable = files.filter(|file| file.metadata().is_ok_and(|meta| meta.len() <= RESULT_BYTES_MAX));
    let found: Vec<Attachment> =
        readable.filter_map(|file| attachment(&fs::read_to_string(file.path()).ok()?)).collect();
    settled.retain(|container| found.iter().any(|one| one.container == *container));
    let mut repaired = Vec::new();
    for Attachment { container, pod, netns, words } in found {
        // A network that is gone belongs to a pod that is about to be.
        if settled.contains(&container) || !Path::new(&netns).exists() {
            continue;
        }
        if init(within(&netns, words.clone(), Some("--check"))).is_err() {
            match init(within(&netns, words, None)) {
                Ok(()) => repaired.push(Repaired::Now(pod)),
                Err(error) => {
                    repaired.push(Repaired::Failed(pod, error));
                    continue;
                }
            }
        }
        settled.insert(container);
    }
    repaired
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde_json::json;

    use super::*;
    use crate::plugin::ANNOTATION;

    fn cached(netns: &str, annotation: Option<&str>) -> String {
        let annotations = annotation.map_or_else(|| json!({}), |text| json!({ ANNOTATION: text }));
        json!({
            "kind": "cniCacheV1", "containerId": "c1", "ifName": "eth0", "netns": netns,
            "cniArgs": [["K8S_POD_NAMESPACE", "shop"], ["K8S_POD_NAME", "web-0"]],
            "capabilityArgs": { CAPABILITY: annotations },
        })
        .to_string()
    }

    #[test]
    fn a_cached_result_names_its_pod_its_network_and_what_it_asks_for() {
        let found = attachment(&cached("/run/netns/a", Some(r#"["--proxy-uid","2102"]"#))).unwrap();
        assert_eq!((found.pod.as_str(), found.netns.as_str()), ("shop/web-0", "/run/netns/a"));
        for text in [
            "{",
            "{}",
            &cached("/n", None),
            &cached("", Some(r#"["--proxy-uid","1"]"#)),
            &cached("/n", Some("x")),
        ] {
            assert_eq!(attachment(text), None, "{text}");
        }
    }

    #[test]
    fn a_pod_is_redirected_once_and_only_where_it_was_not() {
        let dir = std::env::temp_dir().join(format!("hauberk-cni-{}", std::process::id()));
        fs::create_dir_all(dir.join(RESULTS)).unwrap();
        let netns = dir.join("ns");
        fs::write(&netns, "").unwrap();
        let text = cached(netns.to_str().unwrap(), Some(r#"["--proxy-uid","2102"]"#));
        fs::write(dir.join(RESULTS).join("pods-c1-eth0"), text).unwrap();
        let stands = RefCell::new(false);
        let init = |words: Vec<String>| {
            if words.iter().any(|word| word == "--check") {
                return if *stands.borrow() { Ok(()) } else { Err("differs".into()) };
            }
            *stands.borrow_mut() = true;
            Ok(())
        };
        let mut settled = BTreeSet::new();
        assert_eq!(repair(&dir, &mut settled, init), [Repaired::Now("shop/web-0".into())]);
        assert_eq!(repair(&dir, &mut settled, init), []);
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(repair(&dir, &mut settled, init), []);
        assert!(settled.is_empty());
    }
}
