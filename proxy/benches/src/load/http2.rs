//! Streams of one HTTP/2 connection: plain requests, and gRPC's unary calls.

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::{Method, Request, Uri};
use tokio::net::TcpStream;

use crate::LoadError;
use crate::args::{HttpLoad, Protocol};

const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// A handle on a shared connection, and the request it repeats.
#[derive(Clone)]
pub struct Client {
    send: SendRequest<Bytes>,
    uri: Uri,
    body: Bytes,
    is_grpc: bool,
}

fn answer(error: impl std::fmt::Display) -> LoadError {
    LoadError::Answer(error.to_string())
}

/// A gRPC message of `length` bytes: no compression, its length, its bytes.
fn grpc_message(length: usize) -> Vec<u8> {
    let mut message = vec![0];
    message.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    message.resize(message.len().saturating_add(length), b'x');
    message
}

impl Client {
    /// Connects and has one exchange.
    pub async fn open(load: &HttpLoad) -> Result<Self, LoadError> {
        let stream = TcpStream::connect(load.to).await?;
        stream.set_nodelay(true)?;
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        let (send, connection) = builder.handshake(stream).await.map_err(answer)?;
        // Ends when the last handle is gone.
        tokio::task::spawn_local(async move { connection.await.unwrap_or_default() });
        let is_grpc = load.protocol == Protocol::Grpc;
        let uri = format!("http://{}{}", load.host, load.path).parse().map_err(answer)?;
        let body = if is_grpc { grpc_message(load.body) } else { vec![b'x'; load.body] };
        let mut client = Self { send, uri, body: body.into(), is_grpc };
        client.exchange().await?;
        Ok(client)
    }

    /// One request and its whole answer, which must be 200, and for gRPC have `grpc-status: 0`.
    pub async fn exchange(&mut self) -> Result<(), LoadError> {
        let mut request = Request::new(());
        *request.uri_mut() = self.uri.clone();
        if !self.body.is_empty() {
            *request.method_mut() = Method::POST;
        }
        if self.is_grpc {
            request.headers_mut().insert("content-type", http::HeaderValue::from_static("application/grpc"));
            request.headers_mut().insert("te", http::HeaderValue::from_static("trailers"));
        }
        let mut send = self.send.clone().ready().await.map_err(answer)?;
        let (response, mut stream) = send.send_request(request, self.body.is_empty()).map_err(answer)?;
        if !self.body.is_empty() {
            stream.send_data(self.body.clone(), true).map_err(answer)?;
        }
        let response = response.await.map_err(answer)?;
        if response.status() != 200 {
            return Err(LoadError::Answer(format!("status {}", response.status())));
        }
        let (head, mut body) = response.into_parts();
        while let Some(part) = body.data().await {
            let length = part.map_err(answer)?.len();
            body.flow_control().release_capacity(length).map_err(answer)?;
        }
        if self.is_grpc {
            let trailers = body.trailers().await.map_err(answer)?;
            let status = trailers.as_ref().unwrap_or(&head.headers).get("grpc-status");
            if status.is_none_or(|status| status != "0") {
                return Err(LoadError::Answer(format!("grpc-status {status:?}")));
            }
        }
        Ok(())
    }
}
