//! shmget, shmat, shmdt, shmctl.

use std::sync::Arc;

use rustix::fs::{MemfdFlags, ftruncate};
use zerocopy::{Immutable, IntoBytes};

use super::super::area::{Backing, Flags, ObjectKind, PAGE, Protection};
use super::super::pages::Pages;
use super::super::place::{Fixed, MapRequest, Zone, is_aligned, page_up};
use super::super::{Allowance, Memory};
use super::{SEGMENTS, Segment, add};
use crate::call::Call;
use crate::ipc::limits::limits;
use crate::ipc::{IpcChange, IpcOwner, IpcPermissions, now};
use crate::task::lock;
use crate::{Errno, Result};

const SHM_HUGETLB: i32 = 0o4000;
const SHM_STAT: i32 = 13;
const SHM_INFO: i32 = 14;
const SHM_STAT_ANY: i32 = 15;
const SHM_DEST: u32 = 0o1000;
const SHM_LOCKED: u32 = 0o2000;
const CAP_IPC_LOCK: u32 = 14;

/// `man 2 shmget`
pub fn shmget(call: &mut Call<'_>) -> Result<u64> {
    let (key, size, flags) = (call.int(0), call.arg(1), call.int(2));
    let credentials = call.task.credentials();
    let known = lock(&SEGMENTS).find(key, flags, &credentials, |segment| lock(&segment.state).owner.clone(), |known| size <= known.size)?;
    if let Some(id) = known {
        return Ok(id as u64);
    }
    if size == 0 || size > limits().segment_bytes {
        return Err(Errno::INVAL);
    }
    if flags & SHM_HUGETLB != 0 {
        return Err(Errno::NOMEM);
    }
    let length = page_up(size).filter(|length| *length <= i64::MAX as u64).ok_or(Errno::NOMEM)?;
    let pages = Pages::new("sysv", MemfdFlags::empty()).map_err(|_| Errno::NOMEM)?;
    ftruncate(&pages, length).map_err(|_| Errno::NOMEM)?;
    let owner = IpcOwner::new(key, &credentials, flags as u32);
    Ok(add(owner, size, pages, call.task.process.pid)? as u64)
}

/// `man 2 shmat`
pub fn shmat(call: &mut Call<'_>) -> Result<u64> {
    let (id, address, flags) = (call.int(0), call.arg(1), call.int(2));
    let (address, fixed) = attach_address(address, flags)?;
    let segment = lock(&SEGMENTS).get(id)?.clone();
    let read_only = flags & libc::SHM_RDONLY != 0;
    let execute = flags & libc::SHM_EXEC != 0;
    let want = 0o4 | if read_only { 0 } else { 0o2 } | u32::from(execute);
    lock(&segment.state).owner.check(&call.task.credentials(), want)?;
    let mut protection = Protection::READ;
    protection.set(Protection::WRITE, !read_only);
    protection.set(Protection::EXEC, execute);
    let mut of = Flags::SHARED;
    of.set(Flags::NEVER_WRITE, read_only);
    let source = segment.pages.map(!read_only)?;
    let request = MapRequest {
        address,
        length: segment.size,
        fixed,
        zone: Zone::Any,
        protection,
        flags: of,
        backing: Backing::Object(segment.attach(Some(call.task.process.pid), source), 0),
    };
    let answer = call.task.memory().map(call.context, &Allowance::of(call.task), request, false);
    // What is there already is EINVAL here, unlike mmap.
    answer.map_err(|error| if error == Errno::EXIST { Errno::INVAL } else { error })
}

fn attach_address(address: u64, flags: i32) -> Result<(u64, Fixed)> {
    let replace = flags & libc::SHM_REMAP != 0;
    if address == 0 {
        return if replace { Err(Errno::INVAL) } else { Ok((0, Fixed::No)) };
    }
    let rounded = if flags & libc::SHM_RND != 0 { address & !(PAGE - 1) } else { address };
    if !is_aligned(rounded) || (rounded == 0 && replace) {
        return Err(Errno::INVAL);
    }
    Ok((rounded, if replace { Fixed::Replace } else { Fixed::Keep }))
}

/// `man 2 shmdt`
pub fn shmdt(call: &mut Call<'_>) -> Result<u64> {
    let address = call.arg(0);
    let memory = call.task.memory();
    let (segment, parts) = attached_at(&memory, address).ok_or(Errno::INVAL)?;
    for (start, end) in parts {
        memory.unmap(call.context, start, end - start)?;
    }
    lock(&segment.state).last = call.task.process.pid;
    Ok(0)
}

/// Start and end of what is mapped.
type Parts = Vec<(u64, u64)>;

