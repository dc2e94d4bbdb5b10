//! Rate limits of a port: token buckets, counted by each data thread.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::identity::Identity;
use crate::limits::{HEADER_VALUES_MAX, HeaderRate, Rate, RateLimit, Total};
use crate::matching::RequestView;
use crate::metadata::Metadata;
use bucket::{Apart, Bucket};

mod bucket;

/// Most identities that are counted apart. An identity must be certified to get here, so that more than these is a
/// large mesh and not an attack; those beyond share one bucket. About 100 bytes each.
pub const IDENTITIES_MAX: usize = 1_024;

/// Which limit refused: the `scope` of `inbound_http_local_ratelimit_total`. 429, RESOURCE_EXHAUSTED.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Limited {
    /// Of all clients together.
    #[error("total rate limit exceeded: {0}rps")]
    Total(u32),
    /// Of the client's identity.
    #[error("per-identity rate limit exceeded: {0}rps")]
    Identity(u32),
    /// Of a named client.
    #[error("override rate limit exceeded: {0}rps")]
    Override(u32),
    /// Of a header's value.
    #[error("per-header rate limit exceeded: {0}rps")]
    Header(u32),
    /// Of all clients of all servers together.
    #[error("cluster rate limit exceeded: {0}rps")]
    Cluster(u32),
}

/// A refusal and the policy that it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The policy.
    pub by: Metadata,
    /// Its limit.
    pub limited: Limited,
    /// When one more request would be admitted, if no other came.
    pub wait: Duration,
}

/// A request, as limits see it.
#[derive(Debug)]
pub struct Asking<'a, V> {
    /// Who sends it, if that was proven.
    pub client: Option<&'a Identity>,
    /// The route that it matched.
    pub route: &'a Metadata,
    /// Its headers.
    pub view: &'a V,
}

/// The buckets of all limits of one port. A new policy begins with full ones.
#[derive(Debug)]
pub struct RateLimiter {
    limits: Arc<[RateLimit]>,
    limiters: Vec<Limiter>,
    hasher: RandomState,
}

impl RateLimiter {
    /// Full buckets for `limits`.
    #[must_use]
    pub fn new(limits: Arc<[RateLimit]>, now: Instant) -> Self {
        let limiters = limits.iter().map(|limit| Limiter::new(limit, now)).collect();
        Self { limits, limiters, hasher: RandomState::new() }
    }

    /// Counts a request, unless a limit refuses it; a refused request takes from no bucket, so that one client
    /// over its limit does not use up the total of the others.
    ///
    /// # Errors
    /// [`Refused`] names the limit.
    pub fn check<V: RequestView>(&mut self, asking: &Asking<'_, V>, now: Instant) -> Result<(), Refused> {
        let mut refused = None;
        let each = || self.limits.iter().zip(0..).filter(|(limit, _)| limit.speaks_of(asking.route));
        for (limit, index) in each() {
            let Some(limiter) = self.limiters.get_mut::<usize>(index) else { continue };
            let value = limiter.value(limit, asking.view, &self.hasher);
            if let Err((limited, wait)) = limiter.take(limit, asking.client, value, now) {
                refused = Some((index, Refused { by: limit.metadata.clone(), limited, wait }));
                break;
            }
        }
        let Some((by, refused)) = refused else { return Ok(()) };
        // Rarely more than one limit: what the others gave is given back.
        for (limit, index) in each().take_while(|(_, index)| *index < by) {
            let Some(limiter) = self.limiters.get_mut(index) else { continue };
            let value = limiter.value(limit, asking.view, &self.hasher);
            limiter.give_back(limit, asking.client, value, now);
        }
        Err(refused)
    }
}

impl RateLimit {
    fn speaks_of(&self, route: &Metadata) -> bool {
        self.route.as_ref().is_none_or(|own| own == route)
    }

    /// The override that names a client.
    fn override_of(&self, client: &Identity) -> Option<usize> {
        self.overrides.iter().position(|(clients, rate)| rate.per_second > 0 && clients.contains(client))
    }
}

/// The buckets of one policy.
#[derive(Debug)]
struct Limiter {
    total: Option<Bucket>,
    overrides: Vec<Bucket>,
    identities: Option<Apart<Option<Identity>>>,
    values: Option<Apart<u64>>,
}

