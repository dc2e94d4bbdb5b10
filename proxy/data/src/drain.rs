//! How the proxy is told to stop taking work, and how it ended.

use std::time::Instant;

use hauberk_model::drain::Drain;
use tokio::sync::watch;

/// How [`crate::serve`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every connection finished.
    Clean,
    /// The time was up; so many connections were cut.
    Cut {
        /// Connections that had not finished.
        open: usize,
    },
}

/// One connection's view of the drain.
#[derive(Clone, Debug)]
pub(crate) struct DrainWatch(watch::Receiver<Drain>);

impl DrainWatch {
    pub(crate) fn new(receiver: watch::Receiver<Drain>) -> Self {
        Self(receiver)
    }

    /// Returns once no more work may be taken. A sender that is gone can no longer say so.
    pub(crate) async fn drained(&mut self) {
        if self.0.wait_for(|state| !state.accepts()).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether no more work may be taken.
    pub(crate) fn is_draining(&self) -> bool {
        !self.0.borrow().accepts()
    }

    /// Returns when what is still open must be cut.
    pub(crate) async fn cut(&mut self) {
        loop {
            let until: Option<Instant> = match *self.0.borrow_and_update() {
                Drain::Running | Drain::Leaving { .. } => None,
                Drain::Draining { until } => Some(until),
                Drain::Done { .. } => return,
            };
            let changed = self.0.changed();
            match until {
                Some(until) => tokio::select! {
                    () = tokio::time::sleep_until(until.into()) => return,
                    Ok(()) = changed => {}
                },
                None => {
                    if changed.await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            }
        }
    }
}
