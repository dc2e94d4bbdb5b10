//! The command line: a mode, an address, and `key=value` words. Strict.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

/// The text of the usage.
pub const USAGE: &str = "\
usage: hload http    ADDRESS [proto=h1|h2|grpc] [conns=50] [streams=1] [rate=0] [secs=8] [requests=0] [path=/]
                             [host=NAME] [body=0]
       hload connect ADDRESS [conc=8] [secs=8]
       hload bulk    ADDRESS [dir=down|up] [conns=1] [secs=8]
       hload idle    ADDRESS [proto=h1|tcp|connect] [conns=1000] [secs=5] [host=NAME] [path=/]
       hload first   ADDRESS [proto=h1|tcp|connect] [timeout=30] [host=NAME] [path=/]
       hload stamp   COMMAND [ARGUMENT]...
rate=0 is a closed loop; requests=N ends after N requests instead of after secs.";

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Invocation {
    /// Requests over a fixed set of connections.
    Http(HttpLoad),
    /// New connections, one exchange each.
    Connect(ConnectLoad),
    /// As many bytes as go through.
    Bulk(BulkLoad),
    /// Connections that are used once and then held.
    Idle(IdleLoad),
    /// The first exchange that succeeds.
    First(FirstLoad),
    /// Print the time and become a command.
    Stamp(Vec<String>),
}

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    H1,
    /// HTTP/2 with prior knowledge.
    H2,
    /// gRPC, unary.
    Grpc,
}

/// How an exchange of a probe looks.
#[derive(Clone, Debug, PartialEq)]
pub enum Exchange {
    /// `GET path` for `host`, expecting 200.
    H1 { host: String, path: String },
    /// Five bytes to the echo port and back.
    Tcp,
    /// None: that something listens is enough.
    Connect,
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// This long after the start.
    Elapsed(Duration),
    /// After so many requests were sent.
    Requests(u64),
}

/// Requests over a fixed set of connections.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpLoad {
    /// Where to.
    pub to: SocketAddr,
    /// What is spoken.
    pub protocol: Protocol,
    /// Connections.
    pub connections: usize,
    /// Requests at once on each connection (HTTP/2).
    pub streams: usize,
    /// Requests per second; `None` is a closed loop.
    pub rate: Option<f64>,
    /// When to stop.
    pub until: Until,
    /// `:authority` or `Host`.
    pub host: String,
    /// Target.
    pub path: String,
    /// Bytes of each request's body; more than 0 makes it a POST.
    pub body: usize,
}

/// New connections.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectLoad {
    /// Where to.
    pub to: SocketAddr,
    /// Connections being made at once.
    pub concurrency: usize,
    /// How long.
    pub lasting: Duration,
}

/// Bytes in one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct BulkLoad {
    /// Where to.
    pub to: SocketAddr,
    /// From the server to us.
    pub down: bool,
    /// Connections.
    pub connections: usize,
    /// How long.
    pub lasting: Duration,
}

/// Held connections.
#[derive(Clone, Debug, PartialEq)]
pub struct IdleLoad {
    /// Where to.
    pub to: SocketAddr,
    /// The one exchange on each.
    pub exchange: Exchange,
    /// Connections.
    pub connections: usize,
    /// How long they are held.
    pub lasting: Duration,
}

/// The wait for a first answer.
#[derive(Clone, Debug, PartialEq)]
pub struct FirstLoad {
    /// Where to.
    pub to: SocketAddr,
    /// What must succeed.
    pub exchange: Exchange,
    /// How long to try.
    pub timeout: Duration,
}

/// What is wrong with the command line.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct ArgumentError(String);

/// Parses the words after the program's name.
pub fn parse(words: &[String]) -> Result<Invocation, ArgumentError> {
    let (mode, rest) = words.split_first().ok_or_else(|| ArgumentError("no mode".to_owned()))?;
    if mode == "stamp" {
        return Ok(Invocation::Stamp(rest.to_vec()));
    }
    let (address, rest) = rest.split_first().ok_or_else(|| ArgumentError("no address".to_owned()))?;
    let to = address.parse().map_err(|_| ArgumentError(format!("{address:?} is no ADDRESS:PORT")))?;
    let mut pairs = Pairs::new(rest)?;
    let invocation = match mode.as_str() {
        "http" => Invocation::Http(http(to, &mut pairs)?),
        "connect" => Invocation::Connect(ConnectLoad {
            to,
            concurrency: pairs.take("conc", 8)?,
            lasting: pairs.seconds("secs", 8.0)?,
        }),
        "bulk" => Invocation::Bulk(BulkLoad {
            to,
            down: pairs.one_of("dir", &[("down", true), ("up", false)])?,
            connections: pairs.take("conns", 1)?,
            lasting: pairs.seconds("secs", 8.0)?,
        }),
        "idle" => Invocation::Idle(IdleLoad {
            to,
            exchange: exchange(to, &mut pairs)?,
            connections: pairs.take("conns", 1000)?,
            lasting: pairs.seconds("secs", 5.0)?,
        }),
        "first" => Invocation::First(FirstLoad {
            to,
            exchange: exchange(to, &mut pairs)?,
            timeout: pairs.seconds("timeout", 30.0)?,
        }),
        _ => return Err(ArgumentError(format!("unknown mode {mode:?}"))),
    };
    pairs.finish(invocation)
}

