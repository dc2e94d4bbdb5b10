use std::time::Duration;

use hauberk_model::endpoint::TlsTarget;
use hauberk_model::identity::Identity;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::*;
use crate::testing::Ca;
use crate::{ALPN_H2, ALPN_TRANSPORT, PostQuantum};

const WEB: &str = "web.shop.serviceaccount.identity.linkerd.cluster.local";
const API: &str = "api.shop.serviceaccount.identity.linkerd.cluster.local";
const SPIFFE: &str = "spiffe://cluster.local/ns/shop/sa/web";
const LIMIT: Duration = Duration::from_secs(5);

fn target(identity: &str) -> TlsTarget {
    let server_name = if identity.starts_with("spiffe://") { WEB } else { identity };
    TlsTarget { identity: Identity::parse(identity).expect("identity"), server_name: server_name.into() }
}

type Facts = Result<Handshake, HandshakeError>;

/// Both ends' views of one handshake. The client sends a byte, so that the server sees its alerts too.
async fn shake(dialer: &Dialer, server: &Credentials, to: &TlsTarget, alpn: &[&[u8]]) -> (Facts, Facts) {
    let (near, far) = duplex(64 * 1024);
    let client = async {
        let (mut stream, facts) = connect(near, dialer, to, alpn, LIMIT).await?;
        stream.write_all(b"x").await.map_err(HandshakeError::Io)?;
        stream.flush().await.map_err(HandshakeError::Io)?;
        let mut end = [0];
        let _ = stream.read(&mut end).await;
        Ok(facts)
    };
    let server = async {
        let (mut stream, facts) = accept(far, server, LIMIT).await?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await.map_err(HandshakeError::Io)?;
        Ok(facts)
    };
    tokio::join!(client, server)
}

#[tokio::test]
async fn two_workloads_agree_on_the_hybrid_group_and_know_each_other() {
    let ca = Ca::new("root");
    let (web, api) = (ca.credentials(WEB, PostQuantum::Prefer), ca.credentials(API, PostQuantum::Prefer));
    let (client, server) = shake(api.dialer(), &web, &target(WEB), &[ALPN_TRANSPORT]).await;
    let (client, server) = (client.expect("client"), server.expect("server"));
    for facts in [&client, &server] {
        assert_eq!(facts.group, "X25519MLKEM768");
        assert_eq!(facts.suite, "TLS_AES_128_GCM_SHA256");
        assert_eq!(facts.version, "TLSv1.3");
        assert_eq!(facts.alpn.as_deref(), Some(ALPN_TRANSPORT));
        assert_eq!(facts.sni.as_deref(), Some(WEB));
    }
    assert_eq!(client.peer.expect("peer").identity().as_str(), WEB);
    assert_eq!(server.peer.expect("peer").identity().as_str(), API);
}

#[tokio::test]
async fn a_server_with_another_identity_is_refused_even_under_the_same_root() {
    let ca = Ca::new("root");
    let (web, api) = (ca.credentials(WEB, PostQuantum::Prefer), ca.credentials(API, PostQuantum::Prefer));
    let (client, server) = shake(api.dialer(), &web, &target(API), &[]).await;
    assert!(matches!(client, Err(HandshakeError::WrongPeer(expected)) if expected.as_str() == API));
    assert!(server.is_err());
}

#[tokio::test]
async fn a_wildcard_name_proves_nothing() {
    let ca = Ca::new("root");
    let keypair = crate::Keypair::generate().expect("key");
    let wild = "*.shop.serviceaccount.identity.linkerd.cluster.local";
    let leaf = ca.leaf(&keypair, wild, false);
    assert!(crate::verify::names(&leaf.into()).is_empty());
}

#[tokio::test]
async fn a_spiffe_identity_is_compared_exactly() {
    let ca = Ca::new("root");
    let (web, api) = (ca.credentials(SPIFFE, PostQuantum::Prefer), ca.credentials(API, PostQuantum::Prefer));
    let (client, _) = shake(api.dialer(), &web, &target(SPIFFE), &[]).await;
    assert_eq!(client.expect("client").peer.expect("peer").identity().as_str(), SPIFFE);
    let (client, _) = shake(api.dialer(), &web, &target("spiffe://cluster.local/ns/shop/sa/web2"), &[]).await;
    assert!(matches!(client, Err(HandshakeError::WrongPeer(_))));
}

#[tokio::test]
async fn an_expired_server_is_refused_and_so_is_an_expired_client() {
    let ca = Ca::new("root");
    let (expired, api) = (ca.expired(WEB), ca.credentials(API, PostQuantum::Prefer));
    let (client, _) = shake(api.dialer(), &expired, &target(WEB), &[]).await;
    assert!(matches!(client, Err(HandshakeError::Certificate(_))));
    let (_, server) = shake(expired.dialer(), &api, &target(API), &[]).await;
    assert!(matches!(server, Err(HandshakeError::Certificate(_))));
}

