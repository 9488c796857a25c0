//! `open`, `openat`, `openat2`, `creat`.

use std::sync::Arc;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::At;
use crate::call::Call;
use crate::dispatch::Calls;
use crate::file::File;
use crate::task::Task;
use crate::vfs::inode::{Stat, kind};
use crate::vfs::open::flags;
use crate::vfs::opening::{self, How};
use crate::vfs::path::Resolve;
use crate::vfs::place::Place;
use crate::{Errno, Result};

pub const CALLS: Calls = &[(libc::SYS_open, open), (libc::SYS_openat, openat), (libc::SYS_openat2, openat2), (libc::SYS_creat, creat)];

/// `struct open_how`.
#[derive(Clone, Copy, FromBytes, Immutable, IntoBytes)]
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

fn open(call: &mut Call<'_>) -> Result<u64> {
    let path = call.read_path(call.arg(0))?;
    answer(call, libc::AT_FDCWD, &path, call.int(1) as u32, call.int(2) as u32)
}

fn openat(call: &mut Call<'_>) -> Result<u64> {
    let path = call.read_path(call.arg(1))?;
    answer(call, call.int(0), &path, call.int(2) as u32, call.int(3) as u32)
}

fn creat(call: &mut Call<'_>) -> Result<u64> {
    let path = call.read_path(call.arg(0))?;
    answer(call, libc::AT_FDCWD, &path, flags::CREATE | flags::WRITE_ONLY | flags::TRUNCATE, call.int(1) as u32)
}

/// O_TMPFILE's own bit is given together with O_DIRECTORY; alone it is an old O_PATH-like nothing.
fn known(flags: u32) -> u32 {
    const KNOWN: u32 = flags::ACCESS
        | flags::CREATE
        | flags::EXCLUSIVE
        | flags::NO_TERMINAL
        | flags::TRUNCATE
        | flags::APPEND
        | flags::NON_BLOCKING
        | flags::ASYNC
        | flags::DIRECT
        | flags::LARGE_FILE
        | flags::DIRECTORY
        | flags::NO_FOLLOW
        | flags::NO_ACCESS_TIME
        | flags::CLOSE_ON_EXEC
        | flags::SYNC
        | flags::DATA_SYNC
        | flags::PATH
        | flags::TEMPORARY;
    flags & KNOWN
}

fn answer(call: &mut Call<'_>, directory: i32, path: &[u8], flags: u32, mode: u32) -> Result<u64> {
    open_in(call, directory, path, How::new(known(flags), mode)?, Resolve::empty())
}

fn openat2(call: &mut Call<'_>) -> Result<u64> {
    let (how_at, size) = (call.arg(2), call.arg(3) as usize);
    if size < size_of::<OpenHow>() {
        return Err(Errno::INVAL);
    }
    if size > 4096 {
        return Err(Errno::TOOBIG);
    }
    let path = call.read_path(call.arg(1))?;
    let mut bytes = vec![0; size];
    call.read(how_at, &mut bytes)?;
    let (how, rest) = OpenHow::read_from_prefix(&bytes).map_err(|_| Errno::INVAL)?;
    if rest.iter().any(|byte| *byte != 0) {
        return Err(Errno::TOOBIG);
    }
    let (how, resolve) = strict(how)?;
    open_in(call, call.int(0), &path, how, resolve)
}

/// `openat2` refuses what `open` ignores.
fn strict(how: OpenHow) -> Result<(How, Resolve)> {
    let flags = u32::try_from(how.flags).map_err(|_| Errno::INVAL)?;
    let resolve = Resolve::from_bits(how.resolve).ok_or(Errno::INVAL)?;
    let makes = flags & (flags::CREATE | flags::TEMPORARY) != 0;
    let both = Resolve::BENEATH | Resolve::IN_ROOT;
    let odd_path = flags & flags::PATH != 0 && flags & !(flags::PATH | flags::DIRECTORY | flags::NO_FOLLOW | flags::CLOSE_ON_EXEC) != 0;
    if flags != known(flags) || how.mode & !0o7777 != 0 || how.mode != 0 && !makes || resolve.contains(both) || odd_path {
        return Err(Errno::INVAL);
    }
    if resolve.contains(Resolve::CACHED) {
        // Nothing here promises not to block; Linux answers so too when it would.
        return Err(Errno::AGAIN);
    }
    Ok((How::new(flags, how.mode as u32)?, resolve))
}

fn open_in(call: &mut Call<'_>, directory: i32, path: &[u8], how: How, resolve: Resolve) -> Result<u64> {
    let task = call.task;
    let how = How { mode: how.mode & !task.fs().umask(), ..how };
    let at = At::new(task);
    let confined = resolve.intersects(Resolve::BENEATH | Resolve::IN_ROOT);
    let start = if confined { at.directory(directory)? } else { at.start(directory, path)? };
    let special = |place: &Place, stat: &Stat, flags: u32| open_special(task, place, stat, flags);
    let file = opening::open(&at.confined(resolve), &start, path, how, &special)?;
    let limit = task.process.limit(libc::RLIMIT_NOFILE);
    let fd = task.files().install(file, 0, how.flags & flags::CLOSE_ON_EXEC != 0, limit)?;
    Ok(fd as u64)
}

/// Opens a FIFO or device.
pub(super) fn open_special(task: &Arc<Task>, place: &Place, stat: &Stat, flags: u32) -> Result<Arc<dyn File>> {
    let inode = place.inode()?;
    match stat.mode & kind::MASK {
        kind::FIFO => Ok(crate::pipe::open_fifo(task, inode.clone(), flags)?),
        node_kind => crate::fs::dev::open(task, place, node_kind == kind::CHARACTER, stat.represents, flags),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openat2_is_strict() {
        let how = |flags: u32, mode: u64, resolve: u64| strict(OpenHow { flags: flags.into(), mode, resolve }).map(|_| ());
        assert_eq!(how(flags::READ_ONLY, 0, 0), Ok(()));
        assert_eq!(how(flags::READ_ONLY, 0o644, 0), Err(Errno::INVAL));
        assert_eq!(how(flags::CREATE | flags::WRITE_ONLY, 0o644, 0x8), Ok(()));
        assert_eq!(how(flags::CREATE, 0o10644, 0), Err(Errno::INVAL));
        assert_eq!(how(flags::READ_ONLY, 0, 0x18), Err(Errno::INVAL));
        assert_eq!(how(flags::READ_ONLY, 0, 0x40), Err(Errno::INVAL));
        assert_eq!(how(flags::PATH | flags::READ_WRITE, 0, 0), Err(Errno::INVAL));
        assert_eq!(how(1 << 30, 0, 0), Err(Errno::INVAL));
    }
}
