//! The balancer: who gets a request, who is ejected, who comes back.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail where it stands"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hauberk_model::balance::{Affinity, Balancer, EndpointKey, Outcome, STALL_MIN, Settings, Wanted};
use hauberk_model::endpoint::{Endpoint, EndpointSet, Http2Params, ProtocolHint, TlsTarget};
use hauberk_model::identity::Identity;
use hauberk_model::outbound::{Backoff, FailureAccrual};
use hauberk_model::random::Random;
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);
const ANY: Wanted<'static> = Wanted { exclude: &[], movable: true, affinity: Affinity::None };

fn addr(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 80))
}

fn endpoint(host: u8, weight: u32, identity: Option<&str>) -> Arc<Endpoint> {
    let tls = identity
        .map(|name| TlsTarget { identity: Identity::parse(name).unwrap(), server_name: Arc::from(name) });
    Arc::new(Endpoint {
        addr: addr(host),
        weight,
        tls,
        hint: ProtocolHint::Unknown,
        transport_port: None,
        authority_override: None,
        http2: Http2Params::default(),
        labels: Arc::from([]),
        other_zone: false,
    })
}

fn set(endpoints: Vec<Arc<Endpoint>>) -> EndpointSet {
    EndpointSet { exists: true, endpoints: endpoints.into() }
}

fn hosts(hosts: &[u8]) -> EndpointSet {
    set(hosts.iter().map(|host| endpoint(*host, 10_000, None)).collect())
}

fn settings(accrual: Option<FailureAccrual>) -> Settings {
    Settings {
        default_rtt: Duration::from_millis(30),
        decay: Duration::from_secs(10),
        accrual,
        penalty: None,
        zones: None,
    }
}

fn accrual() -> FailureAccrual {
    FailureAccrual {
        max_consecutive_failures: 7,
        success_rate_threshold: 0.0,
        decay: Duration::from_secs(10),
        min_requests: 5,
        backoff: Backoff {
            min: Duration::from_secs(1),
            max: Duration::from_secs(60),
            jitter_ratio: 0.0,
            honour_retry_after: false,
        },
        min_ready_endpoints: 0,
    }
}

struct Rig {
    balancer: Balancer,
    random: Random,
    now: Instant,
}

impl Rig {
    fn new(set: &EndpointSet, accrual: Option<FailureAccrual>) -> Self {
        let now = Instant::now();
        let mut balancer = Balancer::new(settings(accrual));
        balancer.update(set, now);
        Self { balancer, random: Random::seeded(42), now }
    }

    fn pick(&mut self, wanted: Wanted<'_>) -> Option<EndpointKey> {
        self.balancer.pick(self.now, &mut self.random, wanted)
    }

    fn host(&self, key: EndpointKey) -> Option<SocketAddr> {
        self.balancer.endpoint(key).map(|endpoint| endpoint.addr)
    }

    fn key_of(&mut self, host: u8) -> EndpointKey {
        let found = (0..1_000).find_map(|_| self.pick(ANY).filter(|key| self.host(*key) == Some(addr(host))));
        found.unwrap_or_else(|| panic!("{host} is not chosen"))
    }

    /// One request to an endpoint, answered after `rtt` if the outcome has an answer.
    fn request(&mut self, key: EndpointKey, rtt: Duration, outcome: Outcome) {
        let mut request = self.balancer.started(key, self.now);
        self.now += rtt;
        if matches!(outcome, Outcome::Success | Outcome::Failure) {
            self.balancer.answered(&mut request, self.now);
        }
        self.balancer.finished(request, outcome, self.now, &mut self.random);
    }

    fn chosen(&mut self, picks: usize) -> Vec<u32> {
        let mut seen = vec![0; 10];
        for _ in 0..picks {
            if let Some(SocketAddr::V4(found)) = self.pick(ANY).and_then(|key| self.host(key)) {
                seen[usize::from(found.ip().octets()[3])] += 1;
            }
        }
        seen
    }
}

