//! The certificate lease under any order of events.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::time::{Duration, Instant, SystemTime};

use hauberk_model::lease::{Certificate, Event, Fetch, Lease, Moment, REFUSED};
use hauberk_model::random::Random;
use proptest::prelude::*;

const DAY: Duration = Duration::from_secs(86_400);

fn issue(life: Duration, now: Moment, random: &mut Random) -> Certificate<u8> {
    Certificate::issued(1, now.wall + life, now, random).unwrap()
}

fn later(now: Moment, by: Duration) -> Moment {
    Moment { instant: now.instant + by, wall: now.wall + by }
}

fn start() -> Moment {
    Moment { instant: Instant::now(), wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) }
}

#[test]
fn a_certificate_is_renewed_at_about_seven_tenths_of_its_life() {
    let now = start();
    let mut random = Random::seeded(5);
    let mut shares: Vec<f64> = (0..1_000)
        .map(|_| issue(DAY, now, &mut random).renew_at().duration_since(now.instant).as_secs_f64() / 86_400.0)
        .collect();
    shares.sort_by(f64::total_cmp);
    assert!(shares[0] >= 0.65 && shares[999] <= 0.75 && shares[999] - shares[0] > 0.09, "{shares:?}");
}

#[test]
fn the_old_certificate_serves_until_its_end_while_the_identity_service_refuses() {
    let (now, mut random) = (start(), Random::seeded(1));
    let (lease, first) = Lease::begin();
    assert_eq!(first, Fetch { after: Duration::ZERO });
    let (mut lease, none) = lease.on(Event::Issued(issue(DAY, now, &mut random)), &mut random);
    assert_eq!(none, None);
    let due = later(now, DAY.mul_f64(0.76));
    let (renewing, fetch) = lease.on(Event::Tick(due), &mut random);
    assert_eq!(fetch, Some(Fetch { after: Duration::ZERO }));
    lease = renewing;
    for refusals in 1..8 {
        let (next, fetch) = lease.on(Event::Refused, &mut random);
        let after = fetch.unwrap().after;
        assert!(after >= REFUSED.min && after <= REFUSED.max.mul_f64(1.5), "{refusals}: {after:?}");
        lease = next;
    }
    assert!(lease.usable(later(now, DAY - Duration::from_secs(1)).instant).is_some());
    assert!(lease.usable(later(now, DAY).instant).is_none());
}

#[test]
fn a_machine_that_slept_renews_at_once() {
    let (now, mut random) = (start(), Random::seeded(1));
    let (lease, _) = Lease::begin();
    let (lease, _) = lease.on(Event::Issued(issue(DAY, now, &mut random)), &mut random);
    let woken = Moment { instant: now.instant + Duration::from_secs(5), wall: now.wall + DAY };
    assert!(lease.on(Event::Tick(woken), &mut random).1.is_some());
}

/// Jumps of the clock of the day, in seconds: an hour and 400 days, either way, and the beginning of time.
const JUMPS: [i64; 6] = [0, 3_600, -3_600, 400 * 86_400, -400 * 86_400, -1_800_000_000];

fn jumped(now: Moment, seconds: i64) -> Moment {
    let by = Duration::from_secs(seconds.unsigned_abs());
    let wall = if seconds < 0 { now.wall - by } else { now.wall + by };
    Moment { wall, ..now }
}

#[test]
fn a_clock_that_was_set_back_renews_at_once_and_only_once() {
    let (now, mut random) = (start(), Random::seeded(1));
    for back in JUMPS.into_iter().filter(|seconds| *seconds < 0) {
        let (lease, _) = Lease::begin();
        let (lease, _) = lease.on(Event::Issued(issue(DAY, now, &mut random)), &mut random);
        let set = jumped(now, back);
        let (lease, fetch) = lease.on(Event::Tick(set), &mut random);
        assert!(fetch.is_some(), "{back}");
        let (lease, _) = lease.on(Event::Issued(issue(DAY, set, &mut random)), &mut random);
        assert!(lease.usable(set.instant).is_some());
        assert!(lease.on(Event::Tick(later(set, Duration::from_secs(30))), &mut random).1.is_none());
    }
}

#[test]
fn a_clock_that_was_set_back_a_little_changes_nothing() {
    let (now, mut random) = (start(), Random::seeded(1));
    let (lease, _) = Lease::begin();
    let (lease, _) = lease.on(Event::Issued(issue(DAY, now, &mut random)), &mut random);
    assert!(lease.on(Event::Tick(jumped(now, -60)), &mut random).1.is_none());
}

