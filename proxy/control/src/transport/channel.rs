//! The connection that calls go over, and the task that keeps one open.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::Ping;
use h2::client::SendRequest;
use hauberk_model::backoff::{Attempts, CONTROL_STREAM};
use http_body::Body as _;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::client::GrpcService;

use super::dial::{DialError, Service, dial};
use super::meters::Meters;
use super::resolve::Resolver;
use super::response::ResponseBody;
use crate::causes::chain;
use crate::chance;

/// Time between pings, also while no stream is open: a control plane that vanished without a word is noticed within half a minute.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long a ping may stay unanswered.
const PONG_WITHIN: Duration = Duration::from_secs(5);
/// Stream window: a first answer of a large service fits without a round trip per 64 KiB.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// Connection window.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Largest request. Ours are a token, a CSR and a few names.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// A handle to the current connection. Calls wait for one; the caller sets the limit.
#[derive(Clone)]
pub struct Channel {
    origin: http::Uri,
    current: watch::Receiver<Option<SendRequest<Bytes>>>,
    /// Told when a call found the connection unusable, such as after GOAWAY.
    spent: Arc<Notify>,
    meters: Meters,
}

/// Why a call got no response.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The proxy ends.
    #[error("the channel is closed")]
    Closed,
    /// The connection or the stream failed.
    #[error("the connection to the control plane failed")]
    Http2(#[from] h2::Error),
    /// The request's body failed.
    #[error("the request cannot be written")]
    Request(#[source] tonic::Status),
    /// More than [`REQUEST_BYTES_MAX`].
    #[error("the request is larger than {REQUEST_BYTES_MAX} bytes")]
    TooLarge,
}

/// Keeps a connection to `service` open until `stop`, and gives calls a way to it.
pub fn maintain(
    service: Service,
    resolver: Resolver,
    stop: CancellationToken,
) -> (Channel, impl Future<Output = ()> + Send) {
    let (publish, current) = watch::channel(None);
    let spent = Arc::new(Notify::new());
    // An authority is always a valid origin; were it not, calls would go out without one and fail.
    let origin = format!("http://{}", service.authority).parse().unwrap_or_default();
    let channel = Channel { origin, current, spent: Arc::clone(&spent), meters: service.meters.clone() };
    let task = async move {
        let keep = keep_open(&service, &resolver, &publish, &spent);
        let _ = stop.run_until_cancelled(keep).await;
    };
    (channel, task)
}

async fn keep_open(
    service: &Service,
    resolver: &Resolver,
    publish: &watch::Sender<Option<SendRequest<Bytes>>>,
    spent: &Notify,
) {
    let (mut attempts, mut random) = (Attempts::new(CONTROL_STREAM), chance::random());
    for round in 0_usize.. {
        match open(service, resolver, round).await {
            Ok(opened) => {
                attempts.succeeded();
                publish.send_replace(Some(opened.send));
                let _connected = service.meters.connected();
                // Streams that are still open when the connection is given up finish in the background.
                let driver = tokio::spawn(opened.connection);
                tokio::select! {
                    ended = driver => {
                        let why = ended.map_or_else(|error| error.to_string(), |end| end.to_string());
                        log::info!(service = service.name, why:%; "control plane connection ended");
                    }
                    () = spent.notified() => {
                        log::debug!(service = service.name; "control plane connection replaced");
                    }
                }
                publish.send_replace(None);
            }
            Err(DialError::NoCredentials) => return,
            Err(error) => {
                let (to, failures, why) = (&service.authority, attempts.failures(), chain(&error));
                log::warn!(service = service.name, to:%, failures, why:%; "control plane unreachable");
            }
        }
        sleep(attempts.failed(&mut random)).await;
    }
}

struct Opened<F> {
    send: SendRequest<Bytes>,
    connection: F,
}

async fn open(
    service: &Service,
    resolver: &Resolver,
    round: usize,
) -> Result<Opened<impl Future<Output = Ended> + Send + use<>>, DialError> {
    let (io, to) = dial(service, resolver, round).await?;
    let broke = |error: h2::Error| DialError::Connect { to, source: std::io::Error::other(error) };
    let (send, mut connection) = h2::client::Builder::new()
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .enable_push(false)
        .handshake(io)
        .await
        .map_err(broke)?;
    let pings = connection.ping_pong();
    log::info!(service = service.name, to:%; "control plane connected");
    let connection = async move {
        tokio::select! {
            end = connection => end.map_or_else(Ended::Failed, |()| Ended::Closed),
            () = keep_alive(pings) => Ended::Silent,
        }
    };
    Ok(Opened { send, connection })
}

/// How a connection ended.
enum Ended {
    Closed,
    Failed(h2::Error),
    Silent,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => f.write_str("closed"),
            Self::Failed(error) => error.fmt(f),
            Self::Silent => write!(f, "no answer to a ping within {PONG_WITHIN:?}"),
        }
    }
}

/// Returns when a ping is not answered.
async fn keep_alive(pings: Option<h2::PingPong>) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        sleep(PING_EVERY).await;
        match timeout(PONG_WITHIN, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            // A broken connection reports itself.
            Ok(Err(_)) => return std::future::pending().await,
            Err(_) => return,
        }
    }
}

impl Channel {
    /// Whether there is a connection now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.current.borrow().is_some()
    }

    /// Scheme and authority of its calls.
    #[must_use]
    pub fn origin(&self) -> http::Uri {
        self.origin.clone()
    }

    /// Waits for a connection. False if there will never be one again.
    pub async fn connected(&self) -> bool {
        self.current.clone().wait_for(Option::is_some).await.is_ok()
    }

    async fn send(self, request: http::Request<Body>) -> Result<http::Response<ResponseBody>, ChannelError> {
        let (meters, began) = (self.meters.clone(), Instant::now());
        meters.requested();
        let sent = self.exchange(request).await;
        match &sent {
            Ok(response) => {
                let grpc =
                    response.headers().get("grpc-status").and_then(|code| code.to_str().ok()?.parse().ok());
                meters.answered(response.status().as_u16(), grpc, began.elapsed());
            }
            Err(_) => meters.failed(),
        }
        sent
    }

    async fn exchange(
        mut self,
        request: http::Request<Body>,
    ) -> Result<http::Response<ResponseBody>, ChannelError> {
        let (head, body) = request.into_parts();
        let body = collect(body).await?;
        let send = {
            let _waiting = (!self.is_connected()).then(|| self.meters.waits());
            let current = self.current.wait_for(Option::is_some).await.map_err(|_| ChannelError::Closed)?;
            current.clone().ok_or(ChannelError::Closed)?
        };
        let started = async {
            let mut ready = send.ready().await?;
            ready.send_request(http::Request::from_parts(head, ()), body.is_empty())
        };
        let (response, mut stream) = match started.await {
            Ok(streams) => streams,
            Err(error) => {
                // No permit is left behind: a connection made meanwhile is not the one that failed.
                self.spent.notify_waiters();
                return Err(error.into());
            }
        };
        if !body.is_empty() {
            stream.send_data(body, true)?;
        }
        let (head, stream) = response.await?.into_parts();
        Ok(http::Response::from_parts(head, ResponseBody::new(stream)))
    }
}

async fn collect(mut body: Body) -> Result<Bytes, ChannelError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(data) = frame.map_err(ChannelError::Request)?.into_data() {
            if bytes.len().saturating_add(data.len()) > REQUEST_BYTES_MAX {
                return Err(ChannelError::TooLarge);
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}

impl GrpcService<Body> for Channel {
    type ResponseBody = ResponseBody;
    type Error = ChannelError;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<ResponseBody>, ChannelError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ChannelError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}
