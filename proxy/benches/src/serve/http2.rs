//! HTTP/2 with prior knowledge, and gRPC: whatever message comes in goes out again, with `grpc-status: 0`.

use std::io;

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::TcpStream;

use crate::answer;

const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
const STREAMS_MAX: u32 = 1000;

/// Answers until the client closes.
pub async fn serve(stream: TcpStream) -> io::Result<()> {
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX);
    let mut connection = builder.handshake::<_, Bytes>(stream).await.map_err(io::Error::other)?;
    while let Some(accepted) = connection.accept().await {
        let (request, respond) = accepted.map_err(io::Error::other)?;
        tokio::task::spawn_local(async move { respond_to(request, respond).await.unwrap_or_default() });
    }
    Ok(())
}

async fn respond_to(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let (head, body) = request.into_parts();
    let is_grpc =
        head.headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    let received = read(body).await?;
    if is_grpc {
        let mut response = Response::new(());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let mut stream = respond.send_response(response, false)?;
        stream.send_data(received, false)?;
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        return stream.send_trailers(trailers);
    }
    let answer = answer(head.uri.path(), received);
    let mut response = Response::new(());
    *response.status_mut() = http::StatusCode::from_u16(answer.status).unwrap_or_default();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response.headers_mut().insert(http::header::CONTENT_LENGTH, HeaderValue::from(answer.body.len()));
    let is_empty = answer.body.is_empty();
    let mut stream = respond.send_response(response, is_empty)?;
    if !is_empty {
        // The crate holds what flow control does not let out yet.
        stream.send_data(answer.body, true)?;
    }
    Ok(())
}

async fn read(mut body: RecvStream) -> Result<Bytes, h2::Error> {
    let mut whole = BytesMut::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        whole.extend_from_slice(&part);
    }
    Ok(whole.freeze())
}
