//! What is not in approved mode where that is asked for serves nothing: it only says why.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use hauberk_model::drain::Drain;
use hauberk_observe::Registry;
use hauberk_tls::{Approval, Module};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::admin::{self, Admin};

/// Answers the admin server's questions, readiness among them, until it is told to stop. No other address is listened on.
///
/// # Errors
/// The listener cannot be used.
pub fn withhold(
    runtime: &Runtime,
    listener: std::net::TcpListener,
    registry: Registry,
    environment: Vec<(String, String)>,
    reason: String,
) -> anyhow::Result<()> {
    ::log::error!(reason; "not in approved mode, and nothing is served");
    let (_drain, drained) = watch::channel(Drain::Running);
    let admin = Admin {
        registry,
        credentials: None,
        drain: drained,
        withheld: Some(reason),
        shutdown: None,
        questions: mpsc::channel(1).0,
        environment,
    };
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener).context("cannot serve")?;
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! {
            () = admin::serve(listener, Arc::new(admin)) => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    })
}

/// `hauberk-proxy fips`: which module this program links, and whether it has just shown itself to be in approved mode.
pub fn tell(module: Module) -> ExitCode {
    let Module { name, version } = module;
    match hauberk_tls::approval(true) {
        Approval::Approved => {
            println!("{name} {version}: approved mode");
            ExitCode::SUCCESS
        }
        Approval::NotAsked => ExitCode::FAILURE,
        Approval::Refused(reason) => {
            println!("{name} {version}: not approved: {reason}");
            ExitCode::FAILURE
        }
    }
}
