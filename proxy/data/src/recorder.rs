//! The flight recorder: the stories of the last requests, always on, in memory of a fixed size.
//!
//! A request takes the next place of a ring and tells its story there; only at the end it is copied, and only if it
//! failed or was slow, into a ring of its kind, so that a flood of ordinary requests does not wash it away. Questions
//! come through a channel and are answered between requests: telling takes no lock.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hauberk_model::endpoint::Endpoint;
use hauberk_model::identity::Identity;
use hauberk_model::metadata::Metadata;
use hauberk_model::random::Random;
use hauberk_model::status::Failure;
use hauberk_model::story::{End, Judgement, Place, RequestId, Side, Skipped, Story, Tried, Trouble};
use hauberk_model::trace::Propagated;
use hauberk_observe::families as f;
use hauberk_observe::{Counter, Labels, Registry};

use crate::exchange::Fault;
use crate::heads::{RequestMeta, ResponseMeta};
use crate::look::{Look, Lookers};
use crate::meters::Ended;

/// Memory for ordinary requests. Taken as requests come; an idle proxy has none of it.
const RECENT_BYTES_MAX: usize = 192 * 1024;
/// Memory for failed ones, with what went wrong.
const FAILED_BYTES_MAX: usize = 192 * 1024;
/// Memory for slow ones.
const SLOW_BYTES_MAX: usize = 64 * 1024;
/// From here on a request is slow: longer than any page of an application should take.
const SLOW: Duration = Duration::from_secs(1);
/// Places that are looked at for one that no open request holds. Where long streams hold so many in a row, the next
/// one loses its story, and that is counted: what begins now is more likely to be asked for.
const LOOKS_MAX: usize = 8;

/// The recorder of one data thread.
pub(crate) struct Recorder {
    rings: RefCell<Rings>,
    /// Open requests whose story was overwritten.
    lost: Counter,
    lookers: Lookers,
}

struct Rings {
    recent: Ring,
    failed: Ring,
    slow: Ring,
}

/// Stories in order, the oldest overwritten by the newest.
struct Ring {
    stories: Vec<Story>,
    next: usize,
    max: usize,
    /// Stories that were overwritten.
    overwritten: u64,
}

/// What is asked of a recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Every story of this id.
    Id(RequestId),
    /// The last stories, newest first.
    Recent {
        /// Only those of failed requests.
        failed: bool,
        /// At most so many.
        max: usize,
    },
}

/// What a recorder knows.
#[derive(Clone, Debug)]
pub struct Told {
    /// The stories, newest first.
    pub stories: Vec<Story>,
    /// Of the oldest ordinary request that is still remembered. `None`: nothing was forgotten yet.
    pub recent_since: Option<Instant>,
    /// Of the oldest failed one, likewise.
    pub failed_since: Option<Instant>,
}

impl Recorder {
    pub(crate) fn new(registry: &Registry, lookers: Lookers) -> Self {
        let story = size_of::<Story>();
        let troubled = story + size_of::<Trouble>();
        Self {
            rings: RefCell::new(Rings {
                recent: Ring::new(RECENT_BYTES_MAX / story),
                failed: Ring::new(FAILED_BYTES_MAX / troubled),
                slow: Ring::new(SLOW_BYTES_MAX / story),
            }),
            lost: registry.counter(&f::HAUBERK_FLIGHT_RECORDER_LOST_TOTAL, Labels::new()),
            lookers,
        }
    }

