//! Histories of churn, partition and restart in simulated time: pods come, go, change their address's owner, die and
//! freeze; discovery hears of it late, or not at all while it is cut off. Each history is checked as a whole: nothing
//! goes to what discovery has taken back, nobody but the expected identity serves, and what may have an effect is served
//! once.
//!
//! The seed decides everything and is printed when a rule breaks. `CHURN_SEED` runs one, `CHURN_HISTORIES` more.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail where it stands")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hauberk_model::balance::{Affinity, Balancer, EndpointKey, InFlight, Outcome, Settings, Wanted};
use hauberk_model::budget::{Budget, BudgetLimits};
use hauberk_model::endpoint::{Endpoint, EndpointSet, Http2Params, ProtocolHint, TlsTarget};
use hauberk_model::identity::Identity;
use hauberk_model::pushback::Pushback;
use hauberk_model::random::Random;
use hauberk_model::retry::{self, AttemptFailure, Attempted, Verdict};

const HISTORIES: u64 = 10_000;
/// Addresses that pods take in turn: fewer than pods over time, so that each has several owners.
const ADDRESSES: u16 = 5;
const LENGTH_MS: u64 = 3_000;
/// Discovery says what has changed within this, unless it is cut off.
const HEARD_WITHIN_MS: u64 = 900;
const REQUEST_EVERY_MS: u64 = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Well,
    /// Accepts, and answers nothing until it thaws.
    Frozen,
}

/// Who has an address. Another owner is another identity.
#[derive(Clone, Copy, Debug)]
struct Pod {
    owner: u64,
    life: Life,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Arrives,
    /// The server has acted on this attempt, and its answer comes after it.
    Acts(usize),
    Answers(usize),
    Expires(usize),
    /// Something befalls the pod of an address.
    Churns,
    /// The control plane is cut off, or is back.
    Partition(bool),
    /// Discovery hears of the pods as they are.
    Hears,
}

struct Attempt {
    request: usize,
    in_flight: Option<InFlight>,
    addr: u16,
    /// The owner that discovery named, and the only one that may serve.
    expected: u64,
    tries: u32,
    failed_at: Vec<EndpointKey>,
}

/// What became of one request.
struct Request {
    method: &'static str,
    acted: u32,
    ended: u32,
}

struct History {
    now: Instant,
    end: Instant,
    random: Random,
    balancer: Balancer,
    budget: Budget,
    pods: BTreeMap<u16, Pod>,
    owners: u64,
    /// What discovery has said last, with the owner of each address.
    known: BTreeMap<u16, u64>,
    cut_off: bool,
    queue: BinaryHeap<Reverse<(Instant, u64, Happening)>>,
    sequence: u64,
    attempts: Vec<Attempt>,
    requests: Vec<Request>,
    broken: Vec<String>,
}

impl History {
    fn new(seed: u64) -> Self {
        let start = Instant::now();
        let settings = Settings {
            default_rtt: Duration::from_millis(30),
            decay: Duration::from_secs(10),
            accrual: None,
            penalty: None,
            zones: None,
        };
        let mut history = Self {
            now: start,
            end: start + Duration::from_millis(LENGTH_MS),
            random: Random::seeded(seed),
            balancer: Balancer::new(settings),
            budget: Budget::new(BudgetLimits::default(), start),
            pods: (0..3).map(|addr| (addr, Pod { owner: u64::from(addr), life: Life::Well })).collect(),
            owners: 3,
            known: BTreeMap::new(),
            cut_off: false,
            queue: BinaryHeap::new(),
            sequence: 0,
            attempts: Vec::new(),
            requests: Vec::new(),
            broken: Vec::new(),
        };
        history.hear();
        history.plan(0, Happening::Arrives);
        history.plan(200, Happening::Churns);
        let from = history.random_ms(LENGTH_MS);
        let length = history.random_ms(3_000);
        history.plan(from, Happening::Partition(true));
        history.plan(from + length, Happening::Partition(false));
        history
    }

    fn random_ms(&mut self, below: u64) -> u64 {
        (self.random.unit() * below as f64) as u64
    }

    fn plan(&mut self, after_ms: u64, what: Happening) {
        self.sequence += 1;
        self.queue.push(Reverse((self.now + Duration::from_millis(after_ms), self.sequence, what)));
    }

