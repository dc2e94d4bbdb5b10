//! Local rate limits.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use hauberk_model::identity::Identity;
use hauberk_model::limits::{HEADER_VALUES_MAX, HeaderRate, Rate, RateLimit, Share, Total};
use hauberk_model::matching::RequestView;
use hauberk_model::metadata::Metadata;
use hauberk_model::ratelimit::{Asking, IDENTITIES_MAX, Limited, RateLimiter};
use proptest::prelude::*;

fn id(name: &str) -> Identity {
    Identity::parse(name).unwrap()
}

/// A request of which limits see nothing but a header.
struct Headers<'a>(&'a [(&'a str, &'a str)]);

impl RequestView for Headers<'_> {
    fn method(&self) -> &str {
        "GET"
    }

    fn authority(&self) -> &str {
        ""
    }

    fn path(&self) -> &str {
        "/"
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn header(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter(move |(own, _)| *own == name).map(|(_, value)| value.as_bytes())
    }
}

fn metadata(name: &str) -> Metadata {
    Metadata::Default(Arc::from(name))
}

fn none() -> RateLimit {
    let metadata = metadata("test");
    RateLimit { metadata, route: None, total: None, per_identity: None, overrides: Vec::new(), header: None }
}

fn limit(total: Option<u32>, per_identity: Option<u32>, overrides: &[(&[&str], u32)]) -> Arc<[RateLimit]> {
    let named = |names: &&[&str]| names.iter().map(|name| id(name)).collect();
    let overrides = overrides.iter().map(|(names, rate)| (named(names), Rate::even(*rate))).collect();
    let total = total.map(|rate| Total::Own(Rate::even(rate)));
    Arc::new([RateLimit { total, per_identity: per_identity.map(Rate::even), overrides, ..none() }])
}

fn ask(
    limiter: &mut RateLimiter,
    client: Option<&Identity>,
    headers: &[(&str, &str)],
    now: Instant,
) -> Result<(), Limited> {
    let asking = Asking { client, route: &metadata("route"), view: &Headers(headers) };
    limiter.check(&asking, now).map_err(|refused| refused.limited)
}

#[test]
fn a_refusal_says_when_to_come_again_and_who_does_is_admitted() {
    let start = Instant::now();
    let mut limiter = RateLimiter::new(limit(Some(10), None, &[]), start);
    let mut ask = |now: Instant| {
        let asking = Asking { client: None, route: &metadata("route"), view: &Headers(&[]) };
        limiter.check(&asking, now)
    };
    let refused = (0..100).find_map(|_| ask(start).err()).unwrap();
    assert!(refused.wait > Duration::ZERO && refused.wait <= Duration::from_millis(100));
    assert!(ask(start + refused.wait / 2).is_err());
    assert!(ask(start + refused.wait).is_ok());
}

fn check(limiter: &mut RateLimiter, client: Option<&Identity>, now: Instant) -> Result<(), Limited> {
    ask(limiter, client, &[], now)
}

fn admitted(limiter: &mut RateLimiter, client: Option<&Identity>, now: Instant, asked: u32) -> u32 {
    (0..asked).map(|_| u32::from(check(limiter, client, now).is_ok())).sum()
}

fn of_tenant(limiter: &mut RateLimiter, tenant: &str, now: Instant, asked: u32) -> u32 {
    (0..asked).map(|_| u32::from(ask(limiter, None, &[("x-tenant", tenant)], now).is_ok())).sum()
}

#[test]
fn the_total_binds_all_clients_together_and_refills_evenly() {
    let start = Instant::now();
    let mut limiter = RateLimiter::new(limit(Some(10), None, &[]), start);
    assert_eq!(admitted(&mut limiter, Some(&id("a")), start, 8), 8);
    assert_eq!(admitted(&mut limiter, None, start, 8), 2);
    assert_eq!(check(&mut limiter, None, start), Err(Limited::Total(10)));
    assert_eq!(admitted(&mut limiter, None, start + Duration::from_millis(501), 10), 5);
    assert_eq!(admitted(&mut limiter, None, start + Duration::from_secs(60), 100), 10);
}

#[test]
fn one_client_over_its_limit_does_not_use_up_the_total_of_the_others() {
    let start = Instant::now();
    let mut limiter = RateLimiter::new(limit(Some(10), Some(2), &[(&["vip", "vip2"], 5)]), start);
    assert_eq!(admitted(&mut limiter, Some(&id("a")), start, 100), 2);
    assert_eq!(check(&mut limiter, Some(&id("a")), start), Err(Limited::Identity(2)));
    assert_eq!(admitted(&mut limiter, Some(&id("vip")), start, 3), 3);
    assert_eq!(admitted(&mut limiter, Some(&id("vip2")), start, 100), 2);
    assert_eq!(check(&mut limiter, Some(&id("vip")), start), Err(Limited::Override(5)));
    assert_eq!(admitted(&mut limiter, None, start, 100), 2);
    assert_eq!(admitted(&mut limiter, Some(&id("b")), start, 100), 1);
    assert_eq!(check(&mut limiter, Some(&id("c")), start), Err(Limited::Total(10)));
}

#[test]
fn no_limit_is_no_limit_and_zero_is_absent() {
    let start = Instant::now();
    for limits in [limit(None, None, &[]), limit(Some(0), Some(0), &[(&["a"], 0)])] {
        let mut limiter = RateLimiter::new(limits, start);
        assert_eq!(admitted(&mut limiter, Some(&id("a")), start, 1_000), 1_000);
    }
}

