//! A certificate authority for tests.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hauberk_model::identity::Identity;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use rustls::sign::CertifiedKey;

use crate::{Credentials, CredentialsError, Keypair, PostQuantum, TrustAnchors};

pub(crate) struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).expect("root").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn pem(&self) -> String {
        self.pem.clone()
    }

    pub(crate) fn anchors(&self) -> TrustAnchors {
        TrustAnchors::from_pem(self.pem.as_bytes()).expect("anchors")
    }

    /// A leaf for `identity`; `expired` ones ended in 2001.
    pub(crate) fn leaf(&self, keypair: &Keypair, identity: &str, expired: bool) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("params");
        params.subject_alt_names = vec![if identity.starts_with("spiffe://") {
            rcgen::SanType::URI(identity.try_into().expect("ia5"))
        } else {
            rcgen::SanType::DnsName(identity.try_into().expect("ia5"))
        }];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        if expired {
            params.not_before = rcgen::date_time_ymd(2000, 1, 1);
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        }
        params.signed_by(keypair, &self.issuer).expect("leaf").der().to_vec()
    }

    pub(crate) fn credentials(&self, identity: &str, mode: PostQuantum) -> Credentials {
        self.try_credentials(identity, identity, false, mode).expect("credentials")
    }

    pub(crate) fn try_credentials(
        &self,
        identity: &str,
        certified: &str,
        expired: bool,
        mode: PostQuantum,
    ) -> Result<Credentials, CredentialsError> {
        let keypair = Keypair::generate().expect("key");
        let leaf = self.leaf(&keypair, certified, expired);
        let not_after = SystemTime::now() + Duration::from_secs(3600);
        let identity = Identity::parse(identity).expect("identity");
        Credentials::new(&self.anchors(), identity, &keypair, leaf, Vec::new(), not_after, mode)
    }

    /// Credentials whose certificate ended in 2001, as only a broken peer would use them.
    pub(crate) fn expired(&self, identity: &str) -> Credentials {
        let keypair = Keypair::generate().expect("key");
        let leaf = self.leaf(&keypair, identity, true);
        let certified = Arc::new(CertifiedKey::new(vec![leaf.into()], keypair.signing_key()));
        let identity = Identity::parse(identity).expect("identity");
        Credentials::assemble(&self.anchors(), identity, certified, SystemTime::now(), PostQuantum::Prefer)
            .expect("credentials")
    }
}
