//! Requests to the application: matched, judged, and passed on in the protocol that they began as.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use h2::Reason;
use hauberk_model::authorize::{self, Judged};
use hauberk_model::canonical::Ambiguous;
use hauberk_model::inbound::{Authorization, InboundProtocol, RouteAuthorizations};
use hauberk_model::matching::RequestView;
use hauberk_model::metadata::Metadata;
use hauberk_model::ratelimit::Asking;
use hauberk_model::requirement::Unmet;
use hauberk_model::retry::is_idempotent;
use hauberk_model::route::{Filter, HeaderModifier};
use hauberk_model::status::Failure;
use hauberk_model::story::{Judgement, Place, RequestId, Side};
use hauberk_model::trace::Propagated;
use hauberk_wire::translate::Honour;
use hauberk_wire::{Edits, strip};
use tokio::time::Instant;

use super::Accepted;
use super::external::Decision;
use super::meters::{ClientMeters, RouteMeters};
use super::port::Plan;
use super::requirements::{Met, Passage};
use crate::body::Body;
use crate::exchange::{AttemptError, Bounds, Exchange, Handler, Reply, Request, relay};
use crate::failure::{failure_of, failure_of_dial};
use crate::filtering;
use crate::h1;
use crate::heads::{self, Onward, RequestMeta, View};
use crate::interim::{Interims, answered};
use crate::meters::Ended;
use crate::outbound::endpoint::{Endpoint, Session};
use crate::pool::http2_client;
use crate::recorder::Telling;
use crate::replay::Source;
use crate::respond::{Audience, Synthesised, synthesise};

/// Filters speak of the final response.
const INTERIM: Edits<'static> = Edits::strip(&strip::RESPONSE_FROM_APP);

/// Handles the requests of one connection.
pub(super) struct Inbound {
    accepted: Accepted,
    /// Of the requests before, until the policy changes: the client of a connection stays the same.
    meters: RefCell<Option<Rc<ClientMeters>>>,
}

/// A request that may go on.
struct Admitted<'p> {
    filters: &'p [Filter],
    /// The target in the form that was judged, where that differs from how it came.
    path_and_query: Option<String>,
    /// What the response says besides.
    response: Option<HeaderModifier>,
    /// What its authorization changes of it.
    passage: Passage,
    meters: Rc<RouteMeters>,
}

/// A request on which another service must be heard.
struct Unasked<'p, 'h> {
    view: View<'h>,
    matched: Matched<'p>,
    asks: Vec<authorize::Admitted<'p, Met<'p>>>,
    audit: Option<&'p Authorization>,
    unmet: Unmet,
}

/// What is next for a request that nobody has turned away.
enum Step<'p, 'h> {
    On(Admitted<'p>),
    Ask(Unasked<'p, 'h>),
}

/// A request that may not.
struct Turned {
    answer: Synthesised,
    meters: Option<Rc<RouteMeters>>,
}

impl From<Failure> for Turned {
    fn from(failure: Failure) -> Self {
        Self { answer: failure.into(), meters: None }
    }
}

impl From<Ambiguous> for Turned {
    fn from(error: Ambiguous) -> Self {
        Self { answer: error.into(), meters: None }
    }
}

/// The rule that a request follows.
struct Matched<'p> {
    index: usize,
    metadata: &'p Metadata,
    filters: &'p [Filter],
    then: &'p RouteAuthorizations,
    prefix_len: Option<usize>,
}

impl Handler for Inbound {
    fn honours(&self) -> Honour {
        match self.accepted.tls.peer() {
            Some(_) => Honour::OrigProto,
            None => Honour::Nothing,
        }
    }

    fn refuses(&self, failure: Failure, status: u16) -> RequestId {
        let Accepted { worker, client, target, tls, .. } = &self.accepted;
        worker.tell_refused(Side::Inbound, tls.peer(), (*client, *target), failure, status)
    }

    async fn handle(self: Rc<Self>, request: Request) {
        let start = Instant::now();
        let is_grpc = request.head.is_grpc();
        let Accepted { worker, client, target, tls, .. } = &self.accepted;
        let story = worker.tell_inbound(&request.head, tls.peer(), (*client, *target), start);
        let Ok(plan) = self.accepted.port.policy(worker).await else {
            return self.turn(request.reply, is_grpc, Failure::Unexpected.into(), start, &story).await;
        };
        let clients = self.client_meters(&plan);
        let judged = match self.judge(&plan, &clients, &request.head, &story) {
            Ok(Step::On(admitted)) => Ok(admitted),
            // Boxed: rare, and larger than all the rest.
            Ok(Step::Ask(asking)) => Box::pin(self.ask(&plan, &clients, asking, &story)).await,
            Err(turned) => Err(turned),
        };
        match judged {
            Ok(admitted) => self.forward(&admitted, request, start, &story).await,
            Err(turned) => self.turn(request.reply, is_grpc, turned, start, &story).await,
        }
    }
}

