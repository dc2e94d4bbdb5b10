//! Filters of routes and backends. One of unknown kind becomes [`Filter::Unknown`], which refuses its requests.

use std::sync::Arc;

use hauberk_model::route::{Filter, HeaderModifier, PathRewrite, Ratio, Redirect};
use linkerd2_proxy_api::{grpc_route, http_route, http_types, inbound, outbound};

mod extended;

use super::{Malformed, port};
use crate::extension::proto as extension;

/// A filter of an outbound HTTP rule.
///
/// # Errors
/// [`Malformed`] if it holds a value that it may not.
pub fn outbound_http(
    (proto, overlay): (outbound::http_route::Filter, extension::OutboundFilterOverlay),
) -> Result<Filter, Malformed> {
    use outbound::http_route::filter::Kind;
    if let Some(extension) = overlay.extension {
        return extended::outbound(extension);
    }
    match proto.kind {
        None => Ok(unknown()),
        Some(Kind::FailureInjector(filter)) => http_failure(filter),
        Some(Kind::RequestHeaderModifier(filter)) => request_headers(filter),
        Some(Kind::ResponseHeaderModifier(filter)) => {
            Ok(Filter::ResponseHeaders(modifier(filter.set, filter.add, filter.remove)?))
        }
        Some(Kind::Redirect(filter)) => redirect(filter),
    }
}

/// A filter of an outbound gRPC rule.
///
/// # Errors
/// As for [`outbound_http`].
pub fn outbound_grpc(
    (proto, overlay): (outbound::grpc_route::Filter, extension::OutboundFilterOverlay),
) -> Result<Filter, Malformed> {
    use outbound::grpc_route::filter::Kind;
    if let Some(extension) = overlay.extension {
        return extended::outbound(extension);
    }
    match proto.kind {
        None => Ok(unknown()),
        Some(Kind::FailureInjector(filter)) => grpc_failure(filter),
        Some(Kind::RequestHeaderModifier(filter)) => request_headers(filter),
    }
}

/// A filter of an inbound HTTP rule.
///
/// # Errors
/// As for [`outbound_http`].
pub fn inbound_http(
    (proto, overlay): (inbound::http_route::Filter, extension::InboundFilterOverlay),
) -> Result<Filter, Malformed> {
    use inbound::http_route::filter::Kind;
    if let Some(extension) = overlay.extension {
        return extended::inbound(extension);
    }
    match proto.kind {
        None => Ok(unknown()),
        Some(Kind::FailureInjector(filter)) => http_failure(filter),
        Some(Kind::RequestHeaderModifier(filter)) => request_headers(filter),
        Some(Kind::Redirect(filter)) => redirect(filter),
    }
}

/// A filter of an inbound gRPC rule.
///
/// # Errors
/// As for [`outbound_http`].
pub fn inbound_grpc(
    (proto, overlay): (inbound::grpc_route::Filter, extension::InboundFilterOverlay),
) -> Result<Filter, Malformed> {
    use inbound::grpc_route::filter::Kind;
    if let Some(extension) = overlay.extension {
        return extended::inbound(extension);
    }
    match proto.kind {
        None => Ok(unknown()),
        Some(Kind::FailureInjector(filter)) => grpc_failure(filter),
        Some(Kind::RequestHeaderModifier(filter)) => request_headers(filter),
    }
}

fn unknown() -> Filter {
    Filter::Unknown(Arc::from("the control plane sent a filter that this proxy does not know"))
}

fn http_failure(proto: http_route::HttpFailureInjector) -> Result<Filter, Malformed> {
    let status = u16::try_from(proto.status).ok().filter(|status| (200..600).contains(status));
    Ok(Filter::HttpFailure {
        status: status.ok_or(Malformed::Range("injected status"))?,
        message: proto.message.into(),
        ratio: ratio(proto.ratio)?,
    })
}

fn grpc_failure(proto: grpc_route::GrpcFailureInjector) -> Result<Filter, Malformed> {
    Ok(Filter::GrpcFailure {
        code: u16::try_from(proto.code).map_err(|_| Malformed::Range("injected code"))?,
        message: proto.message.into(),
        ratio: ratio(proto.ratio)?,
    })
}

