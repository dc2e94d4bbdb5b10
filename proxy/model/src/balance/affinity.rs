//! Requests that belong to an endpoint: by a session, or by the hash of a key.

use std::sync::Arc;
use std::time::Instant;

use super::hash::{Ring, bound};
use super::{Balancer, EndpointKey, Wanted};
use crate::endpoint::Endpoint;
use crate::random::Random;

/// To which endpoint a request belongs, if it may have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Affinity {
    /// To none.
    #[default]
    None,
    /// To the one of its session.
    Endpoint(EndpointKey),
    /// To the one that the hash of its key leads to.
    Hash(u64),
}

/// Hashing of one destination's requests.
#[derive(Debug)]
pub(super) struct Hashing {
    load_percent: u32,
    ring: Ring,
}

impl Balancer {
    /// Has requests with a hash go by it; no endpoint gets more than `load_percent` of the mean.
    pub fn hash(&mut self, load_percent: u32) {
        self.hashing = Some(Hashing { load_percent, ring: Ring::default() });
        self.place();
    }

    /// The endpoints of the set.
    pub fn endpoints(&self) -> impl Iterator<Item = (EndpointKey, &Arc<Endpoint>)> {
        self.members().filter_map(|(at, member)| Some((self.key(u32::try_from(at).ok()?)?, &member.endpoint)))
    }

    /// Whether an endpoint is chosen from now.
    #[must_use]
    pub fn is_ready(&self, key: EndpointKey) -> bool {
        self.member(key).is_some_and(|member| member.health.is_ready() && member.endpoint.weight > 0)
    }

    /// Puts the endpoints on the ring.
    pub(super) fn place(&mut self) {
        let Some(Hashing { load_percent, .. }) = self.hashing else { return };
        let ring = Ring::new(self.members().filter_map(|(at, member)| {
            (member.endpoint.weight > 0).then_some((u32::try_from(at).ok()?, member.endpoint.addr))
        }));
        self.hashing = Some(Hashing { load_percent, ring });
    }

    /// The endpoint that the request belongs to. `None`: none, or it may not have the request.
    pub(super) fn belonging(
        &mut self,
        now: Instant,
        random: &mut Random,
        wanted: Wanted<'_>,
    ) -> Option<EndpointKey> {
        let key = match wanted.affinity {
            Affinity::None => return None,
            Affinity::Endpoint(key) => key,
            Affinity::Hash(hash) => self.hashed(hash, wanted)?,
        };
        let takes = self.is_ready(key) && self.allows(key.slot, wanted);
        (takes && !self.ejects_if_frozen(key.slot, now, random)).then_some(key)
    }

    fn hashed(&self, hash: u64, wanted: Wanted<'_>) -> Option<EndpointKey> {
        let Hashing { load_percent, ring } = self.hashing.as_ref()?;
        let bound = bound(*load_percent, self.pending, self.ready.len());
        let mut asked = ring.walk(hash).filter_map(|slot| self.key(slot));
        asked.find(|key| {
            let below = self.member(*key).is_some_and(|member| u64::from(member.pending) < bound);
            below && self.is_ready(*key) && self.allows(key.slot, wanted)
        })
    }
}
