//! The one form of a path that policy judges and that is forwarded.
//!
//! Servers disagree on what `//`, `/./`, `%2e%2e` and `;x` mean. Where a rule looks at paths, a request whose
//! path could be read in two ways must not be judged by one reading and served by the other. So, where
//! [`judges_path`] says that a rule looks:
//!
//! - percent-encoded unreserved characters are decoded and hexadecimal digits become upper case
//!   (RFC 3986 §6.2.2.1–2), dot segments are resolved (§5.2.4) and empty segments are dropped;
//! - a path that keeps two readings even then is refused: an encoded slash, backslash or NUL, a raw
//!   backslash, path parameters (`;`), broken encoding, and dots that climb over the root.
//!
//! Where no rule looks, the path is nobody's business and passes as it came.

use std::borrow::Cow;

use crate::route::{HttpRoute, PathMatch};

/// Why a path cannot be judged. The answer is 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguous {
    /// `%2F`, `%5C` or `\`.
    #[error("path has an encoded slash or a backslash")]
    Separator,
    /// `;`.
    #[error("path has parameters")]
    Parameter,
    /// A `%` without two hexadecimal digits, `%00`, or a character that no path may hold.
    #[error("path is not well encoded")]
    Encoding,
    /// More `..` than segments.
    #[error("path climbs over the root")]
    Root,
}

/// Whether any rule tells paths apart. To be asked once per policy.
#[must_use]
pub fn judges_path<R>(routes: &[HttpRoute<R>]) -> bool {
    let matches = routes.iter().flat_map(|route| &route.rules).flat_map(|rule| &rule.matches);
    matches.into_iter().any(|one| {
        let by_condition = one.condition.as_ref().is_some_and(|condition| condition.judges_path());
        by_condition
            || match &one.path {
                None => false,
                Some(PathMatch::Prefix(prefix)) => !prefix.trim_end_matches('/').is_empty(),
                Some(PathMatch::Exact(_) | PathMatch::Regex(_)) => true,
            }
    })
}

/// The canonical form of a path without query; the usual path is returned as it is, without allocation.
///
/// # Errors
/// [`Ambiguous`]: the path has no form that every server reads alike.
pub fn canonical_path(path: &str) -> Result<Cow<'_, str>, Ambiguous> {
    if is_plain(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    if !path.starts_with('/') {
        // `*` of OPTIONS, or nothing at all, as with CONNECT.
        return if path.is_empty() || path == "*" {
            Ok(Cow::Borrowed(path))
        } else {
            Err(Ambiguous::Encoding)
        };
    }
    let mut kept: Vec<String> = Vec::new();
    let mut open_end = false;
    for raw in path.split('/').skip(1) {
        let segment = decoded(raw)?;
        open_end = false;
        match segment.as_str() {
            "" | "." => open_end = true,
            ".." => {
                kept.pop().ok_or(Ambiguous::Root)?;
                open_end = true;
            }
            _ => kept.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    if open_end || out.is_empty() {
        out.push('/');
    }
    Ok(Cow::Owned(out))
}

/// Whether nothing in the path could be read in two ways.
fn is_plain(path: &[u8]) -> bool {
    let mut before = 0;
    for byte in path {
        match byte {
            b'/' | b'.' if before == b'/' => return false,
            b'%' | b'\\' | b';' | b'#' | b'?' | 0..=b' ' | 0x7f..=0xff => return false,
            _ => before = *byte,
        }
    }
    path.first() == Some(&b'/')
}

fn decoded(segment: &str) -> Result<String, Ambiguous> {
    let mut out = String::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => return Err(Ambiguous::Separator),
            b';' => return Err(Ambiguous::Parameter),
            b'#' | b'?' | 0..=b' ' | 0x7f..=0xff => return Err(Ambiguous::Encoding),
            b'%' => match (bytes.next().and_then(hex), bytes.next().and_then(hex)) {
                (Some(high), Some(low)) => push_octet(&mut out, high * 16 + low)?,
                (None, _) | (_, None) => return Err(Ambiguous::Encoding),
            },
            other => out.push(char::from(other)),
        }
    }
    Ok(out)
}

fn push_octet(out: &mut String, octet: u8) -> Result<(), Ambiguous> {
    match octet {
        b'/' | b'\\' => Err(Ambiguous::Separator),
        0 => Err(Ambiguous::Encoding),
        b'-' | b'.' | b'_' | b'~' => {
            out.push(char::from(octet));
            Ok(())
        }
        _ if octet.is_ascii_alphanumeric() => {
            out.push(char::from(octet));
            Ok(())
        }
        _ => {
            out.push('%');
            for digit in [octet >> 4, octet & 15] {
                out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase());
            }
            Ok(())
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_usual_path_passes_untouched() {
        for path in ["/", "/a/b.c", "/a-b_c~d/", "/a:b@c!$&'()*+,=", "*", ""] {
            assert!(matches!(canonical_path(path), Ok(Cow::Borrowed(same)) if same == path), "{path}");
        }
    }

    #[test]
    fn what_servers_read_alike_gets_one_form() {
        for (path, form) in [
            ("/%61dmin", "/admin"),
            ("/a/%2e%2E/admin", "/admin"),
            ("/a/./b/../c", "/a/c"),
            ("//admin", "/admin"),
            ("/a//b/", "/a/b/"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/%e4%bd%a0", "/%E4%BD%A0"),
            ("/a%20b", "/a%20b"),
            ("/%252e", "/%252e"),
            ("/a%3Bb", "/a%3Bb"),
            ("/.hidden/..x", "/.hidden/..x"),
        ] {
            assert_eq!(canonical_path(path).as_deref(), Ok(form), "{path}");
        }
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        for (path, why) in [
            ("/public%2F..%2Fadmin", Ambiguous::Separator),
            ("/public\\..\\admin", Ambiguous::Separator),
            ("/public%5cadmin", Ambiguous::Separator),
            ("/admin;x=1", Ambiguous::Parameter),
            ("/public/..;/admin", Ambiguous::Parameter),
            ("/admin%00", Ambiguous::Encoding),
            ("/admin%2", Ambiguous::Encoding),
            ("/admin%zz", Ambiguous::Encoding),
            ("/adm in", Ambiguous::Encoding),
            ("/a#b", Ambiguous::Encoding),
            ("admin", Ambiguous::Encoding),
            ("/../admin", Ambiguous::Root),
            ("/a/../../admin", Ambiguous::Root),
        ] {
            assert_eq!(canonical_path(path), Err(why), "{path}");
        }
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_its_own_canonical_form(path in "/[a./%2eEfF5C;\\\\ ~]{0,24}") {
            if let Ok(form) = canonical_path(&path) {
                let again = canonical_path(&form);
                prop_assert_eq!(again.as_deref(), Ok(&*form));
                prop_assert!(!form.contains("//") && !form.contains("/../") && !form.contains("/./"));
                prop_assert!(!form.ends_with("/..") && !form.ends_with("/."));
            }
        }
    }
}
