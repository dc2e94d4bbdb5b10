//! `hload http`: workers, each one request at a time, fed by the clock or by themselves.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hauberk_bench::histogram::Histogram;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::LoadError;
use crate::args::{HttpLoad, Protocol, Until};
use crate::pace::{Alarm, due_after};
use crate::{http1, http2};

/// Longest wait for an answer. A request that takes longer counts as failed, and its connection is replaced.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// What is due and what was measured, shared by the workers of one thread.
struct Board {
    due: VecDeque<Instant>,
    /// No more will be due.
    over: bool,
    latency: Histogram,
    service: Histogram,
    errors: u64,
    first_error: Option<String>,
}

struct Shared {
    board: RefCell<Board>,
    news: Notify,
    load: HttpLoad,
    start: Instant,
}

/// Runs the load and gives its figures.
pub fn run(load: &HttpLoad) -> Result<Value, LoadError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, drive(load.clone()))
}

async fn drive(load: HttpLoad) -> Result<Value, LoadError> {
    let clients = open(&load).await?;
    let start = Instant::now();
    let board = Board {
        due: VecDeque::new(),
        over: false,
        latency: Histogram::default(),
        service: Histogram::default(),
        errors: 0,
        first_error: None,
    };
    let shared = Rc::new(Shared { board: RefCell::new(board), news: Notify::new(), load, start });
    let workers: Vec<_> = clients
        .into_iter()
        .map(|client| tokio::task::spawn_local(work(Rc::clone(&shared), client)))
        .collect();
    dispatch(&shared).await?;
    for worker in workers {
        worker.await.map_err(|error| LoadError::Answer(error.to_string()))?;
    }
    let took = start.elapsed().as_secs_f64();
    let board = shared.board.borrow();
    let done = board.latency.count();
    #[expect(clippy::cast_precision_loss, reason = "request counts stay below 2^53")]
    let per_second = done as f64 / took;
    Ok(json!({
        "requests": done,
        "errors": board.errors,
        "first_error": board.first_error,
        "secs": took,
        "rps": per_second,
        "lat": board.latency.to_json(),
        "svc": board.service.to_json(),
    }))
}

/// A connection, or one of the streams that share one.
enum Client {
    H1(http1::Client),
    H2(http2::Client),
}

impl Client {
    async fn exchange(&mut self) -> Result<(), LoadError> {
        match self {
            Self::H1(client) => client.exchange().await,
            Self::H2(client) => client.exchange().await,
        }
    }

    async fn reopen(&mut self, load: &HttpLoad) -> Result<(), LoadError> {
        match self {
            Self::H1(client) => *client = http1::Client::open(load).await?,
            Self::H2(client) => *client = http2::Client::open(load).await?,
        }
        Ok(())
    }
}

/// All connections are open, and have answered once, before the clock starts.
async fn open(load: &HttpLoad) -> Result<Vec<Client>, LoadError> {
    let mut clients = Vec::new();
    for _ in 0..load.connections {
        match load.protocol {
            Protocol::H1 => clients.push(Client::H1(http1::Client::open(load).await?)),
            Protocol::H2 | Protocol::Grpc => {
                let client = http2::Client::open(load).await?;
                clients.extend((0..load.streams).map(|_| Client::H2(client.clone())));
            }
        }
    }
    Ok(clients)
}

/// Says what is due when, until the end.
async fn dispatch(shared: &Shared) -> Result<(), LoadError> {
    let until = shared.load.until;
    let Some(rate) = shared.load.rate else {
        if let Until::Elapsed(lasting) = until {
            Alarm::new()?.wait_until(shared.start + lasting).await?;
            shared.board.borrow_mut().over = true;
        }
        return Ok(());
    };
    let alarm = Alarm::new()?;
    let mut index = 0_u64;
    loop {
        let after = due_after(index, rate);
        let is_over = match until {
            Until::Elapsed(lasting) => after >= lasting,
            Until::Requests(count) => index >= count,
        };
        if is_over {
            break;
        }
        let due = shared.start + after;
        alarm.wait_until(due).await?;
        shared.board.borrow_mut().due.push_back(due);
        shared.news.notify_one();
        index = index.saturating_add(1);
    }
    shared.board.borrow_mut().over = true;
    shared.news.notify_waiters();
    Ok(())
}

enum Next {
    Request(Instant),
    Wait,
    End,
}

fn next(shared: &Shared) -> Next {
    let mut board = shared.board.borrow_mut();
    if let Some(due) = board.due.pop_front() {
        return Next::Request(due);
    }
    if board.over {
        return Next::End;
    }
    if shared.load.rate.is_some() {
        return Next::Wait;
    }
    let sent = board.service.count().saturating_add(board.errors);
    match shared.load.until {
        // Exact with one worker, which is what counting instructions uses.
        Until::Requests(count) if sent >= count => Next::End,
        Until::Requests(_) | Until::Elapsed(_) => Next::Request(Instant::now()),
    }
}

async fn work(shared: Rc<Shared>, mut client: Client) {
    loop {
        let news = shared.news.notified();
        let due = match next(&shared) {
            Next::Request(due) => due,
            Next::End => return,
            Next::Wait => {
                news.await;
                continue;
            }
        };
        let sent = Instant::now();
        let outcome = match timeout(ANSWER_MAX, client.exchange()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(LoadError::Answer(format!("no answer within {ANSWER_MAX:?}"))),
        };
        let now = Instant::now();
        match outcome {
            Ok(()) => {
                let mut board = shared.board.borrow_mut();
                board.latency.add(now.saturating_duration_since(due));
                board.service.add(now.saturating_duration_since(sent));
            }
            Err(error) => {
                {
                    let mut board = shared.board.borrow_mut();
                    board.errors = board.errors.saturating_add(1);
                    board.first_error.get_or_insert_with(|| error.to_string());
                }
                if let Err(error) = client.reopen(&shared.load).await {
                    shared.board.borrow_mut().first_error.get_or_insert_with(|| error.to_string());
                    // One that cannot come back leaves its share to the others.
                    return;
                }
            }
        }
    }
}
