//! What this proxy proves itself with, and what it can dial without proof.

use std::sync::Arc;
use std::time::SystemTime;

use hauberk_model::identity::Identity;
use rustls::client::Resumption;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::sync::watch;
use webpki::EndEntityCert;

use crate::anchors::TrustAnchors;
use crate::keypair::Keypair;
use crate::provider::{self, PROFILE, PostQuantum, Profile, SIGNATURE_ALGORITHMS};
use crate::verify::{self, ServerIs};

/// The transport protocol of INTERFACE §5.2, as it is named in ALPN.
pub const ALPN_TRANSPORT: &[u8] = b"transport.l5d.io/v1";
/// HTTP/2 in ALPN (RFC 9113 §3.2).
pub const ALPN_H2: &[u8] = b"h2";

/// Most certificates between leaf and anchor.
const INTERMEDIATES_MAX: usize = 8;

/// The current credentials, published by the control thread. `None` until the first certificate.
pub type CredentialsWatch = watch::Receiver<Option<Arc<Credentials>>>;

/// A certified key, checked when made: the chain is good, it is ours and it is for our identity.
#[derive(Debug)]
pub struct Credentials {
    identity: Identity,
    not_after: SystemTime,
    certified: Arc<CertifiedKey>,
    mode: PostQuantum,
    server: Arc<ServerConfig>,
    client: Dialer,
}

/// How to dial: the anchors that a server must chain to, and our certificate if there is one.
#[derive(Clone, Debug)]
pub struct Dialer {
    config: Arc<ClientConfig>,
    anchors: TrustAnchors,
}

/// Why a certificate was refused.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The certificate does not chain to the anchors, is not valid now or may not be used by clients and servers.
    #[error("the certificate is not valid: {0}")]
    Chain(String),
    /// It is for someone else.
    #[error("the certificate is not for {0}")]
    Identity(Identity),
    /// It is for another key.
    #[error("the certificate is not for our key")]
    Key,
    /// More than [`INTERMEDIATES_MAX`] intermediates.
    #[error("{0} intermediate certificates are too many")]
    TooLong(usize),
    /// A build of the FIPS profile has a configuration with a part that is not approved.
    #[error("the TLS configuration is not approved")]
    NotApproved,
    /// The library refused the configuration.
    #[error("TLS cannot be configured")]
    Configuration(#[source] rustls::Error),
}

/// The DER of a certificate that is given as DER, as Linkerd's identity service does, or as PEM, as its API says.
///
/// Bytes that are neither are returned as they are; [`Credentials::new`] refuses them.
#[must_use]
pub fn certificate_der(given: Vec<u8>) -> Vec<u8> {
    match CertificateDer::from_pem_slice(&given) {
        Ok(certificate) => certificate.to_vec(),
        Err(_) => given,
    }
}

impl Credentials {
    /// Checks a certificate and makes it ready for use.
    ///
    /// # Errors
    /// [`CredentialsError`] says why it was refused; the caller keeps what it had.
    pub fn new(
        anchors: &TrustAnchors,
        identity: Identity,
        keypair: &Keypair,
        leaf: Vec<u8>,
        intermediates: Vec<Vec<u8>>,
        not_after: SystemTime,
        mode: PostQuantum,
    ) -> Result<Self, CredentialsError> {
        if intermediates.len() > INTERMEDIATES_MAX {
            return Err(CredentialsError::TooLong(intermediates.len()));
        }
        let leaf = CertificateDer::from(leaf);
        let intermediates: Vec<_> = intermediates.into_iter().map(CertificateDer::from).collect();
        check_chain(&leaf, &intermediates, anchors)?;
        if !verify::names(&leaf).contains(&identity) {
            return Err(CredentialsError::Identity(identity));
        }
        let chain = std::iter::once(leaf).chain(intermediates).collect();
        let certified = CertifiedKey::new(chain, keypair.signing_key());
        certified.keys_match().map_err(|_| CredentialsError::Key)?;
        Self::assemble(anchors, identity, Arc::new(certified), not_after, mode)
    }

    /// The same certificate with another trust bundle, which it must chain to as well: what is trusted changes while
    /// connections stay open.
    ///
    /// # Errors
    /// [`CredentialsError::Chain`] if the certificate is nothing under the bundle.
    pub fn under(&self, anchors: &TrustAnchors) -> Result<Self, CredentialsError> {
        let no_leaf = || CredentialsError::Chain("there is none".into());
        let (leaf, intermediates) = self.certified.cert.split_first().ok_or_else(no_leaf)?;
        check_chain(leaf, intermediates, anchors)?;
        let certified = Arc::clone(&self.certified);
        Self::assemble(anchors, self.identity.clone(), certified, self.not_after, self.mode)
    }

    /// Without any check of the certificate: [`Self::new`] is the way in.
    pub(crate) fn assemble(
        anchors: &TrustAnchors,
        identity: Identity,
        certified: Arc<CertifiedKey>,
        not_after: SystemTime,
        mode: PostQuantum,
    ) -> Result<Self, CredentialsError> {
        Ok(Self {
            identity,
            not_after,
            server: Arc::new(server_config(anchors, Arc::clone(&certified), mode)?),
            client: Dialer {
                config: Arc::new(client_config(anchors, Some(Arc::clone(&certified)), mode)?),
                anchors: anchors.clone(),
            },
            certified,
            mode,
        })
    }

    /// Our identity, as the certificate proves it.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The end of the certificate.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// What peers are held against.
    #[must_use]
    pub const fn anchors(&self) -> &TrustAnchors {
        &self.client.anchors
    }

