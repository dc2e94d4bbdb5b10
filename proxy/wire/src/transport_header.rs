//! The header between meshed proxies: `transport.l5d.io/v1\r\n\r\n`, the length of a protobuf message as 32 bits big
//! endian, and the message `transport.l5d.io.Header { int32 port = 1; string name = 2; SessionProtocol session_protocol
//! = 3; }`, where `SessionProtocol { oneof kind { Http1 http1 = 1; Http2 http2 = 2; } }` and both kinds are empty.
//!
//! Three fields do not pay for a protobuf library on the path of every connection; unknown fields are skipped.

use std::num::NonZeroU16;

use bytes::{Buf, BufMut, BytesMut};
use thiserror::Error;

/// The ALPN name of connections that begin with this header.
pub const ALPN: &[u8] = b"transport.l5d.io/v1";

const PREFACE: &[u8] = b"transport.l5d.io/v1\r\n\r\n";

/// Most bytes of the message: a name of 253 bytes, two numbers, and room for fields to come.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// Where a connection to a proxy's inbound port is meant to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportHeader {
    /// Port of the workload, or of the service named.
    pub port: NonZeroU16,
    /// Set only toward a gateway: the name of the target service.
    pub name: Option<Box<str>>,
    /// What will be spoken; `None`: opaque.
    pub protocol: Option<SessionProtocol>,
}

/// A protocol that needs no detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionProtocol {
    /// HTTP/1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Why a connection does not begin with a usable header.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TransportHeaderError {
    /// The first bytes are not the preface.
    #[error("connection does not begin with a transport header")]
    Absent,
    /// The message is longer than [`MESSAGE_BYTES_MAX`].
    #[error("transport header is too long")]
    TooLong,
    /// The message is not protobuf.
    #[error("transport header is malformed")]
    Malformed,
    /// The port is missing or not a port.
    #[error("transport header has no valid port")]
    Port,
    /// The name is not a DNS name.
    #[error("transport header has an invalid name")]
    Name,
}

/// Reads the header off the front of `buf`; `None`: more bytes are needed, nothing was taken.
pub fn decode(buf: &mut BytesMut) -> Result<Option<TransportHeader>, TransportHeaderError> {
    let common = buf.len().min(PREFACE.len());
    if buf.get(..common) != PREFACE.get(..common) {
        return Err(TransportHeaderError::Absent);
    }
    let Some((length, rest)) = buf.get(PREFACE.len()..).and_then(|rest| rest.split_first_chunk::<4>()) else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length) as usize;
    if length > MESSAGE_BYTES_MAX {
        return Err(TransportHeaderError::TooLong);
    }
    let Some(message) = rest.get(..length) else { return Ok(None) };
    let header = read(message)?;
    buf.advance(PREFACE.len() + 4 + length);
    Ok(Some(header))
}

/// Writes the header.
pub fn encode(header: &TransportHeader, out: &mut BytesMut) {
    let name = header.name.as_deref().unwrap_or_default();
    let mut message = BytesMut::with_capacity(name.len() + 16);
    message.put_u8(PORT << 3 | VARINT);
    put_varint(u64::from(header.port.get()), &mut message);
    if !name.is_empty() {
        message.put_u8(NAME << 3 | BYTES);
        put_varint(name.len() as u64, &mut message);
        message.put_slice(name.as_bytes());
    }
    if let Some(protocol) = header.protocol {
        let kind = match protocol {
            SessionProtocol::Http1 => 1,
            SessionProtocol::Http2 => 2,
        };
        message.put_slice(&[PROTOCOL << 3 | BYTES, 2, kind << 3 | BYTES, 0]);
    }
    out.reserve(PREFACE.len() + 4 + message.len());
    out.put_slice(PREFACE);
    out.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    out.put_slice(&message);
}

const PORT: u8 = 1;
const NAME: u8 = 2;
const PROTOCOL: u8 = 3;
const VARINT: u8 = 0;
const BYTES: u8 = 2;

fn read(message: &[u8]) -> Result<TransportHeader, TransportHeaderError> {
    let (mut port, mut name, mut protocol) = (0, "", None);
    let mut rest = message;
    while !rest.is_empty() {
        match field(&mut rest)? {
            (1, Value::Number(number)) => port = number,
            (2, Value::Bytes(bytes)) => {
                name = std::str::from_utf8(bytes).map_err(|_| TransportHeaderError::Name)?;
            }
            (3, Value::Bytes(bytes)) => protocol = session_protocol(bytes)?.or(protocol),
            (1..=3, _) => return Err(TransportHeaderError::Malformed),
            _ => {}
        }
    }
    let port = u16::try_from(port).ok().and_then(NonZeroU16::new).ok_or(TransportHeaderError::Port)?;
    if !name.is_empty() && !is_dns_name(name) {
        return Err(TransportHeaderError::Name);
    }
    Ok(TransportHeader { port, name: (!name.is_empty()).then(|| name.into()), protocol })
}

fn session_protocol(mut message: &[u8]) -> Result<Option<SessionProtocol>, TransportHeaderError> {
    let mut protocol = None;
    while !message.is_empty() {
        match field(&mut message)? {
            // The kinds are empty messages; fields that they may gain are not ours to read.
            (1, Value::Bytes(_)) => protocol = Some(SessionProtocol::Http1),
            (2, Value::Bytes(_)) => protocol = Some(SessionProtocol::Http2),
            (1 | 2, _) => return Err(TransportHeaderError::Malformed),
            _ => {}
        }
    }
    Ok(protocol)
}

