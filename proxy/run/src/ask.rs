//! `hauberk-proxy ask PATH`: asks the proxy on this machine, where there is neither shell nor curl.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::config::read::{OURS, PEERS};

/// Where the admin server is unless it was told otherwise.
const ADMIN_PORT: u16 = 4191;
/// Longest wait for any part of the answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Most bytes of an answer: metrics of a busy proxy take a few MiB.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The port of the admin server, by the same variables as the proxy's.
pub fn port(variable: impl Fn(&str) -> Option<String>) -> u16 {
    let told = [OURS, PEERS].iter().find_map(|prefix| variable(&format!("{prefix}ADMIN_LISTEN_ADDR")));
    told.and_then(|addr| addr.trim().parse().ok()).map_or(ADMIN_PORT, |addr: SocketAddr| addr.port())
}

/// The body of the admin server's answer.
///
/// # Errors
/// Nobody answers, or not with success.
pub fn ask(port: u16, path: &str) -> anyhow::Result<String> {
    if !path.starts_with('/') || path.bytes().any(|byte| !byte.is_ascii_graphic()) {
        bail!("{path:?} is no path");
    }
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&to, ANSWER_WITHIN)
        .with_context(|| format!("no proxy answers at {to}"))?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    body(&answer).map(str::to_owned)
}

fn body(answer: &str) -> anyhow::Result<&str> {
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of its head")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with('2') {
        bail!("{status}: {}", body.trim());
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_success_has_a_body_to_show() {
        assert_eq!(body("HTTP/1.1 200 OK\r\na: b\r\n\r\nwell\r\n\r\n").ok(), Some("well\r\n\r\n"));
        let refused = body("HTTP/1.1 403 Forbidden\r\n\r\nno\n").err().map(|error| error.to_string());
        assert_eq!(refused.as_deref(), Some("403: no"));
        assert!(body("").is_err());
        assert!(ask(1, "/a b").is_err());
        let named = |name: &str| name.starts_with(PEERS).then(|| "0.0.0.0:7191".to_owned());
        assert_eq!((port(named), port(|_| None)), (7191, ADMIN_PORT));
    }
}
