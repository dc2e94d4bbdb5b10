//! Endpoints (`destination.WeightedAddr`).

use std::sync::Arc;

use hauberk_model::endpoint::{Endpoint, Http2Params, Labels, ProtocolHint, TlsTarget};
use hauberk_model::identity::Identity;
use linkerd2_proxy_api::destination as proto;
use linkerd2_proxy_api::destination::protocol_hint::Protocol;
use linkerd2_proxy_api::destination::tls_identity::Strategy;

use super::{Malformed, address, destination_labels, duration, port};
use crate::extension::proto as extension;

/// Windows that HTTP/2 allows (RFC 9113 §6.9.1).
const WINDOW_BYTES_MAX: u32 = 0x7fff_ffff;

/// Reads an endpoint; `set_labels` are those of the message that holds it, and its own win over them.
///
/// # Errors
/// [`Malformed`]. An endpoint whose identity cannot be read is never spoken to in plaintext instead.
pub fn endpoint(
    (proto, overlay): (proto::WeightedAddr, extension::WeightedAddrOverlay),
    set_labels: &Labels,
) -> Result<Endpoint, Malformed> {
    let (hint, transport_port) = hint(proto.protocol_hint)?;
    Ok(Endpoint {
        addr: address("endpoint address", proto.addr)?,
        weight: proto.weight,
        tls: proto.tls_identity.map(tls_target).transpose()?,
        hint,
        transport_port,
        authority_override: proto
            .authority_override
            .map(|authority| authority.authority_override)
            .filter(|authority| !authority.is_empty())
            .map(Arc::from),
        http2: proto.http2.map_or_else(|| Ok(Http2Params::default()), http2)?,
        labels: join(set_labels, destination_labels(proto.metric_labels)),
        other_zone: overlay.extension.is_some_and(|extension| extension.other_zone),
    })
}

fn tls_target(proto: proto::TlsIdentity) -> Result<TlsTarget, Malformed> {
    let read = |name: &str| Identity::parse(name).map_err(|error| Malformed::unreadable("identity", error));
    let named = proto.server_name.map(|name| name.name).filter(|name| !name.is_empty());
    match proto.strategy.ok_or(Malformed::Missing("identity strategy"))? {
        Strategy::DnsLikeIdentity(dns) => {
            let identity = read(&dns.name)?;
            let server_name = match named {
                Some(name) => read(&name)?.shared(),
                None => identity.shared(),
            };
            Ok(TlsTarget { identity, server_name })
        }
        Strategy::UriLikeIdentity(uri) => {
            let server_name = named.ok_or(Malformed::Missing("server name of a URI identity"))?;
            Ok(TlsTarget { identity: read(&uri.uri)?, server_name: read(&server_name)?.shared() })
        }
    }
}

fn hint(proto: Option<proto::ProtocolHint>) -> Result<(ProtocolHint, Option<u16>), Malformed> {
    let Some(proto) = proto else { return Ok((ProtocolHint::Unknown, None)) };
    let hint = match proto.protocol {
        None => ProtocolHint::Unknown,
        Some(Protocol::H2(_)) => ProtocolHint::Http2,
        Some(Protocol::Opaque(_)) => ProtocolHint::Opaque,
    };
    let transport = proto.opaque_transport.map(|transport| port("transport port", transport.inbound_port));
    Ok((hint, transport.transpose()?))
}

fn http2(proto: proto::Http2ClientParams) -> Result<Http2Params, Malformed> {
    let mut params = Http2Params::default();
    if let Some(keep_alive) = proto.keep_alive {
        params.keep_alive_interval =
            keep_alive.interval.map(|interval| duration("keep-alive interval", interval)).transpose()?;
        if let Some(timeout) = keep_alive.timeout {
            params.keep_alive_timeout = duration("keep-alive timeout", timeout)?;
        }
        params.keep_alive_while_idle = keep_alive.while_idle;
    }
    if let Some(flow) = proto.flow_control {
        let window = |given: u32, default: u32| match given {
            0 => default,
            given => given.min(WINDOW_BYTES_MAX),
        };
        params.initial_stream_window = window(flow.initial_stream_window_size, params.initial_stream_window);
        params.initial_connection_window =
            window(flow.initial_connection_window_size, params.initial_connection_window);
    }
    Ok(params)
}

/// `own` wins over `set`. Endpoints without labels of their own share the set's.
fn join(set: &Labels, own: Labels) -> Labels {
    if own.is_empty() {
        return Arc::clone(set);
    }
    if set.is_empty() {
        return own;
    }
    let inherited = set.iter().filter(|(name, _)| own.binary_search_by(|(own, _)| own.cmp(name)).is_err());
    let mut joined: Vec<_> = inherited.chain(own.iter()).cloned().collect();
    joined.sort();
    joined.into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn plain(proto: proto::WeightedAddr, set_labels: &Labels) -> Result<Endpoint, Malformed> {
        endpoint((proto, extension::WeightedAddrOverlay::default()), set_labels)
    }

    fn addr(port: u32) -> proto::WeightedAddr {
        proto::WeightedAddr {
            addr: Some(linkerd2_proxy_api::net::TcpAddress { ip: Some([10, 0, 0, 1].into()), port }),
            weight: 10_000,
            ..Default::default()
        }
    }

    fn none() -> Labels {
        Labels::from([])
    }

    #[test]
    fn an_endpoint_without_identity_is_plain_and_one_with_an_unknown_kind_is_refused() {
        assert_eq!(plain(addr(80), &none()).expect("endpoint").tls, None);
        let unknown = proto::WeightedAddr {
            tls_identity: Some(proto::TlsIdentity { strategy: None, server_name: None }),
            ..addr(80)
        };
        assert_eq!(plain(unknown, &none()), Err(Malformed::Missing("identity strategy")));
        assert_eq!(plain(addr(0), &none()), Err(Malformed::Range("endpoint address")));
        assert_eq!(plain(addr(70_000), &none()), Err(Malformed::Range("endpoint address")));
    }

    #[test]
    fn the_labels_of_the_endpoint_win_over_those_of_its_set() {
        let set = destination_labels(HashMap::from([("a".into(), "set".into()), ("b".into(), "set".into())]));
        let given = proto::WeightedAddr {
            metric_labels: HashMap::from([("b".into(), "own".into()), ("c".into(), "own".into())]),
            ..addr(80)
        };
        let joined = plain(given, &set).expect("endpoint").labels;
        let text: Vec<_> = joined.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(text, ["dst_a=set", "dst_b=own", "dst_c=own"]);
    }
}
