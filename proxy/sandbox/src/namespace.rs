//! Entering and making kernel namespaces. Everything here acts on the calling thread or process.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use hauberk_init::netlink::{Message, NetlinkError, Socket};
use nix::sched::{CloneFlags, unshare};
use rustix::net::netdevice::name_to_index;
use rustix::process::{Pid, Signal, getegid, geteuid, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::link;

/// Why there is no namespace.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// Neither root's way nor the user namespace's is open.
    #[error(
        "cannot make a network namespace: as root {as_root}; in a user namespace {in_user}. \
         It needs CAP_SYS_ADMIN, or CONFIG_USER_NS with user.max_user_namespaces above 0 and no policy \
         (kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns) against it"
    )]
    Forbidden { as_root: io::Error, in_user: io::Error },
    /// A file of a namespace cannot be opened or entered.
    #[error("cannot enter {path}")]
    Enter {
        path: String,
        #[source]
        source: io::Error,
    },
    /// A system call failed.
    #[error("{what}")]
    System {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    /// A link, address or route.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// A thread of ours ended without an answer.
    #[error("the thread that works in the namespace ended early")]
    Thread,
}

impl NamespaceError {
    fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

/// How the sandbox came to its powers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// With CAP_SYS_ADMIN of the machine.
    Root,
    /// As root of a user namespace in which only the caller's own uid and gid exist.
    Rootless,
}

/// Moves this process into a network namespace of its own, in a user namespace if it must.
/// To be called before any other thread exists: the kernel refuses a user namespace to a process with several.
pub fn leave_host(force_rootless: bool) -> Result<Mode, NamespaceError> {
    let as_root = if force_rootless {
        io::Error::other("not tried")
    } else {
        match unshare(CloneFlags::CLONE_NEWNET) {
            Ok(()) => return Ok(Mode::Root),
            Err(errno) => errno.into(),
        }
    };
    match enter_new_user() {
        Ok(()) => Ok(Mode::Rootless),
        Err(in_user) => Err(NamespaceError::Forbidden { as_root, in_user }),
    }
}

fn enter_new_user() -> io::Result<()> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1\n"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1\n"))?;
    Ok(unshare(CloneFlags::CLONE_NEWNET)?)
}

/// Sends each message in its own transaction, in the namespace of the calling thread.
pub fn apply(messages: impl IntoIterator<Item = Message>) -> Result<(), NamespaceError> {
    let socket = Socket::route()?;
    Ok(messages.into_iter().try_for_each(|message| socket.transact(&[message]))?)
}

/// The index of a link in the namespace of the calling thread.
pub fn link_index(name: &str) -> Result<u32, NamespaceError> {
    let index = || -> io::Result<u32> {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
        Ok(name_to_index(socket, name)?)
    };
    index().map_err(NamespaceError::system("cannot find a link"))
}

/// Makes an empty network namespace with its loopback up. It lives as long as the descriptor, or a process in it.
pub fn make() -> Result<OwnedFd, NamespaceError> {
    // A thread of its own: it stays in the new namespace, and ends.
    on_a_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET)
            .map_err(|errno| NamespaceError::system("cannot make a network namespace")(errno.into()))?;
        settle();
        apply([link::set_up("lo")])?;
        let file = File::open("/proc/thread-self/ns/net")
            .map_err(NamespaceError::system("cannot open the new network namespace"))?;
        Ok(file.into())
    })
}

/// Runs `work` in the network namespace behind `namespace`.
pub fn inside<T: Send + 'static>(
    namespace: &OwnedFd,
    work: impl FnOnce() -> Result<T, NamespaceError> + Send + 'static,
) -> Result<T, NamespaceError> {
    let namespace = namespace.try_clone().map_err(NamespaceError::system("no file descriptor is left"))?;
    on_a_thread(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|errno| NamespaceError::system("cannot enter a pod")(errno.into()))?;
        work()
    })
}

fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NamespaceError> + Send + 'static,
) -> Result<T, NamespaceError> {
    let thread =
        thread::Builder::new().spawn(work).map_err(NamespaceError::system("cannot start a thread"))?;
    thread.join().map_err(|_| NamespaceError::Thread)?
}

/// Settings that make a namespace feel like a container's. Each is a comfort: where `/proc/sys` is read-only the
/// namespace works without.
pub fn settle() {
    const SETTINGS: [(&str, &str); 6] = [
        // The host may have switched IPv6 off by default.
        ("ipv6/conf/all/disable_ipv6", "0"),
        ("ipv6/conf/default/disable_ipv6", "0"),
        // Link-local addresses, too, are usable at once.
        ("ipv6/conf/default/accept_dad", "0"),
        // As container runtimes do: an unprivileged application may listen on port 80.
        ("ipv4/ip_unprivileged_port_start", "0"),
        ("ipv4/ping_group_range", "0 2147483647"),
        ("core/somaxconn", "4096"),
    ];
    for (name, value) in SETTINGS {
        let _comfort = fs::write(Path::new("/proc/sys/net").join(name), value);
    }
}

/// Moves this process into existing namespaces. Both are opened first: from inside the user namespace the path
/// of the other may be out of reach.
pub fn enter(user: Option<&str>, net: &str) -> Result<(), NamespaceError> {
    let open = |path: &str| {
        File::open(path).map_err(|source| NamespaceError::Enter { path: path.to_owned(), source })
    };
    let user = user.map(|path| open(path).map(|file| (path, file))).transpose()?;
    let file = open(net)?;
    if let Some((path, file)) = user {
        move_into(path, &file, LinkNameSpaceType::User)?;
    }
    move_into(net, &file, LinkNameSpaceType::Network)
}

fn move_into(path: &str, file: &File, kind: LinkNameSpaceType) -> Result<(), NamespaceError> {
    move_into_link_name_space(file.as_fd(), Some(kind))
        .map_err(|errno| NamespaceError::Enter { path: path.to_owned(), source: errno.into() })
}

/// Kills every process whose network namespace is the one behind `namespace`, except this one.
/// Looks again until none is left: one may have been about to fork.
pub fn kill_inside(namespace: &OwnedFd) -> io::Result<()> {
    /// Ends a race against a fork bomb; ordinary pods need two looks.
    const LOOKS_MAX: usize = 50;
    const PAUSE: Duration = Duration::from_millis(4);
    let file = File::from(namespace.try_clone()?);
    let wanted = file.metadata().map(|metadata| (metadata.dev(), metadata.ino()))?;
    for _ in 0..LOOKS_MAX {
        let found = processes_inside(wanted)?;
        if found.is_empty() {
            return Ok(());
        }
        for process in found {
            let _already_gone = kill_process(process, Signal::KILL);
        }
        thread::sleep(PAUSE);
    }
    Err(io::Error::other("processes in the pod do not end"))
}

fn processes_inside(wanted: (u64, u64)) -> io::Result<Vec<Pid>> {
    let own = i32::try_from(std::process::id()).ok();
    let mut inside = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.parse::<i32>().ok());
        let Some(process) = number.filter(|number| Some(*number) != own).and_then(Pid::from_raw) else {
            continue;
        };
        // Fails for a process that has just ended and for those of other users: neither is ours.
        let Ok(found) = fs::metadata(format!("/proc/{process}/ns/net")) else { continue };
        if (found.dev(), found.ino()) == wanted {
            inside.push(process);
        }
    }
    Ok(inside)
}
