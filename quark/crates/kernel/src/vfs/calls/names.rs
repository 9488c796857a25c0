//! Calls that make, remove and rename names, and read links.

use super::{At, Target};
use crate::call::Call;
use crate::dispatch::Calls;

use crate::vfs::inode::{NewNode, kind};
use crate::vfs::names;
use crate::vfs::path::Last;
use crate::vfs::permission::capability;
use crate::{Errno, Result};

pub const CALLS: Calls = &[
    (libc::SYS_mkdir, |call| mkdir_in(call, libc::AT_FDCWD, 0)),
    (libc::SYS_mkdirat, |call| mkdir_in(call, call.int(0), 1)),
    (libc::SYS_mknod, |call| mknod_in(call, libc::AT_FDCWD, 0)),
    (libc::SYS_mknodat, |call| mknod_in(call, call.int(0), 1)),
    (libc::SYS_symlink, |call| symlink_in(call, libc::AT_FDCWD, call.arg(1))),
    (libc::SYS_symlinkat, |call| symlink_in(call, call.int(1), call.arg(2))),
    (libc::SYS_unlink, |call| remove_in(call, libc::AT_FDCWD, call.arg(0), 0)),
    (libc::SYS_rmdir, |call| remove_in(call, libc::AT_FDCWD, call.arg(0), libc::AT_REMOVEDIR)),
    (libc::SYS_unlinkat, |call| remove_in(call, call.int(0), call.arg(1), call.int(2))),
    (libc::SYS_link, |call| link_in(call, (libc::AT_FDCWD, call.arg(0)), (libc::AT_FDCWD, call.arg(1)), 0)),
    (libc::SYS_linkat, |call| link_in(call, (call.int(0), call.arg(1)), (call.int(2), call.arg(3)), call.int(4))),
    (libc::SYS_rename, |call| rename_in(call, (libc::AT_FDCWD, call.arg(0)), (libc::AT_FDCWD, call.arg(1)), 0)),
    (libc::SYS_renameat, |call| rename_in(call, (call.int(0), call.arg(1)), (call.int(2), call.arg(3)), 0)),
    (libc::SYS_renameat2, |call| rename_in(call, (call.int(0), call.arg(1)), (call.int(2), call.arg(3)), call.arg(4) as u32)),
    (libc::SYS_readlink, |call| read_link_in(call, libc::AT_FDCWD, 0)),
    (libc::SYS_readlinkat, |call| read_link_in(call, call.int(0), 1)),
    (libc::SYS_umask, |call| Ok(call.task.fs().set_umask(call.arg(0) as u32).into())),
];

fn mkdir_in(call: &mut Call<'_>, directory: i32, first: usize) -> Result<u64> {
    let path = call.read_path(call.arg(first))?;
    let mode = call.arg(first + 1) as u32 & 0o1777 & !call.task.fs().umask();
    let at = At::new(call.task);
    names::make(&at.walker(), &at.start(directory, &path)?, &path, NewNode::Directory, mode)?;
    Ok(0)
}

fn mknod_in(call: &mut Call<'_>, directory: i32, first: usize) -> Result<u64> {
    let path = call.read_path(call.arg(first))?;
    let (mode, number) = (call.arg(first + 1) as u32, call.arg(first + 2));
    let node = match mode & kind::MASK {
        0 | kind::REGULAR => NewNode::Regular,
        kind::FIFO => NewNode::Fifo,
        kind::SOCKET => NewNode::Socket,
        kind::CHARACTER => NewNode::CharacterDevice(number & 0xffff_ffff),
        kind::BLOCK => NewNode::BlockDevice(number & 0xffff_ffff),
        kind::DIRECTORY => return Err(Errno::PERM),
        _ => return Err(Errno::INVAL),
    };
    let at = At::new(call.task);
    let mode = mode & 0o7777 & !call.task.fs().umask();
    names::make(&at.walker(), &at.start(directory, &path)?, &path, node, mode)?;
    Ok(0)
}

fn symlink_in(call: &mut Call<'_>, directory: i32, link: u64) -> Result<u64> {
    let target = call.read_path(call.arg(0))?;
    let link = call.read_path(link)?;
    if target.is_empty() {
        return Err(Errno::NOENT);
    }
    let at = At::new(call.task);
    names::make(&at.walker(), &at.start(directory, &link)?, &link, NewNode::Symlink(&target), 0o777)?;
    Ok(0)
}

fn remove_in(call: &mut Call<'_>, directory: i32, path: u64, flags: i32) -> Result<u64> {
    if flags & !libc::AT_REMOVEDIR != 0 {
        return Err(Errno::INVAL);
    }
    let path = call.read_path(path)?;
    let at = At::new(call.task);
    names::remove(&at.walker(), &at.start(directory, &path)?, &path, flags != 0)?;
    Ok(0)
}

fn link_in(call: &mut Call<'_>, from: (i32, u64), to: (i32, u64), flags: i32) -> Result<u64> {
    if flags & !(libc::AT_SYMLINK_FOLLOW | libc::AT_EMPTY_PATH) != 0 {
        return Err(Errno::INVAL);
    }
    let (old, new) = (call.read_path(from.1)?, call.read_path(to.1)?);
    let at = At::new(call.task);
    if flags & libc::AT_EMPTY_PATH != 0 && !at.credentials().capable(capability::DAC_READ_SEARCH) {
        return Err(Errno::NOENT);
    }
    let last = if flags & libc::AT_SYMLINK_FOLLOW != 0 { Last::Follow } else { Last::Stay };
    let place = match at.target(from.0, &old, flags & libc::AT_EMPTY_PATH, last)? {
        Target::Place(place) => place,
        Target::File(file) => file.place.clone().ok_or(Errno::XDEV)?,
    };
    names::link(&at.walker(), &place, &at.start(to.0, &new)?, &new)?;
    Ok(0)
}

fn rename_in(call: &mut Call<'_>, from: (i32, u64), to: (i32, u64), flags: u32) -> Result<u64> {
    // RENAME_WHITEOUT is for who builds overlays of his own.
    if flags & !(names::NO_REPLACE | names::EXCHANGE) != 0 || flags == names::NO_REPLACE | names::EXCHANGE {
        return Err(Errno::INVAL);
    }
    let (old, new) = (call.read_path(from.1)?, call.read_path(to.1)?);
    let at = At::new(call.task);
    names::rename(&at.walker(), (&at.start(from.0, &old)?, &old), (&at.start(to.0, &new)?, &new), flags)?;
    Ok(0)
}

fn read_link_in(call: &mut Call<'_>, directory: i32, first: usize) -> Result<u64> {
    let (buffer, size) = (call.arg(first + 1), call.arg(first + 2) as i32);
    let size = usize::try_from(size).ok().filter(|size| *size > 0).ok_or(Errno::INVAL)?;
    let path = call.read_path(call.arg(first))?;
    let at = At::new(call.task);
    let target = at.target(directory, &path, libc::AT_EMPTY_PATH, Last::Stay)?;
    let not_link = if path.is_empty() { Errno::NOENT } else { Errno::INVAL };
    let inode = target.inode(not_link)?;
    if target.place().is_none_or(|place| place.dentry.kind() != kind::SYMLINK) {
        return Err(not_link);
    }
    let text = inode.read_link()?;
    let told = text.get(..size).unwrap_or(&text);
    call.write(buffer, told)?;
    Ok(told.len() as u64)
}
