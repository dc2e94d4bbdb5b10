use std::fmt::Write;

use super::*;
use crate::requirement::{KeyMaterial, TokenSource};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for group in text.as_bytes().chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for at in 0..=group.len() {
            let value = (bits >> (18 - 6 * at)) & 63;
            encoded.write_char(char::from(ALPHABET[value as usize])).expect("a string");
        }
    }
    encoded
}

fn token(header: &str, payload: &str) -> String {
    format!("{}.{}.{}", encode(header), encode(payload), encode("signature"))
}

fn key(id: Option<&str>, algorithms: &[Algorithm]) -> VerificationKey {
    let material = KeyMaterial::Point(Arc::from([]));
    VerificationKey { id: id.map(Arc::from), algorithms: algorithms.into(), material }
}

fn requirement() -> TokenRequirement {
    TokenRequirement {
        name: Arc::from("shop/users"),
        issuer: Arc::from("https://issuer"),
        audiences: vec![Arc::from("orders"), Arc::from("carts")],
        keys: Vec::new(),
        skew: Duration::from_secs(30),
        sources: vec![TokenSource::Cookie(Arc::from("t"))],
        claims: Vec::new(),
        forwards_token: false,
        headers: Vec::new(),
    }
}

const NOW: Duration = Duration::from_secs(1_000_000);
const GOOD: &str = r#"{"alg":"ES256","kid":"k"}"#;

fn claims(payload: &str) -> Claims {
    let token = token(GOOD, payload);
    let keys = [key(Some("k"), &[Algorithm::Es256])];
    read(&token).expect("a token").verify(&keys, |_, _, _, _| true).expect("claims")
}

