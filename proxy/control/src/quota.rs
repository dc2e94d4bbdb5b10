//! This proxy's shares of cluster-wide rate limits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hauberk_model::limits::Share;

/// The shares in use, by the limit's key. One is forgotten when no policy speaks of it any more.
#[derive(Debug, Default)]
pub struct Quotas(Mutex<HashMap<Arc<str>, Weak<Share>>>);

impl Quotas {
    /// The share of `key`; one that nobody has yet begins with `initial` thousandths of a request per second.
    pub(crate) fn share(&self, key: &str, initial: u64) -> Arc<Share> {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shares.retain(|_, share| share.strong_count() > 0);
        if let Some(share) = shares.get(key).and_then(Weak::upgrade) {
            return share;
        }
        let share = Arc::new(Share::new(Arc::from(key), initial));
        shares.insert(Arc::clone(share.key()), Arc::downgrade(&share));
        share
    }
}
