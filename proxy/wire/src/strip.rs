//! Which of the mesh's own fields survive which crossing, as data.
//!
//! `l5d-*` fields, `hauberk-error` and `hauberk-request-id` are orders and facts between proxies. What comes from an
//! application or a peer under such a name is dropped unless a rule below keeps it; what the receiving proxy has to obey (`l5d-orig-proto`, timeouts, retries,
//! `l5d-proxy-connection`) it reads before it forwards. Names with `_` for `-` are dropped like their twins, since CGI
//! makes one variable of both.

use crate::h1::Kind;

/// What is dropped at one crossing, on top of everything that belongs to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strip {
    /// Names of the mesh that pass, in lower case; all others are dropped.
    pub kept_mesh: &'static [&'static str],
    /// Further names that are dropped, in lower case.
    pub names: &'static [&'static str],
}

/// A request from the local application, on its way out.
pub const REQUEST_FROM_APP: Strip = Strip { kept_mesh: &[], names: &[] };

/// A request from a peer, meshed or not, on its way to the local application. In particular no `l5d-client-id` but the
/// one that the proxy itself adds from the verified certificate.
pub const REQUEST_FROM_PEER: Strip = Strip { kept_mesh: &[], names: &[] };

/// A response from the local application, on its way to a peer.
pub const RESPONSE_FROM_APP: Strip = Strip { kept_mesh: &[], names: &[] };

/// A response from a meshed peer, on its way to the local application: told why a proxy answered in its place.
pub const RESPONSE_FROM_PEER: Strip =
    Strip { kept_mesh: &["l5d-proxy-error", "hauberk-error", "hauberk-request-id"], names: &[] };

/// The same when `OUTBOUND_DISABLE_INFORMATIONAL_HEADERS` is set, or when the peer is not meshed.
pub const RESPONSE_FROM_STRANGER: Strip = Strip { kept_mesh: &[], names: &[] };

impl Strip {
    /// Whether a field of this name and kind is dropped.
    pub fn drops(&self, name: &[u8], kind: Kind) -> bool {
        let among = |names: &[&str]| names.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()));
        (kind == Kind::Mesh && !among(self.kept_mesh)) || (!self.names.is_empty() && among(self.names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mesh_name_survives_a_crossing_in_any_spelling_unless_kept() {
        for strip in [REQUEST_FROM_APP, REQUEST_FROM_PEER, RESPONSE_FROM_APP, RESPONSE_FROM_STRANGER] {
            for name in [
                "l5d-client-id",
                "L5D-Orig-Proto",
                "l5d_client_id",
                "L5D-whatever",
                "l5d-proxy-error",
                "Hauberk-Error",
                "hauberk_request_id",
            ] {
                assert!(strip.drops(name.as_bytes(), Kind::of(name.as_bytes())), "{name}");
            }
            for name in ["x-l5d", "hauberk-timeout", "hauberk", "x-hauberk-error"] {
                assert!(!strip.drops(name.as_bytes(), Kind::of(name.as_bytes())), "{name}");
            }
        }
        assert!(!RESPONSE_FROM_PEER.drops(b"l5d-proxy-error", Kind::Mesh));
        assert!(RESPONSE_FROM_PEER.drops(b"l5d_proxy_error", Kind::Mesh));
        assert!(RESPONSE_FROM_PEER.drops(b"l5d-proxy-connection", Kind::Mesh));
    }
}
