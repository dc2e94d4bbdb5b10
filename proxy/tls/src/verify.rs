//! Who the peer is: the chain by webpki, the name as an identity and never as a host name.

use std::sync::Arc;

use hauberk_model::identity::Identity;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::EndEntityCert;

use crate::provider::SIGNATURE_ALGORITHMS;

/// Most names read from one certificate.
const NAMES_MAX: usize = 16;

/// A peer whose chain and possession of its key were checked in this handshake. Only this crate makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedPeer {
    identity: Identity,
    others: Vec<Identity>,
}

impl VerifiedPeer {
    /// Reads the names of a certificate that the handshake has verified. `None` if it has no name that is an identity.
    pub(crate) fn of_verified(leaf: &CertificateDer<'_>) -> Option<Self> {
        let mut names = names(leaf).into_iter();
        Some(Self { identity: names.next()?, others: names.collect() })
    }

    /// The identity: the first DNS-like name, else the first SPIFFE URI.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether the certificate proves `identity`, which may be any of its names.
    #[must_use]
    pub fn is(&self, identity: &Identity) -> bool {
        self.identity == *identity || self.others.contains(identity)
    }
}

/// The identities that a certificate names: DNS-like names first, then SPIFFE URIs. Wildcards and malformed names are no identities.
pub(crate) fn names(leaf: &CertificateDer<'_>) -> Vec<Identity> {
    let Ok(certificate) = EndEntityCert::try_from(leaf) else { return Vec::new() };
    let dns = certificate.valid_dns_names();
    let uris = certificate.valid_uri_names().filter(|uri| uri.starts_with("spiffe://"));
    dns.chain(uris).take(NAMES_MAX).filter_map(|name| Identity::parse(name).ok()).collect()
}

/// Accepts a server that chains to the anchors and proves exactly `expected`.
#[derive(Debug)]
pub(crate) struct ServerIs {
    pub(crate) expected: Identity,
    pub(crate) roots: Arc<RootCertStore>,
}

impl ServerCertVerifier for ServerIs {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(leaf)?;
        let algorithms = SIGNATURE_ALGORITHMS.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        if names(leaf).contains(&self.expected) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::NotValidForName))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &SIGNATURE_ALGORITHMS)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &SIGNATURE_ALGORITHMS)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SIGNATURE_ALGORITHMS.supported_schemes()
    }
}
