//! The rtnetlink messages that make a bridge, its pods' cables and their addresses (`linux/rtnetlink.h`).
//! Pure: bytes only.

use std::net::{IpAddr, Ipv4Addr};

use hauberk_init::netlink::{ACK, CREATE, EXCL, Message};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IFF_UP: u32 = 1;
/// An IPv6 address is usable at once, without a second of duplicate address detection.
const IFA_F_NODAD: u8 = 2;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_GATEWAY: u16 = 5;

/// The link of a pod, inside the pod.
pub const POD_LINK: &str = "eth0";
/// The link that joins the pods, in the namespace of the sandbox.
pub const BRIDGE_LINK: &str = "br0";

/// An address with the length of its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefixed {
    /// The address.
    pub address: IpAddr,
    /// Bits of the network.
    pub length: u8,
}

/// `ifinfomsg`: the index, or 0 for a link that is given by name.
fn link_header(up: bool) -> [u8; 16] {
    let flags = if up { IFF_UP } else { 0 }.to_ne_bytes();
    let [a, b, c, d] = flags;
    [0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d, a, b, c, d]
}

/// The hardware address that belongs to an IPv4 address. A pod that takes over the address of an earlier one
/// gets its hardware address as well, so that no neighbour keeps a stale entry.
pub fn hardware_address(ipv4: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = ipv4.octets();
    [0x0a, 0x58, a, b, c, d]
}

/// Starts an existing link.
pub fn set_up(name: &str) -> Message {
    let mut message =
        Message::new(RTM_NEWLINK, ACK, &link_header(true), format!("cannot set link {name} up"));
    message.body().put_str(IFLA_IFNAME, name);
    message
}

/// Makes and starts the bridge. Its hardware address is given, or it would change with each new pod.
pub fn add_bridge(ipv4: Ipv4Addr) -> Message {
    let mut message =
        Message::new(RTM_NEWLINK, ACK | CREATE | EXCL, &link_header(true), "cannot add a bridge");
    message.body().put_str(IFLA_IFNAME, BRIDGE_LINK).put(IFLA_ADDRESS, &hardware_address(ipv4)).nest(
        IFLA_LINKINFO,
        |info| {
            info.put_str(IFLA_INFO_KIND, "bridge").nest(IFLA_INFO_DATA, |data| {
                // Nobody sends multicast queries here: without them, snooping would lose neighbour discovery.
                data.put(IFLA_BR_MCAST_SNOOPING, &[0]);
            });
        },
    );
    message
}

/// Makes a cable: `name` on the bridge `master` here, [`POD_LINK`] in the namespace behind descriptor `pod`.
pub fn add_cable(name: &str, master: u32, pod: i32, ipv4: Ipv4Addr) -> Message {
    let what = format!("cannot add the cable {name} (a bridge holds 1023)");
    let mut message = Message::new(RTM_NEWLINK, ACK | CREATE | EXCL, &link_header(true), what);
    message.body().put_str(IFLA_IFNAME, name).put(IFLA_MASTER, &master.to_ne_bytes()).nest(
        IFLA_LINKINFO,
        |info| {
            info.put_str(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, |data| {
                data.nest(VETH_INFO_PEER, |peer| {
                    peer.raw(&link_header(false))
                        .put_str(IFLA_IFNAME, POD_LINK)
                        .put(IFLA_ADDRESS, &hardware_address(ipv4))
                        .put(IFLA_NET_NS_FD, &pod.to_ne_bytes());
                });
            });
        },
    );
    message
}

/// Removes a link, and with a cable both its ends.
pub fn remove_link(name: &str) -> Message {
    let mut message =
        Message::new(RTM_DELLINK, ACK, &link_header(false), format!("cannot remove link {name}"));
    message.body().put_str(IFLA_IFNAME, name);
    message
}

/// Gives link `index` an address.
pub fn add_address(index: u32, address: Prefixed) -> Message {
    address_message(RTM_NEWADDR, ACK | CREATE | EXCL, index, address, "add")
}

/// Takes an address from link `index`.
pub fn remove_address(index: u32, address: Prefixed) -> Message {
    address_message(RTM_DELADDR, ACK, index, address, "remove")
}

fn address_message(kind: u16, flags: u16, index: u32, to: Prefixed, verb: &str) -> Message {
    let (family, octets) = family_octets(to.address);
    let mut header = vec![family, to.length, IFA_F_NODAD, 0];
    header.extend(index.to_ne_bytes());
    let what = format!("cannot {verb} address {}/{}", to.address, to.length);
    let mut message = Message::new(kind, flags, &header, what);
    message.body().put(IFA_LOCAL, &octets).put(IFA_ADDRESS, &octets);
    message
}

/// Sends everything that has no nearer route to `gateway`.
pub fn default_route(gateway: IpAddr) -> Message {
    let (family, octets) = family_octets(gateway);
    // rtmsg: family, lengths, tos, table main, protocol boot, scope universe, type unicast, flags
    let header = [family, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
    let what = format!("cannot add the default route over {gateway}");
    let mut message = Message::new(RTM_NEWROUTE, ACK | CREATE, &header, what);
    message.body().put(RTA_GATEWAY, &octets);
    message
}

fn family_octets(address: IpAddr) -> (u8, Vec<u8>) {
    match address {
        IpAddr::V4(address) => (AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (AF_INET6, address.octets().to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_takes_over_an_address_takes_over_the_hardware_address() {
        assert_eq!(hardware_address(Ipv4Addr::new(10, 244, 0, 5)), [0x0a, 0x58, 10, 244, 0, 5]);
    }

    #[test]
    fn the_family_of_a_message_is_that_of_the_address() {
        let v4 = Prefixed { address: "10.0.0.1".parse().unwrap(), length: 16 };
        let v6 = Prefixed { address: "fd44::1".parse().unwrap(), length: 64 };
        assert_ne!(add_address(1, v4), add_address(1, v6));
        assert_eq!(family_octets(v6.address).0, AF_INET6);
    }
}
