//! What data threads may ask, and the subscriptions that answer.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hauberk_model::discovery::{Discovery, Watched};
use hauberk_model::endpoint::EndpointSet;
use hauberk_model::inbound::{Cidr, InboundPolicy};
use hauberk_model::metadata::Metadata;
use hauberk_model::outbound::OutboundPolicy;
use hauberk_observe::Registry;
use linkerd2_proxy_api::destination::GetDestination;
use linkerd2_proxy_api::destination::destination_client::DestinationClient;
use linkerd2_proxy_api::inbound::{self, PortSpec};
use linkerd2_proxy_api::net::TcpAddress;
use linkerd2_proxy_api::outbound::{self, TrafficSpec, traffic_spec};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::convert::{self, Malformed};
use crate::defaults::{self, DefaultPolicy};
use crate::endpoints::{Endpoints, Proof};
use crate::extension::{self, Extended};
use crate::freshness::Freshness;
use crate::join::{Answer, Join, Unknown};
use crate::quota::{self, Quotas};
use crate::stream::{Heard, Limits, Next, follow};
use crate::table::{Publisher, Table};
use crate::transport::Channel;

mod metrics;

pub use metrics::{ANSWERS_REFUSED_TOTAL, DIGEST_MISMATCHES_TOTAL, DISCOVERY_VERSION};

/// Most watches of one kind. A watch takes about 20 KiB with its two streams; a scraper that talks to every workload of
/// a large cluster still fits.
pub const WATCHES_MAX: usize = 10_240;
/// Largest message: about 100 000 endpoints of one service.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The methods whose answers carry extensions.
const WATCH_OUTBOUND: &str = "/io.linkerd.proxy.outbound.OutboundPolicies/Watch";
const WATCH_PORT: &str = "/io.linkerd.proxy.inbound.InboundServerPolicies/WatchPort";
const GET_ENDPOINTS: &str = "/io.linkerd.proxy.destination.Destination/Get";

type ExtendedPolicy = Extended<outbound::OutboundPolicy, extension::proto::OutboundPolicyOverlay>;

/// A set that was asked for anew and is wrong again this often is used as it is.
const DOUBTS_MAX: u32 = 3;

/// The control plane, as discovery sees it.
#[derive(Clone)]
pub struct Services {
    /// `Destination`.
    pub destination: Channel,
    /// `OutboundPolicies` and `InboundServerPolicies`.
    pub policy: Channel,
}

/// Settings of discovery.
#[derive(Clone, Debug)]
pub struct Config {
    /// `DESTINATION_CONTEXT`, sent as it is.
    pub context: String,
    /// `POLICY_WORKLOAD`, sent as it is.
    pub workload: String,
    /// Limits of each stream.
    pub limits: Limits,
    /// How long a target may stay without any answer before [`defaults`] decide.
    pub first_answer: Duration,
    /// The policy of ports of which nothing is known.
    pub default_policy: DefaultPolicy,
    /// `INBOUND_PORTS_REQUIRE_IDENTITY`: ports whose default asks for a mesh identity, where the default would not.
    pub require_identity: BTreeSet<u16>,
    /// `POLICY_CLUSTER_NETWORKS`.
    pub cluster_networks: Vec<Cidr>,
    /// `DESTINATION_PROFILE_NETWORKS`: profiles are asked for addresses in these only.
    pub profile_networks: Vec<Cidr>,
    /// Whether targets inside the cluster of which nothing is known are reached in plaintext instead of refused.
    pub dangerous_forward_unknown: bool,
}

impl Config {
    fn default_of(&self, port: u16) -> DefaultPolicy {
        let proven = self.require_identity.contains(&port);
        match self.default_policy {
            DefaultPolicy::AllUnauthenticated | DefaultPolicy::Audit if proven => {
                DefaultPolicy::AllAuthenticated
            }
            DefaultPolicy::ClusterUnauthenticated if proven => DefaultPolicy::ClusterAuthenticated,
            policy @ (DefaultPolicy::Deny
            | DefaultPolicy::AllUnauthenticated
            | DefaultPolicy::AllAuthenticated
            | DefaultPolicy::ClusterUnauthenticated
            | DefaultPolicy::ClusterAuthenticated
            | DefaultPolicy::Audit) => policy,
        }
    }
}

