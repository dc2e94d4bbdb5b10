//! Tokens of requests: where they stand, and those that were verified already.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hauberk_model::jwt::{self, Claims, TokenError};
use hauberk_model::matching::RequestView;
use hauberk_model::requirement::{TokenRequirement, TokenSource, Unmet};
use hauberk_observe::families as f;
use hauberk_observe::{Counter, Labels};

use crate::heads::{RequestMeta, View};
use crate::meters::find_or_make;
use crate::worker::Worker;

/// Verified tokens kept for one port. A client uses one token for minutes; more clients than this pay for verification.
const VERIFIED_MAX: usize = 1_024;
/// Longest token that is kept: with [`VERIFIED_MAX`] of them this bounds the claims to a few MiB.
const KEPT_BYTES_MAX: usize = 4 * 1024;

/// The address of the requirement, and the digest of the token.
type Key = (usize, [u8; 32]);

/// Verified tokens by requirement (its address, which the policy keeps) and digest.
#[derive(Default)]
pub(super) struct Tokens {
    verified: RefCell<HashMap<Key, Rc<Claims>>>,
    results: RefCell<Vec<((usize, &'static str), Counter)>>,
}

/// A token that proves what its claims say.
pub(super) struct Verified<'p> {
    pub(super) requirement: &'p TokenRequirement,
    pub(super) claims: Rc<Claims>,
    pub(super) place: Place,
}

/// Where the token stood.
pub(super) enum Place {
    Header(Arc<str>),
    Cookie(Arc<str>),
}

impl Tokens {
    /// The claims of the request's token, if they are what `requirement` asks for.
    pub(super) fn verify<'p>(
        &self,
        requirement: &'p Arc<TokenRequirement>,
        head: &View<'_>,
        worker: &Worker,
    ) -> Result<Verified<'p>, Unmet> {
        let id = Arc::as_ptr(requirement).addr();
        let judged = self.judge(requirement, id, head);
        let result = match &judged {
            Ok((_, result)) => result,
            Err(unmet) => unmet.code(),
        };
        let counter = || {
            let labels = Labels::new().with("policy", Arc::clone(&requirement.name)).with("result", result);
            worker.registry.counter(&f::HAUBERK_INBOUND_TOKENS_TOTAL, labels)
        };
        if judged.is_ok() {
            find_or_make(&self.results, (id, result), counter, Counter::inc);
        } else {
            counter().inc();
        }
        judged.map(|(verified, _)| verified)
    }

    fn judge<'p>(
        &self,
        requirement: &'p Arc<TokenRequirement>,
        id: usize,
        head: &View<'_>,
    ) -> Result<(Verified<'p>, &'static str), Unmet> {
        let (token, place) = find(&requirement.sources, head)?.ok_or(Unmet::NoToken)?;
        // A clock before 1970 can judge no time: to it every token has expired.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::MAX);
        let key = (id, hauberk_tls::sha256(token.as_bytes()));
        let known = self.verified.borrow().get(&key).map(Rc::clone);
        let (claims, result) = match known {
            Some(claims) => (claims, "cached"),
            None => {
                let unverified = jwt::read(token).map_err(Unmet::Token)?;
                let holds = hauberk_tls::signature_holds;
                let claims = unverified.verify(&requirement.keys, holds).map_err(Unmet::Token)?;
                (Rc::new(claims), "verified")
            }
        };
        if let Err(error) = claims.check(requirement, now) {
            self.verified.borrow_mut().remove(&key);
            return Err(Unmet::Token(error));
        }
        if !claims.meet(&requirement.claims) {
            return Err(Unmet::Claims);
        }
        if result == "verified" && token.len() <= KEPT_BYTES_MAX {
            self.keep(key, &claims, requirement, now);
        }
        Ok((Verified { requirement, claims, place }, result))
    }

    fn keep(&self, key: Key, claims: &Rc<Claims>, of: &TokenRequirement, now: Duration) {
        let mut verified = self.verified.borrow_mut();
        if verified.len() >= VERIFIED_MAX {
            verified.retain(|(id, _), claims| *id != key.0 || claims.check(of, now).is_ok());
        }
        if verified.len() >= VERIFIED_MAX {
            verified.clear();
        }
        verified.insert(key, Rc::clone(claims));
    }
}

/// The token at the first place that has one. Two at one place could each be meant, and are refused.
fn find<'h>(sources: &[TokenSource], head: &'h View<'_>) -> Result<Option<(&'h str, Place)>, Unmet> {
    for source in sources {
        let found = match source {
            TokenSource::Header { name, prefix } => {
                let values = head.header(name).filter_map(|value| behind(value, prefix));
                only(values)?.map(|token| (token, Place::Header(Arc::clone(name))))
            }
            TokenSource::Cookie(name) => {
                only(cookies(head.request()).filter_map(|(have, value)| (have == &**name).then_some(value)))?
                    .map(|token| (token, Place::Cookie(Arc::clone(name))))
            }
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn only<'h>(mut all: impl Iterator<Item = &'h str>) -> Result<Option<&'h str>, Unmet> {
    let first = all.next();
    if all.next().is_some() {
        return Err(Unmet::Token(TokenError::Malformed));
    }
    Ok(first)
}

/// What stands behind a prefix such as `Bearer `.
fn behind<'h>(value: &'h [u8], prefix: &str) -> Option<&'h str> {
    let value = std::str::from_utf8(value).ok()?;
    let (begins, rest) = value.split_at_checked(prefix.len())?;
    begins.eq_ignore_ascii_case(prefix).then_some(rest.trim_start_matches(' '))
}

/// Every cookie of a request (RFC 6265 §4.2.1).
fn cookies(head: &RequestMeta) -> impl Iterator<Item = (&str, &str)> {
    let lines = head.header("cookie").filter_map(|line| std::str::from_utf8(line).ok());
    lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='))
}

/// The `cookie` header without one cookie; `None` if nothing is left.
pub(super) fn cookies_without(head: &RequestMeta, name: &str) -> Option<Vec<u8>> {
    let kept: Vec<String> = cookies(head)
        .filter(|(have, _)| *have != name)
        .map(|(have, value)| format!("{have}={value}"))
        .collect();
    (!kept.is_empty()).then(|| kept.join("; ").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_compared_without_regard_to_case_and_must_be_there() {
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc", Some("abc")),
            ("Basic abc", None),
            ("Bearerabc", None),
            ("", None),
        ] {
            assert_eq!(behind(value.as_bytes(), "Bearer "), token, "{value}");
        }
        assert_eq!(behind(b"abc", ""), Some("abc"));
    }

    #[test]
    fn two_tokens_at_one_place_are_refused() {
        assert_eq!(only(["a"].into_iter()), Ok(Some("a")));
        assert_eq!(only([].into_iter()), Ok(None));
        assert_eq!(only(["a", "a"].into_iter()), Err(Unmet::Token(TokenError::Malformed)));
    }
}
