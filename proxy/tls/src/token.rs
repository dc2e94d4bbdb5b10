//! Signatures of JSON Web Tokens (RFC 7518 §3.3–3.5, RFC 8037 §3.1), and the digest by which tokens are remembered.

use aws_lc_rs::digest;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{self, RsaParameters, UnparsedPublicKey, VerificationAlgorithm};
use hauberk_model::requirement::{Algorithm, KeyMaterial, VerificationKey};

use crate::provider::{PROFILE, Profile};

/// Whether `signature` is by `key` over `message`. A key that is not one of the algorithm's, or an RSA key below 2048
/// or above 8192 bits, signs nothing.
#[must_use]
pub fn signature_holds(
    algorithm: Algorithm,
    key: &VerificationKey,
    message: &[u8],
    signature: &[u8],
) -> bool {
    match algorithm {
        Algorithm::Rs256 => rsa(&signature::RSA_PKCS1_2048_8192_SHA256, key, message, signature),
        Algorithm::Rs384 => rsa(&signature::RSA_PKCS1_2048_8192_SHA384, key, message, signature),
        Algorithm::Rs512 => rsa(&signature::RSA_PKCS1_2048_8192_SHA512, key, message, signature),
        Algorithm::Ps256 => rsa(&signature::RSA_PSS_2048_8192_SHA256, key, message, signature),
        Algorithm::Ps384 => rsa(&signature::RSA_PSS_2048_8192_SHA384, key, message, signature),
        Algorithm::Ps512 => rsa(&signature::RSA_PSS_2048_8192_SHA512, key, message, signature),
        Algorithm::Es256 => point(&signature::ECDSA_P256_SHA256_FIXED, 65, key, message, signature),
        Algorithm::Es384 => point(&signature::ECDSA_P384_SHA384_FIXED, 97, key, message, signature),
        // Not of the FIPS profile.
        Algorithm::EdDsa => {
            PROFILE == Profile::Standard && point(&signature::ED25519, 32, key, message, signature)
        }
    }
}

fn rsa(parameters: &'static RsaParameters, key: &VerificationKey, message: &[u8], signature: &[u8]) -> bool {
    let KeyMaterial::Rsa { modulus, exponent } = &key.material else { return false };
    PublicKeyComponents { n: modulus.as_ref(), e: exponent.as_ref() }
        .verify(parameters, message, signature)
        .is_ok()
}

fn point(
    algorithm: &'static dyn VerificationAlgorithm,
    bytes: usize,
    key: &VerificationKey,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let KeyMaterial::Point(point) = &key.material else { return false };
    point.len() == bytes
        && UnparsedPublicKey::new(algorithm, point.as_ref()).verify(message, signature).is_ok()
}

/// The SHA-256 digest of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (out, byte) in out.iter_mut().zip(digest::digest(&digest::SHA256, bytes).as_ref()) {
        *out = *byte;
    }
    out
}
