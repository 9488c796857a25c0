//! From paths to places: `path_resolution(7)`, `openat2(2)`.
//!
//! The walk is ours alone: the host sees single names relative to directories that are already open, never a path, `..` or a link.

use bitflags::bitflags;

use super::inode::kind;
use super::mount::MountFlags;
use super::permission::{self, EXECUTE};
use super::place::Place;
use crate::task::Credentials;
use crate::{Errno, Result};

/// How many symbolic links one walk follows before ELOOP.
pub const LINKS_MAX: u32 = 40;

/// The longest name (NAME_MAX).
pub const NAME_MAX: usize = 255;

bitflags! {
    /// RESOLVE_* of `openat2(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Resolve: u64 {
        /// RESOLVE_NO_XDEV.
        const NO_MOUNTS = 0x01;
        /// RESOLVE_NO_MAGICLINKS.
        const NO_MAGIC_LINKS = 0x02;
        /// RESOLVE_NO_SYMLINKS.
        const NO_SYMLINKS = 0x04;
        /// RESOLVE_BENEATH.
        const BENEATH = 0x08;
        /// RESOLVE_IN_ROOT.
        const IN_ROOT = 0x10;
        /// RESOLVE_CACHED.
        const CACHED = 0x20;
    }
}

/// What a walk does with a symbolic link at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// Follows it.
    Follow,
    /// Stays there, unless a slash comes behind it.
    Stay,
    /// Stays there, slash or not: for those who make, remove or rename the name.
    Name,
}

/// Who walks, and within what.
pub struct Walker<'a> {
    /// Who has to be allowed to search.
    pub credentials: &'a Credentials,
    /// The process' root.
    pub root: Place,
    /// Restrictions.
    pub resolve: Resolve,
}

/// What the last component of a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// A name in a directory.
    Normal(Vec<u8>),
    /// `.`, or nothing behind a magic link.
    Dot,
    /// `..`.
    DotDot,
    /// The path was `/` (or nothing but slashes).
    Root,
}

/// Where a path leads.
#[derive(Debug)]
pub struct Walked {
    /// The directory of the last component.
    pub parent: Place,
    /// The last component.
    pub name: Name,
    /// What is there; a negative dentry if there is nothing.
    pub place: Place,
    /// Slashes followed: it has to be a directory.
    pub slash: bool,
}

impl Walked {
    /// The place, which has to be something: ENOENT, ENOTDIR.
    pub fn found(self) -> Result<Place> {
        self.place.inode()?;
        if self.slash && !self.place.dentry.is_directory() {
            return Err(Errno::NOTDIR);
        }
        Ok(self.place)
    }

    /// The directory and the name in it, for those who make, remove or rename; `special` if the last component isn't a name.
    pub fn named(self, special: Errno) -> Result<(Place, Vec<u8>, Place)> {
        match self.name {
            Name::Normal(name) => Ok((self.parent, name, self.place)),
            _ => Err(special),
        }
    }
}

/// The state of a walk.
struct Walk<'w, 'a> {
    walker: &'w Walker<'a>,
    /// Where it started, for RESOLVE_BENEATH and RESOLVE_IN_ROOT.
    anchor: Place,
    at: Place,
    rest: Vec<u8>,
    position: usize,
    links: u32,
}

impl<'a> Walker<'a> {
    /// A walker without restrictions.
    pub fn new(credentials: &'a Credentials, root: Place) -> Walker<'a> {
        Walker { credentials, root, resolve: Resolve::empty() }
    }

    /// The place of a path from `start` (ignored by absolute paths): ENOENT (also for an empty path), ENOTDIR, EACCES, ELOOP, ENAMETOOLONG.
    pub fn find(&self, start: &Place, path: &[u8], last: Last) -> Result<Place> {
        self.walk(start, path, last)?.found()
    }

    /// Walks a path up to its last component, which may not exist.
    pub fn walk(&self, start: &Place, path: &[u8], last: Last) -> Result<Walked> {
        if path.is_empty() {
            return Err(Errno::NOENT);
        }
        let confined = self.resolve.intersects(Resolve::BENEATH | Resolve::IN_ROOT);
        let anchor = if confined { start.clone() } else { self.root.clone() };
        let mut walk = Walk { walker: self, anchor, at: start.clone(), rest: path.to_vec(), position: 0, links: 0 };
        if path.starts_with(b"/") {
            walk.go_to_root()?;
        }
        walk.run(last)
    }
}

impl Walk<'_, '_> {
    fn go_to_root(&mut self) -> Result<()> {
        if self.walker.resolve.contains(Resolve::BENEATH) {
            return Err(Errno::XDEV);
        }
        let to = self.anchor.clone().top();
        self.crossed(&to)?;
        self.at = to;
        Ok(())
    }

    /// EXDEV if the walk may not leave its mount and does.
    fn crossed(&self, to: &Place) -> Result<()> {
        let other = !std::sync::Arc::ptr_eq(&to.mount, &self.at.mount);
        if other && self.walker.resolve.contains(Resolve::NO_MOUNTS) { Err(Errno::XDEV) } else { Ok(()) }
    }

