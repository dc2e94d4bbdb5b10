//! The rules in the kernel: installed, removed and compared in single nf_tables transactions.

use rustix::io::Errno;

use crate::Ipv6;
use crate::config::Config;
use crate::encode::{self, Family, SUBSYSTEM};
use crate::netlink::{Message, NetlinkError, Socket};
use crate::rules::{Chain, Condition, Rule, Verdict, is_for_ipv4, rules};

/// Most rules of one redirection. Each is a few hundred bytes of one datagram, which must fit a socket buffer of
/// the usual 208 KiB; Linkerd's chart makes fewer than twenty.
pub const RULES_MAX: usize = 256;

const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

/// What the kernel or the process lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// The capability.
    #[error("the capability CAP_NET_ADMIN in the user namespace that owns this network namespace")]
    NetAdmin,
    /// Netlink for netfilter.
    #[error("netfilter over netlink in the kernel (CONFIG_NETFILTER_NETLINK, module nfnetlink)")]
    Nfnetlink,
    /// nf_tables.
    #[error("nf_tables in the kernel (CONFIG_NF_TABLES, module nf_tables)")]
    NfTables,
    /// Tables for IPv4.
    #[error("nf_tables for IPv4 in the kernel (CONFIG_NF_TABLES_IPV4)")]
    NfTablesIpv4,
    /// Chains of type nat.
    #[error("NAT for nf_tables in the kernel (CONFIG_NFT_NAT and CONFIG_NF_NAT, module nft_chain_nat)")]
    Nat,
    /// The redirecting expression.
    #[error("redirection for nf_tables in the kernel (CONFIG_NFT_REDIR, module nft_redir)")]
    Redirect,
    /// Matching the sender's user or group.
    #[error("matching a socket's owner in the kernel's nf_tables (meta skuid, skgid)")]
    Owner,
}

/// Why the rules do not stand.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Something that must be there is not.
    #[error("redirection needs {missing}")]
    Missing {
        /// What.
        missing: Missing,
        /// How the kernel said it.
        #[source]
        source: NetlinkError,
    },
    /// Anything else the kernel said.
    #[error("cannot change the redirection")]
    Kernel(#[from] NetlinkError),
    /// More exceptions than a transaction holds.
    #[error("{0} rules are more than {RULES_MAX}: join ports to ranges and networks to larger ones")]
    TooMany(usize),
    /// The rules in the kernel are not those asked for.
    #[error("the redirection in the kernel differs from the one asked for: {found:?} instead of {wanted:?}")]
    Differs {
        /// What was asked for.
        wanted: Vec<String>,
        /// What is there.
        found: Vec<String>,
    },
}

/// Installs the redirection in place of an earlier one, for IPv4 alone where the kernel cannot do more.
pub fn install(config: &Config) -> Result<Ipv6, TableError> {
    let mut wanted = rules(config);
    if wanted.len() > RULES_MAX {
        return Err(TableError::TooMany(wanted.len()));
    }
    let asked = if config.scope.ipv6 { Ipv6::Redirected } else { Ipv6::NotAsked };
    match transact(Family::Inet, &replacing(Family::Inet, &wanted)) {
        Err(error) if lacks_inet(&error) => {
            wanted.retain(is_for_ipv4);
            transact(Family::Ipv4, &replacing(Family::Ipv4, &wanted))?;
            Ok(if config.scope.ipv6 { Ipv6::Unsupported } else { Ipv6::NotAsked })
        }
        outcome => outcome.map(|()| asked),
    }
}

/// Removes the redirection. Succeeds also when there is none.
pub fn remove() -> Result<(), TableError> {
    match transact(Family::Inet, &clearing(Family::Inet)) {
        Err(error) if lacks_inet(&error) => transact(Family::Ipv4, &clearing(Family::Ipv4)),
        outcome => outcome,
    }
}

/// The rules of ours in the kernel, as `chain: text`; empty when there is no redirection.
pub fn installed() -> Result<Vec<String>, TableError> {
    let mut found = Vec::new();
    let socket = Socket::netfilter().map_err(|error| explain(Family::Inet, &[], error))?;
    for family in [Family::Inet, Family::Ipv4] {
        match socket.dump(encode::list_rules(family)) {
            Ok(objects) => found.extend(objects.iter().filter_map(|object| encode::described(object))),
            // No such table, or no such family.
            Err(error) if error.errno().is_some_and(absent) => {}
            Err(error) => return Err(explain(family, &[], error)),
        }
    }
    Ok(found)
}

/// Whether exactly the rules of `config` stand.
pub fn verify(config: &Config) -> Result<(), TableError> {
    let describe = |rule: &Rule| format!("{}: {rule}", rule.chain);
    let all: Vec<_> = rules(config).iter().map(describe).collect();
    let for_ipv4: Vec<_> = rules(config).iter().filter(|rule| is_for_ipv4(rule)).map(describe).collect();
    let found = installed()?;
    if found == all || found == for_ipv4 { Ok(()) } else { Err(TableError::Differs { wanted: all, found }) }
}

/// What a message of a transaction asks for, to explain a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Begin,
    Table,
    Chain,
    Redirect,
    Owner,
    Rule,
}

struct Stepped {
    step: Step,
    message: Message,
}

fn clearing(family: Family) -> Vec<Stepped> {
    // Making it first lets the deletion succeed when there was none.
    [encode::make_table(family), encode::delete_table(family)]
        .map(|message| Stepped { step: Step::Table, message })
        .into()
}

