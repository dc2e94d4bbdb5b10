//! Sizes of the frames of bodies, and of responses' times that begin with the end of the request.

use crate::HistogramFamily;
use crate::family::ROUTE_REQUEST_BOUNDS;

/// Of requests that an endpoint has answered. Labels: `parent_*`, `route_*`, `hostname`.
pub static OUTBOUND_HTTP_ROUTE_REQUEST_FRAME_SIZE_BYTES: HistogramFamily = HistogramFamily::bytes(
    "outbound_http_route_request_frame_size_bytes",
    "Sizes of the data frames of requests.",
);

/// Labels: `parent_*`, `route_*`, `backend_*`.
pub static OUTBOUND_HTTP_ROUTE_BACKEND_RESPONSE_FRAME_SIZE_BYTES: HistogramFamily = HistogramFamily::bytes(
    "outbound_http_route_backend_response_frame_size_bytes",
    "Sizes of the data frames of responses.",
);

/// Of calls that an endpoint has answered. Labels: `parent_*`, `route_*`, `hostname`.
pub static OUTBOUND_GRPC_ROUTE_REQUEST_FRAME_SIZE_BYTES: HistogramFamily = HistogramFamily::bytes(
    "outbound_grpc_route_request_frame_size_bytes",
    "Sizes of the data frames of requests.",
);

/// Labels: `parent_*`, `route_*`, `backend_*`.
pub static OUTBOUND_GRPC_ROUTE_BACKEND_RESPONSE_FRAME_SIZE_BYTES: HistogramFamily = HistogramFamily::bytes(
    "outbound_grpc_route_backend_response_frame_size_bytes",
    "Sizes of the data frames of responses.",
);

/// Labels: `parent_*`, `route_*`.
pub static INBOUND_HTTP_REQUEST_FRAME_SIZE_BYTES: HistogramFamily =
    HistogramFamily::bytes("inbound_http_request_frame_size_bytes", "Sizes of the data frames of requests.");

/// Labels: `parent_*`, `route_*`.
pub static INBOUND_HTTP_RESPONSE_FRAME_SIZE_BYTES: HistogramFamily = HistogramFamily::bytes(
    "inbound_http_response_frame_size_bytes",
    "Sizes of the data frames of responses.",
);

/// Labels: `parent_*`, `route_*`.
pub static INBOUND_GRPC_REQUEST_FRAME_SIZE_BYTES: HistogramFamily =
    HistogramFamily::bytes("inbound_grpc_request_frame_size_bytes", "Sizes of the data frames of requests.");

/// Labels: `parent_*`, `route_*`.
pub static INBOUND_GRPC_RESPONSE_FRAME_SIZE_BYTES: HistogramFamily = HistogramFamily::bytes(
    "inbound_grpc_response_frame_size_bytes",
    "Sizes of the data frames of responses.",
);

/// Labels: `parent_*`, `route_*`.
pub static INBOUND_HTTP_RESPONSE_DURATION_SECONDS: HistogramFamily = HistogramFamily::seconds(
    "inbound_http_response_duration_seconds",
    "The time between request completion and response completion.",
    ROUTE_REQUEST_BOUNDS,
);

/// Labels: `parent_*`, `route_*`.
pub static INBOUND_GRPC_RESPONSE_DURATION_SECONDS: HistogramFamily = HistogramFamily::seconds(
    "inbound_grpc_response_duration_seconds",
    "The time between request completion and response completion.",
    ROUTE_REQUEST_BOUNDS,
);
