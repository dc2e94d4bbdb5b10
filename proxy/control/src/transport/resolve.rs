//! Addresses of the control plane: literal ones, and names looked up as `/etc/resolv.conf` says.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::parse_resolv_conf;
use tokio::sync::OnceCell;

/// Most addresses of a name that are tried in one round.
const ADDRESSES_MAX: usize = 16;

/// A host and port, such as `linkerd-dst-headless.linkerd.svc.cluster.local.:8086` or `127.0.0.1:8086`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// A literal address.
    Address(SocketAddr),
    /// A name to look up.
    Name {
        /// Kept with its final dot, which means that no search list applies.
        host: Arc<str>,
        /// Port.
        port: u16,
    },
}

/// Why a text is no authority.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// There is no `:port` at its end.
    #[error("a port is missing")]
    Port,
    /// The host is no DNS name.
    #[error("the host is not a DNS name")]
    Host,
}

impl Authority {
    /// Whether it can only be this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Address(address) => address.ip().is_loopback(),
            Self::Name { host, .. } => host.trim_end_matches('.') == "localhost",
        }
    }
}

impl FromStr for Authority {
    type Err = AuthorityError;

    fn from_str(text: &str) -> Result<Self, AuthorityError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let (host, port) = text.rsplit_once(':').ok_or(AuthorityError::Port)?;
        let port = port.parse::<u16>().ok().filter(|port| *port != 0).ok_or(AuthorityError::Port)?;
        let labels = host.strip_suffix('.').unwrap_or(host);
        let good = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if host.len() > 254 || !labels.split('.').all(good) {
            return Err(AuthorityError::Host);
        }
        Ok(Self::Name { host: Arc::from(host), port })
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The configuration file cannot be used.
    #[error("cannot read {}: {reason}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The servers say so, or do not answer.
    #[error("cannot resolve {host}: {reason}")]
    Lookup {
        /// The name.
        host: Arc<str>,
        /// As the resolver says it.
        reason: String,
    },
}

/// Looks names up; reads its configuration at the first name, so that literal addresses need no file.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    resolv_conf: PathBuf,
    ttl_min: Option<Duration>,
    ttl_max: Option<Duration>,
    resolver: OnceCell<TokioResolver>,
}

impl Resolver {
    /// A resolver that is configured by `resolv_conf` (usually `/etc/resolv.conf`) and keeps answers for at least
    /// `ttl_min` and at most `ttl_max`.
    #[must_use]
    pub fn new(resolv_conf: PathBuf, ttl_min: Option<Duration>, ttl_max: Option<Duration>) -> Self {
        Self(Arc::new(Inner { resolv_conf, ttl_min, ttl_max, resolver: OnceCell::new() }))
    }

    /// The addresses of an authority, in the resolver's order; at least one.
    ///
    /// # Errors
    /// [`ResolveError`] if there is none.
    pub async fn resolve(&self, authority: &Authority) -> Result<Vec<SocketAddr>, ResolveError> {
        let (host, port) = match authority {
            Authority::Address(address) => return Ok(vec![*address]),
            Authority::Name { host, port } => (host, *port),
        };
        let failed = |reason: String| ResolveError::Lookup { host: Arc::clone(host), reason };
        let resolver = self.0.resolver.get_or_try_init(|| self.configure()).await?;
        let found = resolver.lookup_ip(host.as_ref()).await.map_err(|error| failed(error.to_string()))?;
        let mut addresses: Vec<IpAddr> = found.iter().collect();
        addresses.dedup();
        addresses.truncate(ADDRESSES_MAX);
        if addresses.is_empty() {
            return Err(failed("there are no addresses".into()));
        }
        Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }

    async fn configure(&self) -> Result<TokioResolver, ResolveError> {
        let path = &self.0.resolv_conf;
        let failed = |reason: String| ResolveError::Configuration { path: path.clone(), reason };
        // A small local file: not worth a thread.
        let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let (config, mut options) = parse_resolv_conf(text).map_err(|error| failed(error.to_string()))?;
        options.positive_min_ttl = self.0.ttl_min;
        options.positive_max_ttl = self.0.ttl_max;
        // Names of pods that come up later must not be denied for long.
        options.negative_max_ttl = Some(Duration::from_secs(1));
        // A few names; the default holds thousands.
        options.cache_size = 32;
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        builder.build().map_err(|error| failed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_an_address_or_a_name_with_a_port() {
        let name = "linkerd-dst-headless.linkerd.svc.cluster.local.:8086".parse::<Authority>().expect("name");
        assert!(matches!(&name, Authority::Name { host, port: 8086 } if host.ends_with("local.")));
        assert!(!name.is_loopback());
        assert!("localhost.:80".parse::<Authority>().expect("name").is_loopback());
        assert!("[::1]:80".parse::<Authority>().expect("address").is_loopback());
        assert!(!"10.0.0.1:80".parse::<Authority>().expect("address").is_loopback());
        for bad in ["", "host", "host:", "host:0", "host:65536", ":80", "a..b:80", "ho st:80", "http://a:80"]
        {
            assert!(bad.parse::<Authority>().is_err(), "{bad}");
        }
    }
}
