//! What a connection speaks, from its first bytes.
//!
//! The answer for a sequence of bytes never changes when more bytes follow, and it does not depend on how they were cut
//! into reads. What decides:
//!
//! - **TLS**: a handshake record whose message is a ClientHello, whole and within 16 KiB.
//! - **HTTP/2**: all 24 bytes of the connection preface.
//! - **HTTP/1**: after at most two empty lines, a method token of at most 32 bytes, one space, and then on the same line
//!   either ` HTTP/1.`, or 8 KiB of target behind a registered method. A line that is longer than 8 KiB without either,
//!   that ends without it, or that holds a control character, is not HTTP/1.
//! - Anything else is [`Detection::Other`] at the first byte that rules out all three.
//!
//! A connection that only claims to be HTTP/1 is held to it: the parser refuses what follows, and nothing falls back to
//! opaque forwarding.

use crate::client_hello::{self, ClientHello, Parsed};
use crate::h1::grammar::is_tchar;
use crate::h1::scan::leading_empty_lines;

/// What the first bytes of a connection say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detection {
    /// Not decided: wait for more, within the caller's timeout.
    NeedMore,
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// TLS, with what its ClientHello asks for.
    Tls(ClientHello),
    /// None of these.
    Other,
}

/// Most bytes that [`detect`] needs to see before it decides.
pub const DETECT_BYTES_MAX: usize = 2 * client_hello::HELLO_BYTES_MAX + 5 + (1 << 14);

/// The HTTP/2 connection preface (RFC 9113 §3.4).
pub const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const METHOD_BYTES_MAX: usize = 32;
const LINE_BYTES_MAX: usize = 8 * 1024;

/// Decides what `bytes`, the beginning of a connection, are.
pub fn detect(bytes: &[u8]) -> Detection {
    if bytes.first() == Some(&22) {
        return match client_hello::parse(bytes) {
            Parsed::NeedMore => Detection::NeedMore,
            Parsed::Hello(hello) => Detection::Tls(hello),
            Parsed::Other => Detection::Other,
        };
    }
    if bytes.starts_with(HTTP2_PREFACE) {
        return Detection::Http2;
    }
    if HTTP2_PREFACE.starts_with(bytes) {
        return Detection::NeedMore;
    }
    http1(bytes)
}

fn http1(bytes: &[u8]) -> Detection {
    let line = match leading_empty_lines(bytes) {
        Ok(Some(skip)) => bytes.get(skip..).unwrap_or_default(),
        Ok(None) => return Detection::NeedMore,
        Err(_) => return Detection::Other,
    };
    let method_len = line.iter().take(METHOD_BYTES_MAX + 1).take_while(|&&byte| is_tchar(byte)).count();
    let (method, rest) = line.split_at_checked(method_len).unwrap_or((line, &[]));
    match rest {
        _ if method.len() > METHOD_BYTES_MAX => Detection::Other,
        [] => Detection::NeedMore,
        [b' ', target @ ..] if !method.is_empty() => request_target(method, target),
        [..] => Detection::Other,
    }
}

/// Looks at the rest of the first line, without its end.
fn request_target(method: &[u8], target: &[u8]) -> Detection {
    let bound = target.get(..LINE_BYTES_MAX).unwrap_or(target);
    let visible = bound.iter().take_while(|&&byte| byte >= 0x20 && byte != 0x7f).count();
    let text = bound.get(..visible).unwrap_or_default();
    // The target itself may be empty or malformed; that is for the parser to refuse.
    if contains_version(text) {
        return Detection::Http1;
    }
    match visible {
        LINE_BYTES_MAX if is_registered(method) => Detection::Http1,
        LINE_BYTES_MAX => Detection::Other,
        seen if seen == target.len() => Detection::NeedMore,
        _ => Detection::Other,
    }
}

fn contains_version(text: &[u8]) -> bool {
    text.windows(b" HTTP/1.".len()).any(|window| window == b" HTTP/1.")
}

fn is_registered(method: &[u8]) -> bool {
    [&b"GET"[..], b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"]
        .contains(&method)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_hello::tests::{handshake, records};

    /// The answer and the number of bytes at which it is first given; every longer prefix gives the same.
    fn decided(bytes: &[u8]) -> (Detection, usize) {
        let first = (0..=bytes.len()).find(|&cut| detect(&bytes[..cut]) != Detection::NeedMore);
        let Some(first) = first else { return (Detection::NeedMore, bytes.len()) };
        let answer = detect(&bytes[..first]);
        for cut in first..=bytes.len() {
            assert_eq!(detect(&bytes[..cut]), answer, "{cut} {}", bytes.escape_ascii());
        }
        (answer, first)
    }

    #[test]
    fn http_2_is_claimed_at_the_last_byte_of_its_preface() {
        assert_eq!(decided(&[HTTP2_PREFACE, &b"\0\0\0\x04"[..]].concat()), (Detection::Http2, 24));
    }

    #[test]
    fn http_1_is_claimed_at_the_version_of_its_request_line() {
        for (text, at) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 13),
            ("\r\n\r\nGET / HTTP/1.1\r\n", 17),
            ("PRI / HTTP/1.1\r\n", 13),
            ("PRI * HTTP/1.1\r\n", 13),
            ("BREW /pot HTTP/1.0\r\n", 17),
            ("GET  /a b HTTP/1.1\n", 17),
            ("P / HTTP/1.1\r\n", 11),
        ] {
            assert_eq!(decided(text.as_bytes()), (Detection::Http1, at), "{text}");
        }
        let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(60_000));
        assert_eq!(detect(long.as_bytes()), Detection::Http1);
    }

    #[test]
    fn other_protocols_are_ruled_out_early() {
        for text in [
            &b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"[..],
            b"PRI * HTTP/3.0\r\n\r\n",
            b"SSH-2.0-x\r\n",
            b"GET /\r\n",
            b"GET / HTTP/2.0\r\n",
            b"*1\r\n$4\r\nPING\r\n",
            b"\0\0\0\x08\x04\xd2\x16\x2f",
            b"\x16\x03\x01\x00\x00",
            b"\r\n\r\n\r\nGET / HTTP/1.1\r\n",
            b"\nGET / HTTP/1.1\r\n",
            b"EHLO a.test\r\n",
            b"A\0",
            b"A \0",
        ] {
            assert_eq!(decided(text).0, Detection::Other, "{}", text.escape_ascii());
        }
        assert_eq!(decided("x".repeat(40).as_bytes()), (Detection::Other, 33));
        assert_eq!(decided(format!("A {}", "x".repeat(9000)).as_bytes()), (Detection::Other, 2 + 8192));
    }

    #[test]
    fn tls_is_claimed_with_the_whole_hello() {
        let bytes = records(&handshake(Some("a.test"), &[], 0), 50);
        let (answer, at) = decided(&[&bytes[..], b"more"].concat());
        let hello = ClientHello { sni: Some("a.test".into()), ..ClientHello::default() };
        assert_eq!((answer, at), (Detection::Tls(hello), bytes.len()));
    }

    #[test]
    fn nothing_is_decided_on_nothing() {
        for text in [
            "",
            "\r",
            "\r\n",
            "\r\n\r",
            "P",
            "PRI",
            "GET",
            "GET ",
            "GET /x",
            "\x16",
            "PRI * HTTP/2.0\r\n\r\nS",
        ] {
            assert_eq!(detect(text.as_bytes()), Detection::NeedMore, "{text:?}");
        }
    }
}
