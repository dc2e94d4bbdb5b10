//! The four forms of a request target (RFC 9112 §3.2).

use super::H1Error;
use super::diagnose::target_bytes;
use super::grammar::{ByteSet, is_host, is_port};
use super::headers::Span;

/// A request target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// `/path?query`.
    Origin {
        /// Begins with `/`.
        path_and_query: &'a str,
    },
    /// `http://authority/path?query`, as sent to a proxy.
    Absolute {
        /// `http` or `https`, in the case in which it was sent.
        scheme: &'a str,
        /// `host [":" port]`, never empty.
        authority: &'a str,
        /// Begins with `/`, or is empty.
        path_and_query: &'a str,
    },
    /// `host:port` of CONNECT.
    Authority {
        /// With its port.
        authority: &'a str,
    },
    /// `*` of OPTIONS.
    Asterisk,
}

/// The same as spans of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetSpans {
    Origin { path_and_query: Span },
    Absolute { scheme: Span, authority: Span, path_and_query: Span },
    Authority { authority: Span },
    Asterisk,
}

/// Reads the target `target`, which begins at `at` in the head.
pub(crate) fn read(method: &[u8], target: &[u8], at: usize) -> Result<TargetSpans, H1Error> {
    match target {
        _ if method == b"CONNECT" => authority_form(target, at),
        b"*" if method == b"OPTIONS" => Ok(TargetSpans::Asterisk),
        [b'/', ..] => {
            check_path_and_query(target)?;
            Ok(TargetSpans::Origin { path_and_query: Span::new(at, target.len())? })
        }
        _ => absolute_form(target, at),
    }
}

/// What the URL standard leaves unescaped in both parts, less what servers disagree about.
const BOTH: ByteSet = ByteSet::alphanumeric().with(b"!$%&'()*+,-./:;=@[\\]^_{|}~");
const PATH: ByteSet = BOTH.with(b"\"");
const QUERY: ByteSet = BOTH.with(b"?`");

/// Whether `target` may stand behind an authority: path from its `/`, query, no fragment, only bytes that an
/// `http::Uri` holds too, so that what is accepted here can be said in HTTP/2 as well.
pub(crate) fn check_path_and_query(target: &[u8]) -> Result<(), H1Error> {
    let question = target.iter().position(|&byte| byte == b'?').unwrap_or(target.len());
    let (path, query) = target.split_at(question);
    if path.first() == Some(&b'/') && PATH.has_all(path) && QUERY.has_all(query) {
        return Ok(());
    }
    Err(target_bytes(target).unwrap_or(H1Error::Target))
}

fn authority_form(target: &[u8], at: usize) -> Result<TargetSpans, H1Error> {
    let colon = target.iter().rposition(|&byte| byte == b':').ok_or(H1Error::Target)?;
    let (host, port) = target.split_at(colon);
    if host.is_empty() || !is_host(target) || !is_port(port.get(1..).unwrap_or_default()) {
        return Err(target_bytes(target).unwrap_or(H1Error::Target));
    }
    Ok(TargetSpans::Authority { authority: Span::new(at, target.len())? })
}

fn absolute_form(target: &[u8], at: usize) -> Result<TargetSpans, H1Error> {
    let refuse = || target_bytes(target).unwrap_or(H1Error::Target);
    let scheme_len = target.iter().position(|&byte| byte == b':').ok_or_else(refuse)?;
    let (scheme, rest) = target.split_at(scheme_len);
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return Err(refuse());
    }
    let rest = rest.strip_prefix(b"://").ok_or_else(refuse)?;
    let authority_len = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path_and_query) = rest.split_at(authority_len);
    if authority.is_empty() || !is_host(authority) {
        return Err(target_bytes(target).unwrap_or(H1Error::Host));
    }
    if !path_and_query.is_empty() {
        check_path_and_query(path_and_query)?;
    }
    let authority_at = at + scheme_len + 3;
    Ok(TargetSpans::Absolute {
        scheme: Span::new(at, scheme_len)?,
        authority: Span::new(authority_at, authority_len)?,
        path_and_query: Span::new(authority_at + authority_len, path_and_query.len())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(method: &str, target: &str) -> Option<H1Error> {
        read(method.as_bytes(), target.as_bytes(), 0).err()
    }

    #[test]
    fn a_target_is_in_the_form_that_its_method_allows() {
        for (method, target) in [
            ("GET", "/"),
            ("GET", "/a%2Fb;c?d=e?f"),
            ("GET", "http://a.test"),
            ("GET", "HTTP://a.test:80/x?y"),
            ("OPTIONS", "*"),
            ("OPTIONS", "http://a.test"),
            ("CONNECT", "a.test:443"),
            ("CONNECT", "[::1]:443"),
        ] {
            assert_eq!(error(method, target), None, "{method} {target}");
        }
        for (method, target, why) in [
            ("GET", "*", H1Error::Target),
            ("GET", "a", H1Error::Target),
            ("GET", "a.test:80", H1Error::Target),
            ("GET", "ftp://a.test/", H1Error::Target),
            ("GET", "http:/a", H1Error::Target),
            ("GET", "http:///a", H1Error::Host),
            ("GET", "http://u@a/", H1Error::Host),
            ("GET", "http://a?x", H1Error::Target),
            ("GET", "/#a", H1Error::TargetFragment),
            ("GET", "/\u{e9}", H1Error::TargetBytes),
            ("GET", "/<a>", H1Error::Target),
            ("CONNECT", "/", H1Error::Target),
            ("CONNECT", "a.test", H1Error::Target),
            ("CONNECT", "a.test:", H1Error::Target),
            ("CONNECT", ":80", H1Error::Target),
        ] {
            assert_eq!(error(method, target), Some(why), "{method} {target}");
        }
    }

    #[test]
    fn every_byte_accepted_in_a_target_is_accepted_by_the_uri_type_unchanged() {
        for byte in 0..=255_u8 {
            for target in [vec![b'/', byte], vec![b'/', b'?', byte]] {
                if check_path_and_query(&target).is_ok() {
                    let uri = http::uri::PathAndQuery::try_from(target.as_slice()).unwrap();
                    assert_eq!(uri.as_str().as_bytes(), target);
                }
            }
        }
    }
}
