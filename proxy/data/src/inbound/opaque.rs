//! Bytes to the application, judged once per connection and again when the policy changes.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use hauberk_model::authorize;
use hauberk_model::inbound::{Authorization, InboundPolicy};

use super::meters::ClientMeters;
use super::{Accepted, InboundError, Rest};
use crate::copy::both_ways;
use crate::io::Io;

/// How a connection without HTTP is judged.
pub(super) type Judge =
    for<'p> fn(&'p InboundPolicy, &authorize::Client<'_>) -> Result<&'p Authorization, authorize::Denied>;

/// Bytes by `authorize::connection`, over `app` if it is connected already.
pub(super) async fn open(accepted: Accepted, io: Io, app: Option<Io>) -> Result<Rest, InboundError> {
    judged(accepted, io, app, authorize::connection).await
}

/// Bytes by `judge`.
pub(super) async fn judged(
    accepted: Accepted,
    io: Io,
    app: Option<Io>,
    judge: Judge,
) -> Result<Rest, InboundError> {
    let policy = accepted.port.policy(&accepted.worker).await?;
    let meters = accepted.port.client_meters(&accepted.worker, &policy, &accepted.tls, accepted.target);
    match judge(&policy, &accepted.as_client()) {
        Ok(by) => {
            meters.tcp_allowed(by);
            if by.is_audit {
                accepted.say_audited("client");
            }
        }
        Err(authorize::Denied) => {
            meters.tcp_denied();
            return Err(InboundError::Denied);
        }
    }
    let app = match app {
        Some(app) => app,
        None => accepted.dial_app().await?,
    };
    let mut passed = Passed { accepted, client: io, app, meters, judge };
    Ok(Box::pin(async move { passed.forward().await }))
}

/// A connection whose bytes pass.
struct Passed {
    accepted: Accepted,
    client: Io,
    app: Io,
    meters: Rc<ClientMeters>,
    judge: Judge,
}

impl Passed {
    /// Copies for as long as the client may.
    async fn forward(&mut self) -> Result<(), InboundError> {
        let Self { accepted, client, app, meters, judge } = self;
        let mut changes = accepted.port.subscribe();
        let mut copy = pin!(both_ways(client, app));
        loop {
            let mut change = pin!(changes.changed());
            let copied = poll_fn(|cx| match copy.as_mut().poll(cx) {
                Poll::Ready(copied) => Poll::Ready(Some(copied)),
                Poll::Pending => change.as_mut().poll(cx).map(|_| None),
            })
            .await;
            if copied.is_some() {
                // A side that resets is not our error; the bytes that were there have been passed on.
                return Ok(());
            }
            // Boxed: policies change seldom.
            let policy = Box::pin(accepted.port.policy(&accepted.worker)).await?;
            if judge(&policy, &accepted.as_client()).is_err() {
                meters.tcp_terminated();
                return Err(InboundError::Denied);
            }
        }
    }
}

/// Connects to the application for a client that may turn out to wait for the server, if it may connect at all.
pub(super) async fn early(accepted: &Accepted, judge: Judge) -> Option<Io> {
    let policy = accepted.port.policy(&accepted.worker).await.ok()?;
    judge(&policy, &accepted.as_client()).ok()?;
    accepted.dial_app().await.ok()
}
