//! The command line of `init`, in the words of Linkerd's proxy-init, so that manifests made for it keep working.
//! `--name value` and `--name=value` mean the same.

use std::num::NonZeroU16;
use std::str::FromStr;

use crate::config::{Config, ConfigError, Exemption, Scope};

/// The text of `--help`.
pub const USAGE: &str = "\
usage: hauberk-proxy init [OPTION]...
  -p, --incoming-proxy-port PORT     redirect inbound connections to this port (4143)
  -o, --outgoing-proxy-port PORT     redirect outbound connections to this port (4140)
  -u, --proxy-uid UID                leave alone what this user sends: the proxy itself
  -g, --proxy-gid GID                leave alone what this group sends
      --proxy-mark MARK              leave alone what carries this socket mark
  -r, --ports-to-redirect PORTS      redirect only these inbound ports (all)
      --inbound-ports-to-ignore PORTS    e.g. 4190,4191,9000-9010
      --outbound-ports-to-ignore PORTS
      --subnets-to-ignore SUBNETS    leave alone inbound connections from these networks
      --outbound-subnets-to-ignore SUBNETS
      --ipv6[=true|false]            redirect IPv6 as well (true)
      --timeout-close-wait-secs N    nf_conntrack_tcp_timeout_close_wait (unchanged)
      --netns PATH                   work in this network namespace
      --simulate                     print the rules and change nothing
      --check                        succeed if exactly these rules stand, and change nothing
      --remove                       remove the redirection
Accepted for Linkerd's sake and without meaning here, where no other program is run: --use-wait-flag (-w),
--firewall-bin-path, --firewall-save-bin-path, --iptables-mode, --log-level, --log-format.";

/// What to do, and in which namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct Invocation {
    /// Path of a network namespace; without it, the caller's.
    pub netns: Option<String>,
    /// What to do.
    pub action: Action,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Print the usage.
    Help,
    /// Install the rules, in place of earlier ones.
    Install(Config),
    /// Print the rules.
    Simulate(Config),
    /// Compare the rules with those in the kernel.
    Check(Config),
    /// Remove the rules.
    Remove,
}

/// What is wrong with the command line.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum FlagError {
    /// No such option.
    #[error("unknown option {0:?}")]
    Unknown(String),
    /// The option stands without its value.
    #[error("{0} needs a value")]
    NoValue(String),
    /// The value cannot be read.
    #[error("{flag}: cannot read {value:?}")]
    Value {
        /// The option.
        flag: String,
        /// What it was given.
        value: String,
    },
    /// A port, range or network in a list.
    #[error("{flag}: {source}")]
    Item {
        /// The option.
        flag: String,
        /// What is wrong with the item.
        #[source]
        source: ConfigError,
    },
    /// Nothing tells the proxy's connections from the application's.
    #[error(
        "one of --proxy-uid, --proxy-gid and --proxy-mark is needed: \
         without it the proxy's own connections would be redirected to itself for ever"
    )]
    NobodyExempt,
    /// Both directions at one port.
    #[error("--incoming-proxy-port and --outgoing-proxy-port are both {0}")]
    SamePort(NonZeroU16),
}

/// The options as they were read, before they are judged together.
#[derive(Default)]
struct Draft {
    scope: Scope,
    uid: Option<u32>,
    gid: Option<u32>,
    mark: Option<u32>,
    netns: Option<String>,
    verb: Verb,
}

#[derive(Clone, Copy, Default)]
enum Verb {
    #[default]
    Install,
    Simulate,
    Check,
    Remove,
    Help,
}

/// Parses the words after `init`.
pub fn parse(arguments: &[String]) -> Result<Invocation, FlagError> {
    let mut draft = Draft::default();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let (flag, attached) = match word.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(value)),
            _ => (word.as_str(), None),
        };
        if draft.switch(flag, attached)? {
            continue;
        }
        if !is_valued(flag) {
            return Err(FlagError::Unknown(word.clone()));
        }
        let value = attached.or_else(|| words.next().map(String::as_str));
        draft.option(flag, value.ok_or_else(|| FlagError::NoValue(flag.to_owned()))?)?;
    }
    draft.finish()
}

fn is_valued(flag: &str) -> bool {
    const VALUED: [&str; 21] = [
        "-p",
        "--incoming-proxy-port",
        "-o",
        "--outgoing-proxy-port",
        "-u",
        "--proxy-uid",
        "-g",
        "--proxy-gid",
        "--proxy-mark",
        "-r",
        "--ports-to-redirect",
        "--inbound-ports-to-ignore",
        "--outbound-ports-to-ignore",
        "--subnets-to-ignore",
        "--outbound-subnets-to-ignore",
        "--timeout-close-wait-secs",
        "--netns",
        "--firewall-bin-path",
        "--firewall-save-bin-path",
        "--iptables-mode",
        "--log-level",
    ];
    VALUED.contains(&flag) || flag == "--log-format"
}

impl Draft {
    /// Takes an option that stands alone or has `=true` or `=false`; false when it is none.
    fn switch(&mut self, flag: &str, attached: Option<&str>) -> Result<bool, FlagError> {
        let verb = match flag {
            "--ipv6" => {
                self.scope.ipv6 = truth(flag, attached)?;
                return Ok(true);
            }
            "-w" | "--use-wait-flag" => return truth(flag, attached).map(|_| true),
            "--simulate" => Verb::Simulate,
            "--check" => Verb::Check,
            "--remove" => Verb::Remove,
            "-h" | "--help" => Verb::Help,
            _ => return Ok(false),
        };
        if truth(flag, attached)? {
            self.verb = verb;
        }
        Ok(true)
    }

