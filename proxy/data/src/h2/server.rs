//! HTTP/2 connections that clients open: each stream becomes a call of the handler.

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use tokio::task::JoinSet;

use hauberk_wire::Edits;
use hauberk_wire::translate::{H2Request, Honour};

use super::stream::{Incoming, Outgoing};
use crate::body::{Body, BodyError, Sink};
use crate::config::Limits;
use crate::drain::DrainWatch;
use crate::exchange::{Handler, Reply, Request};
use crate::heads::{self, RequestMeta, ResponseMeta};
use crate::io::Io;

/// Bytes of one stream that may wait in our memory for the connection.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Streams that a client reset and whose state is still kept; more end the connection (rapid reset, CVE-2023-44487).
const RESET_STREAMS_MAX: usize = 32;
/// Streams that we had to reset for the client's errors (MadeYouReset, CVE-2025-8671); more end the connection.
const LOCAL_ERROR_RESETS_MAX: usize = 128;
/// Window of one stream and of the connection: as the client half of a pair has them by default.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// Serves a connection until it ends or `drain` has let its last stream finish.
///
/// # Errors
/// Whatever ended the connection before its time.
pub(crate) async fn serve<H: Handler>(
    io: Io,
    limits: &Limits,
    mut drain: DrainWatch,
    handler: Rc<H>,
) -> Result<(), h2::Error> {
    let handshake = h2::server::Builder::new()
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(limits.http2_streams_max)
        .max_header_list_size(u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
        .max_local_error_reset_streams(Some(LOCAL_ERROR_RESETS_MAX))
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .handshake::<_, Bytes>(io);
    let Ok(handshake) = tokio::time::timeout(limits.head_timeout, handshake).await else { return Ok(()) };
    let mut connection = handshake?;
    let mut streams = JoinSet::new();
    let mut draining = false;
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                None => break,
                Some(Err(error)) => return Err(error),
                Some(Ok((request, respond))) => {
                    if let Some(request) = of_stream(request, respond, handler.honours()) {
                        streams.spawn_local(Rc::clone(&handler).handle(request));
                    }
                }
            },
            Some(_) = streams.join_next(), if !streams.is_empty() => {}
            () = drain.drained(), if !draining => {
                draining = true;
                connection.graceful_shutdown();
            }
        }
    }
    Ok(())
}

/// The request of a stream; what is malformed is answered at once.
fn of_stream(
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    honour: Honour,
) -> Option<Request> {
    let (parts, stream) = request.into_parts();
    match H2Request::read(parts, honour) {
        Ok(head) => {
            let body = if stream.is_end_stream() { Body::Empty } else { Body::H2(Incoming::new(stream)) };
            let orig_proto = head.orig_proto().is_some();
            let reply = Reply::H2(Respond { respond, orig_proto });
            Some(Request { head: RequestMeta::H2(Box::new(head)), body, reply })
        }
        Err(error) => {
            let mut answer = http::Response::new(());
            *answer.status_mut() = http::StatusCode::from_u16(error.status()).unwrap_or_default();
            // Fails only if the client has gone already.
            let _ = respond.send_response(answer, true);
            None
        }
    }
}

/// Answers one stream.
#[derive(Debug)]
pub(crate) struct Respond {
    respond: SendResponse<Bytes>,
    orig_proto: bool,
}

impl Respond {
    /// Sends the head; `ends`: and nothing after it.
    pub(crate) fn head(
        mut self,
        head: ResponseMeta,
        edits: &Edits<'_>,
        ends: bool,
    ) -> Result<Sink, BodyError> {
        let head = heads::response_for_http2(head, self.orig_proto, edits).inspect_err(|_| {
            self.respond.send_reset(Reason::INTERNAL_ERROR);
        })?;
        let stream = self.respond.send_response(head, ends)?;
        Ok(if ends { Sink::None } else { Sink::H2(Outgoing::new(stream)) })
    }

    /// Ready when the client has cancelled.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.respond.poll_reset(cx).map(|_| ())
    }

    pub(crate) fn reset(mut self, reason: Reason) {
        self.respond.send_reset(reason);
    }
}