/// Letters, digits, `-` and `_` in labels of 1 to 63 bytes, with or without a dot at the end.
fn is_dns_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(label)
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Skipped,
}

/// Takes one field off the front (protobuf encoding: wire types 0, 1, 2 and 5).
fn field<'a>(rest: &mut &'a [u8]) -> Result<(u64, Value<'a>), TransportHeaderError> {
    let tag = varint(rest)?;
    let value = match tag & 7 {
        0 => Value::Number(varint(rest)?),
        1 => split(rest, 8).map(|_| Value::Skipped)?,
        2 => {
            let len = varint(rest)?;
            Value::Bytes(split(rest, len)?)
        }
        5 => split(rest, 4).map(|_| Value::Skipped)?,
        _ => return Err(TransportHeaderError::Malformed),
    };
    match tag >> 3 {
        0 => Err(TransportHeaderError::Malformed),
        number => Ok((number, value)),
    }
}

fn split<'a>(rest: &mut &'a [u8], len: u64) -> Result<&'a [u8], TransportHeaderError> {
    let len = usize::try_from(len).map_err(|_| TransportHeaderError::Malformed)?;
    let (taken, tail) = rest.split_at_checked(len).ok_or(TransportHeaderError::Malformed)?;
    *rest = tail;
    Ok(taken)
}

fn varint(rest: &mut &[u8]) -> Result<u64, TransportHeaderError> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first().ok_or(TransportHeaderError::Malformed)?;
        *rest = tail;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(TransportHeaderError::Malformed)
}

fn put_varint(mut number: u64, out: &mut BytesMut) {
    while number >= 0x80 {
        out.put_u8((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8((number & 0x7f) as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(message: &[u8]) -> BytesMut {
        let mut buf = BytesMut::from(PREFACE);
        buf.put_u32(message.len() as u32);
        buf.put_slice(message);
        buf
    }

    #[test]
    fn the_bytes_are_those_of_the_protobuf_schema() {
        let header = TransportHeader {
            port: NonZeroU16::new(8080).unwrap(),
            name: Some("a.b".into()),
            protocol: Some(SessionProtocol::Http2),
        };
        let mut out = BytesMut::new();
        encode(&header, &mut out);
        let message = [0x08, 0x90, 0x3f, 0x12, 3, b'a', b'.', b'b', 0x1a, 2, 0x12, 0];
        assert_eq!(out, framed(&message));
    }

    #[test]
    fn unknown_fields_are_skipped_and_known_ones_of_a_wrong_type_refused() {
        let message = [0x08, 80, 0x20, 1, 0x2a, 1, 9, 0x35, 1, 2, 3, 4, 0x39, 1, 2, 3, 4, 5, 6, 7, 8];
        let header = decode(&mut framed(&message)).unwrap().unwrap();
        assert_eq!((header.port.get(), header.name, header.protocol), (80, None, None));
        for (message, why) in [
            (&[0x0a, 0][..], TransportHeaderError::Malformed),
            (&[0x10, 1], TransportHeaderError::Malformed),
            (&[0x08], TransportHeaderError::Malformed),
            (&[0x0b], TransportHeaderError::Malformed),
            (&[0x12, 9, b'a'], TransportHeaderError::Malformed),
            (&[], TransportHeaderError::Port),
            (&[0x08, 0], TransportHeaderError::Port),
            (&[0x08, 0x80, 0x80, 4], TransportHeaderError::Port),
            (&[0x08, 80, 0x12, 2, b'a', b'/'], TransportHeaderError::Name),
            (&[0x08, 80, 0x12, 1, 0xff], TransportHeaderError::Name),
        ] {
            assert_eq!(decode(&mut framed(message)), Err(why), "{message:?}");
        }
    }

    #[test]
    fn a_connection_without_the_preface_is_told_at_its_first_wrong_byte() {
        assert_eq!(decode(&mut BytesMut::from("GET")), Err(TransportHeaderError::Absent));
        assert_eq!(decode(&mut BytesMut::from("transport.l5d.io/v1\r\n\r\n")), Ok(None));
        let mut long = BytesMut::from(PREFACE);
        long.put_u32(5000);
        assert_eq!(decode(&mut long), Err(TransportHeaderError::TooLong));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn what_is_written_is_read_back_whatever_the_split(
            port in 1_u16..,
            name in proptest::option::of("[a-z]([a-z0-9-]{0,20}[a-z0-9])?(\\.[a-z]{1,5}){0,3}"),
            protocol in prop_oneof![Just(None), Just(Some(SessionProtocol::Http1)), Just(Some(SessionProtocol::Http2))],
            cut in any::<proptest::sample::Index>(),
        ) {
            let header = TransportHeader { port: NonZeroU16::new(port).unwrap(), name: name.map(Into::into), protocol };
            let mut out = BytesMut::new();
            encode(&header, &mut out);
            out.put_slice(b"rest");
            let cut = cut.index(out.len() - 4);
            let mut part = BytesMut::from(&out[..cut]);
            prop_assert_eq!(decode(&mut part), Ok(None));
            prop_assert_eq!(part.len(), cut);
            prop_assert_eq!(decode(&mut out), Ok(Some(header)));
            prop_assert_eq!(&out[..], b"rest");
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&mut framed(&bytes));
        }
    }
}
