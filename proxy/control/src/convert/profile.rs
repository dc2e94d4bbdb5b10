//! Destination profiles: what of them an outbound policy needs (`destination.DestinationProfile`).

use std::sync::Arc;

use hauberk_model::endpoint::{Endpoint, Labels};
use hauberk_model::metadata::Metadata;
use linkerd2_proxy_api::destination as proto;

use super::{Malformed, endpoint, metadata};

/// A profile. Its routes are not used: routes come from the outbound policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// Name of the service without a port, if the target is one.
    pub name: Option<Arc<str>>,
    /// Whether connections are bytes only.
    pub opaque: bool,
    /// The target itself, if it is a workload's address and not a service's.
    pub endpoint: Option<Arc<Endpoint>>,
    /// Authorities to split traffic between by weight, instead of the target's own.
    pub overrides: Vec<Override>,
    /// The service it belongs to.
    pub parent: Option<Metadata>,
}

/// One authority of a traffic split.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// The path for `Destination.Get`.
    pub authority: Arc<str>,
    /// Its share.
    pub weight: u32,
    /// The service behind it.
    pub backend: Metadata,
}

/// Reads a profile.
///
/// # Errors
/// [`Malformed`], such as an endpoint whose identity cannot be read.
pub fn profile(proto: proto::DestinationProfile) -> Result<Profile, Malformed> {
    let endpoint =
        proto.endpoint.map(|given| endpoint::endpoint((given, Default::default()), &Labels::from([])));
    let overrides = proto.dst_overrides.into_iter().map(|one| Override {
        authority: one.authority.into(),
        weight: one.weight,
        backend: metadata(one.backend_ref),
    });
    Ok(Profile {
        name: Some(proto.fully_qualified_name).filter(|name| !name.is_empty()).map(Arc::from),
        opaque: proto.opaque_protocol,
        endpoint: endpoint.transpose()?.map(Arc::new),
        overrides: overrides.collect(),
        parent: proto.parent_ref.map(|parent| metadata(Some(parent))),
    })
}
