//! Key exchange: the elliptic curves, and their hybrids with ML-KEM-768 (draft-ietf-tls-ecdhe-mlkem).

use aws_lc_rs::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use aws_lc_rs::kem::{AlgorithmId, DecapsulationKey};
use aws_lc_rs::rand::SystemRandom;
use rustls::crypto::{ActiveKeyExchange, CompletedKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved, ProtocolVersion};

use super::kem;

pub(super) static X25519: &dyn SupportedKxGroup = &X25519_CURVE;
pub(super) static SECP256R1: &dyn SupportedKxGroup = &P256_CURVE;
pub(super) static SECP384R1: &dyn SupportedKxGroup = &Curve {
    name: NamedGroup::secp384r1,
    algorithm: &agreement::ECDH_P384,
    encoding: Encoding::Uncompressed,
};
pub(super) static X25519_MLKEM768: &dyn SupportedKxGroup =
    &Hybrid { name: NamedGroup::X25519MLKEM768, curve: X25519_CURVE, first: Part::Kem };
pub(super) static SECP256R1_MLKEM768: &dyn SupportedKxGroup =
    &Hybrid { name: NamedGroup::secp256r1MLKEM768, curve: P256_CURVE, first: Part::Curve };

const P256_CURVE: Curve =
    Curve { name: NamedGroup::secp256r1, algorithm: &agreement::ECDH_P256, encoding: Encoding::Uncompressed };
const X25519_CURVE: Curve =
    Curve { name: NamedGroup::X25519, algorithm: &agreement::X25519, encoding: Encoding::Raw };

const INVALID_KEY_SHARE: Error = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    /// 32 bytes (RFC 7748).
    Raw,
    /// The only point format of TLS 1.3 (RFC 8446 §4.2.8.2).
    Uncompressed,
}

#[derive(Clone, Copy, Debug)]
struct Curve {
    name: NamedGroup,
    algorithm: &'static agreement::Algorithm,
    encoding: Encoding,
}

impl Curve {
    fn begin(self) -> Result<ActiveCurve, Error> {
        let private =
            EphemeralPrivateKey::generate(self.algorithm, &SystemRandom::new()).map_err(module_failed)?;
        let public = private.compute_public_key().map_err(module_failed)?.as_ref().to_vec();
        Ok(ActiveCurve { curve: self, private, public })
    }
}

impl SupportedKxGroup for Curve {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Ok(Box::new(self.begin()?))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        self.name
    }

    fn fips(&self) -> bool {
        self.encoding == Encoding::Uncompressed && super::fips()
    }
}

struct ActiveCurve {
    curve: Curve,
    private: EphemeralPrivateKey,
    public: Vec<u8>,
}

impl ActiveCurve {
    fn agree(self, peer: &[u8]) -> Result<SharedSecret, Error> {
        if self.curve.encoding == Encoding::Uncompressed && peer.first() != Some(&4) {
            return Err(INVALID_KEY_SHARE);
        }
        let peer = UnparsedPublicKey::new(self.curve.algorithm, peer);
        agree_ephemeral(self.private, peer, INVALID_KEY_SHARE, |secret| Ok(SharedSecret::from(secret)))
    }
}

impl ActiveKeyExchange for ActiveCurve {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        self.agree(peer)
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        self.curve.name
    }
}

/// Which part of a share and of a secret comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Kem,
    Curve,
}

/// ML-KEM-768 with a curve.
#[derive(Clone, Copy, Debug)]
struct Hybrid {
    name: NamedGroup,
    curve: Curve,
    first: Part,
}

impl Hybrid {
    fn join(self, kem: &[u8], curve: &[u8]) -> Vec<u8> {
        match self.first {
            Part::Kem => [kem, curve].concat(),
            Part::Curve => [curve, kem].concat(),
        }
    }

    /// The ML-KEM part, which has `kem_bytes`, and the part of the curve.
    fn split(self, share: &[u8], kem_bytes: usize) -> Option<(&[u8], &[u8])> {
        match self.first {
            Part::Kem => share.split_at_checked(kem_bytes),
            Part::Curve => {
                let (curve, kem) = share.split_at_checked(share.len().checked_sub(kem_bytes)?)?;
                Some((kem, curve))
            }
        }
    }

    /// The vectors are handed on and wiped by `SharedSecret`; the joined one never grows, so that nothing is left behind.
    fn secret(self, kem_secret: Vec<u8>, curve_secret: &SharedSecret) -> SharedSecret {
        let both = self.join(&kem_secret, curve_secret.secret_bytes());
        // Wiped when dropped.
        drop(SharedSecret::from(kem_secret));
        SharedSecret::from(both)
    }
}

