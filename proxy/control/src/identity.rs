//! The certificate of this proxy: asked for, kept, renewed before it ends.
//!
//! The key is made here. A renewal, and a trust bundle that the control plane pushes, swap the credentials in a watch
//! channel: open connections keep theirs, new ones use the new. Failures are tried again with growing pauses; what is valid stays in use meanwhile.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hauberk_model::identity::Identity;
use hauberk_model::lease::{Certificate, Event, Fetch, Lease, Moment};
use hauberk_model::random::Random;
use hauberk_observe::{Counter, CounterFamily, Gauge, Labels, Registry, families};
use hauberk_tls::{
    Credentials, CredentialsError, CredentialsWatch, Dialer, Keypair, KeypairError, PostQuantum,
    TrustAnchors, certificate_der,
};
use linkerd2_proxy_api::identity::identity_client::IdentityClient;
use linkerd2_proxy_api::identity::{CertifyRequest, CertifyResponse};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::causes::chain;
use crate::chance;
use crate::transport::{Resolver, Service, maintain};
use crate::trust::hex;

/// Longest wait for one certificate, connection included.
const CERTIFY_WITHIN: Duration = Duration::from_secs(10);
/// How often the clock of the day is looked at: it may have been set.
const TICK_EVERY: Duration = Duration::from_secs(30);
/// Largest token file. A projected service account token has about 1 KiB.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// Bundles that could not be taken at once.
pub static TRUST_BUNDLES_POSTPONED_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_trust_bundles_postponed_total",
    help: "Pushed trust bundles under which this proxy's certificate did not hold when they came.",
};

/// Settings of the identity client.
#[derive(Clone)]
pub struct Config {
    /// Who we are.
    pub identity: Identity,
    /// What every chain must end in, until the control plane pushes another bundle.
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

/// What a certificate is kept with and for.
pub struct Ends {
    /// Where credentials are published.
    pub publish: watch::Sender<Option<Arc<Credentials>>>,
    /// How the identity service is dialled without a certificate: with the bundle in force.
    pub anonymous: watch::Sender<Dialer>,
    /// What the control plane wants.
    pub wishes: Wishes,
    /// Where it is told of.
    pub registry: Registry,
}

/// Wishes of the control plane.
pub struct Wishes {
    /// The trust bundle that it pushed last.
    pub bundle: watch::Receiver<Option<TrustAnchors>>,
    /// The time within which the certificate is to be renewed; each value is one wish.
    pub renewal: watch::Receiver<Duration>,
}

impl Wishes {
    async fn next(&mut self) -> Wish {
        let (bundle, renewal) = (&mut self.bundle, &mut self.renewal);
        tokio::select! {
            Ok(()) = bundle.changed() => bundle.borrow_and_update().clone().map_or(Wish::Nothing, Wish::Bundle),
            Ok(()) = renewal.changed() => Wish::Renewal(*renewal.borrow_and_update()),
            // Nobody wishes any more.
            else => std::future::pending().await,
        }
    }
}

enum Wish {
    Nothing,
    Bundle(TrustAnchors),
    Renewal(Duration),
}

/// Keeps credentials for as long as it runs. `service` is where [`CertifyRequest`]s go.
pub async fn keep(config: Config, request: Request, service: Service, resolver: Resolver, ends: Ends) {
    let meters = Meters::new(&ends.registry);
    let Ends { publish, anonymous, wishes, .. } = ends;
    let (lease, fetch) = Lease::begin();
    let random = chance::random();
    let mut keeper = Keeper { config, offered: None, lease, random, meters, publish, anonymous };
    let mut wishes = wishes;
    let mut fetch = Some(fetch);
    loop {
        let event = match fetch.take() {
            Some(fetch) => {
                keeper.pause(fetch.after, &mut wishes).await;
                keeper.renew(&request, &service, &resolver).await
            }
            None => {
                let due = keeper.lease.wakes_at().map(|at| at.saturating_duration_since(Instant::now()));
                tokio::select! {
                    () = sleep(due.unwrap_or(TICK_EVERY).min(TICK_EVERY)) => {}
                    wish = wishes.next() => keeper.obey(wish),
                }
                Event::Tick(now())
            }
        };
        fetch = keeper.hear(event);
    }
}

struct Keeper {
    config: Config,
    /// A bundle that was pushed and under which our certificate is nothing: taken with the next one that is something
    /// under it. Until then the bundle before stays in force, for without a certificate nobody would speak to us.
    offered: Option<TrustAnchors>,
    lease: Lease<Arc<Credentials>>,
    random: Random,
    meters: Meters,
    publish: watch::Sender<Option<Arc<Credentials>>>,
    anonymous: watch::Sender<Dialer>,
}

impl Keeper {
    fn hear(&mut self, event: Event<Arc<Credentials>>) -> Option<Fetch> {
        let lease = std::mem::replace(&mut self.lease, Lease::begin().0);
        let (lease, fetch) = lease.on(event, &mut self.random);
        self.lease = lease;
        self.serve();
        fetch
    }

