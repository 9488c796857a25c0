//! Telling of what happens to files: `inotify(7)`. Only what guests of this pod do is told.
//!
//! Watches are of inodes, known by device and inode number. While nobody watches anything, telling costs one load.

use std::any::Any;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, Weak};

use super::inode::{Inode, Stat};
use super::place::Place;
use crate::call::Call;
use crate::file::File;
use crate::task::lock;
use crate::wait::{Events, WaitQueue};
use crate::{Errno, Result};

/// IN_* of `inotify(7)`.
#[allow(missing_docs)]
pub mod mask {
    pub const ACCESS: u32 = 0x1;
    pub const MODIFY: u32 = 0x2;
    pub const ATTRIB: u32 = 0x4;
    pub const CLOSE_WRITE: u32 = 0x8;
    pub const CLOSE_NOWRITE: u32 = 0x10;
    pub const OPEN: u32 = 0x20;
    pub const MOVED_FROM: u32 = 0x40;
    pub const MOVED_TO: u32 = 0x80;
    pub const CREATE: u32 = 0x100;
    pub const DELETE: u32 = 0x200;
    pub const DELETE_SELF: u32 = 0x400;
    pub const MOVE_SELF: u32 = 0x800;
    pub const ALL: u32 = 0xfff;
    pub const OVERFLOW: u32 = 0x4000;
    pub const IGNORED: u32 = 0x8000;
    pub const ONLY_DIRECTORY: u32 = 0x100_0000;
    pub const DONT_FOLLOW: u32 = 0x200_0000;
    pub const EXCLUDE_UNLINKED: u32 = 0x400_0000;
    pub const MASK_CREATE: u32 = 0x1000_0000;
    pub const MASK_ADD: u32 = 0x2000_0000;
    pub const IS_DIRECTORY: u32 = 0x4000_0000;
    pub const ONE_SHOT: u32 = 0x8000_0000;
}

/// Events that one instance keeps before it tells of an overflow (`fs.inotify.max_queued_events`).
const QUEUE_MAX: usize = 16384;
/// Watches of one instance (`fs.inotify.max_user_watches`): ENOSPC beyond.
pub const WATCHES_MAX: usize = 65536;

type Key = (u64, u64);

static WATCHED: AtomicUsize = AtomicUsize::new(0);
static WATCHES: LazyLock<Mutex<HashMap<Key, Vec<Watch>>>> = LazyLock::new(Mutex::default);

struct Watch {
    instance: Weak<Inotify>,
    descriptor: i32,
    mask: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Event {
    descriptor: i32,
    mask: u32,
    cookie: u32,
    /// Without NUL; empty for the watched file itself.
    name: Vec<u8>,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    /// What is watched. The inode is held, so that its number is not given again.
    watches: BTreeMap<i32, (Key, Arc<dyn Inode>)>,
    last: i32,
}

/// An inotify instance.
pub struct Inotify {
    state: Mutex<State>,
    queue: WaitQueue,
    this: Weak<Inotify>,
}

impl Inotify {
    /// An instance that watches nothing.
    pub fn new() -> Arc<Inotify> {
        Arc::new_cyclic(|this| Inotify { state: Mutex::default(), queue: WaitQueue::default(), this: this.clone() })
    }

    /// Watches an inode, or changes what is told of it; its descriptor. ENOSPC, EEXIST (IN_MASK_CREATE).
    pub fn watch(&self, inode: &Arc<dyn Inode>, wanted: u32) -> Result<i32> {
        let key = key(&inode.stat()?);
        let told = wanted & (mask::ALL | mask::ONE_SHOT | mask::EXCLUDE_UNLINKED);
        let mut all = lock(&WATCHES);
        let mut state = lock(&self.state);
        if let Some(watch) = all.get_mut(&key).and_then(|watches| watches.iter_mut().find(|watch| watch.instance.ptr_eq(&self.this))) {
            if wanted & mask::MASK_CREATE != 0 {
                return Err(Errno::EXIST);
            }
            watch.mask = if wanted & mask::MASK_ADD != 0 { watch.mask | told } else { told };
            return Ok(watch.descriptor);
        }
        if state.watches.len() >= WATCHES_MAX {
            return Err(Errno::NOSPC);
        }
        state.last = state.last.checked_add(1).ok_or(Errno::NOSPC)?;
        let descriptor = state.last;
        state.watches.insert(descriptor, (key, inode.clone()));
        all.entry(key).or_default().push(Watch { instance: self.this.clone(), descriptor, mask: told });
        WATCHED.fetch_add(1, Ordering::Relaxed);
        Ok(descriptor)
    }

    /// Ends a watch, and tells so (IN_IGNORED): EINVAL.
    pub fn unwatch(&self, descriptor: i32) -> Result<()> {
        let removed = self.remove(descriptor).ok_or(Errno::INVAL)?;
        self.tell(Event { descriptor, mask: mask::IGNORED, cookie: 0, name: Vec::new() });
        drop(removed);
        Ok(())
    }

