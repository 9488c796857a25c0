//! Making, removing and renaming names.

use std::sync::Arc;

use super::inode::{Inode, NewNode, kind};
use super::notify::{self, mask};
use super::path::{Last, Name, Walker};
use super::permission::{self, EXECUTE, WRITE, capability};
use super::place::Place;
use crate::task::lock;
use crate::{Errno, Result};

/// RENAME_NOREPLACE of `renameat2(2)`.
pub const NO_REPLACE: u32 = 1;
/// RENAME_EXCHANGE.
pub const EXCHANGE: u32 = 2;

/// Makes a node at a path (`mkdir`, `mknod`, `symlink`): EEXIST, ENOENT, EROFS, EACCES. `mode` is permissions without the umask's.
pub fn make(walker: &Walker<'_>, start: &Place, path: &[u8], node: NewNode<'_>, mode: u32) -> Result<Place> {
    let walked = walker.walk(start, path, Last::Name)?;
    if !walked.place.dentry.negative() {
        return Err(Errno::EXIST);
    }
    if walked.slash && !matches!(node, NewNode::Directory) {
        return Err(Errno::NOENT);
    }
    let (parent, name, _) = walked.named(Errno::EXIST)?;
    make_at(walker, &parent, &name, node, mode)
}

/// Makes a node in a directory.
pub(super) fn make_at(walker: &Walker<'_>, parent: &Place, name: &[u8], node: NewNode<'_>, mode: u32) -> Result<Place> {
    may_change(walker, parent)?;
    if matches!(node, NewNode::CharacterDevice(_) | NewNode::BlockDevice(_)) && !walker.credentials.capable(capability::MKNOD) {
        return Err(Errno::PERM);
    }
    let directory = parent.inode()?;
    let is_directory = matches!(node, NewNode::Directory);
    let mode = if matches!(node, NewNode::Symlink(_)) { 0o777 } else { mode };
    let (mode, owner) = permission::new_owner(directory.as_ref(), walker.credentials, mode, is_directory)?;
    let inode = directory.create(name, node, mode, owner)?;
    let place = parent.with(parent.dentry.hook(name, Some(inode), directory.cacheable())?);
    notify::name(directory.as_ref(), name, mask::CREATE, is_directory, 0);
    Ok(place)
}

/// Whether names in a directory may be made and removed: EROFS, ENOENT if it was removed, EACCES.
fn may_change(walker: &Walker<'_>, directory: &Place) -> Result<()> {
    if directory.dentry.removed() {
        return Err(Errno::NOENT);
    }
    // Linux tells EACCES first for directories that the caller may not write to, but EROFS is asked for before anything is made.
    directory.mount.writable()?;
    permission::check(directory.inode()?.as_ref(), walker.credentials, WRITE | EXECUTE)
}

/// Whether the name of `victim` in a directory may be removed: also sticky directories, and what is mounted on (EBUSY).
fn may_remove(walker: &Walker<'_>, directory: &Place, victim: &Place) -> Result<()> {
    may_change(walker, directory)?;
    permission::check_sticky(directory.inode()?.as_ref(), victim.inode()?.as_ref(), walker.credentials)
}

/// Removes the name at a path: a directory (`rmdir`), or anything else (`unlink`).
pub fn remove(walker: &Walker<'_>, start: &Place, path: &[u8], directory: bool) -> Result<()> {
    retry(|| remove_once(walker, start, path, directory))
}

fn remove_once(walker: &Walker<'_>, start: &Place, path: &[u8], directory: bool) -> Result<()> {
    let walked = walker.walk(start, path, Last::Name)?;
    let special = match (&walked.name, directory) {
        (_, false) => Errno::ISDIR,
        (Name::Dot, true) => Errno::INVAL,
        (Name::DotDot, true) => Errno::NOTEMPTY,
        _ => Errno::BUSY,
    };
    let slash = walked.slash;
    let (parent, name, place) = walked.named(special)?;
    let covered = !Arc::ptr_eq(&place.mount, &parent.mount);
    let victim = if covered { parent.with(parent.dentry.child(&name)?) } else { place };
    victim.inode()?;
    let is_directory = victim.dentry.is_directory();
    if slash && !is_directory {
        return Err(Errno::NOTDIR);
    }
    may_remove(walker, &parent, &victim)?;
    match (is_directory, directory) {
        (true, false) => return Err(Errno::ISDIR),
        (false, true) => return Err(Errno::NOTDIR),
        _ => {}
    }
    if covered || mounted(&victim) {
        return Err(Errno::BUSY);
    }
    let (inode, last) = (parent.inode()?, notify::last_name(victim.inode()?.as_ref(), directory));
    inode.unlink(&name, directory)?;
    parent.dentry.forget(&victim.dentry);
    notify::name(inode.as_ref(), &name, mask::DELETE, directory, 0);
    match last {
        None => notify::itself(victim.inode()?.as_ref(), mask::ATTRIB),
        last => notify::gone(last),
    }
    Ok(())
}

