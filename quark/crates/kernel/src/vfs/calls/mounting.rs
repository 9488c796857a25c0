//! `mount`, `umount2`, `pivot_root`: within a container, of file systems that live in our kernel. CAP_SYS_ADMIN.

use std::sync::Arc;

use super::At;
use crate::call::Call;
use crate::dispatch::Calls;
use crate::fs::memory::{MemoryFileSystem, TmpfsOptions};
use crate::task::lock;
use crate::vfs::mount::{FileSystem, Mount, MountFlags};
use crate::vfs::path::Last;
use crate::vfs::permission::capability;
use crate::vfs::place::Place;
use crate::{Errno, Result};

pub const CALLS: Calls = &[
    (libc::SYS_mount, mount),
    (libc::SYS_umount2, umount),
    // There is one tree of mounts a container: another root for all would end it.
    (libc::SYS_pivot_root, not_permitted),
    (libc::SYS_open_tree, not_permitted),
    (libc::SYS_move_mount, not_permitted),
    (libc::SYS_fsopen, not_permitted),
    (libc::SYS_fsconfig, not_permitted),
    (libc::SYS_fsmount, not_permitted),
    (libc::SYS_fspick, not_permitted),
    (libc::SYS_mount_setattr, not_permitted),
];

/// The most mounts that a container can have: each takes memory of the pod.
const MOUNTS_MAX: usize = 10_000;

/// What `mount(2)` is asked for.
struct Request {
    source: Vec<u8>,
    target: Vec<u8>,
    kind: Vec<u8>,
    flags: u64,
    data: Vec<u8>,
}

fn not_permitted(_: &mut Call<'_>) -> Result<u64> {
    Err(Errno::PERM)
}

fn may_mount(at: &At<'_>) -> Result<()> {
    if at.credentials().capable(capability::SYS_ADMIN) { Ok(()) } else { Err(Errno::PERM) }
}

fn read_optional(call: &mut Call<'_>, index: usize) -> Result<Vec<u8>> {
    if call.arg(index) == 0 { Ok(Vec::new()) } else { call.read_path(call.arg(index)) }
}

fn mount(call: &mut Call<'_>) -> Result<u64> {
    let request = Request {
        source: read_optional(call, 0)?,
        target: call.read_path(call.arg(1))?,
        kind: read_optional(call, 2)?,
        // The upper half was a magic number once.
        flags: if call.arg(3) >> 16 & 0xffff == 0xc0ed { call.arg(3) & 0xffff } else { call.arg(3) },
        data: read_optional(call, 4)?,
    };
    let at = At::new(call.task);
    let target = at.find(libc::AT_FDCWD, &request.target, Last::Follow)?;
    may_mount(&at)?;
    if request.flags & libc::MS_REMOUNT != 0 {
        return remount(&target, request.flags);
    }
    if request.flags & libc::MS_BIND != 0 {
        return bind(&at, &request, target);
    }
    if request.flags & (libc::MS_SHARED | libc::MS_PRIVATE | libc::MS_SLAVE | libc::MS_UNBINDABLE) != 0 {
        // With one tree there is nobody to propagate to.
        return if is_root(&target) { Ok(0) } else { Err(Errno::INVAL) };
    }
    if request.flags & libc::MS_MOVE != 0 {
        return move_mount(&at, &request, target);
    }
    let file_system = new_file_system(call, &request)?;
    let source = if request.source.is_empty() { b"none".to_vec() } else { request.source };
    attach(&at, Mount::whole(file_system, &source, MountFlags::from_bits_truncate(request.flags))?, target)
}

fn is_root(place: &Place) -> bool {
    Arc::ptr_eq(&place.dentry, &place.mount.root)
}

fn attach(at: &At<'_>, mount: Arc<Mount>, target: Place) -> Result<u64> {
    if at.root().mount.tree().len() >= MOUNTS_MAX {
        return Err(Errno::NOSPC);
    }
    Mount::attach(&mount, &target.top())?;
    Ok(0)
}

/// Flags of a mount that the container was made with stay: what is read-only for it is for good.
fn remount(target: &Place, flags: u64) -> Result<u64> {
    if !is_root(target) {
        return Err(Errno::INVAL);
    }
    let wanted = MountFlags::from_bits_truncate(flags);
    if !wanted.contains(target.mount.kept()) {
        return Err(Errno::PERM);
    }
    target.mount.set_flags(wanted);
    Ok(0)
}

fn bind(at: &At<'_>, request: &Request, target: Place) -> Result<u64> {
    let source = at.find(libc::AT_FDCWD, &request.source, Last::Follow)?;
    attach(at, source.mount.copy(&source.dentry, request.flags & libc::MS_REC != 0), target)
}

fn move_mount(at: &At<'_>, request: &Request, target: Place) -> Result<u64> {
    let source = at.find(libc::AT_FDCWD, &request.source, Last::Follow)?;
    if !is_root(&source) || source.mount.locked() {
        return Err(Errno::INVAL);
    }
    if source.mount.tree().iter().any(|mount| Arc::ptr_eq(mount, &target.mount)) {
        return Err(Errno::LOOP);
    }
    let on = source.mount.parent().ok_or(Errno::INVAL)?;
    source.mount.take_off()?;
    Mount::attach(&source.mount, &target.top()).inspect_err(|_| {
        // Back to where it was; nothing else is there.
        let _ = Mount::attach(&source.mount, &on);
    })?;
    Ok(0)
}

/// EPERM for what would need a device, ENODEV for what isn't known at all.
fn new_file_system(call: &Call<'_>, request: &Request) -> Result<Arc<dyn FileSystem>> {
    Ok(match request.kind.as_slice() {
        b"tmpfs" | b"ramfs" => {
            MemoryFileSystem::tmpfs("tmpfs", TmpfsOptions::parse(&request.data)?.within(call.task.process.container.limits.total_memory()))?
        }
        b"proc" => crate::fs::proc::file_system(&lock(&call.task.kernel().sysctl)),
        b"sysfs" => crate::fs::sys::file_system(),
        b"cgroup2" => crate::fs::cgroup::file_system(),
        b"devpts" | b"mqueue" | b"devtmpfs" | b"overlay" | b"ext4" | b"ext3" | b"ext2" | b"xfs" | b"btrfs" | b"fuse" | b"nfs" => {
            return Err(Errno::PERM);
        }
        b"" => return Err(Errno::INVAL),
        _ => return Err(Errno::NODEV),
    })
}

fn umount(call: &mut Call<'_>) -> Result<u64> {
    const NO_FOLLOW: i32 = libc::UMOUNT_NOFOLLOW;
    let flags = call.int(1);
    if flags & !(libc::MNT_FORCE | libc::MNT_DETACH | libc::MNT_EXPIRE | NO_FOLLOW) != 0 {
        return Err(Errno::INVAL);
    }
    let path = call.read_path(call.arg(0))?;
    let at = At::new(call.task);
    let last = if flags & NO_FOLLOW != 0 { Last::Stay } else { Last::Follow };
    let place = at.find(libc::AT_FDCWD, &path, last)?;
    may_mount(&at)?;
    if !is_root(&place) || place.mount.locked() {
        return Err(Errno::INVAL);
    }
    let mount = place.mount.clone();
    drop(place);
    let lazily = flags & libc::MNT_DETACH != 0;
    // Its parent holds it, and so do we; whoever else does uses it.
    if !lazily && Arc::strong_count(&mount) > 2 {
        return Err(Errno::BUSY);
    }
    mount.detach(lazily)?;
    Ok(0)
}
