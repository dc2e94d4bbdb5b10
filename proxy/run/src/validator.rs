//! `hauberk-proxy network-validator`: proof that this pod's connections are redirected, before anything else runs in it.
//! It listens where the proxy will, connects to an address that is nobody's, and must meet itself.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::config::read::{duration, list, socket_addr};

/// Longest wait for the redirection unless it is said.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Of one try: an address that is not redirected does not answer at all.
const TRY: Duration = Duration::from_secs(1);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// Bytes by which the listener is known as our own.
const TOKEN_BYTES: usize = 32;
/// No such route, and no such kind of address: the pod has no network of this kind that could be redirected.
const NO_NETWORK: [i32; 4] = [101, 97, 99, 113];

/// What to prove.
#[derive(Debug, PartialEq, Eq)]
pub struct Proof {
    listen: SocketAddr,
    connect: Vec<SocketAddr>,
    timeout: Duration,
}

/// Reads the words after `network-validator`, which are those of Linkerd's.
///
/// # Errors
/// An option that there is not, or a value that cannot be read.
pub fn parse(arguments: &[String]) -> Result<Proof, String> {
    let any = |port| SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, port));
    let nobody = SocketAddr::from(([1, 1, 1, 1], 20_001));
    let mut proof = Proof { listen: any(4140), connect: vec![nobody], timeout: TIMEOUT };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let (flag, attached) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (word.as_str(), None),
        };
        let value = attached.or_else(|| words.next().map(String::as_str));
        let value = value.ok_or_else(|| format!("{flag} needs a value"))?;
        let wrong = |why: String| format!("{flag} {value:?}: {why}");
        match flag {
            "--listen-addr" => proof.listen = socket_addr(value).map_err(wrong)?,
            "--connect-addr" => proof.connect = list(value, socket_addr).map_err(wrong)?,
            "--timeout" => proof.timeout = duration(value).map_err(wrong)?,
            // There is one line to log, and it is always logged.
            "--log-format" | "--log-level" => {}
            _ => {
                return Err(format!(
                    "there is no option {word:?}; there are --listen-addr, --connect-addr, --timeout"
                ));
            }
        }
    }
    if proof.connect.is_empty() {
        return Err("--connect-addr names no address".to_owned());
    }
    Ok(proof)
}

/// What one try showed.
enum Met {
    Ourselves,
    /// There is no network of this kind.
    NoNetwork,
    Nobody(String),
}

impl Proof {
    /// Tries until every address that has a network leads back here.
    ///
    /// # Errors
    /// An address that did not in time, or no network at all.
    pub fn run(&self) -> anyhow::Result<Vec<SocketAddr>> {
        let listener = listen(self.listen)
            .map_err(|error| anyhow::anyhow!("cannot listen on {}: {error}", self.listen))?;
        let token = token();
        // Ends with the process.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.write_all(&token);
            }
        });
        let begun = Instant::now();
        let mut proven = Vec::new();
        for address in &self.connect {
            loop {
                match meet(*address, &token) {
                    Met::Ourselves => {
                        proven.push(*address);
                        break;
                    }
                    Met::NoNetwork => break,
                    Met::Nobody(why) if begun.elapsed() >= self.timeout => anyhow::bail!(
                        "a connection to {address} was not redirected to {} within {:?}: {why}; \
                         is the CNI plugin installed on this node?",
                        self.listen,
                        self.timeout
                    ),
                    Met::Nobody(_) => std::thread::sleep(PAUSE),
                }
            }
        }
        anyhow::ensure!(!proven.is_empty(), "this pod has no route to any of {:?}", self.connect);
        Ok(proven)
    }
}

/// Where there is no IPv6, its unspecified address means IPv4's.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).or_else(|error| {
        if address.is_ipv6() && address.ip().is_unspecified() {
            return TcpListener::bind((std::net::Ipv4Addr::UNSPECIFIED, address.port()));
        }
        Err(error)
    })
}

fn meet(address: SocketAddr, token: &[u8; TOKEN_BYTES]) -> Met {
    let mut stream = match TcpStream::connect_timeout(&address, TRY) {
        Ok(stream) => stream,
        Err(error) if error.raw_os_error().is_some_and(|errno| NO_NETWORK.contains(&errno)) => {
            return Met::NoNetwork;
        }
        Err(error) => return Met::Nobody(error.to_string()),
    };
    let mut told = [0; TOKEN_BYTES];
    let heard = stream.set_read_timeout(Some(TRY)).and_then(|()| stream.read_exact(&mut told));
    match heard {
        Ok(()) if told == *token => Met::Ourselves,
        Ok(()) => Met::Nobody("somebody else answered".to_owned()),
        Err(error) => Met::Nobody(error.to_string()),
    }
}

/// Not secret, only unlikely: it tells us from whoever else might answer.
fn token() -> [u8; TOKEN_BYTES] {
    use std::hash::{BuildHasher as _, RandomState};
    let mut token = [0; TOKEN_BYTES];
    for part in token.chunks_mut(8) {
        let random = RandomState::new().hash_one(()).to_ne_bytes();
        part.copy_from_slice(random.get(..part.len()).unwrap_or(&[]));
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Proof, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    fn free_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    #[test]
    fn a_connection_that_comes_back_is_proof() {
        let port = free_port();
        let proof =
            parsed(&format!("--listen-addr 127.0.0.1:{port} --connect-addr 127.0.0.1:{port}")).unwrap();
        assert_eq!(proof.run().unwrap().len(), 1);
    }

    #[test]
    fn a_connection_that_reaches_somebody_else_or_nobody_is_none() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let reached = other.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut stream in other.incoming().flatten() {
                let _ = stream.write_all(&[7; TOKEN_BYTES]);
            }
        });
        for connect in [reached.to_string(), format!("127.0.0.1:{}", free_port())] {
            let line =
                format!("--listen-addr 127.0.0.1:{} --connect-addr {connect} --timeout 200ms", free_port());
            let error = parsed(&line).unwrap().run().unwrap_err().to_string();
            assert!(error.contains("was not redirected"), "{error}");
        }
    }

    #[test]
    fn the_words_of_the_peer_are_understood_and_no_others() {
        let proof = parsed(
            "--log-format plain --log-level debug --connect-addr 1.1.1.1:20001,[fd00::1]:20001 --timeout 10s",
        );
        assert_eq!(proof.unwrap().connect.len(), 2);
        for wrong in ["--timeout", "--timeout soon", "--else 1", "--connect-addr ,"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
