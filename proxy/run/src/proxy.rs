//! The running proxy: one thread for data, which is the main one, and one for control.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use hauberk_control::otlp::Queue;
use hauberk_data::{AccessLog, Drained, Spans, Watching};
use hauberk_model::drain::Drain;
use hauberk_model::tap::Taps;
use hauberk_model::trace::Span;
use hauberk_observe::{Labels, Limits, Registry, families, process};
use hauberk_tls::{Approval, Module};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, mpsc, watch};

use crate::access;
use crate::admin::{self, Admin};
use crate::approval::withhold;
use crate::config::Config;
use crate::config::tracing::Tracing;
use crate::control::Control;
use crate::shutdown;

/// Questions to the data thread that may wait; the admin server has no more connections.
const QUESTIONS_MAX: usize = 32;
/// Longest wait for the access log's last lines, and how often it is looked for.
const LINES_WRITTEN_WITHIN: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Longest wait for the control thread once the data thread has ended.
const CONTROL_STOPS_WITHIN: Duration = Duration::from_secs(1);

/// Spans go to the control thread.
struct Exported(Queue);

impl Spans for Exported {
    fn put(&self, span: Span) {
        self.0.put(span);
    }
}

/// Runs until it is told to stop and open connections have ended, or their time is up.
///
/// # Errors
/// A listener cannot be bound, or a thread cannot be started.
pub fn run(config: Config, environment: Vec<(String, String)>, module: Module) -> anyhow::Result<()> {
    let approval = hauberk_tls::approval(config.fips);
    let registry = registry(&config, module, approval);
    let runtime = runtime("control")?;
    if let Approval::Refused(why) = approval {
        return withhold(&runtime, bind(config.admin_listen)?, registry, environment, why.to_string());
    }
    let Module { name, version } = module;
    ::log::info!(module = name, version, approved = approval == Approval::Approved; "cryptographic module");
    serve(config, environment, registry, runtime)
}

fn serve(
    config: Config,
    environment: Vec<(String, String)>,
    registry: Registry,
    runtime: Runtime,
) -> anyhow::Result<()> {
    // First, so that the certificate is on its way while the rest starts.
    let mut control = Control::start(&config, runtime.handle(), &registry)?;
    let (drain, drained) = watch::channel(Drain::Running);
    let asked = Arc::new(Notify::new());
    let (ask, questions) = mpsc::channel(QUESTIONS_MAX);
    let admin = Admin {
        registry: registry.clone(),
        credentials: config.identity.is_some().then(|| control.credentials.clone()),
        drain: drained.clone(),
        withheld: None,
        shutdown: config.shutdown_endpoint.then(|| Arc::clone(&asked)),
        questions: ask,
        environment,
    };
    let admin_listener = bind(config.admin_listen)?;
    let listeners = hauberk_data::bind(&config.data).context("cannot bind the proxy's listeners")?;
    let own = own_address(&config);
    let steering = shutdown::steer(drain, config.shutdown_grace, asked, control.directory.clone(), own);
    let taps = Taps::default();
    control.tap(&config, taps.clone())?;
    let (access_log, writer) = match config.observing.access_log {
        None => (None, None),
        Some(format) => {
            let (log, writer) =
                access::start(&registry, std::io::stdout()).context("cannot start the access log")?;
            (Some(AccessLog { format, lines: Box::new(log) }), Some(writer))
        }
    };
    let redacted = config.observing.tap.as_ref().map(|tap| tap.redacted.clone()).unwrap_or_default();
    let ratio = config.tracing.as_ref().map_or(0.0, Tracing::ratio);
    let spans = control.spans.take();
    let tracing = spans.map(|spans| hauberk_data::Tracing { ratio, spans: Box::new(Exported(spans)) });
    let serving = async move {
        let listener = tokio::net::TcpListener::from_std(admin_listener)?;
        tokio::select! {
            () = admin::serve(listener, Arc::new(admin)) => Ok(()),
            steered = steering => steered,
        }
    };
    let (directory, credentials) = (control.directory.clone(), control.credentials.clone());
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let control_thread = thread::Builder::new()
        .name("control".into())
        .spawn(move || control_thread(&runtime, control, serving, ended))
        .context("cannot start the control thread")?;
    if config.cores > 1 {
        ::log::warn!(cores = config.cores; "this proxy runs one data thread; more cores stay unused");
    }
    let (inbound, outbound) = (listeners.inbound_addr()?, listeners.outbound_addrs()?);
    ::log::info!(inbound:%, outbound:?, admin:% = config.admin_listen; "serving");
    let data = self::runtime("data")?;
    let outcome = data.block_on(hauberk_data::serve(
        config.data,
        listeners,
        Arc::new(directory),
        credentials,
        registry,
        drained,
        Watching { questions: Some(questions), access_log, taps, redacted, tracing },
    ));
    if let Some(writer) = writer {
        finish(writer);
    }
    let _ = end.send(());
    let _ = control_thread.join();
    match outcome.context("the data thread failed")? {
        Drained::Clean => ::log::info!("every connection has ended"),
        Drained::Cut { open } => ::log::warn!(open; "the time is up; open connections are cut"),
    }
    Ok(())
}

