//! HTTP/1 through a pair of proxies, inside HTTP/2 between them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod mesh;

use std::time::Duration;

use hauberk_data::Drained;
use mesh::{
    CLIENT, Pair, all_of, app, echo_head, head_of, http_routes, inbound, inbound_by, meshed, only, plain,
    response_of, run, soon,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn requests_on_one_connection_are_answered_in_order() {
    run(async {
        let pair = Pair::before(echo_head().await);
        let mut client = pair.connect().await;
        let mut seen = Vec::new();
        for n in 0..3 {
            let request = format!("GET /{n} HTTP/1.1\r\nHost: web\r\nl5d-client-id: forged\r\n\r\n");
            client.write_all(request.as_bytes()).await.unwrap();
            let (head, body) = response_of(&mut client, &mut seen).await;
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert!(body.starts_with(&format!("GET /{n} HTTP/1.1\r\n")), "{body}");
            assert!(body.to_ascii_lowercase().contains(&format!("l5d-client-id: {CLIENT}\r\n")), "{body}");
            assert!(!body.contains("forged") && !body.contains("orig-proto"), "{body}");
        }
        client
            .write_all(b"GET /a HTTP/1.1\r\nHost: web\r\n\r\nGET /b HTTP/1.1\r\nHost: web\r\n\r\n")
            .await
            .unwrap();
        assert!(response_of(&mut client, &mut seen).await.1.starts_with("GET /a "));
        assert!(response_of(&mut client, &mut seen).await.1.starts_with("GET /b "));
        let metrics = pair.client.metrics();
        assert!(metrics.contains("request_total{"), "{metrics}");
        assert!(metrics.contains("classification=\"success\""), "{metrics}");
    });
}

#[test]
fn a_chunked_body_and_its_trailers_come_through() {
    run(async {
        let at = app(|mut stream| async move {
            let mut seen = Vec::new();
            let head = head_of(&mut stream, &mut seen).await.unwrap();
            assert!(head.to_ascii_lowercase().contains("transfer-encoding: chunked"), "{head}");
            while !seen.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut seen).await.unwrap();
            }
            let body = String::from_utf8(seen).unwrap();
            assert!(body.contains("hello") && body.to_ascii_lowercase().contains("x-sum: 5"), "{body}");
            let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-end\r\n\r\n3\r\nabc\r\n0\r\nx-end: 1\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let pair = Pair::before(at);
        let mut client = pair.connect().await;
        let request = "POST / HTTP/1.1\r\nHost: web\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nConnection: close, TE\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n";
        client.write_all(request.as_bytes()).await.unwrap();
        let all = all_of(&mut client).await;
        assert!(all.contains("3\r\nabc\r\n0\r\nx-end: 1\r\n\r\n"), "{all}");
        assert!(all.contains("Connection: close\r\n"), "{all}");
    });
}

#[test]
fn a_head_request_has_a_length_and_no_body() {
    run(async {
        let at = app(|mut stream| async move {
            let mut seen = Vec::new();
            while head_of(&mut stream, &mut seen).await.is_some() {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n").await.unwrap();
            }
        })
        .await;
        let pair = Pair::before(at);
        let mut client = pair.connect().await;
        let mut seen = Vec::new();
        for _ in 0..2 {
            client.write_all(b"HEAD / HTTP/1.1\r\nHost: web\r\n\r\n").await.unwrap();
            let head = soon(head_of(&mut client, &mut seen)).await.unwrap();
            assert!(head.to_ascii_lowercase().contains("content-length: 42\r\n"), "{head}");
            assert!(seen.is_empty());
        }
    });
}

/// A request whose client sends its body only when it is told to.
const EXPECTING: &[u8] = b"PUT / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";

#[test]
fn a_client_that_expects_100_is_told_by_the_application_to_go_on_and_only_once() {
    run(async {
        let at = app(|mut stream| async move {
            let mut seen = Vec::new();
            let head = head_of(&mut stream, &mut seen).await.unwrap();
            assert!(head.to_ascii_lowercase().contains("expect: 100-continue\r\n"), "{head}");
            stream
                .write_all(b"HTTP/1.1 100 Continue\r\nx-by: app\r\n\r\nHTTP/1.1 100 Again\r\n\r\n")
                .await
                .unwrap();
            while seen.len() < 4 {
                stream.read_buf(&mut seen).await.unwrap();
            }
            assert_eq!(seen, b"body");
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        })
        .await;
        let pair = Pair::before(at);
        let mut client = pair.connect().await;
        client.write_all(EXPECTING).await.unwrap();
        let mut seen = Vec::new();
        let head = soon(head_of(&mut client, &mut seen)).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 100 ") && head.contains("x-by: app\r\n"), "{head}");
        client.write_all(b"body").await.unwrap();
        let head = soon(head_of(&mut client, &mut seen)).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 204 "), "{head}");
        assert!(!head.contains("close"), "{head}");
    });
}

#[test]
fn a_client_that_expects_100_is_told_to_go_on_where_the_application_never_says_so() {
    run(async {
        let at = app(|mut stream| async move {
            let mut seen = Vec::new();
            head_of(&mut stream, &mut seen).await.unwrap();
            while seen.len() < 4 {
                stream.read_buf(&mut seen).await.unwrap();
            }
            assert_eq!(seen, b"body");
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        })
        .await;
        let pair = Pair::before(at);
        let mut client = pair.connect().await;
        client.write_all(EXPECTING).await.unwrap();
        let mut seen = Vec::new();
        let head = soon(head_of(&mut client, &mut seen)).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 100 "), "{head}");
        client.write_all(b"body").await.unwrap();
        let head = soon(head_of(&mut client, &mut seen)).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 204 "), "{head}");
    });
}

#[test]
fn an_application_that_refuses_an_expectation_is_heard_without_the_body() {
    run(async {
        let at = app(|mut stream| async move {
            let mut seen = Vec::new();
            head_of(&mut stream, &mut seen).await.unwrap();
            stream.write_all(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            let _ = stream.read_buf(&mut seen).await;
        })
        .await;
        let pair = Pair::before(at);
        let mut client = pair.connect().await;
        client.write_all(EXPECTING).await.unwrap();
        let all = all_of(&mut client).await;
        assert!(all.starts_with("HTTP/1.1 417 ") && all.contains("Connection: close\r\n"), "{all}");
    });
}

#[test]
fn interim_responses_come_before_the_final_one_and_spare_http_10() {
    run(async {
        let at = app(|mut stream| async move {
            let mut seen = Vec::new();
            head_of(&mut stream, &mut seen).await.unwrap();
            let hints = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nl5d-proxy-error: forged\r\nConnection: x-hop\r\nx-hop: 1\r\n\r\n";
            stream.write_all(hints.as_bytes()).await.unwrap();
            while seen.len() < 4 {
                stream.read_buf(&mut seen).await.unwrap();
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        })
        .await;
        let pair = Pair::before(at);
        let mut client = pair.connect().await;
        client.write_all(b"PUT / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\n").await.unwrap();
        let mut seen = Vec::new();
        let head = soon(head_of(&mut client, &mut seen)).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 102 "), "{head}");
        let head = soon(head_of(&mut client, &mut seen)).await.unwrap();
        assert!(
            head.starts_with("HTTP/1.1 103 ") && head.to_ascii_lowercase().contains("link: </a>\r\n"),
            "{head}"
        );
        assert!(
            !head.contains("forged") && !head.contains("x-hop") && !head.contains("orig-proto"),
            "{head}"
        );
        // The final response waits for the body: what came before it was passed on meanwhile.
        client.write_all(b"body").await.unwrap();
        let head = soon(head_of(&mut client, &mut seen)).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 204 "), "{head}");
        let mut old = pair.connect().await;
        old.write_all(b"PUT / HTTP/1.0\r\nHost: web\r\nContent-Length: 4\r\n\r\nbody").await.unwrap();
        let all = all_of(&mut old).await;
        assert!(all.starts_with("HTTP/1.0 204 ") || all.starts_with("HTTP/1.1 204 "), "{all}");
    });
}

#[test]
fn an_application_that_never_comes_to_its_final_response_is_broken() {
    run(async {
        let at = app(|mut stream| async move {
            let mut seen = Vec::new();
            head_of(&mut stream, &mut seen).await.unwrap();
            let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(100);
            stream.write_all(hints.as_bytes()).await.unwrap();
            let _ = stream.read_buf(&mut seen).await;
        })
        .await;
        let pair = Pair::before(at);
        let mut client = pair.connect().await;
        client.write_all(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n").await.unwrap();
        let all = all_of(&mut client).await;
        assert!(all.contains("HTTP/1.1 502 "), "{all}");
        assert!(all.matches("HTTP/1.1 103 ").count() <= 16, "{all}");
    });
}

#[test]
fn an_upgraded_connection_carries_bytes_both_ways() {
    run(async {
        let at = app(|mut stream| async move {
            let mut seen = Vec::new();
            let head = head_of(&mut stream, &mut seen).await.unwrap();
            assert!(head.to_ascii_lowercase().contains("upgrade: websocket"), "{head}");
            stream
                .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhi")
                .await
                .unwrap();
            let mut said = [0; 4];
            stream.read_exact(&mut said).await.unwrap();
            stream.write_all(&said).await.unwrap();
        })
        .await;
        let pair = Pair::before(at);
        let mut client = pair.connect().await;
        client
            .write_all(b"GET /ws HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n")
            .await
            .unwrap();
        let mut seen = Vec::new();
        let head = soon(head_of(&mut client, &mut seen)).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        client.write_all(b"ping").await.unwrap();
        seen.extend_from_slice(all_of(&mut client).await.as_bytes());
        assert_eq!(seen, b"hiping");
    });
}

#[test]
fn a_client_that_no_rule_admits_gets_403() {
    run(async {
        let pair = Pair::before(echo_head().await);
        let others = only("other.shop.serviceaccount.identity.linkerd.cluster.local");
        pair.world.inbound(inbound_by(http_routes(Vec::new()), vec![others]));
        let mut client = pair.connect().await;
        let mut seen = Vec::new();
        client.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").await.unwrap();
        let (head, _) = response_of(&mut client, &mut seen).await;
        assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
        assert!(head.to_ascii_lowercase().contains("l5d-proxy-error:"), "{head}");
        pair.world.inbound(inbound_by(http_routes(vec![only(CLIENT)]), Vec::new()));
        client.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").await.unwrap();
        let (head, _) = response_of(&mut client, &mut seen).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    });
}

#[test]
fn a_request_moves_on_from_an_endpoint_that_refuses() {
    run(async {
        let pair = Pair::before(echo_head().await);
        let dead = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        };
        let live = echo_head().await;
        pair.world.endpoints(vec![plain(dead), meshed(live, pair.server.inbound.port(), mesh::SERVER)]);
        let mut client = pair.connect().await;
        let mut seen = Vec::new();
        for n in 0..20 {
            let request = format!("POST /{n} HTTP/1.1\r\nHost: web\r\nContent-Length: 0\r\n\r\n");
            client.write_all(request.as_bytes()).await.unwrap();
            let (head, _) = response_of(&mut client, &mut seen).await;
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        }
    });
}

#[test]
fn an_idempotent_request_moves_on_from_an_endpoint_that_is_silent() {
    run(async {
        let silent = app(|mut stream| async move {
            let mut seen = Vec::new();
            while stream.read_buf(&mut seen).await.is_ok_and(|n| n > 0) {}
        })
        .await;
        let live = echo_head().await;
        let pair = Pair::before(live);
        pair.world.endpoints(vec![plain(silent), plain(live)]);
        for _ in 0..4 {
            let mut client = pair.connect().await;
            let mut seen = Vec::new();
            client.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").await.unwrap();
            let (head, _) = response_of(&mut client, &mut seen).await;
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        }
    });
}

#[test]
fn a_destination_without_endpoints_fails_fast() {
    run(async {
        let pair = Pair::before(echo_head().await);
        pair.world.endpoints(Vec::new());
        let mut client = pair.connect().await;
        let mut seen = Vec::new();
        client.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").await.unwrap();
        let (head, _) = response_of(&mut client, &mut seen).await;
        assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    });
}

#[test]
fn a_malformed_request_is_answered_400_and_ends_the_connection() {
    run(async {
        let pair = Pair::before(echo_head().await);
        let mut client = pair.connect().await;
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await.unwrap();
        let all = all_of(&mut client).await;
        assert!(all.starts_with("HTTP/1.1 400 "), "{all}");
    });
}

#[test]
fn a_large_head_comes_through() {
    run(async {
        let pair = Pair::before(echo_head().await);
        let mut client = pair.connect().await;
        let mut seen = Vec::new();
        let cookie = "c".repeat(70 * 1024);
        let request = format!("GET / HTTP/1.1\r\nHost: web\r\nCookie: {cookie}\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let (head, body) = response_of(&mut client, &mut seen).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(body.contains(&cookie));
    });
}

#[test]
fn a_drain_lets_the_request_under_way_finish_and_then_closes() {
    run(async {
        let at = app(|mut stream| async move {
            let mut seen = Vec::new();
            while head_of(&mut stream, &mut seen).await.is_some() {
                tokio::time::sleep(Duration::from_millis(300)).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            }
        })
        .await;
        let pair = Pair::before(at);
        pair.world.inbound(inbound(http_routes(Vec::new())));
        let mut idle = pair.connect().await;
        let mut client = pair.connect().await;
        let mut seen = Vec::new();
        client.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").await.unwrap();
        let mut idle_seen = Vec::new();
        response_of(&mut idle, &mut idle_seen).await;
        response_of(&mut client, &mut seen).await;
        client.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        pair.client.drain(Duration::from_secs(5));
        let (head, body) = response_of(&mut client, &mut seen).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains("Connection: close\r\n"), "{head}");
        assert_eq!(body, "ok");
        assert_eq!(all_of(&mut client).await, "");
        assert_eq!(all_of(&mut idle).await, "");
        let Pair { client, server, .. } = pair;
        assert_eq!(client.ended(), Drained::Clean);
        server.drain(Duration::from_secs(5));
        assert_eq!(server.ended(), Drained::Clean);
    });
}

#[test]
fn a_request_moves_on_from_a_peer_whose_application_is_gone() {
    run(async {
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let live = echo_head().await;
        let pair = Pair::before(live);
        let through = pair.server.inbound.port();
        pair.world.endpoints(vec![meshed(dead, through, mesh::SERVER), meshed(live, through, mesh::SERVER)]);
        let mut client = pair.connect().await;
        let mut seen = Vec::new();
        for n in 0..10 {
            let request = format!("POST /{n} HTTP/1.1\r\nHost: web\r\nContent-Length: 0\r\n\r\n");
            client.write_all(request.as_bytes()).await.unwrap();
            let (head, _) = response_of(&mut client, &mut seen).await;
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        }
    });
}

#[test]
fn a_client_of_http_1_0_gets_its_version_and_its_close() {
    run(async {
        let pair = Pair::before(echo_head().await);
        let mut client = pair.connect().await;
        client.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let all = all_of(&mut client).await;
        assert!(all.starts_with("HTTP/1.0 200 "), "{all}");
        assert!(all.contains("GET / HTTP/1.0\r\n"), "{all}");
    });
}

#[test]
fn an_early_answer_to_an_unread_body_reaches_the_client() {
    run(async {
        let at = app(|mut stream| async move {
            let mut seen = Vec::new();
            head_of(&mut stream, &mut seen).await.unwrap();
            stream
                .write_all(
                    b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                )
                .await
                .unwrap();
        })
        .await;
        let pair = Pair::before(at);
        let mut client = pair.connect().await;
        client
            .write_all(b"POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 1000000\r\n\r\nxxxx")
            .await
            .unwrap();
        let mut seen = Vec::new();
        let head = soon(head_of(&mut client, &mut seen)).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    });
}

#[test]
fn a_plaintext_endpoint_is_spoken_to_in_http_1_over_kept_connections() {
    run(async {
        let accepted = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = std::sync::Arc::clone(&accepted);
        let at = app(move |mut stream| {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            async move {
                let mut seen = Vec::new();
                while let Some(head) = head_of(&mut stream, &mut seen).await {
                    assert!(head.starts_with("GET / HTTP/1.1\r\n"), "{head}");
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
                }
            }
        })
        .await;
        let pair = Pair::before(at);
        pair.world.endpoints(vec![plain(at)]);
        for _ in 0..5 {
            let mut client = pair.connect().await;
            let mut seen = Vec::new();
            client.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").await.unwrap();
            assert_eq!(response_of(&mut client, &mut seen).await.1, "ok");
        }
        assert_eq!(accepted.load(std::sync::atomic::Ordering::SeqCst), 1);
    });
}

#[test]
fn many_clients_at_once_are_answered_and_nothing_stays_open() {
    run(async {
        let pair = Pair::before(echo_head().await);
        let mut clients = tokio::task::JoinSet::new();
        for n in 0..100 {
            let mut client = pair.connect().await;
            clients.spawn(async move {
                let mut seen = Vec::new();
                for _ in 0..20 {
                    let request = format!("GET /{n} HTTP/1.1\r\nHost: web\r\n\r\n");
                    client.write_all(request.as_bytes()).await.unwrap();
                    let (head, body) = response_of(&mut client, &mut seen).await;
                    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
                    assert!(body.starts_with(&format!("GET /{n} ")), "{body}");
                }
            });
        }
        while let Some(client) = soon(clients.join_next()).await {
            client.unwrap();
        }
        let open = || {
            let metrics = pair.client.metrics();
            let lines = metrics
                .lines()
                .filter(|line| line.starts_with("tcp_open_connections{") && line.contains("peer=\"src\""));
            lines.map(|line| line.rsplit(' ').next().unwrap().parse::<i64>().unwrap()).sum::<i64>()
        };
        for _ in 0..100 {
            if open() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(open(), 0);
        let metrics = pair.client.metrics();
        let handshakes = metrics.lines().filter(|line| line.starts_with("hauberk_tls_connections_total{"));
        let handshakes: u64 =
            handshakes.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
        assert!(handshakes <= 4, "{handshakes} connections for one endpoint");
    });
}

#[test]
fn a_frozen_peer_holds_no_request_that_may_move() {
    run(async {
        // Accepts in the kernel, and answers nothing: not even a handshake.
        let frozen = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let live = echo_head().await;
        let pair = Pair::before(live);
        let dead = mesh::plain("127.0.0.1:9".parse().unwrap()).addr;
        pair.world.endpoints(vec![
            meshed(dead, frozen.local_addr().unwrap().port(), mesh::SERVER),
            meshed(live, pair.server.inbound.port(), mesh::SERVER),
        ]);
        let mut clients = tokio::task::JoinSet::new();
        for n in 0..10 {
            let mut client = pair.connect().await;
            clients.spawn(async move {
                let mut seen = Vec::new();
                let method = if n % 2 == 0 { "GET" } else { "POST" };
                let request = format!("{method} / HTTP/1.1\r\nHost: web\r\nContent-Length: 0\r\n\r\n");
                client.write_all(request.as_bytes()).await.unwrap();
                let (head, _) = response_of(&mut client, &mut seen).await;
                assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            });
        }
        while let Some(client) = soon(clients.join_next()).await {
            client.unwrap();
        }
    });
}
