//! Trailer sections: read as strictly as heads, and only fields that may stand in one are kept.

use bytes::{Bytes, BytesMut};
use httparse::{EMPTY_HEADER, Status};

use super::headers::{Kind, Table};
use super::limits::Limits;
use super::scan::{self, Message, Scan};
use super::{Field, H1Error, Headers};

/// A trailer section that passed the rules of fields.
#[derive(Clone, Debug)]
pub struct Trailers(Headers);

impl Trailers {
    /// The fields that may be passed on: see [`is_allowed`].
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.0.forwarded().filter(|field| is_allowed(field.name))
    }

    /// Whether nothing is left to pass on.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

/// Fields that may not come after the body (RFC 9110 §6.5.1): framing, routing, authentication, request modifiers,
/// response control and content format, because who decides by them has decided already. And all of the mesh's own.
const FORBIDDEN: [&str; 46] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "age",
    "authentication-info",
    "authorization",
    "cache-control",
    "content-encoding",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "forwarded",
    "from",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "location",
    "max-forwards",
    "origin",
    "pragma",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "range",
    "referer",
    "retry-after",
    "set-cookie",
    "trailer",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
];

/// Whether a field of this name, in any case, may stand in a trailer section.
pub fn is_allowed(name: &[u8]) -> bool {
    match Kind::of(name) {
        Kind::EndToEnd => !FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden.as_bytes())),
        Kind::Mesh
        | Kind::Expect
        | Kind::Trailer
        | Kind::Host
        | Kind::ContentLength
        | Kind::TransferEncoding
        | Kind::Connection
        | Kind::Upgrade
        | Kind::Te
        | Kind::Hop => false,
    }
}

/// Reads a trailer section from the front of `buf` and takes it off; `None`: more bytes are needed.
pub(crate) fn resume(
    buf: &mut BytesMut,
    limits: &Limits,
    scan: &mut Scan,
) -> Result<Option<Trailers>, H1Error> {
    // The usual case: no trailers at all.
    if buf.starts_with(b"\r\n") {
        let block: Bytes = buf.split_to(2).freeze();
        return Ok(Some(Trailers(Headers { table: Table::new(), block })));
    }
    let lexed = if scan.may_be_complete(buf) { lex(buf, limits)? } else { None };
    let Some((len, table)) = lexed else {
        if buf.len() >= limits.trailer_bytes_max {
            return Err(H1Error::TrailersTooLarge);
        }
        scan.incomplete(buf.len());
        return Ok(None);
    };
    Ok(Some(Trailers(Headers { block: buf.split_to(len).freeze(), table })))
}

fn lex(section: &[u8], limits: &Limits) -> Result<Option<(usize, Table)>, H1Error> {
    let mut parsed = vec![EMPTY_HEADER; limits.trailer_fields_max];
    match httparse::parse_headers(section, &mut parsed) {
        Ok(Status::Complete((len, _))) if len > limits.trailer_bytes_max => Err(H1Error::TrailersTooLarge),
        Ok(Status::Complete((len, fields))) => {
            let section = section.get(..len).unwrap_or_default();
            let mut table = Table::new();
            scan::tabulate(section, 0, fields, Message::Trailers, &mut table)?;
            Ok(Some((len, table)))
        }
        Ok(Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(H1Error::TrailersTooLarge),
        Err(error) => Err(scan::complaint(section, error, Message::Trailers)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_routing_authentication_and_mesh_names_are_no_trailers() {
        for name in [
            "Content-Length",
            "transfer-encoding",
            "Host",
            "AUTHORIZATION",
            "l5d-client-id",
            "L5d_x",
            "TE",
            "cookie",
        ] {
            assert!(!is_allowed(name.as_bytes()), "{name}");
        }
        for name in ["grpc-status", "grpc-message", "x-checksum", "Server-Timing", "etag"] {
            assert!(is_allowed(name.as_bytes()), "{name}");
        }
    }
}