/// Lets the access log's last lines be written, unless nobody reads them.
fn finish(writer: thread::JoinHandle<std::io::Result<()>>) {
    let end = Instant::now() + LINES_WRITTEN_WITHIN;
    while !writer.is_finished() && Instant::now() < end {
        thread::sleep(LOOK_AGAIN);
    }
    if writer.is_finished()
        && let Ok(Err(error)) = writer.join()
    {
        ::log::warn!(error:%; "the access log could not be written to its end");
    }
}

fn control_thread(
    runtime: &Runtime,
    control: Control,
    serving: impl Future<Output = std::io::Result<()>>,
    ended: tokio::sync::oneshot::Receiver<()>,
) {
    runtime.block_on(async {
        tokio::select! {
            served = serving => {
                if let Err(error) = served {
                    ::log::error!(error:%; "the control thread cannot serve");
                }
            }
            _ = ended => {}
        }
        let _ = tokio::time::timeout(CONTROL_STOPS_WITHIN, control.stop()).await;
    });
}

fn runtime(which: &'static str) -> anyhow::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .with_context(|| format!("cannot start the {which} runtime"))
}

fn bind(to: SocketAddr) -> anyhow::Result<TcpListener> {
    hauberk_data::listen(to).with_context(|| format!("cannot listen on {to} for the admin server"))
}

/// The address under which peers know this workload.
fn own_address(config: &Config) -> Option<SocketAddr> {
    let ip = config.data.own_ips.iter().find(|ip| !ip.is_loopback())?;
    let port = config.data.inbound_ports.first()?;
    Some(SocketAddr::new(*ip, *port))
}

fn registry(config: &Config, module: Module, approval: Approval) -> Registry {
    let limits = Limits { retain_idle: config.metrics_retain_idle, ..Limits::default() };
    let registry = Registry::new(limits);
    process::register(&registry, SystemTime::now());
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let build = Labels::new()
        .with("version", env!("CARGO_PKG_VERSION"))
        .with("git_sha", option_env!("HAUBERK_GIT_SHA").unwrap_or(""))
        .with("profile", profile)
        .with("vendor", "hauberk")
        .with("date", option_env!("HAUBERK_BUILD_DATE").unwrap_or(""));
    registry.gauge_source(&families::PROXY_BUILD_INFO, Box::new(move |put| put(build.clone(), 1.0)));
    let facts = hauberk_tls::facts(config.post_quantum);
    let tls = Labels::new()
        .with("tls_suites", facts.suites.join(","))
        .with("tls_kx_groups", facts.groups.join(","))
        .with("tls_rand", "aws-lc")
        .with("tls_key_provider", "aws-lc")
        .with("tls_fips", if facts.fips { "true" } else { "false" });
    registry.gauge_source(&families::RUSTLS_INFO, Box::new(move |put| put(tls.clone(), 1.0)));
    let module = Labels::new()
        .with("module", module.name)
        .with("version", module.version)
        .with("approved", if approval == Approval::Approved { "true" } else { "false" });
    registry
        .gauge_source(&families::HAUBERK_CRYPTO_MODULE_INFO, Box::new(move |put| put(module.clone(), 1.0)));
    registry
}
