//! Asks another service whether a request may go on (`envoy.service.auth.v3.Authorization/Check`).

mod decision;
mod message;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use hauberk_model::identity::Identity;
use hauberk_model::matching::RequestView;
use hauberk_model::requirement::ExternalCheck;
use hauberk_observe::Labels;
use hauberk_observe::families as f;
use prost::Message;
use tokio::time::{Instant, timeout};

use self::message::{
    Address, AttributeContext, CheckRequest, CheckResponse, HttpRequest, Peer, Request, SocketAddress,
};
use super::audit::SeldomLog;
use crate::heads::View;
use crate::outbound::{AskError, call};
use crate::worker::Worker;

pub(crate) use decision::{Decision, Denied};

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
/// Answers kept for one port, until they are too old.
const KEPT_MAX: usize = 1_024;
/// Questions under way for one port; more than that fail at once, so that a slow service cannot hold all memory.
const ASKING_MAX: usize = 1_024;

/// Answers that still hold. The key is the address of the check, which the policy keeps, and the digest of the question.
#[derive(Default)]
pub(super) struct External {
    kept: RefCell<HashMap<Key, (Instant, Rc<Decision>)>>,
    asking: Rc<()>,
    failures: SeldomLog,
}

type Key = (usize, [u8; 32]);

/// Who asks for what, beyond the request.
pub(super) struct Asker<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) client: SocketAddr,
    pub(super) identity: Option<&'a Identity>,
    pub(super) target: SocketAddr,
}

impl External {
    /// The service's word on a request; `None`: it gave none in time.
    pub(super) async fn ask(
        &self,
        check: &Arc<ExternalCheck>,
        view: &View<'_>,
        asker: &Asker<'_>,
    ) -> Option<Rc<Decision>> {
        let question = question(check, view, asker).encode_to_vec();
        let key = (Arc::as_ptr(check).addr(), hauberk_tls::sha256(&question));
        if let Some(kept) = self.known(&key) {
            count(asker.worker, check, "cached");
            return Some(kept);
        }
        let _asking = Rc::clone(&self.asking);
        let begun = Instant::now();
        let asked = async {
            if Rc::strong_count(&self.asking) > ASKING_MAX {
                return Err("too many questions are under way".to_owned());
            }
            let called = call(asker.worker, check.address, &check.authority, CHECK, &question, check.timeout);
            let bytes = match timeout(check.timeout, called).await {
                Ok(answer) => answer.map_err(|error: AskError| error.to_string())?,
                Err(_) => return Err("no answer in time".to_owned()),
            };
            let answer = CheckResponse::decode(bytes).map_err(|error| error.to_string())?;
            Decision::of(check, answer).ok_or_else(|| "the answer has no status".to_owned())
        };
        let asked = asked.await;
        let labels = Labels::new().with("policy", Arc::clone(&check.name));
        let family = &f::HAUBERK_INBOUND_EXTERNAL_AUTHZ_DURATION_SECONDS;
        asker.worker.registry.histogram(family, labels).observe(begun.elapsed());
        match asked {
            Ok(decision) => {
                let result = if matches!(decision, Decision::Allowed(_)) { "allowed" } else { "denied" };
                count(asker.worker, check, result);
                let decision = Rc::new(decision);
                self.keep(key, check, &decision);
                Some(decision)
            }
            Err(reason) => {
                count(asker.worker, check, "failed");
                if let Some(unsaid) = self.failures.due(Instant::now()) {
                    log::warn!(policy:% = check.name, reason:%, unsaid; "external authorization gave no answer");
                }
                None
            }
        }
    }

    fn known(&self, key: &Key) -> Option<Rc<Decision>> {
        let kept = self.kept.borrow();
        kept.get(key).filter(|(until, _)| Instant::now() < *until).map(|(_, decision)| Rc::clone(decision))
    }

    fn keep(&self, key: Key, check: &ExternalCheck, decision: &Rc<Decision>) {
        if check.cache.is_zero() {
            return;
        }
        let mut kept = self.kept.borrow_mut();
        let now = Instant::now();
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, (until, _)| now < *until);
        }
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, (now + check.cache, Rc::clone(decision)));
    }
}

fn count(worker: &Worker, check: &ExternalCheck, result: &'static str) {
    let labels = Labels::new().with("policy", Arc::clone(&check.name)).with("result", result);
    worker.registry.counter(&f::HAUBERK_INBOUND_EXTERNAL_AUTHZ_TOTAL, labels).inc();
}

/// What the service is told: the client, the workload, and of the request the listed headers only. The client's port is
/// left out, so that one client's questions are equal.
fn question(check: &ExternalCheck, view: &View<'_>, asker: &Asker<'_>) -> CheckRequest {
    let peer = |address: String, port_value: u32, principal: Option<&Identity>| Peer {
        address: Some(Address { socket_address: Some(SocketAddress { address, port_value }) }),
        principal: principal.map(|identity| identity.as_str().to_owned()).unwrap_or_default(),
    };
    let own = asker.worker.config.identity.as_ref();
    let target = asker.target;
    let headers = check.headers.iter().filter_map(|name| {
        let values: Vec<Cow<str>> = view.header(name).map(String::from_utf8_lossy).collect();
        let between = if **name == *"cookie" { "; " } else { "," };
        (!values.is_empty()).then(|| (name.to_string(), values.join(between)))
    });
    let path = match view.query() {
        Some(query) => format!("{}?{query}", view.path()),
        None => view.path().to_owned(),
    };
    let http = HttpRequest {
        method: view.method().to_owned(),
        headers: headers.collect(),
        path,
        host: view.authority().to_owned(),
        scheme: "http".to_owned(),
        protocol: if view.request().is_http1() { "HTTP/1.1" } else { "HTTP/2" }.to_owned(),
    };
    let context: BTreeMap<String, String> =
        check.context.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(peer(asker.client.ip().to_canonical().to_string(), 0, asker.identity)),
            destination: Some(peer(target.ip().to_string(), target.port().into(), own)),
            request: Some(Request { http: Some(http) }),
            context_extensions: context,
        }),
    }
}
