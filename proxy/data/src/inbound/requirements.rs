//! Judges what authorizations require of a request beyond its client, and what the application is told of it.

use std::rc::Rc;
use std::sync::Arc;

use hauberk_model::inbound::{Authorization, InboundPolicy, InboundProtocol, RouteAuthorizations};
use hauberk_model::matching::RequestView;
use hauberk_model::requirement::{HeaderRequirement, Requirements, TokenRequirement, Unmet};
use hauberk_model::route::HeaderModifier;
use hauberk_wire::Modifier;

use super::external::{Decision, External};
use super::token::{self, Place, Tokens};
use crate::heads::{RequestMeta, View};
use crate::worker::Worker;

/// What judging the requirements of one policy needs. Made anew with each policy, so that nothing outlives its keys.
pub(crate) struct Checks {
    /// Headers that are the proxy's to write, in lower case.
    written: Vec<Arc<str>>,
    tokens: Tokens,
    pub(super) external: External,
}

/// How the requirements of an authorization are met.
pub(super) struct Met<'p> {
    token: Option<token::Verified<'p>>,
    /// What another service said, if it had to be asked.
    pub(super) word: Option<Rc<Decision>>,
}

/// Changes to a request that was admitted.
#[derive(Default)]
pub(super) struct Passage {
    /// Header names, as they stand in the request.
    pub(super) removed: Vec<Arc<str>>,
    pub(super) added: Vec<(Arc<str>, Vec<u8>)>,
    /// Added to the response.
    pub(super) response: Option<HeaderModifier>,
}

impl Checks {
    /// `None` where no authorization requires more than a client.
    pub(super) fn of(policy: &InboundPolicy) -> Option<Rc<Self>> {
        let mut written: Vec<Arc<str>> = Vec::new();
        let mut is_required = false;
        let mut look = |all: &[Authorization]| {
            for requirements in all.iter().filter_map(|one| one.requirements.as_deref()) {
                is_required = true;
                written.extend(requirements.written_headers().cloned());
            }
        };
        look(&policy.authorizations);
        for then in rules_of(policy) {
            look(&then.0);
        }
        written.sort();
        written.dedup();
        is_required
            .then(|| Rc::new(Self { written, tokens: Tokens::default(), external: External::default() }))
    }

    /// Judges all requirements but asking another service.
    pub(super) fn meet<'p>(
        &self,
        requirements: &'p Requirements,
        view: &View<'_>,
        worker: &Worker,
    ) -> Result<Met<'p>, Unmet> {
        if !requirements.headers.iter().all(|header| self.header_holds(header, view)) {
            return Err(Unmet::Header);
        }
        let verify = |token: &'p Arc<TokenRequirement>| self.tokens.verify(token, view, worker);
        let token = requirements.token.as_ref().map(verify).transpose()?;
        Ok(Met { token, word: None })
    }

    /// A header that only the proxy may write says nothing while it is the client's.
    fn header_holds(&self, requirement: &HeaderRequirement, view: &View<'_>) -> bool {
        let is_ours = self.written.contains(&requirement.name);
        requirement.test.holds(view.header(&requirement.name).filter(|_| !is_ours))
    }

    /// What changes on a request's way to the application: what only the proxy may say is removed whoever admits it.
    pub(super) fn passage(&self, head: &RequestMeta, met: Option<&Met<'_>>) -> Passage {
        let mut passage = Passage::default();
        if !self.written.is_empty() {
            passage.removed = head.names_like(&self.written);
        }
        if let Some(Decision::Allowed(allowed)) = met.and_then(|met| met.word.as_deref()) {
            passage.removed.extend(allowed.removed.iter().cloned());
            passage.added.extend(allowed.set.iter().cloned());
            passage.response.clone_from(&allowed.response);
        }
        let Some(token) = met.and_then(|met| met.token.as_ref()) else { return passage };
        for (path, header) in &token.requirement.headers {
            if let Some(value) = token.claims.header_value(path) {
                passage.added.push((Arc::clone(header), value.into_bytes()));
            }
        }
        if !token.requirement.forwards_token {
            match &token.place {
                Place::Header(name) => passage.removed.push(Arc::clone(name)),
                Place::Cookie(name) => match token::cookies_without(head, name) {
                    Some(rest) => passage.added.push((Arc::from("cookie"), rest)),
                    None => passage.removed.push(Arc::from("cookie")),
                },
            }
        }
        passage
    }
}

impl Passage {
    /// The removals, as the first change to the request.
    pub(super) fn modifier(&self) -> Option<Modifier<'_>> {
        (!self.removed.is_empty()).then_some(Modifier { set: &[], add: &[], remove: &self.removed })
    }
}

fn rules_of(policy: &InboundPolicy) -> Vec<&RouteAuthorizations> {
    match &policy.protocol {
        InboundProtocol::Detect { routes, .. }
        | InboundProtocol::Http1 { routes, .. }
        | InboundProtocol::Http2 { routes, .. } => {
            routes.iter().flat_map(|route| route.rules.iter().map(|rule| &rule.then)).collect()
        }
        InboundProtocol::Grpc { routes } => {
            routes.iter().flat_map(|route| route.rules.iter().map(|rule| &rule.then)).collect()
        }
        InboundProtocol::Opaque | InboundProtocol::Tls => Vec::new(),
    }
}