#[test]
fn equal_endpoints_get_equal_shares_and_weights_count() {
    let mut rig = Rig::new(&hosts(&[1, 2, 3]), None);
    let seen = rig.chosen(9_000);
    assert!(seen[1..=3].iter().all(|count| (2_700..3_300).contains(count)), "{seen:?}");
    let weighed = set(vec![endpoint(1, 10_000, None), endpoint(2, 0, None), endpoint(3, 1_000, None)]);
    let mut rig = Rig::new(&weighed, None);
    let seen = rig.chosen(1_000);
    assert!(seen[1] > 900 && seen[2] == 0, "{seen:?}");
}

#[test]
fn a_slow_endpoint_and_a_busy_one_are_avoided() {
    let mut rig = Rig::new(&hosts(&[1, 2, 3]), None);
    let (slow, busy) = (rig.key_of(1), rig.key_of(2));
    rig.request(slow, 300 * MS, Outcome::Success);
    let held: Vec<_> = (0..20).map(|_| rig.balancer.started(busy, rig.now)).collect();
    let seen = rig.chosen(900);
    assert!(seen[3] > 580 && seen[1] < 320 && seen[2] < 320, "{seen:?}");
    assert_eq!(held.len(), 20);
}

#[test]
fn an_unreachable_endpoint_is_ejected_at_once_but_never_the_last_one() {
    let mut rig = Rig::new(&hosts(&[1, 2]), None);
    let first = rig.key_of(1);
    rig.request(first, MS, Outcome::Unreachable);
    assert_eq!((rig.balancer.ready(), rig.chosen(50)[2]), (1, 50));
    let second = rig.key_of(2);
    rig.request(second, MS, Outcome::Unreachable);
    assert_eq!((rig.balancer.ready(), rig.chosen(50)[2]), (1, 50));
    assert_eq!(rig.balancer.ejections().connection, 1);
}

#[test]
fn an_endpoint_that_leaves_requests_unanswered_is_ejected_after_three() {
    let mut rig = Rig::new(&hosts(&[1, 2]), None);
    let key = rig.key_of(1);
    rig.request(key, 100 * MS, Outcome::Unanswered);
    rig.request(key, 100 * MS, Outcome::Unanswered);
    rig.request(key, 100 * MS, Outcome::Success);
    for expected in [2, 2, 1] {
        rig.request(key, 100 * MS, Outcome::Unanswered);
        assert_eq!(rig.balancer.ready(), expected);
    }
    assert_eq!(rig.balancer.ejections().timeout, 1);
}

#[test]
fn a_frozen_endpoint_gets_nothing_more_once_it_was_silent_for_long() {
    let mut rig = Rig::new(&hosts(&[1, 2]), None);
    let frozen = rig.key_of(1);
    let held = rig.balancer.started(frozen, rig.now);
    rig.now += STALL_MIN + MS;
    let seen = rig.chosen(100);
    assert_eq!((seen[1], seen[2]), (0, 100));
    // It was only slow: an answer takes it back.
    let mut held = held;
    rig.balancer.answered(&mut held, rig.now);
    rig.balancer.finished(held, Outcome::Success, rig.now, &mut rig.random);
    assert_eq!(rig.balancer.ready(), 2);
}

#[test]
fn one_probe_at_a_time_decides_and_the_pause_grows() {
    let mut rig = Rig::new(&hosts(&[1, 2]), None);
    let key = rig.key_of(1);
    rig.request(key, MS, Outcome::Unreachable);
    let mut pauses = Vec::new();
    for _ in 0..4 {
        let ejected_at = rig.now;
        while rig.pick(ANY) != Some(key) {
            rig.now += 10 * MS;
        }
        pauses.push(rig.now - ejected_at);
        assert_eq!(rig.chosen(50)[1], 0, "a second probe went out");
        rig.request(key, MS, Outcome::Unreachable);
    }
    for (doublings, pause) in (0..).zip(&pauses) {
        let base = Duration::from_secs(1) * 2_u32.pow(doublings);
        assert!(*pause >= base && *pause <= base.mul_f64(1.51) + 20 * MS, "{pauses:?}");
    }
    rig.now += Duration::from_secs(120);
    assert_eq!(rig.pick(ANY), Some(key));
    rig.request(key, MS, Outcome::Success);
    assert_eq!(rig.balancer.ready(), 2);
}

