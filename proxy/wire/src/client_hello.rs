//! The parts of a TLS ClientHello that decide where a connection goes: server name and protocols (RFC 8446 §4.1.2,
//! RFC 6066 §3, RFC 7301). Nothing is verified; the handshake does that.

/// What a ClientHello asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The server name in lower case; `None` if there is none or if it is an address.
    pub sni: Option<Box<str>>,
    /// The protocols offered, in order.
    pub alpn: Vec<Box<[u8]>>,
    /// Whether there may be another hello inside (`encrypted_client_hello`, RFC 9849 §5): then `sni` need not be the
    /// name that the client wants. Clients that grease the extension cannot be told from those that use it.
    pub encrypted: bool,
}

/// Most bytes looked at, over all records of the message.
pub const HELLO_BYTES_MAX: usize = 16 * 1024;

/// What the first bytes of a connection are, read as TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// Fits so far.
    NeedMore,
    /// A whole ClientHello.
    Hello(ClientHello),
    /// Not a ClientHello, a malformed one, or one beyond [`HELLO_BYTES_MAX`].
    Other,
}

const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const RECORD_BYTES_MAX: usize = 1 << 14;

/// Reads a ClientHello, which may be spread over several records.
pub fn parse(bytes: &[u8]) -> Parsed {
    match message(bytes) {
        Message::NeedMore => Parsed::NeedMore,
        Message::Other => Parsed::Other,
        Message::Complete(body) => read_hello(&body).map_or(Parsed::Other, Parsed::Hello),
    }
}

enum Message {
    NeedMore,
    Other,
    Complete(Vec<u8>),
}

/// Joins the records until the handshake message is whole; anything that cannot lead there ends the attempt at once.
fn message(bytes: &[u8]) -> Message {
    let mut joined: Vec<u8> = Vec::new();
    let mut rest = bytes;
    loop {
        let (fragment, tail, complete) = match rest {
            [] => return Message::NeedMore,
            [kind, ..] if *kind != HANDSHAKE_RECORD => return Message::Other,
            [_, major, ..] if *major != 3 => return Message::Other,
            [_, _, _, high, low, body @ ..] => {
                let len = usize::from(u16::from_be_bytes([*high, *low]));
                if len == 0 || len > RECORD_BYTES_MAX {
                    return Message::Other;
                }
                match body.split_at_checked(len) {
                    Some((fragment, tail)) => (fragment, tail, true),
                    None => (body, &[][..], false),
                }
            }
            [..] => return Message::NeedMore,
        };
        joined.extend_from_slice(fragment);
        match joined.as_slice() {
            [kind, ..] if *kind != CLIENT_HELLO => return Message::Other,
            [_, a, b, c, body @ ..] => {
                let len = u32::from_be_bytes([0, *a, *b, *c]) as usize;
                if len.saturating_add(4) > HELLO_BYTES_MAX {
                    return Message::Other;
                }
                if let Some(body) = body.get(..len) {
                    return Message::Complete(body.to_vec());
                }
            }
            [..] => {}
        }
        if !complete {
            return Message::NeedMore;
        }
        // Records of one byte each would make us pay for headers; a real client never sends many.
        if bytes.len().saturating_sub(tail.len()) > 2 * HELLO_BYTES_MAX {
            return Message::Other;
        }
        rest = tail;
    }
}

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;

fn read_hello(body: &[u8]) -> Option<ClientHello> {
    let mut at = Reader(body);
    let version = at.take(2)?;
    if version.first() != Some(&3) {
        return None;
    }
    at.take(32)?;
    let session = at.vector8()?;
    let suites = at.vector16()?;
    let compression = at.vector8()?;
    if session.len() > 32 || suites.is_empty() || suites.len() % 2 != 0 || compression.is_empty() {
        return None;
    }
    let mut hello = ClientHello::default();
    if at.0.is_empty() {
        return Some(hello);
    }
    let mut extensions = Reader(at.vector16()?);
    if !at.0.is_empty() {
        return None;
    }
    let (mut names, mut protocols) = (0, 0);
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let data = extensions.vector16()?;
        match kind {
            SERVER_NAME => {
                names += 1;
                hello.sni = server_name(data)?;
            }
            ALPN => {
                protocols += 1;
                hello.alpn = protocol_names(data)?;
            }
            ENCRYPTED_CLIENT_HELLO => hello.encrypted = true,
            _ => {}
        }
    }
    // A repeated extension is read differently by different servers.
    (names <= 1 && protocols <= 1).then_some(hello)
}

