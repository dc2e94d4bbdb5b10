//! The command line, parsed once and strictly.

use std::str::FromStr;

use crate::exec::{Capability, Exec};
use crate::publish::Publish;

/// The text of `--help`.
pub const USAGE: &str = "\
usage: hauberk-sandbox serve [--rootless]
       hauberk-sandbox exec --net PATH [--user PATH] [--resolv-conf FILE] [--hosts FILE] [--hostname NAME]
                [--uid N] [--keep-cap net_admin|net_raw]... [--cwd DIR] -- COMMAND [ARGUMENT]...
       hauberk-sandbox init [--net PATH [--user PATH]] -- [OPTION OF hauberk-proxy init]...
       hauberk-sandbox publish --net PATH [--user PATH] --listen ADDRESS:PORT --to ADDRESS:PORT";

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Invocation {
    /// Keep pods until standard input closes.
    Serve { rootless: bool },
    /// Run a command in a pod.
    Exec(Exec),
    /// Set or remove a pod's redirection.
    Init(Init),
    /// Open a door into a pod.
    Publish(Publish),
    /// Print the usage.
    Help,
}

/// A redirection to set, as `hauberk-proxy init` does from within.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Init {
    /// The sandbox's user namespace, when it is rootless.
    pub user: Option<String>,
    /// The pod's network namespace; without it, the caller's.
    pub net: Option<String>,
    /// As `hauberk-proxy init` takes them.
    pub options: Vec<String>,
}

/// What is wrong with the command line.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ArgumentError {
    /// No or an unknown subcommand.
    #[error("expected serve, exec, init or publish")]
    Command,
    /// No such option for this subcommand.
    #[error("unknown option {0}")]
    Unknown(String),
    /// The option stands without its value.
    #[error("{0} needs a value")]
    NoValue(String),
    /// The value cannot be read.
    #[error("{option}: cannot read {value:?}")]
    Value { option: String, value: String },
    /// An option that must be given.
    #[error("{0} is needed")]
    Missing(&'static str),
}

/// Parses the words after the program's name.
pub fn parse(words: &[String]) -> Result<Invocation, ArgumentError> {
    let mut words = words.iter().cloned();
    match words.next().as_deref() {
        Some("serve") => serve(words),
        Some("exec") => exec(words),
        Some("init") => init(words),
        Some("publish") => publish(words),
        Some("--help" | "-h" | "help") => Ok(Invocation::Help),
        _ => Err(ArgumentError::Command),
    }
}

fn serve(words: impl Iterator<Item = String>) -> Result<Invocation, ArgumentError> {
    let mut rootless = false;
    for word in words {
        match word.as_str() {
            "--rootless" => rootless = true,
            _ => return Err(ArgumentError::Unknown(word)),
        }
    }
    Ok(Invocation::Serve { rootless })
}

fn exec(mut words: impl Iterator<Item = String>) -> Result<Invocation, ArgumentError> {
    let mut options = Exec::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--" => break,
            "--net" => options.net = value(word, &mut words)?,
            "--user" => options.user = Some(value(word, &mut words)?),
            "--resolv-conf" => options.resolv_conf = Some(value(word, &mut words)?.into()),
            "--hosts" => options.hosts = Some(value(word, &mut words)?.into()),
            "--hostname" => options.hostname = Some(value(word, &mut words)?),
            "--uid" => options.uid = Some(parsed(word, &mut words)?),
            "--cwd" => options.cwd = Some(value(word, &mut words)?.into()),
            "--keep-cap" => match value(word.clone(), &mut words)?.as_str() {
                "net_admin" => options.keep.push(Capability::NetAdmin),
                "net_raw" => options.keep.push(Capability::NetRaw),
                other => return Err(ArgumentError::Value { option: word, value: other.to_owned() }),
            },
            _ => return Err(ArgumentError::Unknown(word)),
        }
    }
    options.command.extend(words);
    if options.net.is_empty() {
        return Err(ArgumentError::Missing("--net"));
    }
    if options.command.is_empty() {
        return Err(ArgumentError::Missing("-- COMMAND"));
    }
    Ok(Invocation::Exec(options))
}

fn init(mut words: impl Iterator<Item = String>) -> Result<Invocation, ArgumentError> {
    let mut init = Init::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--" => break,
            "--net" => init.net = Some(value(word, &mut words)?),
            "--user" => init.user = Some(value(word, &mut words)?),
            _ => return Err(ArgumentError::Unknown(word)),
        }
    }
    init.options.extend(words);
    match init {
        Init { user: Some(_), net: None, .. } => Err(ArgumentError::Missing("--net")),
        init => Ok(Invocation::Init(init)),
    }
}

fn publish(mut words: impl Iterator<Item = String>) -> Result<Invocation, ArgumentError> {
    let (mut net, mut user, mut listen, mut to) = (None, None, None, None);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--net" => net = Some(value(word, &mut words)?),
            "--user" => user = Some(value(word, &mut words)?),
            "--listen" => listen = Some(parsed(word, &mut words)?),
            "--to" => to = Some(parsed(word, &mut words)?),
            _ => return Err(ArgumentError::Unknown(word)),
        }
    }
    Ok(Invocation::Publish(Publish {
        user,
        net: net.ok_or(ArgumentError::Missing("--net"))?,
        listen: listen.ok_or(ArgumentError::Missing("--listen"))?,
        to: to.ok_or(ArgumentError::Missing("--to"))?,
    }))
}

fn value(option: String, words: &mut impl Iterator<Item = String>) -> Result<String, ArgumentError> {
    words.next().ok_or(ArgumentError::NoValue(option))
}

fn parsed<T: FromStr>(option: String, words: &mut impl Iterator<Item = String>) -> Result<T, ArgumentError> {
    let text = value(option.clone(), words)?;
    text.parse().map_err(|_| ArgumentError::Value { option, value: text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn what_follows_two_dashes_belongs_to_the_command() {
        let parsed = parse(&words("exec --net /n --uid 7 --keep-cap net_raw -- run --net x -- y"));
        let Ok(Invocation::Exec(options)) = parsed else { panic!("{parsed:?}") };
        assert_eq!((options.net.as_str(), options.uid), ("/n", Some(7)));
        assert_eq!(options.keep, [Capability::NetRaw]);
        assert_eq!(options.command, words("run --net x -- y"));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (line, expected) in [
            ("fly", "expected serve, exec, init or publish"),
            ("serve --rootles", "unknown option --rootles"),
            ("exec --net", "--net needs a value"),
            ("exec --net /n", "-- COMMAND is needed"),
            ("exec -- true", "--net is needed"),
            ("init --user /u -- --remove", "--net is needed"),
            ("init --remove", "unknown option --remove"),
            ("exec --net /n --uid x -- true", "--uid: cannot read \"x\""),
            ("exec --net /n --keep-cap sys_admin -- true", "--keep-cap: cannot read \"sys_admin\""),
            ("publish --net /n --listen 127.0.0.1:1", "--to is needed"),
            ("publish --net /n --listen here --to there", "--listen: cannot read \"here\""),
        ] {
            assert_eq!(parse(&words(line)).unwrap_err().to_string(), expected, "{line}");
        }
    }
}
