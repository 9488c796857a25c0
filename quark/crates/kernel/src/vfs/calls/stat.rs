//! `stat` and its family, `access`.

use zerocopy::{Immutable, IntoBytes};

use super::{At, Target};
use crate::call::Call;
use crate::dispatch::Calls;
use crate::vfs::inode::{Stat, TimeStamp, kind};
use crate::vfs::mount::MountFlags;
use crate::vfs::path::Last;
use crate::vfs::permission::{self, EXECUTE, READ, WRITE};
use crate::{Errno, Result};

pub const CALLS: Calls = &[
    (libc::SYS_stat, |call| stat_in(call, libc::AT_FDCWD, 0, 0)),
    (libc::SYS_lstat, |call| stat_in(call, libc::AT_FDCWD, 0, libc::AT_SYMLINK_NOFOLLOW)),
    (libc::SYS_newfstatat, |call| stat_in(call, call.int(0), 1, call.int(3))),
    (libc::SYS_fstat, fstat),
    (libc::SYS_statx, statx),
    (libc::SYS_access, |call| access_in(call, libc::AT_FDCWD, 0, 0)),
    (libc::SYS_faccessat, |call| access_in(call, call.int(0), 1, 0)),
    (libc::SYS_faccessat2, |call| access_in(call, call.int(0), 1, call.int(3))),
];

/// `struct stat` of x86-64.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct StatLayout {
    device: u64,
    inode: u64,
    links: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    padding: u32,
    represents: u64,
    size: u64,
    block_size: u64,
    blocks: u64,
    times: [u64; 6],
    unused: [u64; 3],
}

fn layout(stat: &Stat) -> StatLayout {
    let pair = |time: TimeStamp| [time.seconds as u64, u64::from(time.nanoseconds)];
    let ([a, b], [c, d], [e, f]) = (pair(stat.accessed), pair(stat.modified), pair(stat.changed));
    StatLayout {
        device: stat.device,
        inode: stat.inode,
        links: stat.links.into(),
        mode: stat.mode,
        uid: stat.uid,
        gid: stat.gid,
        padding: 0,
        represents: stat.represents,
        size: stat.size,
        block_size: stat.block_size.into(),
        blocks: stat.blocks,
        times: [a, b, c, d, e, f],
        unused: [0; 3],
    }
}

fn stat_in(call: &mut Call<'_>, directory: i32, first: usize, flags: i32) -> Result<u64> {
    if flags & !(libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT) != 0 {
        return Err(Errno::INVAL);
    }
    let path = path_or_none(call, first, flags)?;
    let stat = At::new(call.task).target(directory, &path, flags, Last::Follow)?.stat()?;
    call.write_value(call.arg(first + 1), &layout(&stat))?;
    Ok(0)
}

/// Reads a path; with AT_EMPTY_PATH it may also be a null pointer (Linux 6.11).
fn path_or_none(call: &mut Call<'_>, index: usize, flags: i32) -> Result<Vec<u8>> {
    if call.arg(index) == 0 && flags & libc::AT_EMPTY_PATH != 0 {
        return Ok(Vec::new());
    }
    call.read_path(call.arg(index))
}

fn fstat(call: &mut Call<'_>) -> Result<u64> {
    let stat = call.task.files().get_any(call.int(0))?.file.stat()?;
    call.write_value(call.arg(1), &layout(&stat))?;
    Ok(0)
}

/// `struct statx_timestamp`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct StatxTime {
    seconds: i64,
    nanoseconds: u32,
    reserved: i32,
}

/// `struct statx`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct StatxLayout {
    mask: u32,
    block_size: u32,
    attributes: u64,
    links: u32,
    uid: u32,
    gid: u32,
    mode: u16,
    spare: u16,
    inode: u64,
    size: u64,
    blocks: u64,
    attributes_mask: u64,
    /// Accessed, born, changed, modified.
    times: [StatxTime; 4],
    represents: [u32; 2],
    device: [u32; 2],
    mount: u64,
    rest: [u64; 13],
}

const STATX_MNT_ID: u32 = 0x1000;
const STATX_ATTR_MOUNT_ROOT: u64 = 0x2000;
/// Which attributes are told at all: STATX_ATTR_MOUNT_ROOT.
const ATTRIBUTES: u64 = STATX_ATTR_MOUNT_ROOT;

