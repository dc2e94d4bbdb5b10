//! `hload connect`: one connection per sample: connect, five bytes through the raw echo port and back, close.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hauberk_bench::histogram::Histogram;
use serde_json::{Value, json};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::LoadError;
use crate::args::ConnectLoad;

const ANSWER_MAX: Duration = Duration::from_secs(10);
/// The echo's selector, then what it echoes.
const SENT: &[u8] = b"Eping!";
const ECHOED: &[u8] = b"ping!";

#[derive(Default)]
struct Figures {
    latency: Histogram,
    errors: u64,
    first_error: Option<String>,
}

/// Runs the load and gives its figures.
pub fn run(load: &ConnectLoad) -> Result<Value, LoadError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let figures = Rc::new(RefCell::new(Figures::default()));
    let start = Instant::now();
    LocalSet::new().block_on(&runtime, async {
        let workers: Vec<_> = (0..load.concurrency)
            .map(|_| tokio::task::spawn_local(work(load.clone(), start, Rc::clone(&figures))))
            .collect();
        for worker in workers {
            worker.await.map_err(|error| LoadError::Answer(error.to_string()))?;
        }
        Ok::<_, LoadError>(())
    })?;
    let took = start.elapsed().as_secs_f64();
    let figures = figures.borrow();
    let done = figures.latency.count();
    #[expect(clippy::cast_precision_loss, reason = "connection counts stay below 2^53")]
    let per_second = done as f64 / took;
    Ok(json!({
        "connections": done,
        "errors": figures.errors,
        "first_error": figures.first_error,
        "secs": took,
        "cps": per_second,
        "lat": figures.latency.to_json(),
    }))
}

async fn work(load: ConnectLoad, start: Instant, figures: Rc<RefCell<Figures>>) {
    while start.elapsed() < load.lasting {
        let begun = Instant::now();
        let outcome = match timeout(ANSWER_MAX, once(&load)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(LoadError::Answer("no echo in time".to_owned())),
        };
        let mut figures = figures.borrow_mut();
        match outcome {
            Ok(()) => figures.latency.add(begun.elapsed()),
            Err(error) => {
                figures.errors = figures.errors.saturating_add(1);
                figures.first_error.get_or_insert_with(|| error.to_string());
            }
        }
    }
}

async fn once(load: &ConnectLoad) -> Result<(), LoadError> {
    let mut stream = TcpStream::connect(load.to).await?;
    stream.set_nodelay(true)?;
    stream.write_all(SENT).await?;
    let mut echoed = [0; ECHOED.len()];
    stream.read_exact(&mut echoed).await?;
    // With a reset: a load generator must not run out of ports to TIME_WAIT.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    if echoed == ECHOED { Ok(()) } else { Err(LoadError::Answer("a wrong echo".to_owned())) }
}