    /// The next component, whether it is the last one, and whether slashes follow it.
    fn next(&mut self) -> Option<(Vec<u8>, bool, bool)> {
        let rest = self.rest.get(self.position..).unwrap_or_default();
        let skipped = rest.iter().take_while(|byte| **byte == b'/').count();
        let rest = rest.get(skipped..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
        if length == 0 {
            return None;
        }
        let name = rest.get(..length).unwrap_or_default().to_vec();
        let behind = rest.get(length..).unwrap_or_default();
        let last = behind.iter().all(|byte| *byte == b'/');
        let slash = !behind.is_empty();
        self.position += skipped + length;
        Some((name, last, slash))
    }

    fn run(mut self, last: Last) -> Result<Walked> {
        let mut special = Name::Root;
        loop {
            let Some((name, is_last, slash)) = self.next() else {
                let slash = self.rest.ends_with(b"/");
                let at = self.at;
                return Ok(Walked { parent: at.clone(), name: special, place: at, slash });
            };
            self.may_search()?;
            match name.as_slice() {
                b"." => special = Name::Dot,
                b".." => {
                    self.up()?;
                    special = Name::DotDot;
                }
                _ => {
                    if let Some(done) = self.enter(name, is_last, slash, last)? {
                        return Ok(done);
                    }
                    special = Name::Dot;
                }
            }
        }
    }

    fn may_search(&self) -> Result<()> {
        let inode = self.at.inode()?;
        if !self.at.dentry.is_directory() {
            return Err(Errno::NOTDIR);
        }
        permission::check(inode.as_ref(), self.walker.credentials, EXECUTE)
    }

    fn up(&mut self) -> Result<()> {
        let resolve = self.walker.resolve;
        let to = if resolve.intersects(Resolve::BENEATH | Resolve::IN_ROOT) {
            if self.at.is(&self.anchor) && resolve.contains(Resolve::BENEATH) {
                return Err(Errno::XDEV);
            }
            self.at.parent(&self.anchor)
        } else {
            self.at.parent(&self.walker.root)
        };
        self.crossed(&to)?;
        self.at = to;
        Ok(())
    }

    /// Goes into a name. Done at the last one, unless it is a link that is followed.
    fn enter(&mut self, name: Vec<u8>, is_last: bool, slash: bool, last: Last) -> Result<Option<Walked>> {
        if name.len() > NAME_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        let parent = self.at.clone();
        let place = parent.with(parent.dentry.child(&name)?);
        let place = if place.dentry.negative() { place } else { place.top() };
        self.crossed(&place)?;
        let follows = !is_last || last == Last::Follow || last == Last::Stay && slash;
        if place.dentry.kind() == kind::SYMLINK && follows {
            // A path that ends in a link to nothing may make what the link says only if no slash follows.
            return self.follow(&parent, place, is_last).map(|()| None);
        }
        if is_last {
            return Ok(Some(Walked { parent, name: Name::Normal(name), place, slash }));
        }
        place.inode()?;
        self.at = place;
        Ok(None)
    }

    fn follow(&mut self, parent: &Place, link: Place, is_last: bool) -> Result<()> {
        let resolve = self.walker.resolve;
        self.links += 1;
        if self.links > LINKS_MAX || resolve.contains(Resolve::NO_SYMLINKS) || link.flags().contains(MountFlags::NO_SYMLINKS) {
            return Err(Errno::LOOP);
        }
        let inode = link.inode()?;
        self.may_follow(parent, inode.as_ref(), is_last)?;
        if let Some(target) = inode.magic_link() {
            if resolve.contains(Resolve::NO_MAGIC_LINKS) {
                return Err(Errno::LOOP);
            }
            if resolve.intersects(Resolve::BENEATH | Resolve::IN_ROOT) {
                return Err(Errno::XDEV);
            }
            let target = target?;
            self.crossed(&target)?;
            self.at = target;
            return Ok(());
        }
        let text = inode.read_link()?;
        if text.is_empty() {
            return Err(Errno::NOENT);
        }
        if text.starts_with(b"/") {
            self.go_to_root()?;
        }
        let mut rest = text;
        rest.extend_from_slice(self.rest.get(self.position..).unwrap_or_default());
        self.rest = rest;
        self.position = 0;
        Ok(())
    }

    /// `fs.protected_symlinks`: in a sticky directory that all may write to, a link is followed only if the walker or the directory's owner made it.
    fn may_follow(&self, parent: &Place, link: &dyn super::inode::Inode, is_last: bool) -> Result<()> {
        let (mode, uid, _) = parent.inode()?.permissions()?;
        if !is_last || mode & 0o1002 != 0o1002 {
            return Ok(());
        }
        let (_, owner, _) = link.permissions()?;
        if owner == self.walker.credentials.fsuid || owner == uid { Ok(()) } else { Err(Errno::ACCESS) }
    }
}
