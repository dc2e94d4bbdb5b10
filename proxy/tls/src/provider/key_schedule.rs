//! Hashes and the HKDF of the TLS 1.3 key schedule (RFC 8446 §7.1).

use aws_lc_rs::{digest, hkdf, hmac};
use rustls::crypto::hash::{Context, Hash, HashAlgorithm, Output};
use rustls::crypto::hmac::Tag;
use rustls::crypto::tls13::{Hkdf, HkdfExpander, OkmBlock, OutputLengthError};

pub(super) static SHA256: Sha = Sha { algorithm: &digest::SHA256, id: HashAlgorithm::SHA256 };
pub(super) static SHA384: Sha = Sha { algorithm: &digest::SHA384, id: HashAlgorithm::SHA384 };
pub(super) static HKDF_SHA256: KeySchedule =
    KeySchedule { hkdf: hkdf::HKDF_SHA256, hmac: hmac::HMAC_SHA256, bytes: 32 };
pub(super) static HKDF_SHA384: KeySchedule =
    KeySchedule { hkdf: hkdf::HKDF_SHA384, hmac: hmac::HMAC_SHA384, bytes: 48 };

pub(super) struct Sha {
    algorithm: &'static digest::Algorithm,
    id: HashAlgorithm,
}

impl Hash for Sha {
    fn start(&self) -> Box<dyn Context> {
        Box::new(Running(digest::Context::new(self.algorithm)))
    }

    fn hash(&self, data: &[u8]) -> Output {
        Output::new(digest::digest(self.algorithm, data).as_ref())
    }

    fn output_len(&self) -> usize {
        self.algorithm.output_len()
    }

    fn algorithm(&self) -> HashAlgorithm {
        self.id
    }

    fn fips(&self) -> bool {
        super::fips()
    }
}

struct Running(digest::Context);

impl Context for Running {
    fn fork_finish(&self) -> Output {
        Output::new(self.0.clone().finish().as_ref())
    }

    fn fork(&self) -> Box<dyn Context> {
        Box::new(Self(self.0.clone()))
    }

    fn finish(self: Box<Self>) -> Output {
        Output::new(self.0.finish().as_ref())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
}

pub(super) struct KeySchedule {
    hkdf: hkdf::Algorithm,
    hmac: hmac::Algorithm,
    /// Bytes of the hash; at most 48.
    bytes: usize,
}

impl KeySchedule {
    /// A missing salt and a missing secret are both a string of zeros as long as the hash (RFC 5869 §2.2, RFC 8446 §7.1).
    fn zeros(&self) -> &'static [u8] {
        const ZEROS: [u8; 48] = [0; 48];
        ZEROS.get(..self.bytes).unwrap_or(&ZEROS)
    }

    fn expander(&self, prk: hkdf::Prk) -> Box<dyn HkdfExpander> {
        Box::new(Expander { prk, bytes: self.bytes })
    }
}

impl Hkdf for KeySchedule {
    fn extract_from_zero_ikm(&self, salt: Option<&[u8]>) -> Box<dyn HkdfExpander> {
        self.extract_from_secret(salt, self.zeros())
    }

    fn extract_from_secret(&self, salt: Option<&[u8]>, secret: &[u8]) -> Box<dyn HkdfExpander> {
        let salt = hkdf::Salt::new(self.hkdf, salt.unwrap_or_else(|| self.zeros()));
        self.expander(salt.extract(secret))
    }

    fn expander_for_okm(&self, okm: &OkmBlock) -> Box<dyn HkdfExpander> {
        self.expander(hkdf::Prk::new_less_safe(self.hkdf, okm.as_ref()))
    }

    fn hmac_sign(&self, key: &OkmBlock, message: &[u8]) -> Tag {
        Tag::new(hmac::sign(&hmac::Key::new(self.hmac, key.as_ref()), message).as_ref())
    }

    fn fips(&self) -> bool {
        super::fips()
    }
}

struct Expander {
    prk: hkdf::Prk,
    bytes: usize,
}

impl HkdfExpander for Expander {
    fn expand_slice(&self, info: &[&[u8]], output: &mut [u8]) -> Result<(), OutputLengthError> {
        self.prk
            .expand(info, Length(output.len()))
            .and_then(|okm| okm.fill(output))
            .map_err(|_| OutputLengthError)
    }

    fn expand_block(&self, info: &[&[u8]]) -> OkmBlock {
        let mut block = [0; OkmBlock::MAX_LEN];
        let output = block.get_mut(..self.bytes).unwrap_or_default();
        match self.expand_slice(info, output) {
            Ok(()) => OkmBlock::new(output),
            // One block is never too long (RFC 5869 §2.3). An empty secret would make the handshake fail, not pass.
            Err(OutputLengthError) => OkmBlock::new(&[]),
        }
    }

    fn hash_len(&self) -> usize {
        self.bytes
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5869, appendix A.1.
    #[test]
    fn hkdf_gives_the_output_of_the_rfc() {
        let salt: Vec<u8> = (0x00..=0x0c).collect();
        let expander = HKDF_SHA256.extract_from_secret(Some(&salt), &[0x0b; 22]);
        let mut okm = [0; 42];
        expander
            .expand_slice(&[&[0xf0, 0xf1, 0xf2], &[0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9]], &mut okm)
            .expect("short enough");
        assert_eq!(okm[..8], [0x3c, 0xb2, 0x5f, 0x25, 0xfa, 0xac, 0xd5, 0x7a]);
        assert_eq!(okm[38..], [0x87, 0x18, 0x58, 0x65]);
    }

    #[test]
    fn an_output_longer_than_255_blocks_is_refused() {
        let expander = HKDF_SHA384.extract_from_zero_ikm(None);
        assert!(expander.expand_slice(&[b"x"], &mut vec![0; 255 * 48]).is_ok());
        assert!(expander.expand_slice(&[b"x"], &mut vec![0; 255 * 48 + 1]).is_err());
    }
}
