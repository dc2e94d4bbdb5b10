//! Requests of a ServiceProfile's routes, counted as Linkerd counts them: `route_*` what the application sees, and
//! `route_actual_*` what its endpoints do, repetitions included.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hauberk_model::metadata::Metadata;
use hauberk_observe::{Labels, Registry};

use crate::meters::{Direction, Ended, Http, PROFILE_ACTUAL, PROFILE_ROUTE};

/// The kind of the routes that profiles are translated to.
const SERVICE_PROFILE: &str = "ServiceProfile";

/// The meters of one route.
pub(crate) struct ProfileMeters {
    route: Http,
    actual: Rc<Http>,
}

impl ProfileMeters {
    /// Those of a profile's route; `dst`: the service's authority. `None`: the route is no profile's.
    pub(super) fn of(registry: &Registry, route: &Metadata, dst: Option<&Arc<str>>) -> Option<Self> {
        if route.kind() != SERVICE_PROFILE {
            return None;
        }
        let labels = Labels::new()
            .with("direction", Direction::Outbound.label())
            .with_some("dst", dst.map(Arc::clone))
            .with("rt_route", route.name().to_owned());
        Some(Self {
            route: Http::by(&PROFILE_ROUTE, registry, labels.clone()),
            actual: Rc::new(Http::by(&PROFILE_ACTUAL, registry, labels)),
        })
    }

    /// A request has ended for the application.
    pub(super) fn ended(&self, ended: Ended, success: bool, after: Duration) {
        self.route.requested();
        self.route.responded_as(ended, success, after);
    }

    /// An attempt begins.
    pub(super) fn attempted(&self) {
        self.actual.requested();
    }

    /// What counts the answer to an attempt.
    pub(super) fn actual(&self) -> Rc<Http> {
        Rc::clone(&self.actual)
    }
}
