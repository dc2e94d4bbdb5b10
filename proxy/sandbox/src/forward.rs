//! Carries TCP connections in user space: cluster addresses for pods without a proxy, and `publish`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Most connections carried at once by one process: two descriptors each, below the usual limit of 1024 twice over
/// once it is raised to the hard limit.
pub const CONNECTIONS_MAX: usize = 2048;
/// Longest wait for one endpoint before the next is tried.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// Endpoints tried for one connection.
const ATTEMPTS_MAX: usize = 3;
/// Pause after a failed accept: EMFILE and friends pass.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Accepts from `listener` and carries each connection to the endpoints in turn, until the sender of `endpoints`
/// is gone; then what is still open is cut.
pub async fn serve(
    listener: TcpListener,
    mut endpoints: watch::Receiver<Arc<[SocketAddr]>>,
    permits: Arc<Semaphore>,
) {
    let turn = AtomicUsize::new(0);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            changed = endpoints.changed() => if changed.is_err() { break },
            Some(_ended) = connections.join_next() => {}
            accepted = accept(&listener, &permits) => match accepted {
                Ok((client, permit)) => {
                    let first = turn.fetch_add(1, Ordering::Relaxed);
                    let endpoints = Arc::clone(&endpoints.borrow());
                    connections.spawn(async move {
                        carry(client, &endpoints, first).await;
                        drop(permit);
                    });
                }
                Err(_passing) => sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

/// Takes a permit first, so that what is over the limit waits in the kernel's queue.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.map_err(io::Error::other)?;
    let (client, _) = listener.accept().await?;
    Ok((client, permit))
}

/// The endpoints to try for the connection with number `turn`: round robin, each at most once.
fn candidates(endpoints: &[SocketAddr], turn: usize) -> impl Iterator<Item = SocketAddr> {
    let first = turn.checked_rem(endpoints.len()).unwrap_or(0);
    endpoints.iter().cycle().skip(first).take(endpoints.len().min(ATTEMPTS_MAX)).copied()
}

async fn carry(mut client: TcpStream, endpoints: &[SocketAddr], turn: usize) {
    for endpoint in candidates(endpoints, turn) {
        if let Ok(Ok(mut server)) = timeout(CONNECT_MAX, TcpStream::connect(endpoint)).await {
            let _small_writes_at_once = (client.set_nodelay(true), server.set_nodelay(true));
            // An error here is a peer that reset: both sockets close with this task.
            let _ended = copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
    // No endpoint took it: a reset, which a client reads as "refused" and not as an empty answer.
    let _reset = SockRef::from(&client).set_linger(Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(addresses: &[&str]) -> Vec<SocketAddr> {
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn endpoints_take_turns_and_each_is_tried_once() {
        let three = list(&["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"]);
        let order = |turn| candidates(&three, turn).map(|a| a.ip().to_string()).collect::<Vec<_>>();
        assert_eq!(order(0), ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        assert_eq!(order(1), ["10.0.0.2", "10.0.0.3", "10.0.0.1"]);
        assert_eq!(order(5), ["10.0.0.3", "10.0.0.1", "10.0.0.2"]);
    }

    #[test]
    fn without_endpoints_there_is_nothing_to_try() {
        assert_eq!(candidates(&[], 7).count(), 0);
    }
}
