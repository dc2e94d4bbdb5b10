//! HTTP/2 and gRPC through a pair of proxies.

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
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use mesh::{CLIENT, Pair, app, detect_with, http_routes, inbound_by, meshed, only, run, soon};
use tokio::sync::mpsc;

/// An HTTP/2 application: each stream is given to `handle`.
async fn h2_app<F, Fut>(handle: F) -> SocketAddr
where
    F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    app(move |stream| {
        let handle = handle.clone();
        async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, respond))) = connection.accept().await {
                tokio::spawn(handle(request, respond));
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

fn call(path: &str) -> Request<()> {
    let request = Request::post(format!("http://web{path}")).header("content-type", "application/grpc");
    request.header("te", "trailers").body(()).unwrap()
}

async fn body_of(mut body: RecvStream) -> (Vec<u8>, HeaderMap) {
    let mut all = Vec::new();
    while let Some(bytes) = soon(body.data()).await {
        let bytes = bytes.unwrap();
        body.flow_control().release_capacity(bytes.len()).unwrap();
        all.extend_from_slice(&bytes);
    }
    (all, soon(body.trailers()).await.unwrap().unwrap_or_default())
}

/// Sends every message back, and then status 0.
async fn echo(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    assert_eq!(request.headers()["l5d-client-id"], CLIENT);
    let mut body = request.into_body();
    let mut out = respond.send_response(Response::new(()), false).unwrap();
    while let Some(Ok(bytes)) = body.data().await {
        body.flow_control().release_capacity(bytes.len()).unwrap();
        out.send_data(bytes, false).unwrap();
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    out.send_trailers(trailers).unwrap();
}

#[test]
fn a_call_streams_both_ways_and_ends_with_its_trailers() {
    run(async {
        let pair = Pair::before(h2_app(echo).await);
        let mut send = client(&pair).await;
        let (response, mut out) = send.send_request(call("/shop.Cart/Add"), false).unwrap();
        out.send_data(Bytes::from_static(b"one"), false).unwrap();
        let response = soon(response).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        assert_eq!(soon(body.data()).await.unwrap().unwrap(), "one");
        out.send_data(Bytes::from_static(b"two"), true).unwrap();
        let (rest, trailers) = body_of(body).await;
        assert_eq!(rest, b"two");
        assert_eq!(trailers["grpc-status"], "0");
        let metrics = pair.client.metrics();
        assert!(metrics.contains("grpc_status=\"0\""), "{metrics}");
    });
}

#[test]
fn interim_responses_of_a_stream_come_before_its_final_one() {
    run(async {
        let at = h2_app(|request, mut respond| async move {
            assert_eq!(request.headers()["expect"], "100-continue");
            let interim =
                |status: u16| Response::builder().status(status).header("link", "</a>").body(()).unwrap();
            respond.send_informational(interim(100)).unwrap();
            respond.send_informational(interim(103)).unwrap();
            let mut body = request.into_body();
            assert_eq!(body.data().await.unwrap().unwrap(), "body");
            respond.send_response(Response::new(()), true).unwrap();
        })
        .await;
        let pair = Pair::before(at);
        let mut send = client(&pair).await;
        let request = Request::post("http://web/").header("expect", "100-continue").body(()).unwrap();
        let (mut response, mut out) = send.send_request(request, false).unwrap();
        for status in [100, 103] {
            let interim = soon(std::future::poll_fn(|cx| response.poll_informational(cx))).await;
            let interim = interim.unwrap().unwrap();
            assert_eq!(
                (interim.status().as_u16(), &interim.headers()["link"]),
                (status, &HeaderValue::from_static("</a>"))
            );
        }
        out.send_data(Bytes::from_static(b"body"), true).unwrap();
        assert_eq!(soon(response).await.unwrap().status(), 200);
    });
}

#[test]
fn a_large_body_comes_back_whole() {
    run(async {
        let pair = Pair::before(h2_app(echo).await);
        let mut send = client(&pair).await;
        let (response, mut out) = send.send_request(call("/shop.Cart/Add"), false).unwrap();
        let sent: Bytes = (0..2_000_000_u32).map(|n| (n % 253) as u8).collect::<Vec<_>>().into();
        let given = sent.clone();
        tokio::spawn(async move { out.send_data(given, true).unwrap() });
        let response = soon(response).await.unwrap();
        let (heard, _) = body_of(response.into_body()).await;
        assert!(heard == sent);
    });
}

#[test]
fn a_cancelled_call_is_cancelled_at_the_application() {
    run(async {
        let (tell, mut told) = mpsc::unbounded_channel();
        let at = h2_app(move |_request, mut respond| {
            let tell = tell.clone();
            async move {
                let mut out = respond.send_response(Response::new(()), false).unwrap();
                tell.send(None).unwrap();
                let reason = std::future::poll_fn(|cx| out.poll_reset(cx)).await.unwrap();
                tell.send(Some(reason)).unwrap();
            }
        })
        .await;
        let pair = Pair::before(at);
        let mut send = client(&pair).await;
        let (response, mut out) = send.send_request(call("/shop.Cart/Watch"), false).unwrap();
        assert_eq!(soon(told.recv()).await, Some(None));
        drop(response);
        out.send_reset(Reason::CANCEL);
        assert_eq!(soon(told.recv()).await, Some(Some(Reason::CANCEL)));
    });
}

#[test]
fn a_call_that_no_rule_admits_ends_with_permission_denied() {
    run(async {
        let pair = Pair::before(h2_app(echo).await);
        let others = only("other.shop.serviceaccount.identity.linkerd.cluster.local");
        pair.world.inbound(inbound_by(http_routes(Vec::new()), vec![others]));
        let mut send = client(&pair).await;
        let (response, _) = send.send_request(call("/shop.Cart/Add"), true).unwrap();
        let response = soon(response).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "7");
    });
}

#[test]
fn an_unreachable_backend_is_unavailable_and_a_wrong_peer_is_never_asked() {
    run(async {
        let at = h2_app(echo).await;
        let pair = Pair::before(at);
        let imposter = "imposter.shop.serviceaccount.identity.linkerd.cluster.local";
        pair.world.endpoints(vec![meshed(at, pair.server.inbound.port(), imposter)]);
        let mut send = client(&pair).await;
        let (response, _) = send.send_request(call("/shop.Cart/Add"), true).unwrap();
        let response = soon(response).await.unwrap();
        assert_eq!(response.headers()["grpc-status"], "14");
        let (response, _) = send.send_request(Request::get("http://web/").body(()).unwrap(), true).unwrap();
        assert_eq!(soon(response).await.unwrap().status(), 502);
    });
}

#[test]
fn a_request_ends_at_its_deadline() {
    run(async {
        let at = h2_app(|request, respond| async move {
            let _held = (request, respond);
            std::future::pending().await
        })
        .await;
        let pair = Pair::before(at);
        let timeouts = hauberk_model::route::Timeouts {
            request: Some(Duration::from_millis(300)),
            ..hauberk_model::route::Timeouts::default()
        };
        pair.world.outbound(detect_with(timeouts));
        let mut send = client(&pair).await;
        let (response, _) = send.send_request(call("/shop.Cart/Add"), true).unwrap();
        assert_eq!(soon(response).await.unwrap().headers()["grpc-status"], "4");
        let (response, _) = send.send_request(Request::get("http://web/").body(()).unwrap(), true).unwrap();
        assert_eq!(soon(response).await.unwrap().status(), 504);
    });
}

#[test]
fn a_server_that_breaks_off_ends_a_call_with_unavailable_trailers() {
    run(async {
        let at = h2_app(|_request, mut respond| async move {
            let mut out = respond.send_response(Response::new(()), false).unwrap();
            out.send_data(Bytes::from_static(b"half"), false).unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
            out.send_reset(Reason::INTERNAL_ERROR);
        })
        .await;
        let pair = Pair::before(at);
        let mut send = client(&pair).await;
        let (response, _) = send.send_request(call("/shop.Cart/Add"), true).unwrap();
        let (body, trailers) = body_of(soon(response).await.unwrap().into_body()).await;
        assert_eq!(body, b"half");
        assert_eq!(trailers["grpc-status"], "14");
    });
}

#[test]
fn a_refused_stream_is_tried_again_whatever_its_method() {
    run(async {
        let tried = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = std::sync::Arc::clone(&tried);
        let at = h2_app(move |request, mut respond| {
            let tried = std::sync::Arc::clone(&counted);
            async move {
                if tried.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                    respond.send_reset(Reason::REFUSED_STREAM);
                    return;
                }
                echo(request, respond).await;
            }
        })
        .await;
        let pair = Pair::before(at);
        let mut send = client(&pair).await;
        let (response, _) = send.send_request(call("/shop.Cart/Add"), true).unwrap();
        let (_, trailers) = body_of(soon(response).await.unwrap().into_body()).await;
        assert_eq!(trailers["grpc-status"], "0");
    });
}

