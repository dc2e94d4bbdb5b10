//! A service of three under load in simulated time: one endpoint is killed, one frozen, both come back.
//!
//! The seed decides everything and is printed when a rule breaks.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail where it stands")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hauberk_model::balance::{Affinity, Balancer, EndpointKey, InFlight, Outcome, Settings, Wanted};
use hauberk_model::budget::{Budget, BudgetLimits};
use hauberk_model::endpoint::{Endpoint, EndpointSet, Http2Params, ProtocolHint};
use hauberk_model::pushback::Pushback;
use hauberk_model::random::Random;
use hauberk_model::retry::{self, AttemptFailure, Attempted, GiveUp, Verdict};

const ENDPOINTS: usize = 3;
const REQUESTS_PER_SECOND: u64 = 500;

#[derive(Clone, Copy, PartialEq)]
enum Life {
    Well,
    /// Connections are refused, open ones reset.
    Killed,
    /// Connections are accepted and nothing is answered.
    Frozen,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Arrives,
    /// The endpoint answers this attempt.
    Answers(usize),
    /// Patience with this attempt is over.
    Expires(usize),
    /// An endpoint is well again, killed or frozen.
    Becomes(usize, u8),
}

struct Attempt {
    request: Option<InFlight>,
    endpoint: usize,
    tries: u32,
    failed_at: Vec<EndpointKey>,
}

#[derive(Default)]
struct Tally {
    arrived: u32,
    served: u32,
    failed: u32,
    retried: u32,
    out_of_budget: u32,
    by_endpoint: [u32; ENDPOINTS],
}

struct Simulation {
    method: &'static str,
    start: Instant,
    now: Instant,
    end: Instant,
    random: Random,
    balancer: Balancer,
    budget: Budget,
    life: [Life; ENDPOINTS],
    queue: BinaryHeap<Reverse<(Instant, u64, Happening)>>,
    sequence: u64,
    attempts: Vec<Attempt>,
    tally: Tally,
}

impl Simulation {
    fn new(seed: u64, method: &'static str, seconds: u64, plan: &[(u64, usize, Life)]) -> Self {
        let start = Instant::now();
        let settings = Settings {
            default_rtt: Duration::from_millis(30),
            decay: Duration::from_secs(10),
            accrual: None,
            penalty: None,
            zones: None,
        };
        let mut balancer = Balancer::new(settings);
        let endpoints = (0..ENDPOINTS).map(|at| Arc::new(endpoint(at))).collect();
        balancer.update(&EndpointSet { exists: true, endpoints }, start);
        let mut simulation = Self {
            method,
            start,
            now: start,
            end: start + Duration::from_secs(seconds),
            random: Random::seeded(seed),
            balancer,
            budget: Budget::new(BudgetLimits::default(), start),
            life: [Life::Well; ENDPOINTS],
            queue: BinaryHeap::new(),
            sequence: 0,
            attempts: Vec::new(),
            tally: Tally::default(),
        };
        for (second, at, life) in plan {
            let becomes = match life {
                Life::Well => 0,
                Life::Killed => 1,
                Life::Frozen => 2,
            };
            simulation.plan(Duration::from_secs(*second), Happening::Becomes(*at, becomes));
        }
        simulation.plan(Duration::ZERO, Happening::Arrives);
        simulation
    }

    fn plan(&mut self, after: Duration, what: Happening) {
        self.sequence += 1;
        self.queue.push(Reverse((self.now + after, self.sequence, what)));
    }

    fn run(mut self) -> Tally {
        while let Some(Reverse((at, _, what))) = self.queue.pop() {
            self.now = at;
            match what {
                Happening::Arrives if at < self.end => {
                    self.tally.arrived += 1;
                    self.budget.deposit(at);
                    self.attempt(1, Vec::new());
                    let mean = Duration::from_secs(1) / u32::try_from(REQUESTS_PER_SECOND).unwrap();
                    let gap = mean.mul_f64(2.0 * self.random.unit());
                    self.plan(gap, Happening::Arrives);
                }
                Happening::Arrives => {}
                Happening::Answers(id) => self.answer(id),
                Happening::Expires(id) => self.give_up(id, Outcome::Unanswered, AttemptFailure::Unanswered),
                Happening::Becomes(at, becomes) => self.become_(at, becomes),
            }
        }
        self.tally
    }

    fn attempt(&mut self, tries: u32, failed_at: Vec<EndpointKey>) {
        let movable = retry::is_idempotent(self.method);
        let wanted = Wanted { exclude: &failed_at, movable, affinity: Affinity::None };
        let Some(key) = self.balancer.pick(self.now, &mut self.random, wanted) else {
            self.tally.failed += 1;
            return;
        };
        let endpoint = self.balancer.endpoint(key).map(|endpoint| endpoint.addr.port()).unwrap();
        let endpoint = usize::from(endpoint);
        self.tally.by_endpoint[endpoint] += 1;
        let id = self.attempts.len();
        let patience = self.balancer.patience(key, self.now);
        let request = self.balancer.started(key, self.now);
        self.attempts.push(Attempt { request: Some(request), endpoint, tries, failed_at });
        match self.life[endpoint] {
            Life::Well => {
                let wait = Duration::from_millis(2).mul_f64(1.0 + 4.0 * self.random.unit());
                self.plan(wait, Happening::Answers(id));
                self.plan(patience, Happening::Expires(id));
            }
            Life::Frozen => self.plan(patience, Happening::Expires(id)),
            Life::Killed => self.give_up(id, Outcome::Unreachable, AttemptFailure::NotSent),
        }
    }