    /// The certificate in DER, then what lies between it and an anchor.
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.certified.cert.iter().map(AsRef::as_ref)
    }

    /// Signs `message` with the certificate's key. `None` if the module fails.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let signer = self.certified.key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256])?;
        signer.sign(message).ok()
    }

    /// How to dial with this certificate.
    #[must_use]
    pub fn dialer(&self) -> &Dialer {
        &self.client
    }

    pub(crate) fn server(&self) -> &Arc<ServerConfig> {
        &self.server
    }
}

impl Dialer {
    /// Dials without a certificate of our own: for the identity service, before there is one.
    ///
    /// # Errors
    /// [`CredentialsError::Configuration`] if the library refuses it.
    pub fn anonymous(anchors: &TrustAnchors, mode: PostQuantum) -> Result<Self, CredentialsError> {
        Ok(Self { config: Arc::new(client_config(anchors, None, mode)?), anchors: anchors.clone() })
    }

    /// The configuration for one connection: rustls binds the verifier, and with it the expected identity, to it.
    pub(crate) fn config_for(&self, expected: Identity, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.config);
        let roots = Arc::clone(self.anchors.roots());
        config.dangerous().set_certificate_verifier(Arc::new(ServerIs { expected, roots }));
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }
}

fn check_chain(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    anchors: &TrustAnchors,
) -> Result<(), CredentialsError> {
    let parsed = EndEntityCert::try_from(leaf).map_err(|error| CredentialsError::Chain(error.to_string()))?;
    for usage in [webpki::KeyUsage::server_auth(), webpki::KeyUsage::client_auth()] {
        parsed
            .verify_for_usage(
                SIGNATURE_ALGORITHMS.all,
                &anchors.roots().roots,
                intermediates,
                UnixTime::now(),
                usage,
                None,
                None,
            )
            .map_err(|error| CredentialsError::Chain(error.to_string()))?;
    }
    Ok(())
}

fn server_config(
    anchors: &TrustAnchors,
    certified: Arc<CertifiedKey>,
    mode: PostQuantum,
) -> Result<ServerConfig, CredentialsError> {
    let provider = provider::provider(mode);
    // A client without a certificate is let in as unauthenticated; what it may do is policy.
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(anchors.roots()), Arc::clone(&provider))
            .clear_root_hint_subjects()
            .allow_unauthenticated()
            .build()
            .map_err(|error| CredentialsError::Configuration(rustls::Error::General(error.to_string())))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(CredentialsError::Configuration)?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    // A resumed session would outlive rotation and revocation, so there are none (PROXY.md §3.4).
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.alpn_protocols = vec![ALPN_TRANSPORT.to_vec(), ALPN_H2.to_vec()];
    approved(config.fips())?;
    Ok(config)
}

fn client_config(
    anchors: &TrustAnchors,
    certified: Option<Arc<CertifiedKey>>,
    mode: PostQuantum,
) -> Result<ClientConfig, CredentialsError> {
    let builder = ClientConfig::builder_with_provider(provider::provider(mode))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(CredentialsError::Configuration)?
        .with_root_certificates(Arc::clone(anchors.roots()));
    let mut config = match certified {
        Some(certified) => {
            builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)))
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    approved(config.fips())?;
    Ok(config)
}

/// A build of the FIPS profile serves and dials with nothing that is not approved, whatever went wrong before.
const fn approved(is_fips: bool) -> Result<(), CredentialsError> {
    match (PROFILE, is_fips) {
        (Profile::Standard, _) | (Profile::Fips, true) => Ok(()),
        (Profile::Fips, false) => Err(CredentialsError::NotApproved),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Ca;

    const WEB: &str = "web.shop.serviceaccount.identity.linkerd.cluster.local";

    #[test]
    fn a_certificate_for_another_identity_is_refused() {
        let refused = Ca::new("root").try_credentials(WEB, "other.shop.local", false, PostQuantum::Prefer);
        assert!(matches!(refused, Err(CredentialsError::Identity(_))));
    }

    #[test]
    fn an_expired_certificate_is_refused() {
        let refused = Ca::new("root").try_credentials(WEB, WEB, true, PostQuantum::Prefer);
        assert!(matches!(refused, Err(CredentialsError::Chain(_))));
    }

    #[test]
    fn a_certificate_from_another_root_or_for_another_key_is_refused() {
        let (ours, theirs) = (Ca::new("ours"), Ca::new("theirs"));
        let (keypair, stranger) = (Keypair::generate().expect("key"), Keypair::generate().expect("key"));
        let make = |ca: &Ca, certified: &Keypair| {
            let identity = Identity::parse(WEB).expect("identity");
            let leaf = ca.leaf(certified, WEB, false);
            let end = SystemTime::now();
            Credentials::new(&ours.anchors(), identity, &keypair, leaf, vec![], end, PostQuantum::Prefer)
        };
        assert!(matches!(make(&theirs, &keypair), Err(CredentialsError::Chain(_))));
        assert!(matches!(make(&ours, &stranger), Err(CredentialsError::Key)));
        assert!(make(&ours, &keypair).is_ok());
    }

    #[test]
    fn a_bundle_is_taken_only_if_the_own_certificate_holds_under_it() {
        let (ours, theirs) = (Ca::new("ours"), Ca::new("theirs"));
        let credentials = ours.credentials(WEB, PostQuantum::Prefer);
        let both = format!("{}{}", ours.pem(), theirs.pem());
        let both = TrustAnchors::from_pem(both.as_bytes()).expect("anchors");
        let under = credentials.under(&both).expect("it holds under both");
        assert_eq!(under.anchors().digest(), both.digest());
        assert!(under.chain().eq(credentials.chain()), "the certificate is the same");
        assert!(matches!(credentials.under(&theirs.anchors()), Err(CredentialsError::Chain(_))));
    }
}
