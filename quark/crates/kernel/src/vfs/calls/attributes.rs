//! `chmod`, `chown`, the `utime` family, `truncate`.

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{At, Target};
use crate::call::Call;
use crate::dispatch::Calls;
use crate::exec::busy::Writing;
use crate::fs::memory::without_privileges;
use crate::fs::now;
use crate::signal::{self, Origin};
use crate::task::Credentials;
use crate::vfs::inode::{Attributes, Stat, TimeStamp, kind};
use crate::vfs::notify::{self, mask};
use crate::vfs::path::Last;
use crate::vfs::permission::{self, WRITE, capability, in_group, owns};
use crate::{Errno, Result};

pub const CALLS: Calls = &[
    (libc::SYS_chmod, |call| chmod_in(call, libc::AT_FDCWD, 0, 0)),
    (libc::SYS_fchmodat, |call| chmod_in(call, call.int(0), 1, 0)),
    (libc::SYS_fchmodat2, |call| chmod_in(call, call.int(0), 1, call.int(3))),
    (libc::SYS_fchmod, fchmod),
    (libc::SYS_chown, |call| chown_in(call, libc::AT_FDCWD, 0, 0)),
    (libc::SYS_lchown, |call| chown_in(call, libc::AT_FDCWD, 0, libc::AT_SYMLINK_NOFOLLOW)),
    (libc::SYS_fchownat, |call| chown_in(call, call.int(0), 1, call.int(4))),
    (libc::SYS_fchown, fchown),
    (libc::SYS_utime, utime),
    (libc::SYS_utimes, |call| utimes_in(call, libc::AT_FDCWD, 0)),
    (libc::SYS_futimesat, |call| utimes_in(call, call.int(0), 1)),
    (libc::SYS_utimensat, utimensat),
    (libc::SYS_truncate, truncate),
    (libc::SYS_ftruncate, ftruncate),
];

/// Who watches it is told.
fn tell(target: &Target, event: u32) {
    if let Some(place) = target.place() {
        notify::at(place, event);
    }
}

/// What acts on a descriptor, which must not be O_PATH.
fn of_descriptor(call: &Call<'_>) -> Result<Target> {
    Ok(Target::File(call.task.files().get(call.int(0))?))
}

fn chmod_in(call: &mut Call<'_>, directory: i32, first: usize, flags: i32) -> Result<u64> {
    if flags & !(libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH) != 0 {
        return Err(Errno::INVAL);
    }
    let path = call.read_path(call.arg(first))?;
    let mode = call.arg(first + 1) as u32;
    let at = At::new(call.task);
    let target = at.target(directory, &path, flags, Last::Follow)?;
    chmod(at.credentials(), &target, mode)
}

fn fchmod(call: &mut Call<'_>) -> Result<u64> {
    let target = of_descriptor(call)?;
    chmod(&call.task.credentials(), &target, call.arg(1) as u32)
}

fn chmod(credentials: &Credentials, target: &Target, mode: u32) -> Result<u64> {
    let inode = target.inode(Errno::OPNOTSUPP)?;
    let stat = inode.stat()?;
    target.writable()?;
    if !owns(credentials, stat.uid) {
        return Err(Errno::PERM);
    }
    if stat.mode & kind::MASK == kind::SYMLINK {
        return Err(Errno::OPNOTSUPP);
    }
    let mut mode = mode & 0o7777;
    if !in_group(credentials, stat.gid) && !credentials.capable(capability::FSETID) {
        mode &= !0o2000;
    }
    inode.set_attributes(&Attributes { mode: Some(mode), ..Attributes::default() })?;
    tell(target, mask::ATTRIB);
    Ok(0)
}

fn chown_in(call: &mut Call<'_>, directory: i32, first: usize, flags: i32) -> Result<u64> {
    if flags & !(libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH) != 0 {
        return Err(Errno::INVAL);
    }
    let path = call.read_path(call.arg(first))?;
    let owner = (call.arg(first + 1) as u32, call.arg(first + 2) as u32);
    let at = At::new(call.task);
    let target = at.target(directory, &path, flags, Last::Follow)?;
    chown(at.credentials(), &target, owner)
}

fn fchown(call: &mut Call<'_>) -> Result<u64> {
    let target = of_descriptor(call)?;
    chown(&call.task.credentials(), &target, (call.arg(1) as u32, call.arg(2) as u32))
}

