//! Memory of other processes: `man 2 process_vm_readv`, `man 2 process_madvise`.

use std::sync::Arc;

use zerocopy::{FromBytes, IntoBytes};

use super::Memory;
use crate::call::Call;
use crate::task::{Task, lock};
use crate::{Errno, Result};

/// IOV_MAX.
const PIECES_MAX: u64 = 1024;
/// How much is copied at once.
const STEP: usize = 64 << 10;
/// CAP_SYS_PTRACE.
const CAP_SYS_PTRACE: u32 = 19;

/// `struct iovec`.
#[derive(Clone, Copy, FromBytes, IntoBytes)]
#[repr(C)]
struct Piece {
    address: u64,
    length: u64,
}

/// `man 2 process_vm_readv`
pub fn process_vm_readv(call: &mut Call<'_>) -> Result<u64> {
    copy(call, false)
}

/// `man 2 process_vm_writev`
pub fn process_vm_writev(call: &mut Call<'_>) -> Result<u64> {
    copy(call, true)
}

fn copy(call: &mut Call<'_>, write: bool) -> Result<u64> {
    let [pid, local, local_count, remote, remote_count, flags] = call.args;
    if flags != 0 {
        return Err(Errno::INVAL);
    }
    let local = pieces(call, local, local_count)?;
    let remote = pieces(call, remote, remote_count)?;
    if local.iter().all(|piece| piece.length == 0) || remote.is_empty() {
        return Ok(0);
    }
    let memory = memory_of(call, pid as i32)?;
    let mut done = 0;
    for (local, remote, length) in pairs(local, remote) {
        match copy_piece(call, &memory, (local, remote), length, write) {
            Ok(()) => done += length as u64,
            Err(_) if done > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// EINVAL for more than IOV_MAX, or lengths that are negative.
fn pieces(call: &mut Call<'_>, address: u64, count: u64) -> Result<Vec<Piece>> {
    if count > PIECES_MAX {
        return Err(Errno::INVAL);
    }
    let pieces: Vec<Piece> = call.read_values(address, count as usize)?;
    let total = pieces.iter().try_fold(0_u64, |total, piece| total.checked_add(piece.length));
    if total.is_some_and(|total| total <= i64::MAX as u64) { Ok(pieces) } else { Err(Errno::INVAL) }
}

/// What is copied from where to where, in steps: local address, remote address, length.
fn pairs(local: Vec<Piece>, remote: Vec<Piece>) -> impl Iterator<Item = (u64, u64, usize)> {
    let (mut here, mut there) = (local.into_iter(), remote.into_iter());
    let empty = Piece { address: 0, length: 0 };
    let (mut mine, mut theirs) = (empty, empty);
    std::iter::from_fn(move || {
        while mine.length == 0 {
            mine = here.next()?;
        }
        while theirs.length == 0 {
            theirs = there.next()?;
        }
        let length = mine.length.min(theirs.length).min(STEP as u64);
        let pair = (mine.address, theirs.address, length as usize);
        for piece in [&mut mine, &mut theirs] {
            piece.address = piece.address.wrapping_add(length);
            piece.length -= length;
        }
        Some(pair)
    })
}

fn copy_piece(call: &mut Call<'_>, memory: &Memory, (local, remote): (u64, u64), length: usize, write: bool) -> Result<()> {
    let mut bytes = vec![0; length];
    if write {
        call.read(local, &mut bytes)?;
        return memory.space.write(remote, &bytes);
    }
    memory.space.read(remote, &mut bytes)?;
    memory.hide_patches(remote, &mut bytes);
    call.write(local, &bytes)
}

/// Another process' memory: ESRCH, EPERM.
fn memory_of(call: &Call<'_>, pid: i32) -> Result<Arc<Memory>> {
    let task = call.task.process.container.pids.task(pid)?;
    if may_trace(call.task, &task) { Ok(task.memory()) } else { Err(Errno::PERM) }
}

/// PTRACE_MODE_ATTACH_REALCREDS: the same user, and not more capable.
fn may_trace(tracer: &Task, task: &Task) -> bool {
    if Arc::ptr_eq(&tracer.process, &task.process) {
        return true;
    }
    let (mine, theirs) = (tracer.credentials(), task.credentials());
    if mine.capable(CAP_SYS_PTRACE) {
        return true;
    }
    let same_user = [theirs.uid, theirs.euid, theirs.suid].iter().all(|uid| *uid == mine.uid);
    let same_group = [theirs.gid, theirs.egid, theirs.sgid].iter().all(|gid| *gid == mine.gid);
    same_user && same_group && theirs.permitted & !mine.permitted == 0 && lock(&task.process.details).dumpable == 1
}

/// `man 2 process_madvise`: only the host could do it, so the advice, which has no effect that could be seen, is ignored.
pub fn process_madvise(call: &mut Call<'_>) -> Result<u64> {
    let [_, local, count, advice, flags, _] = call.args;
    let known = [libc::MADV_COLD, libc::MADV_PAGEOUT, libc::MADV_WILLNEED, libc::MADV_COLLAPSE].contains(&(advice as i32));
    if flags != 0 || !known {
        return Err(Errno::INVAL);
    }
    // The descriptor has to be a process'.
    call.task.files().get(call.int(0))?;
    Ok(pieces(call, local, count)?.iter().map(|piece| piece.length).sum())
}

/// `man 2 process_mrelease`: a process that is dying gives up its memory by itself.
pub fn process_mrelease(call: &mut Call<'_>) -> Result<u64> {
    if call.arg(1) != 0 {
        return Err(Errno::INVAL);
    }
    call.task.files().get(call.int(0))?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_pieces_of_different_lengths() {
        let piece = |address, length| Piece { address, length };
        let local = vec![piece(10, 0), piece(100, 5), piece(200, 3)];
        let remote = vec![piece(1000, 2), piece(2000, 0), piece(3000, 9)];
        let pairs: Vec<_> = pairs(local, remote).collect();
        assert_eq!(pairs, [(100, 1000, 2), (102, 3000, 3), (200, 3003, 3)]);
    }
}
