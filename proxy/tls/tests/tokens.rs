//! Tokens that another implementation made (`mesh/policy/token-vectors.ts`), good and bad.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail where it stands")]

use std::sync::Arc;
use std::time::Duration;

use hauberk_model::jwt::json::{self, Value};
use hauberk_model::jwt::{self, TokenError};
use hauberk_model::requirement::{Algorithm, KeyMaterial, TokenRequirement, VerificationKey};
use proptest::prelude::*;

fn member<'v>(value: &'v Value, name: &str) -> &'v Value {
    value.member(name).unwrap()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    member(value, name).text().unwrap()
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    let Value::Array(all) = member(value, name) else { panic!("{name} is no list") };
    all
}

fn bytes(hex: &str) -> Arc<[u8]> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn key(value: &Value) -> VerificationKey {
    let point = text(value, "point");
    let material = if point.is_empty() {
        KeyMaterial::Rsa { modulus: bytes(text(value, "modulus")), exponent: bytes(text(value, "exponent")) }
    } else {
        KeyMaterial::Point(bytes(point))
    };
    let algorithms = list(value, "algorithms").iter().map(|name| Algorithm::parse(name.text().unwrap()));
    VerificationKey {
        id: Some(Arc::from(text(value, "id"))),
        algorithms: algorithms.map(Option::unwrap).collect(),
        material,
    }
}

/// What is stored, the requirement that its good tokens meet, and when.
fn vectors() -> (Value, TokenRequirement, Duration) {
    let vectors = json::parse(include_str!("vectors/tokens.json")).unwrap();
    let requirement = TokenRequirement {
        name: Arc::from("test"),
        issuer: Arc::from(text(&vectors, "issuer")),
        audiences: vec![Arc::from(text(&vectors, "audience"))],
        keys: list(&vectors, "keys").iter().map(key).collect(),
        skew: Duration::from_secs(30),
        sources: vec![],
        claims: vec![],
        forwards_token: false,
        headers: vec![],
    };
    let now = Duration::from_secs(text(&vectors, "now").parse().unwrap());
    (vectors, requirement, now)
}

fn judge(requirement: &TokenRequirement, now: Duration, token: &str) -> Result<(), TokenError> {
    let claims = jwt::read(token)?.verify(&requirement.keys, hauberk_tls::signature_holds)?;
    claims.check(requirement, now)
}

#[test]
fn every_algorithm_is_verified_and_every_attack_is_refused_for_its_own_reason() {
    let (vectors, requirement, now) = vectors();
    let tokens = list(&vectors, "tokens");
    assert!(tokens.len() > 40, "only {} tokens", tokens.len());
    for vector in tokens {
        let judged = judge(&requirement, now, text(vector, "token"));
        let code = judged.map_or_else(TokenError::code, |()| "ok");
        assert_eq!(code, text(vector, "expect"), "{}", text(vector, "name"));
    }
}

#[test]
fn a_key_of_another_kind_or_size_signs_nothing() {
    let point = |bytes: usize| KeyMaterial::Point(vec![4; bytes].into());
    let small = KeyMaterial::Rsa { modulus: vec![0xff; 128].into(), exponent: Arc::from([1, 0, 1]) };
    for (algorithm, material) in [
        (Algorithm::Rs256, point(65)),
        (Algorithm::Rs256, small),
        (Algorithm::Es256, point(97)),
        (Algorithm::Es256, point(0)),
        (Algorithm::EdDsa, point(65)),
    ] {
        let key = VerificationKey { id: None, algorithms: vec![algorithm], material };
        assert!(!hauberk_tls::signature_holds(algorithm, &key, b"m", &[0; 64]), "{key:?}");
    }
}

proptest! {
    /// A token is good in one spelling only: no change of one character leaves it so.
    #[test]
    fn no_changed_character_is_overlooked(which in 0_usize..9, at: prop::sample::Index, to in "[A-Za-z0-9_.=+/ -]") {
        let (vectors, requirement, now) = vectors();
        let good = text(&list(&vectors, "tokens")[which], "token");
        let at = at.index(good.len());
        let changed = format!("{}{to}{}", &good[..at], &good[at + 1..]);
        prop_assume!(changed != good);
        prop_assert!(judge(&requirement, now, &changed).is_err());
    }
}