    fn remove(&self, descriptor: i32) -> Option<Arc<dyn Inode>> {
        let mut all = lock(&WATCHES);
        let (key, inode) = lock(&self.state).watches.remove(&descriptor)?;
        if let Some(watches) = all.get_mut(&key) {
            watches.retain(|watch| !(watch.descriptor == descriptor && watch.instance.ptr_eq(&self.this)));
            if watches.is_empty() {
                all.remove(&key);
            }
        }
        WATCHED.fetch_sub(1, Ordering::Relaxed);
        Some(inode)
    }

    fn tell(&self, event: Event) {
        let mut state = lock(&self.state);
        if state.events.back() == Some(&event) {
            return;
        }
        let full = state.events.len() >= QUEUE_MAX;
        let overflow = Event { descriptor: -1, mask: mask::OVERFLOW, cookie: 0, name: Vec::new() };
        if !full {
            state.events.push_back(event);
        } else if state.events.back() != Some(&overflow) {
            state.events.push_back(overflow);
        }
        drop(state);
        self.queue.notify(Events::IN | Events::RDNORM);
    }
}

impl Event {
    /// `struct inotify_event` with its name, padded to 16 bytes.
    fn encode(&self) -> Vec<u8> {
        let padded = if self.name.is_empty() { 0 } else { (self.name.len() + 1).next_multiple_of(16) };
        let mut bytes = Vec::with_capacity(16 + padded);
        bytes.extend_from_slice(&self.descriptor.to_ne_bytes());
        for word in [self.mask, self.cookie, padded as u32] {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        bytes.extend_from_slice(&self.name);
        bytes.resize(16 + padded, 0);
        bytes
    }
}

impl File for Inotify {
    /// Whole events: EINVAL if not even the first fits.
    fn read(&self, to: &mut [u8], _: u64) -> Result<usize> {
        let mut state = lock(&self.state);
        let mut done = 0;
        while let Some(first) = state.events.front() {
            let bytes = first.encode();
            let Some(room) = to.get_mut(done..done + bytes.len()) else {
                return if done == 0 { Err(Errno::INVAL) } else { Ok(done) };
            };
            room.copy_from_slice(&bytes);
            done += bytes.len();
            state.events.pop_front();
        }
        if done == 0 { Err(Errno::AGAIN) } else { Ok(done) }
    }

