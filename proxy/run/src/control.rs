//! The control thread: discovery, policy, identity, admin and signals.

use std::sync::Arc;

use anyhow::Context as _;
use hauberk_control::directory::Directory;
use hauberk_control::identity::{self, Ends, Request};
use hauberk_control::otlp::{self, Queue};
use hauberk_control::tap::Tapping;
use hauberk_control::transport::{Channel, Meters, Resolver, Security, Service, maintain};
use hauberk_control::trust::Trust;
use hauberk_control::{Services, directory};
use hauberk_model::tap::Taps;
use hauberk_observe::Registry;
use hauberk_tls::{CredentialsWatch, Dialer};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, IdentityConfig, Peer};
use crate::resource::resource;

/// What runs on the control thread.
pub struct Control {
    /// What data threads may ask.
    pub directory: Directory,
    /// The current certificate.
    pub credentials: CredentialsWatch,
    /// Where spans are put, where requests are traced.
    pub spans: Option<Queue>,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Those who have something to say before the end.
    last: TaskTracker,
    ends: CancellationToken,
    runtime: Handle,
}

impl Control {
    /// Starts the clients on `runtime`. The key is made there too, so that the caller can bind listeners meanwhile.
    ///
    /// # Errors
    /// TLS cannot be configured.
    pub fn start(config: &Config, runtime: &Handle, registry: &Registry) -> anyhow::Result<Self> {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (publish, credentials) = identity::channel();
        let (min, max) = config.dns_ttl;
        let resolver = Resolver::new(config.resolv_conf.clone(), min, max);
        let start = Start { config, runtime, tasks: &tasks, stop: &stop, resolver: &resolver, registry };
        let trust = match &config.identity {
            Some(identity) => Some(start.identity(identity, &credentials, publish, registry)?),
            None => None,
        };
        let services = Services {
            destination: start.channel("destination", &config.destination, &credentials),
            policy: start.channel("policy", &config.policy, &credentials),
        };
        let settings: directory::Config = config.directory.clone();
        if let Some(trust) = trust {
            let (channel, workload) = (services.policy.clone(), settings.workload.clone());
            let (credentials, registry) = (credentials.clone(), registry.clone());
            start.spawn(trust.follow(channel, workload, settings.limits, credentials, registry));
        }
        let directory = Directory::new(services, settings, runtime.clone(), registry);
        let (last, ends) = (TaskTracker::new(), CancellationToken::new());
        let spans = config.tracing.as_ref().map(|tracing| {
            let (queue, exporter) = otlp::queue(registry, resource(tracing));
            let channel = start.channel("trace-collector", &tracing.collector, &credentials);
            last.spawn_on(exporter.run(channel, ends.clone()), runtime);
            queue
        });
        let runtime = runtime.clone();
        Ok(Self { directory, credentials, spans, tasks, stop, last, ends, runtime })
    }

    /// Serves those who tap, where somebody is named who may and there is an identity to meet them with.
    ///
    /// # Errors
    /// The port is taken.
    pub fn tap(&self, config: &Config, taps: Taps) -> anyhow::Result<()> {
        let (Some(tap), Some(_)) = (&config.observing.tap, &config.identity) else { return Ok(()) };
        let listener = hauberk_data::listen(tap.listen)
            .with_context(|| format!("cannot listen on {} for taps", tap.listen))?;
        let (client, credentials) = (tap.client.clone(), self.credentials.clone());
        let tapping = Arc::new(Tapping { client, taps, credentials });
        let stop = self.stop.clone();
        self.tasks.spawn_on(
            async move {
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => {
                        let _ =
                            stop.run_until_cancelled(hauberk_control::tap::serve(listener, tapping)).await;
                    }
                    Err(error) => log::error!(error:%; "taps cannot be served"),
                }
            },
            &self.runtime,
        );
        Ok(())
    }

    /// Ends the clients and waits for them.
    pub async fn stop(&self) {
        self.ends.cancel();
        self.last.close();
        self.last.wait().await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

struct Start<'a> {
    config: &'a Config,
    runtime: &'a Handle,
    tasks: &'a TaskTracker,
    stop: &'a CancellationToken,
    resolver: &'a Resolver,
    registry: &'a Registry,
}

impl Start<'_> {
    fn channel(&self, name: &'static str, peer: &Peer, credentials: &CredentialsWatch) -> Channel {
        let security = match &peer.target {
            None => Security::Plaintext,
            Some(target) => Security::Mutual { target: target.clone(), credentials: credentials.clone() },
        };
        let (channel, task) =
            maintain(self.service(name, peer, security), self.resolver.clone(), self.stop.clone());
        self.spawn(task);
        channel
    }

    fn identity(
        &self,
        identity: &IdentityConfig,
        credentials: &CredentialsWatch,
        publish: watch::Sender<Option<Arc<hauberk_tls::Credentials>>>,
        registry: &Registry,
    ) -> anyhow::Result<Trust> {
        let anonymous = Dialer::anonymous(&identity.anchors, self.config.post_quantum);
        let (anonymous, dialer) = watch::channel(anonymous.context("cannot configure TLS")?);
        let security = match &identity.service.target {
            None => Security::Plaintext,
            Some(target) => Security::Server {
                target: target.clone(),
                credentials: credentials.clone(),
                anonymous: dialer,
            },
        };
        let service = self.service("identity", &identity.service, security);
        let settings = identity::Config {
            identity: identity.local.clone(),
            anchors: identity.anchors.clone(),
            token_file: identity.token_file.clone(),
            dir: identity.dir.clone(),
            min_refresh: identity.refresh.0,
            max_refresh: identity.refresh.1,
            post_quantum: self.config.post_quantum,
        };
        let (trust, wishes) = Trust::new();
        let ends = Ends { publish, anonymous, wishes, registry: registry.clone() };
        let resolver = self.resolver.clone();
        self.spawn(async move {
            if !hauberk_tls::warm_up() {
                log::error!("the random generator does not work; no connection can be proven");
                return;
            }
            match Request::prepare(&settings.identity, settings.dir.as_deref()) {
                Ok(request) => identity::keep(settings, request, service, resolver, ends).await,
                Err(error) => log::error!(error:%; "no key for a certificate; no connection can be proven"),
            }
        });
        Ok(trust)
    }

    fn service(&self, name: &'static str, peer: &Peer, security: Security) -> Service {
        let meters = Meters::new(self.registry, name, &peer.authority, &security);
        Service { name, authority: peer.authority.clone(), security, mark: self.config.data.mark, meters }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let stop = self.stop.clone();
        let until_stopped = async move {
            let _ = stop.run_until_cancelled(task).await;
        };
        self.tasks.spawn_on(until_stopped, self.runtime)
    }
}
