//! Requests of the application: matched, given to an endpoint, and answered.

use std::cell::Cell;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use hauberk_model::balance::Outcome;
use hauberk_model::filters::fault::Fault as Injected;
use hauberk_model::matching::RequestView;
use hauberk_model::route::{Filter, HeaderModifier};
use hauberk_model::status::{self, Failure, GrpcCode};
use hauberk_model::story::{RequestId, Side};
use hauberk_observe::Sizes;
use hauberk_wire::translate::Honour;
use hauberk_wire::{Edits, strip};
use tokio::time::{Instant, timeout_at};

use super::affinity::Placed;
use super::attempt::{Attempts, Won};
use super::demands::Demands;
use super::plan::{GrpcPlan, HttpPlan, Plan, Protocol, Rule, RuleBackend};
use super::target::Target;
use super::{egress, fault, mirror};
use crate::exchange::{Bounds, Fault, Handler, Moved, Reply, Request, relay, unless_gone};
use crate::filtering::{self, Filtered};
use crate::heads::{self, RequestMeta, View};
use crate::interim::{Interims, answered};
use crate::meters::Ended;
use crate::recorder::Telling;
use crate::replay::Source;
use crate::respond::{Audience, Synthesised, synthesise};
use crate::worker::Worker;

/// Bytes of a request body that are kept so that it can be sent again. A larger one is streamed once.
const REPLAY_BYTES_MAX: usize = 64 * 1024;

/// What is told of the body of a request that no endpoint has answered.
const NOTHING: Sizes = Sizes::NONE;

/// Interim responses say nothing of the mesh, and filters speak of the final one.
const INTERIM: Edits<'static> = Edits::strip(&strip::RESPONSE_FROM_STRANGER);

/// Handles the requests of one connection.
pub(super) struct Outbound {
    worker: Rc<Worker>,
    target: Rc<Target>,
    client: SocketAddr,
}

/// A request and the rule it follows.
pub(super) struct Routed<'p> {
    pub(super) rule: &'p Rc<Rule>,
    pub(super) filters: &'p [Filter],
    pub(super) prefix_len: Option<usize>,
    pub(super) path_and_query: Option<String>,
    /// What the response says besides, by the rule's filters.
    pub(super) response: Option<HeaderModifier>,
    pub(super) fault: Option<Arc<Injected>>,
}

impl Handler for Outbound {
    /// The application is no peer.
    fn honours(&self) -> Honour {
        Honour::Nothing
    }

    fn refuses(&self, failure: Failure, status: u16) -> RequestId {
        let addresses = (self.client, self.target.addr);
        self.worker.tell_refused(Side::Outbound, None, addresses, failure, status)
    }

    async fn handle(self: Rc<Self>, request: Request) {
        let start = Instant::now();
        let is_grpc = request.head.is_grpc();
        let story = self.worker.tell_outbound(&request.head, (self.client, self.target.addr), start);
        let Some(plan) = self.target.plan(&self.worker) else {
            return self.turn(request.reply, is_grpc, &Failure::Unexpected.into(), &story).await;
        };
        match self.route(&plan, &request.head) {
            Ok(routed) => self.forward(&routed, request, start, &story).await,
            Err(answer) => self.turn(request.reply, is_grpc, &answer, &story).await,
        }
    }
}

impl Outbound {
    pub(super) fn new(worker: &Rc<Worker>, target: &Rc<Target>, client: SocketAddr) -> Self {
        Self { worker: Rc::clone(worker), target: Rc::clone(target), client }
    }

