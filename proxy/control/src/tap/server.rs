//! The tap server (`CONTROL_LISTEN_ADDR`): mTLS, one identity, one method.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use hauberk_model::identity::Identity;
use hauberk_model::tap::{Event, Opened, TAPS_MAX, Taps};
use hauberk_tls::CredentialsWatch;
use http::{HeaderMap, HeaderValue, Request, Response};
use linkerd2_proxy_api::tap::ObserveRequest;
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use super::message::{event, wanted};
use crate::causes::chain;
use crate::chance;

/// The only method.
const OBSERVE: &str = "/io.linkerd.proxy.tap.Tap/Observe";
/// Connections at once: one each for [`TAPS_MAX`] taps.
const CONNECTIONS_MAX: usize = TAPS_MAX;
/// How long a handshake, and a request after it, may take.
const BEGIN_WITHIN: Duration = Duration::from_secs(5);
/// Largest request: a match of some hundred parts.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// How often an exhausted tap looks whether its last requests have ended.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Pause after a failed accept: running out of descriptors passes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Codes of gRPC that are answered.
const OK: u16 = 0;
const INVALID_ARGUMENT: u16 = 3;
const PERMISSION_DENIED: u16 = 7;
const RESOURCE_EXHAUSTED: u16 = 8;
const UNIMPLEMENTED: u16 = 12;

/// What the server needs.
pub struct Tapping {
    /// The one who may tap (`TAP_SVC_NAME`).
    pub client: Identity,
    /// Where the data thread finds who taps.
    pub taps: Taps,
    /// What the server proves itself with.
    pub credentials: CredentialsWatch,
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, tapping: Arc<Tapping>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let tapping = Arc::clone(&tapping);
                tokio::spawn(async move {
                    if let Err(error) = connection(stream, &tapping).await {
                        log::debug!(client:% = peer, why:% = chain(&*error); "tap connection ended");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                log::warn!(error:%; "tap accept failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn connection(stream: TcpStream, tapping: &Tapping) -> Result<(), Failed> {
    let credentials = tapping.credentials.borrow().clone();
    // Without a certificate nobody can be met.
    let Some(credentials) = credentials else { return Ok(()) };
    let (stream, handshake) = hauberk_tls::accept(stream, &credentials, BEGIN_WITHIN).await?;
    let is_admitted = handshake.peer.is_some_and(|peer| *peer.identity() == tapping.client);
    let mut connection = timeout(BEGIN_WITHIN, h2::server::handshake(stream)).await??;
    while let Some(accepted) = connection.accept().await {
        let (request, respond) = accepted?;
        let taps = tapping.taps.clone();
        tokio::spawn(async move {
            if let Err(error) = answer(request, respond, &taps, is_admitted).await {
                log::debug!(why:% = chain(&*error); "tap ended");
            }
        });
    }
    Ok(())
}

async fn answer(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    taps: &Taps,
    is_admitted: bool,
) -> Result<(), Failed> {
    if !is_admitted {
        return refuse(respond, PERMISSION_DENIED, "only the tap service may tap");
    }
    if request.uri().path() != OBSERVE {
        return refuse(respond, UNIMPLEMENTED, "there is no such method");
    }
    let Ok(read) = timeout(BEGIN_WITHIN, message(request.into_body())).await? else {
        return refuse(respond, INVALID_ARGUMENT, "the request is malformed");
    };
    let wanted = match wanted(read) {
        Ok(wanted) => wanted,
        Err(error) => return refuse(respond, INVALID_ARGUMENT, &error.to_string()),
    };
    match taps.open(wanted.matches, wanted.headers, wanted.limit) {
        Some((opened, events)) => show(respond, opened, events).await,
        None => refuse(respond, RESOURCE_EXHAUSTED, "too many tap already"),
    }
}

/// The one message of a request.
async fn message(mut body: RecvStream) -> Result<ObserveRequest, Failed> {
    let mut bytes = BytesMut::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        bytes.extend_from_slice(&part);
        if bytes.len() > REQUEST_BYTES_MAX {
            return Err("the request is too large".into());
        }
    }
    let (head, rest) = bytes.split_at_checked(5).ok_or("the request has no message")?;
    let [0, length @ ..] = head else { return Err("the message is compressed".into()) };
    let length = length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    let message = rest.get(..length).ok_or("the message is cut")?;
    Ok(ObserveRequest::decode(message)?)
}

fn refuse(mut respond: SendResponse<Bytes>, code: u16, why: &str) -> Result<(), Failed> {
    let mut response = head();
    response.headers_mut().extend(status(code));
    response.headers_mut().insert("grpc-message", HeaderValue::from_str(why)?);
    respond.send_response(response, true)?;
    Ok(())
}

fn head() -> Response<()> {
    let mut response = Response::new(());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

fn status(code: u16) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from(code))])
}

/// Sends events until the limit is reached and the last request has ended, or the reader leaves.
async fn show(
    mut respond: SendResponse<Bytes>,
    opened: Opened,
    mut events: mpsc::Receiver<Event>,
) -> Result<(), Failed> {
    let mut stream = respond.send_response(head(), false)?;
    // Together with the id of a request it names a stream, also after a restart.
    let base = (chance::random().bits() >> 32) as u32;
    loop {
        let next = tokio::select! {
            next = events.recv() => next,
            gone = poll_fn(|cx| stream.poll_reset(cx)) => return Err(gone.map(h2::Error::from)?.into()),
            () = sleep(LOOK_AGAIN), if opened.tap.is_spent() => {
                // One is held here and one in the list; others belong to requests that go on.
                if Arc::strong_count(&opened.tap) > 2 {
                    continue;
                }
                None
            }
        };
        match next {
            Some(one) => send(&mut stream, &event(one, base).encode_to_vec()).await?,
            None => break,
        }
    }
    if opened.tap.dropped() > 0 {
        log::info!(events = opened.tap.dropped(); "a tap did not keep up; events were dropped");
    }
    stream.send_trailers(status(OK))?;
    Ok(())
}

/// Sends a message once the reader has room for it: what does not fit waits in the tap's bounded queue.
async fn send(stream: &mut SendStream<Bytes>, message: &[u8]) -> Result<(), Failed> {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len())?);
    frame.put_slice(message);
    let mut frame = frame.freeze();
    while !frame.is_empty() {
        stream.reserve_capacity(frame.len());
        let Some(room) = poll_fn(|cx| stream.poll_capacity(cx)).await else {
            return Err("the reader left".into());
        };
        let part = frame.split_to(room?.min(frame.len()));
        stream.send_data(part, false)?;
    }
    Ok(())
}
