//! The environment, once and for all (INTERFACE §10), as one value that cannot hold nonsense.

mod known;
pub mod observing;
pub mod read;
pub mod tracing;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use hauberk_control::defaults::DefaultPolicy;
use hauberk_control::directory;
use hauberk_control::stream::Limits;
use hauberk_control::transport::Authority;
use hauberk_data::Config as DataConfig;
use hauberk_model::endpoint::TlsTarget;
use hauberk_model::identity::Identity;
use hauberk_model::inbound::Cidr;
use hauberk_tls::{PostQuantum, TrustAnchors};

use crate::log::{Filter, Format};
use observing::Observing;
use read::{Mistake, Reader, boolean, cidr, duration, ip_addr, list, ports, socket_addr};
use tracing::Tracing;

/// Networks of a cluster where nothing else is said (INTERFACE §12).
const CLUSTER_NETWORKS: &str = "10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8";

/// Everything that the process is told at start.
pub struct Config {
    /// The request path.
    pub data: DataConfig,
    /// Discovery and policy.
    pub directory: directory::Config,
    /// `DESTINATION_SVC_*`.
    pub destination: Peer,
    /// `POLICY_SVC_*`.
    pub policy: Peer,
    /// `None` where `IDENTITY_DISABLED` is set.
    pub identity: Option<IdentityConfig>,
    /// `ADMIN_LISTEN_ADDR`.
    pub admin_listen: SocketAddr,
    /// `SHUTDOWN_ENDPOINT_ENABLED`.
    pub shutdown_endpoint: bool,
    /// `SHUTDOWN_GRACE_PERIOD`: how long open connections may take to end.
    pub shutdown_grace: Duration,
    /// `LOG`.
    pub log_filter: Filter,
    /// `LOG_FORMAT`.
    pub log_format: Format,
    /// `CORES`: data threads asked for.
    pub cores: usize,
    /// `DNS_MIN_TTL`, `DNS_MAX_TTL`.
    pub dns_ttl: (Option<Duration>, Option<Duration>),
    /// `RESOLV_CONF`, ours: where name servers are found.
    pub resolv_conf: PathBuf,
    /// `METRICS_RETAIN_IDLE`.
    pub metrics_retain_idle: Duration,
    /// `POST_QUANTUM`, ours.
    pub post_quantum: PostQuantum,
    /// `FIPS`, ours: whether nothing may be served unless the module is in approved mode.
    pub fips: bool,
    /// Who may watch requests pass.
    pub observing: Observing,
    /// Where spans go; `None`: requests are not traced.
    pub tracing: Option<Tracing>,
    /// Names that ask for a feature which this proxy does not have.
    pub missing: Vec<&'static str>,
    /// Variables of the peer that we do not know.
    pub unknown: Vec<String>,
}

/// A service of the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where it is.
    pub authority: Authority,
    /// Who must answer there; `None` on this machine.
    pub target: Option<TlsTarget>,
}

/// `IDENTITY_*`.
pub struct IdentityConfig {
    /// The identity service.
    pub service: Peer,
    /// Who we are.
    pub local: Identity,
    /// What every chain ends in.
    pub anchors: TrustAnchors,
    /// The proof for the identity service.
    pub token_file: PathBuf,
    /// Where a key and a request may lie.
    pub dir: Option<PathBuf>,
    /// Bounds of a renewal.
    pub refresh: (Duration, Duration),
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// Every mistake that there is, not only the first.
    pub fn from_env(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, Vec<Mistake>> {
        let variables: Vec<_> = variables.into_iter().collect();
        let otel = variables.iter().find(|(name, _)| name == tracing::OTEL_RESOURCE_ATTRIBUTES);
        let otel = otel.map(|(_, value)| value.clone());
        let mut env = Reader::new(variables);
        let missing = known::accept(&mut env);
        let identity = identity(&mut env);
        let networks = env
            .parse("POLICY_CLUSTER_NETWORKS", |text| list(text, cidr))
            .unwrap_or_else(|| list(CLUSTER_NETWORKS, cidr).unwrap_or_default());
        let destination = service(&mut env, "DESTINATION");
        let policy = service(&mut env, "POLICY");
        let data = data(&mut env, identity.as_ref().map(|identity| identity.local.clone()));
        let directory = directory(&mut env, networks);
        let admin = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 4191));
        let rest = Rest {
            admin_listen: env.parse("ADMIN_LISTEN_ADDR", socket_addr).unwrap_or(admin),
            shutdown_endpoint: env.parse("SHUTDOWN_ENDPOINT_ENABLED", boolean).unwrap_or(false),
            shutdown_grace: env.parse("SHUTDOWN_GRACE_PERIOD", duration).unwrap_or(Duration::from_secs(120)),
            log_filter: env.value("LOG").unwrap_or_default(),
            log_format: env.value("LOG_FORMAT").unwrap_or_default(),
            cores: env.value::<std::num::NonZeroUsize>("CORES").map_or(1, std::num::NonZeroUsize::get),
            dns_ttl: (env.parse("DNS_MIN_TTL", duration), env.parse("DNS_MAX_TTL", duration)),
            resolv_conf: env.text("RESOLV_CONF").map_or_else(|| "/etc/resolv.conf".into(), PathBuf::from),
            metrics_retain_idle: env
                .parse("METRICS_RETAIN_IDLE", duration)
                .unwrap_or(Duration::from_secs(600)),
            post_quantum: env.parse("POST_QUANTUM", post_quantum).unwrap_or_default(),
            fips: fips(&mut env, identity.is_some()),
            observing: observing::observing(&mut env),
            tracing: tracing::tracing(&mut env, otel.as_deref()),
        };
        let (mistakes, unknown) = env.finish();
        match (destination, policy) {
            (Some(destination), Some(policy)) if mistakes.is_empty() => Ok(Self {
                data,
                directory,
                destination,
                policy,
                identity,
                admin_listen: rest.admin_listen,
                shutdown_endpoint: rest.shutdown_endpoint,
                shutdown_grace: rest.shutdown_grace,
                log_filter: rest.log_filter,
                log_format: rest.log_format,
                cores: rest.cores,
                dns_ttl: rest.dns_ttl,
                resolv_conf: rest.resolv_conf,
                metrics_retain_idle: rest.metrics_retain_idle,
                post_quantum: rest.post_quantum,
                fips: rest.fips,
                observing: rest.observing,
                tracing: rest.tracing,
                missing,
                unknown,
            }),
            _ => Err(mistakes),
        }
    }
}

