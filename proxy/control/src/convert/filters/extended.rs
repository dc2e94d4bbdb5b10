//! Filters that only our own control plane sends. One that this proxy does not know refuses its requests.

use std::sync::Arc;

use hauberk_model::filters::cors::{Cors, Origin};
use hauberk_model::route::{Filter, HeaderModifier, PathRewrite};

use super::{HeaderValue, Malformed, header_name, unknown};
use crate::extension::proto;

/// A filter of an outbound rule or backend reference.
pub(super) fn outbound(extension: proto::OutboundFilterExtension) -> Result<Filter, Malformed> {
    filter(extension.filter)
}

/// A filter of an inbound rule.
pub(super) fn inbound(extension: proto::InboundFilterExtension) -> Result<Filter, Malformed> {
    filter(extension.filter)
}

fn filter(proto: Option<proto::ExtendedFilter>) -> Result<Filter, Malformed> {
    use proto::extended_filter::Kind;
    match proto.and_then(|filter| filter.kind) {
        None => Ok(unknown()),
        Some(Kind::ResponseHeaders(changes)) => Ok(Filter::ResponseHeaders(modifier(changes)?)),
        Some(Kind::UrlRewrite(filter)) => rewrite(filter),
        Some(Kind::Cors(filter)) => cors(filter),
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
