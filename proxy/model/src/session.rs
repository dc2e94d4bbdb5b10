//! Sessions: the requests of one client go to the endpoint that had the first (Gateway API, `SessionPersistence`).
//!
//! The client keeps a token. It names the endpoint by a code that only the holder of the service's key can compute from
//! the address, so that it says nothing of addresses, cannot be made up, and means the same to every proxy and after a
//! restart.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::matching::RequestView;

/// How a rule keeps sessions.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Where the token travels.
    pub carrier: Carrier,
    /// The service's secret.
    pub key: Arc<[u8]>,
    /// How long a session holds at most.
    pub absolute: Option<Duration>,
    /// How long it holds without a request.
    pub idle: Option<Duration>,
    /// Whether the cookie outlives the browser (`lifetimeType: Permanent`).
    pub permanent: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("carrier", &self.carrier).finish_non_exhaustive()
    }
}

/// Where a token travels, in both directions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// In a cookie of this name.
    Cookie(Arc<str>),
    /// In a header of this name, lower case.
    Header(Arc<str>),
}

/// A keyed hash (HMAC-SHA-256).
pub trait Mac {
    /// Over the parts, one after the other.
    fn mac(&self, parts: &[&[u8]]) -> [u8; 32];
}

/// An endpoint, to those who have the key.
pub type Code = [u8; 16];

/// What the client keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// The endpoint.
    pub code: Code,
    /// When the session began, seconds since the Unix epoch.
    pub began_s: u32,
    /// When the client last came, as far as the token tells.
    pub seen_s: u32,
}

/// Bytes of a token before it is written: the code, two times, and 16 of their MAC.
const TOKEN_BYTES: usize = 40;
/// After this part of the idle timeout the client gets a newer token.
const REFRESH_PART: u64 = 4;

/// The code of an endpoint.
pub fn code_of(mac: &impl Mac, addr: SocketAddr, identity: Option<&str>) -> Code {
    let mut code = [0; 16];
    let addr = addr.to_string();
    let made = mac.mac(&[b"endpoint\0", addr.as_bytes(), b"\0", identity.unwrap_or_default().as_bytes()]);
    code.iter_mut().zip(made).for_each(|(into, byte)| *into = byte);
    code
}

impl Token {
    /// A token for a session that begins now.
    #[must_use]
    pub const fn new(code: Code, now_s: u32) -> Self {
        Self { code, began_s: now_s, seen_s: now_s }
    }

    /// Writes it for the client: 80 hexadecimal digits.
    pub fn seal(&self, mac: &impl Mac) -> String {
        let mut text = String::with_capacity(TOKEN_BYTES * 2);
        let (body, tag) = (self.body(), self.tag(mac));
        for byte in body.iter().chain(&tag) {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// Reads what a client sent; `None`: we never wrote it, or for another service.
    pub fn open(text: &[u8], mac: &impl Mac) -> Option<Self> {
        let bytes = unhexed(text)?;
        let (body, tag) = bytes.split_at_checked(24)?;
        let (code, times) = body.split_first_chunk::<16>()?;
        let (began, seen) = times.split_first_chunk::<4>()?;
        let token = Self {
            code: *code,
            began_s: u32::from_be_bytes(*began),
            seen_s: u32::from_be_bytes(*seen.first_chunk::<4>()?),
        };
        // In constant time: where they differ first must not be told.
        let differs = token.tag(mac).iter().zip(tag).fold(0, |all, (one, other)| all | (one ^ other));
        (differs == 0).then_some(token)
    }

    /// Whether the session still holds. One from the future does: clocks differ.
    #[must_use]
    pub fn holds(&self, session: &Session, now_s: u32) -> bool {
        let within = |since: u32, limit: Option<Duration>| {
            limit.is_none_or(|limit| u64::from(now_s.saturating_sub(since)) < limit.as_secs().max(1))
        };
        within(self.began_s, session.absolute) && within(self.seen_s, session.idle)
    }

    /// Whether the client needs a token with a newer time.
    #[must_use]
    pub fn is_stale(&self, session: &Session, now_s: u32) -> bool {
        let quiet = u64::from(now_s.saturating_sub(self.seen_s));
        session.idle.is_some_and(|idle| quiet >= (idle.as_secs() / REFRESH_PART).max(1))
    }

    /// The same session, seen now.
    #[must_use]
    pub const fn seen(self, now_s: u32) -> Self {
        Self { seen_s: now_s, ..self }
    }

    fn body(&self) -> [u8; 24] {
        let mut body = [0; 24];
        let parts = self.code.into_iter().chain(self.began_s.to_be_bytes()).chain(self.seen_s.to_be_bytes());
        body.iter_mut().zip(parts).for_each(|(into, byte)| *into = byte);
        body
    }

    fn tag(&self, mac: &impl Mac) -> [u8; 16] {
        let mut tag = [0; 16];
        let made = mac.mac(&[b"token\0", &self.body()]);
        tag.iter_mut().zip(made).for_each(|(into, byte)| *into = byte);
        tag
    }
}

impl Session {
    /// What the request carries.
    pub fn carried<'r>(&self, request: &'r impl RequestView) -> Option<&'r [u8]> {
        match &self.carrier {
            Carrier::Header(name) => request.header(name).next(),
            Carrier::Cookie(name) => cookie(request, name),
        }
    }