fn ratio(proto: Option<http_route::Ratio>) -> Result<Ratio, Malformed> {
    let Some(proto) = proto else { return Ok(Ratio { numerator: 1, denominator: 1 }) };
    if proto.denominator == 0 || proto.numerator > proto.denominator {
        return Err(Malformed::Range("ratio"));
    }
    Ok(Ratio { numerator: proto.numerator, denominator: proto.denominator })
}

fn request_headers(proto: http_route::RequestHeaderModifier) -> Result<Filter, Malformed> {
    Ok(Filter::RequestHeaders(modifier(proto.set, proto.add, proto.remove)?))
}

fn modifier(
    set: Option<http_types::Headers>,
    add: Option<http_types::Headers>,
    remove: Vec<String>,
) -> Result<HeaderModifier, Malformed> {
    Ok(HeaderModifier {
        set: values(set)?,
        add: values(add)?,
        remove: remove.iter().map(|name| header_name(name)).collect::<Result<_, _>>()?,
    })
}

/// A header's name and the bytes of its value.
type HeaderValue = (Arc<str>, Arc<[u8]>);

fn values(proto: Option<http_types::Headers>) -> Result<Vec<HeaderValue>, Malformed> {
    let read = |header: http_types::headers::Header| {
        let value = http::HeaderValue::from_bytes(&header.value)
            .map_err(|error| Malformed::unreadable("header value", error))?;
        Ok((header_name(&header.name)?, Arc::from(value.as_bytes())))
    };
    proto.map(|proto| proto.headers).unwrap_or_default().into_iter().map(read).collect()
}

fn header_name(name: &str) -> Result<Arc<str>, Malformed> {
    let name = http::HeaderName::from_bytes(name.as_bytes())
        .map_err(|error| Malformed::unreadable("header name", error))?;
    Ok(Arc::from(name.as_str()))
}

fn redirect(proto: http_route::RequestRedirect) -> Result<Filter, Malformed> {
    use http_route::path_modifier::Replace;
    use http_types::scheme::{Registered, Type};
    let scheme = match proto.scheme.map(|scheme| scheme.r#type) {
        None => None,
        Some(Some(Type::Registered(scheme))) if scheme == Registered::Http as i32 => Some("http".into()),
        Some(Some(Type::Registered(scheme))) if scheme == Registered::Https as i32 => Some("https".into()),
        Some(Some(Type::Unregistered(scheme))) => Some(scheme.into()),
        Some(None | Some(Type::Registered(_))) => return Err(Malformed::Missing("redirect scheme")),
    };
    let path = match proto.path.map(|path| path.replace) {
        None => None,
        Some(Some(Replace::Full(path))) => Some(PathRewrite::Full(path.into())),
        Some(Some(Replace::Prefix(prefix))) => Some(PathRewrite::Prefix(prefix.into())),
        Some(None) => return Err(Malformed::Missing("redirect path")),
    };
    let status = match proto.status {
        0 => None,
        status @ (301 | 302 | 303 | 307 | 308) => u16::try_from(status).ok(),
        _ => return Err(Malformed::Range("redirect status")),
    };
    let port = (proto.port != 0).then(|| port("redirect port", proto.port)).transpose()?;
    let host = (!proto.host.is_empty()).then(|| proto.host.into());
    Ok(Filter::Redirect(Redirect { scheme, host, path, port, status }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_of_unknown_kind_refuses_instead_of_passing() {
        let filter = outbound_http((outbound::http_route::Filter { kind: None }, Default::default()));
        assert!(matches!(filter, Ok(Filter::Unknown(_))));
        assert!(matches!(
            inbound_grpc((inbound::grpc_route::Filter { kind: None }, Default::default())),
            Ok(Filter::Unknown(_))
        ));
    }

    #[test]
    fn a_ratio_is_a_share() {
        let of = |numerator, denominator| ratio(Some(http_route::Ratio { numerator, denominator }));
        assert_eq!(ratio(None), Ok(Ratio { numerator: 1, denominator: 1 }));
        assert_eq!(of(1, 2), Ok(Ratio { numerator: 1, denominator: 2 }));
        assert!(of(1, 0).is_err() && of(3, 2).is_err());
    }
}
