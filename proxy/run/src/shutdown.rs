//! From the first signal to the end: leave discovery, take no more, finish, exit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hauberk_control::directory::Directory;
use hauberk_model::discovery::Discovery as _;
use hauberk_model::drain::{Drain, DrainEvent, DrainLimits};
use hauberk_model::outbound::{BackendKind, Distribution, OutboundPolicy, OutboundProtocol};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::time::sleep_until;

/// Longest wait to be removed from discovery. Peers that hear of it late are told by GOAWAY.
const REMOVAL_WITHIN: Duration = Duration::from_secs(5);

/// Steers the drain by signals and by `asked`, for ever: the process ends when the data threads have drained.
pub async fn steer(
    drain: watch::Sender<Drain>,
    grace: Duration,
    asked: Arc<Notify>,
    directory: Directory,
    own: Option<SocketAddr>,
) -> std::io::Result<()> {
    let limits = DrainLimits { removal: REMOVAL_WITHIN, grace };
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut removal = None;
    loop {
        let state = *drain.borrow();
        let wakes_at = state.wakes_at();
        let leaving = matches!(state, Drain::Leaving { .. });
        let event = tokio::select! {
            _ = terminate.recv() => DrainEvent::Stop,
            _ = interrupt.recv() => DrainEvent::Stop,
            () = asked.notified() => DrainEvent::Stop,
            () = wait(&mut removal), if leaving => DrainEvent::Removed,
            // The number of open connections is known to the data threads only; any but zero tells the time.
            () = wake(wakes_at) => DrainEvent::Open(1),
        };
        let next = state.on(event, limits, Instant::now());
        if next == state {
            // Its limit has passed and nothing follows from it here.
            wake(Some(Instant::now() + Duration::from_secs(1))).await;
            continue;
        }
        if let Drain::Leaving { .. } = next {
            removal = Some(Box::pin(removed(directory.clone(), own)));
        }
        ::log::info!(stage = stage(next); "shutting down");
        drain.send_replace(next);
    }
}

fn stage(state: Drain) -> &'static str {
    match state {
        Drain::Running => "running",
        Drain::Leaving { .. } => "waiting to be removed from discovery",
        Drain::Draining { .. } => "waiting for open connections to end",
        Drain::Done { .. } => "done",
    }
}

async fn wait(removal: &mut Option<std::pin::Pin<Box<impl Future<Output = ()>>>>) {
    match removal {
        Some(removed) => removed.await,
        None => std::future::pending().await,
    }
}

async fn wake(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Returns once discovery no longer offers our own address, or at once if it does not know it.
async fn removed(directory: Directory, own: Option<SocketAddr>) {
    let Some(own) = own else { return };
    let mut watched = directory.outbound(own);
    let gone = |policy: &Option<Arc<OutboundPolicy>>| {
        policy.as_ref().is_some_and(|policy| !forwards_to(policy, own))
    };
    let _ = watched.wait_for(gone).await;
}

/// Whether the policy of an address is that it is a workload's own.
fn forwards_to(policy: &OutboundPolicy, own: SocketAddr) -> bool {
    let (OutboundProtocol::Detect { opaque, .. } | OutboundProtocol::Opaque(opaque)) = &policy.protocol
    else {
        return false;
    };
    opaque.routes.iter().any(|route| match &route.target.distribution {
        Distribution::FirstAvailable(backends) => backends.iter().any(
            |backend| matches!(&backend.backend.kind, BackendKind::Forward(endpoint) if endpoint.addr == own),
        ),
        Distribution::Empty | Distribution::RandomAvailable(_) => false,
    })
}