    /// Decides on one request by the policy as it is now.
    pub(super) fn route<'p>(&self, plan: &'p Plan, head: &RequestMeta) -> Result<Routed<'p>, Synthesised> {
        if head.is_connect() {
            return Err(Failure::TunnelForbidden.into());
        }
        if let Some(egress) = &plan.egress {
            egress.judge(head, self.target.addr)?;
        }
        let routes = routes_of(plan, head).ok_or(Failure::RouteNotFound)?;
        let view = if routes.judges_path() { View::canonical(head)? } else { View::as_it_came(head) };
        let (rule, filters, prefix_len) = routes.find(&view).ok_or(Failure::RouteNotFound)?;
        let filtered = filtering::apply(filters, &view, prefix_len, &self.worker.random)
            .map_err(|answer| egress::answer(rule, answer))?;
        let fault = fault::strike(filters, &view, &self.worker);
        let path_and_query = filtered.path_and_query.or_else(|| view.into_path_and_query());
        Ok(Routed { rule, filters, prefix_len, path_and_query, response: filtered.response, fault })
    }

    async fn forward(&self, routed: &Routed<'_>, request: Request, start: Instant, story: &Telling<'_>) {
        let Request { head, body, mut reply } = request;
        let is_grpc = head.is_grpc();
        let hostname = self.worker.hostnames.of(|| head.authority());
        let demands = Demands::of(&routed.rule.target, &head, start);
        if let Some(fault) = &routed.fault
            && let Some(answer) = self.suffer(fault, &mut reply, is_grpc, demands.deadline).await
        {
            story.routed(&routed.rule.place, None);
            return self.turn(reply, is_grpc, &answer, story).await;
        }
        let Some(placed) = Placed::of(routed.rule, &head, &self.worker, self.client).await else {
            story.routed(&routed.rule.place, None);
            return self.turn(reply, is_grpc, &Failure::NoBackend.into(), story).await;
        };
        let chosen = placed.chosen;
        story.routed(&routed.rule.place, Some(&chosen.reference.backend.metadata));
        let filters = [routed.filters, chosen.reference.filters.as_slice()];
        let filtered = match self.backend_filtered(&head, routed, filters[1]) {
            Ok(filtered) => filtered,
            Err(answer) => return self.turn(reply, is_grpc, &answer, story).await,
        };
        let modifiers = heads::request_modifiers(filters);
        let path_and_query = filtered.path_and_query.as_deref().or(routed.path_and_query.as_deref());
        // What a fault or a session has waited for is not the endpoint's.
        let waited = routed.fault.is_some() || placed.may_have_waited();
        let began = if waited { Instant::now() } else { start };
        let source = Source::new(body, demands.replay_bytes_max(REPLAY_BYTES_MAX));
        let interims = Interims::default();
        self.mirror(routed, chosen, &head, path_and_query, &source);
        let attempts = Attempts {
            worker: &self.worker,
            rule: routed.rule,
            chosen,
            head: &head,
            path_and_query,
            meant: self.target.addr,
            edits: Edits::filtered(&strip::REQUEST_FROM_APP, &modifiers),
            source,
            demands: &demands,
            affinity: placed.affinity,
            began,
            repeats: Cell::new(0),
            story,
            interims: &interims,
        };
        let run = pin!(async {
            match demands.deadline {
                None => attempts.run().await,
                Some(at) => timeout_at(at, attempts.run()).await.unwrap_or(Err(Failure::RequestTimeout)),
            }
        });
        let (ended, now, request) = match answered(&mut reply, &interims, &INTERIM, run).await {
            None => (cancelled(story), Instant::now(), NOTHING),
            Some(Ok(won)) => {
                let session = placed.given(&won.slot.endpoint.spec);
                let own = routed.response.iter().chain(&filtered.response).chain(&session);
                let modifiers = heads::response_modifiers(filters, own);
                story.answered(&won.exchange.response, won.answered - start);
                let ((ended, fault, moved), now) =
                    self.pass_on(won, reply, &modifiers, is_grpc, &demands, chosen).await;
                story.breaks(fault);
                (ended, now, moved.request)
            }
            Some(Err(failure)) => (self.fail(reply, is_grpc, failure, story).await, Instant::now(), NOTHING),
        };
        let total = now - start;
        story.ended(ended, total);
        routed.rule.ended(ended, !is_failure(ended, &demands), total, &request, hostname);
    }

    /// Carries a fault out while the client waits for it.
    async fn suffer(
        &self,
        fault: &Injected,
        reply: &mut Reply,
        is_grpc: bool,
        deadline: Option<Instant>,
    ) -> Option<Synthesised> {
        let mut struck = Box::pin(fault::carry_out(fault, is_grpc, deadline, &self.worker));
        let answer = unless_gone(reply, struck.as_mut()).await;
        answer.unwrap_or_else(|| Some(Failure::Cancelled.into()))
    }

    /// Passes the response on, and tells the balancer and the metrics how it ended; also when.
    async fn pass_on(
        &self,
        won: Won,
        reply: Reply,
        modifiers: &[hauberk_wire::Modifier<'_>],
        is_grpc: bool,
        demands: &Demands,
        chosen: &RuleBackend,
    ) -> ((Ended, Fault, Moved), Instant) {
        let Won { exchange, mut load, slot, started, answered, actual } = won;
        let latency = answered - started;
        let tells = self.worker.config.informational_headers && slot.endpoint.is_meshed();
        let strip = if tells { &strip::RESPONSE_FROM_PEER } else { &strip::RESPONSE_FROM_STRANGER };
        let edits = Edits::filtered(strip, modifiers);
        let bounds = Bounds { deadline: demands.response_deadline(started), idle: demands.idle };
        let (ended, fault, moved) = relay(exchange, reply, &edits, is_grpc, bounds).await;
        let failed = is_failure(ended, demands);
        let now = Instant::now();
        load.end_at(outcome_of(failed, fault), now.into_std());
        slot.http.responded_as(ended, ended.complete && !failed, latency);
        if let Some(actual) = actual {
            actual.responded_as(ended, ended.complete && !failed, latency);
        }
        chosen.meters.moved(&moved.response);
        chosen.meters.ended(ended, now - moved.sent.unwrap_or(started));
        ((ended, fault, moved), now)
    }

    /// Sends copies of the request where the rule and the chosen backend want them.
    fn mirror(
        &self,
        routed: &Routed<'_>,
        chosen: &RuleBackend,
        head: &RequestMeta,
        path_and_query: Option<&str>,
        source: &Source,
    ) {
        if routed.rule.mirrors.is_empty() && chosen.mirrors.is_empty() || head.upgrade().is_some() {
            return;
        }
        let (rule, meant) = (routed.rule, self.target.addr);
        let path = routed.path_and_query.as_deref();
        let by_rule = mirror::Original {
            rule,
            head,
            path_and_query: path,
            filters: [routed.filters, &[]],
            meant,
            source,
        };
        mirror::begin(&self.worker, &routed.rule.mirrors, &by_rule);
        let filters = [routed.filters, chosen.reference.filters.as_slice()];
        mirror::begin(
            &self.worker,
            &chosen.mirrors,
            &mirror::Original { path_and_query, filters, ..by_rule },
        );
    }

    /// What the backend reference's own filters make of the request, after the rule's.
    fn backend_filtered(
        &self,
        head: &RequestMeta,
        routed: &Routed<'_>,
        filters: &[Filter],
    ) -> Result<Filtered, Synthesised> {
        if filters.is_empty() {
            return Ok(Filtered::default());
        }
        // The prefix is one of the canonical path.
        let rewrites = filters.iter().any(|filter| matches!(filter, Filter::Rewrite { path: Some(_), .. }));
        let view = if rewrites { View::canonical(head)? } else { View::as_it_came(head) };
        filtering::apply(filters, &view, routed.prefix_len, &self.worker.random)
    }

    /// Answers a request that no endpoint did.
    async fn fail(&self, reply: Reply, is_grpc: bool, failure: Failure, story: &Telling<'_>) -> Ended {
        self.worker.errors.outbound_http(failure.row().label);
        synthesise(reply, &failure.into(), self.audience(is_grpc, story)).await
    }

    async fn turn(&self, reply: Reply, is_grpc: bool, answer: &Synthesised, story: &Telling<'_>) {
        let row = answer.failure().row();
        log::debug!(
            "outbound request answered by the proxy: {}; client={} target={}",
            row.text,
            self.client,
            self.target.addr
        );
        self.worker.errors.outbound_http(row.label);
        let ended = synthesise(reply, answer, self.audience(is_grpc, story)).await;
        story.ends(ended);
    }

    fn audience<'a>(&self, is_grpc: bool, story: &'a Telling<'a>) -> Audience<'a> {
        Audience { story, is_grpc, is_informed: self.worker.config.informational_headers }
    }
}

