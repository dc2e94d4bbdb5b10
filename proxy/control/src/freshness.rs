//! How old what we know is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Whether a stream confirms its answer now, or since when it does not; and which version of the world it is from.
#[derive(Debug, Default)]
pub struct Freshness {
    state: Mutex<State>,
    version: AtomicU64,
}

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
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Live = *state {
            *state = State::Stale(Instant::now());
        }
    }

    /// Time since the answer was last confirmed; zero while its stream is open, `None` before the first one.
    pub fn age(&self) -> Option<Duration> {
        match *self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Silent => None,
            State::Live => Some(Duration::ZERO),
            State::Stale(since) => Some(since.elapsed()),
        }
    }

    /// The answer is of this version of the control plane's world; zero if it does not say.
    pub fn heard(&self, version: u64) {
        self.version.store(version, Ordering::Relaxed);
    }

    /// The version last heard of; `None` if the control plane tells none.
    pub fn version(&self) -> Option<u64> {
        Some(self.version.load(Ordering::Relaxed)).filter(|version| *version > 0)
    }

    fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}
