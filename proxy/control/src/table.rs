//! The watches that run, by target, bounded.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use hauberk_model::discovery::Watched;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::freshness::Freshness;

/// Publishes one target's answers.
pub(crate) type Publisher<T> = watch::Sender<Option<Arc<T>>>;

/// Watches by target. At `max`, those that nobody reads and that were asked for longest ago make room.
pub(crate) struct Table<K, T> {
    max: usize,
    clock: u64,
    entries: HashMap<K, Entry<T>>,
}

struct Entry<T> {
    publish: Publisher<T>,
    freshness: Arc<Freshness>,
    asked: u64,
    task: AbortHandle,
}

impl<T> Drop for Entry<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<K: Clone + Eq + Hash, T> Table<K, T> {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, clock: 0, entries: HashMap::new() }
    }

    /// Joins the watch of `key`, or starts one with `start`. `None`: every watch is in use and there is no room.
    pub(crate) fn watch(
        &mut self,
        key: &K,
        start: impl FnOnce(Publisher<T>, Arc<Freshness>) -> AbortHandle,
    ) -> Option<Watched<T>> {
        self.clock = self.clock.wrapping_add(1);
        if let Some(entry) = self.entries.get_mut(key) {
            entry.asked = self.clock;
            return Some(entry.publish.subscribe());
        }
        if self.entries.len() >= self.max {
            self.make_room();
        }
        if self.entries.len() >= self.max {
            return None;
        }
        let (publish, watched) = watch::channel(None);
        let freshness = Arc::new(Freshness::default());
        let task = start(publish.clone(), Arc::clone(&freshness));
        self.entries.insert(key.clone(), Entry { publish, freshness, asked: self.clock, task });
        Some(watched)
    }

    /// Every target with the freshness of its answer.
    pub(crate) fn freshness(&self) -> impl Iterator<Item = (&K, &Freshness)> {
        self.entries.iter().map(|(key, entry)| (key, entry.freshness.as_ref()))
    }

    /// Ends a sixteenth of the watches at once, so that a full table is not searched for each new target.
    fn make_room(&mut self) {
        let mut unused: Vec<(u64, K)> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.publish.receiver_count() == 0)
            .map(|(key, entry)| (entry.asked, key.clone()))
            .collect();
        unused.sort_unstable_by_key(|(asked, _)| *asked);
        let enough = (self.max / 16).max(1);
        for (_, key) in unused.into_iter().take(enough) {
            self.entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle<T>(_: Publisher<T>, _: Arc<Freshness>) -> AbortHandle {
        tokio::spawn(std::future::pending::<()>()).abort_handle()
    }

    #[tokio::test]
    async fn a_target_is_watched_once_however_often_it_is_asked_for() {
        let mut table = Table::<u16, u8>::new(4);
        let first = table.watch(&1, idle).expect("room");
        let second = table.watch(&1, |_, _| panic!("started twice")).expect("joined");
        assert!(first.same_channel(&second));
    }

    #[tokio::test]
    async fn the_unused_watch_asked_for_longest_ago_makes_room_and_a_used_one_never_does() {
        let mut table = Table::<u16, u8>::new(2);
        let used = table.watch(&1, idle).expect("room");
        drop(table.watch(&2, idle).expect("room"));
        let also_used = table.watch(&3, idle).expect("room after 2 is ended");
        assert!(table.watch(&4, idle).is_none());
        assert!(table.watch(&1, |_, _| panic!("ended while in use")).is_some());
        drop((used, also_used));
        assert!(table.watch(&4, idle).is_some());
    }
}
