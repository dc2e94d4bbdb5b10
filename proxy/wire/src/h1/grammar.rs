//! The few productions of RFC 9110 and RFC 3986 that more than one module reads.

use std::net::Ipv6Addr;

use super::H1Error;
use super::limits::HOST_BYTES_MAX;

/// A set of bytes, as a table: one load per byte on the path of every request.
pub(crate) struct ByteSet([bool; 256]);

impl ByteSet {
    /// These bytes.
    pub(crate) const fn of(members: &[u8]) -> Self {
        Self([false; 256]).with(members)
    }

    /// Letters and digits.
    pub(crate) const fn alphanumeric() -> Self {
        Self::of(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    }

    /// And these.
    pub(crate) const fn with(mut self, mut members: &[u8]) -> Self {
        while let [first, rest @ ..] = members {
            if let Some((slot, _)) = self.0.split_at_mut(*first as usize).1.split_first_mut() {
                *slot = true;
            }
            members = rest;
        }
        self
    }

    pub(crate) fn has(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)).copied().unwrap_or(false)
    }

    pub(crate) fn has_all(&self, bytes: &[u8]) -> bool {
        bytes.iter().all(|&byte| self.has(byte))
    }
}

const TOKEN: ByteSet = ByteSet::alphanumeric().with(b"!#$%&'*+-.^_`|~");

/// `tchar` of RFC 9110 §5.6.2.
pub(crate) fn is_tchar(byte: u8) -> bool {
    TOKEN.has(byte)
}

/// A non-empty token.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && TOKEN.has_all(bytes)
}

/// A byte of a field value: visible, space, tab or obs-text.
pub(crate) const fn is_value_byte(byte: u8) -> bool {
    (byte >= 0x20 && byte != 0x7f) || byte == b'\t'
}

/// A field value as it may be written: no control characters, no whitespace at its ends.
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    let ends = |byte: Option<&u8>| !matches!(byte, Some(b' ' | b'\t'));
    ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(|&byte| is_value_byte(byte))
}

/// Without optional whitespace at both ends.
pub(crate) fn trim_ows(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The members of a comma-separated list, trimmed, without the empty ones.
pub(crate) fn list(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&byte| byte == b',').map(trim_ows).filter(|member| !member.is_empty())
}

/// `protocol-name ["/" protocol-version]` of RFC 9110 §7.8.
pub(crate) fn is_protocol(name: &[u8]) -> bool {
    let mut parts = name.splitn(2, |&byte| byte == b'/');
    parts.all(is_token)
}

/// Largest body length: lengths are added and subtracted in 64 bits.
const LENGTH_MAX: u64 = i64::MAX as u64;

/// Reads a Content-Length: digits only, no sign, no list.
pub(crate) fn content_length(value: &[u8]) -> Result<u64, H1Error> {
    if value.contains(&b',') {
        return Err(H1Error::LengthRepeated);
    }
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(H1Error::Length);
    }
    let number = value
        .iter()
        .try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit.wrapping_sub(b'0'))));
    number.filter(|&length| length <= LENGTH_MAX).ok_or(H1Error::LengthOverflow)
}

/// Reads a transfer coding: exactly `chunked`, in any case, is the only one there is.
pub(crate) fn transfer_encoding(value: &[u8]) -> Result<(), H1Error> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut codings = list(value);
    match (codings.next(), codings.next()) {
        (None, _) => Err(H1Error::TransferEncoding),
        (Some(first), Some(_)) if first.eq_ignore_ascii_case(b"chunked") => Err(H1Error::TransferEncoding),
        (Some(first), None) if first.eq_ignore_ascii_case(b"chunked") => Err(H1Error::TransferEncoding),
        (Some(_), _) => Err(H1Error::TransferCoding),
    }
}

const NAME: ByteSet = ByteSet::alphanumeric().with(b"-._~");