    fn poll(&self, interest: Events) -> Events {
        if lock(&self.state).events.is_empty() { Events::empty() } else { interest & (Events::IN | Events::RDNORM) }
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn ioctl(&self, call: &mut Call<'_>, request: u32, argument: u64) -> Result<u64> {
        if u64::from(request) != libc::FIONREAD {
            return Err(Errno::NOTTY);
        }
        let bytes: usize = lock(&self.state).events.iter().map(|event| event.encode().len()).sum();
        call.write_value(argument, &(bytes as i32))?;
        Ok(0)
    }

    fn stat(&self) -> Result<Stat> {
        Ok(Stat { mode: 0o600, links: 1, block_size: 4096, ..Stat::default() })
    }

    fn name(&self) -> Vec<u8> {
        b"anon_inode:inotify".to_vec()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for Inotify {
    fn drop(&mut self) {
        let watches: Vec<i32> = lock(&self.state).watches.keys().copied().collect();
        for descriptor in watches {
            drop(self.remove(descriptor));
        }
    }
}

fn key(stat: &Stat) -> Key {
    (stat.device, stat.inode)
}

/// A number that ties the two events of one rename together.
pub(super) fn cookie() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Whether anybody watches anything.
pub(super) fn watched() -> bool {
    WATCHED.load(Ordering::Relaxed) > 0
}

fn send(key: Key, mask: u32, cookie: u32, name: &[u8]) {
    let told: Vec<(Arc<Inotify>, i32, bool)> = match lock(&WATCHES).get(&key) {
        None => return,
        Some(watches) => {
            let wanted = watches.iter().filter(|watch| watch.mask & mask & mask::ALL != 0);
            wanted.filter_map(|watch| Some((watch.instance.upgrade()?, watch.descriptor, watch.mask & mask::ONE_SHOT != 0))).collect()
        }
    };
    for (instance, descriptor, once) in told {
        instance.tell(Event { descriptor, mask, cookie, name: name.to_vec() });
        if once {
            // Another event may have ended it already.
            let _ = instance.unwatch(descriptor);
        }
    }
}

/// Something happened to what is at a place: told to who watches it, and to who watches its directory.
pub fn at(place: &Place, event: u32) {
    if !watched() {
        return;
    }
    let Ok(Ok(stat)) = place.inode().map(|inode| inode.stat()) else { return };
    let event = if place.dentry.is_directory() { event | mask::IS_DIRECTORY } else { event };
    if !place.dentry.removed()
        && let Some(parent) = place.dentry.parent()
        && let Ok(Ok(directory)) = parent.inode().map(|inode| inode.stat())
    {
        send(key(&directory), event, 0, &place.dentry.name());
    }
    send(key(&stat), event, 0, b"");
}

/// Something happened to a name in a directory.
pub(super) fn name(directory: &dyn Inode, name: &[u8], event: u32, is_directory: bool, cookie: u32) {
    if !watched() {
        return;
    }
    if let Ok(stat) = directory.stat() {
        let event = if is_directory { event | mask::IS_DIRECTORY } else { event };
        send(key(&stat), event, cookie, name);
    }
}

/// Something happened to an inode that only who watches itself is told.
pub(super) fn itself(inode: &dyn Inode, event: u32) {
    if watched()
        && let Ok(stat) = inode.stat()
    {
        send(key(&stat), event, 0, b"");
    }
}

/// An inode is about to lose its last name: its watches end.
pub(super) fn gone(last: Option<LastName>) {
    let Some((key, is_directory)) = last else { return };
    // What may have several names is told that it lost one.
    if !is_directory {
        send(key, mask::ATTRIB, 0, b"");
    }
    send(key, mask::DELETE_SELF, 0, b"");
    let left: Vec<(Arc<Inotify>, i32)> = lock(&WATCHES)
        .get(&key)
        .map_or_else(Vec::new, |watches| watches.iter().filter_map(|watch| Some((watch.instance.upgrade()?, watch.descriptor))).collect());
    for (instance, descriptor) in left {
        let _ = instance.unwatch(descriptor);
    }
}

/// An inode that loses its last name, and whether it is a directory.
pub(super) type LastName = (Key, bool);

/// Whom [`gone`] has to be told of, if an unlink takes an inode's last name.
pub(super) fn last_name(inode: &dyn Inode, is_directory: bool) -> Option<LastName> {
    if !watched() {
        return None;
    }
    let stat = inode.stat().ok()?;
    (is_directory || stat.links <= 1).then(|| (key(&stat), is_directory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::memory::{MemoryFileSystem, TmpfsOptions};
    use crate::vfs::names;
    use crate::vfs::path::Last;
    use crate::vfs::tests::World;

    fn events(instance: &Inotify) -> Vec<(u32, String)> {
        let told = std::mem::take(&mut lock(&instance.state).events);
        told.into_iter().map(|event| (event.mask, String::from_utf8(event.name).unwrap())).collect()
    }

    #[test]
    fn names_are_told_to_who_watches_the_directory() {
        let world = World::new(MemoryFileSystem::tmpfs("tmpfs", TmpfsOptions::default()).unwrap());
        let instance = Inotify::new();
        let wanted = mask::CREATE | mask::DELETE | mask::MOVED_FROM | mask::MOVED_TO;
        instance.watch(world.root.inode().unwrap(), wanted).unwrap();
        world.write("a", "x");
        names::rename(&world.walker(), (&world.root, b"a"), (&world.root, b"b"), 0).unwrap();
        names::remove(&world.walker(), &world.root, b"b", false).unwrap();
        world.make("d", crate::vfs::inode::NewNode::Directory, 0o755).unwrap();
        let told = events(&instance);
        let expected = [
            (mask::CREATE, "a"),
            (mask::MOVED_FROM, "a"),
            (mask::MOVED_TO, "b"),
            (mask::DELETE, "b"),
            (mask::CREATE | mask::IS_DIRECTORY, "d"),
        ];
        assert_eq!(told, expected.map(|(mask, name)| (mask, name.to_owned())));
    }

    #[test]
    fn watches_end_with_what_they_watch() {
        let world = World::new(MemoryFileSystem::tmpfs("tmpfs", TmpfsOptions::default()).unwrap());
        world.write("f", "x");
        let instance = Inotify::new();
        let descriptor = instance.watch(world.find("f", Last::Follow).unwrap().inode().unwrap(), mask::ALL).unwrap();
        names::remove(&world.walker(), &world.root, b"f", false).unwrap();
        let told = events(&instance);
        assert_eq!(told.last(), Some(&(mask::IGNORED, String::new())));
        assert!(told.contains(&(mask::DELETE_SELF, String::new())));
        assert_eq!(instance.unwatch(descriptor), Err(Errno::INVAL));
    }

    #[test]
    fn events_are_read_whole() {
        let instance = Inotify::new();
        let mut buffer = [0; 64];
        assert_eq!(instance.read(&mut buffer, 0), Err(Errno::AGAIN));
        for name in ["one", "two"] {
            instance.tell(Event { descriptor: 1, mask: mask::CREATE, cookie: 0, name: name.into() });
        }
        assert_eq!(instance.read(&mut buffer[..20], 0), Err(Errno::INVAL));
        assert_eq!(instance.read(&mut buffer[..40], 0), Ok(32));
        assert_eq!(&buffer[16..20], b"one\0");
        assert_eq!(instance.read(&mut buffer, 0), Ok(32));
    }
}
