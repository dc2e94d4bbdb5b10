//! JSON Web Tokens: read strictly, verified by a key of the issuer, and only then looked into.
//!
//! A token is three parts of base64url (RFC 7515 §7.1). Whatever could be read in two ways is refused: padding and stray
//! bits, repeated members, extensions (`crit`, `b64`), unsecured and encrypted tokens. A header names an algorithm and a
//! key; both are only ever looked up among what the policy allows, and nothing else in the header is believed.

mod base64url;
pub mod json;

use std::sync::Arc;
use std::time::Duration;

use crate::requirement::{Algorithm, ClaimRequirement, TokenRequirement, VerificationKey};
use json::Value;

/// Longest token that is looked at. Identity providers with many groups reach 8 KiB.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Keys tried for one token: those of an issuer that names none, while one replaces another.
const KEYS_TRIED_MAX: usize = 4;
/// Longest `kid`.
const KEY_ID_BYTES_MAX: usize = 256;
/// NumericDates beyond this are no times (the year 9999).
const SECONDS_MAX: f64 = 253_402_300_799.0;

/// Why a token proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum TokenError {
    /// No token at all, by its form.
    #[error("the token is malformed")]
    Malformed,
    /// Signed in a way that is never accepted.
    #[error("the algorithm is not accepted")]
    Algorithm,
    /// No key of the issuer is meant.
    #[error("no key fits the token")]
    Key,
    /// The signature is not by that key.
    #[error("the signature does not hold")]
    Signature,
    /// By somebody else.
    #[error("the issuer is another")]
    Issuer,
    /// For somebody else.
    #[error("the audience is another")]
    Audience,
    /// Over, or without an end.
    #[error("the token has expired")]
    Expired,
    /// Not yet.
    #[error("the token is not valid yet")]
    NotYet,
}

impl TokenError {
    /// A stable name, for metrics and answers.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::Algorithm => "token_algorithm",
            Self::Key => "token_key",
            Self::Signature => "token_signature",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
            Self::Expired => "token_expired",
            Self::NotYet => "token_not_yet",
        }
    }
}

/// A token whose form is right and of which nothing is proven.
#[derive(Debug)]
pub struct Unverified<'t> {
    algorithm: Algorithm,
    key_id: Option<String>,
    signed: &'t [u8],
    payload: &'t str,
    signature: Vec<u8>,
}

/// The claims of a token whose signature holds. Only [`Unverified::verify`] makes them.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims(Value);

/// Reads the form of a token.
///
/// # Errors
/// [`TokenError::Malformed`] or [`TokenError::Algorithm`].
pub fn read(token: &str) -> Result<Unverified<'_>, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    if payload.is_empty() || payload.contains('.') {
        return Err(TokenError::Malformed);
    }
    let header = object(header)?;
    if ["crit", "b64", "enc", "zip"].iter().any(|name| header.member(name).is_some()) {
        return Err(TokenError::Malformed);
    }
    let algorithm = match header.member("alg") {
        Some(Value::String(name)) => Algorithm::parse(name).ok_or(TokenError::Algorithm)?,
        Some(_) | None => return Err(TokenError::Malformed),
    };
    let key_id = match header.member("kid") {
        None => None,
        Some(Value::String(id)) if id.len() <= KEY_ID_BYTES_MAX => Some(id.clone()),
        Some(_) => return Err(TokenError::Malformed),
    };
    let signature = base64url::decode(signature).filter(|bytes| !bytes.is_empty());
    let signature = signature.ok_or(TokenError::Malformed)?;
    Ok(Unverified { algorithm, key_id, signed: signed.as_bytes(), payload, signature })
}

fn object(part: &str) -> Result<Value, TokenError> {
    let bytes = base64url::decode(part).ok_or(TokenError::Malformed)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| TokenError::Malformed)?;
    match json::parse(text) {
        Some(value @ Value::Object(_)) => Ok(value),
        Some(_) | None => Err(TokenError::Malformed),
    }
}

