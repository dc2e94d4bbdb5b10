//! What one span remembers of its request. Names of policy are shared with it; texts of the client are cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{SpanId, TraceId};
use crate::identity::Identity;
use crate::metadata::Metadata;
use crate::status::Failure;
use crate::story::{Place, RequestId, Side};

/// Most bytes of a text that the client chose.
pub const SPAN_TEXT_BYTES_MAX: usize = 1_024;
/// Most bytes of a `tracestate` that spans carry: what W3C asks to be passed on at least.
pub const TRACE_STATE_BYTES_MAX: usize = 512;

/// A request that has ended, as one proxy saw it. No header field's value is in it but the trace's own.
#[derive(Clone, Debug)]
pub struct Span {
    /// The trace.
    pub trace: TraceId,
    /// This span.
    pub id: SpanId,
    /// The span before; `None`: the trace begins here.
    pub parent: Option<SpanId>,
    /// `tracestate` as it came.
    pub trace_state: String,
    /// Whose proxy this is: outbound spans are of the client, inbound ones of the server.
    pub side: Side,
    /// When the request's head had been read.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Method.
    pub method: String,
    /// `Host` or `:authority`.
    pub authority: String,
    /// Path without the query, which may hold secrets.
    pub path: String,
    /// Whether the client spoke HTTP/1.
    pub is_http1: bool,
    /// Whether it is a call of gRPC.
    pub is_grpc: bool,
    /// The client's socket.
    pub client: SocketAddr,
    /// The endpoint, or where the client meant to go.
    pub server: SocketAddr,
    /// Who the other side proved to be: inbound the client, outbound the server.
    pub peer: Option<Identity>,
    /// The route that was followed.
    pub place: Option<Arc<Place>>,
    /// The backend that was chosen.
    pub backend: Option<Metadata>,
    /// Endpoints that were tried.
    pub attempts: u16,
    /// Name of the request between proxies.
    pub request: RequestId,
    /// Status of the response; 0 if there was none.
    pub status: u16,
    /// gRPC status of the response.
    pub grpc_status: Option<u16>,
    /// Why the proxy answered itself or broke off.
    pub failure: Option<Failure>,
    /// Whether the response came through whole.
    pub complete: bool,
}
