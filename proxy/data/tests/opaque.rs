//! Bytes through a pair of proxies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod mesh;

use std::time::Duration;

use hauberk_model::inbound::{Authentication, InboundProtocol};
use hauberk_model::outbound::OutboundProtocol;
use mesh::{
    CLIENT, Ca, Pair, Proxy, SERVER, World, all_of, app, detect, everyone, http_routes, inbound, inbound_by,
    meshed, only, run, soon,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[test]
fn a_server_that_speaks_first_does_not_wait_for_detection() {
    run(async {
        let at = app(|mut stream| async move {
            stream.write_all(b"220 ready\r\n").await.unwrap();
            let mut said = [0; 6];
            stream.read_exact(&mut said).await.unwrap();
            assert_eq!(&said, b"QUIT\r\n");
            stream.write_all(b"221 bye\r\n").await.unwrap();
        })
        .await;
        let pair = Pair::before(at);
        let begun = std::time::Instant::now();
        let mut client = pair.connect().await;
        let mut greeting = [0; 11];
        soon(client.read_exact(&mut greeting)).await.unwrap();
        assert_eq!(&greeting, b"220 ready\r\n");
        assert!(begun.elapsed().as_secs() < 2, "{:?}", begun.elapsed());
        client.write_all(b"QUIT\r\n").await.unwrap();
        assert_eq!(all_of(&mut client).await, "221 bye\r\n");
    });
}

#[test]
fn each_direction_ends_on_its_own() {
    run(async {
        let at = app(|mut stream| async move {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            stream.write_all(format!("heard {}", all.len()).as_bytes()).await.unwrap();
        })
        .await;
        let pair = Pair::before(at);
        let mut client = pair.connect().await;
        let sent = vec![1_u8; 3_000_000];
        soon(client.write_all(&sent)).await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(all_of(&mut client).await, "heard 3000000");
    });
}

#[test]
fn bytes_of_a_client_without_authorization_are_refused() {
    run(async {
        let at = app(|mut stream| async move {
            stream.write_all(b"secret").await.unwrap();
        })
        .await;
        let pair = Pair::before(at);
        let others = only("other.shop.serviceaccount.identity.linkerd.cluster.local");
        pair.world.inbound(inbound_by(InboundProtocol::Opaque, vec![others]));
        let mut client = pair.connect().await;
        client.write_all(b"\x00\x01").await.unwrap();
        assert_eq!(all_of(&mut client).await, "");
        pair.world.inbound(inbound_by(InboundProtocol::Opaque, vec![only(CLIENT)]));
        let mut client = pair.connect().await;
        client.write_all(b"\x00\x01").await.unwrap();
        assert_eq!(all_of(&mut client).await, "secret");
        let metrics = pair.server.metrics();
        assert!(metrics.contains("inbound_tcp_authz_deny_total"), "{metrics}");
        assert!(metrics.contains("tls_group=\"X25519MLKEM768\""), "{metrics}");
    });
}

#[test]
fn an_endpoint_that_proves_another_identity_is_not_served() {
    run(async {
        let at = app(|mut stream| async move {
            stream.write_all(b"secret").await.unwrap();
        })
        .await;
        let pair = Pair::before(at);
        let imposter = "imposter.shop.serviceaccount.identity.linkerd.cluster.local";
        pair.world.endpoints(vec![meshed(at, pair.server.inbound.port(), imposter)]);
        let mut client = pair.connect().await;
        client.write_all(b"\x00\x01").await.unwrap();
        assert_eq!(all_of(&mut client).await, "");
    });
}

#[test]
fn a_direct_connection_needs_mtls() {
    run(async {
        let (ca, world) = (Ca::new(), World::new());
        let server = Proxy::start(&world, ca.credentials(SERVER));
        let mut client = TcpStream::connect(server.inbound).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut all = Vec::new();
        let _ = soon(client.read_to_end(&mut all)).await;
        // A TLS alert at most.
        assert!(!all.starts_with(b"HTTP"));
    });
}

#[test]
fn silence_is_no_way_around_an_http_policy() {
    run(async {
        let at = app(|mut stream| async move {
            stream.write_all(b"secret").await.unwrap();
            let _ = stream.read(&mut [0]).await;
        })
        .await;
        let pair = Pair::before(at);
        pair.world.inbound(inbound(http_routes(vec![everyone(Authentication::Unauthenticated)])));
        let mut policy = detect();
        if let OutboundProtocol::Detect { timeout, .. } = &mut policy.protocol {
            *timeout = Duration::from_millis(300);
        }
        pair.world.outbound(policy);
        let mut client = pair.connect().await;
        assert_eq!(all_of(&mut client).await, "");
        let mut client = pair.connect().await;
        client.write_all(b"\x00\x01\x02").await.unwrap();
        assert_eq!(all_of(&mut client).await, "");
    });
}

/// An address that nobody listens on yet.
async fn vacant() -> std::net::SocketAddr {
    let held = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    held.local_addr().unwrap()
}

#[test]
fn a_greeting_comes_as_soon_as_its_server_does_and_not_after_detection() {
    run(async {
        let at = vacant().await;
        let pair = Pair::before(at);
        let begun = std::time::Instant::now();
        let mut client = pair.connect().await;
        tokio::time::sleep(Duration::from_millis(250)).await;
        let listener = tokio::net::TcpListener::bind(at).await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.write_all(b"220 ready\r\n").await;
                let _ = stream.shutdown().await;
            }
        });
        assert_eq!(all_of(&mut client).await, "220 ready\r\n");
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    });
}

#[test]
fn a_server_that_closes_without_a_word_is_heard_by_a_client_that_waits() {
    run(async {
        let at = app(|stream| async move { drop(stream) }).await;
        let pair = Pair::before(at);
        let begun = std::time::Instant::now();
        let mut client = pair.connect().await;
        assert_eq!(all_of(&mut client).await, "");
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    });
}
