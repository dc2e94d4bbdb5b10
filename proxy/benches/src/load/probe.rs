//! `hload idle` and `hload first`: single exchanges on blocking connections.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use hauberk_bench::message::{Body, response};
use hauberk_bench::monotonic_seconds;
use serde_json::{Value, json};

use crate::LoadError;
use crate::args::{Exchange, FirstLoad, IdleLoad};
use crate::http1::request_bytes;

const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Between two attempts of `first`: small against the milliseconds it measures.
const ATTEMPT_PAUSE: Duration = Duration::from_micros(300);
const READ_BYTES: usize = 4096;

/// Opens connections, has one exchange on each, says so, and holds them.
pub fn idle(load: &IdleLoad) -> Result<Value, LoadError> {
    let begun = Instant::now();
    let mut held = Vec::new();
    let mut errors = 0_u64;
    for _ in 0..load.connections {
        match open(load.to).and_then(|mut stream| exchange(&mut stream, &load.exchange).map(|()| stream)) {
            Ok(stream) => held.push(stream),
            Err(_) => errors = errors.saturating_add(1),
        }
    }
    println!("{}", json!({ "ready": held.len(), "errors": errors, "secs": begun.elapsed().as_secs_f64() }));
    thread::sleep(load.lasting);
    let still = held.into_iter().filter(is_open).count();
    Ok(json!({ "still": still }))
}

/// Tries until an exchange succeeds, and gives the time of that.
pub fn first(load: &FirstLoad) -> Result<Value, LoadError> {
    let begun = Instant::now();
    let mut attempts = 0_u64;
    loop {
        attempts = attempts.saturating_add(1);
        match open(load.to).and_then(|mut stream| exchange(&mut stream, &load.exchange)) {
            Ok(()) => {
                let took = begun.elapsed().as_secs_f64() * 1e3;
                return Ok(json!({ "at": monotonic_seconds(), "ms": took, "attempts": attempts }));
            }
            Err(error) if begun.elapsed() > load.timeout => return Err(error),
            Err(_) => thread::sleep(ATTEMPT_PAUSE),
        }
    }
}

fn open(to: std::net::SocketAddr) -> Result<TcpStream, LoadError> {
    let stream = TcpStream::connect_timeout(&to, ANSWER_MAX)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    Ok(stream)
}

/// Whether the peer has not closed it.
fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).is_ok()
        && stream.peek(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

fn exchange(stream: &mut TcpStream, exchange: &Exchange) -> Result<(), LoadError> {
    match exchange {
        Exchange::Connect => Ok(()),
        Exchange::Tcp => {
            stream.write_all(b"Eping!")?;
            let mut echoed = [0; 5];
            stream.read_exact(&mut echoed)?;
            if &echoed == b"ping!" { Ok(()) } else { Err(LoadError::Answer("a wrong echo".to_owned())) }
        }
        Exchange::H1 { host, path } => {
            stream.write_all(&request_bytes(host, path, 0))?;
            read_ok(stream)
        }
    }
}

fn read_ok(stream: &mut TcpStream) -> Result<(), LoadError> {
    let answer = |text: String| LoadError::Answer(text);
    let mut input = Vec::new();
    let mut buffer = [0; READ_BYTES];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(answer("the connection ended".to_owned()));
        }
        input.extend(buffer.iter().take(count));
        let Some(head) = response(&input).map_err(|error| answer(error.to_string()))? else { continue };
        if head.status != 200 {
            return Err(answer(format!("status {}", head.status)));
        }
        let mut body = head.body;
        let rest = input.get(head.length..).unwrap_or_default();
        body.take(rest, |_| {}).map_err(|error| answer(error.to_string()))?;
        if body == Body::Done {
            return Ok(());
        }
    }
}