impl Inbound {
    pub(super) fn new(accepted: Accepted) -> Self {
        Self { accepted, meters: RefCell::default() }
    }

    /// Counts what this connection's client is allowed and denied by `plan`.
    fn client_meters(&self, plan: &Rc<Plan>) -> Rc<ClientMeters> {
        let mut held = self.meters.borrow_mut();
        if let Some(meters) = held.as_ref().filter(|meters| meters.is_of(&plan.policy)) {
            return Rc::clone(meters);
        }
        let accepted = &self.accepted;
        let meters = accepted.port.client_meters(&accepted.worker, plan, &accepted.tls, accepted.target);
        *held = Some(Rc::clone(&meters));
        meters
    }

    /// Decides on one request by the policy as it is now.
    fn judge<'p, 'h>(
        &self,
        plan: &'p Plan,
        clients: &ClientMeters,
        head: &'h RequestMeta,
        story: &Telling<'_>,
    ) -> Result<Step<'p, 'h>, Turned> {
        if head.is_connect() {
            return Err(Failure::TunnelForbidden.into());
        }
        let view = if plan.judges_path { View::canonical(head)? } else { View::as_it_came(head) };
        let Some(matched) = route_of(plan, &view) else {
            clients.route_not_found();
            story.routed(&Arc::new(Place { parent: plan.policy.server.clone(), route: None }), None);
            return Err(Failure::RouteNotFound.into());
        };
        let client = self.accepted.as_client();
        let judged = authorize::request(&plan.policy, matched.then, &client, |requirements| {
            let checks = plan.checks.as_ref().ok_or(Unmet::Client)?;
            checks.meet(requirements, &view, &self.accepted.worker)
        });
        let by = match judged {
            Ok(Judged::Admitted(by)) => by,
            Ok(Judged::Asks { asks, audit, unmet }) => {
                return Ok(Step::Ask(Unasked { view, matched, asks, audit, unmet }));
            }
            Err(unmet) => return Err(self.denied(clients, &matched, head, unmet, story)),
        };
        self.admit(plan, clients, view, &matched, &by, story).map(Step::On)
    }

