//! The fold of `Destination.Get`: updates in, whole sets out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use hauberk_model::endpoint::{Endpoint, EndpointSet};
use linkerd2_proxy_api::destination as proto;
use linkerd2_proxy_api::destination::update::Update;

use crate::convert::{self, Malformed};
use crate::digest::Digest;
use crate::extension::{Extended, paired, proto as extension};

/// What is known of one authority.
#[derive(Debug, Default)]
pub(crate) struct Endpoints {
    exists: bool,
    by_address: BTreeMap<SocketAddr, Arc<Endpoint>>,
    digest: Digest,
    /// Of the stream.
    version: u64,
    /// Whether an endpoint of this stream could not be read: the set is then known to differ.
    is_partial: bool,
}

/// What became of an update.
#[derive(Debug)]
pub(crate) struct Applied {
    /// Of single endpoints.
    pub(crate) errors: Vec<Malformed>,
    /// What the control plane says of the set after it.
    pub(crate) proof: Proof,
}

/// Whether the set is the one that the control plane has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It does not say, or cannot be compared.
    None,
    /// It is, as of this version.
    Holds { version: u64 },
    /// It is not.
    Fails,
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
    ) -> Applied {
        let Extended { message: update, overlay } = answer;
        let before = if first { self.begin() } else { BTreeMap::new() };
        let errors = match update.update {
            None => vec![Malformed::Missing("update")],
            Some(Update::Add(set)) => self.add(set, overlay.add.unwrap_or_default(), &before),
            Some(Update::Remove(set)) => self.remove(set),
            Some(Update::NoEndpoints(none)) => {
                self.absent();
                self.exists = none.exists;
                Vec::new()
            }
        };
        self.is_partial |= !errors.is_empty();
        Applied { errors, proof: self.prove(overlay.extension) }
    }

    /// Forgets what the stream before said, and returns it.
    fn begin(&mut self) -> BTreeMap<SocketAddr, Arc<Endpoint>> {
        let Self { by_address, .. } = std::mem::take(self);
        by_address
    }

    fn prove(&mut self, said: Option<extension::UpdateExtension>) -> Proof {
        let Some(said) = said.filter(|_| !self.is_partial) else { return Proof::None };
        let counts = usize::try_from(said.endpoints).is_ok_and(|count| count == self.by_address.len());
        if said.version < self.version || !counts || said.digest != self.digest.value() {
            return Proof::Fails;
        }
        self.version = said.version;
        Proof::Holds { version: said.version }
    }

    fn insert(&mut self, endpoint: Arc<Endpoint>) {
        self.digest.add(&endpoint);
        if let Some(replaced) = self.by_address.insert(endpoint.addr, endpoint) {
            self.digest.remove(&replaced);
        }
    }

    /// The control plane knows of no such authority.
    pub(crate) fn absent(&mut self) {
        self.exists = false;
        self.by_address.clear();
        self.digest = Digest::default();
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
                    self.insert(kept.unwrap_or_else(|| Arc::new(endpoint)));
                }
                Err(error) => {
                    bad.push(error);
                    let address = convert::address("endpoint address", address).ok();
                    if let Some(known) = address.and_then(|address| before.get(&address)) {
                        self.insert(Arc::clone(known));
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
                Ok(address) => {
                    if let Some(removed) = self.by_address.remove(&address) {
                        self.digest.remove(&removed);
                    }
                }
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
        assert_eq!(endpoints.apply(false, plain(broken(1))).errors.len(), 1);
        assert_eq!(endpoints.apply(false, plain(broken(2))).errors.len(), 1);
        assert_eq!(addresses(&endpoints), [1]);
        assert_eq!(endpoints.apply(true, plain(broken(1))).errors.len(), 1);
        assert_eq!(addresses(&endpoints), [1]);
    }

    #[test]
    fn a_set_that_is_not_the_control_planes_is_noticed_unless_it_is_known_to_differ() {
        let verified = |message: proto::Update, version, of: &[u8]| {
            let mut set = Endpoints::default();
            set.apply(true, plain(add(of)));
            let digest = set.digest.value();
            let endpoints = u32::try_from(of.len()).expect("few");
            let extension = Some(extension::UpdateExtension { version, digest, endpoints });
            Extended { message, overlay: extension::UpdateOverlay { extension, ..Default::default() } }
        };
        let mut endpoints = Endpoints::default();
        let holds = |version| Proof::Holds { version };
        assert_eq!(endpoints.apply(true, verified(add(&[1, 2]), 7, &[1, 2])).proof, holds(7));
        assert_eq!(endpoints.apply(false, plain(add(&[3]))).proof, Proof::None);
        assert_eq!(endpoints.apply(false, verified(remove(&[1]), 8, &[2, 3])).proof, holds(8));
        assert_eq!(endpoints.apply(false, verified(add(&[2]), 7, &[2, 3])).proof, Proof::Fails, "older");
        assert_eq!(endpoints.apply(false, verified(remove(&[9]), 9, &[2])).proof, Proof::Fails);
        assert_eq!(endpoints.apply(true, verified(none(true), 3, &[])).proof, holds(3), "a new stream");
        let mut broken = add(&[1]);
        if let Some(Update::Add(set)) = &mut broken.update {
            set.addrs[0].tls_identity = Some(proto::TlsIdentity { strategy: None, server_name: None });
        }
        assert_eq!(endpoints.apply(false, verified(broken, 4, &[1])).proof, Proof::None);
        assert_eq!(endpoints.apply(true, verified(add(&[1]), 4, &[1])).proof, holds(4));
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
                let mut whole = Digest::default();
                once.by_address.values().for_each(|endpoint| whole.add(endpoint));
                prop_assert_eq!(once.digest, whole);
                prop_assert_eq!(twice.digest, whole);
            }
        }
    }
}
