//! Signatures that are accepted on certificates and in handshakes. What we sign with ourselves is in `keypair`.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use rustls::SignatureScheme;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};

use super::profile::{PROFILE, Profile};

/// What is accepted. In TLS 1.3 the first algorithm of a scheme counts.
pub(crate) static SIGNATURE_ALGORITHMS: WebPkiSupportedAlgorithms = match PROFILE {
    Profile::Standard => EVERY,
    Profile::Fips => APPROVED,
};

/// ECDSA on P-256 and P-384, Ed25519 and RSA of 2048 to 8192 bits.
const EVERY: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        ECDSA_P256_SHA256,
        ECDSA_P256_SHA384,
        ECDSA_P384_SHA256,
        ECDSA_P384_SHA384,
        ED25519,
        RSA_PSS_SHA256,
        RSA_PSS_SHA384,
        RSA_PSS_SHA512,
        RSA_PKCS1_SHA256,
        RSA_PKCS1_SHA384,
        RSA_PKCS1_SHA512,
    ],
    mapping: &[
        (SignatureScheme::ECDSA_NISTP256_SHA256, &[ECDSA_P256_SHA256]),
        (SignatureScheme::ECDSA_NISTP384_SHA384, &[ECDSA_P384_SHA384]),
        (SignatureScheme::ED25519, &[ED25519]),
        (SignatureScheme::RSA_PSS_SHA256, &[RSA_PSS_SHA256]),
        (SignatureScheme::RSA_PSS_SHA384, &[RSA_PSS_SHA384]),
        (SignatureScheme::RSA_PSS_SHA512, &[RSA_PSS_SHA512]),
        (SignatureScheme::RSA_PKCS1_SHA256, &[RSA_PKCS1_SHA256]),
        (SignatureScheme::RSA_PKCS1_SHA384, &[RSA_PKCS1_SHA384]),
        (SignatureScheme::RSA_PKCS1_SHA512, &[RSA_PKCS1_SHA512]),
    ],
};

/// The same without Ed25519, which the profile leaves out (`crypto/algorithms.ts`, `FIPS_ALGORITHMS`).
const APPROVED: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        ECDSA_P256_SHA256,
        ECDSA_P256_SHA384,
        ECDSA_P384_SHA256,
        ECDSA_P384_SHA384,
        RSA_PSS_SHA256,
        RSA_PSS_SHA384,
        RSA_PSS_SHA512,
        RSA_PKCS1_SHA256,
        RSA_PKCS1_SHA384,
        RSA_PKCS1_SHA512,
    ],
    mapping: &[
        (SignatureScheme::ECDSA_NISTP256_SHA256, &[ECDSA_P256_SHA256]),
        (SignatureScheme::ECDSA_NISTP384_SHA384, &[ECDSA_P384_SHA384]),
        (SignatureScheme::RSA_PSS_SHA256, &[RSA_PSS_SHA256]),
        (SignatureScheme::RSA_PSS_SHA384, &[RSA_PSS_SHA384]),
        (SignatureScheme::RSA_PSS_SHA512, &[RSA_PSS_SHA512]),
        (SignatureScheme::RSA_PKCS1_SHA256, &[RSA_PKCS1_SHA256]),
        (SignatureScheme::RSA_PKCS1_SHA384, &[RSA_PKCS1_SHA384]),
        (SignatureScheme::RSA_PKCS1_SHA512, &[RSA_PKCS1_SHA512]),
    ],
};