#[test]
fn a_request_that_cannot_be_moved_does_not_probe_an_endpoint_that_did_not_answer() {
    let mut rig = Rig::new(&hosts(&[1, 2]), None);
    let key = rig.key_of(1);
    (0..3).for_each(|_| rig.request(key, MS, Outcome::Unanswered));
    rig.now += Duration::from_millis(1_600);
    let fixed = Wanted { exclude: &[], movable: false, affinity: Affinity::None };
    assert!((0..50).all(|_| rig.pick(fixed) != Some(key)));
    // Unless nobody else came for as long again.
    rig.now += Duration::from_millis(1_600);
    assert_eq!(rig.pick(fixed), Some(key));
}

#[test]
fn a_cancelled_probe_says_nothing_and_the_next_request_probes() {
    let mut rig = Rig::new(&hosts(&[1, 2]), None);
    let key = rig.key_of(1);
    rig.request(key, MS, Outcome::Unreachable);
    rig.now += Duration::from_secs(2);
    assert_eq!(rig.pick(ANY), Some(key));
    rig.request(key, MS, Outcome::Cancelled);
    assert_eq!((rig.balancer.ready(), rig.pick(ANY)), (1, Some(key)));
}

#[test]
fn failures_in_a_row_open_the_circuit_even_of_the_last_endpoint_and_a_failed_probe_keeps_it_open() {
    let mut rig = Rig::new(&hosts(&[1]), Some(accrual()));
    let key = rig.key_of(1);
    (0..6).for_each(|_| rig.request(key, MS, Outcome::Failure));
    rig.request(key, MS, Outcome::Success);
    (0..7).for_each(|_| rig.request(key, MS, Outcome::Failure));
    assert_eq!(rig.pick(ANY), None);
    rig.now += Duration::from_secs(1);
    assert_eq!((rig.pick(ANY), rig.pick(ANY)), (Some(key), None));
    rig.request(key, MS, Outcome::Failure);
    rig.now += Duration::from_millis(1_900);
    assert_eq!(rig.pick(ANY), None);
    rig.now += Duration::from_millis(200);
    assert_eq!(rig.pick(ANY), Some(key));
    rig.request(key, MS, Outcome::Success);
    assert_eq!(rig.pick(ANY), Some(key));
    assert_eq!(rig.balancer.ejections().consecutive_failures, 1);
}

#[test]
fn a_low_success_rate_opens_the_circuit_once_there_were_enough_requests() {
    let by_rate = FailureAccrual { max_consecutive_failures: 0, success_rate_threshold: 0.8, ..accrual() };
    let mut rig = Rig::new(&hosts(&[1, 2]), Some(by_rate));
    let key = rig.key_of(1);
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Success, Outcome::Success] {
        rig.request(key, MS, outcome);
    }
    assert_eq!(rig.balancer.ready(), 2);
    rig.request(key, MS, Outcome::Failure);
    assert_eq!((rig.balancer.ready(), rig.balancer.ejections().success_rate), (1, 1));
}

#[test]
fn a_policy_keeps_its_least_number_of_ready_endpoints() {
    let keep = FailureAccrual { max_consecutive_failures: 1, min_ready_endpoints: 2, ..accrual() };
    let mut rig = Rig::new(&hosts(&[1, 2, 3]), Some(keep));
    for host in [1, 2, 3] {
        let key = rig.key_of(if rig.balancer.ready() == 2 && host == 1 { 2 } else { host });
        rig.request(key, MS, Outcome::Failure);
    }
    assert_eq!(rig.balancer.ready(), 2);
}

#[test]
fn an_update_keeps_history_by_address_and_identity_and_old_keys_name_nothing() {
    let pinned = |identity: &str| set(vec![endpoint(1, 10_000, Some(identity)), endpoint(2, 10_000, None)]);
    let mut rig = Rig::new(&pinned("a.shop"), None);
    let key = rig.key_of(1);
    rig.request(key, MS, Outcome::Unreachable);
    rig.balancer.update(&pinned("a.shop"), rig.now);
    assert_eq!((rig.balancer.ready(), rig.host(key)), (1, Some(addr(1))));
    rig.balancer.update(&pinned("b.shop"), rig.now);
    assert_eq!((rig.balancer.ready(), rig.host(key)), (2, None));
    rig.request(key, MS, Outcome::Unreachable);
    assert_eq!(rig.balancer.ready(), 2);
    rig.balancer.update(&hosts(&[]), rig.now);
    assert!(rig.balancer.is_empty() && rig.pick(ANY).is_none());
}