    fn run(mut self) -> (Vec<Request>, Vec<String>) {
        while let Some(Reverse((at, _, what))) = self.queue.pop() {
            self.now = at;
            match what {
                Happening::Arrives if at < self.end => self.arrive(),
                Happening::Churns if at < self.end => self.churn(),
                Happening::Arrives | Happening::Churns => {}
                Happening::Acts(id) => self.act(id),
                Happening::Answers(id) => self.answer(id),
                Happening::Expires(id) => self.lose(id, Outcome::Unanswered, AttemptFailure::Unanswered),
                Happening::Partition(cut_off) => {
                    self.cut_off = cut_off;
                    let after = self.random_ms(HEARD_WITHIN_MS);
                    self.plan(after, Happening::Hears);
                }
                Happening::Hears if self.cut_off => {}
                Happening::Hears => self.hear(),
            }
        }
        (self.requests, self.broken)
    }

    /// Discovery says what there is.
    fn hear(&mut self) {
        self.known = self.pods.iter().map(|(addr, pod)| (*addr, pod.owner)).collect();
        let endpoints = self.known.iter().map(|(addr, owner)| Arc::new(endpoint(*addr, *owner))).collect();
        self.balancer.update(&EndpointSet { exists: true, endpoints }, self.now);
    }

    fn arrive(&mut self) {
        let method = if self.random.unit() < 0.5 { "GET" } else { "POST" };
        self.requests.push(Request { method, acted: 0, ended: 0 });
        self.budget.deposit(self.now);
        self.attempt(self.requests.len() - 1, 1, Vec::new());
        let gap = self.random_ms(2 * REQUEST_EVERY_MS);
        self.plan(gap, Happening::Arrives);
    }

    fn churn(&mut self) {
        let addr = (self.random.unit() * f64::from(ADDRESSES)) as u16;
        let pod = self.pods.get(&addr).copied();
        let next = match (pod, self.random.unit()) {
            // Gone for good, and with it what it had in its hands.
            (Some(_), ..0.4) => None,
            // Restarted: the same pod, whose connections are reset.
            (Some(pod), ..0.6) => Some(Pod { life: Life::Well, ..pod }),
            (Some(pod), ..0.8) => {
                self.pods.insert(addr, Pod { life: Life::Frozen, ..pod });
                return self.churned();
            }
            (Some(pod), _) => {
                self.pods.insert(addr, Pod { life: Life::Well, ..pod });
                return self.churned();
            }
            // The address has another owner now.
            (None, _) => {
                self.owners += 1;
                Some(Pod { owner: self.owners, life: Life::Well })
            }
        };
        match next {
            None => self.pods.remove(&addr),
            Some(pod) => self.pods.insert(addr, pod),
        };
        for id in 0..self.attempts.len() {
            if self.attempts[id].addr == addr {
                self.lose(id, Outcome::Unreachable, AttemptFailure::Reset);
            }
        }
        self.churned();
    }

    fn churned(&mut self) {
        let heard = self.random_ms(HEARD_WITHIN_MS);
        self.plan(heard, Happening::Hears);
        let next = self.random_ms(800);
        self.plan(next, Happening::Churns);
    }

    fn attempt(&mut self, request: usize, tries: u32, failed_at: Vec<EndpointKey>) {
        let movable = retry::is_idempotent(self.requests[request].method);
        let wanted = Wanted { exclude: &failed_at, movable, affinity: Affinity::None };
        let picked = self.balancer.pick(self.now, &mut self.random, wanted);
        let any = Wanted { exclude: &[], movable, affinity: Affinity::None };
        let Some(key) = picked.or_else(|| self.balancer.pick(self.now, &mut self.random, any)) else {
            self.requests[request].ended += 1;
            return;
        };
        let picked = Arc::clone(self.balancer.endpoint(key).unwrap());
        let addr = picked.addr.port();
        let expected = owner_of(&picked);
        if self.known.get(&addr) != Some(&expected) {
            self.broken
                .push(format!("request {request} goes to {addr} of {expected}, which discovery took back"));
        }
        let id = self.attempts.len();
        let patience = u64::try_from(self.balancer.patience(key, self.now).as_millis()).unwrap();
        let in_flight = Some(self.balancer.started(key, self.now));
        self.attempts.push(Attempt { request, in_flight, addr, expected, tries, failed_at });
        match self.pods.get(&addr) {
            // Nobody there, or somebody who cannot prove to be the one expected: nothing is sent.
            None => self.lose(id, Outcome::Unreachable, AttemptFailure::NotSent),
            Some(pod) if pod.owner != expected => {
                self.lose(id, Outcome::Unreachable, AttemptFailure::NotSent);
            }
            Some(_) => {
                let acts = 1 + self.random_ms(40);
                self.plan(acts, Happening::Acts(id));
                if movable {
                    self.plan(patience, Happening::Expires(id));
                }
            }
        }
    }

