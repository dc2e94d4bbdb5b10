//! What a proxy tells the next hop of a request: how much time is left, and that it is no first attempt.
//!
//! Both travel as ordinary fields, so that an application which hands its request's fields on to the requests that it
//! makes (as for tracing) hands these on too. They only ever narrow: a later proxy gives up sooner, and does not retry
//! what a proxy before it retries, so that the attempts of a chain add up instead of multiplying.

use std::time::Duration;

use hauberk_model::deadline::{format_grpc_timeout, parse_grpc_timeout, parse_l5d_duration};
use hauberk_model::matching::RequestView;

use crate::heads::RequestMeta;

/// Which attempt this is, from 2: sent with repetitions to meshed endpoints.
pub(crate) const ATTEMPT: &str = "hauberk-attempt";
/// What is left of the request's time, as `250ms`: sent to meshed endpoints.
pub(crate) const TIMEOUT: &str = "hauberk-timeout";
/// What both begin with.
const OURS: &str = "hauberk-";
/// gRPC's own (gRPC over HTTP2, "Timeout").
const GRPC_TIMEOUT: &str = "grpc-timeout";

/// What hops before this one say of a request: how much time they leave, and whether they repeat it.
pub(super) fn heard(head: &RequestMeta) -> (Option<Duration>, bool) {
    // One look for what hardly any request has.
    if !head.is_grpc() && !head.mentions(OURS) {
        return (None, false);
    }
    (time_left(head), is_retry(head))
}

/// The time that earlier hops leave, by their own word or gRPC's.
fn time_left(head: &RequestMeta) -> Option<Duration> {
    let grpc =
        if head.is_grpc() { head.header(GRPC_TIMEOUT).next().and_then(parse_grpc_timeout) } else { None };
    let text = head.header(TIMEOUT).next().and_then(|value| std::str::from_utf8(value).ok());
    let ours = text.and_then(parse_l5d_duration).filter(|left| !left.is_zero());
    [grpc, ours].into_iter().flatten().min()
}

/// Whether a hop before this one says that it repeats the request.
fn is_retry(head: &RequestMeta) -> bool {
    head.header(ATTEMPT).next().is_some()
}

/// The fields of one attempt.
#[derive(Debug, Default)]
pub(super) struct Said {
    fields: Vec<(&'static str, String)>,
}

impl Said {
    /// `repeats`: attempts before this one that may have had an effect; `left`: of the request's time.
    pub(super) fn new(is_grpc: bool, is_meshed: bool, repeats: u32, left: Option<Duration>) -> Self {
        let mut fields = Vec::new();
        if repeats > 0 && is_meshed {
            fields.push((ATTEMPT, repeats.saturating_add(1).to_string()));
        }
        if let Some(left) = left {
            if is_grpc {
                fields.push((GRPC_TIMEOUT, format_grpc_timeout(left)));
            } else if is_meshed {
                fields.push((TIMEOUT, format!("{}ms", left.as_millis().max(1))));
            }
        }
        Self { fields }
    }

    /// Together with what the proxy says otherwise.
    pub(super) fn and<'a>(&'a self, own: &[(&'a str, &'a [u8])]) -> Vec<(&'a str, &'a [u8])> {
        let ours = self.fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        own.iter().copied().chain(ours).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_repetitions_are_marked_and_only_meshed_endpoints_are_told_in_our_words() {
        let second = Duration::from_millis(1_500);
        let say = |is_grpc, is_meshed, repeats, left| {
            let said = Said::new(is_grpc, is_meshed, repeats, left);
            let fields = said.and(&[]);
            fields
                .iter()
                .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)))
                .collect::<Vec<_>>()
        };
        assert!(say(false, true, 0, None).is_empty());
        assert_eq!(say(false, true, 1, Some(second)), ["hauberk-attempt=2", "hauberk-timeout=1500ms"]);
        assert!(say(false, false, 1, Some(second)).is_empty());
        assert_eq!(say(true, false, 1, Some(second)), ["grpc-timeout=1500000u"]);
    }
}