    /// Name and value of the header that gives the client its token.
    #[must_use]
    pub fn given(&self, token: &Token, sealed: &str, now_s: u32) -> (Arc<str>, Arc<[u8]>) {
        match &self.carrier {
            Carrier::Header(name) => (Arc::clone(name), Arc::from(sealed.as_bytes())),
            Carrier::Cookie(name) => {
                let age = match self.absolute.filter(|_| self.permanent) {
                    Some(absolute) => {
                        let left =
                            absolute.as_secs().saturating_sub(u64::from(now_s.saturating_sub(token.began_s)));
                        format!("; Max-Age={left}")
                    }
                    None => String::new(),
                };
                let cookie = format!("{name}={sealed}; Path=/; HttpOnly; SameSite=Lax{age}");
                (Arc::from("set-cookie"), Arc::from(cookie.into_bytes()))
            }
        }
    }
}

/// The first cookie of a name (RFC 6265 §4.2.1).
pub fn cookie<'r>(request: &'r impl RequestView, name: &str) -> Option<&'r [u8]> {
    let pairs = request.header("cookie").flat_map(|value| value.split(|byte| *byte == b';'));
    let mut named =
        pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    named.next()
}

fn unhexed(text: &[u8]) -> Option<[u8; TOKEN_BYTES]> {
    let mut bytes = [0; TOKEN_BYTES];
    if text.len() != TOKEN_BYTES * 2 {
        return None;
    }
    for (into, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *into = digit(*high)? * 16 + digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// No MAC, but enough of one to tell keys and texts apart.
    struct Key(u8);

    impl Mac for Key {
        fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
            let mut made = [0; 32];
            for (lane, into) in (0_u8..).zip(made.chunks_exact_mut(8)) {
                let text = [&[self.0, lane][..], &parts.concat()].concat();
                into.copy_from_slice(&crate::balance::hash::hash_of_key(&text).to_be_bytes());
            }
            made
        }
    }

    fn session(absolute_s: Option<u64>, idle_s: Option<u64>) -> Session {
        Session {
            carrier: Carrier::Cookie("sid".into()),
            key: Arc::from([]),
            absolute: absolute_s.map(Duration::from_secs),
            idle: idle_s.map(Duration::from_secs),
            permanent: true,
        }
    }

    #[test]
    fn a_session_ends_by_age_and_by_silence() {
        let token = Token { began_s: 100, seen_s: 150, code: [0; 16] };
        for (absolute, idle, now, holds) in [
            (None, None, 1_000_000, true),
            (Some(60), None, 159, true),
            (Some(60), None, 160, false),
            (None, Some(20), 169, true),
            (None, Some(20), 170, false),
            (Some(60), Some(20), 90, true),
        ] {
            assert_eq!(token.holds(&session(absolute, idle), now), holds, "{absolute:?} {idle:?} {now}");
        }
        assert!(!token.is_stale(&session(None, Some(40)), 159));
        assert!(token.is_stale(&session(None, Some(40)), 160));
        assert!(!token.is_stale(&session(Some(40), None), 10_000));
    }

    #[test]
    fn a_cookie_is_permanent_only_for_what_is_left_of_its_session() {
        let token = Token { began_s: 100, seen_s: 100, code: [0; 16] };
        let (name, value) = session(Some(60), None).given(&token, "t", 110);
        assert_eq!(
            (&*name, &*value),
            ("set-cookie", &b"sid=t; Path=/; HttpOnly; SameSite=Lax; Max-Age=50"[..])
        );
    }

    proptest! {
        #[test]
        fn a_token_opens_with_its_key_alone_and_not_if_a_digit_changed(
            code in any::<Code>(), began_s: u32, seen_s: u32, key in 1_u8..255, at in 0_usize..80, digit in 0_u8..16,
        ) {
            let token = Token { code, began_s, seen_s };
            let sealed = token.seal(&Key(key));
            prop_assert_eq!(Token::open(sealed.as_bytes(), &Key(key)), Some(token));
            prop_assert_eq!(Token::open(sealed.as_bytes(), &Key(key.wrapping_add(1))), None);
            let mut changed = sealed.clone().into_bytes();
            changed[at] = b"0123456789abcdef"[usize::from(digit)];
            prop_assume!(changed != sealed.as_bytes());
            prop_assert_eq!(Token::open(&changed, &Key(key)), None);
        }

        #[test]
        fn anything_else_is_no_token(text in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(Token::open(&text, &Key(1)), None);
        }
    }
}
