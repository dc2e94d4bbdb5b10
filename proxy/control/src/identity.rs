//! The certificate of this proxy: asked for, kept, renewed before it ends.
//!
//! The key is made here. A renewal swaps the credentials in a watch channel: open connections keep theirs, new ones
//! use the new. Failures are tried again with growing pauses; what is valid stays in use meanwhile.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hauberk_model::identity::Identity;
use hauberk_model::lease::{Certificate, Event, Lease, Moment};
use hauberk_model::random::Random;
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

use crate::causes::chain;
use crate::chance;
use crate::transport::{Resolver, Service, maintain};

/// Longest wait for one certificate, connection included.
const CERTIFY_WITHIN: Duration = Duration::from_secs(10);
/// How often the clock of the day is looked at: it may have been set.
const TICK_EVERY: Duration = Duration::from_secs(30);
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
    let (mut lease, fetch) = Lease::begin();
    let mut fetch = Some(fetch);
    loop {
        let event = match fetch.take() {
            Some(fetch) => {
                sleep_serving(fetch.after, &lease, &publish).await;
                let certified = certify(&config, &request, &service, &resolver, &mut random).await;
                report(&config, &meters, certified)
            }
            None => {
                let due = lease.wakes_at().map(|at| at.saturating_duration_since(Instant::now()));
                sleep(due.unwrap_or(TICK_EVERY).min(TICK_EVERY)).await;
                Event::Tick(now())
            }
        };
        (lease, fetch) = lease.on(event, &mut random);
        serve(&lease, &publish);
    }
}

/// Publishes what the lease says may be served with, if it changed.
fn serve(lease: &Lease<Arc<Credentials>>, publish: &watch::Sender<Option<Arc<Credentials>>>) {
    let usable = lease.usable(Instant::now()).map(|certificate| Arc::clone(&certificate.material));
    publish.send_if_modified(|published| {
        let same = match (&*published, &usable) {
            (Some(published), Some(usable)) => Arc::ptr_eq(published, usable),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if published.is_some() && usable.is_none() {
            log::error!("the certificate has ended; no connection can be proven until it is renewed");
        }
        *published = usable;
        !same
    });
}

/// A pause between fetches, during which a certificate that ends is taken back.
async fn sleep_serving(
    pause: Duration,
    lease: &Lease<Arc<Credentials>>,
    publish: &watch::Sender<Option<Arc<Credentials>>>,
) {
    let until = Instant::now() + pause;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        sleep(left.min(Duration::from_secs(1))).await;
        serve(lease, publish);
    }
}

fn report(
    config: &Config,
    meters: &Meters,
    certified: Result<Certificate<Arc<Credentials>>, CertifyError>,
) -> Event<Arc<Credentials>> {
    match certified {
        Ok(certificate) => {
            meters.refreshed(&certificate.material);
            let renew = certificate.renew_at().saturating_duration_since(Instant::now());
            log::info!(identity:% = config.identity, renew_s = renew.as_secs(); "certified");
            Event::Issued(certificate)
        }
        Err(error) => {
            meters.failed.inc();
            log::warn!(identity:% = config.identity, error:% = chain(&error); "certificate request failed");
            Event::Refused
        }
    }
}

fn now() -> Moment {
    Moment { instant: Instant::now(), wall: SystemTime::now() }
}

async fn certify(
    config: &Config,
    request: &Request,
    service: &Service,
    resolver: &Resolver,
    random: &mut Random,
) -> Result<Certificate<Arc<Credentials>>, CertifyError> {
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
    let credentials = Arc::new(certified?);
    let (now, not_after) = (now(), credentials.not_after());
    let certificate =
        Certificate::issued(credentials, not_after, now, random).ok_or(CertifyError::Validity)?;
    Ok(certificate.renewed_within(config.min_refresh, config.max_refresh, now))
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
    use super::*;

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
