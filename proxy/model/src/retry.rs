//! Whether a request that failed may be tried again, and where that ends.
//!
//! Two things are kept apart. *Moving* is what the proxy does by itself: an attempt that cannot have had an effect,
//! or whose repetition has the same effect, goes to another endpoint. *Retrying* is what a route asks for, by
//! status. Both end at the same limits.

use std::time::{Duration, Instant};

use crate::budget::Budget;
use crate::deadline;
use crate::outbound::Retry;
use crate::pushback::Pushback;
use crate::random::Random;

/// Most attempts of a request that the proxy moves by itself, the first included: a deployment may lose several
/// endpoints at once, but a request must not wander over all of a large one.
pub const ATTEMPTS_MAX: u32 = 4;

/// How one attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptFailure {
    /// Nothing was sent: refused, not connected in time, no TLS, wrong identity.
    NotSent,
    /// The peer says that it did not process the request: `REFUSED_STREAM`, or a GOAWAY with a lower last stream
    /// (RFC 9113 §8.7).
    Refused,
    /// Reset or closed after something was sent and before an answer.
    Reset,
    /// No answer in time.
    Unanswered,
    /// An answer with this HTTP status.
    Status(u16),
    /// An answer with this gRPC code, in a head that ends the stream.
    GrpcCode(u16),
}

/// What is known of the request.
#[derive(Clone, Copy, Debug)]
pub struct Attempted<'a> {
    /// Method.
    pub method: &'a str,
    /// Whether the body, or its absence, can be sent again whole.
    pub replayable: bool,
    /// Attempts made so far.
    pub attempts: u32,
    /// When the request must be done.
    pub deadline: Option<Instant>,
    /// A proxy before this one has retried it already, and will again: were each to retry, the attempts of a chain
    /// would multiply. It is still moved.
    pub is_retry: bool,
    /// When the server wants to be asked again.
    pub pushback: Pushback,
}

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Try again after this pause, at another endpoint if there is one.
    Again {
        /// Zero when the request is moved.
        after: Duration,
    },
    /// Pass the failure on.
    GiveUp(GiveUp),
}

/// Why there is no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveUp {
    /// It might have an effect twice, the body is gone, or nobody asks for it.
    NotRetryable,
    /// `outbound_*_route_retry_limit_exceeded_total`.
    Limit,
    /// `outbound_*_route_retry_overflow_total`.
    Budget,
    /// No time is left.
    Deadline,
    /// The proxy before this one retries.
    Upstream,
    /// The server forbids it.
    Pushback,
}

/// Methods whose repetition has the effect of one (RFC 9110 §9.2.2).
#[must_use]
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

/// Whether an attempt may be moved without a route asking for it.
#[must_use]
pub fn may_move(failure: AttemptFailure, request: &Attempted<'_>) -> bool {
    let harmless = match failure {
        AttemptFailure::NotSent | AttemptFailure::Refused => true,
        AttemptFailure::Reset | AttemptFailure::Unanswered => is_idempotent(request.method),
        AttemptFailure::Status(_) | AttemptFailure::GrpcCode(_) => false,
    };
    harmless && request.replayable
}

