//! `serve`: a bridge, pods around it, and a line for each wish, until standard input closes. Everything hangs on
//! this process: when it ends, the kernel takes links, addresses and namespaces back.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::link::{self, Prefixed};
use crate::namespace::{self, Mode, NamespaceError};
use crate::protocol::{self, LINE_BYTES_MAX, NewPod, Request};
use crate::report;
use crate::services::{ServiceError, Services};

/// The sandbox's own address, and the gateway of each pod.
pub const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
/// The same for IPv6.
pub const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfd44, 0, 0, 0, 0, 0, 0, 1);
/// Addresses of pods are in these networks: 65 533 pods, of which a bridge holds 1023 at a time.
const PREFIX_V4: u8 = 16;
const PREFIX_V6: u8 = 64;

/// Why `serve` ended early, or did not do what a line asked.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// No namespaces or links.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// A service.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// Standard input or output.
    #[error("cannot read wishes or write answers")]
    Lines(#[source] io::Error),
    /// No thread or descriptor for the services.
    #[error("cannot start")]
    Start(#[source] io::Error),
    /// A pod of that name exists.
    #[error("pod {0:?} exists")]
    PodExists(String),
    /// No such pod.
    #[error("no pod {0:?}")]
    NoPod(String),
    /// The address is taken, or outside the network.
    #[error("{address} {why}")]
    Address { address: IpAddr, why: &'static str },
    /// A process in a removed pod did not end.
    #[error("cannot end the processes in the pod")]
    Kill(#[source] io::Error),
}

struct Pod {
    namespace: OwnedFd,
    cable: String,
    ipv4: Ipv4Addr,
    ipv6: Option<Ipv6Addr>,
}

struct Sandbox {
    pods: BTreeMap<String, Pod>,
    services: Services,
    bridge: u32,
    has_ipv6: bool,
    cables: u32,
}

/// Runs until standard input closes.
pub fn serve(force_rootless: bool) -> Result<(), ServeError> {
    raise_descriptor_limit();
    let mode = namespace::leave_host(force_rootless)?;
    let mut sandbox = Sandbox::new()?;
    let process = std::process::id();
    let ipv6 = sandbox.has_ipv6.then_some(GATEWAY_V6);
    write_line(&protocol::ready(mode == Mode::Rootless, process, GATEWAY_V4, ipv6))?;
    let mut input = io::stdin().lock();
    let mut line = String::new();
    while read_line(&mut input, &mut line).map_err(ServeError::Lines)? {
        if line.trim().is_empty() {
            continue;
        }
        let (id, request) = protocol::parse(&line);
        let outcome = match request {
            Ok(request) => sandbox.obey(request).map_err(|error| report::chain(&error)),
            Err(error) => Err(error.to_string()),
        };
        write_line(&protocol::answer(&id, outcome))?;
    }
    sandbox.end()
}

/// Reads one line; false at the end. A line over the limit is cut there, and refused by the parser.
fn read_line(input: &mut impl BufRead, line: &mut String) -> io::Result<bool> {
    line.clear();
    let mut bytes = Vec::new();
    loop {
        let available = input.fill_buf()?;
        if available.is_empty() {
            break;
        }
        let (part, ends) = match available.iter().position(|byte| *byte == b'\n') {
            Some(at) => (available.get(..=at).unwrap_or(available), true),
            None => (available, false),
        };
        let used = part.len();
        if bytes.len() <= LINE_BYTES_MAX {
            bytes.extend(part);
        }
        input.consume(used);
        if ends {
            break;
        }
    }
    line.push_str(&String::from_utf8_lossy(&bytes));
    Ok(!bytes.is_empty())
}

fn write_line(line: &str) -> Result<(), ServeError> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).map_err(ServeError::Lines)
}

/// Each pod holds one descriptor, each carried connection two.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Without it the usual 1024 stand: fewer pods, and an error that says so.
    let _comfort = setrlimit(Resource::Nofile, limit);
}

impl Sandbox {
    fn new() -> Result<Self, ServeError> {
        namespace::settle();
        namespace::apply([link::set_up("lo"), link::add_bridge(GATEWAY_V4)])?;
        let bridge = namespace::link_index(link::BRIDGE_LINK)?;
        namespace::apply([link::add_address(bridge, v4(GATEWAY_V4))])?;
        let has_ipv6 = namespace::apply([link::add_address(bridge, v6(GATEWAY_V6))]).is_ok();
        let services = Services::start(bridge).map_err(ServeError::Start)?;
        Ok(Self { pods: BTreeMap::new(), services, bridge, has_ipv6, cables: 0 })
    }

    fn obey(&mut self, request: Request) -> Result<Value, ServeError> {
        match request {
            Request::AddPod(pod) => self.add_pod(pod),
            Request::RemovePod { name } => {
                let pod = self.pods.remove(&name).ok_or(ServeError::NoPod(name))?;
                remove_pod(&pod)?;
                Ok(json!({}))
            }
            Request::SetService(service) => {
                self.services.set(service)?;
                Ok(json!({}))
            }
            Request::RemoveService { name } => {
                self.services.remove(&name)?;
                Ok(json!({}))
            }
        }
    }