/// Starts and joins watches; its tasks end when it is dropped.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    outbound: Mutex<Table<SocketAddr, OutboundPolicy>>,
    endpoints: Mutex<Table<Arc<str>, EndpointSet>>,
    inbound: Mutex<Table<u16, InboundPolicy>>,
    runtime: Handle,
    asker: Asker,
    /// Leases shares of cluster-wide limits.
    sharing: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.sharing.abort();
    }
}

/// What the tasks need.
#[derive(Clone)]
struct Asker {
    services: Services,
    config: Arc<Config>,
    refused: Arc<Refused>,
    quotas: Arc<Quotas>,
    mismatches: Arc<AtomicU64>,
}

#[derive(Default)]
struct Refused {
    outbound: AtomicU64,
    endpoints: AtomicU64,
    inbound: AtomicU64,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Directory")
    }
}

impl Directory {
    /// Discovery over `services`, whose tasks run on `runtime`, with its metrics in `registry`.
    #[must_use]
    pub fn new(services: Services, config: Config, runtime: Handle, registry: &Registry) -> Self {
        let asker = Asker {
            services,
            config: Arc::new(config),
            refused: Arc::default(),
            quotas: Arc::default(),
            mismatches: Arc::default(),
        };
        asker.quotas.register(registry);
        let (quotas, channel) = (Arc::clone(&asker.quotas), asker.services.policy.clone());
        let sharing = runtime.spawn(quota::follow(quotas, channel, asker.config.workload.clone()));
        let inner = Inner {
            sharing: sharing.abort_handle(),
            outbound: Mutex::new(Table::new(WATCHES_MAX)),
            endpoints: Mutex::new(Table::new(WATCHES_MAX)),
            inbound: Mutex::new(Table::new(WATCHES_MAX)),
            runtime,
            asker,
        };
        let directory = Self(Arc::new(inner));
        directory.register(registry);
        directory
    }
}

impl Discovery for Directory {
    fn outbound(&self, target: SocketAddr) -> Watched<OutboundPolicy> {
        let asker = &self.0.asker;
        let start = |publish, fresh| self.0.spawn(asker.clone().watch_outbound(target, publish, fresh));
        lock(&self.0.outbound).watch(&target, start).unwrap_or_else(|| {
            log::warn!(target:% = target; "too many outbound watches are in use");
            let mut join = Join::new(target, Unknown::Refuse);
            join.overdue();
            full(join.policy())
        })
    }

    fn endpoints(&self, authority: &str) -> Watched<EndpointSet> {
        let authority = Arc::from(authority);
        let asker = &self.0.asker;
        let start = |publish, fresh| {
            self.0.spawn(asker.clone().watch_endpoints(Arc::clone(&authority), publish, fresh))
        };
        lock(&self.0.endpoints).watch(&authority, start).unwrap_or_else(|| {
            log::warn!(authority:%; "too many endpoint watches are in use");
            full(Some(EndpointSet::default()))
        })
    }

    fn inbound(&self, port: u16) -> Watched<InboundPolicy> {
        let asker = &self.0.asker;
        let start = |publish, fresh| self.0.spawn(asker.clone().watch_inbound(port, publish, fresh));
        lock(&self.0.inbound).watch(&port, start).unwrap_or_else(|| {
            log::warn!(port; "too many inbound watches are in use");
            full(Some(DefaultPolicy::Deny.policy(&[])))
        })
    }
}

impl Inner {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.runtime.spawn(task).abort_handle()
    }
}

