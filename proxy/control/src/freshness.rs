//! How old what we know is.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Whether a stream confirms its answer now, or since when it does not.
#[derive(Debug, Default)]
pub struct Freshness(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// Nothing was ever heard.
    #[default]
    Silent,
    /// The control plane answered on a stream that is open.
    Live,
    /// The stream ended then.
    Stale(Instant),
}

impl Freshness {
    /// The control plane answered.
    pub fn confirm(&self) {
        self.set(State::Live);
    }

    /// The stream ended. Repeated losses do not make an answer younger.
    pub fn lose(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Live = *state {
            *state = State::Stale(Instant::now());
        }
    }

    /// Time since the answer was last confirmed; zero while its stream is open, `None` before the first one.
    pub fn age(&self) -> Option<Duration> {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Silent => None,
            State::Live => Some(Duration::ZERO),
            State::Stale(since) => Some(since.elapsed()),
        }
    }

    fn set(&self, state: State) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}
