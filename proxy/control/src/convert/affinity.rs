//! Sessions and consistent hashing.

use std::sync::Arc;
use std::time::Duration;

use hauberk_model::outbound::{ConsistentHash, HashKey};
use hauberk_model::session::{Carrier, Session};

use super::Malformed;
use crate::extension::proto;

/// Fewer percent of the mean than this no distribution could keep to.
const LOAD_PERCENT_MIN: u32 = 100;

/// How a rule keeps sessions. One that is not understood is left out: requests are balanced as ever.
pub(super) fn session(proto: proto::SessionPersistence) -> Result<Option<Arc<Session>>, Malformed> {
    use proto::session_persistence::Carrier as Wire;
    let name = |name: &str| {
        let read = http::HeaderName::from_bytes(name.as_bytes());
        read.map_err(|error| Malformed::unreadable("name of a session", error))
    };
    let carrier = match proto.carrier {
        None => return Ok(None),
        // A cookie's name is a token, as a header's is; its case matters.
        Some(Wire::Cookie(cookie)) => name(&cookie).map(|_| Carrier::Cookie(cookie.into()))?,
        Some(Wire::Header(header)) => Carrier::Header(name(&header)?.as_str().into()),
    };
    let limit = |ms: u64| (ms != 0).then(|| Duration::from_millis(ms));
    Ok(Some(Arc::new(Session {
        carrier,
        key: proto.key.into(),
        absolute: limit(proto.absolute_timeout_ms),
        idle: limit(proto.idle_timeout_ms),
        permanent: proto.permanent,
    })))
}

/// By what a backend hashes; `None` for what is not understood.
pub(super) fn hashing(proto: proto::ConsistentHash) -> Option<Arc<ConsistentHash>> {
    use proto::consistent_hash::Key;
    let by = match proto.key? {
        Key::Header(name) => HashKey::Header(name.to_ascii_lowercase().into()),
        Key::Cookie(name) => HashKey::Cookie(name.into()),
        Key::Query(name) => HashKey::Query(name.into()),
        Key::SourceIp(_) => HashKey::SourceIp,
    };
    Some(Arc::new(ConsistentHash { by, load_percent: proto.load_percent.max(LOAD_PERCENT_MIN) }))
}
