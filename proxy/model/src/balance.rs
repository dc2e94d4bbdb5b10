//! Power of two choices by peak EWMA over the ready endpoints of one destination, and who is ready.
//!
//! One [`Balancer`] belongs to one data thread: no lock, no queue, no task. Of two endpoints drawn at random the
//! one with the lower expected wait gets the request (Mitzenmacher 2001; Finagle's peak EWMA). Endpoints that do
//! not answer are ejected and probed with single requests: see [`health`].

mod affinity;
mod ewma;
pub mod hash;
pub mod health;
pub mod zones;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::affinity::Affinity;
use self::affinity::Hashing;
use self::ewma::Ewma;
use self::health::{Admission, Health, Limits, Reason};
use self::zones::{Overflow, ZoneBand, ZoneLoad};
use crate::endpoint::{Endpoint, EndpointSet};
use crate::outbound::{FailureAccrual, Penalty};
use crate::random::Random;
use crate::story::{Skip, Skipped};

/// An endpoint of one balancer. It stays valid until the endpoint leaves the set; afterwards it names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndpointKey {
    slot: u32,
    generation: u32,
}

impl EndpointKey {
    /// Below the greatest number of endpoints that the balancer has had at once: for tables beside it. An endpoint that
    /// takes the place of one that left has the same index and another key.
    #[must_use]
    pub const fn index(self) -> usize {
        self.slot as usize
    }
}

/// A request that an endpoint has. Made by [`Balancer::started`], ended by [`Balancer::finished`].
#[derive(Debug)]
#[must_use = "a request that is never finished weighs on its endpoint for ever"]
pub struct InFlight {
    key: EndpointKey,
    since: Instant,
    answered: bool,
    come_back: Option<Duration>,
}

impl InFlight {
    /// The endpoint that has the request.
    #[must_use]
    pub const fn key(&self) -> EndpointKey {
        self.key
    }

    /// Notes when the endpoint wants to be asked again.
    pub fn hinted(&mut self, come_back: Duration) {
        self.come_back = Some(come_back);
    }
}

/// How a request at an endpoint ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered, and by the route's measure well.
    Success,
    /// Answered with what counts as a failure (5xx, a failing gRPC code).
    Failure,
    /// Connection refused, reset, closed without an answer, not established in time, or the wrong identity.
    Unreachable,
    /// No answer in time.
    Unanswered,
    /// The client went away, or the request was moved while it waited: says nothing of the endpoint.
    Cancelled,
}

/// What a request needs of its endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Endpoints that have failed this request already.
    pub exclude: &'a [EndpointKey],
    /// Whether the request may go elsewhere if it is not answered. Such requests are preferred as probes.
    pub movable: bool,
    /// To which endpoint it belongs.
    pub affinity: Affinity,
}

/// How a balancer measures.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Latency assumed of an endpoint without history.
    pub default_rtt: Duration,
    /// Time constant of the moving average.
    pub decay: Duration,
    /// Circuit breaking by policy; `None`: passive ejection only.
    pub accrual: Option<FailureAccrual>,
    /// What a response that refuses work weighs; `None`: nothing.
    pub penalty: Option<Penalty>,
    /// How far the own zone is preferred; `None`: zones are all the same.
    pub zones: Option<ZoneBand>,
}

/// Ejections since the balancer was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ejections {
    /// Refused, reset or not connected.
    pub connection: u64,
    /// Not answered in time.
    pub timeout: u64,
    /// By accrual: failures in a row.
    pub consecutive_failures: u64,
    /// By accrual: success rate.
    pub success_rate: u64,
}

/// Least time without any answer after which an endpoint with waiting requests counts as frozen. Long enough
/// for a garbage collection or a cold cache.
pub const STALL_MIN: Duration = Duration::from_secs(2);

/// As many times its expected latency an endpoint may stay silent before it counts as frozen.
pub const STALL_FACTOR: u32 = 20;

#[derive(Debug)]
struct Member {
    endpoint: Arc<Endpoint>,
    latency: Ewma,
    /// Requests that have not ended, streams included: the load.
    pending: u32,
    /// Of these, without response headers.
    unanswered: u32,
    /// Since when the unanswered ones have seen nothing from this endpoint.
    silent_since: Instant,
    health: Health,
    /// It refused work: the penalty counts in full until then, and fades afterwards.
    penalised_until: Option<Instant>,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    member: Option<Member>,
}