impl Unverified<'_> {
    /// Looks for a key among `keys` by which the signature holds; `holds` is given the key, what was signed and the
    /// signature.
    ///
    /// # Errors
    /// [`TokenError`]: which step failed.
    pub fn verify(
        &self,
        keys: &[VerificationKey],
        holds: impl Fn(Algorithm, &VerificationKey, &[u8], &[u8]) -> bool,
    ) -> Result<Claims, TokenError> {
        let is_meant = |key: &&VerificationKey| {
            let by_name = match (&self.key_id, &key.id) {
                (Some(wanted), Some(id)) => **wanted == **id,
                (Some(_), None) | (None, Some(_) | None) => true,
            };
            by_name && key.algorithms.contains(&self.algorithm)
        };
        let mut meant = keys.iter().filter(is_meant).take(KEYS_TRIED_MAX).peekable();
        if meant.peek().is_none() {
            return Err(TokenError::Key);
        }
        if !meant.any(|key| holds(self.algorithm, key, self.signed, &self.signature)) {
            return Err(TokenError::Signature);
        }
        object(self.payload).map(Claims)
    }
}

impl Claims {
    /// Judges the registered claims (RFC 7519 §4.1) at `now`, seconds since 1970.
    ///
    /// # Errors
    /// [`TokenError`]: which of them is wrong.
    pub fn check(&self, requirement: &TokenRequirement, now: Duration) -> Result<(), TokenError> {
        let is = |value: &Value, wanted: &str| matches!(value, Value::String(text) if text == wanted);
        if !self.0.member("iss").is_some_and(|issuer| is(issuer, &requirement.issuer)) {
            return Err(TokenError::Issuer);
        }
        let ours = |value: &Value| requirement.audiences.iter().any(|audience| is(value, audience));
        let for_us = match self.0.member("aud") {
            Some(Value::Array(all)) => all.iter().any(ours),
            Some(one) => ours(one),
            None => false,
        };
        if !for_us {
            return Err(TokenError::Audience);
        }
        let (now, skew) = (now.as_secs_f64(), requirement.skew.as_secs_f64());
        let expires = self.0.member("exp").and_then(seconds).ok_or(TokenError::Expired)?;
        if now >= expires + skew {
            return Err(TokenError::Expired);
        }
        match self.0.member("nbf").map(seconds) {
            None => Ok(()),
            Some(Some(begins)) if now + skew >= begins => Ok(()),
            Some(_) => Err(TokenError::NotYet),
        }
    }

    /// Whether every condition holds.
    #[must_use]
    pub fn meet(&self, requirements: &[ClaimRequirement]) -> bool {
        requirements.iter().all(|requirement| {
            let Some(claim) = self.find(&requirement.path) else { return false };
            let any = |wanted: &Arc<str>| claim.text().is_some_and(|text| *text == **wanted);
            let any_of = requirement.any_of.is_empty() || requirement.any_of.iter().any(any);
            any_of && requirement.contains.iter().all(|wanted| holds(claim, wanted))
        })
    }

    /// A claim as a header can say it: text, number or truth value, or a list of those joined by commas. `None` if it is
    /// not there or has no such form.
    #[must_use]
    pub fn header_value(&self, path: &[Arc<str>]) -> Option<String> {
        let text = match self.find(path)? {
            Value::Array(all) => {
                let texts: Option<Vec<&str>> = all.iter().map(Value::text).collect();
                // A comma inside an element would make two of it.
                texts.filter(|all| all.iter().all(|one| !one.contains(',')))?.join(",")
            }
            claim @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_)) => claim.text()?.to_owned(),
        };
        let is_sayable = text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim() == text;
        is_sayable.then_some(text)
    }

    fn find(&self, path: &[Arc<str>]) -> Option<&Value> {
        path.iter().try_fold(&self.0, |value, name| value.member(name))
    }
}

/// Whether a list of strings, or a text of words such as `scope`, has this one.
fn holds(claim: &Value, wanted: &str) -> bool {
    match claim {
        Value::Array(all) => all.iter().any(|one| matches!(one, Value::String(text) if text == wanted)),
        Value::String(words) => words.split(' ').any(|word| word == wanted),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// A NumericDate (RFC 7519 §2).
fn seconds(value: &Value) -> Option<f64> {
    let Value::Number(text) = value else { return None };
    text.parse().ok().filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds))
}

#[cfg(test)]
mod tests;
