//! Mirrored requests: sent beside the request that is served, answered to nobody, and given up before they are in its way.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use hauberk_model::balance::{Affinity, Outcome};
use hauberk_model::filters::strikes;
use hauberk_model::metadata::Metadata;
use hauberk_model::route::{Filter, Ratio};
use hauberk_model::status::Failure;
use hauberk_observe::{Counter, Labels, families as f};
use hauberk_wire::{Edits, strip};
use tokio::time::{Instant, timeout};

use super::attempt::{Attempts, Won};
use super::demands::Demands;
use super::plan::{Rule, RuleBackend};
use crate::body::Body;
use crate::exchange::discard;
use crate::heads::{self, RequestMeta};
use crate::interim::Interims;
use crate::meters::{BACKEND, Ended, object_labels};
use crate::replay::Source;
use crate::tee::TeeWatch;
use crate::worker::Worker;

/// The client of a copy.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
/// Mirrored requests of one proxy that may be on their way at once; one more is dropped.
const MIRRORED_MAX: u32 = 64;
/// How long a mirrored request may take in all. It is a copy: nobody waits for it.
const MIRRORED_FOR_MAX: Duration = Duration::from_secs(15);

/// Where a rule mirrors requests to.
pub(crate) struct Mirror {
    to: RuleBackend,
    ratio: Ratio,
    sent: Counter,
    dropped: Counter,
    failed: Counter,
}

impl Mirror {
    /// `labels`: `parent_*` and `route_*`.
    pub(super) fn new(worker: &Worker, to: RuleBackend, ratio: Ratio, labels: &Labels) -> Rc<Self> {
        let backend: &Metadata = &to.reference.backend.metadata;
        let labels = object_labels(labels.clone(), BACKEND, backend);
        let counter = |outcome: &'static str| {
            let labels = labels.clone().with("outcome", outcome);
            worker.registry.counter(&f::HAUBERK_MIRRORED_REQUESTS_TOTAL, labels)
        };
        let (sent, dropped, failed) = (counter("sent"), counter("dropped"), counter("failed"));
        Rc::new(Self { to, ratio, sent, dropped, failed })
    }
}

/// The request that is mirrored.
pub(super) struct Original<'a> {
    pub(super) rule: &'a Rc<Rule>,
    pub(super) head: &'a RequestMeta,
    pub(super) path_and_query: Option<&'a str>,
    /// Whose header changes the copy gets too.
    pub(super) filters: [&'a [Filter]; 2],
    pub(super) meant: SocketAddr,
    pub(super) source: &'a Source,
}

/// Sends copies to all `mirrors` whose share the request is of. To be called before the body is read.
pub(super) fn begin(worker: &Rc<Worker>, mirrors: &[Rc<Mirror>], original: &Original<'_>) {
    for mirror in mirrors {
        if !strikes(mirror.ratio, &mut worker.random.borrow_mut()) {
            continue;
        }
        let Some(place) = Place::take(worker) else {
            mirror.dropped.inc();
            continue;
        };
        let (body, watch) = original.source.tee();
        let copy = Copy {
            worker: Rc::clone(worker),
            mirror: Rc::clone(mirror),
            rule: Rc::clone(original.rule),
            head: original.head.clone(),
            path_and_query: original.path_and_query.map(str::to_owned),
            filters: original.filters.concat(),
            meant: original.meant,
            body,
            watch,
        };
        worker.connections.spawn_local(async move {
            copy.run().await;
            drop(place);
        });
    }
}

/// A place among [`MIRRORED_MAX`].
struct Place(Rc<Worker>);

impl Place {
    fn take(worker: &Rc<Worker>) -> Option<Self> {
        let taken: &Cell<u32> = &worker.mirrored;
        if taken.get() >= MIRRORED_MAX {
            return None;
        }
        taken.set(taken.get() + 1);
        Some(Self(Rc::clone(worker)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.mirrored.set(self.0.mirrored.get().saturating_sub(1));
    }
}

struct Copy {
    worker: Rc<Worker>,
    mirror: Rc<Mirror>,
    rule: Rc<Rule>,
    head: RequestMeta,
    path_and_query: Option<String>,
    filters: Vec<Filter>,
    meant: SocketAddr,
    body: Body,
    watch: Option<TeeWatch>,
}

impl Copy {
    async fn run(self) {
        let Self { worker, mirror, rule, head, path_and_query, filters, meant, body, watch } = self;
        let modifiers = heads::request_modifiers([filters.as_slice()]);
        let demands = Demands::none();
        // A copy has a story of its own; no client waits for it.
        let story = worker.tell_outbound(&head, (NOBODY, meant), Instant::now());
        story.routed(&rule.place, Some(&mirror.to.reference.backend.metadata));
        let attempts = Attempts {
            worker: &worker,
            rule: &rule,
            chosen: &mirror.to,
            head: &head,
            path_and_query: path_and_query.as_deref(),
            meant,
            edits: Edits::filtered(&strip::REQUEST_FROM_APP, &modifiers),
            source: Source::new(body, 0),
            demands: &demands,
            affinity: Affinity::None,
            began: Instant::now(),
            repeats: Cell::new(0),
            story: &story,
            interims: &Interims::default(),
        };
        let sent = timeout(MIRRORED_FOR_MAX, async { Ok(swallow(attempts.once().await?).await) }).await;
        let is_behind = watch.is_some_and(|watch| watch.is_behind());
        let counter = match sent {
            Ok(Ok(true)) => &mirror.sent,
            // It was late, or more of the body came than may wait for it.
            Err(_) => &mirror.dropped,
            Ok(Ok(false) | Err(_)) if is_behind => &mirror.dropped,
            Ok(Ok(false) | Err::<_, Failure>(_)) => &mirror.failed,
        };
        story.copied(matches!(sent, Ok(Ok(true))));
        counter.inc();
    }
}

/// Reads the response away. Whether it came through.
async fn swallow(won: Won) -> bool {
    let Won { exchange, mut load, slot, started, .. } = won;
    let latency = started.elapsed();
    let (status, grpc_status) = (exchange.response.status(), exchange.response.grpc_status());
    let complete = discard(exchange).await;
    let ended = Ended { status, grpc_status, complete };
    load.end(match (complete, ended.is_success()) {
        (true, true) => Outcome::Success,
        (true, false) => Outcome::Failure,
        // The copy may have been given up on our side.
        (false, _) => Outcome::Cancelled,
    });
    slot.http.responded(ended, latency);
    complete
}
