//! One subscription: opened, followed, and opened again whenever it ends.

use std::future::Future;
use std::time::Duration;

use hauberk_model::backoff::{Attempts, CONTROL_STREAM};
use hauberk_model::outbound::Backoff;
use tokio::time::{Instant, sleep, timeout};
use tonic::codec::Streaming;
use tonic::{Code, Response, Status};

use crate::chance;
use crate::freshness::Freshness;
use crate::transport::Channel;

/// Pauses before asking again for what the control plane does not know: it may come to know it.
const ABSENT: Backoff = Backoff {
    min: Duration::from_secs(1),
    max: Duration::from_secs(60),
    jitter_ratio: 0.5,
    honour_retry_after: false,
};

/// A stream that lived this long did work: the pause after it is the first again.
const WORKED_AFTER: Duration = Duration::from_secs(10);

/// Limits of a stream (INTERFACE §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest wait for the first answer.
    pub initial: Duration,
    /// Longest silence between answers, after which the stream is opened again.
    pub idle: Duration,
    /// Longest life of a stream, give or take a tenth, so that load spreads over replicas that come later.
    pub lifetime: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(3),
            idle: Duration::from_secs(300),
            lifetime: Duration::from_secs(3600),
        }
    }
}

/// What a subscription hears.
#[derive(Debug)]
pub enum Heard<T> {
    /// An answer; the first one of a stream replaces what was known.
    Answer {
        /// Whether it is the first one of its stream.
        first: bool,
        /// The message.
        message: T,
    },
    /// The control plane knows of no such thing.
    Absent,
}

/// What becomes of a stream after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It goes on.
    On,
    /// What it says does not fit what it said before: it is dropped, and everything asked anew.
    Anew,
}

impl From<()> for Next {
    fn from((): ()) -> Self {
        Self::On
    }
}

/// Follows what `open` opens, for ever. Answers are given to `hear` one at a time.
pub async fn follow<T, Opening, After: Into<Next>>(
    what: &'static str,
    channel: &Channel,
    limits: Limits,
    freshness: &Freshness,
    mut open: impl FnMut() -> Opening,
    mut hear: impl FnMut(Heard<T>) -> After,
) where
    Opening: Future<Output = Result<Response<Streaming<T>>, Status>>,
{
    let mut random = chance::random();
    let (mut failures, mut absences) = (Attempts::new(CONTROL_STREAM), Attempts::new(ABSENT));
    while channel.connected().await {
        let began = Instant::now();
        let lifetime = limits.lifetime.mul_f64(0.9 + 0.2 * random.unit());
        let end = match timeout(limits.initial, open()).await {
            Ok(Ok(response)) => {
                let limits = Limits { lifetime, ..limits };
                read(response.into_inner(), limits, freshness, &mut hear).await
            }
            Ok(Err(status)) => End::of(status),
            Err(_) => End::Silent,
        };
        let pause = match end {
            // The answer stays confirmed: the next stream follows at once.
            End::Renew => {
                failures.succeeded();
                continue;
            }
            End::Absent => {
                let _: After = hear(Heard::Absent);
                freshness.confirm();
                absences.failed(&mut random)
            }
            End::Silent | End::Closed | End::Disproved | End::Failed(_) => {
                freshness.lose();
                if began.elapsed() > WORKED_AFTER {
                    failures.succeeded();
                    absences.succeeded();
                }
                failures.failed(&mut random)
            }
        };
        log::debug!(what, end:?, pause_ms = pause.as_millis() as u64; "control plane stream ended");
        sleep(pause).await;
    }
}

/// Why a stream ended.
#[derive(Debug)]
enum End {
    /// It was quiet or old, and is opened again.
    Renew,
    /// No first answer in time.
    Silent,
    /// The server ended it.
    Closed,
    /// There is no such target.
    Absent,
    /// What it said was not what the control plane meant.
    Disproved,
    /// It broke.
    #[expect(dead_code, reason = "read by its Debug output in the log")]
    Failed(Status),
}

impl End {
    #[expect(clippy::wildcard_enum_match_arm, reason = "every other code is a failure")]
    fn of(status: Status) -> Self {
        match status.code() {
            // INTERFACE §4: what Destination.Get and the policy services say of targets that they do not know.
            Code::NotFound | Code::InvalidArgument => Self::Absent,
            _ => Self::Failed(status),
        }
    }
}

async fn read<T, After: Into<Next>>(
    mut stream: Streaming<T>,
    limits: Limits,
    freshness: &Freshness,
    hear: &mut impl FnMut(Heard<T>) -> After,
) -> End {
    let end = Instant::now() + limits.lifetime;
    let mut first = true;
    loop {
        let silence = if first { limits.initial } else { limits.idle };
        let within = silence.min(end.saturating_duration_since(Instant::now()));
        match timeout(within, stream.message()).await {
            Ok(Ok(Some(message))) => {
                freshness.confirm();
                if hear(Heard::Answer { first, message }).into() == Next::Anew {
                    return End::Disproved;
                }
                first = false;
            }
            Ok(Ok(None)) => return End::Closed,
            Ok(Err(status)) => return End::of(status),
            Err(_) if first => return End::Silent,
            Err(_) => return End::Renew,
        }
    }
}
