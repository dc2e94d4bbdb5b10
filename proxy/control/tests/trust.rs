//! The trust bundle that a control plane pushes: taken, proven and followed by a certificate.

#![expect(clippy::expect_used, reason = "a test may fail where it stands")]

mod fake;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fake::{Call, ControlPlane, Step, say};
use hauberk_control::extension::proto;
use hauberk_control::identity::{self, Config, Ends, Request};
use hauberk_control::stream::Limits;
use hauberk_control::transport::{Authority, Meters, Resolver, Security, Service, maintain};
use hauberk_control::trust::Trust;
use hauberk_model::identity::Identity;
use hauberk_observe::Registry;
use hauberk_tls::{Credentials, CredentialsWatch, Dialer, PostQuantum, TrustAnchors};
use linkerd2_proxy_api::identity::{CertifyRequest, CertifyResponse};
use prost::Message as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const NAME: &str = "web.shop.serviceaccount.identity.linkerd.cluster.local";
const WORKLOAD: &str = r#"{"ns":"shop","pod":"web-0"}"#;
const SOON: Duration = Duration::from_secs(20);
const DAY: Duration = Duration::from_secs(86_400);

struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("root").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn certify(&self, request: &CertifyRequest) -> CertifyResponse {
        let der = request.certificate_signing_request.clone().into();
        let csr = CertificateSigningRequestParams::from_der(&der).expect("request");
        let mut params = CertificateParams::new(vec![NAME.to_owned()]).expect("name");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = params.signed_by(&csr.public_key, &self.issuer).expect("leaf");
        CertifyResponse {
            leaf_certificate: leaf.der().to_vec(),
            intermediate_certificates: vec![],
            valid_until: Some((SystemTime::now() + DAY).into()),
        }
    }
}

/// A proxy's identity client and its trust, and the control plane that both speak with.
struct Proxy {
    plane: ControlPlane,
    certify: mpsc::UnboundedReceiver<Call>,
    watch: mpsc::UnboundedReceiver<Call>,
    report: mpsc::UnboundedReceiver<Call>,
    credentials: CredentialsWatch,
    registry: Registry,
    tasks: Vec<JoinHandle<()>>,
}

impl Proxy {
    async fn start(test: &str, anchors: &Ca) -> Self {
        let plane = ControlPlane::start().await;
        let calls = |method: &str| plane.calls(method);
        let (certify, watch_calls, report) = (
            calls("/io.linkerd.proxy.identity.Identity/Certify"),
            calls("/hauberk.proxy.v1.Trust/Watch"),
            calls("/hauberk.proxy.v1.Trust/Report"),
        );
        let token_file = std::env::temp_dir().join(format!("hauberk-{test}-{}", std::process::id()));
        std::fs::write(&token_file, "proof").expect("token");
        let identity = Identity::parse(NAME).expect("identity");
        let anchors = TrustAnchors::from_pem(anchors.pem.as_bytes()).expect("anchors");
        let config = Config {
            identity: identity.clone(),
            anchors: anchors.clone(),
            token_file,
            dir: None,
            min_refresh: Duration::ZERO,
            max_refresh: Duration::MAX,
            post_quantum: PostQuantum::Prefer,
        };
        let service = |name| Service {
            name,
            authority: Authority::Address(plane.addr),
            security: Security::Plaintext,
            mark: None,
            meters: Meters::unseen(),
        };
        let (publish, credentials) = identity::channel();
        let registry = Registry::new(hauberk_observe::Limits::default());
        let resolver = Resolver::new("/nowhere".into(), None, None);
        let (trust, wishes) = Trust::new();
        let dialer = Dialer::anonymous(&anchors, PostQuantum::Prefer).expect("dialer");
        let ends = Ends { publish, anonymous: watch::channel(dialer).0, wishes, registry: registry.clone() };
        let request = Request::prepare(&identity, None).expect("request");
        let keeping = identity::keep(config, request, service("identity"), resolver.clone(), ends);
        let (channel, connection) = maintain(service("policy"), resolver, CancellationToken::new());
        let following =
            trust.follow(channel, WORKLOAD.into(), Limits::default(), credentials.clone(), registry.clone());
        let tasks = vec![tokio::spawn(keeping), tokio::spawn(connection), tokio::spawn(following)];
        Self { plane, certify, watch: watch_calls, report, credentials, registry, tasks }
    }

    /// Certifies the next request below `ca`.
    async fn certified(&mut self, ca: &Ca) {
        let call = next(&mut self.certify).await;
        let asked = CertifyRequest::decode(call.request).expect("request");
        call.steps.send(say(&ca.certify(&asked))).expect("sent");
        call.steps.send(Step::End(0)).expect("sent");
    }

