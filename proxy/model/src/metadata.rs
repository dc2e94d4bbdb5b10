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

impl Metadata {
    /// API group, for a `*_group` label; empty for a default and for core.
    #[must_use]
    pub fn group(&self) -> &str {
        match self {
            Self::Default(_) => "",
            Self::Resource(resource) => &resource.group,
        }
    }

    /// Kind, for a `*_kind` label; `default` for a default, as under Linkerd.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Default(_) => "default",
            Self::Resource(resource) => &resource.kind,
        }
    }

    /// Name, for a `*_name` label.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Default(name) => name,
            Self::Resource(resource) => &resource.name,
        }
    }

    /// Namespace, for a `*_namespace` label; empty for a default.
    #[must_use]
    pub fn namespace(&self) -> &str {
        match self {
            Self::Default(_) => "",
            Self::Resource(resource) => &resource.namespace,
        }
    }

    /// Section, for a `*_section_name` label; empty for a default.
    #[must_use]
    pub fn section(&self) -> &str {
        match self {
            Self::Default(_) => "",
            Self::Resource(resource) => &resource.section,
        }
    }

    /// Port, for a `*_port` label.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Default(_) => None,
            Self::Resource(resource) => (resource.port > 0).then_some(resource.port),
        }
    }
}
