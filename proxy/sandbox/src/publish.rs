//! `publish`: a door from where it was started into a pod.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::runtime;
use tokio::sync::{Semaphore, watch};

use crate::forward;
use crate::namespace::{self, NamespaceError};
use crate::services::listen_reusing;

/// What to publish.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    /// The sandbox's user namespace, when it is rootless.
    pub user: Option<String>,
    /// The pod's network namespace.
    pub net: String,
    /// Where connections are accepted, outside.
    pub listen: SocketAddr,
    /// Where they go, as seen from the pod.
    pub to: SocketAddr,
}

/// Why nothing is published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The address outside is taken or forbidden.
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    /// The pod cannot be entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// No reactor.
    #[error("cannot start")]
    Start(#[source] io::Error),
}

/// Carries connections until the process is ended.
pub fn publish(options: &Publish) -> Result<(), PublishError> {
    // The listener belongs to the namespace it was made in, connections to the one they are made in.
    let listener = listen_reusing(options.listen)
        .map_err(|source| PublishError::Listen { address: options.listen, source })?;
    namespace::enter(options.user.as_deref(), &options.net)?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(PublishError::Start)?;
    let endpoints = watch::Sender::new(Arc::from([options.to]));
    let permits = Arc::new(Semaphore::new(forward::CONNECTIONS_MAX));
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(PublishError::Start)?;
        forward::serve(listener, endpoints.subscribe(), permits).await;
        Ok(())
    })
}
