//! Faults that a policy injects: a delay, a failure, or both, for a share of requests and for a time.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Answer, strikes};
use crate::identity::Identity;
use crate::matching::{RequestView, header_matches};
use crate::random::Random;
use crate::route::{Filter, HeaderMatch, Ratio};

/// `HTTPFaultInjection`, as it holds for one rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Namespace of the policy.
    pub namespace: Arc<str>,
    /// Name of the policy.
    pub name: Arc<str>,
    /// Share of the requests that it is for.
    pub ratio: Ratio,
    /// Before anything else is done.
    pub delay: Option<Duration>,
    /// Instead of forwarding.
    pub abort: Option<Abort>,
    /// First moment of the fault, since the Unix epoch.
    pub start: Duration,
    /// First moment after it, since the Unix epoch.
    pub end: Duration,
    /// Every one must match.
    pub headers: Vec<HeaderMatch>,
    /// Clients that meet it; empty: all.
    pub identities: Vec<Identity>,
}

/// The failure of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abort {
    /// For a request that is no call.
    pub http: u16,
    /// For a gRPC call.
    pub grpc: u16,
    /// For the client.
    pub message: Arc<str>,
}

/// The first fault that strikes a request of the client with this identity. `now` is asked for only if there is a fault.
pub fn strike<'f>(
    filters: &'f [Filter],
    request: &impl RequestView,
    identity: Option<&Identity>,
    now: impl FnOnce() -> SystemTime,
    random: &mut Random,
) -> Option<&'f Arc<Fault>> {
    let mut faults = filters
        .iter()
        .filter_map(|filter| if let Filter::Fault(fault) = filter { Some(fault) } else { None })
        .peekable();
    faults.peek()?;
    // A clock before 1970 is no clock: then there is no fault.
    let now = now().duration_since(UNIX_EPOCH).ok()?;
    faults.find(|fault| {
        (fault.start..fault.end).contains(&now)
            && (fault.identities.is_empty()
                || identity.is_some_and(|identity| fault.identities.contains(identity)))
            && fault.headers.iter().all(|header| header_matches(header, request))
            && strikes(fault.ratio, random)
    })
}

impl Fault {
    /// The answer that it gives in the backend's place.
    #[must_use]
    pub fn answer(&self, is_grpc: bool) -> Option<Answer> {
        let abort = self.abort.as_ref()?;
        let message = Arc::clone(&abort.message);
        Some(if is_grpc {
            Answer::GrpcFailure { code: abort.grpc, message }
        } else {
            Answer::HttpFailure { status: abort.http, message }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::ValueMatch;

    struct Tenant(&'static str);

    impl RequestView for Tenant {
        fn method(&self) -> &str {
            "GET"
        }
        fn authority(&self) -> &str {
            "web"
        }
        fn path(&self) -> &str {
            "/"
        }
        fn query(&self) -> Option<&str> {
            None
        }
        fn header(&self, name: &str) -> impl Iterator<Item = &[u8]> {
            (name == "x-tenant").then_some(self.0.as_bytes()).into_iter()
        }
    }

    fn fault() -> Fault {
        Fault {
            namespace: "shop".into(),
            name: "slow".into(),
            ratio: Ratio { numerator: 1, denominator: 1 },
            delay: None,
            abort: Some(Abort { http: 503, grpc: 14, message: "drill".into() }),
            start: Duration::from_secs(100),
            end: Duration::from_secs(200),
            headers: Vec::new(),
            identities: Vec::new(),
        }
    }

    fn struck(fault: Fault, at_s: u64, tenant: &'static str, identity: Option<&str>) -> bool {
        let identity = identity.map(|name| Identity::parse(name).expect("an identity"));
        let now = || UNIX_EPOCH + Duration::from_secs(at_s);
        let filters = [Filter::Fault(Arc::new(fault))];
        strike(&filters, &Tenant(tenant), identity.as_ref(), now, &mut Random::seeded(1)).is_some()
    }

    #[test]
    fn a_fault_holds_from_its_start_and_not_at_its_end() {
        for (at, holds) in [(0, false), (99, false), (100, true), (199, true), (200, false), (10_000, false)]
        {
            assert_eq!(struck(fault(), at, "a", None), holds, "{at}");
        }
    }

    #[test]
    fn a_fault_meets_only_the_clients_and_requests_that_it_names() {
        let value = ValueMatch::Exact(Arc::from(&b"a"[..]));
        let headers = vec![HeaderMatch { name: "x-tenant".into(), value }];
        let of_tenant = Fault { headers, ..fault() };
        assert!(struck(of_tenant.clone(), 150, "a", None));
        assert!(!struck(of_tenant, 150, "b", None));
        let identities = vec![Identity::parse("web.shop").expect("an identity")];
        let of_web = Fault { identities, ..fault() };
        assert!(struck(of_web.clone(), 150, "a", Some("web.shop")));
        assert!(!struck(of_web.clone(), 150, "a", Some("api.shop")));
        assert!(!struck(of_web, 150, "a", None));
    }

    #[test]
    fn where_there_is_no_fault_nobody_looks_at_the_clock() {
        let never = || panic!("the clock was read");
        let filters = [Filter::Unknown("x".into())];
        assert!(strike(&filters, &Tenant("a"), None, never, &mut Random::seeded(1)).is_none());
    }
}