impl SupportedKxGroup for Hybrid {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let curve = self.curve.begin()?;
        let key = kem::generate().map_err(kem_failed)?;
        let share = self.join(&kem::public(&key).map_err(kem_failed)?, &curve.public);
        Ok(Box::new(ActiveHybrid { hybrid: *self, curve, key, share }))
    }

    fn start_and_complete(&self, client_share: &[u8]) -> Result<CompletedKeyExchange, Error> {
        let (encapsulation_key, point) =
            self.split(client_share, kem::ENCAPSULATION_KEY_BYTES).ok_or(INVALID_KEY_SHARE)?;
        let (ciphertext, kem_secret) = kem::encapsulate(encapsulation_key).map_err(kem_failed)?;
        let curve = self.curve.begin()?;
        let pub_key = self.join(&ciphertext, &curve.public);
        let secret = self.secret(kem_secret, &curve.agree(point)?);
        Ok(CompletedKeyExchange { group: self.name, pub_key, secret })
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        self.name
    }

    fn fips(&self) -> bool {
        // SP 800-56C rev. 2 §2: the approved part comes first. ML-KEM is approved, and so is P-256.
        super::fips()
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == ProtocolVersion::TLSv1_3
    }
}

struct ActiveHybrid {
    hybrid: Hybrid,
    curve: ActiveCurve,
    key: DecapsulationKey<AlgorithmId>,
    share: Vec<u8>,
}

impl ActiveKeyExchange for ActiveHybrid {
    fn complete(self: Box<Self>, server_share: &[u8]) -> Result<SharedSecret, Error> {
        let (ciphertext, point) =
            self.hybrid.split(server_share, kem::CIPHERTEXT_BYTES).ok_or(INVALID_KEY_SHARE)?;
        let kem_secret = kem::open(&self.key, ciphertext).map_err(kem_failed)?;
        Ok(self.hybrid.secret(kem_secret, &self.curve.agree(point)?))
    }

    /// A second share for servers without the hybrid, at the cost of 36 or 69 bytes and no computation. Sent only where
    /// the curve by itself is offered, too.
    fn hybrid_component(&self) -> Option<(NamedGroup, &[u8])> {
        Some((self.curve.curve.name, &self.curve.public))
    }

    fn complete_hybrid_component(self: Box<Self>, server_share: &[u8]) -> Result<SharedSecret, Error> {
        self.curve.agree(server_share)
    }

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        self.hybrid.name
    }
}

fn kem_failed(error: kem::KemError) -> Error {
    match error {
        kem::KemError::Key | kem::KemError::Ciphertext => INVALID_KEY_SHARE,
        kem::KemError::Module => Error::General("ML-KEM failed".into()),
    }
}

fn module_failed(_: aws_lc_rs::error::Unspecified) -> Error {
    Error::General("key generation failed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both_ends(group: &'static dyn SupportedKxGroup) -> (Vec<u8>, Vec<u8>) {
        let client = group.start().expect("starts");
        let server = group.start_and_complete(client.pub_key()).expect("answers");
        assert_eq!(server.group, group.name());
        let client_secret = client.complete(&server.pub_key).expect("completes");
        (client_secret.secret_bytes().to_vec(), server.secret.secret_bytes().to_vec())
    }

    #[test]
    fn both_ends_of_every_group_hold_the_same_secret() {
        let groups =
            [(X25519, 32), (SECP256R1, 32), (SECP384R1, 48), (X25519_MLKEM768, 64), (SECP256R1_MLKEM768, 64)];
        for (group, bytes) in groups {
            let (client, server) = both_ends(group);
            assert_eq!(client, server);
            assert_eq!(client.len(), bytes);
        }
    }

    #[test]
    fn shares_have_the_lengths_of_the_draft() {
        let client = X25519_MLKEM768.start().expect("starts");
        assert_eq!(client.pub_key().len(), 1184 + 32);
        let server = X25519_MLKEM768.start_and_complete(client.pub_key()).expect("answers");
        assert_eq!(server.pub_key.len(), 1088 + 32);
        let client = SECP256R1_MLKEM768.start().expect("starts");
        assert_eq!(client.pub_key().len(), 65 + 1184);
        assert_eq!(client.pub_key().first(), Some(&4), "the point comes first");
        let server = SECP256R1_MLKEM768.start_and_complete(client.pub_key()).expect("answers");
        assert_eq!(server.pub_key.len(), 65 + 1088);
    }

    #[test]
    fn short_long_and_compressed_shares_are_refused() {
        let client = X25519_MLKEM768.start().expect("starts").pub_key().to_vec();
        assert!(X25519_MLKEM768.start_and_complete(&client[..1215]).is_err());
        assert!(X25519_MLKEM768.start_and_complete(&[client.as_slice(), &[0]].concat()).is_err());
        assert!(X25519_MLKEM768.start().expect("starts").complete(&[0; 40]).is_err());
        let mut point = SECP256R1.start().expect("starts").pub_key().to_vec();
        point.truncate(33);
        point[0] = 2;
        assert!(SECP256R1.start_and_complete(&point).is_err());
        let client = SECP256R1_MLKEM768.start().expect("starts").pub_key().to_vec();
        assert!(SECP256R1_MLKEM768.start_and_complete(&client[1..]).is_err());
        assert!(SECP256R1_MLKEM768.start_and_complete(&[client.as_slice(), &[0]].concat()).is_err());
        assert!(SECP256R1_MLKEM768.start_and_complete(&client[..40]).is_err());
    }

    #[test]
    fn a_point_of_small_order_is_refused() {
        assert!(X25519.start_and_complete(&[0; 32]).is_err());
    }
}
