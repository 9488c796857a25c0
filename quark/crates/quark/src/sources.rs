//! Opens what containers see of the host's files, as mounts that are nobody else's: from one of them there is no way up, no symbolic link is
//! followed by the host in it, and it has no devices.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use quark_host::process::{MountRestrictions, restrict_mount};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;

use crate::error::{Context, Error, Result};
use crate::log;
use crate::plan::HostSource;

/// Opens the sources of a container's mounts, in order. `bundle` is what relative paths start from.
pub fn open_all(sources: &[HostSource], bundle: &Path) -> Result<Vec<OwnedFd>> {
    sources.iter().map(|source| open(source, bundle)).collect()
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