/// What is read last; the whole is built only if there is no mistake.
struct Rest {
    admin_listen: SocketAddr,
    shutdown_endpoint: bool,
    shutdown_grace: Duration,
    log_filter: Filter,
    log_format: Format,
    cores: usize,
    dns_ttl: (Option<Duration>, Option<Duration>),
    resolv_conf: PathBuf,
    metrics_retain_idle: Duration,
    post_quantum: PostQuantum,
    fips: bool,
    observing: Observing,
    tracing: Option<Tracing>,
}

/// `X_SVC_ADDR` and `X_SVC_NAME`. A name is needed wherever the address is not this machine.
fn service(env: &mut Reader, which: &str) -> Option<Peer> {
    let (addr_name, name_name) = (format!("{which}_SVC_ADDR"), format!("{which}_SVC_NAME"));
    let authority = env.value::<Authority>(&addr_name);
    let authority = env.required(&addr_name, authority)?;
    let name = env.parse(&name_name, |text| Identity::parse(text).map_err(|error| error.to_string()));
    if authority.is_loopback() {
        return Some(Peer { authority, target: None });
    }
    let identity = env.required(&name_name, name)?;
    let server_name = identity.shared();
    Some(Peer { authority, target: Some(TlsTarget { identity, server_name }) })
}

fn identity(env: &mut Reader) -> Option<IdentityConfig> {
    // The peer switches identity off when the variable is set to anything at all.
    if env.text("IDENTITY_DISABLED").is_some() {
        return None;
    }
    let service = service(env, "IDENTITY");
    let local =
        env.parse("IDENTITY_LOCAL_NAME", |text| Identity::parse(text).map_err(|error| error.to_string()));
    let local = env.required("IDENTITY_LOCAL_NAME", local);
    let anchors = env.parse("IDENTITY_TRUST_ANCHORS", |text| {
        TrustAnchors::from_pem(text.as_bytes()).map_err(|error| error.to_string())
    });
    let anchors = env.required("IDENTITY_TRUST_ANCHORS", anchors);
    let token_file = env.text("IDENTITY_TOKEN_FILE").map(PathBuf::from);
    let token_file = env.required("IDENTITY_TOKEN_FILE", token_file);
    let dir = env.text("IDENTITY_DIR").map(PathBuf::from);
    let min = env.parse("IDENTITY_MIN_REFRESH", duration).unwrap_or(Duration::from_secs(10));
    let max = env.parse("IDENTITY_MAX_REFRESH", duration).unwrap_or(Duration::from_secs(86_400));
    if max < min {
        env.mistake("IDENTITY_MAX_REFRESH", "is shorter than IDENTITY_MIN_REFRESH");
    }
    Some(IdentityConfig {
        service: service?,
        local: local?,
        anchors: anchors?,
        token_file: token_file?,
        dir,
        refresh: (min, max),
    })
}

