//! The identity client against an identity service that issues, refuses and errs.

#![expect(clippy::expect_used, reason = "a test may fail where it stands")]

mod fake;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fake::{ControlPlane, Step, say};
use hauberk_control::identity::{self, Config, Ends, Request};
use hauberk_control::transport::{Authority, Meters, Resolver, Security, Service};
use hauberk_control::trust::Trust;
use hauberk_model::identity::Identity;
use hauberk_observe::Registry;
use hauberk_tls::{Dialer, PostQuantum, TrustAnchors};
use linkerd2_proxy_api::identity::{CertifyRequest, CertifyResponse};
use prost::Message as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair,
};
use tokio::sync::watch;
use tokio::time::timeout;

const CERTIFY: &str = "/io.linkerd.proxy.identity.Identity/Certify";
const NAME: &str = "web.shop.serviceaccount.identity.linkerd.cluster.local";
const SOON: Duration = Duration::from_secs(20);

struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new() -> Self {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("root").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Certifies the key of a request for [`NAME`]; the request's own names are not looked at, as a CA must not.
    fn certify(&self, request: &CertifyRequest, life: Duration) -> CertifyResponse {
        let der = request.certificate_signing_request.clone().into();
        let csr = CertificateSigningRequestParams::from_der(&der).expect("request");
        let mut params = CertificateParams::new(vec![NAME.to_owned()]).expect("name");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = params.signed_by(&csr.public_key, &self.issuer).expect("leaf");
        CertifyResponse {
            leaf_certificate: leaf.der().to_vec(),
            intermediate_certificates: vec![],
            valid_until: Some((SystemTime::now() + life).into()),
        }
    }
}

#[tokio::test]
async fn a_certificate_is_asked_for_until_it_comes_and_renewed_before_it_ends() {
    let (plane, ca) = (ControlPlane::start().await, Ca::new());
    let mut calls = plane.calls(CERTIFY);
    let token_file = std::env::temp_dir().join(format!("hauberk-token-{}", std::process::id()));
    std::fs::write(&token_file, "proof").expect("token");
    let identity = Identity::parse(NAME).expect("identity");
    let config = Config {
        identity: identity.clone(),
        anchors: TrustAnchors::from_pem(ca.pem.as_bytes()).expect("anchors"),
        token_file: token_file.clone(),
        dir: None,
        min_refresh: Duration::ZERO,
        max_refresh: Duration::MAX,
        post_quantum: PostQuantum::Prefer,
    };
    let request = Request::prepare(&identity, None).expect("request");
    let service = Service {
        name: "identity",
        authority: Authority::Address(plane.addr),
        security: Security::Plaintext,
        mark: None,
        meters: Meters::unseen(),
    };
    let (publish, mut credentials) = identity::channel();
    let registry = Registry::new(hauberk_observe::Limits::default());
    let resolver = Resolver::new("/nowhere".into(), None, None);
    let (_trust, wishes) = Trust::new();
    let (anonymous, _dialer) =
        watch::channel(Dialer::anonymous(&config.anchors, PostQuantum::Prefer).expect("dialer"));
    let ends = Ends { publish, anonymous, wishes, registry: registry.clone() };
    let task = tokio::spawn(identity::keep(config, request, service, resolver, ends));

    // Refused once, then answered with the certificate of another authority, then certified.
    calls.recv().await.expect("call").steps.send(Step::End(7)).expect("sent");
    let call = calls.recv().await.expect("call");
    let asked = CertifyRequest::decode(call.request).expect("request");
    assert_eq!((asked.identity.as_str(), asked.token.as_slice()), (NAME, b"proof".as_slice()));
    call.steps.send(say(&Ca::new().certify(&asked, SOON))).expect("sent");
    call.steps.send(Step::End(0)).expect("sent");
    let call = calls.recv().await.expect("call");
    assert!(credentials.borrow().is_none(), "a certificate of another authority is not used");
    let asked = CertifyRequest::decode(call.request).expect("request");
    call.steps.send(say(&ca.certify(&asked, Duration::from_secs(2)))).expect("sent");
    call.steps.send(Step::End(0)).expect("sent");
    let certified = timeout(SOON, credentials.wait_for(Option::is_some)).await;
    let first = certified.expect("in time").expect("published").clone().expect("certified");
    assert_eq!(first.identity(), &identity);

    let call = timeout(SOON, calls.recv()).await.expect("renewed in time").expect("call");
    let asked = CertifyRequest::decode(call.request).expect("request");
    call.steps.send(say(&ca.certify(&asked, SOON * 100))).expect("sent");
    call.steps.send(Step::End(0)).expect("sent");
    let renewed = credentials.wait_for(|now| now.as_ref().is_some_and(|now| !Arc::ptr_eq(now, &first)));
    timeout(SOON, renewed).await.expect("in time").expect("published");
    let metrics = registry.render();
    assert!(metrics.contains("identity_cert_refreshes_total{result=\"success\"} 2"), "{metrics}");
    assert!(metrics.contains("identity_cert_refreshes_total{result=\"failure\"} 2"), "{metrics}");
    task.abort();
    plane.kill().await;
    std::fs::remove_file(token_file).expect("removed");
}
