//! Which backend of a route a request goes to.

use crate::outbound::{Backend, Distribution, RouteBackend};
use crate::random::Random;

/// Chooses a backend and its index; `ready` tells whether a backend has a ready endpoint.
///
/// A share of traffic goes only to backends that are ready; if none is, the choice is made among all, so
/// that the request waits there within that backend's fail-fast timeout. A weight of zero is never chosen.
/// `None`: the route has no backend (500, UNAVAILABLE or close).
pub fn choose<'d>(
    distribution: &'d Distribution,
    random: &mut Random,
    mut ready: impl FnMut(&Backend) -> bool,
) -> Option<(usize, &'d RouteBackend)> {
    match distribution {
        Distribution::Empty => None,
        Distribution::FirstAvailable(backends) => {
            if let [only] = &**backends {
                return Some((0, only));
            }
            let first_ready = backends.iter().enumerate().find(|(_, one)| ready(&one.backend));
            first_ready.or_else(|| backends.iter().enumerate().next())
        }
        Distribution::RandomAvailable(backends) => {
            let among = |ready: &mut dyn FnMut(&Backend) -> bool, random: &mut Random| {
                by_weight(backends, random, |one| ready(&one.backend))
            };
            among(&mut ready, random).or_else(|| among(&mut |_| true, random))
        }
    }
}

fn by_weight<'d>(
    backends: &'d [(RouteBackend, u32)],
    random: &mut Random,
    mut counts: impl FnMut(&RouteBackend) -> bool,
) -> Option<(usize, &'d RouteBackend)> {
    // Readiness is asked once for each: an answer that changed between the two passes would skew the shares.
    let mut weigh =
        |one: &RouteBackend, weight: u32| if weight > 0 && counts(one) { u64::from(weight) } else { 0 };
    let mut inline = [0_u64; INLINE_BACKENDS];
    let mut spilled = Vec::new();
    let weights: &mut [u64] = match inline.get_mut(..backends.len()) {
        Some(fits) => fits,
        None => {
            spilled.resize(backends.len(), 0);
            &mut spilled
        }
    };
    let mut total = 0_u64;
    for (slot, (one, weight)) in weights.iter_mut().zip(backends) {
        *slot = weigh(one, *weight);
        total = total.saturating_add(*slot);
    }
    if total == 0 {
        return None;
    }
    let mut at = random.below(total);
    for (index, (weight, (one, _))) in weights.iter().zip(backends).enumerate() {
        if at < *weight {
            return Some((index, one));
        }
        at -= weight;
    }
    None
}

/// Backends that are weighed without allocation; Gateway API allows 16 in a rule.
const INLINE_BACKENDS: usize = 16;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::metadata::Metadata;
    use crate::outbound::BackendKind;

    fn backend(port: u16) -> RouteBackend {
        let backend = Backend {
            metadata: Metadata::Default(Arc::from("test")),
            kind: BackendKind::OriginalDestination(SocketAddr::from(([10, 0, 0, 1], port))),
            failfast_timeout: Duration::from_secs(3),
            queue_capacity: 1,
            allowance: Default::default(),
            hashing: None,
        };
        RouteBackend { backend: Arc::new(backend), filters: Vec::new() }
    }

    fn shares(weights: &[u32], ready: impl Fn(usize) -> bool) -> Vec<u32> {
        let backends: Vec<_> = (0_u16..).zip(weights).map(|(n, w)| (backend(n), *w)).collect();
        let distribution = Distribution::RandomAvailable(backends.clone().into());
        let mut random = Random::seeded(11);
        let mut seen = vec![0; weights.len()];
        for _ in 0..10_000 {
            let is_ready = |asked: &Backend| {
                backends.iter().position(|(one, _)| *one.backend == *asked).is_some_and(&ready)
            };
            if let Some((index, chosen)) = choose(&distribution, &mut random, is_ready) {
                assert!(Arc::ptr_eq(&chosen.backend, &backends[index].0.backend));
                seen[index] += 1;
            }
        }
        seen
    }

    #[test]
    fn shares_follow_the_weights_and_zero_is_never_chosen() {
        let seen = shares(&[90, 0, 10], |_| true);
        assert!((8_800..9_200).contains(&seen[0]) && seen[1] == 0 && seen[0] + seen[2] == 10_000, "{seen:?}");
        assert_eq!(shares(&[0, 0], |_| true), [0, 0]);
        assert_eq!(shares(&[u32::MAX, 0], |_| true), [10_000, 0]);
        let many = shares(&[1; 20], |_| true);
        assert!(many.iter().all(|count| (350..650).contains(count)), "{many:?}");
    }

    #[test]
    fn a_backend_without_ready_endpoints_gives_its_share_to_the_others() {
        assert_eq!(shares(&[90, 10], |index| index == 1), [0, 10_000]);
        let none_ready = shares(&[90, 10], |_| false);
        assert!((8_800..9_200).contains(&none_ready[0]), "{none_ready:?}");
    }

    #[test]
    fn the_first_available_backend_is_the_first_ready_one_and_else_the_first() {
        let distribution = Distribution::FirstAvailable([backend(1), backend(2)].into());
        let mut random = Random::seeded(1);
        let mut index =
            |ready: fn(&Backend) -> bool| choose(&distribution, &mut random, ready).map(|(index, _)| index);
        assert_eq!(index(|_| true), Some(0));
        assert_eq!(index(|_| false), Some(0));
        let second = |one: &Backend| one.kind == backend(2).backend.kind;
        assert_eq!(index(second), Some(1));
        assert!(choose(&Distribution::Empty, &mut random, |_| true).is_none());
    }
}
