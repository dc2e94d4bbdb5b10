//! The path that policy judges is the path that is forwarded, and every server reads it alike.

use std::sync::{Arc, OnceLock};

use hauberk_model::canonical::canonical_path;
use hauberk_model::matching::{self, RequestView};
use hauberk_model::metadata::Metadata;
use hauberk_model::route::{HttpMatch, HttpRoute, HttpRule, PathMatch, whole};

use crate::choice;

struct Asked<'a> {
    host: &'a str,
    path: &'a str,
}

impl RequestView for Asked<'_> {
    fn method(&self) -> &str {
        "GET"
    }
    fn authority(&self) -> &str {
        self.host
    }
    fn path(&self) -> &str {
        self.path
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn header(&self, _: &str) -> impl Iterator<Item = &[u8]> {
        std::iter::empty()
    }
}

/// Rules whose paths overlap in every way.
fn routes() -> &'static [HttpRoute<usize>] {
    static ROUTES: OnceLock<Vec<HttpRoute<usize>>> = OnceLock::new();
    ROUTES.get_or_init(|| {
        let prefix = |path: &str| Some(PathMatch::Prefix(path.into()));
        let mut paths = vec![None, prefix("/"), prefix("/a"), prefix("/a/b"), prefix("/admin")];
        paths.push(Some(PathMatch::Exact("/a/b/c".into())));
        paths.extend(whole("/a/[0-9]+").ok().map(|regex| Some(PathMatch::Regex(regex))));
        let rules = paths.into_iter().enumerate().map(|(then, path)| HttpRule {
            matches: vec![HttpMatch { path, ..HttpMatch::default() }],
            filters: Vec::new(),
            then,
        });
        let metadata = Metadata::Default(Arc::from("fuzz"));
        vec![HttpRoute { metadata, hosts: Vec::new(), rules: rules.collect() }]
    })
}

fn rule_of(path: &str) -> Option<usize> {
    matching::http(routes(), &Asked { host: "a.test", path }).map(|found| found.rule.then)
}

/// As a plain backend reads a path: percent-decoded once, `.` and `..` resolved, empty segments dropped.
fn as_served(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let (byte, after) = match (byte, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit =
                    |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                (digit(*high)? << 4 | digit(*low)?, after)
            }
            _ => (*byte, after),
        };
        bytes.push(byte);
        rest = after;
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut kept: Vec<&str> = Vec::new();
    let mut open = false;
    for segment in text.split(['/', '\\']).skip(1) {
        open = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()?),
            segment => kept.push(segment),
        }
    }
    let mut out = format!("/{}", kept.join("/"));
    if open && out.len() > 1 {
        out.push('/');
    }
    Some(out)
}

/// Canonical is idempotent; what is forwarded is judged as what came, and so is what a backend makes of it.
pub(crate) fn policy(bytes: &[u8]) {
    let (_, bytes) = choice(bytes);
    let Ok(path) = std::str::from_utf8(bytes) else { return };
    let Ok(canonical) = canonical_path(path) else { return };
    assert_eq!(canonical_path(&canonical).as_deref(), Ok(&*canonical), "{path:?} is not stable");
    if !canonical.starts_with('/') {
        return;
    }
    assert!(!canonical.contains("//") && !canonical.contains(['\\', ';', '\0', '\r', '\n']), "{canonical:?}");
    let dots = canonical.split('/').any(|segment| matches!(segment, "." | ".."));
    assert!(!dots, "{path:?} kept dots in {canonical:?}");
    let served = as_served(&canonical);
    assert!(served.is_some(), "a server cannot read {canonical:?}");
    if let Some(served) = served {
        assert_eq!(rule_of(&canonical), rule_of(&served), "{path:?}: {canonical:?} is served as {served:?}");
        let as_it_came = as_served(path);
        assert_eq!(
            as_it_came.as_deref().map(rule_of),
            Some(rule_of(&canonical)),
            "{path:?} as {canonical:?}"
        );
    }
}
