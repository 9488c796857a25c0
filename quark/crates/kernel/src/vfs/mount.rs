//! File systems, and where they are mounted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bitflags::bitflags;

use super::dentry::{Dentry, DentryCache};
use super::inode::Inode;
use super::place::Place;
use crate::task::lock;
use crate::{Errno, Result};

bitflags! {
    /// How a mount differs from a plain one; the bits of `mount(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MountFlags: u64 {
        /// MS_RDONLY.
        const READ_ONLY = 1;
        /// MS_NOSUID.
        const NO_SETUID = 2;
        /// MS_NODEV.
        const NO_DEVICES = 4;
        /// MS_NOEXEC.
        const NO_EXECUTION = 8;
        /// MS_NOSYMFOLLOW.
        const NO_SYMLINKS = 256;
        /// MS_NOATIME.
        const NO_ACCESS_TIME = 1024;
        /// MS_NODIRATIME.
        const NO_DIRECTORY_ACCESS_TIME = 2048;
        /// MS_RELATIME.
        const RELATIVE_ACCESS_TIME = 1 << 21;
        /// MS_STRICTATIME.
        const STRICT_ACCESS_TIME = 1 << 24;
    }
}

/// What `statfs(2)` tells. Sizes are in blocks of `block_size` bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct FileSystemStat {
    /// The magic number, as in `linux/magic.h`.
    pub magic: u64,
    pub block_size: u64,
    pub blocks: u64,
    pub free: u64,
    /// Of `free`, those that are not kept for the privileged.
    pub available: u64,
    pub files: u64,
    pub free_files: u64,
    pub name_max: u64,
}

/// A file system: what its root is, and what it tells of itself.
pub trait FileSystem: Send + Sync {
    /// As in `/proc/filesystems`: `tmpfs`, `proc`, `overlay` …
    fn name(&self) -> &'static str;

    /// Its root, the same each time.
    fn root(&self) -> Arc<dyn Inode>;

    /// `statfs(2)`.
    fn stat(&self) -> Result<FileSystemStat>;

    /// Its options in `/proc/mounts`, each behind a comma: `,size=64k`.
    fn options(&self) -> String {
        String::new()
    }

    /// `syncfs(2)`.
    fn sync(&self) -> Result<()> {
        Ok(())
    }

    /// Bytes of memory that its files hold.
    fn memory(&self) -> u64 {
        0
    }

    /// How many unused dentries are worth keeping.
    fn dentries(&self) -> usize {
        4096
    }
}

/// A file system together with its names: mounted any number of times.
pub struct SuperBlock {
    /// The file system.
    pub file_system: Arc<dyn FileSystem>,
    /// Its root.
    pub root: Arc<Dentry>,
    /// Renames of directories take turns: the check for loops and the rename are one step.
    pub(super) renaming: Mutex<()>,
    cache: Arc<DentryCache>,
}

impl SuperBlock {
    /// Reads the root.
    pub fn new(file_system: Arc<dyn FileSystem>) -> Result<Arc<SuperBlock>> {
        let cache = DentryCache::new(file_system.dentries());
        let root = Dentry::root(file_system.root(), cache.clone())?;
        Ok(Arc::new(SuperBlock { file_system, root, renaming: Mutex::new(()), cache }))
    }
}

impl Drop for SuperBlock {
    fn drop(&mut self) {
        self.cache.clear();
    }
}

