//! Clients that abuse HTTP/2, and what others on the same listener and the same connections notice of them: nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod mesh;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::client::{ResponseFuture, SendRequest};
use http::{Request, Response};
use mesh::{Pair, app, run, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Answers `/now` at once and nothing else ever.
async fn patient_app() -> SocketAddr {
    app(|stream| async move {
        // What it makes of streams that end before it has looked at them is not what is tried here.
        let mut server = h2::server::Builder::new();
        server.max_pending_accept_reset_streams(1_024);
        let Ok(mut connection) = server.handshake::<_, Bytes>(stream).await else { return };
        let mut kept = Vec::new();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            if request.uri().path() == "/now" {
                respond.send_response(Response::new(()), true).unwrap();
            } else {
                kept.push(respond);
            }
        }
    })
    .await
}

async fn client(pair: &Pair) -> SendRequest<Bytes> {
    let (send, connection) = h2::client::handshake(pair.connect().await).await.unwrap();
    tokio::spawn(connection);
    send.ready().await.unwrap()
}

fn ask(send: &mut SendRequest<Bytes>, path: &str) -> ResponseFuture {
    let request = Request::post(format!("http://web{path}")).body(()).unwrap();
    send.send_request(request, true).unwrap().0
}

#[test]
fn a_client_that_drops_its_streams_takes_no_others_with_it_on_a_shared_connection() {
    run(async {
        let pair = Pair::before(patient_app().await);
        let (mut good, mut bad) = (client(&pair).await, client(&pair).await);
        assert_eq!(soon(ask(&mut good, "/now")).await.unwrap().status(), 200);
        // In flight on the connection between the proxies, which all requests share.
        let waits = ask(&mut good, "/later");
        for round in 0..5 {
            let mut dropped = Vec::new();
            for _ in 0..90 {
                bad = soon(bad.ready()).await.unwrap();
                dropped.push(ask(&mut bad, "/later"));
            }
            if round % 2 == 0 {
                // Some have reached the application, some have not left the client.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            drop(dropped);
            assert_eq!(soon(ask(&mut good, "/now")).await.unwrap().status(), 200);
            assert_eq!(soon(ask(&mut bad, "/now")).await.unwrap().status(), 200, "round {round}");
        }
        tokio::select! {
            ended = waits => panic!("a request that others shared a connection with ended: {ended:?}"),
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    });
}

fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, 0]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// What a client that sends `flood` until it cannot is told in the end.
async fn flooded(to: SocketAddr, flood: &[u8]) -> u32 {
    let (mut read, mut write) = TcpStream::connect(to).await.unwrap().into_split();
    write.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    write.write_all(&frame(4, 0, &[])).await.unwrap();
    let sending = async { while write.write_all(flood).await.is_ok() {} };
    let reading = async {
        loop {
            let mut head = [0; 9];
            read.read_exact(&mut head).await.expect("a GOAWAY before the end");
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            read.read_exact(&mut payload).await.unwrap();
            if head[3] == 7 {
                return u32::from_be_bytes(payload[4..8].try_into().unwrap());
            }
        }
    };
    soon(async {
        tokio::select! {
            code = reading => code,
            () = async { sending.await; std::future::pending().await } => 0,
        }
    })
    .await
}

#[test]
fn floods_of_frames_that_carry_nothing_are_sent_away() {
    run(async {
        let pair = Pair::before(patient_app().await);
        let floods = [
            ("settings", frame(4, 0, &[0, 3, 0, 0, 0, 100])),
            ("ping", frame(6, 0, b"12345678")),
            ("priority", frame(2, 3, &[0, 0, 0, 0, 16])),
            ("window", frame(8, 0, &1_u32.to_be_bytes())),
            ("unknown", frame(99, 0, &[0; 4])),
        ];
        for (name, one) in floods {
            let code = flooded(pair.client.outbound, &one.repeat(50)).await;
            assert_eq!(code, u32::from(Reason::ENHANCE_YOUR_CALM), "{name}");
        }
        let mut good = client(&pair).await;
        assert_eq!(soon(ask(&mut good, "/now")).await.unwrap().status(), 200);
    });
}

#[test]
fn large_heads_in_flight_are_bounded_and_what_is_beyond_may_be_tried_again() {
    run(async {
        let pair = Pair::before(patient_app().await);
        let mut send = client(&pair).await;
        let large = |path: &str| {
            let mut request = Request::post(format!("http://web{path}"));
            for field in 0..100 {
                request = request.header(format!("x-{field}"), "v".repeat(900));
            }
            request.body(()).unwrap()
        };
        let mut waiting = Vec::new();
        for _ in 0..20 {
            send = soon(send.ready()).await.unwrap();
            waiting.push(send.send_request(large("/later"), true).unwrap().0);
        }
        let refused = soon(async {
            loop {
                let (ended, at, _) = select_any(&mut waiting).await;
                drop(waiting.remove(at));
                if let Err(error) = ended {
                    return error;
                }
            }
        })
        .await;
        assert_eq!(refused.reason(), Some(Reason::REFUSED_STREAM));
        drop(waiting);
        soon(async {
            loop {
                send = send.ready().await.unwrap();
                let (response, _) = send.send_request(large("/now"), true).unwrap();
                if response.await.is_ok_and(|response| response.status() == 200) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    });
}

async fn select_any(
    waiting: &mut [ResponseFuture],
) -> (Result<Response<h2::RecvStream>, h2::Error>, usize, ()) {
    std::future::poll_fn(|cx| {
        for (at, one) in waiting.iter_mut().enumerate() {
            if let std::task::Poll::Ready(ended) = std::pin::Pin::new(one).poll(cx) {
                return std::task::Poll::Ready((ended, at, ()));
            }
        }
        std::task::Poll::Pending
    })
    .await
}

const SHORT: Duration = Duration::from_millis(100);

/// A pair whose proxies have little patience with clients.
async fn impatient(app: SocketAddr) -> Pair {
    let pair = Pair::before(app);
    let hasty = |config: &mut hauberk_data::Config| {
        config.limits.body_idle_timeout = SHORT;
        config.limits.unread_timeout = SHORT;
    };
    let client = mesh::Proxy::start_with(&pair.world, pair.ca.credentials(mesh::CLIENT), hasty);
    Pair { client, ..pair }
}

#[test]
fn a_body_that_stands_still_ends_its_connection_and_one_that_moves_does_not() {
    run(async {
        let pair = impatient(mesh::echo_head().await).await;
        let begin = b"POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 20\r\n\r\n";
        let mut still = pair.connect().await;
        still.write_all(begin).await.unwrap();
        let mut moving = pair.connect().await;
        moving.write_all(begin).await.unwrap();
        for _ in 0..20 {
            tokio::time::sleep(SHORT / 4).await;
            moving.write_all(b"a").await.unwrap();
        }
        let mut seen = Vec::new();
        let (head, _) = mesh::response_of(&mut moving, &mut seen).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        // The application answers the head alone; what is owed then is the rest of the body, which is not awaited for long.
        mesh::all_of(&mut still).await;
    });
}

#[test]
fn an_answer_that_nobody_reads_ends_its_connection() {
    run(async {
        let sent = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let ended = std::sync::Arc::clone(&sent);
        let at = app(move |mut stream| {
            let ended = std::sync::Arc::clone(&ended);
            async move {
                let mut seen = Vec::new();
                mesh::head_of(&mut stream, &mut seen).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 400000000\r\n\r\n").await;
                while stream.write_all(&[0; 65_536]).await.is_ok() {}
                ended.store(true, std::sync::atomic::Ordering::SeqCst);
            }
        })
        .await;
        let pair = impatient(at).await;
        let mut deaf = pair.connect().await;
        deaf.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").await.unwrap();
        soon(async {
            while !sent.load(std::sync::atomic::Ordering::SeqCst) {
                tokio::time::sleep(SHORT).await;
            }
        })
        .await;
    });
}
