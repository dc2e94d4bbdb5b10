//! Consistent hashing with bounded load (Mirrokni, Thorup, Zadimoghaddam 2018): the same key goes to the same endpoint
//! while that has no more than its share, and an endpoint that comes or goes moves no key but its own.
//!
//! Every endpoint has [`POINTS`] places on a ring of 2⁶⁴, which depend on its address alone: all clients agree on them.

use std::net::{IpAddr, SocketAddr};

/// Places of one endpoint. With 64, the shares of ten endpoints differ by a sixth or so; the bound evens the load.
const POINTS: u64 = 64;

/// The places of all endpoints, in order.
#[derive(Clone, Debug, Default)]
pub struct Ring {
    points: Vec<(u64, u32)>,
}

impl Ring {
    /// From the endpoints' slots and addresses.
    pub fn new(endpoints: impl Iterator<Item = (u32, SocketAddr)>) -> Self {
        let places = endpoints.flat_map(|(slot, addr)| {
            let seed = hash_of_address(addr);
            (0..POINTS).map(move |point| (mixed(seed ^ mixed(point)), slot))
        });
        let mut points: Vec<(u64, u32)> = places.collect();
        points.sort_unstable();
        Self { points }
    }

    /// The slots in the order in which a key asks them; each may come several times.
    pub fn walk(&self, key: u64) -> impl Iterator<Item = u32> {
        let from = self.points.partition_point(|(place, _)| *place < key);
        let (before, after) = self.points.split_at(from);
        after.iter().chain(before).map(|(_, slot)| *slot)
    }
}

/// The most requests that one of `ready` endpoints may have, with the next request, of `in_flight` that all have without
/// it: `load_percent` of the mean, rounded up.
#[must_use]
pub fn bound(load_percent: u32, in_flight: u64, ready: usize) -> u64 {
    let share = u64::from(load_percent.max(100)).saturating_mul(in_flight.saturating_add(1));
    share.div_ceil((ready.max(1) as u64).saturating_mul(100))
}

/// The hash of a request's key.
#[must_use]
pub fn hash_of_key(key: &[u8]) -> u64 {
    mixed(fnv(key))
}

fn hash_of_address(addr: SocketAddr) -> u64 {
    let mut octets = [0; 18];
    let ip = match addr.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    for (into, octet) in octets.iter_mut().zip(ip.into_iter().chain(addr.port().to_be_bytes())) {
        *into = octet;
    }
    fnv(&octets)
}

/// FNV-1a. Stable: proxies of all versions must agree.
fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The finaliser of SplitMix64.
fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring(slots: &[u32]) -> Ring {
        Ring::new(
            slots.iter().map(|slot| (*slot, SocketAddr::from(([10, 0, (slot >> 8) as u8, *slot as u8], 80)))),
        )
    }

    fn owner(ring: &Ring, key: u64) -> Option<u32> {
        ring.walk(key).next()
    }

    #[test]
    fn the_places_are_the_same_for_every_client_and_version() {
        let ring = ring(&[1, 2, 3]);
        let owners: Vec<u32> = ["alice", "bob", "carol", "dave"]
            .iter()
            .filter_map(|key| owner(&ring, hash_of_key(key.as_bytes())))
            .collect();
        assert_eq!(owners, [3, 2, 2, 2]);
    }

    #[test]
    fn keys_are_spread_over_all_endpoints() {
        let slots: Vec<u32> = (0..10).collect();
        let ring = ring(&slots);
        let mut counts = [0_u32; 10];
        for key in 0_u32..10_000 {
            counts[owner(&ring, hash_of_key(&key.to_be_bytes())).expect("an owner") as usize] += 1;
        }
        assert!(counts.iter().all(|count| (500..1_700).contains(count)), "{counts:?}");
    }

    #[test]
    fn an_empty_ring_has_no_owner() {
        assert_eq!(owner(&Ring::default(), 1), None);
    }

    proptest! {
        #[test]
        fn an_endpoint_that_goes_moves_no_key_but_its_own(
            slots in prop::collection::btree_set(0_u32..500, 2..20),
            gone in any::<prop::sample::Index>(),
            keys in prop::collection::vec(any::<u64>(), 64),
        ) {
            let all: Vec<u32> = slots.into_iter().collect();
            let gone = *gone.get(&all);
            let rest: Vec<u32> = all.iter().copied().filter(|slot| *slot != gone).collect();
            let (before, after) = (ring(&all), ring(&rest));
            for key in keys {
                let (was, is) = (owner(&before, key), owner(&after, key));
                prop_assert!(was == is || was == Some(gone));
                // And where it goes is where it would have been asked next.
                prop_assert_eq!(before.walk(key).find(|slot| *slot != gone), is);
            }
        }

        #[test]
        fn somebody_is_always_below_the_bound(
            loads in prop::collection::vec(0_u64..100, 1..20),
            percent in 100_u32..400,
        ) {
            let bound = bound(percent, loads.iter().sum(), loads.len());
            prop_assert!(loads.iter().any(|load| *load < bound));
        }

        #[test]
        fn the_order_of_the_endpoints_changes_nothing(
            slots in prop::collection::btree_set(0_u32..500, 1..20),
            key in any::<u64>(),
        ) {
            let forward: Vec<u32> = slots.iter().copied().collect();
            let backward: Vec<u32> = slots.iter().rev().copied().collect();
            prop_assert_eq!(
                ring(&forward).walk(key).collect::<Vec<_>>(),
                ring(&backward).walk(key).collect::<Vec<_>>()
            );
        }
    }
}