fn mounted(place: &Place) -> bool {
    place.dentry.mounts.load(std::sync::atomic::Ordering::Relaxed) > 0
}

/// Gives what is at `target` another name (`link`): EPERM for directories, EXDEV across mounts.
pub fn link(walker: &Walker<'_>, target: &Place, start: &Place, path: &[u8]) -> Result<()> {
    let walked = walker.walk(start, path, Last::Name)?;
    if !walked.place.dentry.negative() {
        return Err(Errno::EXIST);
    }
    if walked.slash {
        return Err(Errno::NOENT);
    }
    let (parent, name, _) = walked.named(Errno::EXIST)?;
    if !Arc::ptr_eq(&parent.mount, &target.mount) {
        return Err(Errno::XDEV);
    }
    let inode = target.inode()?;
    if target.dentry.is_directory() {
        return Err(Errno::PERM);
    }
    may_link(walker, inode.as_ref())?;
    may_change(walker, &parent)?;
    let directory = parent.inode()?;
    directory.link(&name, inode)?;
    // Looked up, not the target's: a file system of the host knows its files by their names.
    parent.dentry.hook(&name, Some(directory.lookup(&name)?), directory.cacheable())?;
    notify::name(directory.as_ref(), &name, mask::CREATE, false, 0);
    notify::itself(inode.as_ref(), mask::ATTRIB);
    Ok(())
}

/// `fs.protected_hardlinks`: who doesn't own a file may link it only if it is regular, no program with privileges, and he may read and write it.
fn may_link(walker: &Walker<'_>, inode: &dyn Inode) -> Result<()> {
    let (mode, uid, _) = inode.permissions()?;
    let plain = mode & kind::MASK == kind::REGULAR && mode & 0o4000 == 0 && mode & 0o2010 != 0o2010;
    let harmless = plain && permission::check(inode, walker.credentials, permission::READ | WRITE).is_ok();
    if harmless || permission::owns(walker.credentials, uid) { Ok(()) } else { Err(Errno::PERM) }
}

/// `renameat2(2)`: `flags` are NO_REPLACE or EXCHANGE.
pub fn rename(walker: &Walker<'_>, from: (&Place, &[u8]), to: (&Place, &[u8]), flags: u32) -> Result<()> {
    retry(|| rename_once(walker, from, to, flags))
}

fn rename_once(walker: &Walker<'_>, from: (&Place, &[u8]), to: (&Place, &[u8]), flags: u32) -> Result<()> {
    let old = walker.walk(from.0, from.1, Last::Name)?;
    let new = walker.walk(to.0, to.1, Last::Name)?;
    let slashes = (old.slash, new.slash);
    let special = if flags & NO_REPLACE != 0 { Errno::EXIST } else { Errno::BUSY };
    let (old_parent, old_name, old_place) = old.named(Errno::BUSY)?;
    let (new_parent, new_name, new_place) = new.named(special)?;
    if !Arc::ptr_eq(&old_parent.mount, &new_parent.mount) {
        return Err(Errno::XDEV);
    }
    let super_block = old_parent.mount.super_block.clone();
    let turn = lock(&super_block.renaming);
    let _ = (old_place, new_place);
    // What is behind the names may have changed until it was our turn.
    let old_place = old_parent.with(old_parent.dentry.child(&old_name)?);
    let new_place = new_parent.with(new_parent.dentry.child(&new_name)?);
    let ends = Ends { old_parent, old_name, old_place, new_parent, new_name, new_place };
    ends.check(slashes, flags)?;
    if !ends.new_place.dentry.negative() && Arc::ptr_eq(ends.old_place.inode()?, ends.new_place.inode()?) {
        return Ok(());
    }
    ends.may(walker, flags)?;
    ends.rename(flags)?;
    drop(turn);
    Ok(())
}

/// Both ends of a rename.
struct Ends {
    old_parent: Place,
    old_name: Vec<u8>,
    old_place: Place,
    new_parent: Place,
    new_name: Vec<u8>,
    new_place: Place,
}