proptest! {
    /// The clock of this machine and that of the issuer jump as they like; the monotonic one does not. One answer
    /// after the clocks agree again is enough, and a certificate is never used longer than the life it was issued for.
    #[test]
    fn whatever_the_clocks_do_one_renewal_recovers(
        seed: u64,
        steps in proptest::collection::vec((0_usize..6, 0_usize..6, 1_u64..40_000, any::<bool>()), 1..100),
    ) {
        let mut random = Random::seeded(seed);
        let mut now = start();
        let (mut lease, first) = Lease::begin();
        let mut fetch = Some(first);
        let mut end = None;
        for (here, issuer, seconds, answers) in steps {
            now = later(now, Duration::from_secs(seconds));
            let (seen, issued) = (jumped(now, JUMPS[here]), jumped(now, JUMPS[issuer]));
            let event = match fetch.take() {
                Some(_) if answers => match Certificate::issued(1, issued.wall + DAY, seen, &mut random) {
                    Some(certificate) => {
                        let certificate = certificate.renewed_within(Duration::ZERO, DAY, seen);
                        let life = (issued.wall + DAY).duration_since(seen.wall).unwrap();
                        end = Some(now.instant + life);
                        Event::Issued(certificate)
                    }
                    None => Event::Refused,
                },
                Some(_) => Event::Refused,
                None => Event::Tick(seen),
            };
            (lease, fetch) = lease.on(event, &mut random);
            prop_assert!(lease.usable(now.instant).is_none() || end.is_some_and(|end| now.instant < end));
            let is_valid = matches!(lease, Lease::Valid { .. });
            prop_assert!(fetch.is_some() || is_valid);
            prop_assert!(fetch.is_none_or(|fetch| fetch.after <= REFUSED.max.mul_f64(1.5)));
        }
        // The clocks are right again: at most one tick, one answer.
        if fetch.is_none() {
            (lease, fetch) = lease.on(Event::Tick(now), &mut random);
        }
        if fetch.is_some() {
            (lease, _) = lease.on(Event::Issued(issue(DAY, now, &mut random)), &mut random);
        }
        let usable = lease.usable(now.instant);
        prop_assert!(usable.is_some_and(|one| one.not_after() > now.wall), "{lease:?}");
    }
}

#[test]
fn a_certificate_that_is_over_on_arrival_is_none() {
    let (now, mut random) = (start(), Random::seeded(1));
    assert!(Certificate::issued(1, now.wall, now, &mut random).is_none());
    assert!(Certificate::issued(1, now.wall - DAY, now, &mut random).is_none());
}

proptest! {
    #[test]
    fn a_lease_that_is_not_valid_has_exactly_one_fetch_and_never_serves_what_has_ended(
        seed: u64,
        steps in proptest::collection::vec((0_u8..3, 1_u64..40_000), 1..200),
    ) {
        let mut random = Random::seeded(seed);
        let mut now = start();
        let (mut lease, _) = Lease::begin();
        let mut outstanding = 1;
        let mut newest_end = None;
        for (step, seconds) in steps {
            now = later(now, Duration::from_secs(seconds));
            let event = match step {
                // A report only for a fetch that is out.
                0 if outstanding > 0 => {
                    outstanding -= 1;
                    let life = Duration::from_secs(seconds);
                    newest_end = Some(now.instant + life);
                    Event::Issued(issue(life, now, &mut random))
                }
                1 if outstanding > 0 => {
                    outstanding -= 1;
                    Event::Refused
                }
                _ => Event::Tick(now),
            };
            let (next, fetch) = lease.on(event, &mut random);
            outstanding += u32::from(fetch.is_some());
            lease = next;
            let expected = match &lease {
                Lease::Valid { .. } => 0,
                Lease::Vacant { .. } | Lease::Renewing { .. } => 1,
            };
            prop_assert_eq!(outstanding, expected);
            if lease.usable(now.instant).is_some() {
                prop_assert!(newest_end.is_some_and(|end| now.instant < end));
            }
        }
    }
}

#[test]
fn configured_bounds_move_a_renewal_but_never_to_the_end() {
    let now = Moment { instant: Instant::now(), wall: SystemTime::now() };
    let hour = Duration::from_secs(3_600);
    let issued = |min, max| {
        let certificate = Certificate::issued((), now.wall + hour * 10, now, &mut Random::seeded(1));
        certificate.unwrap().renewed_within(min, max, now).renew_at() - now.instant
    };
    assert_eq!(issued(Duration::ZERO, hour), hour);
    assert_eq!(issued(hour * 8, hour * 24), hour * 8);
    assert_eq!(issued(hour * 24, hour * 24), hour * 9);
}

#[test]
fn a_wish_moves_a_renewal_forward_and_never_back() {
    let (now, mut random) = (start(), Random::seeded(1));
    let (lease, _) = Lease::begin();
    let (mut lease, _) = lease.on(Event::Issued(issue(DAY, now, &mut random)), &mut random);
    let planned = lease.wakes_at().unwrap();
    lease.expedite(DAY, now);
    assert_eq!(lease.wakes_at(), Some(planned));
    let soon = Duration::from_secs(5);
    lease.expedite(soon, now);
    assert_eq!(lease.wakes_at(), Some(now.instant + soon));
    // Other material serves at once, and the renewal stays where it is.
    lease.swap(2);
    assert_eq!(lease.usable(now.instant).map(|held| held.material), Some(2));
    let (renewing, fetch) = lease.on(Event::Tick(later(now, soon)), &mut random);
    assert_eq!(fetch, Some(Fetch { after: Duration::ZERO }));
    assert_eq!(renewing.held().map(|held| held.material), Some(2));
}
