//! What our control plane says beyond the linkerd2-proxy-api messages.
//!
//! An extension travels as field 1000 of the message that it extends, so a Linkerd proxy skips it, and an answer and
//! its extensions can never be of two versions. The proxy reads an answer twice: as the Linkerd message, and as its
//! *overlay*, which has the outline of that message and nothing but the way to the extensions
//! (`mesh/api/proto/hauberk/proxy/v1/overlay.proto`). Repeated fields correspond by index.

/// The messages, generated from `mesh/api/proto` when this crate is built.
#[allow(missing_docs, clippy::pedantic, clippy::large_enum_variant, reason = "generated")]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/hauberk.proxy.v1.rs"));
}

use std::iter;
use std::marker::PhantomData;

use bytes::Buf;
use prost::Message;
use tonic::client::{Grpc, GrpcService};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::codegen::StdError;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Response, Status};

/// A message and its overlay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extended<M, O> {
    /// What Linkerd's proxy would read.
    pub message: M,
    /// Where the extensions are.
    pub overlay: O,
}

/// Each message with its overlay. The two lists come from the same bytes and are equally long; an overlay that is
/// missing all the same is empty.
pub(crate) fn paired<M, O: Default>(messages: Vec<M>, overlays: Vec<O>) -> impl Iterator<Item = (M, O)> {
    messages.into_iter().zip(overlays.into_iter().chain(iter::repeat_with(O::default)))
}

/// Opens a stream of extended answers.
///
/// # Errors
/// Those of the call.
pub async fn stream<C, I, M, O>(
    channel: C,
    origin: tonic::codegen::http::Uri,
    path: &'static str,
    question: I,
    message_bytes_max: usize,
) -> Result<Response<Streaming<Extended<M, O>>>, Status>
where
    C: GrpcService<tonic::body::Body>,
    C::Error: Into<StdError>,
    C::ResponseBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    <C::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
    I: Message + 'static,
    M: Message + Default + 'static,
    O: Message + Default + 'static,
{
    let mut grpc = Grpc::with_origin(channel, origin).max_decoding_message_size(message_bytes_max);
    grpc.ready().await.map_err(|error| Status::unavailable(format!("not ready: {}", error.into())))?;
    let codec = ExtendedCodec(PhantomData::<fn(I) -> (M, O)>);
    grpc.server_streaming(Request::new(question), PathAndQuery::from_static(path), codec).await
}

/// Asks one question of a service of our own.
///
/// # Errors
/// Those of the call.
pub(crate) async fn unary<C, I, M>(
    channel: C,
    origin: tonic::codegen::http::Uri,
    path: &'static str,
    question: I,
) -> Result<M, Status>
where
    C: GrpcService<tonic::body::Body>,
    C::Error: Into<StdError>,
    C::ResponseBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    <C::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
    I: Message + 'static,
    M: Message + Default + 'static,
{
    let mut grpc = Grpc::with_origin(channel, origin);
    grpc.ready().await.map_err(|error| Status::unavailable(format!("not ready: {}", error.into())))?;
    let codec = tonic_prost::ProstCodec::<I, M>::default();
    let answer = grpc.unary(Request::new(question), PathAndQuery::from_static(path), codec).await?;
    Ok(answer.into_inner())
}

struct ExtendedCodec<I, M, O>(PhantomData<fn(I) -> (M, O)>);

impl<I, M, O> Codec for ExtendedCodec<I, M, O>
where
    I: Message + 'static,
    M: Message + Default + 'static,
    O: Message + Default + 'static,
{
    type Encode = I;
    type Decode = Extended<M, O>;
    type Encoder = Question<I>;
    type Decoder = Answer<M, O>;

    fn encoder(&mut self) -> Self::Encoder {
        Question(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        Answer(PhantomData)
    }
}

struct Question<I>(PhantomData<fn(I)>);

impl<I: Message> Encoder for Question<I> {
    type Item = I;
    type Error = Status;

    fn encode(&mut self, item: I, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(into).map_err(|error| Status::internal(error.to_string()))
    }
}

struct Answer<M, O>(PhantomData<fn() -> (M, O)>);

impl<M: Message + Default, O: Message + Default> Decoder for Answer<M, O> {
    type Item = Extended<M, O>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Extended<M, O>>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        let unreadable = |error: prost::DecodeError| Status::internal(error.to_string());
        let message = M::decode(bytes.clone()).map_err(unreadable)?;
        let overlay = O::decode(bytes).map_err(unreadable)?;
        Ok(Some(Extended { message, overlay }))
    }
}

#[cfg(test)]
mod tests {
    use linkerd2_proxy_api::outbound;

    use super::*;

    /// A rule with an (empty) extension, written as bytes: field 1000, length-delimited, no content.
    const EXTENSION: [u8; 3] = [0xc2, 0x3e, 0x00];

    fn nested(tag: u8, inner: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag << 3 | 2, u8::try_from(inner.len()).expect("short")];
        bytes.extend_from_slice(inner);
        bytes
    }

    #[test]
    fn an_extension_is_found_at_its_rule_and_skipped_by_the_message() {
        let rules = [nested(3, &[]), nested(3, &EXTENSION)].concat();
        let policy = nested(1, &nested(3, &nested(1, &rules)));
        let message = outbound::OutboundPolicy::decode(policy.as_slice()).expect("the Linkerd message");
        let overlay = proto::OutboundPolicyOverlay::decode(policy.as_slice()).expect("the overlay");
        assert!(message.protocol.is_some());
        let http1 = overlay.protocol.and_then(|protocol| protocol.http1).expect("HTTP/1");
        let extended: Vec<bool> = http1.routes[0].rules.iter().map(|rule| rule.extension.is_some()).collect();
        assert_eq!(extended, [false, true]);
    }

    #[test]
    fn every_message_has_an_overlay() {
        let pairs: Vec<(u8, u32)> = paired(vec![1, 2, 3], vec![7]).collect();
        assert_eq!(pairs, [(1, 7), (2, 0), (3, 0)]);
    }
}
