//! mmap, munmap, mprotect, mremap, brk and what belongs to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{MemfdFlags, fstat, ftruncate};

use super::super::area::{Backing, Flags, Object, ObjectKind, PAGE, Protection};
use super::super::pages::Pages;
use super::super::place::{Fixed, MapRequest, Zone, is_aligned, page_up};
use super::super::{Allowance, RemapRequest};
use crate::call::Call;
use crate::vfs::mount::MountFlags;
use crate::vfs::open::OpenFile;
use crate::{Errno, Result};

/// MAP_ABOVE4G.
const MAP_ABOVE4G: i32 = 0x80;
/// PROT_SEM, PROT_GROWSDOWN and PROT_GROWSUP.
const PROT_SEM: i32 = 8;
/// The device number of `/dev/zero`.
const DEV_ZERO: u64 = 0x105;
/// What MAP_SHARED_VALIDATE takes: every flag that is older than it.
const LEGACY_FLAGS: i32 = libc::MAP_TYPE
    | libc::MAP_FIXED
    | libc::MAP_ANONYMOUS
    | libc::MAP_DENYWRITE
    | libc::MAP_EXECUTABLE
    | libc::MAP_GROWSDOWN
    | libc::MAP_LOCKED
    | libc::MAP_NORESERVE
    | libc::MAP_POPULATE
    | libc::MAP_NONBLOCK
    | libc::MAP_STACK
    | libc::MAP_HUGETLB
    | libc::MAP_32BIT
    | MAP_ABOVE4G
    | (0x3f << 26);

/// `man 2 mmap`
pub fn mmap(call: &mut Call<'_>) -> Result<u64> {
    let [address, length, protection, flags, fd, offset] = call.args;
    let (protection, flags) = (Protection::from_bits_truncate(protection as u32), flags as i32);
    if !is_aligned(offset) {
        return Err(Errno::INVAL);
    }
    let file = match flags & libc::MAP_ANONYMOUS {
        0 => Some(call.task.files().get(fd as i32)?),
        _ => None,
    };
    if flags & libc::MAP_HUGETLB != 0 {
        // There are no huge pages in the pool, and no files of hugetlbfs.
        return Err(if file.is_some() || length == 0 { Errno::INVAL } else { Errno::NOMEM });
    }
    if length == 0 {
        return Err(Errno::INVAL);
    }
    let length = page_up(length).ok_or(Errno::NOMEM)?;
    if (offset / PAGE).checked_add(length / PAGE).is_none() || offset.checked_add(length).is_none() {
        return Err(Errno::OVERFLOW);
    }
    let allowance = Allowance::of(call.task);
    if flags & libc::MAP_LOCKED != 0 && allowance.locked == 0 {
        return Err(Errno::PERM);
    }
    let (backing, more) = match &file {
        Some(file) => file_backing(file, protection, flags, (offset, length))?,
        None => anonymous_backing(flags, length)?,
    };
    let request =
        MapRequest { address, length, fixed: fixed(flags), zone: zone(flags), protection, flags: area_flags(flags) | more, backing };
    let populate = flags & libc::MAP_POPULATE != 0 && flags & libc::MAP_NONBLOCK == 0;
    let memory = call.task.memory();
    if !populate && let Some((address, later)) = memory.map_later(&allowance, &request) {
        call.later = Some(later);
        return Ok(address);
    }
    memory.map(call.context, &allowance, request, populate)
}

/// Maps a page of zeros where there is room, for what the kernel gives a program without being asked where.
pub fn map_page(call: &mut Call<'_>) -> Result<u64> {
    let request = MapRequest {
        address: 0,
        length: PAGE,
        fixed: Fixed::No,
        zone: Zone::Any,
        protection: Protection::READ | Protection::WRITE,
        flags: Flags::empty(),
        backing: Backing::Anonymous,
    };
    call.task.memory().map(call.context, &Allowance::of(call.task), request, false)
}

fn fixed(flags: i32) -> Fixed {
    if flags & libc::MAP_FIXED_NOREPLACE != 0 {
        Fixed::Keep
    } else if flags & libc::MAP_FIXED != 0 {
        Fixed::Replace
    } else {
        Fixed::No
    }
}

fn zone(flags: i32) -> Zone {
    if flags & libc::MAP_32BIT != 0 {
        Zone::Below2G
    } else if flags & MAP_ABOVE4G != 0 {
        Zone::Above4G
    } else {
        Zone::Any
    }
}

fn area_flags(flags: i32) -> Flags {
    let mut of = Flags::empty();
    of.set(Flags::GROWS_DOWN, flags & libc::MAP_GROWSDOWN != 0);
    of.set(Flags::LOCKED, flags & libc::MAP_LOCKED != 0);
    of.set(Flags::NO_RESERVE, flags & libc::MAP_NORESERVE != 0);
    of.set(Flags::NO_HUGE, flags & libc::MAP_STACK != 0);
    of
}

fn anonymous_backing(flags: i32, length: u64) -> Result<(Backing, Flags)> {
    match flags & libc::MAP_TYPE {
        libc::MAP_PRIVATE => Ok((Backing::Anonymous, Flags::empty())),
        libc::MAP_SHARED if flags & libc::MAP_GROWSDOWN == 0 => Ok((shared_memory(length)?, Flags::SHARED)),
        _ => Err(Errno::INVAL),
    }
}

/// Shared memory without a name: a memfd, which stays when stubs end.
fn shared_memory(length: u64) -> Result<Backing> {
    let pages = Pages::new("shared", MemfdFlags::empty()).map_err(|_| Errno::NOMEM)?;
    ftruncate(&pages, length).map_err(|_| Errno::NOMEM)?;
    let inode = fstat(&pages).map_err(|_| Errno::NOMEM)?.st_ino;
    let source = pages.map(true)?;
    Ok(Backing::Object(Arc::new(Object { source, kind: ObjectKind::Anonymous, identity: (1, inode) }), 0))
}

