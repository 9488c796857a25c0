//! Opens what containers see of the host's files, as mounts that are nobody else's: from one of them there is no way up, no symbolic link is
//! followed by the host in it, and it has no devices.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use quark_host::process::{MountRestrictions, map_mount_ids, restrict_mount};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;

use crate::error::{Context, Error, Result};
use crate::launch::user_namespace;
use crate::log;
use crate::messages::{NewContainer, NewSource};
use crate::plan::HostSource;

/// The sources of a container's mounts, in order.
pub struct Sources(Vec<Opened>);

enum Opened {
    /// O_PATH: a directory, or something that guests can look at only.
    Place(OwnedFd),
    /// A regular file, which no name in a directory leads to: opened for reading, and for both unless it is read-only.
    File { reader: OwnedFd, writer: Option<OwnedFd> },
}

/// Opens the sources of a container's mounts. `bundle` is what relative paths start from.
pub fn open_all(sources: &[HostSource], bundle: &Path) -> Result<Sources> {
    let opened = sources.iter().map(|source| reopen(open(source, bundle)?, source));
    Ok(Sources(opened.collect::<Result<_>>()?))
}

impl Sources {
    /// The container with mounts that say which descriptors are theirs.
    pub fn tell(&self, mut container: NewContainer) -> NewContainer {
        let from_host = container.mounts.iter_mut().filter(|mount| matches!(mount.source, NewSource::Host | NewSource::Overlay));
        for (mount, opened) in from_host.zip(&self.0) {
            if let Opened::File { writer, .. } = opened {
                mount.source = NewSource::HostFile { writable: writer.is_some() };
            }
        }
        container
    }

    /// All descriptors, as a message has them.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0
            .iter()
            .flat_map(|opened| match opened {
                Opened::Place(place) => [Some(place.as_fd()), None],
                Opened::File { reader, writer } => [Some(reader.as_fd()), writer.as_ref().map(AsFd::as_fd)],
            })
            .flatten()
    }
}

/// Opens a regular file for what guests may do with it: the pod's kernel has neither a name for it nor /proc.
fn reopen(mount: OwnedFd, source: &HostSource) -> Result<Opened> {
    let what = || format!("mount \"{}\"", source.path);
    let told = rustix::fs::fstat(&mount).context(what)?;
    if FileType::from_raw_mode(told.st_mode) != FileType::RegularFile {
        return Ok(Opened::Place(mount));
    }
    let path = format!("/proc/self/fd/{}", mount.as_raw_fd());
    let open = |access: OFlags| rustix::fs::open(&path, access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
    let reader = open(OFlags::RDONLY).context(what)?;
    let writer = match source.read_only {
        true => None,
        false => open(OFlags::RDWR)
            // On a read-only file system, or a program that runs.
            .inspect_err(|error| log::info(&format!("Nothing can be written to \"{}\": {error}", source.path)))
            .ok(),
    };
    Ok(Opened::File { reader, writer })
}

fn open(source: &HostSource, bundle: &Path) -> Result<OwnedFd> {
    let path = bundle.join(&source.path);
    let what = || format!("mount \"{}\"", path.display());
    // Links above the directory are the host's own and are followed, but no magic ones of /proc, which lead anywhere.
    let place = rustix::fs::openat2(rustix::fs::CWD, &path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_MAGICLINKS)
        .context(what)?;
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if source.recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let mount = match rustix::mount::open_tree(&place, c"", flags) {
        Err(Errno::PERM) => return Err(Error::new(format!("Cannot {}: quark must run as root, with CAP_SYS_ADMIN", what()))),
        mount => mount.context(what)?,
    };
    restrict(&mount, source).context(what)?;
    if let Some(ids) = &source.ids {
        let namespace = user_namespace(&ids.users, &ids.groups).context(what)?;
        let words = || format!("map ids of the mount \"{}\", which its file system may not be able to", path.display());
        map_mount_ids(&mount, &namespace, ids.recursive).context(words)?;
    }
    Ok(mount)
}

fn restrict(mount: &OwnedFd, source: &HostSource) -> Result<(), Errno> {
    let restrictions =
        MountRestrictions { read_only: source.read_only, no_symlinks: true, no_execution: source.no_execution, recursive: true };
    match restrict_mount(mount.as_fd(), restrictions) {
        // Before Linux 5.12, or a mount below that a user namespace has locked.
        Err(error @ (Errno::NOSYS | Errno::PERM)) => {
            log::warn(&format!("The host doesn't restrict the mount \"{}\" ({error}): only our kernel does", source.path));
            Ok(())
        }
        result => result,
    }
}