    fn add_pod(&mut self, pod: NewPod) -> Result<Value, ServeError> {
        self.check(&pod)?;
        let namespace = namespace::make()?;
        self.cables = self.cables.wrapping_add(1);
        let cable = format!("pod{}", self.cables);
        namespace::apply([link::add_cable(&cable, self.bridge, namespace.as_raw_fd(), pod.ipv4)])?;
        let ipv6 = pod.ipv6.filter(|_| self.has_ipv6);
        let configured = namespace::inside(&namespace, move || configure_pod(pod.ipv4, ipv6));
        let descriptor = namespace.as_raw_fd();
        let made = Pod { namespace, cable, ipv4: pod.ipv4, ipv6 };
        if let Err(error) = configured {
            remove_pod(&made)?;
            return Err(error.into());
        }
        self.pods.insert(pod.name, made);
        Ok(protocol::pod_added(std::process::id(), descriptor))
    }

    fn check(&self, pod: &NewPod) -> Result<(), ServeError> {
        let refuse = |address: IpAddr, why| Err(ServeError::Address { address, why });
        if self.pods.contains_key(&pod.name) {
            return Err(ServeError::PodExists(pod.name.clone()));
        }
        if !in_network_v4(pod.ipv4) {
            return refuse(pod.ipv4.into(), "is not a pod's address in 10.244.0.0/16");
        }
        if self.pods.values().any(|other| other.ipv4 == pod.ipv4) {
            return refuse(pod.ipv4.into(), "is taken");
        }
        if let Some(ipv6) = pod.ipv6 {
            if !in_network_v6(ipv6) {
                return refuse(ipv6.into(), "is not a pod's address in fd44::/64");
            }
            if self.pods.values().any(|other| other.ipv6 == Some(ipv6)) {
                return refuse(ipv6.into(), "is taken");
            }
        }
        Ok(())
    }

    /// Ends what runs in the pods. The rest goes with this process.
    fn end(self) -> Result<(), ServeError> {
        self.pods
            .values()
            .try_for_each(|pod| namespace::kill_inside(&pod.namespace).map_err(ServeError::Kill))
    }
}

fn remove_pod(pod: &Pod) -> Result<(), ServeError> {
    let killed = namespace::kill_inside(&pod.namespace).map_err(ServeError::Kill);
    // The cable goes also when a process holds on to the namespace: the addresses are free from here on.
    namespace::apply([link::remove_link(&pod.cable)])?;
    killed
}

/// Runs in the pod.
fn configure_pod(ipv4: Ipv4Addr, ipv6: Option<Ipv6Addr>) -> Result<(), NamespaceError> {
    let index = namespace::link_index(link::POD_LINK)?;
    namespace::apply([
        link::add_address(index, v4(ipv4)),
        link::set_up(link::POD_LINK),
        link::default_route(GATEWAY_V4.into()),
    ])?;
    match ipv6 {
        Some(ipv6) => {
            namespace::apply([link::add_address(index, v6(ipv6)), link::default_route(GATEWAY_V6.into())])
        }
        None => Ok(()),
    }
}

fn v4(address: Ipv4Addr) -> Prefixed {
    Prefixed { address: address.into(), length: PREFIX_V4 }
}

fn v6(address: Ipv6Addr) -> Prefixed {
    Prefixed { address: address.into(), length: PREFIX_V6 }
}

/// In the network, and neither its first, its last nor the gateway's address.
fn in_network_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, d] = address.octets();
    [a, b] == [10, 244] && ![[0, 0], [0, 1], [255, 255]].contains(&[c, d])
}

fn in_network_v6(address: Ipv6Addr) -> bool {
    const NETWORK: u128 = 0xfd44 << 112;
    let host = address.to_bits() ^ NETWORK;
    (2..=u128::from(u64::MAX)).contains(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_gets_any_address_of_the_network_but_the_reserved_ones() {
        for (address, inside) in [
            ("10.244.0.2", true),
            ("10.244.255.254", true),
            ("10.244.0.0", false),
            ("10.244.0.1", false),
            ("10.244.255.255", false),
            ("10.245.0.2", false),
        ] {
            assert_eq!(in_network_v4(address.parse().unwrap()), inside, "{address}");
        }
        for (address, inside) in [
            ("fd44::2", true),
            ("fd44::ffff:ffff:ffff:ffff", true),
            ("fd44::", false),
            ("fd44::1", false),
            ("fd44:0:0:1::2", false),
            ("fd45::2", false),
        ] {
            assert_eq!(in_network_v6(address.parse().unwrap()), inside, "{address}");
        }
    }

    #[test]
    fn a_line_over_the_limit_is_cut_and_the_next_one_is_whole() {
        let mut text = vec![b'x'; 3 * LINE_BYTES_MAX];
        text.extend(b"\nnext\n");
        let mut input = io::BufReader::new(text.as_slice());
        let mut line = String::new();
        assert!(read_line(&mut input, &mut line).unwrap());
        assert!(line.len() > LINE_BYTES_MAX && line.len() < 2 * LINE_BYTES_MAX);
        assert!(read_line(&mut input, &mut line).unwrap());
        assert_eq!(line, "next\n");
        assert!(!read_line(&mut input, &mut line).unwrap());
    }
}
