//! Pods as network namespaces, with nothing but the kernel: no `ip`, no container runtime, and no root where the
//! kernel lets users make namespaces.
//!
//! `serve` keeps the pods and obeys one JSON object per line (see `protocol`); `exec` runs a command in one; `init`
//! sets its redirection; `publish` opens a door into one.

mod args;
mod exec;
mod forward;
mod link;
mod namespace;
mod protocol;
mod publish;
mod report;
mod serve;
mod services;

use std::error::Error;
use std::process::ExitCode;

use args::{Init, Invocation};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match args::parse(&words) {
        Ok(Invocation::Help) => {
            println!("{}", args::USAGE);
            ExitCode::SUCCESS
        }
        Ok(Invocation::Serve { rootless }) => ended(serve::serve(rootless)),
        Ok(Invocation::Exec(options)) => ended(exec::exec(&options)),
        Ok(Invocation::Init(options)) => init(&options),
        Ok(Invocation::Publish(options)) => ended(publish::publish(&options)),
        Err(error) => {
            eprintln!("hauberk-sandbox: {error}\n{}", args::USAGE);
            ExitCode::from(64)
        }
    }
}

fn ended<T, E: Error>(outcome: Result<T, E>) -> ExitCode {
    match outcome {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hauberk-sandbox: {}", report::chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn init(options: &Init) -> ExitCode {
    if let Some(net) = &options.net
        && let Err(error) = namespace::enter(options.user.as_deref(), net)
    {
        return ended(Err::<(), _>(error));
    }
    ended(hauberk_init::cli(&options.options).inspect(|report| println!("{report}")))
}