static ECDSA_P256_SHA256: &dyn SignatureVerificationAlgorithm = &Verifier {
    key: alg_id::ECDSA_P256,
    signature: alg_id::ECDSA_SHA256,
    with: &signature::ECDSA_P256_SHA256_ASN1,
};
static ECDSA_P256_SHA384: &dyn SignatureVerificationAlgorithm = &Verifier {
    key: alg_id::ECDSA_P256,
    signature: alg_id::ECDSA_SHA384,
    with: &signature::ECDSA_P256_SHA384_ASN1,
};
static ECDSA_P384_SHA256: &dyn SignatureVerificationAlgorithm = &Verifier {
    key: alg_id::ECDSA_P384,
    signature: alg_id::ECDSA_SHA256,
    with: &signature::ECDSA_P384_SHA256_ASN1,
};
static ECDSA_P384_SHA384: &dyn SignatureVerificationAlgorithm = &Verifier {
    key: alg_id::ECDSA_P384,
    signature: alg_id::ECDSA_SHA384,
    with: &signature::ECDSA_P384_SHA384_ASN1,
};
static ED25519: &dyn SignatureVerificationAlgorithm =
    &Verifier { key: alg_id::ED25519, signature: alg_id::ED25519, with: &signature::ED25519 };
static RSA_PSS_SHA256: &dyn SignatureVerificationAlgorithm = &Verifier {
    key: alg_id::RSA_ENCRYPTION,
    signature: alg_id::RSA_PSS_SHA256,
    with: &signature::RSA_PSS_2048_8192_SHA256,
};
static RSA_PSS_SHA384: &dyn SignatureVerificationAlgorithm = &Verifier {
    key: alg_id::RSA_ENCRYPTION,
    signature: alg_id::RSA_PSS_SHA384,
    with: &signature::RSA_PSS_2048_8192_SHA384,
};
static RSA_PSS_SHA512: &dyn SignatureVerificationAlgorithm = &Verifier {
    key: alg_id::RSA_ENCRYPTION,
    signature: alg_id::RSA_PSS_SHA512,
    with: &signature::RSA_PSS_2048_8192_SHA512,
};
static RSA_PKCS1_SHA256: &dyn SignatureVerificationAlgorithm = &Verifier {
    key: alg_id::RSA_ENCRYPTION,
    signature: alg_id::RSA_PKCS1_SHA256,
    with: &signature::RSA_PKCS1_2048_8192_SHA256,
};
static RSA_PKCS1_SHA384: &dyn SignatureVerificationAlgorithm = &Verifier {
    key: alg_id::RSA_ENCRYPTION,
    signature: alg_id::RSA_PKCS1_SHA384,
    with: &signature::RSA_PKCS1_2048_8192_SHA384,
};
static RSA_PKCS1_SHA512: &dyn SignatureVerificationAlgorithm = &Verifier {
    key: alg_id::RSA_ENCRYPTION,
    signature: alg_id::RSA_PKCS1_SHA512,
    with: &signature::RSA_PKCS1_2048_8192_SHA512,
};

#[derive(Debug)]
struct Verifier {
    key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
    with: &'static dyn VerificationAlgorithm,
}

impl SignatureVerificationAlgorithm for Verifier {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let curve = matches!(self.key, alg_id::ECDSA_P256 | alg_id::ECDSA_P384);
        // Compressed and uncompressed points only, not the hybrid form (RFC 5480 §2.2).
        if curve && !matches!(key.first(), Some(2..=4)) {
            return Err(InvalidSignature);
        }
        UnparsedPublicKey::new(self.with, key).verify(message, signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }

    fn fips(&self) -> bool {
        // FIPS 186-5 approves every algorithm of this file.
        super::fips()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fips_profile_takes_ed25519_away_and_nothing_else() {
        let left: Vec<_> = EVERY.supported_schemes();
        let kept = APPROVED.supported_schemes();
        let gone: Vec<_> = left.iter().filter(|scheme| !kept.contains(scheme)).collect();
        assert_eq!(gone, [&SignatureScheme::ED25519]);
        assert_eq!(kept.len() + 1, left.len());
        assert!(!APPROVED.all.iter().any(|one| one.public_key_alg_id() == alg_id::ED25519));
        assert_eq!(APPROVED.all.len() + 1, EVERY.all.len());
    }
}
