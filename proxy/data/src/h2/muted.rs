//! The waker that connections of the library are polled with. It can be muted for a moment: the library wakes the
//! connection's task for each thing that is done with a stream, also where the task is about to look anyway, or where
//! nothing is to be done before the next request.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

/// Wakes the task that polled last, unless it is muted.
#[derive(Debug, Default)]
pub(super) struct Muted {
    is_muted: AtomicBool,
    was_missed: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Muted {
    /// Both a handle of the state and the waker of it.
    pub(super) fn new() -> (Arc<Self>, Waker) {
        let muted = Arc::new(Self::default());
        let waker = Waker::from(Arc::clone(&muted));
        (muted, waker)
    }

    /// Wakes go to the task of `cx` from now on; what was missed before is seen now.
    pub(super) fn follow(&self, cx: &Context<'_>) {
        self.was_missed.store(false, Ordering::Relaxed);
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *task {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *task = Some(cx.waker().clone()),
        }
    }

    /// Runs `act` without waking the task. The caller sees to it that the task looks afterwards as soon as it must.
    pub(super) fn quietly<T>(&self, act: impl FnOnce() -> T) -> T {
        self.is_muted.store(true, Ordering::Relaxed);
        let done = act();
        self.is_muted.store(false, Ordering::Relaxed);
        done
    }

    /// Whether the task has missed something, once.
    pub(super) fn has_missed(&self) -> bool {
        self.was_missed.swap(false, Ordering::Relaxed)
    }

    /// Wakes the task if it has missed something.
    pub(super) fn catch_up(&self) {
        if self.has_missed() {
            self.wake_task();
        }
    }

    fn wake_task(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Wake for Muted {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Both flags are only about the thread that polls: a wake from elsewhere at worst is one too many.
        if self.is_muted.load(Ordering::Relaxed) {
            self.was_missed.store(true, Ordering::Relaxed);
        } else {
            self.wake_task();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Count(Mutex<u32>);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            *self.0.lock().unwrap() += 1;
        }
    }

    #[test]
    fn a_wake_while_muted_is_caught_up_with_once_and_never_lost() {
        let count = Arc::new(Count::default());
        let task = Waker::from(Arc::clone(&count));
        let (muted, waker) = Muted::new();
        muted.follow(&Context::from_waker(&task));
        waker.wake_by_ref();
        assert_eq!(*count.0.lock().unwrap(), 1);
        muted.quietly(|| waker.wake_by_ref());
        assert_eq!(*count.0.lock().unwrap(), 1);
        muted.catch_up();
        muted.catch_up();
        assert_eq!(*count.0.lock().unwrap(), 2);
        muted.quietly(|| waker.wake_by_ref());
        // The task looked by itself.
        muted.follow(&Context::from_waker(&task));
        muted.catch_up();
        assert_eq!(*count.0.lock().unwrap(), 2);
    }
}