/// Decides on the next attempt. Takes from the budget only if the answer is [`Verdict::Again`]; an attempt that
/// sent nothing costs the backend nothing and takes none.
pub fn decide(
    failure: AttemptFailure,
    request: &Attempted<'_>,
    route: Option<&Retry>,
    budget: &mut Budget,
    now: Instant,
    random: &mut Random,
) -> Verdict {
    let moves = may_move(failure, request);
    let wanted = request.replayable && route.is_some_and(|retry| asks_for(retry, failure));
    let asked = wanted && !request.is_retry && request.pushback != Pushback::Never;
    if !moves && !asked {
        return Verdict::GiveUp(match (wanted, request.is_retry) {
            (false, _) => GiveUp::NotRetryable,
            (true, true) => GiveUp::Upstream,
            (true, false) => GiveUp::Pushback,
        });
    }
    let by_route = route.filter(|_| asked).map_or(0, |retry| retry.max_retries.saturating_add(1));
    let limit = by_route.max(if moves { ATTEMPTS_MAX } else { 0 });
    if request.attempts >= limit {
        return Verdict::GiveUp(GiveUp::Limit);
    }
    let after = match route.and_then(|retry| retry.backoff) {
        Some(backoff) if asked && !moves => {
            backoff.hinted_pause(request.attempts, request.pushback.pause(), random)
        }
        Some(_) | None => Duration::ZERO,
    };
    let in_time =
        request.deadline.is_none_or(|end| deadline::left(end, now).is_some_and(|left| left > after));
    if !in_time {
        return Verdict::GiveUp(GiveUp::Deadline);
    }
    if failure != AttemptFailure::NotSent && !budget.withdraw(now) {
        return Verdict::GiveUp(GiveUp::Budget);
    }
    Verdict::Again { after }
}

