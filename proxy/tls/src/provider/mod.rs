//! Our `CryptoProvider` over aws-lc-rs: exactly the algorithms of INTERFACE §5.1 and nothing else.
//!
//! rustls's own provider requires an aws-lc-rs newer than the certified AWS-LC-FIPS module (docs/decisions/0004-crypto-provider.md).

mod aead;
mod approval;
mod groups;
mod kem;
mod key_schedule;
mod profile;
mod signatures;

use std::sync::Arc;

use aws_lc_rs::rand::SecureRandom as _;
use rustls::crypto::{CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom};
use rustls::sign::SigningKey;
use rustls_pki_types::PrivateKeyDer;

pub use approval::{Approval, Module, NotApproved, approval};
pub(crate) use profile::{PROFILE, Profile};
pub(crate) use signatures::SIGNATURE_ALGORITHMS;

/// Which key exchange groups a connection may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PostQuantum {
    /// X25519MLKEM768 first, classical groups with peers that know no better.
    #[default]
    Prefer,
    /// Only groups with ML-KEM; a classical peer is refused.
    Require,
    /// Only X25519, as a peer that knows no better.
    #[cfg(test)]
    Classical,
}

/// What `rustls_info` reports of this provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderFacts {
    /// Cipher suites, in order of preference.
    pub suites: Vec<&'static str>,
    /// Key exchange groups, in order of preference.
    pub groups: Vec<&'static str>,
    /// Whether AWS-LC runs in FIPS mode.
    pub fips: bool,
}

/// The facts of the provider for `mode`.
#[must_use]
pub fn facts(mode: PostQuantum) -> ProviderFacts {
    ProviderFacts {
        suites: PROFILE.suites().iter().map(|suite| suite_name(suite.suite())).collect(),
        groups: PROFILE.groups(mode).iter().map(|group| group_name(group.name())).collect(),
        fips: fips(),
    }
}

/// Makes the random generator and the key schedule ready, so that the first handshake does not pay for it.
///
/// Returns false if the generator does not work; nothing can be proven then.
#[must_use]
pub fn warm_up() -> bool {
    aws_lc_rs::init();
    aws_lc_rs::rand::SystemRandom::new().fill(&mut [0; 32]).is_ok()
}

pub(crate) fn provider(mode: PostQuantum) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: PROFILE.suites(),
        kx_groups: PROFILE.groups(mode),
        signature_verification_algorithms: SIGNATURE_ALGORITHMS,
        secure_random: &AwsLc,
        key_provider: &AwsLc,
    })
}

/// The registered name of a group (IANA "TLS Supported Groups").
pub(crate) fn group_name(group: rustls::NamedGroup) -> &'static str {
    match u16::from(group) {
        0x0017 => "secp256r1",
        0x0018 => "secp384r1",
        0x001d => "x25519",
        0x11eb => "SecP256r1MLKEM768",
        0x11ec => "X25519MLKEM768",
        _ => "unknown",
    }
}

/// The registered name of a suite (IANA "TLS Cipher Suites").
pub(crate) fn suite_name(suite: rustls::CipherSuite) -> &'static str {
    match u16::from(suite) {
        0x1301 => "TLS_AES_128_GCM_SHA256",
        0x1302 => "TLS_AES_256_GCM_SHA384",
        0x1303 => "TLS_CHACHA20_POLY1305_SHA256",
        _ => "unknown",
    }
}

fn fips() -> bool {
    aws_lc_rs::try_fips_mode().is_ok()
}

#[derive(Debug)]
struct AwsLc;

impl SecureRandom for AwsLc {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        aws_lc_rs::rand::SystemRandom::new().fill(bytes).map_err(|_| GetRandomFailed)
    }

    fn fips(&self) -> bool {
        fips()
    }
}

impl KeyProvider for AwsLc {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        let PrivateKeyDer::Pkcs8(der) = key else {
            return Err(rustls::Error::General("only PKCS#8 keys are read".into()));
        };
        let keypair = crate::Keypair::from_pkcs8(der.secret_pkcs8_der())
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        Ok(keypair.signing_key())
    }

    fn fips(&self) -> bool {
        fips()
    }
}
