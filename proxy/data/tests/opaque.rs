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
