//! Connections to one endpoint that requests share or hand on.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::h1::Conn;
use crate::h2::{self, Client};
use crate::outbound::endpoint::{DialError, Endpoint, Session};
use crate::outbound::limit::ConnectionLimit;
use crate::worker::Worker;

/// Idle connections kept for one endpoint. A burst beyond it pays for new connections rather than for idle ones.
const IDLE_MAX: usize = 64;
/// Streams above which a second HTTP/2 connection is opened: more than that on one wait for each other's bytes.
const STREAMS_BUSY: usize = 64;
/// HTTP/2 connections to one endpoint.
const CLIENTS_MAX: usize = 4;

/// Idle HTTP/1 connections, the newest first to be used again.
#[derive(Clone, Debug)]
pub(crate) struct Http1Pool(Rc<Idle>);

#[derive(Debug)]
struct Idle {
    connections: RefCell<Vec<(Rc<Conn>, Instant)>>,
    timeout: Duration,
    is_swept: Cell<bool>,
}

impl Http1Pool {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self(Rc::new(Idle { connections: RefCell::default(), timeout, is_swept: Cell::new(false) }))
    }

    /// A connection that the server has neither closed nor written to out of turn.
    pub(crate) fn take(&self) -> Option<Rc<Conn>> {
        loop {
            let (conn, since) = self.0.connections.borrow_mut().pop()?;
            if since.elapsed() < self.0.timeout && is_quiet(&conn) {
                return Some(conn);
            }
        }
    }

    /// Keeps a connection that has come to the end of a response.
    pub(crate) fn put(&self, conn: Rc<Conn>) {
        let mut connections = self.0.connections.borrow_mut();
        if connections.len() >= IDLE_MAX || self.0.timeout.is_zero() {
            return;
        }
        conn.rest();
        connections.push((conn, Instant::now()));
        if !self.0.is_swept.replace(true) {
            tokio::task::spawn_local(sweep(Rc::downgrade(&self.0), self.0.timeout));
        }
    }
}

/// Closes what has been idle for too long; ends when nothing is left, or when the endpoint is gone.
async fn sweep(idle: std::rc::Weak<Idle>, timeout: Duration) {
    loop {
        sleep(timeout).await;
        let Some(idle) = idle.upgrade() else { return };
        let mut connections = idle.connections.borrow_mut();
        connections.retain(|(conn, since)| since.elapsed() < timeout && is_quiet(conn));
        if connections.is_empty() {
            idle.is_swept.set(false);
            return;
        }
    }
}

fn is_quiet(conn: &Conn) -> bool {
    let polled = conn.poll_fill(&mut Context::from_waker(Waker::noop()));
    matches!(polled, Poll::Pending)
}

/// HTTP/2 connections; nearly always one.
#[derive(Debug, Default)]
pub(crate) struct Http2Pool {
    clients: RefCell<Vec<Rc<Client>>>,
    dialing: RefCell<Option<Dialing>>,
}

type Dialing = watch::Receiver<Option<Result<(), Rc<DialError>>>>;

/// A connection of `endpoint` for one more request. Requests that come while it is dialled wait for the same one.
///
/// # Errors
/// [`DialError`], the same for all that waited.
pub(crate) async fn http2_client(
    worker: &Rc<Worker>,
    endpoint: &Rc<Endpoint>,
    limit: Option<&ConnectionLimit>,
) -> Result<Rc<Client>, Rc<DialError>> {
    if let Some(client) = endpoint.http2.least_busy() {
        if client.active() >= STREAMS_BUSY && endpoint.http2.clients.borrow().len() < CLIENTS_MAX {
            dialing(worker, endpoint, limit);
        }
        return Ok(client);
    }
    let mut dialing = dialing(worker, endpoint, limit);
    match dialing.wait_for(Option::is_some).await {
        Ok(outcome) => {
            if let Some(Err(error)) = &*outcome {
                return Err(Rc::clone(error));
            }
        }
        Err(_) => return Err(Rc::new(cut_short(endpoint))),
    }
    endpoint.http2.least_busy().ok_or_else(|| Rc::new(cut_short(endpoint)))
}

/// The connection was made and lost before anyone could use it.
fn cut_short(endpoint: &Endpoint) -> DialError {
    DialError::Connect { to: endpoint.spec.addr, source: std::io::ErrorKind::ConnectionReset.into() }
}

impl Http2Pool {
    fn least_busy(&self) -> Option<Rc<Client>> {
        let mut clients = self.clients.borrow_mut();
        clients.retain(|client| !client.is_closed());
        clients.iter().min_by_key(|client| client.active()).map(Rc::clone)
    }
}

/// Joins the dial that is under way, or starts one. It is its own task: a request that is cancelled leaves it to the others.
fn dialing(worker: &Rc<Worker>, endpoint: &Rc<Endpoint>, limit: Option<&ConnectionLimit>) -> Dialing {
    let mut current = endpoint.http2.dialing.borrow_mut();
    if let Some(dialing) = current.as_ref() {
        return dialing.clone();
    }
    let (tell, told) = watch::channel(None);
    *current = Some(told.clone());
    let (worker, endpoint, limit) = (Rc::clone(worker), Rc::clone(endpoint), limit.cloned());
    tokio::task::spawn_local(async move {
        let outcome = open(&worker, &endpoint, limit.as_ref()).await.map_err(Rc::new);
        *endpoint.http2.dialing.borrow_mut() = None;
        tell.send_replace(Some(outcome));
    });
    told
}

async fn open(
    worker: &Worker,
    endpoint: &Endpoint,
    limit: Option<&ConnectionLimit>,
) -> Result<(), DialError> {
    let io = endpoint.connect_within(worker, Session::Http2, limit).await?;
    let client = h2::connect(io, &endpoint.spec.http2, &worker.config.limits)
        .await
        .map_err(|source| DialError::Http2 { to: endpoint.spec.addr, source })?;
    endpoint.http2.clients.borrow_mut().push(client);
    Ok(())
}