#[tokio::test]
async fn a_peer_of_another_root_is_refused_on_both_sides() {
    let (ours, theirs) = (Ca::new("ours"), Ca::new("theirs"));
    let (web, api) =
        (ours.credentials(WEB, PostQuantum::Prefer), theirs.credentials(API, PostQuantum::Prefer));
    let (client, _) = shake(api.dialer(), &web, &target(WEB), &[]).await;
    assert!(matches!(client, Err(HandshakeError::Certificate(_))));
    // The client checks nothing here that would stop it: the server must.
    let trusting = Dialer::anonymous(&ours.anchors(), PostQuantum::Prefer).expect("dialer");
    assert!(shake(&trusting, &web, &target(WEB), &[]).await.1.is_ok());
}

#[tokio::test]
async fn a_client_without_a_certificate_is_let_in_as_nobody() {
    let ca = Ca::new("root");
    let web = ca.credentials(WEB, PostQuantum::Prefer);
    let anonymous = Dialer::anonymous(&ca.anchors(), PostQuantum::Prefer).expect("dialer");
    let (client, server) = shake(&anonymous, &web, &target(WEB), &[ALPN_H2]).await;
    assert_eq!(client.expect("client").alpn.as_deref(), Some(ALPN_H2));
    assert_eq!(server.expect("server").peer, None);
}

#[tokio::test]
async fn who_requires_post_quantum_refuses_a_classical_peer() {
    let ca = Ca::new("root");
    let (strict, lax) = (ca.credentials(WEB, PostQuantum::Require), ca.credentials(API, PostQuantum::Prefer));
    let classical = ca.credentials(API, PostQuantum::Classical);
    let (client, server) = shake(classical.dialer(), &strict, &target(WEB), &[]).await;
    assert!(matches!(client, Err(HandshakeError::Refused(_))), "{client:?}");
    assert!(matches!(server, Err(HandshakeError::Incompatible(_))), "{server:?}");
    let (client, _) = shake(strict.dialer(), &classical, &target(API), &[]).await;
    assert!(client.is_err());
    let (client, _) = shake(lax.dialer(), &classical, &target(API), &[]).await;
    assert_eq!(client.expect("falls back").group, "x25519");
    let (client, _) = shake(lax.dialer(), &strict, &target(WEB), &[]).await;
    assert_eq!(client.expect("hybrid").group, "X25519MLKEM768");
}

#[tokio::test]
async fn tls_1_2_is_refused_with_protocol_version() {
    let ca = Ca::new("root");
    let web = ca.credentials(WEB, PostQuantum::Prefer);
    let (mut near, far) = duplex(64 * 1024);
    // A ClientHello without supported_versions: random, no session, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, no compression,
    // groups x25519, signature ecdsa_secp256r1_sha256.
    let mut body = vec![0x03, 0x03];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0xc0, 0x2b, 1, 0, 0, 16]);
    body.extend([0, 10, 0, 4, 0, 2, 0, 0x1d, 0, 13, 0, 4, 0, 2, 4, 3]);
    let len = body.len() as u8;
    let mut hello = vec![0x16, 0x03, 0x01, 0, len + 4, 1, 0, 0, len];
    hello.extend(body);
    near.write_all(&hello).await.expect("sent");
    let refused = accept(far, &web, LIMIT).await.err();
    assert!(matches!(refused, Some(HandshakeError::Incompatible(_))), "{refused:?}");
    let mut alert = [0; 7];
    near.read_exact(&mut alert).await.expect("alert");
    assert_eq!(alert, [0x15, 0x03, 0x03, 0, 2, 2, 70]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up_in_time() {
    let web = Ca::new("root").credentials(WEB, PostQuantum::Prefer);
    let (_near, far) = duplex(1024);
    let refused = accept(far, &web, LIMIT).await.err();
    assert!(matches!(&refused, Some(error @ HandshakeError::TimedOut(_)) if error.is_retryable()));
}

#[tokio::test]
async fn a_peer_that_hangs_up_is_an_io_error() {
    let web = Ca::new("root").credentials(WEB, PostQuantum::Prefer);
    let (near, far) = duplex(1024);
    drop(near);
    assert!(matches!(accept(far, &web, LIMIT).await.err(), Some(HandshakeError::Io(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_make_the_server_panic_or_accept(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("runtime");
        runtime.block_on(async {
            let web = Ca::new("root").credentials(WEB, PostQuantum::Prefer);
            let (mut near, far) = duplex(64 * 1024);
            near.write_all(&bytes).await.expect("sent");
            near.shutdown().await.expect("closed");
            assert!(accept(far, &web, LIMIT).await.is_err());
        });
    }
}
