//! `fallocate`.

use crate::call::Call;
use crate::dispatch::Calls;
use crate::signal::{self, Origin};
use crate::vfs::inode::kind;
use crate::{Errno, Result};

pub const CALLS: Calls = &[(libc::SYS_fallocate, fallocate)];

fn fallocate(call: &mut Call<'_>) -> Result<u64> {
    let (mode, offset, length) = (call.int(1), call.arg(2) as i64, call.arg(3) as i64);
    let file = call.task.files().get(call.int(0))?;
    if offset < 0 || length <= 0 {
        return Err(Errno::INVAL);
    }
    check_mode(mode)?;
    file.writable()?;
    match file.file.stat()?.mode & kind::MASK {
        kind::REGULAR => {}
        kind::FIFO => return Err(Errno::SPIPE),
        kind::DIRECTORY => return Err(Errno::ISDIR),
        _ => return Err(Errno::NODEV),
    }
    let end = offset.checked_add(length).ok_or(Errno::FBIG)?;
    if mode & libc::FALLOC_FL_KEEP_SIZE == 0 && end as u64 > call.task.process.limit(libc::RLIMIT_FSIZE) {
        signal::send_to_task(call.task, libc::SIGXFSZ, Origin::Kernel);
        return Err(Errno::FBIG);
    }
    file.file.allocate(mode as u32, offset as u64, length as u64)?;
    Ok(0)
}

/// Which modes go together (`fs/open.c`: vfs_fallocate).
fn check_mode(mode: i32) -> Result<()> {
    use libc::*;
    let known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_INSERT_RANGE;
    if mode & !known != 0 {
        return Err(Errno::OPNOTSUPP);
    }
    let sole = mode & !FALLOC_FL_KEEP_SIZE;
    if sole.count_ones() > 1 || mode & FALLOC_FL_PUNCH_HOLE != 0 && mode & FALLOC_FL_KEEP_SIZE == 0 {
        return Err(Errno::OPNOTSUPP);
    }
    let moves = FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE;
    if mode & moves != 0 && mode & FALLOC_FL_KEEP_SIZE != 0 { Err(Errno::INVAL) } else { Ok(()) }
}