#[test]
fn when_the_ready_ones_leave_the_ejected_ones_are_tried_before_their_time() {
    let mut rig = Rig::new(&hosts(&[1, 2, 3]), None);
    for host in [1, 2] {
        let key = rig.key_of(host);
        rig.request(key, MS, Outcome::Unreachable);
    }
    rig.balancer.update(&hosts(&[1, 2]), rig.now);
    assert_eq!(rig.balancer.ready(), 0);
    assert!(rig.pick(ANY).is_some());
}

#[test]
fn excluded_endpoints_are_not_chosen() {
    let mut rig = Rig::new(&hosts(&[1, 2, 3]), None);
    let keys = [rig.key_of(1), rig.key_of(2), rig.key_of(3)];
    for _ in 0..200 {
        let wanted = Wanted { exclude: &keys[..2], movable: true, affinity: Affinity::None };
        assert_eq!(rig.pick(wanted), Some(keys[2]));
    }
    assert_eq!(rig.pick(Wanted { exclude: &keys, movable: true, affinity: Affinity::None }), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Without a policy there is always an endpoint as long as one with weight is left, and it is one of the set.
    #[test]
    fn an_endpoint_is_found_whenever_there_is_one(
        seed: u64,
        steps in proptest::collection::vec((0_u8..5, 0_u8..6, 0_u64..3_000), 1..300),
    ) {
        let mut rig = Rig::new(&hosts(&[0, 1, 2]), None);
        rig.random = Random::seeded(seed);
        let (mut present, mut held) = (vec![0, 1, 2], Vec::new());
        for (step, which, pause) in steps {
            rig.now += Duration::from_millis(pause);
            match step {
                0 => {
                    present = (0..6).filter(|host| (which.wrapping_mul(37) >> host) & 1 == 1).collect();
                    rig.balancer.update(&hosts(&present), rig.now);
                }
                1 | 2 => {
                    let exclude: Vec<EndpointKey> = held.iter().map(hauberk_model::balance::InFlight::key).take(2).collect();
                    let movable = which % 2 == 0;
                    let picked = rig.pick(Wanted { exclude: &exclude, movable, affinity: Affinity::None });
                    if let Some(key) = picked {
                        prop_assert!(!exclude.contains(&key));
                        let found = rig.host(key);
                        prop_assert!(present.iter().any(|host| found == Some(addr(*host))));
                        held.push(rig.balancer.started(key, rig.now));
                    } else {
                        let free = present.iter().filter(|host| exclude.iter().all(|key| rig.host(*key) != Some(addr(**host))));
                        prop_assert_eq!(free.count(), 0);
                    }
                }
                _ => if !held.is_empty() {
                    let mut request = held.swap_remove(usize::from(which) % held.len());
                    let outcome = [Outcome::Success, Outcome::Failure, Outcome::Unreachable, Outcome::Unanswered, Outcome::Cancelled][usize::from(which) % 5];
                    if outcome == Outcome::Success {
                        rig.balancer.answered(&mut request, rig.now);
                    }
                    rig.balancer.finished(request, outcome, rig.now, &mut rig.random);
                }
            }
            prop_assert_eq!(rig.balancer.len(), present.len());
            prop_assert!(rig.balancer.ready() <= present.len());
        }
    }
}

fn zoned(host: u8, other_zone: bool) -> Arc<Endpoint> {
    Arc::new(Endpoint { other_zone, ..(*endpoint(host, 10_000, None)).clone() })
}

/// Two endpoints here and two elsewhere.
fn two_zones(now: Instant) -> Balancer {
    let band = hauberk_model::balance::zones::ZoneBand { max_in_flight: 4, latency_ratio: 2.0 };
    let mut balancer = Balancer::new(Settings { zones: Some(band), ..settings(None) });
    let endpoints = vec![zoned(1, false), zoned(2, true), zoned(3, false), zoned(4, true)];
    balancer.update(&set(endpoints), now);
    balancer
}

/// Which hosts `requests` go to while `held` others are on each endpoint of the own zone.
fn spread(balancer: &mut Balancer, now: Instant, random: &mut Random, requests: usize) -> Vec<SocketAddr> {
    (0..requests)
        .map(|_| {
            let key = balancer.pick(now, random, ANY).unwrap();
            balancer.endpoint(key).unwrap().addr
        })
        .collect()
}

#[test]
fn the_own_zone_has_everything_until_its_load_leaves_the_band_and_again_afterwards() {
    let start = Instant::now();
    let mut random = Random::seeded(3);
    let mut balancer = two_zones(start);
    let own = [addr(1), addr(3)];
    assert!(spread(&mut balancer, start, &mut random, 200).iter().all(|to| own.contains(to)));
    let mut held = Vec::new();
    let mut now = start;
    for _ in 0..60 {
        now += 100 * MS;
        // The own zone holds what it gets: its load grows out of the band, and then others help.
        let key = balancer.pick(now, &mut random, ANY).unwrap();
        let mut request = balancer.started(key, now);
        // Answered, and still going on: a stream.
        balancer.answered(&mut request, now);
        held.push(request);
    }
    let crossed = spread(&mut balancer, now, &mut random, 1_000);
    let crossed = crossed.iter().filter(|to| !own.contains(to)).count();
    assert!((300..950).contains(&crossed), "{crossed}");
    for request in held {
        balancer.finished(request, Outcome::Success, now, &mut random);
    }
    for _ in 0..60 {
        now += 100 * MS;
        balancer.pick(now, &mut random, ANY).unwrap();
    }
    assert!(spread(&mut balancer, now, &mut random, 200).iter().all(|to| own.contains(to)));
}

#[test]
fn a_zone_without_ready_endpoints_leaves_everything_to_the_others() {
    let now = Instant::now();
    let mut random = Random::seeded(4);
    let mut balancer = two_zones(now);
    for _ in 0..2 {
        let key = balancer.pick(now, &mut random, ANY).unwrap();
        let request = balancer.started(key, now);
        balancer.finished(request, Outcome::Unreachable, now, &mut random);
    }
    let elsewhere = [addr(2), addr(4)];
    assert!(spread(&mut balancer, now, &mut random, 50).iter().all(|to| elsewhere.contains(to)));
}

#[test]
fn an_endpoint_that_refuses_work_is_spared_for_as_long_as_it_asks_and_then_returns() {
    let start = Instant::now();
    let mut random = Random::seeded(5);
    let penalty = hauberk_model::outbound::Penalty {
        latency: Duration::from_secs(5),
        max_retry_after: Duration::from_secs(30),
        decay: Duration::from_secs(1),
    };
    let mut balancer = Balancer::new(Settings { penalty: Some(penalty), ..settings(None) });
    balancer.update(&hosts(&[1, 2]), start);
    let key = balancer.pick(start, &mut random, ANY).unwrap();
    let refusing = balancer.endpoint(key).unwrap().addr;
    balancer.refused(key, Some(Duration::from_secs(600)), start);
    for second in [1, 10, 30] {
        let now = start + Duration::from_secs(second);
        assert!(!spread(&mut balancer, now, &mut random, 100).contains(&refusing), "after {second} s");
    }
    let later = start + Duration::from_secs(60);
    assert!(spread(&mut balancer, later, &mut random, 100).contains(&refusing));
}

#[test]
fn a_breaker_waits_as_long_as_the_endpoint_asks_within_its_bounds() {
    let start = Instant::now();
    let mut random = Random::seeded(6);
    let accrual = FailureAccrual { max_consecutive_failures: 1, ..accrual() };
    let backoff = Backoff { honour_retry_after: true, jitter_ratio: 0.0, ..accrual.backoff };
    let mut balancer = Balancer::new(settings(Some(FailureAccrual { backoff, ..accrual })));
    balancer.update(&hosts(&[1]), start);
    let key = balancer.pick(start, &mut random, ANY).unwrap();
    let mut request = balancer.started(key, start);
    request.hinted(Duration::from_secs(20));
    balancer.finished(request, Outcome::Failure, start, &mut random);
    assert!(balancer.pick(start + Duration::from_secs(19), &mut random, ANY).is_none());
    assert!(balancer.pick(start + Duration::from_secs(20), &mut random, ANY).is_some());
}
