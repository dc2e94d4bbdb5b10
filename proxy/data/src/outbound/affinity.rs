//! Requests that belong together: sessions, and keys that are hashed.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hauberk_model::balance::hash::hash_of_key;
use hauberk_model::balance::{Affinity, EndpointKey};
use hauberk_model::endpoint::Endpoint as Spec;
use hauberk_model::matching::RequestView;
use hauberk_model::outbound::{Backend as BackendSpec, HashKey};
use hauberk_model::route::HeaderModifier;
use hauberk_model::session::{Code, Session, Token, code_of, cookie};
use hauberk_observe::{Counter, Labels, Registry, families as f};
use hauberk_tls::MacKey;

use super::backend::Backend;
use super::plan::{Rule, RuleBackend};
use crate::heads::RequestMeta;
use crate::worker::Worker;

/// The sessions of one rule.
pub(crate) struct Sessions {
    session: Arc<Session>,
    mac: MacKey,
    /// Of each backend of the rule, in their order.
    codes: RefCell<Vec<Codes>>,
    kept: Counter,
    began: Counter,
    lost: Counter,
}

/// The codes of a backend's endpoints, as they were at one version of its set.
#[derive(Default)]
struct Codes {
    version: Option<u64>,
    endpoints: HashMap<Code, EndpointKey>,
}

/// What a request brought of its session.
struct Recalled<'s> {
    sessions: &'s Sessions,
    now_s: u32,
    token: Option<Token>,
    /// Index of the backend, and its endpoint, while that is ready.
    at: Option<(usize, EndpointKey)>,
}

/// Where a request goes.
pub(super) struct Placed<'r> {
    pub(super) chosen: &'r RuleBackend,
    pub(super) affinity: Affinity,
    recalled: Option<Recalled<'r>>,
}

impl<'r> Placed<'r> {
    /// The backend of a request, and the endpoint where it belongs, if it does: by its session, else by its key. `None`:
    /// the rule has no backend.
    pub(super) async fn of(
        rule: &'r Rule,
        head: &RequestMeta,
        worker: &Worker,
        client: SocketAddr,
    ) -> Option<Self> {
        let mut recalled = rule.sessions.as_ref().map(|sessions| sessions.recall(head, &rule.backends));
        if let Some(adrift) = recalled.as_mut().filter(|recalled| recalled.is_adrift(&rule.backends)) {
            Box::pin(adrift.wait(&rule.backends)).await;
        }
        let held = recalled.as_ref().and_then(|recalled| recalled.at);
        if let Some((index, key)) = held {
            let chosen = rule.backends.get(index)?;
            return Some(Self { chosen, affinity: Affinity::Endpoint(key), recalled });
        }
        let chosen = rule.choose(worker)?;
        Some(Self { chosen, affinity: hashed(&chosen.backend.spec, head, client), recalled })
    }

    /// Whether time has passed over finding it.
    pub(super) fn may_have_waited(&self) -> bool {
        self.recalled.is_some()
    }

    /// What the response tells the client of its session, now that this endpoint has answered.
    pub(super) fn given(&self, answered: &Spec) -> Option<HeaderModifier> {
        self.recalled.as_ref()?.given(answered)
    }
}

impl Sessions {
    /// `labels`: `parent_*` and `route_*`.
    pub(super) fn new(session: &Arc<Session>, registry: &Registry, labels: &Labels) -> Self {
        let counter = |outcome: &'static str| {
            registry.counter(&f::HAUBERK_SESSION_REQUESTS_TOTAL, labels.clone().with("outcome", outcome))
        };
        Self {
            mac: MacKey::new(&session.key),
            session: Arc::clone(session),
            codes: RefCell::default(),
            kept: counter("kept"),
            began: counter("began"),
            lost: counter("lost"),
        }
    }

    /// Looks for the session of a request among the rule's backends.
    fn recall(&self, head: &RequestMeta, backends: &[RuleBackend]) -> Recalled<'_> {
        let now_s = now_s();
        let carried = self.session.carried(head);
        let token = carried.and_then(|text| Token::open(text, &self.mac));
        let token = token.filter(|token| token.holds(&self.session, now_s));
        let at = token.and_then(|token| self.find(&token.code, backends));
        Recalled { sessions: self, now_s, token, at }
    }

    fn find(&self, code: &Code, backends: &[RuleBackend]) -> Option<(usize, EndpointKey)> {
        let mut codes = self.codes.borrow_mut();
        codes.resize_with(backends.len(), Codes::default);
        backends.iter().zip(codes.iter_mut()).enumerate().find_map(|(index, (one, codes))| {
            codes.refresh(&one.backend, &self.mac);
            let key = *codes.endpoints.get(code)?;
            one.backend.takes(key).then_some((index, key))
        })
    }
}