    fn answer(&mut self, id: usize) {
        if self.life[self.attempts[id].endpoint] == Life::Frozen {
            return;
        }
        let Some(mut request) = self.attempts[id].request.take() else { return };
        self.balancer.answered(&mut request, self.now);
        self.balancer.finished(request, Outcome::Success, self.now, &mut self.random);
        self.tally.served += 1;
    }

    fn give_up(&mut self, id: usize, outcome: Outcome, failure: AttemptFailure) {
        let Some(request) = self.attempts[id].request.take() else { return };
        let key = request.key();
        let sent = failure != AttemptFailure::NotSent;
        self.balancer.finished(request, outcome, self.now, &mut self.random);
        let tries = self.attempts[id].tries;
        let asked = Attempted {
            method: self.method,
            replayable: true,
            attempts: tries,
            deadline: None,
            is_retry: false,
            pushback: Pushback::None,
        };
        match retry::decide(failure, &asked, None, &mut self.budget, self.now, &mut self.random) {
            Verdict::Again { .. } => {
                self.tally.retried += u32::from(sent);
                let mut failed_at = std::mem::take(&mut self.attempts[id].failed_at);
                failed_at.push(key);
                self.attempt(tries + 1, failed_at);
            }
            Verdict::GiveUp(why) => {
                self.tally.failed += 1;
                self.tally.out_of_budget += u32::from(why == GiveUp::Budget);
            }
        }
    }

    fn become_(&mut self, at: usize, becomes: u8) {
        self.life[at] = [Life::Well, Life::Killed, Life::Frozen][usize::from(becomes)];
        if self.life[at] == Life::Killed {
            for id in 0..self.attempts.len() {
                if self.attempts[id].endpoint == at {
                    self.give_up(id, Outcome::Unreachable, AttemptFailure::Reset);
                }
            }
        }
    }
}

fn endpoint(at: usize) -> Endpoint {
    Endpoint {
        addr: SocketAddr::from(([10, 0, 0, 1], u16::try_from(at).unwrap())),
        weight: 10_000,
        tls: None,
        hint: ProtocolHint::Unknown,
        transport_port: None,
        authority_override: None,
        http2: Http2Params::default(),
        labels: Arc::from([]),
        other_zone: false,
    }
}

#[test]
fn idempotent_requests_survive_a_killed_and_a_frozen_endpoint_within_the_budget() {
    for seed in 0..6 {
        let plan = [(10, 0, Life::Killed), (20, 1, Life::Frozen), (40, 0, Life::Well), (40, 1, Life::Well)];
        let simulation = Simulation::new(seed, "GET", 120, &plan);
        let seconds = simulation.end.duration_since(simulation.start).as_secs_f64();
        let tally = simulation.run();
        assert_eq!((tally.failed, tally.out_of_budget), (0, 0), "seed {seed}");
        assert_eq!(tally.served, tally.arrived, "seed {seed}");
        let allowed = f64::from(tally.arrived) * 0.2 + 10.0 * (seconds + 1.0);
        assert!(f64::from(tally.retried) < allowed, "seed {seed}: {} retried", tally.retried);
        // Back in service, both take their share again: with none of it, they would stay below 4 000.
        let least = tally.by_endpoint.iter().min().unwrap();
        assert!(*least > 8_000, "seed {seed}: {:?}", tally.by_endpoint);
    }
}

#[test]
fn a_request_that_may_have_had_an_effect_is_lost_and_never_sent_twice() {
    for seed in 0..6 {
        let plan = [(10, 0, Life::Killed), (20, 0, Life::Well)];
        let tally = Simulation::new(seed, "POST", 40, &plan).run();
        assert_eq!(tally.retried, 0, "seed {seed}");
        assert_eq!(tally.served + tally.failed, tally.arrived, "seed {seed}");
        // Lost are only those that the killed endpoint had when it died.
        assert!(tally.failed <= 10, "seed {seed}: {} lost", tally.failed);
    }
}

#[test]
fn a_frozen_endpoint_costs_few_requests_and_then_one_for_each_growing_pause() {
    for seed in 0..6 {
        let before = Simulation::new(seed, "GET", 10, &[]).run().by_endpoint[1];
        let frozen = Simulation::new(seed, "GET", 70, &[(10, 1, Life::Frozen)]).run().by_endpoint[1];
        // At most what P2C sends within the shortest silence that counts; then probes after 1, 2, 4, ... 32 s.
        assert!(frozen - before < 120, "seed {seed}: {} sent to the frozen one", frozen - before);
    }
}

#[test]
fn with_every_endpoint_failing_the_budget_bounds_the_retries() {
    for seed in 0..5 {
        let plan = [(0, 0, Life::Frozen), (0, 1, Life::Frozen), (0, 2, Life::Frozen)];
        let tally = Simulation::new(seed, "GET", 30, &plan).run();
        assert!(tally.out_of_budget > 0, "seed {seed}");
        let share = f64::from(tally.retried) / f64::from(tally.arrived);
        assert!(share <= 0.2 + 10.0 / 500.0 + 0.02, "seed {seed}: {share}");
    }
}
