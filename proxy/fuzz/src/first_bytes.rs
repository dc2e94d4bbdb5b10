//! What a connection begins with.

use bytes::BytesMut;
use hauberk_model::matching::host_of;
use hauberk_wire::client_hello::{Parsed, parse};
use hauberk_wire::detect::{Detection, detect};
use hauberk_wire::transport_header::{decode, encode};

use crate::choice;

/// Prefixes looked at; each costs a parse.
const PREFIXES_MAX: usize = 48;
const RECORD_HEADER_BYTES: usize = 5;

fn prefixes(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let step = bytes.len().div_ceil(PREFIXES_MAX).max(1);
    (0..=bytes.len()).step_by(step).filter_map(|end| bytes.get(..end)).chain([bytes])
}

/// The answer never changes when more bytes follow.
pub(crate) fn detection(bytes: &[u8]) {
    let mut last = Detection::NeedMore;
    for prefix in prefixes(bytes) {
        let now = detect(prefix);
        assert!(last == Detection::NeedMore || now == last, "{last:?}, then {now:?}");
        last = now;
    }
}

/// A name is one that can be compared, and the same however the message is cut into records.
pub(crate) fn hello(bytes: &[u8]) {
    let (by, bytes) = choice(bytes);
    let parsed = parse(bytes);
    let mut decided = false;
    for prefix in prefixes(bytes) {
        let now = parse(prefix);
        assert!(!decided || now == parsed, "{now:?}, then {parsed:?}");
        decided |= now != Parsed::NeedMore;
    }
    let Parsed::Hello(hello) = &parsed else { return };
    if let Some(name) = &hello.sni {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
        assert!(!name.is_empty() && name.bytes().all(plain), "{name}");
        assert!(name.parse::<std::net::IpAddr>().is_err() && !host_of(name).contains(':'), "{name}");
    }
    if let Some(cut) = records_of(bytes, usize::from(by).max(64)) {
        assert_eq!(parse(&cut), parsed, "cut otherwise");
    }
}

/// The same handshake bytes in records of `size`; `None` where the records do not end with the bytes.
fn records_of(bytes: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (header, after) = rest.split_at_checked(RECORD_HEADER_BYTES)?;
        let [22, 3, _, high, low] = *header else { return None };
        let (fragment, after) = after.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
        message.extend_from_slice(fragment);
        rest = after;
    }
    let record = |part: &[u8]| {
        let len = u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes();
        [&[22, 3, 1], &len[..], part].concat()
    };
    Some(message.chunks(size).flat_map(record).collect())
}

/// What is read is written so that it is read the same, and what lies behind it is not touched.
pub(crate) fn header(bytes: &[u8]) {
    let mut buf = BytesMut::from(bytes);
    let read = decode(&mut buf);
    let Ok(Some(header)) = read else {
        assert_eq!(&buf[..], bytes, "bytes were taken without a header");
        return;
    };
    let mut out = BytesMut::new();
    encode(&header, &mut out);
    out.extend_from_slice(&buf);
    assert_eq!(decode(&mut out), Ok(Some(header)));
    assert_eq!(out, buf);
}
