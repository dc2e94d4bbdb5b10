//! The cluster addresses that the sandbox answers itself. Proxies never see it: they redirect before the packet
//! leaves the pod. It gives pods without a proxy what kube-proxy gives them, TCP only; the server sees the
//! sandbox's address as its client.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use tokio::runtime::{self, Handle};
use tokio::sync::{Semaphore, watch};

use crate::forward;
use crate::link::{self, Prefixed};
use crate::namespace::{self, NamespaceError};
use crate::protocol::{Service, hosts};

/// Why a service is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Another service has the address.
    #[error("{address} belongs to {owner}")]
    Taken { address: SocketAddr, owner: String },
    /// The kernel does not let us listen.
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    /// The address cannot be given to the bridge.
    #[error(transparent)]
    Address(#[from] NamespaceError),
    /// No such service.
    #[error("no service {0:?}")]
    Unknown(String),
}

struct Entry {
    listen: BTreeSet<SocketAddr>,
    endpoints: watch::Sender<Arc<[SocketAddr]>>,
}

/// What is being served, and the thread that serves it.
pub struct Services {
    entries: BTreeMap<String, Entry>,
    runtime: Handle,
    permits: Arc<Semaphore>,
    bridge: u32,
}

impl Services {
    /// Starts the thread that carries connections; it ends with the process. `bridge` is the link that gets the
    /// addresses.
    pub fn start(bridge: u32) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let handle = runtime.handle().clone();
        thread::Builder::new().name("services".to_owned()).spawn(move || {
            runtime.block_on(std::future::pending::<()>());
        })?;
        let permits = Arc::new(Semaphore::new(forward::CONNECTIONS_MAX));
        Ok(Self { entries: BTreeMap::new(), runtime: handle, permits, bridge })
    }

    /// Serves `service`, in place of an earlier one of that name. Open connections stay when the addresses stay.
    pub fn set(&mut self, service: Service) -> Result<(), ServiceError> {
        self.check_free(&service)?;
        let endpoints: Arc<[SocketAddr]> = service.endpoints.into();
        if let Some(entry) = self.entries.get(&service.name)
            && entry.listen == service.listen
        {
            entry.endpoints.send_replace(endpoints);
            return Ok(());
        }
        let before = self.addresses();
        let old = self.entries.remove(&service.name);
        let sender = watch::Sender::new(endpoints);
        let outcome = self.listen_all(&before, &service.listen, &sender);
        match outcome {
            Ok(()) => {
                let entry = Entry { listen: service.listen, endpoints: sender };
                self.entries.insert(service.name, entry);
                drop(old);
                self.forget_addresses(&before)
            }
            Err(error) => {
                if let Some(old) = old {
                    self.entries.insert(service.name, old);
                }
                let wanted: BTreeSet<IpAddr> = before.union(&hosts(&service.listen)).copied().collect();
                self.forget_addresses(&wanted)?;
                Err(error)
            }
        }
    }

    /// Stops serving, and cuts the service's connections.
    pub fn remove(&mut self, name: &str) -> Result<(), ServiceError> {
        let before = self.addresses();
        self.entries.remove(name).ok_or_else(|| ServiceError::Unknown(name.to_owned()))?;
        self.forget_addresses(&before)
    }

    fn addresses(&self) -> BTreeSet<IpAddr> {
        self.entries.values().flat_map(|entry| hosts(&entry.listen)).collect()
    }

    fn check_free(&self, service: &Service) -> Result<(), ServiceError> {
        for (owner, entry) in &self.entries {
            if *owner != service.name
                && let Some(address) = entry.listen.intersection(&service.listen).next()
            {
                return Err(ServiceError::Taken { address: *address, owner: owner.clone() });
            }
        }
        Ok(())
    }

    fn listen_all(
        &self,
        before: &BTreeSet<IpAddr>,
        listen: &BTreeSet<SocketAddr>,
        endpoints: &watch::Sender<Arc<[SocketAddr]>>,
    ) -> Result<(), ServiceError> {
        let missing = hosts(listen);
        namespace::apply(
            missing.difference(before).map(|host| link::add_address(self.bridge, single(*host))),
        )?;
        let listeners = listen.iter().map(|address| self.bind(*address)).collect::<Result<Vec<_>, _>>()?;
        for listener in listeners {
            self.runtime.spawn(forward::serve(listener, endpoints.subscribe(), Arc::clone(&self.permits)));
        }
        Ok(())
    }

    fn bind(&self, address: SocketAddr) -> Result<tokio::net::TcpListener, ServiceError> {
        let bind = || {
            let listener = listen_reusing(address)?;
            let _inside = self.runtime.enter();
            tokio::net::TcpListener::from_std(listener)
        };
        bind().map_err(|source| ServiceError::Listen { address, source })
    }

    /// Takes from the bridge the addresses in `had` that no service has any more.
    fn forget_addresses(&self, had: &BTreeSet<IpAddr>) -> Result<(), ServiceError> {
        let wanted = self.addresses();
        for host in had.difference(&wanted) {
            // One that is not there is one that was never added: the error would say only that.
            let _absent = namespace::apply([link::remove_address(self.bridge, single(*host))]);
        }
        Ok(())
    }
}

fn single(address: IpAddr) -> Prefixed {
    Prefixed { address, length: if address.is_ipv4() { 32 } else { 128 } }
}

/// A listener that may take over a port while the last one on it is still closing.
pub fn listen_reusing(address: SocketAddr) -> io::Result<TcpListener> {
    const BACKLOG: i32 = 1024;
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