    /// Publishes what the lease says may be served with, if it changed.
    fn serve(&self) {
        let usable = self.lease.usable(Instant::now()).map(|certificate| Arc::clone(&certificate.material));
        self.publish.send_if_modified(|published| {
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

    /// A pause between fetches, during which a certificate that ends is taken back and wishes are heard.
    async fn pause(&mut self, pause: Duration, wishes: &mut Wishes) {
        let until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = sleep(left.min(Duration::from_secs(1))) => {}
                wish = wishes.next() => self.obey(wish),
            }
            self.serve();
        }
    }

    fn obey(&mut self, wish: Wish) {
        match wish {
            Wish::Nothing => {}
            Wish::Bundle(anchors) => self.trust(anchors),
            Wish::Renewal(within) => {
                let within = within.mul_f64(self.random.unit());
                log::info!(in_ms = within.as_millis() as u64; "the certificate is to be renewed");
                self.lease.expedite(within, now());
            }
        }
    }

    /// Takes a bundle at once if our own certificate holds under it, else with the next certificate that does.
    fn trust(&mut self, anchors: TrustAnchors) {
        self.offered = None;
        if anchors.digest() == self.config.anchors.digest() {
            return;
        }
        match self.lease.held().map(|certificate| certificate.material.under(&anchors)) {
            Some(Ok(credentials)) => {
                self.lease.swap(Arc::new(credentials));
                self.take(anchors);
            }
            Some(Err(error)) => {
                self.meters.postponed.inc();
                log::warn!(error:% = chain(&error); "the new trust bundle waits for a certificate that holds under it");
                self.offered = Some(anchors);
                self.lease.expedite(Duration::ZERO, now());
            }
            None => self.offered = Some(anchors),
        }
    }

    fn take(&mut self, anchors: TrustAnchors) {
        match Dialer::anonymous(&anchors, self.config.post_quantum) {
            Ok(dialer) => drop(self.anonymous.send_replace(dialer)),
            Err(error) => {
                log::error!(error:% = chain(&error); "the identity service is dialled with old anchors")
            }
        }
        log::info!(sha256:% = hex(anchors.digest()); "new trust bundle in force");
        self.config.anchors = anchors;
        self.offered = None;
    }

    async fn renew(
        &mut self,
        request: &Request,
        service: &Service,
        resolver: &Resolver,
    ) -> Event<Arc<Credentials>> {
        let anchors = [self.offered.clone(), Some(self.config.anchors.clone())];
        let trusted: Vec<TrustAnchors> = anchors.into_iter().flatten().collect();
        match certify(&self.config, &trusted, request, service, resolver, &mut self.random).await {
            Ok(certificate) => {
                self.meters.refreshed(&certificate.material);
                let taken = certificate.material.anchors();
                if taken.digest() != self.config.anchors.digest() {
                    self.take(taken.clone());
                }
                let renew = certificate.renew_at().saturating_duration_since(Instant::now());
                log::info!(identity:% = self.config.identity, renew_s = renew.as_secs(); "certified");
                Event::Issued(certificate)
            }
            Err(error) => {
                self.meters.failed.inc();
                log::warn!(
                    identity:% = self.config.identity, error:% = chain(&error);
                    "certificate request failed"
                );
                Event::Refused
            }
        }
    }
}

fn now() -> Moment {
    Moment { instant: Instant::now(), wall: SystemTime::now() }
}

/// Asks once. The certificate is held against each of `trusted` in turn.
async fn certify(
    config: &Config,
    trusted: &[TrustAnchors],
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
        credentials(config, trusted, &request.keypair, &answer)
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
    trusted: &[TrustAnchors],
    keypair: &Keypair,
    answer: &CertifyResponse,
) -> Result<Credentials, CertifyError> {
    let not_after = answer
        .valid_until
        .and_then(|until| SystemTime::try_from(until).ok())
        .filter(|until| *until > SystemTime::now())
        .ok_or(CertifyError::Validity)?;
    let under = |anchors: &TrustAnchors| {
        Credentials::new(
            anchors,
            config.identity.clone(),
            keypair,
            certificate_der(answer.leaf_certificate.clone()),
            answer.intermediate_certificates.iter().cloned().map(certificate_der).collect(),
            not_after,
            config.post_quantum,
        )
    };
    let mut refused = CredentialsError::Chain("there is no trust bundle".into());
    for anchors in trusted {
        match under(anchors) {
            Ok(credentials) => return Ok(credentials),
            Err(error) => refused = error,
        }
    }
    Err(refused.into())
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
    postponed: Counter,
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
            postponed: registry.counter(&TRUST_BUNDLES_POSTPONED_TOTAL, Labels::new()),
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
