//! The certificate of this proxy: asked for, kept, renewed before it ends.
//!
//! The key is made here. A renewal swaps the credentials in a watch channel: open connections keep theirs, new ones
//! use the new. Failures are tried again with growing pauses; what is valid stays in use meanwhile.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hauberk_model::backoff::{Attempts, CONTROL_STREAM};
use hauberk_model::identity::Identity;
use hauberk_observe::{Counter, Gauge, Labels, Registry, families};
use hauberk_tls::{
    Credentials, CredentialsError, CredentialsWatch, Keypair, KeypairError, PostQuantum, TrustAnchors,
    certificate_der,
};
use linkerd2_proxy_api::identity::identity_client::IdentityClient;
use linkerd2_proxy_api::identity::{CertifyRequest, CertifyResponse};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::chance;
use crate::transport::{Resolver, Service, maintain};

/// Longest wait for one certificate, connection included.
const CERTIFY_WITHIN: Duration = Duration::from_secs(10);
/// Share of a certificate's life after which it is renewed, give or take [`RENEW_JITTER`].
const RENEW_AT: f64 = 0.7;
/// So that a fleet that started together does not renew together.
const RENEW_JITTER: f64 = 0.05;
/// Largest token file. A projected service account token has about 1 KiB.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// Settings of the identity client.
#[derive(Clone)]
pub struct Config {
    /// Who we are.
    pub identity: Identity,
    /// What every chain must end in.
    pub anchors: TrustAnchors,
    /// Where the proof for the identity service is read, each time anew.
    pub token_file: PathBuf,
    /// Where `key.p8` and `csr.der` are, if someone has made them (`IDENTITY_DIR`).
    pub dir: Option<PathBuf>,
    /// Soonest renewal.
    pub min_refresh: Duration,
    /// Latest renewal.
    pub max_refresh: Duration,
    /// Key exchange groups of the connections that use the certificate.
    pub post_quantum: PostQuantum,
}

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertifyError {
    /// The token cannot be read.
    #[error("cannot read the token {}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The identity service did not answer in time.
    #[error("the identity service did not answer within {CERTIFY_WITHIN:?}")]
    TimedOut,
    /// The identity service refused.
    #[error("the identity service refused")]
    Refused(#[from] tonic::Status),
    /// The answer holds no time until when it is valid, or one that has passed.
    #[error("the certificate has no time of validity ahead")]
    Validity,
    /// What it sent cannot be used.
    #[error("the certificate is not usable")]
    Unusable(#[from] CredentialsError),
}

/// A key and the request for a certificate for it.
pub struct Request {
    keypair: Keypair,
    csr: Vec<u8>,
}

impl Request {
    /// Takes `key.p8` and `csr.der` from `dir` if both are there, else makes a key that never leaves the process.
    ///
    /// # Errors
    /// [`KeypairError`] if the files hold something else, or no key can be made.
    pub fn prepare(identity: &Identity, dir: Option<&std::path::Path>) -> Result<Self, KeypairError> {
        let read = |name: &str| dir.and_then(|dir| std::fs::read(dir.join(name)).ok());
        if let (Some(key), Some(csr)) = (read("key.p8"), read("csr.der")) {
            return Ok(Self { keypair: Keypair::from_pkcs8(&key)?, csr });
        }
        let keypair = Keypair::generate()?;
        let csr = keypair.csr(identity)?;
        Ok(Self { keypair, csr })
    }
}

/// Keeps credentials for as long as it runs. `service` is where [`CertifyRequest`]s go.
pub async fn keep(
    config: Config,
    request: Request,
    service: Service,
    resolver: Resolver,
    publish: watch::Sender<Option<Arc<Credentials>>>,
    registry: Registry,
) {
    let meters = Meters::new(&registry);
    let mut random = chance::random();
    let mut attempts = Attempts::new(CONTROL_STREAM);
    loop {
        let wait = match certify(&config, &request, &service, &resolver).await {
            Ok(credentials) => {
                attempts.succeeded();
                meters.refreshed(&credentials);
                let left = credentials.not_after().duration_since(SystemTime::now()).unwrap_or_default();
                let wait = renew_after(left, config.min_refresh, config.max_refresh, random.unit());
                log::info!(identity:% = config.identity, valid_s = left.as_secs(), renew_s = wait.as_secs(); "certified");
                publish.send_replace(Some(Arc::new(credentials)));
                wait
            }
            Err(error) => {
                meters.failed.inc();
                let wait = attempts.failed(&mut random);
                let failures = attempts.failures();
                log::warn!(identity:% = config.identity, error:? , failures, next_try_ms = wait.as_millis() as u64; "certificate request failed");
                wait
            }
        };
        wait_or_expire(wait, &publish).await;
    }
}

/// Sleeps for `wait`; credentials that end meanwhile are taken back, so that nobody serves with them.
async fn wait_or_expire(wait: Duration, publish: &watch::Sender<Option<Arc<Credentials>>>) {
    let left = publish
        .borrow()
        .as_ref()
        .map(|current| current.not_after().duration_since(SystemTime::now()).unwrap_or_default());
    match left.filter(|left| *left < wait) {
        None => sleep(wait).await,
        Some(left) => {
            sleep(left).await;
            log::error!("the certificate has ended; no connection can be proven until it is renewed");
            publish.send_replace(None);
            sleep(wait.saturating_sub(left)).await;
        }
    }
}

async fn certify(
    config: &Config,
    request: &Request,
    service: &Service,
    resolver: &Resolver,
) -> Result<Credentials, CertifyError> {
    let stop = CancellationToken::new();
    let (channel, connection) = maintain(service.clone(), resolver.clone(), stop.clone());
    let call = async {
        let token = read_token(&config.token_file)?;
        let mut client = IdentityClient::with_origin(channel.clone(), channel.origin());
        let asked = CertifyRequest {
            identity: config.identity.to_string(),
            token,
            certificate_signing_request: request.csr.clone(),
        };
        let answer = timeout(CERTIFY_WITHIN, client.certify(asked)).await;
        let answer = answer.map_err(|_| CertifyError::TimedOut)??.into_inner();
        credentials(config, &request.keypair, answer)
    };
    // The connection lives for one call: an idle one would be kept for a day.
    let certified = tokio::select! {
        certified = call => certified,
        () = connection => Err(CertifyError::TimedOut),
    };
    stop.cancel();
    certified
}

fn credentials(
    config: &Config,
    keypair: &Keypair,
    answer: CertifyResponse,
) -> Result<Credentials, CertifyError> {
    let not_after = answer
        .valid_until
        .and_then(|until| SystemTime::try_from(until).ok())
        .filter(|until| *until > SystemTime::now())
        .ok_or(CertifyError::Validity)?;
    Ok(Credentials::new(
        &config.anchors,
        config.identity.clone(),
        keypair,
        certificate_der(answer.leaf_certificate),
        answer.intermediate_certificates.into_iter().map(certificate_der).collect(),
        not_after,
        config.post_quantum,
    )?)
}

fn read_token(path: &std::path::Path) -> Result<Vec<u8>, CertifyError> {
    use std::io::Read as _;
    let mut token = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_end(&mut token))
        .map_err(|source| CertifyError::Token { path: path.to_owned(), source })?;
    Ok(token)
}

/// When to renew a certificate with `left` to live: at about [`RENEW_AT`] of it, within the configured bounds, and
/// never after its end.
fn renew_after(left: Duration, min: Duration, max: Duration, chance: f64) -> Duration {
    let share = RENEW_AT - RENEW_JITTER + 2.0 * RENEW_JITTER * chance;
    let bounded = left.mul_f64(share).min(max).max(min);
    bounded.min(left.mul_f64(0.9))
}

struct Meters {
    expires: Gauge,
    refreshed_at: Gauge,
    succeeded: Counter,
    failed: Counter,
    count: Counter,
}

impl Meters {
    fn new(registry: &Registry) -> Self {
        let result = |result: &'static str| {
            registry.counter(&families::IDENTITY_CERT_REFRESHES_TOTAL, Labels::new().with("result", result))
        };
        Self {
            expires: registry.gauge(&families::IDENTITY_CERT_EXPIRATION_TIMESTAMP_SECONDS, Labels::new()),
            refreshed_at: registry.gauge(&families::IDENTITY_CERT_REFRESH_TIMESTAMP_SECONDS, Labels::new()),
            succeeded: result("success"),
            failed: result("failure"),
            count: registry.counter(&families::IDENTITY_CERT_REFRESH_COUNT, Labels::new()),
        }
    }

    fn refreshed(&self, credentials: &Credentials) {
        self.succeeded.inc();
        self.count.inc();
        self.expires.set(seconds(credentials.not_after()));
        self.refreshed_at.set(seconds(SystemTime::now()));
    }
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A channel for credentials, empty until the first certificate.
#[must_use]
pub fn channel() -> (watch::Sender<Option<Arc<Credentials>>>, CredentialsWatch) {
    watch::channel(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_renewal_is_due_at_about_seventy_percent_of_a_life(hours in 1_u64..1000, chance in 0.0..1.0) {
            let left = Duration::from_secs(hours * 3600);
            let after = renew_after(left, Duration::ZERO, Duration::MAX, chance);
            prop_assert!(after >= left.mul_f64(0.649) && after <= left.mul_f64(0.751));
        }

        #[test]
        fn a_renewal_never_waits_for_the_end(left in 0_u64..100_000, min in 0_u64..100_000, chance in 0.0..1.0) {
            let left = Duration::from_secs(left);
            let after = renew_after(left, Duration::from_secs(min), Duration::from_secs(86_400), chance);
            prop_assert!(after <= left);
        }
    }

    #[test]
    fn the_configured_bounds_hold() {
        let day = Duration::from_secs(86_400);
        let hour = Duration::from_secs(3_600);
        assert_eq!(renew_after(day, Duration::ZERO, hour, 0.5), hour);
        assert_eq!(renew_after(day, hour * 20, day, 0.5), hour * 20);
    }

    #[test]
    fn half_a_request_on_disk_is_ignored_and_a_broken_one_refused() {
        let identity = Identity::parse("web.shop.local").expect("identity");
        let dir = std::env::temp_dir().join(format!("hauberk-request-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("directory");
        std::fs::write(dir.join("csr.der"), b"request").expect("written");
        let made = Request::prepare(&identity, Some(&dir)).expect("made");
        assert_ne!(made.csr, b"request");
        std::fs::write(dir.join("key.p8"), b"nonsense").expect("written");
        assert!(Request::prepare(&identity, Some(&dir)).is_err());
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