/// Whether this is `uri-host [":" port]` with a name of letters, digits, `-`, `.`, `_` and `~`, or an address in brackets.
///
/// What is accepted here can be said in an `:authority` as well.
///
/// Narrower than RFC 3986: percent escapes, sub-delimiters and user information have no use in a host of a mesh and
/// are read differently by different servers. Empty is valid (RFC 9112 §3.2).
pub(crate) fn is_host(host: &[u8]) -> bool {
    if host.len() > HOST_BYTES_MAX {
        return false;
    }
    let (name_ok, rest) = match host {
        [b'[', inner @ ..] => {
            let Some(end) = inner.iter().position(|&byte| byte == b']') else { return false };
            let (address, rest) = inner.split_at(end);
            (is_ipv6(address), rest.get(1..).unwrap_or_default())
        }
        _ => {
            let end = host.iter().position(|&byte| !NAME.has(byte)).unwrap_or(host.len());
            let (name, rest) = host.split_at(end);
            (!name.is_empty() || rest.is_empty(), rest)
        }
    };
    name_ok
        && (rest.is_empty() || rest.strip_prefix(b":").is_some_and(|port| port.is_empty() || is_port(port)))
}

fn is_ipv6(address: &[u8]) -> bool {
    std::str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// Decimal, at most 65535.
pub(crate) fn is_port(port: &[u8]) -> bool {
    (1..=5).contains(&port.len())
        && port.iter().all(u8::is_ascii_digit)
        && port.iter().fold(0_u32, |sum, digit| sum * 10 + u32::from(digit.wrapping_sub(b'0'))) <= 65_535
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_length_is_digits_only() {
        assert_eq!(content_length(b"0"), Ok(0));
        assert_eq!(content_length(b"9223372036854775807"), Ok(i64::MAX as u64));
        for (value, error) in [
            (&b"+5"[..], H1Error::Length),
            (b"-1", H1Error::Length),
            (b"", H1Error::Length),
            (b"5 5", H1Error::Length),
            (b"0x5", H1Error::Length),
            (b"5,5", H1Error::LengthRepeated),
            (b"5, 5", H1Error::LengthRepeated),
            (b"9223372036854775808", H1Error::LengthOverflow),
            (b"99999999999999999999999", H1Error::LengthOverflow),
        ] {
            assert_eq!(content_length(value), Err(error), "{value:?}");
        }
    }

    #[test]
    fn only_chunked_is_a_transfer_coding() {
        assert_eq!(transfer_encoding(b"Chunked"), Ok(()));
        assert_eq!(transfer_encoding(b"chunked, chunked"), Err(H1Error::TransferEncoding));
        assert_eq!(transfer_encoding(b"chunked,"), Err(H1Error::TransferEncoding));
        assert_eq!(transfer_encoding(b""), Err(H1Error::TransferEncoding));
        assert_eq!(transfer_encoding(b"gzip, chunked"), Err(H1Error::TransferCoding));
        assert_eq!(transfer_encoding(b"xchunked"), Err(H1Error::TransferCoding));
        assert_eq!(transfer_encoding(b"\x0bchunked"), Err(H1Error::TransferCoding));
        assert_eq!(transfer_encoding(b"identity"), Err(H1Error::TransferCoding));
    }

    #[test]
    fn a_host_is_a_name_or_address_with_an_optional_port() {
        for host in [
            "",
            "a",
            "a.b:80",
            "a_b.c",
            "10.0.0.1:65535",
            "[::1]",
            "[::1]:80",
            "a:",
            "[fe80::1.2.3.4]:1",
            "[1:2:3:4:5:6:7::]:80",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            ":80",
            "a:b",
            "a:65536",
            "a:123456",
            "a,b",
            "a b",
            "u@a",
            "[::1",
            "[]",
            "[::1]x",
            "a/b",
            "a%41",
            "é",
            "a:80:80",
            "[:]",
            "[1]",
            "[1:2]",
            "[:::::::::]",
            "[1.2.3.4]",
            "[fe80::1%25eth0]",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
        assert!(is_host("a".repeat(HOST_BYTES_MAX).as_bytes()));
        assert!(!is_host("a".repeat(HOST_BYTES_MAX + 1).as_bytes()));
    }
}