fn data(env: &mut Reader, identity: Option<Identity>) -> DataConfig {
    let defaults = DataConfig::default();
    let addresses = |text: &str| list(text, socket_addr);
    let outbound = env
        .parse("OUTBOUND_LISTEN_ADDRS", addresses)
        .or_else(|| env.parse("OUTBOUND_LISTEN_ADDR", socket_addr).map(|addr| vec![addr]));
    let informational = env.parse("OUTBOUND_DISABLE_INFORMATIONAL_HEADERS", boolean);
    let hostnames = env.parse("OUTBOUND_METRICS_HOSTNAME_LABELS", boolean);
    let labels = env.parse("INBOUND_METRICS_AUTHORITY_LABELS", |text| match text {
        "unsafe" => Ok(true),
        _ => Err("must be unsafe".to_owned()),
    });
    let outbound_detect = env.parse("OUTBOUND_DETECT_TIMEOUT", duration);
    let detect = env.parse("INBOUND_DETECT_TIMEOUT", duration).or(outbound_detect);
    let outbound_idle = env.parse("OUTBOUND_HTTP1_CONNECTION_POOL_IDLE_TIMEOUT", duration);
    DataConfig {
        outbound_listen: outbound.unwrap_or(defaults.outbound_listen),
        inbound_listen: env.parse("INBOUND_LISTEN_ADDR", socket_addr).unwrap_or(defaults.inbound_listen),
        own_ips: env.parse("INBOUND_IPS", |text| list(text, ip_addr)).unwrap_or_default(),
        identity,
        mark: env.value("MARK"),
        inbound_ports: env.parse("INBOUND_PORTS", ports).unwrap_or_default(),
        detect_timeout: detect.unwrap_or(defaults.detect_timeout),
        outbound_connect_timeout: env
            .parse("OUTBOUND_CONNECT_TIMEOUT", duration)
            .unwrap_or(defaults.outbound_connect_timeout),
        inbound_connect_timeout: env
            .parse("INBOUND_CONNECT_TIMEOUT", duration)
            .unwrap_or(defaults.inbound_connect_timeout),
        http1_pool_idle_timeout: outbound_idle.unwrap_or(defaults.http1_pool_idle_timeout),
        informational_headers: !informational.unwrap_or(false),
        outbound_hostname_labels: hostnames.unwrap_or(false),
        inbound_authority_label: labels.unwrap_or(false),
        limits: defaults.limits,
        origin: defaults.origin,
        give_back: Some(crate::memory::give_back),
    }
}

fn directory(env: &mut Reader, cluster_networks: Vec<Cidr>) -> directory::Config {
    let defaults = Limits::default();
    let initial = env.parse("CONTROL_STREAM_INITIAL_TIMEOUT", duration).unwrap_or(defaults.initial);
    let limits = Limits {
        initial,
        idle: env.parse("CONTROL_STREAM_IDLE_TIMEOUT", duration).unwrap_or(defaults.idle),
        lifetime: env.parse("CONTROL_STREAM_LIFETIME", duration).unwrap_or(defaults.lifetime),
    };
    let profile_networks = env.parse("DESTINATION_PROFILE_NETWORKS", |text| list(text, cidr));
    directory::Config {
        context: env.text("DESTINATION_CONTEXT").unwrap_or_default(),
        workload: env.text("POLICY_WORKLOAD").unwrap_or_default(),
        limits,
        // So that a connection that waits `initial` hears the decision.
        first_answer: initial.mul_f64(5.0 / 6.0),
        require_identity: env.parse("INBOUND_PORTS_REQUIRE_IDENTITY", ports).unwrap_or_default(),
        default_policy: env.value("INBOUND_DEFAULT_POLICY").unwrap_or(DefaultPolicy::Deny),
        profile_networks: profile_networks.unwrap_or_else(|| cluster_networks.clone()),
        cluster_networks,
        dangerous_forward_unknown: env.parse("DANGEROUS_OUTBOUND_FORWARD_UNKNOWN", boolean).unwrap_or(false),
    }
}

/// Whether approved mode is asked for. Without an identity nothing would be encrypted at all.
fn fips(env: &mut Reader, has_identity: bool) -> bool {
    let is_required = env.parse("FIPS", |text| match text {
        "required" => Ok(true),
        _ => Err("must be required".to_owned()),
    });
    if is_required == Some(true) && !has_identity && env.text("IDENTITY_DISABLED").is_some() {
        env.mistake("FIPS", "is required, and identity is disabled: nothing would be encrypted");
    }
    is_required.unwrap_or(false)
}

fn post_quantum(text: &str) -> Result<PostQuantum, String> {
    match text {
        "prefer" => Ok(PostQuantum::Prefer),
        "require" => Ok(PostQuantum::Require),
        _ => Err("must be prefer or require".into()),
    }
}

#[cfg(test)]
mod tests;
