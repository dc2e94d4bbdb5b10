//! Attempts at one request: on which endpoint, over which connection, and when another one is made.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hauberk_model::balance::{Affinity, EndpointKey, Outcome, Wanted};
use hauberk_model::endpoint::ProtocolHint;
use hauberk_model::matching::RequestView;
use hauberk_model::pushback::Pushback;
use hauberk_model::retry::{self, AttemptFailure, Attempted, GiveUp, Verdict, is_idempotent};
use hauberk_model::status::{Failure, GrpcCode};
use hauberk_model::story::REQUEST_ID;
use hauberk_model::trace::Propagated;
use hauberk_wire::Edits;
use tokio::time::{Instant, sleep, timeout};

use super::backend::{Load, NoEndpoint, Picked, Slot};
use super::demands::Demands;
use super::endpoint::{Endpoint, Session};
use super::plan::{Rule, RuleBackend};
use super::profile_meters::ProfileMeters;
use super::said::Said;
use crate::body::Body;
use crate::exchange::{AttemptError, Exchange};
use crate::failure::{failure_of, failure_of_dial};
use crate::h1;
use crate::heads::{self, Onward, RequestMeta, ResponseMeta};
use crate::interim::Interims;
use crate::meters::{Ended, Http};
use crate::pool::http2_client;
use crate::recorder::Telling;
use crate::replay::Source;
use crate::worker::Worker;

/// Answers that refuse work.
const TOO_MANY_REQUESTS: u16 = 429;
const RESOURCE_EXHAUSTED: u16 = GrpcCode::ResourceExhausted as u16;
const UNAVAILABLE: u16 = GrpcCode::Unavailable as u16;

/// A request that may take several attempts.
pub(super) struct Attempts<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) rule: &'a Rule,
    pub(super) chosen: &'a RuleBackend,
    pub(super) head: &'a RequestMeta,
    pub(super) path_and_query: Option<&'a str>,
    /// Where the client meant to go.
    pub(super) meant: SocketAddr,
    pub(super) edits: Edits<'a>,
    pub(super) source: Source,
    pub(super) demands: &'a Demands,
    /// Where the request belongs.
    pub(super) affinity: Affinity,
    /// When the first attempt is made: the clock is read once for all that is done in one go.
    pub(super) began: Instant,
    /// Attempts so far that may have had an effect.
    pub(super) repeats: Cell<u32>,
    pub(super) story: &'a Telling<'a>,
    /// Interim responses, on their way to the client if there is one that waits.
    pub(super) interims: &'a Interims,
}

/// A response that has begun.
pub(super) struct Won {
    pub(super) exchange: Box<Exchange>,
    pub(super) load: Load,
    pub(super) slot: Rc<Slot>,
    pub(super) started: Instant,
    /// When the response began.
    pub(super) answered: Instant,
    /// What counts it where a ServiceProfile routes.
    pub(super) actual: Option<Rc<Http>>,
}

/// An attempt that brought none.
pub(super) struct Lost {
    how: AttemptFailure,
    failure: Failure,
    outcome: Outcome,
}

/// The endpoint and connection of one attempt.
pub(super) struct Try {
    pub(super) key: EndpointKey,
    slot: Rc<Slot>,
    load: Load,
    pub(super) started: Instant,
    /// How long the endpoint may take.
    pub(super) patience: Duration,
}

