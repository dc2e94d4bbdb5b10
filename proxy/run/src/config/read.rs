//! The environment as text: `HAUBERK_PROXY_X` wins over `LINKERD2_PROXY_X`, empty means unset, every mistake is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use hauberk_model::inbound::Cidr;

/// Prefix of our own names. They are read strictly: an unknown one is a mistake.
pub const OURS: &str = "HAUBERK_PROXY_";
/// Prefix of the peer's names. An unknown one is reported and ignored: it may be of a newer release.
pub const PEERS: &str = "LINKERD2_PROXY_";

/// A variable that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The variable as it was set.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}

/// Reads variables and collects mistakes.
pub struct Reader {
    variables: BTreeMap<String, String>,
    read: BTreeSet<String>,
    mistakes: Vec<Mistake>,
}

impl Reader {
    /// A reader of these variables.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables = variables.into_iter().filter(|(_, value)| !value.trim().is_empty()).collect();
        Self { variables, read: BTreeSet::new(), mistakes: Vec::new() }
    }

    /// The value of a name without its prefix, as set.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.named(name).map(|(_, value)| value)
    }

    /// A name that is known but changes nothing here.
    pub fn accept(&mut self, name: &str) {
        self.read.insert(name.to_owned());
    }

    /// A value that `parse` reads.
    pub fn parse<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let (variable, value) = self.named(name)?;
        match parse(value.trim()) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.mistakes.push(Mistake { name: variable, reason });
                None
            }
        }
    }

    /// A value of a type that reads itself.
    pub fn value<T>(&mut self, name: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        self.parse(name, |text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// A value that must be there.
    pub fn required<T>(&mut self, name: &str, value: Option<T>) -> Option<T> {
        let is_set = self.named(name).is_some();
        if value.is_none() && !is_set {
            self.mistake(name, "must be set");
        }
        value
    }

    /// Notes a mistake of a name.
    pub fn mistake(&mut self, name: &str, reason: impl Into<String>) {
        let variable = self.named(name).map_or_else(|| format!("{PEERS}{name}"), |(variable, _)| variable);
        self.mistakes.push(Mistake { name: variable, reason: reason.into() });
    }

    /// All mistakes, and the peer's variables that nobody asked for.
    pub fn finish(mut self) -> (Vec<Mistake>, Vec<String>) {
        let mut unknown = Vec::new();
        for variable in self.variables.keys() {
            if let Some(name) = variable.strip_prefix(OURS).filter(|name| !self.read.contains(*name)) {
                let reason = format!("there is no setting {name}");
                self.mistakes.push(Mistake { name: variable.clone(), reason });
            } else if variable.strip_prefix(PEERS).is_some_and(|name| !self.read.contains(name)) {
                unknown.push(variable.clone());
            }
        }
        (self.mistakes, unknown)
    }

    fn named(&mut self, name: &str) -> Option<(String, String)> {
        self.read.insert(name.to_owned());
        [OURS, PEERS].into_iter().find_map(|prefix| {
            let variable = format!("{prefix}{name}");
            let value = self.variables.get(&variable)?.clone();
            Some((variable, value))
        })
    }
}

/// `10s`, `100ms`, `5m`, `1h`, `1d`: whole numbers with a unit, as the peer writes them.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
    let number: u64 =
        number.parse().map_err(|_| "must be a whole number with a unit, such as 10s".to_owned())?;
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" if number == 0 => 1,
        _ => return Err("must end in ms, s, m, h or d".into()),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(|| "is too long".into())
}

/// `true` or `false`.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "y" | "yes" => Ok(true),
        "false" | "0" | "n" | "no" => Ok(false),
        _ => Err("must be true or false".into()),
    }
}

/// Values between commas.
pub fn list<T>(text: &str, one: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(one).collect()
}

/// An address with a port.
pub fn socket_addr(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is not an address with a port"))
}

/// An address.
pub fn ip_addr(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is not an address"))
}

