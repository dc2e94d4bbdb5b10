//! A control plane on loopback that says what a test tells it to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Response};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What a stream does next.
pub enum Step {
    /// Sends a message.
    Say(Bytes),
    /// Ends with a gRPC status.
    End(u16),
}

/// Encodes a message for [`Step::Say`].
pub fn say(message: &impl Message) -> Step {
    Step::Say(message.encode_to_vec().into())
}

/// A call that reached the server.
pub struct Call {
    /// The message without its gRPC prefix.
    pub request: Bytes,
    /// Drives the response; dropping it leaves the stream open and silent.
    pub steps: mpsc::UnboundedSender<Step>,
}

type Calls = Arc<Mutex<HashMap<String, mpsc::UnboundedSender<Call>>>>;

/// The server. Dropping it closes every connection.
pub struct ControlPlane {
    pub addr: SocketAddr,
    calls: Calls,
    tasks: JoinSet<()>,
}

impl ControlPlane {
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub async fn start_at(addr: SocketAddr) -> Self {
        let listener = TcpListener::bind(addr).await.expect("bound");
        let addr = listener.local_addr().expect("address");
        let calls = Calls::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&calls)));
        Self { addr, calls, tasks }
    }

    /// Calls of a method, such as `/io.linkerd.proxy.destination.Destination/Get`.
    pub fn calls(&self, path: &str) -> mpsc::UnboundedReceiver<Call> {
        let (send, calls) = mpsc::unbounded_channel();
        self.calls.lock().expect("lock").insert(path.to_owned(), send);
        calls
    }

    /// Ends the server with all of its connections, and returns where it was.
    pub async fn kill(mut self) -> SocketAddr {
        self.tasks.shutdown().await;
        self.addr
    }
}

async fn accept(listener: TcpListener, calls: Calls) {
    // Dropped with the server's task: its connections end with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let calls = Arc::clone(&calls);
        connections.spawn(async move {
            let mut connection = h2::server::handshake(stream).await.expect("handshake");
            let mut streams = JoinSet::new();
            while let Some(Ok((request, respond))) = connection.accept().await {
                let found = calls.lock().expect("lock").get(request.uri().path()).cloned();
                streams.spawn(serve(request, respond, found));
            }
        });
    }
}

async fn serve(
    request: http::Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    calls: Option<mpsc::UnboundedSender<Call>>,
) {
    let mut body = request.into_body();
    let mut bytes = BytesMut::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        bytes.extend_from_slice(&data);
    }
    let (steps, mut said) = mpsc::unbounded_channel();
    let request = bytes.freeze().slice(5..);
    if calls.is_none_or(|calls| calls.send(Call { request, steps: steps.clone() }).is_err()) {
        let _ = steps.send(Step::End(12));
    }
    drop(steps);
    let head = Response::builder().header("content-type", "application/grpc").body(()).expect("head");
    let Ok(mut stream) = respond.send_response(head, false) else { return };
    while let Some(step) = said.recv().await {
        match step {
            Step::Say(message) => {
                let mut frame = BytesMut::new();
                frame.put_u8(0);
                frame.put_u32(message.len() as u32);
                frame.put(message);
                if stream.send_data(frame.freeze(), false).is_err() {
                    return;
                }
            }
            Step::End(status) => {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from(status));
                let _ = stream.send_trailers(trailers);
                return;
            }
        }
    }
    std::future::pending::<()>().await;
}