#[test]
fn a_connection_that_leaves_is_replaced_without_a_failure() {
    run(async {
        let at = app(|stream| async move {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let mut served = 0;
            while let Some(Ok((request, respond))) = connection.accept().await {
                tokio::spawn(echo(request, respond));
                served += 1;
                if served == 3 {
                    // As gRPC servers do at the end of a connection's age.
                    connection.graceful_shutdown();
                }
            }
        })
        .await;
        let pair = Pair::before(at);
        let mut send = client(&pair).await;
        for _ in 0..12 {
            let (response, _) = send.send_request(call("/shop.Cart/Add"), true).unwrap();
            let (_, trailers) = body_of(soon(response).await.unwrap().into_body()).await;
            assert_eq!(trailers["grpc-status"], "0");
            send = send.ready().await.unwrap();
        }
    });
}

#[test]
fn calls_go_on_when_one_of_two_proxies_drains() {
    run(async {
        let at = h2_app(echo).await;
        let pair = Pair::before(at);
        let other = mesh::Proxy::start(&pair.world, pair.ca.credentials(mesh::SERVER));
        let second = app_alias(at).await;
        pair.world.endpoints(vec![
            mesh::meshed(at, pair.server.inbound.port(), mesh::SERVER),
            mesh::meshed(second, other.inbound.port(), mesh::SERVER),
        ]);
        let mut send = client(&pair).await;
        for n in 0..40 {
            if n == 10 {
                other.drain(Duration::from_secs(3));
            }
            let (response, _) = send.send_request(call("/shop.Cart/Add"), true).unwrap();
            let (_, trailers) = body_of(soon(response).await.unwrap().into_body()).await;
            assert_eq!(trailers["grpc-status"], "0", "call {n}");
            send = send.ready().await.unwrap();
        }
    });
}

/// The same application under another address.
async fn app_alias(to: SocketAddr) -> SocketAddr {
    app(move |mut near| async move {
        let Ok(mut far) = tokio::net::TcpStream::connect(to).await else { return };
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    })
    .await
}
