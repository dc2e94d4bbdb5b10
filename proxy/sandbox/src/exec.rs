//! `exec`: replaces this process by a command inside a pod, with the pod's own names and few powers.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use rustix::fs::Gid;
use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::process::{Signal, Uid, getppid, set_parent_process_death_signal};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_no_new_privs,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use crate::namespace::{self, NamespaceError};

/// What to run, and where.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exec {
    /// The sandbox's user namespace, when it is rootless.
    pub user: Option<String>,
    /// The pod's network namespace.
    pub net: String,
    /// Shown to the command as `/etc/resolv.conf`.
    pub resolv_conf: Option<PathBuf>,
    /// Shown to the command as `/etc/hosts`.
    pub hosts: Option<PathBuf>,
    /// The pod's host name.
    pub hostname: Option<String>,
    /// User and group to run as.
    pub uid: Option<u32>,
    /// Capabilities to keep; all others are gone for good.
    pub keep: Vec<Capability>,
    /// Working directory.
    pub cwd: Option<PathBuf>,
    /// The command and its arguments.
    pub command: Vec<String>,
}

/// A capability that a pod's process may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// To set redirection rules.
    NetAdmin,
    /// To mark sockets, and for ping.
    NetRaw,
}

impl Capability {
    fn set(self) -> CapabilitySet {
        match self {
            Self::NetAdmin => CapabilitySet::NET_ADMIN,
            Self::NetRaw => CapabilitySet::NET_RAW,
        }
    }
}

/// Why the command did not start.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The pod cannot be entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// A step on the way in failed.
    #[error("{what}")]
    Step {
        what: String,
        #[source]
        source: io::Error,
    },
    /// A rootless sandbox has one user.
    #[error("--uid {0}: a rootless sandbox has no user but 0")]
    NoSuchUser(u32),
    /// No command was given.
    #[error("no command")]
    NoCommand,
}

fn step<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> ExecError {
    move |source| ExecError::Step { what: what.into(), source: source.into() }
}

/// Returns only on failure.
pub fn exec(options: &Exec) -> Result<std::convert::Infallible, ExecError> {
    let (program, arguments) = options.command.split_first().ok_or(ExecError::NoCommand)?;
    if let (Some(_), Some(uid @ 1..)) = (&options.user, options.uid) {
        return Err(ExecError::NoSuchUser(uid));
    }
    let parent = getppid();
    namespace::enter(options.user.as_deref(), &options.net)?;
    own_names(options)?;
    if let Some(cwd) = &options.cwd {
        std::env::set_current_dir(cwd).map_err(step(format!("cannot enter {}", cwd.display())))?;
    }
    let keep = options.keep.iter().fold(CapabilitySet::empty(), |all, one| all | one.set());
    drop_powers(keep, options.uid)?;
    // Last: a change of user clears it.
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(step("cannot tie the command to its parent"))?;
    if getppid() != parent {
        return Err(step("the parent ended")(io::Error::other("orphaned")));
    }
    let error = Command::new(program).args(arguments).exec();
    Err(step(format!("cannot run {program}"))(error))
}

/// A mount namespace and a host name of the pod's own.
fn own_names(options: &Exec) -> Result<(), ExecError> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS)
        .map_err(step("cannot make a mount namespace"))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(step("cannot make mounts private"))?;
    if let Some(file) = &options.resolv_conf {
        show_as(file, Path::new("/etc/resolv.conf"))?;
    }
    if let Some(file) = &options.hosts {
        show_as(file, Path::new("/etc/hosts"))?;
    }
    if let Some(name) = &options.hostname {
        rustix::system::sethostname(name.as_bytes()).map_err(step("cannot set the host name"))?;
    }
    Ok(())
}

fn show_as(file: &Path, place: &Path) -> Result<(), ExecError> {
    // Often a link into a directory that this namespace shares.
    let place = fs::canonicalize(place).map_err(step(format!("no {} to cover", place.display())))?;
    mount_bind(file, &place).map_err(step(format!("cannot show {} as {}", file.display(), place.display())))
}

/// From here on nothing this process runs can gain a capability that is not in `keep`.
fn drop_powers(keep: CapabilitySet, uid: Option<u32>) -> Result<(), ExecError> {
    for (_, capability) in CapabilitySet::all().iter_names() {
        // An error here means that this kernel is too old to know the capability.
        let held = capability_is_in_bounding_set(capability).unwrap_or(false);
        if held && !keep.contains(capability) {
            remove_capability_from_bounding_set(capability).map_err(step("cannot drop a capability"))?;
        }
    }
    set_no_new_privs(true).map_err(step("cannot forbid new privileges"))?;
    if let Some(uid) = uid.filter(|uid| *uid != 0) {
        become_user(uid, keep)?;
    }
    Ok(())
}

/// Root gets the bounding set with its next program; another user keeps only what is ambient.
fn become_user(uid: u32, keep: CapabilitySet) -> Result<(), ExecError> {
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
    set_keep_capabilities(true).map_err(step("cannot keep capabilities"))?;
    set_thread_groups(&[]).map_err(step("cannot leave the groups"))?;
    set_thread_res_gid(group, group, group).map_err(step(format!("cannot become group {uid}")))?;
    set_thread_res_uid(user, user, user).map_err(step(format!("cannot become user {uid}")))?;
    let sets = CapabilitySets { effective: keep, permitted: keep, inheritable: keep };
    set_capabilities(None, sets).map_err(step("cannot reduce capabilities"))?;
    for (_, capability) in keep.iter_names() {
        configure_capability_in_ambient_set(capability, true).map_err(step("cannot pass on a capability"))?;
    }
    Ok(())
}
