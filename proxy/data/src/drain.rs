//! How the proxy is told to stop taking work, and how it ended.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
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

/// Follows the drain for a whole worker, and tells its connections.
#[derive(Debug)]
pub(crate) struct DrainWatch {
    told: watch::Receiver<Drain>,
    bell: DrainBell,
}

impl DrainWatch {
    pub(crate) fn new(told: watch::Receiver<Drain>) -> Self {
        Self { told, bell: DrainBell::default() }
    }

    /// What connections listen to.
    pub(crate) fn bell(&self) -> DrainBell {
        self.bell.clone()
    }

    /// Returns once no more work may be taken, and has told every connection. A sender that is gone can no longer say so.
    pub(crate) async fn drained(&mut self) {
        if self.told.wait_for(|state| !state.accepts()).await.is_err() {
            std::future::pending::<()>().await;
        }
        self.bell.ring();
    }

    /// Returns when what is still open must be cut.
    pub(crate) async fn cut(&mut self) {
        loop {
            let until: Option<Instant> = match *self.told.borrow_and_update() {
                Drain::Running | Drain::Leaving { .. } => None,
                Drain::Draining { until } => Some(until),
                Drain::Done { .. } => return,
            };
            let changed = self.told.changed();
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

/// Rings once, when no more work may be taken. Listening costs a connection one word, and asking again one comparison:
/// a connection asks with each request.
#[derive(Clone, Debug, Default)]
pub(crate) struct DrainBell(Rc<Bell>);

#[derive(Debug, Default)]
struct Bell {
    has_rung: Cell<bool>,
    listeners: RefCell<Listeners>,
}

#[derive(Debug, Default)]
struct Listeners {
    wakers: Vec<Option<Waker>>,
    /// Indices of `wakers` that nobody has.
    free: Vec<usize>,
}

impl DrainBell {
    /// Whether no more work may be taken.
    pub(crate) fn has_rung(&self) -> bool {
        self.0.has_rung.get()
    }

    /// A listener that belongs to one task.
    pub(crate) fn listen(&self) -> DrainListener {
        DrainListener { bell: self.clone(), place: None }
    }

    fn ring(&self) {
        self.0.has_rung.set(true);
        let all = std::mem::take(&mut self.0.listeners.borrow_mut().wakers);
        all.into_iter().flatten().for_each(Waker::wake);
    }
}

/// One task that listens.
#[derive(Debug)]
pub(crate) struct DrainListener {
    bell: DrainBell,
    place: Option<usize>,
}

impl DrainListener {
    /// Ready once no more work may be taken.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let bell = &self.bell.0;
        if bell.has_rung.get() {
            return Poll::Ready(());
        }
        let mut listeners = bell.listeners.borrow_mut();
        if self.place.is_none() {
            self.place = listeners.free.pop();
        }
        let place = *self.place.get_or_insert(listeners.wakers.len());
        match listeners.wakers.get_mut(place) {
            Some(Some(waker)) => waker.clone_from(cx.waker()),
            Some(empty) => *empty = Some(cx.waker().clone()),
            None => listeners.wakers.push(Some(cx.waker().clone())),
        }
        Poll::Pending
    }

    /// Returns once no more work may be taken.
    pub(crate) async fn rung(&mut self) {
        poll_fn(|cx| self.poll(cx)).await;
    }
}

impl Drop for DrainListener {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let mut listeners = self.bell.0.listeners.borrow_mut();
        let left = listeners.wakers.get_mut(place).and_then(Option::take);
        if listeners.free.len() + 1 >= listeners.wakers.len() {
            // The last one gives back what a crowd took.
            *listeners = Listeners::default();
        } else {
            listeners.free.push(place);
        }
        drop(listeners);
        // Only now: what a waker lets go of may be anything.
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test(flavor = "current_thread")]
    async fn everyone_who_listens_hears_the_drain_and_so_does_who_comes_later() {
        let (tell, told) = watch::channel(Drain::Running);
        let mut watch = DrainWatch::new(told);
        let bell = watch.bell();
        let (mut first, mut second) = (bell.listen(), bell.listen());
        let none = timeout(Duration::from_millis(1), async { tokio::join!(first.rung(), second.rung()) });
        assert!(none.await.is_err() && !bell.has_rung());
        tell.send_replace(Drain::Done { cut: 0 });
        tokio::join!(first.rung(), second.rung(), watch.drained());
        assert!(bell.has_rung());
        bell.listen().rung().await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn who_has_left_leaves_no_trace() {
        let bell = DrainBell::default();
        let mut stays = bell.listen();
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(stays.poll(cx).is_pending());
        for _ in 0..3 {
            let mut leaves = bell.listen();
            assert!(leaves.poll(cx).is_pending());
        }
        assert_eq!(bell.0.listeners.borrow().wakers.len(), 2);
        drop(stays);
        assert!(bell.0.listeners.borrow().wakers.is_empty());
    }
}
