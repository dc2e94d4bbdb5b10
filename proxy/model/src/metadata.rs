//! Which object of the control plane a policy, route or backend comes from: what metric labels name.

use std::sync::Arc;

/// `io.linkerd.proxy.meta.Metadata`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Metadata {
    /// An implicit configuration, such as `all-unauthenticated` or `http`.
    Default(Arc<str>),
    /// An object.
    Resource(Arc<Resource>),
}

/// `io.linkerd.proxy.meta.Resource`. Empty strings and port 0 mean absent, as on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resource {
    /// API group; empty for core.
    pub group: Arc<str>,
    /// Kind, such as `Service` or `HTTPRoute`.
    pub kind: Arc<str>,
    /// Name of the object.
    pub name: Arc<str>,
    /// Namespace of the object.
    pub namespace: Arc<str>,
    /// Section name of a route's parent.
    pub section: Arc<str>,
    /// Port of a service; 0 if none applies.
    pub port: u16,
}
