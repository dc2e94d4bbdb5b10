//! The key of this proxy: ECDSA P-256, made here, never leaving the process.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use hauberk_model::identity::Identity;
use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DistinguishedName, DnType, PKCS_ECDSA_P256_SHA256, SanType};
use rustls::sign::{Signer, SigningKey, public_key_to_spki};
use rustls::{SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::{SubjectPublicKeyInfoDer, alg_id};

/// An ECDSA P-256 key. Clones share the key.
#[derive(Clone)]
pub struct Keypair(Arc<EcdsaKeyPair>);

/// Why a key or a request for a certificate cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum KeypairError {
    /// The random generator or the module failed.
    #[error("cannot generate a key")]
    Generate,
    /// The bytes are no PKCS#8 key on P-256.
    #[error("not a PKCS#8 key on P-256: {0}")]
    Pkcs8(String),
    /// The request for a certificate cannot be written.
    #[error("cannot write a certificate signing request")]
    Csr(#[source] rcgen::Error),
}

impl Keypair {
    /// Makes a fresh key.
    ///
    /// # Errors
    /// [`KeypairError::Generate`] if the random generator fails.
    pub fn generate() -> Result<Self, KeypairError> {
        let key =
            EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| KeypairError::Generate)?;
        Ok(Self(Arc::new(key)))
    }

    /// Reads a key in PKCS#8 DER.
    ///
    /// # Errors
    /// [`KeypairError::Pkcs8`] says what is wrong with it.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeypairError> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der)
            .map_err(|rejected| KeypairError::Pkcs8(rejected.to_string()))?;
        Ok(Self(Arc::new(key)))
    }

    /// A PKCS#10 request in DER, self-signed as proof of possession, whose only name is `identity`.
    ///
    /// # Errors
    /// [`KeypairError::Csr`] if the module fails.
    pub fn csr(&self, identity: &Identity) -> Result<Vec<u8>, KeypairError> {
        let name = Ia5String::try_from(identity.as_str()).map_err(KeypairError::Csr)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names =
            vec![if identity.is_uri() { SanType::URI(name) } else { SanType::DnsName(name) }];
        // X.520 bounds a common name at 64 characters; an issuer reads the alternative name in any case.
        if identity.as_str().len() <= 64 {
            params.distinguished_name.push(DnType::CommonName, identity.as_str());
        }
        let csr = params.serialize_request(self).map_err(KeypairError::Csr)?;
        Ok(csr.der().to_vec())
    }

    pub(crate) fn signing_key(&self) -> Arc<dyn SigningKey> {
        Arc::new(self.clone())
    }
}

impl fmt::Debug for Keypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keypair(P-256)")
    }
}

impl rcgen::PublicKeyData for Keypair {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Keypair {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        sign(&self.0, message).ok_or(rcgen::Error::RingUnspecified)
    }
}

impl SigningKey for Keypair {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::ECDSA_NISTP256_SHA256)
            .then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(public_key_to_spki(&alg_id::ECDSA_P256, self.0.public_key()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for Keypair {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        sign(&self.0, message).ok_or_else(|| rustls::Error::General("signing failed".into()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}

fn sign(key: &EcdsaKeyPair, message: &[u8]) -> Option<Vec<u8>> {
    key.sign(&SystemRandom::new(), message).ok().map(|signature| signature.as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_the_identity_and_nothing_of_the_key() {
        let keypair = Keypair::generate().expect("generates");
        let name = "web.shop.serviceaccount.identity.linkerd.cluster.local";
        let csr = keypair.csr(&Identity::parse(name).expect("identity")).expect("csr");
        assert!(csr.windows(name.len()).any(|part| part == name.as_bytes()));
        assert_eq!(format!("{keypair:?}"), "Keypair(P-256)");
    }

    #[test]
    fn only_keys_on_p256_are_read() {
        assert!(Keypair::from_pkcs8(b"nonsense").is_err());
        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("generates");
        assert!(Keypair::from_pkcs8(p384.serialized_der()).is_err());
        let p256 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("generates");
        assert!(Keypair::from_pkcs8(p256.serialized_der()).is_ok());
    }
}