    /// Begins the story of a request; `id` if a peer gave it one already.
    pub(crate) fn begin(
        &self,
        side: Side,
        id: Option<RequestId>,
        random: &RefCell<Random>,
        (client, target): (SocketAddr, SocketAddr),
        began: Instant,
    ) -> Telling<'_> {
        let id = id.unwrap_or_else(|| RequestId(random.borrow_mut().bits()));
        let (place, was_open) = self.rings.borrow_mut().recent.place(|held| match held {
            Some(held) => {
                held.begin_again(id, side, began, client, target);
                None
            }
            None => Some(Story::begin(id, side, began, client, target)),
        });
        if was_open {
            self.lost.inc();
        }
        let look = RefCell::new(None);
        Telling { recorder: self, place, id, side, began, ended: Cell::new(false), look }
    }

    /// Answers a question.
    pub(crate) fn answer(&self, asked: Asked) -> Told {
        let rings = self.rings.borrow();
        let is_wanted = |story: &&Story| match asked {
            Asked::Id(id) => story.id == id,
            Asked::Recent { failed, .. } => !failed || story.has_failed(),
        };
        let max = match asked {
            Asked::Id(_) => usize::MAX,
            Asked::Recent { max, .. } => max,
        };
        // What failed or was slow stands in two rings.
        let kept = rings.failed.stories.iter().chain(&rings.slow.stories);
        let mut stories: Vec<Story> = kept.filter(is_wanted).cloned().collect();
        let is_known = |known: &[Story], story: &Story| {
            known.iter().any(|one| (one.id, one.side, one.began) == (story.id, story.side, story.began))
        };
        for story in rings.recent.stories.iter().filter(is_wanted) {
            if !is_known(&stories, story) {
                stories.push(story.clone());
            }
        }
        stories.sort_by_key(|story| std::cmp::Reverse(story.began));
        stories.truncate(max);
        Told { stories, recent_since: rings.recent.since(), failed_since: rings.failed.since() }
    }
}

impl Ring {
    fn new(max: usize) -> Self {
        Self { stories: Vec::new(), next: 0, max: max.max(1), overwritten: 0 }
    }

    /// Puts a story in a place.
    fn push(&mut self, story: Story) {
        self.place(|held| match held {
            Some(held) => {
                *held = story;
                None
            }
            None => Some(story),
        });
    }

    /// Has a place written, anew or over the story that has it, and tells whether that was an open one.
    fn place(&mut self, write: impl FnOnce(Option<&mut Story>) -> Option<Story>) -> (usize, bool) {
        if self.stories.len() < self.max {
            self.stories.extend(write(None));
            return (self.stories.len().saturating_sub(1), false);
        }
        let mut at = self.next;
        let mut was_open = true;
        for _ in 0..LOOKS_MAX {
            at = self.next;
            self.next = if at + 1 >= self.max { 0 } else { at + 1 };
            was_open = self.stories.get(at).is_some_and(|held| held.end.is_none());
            if !was_open {
                break;
            }
        }
        if let Some(held) = self.stories.get_mut(at) {
            write(Some(held));
        }
        self.overwritten += 1;
        (at, was_open)
    }

    fn since(&self) -> Option<Instant> {
        if self.overwritten == 0 {
            return None;
        }
        self.stories.iter().map(|story| story.began).min()
    }
}

/// A request that tells its story. Dropped before its end, it was cancelled.
pub(crate) struct Telling<'r> {
    recorder: &'r Recorder,
    place: usize,
    pub(crate) id: RequestId,
    side: Side,
    began: Instant,
    ended: Cell<bool>,
    /// `None`: nobody else looks at the request.
    look: RefCell<Option<Box<Look>>>,
}

