//! Spans of requests: begun where the request's sender wants them, or by our own share where nobody has said anything.
//!
//! Off, this costs a request one branch. A request that is not sampled costs a look for four names among its fields.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use hauberk_model::identity::Identity;
use hauberk_model::matching::RequestView as _;
use hauberk_model::random::Random;
use hauberk_model::story::{Side, Story};
use hauberk_model::trace::{
    self, Context, Found, Propagated, SPAN_TEXT_BYTES_MAX, Span, SpanId, TRACE_STATE_BYTES_MAX, TraceId,
};

use crate::heads::RequestMeta;
use crate::look::{Look, cut};
use crate::meters::Ended;

/// Takes spans that have ended. Must not block: one that cannot be kept is dropped and counted there.
pub trait Spans {
    /// Takes one span.
    fn put(&self, span: Span);
}

/// Tracing, where it is on.
pub struct Tracing {
    /// Share of the requests without a context with which a trace begins, from 0 to 1.
    pub ratio: f64,
    /// Where spans go.
    pub spans: Box<dyn Spans + Send>,
}

/// A request that is traced.
pub(crate) struct Traced {
    context: Context,
    id: SpanId,
    state: String,
    began: SystemTime,
    is_http1: bool,
    is_grpc: bool,
}

impl Tracing {
    /// Begins a span, if one is wanted.
    pub(crate) fn begin(
        &self,
        side: Side,
        head: &RequestMeta,
        peer: Option<&Identity>,
        random: &RefCell<Random>,
    ) -> Option<Traced> {
        let context = match trace::find(head) {
            Found::Context(context) => context.sampled.then_some(context)?,
            Found::Unusable => return None,
            Found::Nothing => self.draw(side, peer, &mut random.borrow_mut())?,
        };
        let is_ours = context.parent.is_none();
        let id = SpanId::of(random.borrow_mut().bits());
        let state = if is_ours { String::new() } else { state_of(head) };
        let (is_http1, is_grpc) = (head.is_http1(), head.is_grpc());
        Some(Traced { context, id, state, began: SystemTime::now(), is_http1, is_grpc })
    }

    /// A new trace by chance, where a request enters the mesh: what a peer's proxy did not choose, we do not either.
    fn draw(&self, side: Side, peer: Option<&Identity>, random: &mut Random) -> Option<Context> {
        if self.ratio <= 0.0 || (side == Side::Inbound && peer.is_some()) || random.unit() >= self.ratio {
            return None;
        }
        Some(Context::begin(TraceId::of(random.bits(), random.bits())))
    }
}

/// `tracestate` as it came, in one field; what is too long is left away from the span, not from the request.
fn state_of(head: &RequestMeta) -> String {
    let mut state = String::new();
    for value in head.header("tracestate").filter_map(|value| std::str::from_utf8(value).ok()) {
        if !state.is_empty() {
            state.push(',');
        }
        state.push_str(value);
    }
    if state.len() > TRACE_STATE_BYTES_MAX { String::new() } else { state }
}

impl Traced {
    /// What the next hop is told.
    pub(crate) fn propagate(&self) -> Propagated {
        self.context.propagate(self.id)
    }

    /// The span, now that the request has ended.
    pub(crate) fn end(self, look: &Look, story: &Story, ended: Ended, took: Duration) -> Span {
        let text = |text: &str| cut(text.to_owned(), SPAN_TEXT_BYTES_MAX);
        Span {
            trace: self.context.trace,
            id: self.id,
            parent: self.context.parent,
            trace_state: self.state,
            side: story.side,
            began: self.began,
            took,
            method: text(&look.method),
            authority: text(&look.authority),
            path: text(look.path()),
            is_http1: self.is_http1,
            is_grpc: self.is_grpc,
            client: look.client,
            server: look.destination(),
            peer: match story.side {
                Side::Inbound => look.peer.clone(),
                Side::Outbound => look.server().cloned(),
            },
            place: story.place.clone(),
            backend: story.backend.clone(),
            attempts: story.attempts,
            request: story.id,
            status: ended.status,
            grpc_status: ended.grpc_status,
            failure: story.failure,
            complete: ended.complete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracing(ratio: f64) -> Tracing {
        struct Nowhere;
        impl Spans for Nowhere {
            fn put(&self, _: Span) {}
        }
        Tracing { ratio, spans: Box::new(Nowhere) }
    }

    #[test]
    fn a_trace_begins_where_a_request_enters_the_mesh_by_the_share_that_was_asked_for() {
        let peer =
            Identity::parse("web.shop.serviceaccount.identity.linkerd.cluster.local").expect("identity");
        let mut random = Random::seeded(7);
        let mut begun = |ratio, side, peer: Option<&Identity>| {
            let tracing = tracing(ratio);
            (0..1_000).filter(|_| tracing.draw(side, peer, &mut random).is_some()).count()
        };
        assert_eq!(begun(0.0, Side::Outbound, None), 0);
        assert_eq!(begun(1.0, Side::Outbound, None), 1_000);
        assert_eq!(begun(1.0, Side::Inbound, Some(&peer)), 0);
        assert!((200..300).contains(&begun(0.25, Side::Inbound, None)));
    }
}
