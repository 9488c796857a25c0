//! `getcwd`, `chdir`, `fchdir`, `chroot`.

use super::At;
use crate::call::{Call, PATH_MAX};
use crate::dispatch::Calls;
use crate::vfs::path::Last;
use crate::vfs::permission::{self, EXECUTE, capability};
use crate::vfs::place::Place;
use crate::{Errno, Result};

pub const CALLS: Calls = &[(libc::SYS_getcwd, getcwd), (libc::SYS_chdir, chdir), (libc::SYS_fchdir, fchdir), (libc::SYS_chroot, chroot)];

fn getcwd(call: &mut Call<'_>) -> Result<u64> {
    let (buffer, size) = (call.arg(0), call.arg(1));
    let fs = call.task.fs();
    let directory = fs.directory();
    if directory.dentry.removed() {
        return Err(Errno::NOENT);
    }
    let (mut path, reached) = directory.path(&fs.root());
    if !reached {
        path.splice(0..0, b"(unreachable)".iter().copied());
    }
    path.push(0);
    if path.len() > PATH_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    if path.len() as u64 > size {
        return Err(Errno::RANGE);
    }
    call.write(buffer, &path)?;
    Ok(path.len() as u64)
}

/// ENOTDIR, EACCES unless a place is a directory that one may be in.
fn enterable(at: &At<'_>, place: Place) -> Result<Place> {
    if !place.dentry.is_directory() {
        return Err(Errno::NOTDIR);
    }
    permission::check(place.inode()?.as_ref(), at.credentials(), EXECUTE)?;
    Ok(place)
}

fn chdir(call: &mut Call<'_>) -> Result<u64> {
    let path = call.read_path(call.arg(0))?;
    let at = At::new(call.task);
    let place = enterable(&at, at.find(libc::AT_FDCWD, &path, Last::Follow)?)?;
    call.task.fs().set_directory(place);
    Ok(0)
}

fn fchdir(call: &mut Call<'_>) -> Result<u64> {
    let file = call.task.files().get_any(call.int(0))?;
    let at = At::new(call.task);
    let place = enterable(&at, file.place.clone().ok_or(Errno::NOTDIR)?)?;
    call.task.fs().set_directory(place);
    Ok(0)
}

fn chroot(call: &mut Call<'_>) -> Result<u64> {
    let path = call.read_path(call.arg(0))?;
    let at = At::new(call.task);
    let place = enterable(&at, at.find(libc::AT_FDCWD, &path, Last::Follow)?)?;
    if !at.credentials().capable(capability::SYS_CHROOT) {
        return Err(Errno::PERM);
    }
    call.task.fs().set_root(place);
    Ok(0)
}
