//! Our extensions for retries, hedging, limits and zones (`resilience.proto`).

use std::sync::Arc;
use std::time::Duration;

use hauberk_model::balance::zones::ZoneBand;
use hauberk_model::budget::BudgetLimits;
use hauberk_model::condition::Condition;
use hauberk_model::outbound::{Allowance, Hedge, Penalty};
use hauberk_model::route::{HttpMatch, whole};

use super::{Malformed, limit};
use crate::extension::proto;

/// What Linkerd's documentation gives for the annotations' absence.
const PENALTY: Duration = Duration::from_secs(5);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
const PENALTY_DECAY: Duration = Duration::from_secs(10);
/// Conditions within conditions. Deeper ones would be a profile that nobody can read.
const NESTING_MAX: u32 = 16;

/// Adds a condition to every alternative of a rule; a rule without alternatives gets one.
///
/// # Errors
/// [`Malformed`] where conditions nest without end.
pub fn conditional(
    mut matches: Vec<HttpMatch>,
    given: Option<proto::RequestCondition>,
) -> Result<Vec<HttpMatch>, Malformed> {
    let Some(given) = given else { return Ok(matches) };
    let condition = Arc::new(condition(given, NESTING_MAX)?);
    if matches.is_empty() {
        matches.push(HttpMatch::default());
    }
    for one in &mut matches {
        one.condition = Some(Arc::clone(&condition));
    }
    Ok(matches)
}

fn condition(given: proto::RequestCondition, depth: u32) -> Result<Condition, Malformed> {
    use proto::request_condition::Kind;
    let depth = depth.checked_sub(1).ok_or(Malformed::Range("nesting of conditions"))?;
    let inner = |all: proto::RequestConditions| {
        all.conditions.into_iter().map(|one| condition(one, depth)).collect::<Result<Vec<_>, _>>()
    };
    Ok(match given.kind {
        None => Condition::Unknown,
        Some(Kind::All(all)) => Condition::All(inner(all)?),
        Some(Kind::Any(any)) => Condition::Any(inner(any)?),
        Some(Kind::Not(not)) => Condition::Not(Box::new(condition(*not, depth)?)),
        // A pattern that cannot be compiled holds for nothing, and its route for no request.
        Some(Kind::PathRegex(pattern)) => whole(&pattern).map_or(Condition::Unknown, Condition::Path),
        Some(Kind::Method(method)) => Condition::Method(method.into()),
    })
}

/// Reads the statuses that count as failures.
///
/// # Errors
/// [`Malformed`] for what is no status.
pub fn failures(given: proto::FailureStatuses) -> Result<Arc<[(u16, u16)]>, Malformed> {
    let status = |status: u32| u16::try_from(status).map_err(|_| Malformed::Range("failure status"));
    given.ranges.into_iter().map(|range| Ok((status(range.min)?, status(range.max)?))).collect()
}

/// Reads a hedge; one without attempts is none.
pub fn hedge(given: &proto::Hedge) -> Option<Hedge> {
    (given.limit > 0 && given.after_ms > 0).then_some(Hedge {
        after: Duration::from_millis(given.after_ms),
        limit: given.limit,
        any_method: given.any_method,
    })
}

/// Reads the penalty of a balancer.
///
/// # Errors
/// [`Malformed`] for a negative duration.
pub fn penalty(
    latency: Option<prost_types::Duration>,
    max_retry_after: Option<prost_types::Duration>,
    decay: Option<prost_types::Duration>,
) -> Result<Penalty, Malformed> {
    Ok(Penalty {
        latency: limit("penalty", latency)?.unwrap_or(PENALTY),
        max_retry_after: limit("longest Retry-After", max_retry_after)?.unwrap_or(RETRY_AFTER_MAX),
        decay: limit("decay of the penalty", decay)?.unwrap_or(PENALTY_DECAY),
    })
}

/// Reads what a service takes.
///
/// # Errors
/// [`Malformed`] for a ratio that is none.
pub fn allowance(given: &proto::BackendExtension) -> Result<Allowance, Malformed> {
    let limits = given.limits.as_ref();
    Ok(Allowance {
        budget: given.retry_budget.as_ref().map(budget).transpose()?.unwrap_or_default(),
        max_connections: limits.and_then(|limits| limits.max_connections),
        max_concurrent_requests: limits.and_then(|limits| limits.max_concurrent_requests),
        zones: given.zones.as_ref().map(band).transpose()?,
    })
}

fn budget(given: &proto::RetryBudget) -> Result<BudgetLimits, Malformed> {
    if !given.retry_ratio.is_finite() || !(0.0..=1_000.0).contains(&given.retry_ratio) {
        return Err(Malformed::Range("retry ratio"));
    }
    Ok(BudgetLimits {
        ratio: given.retry_ratio,
        min_per_second: f64::from(given.min_retries_per_second),
        ttl: Duration::from_millis(given.ttl_ms),
    })
}

fn band(given: &proto::ZoneBand) -> Result<ZoneBand, Malformed> {
    if !given.latency_ratio.is_finite() || given.latency_ratio < 1.0 {
        return Err(Malformed::Range("latency ratio of a zone"));
    }
    Ok(ZoneBand { max_in_flight: given.max_in_flight, latency_ratio: given.latency_ratio })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_nests_too_deeply_is_refused_and_an_unknown_one_holds_for_nothing() {
        use proto::request_condition::Kind;
        let mut deep = proto::RequestCondition { kind: Some(Kind::Method("GET".into())) };
        for _ in 0..NESTING_MAX {
            deep = proto::RequestCondition { kind: Some(Kind::Not(Box::new(deep))) };
        }
        assert!(conditional(Vec::new(), Some(deep)).is_err());
        let unknown = conditional(Vec::new(), Some(proto::RequestCondition { kind: None }));
        let matches = unknown.unwrap();
        assert!(matches!(matches[0].condition.as_deref(), Some(Condition::Unknown)));
        let broken = proto::RequestCondition { kind: Some(Kind::PathRegex("(".into())) };
        let matches = conditional(Vec::new(), Some(broken)).unwrap();
        assert!(matches!(matches[0].condition.as_deref(), Some(Condition::Unknown)));
    }

    #[test]
    fn without_an_extension_the_budget_is_the_default_and_nothing_is_limited() {
        assert_eq!(allowance(&proto::BackendExtension::default()), Ok(Allowance::default()));
        let given = proto::BackendExtension {
            retry_budget: Some(proto::RetryBudget {
                retry_ratio: 0.5,
                min_retries_per_second: 0,
                ttl_ms: 2_000,
            }),
            limits: Some(proto::ServiceLimits {
                max_connections: Some(3),
                max_pending_requests: Some(0),
                max_concurrent_requests: None,
            }),
            zones: None,
            ..Default::default()
        };
        let read = allowance(&given).unwrap();
        let budget = BudgetLimits { ratio: 0.5, min_per_second: 0.0, ttl: Duration::from_secs(2) };
        assert_eq!(
            (read.budget, read.max_connections, read.max_concurrent_requests),
            (budget, Some(3), None)
        );
    }
}