/// A request that its client has given up.
fn cancelled(story: &Telling<'_>) -> Ended {
    story.fails(Failure::Cancelled);
    Ended { status: Failure::Cancelled.row().http, grpc_status: None, complete: false }
}

/// Whether a response failed by the route's measure.
fn is_failure(ended: Ended, demands: &Demands) -> bool {
    match (ended.grpc_status, &demands.failures) {
        (Some(code), _) => GrpcCode::from_number(code).is_failure(),
        (None, Some(failures)) => failures.iter().any(|(from, to)| (*from..=*to).contains(&ended.status)),
        (None, None) => status::is_failure(ended.status),
    }
}

/// What the end of a response says of its endpoint.
fn outcome_of(failed: bool, fault: Fault) -> Outcome {
    match fault {
        Fault::None if failed => Outcome::Failure,
        Fault::None => Outcome::Success,
        Fault::Client => Outcome::Cancelled,
        Fault::Server => Outcome::Unreachable,
        Fault::Timeout => Outcome::Unanswered,
    }
}

/// The routes of one protocol.
enum Routes<'p> {
    Http(&'p HttpPlan),
    Grpc(&'p GrpcPlan),
}

fn routes_of<'p>(plan: &'p Plan, head: &RequestMeta) -> Option<Routes<'p>> {
    match (&plan.protocol, head) {
        (Protocol::Detect { http1, .. }, RequestMeta::H1(_)) => Some(Routes::Http(http1)),
        (Protocol::Detect { http2, .. }, RequestMeta::H2(_)) => Some(Routes::Http(http2)),
        (Protocol::Http1(http) | Protocol::Http2(http), _) => Some(Routes::Http(http)),
        (Protocol::Grpc(grpc), _) => Some(Routes::Grpc(grpc)),
        // The policy changed under an open connection: its requests have no route any more.
        (Protocol::Opaque(_) | Protocol::Tls(_), _) => None,
    }
}

impl<'p> Routes<'p> {
    fn judges_path(&self) -> bool {
        match self {
            Self::Http(http) => http.judges_path,
            Self::Grpc(_) => false,
        }
    }

    fn find(&self, view: &View<'_>) -> Option<(&'p Rc<Rule>, &'p [Filter], Option<usize>)> {
        match self {
            Self::Http(http) => {
                let found = http.index.find(&http.routes, view)?;
                let rule = http.rules.get(found.route_index)?.get(found.rule_index)?;
                Some((rule, &found.rule.filters, found.prefix_len))
            }
            Self::Grpc(grpc) => {
                let found = grpc.index.find(&grpc.routes, view)?;
                let rule = grpc.rules.get(found.route_index)?.get(found.rule_index)?;
                Some((rule, &found.rule.filters, found.prefix_len))
            }
        }
    }
}
