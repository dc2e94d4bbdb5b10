//! Keyed hashes for what clients bring back.

use std::fmt;

use aws_lc_rs::hmac;
use hauberk_model::session::Mac;

/// A key of HMAC-SHA-256.
#[derive(Clone)]
pub struct MacKey(hmac::Key);

impl MacKey {
    /// Of any length; 32 bytes from a random source are best.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey")
    }
}

impl Mac for MacKey {
    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        let mut made = [0; 32];
        made.iter_mut().zip(context.sign().as_ref()).for_each(|(into, byte)| *into = *byte);
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn the_hash_is_the_one_of_the_rfc() {
        let made = MacKey::new(b"Jefe").mac(&[b"what do ya want ", b"for nothing?"]);
        let text: String = made.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
