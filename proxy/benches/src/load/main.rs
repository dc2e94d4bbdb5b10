//! The load generator. One thread for HTTP, so that it costs little beside what it measures. Prints one line of JSON.
//!
//! With a rate, request `i` is due at `start + i / rate` whether or not earlier ones have been answered, and its latency
//! counts from then: a proxy that stalls is charged for every request it delayed (no coordinated omission).

mod args;
mod bulk;
mod connect;
mod http;
mod http1;
mod http2;
mod pace;
mod probe;

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use args::{Invocation, USAGE};
use serde_json::{Value, json};

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A socket of ours, or the clock.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What came back is not what was asked for.
    #[error("{0}")]
    Answer(String),
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let invocation = match args::parse(&words) {
        Ok(invocation) => invocation,
        Err(error) => {
            eprintln!("hload: {error}\n{USAGE}");
            return ExitCode::from(64);
        }
    };
    match run(&invocation) {
        Ok(result) => {
            println!("{result}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("hload: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(invocation: &Invocation) -> Result<Value, LoadError> {
    match invocation {
        Invocation::Http(load) => http::run(load),
        Invocation::Connect(load) => connect::run(load),
        Invocation::Bulk(load) => bulk::run(load),
        Invocation::Idle(load) => probe::idle(load),
        Invocation::First(load) => probe::first(load),
        Invocation::Stamp(words) => Err(stamp(words)),
    }
}

/// Says what time it is, and becomes the command: the time of its `execve`, without what led there.
fn stamp(words: &[String]) -> LoadError {
    let Some((program, arguments)) = words.split_first() else {
        return LoadError::Answer("no command".to_owned());
    };
    println!("{}", json!({ "at": hauberk_bench::monotonic_seconds() }));
    Command::new(program).args(arguments).exec().into()
}