/// An address prefix, `10.0.0.0/8`; a lone address is a prefix of all its bits.
pub fn cidr(text: &str) -> Result<Cidr, String> {
    let (addr, prefix) = text.split_once('/').map_or((text, None), |(addr, prefix)| (addr, Some(prefix)));
    let addr = ip_addr(addr)?;
    let bits: u8 = if addr.is_ipv4() { 32 } else { 128 };
    let prefix_len = prefix.map_or(Some(bits), |prefix| prefix.parse().ok().filter(|len| *len <= bits));
    let prefix_len = prefix_len.ok_or_else(|| format!("{text:?} is not a network"))?;
    Ok(Cidr { addr, prefix_len })
}

/// Ports and ranges of ports, `80,8000-8010`.
pub fn ports(text: &str) -> Result<BTreeSet<u16>, String> {
    let port = |text: &str| {
        text.parse().ok().filter(|port| *port != 0).ok_or_else(|| format!("{text:?} is not a port"))
    };
    let ranges = list(text, |part| match part.split_once('-') {
        None => port(part).map(|port| port..=port),
        Some((first, last)) => {
            let (first, last) = (port(first)?, port(last)?);
            if first > last {
                return Err(format!("{part:?} is not a range of ports"));
            }
            Ok(first..=last)
        }
    })?;
    Ok(ranges.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(variables: &[(&str, &str)]) -> Reader {
        Reader::new(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn our_name_wins_over_the_peers_and_empty_means_unset() {
        let mut both = reader(&[("LINKERD2_PROXY_LOG", "info"), ("HAUBERK_PROXY_LOG", "debug")]);
        assert_eq!(both.text("LOG").as_deref(), Some("debug"));
        let mut empty = reader(&[("LINKERD2_PROXY_LOG", "info"), ("HAUBERK_PROXY_LOG", " ")]);
        assert_eq!(empty.text("LOG").as_deref(), Some("info"));
    }

    #[test]
    fn a_mistake_names_the_variable_that_was_set_and_none_hides_another() {
        let mut two =
            reader(&[("HAUBERK_PROXY_A", "x"), ("LINKERD2_PROXY_B", "-1"), ("HAUBERK_PROXY_C", "1")]);
        assert_eq!(two.parse("A", duration), None);
        assert_eq!(two.value::<u16>("B"), None);
        two.required::<u8>("D", None);
        let (mistakes, unknown) = two.finish();
        let names: Vec<_> = mistakes.iter().map(|mistake| mistake.name.as_str()).collect();
        assert_eq!(names, ["HAUBERK_PROXY_A", "LINKERD2_PROXY_B", "LINKERD2_PROXY_D", "HAUBERK_PROXY_C"]);
        assert!(unknown.is_empty());
    }

    #[test]
    fn an_unknown_name_of_the_peer_is_reported_only() {
        let (mistakes, unknown) = reader(&[("LINKERD2_PROXY_NEW", "1"), ("PATH", "/bin")]).finish();
        assert!(mistakes.is_empty());
        assert_eq!(unknown, ["LINKERD2_PROXY_NEW"]);
    }

    #[test]
    fn durations_are_whole_numbers_with_a_unit() {
        assert_eq!(duration("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1d"), Ok(Duration::from_secs(86_400)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for bad in ["", "10", "1.5s", "-1s", "s", "1y", "99999999999999999999s", "18446744073709551615d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ports_and_networks_are_checked() {
        assert_eq!(ports("80, 8000-8002"), Ok(BTreeSet::from([80, 8000, 8001, 8002])));
        for bad in ["0", "65536", "9-8", "a", "1-"] {
            assert!(ports(bad).is_err(), "{bad}");
        }
        assert_eq!(cidr("10.0.0.0/8").expect("network").prefix_len, 8);
        assert_eq!(cidr("::1").expect("address").prefix_len, 128);
        assert!(cidr("10.0.0.0/33").is_err() && cidr("10.0.0.0/x").is_err() && cidr("host/8").is_err());
    }
}
