//! Which connections go to the proxy: a list of rules per direction, in the order the kernel asks them. Pure.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;

use crate::config::{Config, Ports, Subnet};

/// The two places where rules stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// What arrives from outside (hook prerouting).
    Inbound,
    /// What the pod's processes send (hook output).
    Outbound,
}

impl Chain {
    /// The chain's name in the kernel.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a TCP packet must be for a rule to speak.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Condition {
    /// IPv4.
    Ipv4,
    /// To one of these ports.
    To(Ports),
    /// From this network.
    From(Subnet),
    /// To this network.
    Into(Subnet),
    /// Sent by this user's process.
    Uid(u32),
    /// Sent by this group's process.
    Gid(u32),
    /// Sent through a socket with this mark.
    Mark(u32),
    /// Leaves over the loopback, as all does that goes to the pod's own addresses.
    Loopback,
}

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Leave it alone.
    Skip,
    /// Send it to this port of the pod. The proxy asks `SO_ORIGINAL_DST` where it was going.
    Redirect(NonZeroU16),
}

/// One rule for TCP packets. Its text is its comment in the kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Where it stands.
    pub chain: Chain,
    /// All of these must hold.
    pub conditions: Vec<Condition>,
    /// Then this.
    pub verdict: Verdict,
}

/// The rules of a redirection. The first that speaks decides, per connection.
pub fn rules(config: &Config) -> Vec<Rule> {
    let mut rules = inbound(config);
    rules.extend(outbound(config));
    rules
}

fn inbound(config: &Config) -> Vec<Rule> {
    let family = family(config);
    let rule = |condition: Option<Condition>, verdict| Rule {
        chain: Chain::Inbound,
        conditions: family.iter().copied().chain(condition).collect(),
        verdict,
    };
    let mut rules = Vec::new();
    rules.extend(
        config.scope.skip_inbound_ports.iter().map(|ports| rule(Some(Condition::To(*ports)), Verdict::Skip)),
    );
    rules.extend(
        config.scope.skip_inbound_subnets.iter().map(|net| rule(Some(Condition::From(*net)), Verdict::Skip)),
    );
    let redirect = Verdict::Redirect(config.scope.inbound_port);
    if config.scope.redirect_inbound_ports.is_empty() {
        rules.push(rule(None, redirect));
    }
    let only = config.scope.redirect_inbound_ports.iter();
    rules.extend(only.map(|ports| rule(Some(Condition::To(*ports)), redirect)));
    rules
}

fn outbound(config: &Config) -> Vec<Rule> {
    let family = family(config);
    let rule = |condition: Option<Condition>, verdict| Rule {
        chain: Chain::Outbound,
        conditions: family.iter().copied().chain(condition).collect(),
        verdict,
    };
    let skip = |condition| rule(Some(condition), Verdict::Skip);
    let exemption = config.exemption;
    let mut rules = Vec::new();
    rules.extend(exemption.uid().map(|uid| skip(Condition::Uid(uid))));
    rules.extend(exemption.gid().map(|gid| skip(Condition::Gid(gid))));
    rules.extend(exemption.mark().map(|mark| skip(Condition::Mark(mark))));
    rules.push(skip(Condition::Loopback));
    rules.extend(config.scope.skip_outbound_ports.iter().map(|ports| skip(Condition::To(*ports))));
    rules.extend(config.scope.skip_outbound_subnets.iter().map(|net| skip(Condition::Into(*net))));
    rules.push(rule(None, Verdict::Redirect(config.scope.outbound_port)));
    rules
}

fn family(config: &Config) -> Option<Condition> {
    (!config.scope.ipv6).then_some(Condition::Ipv4)
}

/// Whether a kernel without nf_tables for IPv6 can hold this rule, and needs it.
pub fn is_for_ipv4(rule: &Rule) -> bool {
    rule.conditions.iter().all(|condition| match condition {
        Condition::From(net) | Condition::Into(net) => matches!(net.address(), IpAddr::V4(_)),
        Condition::Ipv4
        | Condition::To(_)
        | Condition::Uid(_)
        | Condition::Gid(_)
        | Condition::Mark(_)
        | Condition::Loopback => true,
    })
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4 => f.write_str("ipv4"),
            Self::To(ports) => write!(f, "to port {ports}"),
            Self::From(net) => write!(f, "from {net}"),
            Self::Into(net) => write!(f, "to {net}"),
            Self::Uid(uid) => write!(f, "of user {uid}"),
            Self::Gid(gid) => write!(f, "of group {gid}"),
            Self::Mark(mark) => write!(f, "with mark {mark:#x}"),
            Self::Loopback => f.write_str("over loopback"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tcp")?;
        self.conditions.iter().try_for_each(|condition| write!(f, " {condition}"))?;
        match self.verdict {
            Verdict::Skip => f.write_str(" is left alone"),
            Verdict::Redirect(port) => write!(f, " goes to {port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{Action, parse};

    fn shown(line: &str) -> Vec<String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let Action::Install(config) = parse(&words).unwrap().action else { panic!("{line}") };
        rules(&config).iter().map(|rule| format!("{}: {rule}", rule.chain)).collect()
    }

    #[test]
    fn exceptions_come_before_the_redirection_and_the_proxy_before_all() {
        assert_eq!(
            shown(
                "--proxy-uid 2102 --proxy-mark 0x8102 --inbound-ports-to-ignore 4190-4191,25 \
                 --subnets-to-ignore 10.9.0.0/16 --outbound-ports-to-ignore 443 --outbound-subnets-to-ignore fd00::/8"
            ),
            [
                "inbound: tcp to port 4190-4191 is left alone",
                "inbound: tcp to port 25 is left alone",
                "inbound: tcp from 10.9.0.0/16 is left alone",
                "inbound: tcp goes to 4143",
                "outbound: tcp of user 2102 is left alone",
                "outbound: tcp with mark 0x8102 is left alone",
                "outbound: tcp over loopback is left alone",
                "outbound: tcp to port 443 is left alone",
                "outbound: tcp to fd00::/8 is left alone",
                "outbound: tcp goes to 4140",
            ]
        );
    }

    #[test]
    fn with_ports_to_redirect_no_other_inbound_port_is() {
        let all = shown("--proxy-gid 7 --ports-to-redirect 80,90-91");
        let inbound: Vec<_> = all.iter().filter(|rule| rule.starts_with("inbound")).collect();
        assert_eq!(
            inbound,
            ["inbound: tcp to port 80 goes to 4143", "inbound: tcp to port 90-91 goes to 4143"]
        );
    }

    #[test]
    fn without_ipv6_every_rule_is_about_ipv4() {
        assert!(shown("--proxy-uid 1 --ipv6=false").iter().all(|rule| rule.contains(": tcp ipv4 ")));
    }
}