impl Asker {
    async fn watch_outbound(
        self,
        target: SocketAddr,
        publish: Publisher<OutboundPolicy>,
        freshness: Arc<Freshness>,
    ) {
        let config = &self.config;
        let inside = defaults::within(&config.cluster_networks, target.ip());
        let unknown =
            if inside && !config.dangerous_forward_unknown { Unknown::Refuse } else { Unknown::Forward };
        let join = Mutex::new(Join::new(target, unknown));
        let has_profile = defaults::within(&config.profile_networks, target.ip());
        if !has_profile {
            lock(&join).profile = Answer::Absent;
        }
        let change = |apply: &mut dyn FnMut(&mut Join)| {
            let mut join = lock(&join);
            apply(&mut join);
            if let Some(policy) = join.policy() {
                publish.send_replace(Some(Arc::new(policy)));
            }
        };
        let policy = self.follow_policy(target, &freshness, &change);
        let profile = async {
            if has_profile {
                self.follow_profile(target, &change).await;
            }
        };
        let late = async {
            sleep(config.first_answer).await;
            if lock(&join).is_unheard() || publish.borrow().is_none() {
                log::warn!(target:% = target, decision:? = unknown; "the control plane has said nothing of a target");
            }
            change(&mut |join: &mut Join| join.overdue());
        };
        // Boxed: three streams in one future would be large, and it is polled rarely.
        tokio::join!(Box::pin(policy), Box::pin(profile), late);
    }

    async fn follow_policy(
        &self,
        target: SocketAddr,
        freshness: &Freshness,
        change: &impl Fn(&mut dyn FnMut(&mut Join)),
    ) {
        let channel = &self.services.policy;
        let open = || {
            let spec = TrafficSpec {
                source_workload: self.config.workload.clone(),
                target: Some(traffic_spec::Target::Addr(tcp_address(target))),
            };
            extension::stream(channel.clone(), channel.origin(), WATCH_OUTBOUND, spec, MESSAGE_BYTES_MAX)
        };
        let hear = |heard: Heard<ExtendedPolicy>| match heard {
            Heard::Absent => change(&mut |join: &mut Join| join.policy = Answer::Absent),
            Heard::Answer { message, .. } => {
                if let Some(extension) = &message.overlay.extension {
                    freshness.heard(extension.version);
                }
                let mut message = Some(message);
                change(&mut |join: &mut Join| {
                    if let Some(message) = message.take() {
                        self.hear_policy(target, message, join);
                    }
                });
            }
        };
        follow("outbound", channel, self.config.limits, freshness, open, hear).await;
    }

    fn hear_policy(&self, target: SocketAddr, message: ExtendedPolicy, join: &mut Join) {
        join.has_profile = message.overlay.extension.as_ref().is_some_and(|extension| extension.has_profile);
        match convert::outbound::policy(message, &mut join.backends) {
            Ok(policy) => join.policy = Answer::Known(policy),
            Err(error) => {
                self.refuse(&self.refused.outbound, &target, &error);
                // Nothing better is known: what cannot be understood is not passed.
                if !matches!(join.policy, Answer::Known(_)) {
                    let refused = defaults::refuse("the policy of this address cannot be understood");
                    join.policy = Answer::Known((Metadata::Default("invalid".into()), refused));
                }
            }
        }
    }

    async fn follow_profile(&self, target: SocketAddr, change: &impl Fn(&mut dyn FnMut(&mut Join))) {
        let client = self.destination();
        let open = || {
            let mut client = client.clone();
            let get = self.get_destination(target.to_string());
            async move { client.get_profile(get).await }
        };
        let hear = |heard| match heard {
            Heard::Absent => change(&mut |join: &mut Join| join.profile = Answer::Absent),
            Heard::Answer { message, .. } => match convert::profile::profile(message) {
                Ok(profile) => change(&mut |join: &mut Join| join.profile = Answer::Known(profile.clone())),
                // Without a profile the limit of the first answer decides.
                Err(error) => self.refuse(&self.refused.outbound, &target, &error),
            },
        };
        // The policy's stream tells the age of the answer.
        let freshness = Freshness::default();
        follow("profile", &self.services.destination, self.config.limits, &freshness, open, hear).await;
    }

