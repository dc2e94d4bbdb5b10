//! An attempt and those beside it: the first answer wins, and the others are given up.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use hauberk_model::balance::{Affinity, EndpointKey, Wanted};
use hauberk_model::matching::RequestView;
use hauberk_model::retry::is_idempotent;
use tokio::time::Instant;

use super::attempt::{Attempts, Lost, Try, Won};

type Ended = (EndpointKey, Result<Won, Lost>);
type Beside<'f> = Pin<Box<dyn Future<Output = Result<Won, Lost>> + 'f>>;

impl Attempts<'_> {
    /// One attempt, and others beside it if it stays unanswered: for as long as the route says, or for far longer than
    /// its endpoint usually takes. Each of them is paid from the retry budget.
    pub(super) async fn hedged(&self, first: Try, failed: &mut Vec<EndpointKey>) -> Ended {
        let (first_key, started) = (first.key, first.started);
        let Some((after, limit)) = self.hedge_by(first.patience) else {
            return (first_key, self.attempt(first).await);
        };
        let mut first = pin!(self.attempt(first));
        if let Some(result) = self.worker.patience.within(started, after, first.as_mut()).await {
            return (first_key, result);
        }
        self.race(first_key, first, failed, after, limit).await
    }

    /// How long to wait before an attempt beside the first, and for how many of them; `None`: for none.
    fn hedge_by(&self, patience: Duration) -> Option<(Duration, u32)> {
        let idempotent = is_idempotent(self.head.method());
        if self.head.upgrade().is_some() {
            return None;
        }
        match self.demands.hedge {
            Some(hedge) if idempotent || hedge.any_method => Some((hedge.after.min(patience), hedge.limit)),
            Some(_) | None => idempotent.then_some((patience, 1)),
        }
    }

    async fn race(
        &self,
        first_key: EndpointKey,
        first: Pin<&mut impl Future<Output = Result<Won, Lost>>>,
        failed: &mut Vec<EndpointKey>,
        after: Duration,
        limit: u32,
    ) -> Ended {
        failed.push(first_key);
        let mut beside: Vec<(EndpointKey, Beside<'_>)> = Vec::new();
        let mut first = Some((first_key, first));
        let mut left = limit;
        loop {
            if let Some(other) = self.beside(failed, left) {
                left -= 1;
                let key = other.key;
                failed.push(key);
                beside.push((key, Box::pin(self.attempt(other))));
            } else {
                left = 0;
            }
            let ended = poll_fn(|cx| {
                let first = first.iter_mut().map(|(key, work)| (*key, work.as_mut()));
                let others = beside.iter_mut().map(|(key, work)| (*key, work.as_mut()));
                poll_any(cx, first, others)
            });
            let ended = match left {
                0 => Some(ended.await),
                _ => self.worker.patience.within(Instant::now(), after, ended).await,
            };
            match ended {
                None => {}
                Some((key, Ok(won))) => {
                    self.hedge_won(first_key, key);
                    return (key, Ok(won));
                }
                Some((key, Err(error))) => {
                    first = first.filter(|(held, _)| *held != key);
                    beside.retain(|(held, _)| *held != key);
                    if first.is_none() && beside.is_empty() {
                        return (key, Err(error));
                    }
                }
            }
        }
    }

    /// Begins an attempt on another endpoint, if the request may be sent twice and the budget has it.
    fn beside(&self, failed: &[EndpointKey], left: u32) -> Option<Try> {
        if left == 0 || !self.source.is_whole() || self.demands.is_retry {
            return None;
        }
        let backend = &self.chosen.backend;
        let now = Instant::now();
        let wanted = Wanted { exclude: failed, movable: true, affinity: Affinity::None };
        let other = backend.pick(self.worker, wanted, now.into_std())?;
        if failed.contains(&other.key) {
            return None;
        }
        if !backend.budget.borrow_mut().withdraw(now.into_std()) {
            self.rule.meters.retry_budget_empty();
            return None;
        }
        self.rule.meters.hedged();
        self.repeated();
        Some(self.begin(other, now))
    }

    fn hedge_won(&self, first: EndpointKey, winner: EndpointKey) {
        if first != winner {
            self.rule.meters.hedge_won();
        }
    }
}

/// The first of them to end.
fn poll_any<'p, 'f: 'p, F: Future<Output = Result<Won, Lost>> + 'p>(
    cx: &mut Context<'_>,
    mut first: impl Iterator<Item = (EndpointKey, Pin<&'p mut F>)>,
    others: impl Iterator<Item = (EndpointKey, Pin<&'p mut (dyn Future<Output = Result<Won, Lost>> + 'f)>)>,
) -> Poll<Ended> {
    if let Some((key, work)) = first.next()
        && let Poll::Ready(done) = work.poll(cx)
    {
        return Poll::Ready((key, done));
    }
    for (key, work) in others {
        if let Poll::Ready(done) = work.poll(cx) {
            return Poll::Ready((key, done));
        }
    }
    Poll::Pending
}
