//! What is redirected and what is not.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::str::FromStr;

/// Where the proxy accepts redirected inbound connections unless told otherwise.
pub const INBOUND_PORT: NonZeroU16 = NonZeroU16::new(4143).unwrap();
/// The same for outbound ones.
pub const OUTBOUND_PORT: NonZeroU16 = NonZeroU16::new(4140).unwrap();

/// A redirection.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How the proxy's own connections are known. It cannot be empty: they would come back to the proxy for ever.
    pub exemption: Exemption,
    /// What else is redirected and what not.
    pub scope: Scope,
}

/// Which connections of the application are redirected, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    /// The proxy's port for inbound connections.
    pub inbound_port: NonZeroU16,
    /// The proxy's port for outbound connections.
    pub outbound_port: NonZeroU16,
    /// Inbound ports to redirect; empty means all.
    pub redirect_inbound_ports: Vec<Ports>,
    /// Inbound ports left alone.
    pub skip_inbound_ports: Vec<Ports>,
    /// Outbound ports left alone.
    pub skip_outbound_ports: Vec<Ports>,
    /// Inbound connections from these sources are left alone (Linkerd's `skip-subnets`).
    pub skip_inbound_subnets: Vec<Subnet>,
    /// Outbound connections to these destinations are left alone.
    pub skip_outbound_subnets: Vec<Subnet>,
    /// Whether IPv6 is redirected too.
    pub ipv6: bool,
    /// The connection tracker's time for half-closed connections, where it is to be changed.
    pub close_wait_seconds: Option<u32>,
}

impl Default for Scope {
    /// Everything, to the usual ports.
    fn default() -> Self {
        Self {
            inbound_port: INBOUND_PORT,
            outbound_port: OUTBOUND_PORT,
            redirect_inbound_ports: Vec::new(),
            skip_inbound_ports: Vec::new(),
            skip_outbound_ports: Vec::new(),
            skip_inbound_subnets: Vec::new(),
            skip_outbound_subnets: Vec::new(),
            ipv6: true,
            close_wait_seconds: None,
        }
    }
}

/// How the proxy's own outbound connections are known. At least one mark of recognition is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exemption {
    uid: Option<u32>,
    gid: Option<u32>,
    mark: Option<u32>,
}

impl Exemption {
    /// By user, group or socket mark; `None` when all are absent.
    pub fn new(uid: Option<u32>, gid: Option<u32>, mark: Option<u32>) -> Option<Self> {
        (uid.is_some() || gid.is_some() || mark.is_some()).then_some(Self { uid, gid, mark })
    }

    /// The user whose connections are the proxy's.
    pub fn uid(self) -> Option<u32> {
        self.uid
    }

    /// The group whose connections are the proxy's.
    pub fn gid(self) -> Option<u32> {
        self.gid
    }

    /// The socket mark (`SO_MARK`) of the proxy's connections.
    pub fn mark(self) -> Option<u32> {
        self.mark
    }
}

/// Ports from `first` to `last`, both included; `first` is not above `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    /// The lowest port.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    pub fn last(self) -> u16 {
        self.last
    }
}

/// Text that is no port, range or network.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// Neither `PORT` nor `FIRST-LAST` with ports from 1 to 65535.
    #[error("{0:?} is neither a port nor a range FIRST-LAST")]
    Ports(String),
    /// Not `ADDRESS/LENGTH`.
    #[error("{0:?} is no network ADDRESS/LENGTH")]
    Subnet(String),
}

impl FromStr for Ports {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ConfigError::Ports(text.to_owned());
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.parse::<NonZeroU16>().map(NonZeroU16::get).map_err(|_| wrong());
        let ports = Self { first: port(first)?, last: port(last)? };
        if ports.first <= ports.last { Ok(ports) } else { Err(wrong()) }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// A network. The bits of the host are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    address: IpAddr,
    length: u8,
}

impl Subnet {
    /// The first address.
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// The mask, as many bytes as the address.
    pub fn mask(self) -> Vec<u8> {
        match self.address {
            IpAddr::V4(_) => mask_v4(self.length).to_be_bytes().to_vec(),
            IpAddr::V6(_) => mask_v6(self.length).to_be_bytes().to_vec(),
        }
    }
}

fn mask_v4(length: u8) -> u32 {
    u32::MAX.checked_shl(32_u32.saturating_sub(length.into())).unwrap_or(0)
}

fn mask_v6(length: u8) -> u128 {
    u128::MAX.checked_shl(128_u32.saturating_sub(length.into())).unwrap_or(0)
}

impl FromStr for Subnet {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ConfigError::Subnet(text.to_owned());
        let (address, length) = text.split_once('/').ok_or_else(wrong)?;
        let length: u8 = length.parse().map_err(|_| wrong())?;
        let address = match address.parse::<IpAddr>().map_err(|_| wrong())? {
            IpAddr::V4(address) if length <= 32 => IpAddr::V4((u32::from(address) & mask_v4(length)).into()),
            IpAddr::V6(address) if length <= 128 => {
                IpAddr::V6((u128::from(address) & mask_v6(length)).into())
            }
            IpAddr::V4(_) | IpAddr::V6(_) => return Err(wrong()),
        };
        Ok(Self { address, length })
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ports_are_one_or_a_range_in_order() {
        for (text, shown) in
            [("80", Some("80")), ("80-90", Some("80-90")), ("80-80", Some("80")), ("90-80", None)]
        {
            assert_eq!(text.parse::<Ports>().ok().map(|ports| ports.to_string()).as_deref(), shown, "{text}");
        }
        for text in ["", "0", "65536", "1-", "-1", "a", "1-2-3", "0-5"] {
            assert!(text.parse::<Ports>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_network_has_no_host_bits_and_a_length_that_fits() {
        for (text, shown) in [
            ("10.1.2.3/8", Some("10.0.0.0/8")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("10.1.2.3/32", Some("10.1.2.3/32")),
            ("fd00:1::5/16", Some("fd00::/16")),
            ("::1/128", Some("::1/128")),
            ("10.0.0.0/33", None),
            ("fd00::/129", None),
            ("10.0.0.1", None),
            ("name/8", None),
        ] {
            assert_eq!(text.parse::<Subnet>().ok().map(|net| net.to_string()).as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn nobody_exempt_is_no_exemption() {
        assert_eq!(Exemption::new(None, None, None), None);
        assert!(Exemption::new(None, None, Some(0)).is_some());
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(first in 1_u16.., more in 0_u16..100, address: u32, length in 0_u8..=32) {
            let ports = Ports { first, last: first.saturating_add(more) };
            prop_assert_eq!(ports.to_string().parse(), Ok(ports));
            let subnet: Subnet = format!("{}/{length}", std::net::Ipv4Addr::from(address)).parse().unwrap();
            prop_assert_eq!(subnet.to_string().parse(), Ok(subnet));
        }
    }
}
