//! Host processes: starting one in namespaces and cgroups of its own, moving into namespaces, waiting for signals in a file.

mod signals;
mod spawn;
mod title;

pub use signals::{SignalReport, Signals};
pub use spawn::{Cgroups, Fork, Namespaces, Spawn, Spawned, fork, spawn};

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

/// A duplicate, close-on-exec, of the descriptor that this process was started with as number `fd`. EBADF if there is none: what this process
/// has opened itself is told by being close-on-exec.
pub fn inherited(fd: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: fcntl takes any number; it answers EBADF for those that are not open.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    if flags < 0 || flags & libc::FD_CLOEXEC != 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: as above.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(last_errno());
    }
    // SAFETY: fcntl has just made `copy`, nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Leaves namespaces for new ones (`man 2 unshare`). A process with several threads can't have a new user or mount namespace: EINVAL.
pub fn unshare(namespaces: Namespaces) -> Result<(), Errno> {
    // SAFETY: the flags are of namespaces only: descriptors and memory stay shared as Rust expects.
    if unsafe { libc::unshare(namespaces.bits()) } != 0 {
        return Err(last_errno());
    }
    Ok(())
}

/// What `restrict_mount` takes away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountRestrictions {
    /// MOUNT_ATTR_RDONLY.
    pub read_only: bool,
    /// MOUNT_ATTR_NOSYMFOLLOW: the host follows no symbolic link in it.
    pub no_symlinks: bool,
    /// MOUNT_ATTR_NOEXEC: nothing in it can be mapped as code.
    pub no_execution: bool,
    /// All mounts below it too.
    pub recursive: bool,
}

/// Takes rights from a mount that nobody else has (as by `open_tree` with OPEN_TREE_CLONE), and makes it private. It never has
/// devices nor set-user-id programs after that. Linux 5.12; ENOSYS before.
pub fn restrict_mount(mount: impl AsFd, restrictions: MountRestrictions) -> Result<(), Errno> {
    let mut set = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    if restrictions.read_only {
        set |= libc::MOUNT_ATTR_RDONLY;
    }
    if restrictions.no_symlinks {
        set |= libc::MOUNT_ATTR_NOSYMFOLLOW;
    }
    if restrictions.no_execution {
        set |= libc::MOUNT_ATTR_NOEXEC;
    }
    set_attributes(mount, [set, 0, libc::MS_PRIVATE, 0], restrictions.recursive)
}

/// Has a mount that nobody else has show files' owners as the ids that they are given in `user_namespace`, and those below it too if `recursive`.
/// EINVAL if its file system, or this host before Linux 5.12, can't.
pub fn map_mount_ids(mount: impl AsFd, user_namespace: impl AsFd, recursive: bool) -> Result<(), Errno> {
    let namespace = user_namespace.as_fd().as_raw_fd() as u64;
    set_attributes(mount, [libc::MOUNT_ATTR_IDMAP, 0, 0, namespace], recursive)
}

/// `mount_setattr(2)`: attributes to set and to clear, the propagation, and a user namespace.
fn set_attributes(mount: impl AsFd, attributes: [u64; 4], recursive: bool) -> Result<(), Errno> {
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the structure has the layout of struct mount_attr (four 64-bit words) and outlives the call, as does the path.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    };
    if result != 0 {
        return Err(last_errno());
    }
    Ok(())
}

fn last_errno() -> Errno {
    Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inherited_descriptors_are_duplicated_once_they_exist() {
        assert_eq!(inherited(9999).err(), Some(Errno::BADF));
        let own = std::fs::File::open("/proc/self/stat").expect("open");
        assert_eq!(inherited(own.as_raw_fd()).err(), Some(Errno::BADF));
        let passed_on = rustix::io::dup(&own).expect("dup");
        let copy = inherited(passed_on.as_raw_fd()).expect("duplicate");
        assert_ne!(copy.as_raw_fd(), passed_on.as_raw_fd());
    }
}
