//! `open(2)`.

use std::any::Any;
use std::sync::Arc;

use super::inode::{Attributes, Inode, NewNode, Stat, kind};
use super::mount::MountFlags;
use super::open::{OpenFile, flags};
use super::path::{Last, Name, Walked, Walker};
use super::permission::{self, EXECUTE, READ, WRITE};
use super::place::Place;
use crate::exec::busy::Writing;
use crate::file::File;
use crate::{Errno, Result};

/// How to open.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// `open(2)`'s flags.
    pub flags: u32,
    /// Permissions of a new file, without the umask's.
    pub mode: u32,
}

/// Opens FIFOs and devices, which are not their file system's.
pub type OpenSpecial<'a> = &'a dyn Fn(&Place, &Stat, u32) -> Result<Arc<dyn File>>;

/// O_PATH: a place, and nothing to do with it but to stand there.
struct PathFile {
    inode: Arc<dyn Inode>,
}

impl File for PathFile {
    fn inode(&self) -> Option<&Arc<dyn Inode>> {
        Some(&self.inode)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl How {
    /// EINVAL for what doesn't go together. O_PATH ignores all but three flags, as does `open(2)` those it doesn't know (`openat2` is strict about them).
    pub fn new(flags: u32, mode: u32) -> Result<How> {
        if flags & flags::PATH != 0 {
            let kept = flags::PATH | flags::DIRECTORY | flags::NO_FOLLOW | flags::CLOSE_ON_EXEC;
            return Ok(How { flags: flags & kept, mode: 0 });
        }
        let writes = matches!(flags & flags::ACCESS, flags::WRITE_ONLY | flags::READ_WRITE);
        if flags & flags::TEMPORARY != 0 && (flags & flags::DIRECTORY == 0 || !writes || flags & flags::CREATE != 0) {
            return Err(Errno::INVAL);
        }
        if flags & (flags::CREATE | flags::DIRECTORY) == flags::CREATE | flags::DIRECTORY {
            return Err(Errno::INVAL);
        }
        Ok(How { flags, mode: mode & 0o7777 })
    }

    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    fn writes(&self) -> bool {
        self.flags & flags::ACCESS != flags::READ_ONLY
    }

    /// The permissions that it takes to open so.
    fn wants(&self) -> u32 {
        let access = match self.flags & flags::ACCESS {
            flags::READ_ONLY => READ,
            flags::WRITE_ONLY => WRITE,
            _ => READ | WRITE,
        };
        if self.has(flags::TRUNCATE) { access | WRITE } else { access }
    }
}

/// Opens a path. The file is as `open(2)` makes it; CLOSE_ON_EXEC is the descriptor's, not its.
pub fn open(walker: &Walker<'_>, start: &Place, path: &[u8], how: How, special: OpenSpecial<'_>) -> Result<Arc<OpenFile>> {
    let mut tries = 3;
    loop {
        tries -= 1;
        match open_once(walker, start, path, how, special) {
            // Another had the name in the meantime, or a file of the host is gone: look again.
            Err(Errno::STALE) if tries > 0 => {}
            Err(Errno::EXIST) if tries > 0 && how.has(flags::CREATE) && !how.has(flags::EXCLUSIVE) => {}
            answer => return answer,
        }
    }
}

fn open_once(walker: &Walker<'_>, start: &Place, path: &[u8], how: How, special: OpenSpecial<'_>) -> Result<Arc<OpenFile>> {
    if how.has(flags::TEMPORARY) {
        return open_unnamed(walker, start, path, how);
    }
    let creates = how.has(flags::CREATE);
    let stays = how.has(flags::NO_FOLLOW) || creates && how.has(flags::EXCLUSIVE);
    let last = match (stays, creates) {
        (false, _) => Last::Follow,
        (true, true) => Last::Name,
        (true, false) => Last::Stay,
    };
    let walked = walker.walk(start, path, last)?;
    if !creates {
        return open_place(walker, walked.found()?, how, special);
    }
    if walked.slash && matches!(walked.name, Name::Normal(_)) {
        return Err(Errno::ISDIR);
    }
    if walked.place.dentry.negative() {
        return create(walker, walked, how);
    }
    if how.has(flags::EXCLUSIVE) {
        return Err(Errno::EXIST);
    }
    if walked.place.dentry.is_directory() {
        return Err(Errno::ISDIR);
    }
    open_place(walker, walked.found()?, how, special)
}

/// Opens what is there.
pub fn open_place(walker: &Walker<'_>, place: Place, how: How, special: OpenSpecial<'_>) -> Result<Arc<OpenFile>> {
    let inode = place.inode()?.clone();
    let node_kind = place.dentry.kind();
    if how.has(flags::DIRECTORY) && node_kind != kind::DIRECTORY {
        return Err(Errno::NOTDIR);
    }
    if how.has(flags::PATH) {
        return Ok(OpenFile::new(Arc::new(PathFile { inode }), how.flags & !flags::CLOSE_ON_EXEC, Some(place)));
    }
    may_open(walker, &place, inode.as_ref(), node_kind, how)?;
    let writing = if node_kind == kind::REGULAR && how.wants() & WRITE != 0 { Some(writing(inode.as_ref())?) } else { None };
    let is_special = matches!(node_kind, kind::FIFO | kind::CHARACTER | kind::BLOCK) && !inode.opens_itself();
    let file = if is_special { special(&place, &inode.stat()?, how.flags)? } else { inode.clone().open(how.flags, walker.credentials)? };
    if how.has(flags::TRUNCATE) && node_kind == kind::REGULAR {
        truncate(inode.as_ref(), file.as_ref(), how)?;
        super::notify::at(&place, super::notify::mask::MODIFY);
    }
    Ok(opened(file, how, place, writing.filter(|_| how.writes())))
}

/// ETXTBSY if it is a program that runs.
fn writing(inode: &dyn Inode) -> Result<Writing> {
    let stat = inode.stat()?;
    Writing::new((stat.device, stat.inode))
}

fn truncate(inode: &dyn Inode, file: &dyn File, how: How) -> Result<()> {
    if how.writes() { file.truncate(0) } else { inode.set_attributes(&Attributes { size: Some(0), ..Attributes::default() }) }
}

fn opened(file: Arc<dyn File>, how: How, place: Place, writing: Option<Writing>) -> Arc<OpenFile> {
    super::notify::at(&place, super::notify::mask::OPEN);
    let once = flags::CREATE | flags::EXCLUSIVE | flags::NO_TERMINAL | flags::TRUNCATE | flags::CLOSE_ON_EXEC;
    OpenFile::with_writing(file, how.flags & !once | flags::LARGE_FILE, Some(place), writing)
}

fn may_open(walker: &Walker<'_>, place: &Place, inode: &dyn Inode, node_kind: u32, how: How) -> Result<()> {
    let writes = how.wants() & WRITE != 0;
    match node_kind {
        kind::SYMLINK => return Err(Errno::LOOP),
        kind::DIRECTORY if writes => return Err(Errno::ISDIR),
        kind::CHARACTER | kind::BLOCK if place.flags().contains(MountFlags::NO_DEVICES) && !inode.opens_itself() => {
            return Err(Errno::ACCESS);
        }
        kind::REGULAR if writes => place.mount.writable()?,
        _ => {}
    }
    permission::check(inode, walker.credentials, how.wants())?;
    if how.has(flags::NO_ACCESS_TIME) && !permission::owns(walker.credentials, inode.permissions()?.1) {
        return Err(Errno::PERM);
    }
    Ok(())
}

fn create(walker: &Walker<'_>, walked: Walked, how: How) -> Result<Arc<OpenFile>> {
    let (parent, name, _) = walked.named(Errno::ISDIR)?;
    let place = super::names::make_at(walker, &parent, &name, NewNode::Regular, how.mode)?;
    // The mode of a new file doesn't bind who makes it.
    let inode = place.inode()?.clone();
    let writing = if how.wants() & WRITE != 0 { Some(writing(inode.as_ref())?) } else { None };
    let file = inode.open(how.flags, walker.credentials)?;
    Ok(opened(file, how, place, writing.filter(|_| how.writes())))
}

fn open_unnamed(walker: &Walker<'_>, start: &Place, path: &[u8], how: How) -> Result<Arc<OpenFile>> {
    let directory = walker.find(start, path, Last::Follow)?;
    if !directory.dentry.is_directory() {
        return Err(Errno::NOTDIR);
    }
    directory.mount.writable()?;
    let inode = directory.inode()?;
    permission::check(inode.as_ref(), walker.credentials, WRITE | EXECUTE)?;
    let (mode, owner) = permission::new_owner(inode.as_ref(), walker.credentials, how.mode, false)?;
    let unnamed = inode.create_unnamed(mode, owner)?;
    let dentry = directory.dentry.unnamed(unnamed.clone())?;
    let writing = writing(unnamed.as_ref())?;
    let file = unnamed.open(how.flags, walker.credentials)?;
    Ok(opened(file, how, directory.with(dentry), Some(writing)))
}
