//! What the kernel process gives up before it runs anything: the host's network, files, users and other processes, and its capabilities.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use quark_host::process::{MountRestrictions, Namespaces, restrict_mount, unshare};
use quark_host::procfs;
use rustix::fs::CWD;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::{Gid, Resource, Rlimit, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets, LinkNameSpaceType};

use super::loopback;
use crate::error::{Context, Error, Result};
use crate::host::no_namespace;
use crate::log;
use crate::messages::{Answer, Boot, Network, Order};
use crate::plan::OPENED;
use crate::wire;

/// The whole way. `socket` is where the command answers that it has written our id maps, which only it may.
pub fn isolate(boot: &Boot, network: Option<OwnedFd>, terminal: Option<OwnedFd>, socket: &UnixStream) -> Result<()> {
    let _ = rustix::thread::set_name(c"quark-kernel");
    session(terminal)?;
    limits();
    join_network(boot, network)?;
    let empty = Namespaces { mount: true, ipc: true, uts: true, cgroup: true, ..Namespaces::default() };
    leave(empty, "mnt")?;
    empty_root(&boot.mount_point).context(|| format!("replace the host's files by an empty file system on \"{}\"", boot.mount_point))?;
    procfs::mount().context(|| "mount the processes of this pod, for ourselves alone")?;
    if boot.user_namespace {
        leave(Namespaces { user: true, ..Namespaces::default() }, "user")?;
        wire::send(socket, &Answer::MapIds, &[]).context(|| "ask for ids")?;
        match wire::receive::<Order>(socket).context(|| "receive ids")? {
            (Order::IdsMapped, _) => {}
            _ => return Err(Error::new("an order came before this kernel had its ids")),
        }
        become_root()?;
    }
    drop_capabilities(boot.user_namespace)
}

/// `kind` is what an error names.
fn leave(namespaces: Namespaces, kind: &str) -> Result<()> {
    unshare(namespaces).map_err(|error| Error::new(no_namespace(kind, error)))
}

/// A session of its own, so that no terminal of the host signals it but the container's.
fn session(terminal: Option<OwnedFd>) -> Result<()> {
    rustix::process::setsid().context(|| "start a session")?;
    if let Some(terminal) = terminal {
        // A user's own terminal belongs to another session: then changes of its size come from the command.
        if let Err(error) = rustix::process::ioctl_tiocsctty(&terminal) {
            log::debug(&format!("The container's terminal is another session's: {error}"));
        }
    }
    Ok(())
}

/// As many open files as the host lets us have, and no core dumps: they would hold guests' memory.
fn limits() {
    let files = rustix::process::getrlimit(Resource::Nofile);
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum });
    let _ = rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

fn join_network(boot: &Boot, network: Option<OwnedFd>) -> Result<()> {
    match (boot.network, network) {
        (Network::Join, Some(namespace)) => {
            rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), Some(LinkNameSpaceType::Network))
                .context(|| "join the pod's network namespace")?;
        }
        (Network::New, _) => {
            leave(Namespaces { network: true, ..Namespaces::default() }, "net")?;
            loopback::up().context(|| "start the loopback interface")?;
        }
        _ => {}
    }
    for (path, value) in &boot.sysctl {
        let set = std::fs::write(format!("/proc/sys/{path}"), value).context(|| format!("set the sysctl \"{path}\" to \"{value}\""));
        match set {
            // Where /proc/sys can't be written to, ports and pings are as they are.
            Err(error) if OPENED.iter().any(|(name, _)| name == path) => log::warn(&error.to_string()),
            set => set?,
        }
    }
    Ok(())
}

/// Nothing of the host's files is left but what descriptors show.
fn empty_root(mount_point: &str) -> rustix::io::Result<()> {
    rustix::mount::mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("none", mount_point, "tmpfs", flags, c"size=0,nr_inodes=2,mode=555")?;
    rustix::process::chdir(mount_point)?;
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    let root = rustix::fs::openat(CWD, "/", rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty())?;
    restrict_mount(&root, MountRestrictions { read_only: true, no_symlinks: true, no_execution: true, recursive: false })
}

fn become_root() -> Result<()> {
    rustix::thread::set_thread_groups(&[]).context(|| "drop groups")?;
    let (root_group, root) = (Gid::ROOT, Uid::ROOT);
    rustix::thread::set_thread_res_gid(root_group, root_group, root_group).context(|| "become the first group of the user namespace")?;
    rustix::thread::set_thread_res_uid(root, root, root).context(|| "become the first user of the user namespace")
}

/// Keeps what access to containers' files needs. Whether the guest may is our kernel's decision.
fn drop_capabilities(own_user_namespace: bool) -> Result<()> {
    let mut keep = CapabilitySet::CHOWN | CapabilitySet::DAC_OVERRIDE | CapabilitySet::FOWNER | CapabilitySet::FSETID;
    if !own_user_namespace {
        keep |= CapabilitySet::NET_BIND_SERVICE;
    }
    for capability in CapabilitySet::all().difference(keep).iter() {
        // EINVAL: this host doesn't know it.
        let _ = rustix::thread::remove_capability_from_bounding_set(capability);
    }
    let sets = CapabilitySets { effective: keep, permitted: keep, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).context(|| "drop capabilities")?;
    rustix::thread::set_no_new_privs(true).context(|| "renounce new privileges")
}