fn http(to: SocketAddr, pairs: &mut Pairs) -> Result<HttpLoad, ArgumentError> {
    let protocols = [("h1", Protocol::H1), ("h2", Protocol::H2), ("grpc", Protocol::Grpc)];
    let rate: f64 = pairs.take("rate", 0.0)?;
    let lasting = pairs.seconds("secs", 8.0)?;
    let requests = pairs.take("requests", 0)?;
    Ok(HttpLoad {
        to,
        protocol: pairs.one_of("proto", &protocols)?,
        connections: pairs.take("conns", 50)?,
        streams: pairs.take("streams", 1)?,
        rate: (rate > 0.0).then_some(rate),
        until: if requests > 0 { Until::Requests(requests) } else { Until::Elapsed(lasting) },
        host: pairs.take("host", to.to_string())?,
        path: pairs.take("path", "/".to_owned())?,
        body: pairs.take("body", 0)?,
    })
}

fn exchange(to: SocketAddr, pairs: &mut Pairs) -> Result<Exchange, ArgumentError> {
    let host = pairs.take("host", to.to_string())?;
    let path = pairs.take("path", "/".to_owned())?;
    pairs.one_of(
        "proto",
        &[("h1", Exchange::H1 { host, path }), ("tcp", Exchange::Tcp), ("connect", Exchange::Connect)],
    )
}

struct Pairs(Vec<(String, String)>);

impl Pairs {
    fn new(words: &[String]) -> Result<Self, ArgumentError> {
        let pair = |word: &String| {
            let (key, value) =
                word.split_once('=').ok_or_else(|| ArgumentError(format!("{word:?} is no key=value")))?;
            Ok((key.to_owned(), value.to_owned()))
        };
        words.iter().map(pair).collect::<Result<_, _>>().map(Self)
    }

    fn text(&mut self, key: &str) -> Option<String> {
        let at = self.0.iter().position(|(name, _)| name == key)?;
        Some(self.0.remove(at).1)
    }

    fn take<T: FromStr>(&mut self, key: &str, otherwise: T) -> Result<T, ArgumentError> {
        match self.text(key) {
            None => Ok(otherwise),
            Some(text) => text.parse().map_err(|_| ArgumentError(format!("{key}: cannot read {text:?}"))),
        }
    }

    fn seconds(&mut self, key: &str, otherwise: f64) -> Result<Duration, ArgumentError> {
        let seconds = self.take(key, otherwise)?;
        Duration::try_from_secs_f64(seconds).map_err(|error| ArgumentError(format!("{key}: {error}")))
    }

    /// The first is the default.
    fn one_of<T: Clone>(&mut self, key: &str, choices: &[(&str, T)]) -> Result<T, ArgumentError> {
        let text = self.text(key);
        let wanted = text.as_deref();
        let found = choices.iter().find(|(name, _)| wanted.is_none_or(|wanted| wanted == *name));
        found
            .map(|(_, choice)| choice.clone())
            .ok_or_else(|| ArgumentError(format!("{key}: cannot read {text:?}")))
    }

    fn finish<T>(self, done: T) -> Result<T, ArgumentError> {
        match self.0.first() {
            Some((key, _)) => Err(ArgumentError(format!("unknown key {key:?}"))),
            None => Ok(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Invocation, ArgumentError> {
        parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_rate_of_zero_is_a_closed_loop_and_requests_replace_seconds() {
        let Ok(Invocation::Http(load)) = parsed("http 127.0.0.1:1 proto=grpc rate=0 requests=600") else {
            panic!("not understood");
        };
        assert_eq!((load.protocol, load.rate, load.until), (Protocol::Grpc, None, Until::Requests(600)));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (line, expected) in [
            ("fly 127.0.0.1:1", "unknown mode \"fly\""),
            ("http here", "\"here\" is no ADDRESS:PORT"),
            ("http 127.0.0.1:1 conn=5", "unknown key \"conn\""),
            ("http 127.0.0.1:1 conns=x", "conns: cannot read \"x\""),
            ("http 127.0.0.1:1 proto=h3", "proto: cannot read Some(\"h3\")"),
            ("http 127.0.0.1:1 fast", "\"fast\" is no key=value"),
        ] {
            assert_eq!(parsed(line).unwrap_err().to_string(), expected, "{line}");
        }
    }
}
