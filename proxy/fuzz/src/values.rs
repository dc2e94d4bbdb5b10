//! Values of header fields.

use std::sync::Arc;
use std::time::Duration;

use hauberk_model::deadline::{format_grpc_timeout, parse_grpc_timeout, parse_l5d_duration};
use hauberk_model::jwt;
use hauberk_model::matching::{call_of, host_of};
use hauberk_model::requirement::{Algorithm, KeyMaterial, VerificationKey};

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
