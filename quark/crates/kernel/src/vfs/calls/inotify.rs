//! `inotify_init`, `inotify_add_watch`, `inotify_rm_watch`.

use std::sync::Arc;

use super::At;
use crate::call::Call;
use crate::dispatch::Calls;
use crate::vfs::notify::{Inotify, mask};
use crate::vfs::open::OpenFile;
use crate::vfs::path::Last;
use crate::vfs::permission::{self, READ};
use crate::{Errno, Result};

pub const CALLS: Calls = &[
    (libc::SYS_inotify_init, |call| open(call, 0)),
    (libc::SYS_inotify_init1, |call| open(call, call.int(0))),
    (libc::SYS_inotify_add_watch, add_watch),
    (libc::SYS_inotify_rm_watch, remove_watch),
];

fn open(call: &mut Call<'_>, flags: i32) -> Result<u64> {
    if flags & !(libc::IN_NONBLOCK | libc::IN_CLOEXEC) != 0 {
        return Err(Errno::INVAL);
    }
    Ok(call.install(Inotify::new(), flags as u32)? as u64)
}

fn instance(file: &Arc<OpenFile>) -> Result<&Inotify> {
    file.file.as_any().downcast_ref().ok_or(Errno::INVAL)
}

fn add_watch(call: &mut Call<'_>) -> Result<u64> {
    let wanted = call.arg(2) as u32;
    if wanted & mask::ALL == 0 || wanted & mask::MASK_ADD != 0 && wanted & mask::MASK_CREATE != 0 {
        return Err(Errno::INVAL);
    }
    let file = call.task.files().get(call.int(0))?;
    let instance = instance(&file)?;
    let path = call.read_path(call.arg(1))?;
    let at = At::new(call.task);
    let last = if wanted & mask::DONT_FOLLOW != 0 { Last::Stay } else { Last::Follow };
    let place = at.find(libc::AT_FDCWD, &path, last)?;
    if wanted & mask::ONLY_DIRECTORY != 0 && !place.dentry.is_directory() {
        return Err(Errno::NOTDIR);
    }
    let inode = place.inode()?;
    permission::check(inode.as_ref(), at.credentials(), READ)?;
    Ok(instance.watch(inode, wanted)? as u64)
}

fn remove_watch(call: &mut Call<'_>) -> Result<u64> {
    let file = call.task.files().get(call.int(0))?;
    instance(&file)?.unwatch(call.int(1))?;
    Ok(0)
}
