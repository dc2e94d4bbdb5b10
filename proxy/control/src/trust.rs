//! The trust bundle that the control plane pushes, and this proxy's proof of what it trusts.
//!
//! A control plane that does not know the service leaves the bundle as the environment gave it.

use std::sync::Arc;
use std::time::Duration;

use hauberk_model::backoff::{Attempts, CONTROL_STREAM};
use hauberk_observe::{CounterFamily, GaugeFamily, Labels, Registry};
use hauberk_tls::{Credentials, CredentialsWatch, TrustAnchors};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

use crate::causes::chain;
use crate::chance;
use crate::extension::{self, Extended, proto};
use crate::freshness::Freshness;
use crate::identity::Wishes;
use crate::stream::{Heard, Limits, follow};
use crate::transport::Channel;

const WATCH: &str = "/hauberk.proxy.v1.Trust/Watch";
const REPORT: &str = "/hauberk.proxy.v1.Trust/Report";

/// What a report's signature begins with, so that it can stand for nothing else.
const REPORT_CONTEXT: &[u8] = b"hauberk trust report v1\n";

/// Largest message: [`hauberk_tls::ANCHORS_MAX`] certificates of a few kilobytes.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// A report takes two signatures to check.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Latest renewal that is wished for; the service says a few seconds.
const RENEWAL_MAX: Duration = Duration::from_secs(600);

/// Longest pause before the same is reported again.
const AGAIN_MAX: Duration = Duration::from_secs(600);

/// Labels: `sha256`.
pub static TRUST_BUNDLE: GaugeFamily = GaugeFamily {
    name: "hauberk_trust_bundle",
    help: "The trust bundle in force: 1 with its digest as it is told by hauberk trust status.",
};

/// Bundles that made no sense.
pub static TRUST_BUNDLES_REFUSED_TOTAL: CounterFamily = CounterFamily {
    name: "hauberk_trust_bundles_refused_total",
    help: "Pushed trust bundles that could not be read; the one before stays in force.",
};

/// Where the control plane's wishes go.
pub struct Trust {
    bundle: watch::Sender<Option<TrustAnchors>>,
    renewal: watch::Sender<Duration>,
}

impl Trust {
    /// The way from the control plane to [`crate::identity::keep`].
    #[must_use]
    pub fn new() -> (Self, Wishes) {
        let (bundle, pushed) = watch::channel(None);
        let (renewal, renewals) = watch::channel(Duration::ZERO);
        (Self { bundle, renewal }, Wishes { bundle: pushed, renewal: renewals })
    }

    /// Follows the bundle over `channel`, and reports each change of `credentials`, for ever.
    pub async fn follow(
        self,
        channel: Channel,
        workload: String,
        limits: Limits,
        credentials: CredentialsWatch,
        registry: Registry,
    ) {
        register(&registry, &credentials);
        let refused = registry.counter(&TRUST_BUNDLES_REFUSED_TOTAL, Labels::new());
        let (heard, reporting) = watch::channel(());
        let open = || {
            let question = proto::TrustWatch { workload: workload.clone() };
            let opening =
                extension::stream(channel.clone(), channel.origin(), WATCH, question, MESSAGE_BYTES_MAX);
            async { opening.await.map_err(unknown_is_absent) }
        };
        let (bundle, spoken) = (&self.bundle, &heard);
        let hear = move |answer: Heard<Extended<proto::TrustBundle, ()>>| {
            let Heard::Answer { message, .. } = answer else { return };
            match TrustAnchors::from_pem(&message.message.anchors) {
                Ok(anchors) => {
                    bundle.send_replace(Some(anchors));
                    spoken.send_replace(());
                }
                Err(error) => {
                    refused.inc();
                    log::error!(error:% = chain(&error); "the trust bundle that was pushed is not used");
                }
            }
        };
        // A bundle changes once in years: silence is no reason to ask again.
        let limits = Limits { idle: limits.lifetime, ..limits };
        let freshness = Freshness::default();
        tokio::join!(
            follow("trust", &channel, limits, &freshness, open, hear),
            self.report(&channel, &workload, credentials.clone(), reporting),
        );
    }

    /// Reports once the control plane has spoken, and after every change.
    async fn report(
        &self,
        channel: &Channel,
        workload: &str,
        mut credentials: CredentialsWatch,
        mut heard: watch::Receiver<()>,
    ) {
        let (mut attempts, mut random) = (Attempts::new(CONTROL_STREAM), chance::random());
        if heard.changed().await.is_err() {
            return;
        }
        loop {
            let mut again = None;
            let current = credentials.borrow_and_update().clone();
            if let Some(report) = current.and_then(|current| report_of(&current, workload)) {
                let asked = timeout(
                    ANSWER_WITHIN,
                    extension::unary(channel.clone(), channel.origin(), REPORT, report),
                );
                let answer: Result<proto::TrustReported, Status> =
                    asked.await.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")));
                match answer {
                    Ok(answer) => {
                        attempts.succeeded();
                        if answer.renew {
                            let within =
                                Duration::from_millis(answer.renew_within_ms.into()).min(RENEWAL_MAX);
                            self.renewal.send_replace(within);
                        }
                        let after = Duration::from_millis(answer.again_ms.into()).min(AGAIN_MAX);
                        again = (!after.is_zero()).then_some(after);
                    }
                    Err(status) => {
                        let pause = attempts.failed(&mut random);
                        log::debug!(status:%, pause_ms = pause.as_millis() as u64; "what is trusted is not reported");
                        sleep(pause).await;
                        continue;
                    }
                }
            }
            tokio::select! {
                () = sleep(again.unwrap_or_default()), if again.is_some() => {}
                changed = credentials.changed() => if changed.is_err() { return },
                changed = heard.changed() => if changed.is_err() { return },
            }
        }
    }
}

fn report_of(credentials: &Credentials, workload: &str) -> Option<proto::TrustReport> {
    let bundle = credentials.anchors().digest().to_vec();
    let signature = credentials.sign(&[REPORT_CONTEXT, &bundle, workload.as_bytes()].concat())?;
    let chain = credentials.chain().map(<[u8]>::to_vec).collect();
    Some(proto::TrustReport { workload: workload.to_owned(), bundle, chain, signature })
}

/// A control plane without the service is asked again as rarely as one that does not know the workload.
fn unknown_is_absent(status: Status) -> Status {
    if status.code() == Code::Unimplemented { Status::not_found(status.message()) } else { status }
}

fn register(registry: &Registry, credentials: &CredentialsWatch) {
    let credentials = credentials.clone();
    registry.gauge_source(
        &TRUST_BUNDLE,
        Box::new(move |put| {
            let current: Option<Arc<Credentials>> = credentials.borrow().clone();
            if let Some(current) = current {
                put(Labels::new().with("sha256", hex(current.anchors().digest())), 1.0);
            }
        }),
    );
}

/// A digest as it is read.
pub(crate) fn hex(digest: &[u8]) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
