//! Whether anything may have arrived on a connection since it was last found empty.
//!
//! A task is woken for many reasons, and each time it asks its connections for bytes. Down to the socket that is a few
//! hundred instructions through TLS and the runtime, to hear what is known: that nobody has said otherwise.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Stands between the task that reads and the socket, and remembers what the socket said.
#[derive(Debug)]
pub(crate) struct Arrivals {
    shared: Arc<Shared>,
    /// Of `shared`: what the socket wakes.
    waker: Waker,
    /// The task that is woken then, as last told to `shared`.
    task: Option<Waker>,
}

#[derive(Debug)]
struct Shared {
    /// The socket has woken us since it was found empty, or has not been asked yet.
    may_have: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        let shared = Arc::new(Shared { may_have: AtomicBool::new(true), task: Mutex::new(None) });
        Self { waker: Waker::from(Arc::clone(&shared)), shared, task: None }
    }

    /// What `read` says, or pending if it would say so. `read` must keep the waker whenever it is pending, and use it for
    /// nothing but what it waits for.
    pub(crate) fn poll<T>(
        &mut self,
        cx: &Context<'_>,
        read: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.follow(cx.waker());
        if !self.shared.may_have.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        // Before the question: what arrives while it is asked counts.
        self.shared.may_have.swap(false, Ordering::AcqRel);
        let polled = read(&mut Context::from_waker(&self.waker));
        if polled.is_ready() {
            // There may be more.
            self.shared.may_have.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn follow(&mut self, task: &Waker) {
        if self.task.as_ref().is_some_and(|held| held.will_wake(task)) {
            return;
        }
        self.task = Some(task.clone());
        let mut told = self.shared.task.lock().unwrap_or_else(PoisonError::into_inner);
        *told = Some(task.clone());
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.may_have.store(true, Ordering::Release);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn task() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    /// Finds the connection empty; the waker that was given.
    fn find_empty(arrivals: &mut Arrivals, task: &Waker) -> Option<Waker> {
        let mut given = None;
        let polled = arrivals.poll(&Context::from_waker(task), |cx| {
            given = Some(cx.waker().clone());
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        given
    }

    #[test]
    fn a_connection_found_empty_is_asked_again_only_when_it_has_woken_us() {
        let (mut arrivals, (count, task)) = (Arrivals::new(), task());
        let socket = find_empty(&mut arrivals, &task).unwrap();
        assert!(find_empty(&mut arrivals, &task).is_none());
        socket.wake_by_ref();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        let polled = arrivals.poll(&Context::from_waker(&task), |_| Poll::Ready(7));
        assert_eq!(polled, Poll::Ready(7));
        assert!(find_empty(&mut arrivals, &task).is_some(), "there might have been more");
    }

    #[test]
    fn what_arrives_while_the_question_is_asked_is_not_missed() {
        let (mut arrivals, (_, task)) = (Arrivals::new(), task());
        let polled = arrivals.poll(&Context::from_waker(&task), |cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        assert!(find_empty(&mut arrivals, &task).is_some());
    }

    #[test]
    fn the_task_that_asked_last_is_woken_though_the_socket_was_not_asked_again() {
        let (mut arrivals, (first, one), (second, other)) = (Arrivals::new(), task(), task());
        let socket = find_empty(&mut arrivals, &one).unwrap();
        assert!(find_empty(&mut arrivals, &other).is_none());
        socket.wake_by_ref();
        assert_eq!((first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed)), (0, 1));
    }
}