    /// Asks the services whose word is missing, one after the other, until one is content.
    async fn ask<'p>(
        &self,
        plan: &'p Plan,
        clients: &ClientMeters,
        unasked: Unasked<'p, '_>,
        story: &Telling<'_>,
    ) -> Result<Admitted<'p>, Turned> {
        let Unasked { view, matched, asks, audit, mut unmet } = unasked;
        let asker = self.accepted.asker();
        let mut denial = None;
        for mut one in asks {
            let (Some(checks), Some(requirements)) = (&plan.checks, &one.by.requirements) else { continue };
            let Some(check) = &requirements.external else { continue };
            let word = checks.external.ask(check, &view, &asker).await;
            match word.as_deref() {
                Some(Decision::Denied(denied)) => {
                    unmet = unmet.max(Unmet::Refused);
                    denial = denial.or_else(|| Some(denied.clone()));
                }
                None if !check.dangerous_allow_on_failure => unmet = unmet.max(Unmet::Unanswered),
                Some(Decision::Allowed(_)) | None => {
                    if let Some(met) = &mut one.met {
                        met.word = word;
                    }
                    return self.admit(plan, clients, view, &matched, &one, story);
                }
            }
        }
        if let Some(by) = audit {
            let audited = authorize::Admitted { by, met: None, audited: Some(unmet) };
            return self.admit(plan, clients, view, &matched, &audited, story);
        }
        let turned = self.denied(clients, &matched, view.request(), unmet, story);
        Err(match denial {
            Some(denied) => {
                Turned { answer: Synthesised::refuted(denied, view.method() == "HEAD"), ..turned }
            }
            None => turned,
        })
    }

    /// Lets a request on that `by` admits, as far as limits and filters do.
    fn admit<'p>(
        &self,
        plan: &'p Plan,
        clients: &ClientMeters,
        view: View<'_>,
        matched: &Matched<'p>,
        by: &authorize::Admitted<'p, Met<'p>>,
        story: &Telling<'_>,
    ) -> Result<Admitted<'p>, Turned> {
        let head = view.request();
        let is_grpc = head.is_grpc();
        let metadata = Some(&by.by.metadata);
        let meters =
            clients.route(matched.index, matched.metadata, is_grpc, metadata, self.shown_authority(head));
        if let Some(reason) = by.audited {
            meters.audited(reason);
            self.accepted.say_audited(reason.code());
        }
        story.routed(&meters.place, None);
        story.judged(Judgement::Allowed(by.by.metadata.clone()));
        if let Some(limiter) = &plan.limiter {
            let asking = Asking { client: self.accepted.tls.peer(), route: matched.metadata, view: &view };
            if let Err(refused) = limiter.borrow_mut().check(&asking, Instant::now().into_std()) {
                clients.limited(matched.metadata, &refused);
                story.judged(Judgement::Limited);
                let answer = Synthesised::limited(refused.limited.to_string(), refused.wait);
                return Err(Turned { answer, meters: Some(meters) });
            }
        }
        meters.allowed();
        let random = &self.accepted.worker.random;
        let filtered = match filtering::apply(matched.filters, &view, matched.prefix_len, random) {
            Ok(filtered) => filtered,
            Err(answer) => return Err(Turned { answer, meters: Some(meters) }),
        };
        let checks = plan.checks.as_ref();
        let passage = checks.map(|checks| checks.passage(head, by.met.as_ref())).unwrap_or_default();
        let path_and_query = filtered.path_and_query.or_else(|| view.into_path_and_query());
        Ok(Admitted {
            filters: matched.filters,
            path_and_query,
            response: filtered.response,
            passage,
            meters,
        })
    }

    fn denied(
        &self,
        clients: &ClientMeters,
        matched: &Matched<'_>,
        head: &RequestMeta,
        reason: Unmet,
        story: &Telling<'_>,
    ) -> Turned {
        let authority = self.shown_authority(head);
        let meters = clients.route(matched.index, matched.metadata, head.is_grpc(), None, authority);
        meters.denied(reason);
        story.routed(&meters.place, None);
        story.judged(Judgement::Denied(reason.code()));
        Turned { answer: Synthesised::denied(reason), meters: Some(meters) }
    }

    fn shown_authority<'h>(&self, head: &'h RequestMeta) -> Option<&'h str> {
        self.accepted.worker.config.inbound_authority_label.then(|| head.authority())
    }

    async fn forward(&self, admitted: &Admitted<'_>, request: Request, start: Instant, story: &Telling<'_>) {
        let Request { head, body, mut reply } = request;
        let is_grpc = head.is_grpc();
        let mut modifiers = heads::request_modifiers([admitted.filters]);
        if let Some(removal) = admitted.passage.modifier() {
            modifiers.insert(0, removal);
        }
        let client_id = self.accepted.tls.peer().map(|peer| ("l5d-client-id", peer.as_str().as_bytes()));
        let traced = story.propagated();
        let told: Vec<(&str, &[u8])>;
        let own = if admitted.passage.added.is_empty() && traced.is_none() {
            client_id.as_slice()
        } else {
            let added = admitted.passage.added.iter().map(|(name, value)| (&**name, value.as_slice()));
            let traced = traced.iter().flat_map(Propagated::fields);
            told = client_id.into_iter().chain(added).chain(traced).collect();
            &told
        };
        let edits = Edits {
            strip: &strip::REQUEST_FROM_PEER,
            modifiers: &modifiers,
            own,
            own_is_sound: admitted.passage.added.is_empty(),
        };
        let on = Onward {
            host: None,
            known: None,
            path_and_query: admitted.path_and_query.as_deref(),
            edits,
            to_mesh: false,
            ends: body.is_end(),
        };
        let interims = Interims::default();
        let attempt = pin!(self.attempt(&head, &on, body, &interims));
        let attempt = answered(&mut reply, &interims, &INTERIM, attempt).await;
        let answered = Instant::now();
        let mut moved = None;
        let ended = match attempt {
            None => {
                story.fails(Failure::Cancelled);
                Ended { status: 0, grpc_status: None, complete: false }
            }
            Some(Ok(exchange)) => {
                story.answered(&exchange.response, answered - start);
                let own = admitted.response.iter().chain(&admitted.passage.response);
                let modifiers = heads::response_modifiers([admitted.filters], own);
                let edits = Edits::filtered(&strip::RESPONSE_FROM_APP, &modifiers);
                let (ended, fault, all) = relay(exchange, reply, &edits, is_grpc, Bounds::default()).await;
                story.breaks(fault);
                moved = Some(all);
                ended
            }
            Some(Err(failure)) => {
                self.accepted.worker.errors.inbound_http(failure.row().label);
                self.fail(reply, failure, is_grpc, story).await
            }
        };
        let total = start.elapsed();
        story.ended(ended, total);
        if let Some(moved) = moved {
            admitted.meters.moved(&moved, start, total);
        }
        admitted.meters.ended(ended, answered - start, total);
    }

    /// Sends the request to the application. A kept connection that the application closed meanwhile is replaced once.
    async fn attempt(
        &self,
        head: &RequestMeta,
        on: &Onward<'_>,
        body: Body,
        interims: &Interims,
    ) -> Result<Box<Exchange>, Failure> {
        let app = self.accepted.app_endpoint();
        let source = Source::new(body, 0);
        if !head.is_http1() {
            return self.over_http2(&app, head, on, &source, interims).await;
        }
        let kept = app.http1.take().filter(|_| head.upgrade().is_none());
        if let Some(conn) = kept {
            match self.over_http1(&app, conn, head, on, source.replay(), interims).await {
                Err(AttemptError::Broken(_)) if is_idempotent(head.method()) && source.can_replay() => {}
                other => return other.map_err(|error| failure_of(&error)),
            }
        }
        let worker = &self.accepted.worker;
        let io = app.connect(worker, Session::Http1).await.map_err(|error| failure_of_dial(&error))?;
        let conn = h1::Conn::new(io);
        let sent = self.over_http1(&app, conn, head, on, source.replay(), interims).await;
        sent.map_err(|error| failure_of(&error))
    }

    async fn over_http1(
        &self,
        app: &Endpoint,
        conn: Rc<h1::Conn>,
        head: &RequestMeta,
        on: &Onward<'_>,
        body: Body,
        interims: &Interims,
    ) -> Result<Box<Exchange>, AttemptError> {
        let limits = &self.accepted.worker.config.limits;
        h1::request(conn, head, on, body, limits, Some(app.http1.clone()), interims).await
    }

    async fn over_http2(
        &self,
        app: &Rc<Endpoint>,
        head: &RequestMeta,
        on: &Onward<'_>,
        source: &Source,
        interims: &Interims,
    ) -> Result<Box<Exchange>, Failure> {
        let meant = head.authority().is_empty().then(|| self.accepted.target.to_string());
        let on = &Onward { host: on.host.or(meant.as_deref()), ..*on };
        let mut moved = false;
        loop {
            let client = http2_client(&self.accepted.worker, app, None).await;
            let client = client.map_err(|error| failure_of_dial(&error))?;
            let request = heads::for_http2(head, on).map_err(|_| Failure::BadRequest)?;
            match client.request(request, source.replay(), interims).await {
                // The connection was leaving (GOAWAY): the application itself may well be there.
                Err(AttemptError::Unsent(_)) if client.is_closed() && !moved && source.can_replay() => {
                    moved = true;
                }
                other => return other.map_err(|error| failure_of(&error)),
            }
        }
    }

    /// Tells of a request that the application did not answer. The proxy of a peer hears it as HTTP/2 says it, and can
    /// try another endpoint: the request was not processed, or it is not known whether it was (RFC 9113 §8.7).
    async fn fail(&self, reply: Reply, failure: Failure, is_grpc: bool, story: &Telling<'_>) -> Ended {
        let reason = if matches!(failure, Failure::Connect | Failure::ConnectTimeout | Failure::Refused) {
            Some(Reason::REFUSED_STREAM)
        } else {
            (failure == Failure::Reset).then_some(Reason::INTERNAL_ERROR)
        };
        match reason.filter(|_| reply.is_stream() && self.accepted.tls.peer().is_some()) {
            Some(reason) => {
                story.fails(failure);
                reply.reset(reason);
                Ended { status: failure.row().http, grpc_status: None, complete: false }
            }
            None => synthesise(reply, &failure.into(), self.audience(is_grpc, story)).await,
        }
    }

    async fn turn(&self, reply: Reply, is_grpc: bool, turned: Turned, start: Instant, story: &Telling<'_>) {
        let failure = turned.answer.failure();
        log::debug!(
            "inbound request answered by the proxy: {}; client={} port={}",
            failure.row().text,
            self.accepted.client,
            self.accepted.port.number
        );
        self.accepted.worker.errors.inbound_http(failure.row().label);
        let ended = synthesise(reply, &turned.answer, self.audience(is_grpc, story)).await;
        story.ends(ended);
        if let Some(meters) = turned.meters {
            meters.ended(ended, start.elapsed(), start.elapsed());
        }
    }

    fn audience<'a>(&self, is_grpc: bool, story: &'a Telling<'a>) -> Audience<'a> {
        // What went wrong is told to the mesh only.
        Audience { story, is_grpc, is_informed: self.accepted.tls.peer().is_some() }
    }
}

fn route_of<'p>(plan: &'p Plan, view: &View<'_>) -> Option<Matched<'p>> {
    if let InboundProtocol::Grpc { routes } = &plan.policy.protocol {
        let found = plan.grpc_index.find(routes, view)?;
        return Some(Matched {
            index: found.route_index,
            metadata: &found.route.metadata,
            filters: &found.rule.filters,
            then: &found.rule.then,
            prefix_len: found.prefix_len,
        });
    }
    let found = plan.index.find(&plan.routes, view)?;
    Some(Matched {
        index: found.route_index,
        metadata: &found.route.metadata,
        filters: &found.rule.filters,
        then: &found.rule.then,
        prefix_len: found.prefix_len,
    })
}
