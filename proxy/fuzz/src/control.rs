//! Answers of the control plane: what is accepted means the same when it is encoded and decoded again.

use hauberk_control::convert::endpoint::endpoint;
use hauberk_control::convert::outbound::Backends;
use hauberk_control::convert::{inbound, outbound};
use hauberk_control::extension::{Extended, proto as extension};
use hauberk_control::quota::Quotas;
use hauberk_model::endpoint::Labels;
use linkerd2_proxy_api::{destination, inbound as inbound_proto, outbound as outbound_proto};
use prost::Message;

/// The message and its overlay, and the same after both were written and read again.
fn twice<M: Message + Default, O: Message + Default>(bytes: &[u8]) -> Option<[Extended<M, O>; 2]> {
    let message = M::decode(bytes).ok()?;
    let overlay = O::decode(bytes).ok()?;
    let again = Extended {
        message: M::decode(message.encode_to_vec().as_slice()).ok()?,
        overlay: O::decode(overlay.encode_to_vec().as_slice()).ok()?,
    };
    Some([Extended { message, overlay }, again])
}

pub(crate) fn outbound_policy(bytes: &[u8]) {
    let both = twice::<outbound_proto::OutboundPolicy, extension::OutboundPolicyOverlay>(bytes);
    let Some(both) = both else { return };
    let [one, other] = both
        .map(|answer| outbound::policy(answer, &mut Backends::default()).map_err(|error| error.to_string()));
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
}

pub(crate) fn inbound_policy(bytes: &[u8]) {
    let both = twice::<inbound_proto::Server, extension::ServerOverlay>(bytes);
    let Some(both) = both else { return };
    let [one, other] =
        both.map(|answer| inbound::policy(answer, &Quotas::default()).map_err(|error| error.to_string()));
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
}

pub(crate) fn endpoints(bytes: &[u8]) {
    let both = twice::<destination::WeightedAddr, extension::WeightedAddrOverlay>(bytes);
    let Some(both) = both else { return };
    let [one, other] = both.map(|Extended { message, overlay }| {
        endpoint((message, overlay), &Labels::from([])).map_err(|error| error.to_string())
    });
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
    // One without an identity in its answer would be spoken to in plaintext.
    if let (Ok(endpoint), Ok(message)) = (one, destination::WeightedAddr::decode(bytes)) {
        assert_eq!(endpoint.tls.is_some(), message.tls_identity.is_some());
    }
}
