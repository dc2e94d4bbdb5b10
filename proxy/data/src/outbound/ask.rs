//! Calls of the proxy's own: over the path that requests of its application take, with the same routes, balancing, mTLS
//! and retries, and no task or thread between.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use hauberk_model::balance::{Affinity, Outcome};
use hauberk_model::status::Failure;
use hauberk_wire::translate::{H2Request, Honour};
use hauberk_wire::{Edits, strip};
use tokio::time::Instant;

use super::attempt::{Attempts, Won};
use super::demands::Demands;
use super::fault;
use super::http::Outbound;
use crate::body::{Frame, grpc_status};
use crate::exchange::Exchange;
use crate::heads::{self, RequestMeta};
use crate::interim::Interims;
use crate::meters::Ended;
use crate::recorder::Telling;
use crate::replay::Source;
use crate::worker::Worker;

/// Bytes of an answer that are read; a longer one is no answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// A message's flag (not compressed) and length (gRPC over HTTP2, "Length-Prefixed-Message").
const PREFIX_BYTES: usize = 5;

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("the policy of {0} is not known")]
    NoPolicy(SocketAddr),
    #[error("the call cannot be written")]
    Unsayable,
    #[error("no answer: {}", .0.row().text)]
    Failed(Failure),
    #[error("the answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    #[error("the answer broke off")]
    Broken,
    #[error("the call ended with HTTP status {http} and gRPC status {grpc:?}")]
    Status { http: u16, grpc: Option<u16> },
    #[error("the answer is no message")]
    Malformed,
}

/// Makes one unary call: `message` in, the message of the answer out. `within` is told to the service.
///
/// # Errors
/// [`AskError`]. That it takes no longer is the caller's to see to.
pub(crate) async fn call(
    worker: &Rc<Worker>,
    to: SocketAddr,
    authority: &str,
    path: &'static str,
    message: &[u8],
    within: Duration,
) -> Result<Bytes, AskError> {
    let target = worker.targets.obtain(worker, to);
    let plan = target.first_plan(worker).await.ok_or(AskError::NoPolicy(to))?;
    let head = head(authority, path, within).ok_or(AskError::Unsayable)?;
    let story = worker.tell_outbound(&head, (to, to), Instant::now());
    let source = Source::whole(framed(message).ok_or(AskError::Unsayable)?);
    let outbound = Outbound::new(worker, &target, to);
    let routed = outbound.route(&plan, &head).map_err(|answer| AskError::Failed(answer.failure()))?;
    let demands = Demands::of(&routed.rule.target, &head, Instant::now());
    if let Some(fault) = &routed.fault {
        let struck = Box::pin(fault::carry_out(fault, true, demands.deadline, worker)).await;
        if let Some(answer) = struck {
            return Err(AskError::Failed(answer.failure()));
        }
    }
    let chosen = routed.rule.choose(worker).ok_or(AskError::Failed(Failure::NoBackend))?;
    let filters = [routed.filters, chosen.reference.filters.as_slice()];
    let modifiers = heads::request_modifiers(filters);
    let attempts = Attempts {
        worker,
        rule: routed.rule,
        chosen,
        head: &head,
        path_and_query: routed.path_and_query.as_deref(),
        meant: to,
        edits: Edits::filtered(&strip::REQUEST_FROM_APP, &modifiers),
        source,
        demands: &demands,
        affinity: Affinity::None,
        began: Instant::now(),
        repeats: Cell::new(0),
        story: &story,
        interims: &Interims::default(),
    };
    let Won { exchange, mut load, slot, started, .. } =
        attempts.run().await.inspect_err(|failure| unanswered(&story, *failure)).map_err(AskError::Failed)?;
    let (status, latency) = (exchange.response.status(), started.elapsed());
    let answer = read(exchange).await;
    let (grpc_status, complete) = match &answer {
        Err(AskError::Status { grpc, .. }) => (*grpc, true),
        Err(AskError::Broken) => (None, false),
        Ok(_) | Err(_) => (Some(0), true),
    };
    let ended = Ended { status, grpc_status, complete };
    slot.http.responded(ended, latency);
    story.ends(ended);
    load.end(match &answer {
        Ok(_) => Outcome::Success,
        Err(AskError::Broken) => Outcome::Unreachable,
        Err(_) => Outcome::Failure,
    });
    answer
}

fn unanswered(story: &Telling<'_>, failure: Failure) {
    story.fails(failure);
    story.ends(Ended { status: failure.row().http, grpc_status: None, complete: false });
}

fn head(authority: &str, path: &'static str, within: Duration) -> Option<RequestMeta> {
    let request = http::Request::post(format!("http://{authority}{path}"))
        .version(http::Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", format!("{}m", within.as_millis()))
        .body(())
        .ok()?;
    let read = H2Request::read(request.into_parts().0, Honour::Nothing).ok()?;
    Some(RequestMeta::H2(Box::new(read)))
}

fn framed(message: &[u8]) -> Option<Bytes> {
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.len()).ok()?);
    bytes.put_slice(message);
    Some(bytes.freeze())
}

/// Reads the answer to its end: one message, and a status that says that all is well.
async fn read(exchange: Box<Exchange>) -> Result<Bytes, AskError> {
    let Exchange { response, mut body, mut request, .. } = *exchange;
    let http = response.status();
    let mut grpc = response.grpc_status();
    let mut bytes = BytesMut::new();
    loop {
        let frame = poll_fn(|cx| {
            if !request.is_done() {
                let _ = request.poll(cx);
            }
            body.poll_frame(cx)
        })
        .await;
        match frame {
            Err(_) => return Err(AskError::Broken),
            Ok(None) => break,
            Ok(Some(Frame::Trailers(trailers))) => {
                grpc = grpc_status(&trailers).or(grpc);
                break;
            }
            Ok(Some(Frame::Data(data))) if bytes.len() + data.len() <= ANSWER_BYTES_MAX => {
                bytes.extend_from_slice(&data);
            }
            Ok(Some(Frame::Data(_))) => return Err(AskError::TooLong),
        }
    }
    if http != 200 || grpc != Some(0) {
        return Err(AskError::Status { http, grpc });
    }
    unframed(bytes.freeze()).ok_or(AskError::Malformed)
}

/// The one message, not compressed.
fn unframed(mut bytes: Bytes) -> Option<Bytes> {
    if bytes.len() < PREFIX_BYTES {
        return None;
    }
    let prefix = bytes.split_to(PREFIX_BYTES);
    let [0, length @ ..] = <[u8; PREFIX_BYTES]>::try_from(prefix.as_ref()).ok()? else { return None };
    (u32::from_be_bytes(length) as usize == bytes.len()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_goes_in_and_comes_out() {
        let message = framed(b"question").expect("short");
        assert_eq!(unframed(message.clone()).as_deref(), Some(&b"question"[..]));
        for bad in [&message[..message.len() - 1], &[1, 0, 0, 0, 0][..], &message[..4], b""] {
            assert_eq!(unframed(Bytes::copy_from_slice(bad)), None);
        }
    }
}
