//! The way of a new connection to its TLS session: how many are on it at once, whose, and that everybody else has a turn.
//!
//! A handshake costs a private-key operation and some 20 KiB before anything is known of the client. Whoever opens
//! connections faster than we can answer would otherwise take the worker's time and memory from established traffic.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use hauberk_tls::{Credentials, Handshake, HandshakeError, ServerStream};
use tokio::sync::{AcquireError, Semaphore, TryAcquireError};
use tokio::time::timeout;

use crate::io::Socket;

/// Handshakes under way at once: they hold about 20 KiB each. More wait for one to end, holding a socket only.
const OPEN_MAX: usize = 1_024;
/// Of these, from one address: four hosts at least must conspire to keep all others out.
const OPEN_PER_CLIENT_MAX: usize = 256;

/// Handshakes under way and those that wait for one to end, whose client has spoken: some 12 KiB each.
const ROOM_MAX: usize = 3 * OPEN_MAX;
/// Of these, from one address. More are refused at once: they would wait for their time to be over.
const ROOM_PER_CLIENT_MAX: usize = 3 * OPEN_PER_CLIENT_MAX;

/// The gate of one worker.
#[derive(Debug)]
pub(crate) struct Gate {
    room: Semaphore,
    open: Semaphore,
    /// One at a time may compute; the next has its turn after every other task that is ready.
    turn: Semaphore,
    clients: RefCell<HashMap<IpAddr, Rc<Places>>>,
}

/// What one client may take.
#[derive(Debug)]
struct Places {
    room: Semaphore,
    open: Semaphore,
}

impl Default for Gate {
    fn default() -> Self {
        let room = Semaphore::new(ROOM_MAX);
        Self { room, open: Semaphore::new(OPEN_MAX), turn: Semaphore::new(1), clients: RefCell::default() }
    }
}

impl Gate {
    /// Answers the handshake of `client` on `socket` within `within`, waiting included.
    ///
    /// # Errors
    /// [`HandshakeError`]; the connection is of no further use.
    pub(crate) async fn accept(
        &self,
        client: IpAddr,
        socket: Socket,
        credentials: &Credentials,
        within: Duration,
    ) -> Result<(ServerStream<Socket>, Handshake), HandshakeError> {
        let own = Own { gate: self, client, places: self.places_of(client) };
        let work = async {
            // A client that says nothing holds no place.
            socket.readable().await.map_err(HandshakeError::Io)?;
            let _room =
                (own.places.room.try_acquire().map_err(full)?, self.room.try_acquire().map_err(full)?);
            let _own = own.places.open.acquire().await.map_err(never)?;
            let _open = self.open.acquire().await.map_err(never)?;
            self.in_turn(hauberk_tls::accept(socket, credentials, within)).await?
        };
        timeout(within, work).await.unwrap_or(Err(HandshakeError::TimedOut(within)))
    }

    /// Does the first step of `work`, which is the dear one, when it is its turn.
    async fn in_turn<T>(&self, work: impl Future<Output = T>) -> Result<T, HandshakeError> {
        let mut work = pin!(work);
        {
            let _turn = self.turn.acquire().await.map_err(never)?;
            if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
                return Ok(done);
            }
        }
        Ok(work.await)
    }

    fn places_of(&self, client: IpAddr) -> Rc<Places> {
        let mut clients = self.clients.borrow_mut();
        Rc::clone(clients.entry(client).or_insert_with(|| {
            let room = Semaphore::new(ROOM_PER_CLIENT_MAX);
            Rc::new(Places { room, open: Semaphore::new(OPEN_PER_CLIENT_MAX) })
        }))
    }
}

/// The semaphores are never closed.
fn never(error: AcquireError) -> HandshakeError {
    HandshakeError::Io(std::io::Error::other(error))
}

/// Too many wait already.
fn full(_: TryAcquireError) -> HandshakeError {
    HandshakeError::Io(std::io::Error::other("too many handshakes wait already"))
}

/// A client's own places; forgotten with its last connection.
struct Own<'a> {
    gate: &'a Gate,
    client: IpAddr,
    places: Rc<Places>,
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        // The map's and this one.
        if Rc::strong_count(&self.places) <= 2 {
            self.gate.clients.borrow_mut().remove(&self.client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn steps_are_taken_one_at_a_time_with_other_tasks_between_them() {
        let gate = Rc::new(Gate::default());
        let log = Rc::new(RefCell::new(Vec::new()));
        let local = tokio::task::LocalSet::new();
        for nth in 0..3 {
            let (gate, log) = (Rc::clone(&gate), Rc::clone(&log));
            local.spawn_local(async move {
                let _ = gate.in_turn(async { log.borrow_mut().push(format!("step {nth}")) }).await;
            });
        }
        let other = Rc::clone(&log);
        local.spawn_local(async move {
            for _ in 0..3 {
                other.borrow_mut().push("other".into());
                tokio::task::yield_now().await;
            }
        });
        local.await;
        let log = log.borrow();
        let steps: Vec<_> = log.iter().filter(|entry| entry.starts_with("step")).collect();
        assert_eq!(steps, ["step 0", "step 1", "step 2"]);
    }

    #[test]
    fn whoever_may_not_wait_is_refused_and_others_are_not() {
        let gate = Gate::default();
        let places = |address: &str| gate.places_of(address.parse().unwrap());
        let (greedy, other) = (places("10.0.0.1"), places("10.0.0.2"));
        let taken: Vec<_> = (0..ROOM_PER_CLIENT_MAX).map(|_| greedy.room.try_acquire()).collect();
        assert!(taken.iter().all(Result::is_ok));
        assert!(greedy.room.try_acquire().is_err());
        assert!(other.room.try_acquire().is_ok() && gate.room.try_acquire().is_ok());
        drop(taken);
        assert!(greedy.room.try_acquire().is_ok());
    }

    #[test]
    fn a_client_is_forgotten_with_its_last_connection() {
        let gate = Gate::default();
        let client: IpAddr = "10.0.0.1".parse().unwrap();
        let own = || Own { gate: &gate, client, places: gate.places_of(client) };
        let (first, second) = (own(), own());
        drop(first);
        assert_eq!(gate.clients.borrow().len(), 1);
        drop(second);
        assert!(gate.clients.borrow().is_empty());
    }
}
