//! Listeners: bound before anything else starts, and an accept loop that survives a lack of descriptors.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::config::Config;

/// Pause of the accept loop while the limit of connections is reached.
pub(crate) const FULL_PAUSE: Duration = Duration::from_millis(50);
/// Connections that the kernel may queue for us. A burst of a thousand clients passes; the kernel caps it at `somaxconn`.
const BACKLOG: i32 = 1024;
/// Silence after which the kernel asks whether the peer is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Pause after an accept that failed for want of descriptors or memory: long enough for something to close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Bound sockets, not yet accepting.
#[derive(Debug)]
pub struct Listeners {
    pub(crate) outbound: Vec<std::net::TcpListener>,
    pub(crate) inbound: std::net::TcpListener,
}

impl Listeners {
    /// Where the application's connections arrive, as bound.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn outbound_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.outbound.iter().map(std::net::TcpListener::local_addr).collect()
    }

    /// Where the peers' connections arrive, as bound.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn inbound_addr(&self) -> io::Result<SocketAddr> {
        self.inbound.local_addr()
    }
}

/// Linux: there is no IPv6 at all.
const EAFNOSUPPORT: i32 = 97;

/// Binds every listener of `config`. An IPv6 loopback that the host does not have is skipped, as long as one
/// outbound listener remains; where there is no IPv6, its unspecified address means IPv4's.
///
/// # Errors
/// An address that cannot be bound.
pub fn bind(config: &Config) -> io::Result<Listeners> {
    let mut outbound = Vec::with_capacity(config.outbound_listen.len());
    for address in &config.outbound_listen {
        match listen(*address) {
            Ok(listener) => outbound.push(listener),
            Err(error)
                if address.is_ipv6()
                    && !outbound.is_empty()
                    && (error.kind() == io::ErrorKind::AddrNotAvailable || lacks_ipv6(&error)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Listeners { outbound, inbound: listen(config.inbound_listen)? })
}

fn lacks_ipv6(error: &io::Error) -> bool {
    error.raw_os_error() == Some(EAFNOSUPPORT)
}

/// Listens on `address`, or on every IPv4 address where it is every IPv6 address and there are none.
///
/// # Errors
/// What the kernel says.
pub fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    match listen_exactly(address) {
        Err(error) if lacks_ipv6(&error) && address.ip().is_unspecified() => {
            listen_exactly(SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, address.port())))
        }
        outcome => outcome,
    }
}

fn listen_exactly(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The next connection, set up for proxying. Failures that pass are waited out.
pub(crate) async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if prepare(&stream).is_ok() {
                    return (stream, crate::origin::canonical(peer));
                }
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Errors of a connection that died in the queue (accept(2)): the next one may be taken at once.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// Options of every connection we hold: no delay, and keep-alive so that a dead peer is noticed.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_ipv6_listener_takes_ipv4_connections() {
        let Ok(listener) = listen("[::]:0".parse().unwrap()) else {
            return; // A host without IPv6 has nothing to show here.
        };
        let port = listener.local_addr().unwrap().port();
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    }

    #[test]
    fn a_taken_address_is_an_error() {
        let first = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        assert!(listen(first.local_addr().unwrap()).is_err());
    }
}
