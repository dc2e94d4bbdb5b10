//! The end of a proxy's life, in order: be removed from discovery, take no more, finish what is open, exit.

use std::time::{Duration, Instant};

/// How long each part may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainLimits {
    /// How long to serve on while other proxies may still send here, unless removal is seen before.
    pub removal: Duration,
    /// How long open connections may take to finish (`LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD`, 2 min).
    pub grace: Duration,
}

/// Where the proxy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// Serving.
    Running,
    /// Asked to stop. New connections are still served: peers do not know yet.
    Leaving {
        /// When draining begins in any case.
        until: Instant,
    },
    /// No new connections; HTTP/2 gets GOAWAY, HTTP/1 `Connection: close`.
    Draining {
        /// When what is still open is cut.
        until: Instant,
    },
    /// Exit now.
    Done {
        /// Connections that had not finished.
        cut: usize,
    },
}

/// What happens to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainEvent {
    /// SIGTERM or `POST /shutdown`. Each further one ends the state it meets.
    Stop,
    /// Discovery no longer lists this workload.
    Removed,
    /// So many connections are open.
    Open(usize),
}

impl Drain {
    /// The state after an event. The caller repeats `Open` whenever the number changes or [`Drain::wakes_at`] has come.
    #[must_use]
    pub fn on(self, event: DrainEvent, limits: DrainLimits, now: Instant) -> Self {
        match (self, event) {
            (Self::Running, DrainEvent::Stop) => Self::Leaving { until: now + limits.removal },
            (Self::Leaving { .. }, DrainEvent::Stop | DrainEvent::Removed) => {
                Self::Draining { until: now + limits.grace }
            }
            (Self::Leaving { until }, DrainEvent::Open(_)) if until <= now => {
                Self::Draining { until: now + limits.grace }
            }
            (Self::Draining { .. }, DrainEvent::Stop) => Self::Draining { until: now },
            (Self::Draining { .. }, DrainEvent::Open(0)) => Self::Done { cut: 0 },
            (Self::Draining { until }, DrainEvent::Open(open)) if until <= now => Self::Done { cut: open },
            // Nothing is due; a removal without a stop is the control plane's business (a workload not ready).
            (state @ Self::Running, DrainEvent::Removed | DrainEvent::Open(_))
            | (state @ Self::Leaving { .. }, DrainEvent::Open(_))
            | (state @ Self::Draining { .. }, DrainEvent::Removed | DrainEvent::Open(_))
            | (state @ Self::Done { .. }, DrainEvent::Stop | DrainEvent::Removed | DrainEvent::Open(_)) => {
                state
            }
        }
    }

    /// When the state must be looked at again at the latest.
    #[must_use]
    pub const fn wakes_at(self) -> Option<Instant> {
        match self {
            Self::Leaving { until } | Self::Draining { until } => Some(until),
            Self::Running | Self::Done { .. } => None,
        }
    }

    /// Whether new connections are served.
    #[must_use]
    pub const fn accepts(self) -> bool {
        match self {
            Self::Running | Self::Leaving { .. } => true,
            Self::Draining { .. } | Self::Done { .. } => false,
        }
    }

    /// Whether `/ready` says so.
    #[must_use]
    pub const fn is_ready(self) -> bool {
        matches!(self, Self::Running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: DrainLimits =
        DrainLimits { removal: Duration::from_secs(5), grace: Duration::from_secs(120) };

    fn run(events: &[(u64, DrainEvent)]) -> Drain {
        let start = Instant::now();
        events.iter().fold(Drain::Running, |state, (second, event)| {
            state.on(*event, LIMITS, start + Duration::from_secs(*second))
        })
    }

    #[test]
    fn a_proxy_serves_until_it_is_removed_and_exits_when_the_last_connection_has_ended() {
        assert!(run(&[(0, DrainEvent::Stop), (1, DrainEvent::Open(0))]).accepts());
        assert!(!run(&[(0, DrainEvent::Stop), (1, DrainEvent::Removed)]).accepts());
        assert!(!run(&[(0, DrainEvent::Stop), (5, DrainEvent::Open(3))]).accepts());
        let events = [
            (0, DrainEvent::Stop),
            (1, DrainEvent::Removed),
            (2, DrainEvent::Open(1)),
            (3, DrainEvent::Open(0)),
        ];
        assert_eq!(run(&events), Drain::Done { cut: 0 });
    }

    #[test]
    fn what_has_not_finished_within_the_grace_is_cut_and_counted() {
        let events = [(0, DrainEvent::Stop), (1, DrainEvent::Removed), (121, DrainEvent::Open(4))];
        assert_eq!(run(&events), Drain::Done { cut: 4 });
    }

    #[test]
    fn removal_alone_stops_nothing_and_a_third_stop_exits() {
        assert_eq!(run(&[(0, DrainEvent::Removed)]), Drain::Running);
        let stop = (0, DrainEvent::Stop);
        assert_eq!(run(&[stop, stop, stop, (0, DrainEvent::Open(2))]), Drain::Done { cut: 2 });
    }
}
