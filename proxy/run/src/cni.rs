//! `hauberk-proxy cni` and `hauberk-proxy install-cni`: the edges of the CNI plugin.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use hauberk_cni::install::{Goal, Node, Step, pass, stands};
use hauberk_cni::plugin::{Call, answer};
use hauberk_cni::repair::{Repaired, repair};

/// Most bytes of a call's configuration: annotations of 256 KiB, escaped, and the network's own.
const INPUT_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Between two looks at the node.
const LOOK: Duration = Duration::from_secs(1);

const INSTALL_HELP: &str = "\
usage: hauberk-proxy install-cni [OPTION]...
      --host PATH          where the node's file system is (/host)
      --bin-dir PATH       the node's directory of plugins (/opt/cni/bin)
      --net-dir PATH       of network configurations (/etc/cni/net.d)
      --cache-dir PATH     of what the runtime remembers of pods (/var/lib/cni)
      --once               make one pass and end; without it, passes are made until SIGTERM
      --check              succeed if the plugin is in place and chained
      --remove             take the plugin out of every configuration, then away, and end";

/// One call of the plugin, from the environment and standard input.
pub fn plugin() -> ExitCode {
    let mut input = String::new();
    let read = std::io::stdin().take(INPUT_BYTES_MAX).read_to_string(&mut input);
    let command = std::env::var("CNI_COMMAND").unwrap_or_default();
    let netns = std::env::var("CNI_NETNS").ok();
    let call = Call {
        command: &command,
        netns: netns.as_deref(),
        // What cannot be read is not JSON either.
        input: if read.is_ok() { &input } else { "" },
    };
    let ended = answer(call, init);
    if !ended.output.is_empty() {
        println!("{}", ended.output);
    }
    if ended.succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn init(words: &[String]) -> Result<(), String> {
    hauberk_init::cli(words).map(|_| ()).map_err(|error| format!("{:#}", anyhow::Error::from(error)))
}

/// What the installer is to do.
#[derive(Debug, PartialEq, Eq)]
enum Verb {
    Keep,
    Once,
    Check,
    Remove,
    Help,
}

struct Invocation {
    node: Node,
    verb: Verb,
}

/// The installer, from the words after `install-cni`.
pub fn install(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let Invocation { node, verb } =
        parse(arguments).map_err(|text| anyhow::anyhow!("{text}\n{INSTALL_HELP}"))?;
    let program = std::env::current_exe().context("cannot tell this program's file")?;
    match verb {
        Verb::Help => println!("{INSTALL_HELP}"),
        Verb::Check => {
            return Ok(if stands(&node) { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Verb::Once => report(&pass(&node, &program, Goal::Installed)?),
        Verb::Remove => report(&pass(&node, &program, Goal::Removed)?),
        Verb::Keep => keep(&node, &program)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Passes until SIGTERM. The plugin stays: it needs no process, and the next release's installer takes over.
fn keep(node: &Node, program: &std::path::Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let mut ended = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let mut interrupted = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
        let mut settled = BTreeSet::new();
        let mut trouble = String::new();
        loop {
            let said = match pass(node, program, Goal::Installed) {
                Ok(steps) => {
                    report(&steps);
                    String::new()
                }
                Err(error) => error.to_string(),
            };
            // The same trouble is told once.
            if said != trouble && !said.is_empty() {
                eprintln!("hauberk-proxy install-cni: {said}");
            }
            trouble = said;
            for repaired in repair(&node.cache_dir, &mut settled, apart) {
                match repaired {
                    Repaired::Now(pod) => println!("{pod} was there before the plugin; it is redirected now"),
                    Repaired::Failed(pod, why) => eprintln!("{pod} cannot be redirected: {why}"),
                }
            }
            tokio::select! {
                _ = ended.recv() => return Ok(()),
                _ = interrupted.recv() => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    })
}

/// On a thread of its own, which stays in the pod's network and ends.
fn apart(words: Vec<String>) -> Result<(), String> {
    let thread = std::thread::spawn(move || init(&words));
    thread.join().unwrap_or_else(|_| Err("the thread that redirects ended".to_owned()))
}

fn report(steps: &[Step]) {
    for step in steps {
        match step {
            Step::Plugin => println!("the plugin's file was put right"),
            Step::Chained(path) => println!("chained in {}", path.display()),
            Step::Unchained(path) => println!("taken out of {}", path.display()),
            Step::Left(path, error) => eprintln!("{} is left as it is: {error}", path.display()),
        }
    }
}

fn parse(arguments: &[String]) -> Result<Invocation, String> {
    let mut host = PathBuf::from("/host");
    let (mut bin, mut net, mut cache) =
        (PathBuf::from("/opt/cni/bin"), PathBuf::from("/etc/cni/net.d"), PathBuf::from("/var/lib/cni"));
    let mut verb = Verb::Keep;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let (flag, attached) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (word.as_str(), None),
        };
        let mut value = || {
            let value = attached.or_else(|| words.next().map(String::as_str));
            value.map(PathBuf::from).ok_or_else(|| format!("{flag} needs a value"))
        };
        match flag {
            "--host" => host = value()?,
            "--bin-dir" => bin = value()?,
            "--net-dir" => net = value()?,
            "--cache-dir" => cache = value()?,
            "--once" => verb = Verb::Once,
            "--check" => verb = Verb::Check,
            "--remove" => verb = Verb::Remove,
            "-h" | "--help" => verb = Verb::Help,
            _ => return Err(format!("there is no option {word:?}")),
        }
    }
    // Paths of the node as this process sees them.
    let on_node =
        |path: PathBuf| path.strip_prefix("/").map_or_else(|_| host.join(&path), |rest| host.join(rest));
    Ok(Invocation {
        node: Node { bin_dir: on_node(bin), net_dir: on_node(net), cache_dir: on_node(cache) },
        verb,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directories_lie_below_the_node_s_file_system() {
        let words = ["--host=/n", "--net-dir", "/etc/rancher/cni", "--once"].map(str::to_owned);
        let Invocation { node, verb } = parse(&words).unwrap();
        assert_eq!(verb, Verb::Once);
        assert_eq!(node.net_dir, PathBuf::from("/n/etc/rancher/cni"));
        assert_eq!(node.bin_dir, PathBuf::from("/n/opt/cni/bin"));
        assert!(parse(&["--hots".to_owned()]).is_err());
        assert!(parse(&["--host".to_owned()]).is_err());
    }
}
