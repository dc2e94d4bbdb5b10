//! The request path of the proxy: accepts, detects, authorises, picks and forwards.
//!
//! One current-thread worker; state is `Rc`, `Cell` and `RefCell`. Snapshots of policy come in through
//! [`hauberk_model::discovery::Discovery`]; a connection compares one version per request.

#![forbid(unsafe_code)]

mod accept;
mod arrival;
mod body;
mod config;
mod copy;
mod drain;
mod exchange;
mod failure;
mod filtering;
mod h1;
mod h2;
mod heads;
mod idle;
mod inbound;
mod interim;
mod io;
mod look;
mod meters;
mod origin;
mod outbound;
mod patience;
mod pool;
mod recorder;
mod replay;
mod respond;
mod sniff;
mod tee;
mod tidy;
mod tracing;
mod worker;

use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use hauberk_model::discovery::Discovery;
use hauberk_model::drain::Drain;
use hauberk_model::tap::Taps;
use hauberk_observe::Registry;
use hauberk_tls::CredentialsWatch;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{LocalSet, spawn_local};

pub use accept::{Listeners, bind, listen};
pub use config::{Config, Limits, Origin};
pub use drain::Drained;
pub use look::{AccessLog, Lines};
pub use recorder::{Asked, Told};
pub use tracing::{Spans, Tracing};

use drain::DrainWatch;
use look::Lookers;
use worker::Worker;

/// A question to the flight recorder. It is answered between two requests.
#[derive(Debug)]
pub struct Question {
    /// What is asked.
    pub asked: Asked,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Told>,
}

/// How the data thread is watched.
#[derive(Default)]
pub struct Watching {
    /// Questions to the flight recorder; `None`: nobody asks.
    pub questions: Option<mpsc::Receiver<Question>>,
    /// The access log of inbound requests; `None`: there is none.
    pub access_log: Option<AccessLog>,
    /// Those who tap.
    pub taps: Taps,
    /// Further headers whose values taps do not show, in lower case.
    pub redacted: Vec<String>,
    /// Where spans go; `None`: requests are not traced.
    pub tracing: Option<Tracing>,
}

/// Bytes of a task's future.
const fn bytes_of<A, B, C, F: Future>(_: fn(A, B, C) -> F) -> usize {
    size_of::<F>()
}

/// What every connection holds whatever it does: with the runtime's own, half a KiB. What it does is in a box of its own size,
/// and what is larger and brief in a box of its own time: the way there, a request, a handshake.
const OUTBOUND_BYTES_MAX: usize = 256;
const INBOUND_BYTES_MAX: usize = 320;
const _: () = assert!(bytes_of(outbound::connection) <= OUTBOUND_BYTES_MAX);
const _: () = assert!(bytes_of(inbound::connection) <= INBOUND_BYTES_MAX);

/// Serves both directions until `drain` says to stop, lets open connections finish until the time it gives, and returns.
///
/// Must be run on a current-thread runtime with I/O and time enabled; it brings its own [`LocalSet`].
///
/// # Errors
/// A listener that cannot be given to the runtime.
pub async fn serve(
    config: Config,
    listeners: Listeners,
    discovery: Arc<dyn Discovery>,
    credentials: CredentialsWatch,
    registry: Registry,
    drain: watch::Receiver<Drain>,
    watching: Watching,
) -> std::io::Result<Drained> {
    let drain = DrainWatch::new(drain);
    let Watching { questions, access_log: access, taps, redacted, tracing } = watching;
    let lookers = Lookers { access, taps, redacted, tracing };
    let worker = Worker::new(config, discovery, credentials, registry, drain.bell(), lookers);
    worker.inbound_port.set(listeners.inbound_addr()?.port());
    let inbound = TcpListener::from_std(listeners.inbound)?;
    let outbound: Vec<TcpListener> =
        listeners.outbound.into_iter().map(TcpListener::from_std).collect::<Result<_, _>>()?;
    Ok(LocalSet::new().run_until(run(worker, drain, (inbound, outbound), questions)).await)
}

async fn run(
    worker: Rc<Worker>,
    drain: DrainWatch,
    (inbound, outbound): (TcpListener, Vec<TcpListener>),
    questions: Option<mpsc::Receiver<Question>>,
) -> Drained {
    if let Some(mut questions) = questions {
        let worker = Rc::clone(&worker);
        spawn_local(async move {
            while let Some(Question { asked, answer }) = questions.recv().await {
                // Whoever asked may have gone.
                let _ = answer.send(worker.recorder.answer(asked));
            }
        });
    }
    if let Some(give_back) = worker.config.give_back {
        spawn_local(tidy::keep(Rc::clone(&worker), give_back));
    }
    for port in &worker.config.inbound_ports {
        // Asked for before the first connection, so that it need not wait.
        worker.ports.obtain(&worker, *port);
    }
    spawn_local(accept(Rc::clone(&worker), inbound, inbound::connection));
    for listener in outbound {
        spawn_local(accept(Rc::clone(&worker), listener, outbound::connection));
    }
    let mut drain = rung(drain).await;
    worker.connections.close();
    tokio::select! {
        () = worker.connections.wait() => Drained::Clean,
        () = drain.cut() => Drained::Cut { open: worker.connections.len() },
    }
}

/// Waits for the drain. In a task of its own: this future is polled whenever anything happens on the thread.
async fn rung(mut drain: DrainWatch) -> DrainWatch {
    let (tell, told) = oneshot::channel();
    spawn_local(async move {
        drain.drained().await;
        // Whoever waits may have been dropped.
        let _ = tell.send(drain);
    });
    match told.await {
        Ok(drain) => drain,
        // The task never ends before it has told.
        Err(_) => std::future::pending().await,
    }
}

/// Accepts until the drain; what is queued in the kernel then is refused when the listener closes.
async fn accept<F>(
    worker: Rc<Worker>,
    listener: TcpListener,
    handle: fn(Rc<Worker>, TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + 'static,
{
    let mut drain = worker.drain.listen();
    loop {
        tokio::select! {
            (stream, client) = accept::next(&listener), if worker.connections.len() < worker.config.limits.connections_max => {
                worker.connections.spawn_local(handle(Rc::clone(&worker), stream, client));
                worker.peak.set(worker.peak.get().max(worker.connections.len()));
            }
            // Full: look again when some may have ended.
            () = tokio::time::sleep(accept::FULL_PAUSE), if worker.connections.len() >= worker.config.limits.connections_max => {}
            () = drain.rung() => return,
        }
    }
}
