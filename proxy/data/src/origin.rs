//! Where the client of a redirected connection meant to go.

use std::io;
use std::net::SocketAddr;

use socket2::SockRef;
use tokio::net::TcpStream;

/// Linux: no such conntrack entry.
const ENOENT: i32 = 2;
/// Linux: the protocol has no such option (conntrack is not there at all).
const ENOPROTOOPT: i32 = 92;
/// Linux: not supported on this socket.
const EOPNOTSUPP: i32 = 95;

/// `SO_ORIGINAL_DST`, or the address the connection reached when it was not redirected.
///
/// # Errors
/// Whatever the kernel says, other than that there was no redirection.
pub fn original_destination(stream: &TcpStream) -> io::Result<SocketAddr> {
    let local = canonical(stream.local_addr()?);
    let socket = SockRef::from(stream);
    let found = if local.is_ipv4() { socket.original_dst_v4() } else { socket.original_dst_v6() };
    match found {
        Ok(address) => Ok(address.as_socket().map_or(local, canonical)),
        Err(error) if matches!(error.raw_os_error(), Some(ENOENT | ENOPROTOOPT | EOPNOTSUPP)) => Ok(local),
        Err(error) => Err(error),
    }
}

/// An IPv4 address that arrived on an IPv6 listener, as IPv4.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_seen_as_ipv4() {
        let mapped: SocketAddr = "[::ffff:10.1.2.3]:80".parse().unwrap();
        assert_eq!(canonical(mapped), "10.1.2.3:80".parse().unwrap());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_connection_that_was_not_redirected_meant_the_address_it_reached() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let _client = TcpStream::connect(at).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        assert_eq!(original_destination(&server).unwrap(), at);
    }
}
