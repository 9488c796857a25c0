//! `/dev/pts`: a file system of pseudo-terminals, one instance a container.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use rustix::fs::makedev;

use super::file::{ProgramSide, ScreenSide};
use super::tty::Terminal;
use crate::file::File;
use crate::task::current;
use crate::task::{Credentials, lock};
use crate::vfs::inode::{Attributes, DirectoryEntry, Inode, Stat, TimeStamp, kind};
use crate::vfs::mount::{FileSystem, FileSystemStat};
use crate::{Errno, Result};

const MAGIC: u64 = 0x1cd1;
/// Terminals of one instance (`kernel.pty.max`).
const TERMINALS_MAX: u32 = 4096;
/// The inode number of `ptmx`; that of terminal N is N + 3.
const PTMX_INODE: u64 = 2;
/// Group `tty`, as `gid=5` of the usual mount options.
const TTY_GROUP: u32 = 5;

/// One instance.
pub struct DevPts {
    root: Arc<Root>,
}

/// Its directory.
pub struct Root {
    device: u64,
    made: TimeStamp,
    nodes: Mutex<BTreeMap<u32, Arc<PtsNode>>>,
    ptmx: Arc<Ptmx>,
    me: Weak<Root>,
}

/// `ptmx`: opening it makes a terminal.
struct Ptmx {
    root: Weak<Root>,
    attributes: Mutex<Owned>,
}

/// `N`.
struct PtsNode {
    terminal: Weak<Terminal>,
    number: u32,
    device: u64,
    attributes: Mutex<Owned>,
}

/// What `chmod` and `chown` change.
#[derive(Clone, Copy)]
struct Owned {
    mode: u32,
    uid: u32,
    gid: u32,
    time: TimeStamp,
}

/// A terminal and its node, which is removed when this is dropped.
pub struct Pts {
    /// The terminal.
    pub terminal: Arc<Terminal>,
    root: Arc<Root>,
    node: Arc<PtsNode>,
}

impl DevPts {
    /// An empty one.
    pub fn new() -> Arc<DevPts> {
        let root = Arc::new_cyclic(|me: &Weak<Root>| Root {
            device: crate::fs::next_device(),
            made: time(),
            nodes: Mutex::default(),
            ptmx: Arc::new(Ptmx { root: me.clone(), attributes: Mutex::new(Owned { mode: 0o666, uid: 0, gid: 0, time: time() }) }),
            me: me.clone(),
        });
        Arc::new(DevPts { root })
    }
}

impl FileSystem for DevPts {
    fn name(&self) -> &'static str {
        "devpts"
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }

    fn stat(&self) -> Result<FileSystemStat> {
        Ok(FileSystemStat { magic: MAGIC, block_size: 4096, name_max: 255, ..FileSystemStat::default() })
    }

    fn options(&self) -> String {
        ",gid=5,mode=620,ptmxmode=666".into()
    }
}

impl Root {
    /// A new terminal with a node of `owner`: ENOSPC if there are too many.
    pub fn allocate(&self, owner: u32, locked: bool) -> Result<Pts> {
        let root = self.me.upgrade().ok_or(Errno::NXIO)?;
        let mut nodes = lock(&self.nodes);
        let number = (0..TERMINALS_MAX).find(|number| !nodes.contains_key(number)).ok_or(Errno::NOSPC)?;
        let terminal = Terminal::new(number, locked);
        let attributes = Mutex::new(Owned { mode: 0o620, uid: owner, gid: TTY_GROUP, time: time() });
        let node = Arc::new(PtsNode { terminal: Arc::downgrade(&terminal), number, device: self.device, attributes });
        nodes.insert(number, node.clone());
        drop(nodes);
        Ok(Pts { terminal, root, node })
    }

    /// A reference that keeps it.
    pub fn itself(&self) -> Option<Arc<Root>> {
        self.me.upgrade()
    }

    fn list(&self) -> Vec<DirectoryEntry> {
        let entry = |name: &str, inode: u64, kind: u8| DirectoryEntry { name: name.as_bytes().to_vec(), inode, kind, next: 0 };
        let mut list = vec![entry(".", 1, libc::DT_DIR), entry("..", 1, libc::DT_DIR), entry("ptmx", PTMX_INODE, libc::DT_CHR)];
        let nodes = lock(&self.nodes);
        list.extend(nodes.keys().map(|number| entry(&number.to_string(), inode_of(*number), libc::DT_CHR)));
        for (next, entry) in (1..).zip(&mut list) {
            entry.next = next;
        }
        list
    }
}

impl Pts {
    /// The node.
    pub fn inode(&self) -> Arc<dyn Inode> {
        self.node.clone()
    }
}

impl Drop for Pts {
    fn drop(&mut self) {
        lock(&self.root.nodes).remove(&self.node.number);
    }
}

fn inode_of(number: u32) -> u64 {
    u64::from(number) + 3
}

fn time() -> TimeStamp {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    TimeStamp { seconds: now.tv_sec, nanoseconds: now.tv_nsec as u32 }
}

impl Owned {
    fn change(&mut self, change: &Attributes) -> Result<()> {
        if change.size.is_some() {
            return Err(Errno::INVAL);
        }
        self.mode = change.mode.unwrap_or(self.mode) & 0o7777;
        self.uid = change.uid.unwrap_or(self.uid);
        self.gid = change.gid.unwrap_or(self.gid);
        self.time = time();
        Ok(())
    }

    fn stat(self, device: u64, inode: u64, represents: u64) -> Stat {
        Stat {
            device,
            inode,
            mode: kind::CHARACTER | self.mode,
            links: 1,
            uid: self.uid,
            gid: self.gid,
            represents,
            block_size: 1024,
            accessed: self.time,
            modified: self.time,
            changed: self.time,
            ..Stat::default()
        }
    }
}