#[test]
fn a_token_that_could_be_read_in_two_ways_or_extends_the_standard_is_malformed() {
    let good = token(GOOD, "{}");
    assert!(read(&good).is_ok());
    let (head, signature) = good.rsplit_once('.').expect("three parts");
    for (bad, why) in [
        (token(r#"{"alg":"none"}"#, "{}"), TokenError::Algorithm),
        (token(r#"{"alg":"HS256"}"#, "{}"), TokenError::Algorithm),
        (token(r#"{"alg":"es256"}"#, "{}"), TokenError::Algorithm),
        (token(r#"{"alg":["ES256"]}"#, "{}"), TokenError::Malformed),
        (token("{}", "{}"), TokenError::Malformed),
        (token(r#"{"alg":"ES256","alg":"none"}"#, "{}"), TokenError::Malformed),
        (token(r#"{"alg":"ES256","crit":["x"]}"#, "{}"), TokenError::Malformed),
        (token(r#"{"alg":"ES256","b64":false}"#, "{}"), TokenError::Malformed),
        (token(r#"{"alg":"ES256","kid":1}"#, "{}"), TokenError::Malformed),
        (token(&format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(257)), "{}"), TokenError::Malformed),
        (format!("{head}."), TokenError::Malformed),
        (format!("{}..{signature}", encode(GOOD)), TokenError::Malformed),
        (format!("{head}.{signature}.x"), TokenError::Malformed),
        (format!("{good}="), TokenError::Malformed),
        (format!(" {good}"), TokenError::Malformed),
        (head.to_owned(), TokenError::Malformed),
        (String::new(), TokenError::Malformed),
        (format!("{good}{}", "A".repeat(TOKEN_BYTES_MAX)), TokenError::Malformed),
    ] {
        assert_eq!(read(&bad).err(), Some(why), "{bad}");
    }
}

#[test]
fn a_key_is_used_only_for_its_own_algorithms_and_under_its_own_name() {
    let token = token(GOOD, "{}");
    let unverified = read(&token).expect("a token");
    let verify = |keys: &[VerificationKey], holds: bool| {
        unverified.verify(keys, |_, _, _, _| holds).map(|_| ()).map_err(TokenError::code)
    };
    let es = &[Algorithm::Es256];
    assert_eq!(verify(&[key(Some("k"), es)], true), Ok(()));
    assert_eq!(verify(&[key(None, es)], true), Ok(()));
    assert_eq!(verify(&[key(Some("k"), es)], false), Err("token_signature"));
    assert_eq!(verify(&[key(Some("other"), es)], true), Err("token_key"));
    assert_eq!(verify(&[key(Some("k"), &[Algorithm::Rs256])], true), Err("token_key"));
    assert_eq!(verify(&[], true), Err("token_key"));
}

#[test]
fn members_of_the_payload_stand_once() {
    let token = token(GOOD, r#"{"aud":"a","aud":"b"}"#);
    let keys = [key(None, &[Algorithm::Es256])];
    let verified = read(&token).expect("a token").verify(&keys, |_, _, _, _| true);
    assert_eq!(verified, Err(TokenError::Malformed));
}

#[test]
fn registered_claims_are_judged_with_the_skew_that_is_allowed() {
    for (payload, expected) in [
        (r#"{"iss":"https://issuer","aud":"orders","exp":1000001}"#, Ok(())),
        (r#"{"iss":"https://issuer","aud":["x","carts"],"exp":1000001,"nbf":1000030}"#, Ok(())),
        (r#"{"iss":"https://issuer","aud":"orders","exp":999971}"#, Ok(())),
        (r#"{"iss":"https://issuer","aud":"orders","exp":999970}"#, Err(TokenError::Expired)),
        (r#"{"iss":"https://issuer","aud":"orders"}"#, Err(TokenError::Expired)),
        (r#"{"iss":"https://issuer","aud":"orders","exp":"1000001"}"#, Err(TokenError::Expired)),
        (r#"{"iss":"https://issuer","aud":"orders","exp":1e300}"#, Err(TokenError::Expired)),
        (r#"{"iss":"https://issuer","aud":"orders","exp":1000001,"nbf":1000031}"#, Err(TokenError::NotYet)),
        (r#"{"iss":"https://issuer","aud":"orders","exp":1000001,"nbf":"0"}"#, Err(TokenError::NotYet)),
        (r#"{"iss":"https://issuer/","aud":"orders","exp":1000001}"#, Err(TokenError::Issuer)),
        (r#"{"iss":["https://issuer"],"aud":"orders","exp":1000001}"#, Err(TokenError::Issuer)),
        (r#"{"aud":"orders","exp":1000001}"#, Err(TokenError::Issuer)),
        (r#"{"iss":"https://issuer","exp":1000001}"#, Err(TokenError::Audience)),
        (r#"{"iss":"https://issuer","aud":[],"exp":1000001}"#, Err(TokenError::Audience)),
        (r#"{"iss":"https://issuer","aud":"orders,carts","exp":1000001}"#, Err(TokenError::Audience)),
    ] {
        assert_eq!(claims(payload).check(&requirement(), NOW), expected, "{payload}");
    }
}

#[test]
fn claims_are_compared_exactly_along_their_path() {
    let claims = claims(
        r#"{"role":"admin","n":7,"ok":true,"realm":{"roles":["a","b"]},"scope":"read write","list":["x,y"]}"#,
    );
    let meets = |path: &[&str], any_of: &[&str], contains: &[&str]| {
        let all = |texts: &[&str]| texts.iter().map(|text| Arc::from(*text)).collect::<Vec<Arc<str>>>();
        claims.meet(&[ClaimRequirement { path: all(path), any_of: all(any_of), contains: all(contains) }])
    };
    assert!(meets(&["role"], &["user", "admin"], &[]));
    assert!(meets(&["n"], &["7"], &[]) && meets(&["ok"], &["true"], &[]));
    assert!(meets(&["realm", "roles"], &[], &["b", "a"]));
    assert!(meets(&["scope"], &[], &["write"]));
    assert!(!meets(&["role"], &["Admin"], &[]));
    assert!(!meets(&["role"], &[], &["adm"]));
    assert!(!meets(&["realm", "roles"], &[], &["a", "c"]));
    assert!(!meets(&["realm", "roles"], &["a"], &[]));
    assert!(!meets(&["realm.roles"], &[], &["a"]));
    assert!(!meets(&["missing"], &[], &[]));
}

#[test]
fn a_claim_becomes_a_header_only_if_it_can_be_said_there() {
    let claims = claims(r#"{"a":"x y","b":[1,"z"],"c":"x\r\ny","d":["x,y"],"e":{},"f":" x","g":"é"}"#);
    let value = |name: &str| claims.header_value(&[Arc::from(name)]);
    assert_eq!(value("a").as_deref(), Some("x y"));
    assert_eq!(value("b").as_deref(), Some("1,z"));
    for name in ["c", "d", "e", "f", "g", "h"] {
        assert_eq!(value(name), None, "{name}");
    }
}
