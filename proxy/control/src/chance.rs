//! Chance for jitter, seeded by the kernel through the standard library.

use std::hash::{BuildHasher as _, RandomState};

use hauberk_model::random::Random;

/// A generator of its own sequence. Not for secrets.
pub(crate) fn random() -> Random {
    Random::seeded(RandomState::new().hash_one(0_u8))
}
