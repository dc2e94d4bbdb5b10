//! The digest of an endpoint set, computed alike by the control plane (`mesh/destination/digest.ts`).
//!
//! It tells a set that went wrong on its way or in our fold from the one that the control plane meant; it is no
//! protection against somebody who wants two sets to have one digest, and the stream's TLS is. Two MurmurHash3 (x86,
//! 32 bits) of each endpoint's canonical text, summed: the order does not matter, and a change costs only what changed.

use std::fmt::Write as _;
use std::net::IpAddr;

use hauberk_model::endpoint::{Endpoint, ProtocolHint};

/// Seeds of the two halves, low first.
const SEEDS: [u32; 2] = [0x6861_7562, 0x6572_6b21];

/// The sum over a set; of the empty set it is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest([u32; 2]);

impl Digest {
    pub(crate) fn add(&mut self, endpoint: &Endpoint) {
        self.merge(endpoint, u32::wrapping_add);
    }

    pub(crate) fn remove(&mut self, endpoint: &Endpoint) {
        self.merge(endpoint, u32::wrapping_sub);
    }

    /// As on the wire.
    pub(crate) fn value(self) -> u64 {
        let [low, high] = self.0;
        u64::from(high) << 32 | u64::from(low)
    }

    fn merge(&mut self, endpoint: &Endpoint, with: impl Fn(u32, u32) -> u32) {
        let text = canonical(endpoint);
        for (half, seed) in self.0.iter_mut().zip(SEEDS) {
            *half = with(*half, murmur3(seed, text.as_bytes()));
        }
    }
}

/// What matters of an endpoint: where it is, who must answer, how it is spoken to, how much it gets and where it lies.
fn canonical(endpoint: &Endpoint) -> String {
    let mut text = String::with_capacity(160);
    let written = match endpoint.addr.ip() {
        IpAddr::V4(ip) => write!(text, "{:08x}", ip.to_bits()),
        IpAddr::V6(ip) => write!(text, "{:032x}", ip.to_bits()),
    };
    let (identity, server_name) =
        endpoint.tls.as_ref().map_or(("", ""), |tls| (tls.identity.as_str(), &tls.server_name));
    let hint = match endpoint.hint {
        ProtocolHint::Unknown => "",
        ProtocolHint::Http2 => "h2",
        ProtocolHint::Opaque => "opaque",
    };
    let zone = endpoint.labels.iter().find(|(name, _)| name.as_ref() == "dst_zone");
    let zone = zone.map_or("", |(_, zone)| zone);
    let port = endpoint.addr.port();
    let transport = endpoint.transport_port.unwrap_or(0);
    let rest =
        write!(text, ":{port}\n{}\n{identity}\n{server_name}\n{hint}\n{transport}\n{zone}", endpoint.weight);
    debug_assert!(written.and(rest).is_ok(), "a String takes everything");
    text
}

/// MurmurHash3_x86_32 (Austin Appleby, public domain).
fn murmur3(seed: u32, bytes: &[u8]) -> u32 {
    let scramble = |k: u32| k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut blocks = bytes.chunks_exact(4);
    let mut hash = blocks.by_ref().fold(seed, |hash, block| {
        let k = block.iter().rev().fold(0, |k, byte| k << 8 | u32::from(*byte));
        (hash ^ scramble(k)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
    });
    let rest = blocks.remainder().iter().rev().fold(0, |k, byte| k << 8 | u32::from(*byte));
    hash ^= scramble(rest);
    hash ^= u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use hauberk_model::endpoint::{Http2Params, TlsTarget};
    use hauberk_model::identity::Identity;

    use super::*;

    fn endpoint(addr: &str, is_full: bool) -> Endpoint {
        let addr: SocketAddr = addr.parse().expect("address");
        let mut endpoint = Endpoint {
            addr,
            weight: 10_000,
            tls: None,
            hint: ProtocolHint::Unknown,
            transport_port: None,
            authority_override: None,
            http2: Http2Params::default(),
            other_zone: false,
            labels: Arc::from([]),
        };
        if is_full {
            let identity = "web.shop.serviceaccount.identity.linkerd.cluster.local";
            let identity = Identity::parse(identity).expect("identity");
            endpoint.tls = Some(TlsTarget { server_name: identity.shared(), identity });
            endpoint.hint = ProtocolHint::Http2;
            endpoint.transport_port = Some(4143);
            endpoint.labels = Arc::from([(Arc::from("dst_zone"), Arc::from("zone-a"))]);
        }
        endpoint
    }

    #[test]
    fn the_hash_is_murmur3() {
        let table: [(&str, u32, u32); 6] = [
            ("", 0, 0),
            ("", 1, 0x514e_28b7),
            ("", 0xffff_ffff, 0x81f1_6f39),
            ("hello", 0, 0x248b_fa47),
            ("hello, world", 0, 0x149b_bb7f),
            ("The quick brown fox jumps over the lazy dog", 0, 0x2e4f_f723),
        ];
        for (text, seed, expected) in table {
            assert_eq!(murmur3(seed, text.as_bytes()), expected, "{text}");
        }
    }

    /// The same endpoints and digests stand in `mesh/destination/digest.test.ts`.
    #[test]
    fn the_control_plane_computes_the_same() {
        let mut digest = Digest::default();
        digest.add(&endpoint("10.1.2.3:8080", false));
        assert_eq!(digest.value(), PLAIN);
        digest.add(&endpoint("[fd00::1]:443", true));
        assert_eq!(digest.value(), BOTH);
    }

    const PLAIN: u64 = 4_359_126_380_070_062_900;
    const BOTH: u64 = 14_708_608_116_386_085_115;

    #[test]
    fn the_order_does_not_matter_and_what_is_removed_leaves_no_trace() {
        let (one, two) = (endpoint("10.1.2.3:8080", false), endpoint("[fd00::1]:443", true));
        let (mut forth, mut back) = (Digest::default(), Digest::default());
        forth.add(&one);
        forth.add(&two);
        back.add(&two);
        back.add(&one);
        assert_eq!(forth, back);
        forth.remove(&one);
        forth.remove(&two);
        assert_eq!(forth, Digest::default());
    }

    #[test]
    fn every_field_that_matters_is_seen() {
        let plain = endpoint("10.1.2.3:8080", false);
        let of = |endpoint: &Endpoint| {
            let mut digest = Digest::default();
            digest.add(endpoint);
            digest
        };
        let full = endpoint("10.1.2.3:8080", true);
        let others = [
            endpoint("10.1.2.4:8080", false),
            endpoint("10.1.2.3:8081", false),
            Endpoint { weight: 1, ..plain.clone() },
            Endpoint { tls: full.tls, ..plain.clone() },
            Endpoint { hint: full.hint, ..plain.clone() },
            Endpoint { transport_port: full.transport_port, ..plain.clone() },
            Endpoint { labels: full.labels, ..plain.clone() },
        ];
        for other in others {
            assert_ne!(of(&other), of(&plain), "{other:?}");
        }
    }
}
