//! The fold of `Destination.Get`: updates in, whole sets out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use hauberk_model::endpoint::{Endpoint, EndpointSet};
use linkerd2_proxy_api::destination as proto;
use linkerd2_proxy_api::destination::update::Update;

use crate::convert::{self, Malformed};
use crate::extension::{Extended, paired, proto as extension};

/// What is known of one authority.
#[derive(Debug, Default)]
pub(crate) struct Endpoints {
    exists: bool,
    by_address: BTreeMap<SocketAddr, Arc<Endpoint>>,
}

impl Endpoints {
    /// Applies an update; the first one of a stream replaces what the stream before said (`destination.proto`).
    ///
    /// Repeating an update changes nothing. The errors are of single endpoints: one that cannot be read is left
    /// out, or stays as it was, pinned to the identity it had.
    pub(crate) fn apply(
        &mut self,
        first: bool,
        answer: Extended<proto::Update, extension::UpdateOverlay>,
    ) -> Vec<Malformed> {
        let Extended { message: update, overlay } = answer;
        let Some(update) = update.update else { return vec![Malformed::Missing("update")] };
        let before = if first { std::mem::take(&mut self.by_address) } else { BTreeMap::new() };
        match update {
            Update::Add(set) => self.add(set, overlay.add.unwrap_or_default(), &before),
            Update::Remove(set) => self.remove(set),
            Update::NoEndpoints(none) => {
                self.exists = none.exists;
                self.by_address.clear();
                Vec::new()
            }
        }
    }

    /// The control plane knows of no such authority.
    pub(crate) fn absent(&mut self) {
        self.exists = false;
        self.by_address.clear();
    }

    pub(crate) fn set(&self) -> EndpointSet {
        EndpointSet { exists: self.exists, endpoints: self.by_address.values().cloned().collect() }
    }

    fn add(
        &mut self,
        set: proto::WeightedAddrSet,
        overlay: extension::WeightedAddrSetOverlay,
        before: &BTreeMap<SocketAddr, Arc<Endpoint>>,
    ) -> Vec<Malformed> {
        self.exists = true;
        let labels = convert::destination_labels(set.metric_labels);
        let mut bad = Vec::new();
        for (proto, overlay) in paired(set.addrs, overlay.addrs) {
            let address = proto.addr;
            match convert::endpoint::endpoint((proto, overlay), &labels) {
                Ok(endpoint) => {
                    let known = self.by_address.get(&endpoint.addr).or_else(|| before.get(&endpoint.addr));
                    let kept = known.filter(|known| ***known == endpoint).map(Arc::clone);
                    self.by_address.insert(endpoint.addr, kept.unwrap_or_else(|| Arc::new(endpoint)));
                }
                Err(error) => {
                    bad.push(error);
                    if let Some((address, known)) = convert::address("endpoint address", address)
                        .ok()
                        .and_then(|address| Some((address, before.get(&address)?)))
                    {
                        self.by_address.insert(address, Arc::clone(known));
                    }
                }
            }
        }
        bad
    }

    fn remove(&mut self, set: proto::AddrSet) -> Vec<Malformed> {
        // A removal says that the service exists.
        self.exists = true;
        let mut bad = Vec::new();
        for address in set.addrs {
            match convert::address("removed address", Some(address)) {
                Ok(address) => drop(self.by_address.remove(&address)),
                Err(error) => bad.push(error),
            }
        }
        bad
    }
}

#[cfg(test)]
mod tests {
    use linkerd2_proxy_api::net::TcpAddress;
    use proptest::prelude::*;

    use super::*;

    fn plain(message: proto::Update) -> Extended<proto::Update, extension::UpdateOverlay> {
        Extended { message, overlay: extension::UpdateOverlay::default() }
    }

    fn tcp(last: u8) -> TcpAddress {
        TcpAddress { ip: Some([10, 0, 0, last].into()), port: 80 }
    }

    fn add(addresses: &[u8]) -> proto::Update {
        let weighted =
            |last: &u8| proto::WeightedAddr { addr: Some(tcp(*last)), weight: 1, ..Default::default() };
        let addrs = addresses.iter().map(weighted).collect();
        proto::Update { update: Some(Update::Add(proto::WeightedAddrSet { addrs, ..Default::default() })) }
    }

    fn remove(addresses: &[u8]) -> proto::Update {
        let addrs = addresses.iter().copied().map(tcp).collect();
        proto::Update { update: Some(Update::Remove(proto::AddrSet { addrs })) }
    }

    fn none(exists: bool) -> proto::Update {
        proto::Update { update: Some(Update::NoEndpoints(proto::NoEndpoints { exists })) }
    }

    fn addresses(endpoints: &Endpoints) -> Vec<u8> {
        let last = |endpoint: &Arc<Endpoint>| match endpoint.addr.ip() {
            std::net::IpAddr::V4(ip) => ip.octets()[3],
            std::net::IpAddr::V6(_) => 0,
        };
        endpoints.set().endpoints.iter().map(last).collect()
    }

    #[test]
    fn the_first_answer_of_a_new_stream_replaces_what_the_old_one_said() {
        let mut endpoints = Endpoints::default();
        endpoints.apply(true, plain(add(&[1, 2])));
        endpoints.apply(false, plain(add(&[3])));
        assert_eq!(addresses(&endpoints), [1, 2, 3]);
        let kept = Arc::clone(&endpoints.set().endpoints[1]);
        endpoints.apply(true, plain(add(&[2, 4])));
        assert_eq!(addresses(&endpoints), [2, 4]);
        assert!(
            Arc::ptr_eq(&kept, &endpoints.set().endpoints[0]),
            "an endpoint that did not change is the same"
        );
    }

    #[test]
    fn removing_the_last_endpoint_leaves_a_service_that_exists() {
        let mut endpoints = Endpoints::default();
        endpoints.apply(true, plain(add(&[1])));
        endpoints.apply(false, plain(remove(&[1])));
        assert_eq!(endpoints.set(), EndpointSet { exists: true, endpoints: Arc::new([]) });
        endpoints.apply(false, plain(none(false)));
        assert!(!endpoints.set().exists);
    }

    #[test]
    fn an_endpoint_that_cannot_be_read_keeps_the_identity_it_had_or_is_left_out() {
        let broken = |last| {
            let mut update = add(&[last]);
            if let Some(Update::Add(set)) = &mut update.update {
                set.addrs[0].tls_identity = Some(proto::TlsIdentity { strategy: None, server_name: None });
            }
            update
        };
        let mut endpoints = Endpoints::default();
        endpoints.apply(true, plain(add(&[1])));
        assert_eq!(endpoints.apply(false, plain(broken(1))).len(), 1);
        assert_eq!(endpoints.apply(false, plain(broken(2))).len(), 1);
        assert_eq!(addresses(&endpoints), [1]);
        assert_eq!(endpoints.apply(true, plain(broken(1))).len(), 1);
        assert_eq!(addresses(&endpoints), [1]);
    }

    proptest! {
        #[test]
        fn repeating_an_update_changes_nothing(
            updates in proptest::collection::vec((0..4_u8, proptest::collection::vec(0..8_u8, 0..4)), 0..20)
        ) {
            let (mut once, mut twice) = (Endpoints::default(), Endpoints::default());
            for (kind, addresses) in updates {
                let update = match kind {
                    0 => remove(&addresses),
                    1 => none(addresses.len() > 1),
                    _ => add(&addresses),
                };
                once.apply(false, plain(update.clone()));
                twice.apply(false, plain(update.clone()));
                twice.apply(false, plain(update));
                prop_assert_eq!(once.set(), twice.set());
            }
        }
    }
}
