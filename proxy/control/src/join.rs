//! The outbound policy of one target, from its policy and its profile.

use std::net::SocketAddr;
use std::sync::Arc;

use hauberk_model::metadata::Metadata;
use hauberk_model::outbound::{
    BackendKind, Distribution, OutboundPolicy, OutboundProtocol, RouteBackend, RouteTarget,
};

use crate::convert::outbound::Backends;
use crate::convert::profile::Profile;
use crate::defaults;

/// What one stream has said so far.
#[derive(Debug, Default)]
pub(crate) enum Answer<T> {
    /// Nothing yet.
    #[default]
    Pending,
    /// There is no such thing.
    Absent,
    /// This.
    Known(T),
}

/// What to do with a target of which nothing is known when the limit of the first answer has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// Reach it as the application asked.
    Forward,
    /// Refuse it.
    Refuse,
}

/// The state of one target.
#[derive(Debug)]
pub(crate) struct Join {
    target: SocketAddr,
    unknown: Unknown,
    generation: u64,
    /// Whether the limit of the first answer has passed.
    late: bool,
    pub(crate) backends: Backends,
    pub(crate) policy: Answer<(Metadata, OutboundProtocol)>,
    pub(crate) profile: Answer<Profile>,
    /// The policy has the profile's overrides among its routes already.
    pub(crate) has_profile: bool,
}

impl Join {
    pub(crate) fn new(target: SocketAddr, unknown: Unknown) -> Self {
        Self {
            target,
            unknown,
            generation: 0,
            late: false,
            backends: Backends::default(),
            policy: Answer::Pending,
            profile: Answer::Pending,
            has_profile: false,
        }
    }

    /// The limit of the first answer has passed: what is not known now is decided without it.
    pub(crate) fn overdue(&mut self) {
        self.late = true;
    }

    /// Whether the control plane has said anything of this target.
    pub(crate) fn is_unheard(&self) -> bool {
        matches!((&self.policy, &self.profile), (Answer::Pending, Answer::Pending))
    }

    /// The policy as of now, with the next generation. `None`: wait.
    pub(crate) fn policy(&mut self) -> Option<OutboundPolicy> {
        let (parent, protocol) = self.resolve()?;
        self.generation = self.generation.saturating_add(1);
        self.backends.sweep();
        let authority = self.authority(&protocol);
        Some(OutboundPolicy { generation: self.generation, parent, authority, protocol })
    }

    fn resolve(&mut self) -> Option<(Metadata, OutboundProtocol)> {
        let target = self.target;
        let default = || Metadata::Default("default".into());
        Some(match (&self.policy, &self.profile) {
            (_, Answer::Known(Profile { endpoint: Some(endpoint), opaque, parent, .. })) => {
                let protocol = defaults::forward(endpoint, &mut self.backends);
                (parent.clone().unwrap_or_else(default), opaque_if(*opaque, protocol))
            }
            (Answer::Pending, Answer::Pending | Answer::Absent) if self.late => match self.unknown {
                Unknown::Forward => (default(), defaults::original(target, &mut self.backends)),
                Unknown::Refuse => (default(), defaults::refuse("no policy is known of this address")),
            },
            (Answer::Pending, _) | (Answer::Known(_) | Answer::Absent, Answer::Pending) if !self.late => {
                return None;
            }
            (Answer::Known((parent, _)), Answer::Known(profile))
                if !profile.overrides.is_empty() && !self.has_profile =>
            {
                let shares = profile.overrides.iter().map(|one| (&one.authority, one.weight, &one.backend));
                let protocol = defaults::split(shares, &mut self.backends);
                (parent.clone(), opaque_if(profile.opaque, protocol))
            }
            (Answer::Known((parent, protocol)), profile) => {
                let opaque = matches!(profile, Answer::Known(Profile { opaque: true, .. }));
                (parent.clone(), opaque_if(opaque, protocol.clone()))
            }
            (
                Answer::Pending | Answer::Absent,
                Answer::Known(Profile { name: Some(name), opaque, parent, .. }),
            ) => {
                let parent = parent.clone().unwrap_or_else(default);
                let authority = authority_of(name, target.port());
                let protocol = defaults::balance(authority, parent.clone(), &mut self.backends);
                (parent, opaque_if(*opaque, protocol))
            }
            (Answer::Pending | Answer::Absent, profile) => {
                let opaque = matches!(profile, Answer::Known(Profile { opaque: true, .. }));
                (default(), opaque_if(opaque, defaults::original(target, &mut self.backends)))
            }
        })
    }

    fn authority(&self, protocol: &OutboundProtocol) -> Option<Arc<str>> {
        if let Answer::Known(Profile { name: Some(name), .. }) = &self.profile {
            return Some(authority_of(name, self.target.port()));
        }
        target_of(protocol).and_then(first_authority)
    }
}

fn authority_of(name: &str, port: u16) -> Arc<str> {
    Arc::from(format!("{name}:{port}"))
}

/// A profile can turn detection off; a policy that names its protocol stands.
fn opaque_if(opaque: bool, protocol: OutboundProtocol) -> OutboundProtocol {
    match protocol {
        OutboundProtocol::Detect { opaque: policy, .. } if opaque => OutboundProtocol::Opaque(policy),
        protocol @ (OutboundProtocol::Detect { .. }
        | OutboundProtocol::Http1(_)
        | OutboundProtocol::Http2(_)
        | OutboundProtocol::Grpc(_)
        | OutboundProtocol::Opaque(_)
        | OutboundProtocol::Tls(_)) => protocol,
    }
}

