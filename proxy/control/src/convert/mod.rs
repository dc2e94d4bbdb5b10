//! The control plane's messages, read strictly into the model's types.
//!
//! What we do not know in a security decision never widens it: an authorization of an unknown kind admits nobody,
//! an unknown filter refuses its requests, and a message that makes no sense is [`Malformed`] as a whole.

mod affinity;
mod authz;
pub mod endpoint;
pub mod filters;
pub mod inbound;
mod limits;
pub mod matches;
pub mod outbound;
pub mod profile;
pub mod resilience;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hauberk_model::endpoint::Labels;
use hauberk_model::metadata::{Metadata, Resource};
use linkerd2_proxy_api::{meta, net};

/// Why a message is not used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A field that must be there is not, or holds a kind that this proxy does not know.
    #[error("{0} is missing or unknown")]
    Missing(&'static str),
    /// A field holds a value that it may not.
    #[error("{0} is out of range")]
    Range(&'static str),
    /// An identity, pattern, method or name cannot be read.
    #[error("{what} cannot be read: {reason}")]
    Unreadable {
        /// The field.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

impl Malformed {
    pub(crate) fn unreadable(what: &'static str, reason: impl ToString) -> Self {
        Self::Unreadable { what, reason: reason.to_string() }
    }
}

/// A duration that may not be negative.
pub(crate) fn duration(what: &'static str, proto: prost_types::Duration) -> Result<Duration, Malformed> {
    Duration::try_from(proto).map_err(|_| Malformed::Range(what))
}

/// A duration where absence and zero both mean "none".
pub(crate) fn limit(
    what: &'static str,
    proto: Option<prost_types::Duration>,
) -> Result<Option<Duration>, Malformed> {
    let limit = proto.map(|proto| duration(what, proto)).transpose()?;
    Ok(limit.filter(|limit| !limit.is_zero()))
}

/// Metadata; an absent one is the default without a name.
pub(crate) fn metadata(proto: Option<meta::Metadata>) -> Metadata {
    match proto.and_then(|proto| proto.kind) {
        None => Metadata::Default(Arc::from("")),
        Some(meta::metadata::Kind::Default(name)) => Metadata::Default(name.into()),
        Some(meta::metadata::Kind::Resource(resource)) => Metadata::Resource(Arc::new(Resource {
            group: resource.group.into(),
            kind: resource.kind.into(),
            name: resource.name.into(),
            namespace: resource.namespace.into(),
            section: resource.section.into(),
            // Only a label.
            port: resource.port.try_into().unwrap_or(0),
        })),
    }
}

/// Labels, sorted by name.
pub(crate) fn labels(proto: HashMap<String, String>) -> Labels {
    let mut labels: Vec<(Arc<str>, Arc<str>)> =
        proto.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    labels.sort();
    labels.into()
}

/// Labels of a destination. The control plane sends `deployment`; dashboards query `dst_deployment`.
pub(crate) fn destination_labels(proto: HashMap<String, String>) -> Labels {
    labels(proto.into_iter().map(|(name, value)| (format!("dst_{name}"), value)).collect())
}

/// An address with a port other than 0.
pub(crate) fn address(what: &'static str, proto: Option<net::TcpAddress>) -> Result<SocketAddr, Malformed> {
    let proto = proto.ok_or(Malformed::Missing(what))?;
    let ip = proto.ip.ok_or(Malformed::Missing(what)).and_then(|ip| ip_address(what, ip))?;
    Ok(SocketAddr::new(ip, port(what, proto.port)?))
}

pub(crate) fn ip_address(what: &'static str, proto: net::IpAddress) -> Result<IpAddr, Malformed> {
    IpAddr::try_from(proto).map_err(|_| Malformed::Missing(what))
}

pub(crate) fn port(what: &'static str, port: u32) -> Result<u16, Malformed> {
    u16::try_from(port).ok().filter(|port| *port != 0).ok_or(Malformed::Range(what))
}