#[test]
fn identities_beyond_the_bound_share_a_bucket_until_others_have_been_idle() {
    let start = Instant::now();
    let mut limiter = RateLimiter::new(limit(None, Some(2), &[]), start);
    for n in 0..IDENTITIES_MAX {
        assert_eq!(check(&mut limiter, Some(&id(&format!("id{n}"))), start), Ok(()));
    }
    let crowd: u32 = (0..10).map(|n| admitted(&mut limiter, Some(&id(&format!("late{n}"))), start, 2)).sum();
    assert_eq!(crowd, 2);
    let idle = start + Duration::from_secs(2);
    let apart: u32 = (0..10).map(|n| admitted(&mut limiter, Some(&id(&format!("late{n}"))), idle, 2)).sum();
    assert_eq!(apart, 20);
}

#[test]
fn a_burst_is_admitted_at_once_and_comes_again_at_the_rate() {
    let start = Instant::now();
    let total = Some(Total::Own(Rate { per_second: 10, burst: 40 }));
    let mut limiter = RateLimiter::new(Arc::new([RateLimit { total, ..none() }]), start);
    assert_eq!(admitted(&mut limiter, None, start, 100), 40);
    assert_eq!(admitted(&mut limiter, None, start + Duration::from_millis(1_001), 100), 10);
    assert_eq!(admitted(&mut limiter, None, start + Duration::from_secs(60), 100), 40);
    let total = Some(Total::Own(Rate { per_second: 10, burst: 1 }));
    let mut limiter = RateLimiter::new(Arc::new([RateLimit { total, ..none() }]), start);
    assert_eq!(admitted(&mut limiter, None, start, 100), 1);
}

#[test]
fn a_limit_of_a_route_counts_its_requests_only_and_a_refusal_takes_nothing_from_the_others() {
    let start = Instant::now();
    let of_port = RateLimit { total: Some(Total::Own(Rate::even(10))), ..none() };
    let of_route =
        RateLimit { route: Some(metadata("orders")), total: Some(Total::Own(Rate::even(2))), ..none() };
    let mut limiter = RateLimiter::new(Arc::new([of_port, of_route]), start);
    let mut of = |route: &str, asked: u32| -> u32 {
        let asking = Asking { client: None, route: &metadata(route), view: &Headers(&[]) };
        (0..asked).map(|_| u32::from(limiter.check(&asking, start).is_ok())).sum()
    };
    assert_eq!(of("orders", 100), 2);
    assert_eq!(of("other", 100), 8);
}

#[test]
fn each_value_of_a_header_has_its_own_bucket_and_those_beyond_the_bound_share_one() {
    let start = Instant::now();
    let header = |values_max| {
        let header = Some(HeaderRate { name: "x-tenant".into(), rate: Rate::even(2), values_max });
        RateLimiter::new(Arc::new([RateLimit { header, ..none() }]), start)
    };
    let mut limiter = header(3);
    for tenant in ["a", "b"] {
        assert_eq!(of_tenant(&mut limiter, tenant, start, 10), 2);
    }
    assert_eq!(admitted(&mut limiter, None, start, 10), 2, "without the header");
    let late: u32 = (0..100).map(|n| of_tenant(&mut limiter, &format!("late{n}"), start, 1)).sum();
    assert_eq!(late, 2);
    let lines = [("x-tenant", "c"), ("x-tenant", "d")];
    assert_eq!(ask(&mut header(3), None, &lines, start), Ok(()));
    let mut limiter = header(usize::MAX);
    let each = (0..HEADER_VALUES_MAX * 2).map(|n| of_tenant(&mut limiter, &format!("t{n}"), start, 1));
    assert_eq!(each.sum::<u32>() as usize, HEADER_VALUES_MAX + 2, "the bound holds whatever is asked for");
}

#[test]
fn a_share_limits_at_its_part_of_rate_and_burst_and_a_small_one_still_admits() {
    let start = Instant::now();
    let share = Arc::new(Share::new("key".into(), 5_000));
    let total = Total::Leased { rate: Rate { per_second: 20, burst: 40 }, share: Arc::clone(&share) };
    let mut limiter = RateLimiter::new(Arc::new([RateLimit { total: Some(total), ..none() }]), start);
    assert_eq!(admitted(&mut limiter, None, start, 100), 10);
    share.lease(20_000);
    assert_eq!(admitted(&mut limiter, None, start, 1), 0, "a greater share brings no tokens by itself");
    let now = start + Duration::from_millis(1_001);
    assert_eq!(admitted(&mut limiter, None, now, 100), 20);
    share.lease(100);
    assert_eq!(admitted(&mut limiter, None, now + Duration::from_millis(10_001), 100), 1);
    share.lease(0);
    assert_eq!(check(&mut limiter, None, now + Duration::from_secs(100)), Err(Limited::Cluster(20)));
    assert_eq!(share.asked(), 302);
}

proptest! {
    #[test]
    fn nobody_gets_more_than_the_rate_and_one_second_of_burst(
        rate in 1_u32..50,
        own in 1_u32..50,
        steps in proptest::collection::vec((0_u64..100, 0_usize..3), 1..400),
    ) {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(limit(Some(rate), Some(own), &[]), start);
        let clients = [Some(id("a")), Some(id("b")), None];
        let (mut now, mut total, mut each) = (start, 0.0, [0.0; 3]);
        for (pause, who) in steps {
            now += Duration::from_millis(pause);
            if check(&mut limiter, clients[who].as_ref(), now).is_ok() {
                total += 1.0;
                each[who] += 1.0;
            }
            let seconds = now.duration_since(start).as_secs_f64() + 1.0;
            prop_assert!(total <= f64::from(rate) * seconds + 1e-6);
            prop_assert!(each.iter().all(|count| *count <= f64::from(own) * seconds + 1e-6));
        }
    }
}