/// What `chown` changes: -1 stays. EPERM unless CAP_CHOWN, or one's own file given to a group of one's own.
fn plan_chown(credentials: &Credentials, stat: &Stat, (uid, gid): (u32, u32)) -> Result<Attributes> {
    let given = |id: u32| (id != u32::MAX).then_some(id);
    let (uid, gid) = (given(uid), given(gid));
    if !credentials.capable(capability::CHOWN) {
        let mine = credentials.fsuid == stat.uid;
        let keeps_user = uid.is_none_or(|uid| mine && uid == stat.uid);
        let keeps_group = gid.is_none_or(|gid| mine && (gid == stat.gid || in_group(credentials, gid)));
        if !keeps_user || !keeps_group {
            return Err(Errno::PERM);
        }
    }
    let directory = stat.mode & kind::MASK == kind::DIRECTORY;
    let mode = without_privileges(stat.mode & 0o7777);
    let loses = !directory && mode != stat.mode & 0o7777 && stat.mode & kind::MASK != kind::SYMLINK;
    Ok(Attributes { uid, gid, mode: loses.then_some(mode), ..Attributes::default() })
}

fn chown(credentials: &Credentials, target: &Target, owner: (u32, u32)) -> Result<u64> {
    let inode = target.inode(Errno::OPNOTSUPP)?;
    target.writable()?;
    let change = plan_chown(credentials, &inode.stat()?, owner)?;
    inode.set_attributes(&change)?;
    tell(target, mask::ATTRIB);
    // File capabilities don't survive a new owner (`capabilities(7)`).
    if inode.extended_attribute(b"security.capability").is_ok() {
        let _ = inode.set_extended_attribute(b"security.capability", None, 0);
    }
    Ok(0)
}

/// `struct timespec` and `struct timeval`.
#[derive(Clone, Copy, FromBytes, Immutable, IntoBytes)]
#[repr(C)]
struct Time {
    seconds: i64,
    fraction: i64,
}

/// What happens to one of the two times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stamp {
    Now,
    Stay,
    At(TimeStamp),
}

fn utime(call: &mut Call<'_>) -> Result<u64> {
    let path = call.read_path(call.arg(0))?;
    let stamps = match call.arg(1) {
        0 => [Stamp::Now; 2],
        address => call.read_value::<[i64; 2]>(address)?.map(|seconds| Stamp::At(TimeStamp { seconds, nanoseconds: 0 })),
    };
    let at = At::new(call.task);
    set_times(at.credentials(), &at.target(libc::AT_FDCWD, &path, 0, Last::Follow)?, stamps)
}

fn utimes_in(call: &mut Call<'_>, directory: i32, first: usize) -> Result<u64> {
    let stamps = match call.arg(first + 1) {
        0 => [Stamp::Now; 2],
        address => {
            let [accessed, modified] = call.read_value::<[Time; 2]>(address)?.map(|time| match time.fraction {
                0..=999_999 => Ok(Stamp::At(TimeStamp { seconds: time.seconds, nanoseconds: time.fraction as u32 * 1000 })),
                _ => Err(Errno::INVAL),
            });
            [accessed?, modified?]
        }
    };
    times_at(call, directory, call.arg(first), 0, stamps)
}

fn utimensat(call: &mut Call<'_>) -> Result<u64> {
    let flags = call.int(3);
    if flags & !(libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH) != 0 {
        return Err(Errno::INVAL);
    }
    let stamps = match call.arg(2) {
        0 => [Stamp::Now; 2],
        address => {
            let [accessed, modified] = call.read_value::<[Time; 2]>(address)?.map(|time| match time.fraction {
                libc::UTIME_NOW => Ok(Stamp::Now),
                libc::UTIME_OMIT => Ok(Stamp::Stay),
                0..=999_999_999 => Ok(Stamp::At(TimeStamp { seconds: time.seconds, nanoseconds: time.fraction as u32 })),
                _ => Err(Errno::INVAL),
            });
            [accessed?, modified?]
        }
    };
    if stamps == [Stamp::Stay; 2] {
        return Ok(0);
    }
    times_at(call, call.int(0), call.arg(1), flags, stamps)
}