/// `None`: malformed. `Some(None)`: no DNS name in it.
fn server_name(data: &[u8]) -> Option<Option<Box<str>>> {
    let mut outer = Reader(data);
    let mut list = Reader(outer.vector16()?);
    if !outer.0.is_empty() {
        return None;
    }
    let kind = list.take(1)?;
    let name = list.vector16()?;
    if kind != [0] || !list.0.is_empty() {
        return None;
    }
    let text = std::str::from_utf8(name).ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if text.is_empty() || text.len() > 253 {
        return None;
    }
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Some(None);
    }
    text.bytes().all(plain).then(|| Some(text.to_ascii_lowercase().into_boxed_str()))
}

fn protocol_names(data: &[u8]) -> Option<Vec<Box<[u8]>>> {
    let mut outer = Reader(data);
    let mut list = Reader(outer.vector16()?);
    let mut names = Vec::new();
    while !list.0.is_empty() {
        let name = list.vector8()?;
        if name.is_empty() {
            return None;
        }
        names.push(Box::from(name));
    }
    (outer.0.is_empty() && !names.is_empty()).then_some(names)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        let (taken, rest) = self.0.split_first_chunk::<2>()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*taken))
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let len = *self.take(1)?.first()?;
        self.take(usize::from(len))
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn vector16(body: &[u8]) -> Vec<u8> {
        [&(body.len() as u16).to_be_bytes()[..], body].concat()
    }

    fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &vector16(body)].concat()
    }

    pub(crate) fn handshake(sni: Option<&str>, alpn: &[&[u8]], padding: usize) -> Vec<u8> {
        let mut extensions = extension(21, &vec![0; padding]);
        if let Some(name) = sni {
            extensions
                .extend(extension(SERVER_NAME, &vector16(&[&[0][..], &vector16(name.as_bytes())].concat())));
        }
        if !alpn.is_empty() {
            let names: Vec<u8> =
                alpn.iter().flat_map(|name| [&[name.len() as u8][..], name].concat()).collect();
            extensions.extend(extension(ALPN, &vector16(&names)));
        }
        let body = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0], &vector16(&extensions)].concat();
        [&[CLIENT_HELLO][..], &(body.len() as u32).to_be_bytes()[1..], &body].concat()
    }

    pub(crate) fn records(handshake: &[u8], fragment: usize) -> Vec<u8> {
        handshake.chunks(fragment).flat_map(|part| [&[22, 3, 1][..], &vector16(part)].concat()).collect()
    }

    #[test]
    fn name_and_protocols_are_found_however_the_message_is_fragmented() {
        let message = handshake(Some("A.Test"), &[b"h2", b"http/1.1"], 3000);
        let hello = ClientHello {
            sni: Some("a.test".into()),
            alpn: vec![b"h2"[..].into(), b"http/1.1"[..].into()],
            encrypted: false,
        };
        for fragment in [8, 100, 1000, 16_000] {
            let bytes = records(&message, fragment);
            assert_eq!(parse(&bytes), Parsed::Hello(hello.clone()));
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut]), Parsed::NeedMore, "{cut}");
            }
        }
    }

    #[test]
    fn what_is_oversized_repeated_or_malformed_is_no_hello() {
        assert_eq!(parse(&records(&handshake(None, &[], 17_000), 16_000)), Parsed::Other);
        assert_eq!(parse(&records(&handshake(Some("a b"), &[], 0), 16_000)), Parsed::Other);
        assert_eq!(parse(&records(&handshake(Some(""), &[], 0), 16_000)), Parsed::Other);
        assert_eq!(parse(&records(&handshake(None, &[b""], 0), 16_000)), Parsed::Other);
        assert_eq!(parse(&records(&handshake(None, &[], 0), 1)[..3]), Parsed::NeedMore);
        assert_eq!(parse(&[22, 3, 1, 0, 0]), Parsed::Other);
        assert_eq!(parse(&[22, 2]), Parsed::Other);
        assert_eq!(parse(&[23]), Parsed::Other);
        assert_eq!(parse(&[22, 3, 1, 0, 4, 2]), Parsed::Other);
    }

    #[test]
    fn a_hello_that_may_hide_another_says_so() {
        let mut message = handshake(Some("a.test"), &[], 0);
        // The padding extension, empty, becomes the other.
        let at = message.windows(4).position(|four| four == [0, 21, 0, 0]).unwrap();
        message[at..at + 2].copy_from_slice(&ENCRYPTED_CLIENT_HELLO.to_be_bytes());
        let Parsed::Hello(hello) = parse(&records(&message, 16_000)) else { panic!("a hello") };
        assert_eq!((hello.sni.as_deref(), hello.encrypted), (Some("a.test"), true));
    }

    #[test]
    fn an_address_is_not_a_server_name() {
        let parsed = parse(&records(&handshake(Some("10.0.0.1"), &[], 0), 16_000));
        assert_eq!(parsed, Parsed::Hello(ClientHello::default()));
    }
}
