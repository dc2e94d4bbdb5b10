//! Bytes to an endpoint: chosen once per connection, and moved to another as long as nothing has been sent.

use std::rc::Rc;
use std::time::Instant;

use hauberk_model::balance::{Affinity, EndpointKey, Outcome, Wanted};
use hauberk_model::retry::ATTEMPTS_MAX;

use super::backend::{Load, NoEndpoint};
use super::byte_meters::Opened;
use super::endpoint::{DialError, Session};
use super::plan::{BytesPlan, Refused, Rule};
use crate::copy::{CopyError, both_ways};
use crate::io::Io;
use crate::worker::Worker;

/// Why bytes were not forwarded to their end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpaqueError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the route has no backend")]
    NoBackend,
    #[error(transparent)]
    NoEndpoint(#[from] NoEndpoint),
    #[error(transparent)]
    Dial(#[from] DialError),
}

impl OpaqueError {
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Refused(Refused::NoRoute | Refused::Invalid(_)) => "invalid_policy",
            Self::Refused(Refused::Forbidden) => "forbidden",
            Self::Refused(Refused::Name(refusal)) => refusal.code(),
            Self::NoBackend => "no_backend",
            Self::NoEndpoint(NoEndpoint::FailFast) => "failfast",
            Self::NoEndpoint(NoEndpoint::Full | NoEndpoint::Pending | NoEndpoint::Busy) => "load_shed",
            Self::Dial(error) => error.label(),
        }
    }
}

/// A connection to an endpoint, weighing on it while it is open.
pub(crate) struct Connected {
    pub(crate) io: Io,
    load: Load,
}

impl Connected {
    pub(crate) fn into_parts(self) -> (Io, Load) {
        (self.io, self.load)
    }

    pub(crate) fn from_parts(io: Io, load: Load) -> Self {
        Self { io, load }
    }
}

/// Connects by `plan`.
///
/// # Errors
/// [`OpaqueError`]; no byte of the client was sent.
pub(crate) async fn connect(worker: &Rc<Worker>, plan: &BytesPlan) -> Result<Connected, OpaqueError> {
    match &plan.rule {
        Ok(rule) => connect_by(worker, rule).await,
        Err(refused) => Err(OpaqueError::Refused(refused.clone())),
    }
}

/// Connects by `rule`.
///
/// # Errors
/// [`OpaqueError`]; no byte of the client was sent.
async fn connect_by(worker: &Rc<Worker>, rule: &Rule) -> Result<Connected, OpaqueError> {
    let chosen = rule.choose(worker).ok_or(OpaqueError::NoBackend)?;
    // Bytes have no filter that lets them pass.
    if let Some(filter) = chosen.reference.filters.first() {
        return Err(OpaqueError::Refused(Refused::by_filter(filter)));
    }
    let backend = Rc::clone(&chosen.backend);
    let mut failed: Vec<EndpointKey> = Vec::new();
    loop {
        let picked = backend
            .ready(worker, Wanted { exclude: &failed, movable: true, affinity: Affinity::None })
            .await?;
        let mut load = Load::new(worker, &backend, picked.key, Instant::now());
        match picked.slot.endpoint.connect_within(worker, Session::Opaque, backend.connection_limit()).await {
            Ok(io) => {
                load.answered(Instant::now());
                return Ok(Connected { io, load });
            }
            Err(error) => {
                load.end(error.outcome());
                failed.push(picked.key);
                let tried = u32::try_from(failed.len()).unwrap_or(u32::MAX);
                let other = Wanted { exclude: &failed, movable: true, affinity: Affinity::None };
                let others = backend.pick(worker, other, Instant::now()).is_some();
                if tried >= ATTEMPTS_MAX || !others {
                    return Err(error.into());
                }
            }
        }
    }
}

/// A connection that is carried: the client's end, the server's, and what counts it.
pub(super) struct Carried {
    pub(super) client: Io,
    pub(super) server: Connected,
    pub(super) open: Opened,
}

impl Carried {
    /// Copies until both sides have ended.
    pub(super) async fn forward(&mut self) -> &'static str {
        let (outcome, error) = match both_ways(&mut self.client, &mut self.server.io).await {
            Ok(()) => (Outcome::Success, ""),
            Err(CopyError::Client(_)) => (Outcome::Success, "client"),
            Err(CopyError::Server(_)) => (Outcome::Failure, "server"),
        };
        self.server.load.end(outcome);
        error
    }
}

/// Connects by `plan`, over `server` if that was connected already.
///
/// # Errors
/// [`OpaqueError`]; no byte of the client was sent.
pub(super) async fn carry(
    worker: &Rc<Worker>,
    plan: &BytesPlan,
    server: Option<Connected>,
    client: Io,
) -> Result<Carried, OpaqueError> {
    let open = plan.meters.opened(None);
    let connected = match server {
        Some(server) => Ok(server),
        None => connect(worker, plan).await,
    };
    match connected {
        Ok(server) => Ok(Carried { client, server, open }),
        Err(error) => {
            open.ended(error.label());
            Err(error)
        }
    }
}
