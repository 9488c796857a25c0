//! Names: what is remembered of directories.
//!
//! A dentry is a name in a directory with the inode it leads to, or none ("negative": the name is known to be absent). Children are
//! held weakly by their parent; the file system's [`DentryCache`] and whoever uses a dentry hold it strongly. So memory is bounded by
//! the cache's limit and by what guests have open.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use super::inode::{Inode, kind};
use crate::task::lock;
use crate::{Errno, Result};

/// A name in a directory of one file system. Its inode never changes; another dentry takes its place.
pub struct Dentry {
    inode: Option<Arc<dyn Inode>>,
    /// Kind (S_IFMT) of the inode, which never changes.
    kind: u32,
    place: Mutex<Hooked>,
    children: Mutex<HashMap<Arc<[u8]>, Weak<Dentry>>>,
    cache: Arc<DentryCache>,
    /// Where the cache holds it.
    slot: OnceLock<Weak<Slot>>,
    used: AtomicBool,
    /// How many mounts are on it, in any mount tree.
    pub(super) mounts: AtomicU32,
}

struct Hooked {
    parent: Option<Arc<Dentry>>,
    name: Arc<[u8]>,
    /// Its name was removed; it lives on for those who have it open.
    removed: bool,
}

/// The dentries of one file system that are kept although nobody uses them, the least recently used ones leave first (approximately: a clock).
pub struct DentryCache {
    ring: Mutex<VecDeque<Arc<Slot>>>,
    limit: usize,
}

/// What the cache holds; emptied when the name is gone, as the file's memory goes with it.
type Slot = Mutex<Option<Arc<Dentry>>>;

impl DentryCache {
    /// Keeps at most `limit` dentries.
    pub fn new(limit: usize) -> Arc<DentryCache> {
        Arc::new(DentryCache { ring: Mutex::new(VecDeque::new()), limit })
    }

    /// Keeps one; what leaves for it is dropped outside of the lock.
    fn keep(&self, dentry: Arc<Dentry>) {
        let slot = Arc::new(Mutex::new(Some(dentry.clone())));
        if dentry.slot.set(Arc::downgrade(&slot)).is_err() {
            return;
        }
        let mut left = Vec::new();
        let mut ring = lock(&self.ring);
        ring.push_back(slot);
        let mut turns = 8;
        while ring.len() > self.limit {
            let Some(first) = ring.pop_front() else { break };
            let used = lock(&first).as_ref().is_some_and(|dentry| dentry.used.swap(false, Ordering::Relaxed));
            if turns > 0 && used {
                turns -= 1;
                ring.push_back(first);
            } else {
                left.push(first);
            }
        }
        drop(ring);
        drop(left);
    }

    /// Forgets all, such as before the file system goes.
    pub fn clear(&self) {
        let ring = std::mem::take(&mut *lock(&self.ring));
        drop(ring);
    }
}

impl Dentry {
    /// The root of a file system.
    pub fn root(inode: Arc<dyn Inode>, cache: Arc<DentryCache>) -> Result<Arc<Dentry>> {
        let kind = inode.stat()?.mode & kind::MASK;
        Ok(Arc::new(Dentry::new(Some(inode), kind, None, Arc::from(&b"/"[..]), cache)))
    }

    fn new(inode: Option<Arc<dyn Inode>>, kind: u32, parent: Option<Arc<Dentry>>, name: Arc<[u8]>, cache: Arc<DentryCache>) -> Dentry {
        Dentry {
            inode,
            kind,
            place: Mutex::new(Hooked { parent, name, removed: false }),
            children: Mutex::default(),
            cache,
            slot: OnceLock::new(),
            used: AtomicBool::new(false),
            mounts: AtomicU32::new(0),
        }
    }

    /// Its inode: ENOENT if the name is absent.
    pub fn inode(&self) -> Result<&Arc<dyn Inode>> {
        self.inode.as_ref().ok_or(Errno::NOENT)
    }

    /// Whether the name is absent.
    pub fn negative(&self) -> bool {
        self.inode.is_none()
    }

    /// S_IFMT of its inode, 0 if it has none.
    pub fn kind(&self) -> u32 {
        self.kind
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == kind::DIRECTORY
    }

    /// The directory it is in; `None` for a root.
    pub fn parent(&self) -> Option<Arc<Dentry>> {
        lock(&self.place).parent.clone()
    }

    /// Its name in its directory; `/` for a root.
    pub fn name(&self) -> Arc<[u8]> {
        lock(&self.place).name.clone()
    }

    /// Whether its name was removed.
    pub fn removed(&self) -> bool {
        lock(&self.place).removed
    }

    /// Whether it is `ancestor` or below it.
    pub fn is_in(self: &Arc<Self>, ancestor: &Arc<Dentry>) -> bool {
        let mut at = Some(self.clone());
        while let Some(dentry) = at {
            if Arc::ptr_eq(&dentry, ancestor) {
                return true;
            }
            at = dentry.parent();
        }
        false
    }