    fn option(&mut self, flag: &str, value: &str) -> Result<(), FlagError> {
        match flag {
            "-p" | "--incoming-proxy-port" => self.scope.inbound_port = parsed(flag, value)?,
            "-o" | "--outgoing-proxy-port" => self.scope.outbound_port = parsed(flag, value)?,
            "-u" | "--proxy-uid" => self.uid = Some(parsed(flag, value)?),
            "-g" | "--proxy-gid" => self.gid = Some(parsed(flag, value)?),
            "--proxy-mark" => self.mark = Some(parsed_mark(flag, value)?),
            "-r" | "--ports-to-redirect" => self.scope.redirect_inbound_ports = list(flag, value)?,
            "--inbound-ports-to-ignore" => self.scope.skip_inbound_ports = list(flag, value)?,
            "--outbound-ports-to-ignore" => self.scope.skip_outbound_ports = list(flag, value)?,
            "--subnets-to-ignore" => self.scope.skip_inbound_subnets = list(flag, value)?,
            "--outbound-subnets-to-ignore" => self.scope.skip_outbound_subnets = list(flag, value)?,
            "--timeout-close-wait-secs" => {
                // Linkerd's 0 means "unchanged".
                self.scope.close_wait_seconds = Some(parsed(flag, value)?).filter(|seconds| *seconds != 0);
            }
            "--netns" => self.netns = Some(value.to_owned()).filter(|path| !path.is_empty()),
            // The remaining ones have no meaning here.
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Invocation, FlagError> {
        let exemption = Exemption::new(self.uid, self.gid, self.mark).ok_or(FlagError::NobodyExempt);
        let action = match self.verb {
            Verb::Help => Action::Help,
            Verb::Remove => Action::Remove,
            Verb::Install => Action::Install(judged(self.scope, exemption?)?),
            Verb::Check => Action::Check(judged(self.scope, exemption?)?),
            Verb::Simulate => Action::Simulate(judged(self.scope, exemption?)?),
        };
        Ok(Invocation { netns: self.netns, action })
    }
}

fn judged(scope: Scope, exemption: Exemption) -> Result<Config, FlagError> {
    if scope.inbound_port == scope.outbound_port {
        return Err(FlagError::SamePort(scope.inbound_port));
    }
    Ok(Config { exemption, scope })
}

fn truth(flag: &str, attached: Option<&str>) -> Result<bool, FlagError> {
    match attached {
        None | Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(FlagError::Value { flag: flag.to_owned(), value: other.to_owned() }),
    }
}

fn parsed<T: FromStr>(flag: &str, value: &str) -> Result<T, FlagError> {
    value.parse().map_err(|_| FlagError::Value { flag: flag.to_owned(), value: value.to_owned() })
}

/// Marks are mostly written in hexadecimal.
fn parsed_mark(flag: &str, value: &str) -> Result<u32, FlagError> {
    match value.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16)
            .map_err(|_| FlagError::Value { flag: flag.to_owned(), value: value.to_owned() }),
        None => parsed(flag, value),
    }
}

fn list<T: FromStr<Err = ConfigError>>(flag: &str, value: &str) -> Result<Vec<T>, FlagError> {
    let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| item.parse().map_err(|source| FlagError::Item { flag: flag.to_owned(), source }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn config(line: &str) -> Config {
        match parse(&words(line)).unwrap().action {
            Action::Install(config) => config,
            other @ (Action::Help | Action::Simulate(_) | Action::Check(_) | Action::Remove) => {
                panic!("{other:?}")
            }
        }
    }

    #[test]
    fn the_arguments_of_linkerds_injector_are_understood() {
        let config = config(
            "--ipv6=false --incoming-proxy-port 4143 --outgoing-proxy-port 4140 --proxy-uid 2102 \
             --inbound-ports-to-ignore 4190,4191,4567-4568 --outbound-ports-to-ignore 4567,4568 \
             --subnets-to-ignore 10.0.0.0/8 --timeout-close-wait-secs 0 --iptables-mode nft \
             --firewall-bin-path iptables-nft --firewall-save-bin-path iptables-nft-save -w",
        );
        assert_eq!(config.exemption.uid(), Some(2102));
        assert_eq!(config.scope.skip_inbound_ports.len(), 3);
        assert_eq!(config.scope.skip_inbound_subnets.len(), 1);
        assert_eq!((config.scope.ipv6, config.scope.close_wait_seconds), (false, None));
    }

    #[test]
    fn a_mark_is_hexadecimal_or_decimal() {
        assert_eq!(config("--proxy-mark 0x8102").exemption.mark(), Some(0x8102));
        assert_eq!(config("--proxy-mark=33026").exemption.mark(), Some(0x8102));
    }

    #[test]
    fn removing_needs_to_know_nothing() {
        assert_eq!(parse(&words("--remove")).unwrap(), Invocation { netns: None, action: Action::Remove });
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (line, expected) in [
            ("", "one of --proxy-uid"),
            ("--proxy-uid", "--proxy-uid needs a value"),
            ("--proxy-uid root", "--proxy-uid: cannot read \"root\""),
            ("--proxy-uid 1 --fly", "unknown option \"--fly\""),
            ("--proxy-uid 1 4143", "unknown option \"4143\""),
            ("--proxy-uid 1 --ipv6=yes", "--ipv6: cannot read \"yes\""),
            ("--proxy-uid 1 -p 4140", "are both 4140"),
            ("--proxy-uid 1 -p 0", "-p: cannot read \"0\""),
            ("--proxy-uid 1 --inbound-ports-to-ignore 5-4", "\"5-4\" is neither a port nor a range"),
            ("--proxy-uid 1 --subnets-to-ignore 10.0.0.0", "\"10.0.0.0\" is no network"),
        ] {
            let error = parse(&words(line)).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