/// The endpoints of one destination as one data thread sees them.
#[derive(Debug)]
pub struct Balancer {
    settings: Settings,
    limits: Limits,
    slots: Vec<Slot>,
    /// Slots that are taken.
    members: usize,
    /// Slots of the endpoints that are ready and have weight, those of the own zone first.
    ready: Vec<u32>,
    /// How many of these are of the own zone.
    ready_own: usize,
    overflow: Option<Overflow>,
    /// The earliest moment at which an ejected endpoint may be probed.
    next_probe: Option<Instant>,
    /// Requests that all endpoints of the set have.
    pending: u64,
    hashing: Option<Hashing>,
    ejections: Ejections,
}

impl Balancer {
    /// A balancer without endpoints.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let limits = Limits::of(settings.accrual.as_ref());
        Self {
            settings,
            limits,
            slots: Vec::new(),
            members: 0,
            ready: Vec::new(),
            ready_own: 0,
            overflow: None,
            next_probe: None,
            pending: 0,
            hashing: None,
            ejections: Ejections::default(),
        }
    }

    /// Takes in new settings of the backend's policy; what is known of the endpoints stays.
    pub fn configure(&mut self, settings: Settings) {
        self.limits = Limits::of(settings.accrual.as_ref());
        match (settings.zones, &mut self.overflow) {
            (Some(band), Some(overflow)) => overflow.configure(band),
            (None, overflow) => *overflow = None,
            // The next set brings it about.
            (Some(_), None) => {}
        }
        self.settings = settings;
    }

    /// Takes in a new set. An endpoint with the same address and identity keeps its history; the same address
    /// with another identity is another endpoint.
    pub fn update(&mut self, set: &EndpointSet, now: Instant) {
        if let Some(band) = self.settings.zones {
            self.overflow.get_or_insert_with(|| Overflow::new(band, now));
        }
        let mut known: Vec<(SocketAddr, usize)> =
            self.members().map(|(slot, m)| (m.endpoint.addr, slot)).collect();
        known.sort_unstable();
        let mut kept = vec![false; self.slots.len()];
        let mut fresh = Vec::new();
        for endpoint in set.endpoints.iter() {
            let held = known
                .binary_search_by_key(&endpoint.addr, |(addr, _)| *addr)
                .ok()
                .and_then(|at| known.get(at))
                .and_then(|(_, slot)| Some((*slot, self.slots.get_mut(*slot)?.member.as_mut()?)));
            match held {
                Some((slot, member)) if member.endpoint.tls == endpoint.tls => {
                    member.endpoint = Arc::clone(endpoint);
                    if let Some(kept) = kept.get_mut(slot) {
                        *kept = true;
                    }
                }
                Some(_) | None => fresh.push(endpoint),
            }
        }
        for (slot, kept) in self.slots.iter_mut().zip(kept) {
            if !kept && let Some(member) = slot.member.take() {
                self.pending = self.pending.saturating_sub(u64::from(member.pending));
                slot.generation = slot.generation.wrapping_add(1);
            }
        }
        let mut free = 0;
        for endpoint in fresh {
            let member = Member {
                endpoint: Arc::clone(endpoint),
                latency: Ewma::new(self.settings.default_rtt, now),
                pending: 0,
                unanswered: 0,
                silent_since: now,
                health: Health::new(now),
                penalised_until: None,
            };
            while self.slots.get(free).is_some_and(|slot| slot.member.is_some()) {
                free += 1;
            }
            match self.slots.get_mut(free) {
                Some(slot) => slot.member = Some(member),
                None => self.slots.push(Slot { generation: 0, member: Some(member) }),
            }
        }
        self.members = self.members().count();
        self.place();
        self.rebuild();
    }

    /// Chooses the endpoint of a request. `None`: none is there, all are excluded, or the circuits of all are open.
    pub fn pick(&mut self, now: Instant, random: &mut Random, wanted: Wanted<'_>) -> Option<EndpointKey> {
        if wanted.affinity == Affinity::None
            && self.next_probe.is_some_and(|due| due <= now)
            && let Some(slot) = self.due_probe(now, wanted)
        {
            return self.key(slot);
        }
        if let Some(key) = self.belonging(now, random, wanted) {
            return Some(key);
        }
        // Each round either chooses or ejects one endpoint that turned out to be frozen.
        for _ in 0..=self.ready.len() {
            let Some(slot) = self.choose(now, random, wanted) else { break };
            if !self.ejects_if_frozen(slot, now, random) {
                return self.key(slot);
            }
        }
        self.last_resort(now, wanted).and_then(|slot| self.key(slot))
    }

    /// The endpoint of a key, while it is in the set.
    #[must_use]
    pub fn endpoint(&self, key: EndpointKey) -> Option<&Arc<Endpoint>> {
        self.member(key).map(|member| &member.endpoint)
    }

    /// How long to wait for an answer before a request that may be sent twice is also sent elsewhere: far beyond
    /// what this endpoint usually takes.
    #[must_use]
    pub fn patience(&self, key: EndpointKey, now: Instant) -> Duration {
        self.member(key).map_or(STALL_MIN, |member| stall_bound(member, self.settings.decay, now))
    }

    /// Notes that a request goes to an endpoint.
    pub fn started(&mut self, key: EndpointKey, now: Instant) -> InFlight {
        if let Some(member) = self.member_mut(key) {
            if member.unanswered == 0 {
                member.silent_since = now;
            }
            member.pending = member.pending.saturating_add(1);
            member.unanswered = member.unanswered.saturating_add(1);
            self.pending = self.pending.saturating_add(1);
        }
        InFlight { key, since: now, answered: false, come_back: None }
    }

    /// Notes the head of a response: its latency counts, and the endpoint lives.
    pub fn answered(&mut self, request: &mut InFlight, now: Instant) {
        if std::mem::replace(&mut request.answered, true) {
            return;
        }
        let decay = self.settings.decay;
        if let Some(member) = self.member_mut(request.key) {
            member.unanswered = member.unanswered.saturating_sub(1);
            member.silent_since = now;
            let latency = now.saturating_duration_since(request.since);
            member.latency.observe(latency, now, decay);
            let own = !member.endpoint.other_zone;
            if let Some(overflow) = self.overflow.as_mut().filter(|_| own) {
                overflow.answered(latency);
            }
        }
    }

    /// Notes that the endpoint refused work, and when it wants to be asked again.
    pub fn refused(&mut self, key: EndpointKey, come_back: Option<Duration>, now: Instant) {
        let Some(penalty) = self.settings.penalty else { return };
        let until = now + come_back.unwrap_or_default().min(penalty.max_retry_after);
        if let Some(member) = self.member_mut(key) {
            member.penalised_until = Some(member.penalised_until.map_or(until, |held| held.max(until)));
        }
    }

    /// The share of requests that other zones take, 0 to 1; `None`: zones are all the same.
    #[must_use]
    pub fn overflow(&self) -> Option<f64> {
        self.overflow.as_ref().map(Overflow::current)
    }

    /// Notes the end of a request. May eject the endpoint, or take it back.
    pub fn finished(&mut self, request: InFlight, outcome: Outcome, now: Instant, random: &mut Random) {
        let ready = self.ready.len();
        let Self { slots, limits, pending, .. } = self;
        let Some(member) = member_of(slots, request.key) else { return };
        member.pending = member.pending.saturating_sub(1);
        *pending = pending.saturating_sub(1);
        if !request.answered {
            // A wait without an answer is no latency: counted as one, it would make the next wait longer.
            member.unanswered = member.unanswered.saturating_sub(1);
        }
        let was_ready = member.health.is_ready();
        // The others may do without this one if any of them is ready.
        let others_ready = if was_ready { ready.saturating_sub(1) } else { ready };
        let ejected = member.health.on(outcome, request.come_back, limits, others_ready, now, random);
        let stays_ready = was_ready && member.health.is_ready();
        if let Some(reason) = ejected {
            self.count(reason);
        }
        if !stays_ready {
            self.rebuild();
        }
    }

    /// Endpoints that are chosen from.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// All endpoints of the set.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.members
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ejections so far, for the metric.
    #[must_use]
    pub const fn ejections(&self) -> Ejections {
        self.ejections
    }

    /// The endpoints that are not chosen from, and why: for the explanation of a request.
    pub fn skipped(&self, now: Instant) -> impl Iterator<Item = Skipped> {
        self.members().filter_map(move |(_, member)| {
            let weightless = (member.endpoint.weight == 0).then_some((Skip::Weightless, Duration::ZERO));
            let (why, time) = weightless.or_else(|| member.health.skip(now))?;
            Some(Skipped { endpoint: Arc::clone(&member.endpoint), why, time })
        })
    }

    /// Two draws, the cheaper one. With exclusions among the draws: the cheapest of all others.
    fn choose(&mut self, now: Instant, random: &mut Random, wanted: Wanted<'_>) -> Option<u32> {
        let crossing = self.crossing(now);
        let Some((own, others)) = crossing.and_then(|_| self.ready.split_at_checked(self.ready_own)) else {
            return self.choose_among(&self.ready, now, random, wanted);
        };
        let crosses = crossing.is_some_and(|share| share > 0.0 && random.unit() < share);
        let (first, second) = if crosses { (others, own) } else { (own, others) };
        let found = self.choose_among(first, now, random, wanted);
        found.or_else(|| self.choose_among(second, now, random, wanted))
    }

    /// The share of requests for other zones; `None`: there is nothing to choose between.
    fn crossing(&mut self, now: Instant) -> Option<f64> {
        let overflow = self.overflow.as_ref()?;
        if self.ready_own == 0 || self.ready_own == self.ready.len() {
            return None;
        }
        if !overflow.is_due(now) {
            return Some(overflow.current());
        }
        let load = self.own_load();
        self.overflow.as_mut().map(|overflow| overflow.share(load, now))
    }

    fn own_load(&self) -> ZoneLoad {
        let own = self.members().filter(|(_, member)| !member.endpoint.other_zone);
        let load = ZoneLoad { ready: self.ready_own, ..ZoneLoad::default() };
        own.fold(load, |load, (_, member)| ZoneLoad {
            all: load.all + usize::from(member.endpoint.weight > 0),
            in_flight: load.in_flight.saturating_add(member.pending),
            ..load
        })
    }

    fn choose_among(
        &self,
        among: &[u32],
        now: Instant,
        random: &mut Random,
        wanted: Wanted<'_>,
    ) -> Option<u32> {
        if let [only] = *among {
            return self.allows(only, wanted).then_some(only);
        }
        let first = random.index(among.len());
        // Drawn from the others: never the same one twice.
        let second = (first + 1 + random.index(among.len().saturating_sub(1))) % among.len().max(1);
        let draw = |at: usize| among.get(at).copied().filter(|slot| self.allows(*slot, wanted));
        match (draw(first), draw(second)) {
            (Some(a), Some(b)) => Some(if self.cost(b, now) < self.cost(a, now) { b } else { a }),
            _ if wanted.exclude.is_empty() => None,
            _ => {
                let allowed = among.iter().copied().filter(|slot| self.allows(*slot, wanted));
                allowed.min_by(|a, b| self.cost(*a, now).total_cmp(&self.cost(*b, now)))
            }
        }
    }

    /// Expected wait, in seconds, for one request more; weights divide it.
    fn cost(&self, slot: u32, now: Instant) -> f64 {
        let Some(member) = self.slot(slot) else { return f64::INFINITY };
        let latency = member.latency.seconds(now, self.settings.decay).max(self.penalty_s(member, now));
        latency * (f64::from(member.pending) + 1.0) / f64::from(member.endpoint.weight.max(1))
    }

    /// What the endpoint's refusals weigh now.
    fn penalty_s(&self, member: &Member, now: Instant) -> f64 {
        let (Some(until), Some(penalty)) = (member.penalised_until, self.settings.penalty) else {
            return 0.0;
        };
        ewma::faded(penalty.latency.as_secs_f64(), until, now, penalty.decay)
    }

    fn due_probe(&mut self, now: Instant, wanted: Wanted<'_>) -> Option<u32> {
        let due = self.members().find_map(|(slot, member)| {
            let slot = u32::try_from(slot).ok()?;
            let may = member.endpoint.weight > 0 && member.health.admits_probe(now, wanted.movable);
            (may && self.allows(slot, wanted)).then_some(slot)
        });
        let found = due.and_then(|slot| {
            self.slots.get_mut(slot as usize)?.member.as_mut()?.health.begin_probe(now);
            Some(slot)
        });
        self.schedule_probe();
        found
    }

    /// Nothing is ready: probe early, or, among those that were ejected without a policy, take the one that would
    /// be back first. Endpoints whose circuit a policy opened stay closed until their time.
    fn last_resort(&mut self, now: Instant, wanted: Wanted<'_>) -> Option<u32> {
        let candidate = self
            .members()
            .filter_map(|(slot, member)| Some((u32::try_from(slot).ok()?, member)))
            .filter(|(slot, member)| member.endpoint.weight > 0 && self.allows(*slot, wanted))
            .filter_map(|(slot, member)| match member.health.admission(now) {
                Admission::Ready => Some((now, slot)),
                Admission::Panic(back) => Some((back, slot)),
                Admission::Closed => None,
            })
            .min()?;
        Some(candidate.1)
    }

    /// An endpoint with waiting requests and no sign of life is ejected before it gets another one.
    fn ejects_if_frozen(&mut self, slot: u32, now: Instant, random: &mut Random) -> bool {
        let (others, decay) = (self.ready.len().saturating_sub(1), self.settings.decay);
        let Self { slots, limits, .. } = self;
        let Some(member) = slots.get_mut(slot as usize).and_then(|slot| slot.member.as_mut()) else {
            return false;
        };
        let silent = now.saturating_duration_since(member.silent_since);
        if member.unanswered == 0 || silent < STALL_MIN || silent < stall_bound(member, decay, now) {
            return false;
        }
        let ejected = member.health.stalled(limits, others, now, random);
        if let Some(reason) = ejected {
            self.count(reason);
            self.rebuild();
        }
        ejected.is_some()
    }

    fn count(&mut self, reason: Reason) {
        let counter = match reason {
            Reason::Connection => &mut self.ejections.connection,
            Reason::Timeout => &mut self.ejections.timeout,
            Reason::ConsecutiveFailures => &mut self.ejections.consecutive_failures,
            Reason::SuccessRate => &mut self.ejections.success_rate,
        };
        *counter = counter.saturating_add(1);
    }

    fn rebuild(&mut self) {
        let mut ready = std::mem::take(&mut self.ready);
        ready.clear();
        ready.extend(self.members().filter_map(|(slot, member)| {
            let counts = member.endpoint.weight > 0 && member.health.is_ready();
            if counts { u32::try_from(slot).ok() } else { None }
        }));
        self.ready_own = ready.len();
        if self.overflow.is_some() {
            let is_other = |slot: &u32| self.slot(*slot).is_some_and(|member| member.endpoint.other_zone);
            // Stable: the order within a zone does not change.
            ready.sort_by_key(is_other);
            self.ready_own = ready.iter().take_while(|slot| !is_other(slot)).count();
        }
        self.ready = ready;
        let load = self.own_load();
        if let Some(overflow) = &mut self.overflow {
            overflow.available(load.ready, load.all);
        }
        self.schedule_probe();
    }

    fn schedule_probe(&mut self) {
        self.next_probe = self.members().filter_map(|(_, member)| member.health.probe_at()).min();
    }

    fn allows(&self, slot: u32, wanted: Wanted<'_>) -> bool {
        wanted.exclude.is_empty() || self.key(slot).is_some_and(|key| !wanted.exclude.contains(&key))
    }

    fn members(&self) -> impl Iterator<Item = (usize, &Member)> {
        self.slots.iter().enumerate().filter_map(|(at, slot)| Some((at, slot.member.as_ref()?)))
    }

    fn key(&self, slot: u32) -> Option<EndpointKey> {
        self.slots.get(slot as usize).map(|held| EndpointKey { slot, generation: held.generation })
    }

    fn slot(&self, slot: u32) -> Option<&Member> {
        self.slots.get(slot as usize)?.member.as_ref()
    }

    fn member(&self, key: EndpointKey) -> Option<&Member> {
        let slot = self.slots.get(key.slot as usize)?;
        if slot.generation == key.generation { slot.member.as_ref() } else { None }
    }

    fn member_mut(&mut self, key: EndpointKey) -> Option<&mut Member> {
        member_of(&mut self.slots, key)
    }
}

fn member_of(slots: &mut [Slot], key: EndpointKey) -> Option<&mut Member> {
    let slot = slots.get_mut(key.slot as usize)?;
    if slot.generation == key.generation { slot.member.as_mut() } else { None }
}

fn stall_bound(member: &Member, decay: Duration, now: Instant) -> Duration {
    // The estimate only sinks: what is quick even without that needs no exponential, and nearly every endpoint is.
    if member.latency.at_most(STALL_MIN / STALL_FACTOR) {
        return STALL_MIN;
    }
    let expected = Duration::try_from_secs_f64(member.latency.seconds(now, decay)).unwrap_or(STALL_MIN);
    expected.saturating_mul(STALL_FACTOR).max(STALL_MIN)
}