/// A file system, or a directory or file of it, at a place of a tree of mounts.
pub struct Mount {
    /// Unique, in the order of mounting.
    pub id: u64,
    /// What is mounted.
    pub super_block: Arc<SuperBlock>,
    /// What of it is shown.
    pub root: Arc<Dentry>,
    /// What `/proc/mounts` calls the source.
    pub source: Vec<u8>,
    flags: AtomicU64,
    /// The container was made with it: guests can't unmount it.
    locked: AtomicBool,
    /// Guests can't take these from it.
    kept: AtomicU64,
    /// What it is mounted on; `None` for the root and for what was unmounted.
    parent: Mutex<Option<Place>>,
    /// What is mounted on it, by the address of the dentry that it is on.
    children: Mutex<HashMap<usize, Arc<Mount>>>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Mount {
    /// A mount that is nowhere yet.
    pub fn new(super_block: Arc<SuperBlock>, root: Arc<Dentry>, source: &[u8], flags: MountFlags) -> Arc<Mount> {
        Arc::new(Mount {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            super_block,
            root,
            source: source.to_vec(),
            flags: AtomicU64::new(flags.bits()),
            locked: AtomicBool::new(false),
            kept: AtomicU64::new(0),
            parent: Mutex::new(None),
            children: Mutex::default(),
        })
    }

    /// A mount of a whole file system.
    pub fn whole(file_system: Arc<dyn FileSystem>, source: &[u8], flags: MountFlags) -> Result<Arc<Mount>> {
        let super_block = SuperBlock::new(file_system)?;
        let root = super_block.root.clone();
        Ok(Mount::new(super_block, root, source, flags))
    }

    /// Its flags now.
    pub fn flags(&self) -> MountFlags {
        MountFlags::from_bits_truncate(self.flags.load(Ordering::Relaxed))
    }

    /// Changes its flags (`MS_REMOUNT`).
    pub fn set_flags(&self, flags: MountFlags) {
        self.flags.store(flags.bits(), Ordering::Relaxed);
    }

    /// Whether guests can't unmount it.
    pub fn locked(&self) -> bool {
        self.locked.load(Ordering::Relaxed)
    }

    /// Flags that guests can't take from it.
    pub fn kept(&self) -> MountFlags {
        MountFlags::from_bits_truncate(self.kept.load(Ordering::Relaxed))
    }

    /// Keeps it, and its flags that take rights away.
    pub fn lock(&self) {
        const TAKING: MountFlags =
            MountFlags::READ_ONLY.union(MountFlags::NO_SETUID).union(MountFlags::NO_DEVICES).union(MountFlags::NO_EXECUTION);
        self.locked.store(true, Ordering::Relaxed);
        self.kept.store((self.flags() & TAKING).bits(), Ordering::Relaxed);
    }

    /// A mount of the same, nowhere yet, with what is mounted below if `all`. Flags that guests can't take away stay so.
    pub fn copy(self: &Arc<Self>, root: &Arc<Dentry>, all: bool) -> Arc<Mount> {
        let again = |mount: &Mount, root: &Arc<Dentry>| {
            let copy = Mount::new(mount.super_block.clone(), root.clone(), &mount.source, mount.flags());
            copy.kept.store(mount.kept().bits(), Ordering::Relaxed);
            copy
        };
        let top = again(self, root);
        let mut left = vec![(self.clone(), top.clone())];
        while let Some((from, to)) = left.pop().filter(|_| all) {
            let children: Vec<Arc<Mount>> = lock(&from.children).values().cloned().collect();
            for child in children {
                let Some(on) = child.parent().filter(|on| on.dentry.is_in(&to.root)) else { continue };
                let copy = again(&child, &child.root);
                if Mount::attach(&copy, &Place { mount: to.clone(), dentry: on.dentry }).is_ok() {
                    left.push((child, copy));
                }
            }
        }
        top
    }

    /// EROFS if it is read-only.
    pub fn writable(&self) -> Result<()> {
        if self.flags().contains(MountFlags::READ_ONLY) { Err(Errno::ROFS) } else { Ok(()) }
    }

    /// What it is mounted on.
    pub fn parent(&self) -> Option<Place> {
        lock(&self.parent).clone()
    }

    /// Its root as a place.
    pub fn place(self: &Arc<Self>) -> Place {
        Place { mount: self.clone(), dentry: self.root.clone() }
    }

    /// What is mounted on a dentry of it.
    pub fn mounted_on(&self, dentry: &Arc<Dentry>) -> Option<Arc<Mount>> {
        if dentry.mounts.load(Ordering::Relaxed) == 0 {
            return None;
        }
        lock(&self.children).get(&address(dentry)).cloned()
    }

    /// Mounts `child` on a place of this tree. EBUSY if something is mounted there already (callers go to the top first: [`Place::top`]); ENOTDIR, as
    /// a directory goes on a directory only, and anything else on anything else.
    pub fn attach(child: &Arc<Mount>, on: &Place) -> Result<()> {
        if on.dentry.is_directory() != child.root.is_directory() {
            return Err(Errno::NOTDIR);
        }
        let mut children = lock(&on.mount.children);
        if children.contains_key(&address(&on.dentry)) {
            return Err(Errno::BUSY);
        }
        *lock(&child.parent) = Some(on.clone());
        on.dentry.mounts.fetch_add(1, Ordering::Relaxed);
        children.insert(address(&on.dentry), child.clone());
        Ok(())
    }

    /// Takes it off where it is, with all that is on it: EINVAL if it is nowhere.
    pub fn take_off(&self) -> Result<()> {
        let on = lock(&self.parent).take().ok_or(Errno::INVAL)?;
        on.dentry.mounts.fetch_sub(1, Ordering::Relaxed);
        lock(&on.mount.children).remove(&address(&on.dentry));
        Ok(())
    }

    /// Unmounts. EINVAL if it is the root or not mounted; EBUSY if something is mounted on it, unless `lazily`, which takes those off too.
    pub fn detach(self: &Arc<Self>, lazily: bool) -> Result<()> {
        if !lazily && !lock(&self.children).is_empty() {
            return Err(Errno::BUSY);
        }
        self.take_off()?;
        self.detach_children();
        Ok(())
    }

    /// Takes off everything that is mounted on it, at any depth. Ends a container's tree of mounts, whose parts hold each other.
    pub fn detach_children(&self) {
        let mut left: Vec<Arc<Mount>> = lock(&self.children).drain().map(|(_, child)| child).collect();
        while let Some(mount) = left.pop() {
            if let Some(on) = lock(&mount.parent).take() {
                on.dentry.mounts.fetch_sub(1, Ordering::Relaxed);
            }
            left.extend(lock(&mount.children).drain().map(|(_, child)| child));
        }
    }

    /// It and all mounts below it, in the order of mounting.
    pub fn tree(self: &Arc<Self>) -> Vec<Arc<Mount>> {
        let mut all = vec![self.clone()];
        let mut at = 0;
        while let Some(mount) = all.get(at).cloned() {
            all.extend(lock(&mount.children).values().cloned());
            at += 1;
        }
        all.sort_by_key(|mount| mount.id);
        all
    }
}

fn address(dentry: &Arc<Dentry>) -> usize {
    Arc::as_ptr(dentry).addr()
}
