//! Bounds in time that hardly any request reaches, for all of them kept by one timer.
//!
//! A timer of the runtime's own costs each request an entry in its wheel and often a write to wake the runtime. Here a
//! request takes a slot and leaves it when it is answered. The timer looks through the slots when the first bound that
//! it knew of has come, whether or not that request still waits: about once in a bound's length.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The share of a bound by which a timer that is set anew looks before it.
const EARLIER: u32 = 4;

/// The bounds of one worker.
#[derive(Debug, Default)]
pub(crate) struct Patience(Rc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: RefCell<State>,
    /// Tells the timer of a bound before the one that it waits for.
    sooner: Notify,
}

#[derive(Debug, Default)]
struct State {
    slots: Vec<Slot>,
    /// Indices of the slots that are free.
    free: Vec<usize>,
    /// When the timer will look next; `None`: it does not run.
    due: Option<Instant>,
}

#[derive(Debug)]
enum Slot {
    Free,
    Waiting(Instant, Waker),
    /// The time is up, and the one who waited has yet to see it.
    Due,
}

impl Patience {
    /// What `work` brings within this time from `start`, or `None`.
    pub(crate) async fn within<F: Future>(
        &self,
        start: Instant,
        time: Duration,
        work: F,
    ) -> Option<F::Output> {
        let mut work = pin!(work);
        // A bound beyond all time is none.
        let at = start.checked_add(time);
        let mut place = Place { shared: &self.0, index: None };
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => place.poll(at, time, cx).map(|()| None),
        })
        .await
    }
}

/// One waiter's slot; dropping it leaves.
struct Place<'a> {
    shared: &'a Rc<Shared>,
    index: Option<usize>,
}

impl Place<'_> {
    fn poll(&mut self, at: Option<Instant>, time: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.shared.state.borrow_mut();
        let Some(index) = self.index else {
            if let Some(at) = at {
                self.index = Some(state.enter(at, cx.waker().clone()));
                self.shared.arm(&mut state, at, time);
            }
            return Poll::Pending;
        };
        match state.slots.get_mut(index) {
            Some(Slot::Waiting(_, waker)) => {
                waker.clone_from(cx.waker());
                Poll::Pending
            }
            Some(Slot::Due | Slot::Free) | None => Poll::Ready(()),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(index) = self.index {
            let left = self.shared.state.borrow_mut().leave(index);
            // Only now: what a waker lets go of may be anything.
            drop(left);
        }
    }
}

impl State {
    fn enter(&mut self, at: Instant, waker: Waker) -> usize {
        let entry = Slot::Waiting(at, waker);
        if let Some(index) = self.free.pop()
            && let Some(slot) = self.slots.get_mut(index)
        {
            *slot = entry;
            return index;
        }
        self.slots.push(entry);
        self.slots.len() - 1
    }

    fn leave(&mut self, index: usize) -> Option<Slot> {
        let slot = self.slots.get_mut(index)?;
        self.free.push(index);
        Some(std::mem::replace(slot, Slot::Free))
    }

    /// The earliest bound of those who wait.
    fn first(&self) -> Option<Instant> {
        let bounds = self.slots.iter().filter_map(|slot| match slot {
            Slot::Waiting(at, _) => Some(*at),
            Slot::Free | Slot::Due => None,
        });
        bounds.min()
    }

    /// Takes those whose time is up at `now`, to be woken.
    fn take_due(&mut self, now: Instant) -> Vec<Slot> {
        let due = self.slots.iter_mut().filter(|slot| matches!(slot, Slot::Waiting(at, _) if *at <= now));
        due.map(|slot| std::mem::replace(slot, Slot::Due)).collect()
    }

    /// Lets go of the room that a burst took, if nobody is in it.
    fn rest(&mut self) {
        if self.slots.len() == self.free.len() {
            (self.slots, self.free) = (Vec::new(), Vec::new());
        }
    }
}

impl Shared {
    /// Has the timer look at `at`, which is in about this `time`, or before. A timer that is set anew is set earlier than
    /// it need be: where an endpoint is found to answer sooner and sooner, so that each bound comes before the last one,
    /// it is not set for each of them.
    fn arm(self: &Rc<Self>, state: &mut State, at: Instant, time: Duration) {
        match state.due {
            Some(due) if due <= at => {}
            Some(_) => {
                state.due = Some(at.checked_sub(time / EARLIER).unwrap_or(at));
                self.sooner.notify_one();
            }
            None => {
                state.due = Some(at);
                tokio::task::spawn_local(keep(Rc::clone(self)));
            }
        }
    }
}

/// Wakes those whose time is up; ends when nobody waits.
async fn keep(shared: Rc<Shared>) {
    loop {
        let due = shared.state.borrow().due;
        let Some(due) = due else { return };
        tokio::select! {
            () = sleep_until(due) => {}
            () = shared.sooner.notified() => continue,
        }
        let taken = {
            let mut state = shared.state.borrow_mut();
            let taken = state.take_due(Instant::now());
            state.due = state.first();
            state.rest();
            taken
        };
        for slot in taken {
            if let Slot::Waiting(_, waker) = slot {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::task::LocalSet;
    use tokio::time::sleep;

    const SOON: Duration = Duration::from_millis(20);
    const LATE: Duration = Duration::from_millis(200);
    const NEVER: Duration = Duration::from_secs(3600);

    #[tokio::test(flavor = "current_thread")]
    async fn who_is_answered_in_time_has_the_answer_and_leaves_no_trace() {
        let answered = async {
            let patience = Patience::default();
            let answer = async {
                sleep(SOON).await;
                7
            };
            assert_eq!(patience.within(Instant::now(), NEVER, answer).await, Some(7));
            assert!(patience.0.state.borrow().first().is_none());
        };
        LocalSet::new().run_until(answered).await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn everyone_is_told_at_their_own_time_also_when_a_later_one_came_first() {
        let all_told = async {
            let patience = Patience::default();
            let start = Instant::now();
            let told = async |time: Duration| {
                assert_eq!(patience.within(start, time, pending::<()>()).await, None);
                start.elapsed()
            };
            let (late, soon, same) = tokio::join!(told(LATE), told(SOON), told(SOON));
            assert!(late >= LATE && soon >= SOON && same >= SOON);
            assert!(soon < late && same < late);
        };
        LocalSet::new().run_until(all_told).await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn bounds_that_come_sooner_and_sooner_do_not_set_the_timer_each_time() {
        let shrinking = async {
            let patience = Patience::default();
            let (start, mut set) = (Instant::now(), Vec::new());
            for minutes in (40..60).rev() {
                let wait = pin!(patience.within(start, Duration::from_mins(minutes), pending::<()>()));
                let waker = Waker::noop();
                assert!(wait.poll(&mut Context::from_waker(waker)).is_pending());
                set.push(patience.0.state.borrow().due);
            }
            set.dedup();
            // At 59 min, then for 58 and for 43.
            assert_eq!(set.len(), 3, "{set:?}");
        };
        LocalSet::new().run_until(shrinking).await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_timer_ends_when_nobody_waits_and_starts_again_for_the_next() {
        let again = async {
            let patience = Patience::default();
            for _ in 0..2 {
                assert_eq!(patience.within(Instant::now(), SOON, pending::<()>()).await, None);
                tokio::task::yield_now().await;
                assert_eq!(patience.0.state.borrow().due, None);
            }
        };
        LocalSet::new().run_until(again).await;
    }
}
