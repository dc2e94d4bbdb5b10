//! All of `hauberk-proxy` but its first line, which each build profile has of its own: the sidecar (`run`, also without an argument), and all else that a pod or a node needs of its image:
//! the redirection (`init`, `cni`, `install-cni`), the proof of it (`network-validator`), and the wait for it (`await`).

#![forbid(unsafe_code)]

mod access;
mod admin;
mod approval;
mod ask;
mod cni;
mod config;
mod control;
mod log;
mod memory;
mod proxy;
mod resource;
mod shutdown;
mod validator;
mod wait;

use std::process::ExitCode;

pub use hauberk_tls::Module;

/// Exit status for a command line or environment that cannot be used (`EX_USAGE` of sysexits.h).
const USAGE: u8 = 64;

const HELP: &str = "\
hauberk-proxy, the data plane of the Hauberk service mesh

usage:
  hauberk-proxy [run]        run the proxy; settings come from HAUBERK_PROXY_* and LINKERD2_PROXY_* variables
  hauberk-proxy init ...     redirect this network namespace's connections to the proxy (init --help)
  hauberk-proxy ask PATH     ask the admin server of the proxy whose environment this is, such as /explain?id=ID
  hauberk-proxy await ...    wait until the proxy of this pod is ready (--timeout=2m --port=4191)
  hauberk-proxy network-validator ...
                             prove that this pod's connections are redirected, before anything else runs
  hauberk-proxy cni          one call of the CNI plugin, as a container runtime makes it
  hauberk-proxy install-cni ...
                             put the plugin on this node and keep it there (install-cni --help)
  hauberk-proxy fips         say which cryptographic module is linked; fails unless it is in approved mode
  hauberk-proxy version      print the version

Called linkerd-await, it is await; called linkerd-cni, it is cni.
";

/// The program, with the module that it links.
#[must_use]
pub fn main(module: Module) -> ExitCode {
    let mut arguments = std::env::args();
    let called = arguments.next().unwrap_or_default();
    // Manifests and runtimes that know Linkerd's programs find them by their paths.
    let command = match called.rsplit('/').next() {
        Some("linkerd-await") => Some("await".to_owned()),
        Some(hauberk_cni::conflist::PLUGIN) => Some("cni".to_owned()),
        Some(_) | None => arguments.next(),
    };
    let rest: Vec<String> = arguments.collect();
    match command.as_deref() {
        None => run(&rest, module),
        Some("run") => run(&rest, module),
        Some("init") => init(&rest),
        Some("ask") => ask(&rest),
        Some("await") => wait(&rest),
        Some("network-validator") => validate(&rest),
        Some("cni") => cni::plugin(),
        Some("install-cni") => cni::install(&rest).unwrap_or_else(|error| {
            eprintln!("hauberk-proxy install-cni: {error:#}");
            ExitCode::FAILURE
        }),
        Some("fips") => approval::tell(module),
        Some("version" | "--version" | "-V") => {
            println!("hauberk-proxy {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Some(other) => {
            eprintln!("hauberk-proxy: there is no command {other:?}\n\n{HELP}");
            ExitCode::from(USAGE)
        }
    }
}

fn run(arguments: &[String], module: Module) -> ExitCode {
    if let Some(unexpected) = arguments.first() {
        eprintln!("hauberk-proxy run takes no arguments, and {unexpected:?} is one\n\n{HELP}");
        return ExitCode::from(USAGE);
    }
    // Names that are not Unicode cannot be ours, and a value that is not is a mistake like any other.
    let variables: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .collect();
    let config = match config::Config::from_env(variables.iter().cloned()) {
        Ok(config) => config,
        Err(mistakes) => {
            eprintln!("hauberk-proxy cannot start; {} mistake(s) in its environment:", mistakes.len());
            for mistake in mistakes {
                eprintln!("  {mistake}");
            }
            return ExitCode::from(USAGE);
        }
    };
    log::start(config.log_format, config.log_filter.clone());
    for setting in &config.missing {
        ::log::warn!(setting; "this setting asks for a feature that this proxy does not have");
    }
    for variable in &config.unknown {
        ::log::warn!(variable; "this variable is unknown and changes nothing");
    }
    let ours = variables.into_iter().filter(|(name, _)| {
        [config::read::OURS, config::read::PEERS].iter().any(|prefix| name.starts_with(prefix))
    });
    match proxy::run(config, ours.collect(), module) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ::log::error!(error:% = format!("{error:#}"); "hauberk-proxy ends");
            ExitCode::FAILURE
        }
    }
}

fn ask(arguments: &[String]) -> ExitCode {
    let port = ask::port(|name| std::env::var(name).ok());
    let [path] = arguments else {
        eprintln!("hauberk-proxy ask takes one path\n\n{HELP}");
        return ExitCode::from(USAGE);
    };
    match ask::ask(port, path) {
        Ok(body) => {
            print!("{body}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("hauberk-proxy ask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn init(arguments: &[String]) -> ExitCode {
    match hauberk_init::cli(arguments) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("hauberk-proxy init: {:#}", anyhow::Error::from(error));
            ExitCode::FAILURE
        }
    }
}

fn wait(arguments: &[String]) -> ExitCode {
    let wait = match wait::parse(arguments, |name| std::env::var(name).ok()) {
        Ok(wait) => wait,
        Err(mistake) => {
            eprintln!("hauberk-proxy await: {mistake}");
            return ExitCode::from(USAGE);
        }
    };
    match wait.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hauberk-proxy await: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn validate(arguments: &[String]) -> ExitCode {
    let proof = match validator::parse(arguments) {
        Ok(proof) => proof,
        Err(mistake) => {
            eprintln!("hauberk-proxy network-validator: {mistake}");
            return ExitCode::from(USAGE);
        }
    };
    match proof.run() {
        Ok(addresses) => {
            println!("connections to {addresses:?} are redirected");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("hauberk-proxy network-validator: {error:#}");
            ExitCode::FAILURE
        }
    }
}