    /// The child of a name, negative if there is none: ENOTDIR, and what the file system says.
    pub fn child(self: &Arc<Self>, name: &[u8]) -> Result<Arc<Dentry>> {
        let inode = self.inode()?;
        if !self.is_directory() {
            return Err(Errno::NOTDIR);
        }
        if let Some(known) = self.known(name)
            && (known.mounts.load(Ordering::Relaxed) > 0 || inode.still(name, known.inode.as_ref()))
        {
            known.used.store(true, Ordering::Relaxed);
            return Ok(known);
        }
        let found = match inode.lookup(name) {
            Ok(found) => Some(found),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error),
        };
        self.hook(name, found, inode.cacheable())
    }

    /// What is remembered of a name.
    pub fn known(&self, name: &[u8]) -> Option<Arc<Dentry>> {
        lock(&self.children).get(name).and_then(Weak::upgrade)
    }

    /// Remembers what a name leads to, instead of what was known; the dentry that others found in the meantime if it's the same.
    pub fn hook(self: &Arc<Self>, name: &[u8], inode: Option<Arc<dyn Inode>>, keep: bool) -> Result<Arc<Dentry>> {
        let kind = match &inode {
            Some(inode) => inode.stat()?.mode & kind::MASK,
            None => 0,
        };
        let name: Arc<[u8]> = Arc::from(name);
        let mut children = lock(&self.children);
        let before = children.get(&name).and_then(Weak::upgrade);
        if let Some(before) = &before
            && same(before.inode.as_ref(), inode.as_ref())
        {
            let before = before.clone();
            drop(children);
            return Ok(before);
        }
        let dentry = Arc::new(Dentry::new(inode, kind, Some(self.clone()), name.clone(), self.cache.clone()));
        children.insert(name, Arc::downgrade(&dentry));
        drop(children);
        if let Some(before) = before {
            lock(&before.place).removed = true;
            before.uncache();
        }
        if keep {
            self.cache.keep(dentry.clone());
        }
        Ok(dentry)
    }

    /// A dentry of something without a name in this directory (O_TMPFILE).
    pub fn unnamed(self: &Arc<Self>, inode: Arc<dyn Inode>) -> Result<Arc<Dentry>> {
        let stat = inode.stat()?;
        let name: Arc<[u8]> = format!("#{}", stat.inode).into_bytes().into();
        let dentry = Dentry::new(Some(inode), stat.mode & kind::MASK, Some(self.clone()), name, self.cache.clone());
        lock(&dentry.place).removed = true;
        Ok(Arc::new(dentry))
    }

    /// Its name is gone: removed, or the file system has another inode for it.
    pub fn forget(&self, child: &Arc<Dentry>) {
        let mut place = lock(&child.place);
        place.removed = true;
        let name = place.name.clone();
        drop(place);
        let mut children = lock(&self.children);
        if children.get(&name).is_some_and(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(child))) {
            children.remove(&name);
        }
        drop(children);
        child.uncache();
    }

    /// The cache lets go of it.
    fn uncache(&self) {
        let held = self.slot.get().and_then(Weak::upgrade).and_then(|slot| lock(&slot).take());
        drop(held);
    }

    /// Its name is now another, in another or the same directory of the file system; what was remembered of that name is forgotten.
    pub fn moved(self: &Arc<Self>, to: &Arc<Dentry>, name: &[u8]) {
        if let Some(from) = self.parent() {
            from.forget(self);
        }
        if let Some(replaced) = to.known(name)
            && !Arc::ptr_eq(&replaced, self)
        {
            to.forget(&replaced);
        }
        self.rehook(to, name);
    }

    /// Two names changed places (RENAME_EXCHANGE).
    pub fn exchanged(self: &Arc<Self>, with: &Arc<Dentry>) {
        let (Some(mine), Some(other)) = (self.parent(), with.parent()) else { return };
        let (my_name, other_name) = (self.name(), with.name());
        mine.forget(self);
        other.forget(with);
        self.rehook(&other, &other_name);
        with.rehook(&mine, &my_name);
    }

    fn rehook(self: &Arc<Self>, to: &Arc<Dentry>, name: &[u8]) {
        let name: Arc<[u8]> = Arc::from(name);
        let mut place = lock(&self.place);
        let before = place.parent.replace(to.clone());
        place.name = name.clone();
        place.removed = false;
        drop(place);
        lock(&to.children).insert(name, Arc::downgrade(self));
        drop(before);
    }
}

fn same(one: Option<&Arc<dyn Inode>>, other: Option<&Arc<dyn Inode>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one.is(other.as_ref()),
        _ => false,
    }
}

impl Drop for Dentry {
    /// Leaves its parent's map, and lets go of its ancestors one by one: a guest can make directories deeper than our stack.
    fn drop(&mut self) {
        let mut hooked = std::mem::replace(&mut self.place, Mutex::new(Hooked { parent: None, name: Arc::from(&b""[..]), removed: true }))
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut gone = std::ptr::from_ref(self);
        loop {
            let Some(parent) = hooked.parent.take() else { return };
            let mut children = lock(&parent.children);
            if children.get(&hooked.name).is_some_and(|known| std::ptr::eq(known.as_ptr(), gone)) {
                children.remove(&hooked.name);
            }
            drop(children);
            gone = Arc::as_ptr(&parent);
            let Some(parent) = Arc::into_inner(parent) else { return };
            hooked = std::mem::replace(&mut *lock(&parent.place), Hooked { parent: None, name: Arc::from(&b""[..]), removed: true });
            // `parent` is dropped here, without a parent of its own.
        }
    }
}