    /// The server does what it was asked for, whether or not its answer will arrive.
    fn act(&mut self, id: usize) {
        let Attempt { request, addr, expected, ref in_flight, .. } = self.attempts[id];
        match self.pods.get(&addr) {
            Some(Pod { owner, life: Life::Well }) => {
                // A request whose client has given up was cancelled, or was acted on before: both are one action.
                if in_flight.is_some() || retry::is_idempotent(self.requests[request].method) {
                    if *owner != expected && in_flight.is_some() {
                        self.broken
                            .push(format!("request {request} was served by {owner} and not by {expected}"));
                    }
                    self.requests[request].acted += 1;
                    let answers = self.random_ms(20);
                    self.plan(answers, Happening::Answers(id));
                }
            }
            Some(Pod { life: Life::Frozen, .. }) if in_flight.is_some() && self.now < self.end => {
                self.plan(100, Happening::Acts(id));
            }
            Some(Pod { life: Life::Frozen, .. }) | None => {
                self.lose(id, Outcome::Unreachable, AttemptFailure::Reset);
            }
        }
    }

    fn answer(&mut self, id: usize) {
        let Some(mut in_flight) = self.attempts[id].in_flight.take() else { return };
        self.balancer.answered(&mut in_flight, self.now);
        self.balancer.finished(in_flight, Outcome::Success, self.now, &mut self.random);
        self.requests[self.attempts[id].request].ended += 1;
    }

    fn lose(&mut self, id: usize, outcome: Outcome, failure: AttemptFailure) {
        let Some(in_flight) = self.attempts[id].in_flight.take() else { return };
        let key = in_flight.key();
        self.balancer.finished(in_flight, outcome, self.now, &mut self.random);
        let Attempt { request, tries, .. } = self.attempts[id];
        let asked = Attempted {
            method: self.requests[request].method,
            replayable: true,
            attempts: tries,
            deadline: None,
            is_retry: false,
            pushback: Pushback::None,
        };
        match retry::decide(failure, &asked, None, &mut self.budget, self.now, &mut self.random) {
            Verdict::Again { .. } => {
                let mut failed_at = std::mem::take(&mut self.attempts[id].failed_at);
                failed_at.push(key);
                self.attempt(request, tries + 1, failed_at);
            }
            Verdict::GiveUp(_) => self.requests[request].ended += 1,
        }
    }
}

fn endpoint(addr: u16, owner: u64) -> Endpoint {
    let identity = Identity::parse(&format!("pod-{owner}.ns.serviceaccount.identity.linkerd.cluster.local"));
    let identity = identity.unwrap();
    Endpoint {
        addr: SocketAddr::from(([10, 0, 0, 1], addr)),
        weight: 10_000,
        tls: Some(TlsTarget { server_name: identity.shared(), identity }),
        hint: ProtocolHint::Http2,
        transport_port: None,
        authority_override: None,
        http2: Http2Params::default(),
        labels: Arc::from([]),
        other_zone: false,
    }
}

fn owner_of(endpoint: &Endpoint) -> u64 {
    let name = endpoint.tls.as_ref().unwrap().identity.as_str();
    name.strip_prefix("pod-").and_then(|rest| rest.split('.').next()).unwrap().parse().unwrap()
}

fn check(seed: u64) -> usize {
    let (requests, broken) = History::new(seed).run();
    assert!(broken.is_empty(), "seed {seed}: {broken:?}");
    for (id, request) in requests.iter().enumerate() {
        assert_eq!(request.ended, 1, "seed {seed}: request {id} ended {} times", request.ended);
        if !retry::is_idempotent(request.method) {
            assert!(request.acted <= 1, "seed {seed}: request {id} was served {} times", request.acted);
        }
    }
    requests.len()
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn no_history_has_a_stale_destination_a_wrong_server_or_an_effect_twice() {
    if let Some(seed) = asked("CHURN_SEED") {
        check(seed);
        return;
    }
    let histories = asked("CHURN_HISTORIES").unwrap_or(HISTORIES);
    let requests: usize = (0..histories).map(check).sum();
    assert!(requests as u64 > histories * 30, "only {requests} requests were made");
}
