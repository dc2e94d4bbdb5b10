//! Filters that only our own control plane sends. One that this proxy does not know refuses its requests.

use std::sync::Arc;
use std::time::Duration;

use hauberk_model::filters::cors::{Cors, Origin};
use hauberk_model::filters::fault::{Abort, Fault};
use hauberk_model::identity::Identity;
use hauberk_model::route::{Filter, HeaderMatch, HeaderModifier, Mirror, PathRewrite, Ratio, ValueMatch};

use super::{HeaderValue, Malformed, header_name, unknown};
use crate::convert::{matches, outbound};
use crate::extension::proto;

/// Shares travel in parts of a million.
const SHARE_PPM: u32 = 1_000_000;

/// A filter of an outbound rule or backend reference.
pub(super) fn outbound(extension: proto::OutboundFilterExtension) -> Result<Filter, Malformed> {
    filter(extension.filter)
}

/// A filter of an inbound rule. A server's proxy mirrors nothing, and faults strike at the client's.
pub(super) fn inbound(extension: proto::InboundFilterExtension) -> Result<Filter, Malformed> {
    let read = filter(extension.filter)?;
    Ok(if matches!(read, Filter::Mirror(_) | Filter::Fault(_)) { unknown() } else { read })
}

fn filter(proto: Option<proto::ExtendedFilter>) -> Result<Filter, Malformed> {
    use proto::extended_filter::Kind;
    match proto.and_then(|filter| filter.kind) {
        None => Ok(unknown()),
        Some(Kind::ResponseHeaders(changes)) => Ok(Filter::ResponseHeaders(modifier(changes)?)),
        Some(Kind::UrlRewrite(filter)) => rewrite(filter),
        Some(Kind::Cors(filter)) => cors(filter),
        Some(Kind::Fault(filter)) => fault(filter),
        Some(Kind::Mirror(filter)) => mirror(&filter),
    }
}

fn modifier(changes: proto::HeaderChanges) -> Result<HeaderModifier, Malformed> {
    let fields = |fields: Vec<proto::HeaderField>| {
        fields.into_iter().map(|field| header(&field.name, &field.value)).collect::<Result<Vec<_>, _>>()
    };
    Ok(HeaderModifier {
        set: fields(changes.set)?,
        add: fields(changes.add)?,
        remove: changes.remove.iter().map(|name| header_name(name)).collect::<Result<_, _>>()?,
    })
}

fn header(name: &str, value: &[u8]) -> Result<HeaderValue, Malformed> {
    let value =
        http::HeaderValue::from_bytes(value).map_err(|error| Malformed::unreadable("header value", error))?;
    Ok((header_name(name)?, Arc::from(value.as_bytes())))
}

fn rewrite(proto: proto::UrlRewrite) -> Result<Filter, Malformed> {
    use proto::url_rewrite::Path;
    let host = (!proto.hostname.is_empty()).then(|| header("host", proto.hostname.as_bytes()));
    Ok(Filter::Rewrite {
        host: host.transpose()?.map(|host| HeaderModifier { set: vec![host], ..HeaderModifier::default() }),
        path: proto.path.map(|path| match path {
            Path::Full(path) => PathRewrite::Full(path.into()),
            Path::Prefix(prefix) => PathRewrite::Prefix(prefix.into()),
        }),
    })
}

fn cors(proto: proto::Cors) -> Result<Filter, Malformed> {
    let names = |names: Vec<String>| names.into_iter().map(Arc::from).collect();
    let origin = |text: &String| Origin::parse(text).ok_or(Malformed::Range("origin"));
    Ok(Filter::Cors(Arc::new(Cors {
        origins: proto.allow_origins.iter().map(origin).collect::<Result<_, _>>()?,
        credentials: proto.allow_credentials,
        methods: names(proto.allow_methods),
        headers: names(proto.allow_headers),
        exposed: names(proto.expose_headers),
        max_age_s: proto.max_age_seconds,
    })))
}

fn fault(proto: proto::Fault) -> Result<Filter, Malformed> {
    let status = |status: u32| {
        let status = u16::try_from(status).ok().filter(|status| (200..600).contains(status));
        status.ok_or(Malformed::Range("status of a fault"))
    };
    let abort = proto.abort.map(|abort| {
        Ok(Abort {
            http: status(abort.http_status)?,
            grpc: u16::try_from(abort.grpc_status).map_err(|_| Malformed::Range("code of a fault"))?,
            message: abort.message.into(),
        })
    });
    let identity = |name: &String| {
        Identity::parse(name).map_err(|error| Malformed::unreadable("identity of a fault", error))
    };
    if proto.share_ppm > SHARE_PPM {
        return Err(Malformed::Range("share of a fault"));
    }
    Ok(Filter::Fault(Arc::new(Fault {
        namespace: proto.policy_namespace.into(),
        name: proto.policy_name.into(),
        ratio: Ratio { numerator: proto.share_ppm, denominator: SHARE_PPM },
        delay: (proto.delay_ms != 0).then(|| Duration::from_millis(proto.delay_ms.into())),
        abort: abort.transpose()?,
        start: Duration::from_millis(proto.start_ms),
        end: Duration::from_millis(proto.end_ms),
        headers: proto.headers.into_iter().map(header_match).collect::<Result<_, _>>()?,
        identities: proto.identities.iter().map(identity).collect::<Result<_, _>>()?,
    })))
}

fn header_match(header: proto::HeaderPattern) -> Result<HeaderMatch, Malformed> {
    use proto::header_pattern::Value;
    let value = match header.value.ok_or(Malformed::Missing("header match"))? {
        Value::Exact(bytes) => ValueMatch::Exact(bytes.into()),
        Value::Regex(pattern) => ValueMatch::Regex(matches::whole(&pattern)?),
    };
    Ok(HeaderMatch { name: header_name(&header.name)?, value })
}

fn mirror(proto: &proto::RequestMirror) -> Result<Filter, Malformed> {
    if proto.denominator == 0 || proto.numerator > proto.denominator {
        return Err(Malformed::Range("share of a mirror"));
    }
    Ok(Filter::Mirror(Arc::new(Mirror {
        backend: Arc::new(outbound::encoded_backend(&proto.backend)?),
        ratio: Ratio { numerator: proto.numerator, denominator: proto.denominator },
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_of_unknown_kind_refuses_instead_of_passing() {
        assert!(matches!(outbound(proto::OutboundFilterExtension { filter: None }), Ok(Filter::Unknown(_))));
        assert!(matches!(inbound(proto::InboundFilterExtension { filter: None }), Ok(Filter::Unknown(_))));
    }

    #[test]
    fn a_rewrite_of_the_host_is_a_change_of_that_header() {
        let proto = proto::UrlRewrite { hostname: "other.example".to_owned(), path: None };
        let Ok(Filter::Rewrite { host: Some(host), path: None }) = rewrite(proto) else { panic!("refused") };
        assert_eq!(host.set, [(Arc::from("host"), Arc::from(&b"other.example"[..]))]);
        assert!(rewrite(proto::UrlRewrite { hostname: "a\nb".to_owned(), path: None }).is_err());
    }
}
