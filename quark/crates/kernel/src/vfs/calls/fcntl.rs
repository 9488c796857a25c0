//! `fcntl`, `flock`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::call::Call;
use crate::dispatch::Calls;
use crate::task::lock;
use crate::vfs::locks::{self, Kind, Owner, Range};
use crate::vfs::open::{OpenFile, flags};
use crate::{Errno, Result};

pub const CALLS: Calls = &[(libc::SYS_fcntl, fcntl), (libc::SYS_flock, flock)];

const F_SETSIG: i32 = 10;
const F_GETSIG: i32 = 11;
const F_SETOWN_EX: i32 = 15;
const F_GETOWN_EX: i32 = 16;
const F_GETLEASE: i32 = 1025;

/// What F_SETFL changes.
const SETTABLE: u32 = flags::APPEND | flags::NON_BLOCKING | flags::ASYNC | flags::DIRECT | flags::NO_ACCESS_TIME;

fn fcntl(call: &mut Call<'_>) -> Result<u64> {
    let (fd, command, argument) = (call.int(0), call.int(1), call.arg(2));
    let files = call.task.files();
    let file = files.get_any(fd)?;
    match command {
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => {
            let limit = call.task.process.limit(libc::RLIMIT_NOFILE);
            let lowest = i32::try_from(argument).ok().filter(|lowest| (*lowest as u64) < limit).ok_or(Errno::INVAL)?;
            Ok(files.install(file, lowest, command == libc::F_DUPFD_CLOEXEC, limit)? as u64)
        }
        libc::F_GETFD => Ok(files.close_on_exec(fd)?.into()),
        libc::F_SETFD => files.set_close_on_exec(fd, argument & 1 != 0).map(|()| 0),
        libc::F_GETFL => Ok(file.flags().into()),
        _ if file.is_path() => Err(Errno::BADF),
        libc::F_SETFL => set_flags(&file, argument as u32),
        libc::F_GETLK | libc::F_OFD_GETLK => get_lock(call, &file, argument),
        libc::F_SETLK | libc::F_SETLKW | libc::F_OFD_SETLK | libc::F_OFD_SETLKW => set_lock(call, &file, argument),
        F_GETLEASE => Ok(libc::F_UNLCK as u64),
        _ => owner(call, &file, argument),
    }
}

fn set_flags(file: &OpenFile, wanted: u32) -> Result<u64> {
    let before = file.flags();
    let now = before & !SETTABLE | wanted & SETTABLE;
    file.flags.store(now, Ordering::Relaxed);
    file.file.flags_changed(now);
    Ok(0)
}

/// Who gets SIGIO; and commands that are the file's own.
fn owner(call: &mut Call<'_>, file: &OpenFile, argument: u64) -> Result<u64> {
    let command = call.int(1);
    match command {
        libc::F_GETOWN => Ok(lock(&file.owner).0 as i64 as u64),
        libc::F_SETOWN => {
            lock(&file.owner).0 = argument as i32;
            Ok(0)
        }
        F_GETSIG => Ok(lock(&file.owner).1 as u64),
        F_SETSIG => {
            let signal = i32::try_from(argument).ok().filter(|signal| (0..=64).contains(signal)).ok_or(Errno::INVAL)?;
            lock(&file.owner).1 = signal;
            Ok(0)
        }
        F_SETOWN_EX => {
            let [kind, id]: [i32; 2] = call.read_value(argument)?;
            lock(&file.owner).0 = match kind {
                0 | 1 => id,
                2 => id.checked_neg().ok_or(Errno::INVAL)?,
                _ => return Err(Errno::INVAL),
            };
            Ok(0)
        }
        F_GETOWN_EX => {
            let id = lock(&file.owner).0;
            call.write_value(argument, &if id < 0 { [2, -id] } else { [1, id] })?;
            Ok(0)
        }
        _ => file.file.control(command, argument),
    }
}

/// `struct flock`.
#[derive(Clone, Copy, Default, FromBytes, Immutable, IntoBytes)]
#[repr(C)]
struct Flock {
    kind: i16,
    whence: i16,
    padding: u32,
    start: i64,
    length: i64,
    pid: i32,
    end: u32,
}

