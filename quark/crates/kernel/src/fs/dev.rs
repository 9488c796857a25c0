//! `/dev`: device nodes, and what opens them.
//!
//! Devices are known by their numbers, wherever their nodes are (`mknod`, a bind mount of the host's `/dev/null`). Nothing here is the host's device.

use std::any::Any;
use std::sync::Arc;

use rustix::fs::{major, makedev, minor};

use super::memory::{MemoryFileSystem, TmpfsOptions};
use crate::file::{File, MapSource};
use crate::task::Task;
use crate::vfs::inode::{Inode, NewNode};
use crate::vfs::place::Place;
use crate::{Errno, Result};

/// What `/dev` has by itself: name, number, permissions.
const NODES: &[(&str, (u32, u32), u32)] = &[
    ("null", (1, 3), 0o666),
    ("zero", (1, 5), 0o666),
    ("full", (1, 7), 0o666),
    ("random", (1, 8), 0o666),
    ("urandom", (1, 9), 0o666),
    ("tty", (5, 0), 0o666),
];

/// Symbolic links, of the OCI specification (`config-linux.md`, default symlinks).
const LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// A file system for `/dev`: nodes, links, and directories to mount on. It is a tmpfs, and may be written to.
pub fn file_system() -> Result<Arc<MemoryFileSystem>> {
    let options = TmpfsOptions { size: Some(64 << 20), mode: Some(0o755), ..TmpfsOptions::default() };
    let made = MemoryFileSystem::tmpfs("tmpfs", options)?;
    let root = made.node();
    for (name, (major, minor), mode) in NODES {
        root.create(name.as_bytes(), NewNode::CharacterDevice(makedev(*major, *minor)), *mode, (0, 0))?;
    }
    for (name, target) in LINKS {
        root.create(name.as_bytes(), NewNode::Symlink(target.as_bytes()), 0o777, (0, 0))?;
    }
    for (name, mode) in [("pts", 0o755), ("shm", 0o1777), ("mqueue", 0o755)] {
        root.create(name.as_bytes(), NewNode::Directory, mode, (0, 0))?;
    }
    Ok(made)
}

/// Opens a device node: ENXIO if nothing here drives it.
pub fn open(task: &Arc<Task>, place: &Place, character: bool, number: u64, flags: u32) -> Result<Arc<dyn File>> {
    let inode = place.inode()?.clone();
    if !character {
        return Err(Errno::NXIO);
    }
    let memory = |what| Ok(Arc::new(MemoryDevice { what, inode: inode.clone() }) as Arc<dyn File>);
    match (major(number), minor(number)) {
        (1, 3) => memory(What::Null),
        (1, 5) => memory(What::Zero),
        (1, 7) => memory(What::Full),
        (1, 8 | 9) => memory(What::Random),
        (5, 0) => Ok(crate::terminal::open_controlling(task, flags, inode)?),
        (5, 2) => pseudo_terminal(task, b"ptmx")?.open(flags, &task.credentials()),
        (136, number) => pseudo_terminal(task, number.to_string().as_bytes())?.open(flags, &task.credentials()),
        _ => Err(Errno::NXIO),
    }
}

/// A node of the `/dev/pts` that the task sees: ENXIO if there is none.
fn pseudo_terminal(task: &Arc<Task>, name: &[u8]) -> Result<Arc<dyn Inode>> {
    let root = crate::terminal::devpts_of(&task.fs().root(), &task.credentials()).ok_or(Errno::NXIO)?;
    root.lookup(name).map_err(|_| Errno::NXIO)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Null,
    Zero,
    Full,
    Random,
}

/// `/dev/null` and its kind: `man 4 null`, `full`, `random`.
struct MemoryDevice {
    what: What,
    inode: Arc<dyn Inode>,
}

impl File for MemoryDevice {
    fn read(&self, to: &mut [u8], _: u64) -> Result<usize> {
        match self.what {
            What::Null => return Ok(0),
            What::Zero | What::Full => to.fill(0),
            What::Random => {
                let mut done = 0;
                while let Some(rest) = to.get_mut(done..).filter(|rest| !rest.is_empty()) {
                    done += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())?;
                }
            }
        }
        Ok(to.len())
    }

    fn write(&self, from: &[u8], _: u64) -> Result<usize> {
        if self.what == What::Full && !from.is_empty() { Err(Errno::NOSPC) } else { Ok(from.len()) }
    }

    fn append(&self, from: &[u8]) -> Result<(usize, u64)> {
        self.write(from, 0).map(|count| (count, 0))
    }

    fn seekable(&self) -> bool {
        true
    }

    fn inode(&self) -> Option<&Arc<dyn Inode>> {
        Some(&self.inode)
    }

    /// Zeros without end, of this mapping's own.
    fn map(&self, _: bool) -> Result<MapSource> {
        if self.what != What::Zero {
            return Err(Errno::NODEV);
        }
        let file = rustix::fs::memfd_create(c"zero", rustix::fs::MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&file, 1 << 46)?;
        Ok(MapSource { file: Arc::new(file), offset: 0 })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
