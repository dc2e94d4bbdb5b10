//! The rules as nf_tables messages (`linux/netfilter/nf_tables.h`). Pure: bytes only.

use std::net::IpAddr;

use crate::config::Subnet;
use crate::netlink::{APPEND, Attributes, CREATE, DUMP, Message, attributes};
use crate::rules::{Chain, Condition, Rule, Verdict};

/// The table's name. Nothing else in the pod has rules in it.
pub const TABLE: &str = "hauberk";
/// nf_tables among the parts of netfilter (`NFNL_SUBSYS_NFTABLES`).
pub const SUBSYSTEM: u8 = 10;
const NEW_TABLE: u8 = 0;
const DELETE_TABLE: u8 = 2;
const NEW_CHAIN: u8 = 3;
const NEW_RULE: u8 = 6;
const LIST_RULES: u8 = 7;
const HOOK_PREROUTING: u32 = 0;
const HOOK_OUTPUT: u32 = 3;
/// Where destination NAT belongs (`NF_IP_PRI_NAT_DST`).
const PRIORITY: i32 = -100;
const VERDICT_RETURN: i32 = -5;
const REGISTER_VERDICT: u32 = 0;
const REGISTER: u32 = 1;
const META_MARK: u32 = 3;
const META_OUT_LINK: u32 = 7;
const META_UID: u32 = 10;
const META_GID: u32 = 11;
const META_FAMILY: u32 = 15;
const META_PROTOCOL: u32 = 16;
const BASE_NETWORK: u32 = 1;
const BASE_TRANSPORT: u32 = 2;
const PROTOCOL_TCP: u8 = 6;
const RULE_CHAIN: u16 = 2;
const RULE_USER_DATA: u16 = 7;
const LINK_NAME_BYTES: usize = 16;

/// Which packets the table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet,
    /// IPv4, where the kernel has no more.
    Ipv4,
}

impl Family {
    /// As netfilter counts families (`NFPROTO_*`).
    fn number(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Ipv4 => 2,
        }
    }
}

/// Makes the table, unless it is there.
pub fn make_table(family: Family) -> Message {
    table_message(family, NEW_TABLE, CREATE, format!("cannot make table {TABLE}"))
}

/// Removes the table and all in it.
pub fn delete_table(family: Family) -> Message {
    table_message(family, DELETE_TABLE, 0, format!("cannot clear table {TABLE}"))
}

/// Asks for every rule of the table.
pub fn list_rules(family: Family) -> Message {
    table_message(family, LIST_RULES, DUMP, "cannot list rules".to_owned())
}

fn table_message(family: Family, kind: u8, flags: u16, what: String) -> Message {
    let header = [family.number(), 0, 0, 0];
    let mut message = Message::new(u16::from_be_bytes([SUBSYSTEM, kind]), flags, &header, what);
    message.body().put_str(1, TABLE); // attribute 1 is the table's name in messages about tables, chains and rules
    message
}

/// Makes a NAT chain.
pub fn make_chain(family: Family, chain: Chain) -> Message {
    let hook = match chain {
        Chain::Inbound => HOOK_PREROUTING,
        Chain::Outbound => HOOK_OUTPUT,
    };
    let mut message = table_message(family, NEW_CHAIN, CREATE, format!("cannot make NAT chain {chain}"));
    message
        .body()
        .put_str(3, chain.name())
        .nest(4, |at| {
            at.put_be32(1, hook).put(2, &PRIORITY.to_be_bytes());
        })
        .put_str(7, "nat");
    message
}

/// Adds a rule at the end of its chain.
pub fn add_rule(family: Family, rule: &Rule) -> Message {
    let mut message = table_message(family, NEW_RULE, CREATE | APPEND, format!("cannot add rule: {rule}"));
    message.body().put_str(RULE_CHAIN, rule.chain.name()).nest(4, |list| {
        load_meta(list, META_PROTOCOL);
        equals(list, &[PROTOCOL_TCP]);
        for condition in &rule.conditions {
            encode(list, condition);
        }
        match rule.verdict {
            Verdict::Skip => returns(list),
            Verdict::Redirect(port) => redirects(list, port.get()),
        }
    });
    // A comment, in the form in which `nft list ruleset` shows it.
    let comment = rule.to_string();
    let length = u8::try_from(comment.len().saturating_add(1)).unwrap_or(u8::MAX);
    let mut user_data = vec![0, length];
    user_data.extend(comment.bytes().take(usize::from(length.saturating_sub(1))));
    user_data.push(0);
    message.body().put(RULE_USER_DATA, &user_data);
    message
}