/// The buckets that one request takes from, and what each says when it is empty.
type Taken<'b> = [Option<(&'b mut Bucket, Limited)>; 3];

impl Limiter {
    fn new(limit: &RateLimit, now: Instant) -> Self {
        let total = match &limit.total {
            Some(Total::Own(rate)) => some(*rate).map(|rate| Bucket::full(rate, now)),
            Some(Total::Leased { rate, share }) => Some(Bucket::leased(*rate, share.milli_per_second(), now)),
            None => None,
        };
        // An override of zero is kept, to keep the index, and never limits.
        let overrides = limit.overrides.iter().map(|(_, rate)| Bucket::full(*rate, now)).collect();
        let identities = limit.per_identity.and_then(some);
        let values = limit.header.as_ref().and_then(|header| {
            let max = header.values_max.min(HEADER_VALUES_MAX);
            some(header.rate).map(|rate| Apart::new(rate, max, now))
        });
        Self {
            total,
            overrides,
            identities: identities.map(|rate| Apart::new(rate, IDENTITIES_MAX, now)),
            values,
        }
    }

    /// The header's value, hashed: a value of any length costs the same to keep, and which values share a bucket cannot
    /// be foreseen. No header is a value of its own, and so are several lines of it.
    fn value(&self, limit: &RateLimit, view: &impl RequestView, hasher: &RandomState) -> u64 {
        let Some(HeaderRate { name, .. }) = limit.header.as_ref().filter(|_| self.values.is_some()) else {
            return 0;
        };
        let mut lines = view.header(name);
        match (lines.next(), lines.next()) {
            (None, _) => 0,
            (Some(value), None) => hasher.hash_one(value).max(2),
            // Which line the application reads is not ours to guess: they may not choose their bucket.
            (Some(_), Some(_)) => 1,
        }
    }

    fn take(
        &mut self,
        limit: &RateLimit,
        client: Option<&Identity>,
        value: u64,
        now: Instant,
    ) -> Result<(), (Limited, Duration)> {
        if let (Some(bucket), Some(Total::Leased { rate, share })) = (&mut self.total, &limit.total) {
            share.ask();
            bucket.follow(*rate, share.milli_per_second(), now);
        }
        let mut taken = self.buckets(limit, client, value, now);
        for (bucket, limited) in taken.iter_mut().flatten() {
            if !bucket.has_token(now) {
                return Err((*limited, bucket.wait()));
            }
        }
        taken.iter_mut().flatten().for_each(|(bucket, _)| bucket.take());
        Ok(())
    }

    fn give_back(&mut self, limit: &RateLimit, client: Option<&Identity>, value: u64, now: Instant) {
        let mut taken = self.buckets(limit, client, value, now);
        taken.iter_mut().flatten().for_each(|(bucket, _)| bucket.give_back());
    }

    fn buckets(
        &mut self,
        limit: &RateLimit,
        client: Option<&Identity>,
        value: u64,
        now: Instant,
    ) -> Taken<'_> {
        let total = self.total.as_mut().zip(match &limit.total {
            Some(Total::Own(rate)) => Some(Limited::Total(rate.per_second)),
            Some(Total::Leased { rate, .. }) => Some(Limited::Cluster(rate.per_second)),
            None => None,
        });
        let own = match client.and_then(|client| limit.override_of(client)) {
            Some(index) => {
                let rate = limit.overrides.get(index).map_or(0, |(_, rate)| rate.per_second);
                self.overrides.get_mut(index).map(|bucket| (bucket, Limited::Override(rate)))
            }
            None => self.identities.as_mut().map(|apart| {
                let rate = apart.rate().per_second;
                // Clients without identity are counted as one.
                (apart.bucket(&client.cloned(), now), Limited::Identity(rate))
            }),
        };
        let by_value = self.values.as_mut().map(|apart| {
            let rate = apart.rate().per_second;
            (apart.bucket(&value, now), Limited::Header(rate))
        });
        [total, own, by_value]
    }
}

/// A limit of zero is absent on the wire.
fn some(rate: Rate) -> Option<Rate> {
    (rate.per_second > 0).then_some(rate)
}
