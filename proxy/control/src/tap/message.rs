//! What taps are asked, and what they show, between our vocabulary and the wire's.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hauberk_model::endpoint::Labels;
use hauberk_model::inbound::Cidr;
use hauberk_model::metadata::Metadata;
use hauberk_model::story::Side;
use hauberk_model::tap::{Address, Event, Headers, Match, Text, What};
use linkerd2_proxy_api::http_types::{self, HttpMethod, Scheme, http_method, scheme};
use linkerd2_proxy_api::net::TcpAddress;
use linkerd2_proxy_api::tap::observe_request::{self as proto, r#match as kind};
use linkerd2_proxy_api::tap::tap_event::{self, http};
use linkerd2_proxy_api::tap::{Eos, ObserveRequest, TapEvent, eos};

/// Why a request to tap is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("limit must be above 0")]
    Limit,
    #[error("a match says nothing")]
    Empty,
    #[error("a network is malformed")]
    Network,
    #[error("a port is above 65535")]
    Port,
    #[error("a method or scheme is not known")]
    Unknown,
}

/// What is asked for.
#[derive(Debug, PartialEq)]
pub(super) struct Wanted {
    pub(super) matches: Match,
    pub(super) headers: bool,
    pub(super) limit: u32,
}

/// Reads a request. Without a match everything is shown; a match that says nothing is refused, since the peer
/// meant something by it.
pub(super) fn wanted(request: ObserveRequest) -> Result<Wanted, Malformed> {
    let ObserveRequest { limit, r#match, extract } = request;
    if limit == 0 {
        return Err(Malformed::Limit);
    }
    let matches = r#match.map_or(Ok(Match::All(Vec::new())), one)?;
    let proto::extract::Extract::Http(http) = match extract.and_then(|extract| extract.extract) {
        Some(extract) => extract,
        None => return Ok(Wanted { matches, headers: false, limit }),
    };
    Ok(Wanted { matches, headers: http.extract.is_some(), limit })
}

fn one(of: proto::Match) -> Result<Match, Malformed> {
    let many = |seq: kind::Seq| seq.matches.into_iter().map(one).collect::<Result<Vec<_>, _>>();
    Ok(match of.r#match.ok_or(Malformed::Empty)? {
        kind::Match::All(all) => Match::All(many(all)?),
        kind::Match::Any(any) => Match::Any(many(any)?),
        kind::Match::Not(other) => Match::Not(Box::new(one(*other)?)),
        kind::Match::Source(tcp) => Match::Source(address(tcp)?),
        kind::Match::Destination(tcp) => Match::Destination(address(tcp)?),
        kind::Match::Http(http) => match http.r#match.ok_or(Malformed::Empty)? {
            kind::http::Match::Scheme(scheme) => Match::Scheme(scheme_name(scheme)?),
            kind::http::Match::Method(method) => Match::Method(method_name(method)?),
            kind::http::Match::Authority(of) => Match::Authority(text(of)?),
            kind::http::Match::Path(of) => Match::Path(text(of)?),
        },
        kind::Match::DestinationLabel(kind::Label { key, value }) => {
            Match::DestinationLabel(key.into(), value.into())
        }
        kind::Match::RouteLabel(kind::Label { key, value }) => Match::RouteLabel(key.into(), value.into()),
    })
}

fn address(tcp: kind::Tcp) -> Result<Address, Malformed> {
    match tcp.r#match.ok_or(Malformed::Empty)? {
        kind::tcp::Match::Netmask(kind::tcp::Netmask { ip, mask }) => {
            let addr = ip.and_then(|ip| IpAddr::try_from(ip).ok()).ok_or(Malformed::Network)?;
            let bits = if addr.is_ipv4() { 32 } else { 128 };
            let prefix_len = u8::try_from(mask).ok().filter(|len| *len <= bits).ok_or(Malformed::Network)?;
            Ok(Address::Net(Cidr { addr, prefix_len }))
        }
        kind::tcp::Match::Ports(kind::tcp::PortRange { min, max }) => {
            // One end alone is a single port.
            let (min, max) = (if min == 0 { max } else { min }, if max == 0 { min } else { max });
            let port = |number| u16::try_from(number).map_err(|_| Malformed::Port);
            Ok(Address::Ports(port(min)?, port(max)?))
        }
    }
}

fn text(of: kind::http::StringMatch) -> Result<Text, Malformed> {
    Ok(match of.r#match.ok_or(Malformed::Empty)? {
        kind::http::string_match::Match::Exact(text) => Text::Exact(text.into()),
        kind::http::string_match::Match::Prefix(text) => Text::Prefix(text.into()),
    })
}

fn scheme_name(of: Scheme) -> Result<Box<str>, Malformed> {
    match of.r#type.ok_or(Malformed::Empty)? {
        scheme::Type::Registered(number) => {
            let known = scheme::Registered::try_from(number).map_err(|_| Malformed::Unknown)?;
            Ok(known.as_str_name().to_ascii_lowercase().into())
        }
        scheme::Type::Unregistered(name) => Ok(name.into()),
    }
}

fn method_name(of: HttpMethod) -> Result<Box<str>, Malformed> {
    match of.r#type.ok_or(Malformed::Empty)? {
        http_method::Type::Registered(number) => {
            let known = http_method::Registered::try_from(number).map_err(|_| Malformed::Unknown)?;
            Ok(known.as_str_name().into())
        }
        http_method::Type::Unregistered(name) => Ok(name.into()),
    }
}