/// What mapping a file comes to: EACCES, EPERM, ENODEV, EOPNOTSUPP, EINVAL.
fn file_backing(file: &Arc<OpenFile>, protection: Protection, flags: i32, (offset, length): (u64, u64)) -> Result<(Backing, Flags)> {
    let kind = flags & libc::MAP_TYPE;
    let mode = file.flags.load(Ordering::Relaxed);
    let access = mode as i32 & libc::O_ACCMODE;
    let shared = kind == libc::MAP_SHARED || kind == libc::MAP_SHARED_VALIDATE;
    if kind == libc::MAP_SHARED_VALIDATE && flags & !LEGACY_FLAGS & !libc::MAP_FIXED_NOREPLACE != 0 {
        return Err(Errno::OPNOTSUPP);
    }
    if !shared && kind != libc::MAP_PRIVATE {
        return Err(Errno::INVAL);
    }
    let writable = access == libc::O_RDWR;
    if access == libc::O_WRONLY || (shared && protection.contains(Protection::WRITE) && !writable) {
        return Err(Errno::ACCESS);
    }
    let no_exec = file.place.as_ref().is_some_and(|place| place.flags().contains(MountFlags::NO_EXECUTION));
    if no_exec && protection.contains(Protection::EXEC) {
        return Err(Errno::PERM);
    }
    let stat = file.file.stat()?;
    if stat.mode & libc::S_IFMT == libc::S_IFCHR && stat.represents == DEV_ZERO {
        return Ok(if shared { (shared_memory(length)?, Flags::SHARED) } else { (Backing::Anonymous, Flags::empty()) });
    }
    let source = file.file.map(shared && writable)?;
    if flags & libc::MAP_GROWSDOWN != 0 {
        return Err(Errno::INVAL);
    }
    let object = Object { source, kind: ObjectKind::File(file.clone()), identity: (stat.device, stat.inode) };
    let mut of = Flags::empty();
    of.set(Flags::SHARED, shared);
    of.set(Flags::NEVER_WRITE, shared && !writable);
    of.set(Flags::NEVER_EXEC, no_exec);
    Ok((Backing::Object(Arc::new(object), offset), of))
}

/// `man 2 munmap`
pub fn munmap(call: &mut Call<'_>) -> Result<u64> {
    let memory = call.task.memory();
    call.later = memory.unmap_later(call.args[0], call.args[1]);
    if call.later.is_none() {
        memory.unmap(call.context, call.args[0], call.args[1])?;
    }
    Ok(0)
}

/// `man 2 mprotect`
pub fn mprotect(call: &mut Call<'_>) -> Result<u64> {
    let [address, length, bits, ..] = call.args;
    let bits = bits as i32;
    let (down, up) = (bits & libc::PROT_GROWSDOWN != 0, bits & libc::PROT_GROWSUP != 0);
    if (down && up) || !is_aligned(address) {
        return Err(Errno::INVAL);
    }
    if length == 0 {
        return Ok(0);
    }
    let known = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC | PROT_SEM | libc::PROT_GROWSDOWN | libc::PROT_GROWSUP;
    // Nothing grows up here.
    if bits & !known != 0 || up {
        return Err(Errno::INVAL);
    }
    let protection = Protection::from_bits_truncate(bits as u32);
    let (memory, allowance) = (call.task.memory(), Allowance::of(call.task));
    call.later = if down { None } else { memory.protect_later(&allowance, (address, length), protection) };
    if call.later.is_none() {
        memory.protect(call.context, &allowance, (address, length), protection, down)?;
    }
    Ok(0)
}

/// `man 2 mremap`
pub fn mremap(call: &mut Call<'_>) -> Result<u64> {
    let [address, length, new_length, flags, new_address, _] = call.args;
    let request = RemapRequest { address, length, new_length, flags: flags as i32, new_address };
    call.task.memory().remap(call.context, &Allowance::of(call.task), &request)
}

/// `man 2 brk`
pub fn brk(call: &mut Call<'_>) -> Result<u64> {
    Ok(call.task.memory().set_break(call.context, &Allowance::of(call.task), call.args[0]))
}

/// `man 2 remap_file_pages`: deprecated since Linux 3.16, which only imitates it.
pub fn remap_file_pages(_: &mut Call<'_>) -> Result<u64> {
    Err(Errno::NOSYS)
}

/// `man 2 pkey_mprotect`, on a processor without protection keys: with the key -1 it is mprotect.
pub fn pkey_mprotect(call: &mut Call<'_>) -> Result<u64> {
    if call.int(3) == -1 { mprotect(call) } else { Err(Errno::INVAL) }
}

/// `man 2 pkey_alloc`, on a processor without protection keys.
pub fn pkey_alloc(call: &mut Call<'_>) -> Result<u64> {
    let [flags, rights, ..] = call.args;
    Err(if flags != 0 || rights & !3 != 0 { Errno::INVAL } else { Errno::NOSPC })
}

/// `man 2 pkey_free`
pub fn pkey_free(_: &mut Call<'_>) -> Result<u64> {
    Err(Errno::INVAL)
}

/// `man 2 userfaultfd`: as with `vm.unprivileged_userfaultfd` at 0.
pub fn userfaultfd(_: &mut Call<'_>) -> Result<u64> {
    Err(Errno::PERM)
}

/// `man 2 memfd_secret`: as without `secretmem.enable`.
pub fn memfd_secret(_: &mut Call<'_>) -> Result<u64> {
    Err(Errno::NOSYS)
}