fn encode(list: &mut Attributes, condition: &Condition) {
    match condition {
        Condition::Ipv4 => {
            load_meta(list, META_FAMILY);
            equals(list, &[Family::Ipv4.number()]);
        }
        Condition::To(ports) => {
            load_payload(list, BASE_TRANSPORT, 2, 2);
            within(list, ports.first(), ports.last());
        }
        Condition::From(net) => belongs(list, *net, Side::Source),
        Condition::Into(net) => belongs(list, *net, Side::Destination),
        Condition::Uid(uid) => {
            load_meta(list, META_UID);
            equals(list, &uid.to_ne_bytes());
        }
        Condition::Gid(gid) => {
            load_meta(list, META_GID);
            equals(list, &gid.to_ne_bytes());
        }
        Condition::Mark(mark) => {
            load_meta(list, META_MARK);
            equals(list, &mark.to_ne_bytes());
        }
        Condition::Loopback => {
            let mut name = b"lo".to_vec();
            name.resize(LINK_NAME_BYTES, 0);
            load_meta(list, META_OUT_LINK);
            equals(list, &name);
        }
    }
}

fn expression(list: &mut Attributes, name: &str, fill: impl FnOnce(&mut Attributes)) {
    list.nest(1, |element| {
        element.put_str(1, name).nest(2, fill);
    });
}

fn load_meta(list: &mut Attributes, key: u32) {
    expression(list, "meta", |meta| {
        meta.put_be32(1, REGISTER).put_be32(2, key);
    });
}

fn load_payload(list: &mut Attributes, base: u32, offset: u32, length: u32) {
    expression(list, "payload", |payload| {
        payload.put_be32(1, REGISTER).put_be32(2, base).put_be32(3, offset).put_be32(4, length);
    });
}

fn value(data: &mut Attributes, kind: u16, bytes: &[u8]) {
    data.nest(kind, |inner| {
        inner.put(1, bytes);
    });
}

fn equals(list: &mut Attributes, bytes: &[u8]) {
    expression(list, "cmp", |cmp| {
        cmp.put_be32(1, REGISTER).put_be32(2, 0); // NFT_CMP_EQ
        value(cmp, 3, bytes);
    });
}

fn within(list: &mut Attributes, first: u16, last: u16) {
    if first == last {
        return equals(list, &first.to_be_bytes());
    }
    expression(list, "range", |range| {
        range.put_be32(1, REGISTER).put_be32(2, 0); // NFT_RANGE_EQ
        value(range, 3, &first.to_be_bytes());
        value(range, 4, &last.to_be_bytes());
    });
}

#[derive(Clone, Copy)]
enum Side {
    Source,
    Destination,
}

fn belongs(list: &mut Attributes, net: Subnet, side: Side) {
    let (family, address) = match net.address() {
        IpAddr::V4(address) => (2_u8, address.octets().to_vec()),
        IpAddr::V6(address) => (10_u8, address.octets().to_vec()),
    };
    // Offsets of the addresses in the headers of RFC 791 and RFC 8200.
    let (offset, length) = match (net.address(), side) {
        (IpAddr::V4(_), Side::Source) => (12, 4_u32),
        (IpAddr::V4(_), Side::Destination) => (16, 4),
        (IpAddr::V6(_), Side::Source) => (8, 16),
        (IpAddr::V6(_), Side::Destination) => (24, 16),
    };
    load_meta(list, META_FAMILY);
    equals(list, &[family]);
    load_payload(list, BASE_NETWORK, offset, length);
    let mask = net.mask();
    let nothing = vec![0; mask.len()];
    expression(list, "bitwise", |bitwise| {
        bitwise.put_be32(1, REGISTER).put_be32(2, REGISTER).put_be32(3, length);
        value(bitwise, 4, &mask);
        value(bitwise, 5, &nothing);
    });
    equals(list, &address);
}

fn returns(list: &mut Attributes) {
    expression(list, "immediate", |immediate| {
        immediate.put_be32(1, REGISTER_VERDICT).nest(2, |data| {
            data.nest(2, |verdict| {
                verdict.put(1, &VERDICT_RETURN.to_be_bytes());
            });
        });
    });
}

fn redirects(list: &mut Attributes, port: u16) {
    expression(list, "immediate", |immediate| {
        immediate.put_be32(1, REGISTER);
        value(immediate, 2, &port.to_be_bytes());
    });
    expression(list, "redir", |redir| {
        redir.put_be32(1, REGISTER);
    });
}

/// `chain: comment` of a listed rule; `None` for one that is not ours.
pub fn described(object: &[u8]) -> Option<String> {
    const FAMILY_HEADER_BYTES: usize = 4;
    let listed = object.get(FAMILY_HEADER_BYTES..)?;
    let text = |bytes: &[u8]| {
        let end = bytes.iter().position(|byte| *byte == 0)?;
        String::from_utf8(bytes.get(..end)?.to_vec()).ok()
    };
    let find = |wanted| attributes(listed).find(|(kind, _)| *kind == wanted).map(|(_, bytes)| bytes);
    if text(find(1)?)? != TABLE {
        return None;
    }
    let comment = find(RULE_USER_DATA).and_then(|data| text(data.get(2..)?)).unwrap_or_default();
    Some(format!("{}: {comment}", text(find(RULE_CHAIN)?)?))
}