impl Inode for Root {
    fn stat(&self) -> Result<Stat> {
        Ok(Stat {
            device: self.device,
            inode: 1,
            mode: kind::DIRECTORY | 0o755,
            links: 2,
            block_size: 4096,
            accessed: self.made,
            modified: self.made,
            changed: self.made,
            ..Stat::default()
        })
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        if name == b"ptmx" {
            return Ok(self.ptmx.clone());
        }
        let number: u32 = std::str::from_utf8(name).ok().and_then(|name| name.parse().ok()).ok_or(Errno::NOENT)?;
        let node = lock(&self.nodes).get(&number).cloned().ok_or(Errno::NOENT)?;
        if number.to_string().as_bytes() == name { Ok(node) } else { Err(Errno::NOENT) }
    }

    fn cacheable(&self) -> bool {
        false
    }

    fn open(self: Arc<Self>, _: u32, _: &Credentials) -> Result<Arc<dyn File>> {
        let inode: Arc<dyn Inode> = self.clone();
        Ok(Arc::new(Listing { root: self, inode }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The directory, open.
struct Listing {
    root: Arc<Root>,
    inode: Arc<dyn Inode>,
}

impl File for Listing {
    fn read(&self, _: &mut [u8], _: u64) -> Result<usize> {
        Err(Errno::ISDIR)
    }

    fn seekable(&self) -> bool {
        true
    }

    fn inode(&self) -> Option<&Arc<dyn Inode>> {
        Some(&self.inode)
    }

    fn entries(&self, position: u64, _: usize) -> Result<Vec<DirectoryEntry>> {
        let position = usize::try_from(position).unwrap_or(usize::MAX);
        Ok(self.root.list().into_iter().skip(position).collect())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Inode for Ptmx {
    fn stat(&self) -> Result<Stat> {
        let device = self.root.upgrade().map_or(0, |root| root.device);
        Ok(lock(&self.attributes).stat(device, PTMX_INODE, makedev(5, 2)))
    }

    fn set_attributes(&self, change: &Attributes) -> Result<()> {
        lock(&self.attributes).change(change)
    }

    fn open(self: Arc<Self>, _: u32, credentials: &Credentials) -> Result<Arc<dyn File>> {
        let pts = self.root.upgrade().ok_or(Errno::NXIO)?.allocate(credentials.fsuid, true)?;
        Ok(ScreenSide::new(pts, self))
    }

    fn opens_itself(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Inode for PtsNode {
    fn stat(&self) -> Result<Stat> {
        Ok(lock(&self.attributes).stat(self.device, inode_of(self.number), makedev(136, self.number)))
    }

    fn set_attributes(&self, change: &Attributes) -> Result<()> {
        lock(&self.attributes).change(change)
    }

    fn open(self: Arc<Self>, flags: u32, _: &Credentials) -> Result<Arc<dyn File>> {
        let terminal = self.terminal.upgrade().ok_or(Errno::IO)?;
        match current() {
            Some(task) => Ok(ProgramSide::open_by(&task, &terminal, flags, Some(self))?),
            None => Ok(ProgramSide::open(&terminal, flags, Some(self))?),
        }
    }

    fn opens_itself(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::Events;

    fn open(inode: Arc<dyn Inode>) -> Result<Arc<dyn File>> {
        inode.open(libc::O_RDWR as u32, &Credentials::default())
    }

    #[test]
    fn each_open_of_ptmx_makes_a_terminal_that_goes_with_it() {
        let fs = DevPts::new();
        let root = fs.root();
        let ptmx = root.lookup(b"ptmx").unwrap();
        let (first, second) = (open(ptmx.clone()).unwrap(), open(ptmx).unwrap());
        let node = root.lookup(b"1").unwrap();
        assert_eq!(node.stat().unwrap().represents, makedev(136, 1));
        assert_eq!(root.lookup(b"01").err(), Some(Errno::NOENT));
        assert_eq!(open(node.clone()).err(), Some(Errno::IO), "it is locked");
        let screen: &ScreenSide = second.as_any().downcast_ref().unwrap();
        screen.terminal.state().locked = false;
        let program = open(node.clone()).unwrap();
        assert_eq!(second.write(b"hi\n", 0), Ok(3));
        assert_eq!(program.read(&mut [0; 9], 0), Ok(3));
        let names: Vec<_> = open(root.clone()).unwrap().entries(2, 1000).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, [b"ptmx".to_vec(), b"0".to_vec(), b"1".to_vec()]);
        drop(second);
        assert_eq!(root.lookup(b"1").err(), Some(Errno::NOENT));
        assert_eq!(program.read(&mut [0; 9], 0), Ok(0));
        assert_eq!(program.write(b"x", 0), Err(Errno::IO));
        drop(first);
    }

    #[test]
    fn the_screen_sees_that_programs_have_gone() {
        let fs = DevPts::new();
        let screen = open(fs.root().lookup(b"ptmx").unwrap()).unwrap();
        let side: &ScreenSide = screen.as_any().downcast_ref().unwrap();
        side.terminal.state().locked = false;
        assert_eq!(screen.read(&mut [0; 9], 0), Err(Errno::AGAIN));
        let program = open(fs.root().lookup(b"0").unwrap()).unwrap();
        program.write(b"bye", 0).unwrap();
        drop(program);
        assert_eq!(screen.poll(Events::IN), Events::IN | Events::HUP);
        assert_eq!(screen.read(&mut [0; 9], 0), Ok(3));
        assert_eq!(screen.read(&mut [0; 9], 0), Err(Errno::IO));
    }
}
