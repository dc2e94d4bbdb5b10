//! Values of header fields.

use std::sync::Arc;
use std::time::Duration;

use hauberk_model::deadline::{format_grpc_timeout, parse_grpc_timeout, parse_l5d_duration};
use hauberk_model::identity::Identity;
use hauberk_model::jwt;
use hauberk_model::matching::{RequestView, call_of, host_of};
use hauberk_model::requirement::{Algorithm, KeyMaterial, VerificationKey};
use hauberk_model::session::{Mac, Token, cookie};
use hauberk_model::story::RequestId;

/// A token that even a key which signs everything would vouch for is of base64url and two dots.
pub(crate) fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let key = VerificationKey {
        id: None,
        algorithms: ["ES256", "RS256", "PS256", "ES384", "EdDSA"]
            .into_iter()
            .filter_map(Algorithm::parse)
            .collect(),
        material: KeyMaterial::Point(Arc::from([4])),
    };
    if !jwt::read(text).is_ok_and(|token| token.verify(&[key], |_, _, _, _| true).is_ok()) {
        return;
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    assert!(text.bytes().all(plain) && text.bytes().filter(|&byte| byte == b'.').count() == 2, "{text:?}");
}

/// Durations never grow by being written again; a host has no port; a call has a service and a method.
pub(crate) fn header_values(bytes: &[u8]) {
    if let Some(timeout) = parse_grpc_timeout(bytes) {
        let again = parse_grpc_timeout(format_grpc_timeout(timeout).as_bytes());
        let rounded = again.is_some_and(|again| again <= timeout && timeout - again <= timeout / 1000);
        assert!(rounded || timeout < Duration::from_millis(1), "{timeout:?} became {again:?}");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(duration) = parse_l5d_duration(text) {
        assert!(text.trim().bytes().any(|byte| byte.is_ascii_digit()), "{duration:?} of {text:?}");
    }
    let host = host_of(text);
    assert!(text.starts_with(host), "{host:?} of {text:?}");
    if let Some((service, method)) = call_of(text) {
        assert_eq!(format!("/{service}/{method}"), text);
    }
}

/// Everything looks signed: whatever is accepted was then not stopped by its form.
struct Anything;

impl Mac for Anything {
    fn mac(&self, _: &[&[u8]]) -> [u8; 32] {
        [0; 32]
    }
}

/// A request with these cookies.
struct Carrying<'a>(&'a [u8]);

impl RequestView for Carrying<'_> {
    fn method(&self) -> &str {
        "GET"
    }
    fn authority(&self) -> &str {
        "a.test"
    }
    fn path(&self) -> &str {
        "/"
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn header(&self, _: &str) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.0)
    }
}

/// A cookie ends where the next begins; a session's token is written as it was read.
pub(crate) fn cookies(bytes: &[u8]) {
    if let Some(token) = Token::open(bytes, &Anything) {
        assert!(token.seal(&Anything).as_bytes().eq_ignore_ascii_case(bytes), "{}", bytes.escape_ascii());
    }
    let carrying = Carrying(bytes);
    let Some(value) = cookie(&carrying, "session") else { return };
    assert!(!value.contains(&b';'), "{}", bytes.escape_ascii());
    let named = [b"session=", value].concat();
    assert!(bytes.windows(named.len()).any(|part| part == named), "{}", bytes.escape_ascii());
}

/// An identity and a request's id have one spelling.
pub(crate) fn names(bytes: &[u8]) {
    if let Some(id) = RequestId::parse(bytes) {
        assert!(id.digits().eq_ignore_ascii_case(bytes), "{}", bytes.escape_ascii());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(identity) = Identity::parse(text) else { return };
    assert_eq!(Identity::parse(identity.as_str()).as_ref(), Ok(&identity), "{text:?}");
    assert!(identity.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
}
