//! `copy_file_range`, and `ioctl`'s common part.

use std::sync::atomic::Ordering;

use crate::call::Call;
use crate::dispatch::Calls;
use crate::task::lock;
use crate::vfs::inode::kind;
use crate::vfs::open::{OpenFile, flags};
use crate::{Errno, Result};

pub const CALLS: Calls = &[(libc::SYS_copy_file_range, copy_file_range), (libc::SYS_ioctl, ioctl)];

/// Bytes that are copied in one step.
const STEP: usize = 256 << 10;

fn copy_file_range(call: &mut Call<'_>) -> Result<u64> {
    let files = call.task.files();
    let (from, to) = (files.get(call.int(0))?, files.get(call.int(2))?);
    let (from_at, to_at, length, flags) = (call.arg(1), call.arg(3), call.arg(4).min(super::vectors::TRANSFER_MAX), call.arg(5));
    if flags != 0 {
        return Err(Errno::INVAL);
    }
    let mut from_offset = read_offset(call, &from, from_at)?;
    let mut to_offset = read_offset(call, &to, to_at)?;
    check(&from, &to)?;
    let same = from.file.stat().and_then(|one| to.file.stat().map(|other| (one.device, one.inode) == (other.device, other.inode)))?;
    let apart = from_offset.abs_diff(to_offset) >= length;
    if same && !apart {
        return Err(Errno::INVAL);
    }
    let limit = call.task.process.limit(libc::RLIMIT_FSIZE);
    if to_offset >= limit && length > 0 {
        crate::signal::send_to_task(call.task, libc::SIGXFSZ, crate::signal::Origin::Kernel);
        return Err(Errno::FBIG);
    }
    let length = length.min(limit.saturating_sub(to_offset));
    let done = copy(&from, &to, &mut from_offset, &mut to_offset, length)?;
    write_offset(call, &from, from_at, from_offset)?;
    write_offset(call, &to, to_at, to_offset)?;
    Ok(done)
}

fn check(from: &OpenFile, to: &OpenFile) -> Result<()> {
    for file in [from, to] {
        match file.file.stat()?.mode & kind::MASK {
            kind::REGULAR => {}
            kind::DIRECTORY => return Err(Errno::ISDIR),
            _ => return Err(Errno::INVAL),
        }
    }
    from.readable()?;
    to.writable()?;
    if to.flags() & flags::APPEND != 0 { Err(Errno::BADF) } else { Ok(()) }
}

fn read_offset(call: &mut Call<'_>, file: &OpenFile, address: u64) -> Result<u64> {
    if address == 0 {
        return Ok(*lock(&file.offset));
    }
    u64::try_from(call.read_value::<i64>(address)?).map_err(|_| Errno::INVAL)
}

fn write_offset(call: &mut Call<'_>, file: &OpenFile, address: u64, offset: u64) -> Result<()> {
    if address == 0 {
        *lock(&file.offset) = offset;
        return Ok(());
    }
    call.write_value(address, &offset)
}

fn copy(from: &OpenFile, to: &OpenFile, from_offset: &mut u64, to_offset: &mut u64, length: u64) -> Result<u64> {
    let mut buffer = vec![0; STEP.min(usize::try_from(length).unwrap_or(STEP))];
    let mut done = 0;
    while done < length {
        let want = usize::try_from(length - done).unwrap_or(STEP).min(STEP);
        let read = from.file.read(buffer.get_mut(..want).unwrap_or_default(), *from_offset);
        let step = read.and_then(|count| to.file.write(buffer.get(..count).unwrap_or_default(), *to_offset));
        match step {
            Ok(0) => break,
            Ok(count) => {
                *from_offset += count as u64;
                *to_offset += count as u64;
                done += count as u64;
            }
            Err(_) if done > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// FS_IOC_GETFLAGS and its likes, for which nothing here has attributes.
const FS_IOC_GETFLAGS: u32 = 0x8008_6601;
const FIOQSIZE: u32 = 0x5460;

fn ioctl(call: &mut Call<'_>) -> Result<u64> {
    let (fd, request, argument) = (call.int(0), call.arg(1) as u32, call.arg(2));
    let files = call.task.files();
    let file = files.get(fd)?;
    match u64::from(request) {
        libc::FIOCLEX => files.set_close_on_exec(fd, true).map(|()| 0),
        libc::FIONCLEX => files.set_close_on_exec(fd, false).map(|()| 0),
        libc::FIONBIO => {
            let on: i32 = call.read_value(argument)?;
            set_flag(&file, flags::NON_BLOCKING, on != 0);
            Ok(0)
        }
        libc::FIOASYNC => {
            let on: i32 = call.read_value(argument)?;
            set_flag(&file, flags::ASYNC, on != 0);
            Ok(0)
        }
        _ => file_ioctl(call, &file, request, argument),
    }
}

fn set_flag(file: &OpenFile, flag: u32, on: bool) {
    let before = if on { file.flags.fetch_or(flag, Ordering::Relaxed) } else { file.flags.fetch_and(!flag, Ordering::Relaxed) };
    file.file.flags_changed(if on { before | flag } else { before & !flag });
}

fn file_ioctl(call: &mut Call<'_>, file: &OpenFile, request: u32, argument: u64) -> Result<u64> {
    let answer = file.file.ioctl(call, request, argument);
    if answer != Err(Errno::NOTTY) {
        return answer;
    }
    let node_kind = file.file.stat().map(|stat| stat.mode & kind::MASK).unwrap_or(0);
    match request {
        FIOQSIZE if matches!(node_kind, kind::REGULAR | kind::DIRECTORY) => {
            call.write_value(argument, &file.file.stat()?.size)?;
            Ok(0)
        }
        FS_IOC_GETFLAGS if matches!(node_kind, kind::REGULAR | kind::DIRECTORY) => {
            call.write_value(argument, &0_u32)?;
            Ok(0)
        }
        _ if u64::from(request) == libc::FIONREAD && node_kind == kind::REGULAR => {
            let left = file.file.stat()?.size as i64 - *lock(&file.offset) as i64;
            call.write_value(argument, &(left.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32))?;
            Ok(0)
        }
        _ => Err(Errno::NOTTY),
    }
}
