//! How long a client may keep a message of its own standing still.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// A bound on standing still, asked only while something waits. It is reached after once to twice its limit: what moves
/// costs a flag and not a look at the clock, and what never waits has no timer.
#[derive(Debug)]
pub(crate) struct Idle {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    moved: bool,
}

impl Idle {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, timer: None, moved: false }
    }

    /// Something has moved.
    pub(crate) fn moved(&mut self) {
        self.moved = true;
    }

    /// Ready when nothing has moved for the limit.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        loop {
            ready!(timer.as_mut().poll(cx));
            if !std::mem::replace(&mut self.moved, false) {
                return Poll::Ready(());
            }
            timer.as_mut().reset(Instant::now() + limit);
        }
    }
}

/// What is done with a message that stood still.
pub(crate) fn timed_out() -> std::io::Error {
    std::io::ErrorKind::TimedOut.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::time::timeout;

    const LIMIT: Duration = Duration::from_millis(60);

    #[tokio::test(flavor = "current_thread")]
    async fn what_moves_is_never_idle_and_what_stands_still_is() {
        let mut idle = Idle::new(LIMIT);
        for _ in 0..6 {
            idle.moved();
            assert!(timeout(LIMIT / 2, poll_fn(|cx| idle.poll(cx))).await.is_err());
        }
        assert!(timeout(LIMIT * 20, poll_fn(|cx| idle.poll(cx))).await.is_ok());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn time_in_which_nothing_waited_does_not_count() {
        let mut idle = Idle::new(LIMIT);
        assert!(timeout(LIMIT / 4, poll_fn(|cx| idle.poll(cx))).await.is_err());
        idle.moved();
        tokio::time::sleep(LIMIT * 2).await;
        assert!(timeout(LIMIT / 4, poll_fn(|cx| idle.poll(cx))).await.is_err());
    }
}
