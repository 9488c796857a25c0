//! `statfs`, `sync` and its family, `fadvise64`, `readahead`.

use zerocopy::{Immutable, IntoBytes};

use super::{At, Target};
use crate::call::Call;
use crate::dispatch::Calls;
use crate::vfs::inode::kind;
use crate::vfs::mount::{FileSystemStat, MountFlags};
use crate::vfs::path::Last;
use crate::{Errno, Result};

pub const CALLS: Calls = &[
    (libc::SYS_statfs, statfs),
    (libc::SYS_fstatfs, fstatfs),
    (libc::SYS_sync, sync),
    (libc::SYS_syncfs, syncfs),
    (libc::SYS_fsync, |call| sync_file(call, false)),
    (libc::SYS_fdatasync, |call| sync_file(call, true)),
    (libc::SYS_sync_file_range, sync_file_range),
    (libc::SYS_fadvise64, fadvise),
    (libc::SYS_readahead, readahead),
];

/// `struct statfs` of x86-64.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Layout {
    magic: u64,
    block_size: u64,
    blocks: u64,
    free: u64,
    available: u64,
    files: u64,
    free_files: u64,
    id: [u32; 2],
    name_max: u64,
    fragment_size: u64,
    flags: u64,
    spare: [u64; 4],
}

/// ST_VALID: the flags are.
const FLAGS_VALID: u64 = 0x20;

fn layout(stat: &FileSystemStat, mount: u64) -> Layout {
    let mut flags = mount & 0xf | FLAGS_VALID;
    // ST_NOATIME, ST_NODIRATIME and ST_RELATIME have the bits of their MS_ counterparts, shifted for one.
    flags |= mount & (MountFlags::NO_ACCESS_TIME | MountFlags::NO_DIRECTORY_ACCESS_TIME).bits();
    if mount & MountFlags::RELATIVE_ACCESS_TIME.bits() != 0 {
        flags |= 0x1000;
    }
    Layout {
        magic: stat.magic,
        block_size: stat.block_size,
        blocks: stat.blocks,
        free: stat.free,
        available: stat.available,
        files: stat.files,
        free_files: stat.free_files,
        id: [0; 2],
        name_max: stat.name_max,
        fragment_size: stat.block_size,
        flags,
        spare: [0; 4],
    }
}

fn statfs(call: &mut Call<'_>) -> Result<u64> {
    let path = call.read_path(call.arg(0))?;
    let target = At::new(call.task).target(libc::AT_FDCWD, &path, 0, Last::Follow)?;
    let (stat, flags) = target.file_system()?;
    call.write_value(call.arg(1), &layout(&stat, flags))?;
    Ok(0)
}

fn fstatfs(call: &mut Call<'_>) -> Result<u64> {
    let target = Target::File(call.task.files().get_any(call.int(0))?);
    let (stat, flags) = target.file_system()?;
    call.write_value(call.arg(1), &layout(&stat, flags))?;
    Ok(0)
}

fn sync(call: &mut Call<'_>) -> Result<u64> {
    for mount in At::new(call.task).root().mount.tree() {
        // As on Linux, nobody is told of what failed.
        let _ = mount.super_block.file_system.sync();
    }
    Ok(0)
}

fn syncfs(call: &mut Call<'_>) -> Result<u64> {
    let file = call.task.files().get(call.int(0))?;
    if let Some(place) = &file.place {
        place.mount.super_block.file_system.sync()?;
    }
    Ok(0)
}

fn sync_file(call: &mut Call<'_>, data_only: bool) -> Result<u64> {
    call.task.files().get(call.int(0))?.file.sync(data_only)?;
    Ok(0)
}

fn sync_file_range(call: &mut Call<'_>) -> Result<u64> {
    let (offset, length, flags) = (call.arg(1) as i64, call.arg(2) as i64, call.arg(3));
    if flags & !7 != 0 || offset < 0 || length < 0 || offset.checked_add(length).is_none() {
        return Err(Errno::INVAL);
    }
    let file = call.task.files().get(call.int(0))?;
    match file.file.stat()?.mode & kind::MASK {
        kind::REGULAR | kind::BLOCK | kind::DIRECTORY | kind::SYMLINK => {}
        _ => return Err(Errno::SPIPE),
    }
    // It promises less than fdatasync; that is what there is.
    if flags != 0 {
        file.file.sync(true)?;
    }
    Ok(0)
}

fn fadvise(call: &mut Call<'_>) -> Result<u64> {
    let (length, advice) = (call.arg(2) as i64, call.int(3));
    let file = call.task.files().get(call.int(0))?;
    if file.file.stat()?.mode & kind::MASK == kind::FIFO {
        return Err(Errno::SPIPE);
    }
    if length < 0 || !(libc::POSIX_FADV_NORMAL..=libc::POSIX_FADV_NOREUSE).contains(&advice) {
        return Err(Errno::INVAL);
    }
    Ok(0)
}

fn readahead(call: &mut Call<'_>) -> Result<u64> {
    let file = call.task.files().get(call.int(0))?;
    file.readable()?;
    if file.file.stat()?.mode & kind::MASK != kind::REGULAR {
        return Err(Errno::INVAL);
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_has_linux_size() {
        assert_eq!(size_of::<Layout>(), size_of::<libc::statfs>());
        assert_eq!(std::mem::offset_of!(Layout, flags), std::mem::offset_of!(libc::statfs64, f_flags));
    }
}