impl Attempts<'_> {
    /// Makes attempts until one is answered or no further one is allowed.
    pub(super) async fn run(&self) -> Result<Won, Failure> {
        let backend = &self.chosen.backend;
        backend.budget.borrow_mut().deposit(self.began.into_std());
        let mut failed: Vec<EndpointKey> = Vec::new();
        let mut attempts = 0;
        let mut now = self.began;
        loop {
            let (picked, now_picked) = self.pick(&failed, now).await?;
            attempts += 1;
            let tried = self.begin(picked, now_picked);
            let (key, result) = self.hedged(tried, &mut failed).await;
            let (failure, how) = match result {
                Ok(won) => match self.unwanted(&won) {
                    None => {
                        if attempts > 1 {
                            self.rule.meters.retry_succeeded();
                        }
                        return Ok(won);
                    }
                    Some(how) => match self.again(how, attempts, pushback_of(&won.exchange.response)) {
                        None => return Ok(won),
                        Some(after) => {
                            self.discard(won);
                            sleep(after).await;
                            failed.push(key);
                            now = Instant::now();
                            continue;
                        }
                    },
                },
                Err(lost) => (lost.failure, lost.how),
            };
            failed.push(key);
            match self.again(how, attempts, Pushback::None) {
                Some(after) if after.is_zero() => {}
                Some(after) => sleep(after).await,
                None => return Err(failure),
            }
            now = Instant::now();
        }
    }

    /// Makes one attempt, without a second one in any case.
    pub(super) async fn once(&self) -> Result<Won, Failure> {
        let (picked, now) = self.pick(&[], self.began).await?;
        let tried = self.begin(picked, now);
        self.attempt(tried).await.map_err(|lost| lost.failure)
    }

    fn actual(&self) -> Option<Rc<Http>> {
        self.rule.profile.as_ref().map(ProfileMeters::actual)
    }

    /// Counts an answer that another attempt is made in place of.
    fn discard(&self, won: Won) {
        let Won { exchange, mut load, slot, started, actual, .. } = won;
        let (status, grpc_status) = (exchange.response.status(), exchange.response.grpc_status());
        let ended = Ended { status, grpc_status, complete: true };
        slot.http.responded_as(ended, false, started.elapsed());
        if let Some(actual) = actual {
            actual.responded_as(ended, false, started.elapsed());
        }
        self.chosen.meters.ended(ended, started.elapsed());
        load.end(Outcome::Failure);
    }

    /// An endpoint that has not failed this request, or any if all have; and the time, which is `now` unless it waited.
    async fn pick(&self, failed: &[EndpointKey], now: Instant) -> Result<(Picked, Instant), Failure> {
        let backend = &self.chosen.backend;
        let (movable, affinity) = (self.is_movable(), self.affinity);
        let wanted = Wanted { exclude: failed, movable, affinity };
        let (picked, now) = match backend.pick(self.worker, wanted, now.into_std()) {
            Some(picked) => (picked, now),
            None => {
                backend.tell_skipped(self.story);
                let picked = backend
                    .ready(self.worker, Wanted { exclude: &[], movable, affinity })
                    .await
                    .map_err(|none| match none {
                        NoEndpoint::FailFast => Failure::FailFast,
                        NoEndpoint::Full => Failure::LoadShed,
                        NoEndpoint::Pending => Failure::PendingLimit,
                        NoEndpoint::Busy => Failure::ConcurrencyLimit,
                    })?;
                (picked, Instant::now())
            }
        };
        let required = self.head.header("l5d-require-id").next();
        let identity = picked.slot.endpoint.spec.tls.as_ref().map(|tls| tls.identity.as_str().as_bytes());
        if required.is_some() && required != identity {
            return Err(Failure::RequiredIdentity);
        }
        Ok((picked, now))
    }

    pub(super) fn begin(&self, picked: Picked, started: Instant) -> Try {
        let Picked { key, slot } = picked;
        self.chosen.backend.tell(self.story, &slot.endpoint.spec);
        slot.http.requested();
        self.chosen.meters.requested();
        if let Some(profile) = &self.rule.profile {
            profile.attempted();
        }
        let backend = &self.chosen.backend;
        let load = Load::new(self.worker, backend, key, started.into_std());
        Try { key, load, slot, started, patience: backend.patience(key, started.into_std()) }
    }

    /// Whether the request may be sent to another endpoint while one of them keeps silent.
    fn is_movable(&self) -> bool {
        is_idempotent(self.head.method()) && self.source.is_whole() && self.head.upgrade().is_none()
    }

    /// One attempt at one endpoint. Dropped before its end, it counts as unanswered if it was slow.
    pub(super) async fn attempt(&self, tried: Try) -> Result<Won, Lost> {
        let Try { slot, load, started, patience, .. } = tried;
        let mut load = Unanswered { load: Some(load), started, patience };
        let result = {
            // Pinned once: it is large, and would be copied into each future around it.
            let sent = pin!(self.send(&slot.endpoint));
            match self.demands.attempt_limit() {
                None => self.unless_idle(sent).await,
                Some(limit) => timeout(limit, self.unless_idle(sent)).await.unwrap_or(Err(Lost {
                    how: AttemptFailure::Unanswered,
                    failure: Failure::ResponseHeadersTimeout,
                    outcome: Outcome::Unanswered,
                })),
            }
        };
        let mut load = load.take();
        match result {
            Ok(exchange) => {
                let answered = Instant::now();
                if let Some(load) = &mut load {
                    load.answered(answered.into_std());
                    self.heed(load, &exchange.response);
                }
                match load {
                    Some(load) => Ok(Won { exchange, load, slot, started, answered, actual: self.actual() }),
                    None => Err(Lost {
                        how: AttemptFailure::NotSent,
                        failure: Failure::Unexpected,
                        outcome: Outcome::Cancelled,
                    }),
                }
            }
            Err(lost) => {
                self.story.lost(&slot.endpoint.spec, lost.failure);
                if let Some(mut load) = load {
                    load.end(lost.outcome);
                }
                Err(lost)
            }
        }
    }

    /// Ends an attempt while which nothing moves for as long as the route allows. Another one is made only if the route
    /// asks for it: the bound is one on the request's silence, not a word about the endpoint.
    async fn unless_idle(
        &self,
        mut sent: Pin<&mut impl Future<Output = Result<Box<Exchange>, Lost>>>,
    ) -> Result<Box<Exchange>, Lost> {
        let Some(idle) = self.demands.idle else { return sent.await };
        loop {
            let moved = || (self.source.read(), self.interims.seen());
            let before = moved();
            if let Some(result) = self.worker.patience.within(Instant::now(), idle, sent.as_mut()).await {
                return result;
            }
            if moved() == before {
                return Err(Lost {
                    how: AttemptFailure::Status(Failure::IdleTimeout.row().http),
                    failure: Failure::IdleTimeout,
                    outcome: Outcome::Unanswered,
                });
            }
        }
    }

    /// Sends the request over the protocol that the endpoint understands.
    async fn send(&self, endpoint: &Rc<Endpoint>) -> Result<Box<Exchange>, Lost> {
        let upgrades = self.head.upgrade().is_some();
        let over_http2 = !upgrades && (!self.head.is_http1() || endpoint.upgrades_http1());
        let body = self.source.replay();
        let host = endpoint.spec.authority_override.as_deref();
        // HTTP/1.0 knows requests without Host; HTTP/2 and the mesh know none without an authority.
        let addressed = (over_http2 && host.is_none() && self.head.has_no_authority())
            .then(|| endpoint.spec.addr.to_string());
        // The id goes to proxies only.
        let id = self.story.id.digits();
        let named = [(REQUEST_ID, &id[..])];
        let edits = if endpoint.is_meshed() {
            Edits { own: &named, own_is_sound: true, ..self.edits }
        } else {
            self.edits
        };
        let said =
            Said::new(self.head.is_grpc(), endpoint.is_meshed(), self.repeats.get(), self.demands.left());
        let traced = self.story.propagated();
        let is_plain = said.is_empty() && traced.is_none();
        let mut own = if is_plain { Vec::new() } else { said.and(edits.own) };
        own.extend(traced.iter().flat_map(Propagated::fields));
        let on = Onward {
            host: host.or(addressed.as_deref()),
            known: None,
            path_and_query: self.path_and_query,
            edits: if is_plain { edits } else { Edits { own: &own, ..edits } },
            to_mesh: endpoint.upgrades_http1(),
            ends: body.is_end(),
        };
        if over_http2 {
            // HTTP/2 has no request without an authority; HTTP/1.0 has.
            let meant = self.head.has_no_authority().then(|| self.meant.to_string());
            let known = self.worker.last_host.of(self.head);
            let on = Onward { host: on.host.or(meant.as_deref()), known: known.as_ref(), ..on };
            return self.over_http2(endpoint, &on).await;
        }
        let kept = if upgrades { None } else { endpoint.http1.take() };
        if let Some(conn) = kept {
            match self.over_http1(endpoint, conn, &on, body).await {
                // The server closed a connection that we had kept: that says nothing of the server.
                Err(AttemptError::Broken(_))
                    if is_idempotent(self.head.method()) && self.source.can_replay() => {}
                other => return other.map_err(Lost::of),
            }
            return self.over_new_http1(endpoint, &on, self.source.replay()).await;
        }
        self.over_new_http1(endpoint, &on, body).await
    }

    async fn over_new_http1(
        &self,
        endpoint: &Rc<Endpoint>,
        on: &Onward<'_>,
        body: Body,
    ) -> Result<Box<Exchange>, Lost> {
        let session = match endpoint.spec.hint {
            ProtocolHint::Opaque => Session::Opaque,
            ProtocolHint::Unknown | ProtocolHint::Http2 => Session::Http1,
        };
        let io = endpoint
            .connect_within(self.worker, session, self.chosen.backend.connection_limit())
            .await
            .map_err(|error| Lost::dialing(&error))?;
        self.over_http1(endpoint, h1::Conn::new(io), on, body).await.map_err(Lost::of)
    }

    async fn over_http1(
        &self,
        endpoint: &Endpoint,
        conn: Rc<h1::Conn>,
        on: &Onward<'_>,
        body: Body,
    ) -> Result<Box<Exchange>, AttemptError> {
        let limits = &self.worker.config.limits;
        h1::request(conn, self.head, on, body, limits, Some(endpoint.http1.clone()), self.interims).await
    }

    async fn over_http2(&self, endpoint: &Rc<Endpoint>, on: &Onward<'_>) -> Result<Box<Exchange>, Lost> {
        let mut moved = false;
        loop {
            let limit = self.chosen.backend.connection_limit();
            let client =
                http2_client(self.worker, endpoint, limit).await.map_err(|error| Lost::dialing(&error))?;
            let request = heads::for_http2(self.head, on).map_err(|_| Lost {
                how: AttemptFailure::NotSent,
                failure: Failure::BadRequest,
                outcome: Outcome::Cancelled,
            })?;
            match client.request(request, self.source.replay(), self.interims).await {
                // The connection was leaving (GOAWAY): that says nothing of the endpoint.
                Err(AttemptError::Unsent(_)) if client.is_closed() && !moved && self.source.can_replay() => {
                    moved = true;
                }
                other => return other.map_err(Lost::of),
            }
        }
    }

    /// The next attempt repeats what may have had an effect.
    pub(super) fn repeated(&self) {
        self.repeats.set(self.repeats.get().saturating_add(1));
    }

    /// Tells the balancer of an answer that refuses work, or asks for a pause.
    fn heed(&self, load: &mut Load, response: &ResponseMeta) {
        let (status, grpc) = (response.status(), response.grpc_status());
        let failed = match grpc {
            Some(code) => {
                matches!(code, UNAVAILABLE | RESOURCE_EXHAUSTED) || GrpcCode::from_number(code).is_failure()
            }
            None => status == TOO_MANY_REQUESTS || self.rule.target.is_failure(status),
        };
        if failed {
            load.pushed_back(true, pushback_of(response).pause());
        }
    }

    /// Whether the route wants another attempt in place of this answer.
    fn unwanted(&self, won: &Won) -> Option<AttemptFailure> {
        let retry = self.demands.retry.as_ref()?;
        if let Some(code) = won.exchange.response.grpc_status() {
            return retry.grpc_codes.contains(&code).then_some(AttemptFailure::GrpcCode(code));
        }
        let status = won.exchange.response.status();
        let named = retry.statuses.iter().any(|(from, to)| (*from..=*to).contains(&status));
        named.then_some(AttemptFailure::Status(status))
    }

    /// The pause before another attempt, if there may be one.
    fn again(&self, how: AttemptFailure, attempts: u32, pushback: Pushback) -> Option<Duration> {
        let request = Attempted {
            method: self.head.method(),
            replayable: self.source.can_replay() && self.head.upgrade().is_none(),
            attempts,
            deadline: self.demands.deadline.map(Instant::into_std),
            is_retry: self.demands.is_retry,
            pushback,
        };
        let verdict = retry::decide(
            how,
            &request,
            self.demands.retry.as_ref(),
            &mut self.chosen.backend.budget.borrow_mut(),
            Instant::now().into_std(),
            &mut self.worker.random.borrow_mut(),
        );
        let meters = &self.rule.meters;
        match verdict {
            Verdict::Again { after } => {
                meters.retried();
                if !matches!(how, AttemptFailure::NotSent | AttemptFailure::Refused) {
                    self.repeated();
                }
                Some(after)
            }
            Verdict::GiveUp(why) => {
                match why {
                    GiveUp::Limit => meters.retry_limit_reached(),
                    GiveUp::Budget => meters.retry_budget_empty(),
                    GiveUp::NotRetryable | GiveUp::Deadline | GiveUp::Upstream | GiveUp::Pushback => {}
                }
                None
            }
        }
    }
}