fn replacing(family: Family, rules: &[Rule]) -> Vec<Stepped> {
    let mut steps = clearing(family);
    steps.push(Stepped { step: Step::Table, message: encode::make_table(family) });
    let chains = [Chain::Inbound, Chain::Outbound];
    steps.extend(
        chains.map(|chain| Stepped { step: Step::Chain, message: encode::make_chain(family, chain) }),
    );
    steps.extend(
        rules.iter().map(|rule| Stepped { step: step_of(rule), message: encode::add_rule(family, rule) }),
    );
    steps
}

fn step_of(rule: &Rule) -> Step {
    if rule.conditions.iter().any(|condition| matches!(condition, Condition::Uid(_) | Condition::Gid(_))) {
        return Step::Owner;
    }
    match rule.verdict {
        Verdict::Redirect(_) => Step::Redirect,
        Verdict::Skip => Step::Rule,
    }
}

fn transact(family: Family, steps: &[Stepped]) -> Result<(), TableError> {
    // nfgenmsg: family, version, subsystem in network order
    let header = [0, 0, 0, SUBSYSTEM];
    let mut messages = vec![Message::new(BATCH_BEGIN, 0, &header, "nf_tables transaction")];
    messages.extend(steps.iter().map(|step| step.message.clone()));
    // The kernel reports each refusal unasked; one answer at the end says that all went well.
    if let Some(last) = messages.pop() {
        messages.push(last.acknowledged());
    }
    messages.push(Message::new(BATCH_END, 0, &header, "nf_tables transaction"));
    let outcome = Socket::netfilter().and_then(|socket| socket.transact(&messages));
    let kinds: Vec<Step> = std::iter::once(Step::Begin).chain(steps.iter().map(|step| step.step)).collect();
    outcome.map_err(|error| explain(family, &kinds, error))
}

fn is(errno: i32, any: &[Errno]) -> bool {
    any.iter().any(|known| known.raw_os_error() == errno)
}

fn absent(errno: i32) -> bool {
    is(errno, &[Errno::NOENT, Errno::OPNOTSUPP, Errno::AFNOSUPPORT, Errno::PROTONOSUPPORT])
}

fn explain(family: Family, steps: &[Step], error: NetlinkError) -> TableError {
    match missing(family, steps, &error) {
        Some(missing) => TableError::Missing { missing, source: error },
        None => TableError::Kernel(error),
    }
}

/// What a refusal means, from the step it hit.
fn missing(family: Family, steps: &[Step], error: &NetlinkError) -> Option<Missing> {
    let errno = error.errno()?;
    if is(errno, &[Errno::PERM, Errno::ACCESS]) {
        return Some(Missing::NetAdmin);
    }
    if !absent(errno) {
        return None;
    }
    match error {
        NetlinkError::Open(_) => Some(Missing::Nfnetlink),
        NetlinkError::Refused { index, .. } => match (steps.get(*index)?, family) {
            (Step::Begin, _) => Some(Missing::NfTables),
            (Step::Table, Family::Inet) => None,
            (Step::Table, Family::Ipv4) => Some(Missing::NfTablesIpv4),
            (Step::Chain, _) => Some(Missing::Nat),
            (Step::Redirect, _) => Some(Missing::Redirect),
            (Step::Owner, _) => Some(Missing::Owner),
            (Step::Rule, _) => None,
        },
        NetlinkError::Transport(_) | NetlinkError::TooLong(_) | NetlinkError::Malformed => None,
    }
}

/// Whether the kernel refused the table because it has none for both families.
fn lacks_inet(error: &TableError) -> bool {
    /// The batch begins at 0; the table is made by the first message after it.
    const TABLE_INDEX: usize = 1;
    match error {
        TableError::Kernel(NetlinkError::Refused { index: TABLE_INDEX, source, .. }) => {
            source.raw_os_error().is_some_and(absent)
        }
        TableError::Kernel(_)
        | TableError::Missing { .. }
        | TableError::TooMany(_)
        | TableError::Differs { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn refused(index: usize, errno: Errno) -> NetlinkError {
        let source = io::Error::from_raw_os_error(errno.raw_os_error());
        NetlinkError::Refused { what: "x".into(), index, source }
    }

    #[test]
    fn a_refusal_names_what_is_missing() {
        let steps = [Step::Begin, Step::Table, Step::Chain, Step::Owner, Step::Redirect, Step::Rule];
        let inet = |error: &NetlinkError| missing(Family::Inet, &steps, error);
        assert_eq!(inet(&refused(1, Errno::PERM)), Some(Missing::NetAdmin));
        assert_eq!(inet(&refused(0, Errno::OPNOTSUPP)), Some(Missing::NfTables));
        assert_eq!(inet(&refused(2, Errno::NOENT)), Some(Missing::Nat));
        assert_eq!(inet(&refused(3, Errno::OPNOTSUPP)), Some(Missing::Owner));
        assert_eq!(inet(&refused(4, Errno::NOENT)), Some(Missing::Redirect));
        assert_eq!(inet(&refused(5, Errno::NOENT)), None);
        assert_eq!(inet(&refused(2, Errno::NOMEM)), None);
        let no_socket =
            NetlinkError::Open(io::Error::from_raw_os_error(Errno::PROTONOSUPPORT.raw_os_error()));
        assert_eq!(inet(&no_socket), Some(Missing::Nfnetlink));
        assert_eq!(
            missing(Family::Ipv4, &steps, &refused(1, Errno::AFNOSUPPORT)),
            Some(Missing::NfTablesIpv4)
        );
    }

    #[test]
    fn only_a_missing_table_family_leads_to_ipv4_alone() {
        let steps = [Step::Begin, Step::Table, Step::Chain];
        let table = |index, errno| explain(Family::Inet, &steps, refused(index, errno));
        assert!(lacks_inet(&table(1, Errno::AFNOSUPPORT)));
        assert!(!lacks_inet(&table(1, Errno::PERM)));
        assert!(!lacks_inet(&table(2, Errno::NOENT)));
    }
}