/// Whether a route's `Retry` names this failure. A route that retries 5xx or UNAVAILABLE also retries what
/// would have become one of these.
fn asks_for(retry: &Retry, failure: AttemptFailure) -> bool {
    let status = |wanted: u16| retry.statuses.iter().any(|(from, to)| (*from..=*to).contains(&wanted));
    let grpc = |wanted: u16| retry.grpc_codes.contains(&wanted);
    match failure {
        AttemptFailure::Status(given) => status(given),
        AttemptFailure::GrpcCode(given) => grpc(given),
        AttemptFailure::NotSent | AttemptFailure::Refused | AttemptFailure::Reset => {
            status(502) || grpc(crate::status::GrpcCode::Unavailable as u16)
        }
        AttemptFailure::Unanswered => status(504) || grpc(crate::status::GrpcCode::DeadlineExceeded as u16),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::BudgetLimits;
    use crate::outbound::Backoff;

    fn request(method: &str) -> Attempted<'_> {
        Attempted {
            method,
            replayable: true,
            attempts: 1,
            deadline: None,
            is_retry: false,
            pushback: Pushback::None,
        }
    }

    fn retry() -> Retry {
        Retry {
            max_retries: 1,
            max_request_bytes: 65_536,
            statuses: vec![(500, 599)],
            grpc_codes: vec![14],
            timeout: None,
            backoff: Some(Backoff {
                min: Duration::from_millis(25),
                max: Duration::from_millis(250),
                jitter_ratio: 0.0,
                honour_retry_after: false,
            }),
        }
    }

    fn verdict(failure: AttemptFailure, request: &Attempted<'_>, route: Option<&Retry>) -> Verdict {
        let now = Instant::now();
        let mut budget = Budget::new(BudgetLimits::default(), now);
        decide(failure, request, route, &mut budget, now, &mut Random::seeded(1))
    }

    const AT_ONCE: Verdict = Verdict::Again { after: Duration::ZERO };
    const NO: Verdict = Verdict::GiveUp(GiveUp::NotRetryable);

    #[test]
    fn what_cannot_have_had_an_effect_moves_with_any_method_and_the_rest_only_if_idempotent() {
        for (method, failure, expected) in [
            ("POST", AttemptFailure::NotSent, AT_ONCE),
            ("POST", AttemptFailure::Refused, AT_ONCE),
            ("POST", AttemptFailure::Reset, NO),
            ("POST", AttemptFailure::Unanswered, NO),
            ("PATCH", AttemptFailure::Reset, NO),
            ("GET", AttemptFailure::Reset, AT_ONCE),
            ("PUT", AttemptFailure::Unanswered, AT_ONCE),
            ("get", AttemptFailure::Reset, NO),
            ("GET", AttemptFailure::Status(503), NO),
        ] {
            assert_eq!(verdict(failure, &request(method), None), expected, "{method} {failure:?}");
        }
    }

    #[test]
    fn a_body_that_is_gone_is_never_sent_again() {
        let gone = Attempted { replayable: false, ..request("GET") };
        for failure in [AttemptFailure::NotSent, AttemptFailure::Refused, AttemptFailure::Status(500)] {
            assert_eq!(verdict(failure, &gone, Some(&retry())), NO);
        }
    }

    #[test]
    fn a_route_may_ask_for_more_by_status_with_its_own_limit_and_pause() {
        let again = Verdict::Again { after: Duration::from_millis(25) };
        assert_eq!(verdict(AttemptFailure::Status(503), &request("POST"), Some(&retry())), again);
        assert_eq!(verdict(AttemptFailure::GrpcCode(14), &request("POST"), Some(&retry())), again);
        assert_eq!(verdict(AttemptFailure::Reset, &request("POST"), Some(&retry())), again);
        assert_eq!(verdict(AttemptFailure::Status(404), &request("GET"), Some(&retry())), NO);
        let second = Attempted { attempts: 2, ..request("POST") };
        let limit = Verdict::GiveUp(GiveUp::Limit);
        assert_eq!(verdict(AttemptFailure::Status(503), &second, Some(&retry())), limit);
        let last = Attempted { attempts: ATTEMPTS_MAX, ..request("GET") };
        assert_eq!(verdict(AttemptFailure::NotSent, &last, None), limit);
    }

    #[test]
    fn what_a_proxy_before_this_one_retries_is_only_moved() {
        let retried = Attempted { is_retry: true, ..request("GET") };
        let upstream = Verdict::GiveUp(GiveUp::Upstream);
        assert_eq!(verdict(AttemptFailure::Status(503), &retried, Some(&retry())), upstream);
        assert_eq!(verdict(AttemptFailure::Refused, &retried, Some(&retry())), AT_ONCE);
        assert_eq!(verdict(AttemptFailure::Reset, &retried, Some(&retry())), AT_ONCE);
    }

    #[test]
    fn a_server_may_set_the_pause_within_its_bounds_or_forbid_the_retry() {
        let mut route = retry();
        route.backoff = route.backoff.map(|backoff| Backoff { honour_retry_after: true, ..backoff });
        for (pushback, expected) in [
            (
                Pushback::After(Duration::from_millis(100)),
                Verdict::Again { after: Duration::from_millis(100) },
            ),
            (Pushback::After(Duration::from_secs(9)), Verdict::Again { after: Duration::from_millis(250) }),
            (Pushback::After(Duration::ZERO), Verdict::Again { after: Duration::from_millis(25) }),
            (Pushback::Never, Verdict::GiveUp(GiveUp::Pushback)),
        ] {
            let asked = Attempted { pushback, ..request("POST") };
            assert_eq!(verdict(AttemptFailure::Status(503), &asked, Some(&route)), expected, "{pushback:?}");
        }
    }

    #[test]
    fn no_attempt_begins_that_cannot_end_in_time() {
        let now = Instant::now();
        let mut budget = Budget::new(BudgetLimits::default(), now);
        let late = Attempted { deadline: Some(now + Duration::from_millis(20)), ..request("POST") };
        let given = decide(
            AttemptFailure::Status(503),
            &late,
            Some(&retry()),
            &mut budget,
            now,
            &mut Random::seeded(1),
        );
        assert_eq!(given, Verdict::GiveUp(GiveUp::Deadline));
    }

    #[test]
    fn an_empty_budget_stops_retries_but_not_moves_that_sent_nothing() {
        let now = Instant::now();
        let mut budget =
            Budget::new(BudgetLimits { ratio: 0.0, min_per_second: 0.0, ..BudgetLimits::default() }, now);
        let mut random = Random::seeded(1);
        let mut ask = |failure| decide(failure, &request("GET"), None, &mut budget, now, &mut random);
        assert_eq!(ask(AttemptFailure::Reset), Verdict::GiveUp(GiveUp::Budget));
        assert_eq!(ask(AttemptFailure::NotSent), AT_ONCE);
    }
}