/// The segment attached at an address, and what is mapped of that attachment.
fn attached_at(memory: &Memory, address: u64) -> Option<(Arc<Segment>, Parts)> {
    let regions = memory.regions();
    // The first part may be unmapped: the attachment starts where its offset 0 would be.
    let whose = regions.iter().find_map(|region| match &region.area.backing {
        Backing::Object(object, offset) if region.area.start.wrapping_sub(*offset) == address => Some(object.clone()),
        _ => None,
    })?;
    let ObjectKind::Segment(attachment) = &whose.kind else {
        return None;
    };
    let same = |area: &super::super::Area| matches!(&area.backing, Backing::Object(object, _) if Arc::ptr_eq(object, &whose));
    let parts = regions.iter().map(|region| &region.area).filter(|area| same(area)).map(|area| (area.start, area.end));
    Some((attachment.segment.clone(), parts.collect()))
}

/// `struct shmid64_ds`.
#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C)]
struct Description {
    permissions: IpcPermissions,
    size: u64,
    attached_at: i64,
    detached_at: i64,
    changed_at: i64,
    maker: i32,
    last: i32,
    attached: u64,
    unused: [u64; 2],
}

impl Segment {
    fn describe(&self) -> Description {
        let state = lock(&self.state);
        let mut permissions = state.owner.permissions(state.id);
        permissions.mode |= if state.removed { SHM_DEST } else { 0 } | if state.locked { SHM_LOCKED } else { 0 };
        Description {
            permissions,
            size: self.size,
            attached_at: state.attached_at,
            detached_at: state.detached_at,
            changed_at: state.changed_at,
            maker: state.maker,
            last: state.last,
            attached: state.attached,
            unused: [0; 2],
        }
    }
}

/// `man 2 shmctl`
pub fn shmctl(call: &mut Call<'_>) -> Result<u64> {
    let (id, command, to) = (call.int(0), call.int(1), call.arg(2));
    if id < 0 || command < 0 {
        return Err(Errno::INVAL);
    }
    match command {
        libc::IPC_INFO => told_limits(call, to),
        SHM_INFO => usage(call, to),
        libc::IPC_STAT | SHM_STAT | SHM_STAT_ANY => status(call, id, command, to),
        libc::IPC_SET => change(call, id, to),
        libc::IPC_RMID => {
            let segment = lock(&SEGMENTS).get(id)?.clone();
            lock(&segment.state).owner.check_control(&call.task.credentials())?;
            segment.remove();
            Ok(0)
        }
        libc::SHM_LOCK | libc::SHM_UNLOCK => {
            let segment = lock(&SEGMENTS).get(id)?.clone();
            let credentials = call.task.credentials();
            if !credentials.capable(CAP_IPC_LOCK) {
                lock(&segment.state).owner.check_control(&credentials)?;
                if command == libc::SHM_LOCK && Allowance::of(call.task).locked == 0 {
                    return Err(Errno::PERM);
                }
            }
            lock(&segment.state).locked = command == libc::SHM_LOCK;
            Ok(0)
        }
        _ => Err(Errno::INVAL),
    }
}

fn status(call: &mut Call<'_>, id: i32, command: i32, to: u64) -> Result<u64> {
    let (id, segment) = {
        let table = lock(&SEGMENTS);
        match command {
            libc::IPC_STAT => (0, table.get(id)?.clone()),
            _ => table.at(id).map(|(id, segment)| (id, segment.clone())).ok_or(Errno::INVAL)?,
        }
    };
    if command != SHM_STAT_ANY {
        lock(&segment.state).owner.check(&call.task.credentials(), 0o444)?;
    }
    call.write_value(to, &segment.describe())?;
    Ok(id as u64)
}

fn change(call: &mut Call<'_>, id: i32, from: u64) -> Result<u64> {
    let change: IpcChange = call.read_value(from)?;
    let segment = lock(&SEGMENTS).get(id)?.clone();
    let mut state = lock(&segment.state);
    state.owner.change(&call.task.credentials(), &change)?;
    state.changed_at = now();
    Ok(0)
}

/// `struct shminfo64`; answers the highest slot in use.
fn told_limits(call: &mut Call<'_>, to: u64) -> Result<u64> {
    let most = limits();
    let info = [most.segment_bytes, 1, most.segments, most.segments, most.segment_pages, 0, 0, 0, 0];
    call.write_value(to, &info)?;
    Ok(lock(&SEGMENTS).highest() as u64)
}

/// `struct shm_info`; answers the highest slot in use.
fn usage(call: &mut Call<'_>, to: u64) -> Result<u64> {
    let (used, pages, highest) = {
        let table = lock(&SEGMENTS);
        let pages: u64 = table.iter().map(|(_, segment)| segment.size.div_ceil(PAGE)).sum();
        (table.iter().count() as u64, pages, table.highest())
    };
    call.write_value(to, &[used, pages, pages, 0, 0, 0])?;
    Ok(highest as u64)
}
