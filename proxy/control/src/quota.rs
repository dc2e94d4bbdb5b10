//! This proxy's shares of cluster-wide rate limits: reported on and leased again once in a period.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use hauberk_model::backoff::{Attempts, CONTROL_STREAM};
use hauberk_model::limits::Share;
use hauberk_observe::{GaugeFamily, Labels, Registry};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tonic::Status;

use crate::chance;
use crate::extension::{self, proto};
use crate::transport::Channel;

const LEASE: &str = "/hauberk.proxy.v1.Quota/Lease";

/// An answer takes no work; a control plane that is busier than this is asked again later.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The control plane says when to report again; what makes no sense is brought within these.
const PERIOD_MIN: Duration = Duration::from_millis(100);
const PERIOD_MAX: Duration = Duration::from_secs(60);

/// Demand is told over this time at least: the first request of a new limit is not a rate.
const DEMAND_OVER_MIN: Duration = Duration::from_millis(500);

/// Labels: `limit`.
pub static QUOTA_SHARE: GaugeFamily = GaugeFamily {
    name: "hauberk_quota_share",
    help: "Requests per second of a cluster-wide limit that this proxy may admit.",
};

/// Labels: `limit`.
pub static QUOTA_AGE_SECONDS: GaugeFamily = GaugeFamily {
    name: "hauberk_quota_age_seconds",
    help: "Time since the control plane last leased the share; the share stays in force however old it is.",
};

/// The shares in use, by the limit's key. One is forgotten when no policy speaks of it any more.
#[derive(Debug, Default)]
pub struct Quotas {
    shares: Mutex<HashMap<Arc<str>, Held>>,
    /// A limit came that was not there before.
    came: Notify,
}

#[derive(Debug)]
struct Held {
    share: Weak<Share>,
    /// What had been asked for at the last report, and when that was.
    reported: (u64, Instant),
    leased: Option<Instant>,
}

impl Quotas {
    /// The share of `key`; one that nobody has yet begins with `initial` thousandths of a request per second.
    pub(crate) fn share(&self, key: &str, initial: u64) -> Arc<Share> {
        let mut shares = self.lock();
        if let Some(share) = shares.get(key).and_then(|held| held.share.upgrade()) {
            return share;
        }
        let share = Arc::new(Share::new(Arc::from(key), initial));
        let held =
            Held { share: Arc::downgrade(&share), reported: (share.asked(), Instant::now()), leased: None };
        shares.insert(Arc::clone(share.key()), held);
        self.came.notify_one();
        share
    }

    /// What is asked of each limit, for a report; what nobody enforces any more is forgotten.
    fn demands(&self, now: Instant) -> Vec<proto::QuotaDemand> {
        let mut shares = self.lock();
        shares.retain(|_, held| held.share.strong_count() > 0);
        let demand = |held: &mut Held| {
            let share = held.share.upgrade()?;
            let (before, since) = std::mem::replace(&mut held.reported, (share.asked(), now));
            let asked = u128::from(held.reported.0.saturating_sub(before));
            let over = now.saturating_duration_since(since).max(DEMAND_OVER_MIN);
            Some(proto::QuotaDemand {
                key: share.key().to_string(),
                asked_milli_per_second: u64::try_from(asked * 1_000_000 / over.as_millis().max(1))
                    .unwrap_or(u64::MAX),
                held_milli_per_second: share.milli_per_second(),
            })
        };
        shares.values_mut().filter_map(demand).collect()
    }

    fn lease(&self, leases: Vec<proto::QuotaLease>, now: Instant) {
        let mut shares = self.lock();
        for lease in leases {
            let Some(held) = shares.get_mut(lease.key.as_str()) else { continue };
            if let Some(share) = held.share.upgrade() {
                share.lease(lease.milli_per_second);
                held.leased = Some(now);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Held>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the shares among the metrics.
    pub(crate) fn register(self: &Arc<Self>, registry: &Registry) {
        let shares = Arc::clone(self);
        registry.gauge_source(
            &QUOTA_SHARE,
            Box::new(move |put| {
                for (key, held) in shares.lock().iter() {
                    if let Some(share) = held.share.upgrade() {
                        let per_second = share.milli_per_second() as f64 / 1_000.0;
                        put(Labels::new().with("limit", Arc::clone(key)), per_second);
                    }
                }
            }),
        );
        let ages = Arc::clone(self);
        registry.gauge_source(
            &QUOTA_AGE_SECONDS,
            Box::new(move |put| {
                for (key, held) in ages.lock().iter() {
                    if let Some(leased) = held.leased.filter(|_| held.share.strong_count() > 0) {
                        put(Labels::new().with("limit", Arc::clone(key)), leased.elapsed().as_secs_f64());
                    }
                }
            }),
        );
    }
}

/// Reports and leases for ever. Idle while there is no cluster-wide limit; without the control plane all shares stay as
/// they are.
pub(crate) async fn follow(quotas: Arc<Quotas>, channel: Channel, workload: String) {
    let (mut attempts, mut random) = (Attempts::new(CONTROL_STREAM), chance::random());
    loop {
        if quotas.lock().is_empty() {
            quotas.came.notified().await;
        }
        if !channel.connected().await {
            return;
        }
        let demands = quotas.demands(Instant::now());
        if demands.is_empty() {
            continue;
        }
        let request = proto::LeaseRequest { workload: workload.clone(), demands };
        let asked =
            timeout(ANSWER_WITHIN, extension::unary(channel.clone(), channel.origin(), LEASE, request));
        let answer: Result<proto::LeaseResponse, Status> =
            asked.await.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")));
        let pause = match answer {
            Ok(answer) => {
                attempts.succeeded();
                quotas.lease(answer.leases, Instant::now());
                Duration::from_millis(answer.next_ms.into()).clamp(PERIOD_MIN, PERIOD_MAX)
            }
            Err(status) => {
                let pause = attempts.failed(&mut random);
                log::debug!(status:%, pause_ms = pause.as_millis() as u64; "shares of limits stay as they are");
                pause
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = quotas.came.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(key: &str, milli_per_second: u64) -> proto::QuotaLease {
        proto::QuotaLease { key: key.into(), milli_per_second, valid_ms: 5_000 }
    }

    #[test]
    fn demand_is_what_was_asked_since_the_last_report_admitted_or_not() {
        let quotas = Quotas::default();
        let share = quotas.share("prod/limit", 7_000);
        let start = Instant::now();
        quotas.demands(start);
        for _ in 0..30 {
            share.ask();
        }
        let demands = quotas.demands(start + Duration::from_secs(2));
        let [demand] = demands.as_slice() else { panic!("{demands:?}") };
        assert_eq!((demand.asked_milli_per_second, demand.held_milli_per_second), (15_000, 7_000));
        let demands = quotas.demands(start + Duration::from_secs(3));
        assert_eq!(demands.iter().map(|demand| demand.asked_milli_per_second).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn a_limit_has_one_share_while_a_policy_speaks_of_it_and_begins_anew_afterwards() {
        let quotas = Quotas::default();
        let share = quotas.share("prod/limit", 7_000);
        quotas.lease(vec![lease("prod/limit", 3_000), lease("prod/unknown", 1)], Instant::now());
        assert_eq!(quotas.share("prod/limit", 9_000).milli_per_second(), 3_000);
        drop(share);
        assert!(quotas.demands(Instant::now()).is_empty());
        assert_eq!(quotas.share("prod/limit", 9_000).milli_per_second(), 9_000);
    }
}