/// The bytes that a `struct flock` means (`fs/locks.c`: flock_to_posix_lock).
fn range(file: &OpenFile, asked: &Flock) -> Result<Range> {
    let base = match i32::from(asked.whence) {
        libc::SEEK_SET => 0,
        libc::SEEK_CUR => *lock(&file.offset) as i64,
        libc::SEEK_END => file.file.stat()?.size as i64,
        _ => return Err(Errno::INVAL),
    };
    let start = base.checked_add(asked.start).ok_or(Errno::OVERFLOW)?;
    let (start, end) = match asked.length {
        0 => (start, None),
        length if length > 0 => (start, Some(start.checked_add(length - 1).ok_or(Errno::OVERFLOW)?)),
        length => (start.checked_add(length).ok_or(Errno::INVAL)?, Some(start - 1)),
    };
    let start = u64::try_from(start).map_err(|_| Errno::INVAL)?;
    Ok(Range { start, end: end.map_or(u64::MAX, |end| end as u64) })
}

fn lock_kind(kind: i16) -> Result<Option<Kind>> {
    match i32::from(kind) {
        libc::F_RDLCK => Ok(Some(Kind::Shared)),
        libc::F_WRLCK => Ok(Some(Kind::Exclusive)),
        libc::F_UNLCK => Ok(None),
        _ => Err(Errno::INVAL),
    }
}

fn is_own(command: i32) -> bool {
    matches!(command, libc::F_OFD_GETLK | libc::F_OFD_SETLK | libc::F_OFD_SETLKW)
}

/// POSIX locks are the process' (its descriptor table's), OFD locks the open file's.
fn lock_owner(call: &Call<'_>, file: &Arc<OpenFile>, asked: &Flock) -> Result<Owner> {
    if !is_own(call.int(1)) {
        return Ok(Owner::Process { table: call.task.files().id, pid: call.task.process.pid });
    }
    if asked.pid != 0 { Err(Errno::INVAL) } else { Ok(Owner::File(Arc::as_ptr(file).addr())) }
}

fn get_lock(call: &mut Call<'_>, file: &Arc<OpenFile>, address: u64) -> Result<u64> {
    let mut asked: Flock = call.read_value(address)?;
    let kind = lock_kind(asked.kind)?.ok_or(Errno::INVAL)?;
    let owner = lock_owner(call, file, &asked)?;
    match locks::conflict(locks::key(file)?, owner, kind, range(file, &asked)?) {
        None => asked.kind = libc::F_UNLCK as i16,
        Some(held) => {
            asked = Flock {
                kind: if held.kind == Kind::Shared { libc::F_RDLCK } else { libc::F_WRLCK } as i16,
                start: held.range.start as i64,
                length: if held.range.end == u64::MAX { 0 } else { (held.range.end - held.range.start) as i64 + 1 },
                pid: held.owner.pid(),
                ..Flock::default()
            }
        }
    }
    call.write_value(address, &asked)?;
    Ok(0)
}

fn set_lock(call: &mut Call<'_>, file: &Arc<OpenFile>, address: u64) -> Result<u64> {
    let asked: Flock = call.read_value(address)?;
    let kind = lock_kind(asked.kind)?;
    let owner = lock_owner(call, file, &asked)?;
    let range = range(file, &asked)?;
    match kind {
        Some(Kind::Shared) => file.readable()?,
        Some(Kind::Exclusive) => file.writable()?,
        None => {}
    }
    let waits = matches!(call.int(1), libc::F_SETLKW | libc::F_OFD_SETLKW);
    locks::set(call.task, file, owner, kind, range, waits)?;
    Ok(0)
}

fn flock(call: &mut Call<'_>) -> Result<u64> {
    let file = call.task.files().get(call.int(0))?;
    let operation = call.int(1);
    let kind = match operation & !libc::LOCK_NB {
        libc::LOCK_SH => Some(Kind::Shared),
        libc::LOCK_EX => Some(Kind::Exclusive),
        libc::LOCK_UN => None,
        _ => return Err(Errno::INVAL),
    };
    let owner = Owner::Flock(Arc::as_ptr(&file).addr());
    locks::set(call.task, &file, owner, kind, Range::ALL, operation & libc::LOCK_NB == 0)?;
    Ok(0)
}
