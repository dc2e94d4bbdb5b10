//! Where a request goes on to, where a filter names another target (Gateway API, `HTTPURLRewriteFilter`).

use super::{Answer, Target};
use crate::canonical::{Ambiguous, canonical_path};
use crate::route::{Filter, PathRewrite};

/// Why a target cannot be rewritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unrewritten {
    /// The request's own path has more than one reading.
    Ambiguous(Ambiguous),
    /// The filter's part makes no target.
    Misconfigured(Answer),
}

/// Path and query after all filters that rewrite the path; `None`: none does. The result is in the canonical form, so
/// what the next hop reads is what was written.
///
/// # Errors
/// [`Unrewritten`]: the request must be refused, because neither form would be the one that was asked for.
pub fn path_and_query(filters: &[Filter], target: Target<'_>) -> Result<Option<String>, Unrewritten> {
    let mut rewritten: Option<String> = None;
    for filter in filters {
        let Filter::Rewrite { path: Some(path), .. } = filter else { continue };
        let before = rewritten.as_deref().unwrap_or(target.path);
        rewritten = Some(rewrite(path, before, target.prefix_len.filter(|_| rewritten.is_none()))?);
    }
    Ok(rewritten.map(|path| match target.query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    }))
}

fn rewrite(path: &PathRewrite, before: &str, prefix_len: Option<usize>) -> Result<String, Unrewritten> {
    let misconfigured =
        |text: &str| Unrewritten::Misconfigured(Answer::Misconfigured(std::sync::Arc::from(text)));
    match path {
        PathRewrite::Full(full) => {
            let full = if full.is_empty() { "/" } else { full };
            let read = canonical_path(full).ok().filter(|path| path.starts_with('/'));
            let read = read.ok_or_else(|| misconfigured("rewriting to a path that has no single reading"))?;
            Ok(read.into_owned())
        }
        PathRewrite::Prefix(with) => {
            let len =
                prefix_len.ok_or_else(|| misconfigured("prefix replaced where no prefix was matched"))?;
            // Where no rule looks at paths the request was not judged by its canonical form; here it is.
            let before = canonical_path(before).map_err(Unrewritten::Ambiguous)?;
            if !before.starts_with('/') {
                return Err(Unrewritten::Ambiguous(Ambiguous::Encoding));
            }
            let replaced = replace_prefix(&before, len, with);
            let read = canonical_path(&replaced).ok().filter(|path| path.starts_with('/'));
            let read = read.ok_or_else(|| misconfigured("rewriting to a path that has no single reading"))?;
            Ok(read.into_owned())
        }
    }
}

/// `path` with `with` in place of its first `len` bytes; segments stay whole.
pub(super) fn replace_prefix(path: &str, len: usize, with: &str) -> String {
    let rest = path.get(len..).unwrap_or_default();
    let kept = rest.trim_start_matches('/');
    let with = with.trim_end_matches('/');
    let mut replaced = String::with_capacity(with.len() + rest.len() + 1);
    replaced.push_str(with);
    if !kept.is_empty() || rest.starts_with('/') || with.is_empty() {
        replaced.push('/');
    }
    replaced.push_str(kept);
    replaced
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    fn filter(path: PathRewrite) -> Filter {
        Filter::Rewrite { host: None, path: Some(path) }
    }

    fn target(path: &str, prefix_len: Option<usize>) -> Target<'_> {
        Target { scheme: "http", authority: "h", path, query: Some("a=b"), prefix_len }
    }

    #[test]
    fn a_prefix_is_replaced_as_the_gateway_api_tabulates_it() {
        for (path, len, with, expected) in [
            ("/foo/bar", 4, "/xyz", "/xyz/bar?a=b"),
            ("/foo/bar", 4, "/xyz/", "/xyz/bar?a=b"),
            ("/foo", 4, "/xyz", "/xyz?a=b"),
            ("/foo/", 4, "/xyz", "/xyz/?a=b"),
            ("/foo/bar", 4, "", "/bar?a=b"),
            ("/foo/", 4, "", "/?a=b"),
            ("/foo", 4, "", "/?a=b"),
            ("/foo", 4, "/", "/?a=b"),
            ("/foo", 1, "/xyz", "/xyz/foo?a=b"),
        ] {
            let filters = [filter(PathRewrite::Prefix(Arc::from(with)))];
            let rewritten = path_and_query(&filters, target(path, Some(len)));
            assert_eq!(rewritten, Ok(Some(expected.to_owned())), "{path} {with}");
        }
    }

    #[test]
    fn what_cannot_be_rewritten_is_refused_and_never_passed_as_it_was() {
        let prefix = |with: &str| [filter(PathRewrite::Prefix(Arc::from(with)))];
        assert!(matches!(
            path_and_query(&prefix("/q"), target("/foo", None)),
            Err(Unrewritten::Misconfigured(_))
        ));
        assert_eq!(
            path_and_query(&prefix("/q"), target("/a%2Fb", Some(1))),
            Err(Unrewritten::Ambiguous(Ambiguous::Separator))
        );
        for full in ["relative", "/a\r\nb", "/a;b", "/a%2Fb", "/../a"] {
            let filters = [filter(PathRewrite::Full(Arc::from(full)))];
            let rewritten = path_and_query(&filters, target("/foo", None));
            assert!(matches!(rewritten, Err(Unrewritten::Misconfigured(_))), "{full}");
        }
    }

    proptest! {
        #[test]
        fn what_is_rewritten_has_one_reading(
            path in "/[a./%2eEfF5C;\\\\ ~]{0,24}",
            with in "/[a./%2eEfF5C;~]{0,12}",
            len in 0usize..8,
        ) {
            let filters = [filter(PathRewrite::Prefix(Arc::from(with)))];
            let given = Target { query: None, ..target(&path, Some(len)) };
            if let Ok(Some(rewritten)) = path_and_query(&filters, given) {
                let again = canonical_path(&rewritten);
                prop_assert_eq!(again.as_deref(), Ok(&*rewritten));
            }
        }
    }
}