    /// The next report of `bundle`, answered; those of other bundles are answered too.
    async fn reported(&mut self, bundle: &str, answer: proto::TrustReported) -> proto::TrustReport {
        let wanted = *anchors(bundle).digest();
        loop {
            let call = next(&mut self.report).await;
            let report = proto::TrustReport::decode(call.request).expect("report");
            let found = report.bundle == wanted;
            call.steps
                .send(say(&if found { answer } else { proto::TrustReported::default() }))
                .expect("sent");
            call.steps.send(Step::End(0)).expect("sent");
            if found {
                return report;
            }
        }
    }

    async fn trusting(&mut self, bundle: &str) -> Arc<Credentials> {
        let wanted = *anchors(bundle).digest();
        let under = |now: &Option<Arc<Credentials>>| {
            now.as_ref().is_some_and(|now| *now.anchors().digest() == wanted)
        };
        let found =
            timeout(SOON, self.credentials.wait_for(under)).await.expect("in time").expect("published");
        found.clone().expect("credentials")
    }

    async fn end(self) {
        for task in self.tasks {
            task.abort();
        }
        self.plane.kill().await;
    }
}

async fn next(calls: &mut mpsc::UnboundedReceiver<Call>) -> Call {
    timeout(SOON, calls.recv()).await.expect("in time").expect("call")
}

fn anchors(pem: &str) -> TrustAnchors {
    TrustAnchors::from_pem(pem.as_bytes()).expect("anchors")
}

fn bundle(pem: &str) -> Step {
    say(&proto::TrustBundle { anchors: pem.as_bytes().to_vec(), issuer: vec![] })
}

const KEEP: proto::TrustReported = proto::TrustReported { renew: false, renew_within_ms: 0, again_ms: 0 };

#[tokio::test]
async fn a_root_is_replaced_without_a_moment_in_which_the_own_certificate_holds_under_none() {
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let both = format!("{}{}", old.pem, new.pem);
    let mut proxy = Proxy::start("replaced", &old).await;
    let stream = next(&mut proxy.watch).await;
    assert_eq!(proto::TrustWatch::decode(stream.request.clone()).expect("question").workload, WORKLOAD);
    proxy.certified(&old).await;
    let first = proxy.trusting(&old.pem).await;

    // Both roots: the certificate is the same, and the report says so with its own key.
    stream.steps.send(bundle(&both)).expect("pushed");
    let report = proxy.reported(&both, KEEP).await;
    assert_eq!(report.workload, WORKLOAD);
    assert!(report.chain.iter().map(Vec::as_slice).eq(first.chain()));
    assert!(!report.signature.is_empty());

    // The issuer has changed: the certificate is renewed when the control plane asks for it, and that is reported.
    stream.steps.send(bundle(&both)).expect("pushed");
    let again = proto::TrustReported { again_ms: 100, ..KEEP };
    proxy.reported(&both, again).await;
    let renew = proto::TrustReported { renew: true, renew_within_ms: 100, again_ms: 0 };
    proxy.reported(&both, renew).await;
    proxy.certified(&new).await;
    let renewed = proxy.reported(&both, KEEP).await;
    assert_ne!(renewed.chain, report.chain);

    // The old root goes.
    stream.steps.send(bundle(&new.pem)).expect("pushed");
    proxy.reported(&new.pem, KEEP).await;
    proxy.trusting(&new.pem).await;
    let metrics = proxy.registry.render();
    assert_eq!(metrics.matches("hauberk_trust_bundle{sha256=").count(), 1, "{metrics}");
    proxy.end().await;
}

#[tokio::test]
async fn a_bundle_under_which_the_own_certificate_is_nothing_waits_for_one_that_is() {
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let mut proxy = Proxy::start("waits", &old).await;
    let stream = next(&mut proxy.watch).await;
    proxy.certified(&old).await;
    proxy.trusting(&old.pem).await;
    stream.steps.send(bundle(&new.pem)).expect("pushed");
    // A renewal under the old root changes nothing; one under the new root brings the bundle with it.
    proxy.certified(&old).await;
    proxy.reported(&old.pem, KEEP).await;
    proxy.trusting(&old.pem).await;
    stream.steps.send(bundle("no bundle")).expect("pushed");
    stream.steps.send(bundle(&new.pem)).expect("pushed");
    proxy.certified(&new).await;
    proxy.trusting(&new.pem).await;
    let metrics = proxy.registry.render();
    assert!(metrics.contains("hauberk_trust_bundles_postponed_total 2"), "{metrics}");
    assert!(metrics.contains("hauberk_trust_bundles_refused_total 1"), "{metrics}");
    proxy.end().await;
}

#[tokio::test]
async fn a_control_plane_that_knows_nothing_of_bundles_is_good_enough() {
    let ca = Ca::new("root");
    let mut proxy = Proxy::start("peer", &ca).await;
    next(&mut proxy.watch).await.steps.send(Step::End(12)).expect("refused");
    proxy.certified(&ca).await;
    proxy.trusting(&ca.pem).await;
    assert!(proxy.report.try_recv().is_err(), "nothing is reported to it");
    proxy.end().await;
}