/// The message of an event.
pub(super) fn event(event: Event, base: u32) -> TapEvent {
    let id = Some(http::StreamId { base, stream: event.id.0 });
    let direction = match event.side {
        Side::Outbound => tap_event::ProxyDirection::Outbound,
        Side::Inbound => tap_event::ProxyDirection::Inbound,
    };
    let what = match event.what {
        What::Request { method, authority, path, headers: given } => {
            http::Event::RequestInit(http::RequestInit {
                id,
                method: Some(method_of(&method)),
                scheme: Some(Scheme {
                    r#type: Some(scheme::Type::Registered(scheme::Registered::Http.into())),
                }),
                authority,
                path,
                headers: headers(given),
            })
        }
        What::Response { since_request, status, headers: given } => {
            http::Event::ResponseInit(http::ResponseInit {
                id,
                since_request_init: duration(since_request),
                http_status: status.into(),
                headers: headers(given),
            })
        }
        What::End { since_request, since_response, bytes, grpc_status, reset } => {
            let end = match (grpc_status, reset) {
                (Some(code), _) => Some(eos::End::GrpcStatusCode(code.into())),
                (None, true) => Some(eos::End::ResetErrorCode(h2::Reason::CANCEL.into())),
                (None, false) => None,
            };
            http::Event::ResponseEnd(http::ResponseEnd {
                id,
                since_request_init: duration(since_request),
                since_response_init: since_response.and_then(duration),
                response_bytes: bytes,
                eos: end.map(|end| Eos { end: Some(end) }),
                trailers: None,
            })
        }
    };
    TapEvent {
        source: Some(address_of(event.source)),
        source_meta: Some(tap_event::EndpointMeta {
            labels: proven("client_id", event.client_id.as_deref()),
        }),
        route_meta: event.route.map(|route| tap_event::RouteMeta { labels: route_labels(&route) }),
        destination: Some(address_of(event.destination)),
        destination_meta: Some(tap_event::EndpointMeta {
            labels: destination(&event.labels, event.server_id.as_deref()),
        }),
        proxy_direction: direction.into(),
        event: Some(tap_event::Event::Http(tap_event::Http { event: Some(what) })),
    }
}

fn address_of(addr: SocketAddr) -> TcpAddress {
    TcpAddress { ip: Some(addr.ip().to_canonical().into()), port: addr.port().into() }
}

fn proven(name: &str, identity: Option<&str>) -> HashMap<String, String> {
    let pair = identity.map(|identity| (name.to_owned(), identity.to_owned()));
    let tls = if identity.is_some() { "true" } else { "no_identity" };
    pair.into_iter().chain([("tls".to_owned(), tls.to_owned())]).collect()
}

fn destination(labels: &Labels, server_id: Option<&str>) -> HashMap<String, String> {
    let plain = |name: &str| name.strip_prefix("dst_").unwrap_or(name).to_owned();
    let mut all = proven("server_id", server_id);
    all.extend(labels.iter().map(|(name, value)| (plain(name), value.to_string())));
    all
}

fn route_labels(route: &Metadata) -> HashMap<String, String> {
    let pairs = [
        ("group", route.group()),
        ("kind", route.kind()),
        ("namespace", route.namespace()),
        ("name", route.name()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn method_of(name: &str) -> HttpMethod {
    let known = http_method::Registered::from_str_name(name);
    let of = known.map_or_else(
        || http_method::Type::Unregistered(name.to_owned()),
        |known| http_method::Type::Registered(known.into()),
    );
    HttpMethod { r#type: Some(of) }
}

fn headers(given: Headers) -> Option<http_types::Headers> {
    use http_types::headers::Header;
    if given.is_empty() {
        return None;
    }
    let headers = given.into_iter().map(|(name, value)| Header { name, value });
    Some(http_types::Headers { headers: headers.collect() })
}

fn duration(time: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(of: Option<kind::Match>) -> ObserveRequest {
        ObserveRequest { limit: 1, r#match: Some(proto::Match { r#match: of }), extract: None }
    }

    #[test]
    fn a_match_that_says_nothing_is_refused_and_none_shows_everything() {
        assert_eq!(wanted(asks(None)), Err(Malformed::Empty));
        assert_eq!(
            wanted(asks(Some(kind::Match::Source(kind::Tcp { r#match: None })))),
            Err(Malformed::Empty)
        );
        let everything = wanted(ObserveRequest { limit: 1, r#match: None, extract: None });
        assert_eq!(everything.map(|wanted| wanted.matches), Ok(Match::All(vec![])));
        assert_eq!(wanted(ObserveRequest { limit: 0, ..asks(None) }), Err(Malformed::Limit));
    }

    #[test]
    fn one_end_of_a_range_is_a_single_port_and_none_is_above_65535() {
        let ports = |min, max| {
            let range = kind::tcp::Match::Ports(kind::tcp::PortRange { min, max });
            wanted(asks(Some(kind::Match::Destination(kind::Tcp { r#match: Some(range) }))))
                .map(|wanted| wanted.matches)
        };
        assert_eq!(ports(80, 0), Ok(Match::Destination(Address::Ports(80, 80))));
        assert_eq!(ports(0, 80), Ok(Match::Destination(Address::Ports(80, 80))));
        assert_eq!(ports(1, 65_536), Err(Malformed::Port));
    }
}
