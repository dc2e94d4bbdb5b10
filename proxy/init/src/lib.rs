//! Transparent redirection: every TCP connection into and out of a pod goes through the proxy beside it.
//!
//! One nf_tables table holds the rules. Installing replaces whatever an earlier call left, removing succeeds when
//! nothing is there, and both are single transactions: at no moment is a pod half redirected. Nothing is run
//! and nothing but the capability CAP_NET_ADMIN is needed.
//!
//! [`rules::rules`] decides, `table` acts, [`flags`] reads the command line in Linkerd's words.

pub mod config;
mod encode;
pub mod flags;
pub mod netlink;
pub mod rules;
mod table;

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use config::Config;
use flags::{Action, FlagError, Invocation};
use rules::Rule;

pub use table::{Missing, TableError, install, installed, remove, verify};

/// Why there is no redirection.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The command line.
    #[error("{0}\n{usage}", usage = flags::USAGE)]
    Flag(#[from] FlagError),
    /// The kernel.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The network namespace that was named cannot be entered.
    #[error("cannot enter the network namespace {path}")]
    Namespace {
        /// What was named.
        path: String,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
    /// The connection tracker's time for half-closed connections cannot be set.
    #[error("cannot set {CLOSE_WAIT}")]
    CloseWait(#[source] io::Error),
}

const CLOSE_WAIT: &str = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait";

/// What a call did. Its text is one line for the log, or the rules of a simulation.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// The rules stand.
    Installed {
        /// How many.
        rules: usize,
        /// What of IPv6.
        ipv6: Ipv6,
    },
    /// Exactly the rules asked for stand.
    Stands,
    /// No rule of ours is left.
    Removed,
    /// Nothing was changed; this would have been.
    Simulated(Vec<Rule>),
    /// The help was asked for.
    Usage,
}

/// Whether IPv6 connections go through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv6 {
    /// As IPv4 ones do.
    Redirected,
    /// `--ipv6=false`: they are left alone.
    NotAsked,
    /// The kernel's nf_tables cannot: IPv4 only.
    Unsupported,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Installed { rules, ipv6 } => {
                let ipv6 = match ipv6 {
                    Ipv6::Redirected => "IPv4 and IPv6",
                    Ipv6::NotAsked => "IPv4 only, as asked",
                    Ipv6::Unsupported => {
                        "IPv4 only: this kernel has no nf_tables for IPv6 (CONFIG_NF_TABLES_INET, CONFIG_IPV6)"
                    }
                };
                write!(f, "redirection installed: {rules} rules, {ipv6}")
            }
            Self::Stands => f.write_str("redirection stands as asked"),
            Self::Removed => f.write_str("redirection removed"),
            Self::Simulated(rules) => rules.iter().try_for_each(|rule| writeln!(f, "{}: {rule}", rule.chain)),
            Self::Usage => f.write_str(flags::USAGE),
        }
    }
}

/// Runs the `init` subcommand: `arguments` are the words after it.
///
/// With `--netns` the calling thread stays in that namespace: call it from a process that ends afterwards.
pub fn cli(arguments: &[String]) -> Result<Report, InitError> {
    let invocation = flags::parse(arguments)?;
    take_up_net_admin();
    if let Some(path) = &invocation.netns {
        enter(path).map_err(|source| InitError::Namespace { path: path.clone(), source })?;
    }
    act(&invocation)
}

/// Makes CAP_NET_ADMIN effective if it is permitted: a user who is not root has it from the file, which only permits it.
///
/// Whoever has it not is told so by the kernel's answer to what needs it.
fn take_up_net_admin() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let Ok(mut sets) = capabilities(None) else { return };
    if sets.permitted.contains(CapabilitySet::NET_ADMIN) && !sets.effective.contains(CapabilitySet::NET_ADMIN)
    {
        sets.effective |= CapabilitySet::NET_ADMIN;
        let _refused = set_capabilities(None, sets);
    }
}

fn act(invocation: &Invocation) -> Result<Report, InitError> {
    match &invocation.action {
        Action::Help => Ok(Report::Usage),
        Action::Remove => {
            remove()?;
            Ok(Report::Removed)
        }
        Action::Check(config) => {
            verify(config)?;
            Ok(Report::Stands)
        }
        Action::Simulate(config) => Ok(Report::Simulated(rules::rules(config))),
        Action::Install(config) => {
            let ipv6 = install(config)?;
            set_close_wait(config)?;
            Ok(Report::Installed { rules: rules::rules(config).len(), ipv6 })
        }
    }
}

fn enter(path: &str) -> io::Result<()> {
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    use std::os::fd::AsFd;
    let file = fs::File::open(path)?;
    Ok(move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?)
}

/// After the rules: the setting exists only once the connection tracker runs in this namespace.
fn set_close_wait(config: &Config) -> Result<(), InitError> {
    match config.scope.close_wait_seconds {
        None => Ok(()),
        Some(seconds) => fs::write(Path::new(CLOSE_WAIT), seconds.to_string()).map_err(InitError::CloseWait),
    }
}
