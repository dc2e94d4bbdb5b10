//! The certificates that every chain must end in.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::token::sha256;

/// Most anchors in a bundle. A rotation has two or three.
pub const ANCHORS_MAX: usize = 64;

/// A trust bundle that holds at least one anchor.
#[derive(Clone, Debug)]
pub struct TrustAnchors {
    roots: Arc<RootCertStore>,
    digest: [u8; 32],
}

/// Why a bundle is refused. One bad certificate refuses the whole, so that nobody believes it is trusted.
#[derive(Debug, thiserror::Error)]
pub enum AnchorsError {
    /// The text is not PEM.
    #[error("the trust bundle is not PEM: {0}")]
    Pem(String),
    /// There is none in it.
    #[error("the trust bundle holds no certificate")]
    Empty,
    /// More than [`ANCHORS_MAX`].
    #[error("the trust bundle holds {0} certificates, more than {ANCHORS_MAX}")]
    TooMany(usize),
    /// One of them cannot be used.
    #[error("certificate {index} of the trust bundle cannot be used")]
    Certificate {
        /// Counted from 0.
        index: usize,
        /// What is wrong with it.
        #[source]
        source: rustls::Error,
    },
}

impl TrustAnchors {
    /// Reads a bundle of PEM certificates.
    ///
    /// # Errors
    /// [`AnchorsError`] says which certificate is bad.
    pub fn from_pem(pem: &[u8]) -> Result<Self, AnchorsError> {
        let certificates = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| AnchorsError::Pem(error.to_string()))?;
        if certificates.is_empty() {
            return Err(AnchorsError::Empty);
        }
        if certificates.len() > ANCHORS_MAX {
            return Err(AnchorsError::TooMany(certificates.len()));
        }
        let mut fingerprints: Vec<[u8; 32]> = certificates.iter().map(|one| sha256(one)).collect();
        fingerprints.sort_unstable();
        fingerprints.dedup();
        let digest = sha256(fingerprints.as_flattened());
        let mut roots = RootCertStore::empty();
        for (index, certificate) in certificates.into_iter().enumerate() {
            roots.add(certificate).map_err(|source| AnchorsError::Certificate { index, source })?;
        }
        Ok(Self { roots: Arc::new(roots), digest })
    }

    /// Names the bundle: the SHA-256 digest of the anchors' own, in ascending order and each once. Equal trust has
    /// equal digests, however its text is written.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    pub(crate) fn roots(&self) -> &Arc<RootCertStore> {
        &self.roots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_named_by_what_it_trusts_and_not_by_its_text() {
        let (one, two) = (crate::testing::Ca::new("one").pem(), crate::testing::Ca::new("two").pem());
        let digest = |pem: String| *TrustAnchors::from_pem(pem.as_bytes()).expect("anchors").digest();
        assert_eq!(digest(format!("{one}{two}")), digest(format!("# roots\n{two}\n{one}{two}")));
        assert_ne!(digest(one.clone()), digest(format!("{one}{two}")));
    }

    #[test]
    fn an_empty_or_broken_bundle_is_refused_whole() {
        let good = crate::testing::Ca::new("root").pem();
        assert!(TrustAnchors::from_pem(good.as_bytes()).is_ok());
        assert!(matches!(TrustAnchors::from_pem(b""), Err(AnchorsError::Empty)));
        let broken = format!("{good}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        assert!(matches!(
            TrustAnchors::from_pem(broken.as_bytes()),
            Err(AnchorsError::Certificate { index: 1, .. })
        ));
    }
}