/// What an answer says of when to come again.
fn pushback_of(response: &ResponseMeta) -> Pushback {
    let (retry_after, grpc) = (response.header("retry-after"), response.header("grpc-retry-pushback-ms"));
    if retry_after.is_none() && grpc.is_none() {
        return Pushback::None;
    }
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Pushback::of(retry_after, grpc, now_s)
}

impl Lost {
    fn of(error: AttemptError) -> Self {
        let failure = failure_of(&error);
        let (how, outcome) = match error {
            AttemptError::Unsent(crate::body::BodyError::Unsayable(_)) => {
                (AttemptFailure::NotSent, Outcome::Cancelled)
            }
            AttemptError::Unsent(_) => (AttemptFailure::Refused, Outcome::Unreachable),
            AttemptError::Broken(_) => (AttemptFailure::Reset, Outcome::Unreachable),
            AttemptError::Malformed(_) => (AttemptFailure::Status(502), Outcome::Failure),
            AttemptError::RequestBody(_) => (AttemptFailure::Status(499), Outcome::Cancelled),
        };
        Self { how, failure, outcome }
    }

    fn dialing(error: &super::endpoint::DialError) -> Self {
        Self { how: AttemptFailure::NotSent, failure: failure_of_dial(error), outcome: error.outcome() }
    }
}

/// The load of an attempt that waits. If the attempt is dropped after it tried the request's patience, the endpoint
/// did not answer; before, the client left.
struct Unanswered {
    load: Option<Load>,
    started: Instant,
    patience: Duration,
}

impl Unanswered {
    fn take(&mut self) -> Option<Load> {
        self.load.take()
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some(mut load) = self.load.take() {
            let silent = self.started.elapsed() >= self.patience;
            load.end(if silent { Outcome::Unanswered } else { Outcome::Cancelled });
        }
    }
}