fn statx(call: &mut Call<'_>) -> Result<u64> {
    let (flags, mask) = (call.int(2), call.arg(3) as u32);
    let known = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | libc::AT_STATX_SYNC_TYPE;
    let reserved = mask & libc::STATX__RESERVED as u32 != 0;
    if flags & !known != 0 || reserved || flags & libc::AT_STATX_SYNC_TYPE == libc::AT_STATX_SYNC_TYPE {
        return Err(Errno::INVAL);
    }
    let path = path_or_none(call, 1, flags)?;
    let target = At::new(call.task).target(call.int(0), &path, flags, Last::Follow)?;
    let told = statx_layout(&target)?;
    call.write_value(call.arg(4), &told)?;
    Ok(0)
}

fn statx_layout(target: &Target) -> Result<StatxLayout> {
    let stat = target.stat()?;
    let time = |time: TimeStamp| StatxTime { seconds: time.seconds, nanoseconds: time.nanoseconds, reserved: 0 };
    let device = |number: u64| [rustix::fs::major(number), rustix::fs::minor(number)];
    let place = target.place();
    let born = if stat.born.is_some() { libc::STATX_BTIME } else { 0 };
    let root = place.is_some_and(|place| std::sync::Arc::ptr_eq(&place.dentry, &place.mount.root));
    Ok(StatxLayout {
        mask: libc::STATX_BASIC_STATS | born | if place.is_some() { STATX_MNT_ID } else { 0 },
        block_size: stat.block_size,
        attributes: if root { STATX_ATTR_MOUNT_ROOT } else { 0 },
        links: stat.links,
        uid: stat.uid,
        gid: stat.gid,
        mode: stat.mode as u16,
        spare: 0,
        inode: stat.inode,
        size: stat.size,
        blocks: stat.blocks,
        attributes_mask: ATTRIBUTES,
        times: [time(stat.accessed), time(stat.born.unwrap_or_default()), time(stat.changed), time(stat.modified)],
        represents: device(stat.represents),
        device: device(stat.device),
        mount: place.map_or(0, |place| place.mount.id),
        rest: [0; 13],
    })
}

fn access_in(call: &mut Call<'_>, directory: i32, first: usize, flags: i32) -> Result<u64> {
    let mode = call.arg(first + 1) as u32;
    if mode & !(READ | WRITE | EXECUTE) != 0 || flags & !(libc::AT_EACCESS | libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW) != 0 {
        return Err(Errno::INVAL);
    }
    let path = call.read_path(call.arg(first))?;
    let at = if flags & libc::AT_EACCESS != 0 { At::new(call.task) } else { At::real(call.task) };
    let target = at.target(directory, &path, flags, Last::Follow)?;
    let inode = match target.inode(Errno::NOENT) {
        Ok(inode) => inode,
        // A pipe or socket of its own: whoever has it may use it.
        Err(_) => return Ok(0),
    };
    let node_kind = inode.permissions()?.0 & kind::MASK;
    if let Some(place) = target.place() {
        if mode & EXECUTE != 0 && node_kind == kind::REGULAR && place.flags().contains(MountFlags::NO_EXECUTION) {
            return Err(Errno::ACCESS);
        }
        permission::check(inode.as_ref(), at.credentials(), mode)?;
        let writes_to_it = matches!(node_kind, kind::REGULAR | kind::DIRECTORY | kind::SYMLINK);
        if mode & WRITE != 0 && writes_to_it {
            place.mount.writable()?;
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_have_linux_sizes() {
        assert_eq!(size_of::<StatLayout>(), size_of::<libc::stat>());
        assert_eq!(size_of::<StatxLayout>(), size_of::<libc::statx>());
        assert_eq!(std::mem::offset_of!(StatxLayout, mount), std::mem::offset_of!(libc::statx, stx_mnt_id));
        assert_eq!(std::mem::offset_of!(StatxLayout, times), std::mem::offset_of!(libc::statx, stx_atime));
        assert_eq!(std::mem::offset_of!(StatLayout, times), std::mem::offset_of!(libc::stat, st_atime));
    }
}