impl Telling<'_> {
    fn note(&self, note: impl FnOnce(&mut Story)) {
        if let Some(story) = self.story(&mut self.recorder.rings.borrow_mut().recent) {
            note(story);
        }
    }

    /// The story, unless a newer one has taken its place.
    fn story<'s>(&self, recent: &'s mut Ring) -> Option<&'s mut Story> {
        let held = recent.stories.get_mut(self.place)?;
        (held.id == self.id && held.side == self.side).then_some(held)
    }

    /// Has the access log, taps and tracing look at the request, if they are on.
    pub(crate) fn look_at(
        &self,
        head: &RequestMeta,
        peer: Option<&Identity>,
        addresses: (SocketAddr, SocketAddr),
        random: &RefCell<Random>,
    ) {
        if let Some(look) = self.recorder.lookers.look(self.side, head, peer, addresses, random) {
            *self.look.borrow_mut() = Some(look);
        }
    }

    /// What the next hop is told of the request's trace; `None`: it is not traced by us.
    pub(crate) fn propagated(&self) -> Option<Propagated> {
        self.look.borrow().as_ref()?.propagated()
    }

    fn looked(&self, act: impl FnOnce(&mut Look, &Story)) {
        if let Some(look) = self.look.borrow_mut().as_mut() {
            let mut rings = self.recorder.rings.borrow_mut();
            let lost;
            let story = match self.story(&mut rings.recent) {
                Some(story) => story,
                None => {
                    lost = look.story(self.id, self.side, self.began);
                    &lost
                }
            };
            act(look, story);
        }
    }

    /// What the request asks for.
    pub(crate) fn asks(&self, method: &str, authority: &str, path: &str) {
        self.note(|story| {
            story.method.set(method);
            story.authority.set(authority);
            story.path.set(path);
        });
    }

    pub(crate) fn peer(&self, peer: Option<&Identity>) {
        if let Some(peer) = peer {
            self.note(|story| story.peer = Some(peer.clone()));
        }
    }

    pub(crate) fn routed(&self, place: &Arc<Place>, backend: Option<&Metadata>) {
        self.note(|story| {
            story.place = Some(Arc::clone(place));
            story.backend = backend.cloned();
        });
    }

    pub(crate) fn judged(&self, judgement: Judgement) {
        let goes_on = matches!(judgement, Judgement::Allowed(_));
        self.note(|story| story.judgement = judgement);
        if goes_on {
            self.looked(|look, story| look.sends(story, None, self.began.elapsed()));
        }
    }

    pub(crate) fn tries(&self, endpoint: &Arc<Endpoint>) {
        self.note(|story| {
            story.endpoint = Some(Arc::clone(endpoint));
            story.attempts = story.attempts.saturating_add(1);
        });
        self.looked(|look, story| look.sends(story, Some(endpoint), self.began.elapsed()));
    }

    /// An endpoint did not bring the response.
    #[cold]
    pub(crate) fn lost(&self, endpoint: &Arc<Endpoint>, failure: Failure) {
        let after = self.began.elapsed();
        let tried = Tried { endpoint: Arc::clone(endpoint), failure, after };
        self.note(|story| story.trouble().tried(tried));
    }

    /// Some endpoints are not chosen from.
    #[cold]
    pub(crate) fn skips(&self, skipped: impl Iterator<Item = Skipped>, ready: usize, all: usize) {
        self.note(|story| {
            let trouble = story.trouble();
            trouble.skipped = Default::default();
            for (place, one) in trouble.skipped.iter_mut().zip(skipped) {
                *place = Some(one);
            }
            let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
            trouble.endpoints = (count(ready), count(all));
        });
    }

    /// The response has begun.
    pub(crate) fn answered(&self, head: &ResponseMeta, after: Duration) {
        self.note(|story| story.answered = Some(after));
        self.looked(|look, story| self.recorder.lookers.responds(look, story, head, after));
    }

    /// The proxy answers itself, or breaks off.
    #[cold]
    pub(crate) fn fails(&self, failure: Failure) {
        self.note(|story| story.failure = Some(failure));
    }

    /// The response broke off.
    pub(crate) fn breaks(&self, fault: Fault) {
        match fault {
            Fault::None => {}
            Fault::Client => self.fails(Failure::Cancelled),
            Fault::Server => self.fails(Failure::Reset),
            Fault::Timeout => self.fails(Failure::ResponseStreamTimeout),
        }
    }

    /// A mirrored copy has ended; what it was answered interests nobody.
    pub(crate) fn copied(&self, complete: bool) {
        self.ends(Ended { status: 0, grpc_status: None, complete });
    }

    /// The request has ended now.
    pub(crate) fn ends(&self, ended: Ended) {
        self.ended(ended, self.began.elapsed());
    }

    /// The request has ended.
    pub(crate) fn ended(&self, ended: Ended, after: Duration) {
        if self.ended.replace(true) {
            return;
        }
        self.looked(|look, story| self.recorder.lookers.ended(look, story, ended, after));
        let Ended { status, grpc_status, complete } = ended;
        let end = End { after, status, grpc_status, complete };
        let mut rings = self.recorder.rings.borrow_mut();
        let Rings { recent, failed, slow } = &mut *rings;
        let Some(story) = self.story(recent) else { return };
        story.end = Some(end);
        if story.has_failed() {
            failed.push(story.clone());
        } else if after >= SLOW {
            slow.push(story.clone());
        }
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        if !self.ended.get() {
            self.fails(Failure::Cancelled);
            self.ended(Ended { status: 0, grpc_status: None, complete: false }, self.began.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use hauberk_observe::Limits;

    use super::*;

    const OK: Ended = Ended { status: 200, grpc_status: None, complete: true };

    struct World {
        recorder: Recorder,
        random: RefCell<Random>,
        addr: SocketAddr,
    }

    impl World {
        fn new() -> Self {
            let registry = Registry::new(Limits::default());
            let addr = SocketAddr::from(([10, 0, 0, 1], 80));
            Self {
                recorder: Recorder::new(&registry, Lookers::default()),
                random: RefCell::new(Random::seeded(7)),
                addr,
            }
        }

        fn begin(&self, id: Option<RequestId>) -> Telling<'_> {
            self.recorder.begin(Side::Outbound, id, &self.random, (self.addr, self.addr), Instant::now())
        }

        fn of(&self, id: RequestId) -> Vec<Story> {
            self.recorder.answer(Asked::Id(id)).stories
        }
    }

    #[test]
    fn a_failed_request_outlives_a_flood_of_ordinary_ones_and_an_ordinary_one_does_not() {
        let world = World::new();
        let (good, bad) = (RequestId(1), RequestId(2));
        world.begin(Some(good)).ended(OK, Duration::ZERO);
        let failing = world.begin(Some(bad));
        failing.fails(Failure::Unauthorized);
        failing.ended(Ended { status: 403, ..OK }, Duration::ZERO);
        drop(failing);
        assert_eq!(world.of(bad).len(), 1, "it stands in two rings and is told once");
        for _ in 0..10_000 {
            world.begin(None).ended(OK, Duration::ZERO);
        }
        assert!(world.of(good).is_empty());
        assert_eq!(world.of(bad).first().and_then(|story| story.failure), Some(Failure::Unauthorized));
        assert!(world.recorder.answer(Asked::Id(good)).recent_since.is_some());
        let failed = world.recorder.answer(Asked::Recent { failed: true, max: 10 });
        assert_eq!(failed.stories.len(), 1);
        assert!(failed.failed_since.is_none(), "no failure was forgotten");
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let world = World::new();
        for _ in 0..10_000 {
            world.begin(None).ended(Ended { status: 500, ..OK }, SLOW);
        }
        let rings = world.recorder.rings.borrow();
        let held = rings.recent.stories.len() * size_of::<Story>();
        assert!(held <= RECENT_BYTES_MAX && rings.recent.stories.len() > 300, "{held}");
        assert!(rings.failed.stories.len() * (size_of::<Story>() + size_of::<Trouble>()) <= FAILED_BYTES_MAX);
    }

    #[test]
    fn a_request_that_is_dropped_was_cancelled_and_one_that_goes_on_has_no_end() {
        let world = World::new();
        let id = world.begin(None).id;
        assert_eq!(world.of(id).first().and_then(|story| story.failure), Some(Failure::Cancelled));
        let open = world.begin(None);
        assert!(world.of(open.id).iter().all(|story| story.end.is_none()));
    }

    #[test]
    fn long_streams_keep_their_places_from_short_requests_and_never_get_anothers_story() {
        let world = World::new();
        let streams: Vec<_> = (0..LOOKS_MAX - 1).map(|_| world.begin(None)).collect();
        for _ in 0..10_000 {
            world.begin(None).ended(OK, Duration::ZERO);
        }
        assert!(streams.iter().all(|stream| world.of(stream.id).len() == 1));
        let crowd: Vec<_> = (0..10_000).map(|_| world.begin(None)).collect();
        for one in &crowd {
            one.asks("GET", &one.id.to_string(), "/");
        }
        let held = world.recorder.answer(Asked::Recent { failed: false, max: usize::MAX }).stories;
        let told: Vec<_> = held.iter().filter(|story| story.method.text() == "GET").collect();
        assert!(told.len() > 300 && told.iter().all(|story| story.authority.text() == story.id.to_string()));
    }
}