/// A null path means the descriptor itself.
fn times_at(call: &mut Call<'_>, directory: i32, path: u64, flags: i32, stamps: [Stamp; 2]) -> Result<u64> {
    if path == 0 && directory != libc::AT_FDCWD {
        if flags & libc::AT_SYMLINK_NOFOLLOW != 0 {
            return Err(Errno::INVAL);
        }
        let target = Target::File(call.task.files().get(directory)?);
        return set_times(&call.task.credentials(), &target, stamps);
    }
    let path = call.read_path(path)?;
    let at = At::new(call.task);
    set_times(at.credentials(), &at.target(directory, &path, flags, Last::Follow)?, stamps)
}

fn set_times(credentials: &Credentials, target: &Target, stamps: [Stamp; 2]) -> Result<u64> {
    let inode = target.inode(Errno::INVAL)?;
    target.writable()?;
    let (_, uid, _) = inode.permissions()?;
    if !owns(credentials, uid) {
        if stamps != [Stamp::Now; 2] {
            return Err(Errno::PERM);
        }
        permission::check(inode.as_ref(), credentials, WRITE)?;
    }
    let [accessed, modified] = stamps.map(|stamp| match stamp {
        Stamp::Now => Some(now()),
        Stamp::Stay => None,
        Stamp::At(time) => Some(time),
    });
    inode.set_attributes(&Attributes { accessed, modified, ..Attributes::default() })?;
    tell(target, mask::ATTRIB);
    Ok(0)
}

/// EFBIG and SIGXFSZ beyond RLIMIT_FSIZE.
fn check_size(call: &Call<'_>, size: u64) -> Result<()> {
    if size > call.task.process.limit(libc::RLIMIT_FSIZE) {
        signal::send_to_task(call.task, libc::SIGXFSZ, Origin::Kernel);
        return Err(Errno::FBIG);
    }
    Ok(())
}

fn truncate(call: &mut Call<'_>) -> Result<u64> {
    let size = u64::try_from(call.arg(1) as i64).map_err(|_| Errno::INVAL)?;
    let path = call.read_path(call.arg(0))?;
    let at = At::new(call.task);
    let place = at.find(libc::AT_FDCWD, &path, Last::Follow)?;
    match place.dentry.kind() {
        kind::REGULAR => {}
        kind::DIRECTORY => return Err(Errno::ISDIR),
        _ => return Err(Errno::INVAL),
    }
    place.mount.writable()?;
    let inode = place.inode()?;
    permission::check(inode.as_ref(), at.credentials(), WRITE)?;
    let stat = inode.stat()?;
    Writing::check((stat.device, stat.inode))?;
    check_size(call, size)?;
    inode.set_attributes(&Attributes { size: Some(size), ..Attributes::default() })?;
    permission::drop_privileges(inode.as_ref(), at.credentials())?;
    tell(&Target::Place(place.clone()), mask::MODIFY);
    Ok(0)
}

fn ftruncate(call: &mut Call<'_>) -> Result<u64> {
    let size = u64::try_from(call.arg(1) as i64).map_err(|_| Errno::INVAL)?;
    let file = call.task.files().get(call.int(0))?;
    file.writable().map_err(|_| Errno::INVAL)?;
    check_size(call, size)?;
    file.file.truncate(size)?;
    if let Some(inode) = file.file.inode() {
        permission::drop_privileges(inode.as_ref(), &call.task.credentials())?;
    }
    tell(&Target::File(file), mask::MODIFY);
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_give_files_to_their_own_groups_only() {
        let user = Credentials { fsuid: 5, fsgid: 6, groups: [7].into(), ..Credentials::default() };
        let stat = Stat { mode: kind::REGULAR | 0o6755, uid: 5, gid: 6, ..Stat::default() };
        let plan = plan_chown(&user, &stat, (u32::MAX, 7)).unwrap();
        assert_eq!((plan.uid, plan.gid, plan.mode), (None, Some(7), Some(0o755)));
        assert!(plan_chown(&user, &stat, (5, 6)).is_ok());
        assert_eq!(plan_chown(&user, &stat, (8, u32::MAX)).err(), Some(Errno::PERM));
        assert_eq!(plan_chown(&user, &stat, (u32::MAX, 8)).err(), Some(Errno::PERM));
        let other = Stat { uid: 9, ..stat };
        assert_eq!(plan_chown(&user, &other, (9, u32::MAX)).err(), Some(Errno::PERM));
    }
}
