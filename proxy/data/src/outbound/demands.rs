//! What a request asks of time and retries: by its route, and by its own headers where the route lets them count.

use std::sync::Arc;
use std::time::Duration;

use hauberk_model::deadline::parse_l5d_duration;
use hauberk_model::matching::RequestView;
use hauberk_model::outbound::{Hedge, Retry, RouteTarget};
use hauberk_model::retry::is_idempotent;
use hauberk_model::route::Timeouts;
use tokio::time::Instant;

use super::said;

use crate::heads::RequestMeta;

/// Body that a route's retry keeps if the request's own headers asked for the retry, bytes.
const RETRY_BYTES_MAX: u32 = 64 * 1024;
/// Status ranges of `5xx`, `gateway-error` and their like.
const GATEWAY_ERRORS: (u16, u16) = (502, 504);

/// Bounds and wishes of one request.
#[derive(Clone, Debug)]
pub(super) struct Demands {
    /// When the whole exchange must be over.
    pub(super) deadline: Option<Instant>,
    response: Option<Duration>,
    pub(super) idle: Option<Duration>,
    pub(super) retry: Option<Retry>,
    pub(super) hedge: Option<Hedge>,
    /// Statuses that count as failures, where the route says which.
    pub(super) failures: Option<Arc<[(u16, u16)]>>,
    /// A proxy before this one has retried the request.
    pub(super) is_retry: bool,
    is_idempotent: bool,
}

impl Demands {
    pub(super) fn of(target: &RouteTarget, head: &RequestMeta, start: Instant) -> Self {
        let mut timeouts = target.timeouts;
        let mut retry = target.retry.clone();
        if target.allow_l5d_request_headers {
            timeouts = timeouts_of(head, timeouts);
            retry = retry_of(head, retry);
        }
        let (left, is_retry) = said::heard(head);
        let limit = [timeouts.request, left].into_iter().flatten().min();
        Self {
            deadline: limit.and_then(|limit| start.checked_add(limit)),
            response: timeouts.response,
            idle: timeouts.idle,
            retry,
            hedge: target.hedge,
            failures: target.failures.clone(),
            is_retry,
            is_idempotent: is_idempotent(head.method()),
        }
    }

    /// No bounds and no wishes.
    pub(super) fn none() -> Self {
        Self {
            deadline: None,
            response: None,
            idle: None,
            retry: None,
            hedge: None,
            failures: None,
            is_retry: false,
            is_idempotent: false,
        }
    }

    /// When a response that was asked for at `started` must be over.
    pub(super) fn response_deadline(&self, started: Instant) -> Option<Instant> {
        let response = self.response.and_then(|limit| started.checked_add(limit));
        [self.deadline, response].into_iter().flatten().min()
    }

    /// How long one attempt may take to be answered.
    pub(super) fn attempt_limit(&self) -> Option<Duration> {
        let by_retry = self.retry.as_ref().and_then(|retry| retry.timeout);
        [by_retry, self.response].into_iter().flatten().min()
    }

    /// What is left for an attempt that begins now; `None`: as much as it takes.
    pub(super) fn left(&self) -> Option<Duration> {
        let whole = self.deadline.map(|at| at.saturating_duration_since(Instant::now()));
        [whole, self.attempt_limit()].into_iter().flatten().min()
    }

    /// How much of the body is worth keeping.
    pub(super) fn replay_bytes_max(&self, own_max: usize) -> usize {
        let by_retry = self.retry.as_ref().map_or(0, |retry| retry.max_request_bytes as usize);
        let hedged = self.hedge.is_some_and(|hedge| hedge.any_method);
        let by_method = if self.is_idempotent || hedged { own_max } else { 0 };
        by_retry.min(own_max).max(by_method)
    }
}

fn text<'h>(head: &'h RequestMeta, name: &'h str) -> Option<&'h str> {
    std::str::from_utf8(head.header(name).next()?).ok()
}

/// `l5d-timeout` is the older name of `l5d-request-timeout`.
fn timeouts_of(head: &RequestMeta, route: Timeouts) -> Timeouts {
    let asked = |name: &'static str| text(head, name).and_then(parse_l5d_duration);
    Timeouts {
        request: asked("l5d-request-timeout").or_else(|| asked("l5d-timeout")).or(route.request),
        response: asked("l5d-response-timeout").or(route.response),
        idle: route.idle,
    }
}

fn retry_of(head: &RequestMeta, route: Option<Retry>) -> Option<Retry> {
    let http = text(head, "l5d-retry-http").map(statuses);
    let grpc = text(head, "l5d-retry-grpc").map(grpc_codes);
    let limit = text(head, "l5d-retry-limit").and_then(|value| value.trim().parse().ok());
    let timeout = text(head, "l5d-retry-timeout").and_then(parse_l5d_duration);
    if http.is_none() && grpc.is_none() && limit.is_none() && timeout.is_none() {
        return route;
    }
    let route = route.unwrap_or(Retry {
        max_retries: 1,
        max_request_bytes: RETRY_BYTES_MAX,
        statuses: Vec::new(),
        grpc_codes: Vec::new(),
        timeout: None,
        backoff: None,
    });
    Some(Retry {
        max_retries: limit.unwrap_or(route.max_retries),
        statuses: http.unwrap_or(route.statuses),
        grpc_codes: grpc.unwrap_or(route.grpc_codes),
        timeout: timeout.or(route.timeout),
        ..route
    })
}

/// `5xx`, `gateway-error`, `503`, `500-504`, separated by commas; what is none of these is passed over.
fn statuses(text: &str) -> Vec<(u16, u16)> {
    let read = |part: &str| match part.trim() {
        "5xx" => Some((500, 599)),
        "gateway-error" => Some(GATEWAY_ERRORS),
        part => match part.split_once('-') {
            Some((from, to)) => Some((from.parse().ok()?, to.parse().ok()?)),
            None => part.parse().ok().map(|status| (status, status)),
        },
    };
    text.split(',').filter_map(read).collect()
}

fn grpc_codes(text: &str) -> Vec<u16> {
    let read = |part: &str| match part.trim() {
        "cancelled" => Some(1),
        "deadline-exceeded" => Some(4),
        "resource-exhausted" => Some(8),
        "internal" => Some(13),
        "unavailable" => Some(14),
        _ => None,
    };
    text.split(',').filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_conditions_are_read_as_the_annotations_are() {
        assert_eq!(statuses("5xx, 404,429-431,nonsense"), [(500, 599), (404, 404), (429, 431)]);
        assert_eq!(statuses("gateway-error"), [(502, 504)]);
        assert_eq!(grpc_codes("unavailable,internal,other"), [14, 13]);
    }
}
