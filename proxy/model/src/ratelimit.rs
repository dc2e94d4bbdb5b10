//! Local rate limits of a port (`inbound.HttpLocalRateLimit`): token buckets, counted by each data thread.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::identity::Identity;
use crate::inbound::RateLimit;

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
}

/// The buckets of one policy. A new policy begins with full ones.
#[derive(Debug)]
pub struct RateLimiter {
    limit: Arc<RateLimit>,
    total: Option<Bucket>,
    /// One for each override; its clients share it, as in Linkerd.
    overrides: Vec<Bucket>,
    identities: HashMap<Identity, Bucket>,
    /// Clients without identity.
    anonymous: Option<Bucket>,
    /// Identities beyond [`IDENTITIES_MAX`].
    crowd: Option<Bucket>,
}

impl RateLimiter {
    /// Full buckets for a policy.
    #[must_use]
    pub fn new(limit: Arc<RateLimit>, now: Instant) -> Self {
        let full = |rate: Option<u32>| rate.filter(|rate| *rate > 0).map(|rate| Bucket::full(rate, now));
        // A limit of zero is absent on the wire; an override of zero is kept, to keep the index, and never limits.
        let overrides = limit.overrides.iter().map(|(_, rate)| Bucket::full(*rate, now)).collect();
        Self {
            total: full(limit.total),
            overrides,
            identities: HashMap::new(),
            anonymous: full(limit.per_identity),
            crowd: full(limit.per_identity),
            limit,
        }
    }

    /// The policy that is counted.
    #[must_use]
    pub const fn limit(&self) -> &Arc<RateLimit> {
        &self.limit
    }

    /// Counts a request, unless a limit refuses it; a refused request takes from no bucket, so that one client
    /// over its limit does not use up the total of the others.
    ///
    /// # Errors
    /// [`Limited`] names the limit.
    pub fn check(&mut self, client: Option<&Identity>, now: Instant) -> Result<(), Limited> {
        let overridden = client.and_then(|id| {
            self.limit.overrides.iter().position(|(clients, rate)| *rate > 0 && clients.contains(id))
        });
        let per_identity = self.limit.per_identity.filter(|rate| *rate > 0);
        if let Some(total) = &mut self.total
            && !total.has_token(now)
        {
            return Err(Limited::Total(total.rate));
        }
        let (own, refusal): (Option<&mut Bucket>, fn(u32) -> Limited) =
            match (overridden, client, per_identity) {
                (Some(index), _, _) => (self.overrides.get_mut(index), Limited::Override),
                (None, _, None) => (None, Limited::Identity),
                (None, None, Some(_)) => (self.anonymous.as_mut(), Limited::Identity),
                (None, Some(id), Some(rate)) => {
                    let own = bucket_of(&mut self.identities, &mut self.crowd, id, rate, now);
                    (own, Limited::Identity)
                }
            };
        if let Some(own) = own {
            if !own.has_token(now) {
                return Err(refusal(own.rate));
            }
            own.take();
        }
        if let Some(total) = &mut self.total {
            total.take();
        }
        Ok(())
    }
}

fn bucket_of<'b>(
    identities: &'b mut HashMap<Identity, Bucket>,
    crowd: &'b mut Option<Bucket>,
    id: &Identity,
    rate: u32,
    now: Instant,
) -> Option<&'b mut Bucket> {
    if !identities.contains_key(id) {
        if identities.len() >= IDENTITIES_MAX {
            // A full bucket remembers nothing.
            identities.retain(|_, bucket| !bucket.is_full(now));
        }
        if identities.len() >= IDENTITIES_MAX {
            return crowd.as_mut();
        }
        identities.insert(id.clone(), Bucket::full(rate, now));
    }
    identities.get_mut(id)
}

/// Tokens come evenly; one second's worth is kept.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    rate: u32,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn full(rate: u32, now: Instant) -> Self {
        Self { rate, tokens: f64::from(rate), at: now }
    }

    fn has_token(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.tokens >= 1.0
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.tokens >= f64::from(self.rate)
    }

    fn take(&mut self) {
        self.tokens -= 1.0;
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        let rate = f64::from(self.rate);
        self.tokens = (self.tokens + passed * rate).min(rate);
        self.at = now.max(self.at);
    }
}