/// Where bytes, or the first rule, would go: a name for metrics only.
fn target_of(protocol: &OutboundProtocol) -> Option<&RouteTarget> {
    match protocol {
        OutboundProtocol::Detect { opaque, .. } | OutboundProtocol::Opaque(opaque) => {
            Some(opaque.routes.first()?.target.as_ref())
        }
        OutboundProtocol::Http1(http) | OutboundProtocol::Http2(http) => {
            Some(http.routes.first()?.rules.first()?.then.as_ref())
        }
        OutboundProtocol::Grpc(grpc) => Some(grpc.routes.first()?.rules.first()?.then.as_ref()),
        OutboundProtocol::Tls(tls) => Some(tls.routes.first()?.target.as_ref()),
    }
}

fn first_authority(target: &RouteTarget) -> Option<Arc<str>> {
    let of = |backend: &RouteBackend| match &backend.backend.kind {
        BackendKind::Balance { authority, .. } => Some(Arc::clone(authority)),
        BackendKind::Forward(_) | BackendKind::OriginalDestination(_) => None,
    };
    match &target.distribution {
        Distribution::Empty => None,
        Distribution::FirstAvailable(backends) => backends.first().and_then(of),
        Distribution::RandomAvailable(backends) => backends.first().and_then(|(backend, _)| of(backend)),
    }
}

#[cfg(test)]
mod tests {
    use hauberk_model::endpoint::{Endpoint, Http2Params, Labels, ProtocolHint};

    use super::*;

    fn target() -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], 80))
    }

    fn kind(policy: &OutboundPolicy) -> BackendKind {
        let target = target_of(&policy.protocol).expect("target");
        match &target.distribution {
            Distribution::FirstAvailable(backends) => backends[0].backend.kind.clone(),
            Distribution::RandomAvailable(backends) => backends[0].0.backend.kind.clone(),
            Distribution::Empty => panic!("empty"),
        }
    }

    fn service(authority: &str) -> (Metadata, OutboundProtocol) {
        let mut backends = Backends::default();
        let parent = Metadata::Default("svc".into());
        (parent.clone(), defaults::balance(authority.into(), parent, &mut backends))
    }

    fn endpoint() -> Arc<Endpoint> {
        Arc::new(Endpoint {
            addr: target(),
            weight: 1,
            tls: None,
            hint: ProtocolHint::Http2,
            transport_port: None,
            authority_override: None,
            http2: Http2Params::default(),
            labels: Labels::from([]),
            other_zone: false,
        })
    }

    #[test]
    fn nothing_is_decided_before_both_streams_have_answered() {
        let mut join = Join::new(target(), Unknown::Refuse);
        assert!(join.policy().is_none());
        join.policy = Answer::Known(service("web:80"));
        assert!(join.policy().is_none());
        join.profile = Answer::Absent;
        let first = join.policy().expect("decided");
        assert_eq!(first.authority.as_deref(), Some("web:80"));
        assert_eq!(join.policy().expect("again").generation, first.generation + 1);
    }

    #[test]
    fn a_profile_with_an_endpoint_goes_to_that_endpoint_whatever_the_policy_says() {
        let mut join = Join::new(target(), Unknown::Refuse);
        join.policy = Answer::Known(service("web:80"));
        join.profile =
            Answer::Known(Profile { endpoint: Some(endpoint()), opaque: true, ..Profile::default() });
        let policy = join.policy().expect("decided");
        assert_eq!(kind(&policy), BackendKind::Forward(endpoint()));
        assert!(matches!(policy.protocol, OutboundProtocol::Opaque(_)));
    }

    #[test]
    fn a_target_that_both_say_is_absent_is_reached_as_the_application_asked() {
        let mut join = Join::new(target(), Unknown::Refuse);
        (join.policy, join.profile) = (Answer::Absent, Answer::Absent);
        assert_eq!(kind(&join.policy().expect("decided")), BackendKind::OriginalDestination(target()));
    }

    #[test]
    fn an_unheard_target_is_refused_inside_the_cluster_and_passed_outside_once_the_limit_is_over() {
        let mut inside = Join::new(target(), Unknown::Refuse);
        inside.overdue();
        let refused = inside.policy().expect("decided");
        assert!(matches!(target_of(&refused.protocol).expect("target").distribution, Distribution::Empty));
        inside.policy = Answer::Known(service("web:80"));
        assert_eq!(inside.policy().expect("healed").authority.as_deref(), Some("web:80"));
        let mut outside = Join::new(target(), Unknown::Forward);
        outside.overdue();
        assert_eq!(kind(&outside.policy().expect("decided")), BackendKind::OriginalDestination(target()));
    }

    #[test]
    fn a_service_that_only_the_profile_knows_is_balanced_by_its_name() {
        let mut join = Join::new(target(), Unknown::Refuse);
        join.policy = Answer::Absent;
        join.profile = Answer::Known(Profile { name: Some("web.shop.svc".into()), ..Profile::default() });
        let policy = join.policy().expect("decided");
        assert!(
            matches!(kind(&policy), BackendKind::Balance { authority, .. } if &*authority == "web.shop.svc:80")
        );
    }
}