impl Codes {
    fn refresh(&mut self, backend: &Backend, mac: &MacKey) {
        let version = backend.set_version();
        if self.version == Some(version) {
            return;
        }
        self.version = Some(version);
        self.endpoints.clear();
        backend.each_endpoint(|key, spec| {
            self.endpoints.insert(endpoint_code(mac, spec), key);
        });
    }
}

impl Recalled<'_> {
    /// Whether the session's endpoint may be one that discovery has yet to tell of: this proxy has just begun.
    fn is_adrift(&self, backends: &[RuleBackend]) -> bool {
        self.token.is_some() && self.at.is_none() && backends.iter().any(|one| !one.backend.is_known())
    }

    async fn wait(&mut self, backends: &[RuleBackend]) {
        for one in backends {
            one.backend.known().await;
        }
        self.at = self.token.and_then(|token| self.sessions.find(&token.code, backends));
    }

    fn given(&self, answered: &Spec) -> Option<HeaderModifier> {
        let Sessions { session, mac, kept, began, lost, .. } = self.sessions;
        let code = endpoint_code(mac, answered);
        let token = match self.token {
            Some(token) if token.code == code => {
                kept.inc();
                if !token.is_stale(session, self.now_s) {
                    return None;
                }
                token.seen(self.now_s)
            }
            // Its endpoint is gone or may not be asked: the session begins anew at another.
            Some(_) => {
                lost.inc();
                Token::new(code, self.now_s)
            }
            None => {
                began.inc();
                Token::new(code, self.now_s)
            }
        };
        let given = session.given(&token, &token.seal(mac), self.now_s);
        Some(HeaderModifier { add: vec![given], ..HeaderModifier::default() })
    }
}

/// Where a request belongs that has no session, by the key that its backend hashes.
fn hashed(spec: &BackendSpec, head: &RequestMeta, client: SocketAddr) -> Affinity {
    let Some(hashing) = &spec.hashing else { return Affinity::None };
    let hash = match &hashing.by {
        HashKey::Header(name) => head.header(name).next().map(hash_of_key),
        HashKey::Cookie(name) => cookie(head, name).map(hash_of_key),
        HashKey::Query(name) => parameter(head.query().unwrap_or_default(), name).map(hash_of_key),
        HashKey::SourceIp => Some(hash_of_key(client.ip().to_string().as_bytes())),
    };
    hash.map_or(Affinity::None, Affinity::Hash)
}

/// The first query parameter of a name, as it is written.
fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q [u8]> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut named = pairs.filter(|(have, _)| *have == name);
    named.next().map(|(_, value)| value.as_bytes())
}

fn endpoint_code(mac: &MacKey, spec: &Spec) -> Code {
    code_of(mac, spec.addr, spec.tls.as_ref().map(|tls| tls.identity.as_str()))
}

/// Seconds since the Unix epoch; what a 32-bit clock cannot tell is its last second.
fn now_s() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}

/// Counts the changes of a set of endpoints.
#[derive(Default)]
pub(super) struct SetVersion(Cell<u64>);

impl SetVersion {
    pub(super) fn changed(&self) {
        self.0.set(self.0.get().wrapping_add(1));
    }

    pub(super) fn get(&self) -> u64 {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_by_its_whole_name() {
        assert_eq!(parameter("auser=1&user=2&user=3", "user"), Some(&b"2"[..]));
        assert_eq!(parameter("user", "user"), Some(&b""[..]));
        assert_eq!(parameter("", "user"), None);
    }
}