impl Ends {
    /// What has nothing to do with permissions: EINVAL for a directory into itself, ENOTEMPTY for one over an ancestor of its own.
    fn check(&self, (old_slash, new_slash): (bool, bool), flags: u32) -> Result<()> {
        let (old, new) = (&self.old_place.dentry, &self.new_place.dentry);
        self.old_place.inode()?;
        if flags & EXCHANGE != 0 {
            self.new_place.inode()?;
        }
        if flags & NO_REPLACE != 0 && !new.negative() {
            return Err(Errno::EXIST);
        }
        let target_is_file = flags & EXCHANGE != 0 && !new.is_directory();
        if !old.is_directory() && (old_slash || new_slash && flags & EXCHANGE == 0) || target_is_file && new_slash {
            return Err(Errno::NOTDIR);
        }
        if self.new_parent.dentry.is_in(old) {
            return Err(Errno::INVAL);
        }
        if !new.negative() && self.old_parent.dentry.is_in(new) {
            return Err(if flags & EXCHANGE != 0 { Errno::INVAL } else { Errno::NOTEMPTY });
        }
        Ok(())
    }

    fn may(&self, walker: &Walker<'_>, flags: u32) -> Result<()> {
        may_remove(walker, &self.old_parent, &self.old_place)?;
        let (old, new) = (&self.old_place.dentry, &self.new_place.dentry);
        if new.negative() {
            may_change(walker, &self.new_parent)?;
        } else {
            may_remove(walker, &self.new_parent, &self.new_place)?;
            match (old.is_directory(), new.is_directory()) {
                (true, false) if flags & EXCHANGE == 0 => return Err(Errno::NOTDIR),
                (false, true) if flags & EXCHANGE == 0 => return Err(Errno::ISDIR),
                _ => {}
            }
        }
        // A directory that moves gets another `..`, which takes the right to write to it.
        let moves = !Arc::ptr_eq(&self.old_parent.dentry, &self.new_parent.dentry);
        if moves && old.is_directory() {
            permission::check(old.inode()?.as_ref(), walker.credentials, WRITE)?;
        }
        if moves && flags & EXCHANGE != 0 && new.is_directory() {
            permission::check(new.inode()?.as_ref(), walker.credentials, WRITE)?;
        }
        if mounted(&self.old_place) || mounted(&self.new_place) { Err(Errno::BUSY) } else { Ok(()) }
    }

    fn rename(&self, flags: u32) -> Result<()> {
        let (from, to) = (self.old_parent.inode()?, self.new_parent.inode()?);
        let (old, new) = (&self.old_place.dentry, &self.new_place.dentry);
        let replaced = match new.inode() {
            Ok(inode) if flags & EXCHANGE == 0 => notify::last_name(inode.as_ref(), new.is_directory()),
            _ => None,
        };
        from.rename(&self.old_name, to, &self.new_name, flags)?;
        old.inode()?.moved(to, &self.new_name);
        if flags & EXCHANGE != 0 {
            new.inode()?.moved(from, &self.old_name);
            old.exchanged(new);
        } else {
            old.moved(&self.new_parent.dentry, &self.new_name);
        }
        self.tell(flags)?;
        notify::gone(replaced);
        Ok(())
    }

    fn tell(&self, flags: u32) -> Result<()> {
        let (from, to) = (self.old_parent.inode()?.as_ref(), self.new_parent.inode()?.as_ref());
        let one = |place: &Place, from: (&dyn Inode, &[u8]), to: (&dyn Inode, &[u8])| -> Result<()> {
            let (cookie, is_directory) = (notify::cookie(), place.dentry.is_directory());
            notify::name(from.0, from.1, mask::MOVED_FROM, is_directory, cookie);
            notify::name(to.0, to.1, mask::MOVED_TO, is_directory, cookie);
            notify::itself(place.inode()?.as_ref(), mask::MOVE_SELF);
            Ok(())
        };
        if !notify::watched() {
            return Ok(());
        }
        one(&self.old_place, (from, &self.old_name), (to, &self.new_name))?;
        if flags & EXCHANGE != 0 {
            one(&self.new_place, (to, &self.new_name), (from, &self.old_name))?;
        }
        Ok(())
    }
}

/// Once more if a file of the host was gone when its turn came.
fn retry<T>(mut action: impl FnMut() -> Result<T>) -> Result<T> {
    match action() {
        Err(Errno::STALE) => action(),
        answer => answer,
    }
}