    async fn watch_endpoints(
        self,
        authority: Arc<str>,
        publish: Publisher<EndpointSet>,
        freshness: Arc<Freshness>,
    ) {
        let mut endpoints = Endpoints::default();
        let mut doubts = 0_u32;
        let channel = &self.services.destination;
        let open = || {
            let get = self.get_destination(authority.to_string());
            extension::stream(channel.clone(), channel.origin(), GET_ENDPOINTS, get, MESSAGE_BYTES_MAX)
        };
        let hear = |heard| {
            match heard {
                Heard::Absent => endpoints.absent(),
                Heard::Answer { first, message } => {
                    let applied = endpoints.apply(first, message);
                    for error in applied.errors {
                        self.refuse(&self.refused.endpoints, &authority, &error);
                    }
                    match applied.proof {
                        Proof::None => {}
                        Proof::Holds { version } => {
                            doubts = 0;
                            freshness.heard(version);
                        }
                        Proof::Fails => {
                            self.mismatches.fetch_add(1, Ordering::Relaxed);
                            doubts += 1;
                            log::warn!(authority:%, doubts; "endpoints are not those that the control plane has");
                            // A whole answer that is wrong again is all that there is, and better than an old one.
                            if !first || doubts < DOUBTS_MAX {
                                return Next::Anew;
                            }
                        }
                    }
                }
            }
            let set = endpoints.set();
            publish.send_if_modified(|published| {
                let changed = published.as_deref() != Some(&set);
                if changed {
                    *published = Some(Arc::new(set));
                }
                changed
            });
            Next::On
        };
        follow("endpoints", &self.services.destination, self.config.limits, &freshness, open, hear).await;
    }

    async fn watch_inbound(self, port: u16, publish: Publisher<InboundPolicy>, freshness: Arc<Freshness>) {
        let channel = &self.services.policy;
        let open = || {
            let spec = PortSpec { workload: self.config.workload.clone(), port: u32::from(port) };
            extension::stream(channel.clone(), channel.origin(), WATCH_PORT, spec, MESSAGE_BYTES_MAX)
        };
        let config = &self.config;
        let replace = |mut policy: InboundPolicy| {
            let before = publish.borrow().as_ref().map_or(0, |policy| policy.generation);
            policy.generation = before.saturating_add(1);
            publish.send_replace(Some(Arc::new(policy)));
        };
        let default = || config.default_of(port).policy(&config.cluster_networks);
        let heard = Mutex::new(false);
        let hear = |said| {
            let before = std::mem::replace(&mut *lock(&heard), true);
            match said {
                // The control plane knows every port of the workload; one that it does not is under the default.
                Heard::Absent => replace(default()),
                Heard::Answer { message, .. } => match self.read_inbound(message, &freshness) {
                    Ok(policy) => replace(policy),
                    Err(error) => {
                        self.refuse(&self.refused.inbound, &port, &error);
                        // Nothing better is known: what cannot be understood admits nobody.
                        if !before {
                            replace(DefaultPolicy::Deny.policy(&[]));
                        }
                    }
                },
            }
        };
        let late = async {
            sleep(config.first_answer).await;
            if !*lock(&heard) {
                log::warn!(port, policy = config.default_of(port).name(); "no policy of a port is known; the default holds");
                replace(default());
            }
        };
        tokio::join!(follow("inbound", channel, config.limits, &freshness, open, hear), late);
    }

    fn read_inbound(
        &self,
        answer: Extended<inbound::Server, extension::proto::ServerOverlay>,
        freshness: &Freshness,
    ) -> Result<InboundPolicy, Malformed> {
        let version = answer.overlay.extension.as_ref().map(|extension| extension.version);
        let policy = convert::inbound::policy(answer, &self.quotas)?;
        freshness.heard(version.unwrap_or(0));
        Ok(policy)
    }

    fn destination(&self) -> DestinationClient<Channel> {
        let channel = &self.services.destination;
        DestinationClient::with_origin(channel.clone(), channel.origin())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    fn get_destination(&self, path: String) -> GetDestination {
        GetDestination { scheme: "k8s".into(), path, context_token: self.config.context.clone() }
    }

    fn refuse(&self, count: &AtomicU64, target: &dyn fmt::Display, error: &Malformed) {
        count.fetch_add(1, Ordering::Relaxed);
        log::warn!(target:%, error:%; "an answer of the control plane makes no sense and is not used");
    }
}

fn tcp_address(address: SocketAddr) -> TcpAddress {
    TcpAddress { ip: Some(address.ip().into()), port: u32::from(address.port()) }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An answer that will not change, for a target that there is no room to watch.
fn full<T>(value: Option<T>) -> Watched<T> {
    tokio::sync::watch::channel(value.map(Arc::new)).1
}
