//! Requests that belong to an endpoint: it gets them while it may, and others stand in for it otherwise.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hauberk_model::balance::hash::bound;
use hauberk_model::balance::{Affinity, Balancer, EndpointKey, InFlight, Outcome, Settings, Wanted};
use hauberk_model::endpoint::{Endpoint, EndpointSet, Http2Params, ProtocolHint};
use hauberk_model::random::Random;
use proptest::prelude::*;

fn set(hosts: impl IntoIterator<Item = u8>) -> EndpointSet {
    let endpoint = |host| {
        Arc::new(Endpoint {
            addr: SocketAddr::from(([10, 0, 0, host], 80)),
            weight: 1,
            tls: None,
            hint: ProtocolHint::Unknown,
            transport_port: None,
            authority_override: None,
            http2: Http2Params::default(),
            labels: Arc::from([]),
            other_zone: false,
        })
    };
    EndpointSet { exists: true, endpoints: hosts.into_iter().map(endpoint).collect() }
}

fn balancer(hosts: impl IntoIterator<Item = u8>, load_percent: u32, now: Instant) -> Balancer {
    let mut balancer = Balancer::new(Settings {
        default_rtt: Duration::from_millis(30),
        decay: Duration::from_secs(10),
        accrual: None,
        penalty: None,
        zones: None,
    });
    balancer.hash(load_percent);
    balancer.update(&set(hosts), now);
    balancer
}

fn wanted(affinity: Affinity) -> Wanted<'static> {
    Wanted { exclude: &[], movable: false, affinity }
}

#[test]
fn a_session_stays_at_its_endpoint_while_that_is_ready_and_goes_elsewhere_while_it_is_not() {
    let (now, mut random) = (Instant::now(), Random::seeded(7));
    let mut balancer = balancer(1..=5, 125, now);
    let (home, _) = balancer.endpoints().nth(2).unwrap();
    let session = wanted(Affinity::Endpoint(home));
    for _ in 0..50 {
        assert_eq!(balancer.pick(now, &mut random, session), Some(home));
    }
    while balancer.is_ready(home) {
        let request = balancer.started(home, now);
        balancer.finished(request, Outcome::Unreachable, now, &mut random);
    }
    for _ in 0..50 {
        let picked = balancer.pick(now, &mut random, session);
        assert!(picked.is_some_and(|key| key != home));
    }
}

#[test]
fn an_endpoint_that_failed_the_request_does_not_get_it_again() {
    let (now, mut random) = (Instant::now(), Random::seeded(7));
    let mut balancer = balancer(1..=5, 125, now);
    let home = balancer.pick(now, &mut random, wanted(Affinity::Hash(99))).unwrap();
    let again = Wanted { exclude: &[home], ..wanted(Affinity::Hash(99)) };
    let second = balancer.pick(now, &mut random, again).unwrap();
    assert_ne!(second, home);
    assert_eq!(balancer.pick(now, &mut random, again), Some(second));
}

#[test]
fn an_endpoint_that_goes_takes_what_it_had_off_the_mean() {
    let (now, mut random) = (Instant::now(), Random::seeded(7));
    let mut balancer = balancer(1..=2, 100, now);
    let (first, _) = balancer.endpoints().next().unwrap();
    let held: Vec<InFlight> = (0..100).map(|_| balancer.started(first, now)).collect();
    balancer.update(&set([2, 3]), now);
    for request in held {
        balancer.finished(request, Outcome::Cancelled, now, &mut random);
    }
    // With nothing in flight each may have one: of two requests with one key the second goes to the other.
    let key = wanted(Affinity::Hash(5));
    let one = balancer.pick(now, &mut random, key).unwrap();
    let _one = balancer.started(one, now);
    assert_ne!(balancer.pick(now, &mut random, key), Some(one));
}

proptest! {
    #[test]
    fn no_endpoint_is_given_a_request_beyond_its_share(
        hosts in 1_u8..12,
        load_percent in 100_u32..300,
        steps in prop::collection::vec((any::<u64>(), any::<bool>()), 1..200),
    ) {
        let (now, mut random) = (Instant::now(), Random::seeded(3));
        let mut balancer = balancer(1..=hosts, load_percent, now);
        let mut held: Vec<InFlight> = Vec::new();
        let mut loads: HashMap<EndpointKey, u64> = HashMap::new();
        for (hash, ends) in steps {
            if ends && let Some(request) = held.pop() {
                *loads.get_mut(&request.key()).unwrap() -= 1;
                balancer.finished(request, Outcome::Success, now, &mut random);
                continue;
            }
            // Few keys, so that they are hot.
            let picked = balancer.pick(now, &mut random, wanted(Affinity::Hash(hash % 3))).unwrap();
            let load = loads.entry(picked).or_default();
            prop_assert!(*load < bound(load_percent, held.len() as u64, usize::from(hosts)));
            *load += 1;
            held.push(balancer.started(picked, now));
        }
    }
}
