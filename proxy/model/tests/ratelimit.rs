//! Local rate limits.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use hauberk_model::identity::Identity;
use hauberk_model::inbound::RateLimit;
use hauberk_model::metadata::Metadata;
use hauberk_model::ratelimit::{IDENTITIES_MAX, Limited, RateLimiter};
use proptest::prelude::*;

fn id(name: &str) -> Identity {
    Identity::parse(name).unwrap()
}

fn limit(total: Option<u32>, per_identity: Option<u32>, overrides: &[(&[&str], u32)]) -> Arc<RateLimit> {
    let overrides =
        overrides.iter().map(|(names, rate)| (names.iter().map(|name| id(name)).collect(), *rate)).collect();
    Arc::new(RateLimit { metadata: Metadata::Default(Arc::from("test")), total, per_identity, overrides })
}

fn admitted(limiter: &mut RateLimiter, client: Option<&Identity>, now: Instant, asked: u32) -> u32 {
    (0..asked).map(|_| u32::from(limiter.check(client, now).is_ok())).sum()
}

#[test]
fn the_total_binds_all_clients_together_and_refills_evenly() {
    let start = Instant::now();
    let mut limiter = RateLimiter::new(limit(Some(10), None, &[]), start);
    assert_eq!(admitted(&mut limiter, Some(&id("a")), start, 8), 8);
    assert_eq!(admitted(&mut limiter, None, start, 8), 2);
    assert_eq!(limiter.check(None, start), Err(Limited::Total(10)));
    assert_eq!(admitted(&mut limiter, None, start + Duration::from_millis(501), 10), 5);
    assert_eq!(admitted(&mut limiter, None, start + Duration::from_secs(60), 100), 10);
}

#[test]
fn one_client_over_its_limit_does_not_use_up_the_total_of_the_others() {
    let start = Instant::now();
    let mut limiter = RateLimiter::new(limit(Some(10), Some(2), &[(&["vip", "vip2"], 5)]), start);
    assert_eq!(admitted(&mut limiter, Some(&id("a")), start, 100), 2);
    assert_eq!(limiter.check(Some(&id("a")), start), Err(Limited::Identity(2)));
    assert_eq!(admitted(&mut limiter, Some(&id("vip")), start, 3), 3);
    assert_eq!(admitted(&mut limiter, Some(&id("vip2")), start, 100), 2);
    assert_eq!(limiter.check(Some(&id("vip")), start), Err(Limited::Override(5)));
    assert_eq!(admitted(&mut limiter, None, start, 100), 2);
    assert_eq!(admitted(&mut limiter, Some(&id("b")), start, 100), 1);
    assert_eq!(limiter.check(Some(&id("c")), start), Err(Limited::Total(10)));
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
        assert_eq!(limiter.check(Some(&id(&format!("id{n}"))), start), Ok(()));
    }
    let crowd: u32 = (0..10).map(|n| admitted(&mut limiter, Some(&id(&format!("late{n}"))), start, 2)).sum();
    assert_eq!(crowd, 2);
    let idle = start + Duration::from_secs(2);
    let apart: u32 = (0..10).map(|n| admitted(&mut limiter, Some(&id(&format!("late{n}"))), idle, 2)).sum();
    assert_eq!(apart, 20);
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
            if limiter.check(clients[who].as_ref(), now).is_ok() {
                total += 1.0;
                each[who] += 1.0;
            }
            let seconds = now.duration_since(start).as_secs_f64() + 1.0;
            prop_assert!(total <= f64::from(rate) * seconds + 1e-6);
            prop_assert!(each.iter().all(|count| *count <= f64::from(own) * seconds + 1e-6));
        }
    }
}
