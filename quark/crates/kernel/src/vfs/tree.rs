//! From the mounts that a container asks for to its tree.

use std::fmt;
use std::sync::Arc;

use super::inode::{Inode, NewNode, kind};
use super::mount::{FileSystem, Mount, MountFlags, SuperBlock};
use super::names;
use super::path::{Last, Walker};
use super::place::Place;
use crate::fs::host::HostFileSystem;
use crate::fs::memory::{MemoryFileSystem, TmpfsOptions};
use crate::kernel::{DeviceSpec, MountSource, MountSpec};
use crate::task::Credentials;
use crate::task::credentials::ALL_CAPABILITIES;
use crate::{Errno, Result};

/// What of a container's mounts could not be made.
#[derive(Debug)]
pub struct TreeError {
    /// The path inside of the container.
    pub target: Vec<u8>,
    /// Why.
    pub error: Errno,
}

impl fmt::Display for TreeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "mount {}: {}", String::from_utf8_lossy(&self.target), self.error)
    }
}

/// What a tree is made of.
#[derive(Clone, Copy, Debug)]
pub struct Additions<'a> {
    /// Paths of which nothing shows.
    pub masked: &'a [Vec<u8>],
    /// Paths that can't be written to.
    pub read_only: &'a [Vec<u8>],
    /// Device nodes.
    pub devices: &'a [DeviceSpec],
}

/// Makes a container's mounts; the first one must be at `/` (EINVAL). Targets are resolved inside of the container, and made if they are missing.
pub fn build(specs: Vec<MountSpec>, additions: Additions<'_>) -> Result<Arc<Mount>, TreeError> {
    let mut specs = specs.into_iter();
    let first = specs.next().filter(|first| first.target == b"/").ok_or(TreeError { target: b"/".to_vec(), error: Errno::INVAL })?;
    // It becomes read-only when everything else has been made in it.
    let root_flags = MountFlags::from_bits_truncate(first.flags);
    let root = named(b"/", || mount(first.source, root_flags - MountFlags::READ_ONLY))?;
    let credentials = Credentials { effective: ALL_CAPABILITIES, ..Credentials::default() };
    let tree = Tree { root: root.place(), walker: Walker::new(&credentials, root.place()) };
    for spec in specs {
        let MountSpec { target, source, flags } = spec;
        named(&target, || tree.add(&target, mount(source, MountFlags::from_bits_truncate(flags))?))?;
    }
    for device in additions.devices {
        named(&device.path, || tree.add_device(device))?;
    }
    for path in additions.read_only {
        named(path, || absent_is_fine(tree.make_read_only(path)))?;
    }
    for path in additions.masked {
        named(path, || absent_is_fine(tree.mask(path)))?;
    }
    root.set_flags(root_flags);
    root.tree().iter().for_each(|mount| mount.lock());
    Ok(root)
}

fn named<T>(target: &[u8], make: impl FnOnce() -> Result<T>) -> Result<T, TreeError> {
    make().map_err(|error| TreeError { target: target.to_vec(), error })
}

/// Masked and read-only paths need not be there (OCI `config-linux.md`).
fn absent_is_fine(answer: Result<()>) -> Result<()> {
    match answer {
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
        answer => answer,
    }
}

fn mount(source: MountSource, flags: MountFlags) -> Result<Arc<Mount>> {
    let file_system = file_system(source)?;
    Mount::whole(file_system.clone(), file_system.name().as_bytes(), flags)
}

fn file_system(source: MountSource) -> Result<Arc<dyn FileSystem>> {
    Ok(match source {
        MountSource::Host(root) => HostFileSystem::new(root)?,
        MountSource::HostFile { reader, writer } => HostFileSystem::of_file(reader, writer)?,
        MountSource::Overlay(lower) => MemoryFileSystem::overlay(lower)?,
        MountSource::Tmpfs { size, mode, uid, gid } => tmpfs("tmpfs", size, mode, (uid, gid))?,
        MountSource::Proc => crate::fs::proc::file_system(),
        MountSource::Sys => crate::fs::sys::file_system(),
        MountSource::Cgroup => crate::fs::cgroup::file_system(),
        MountSource::Dev => crate::fs::dev::file_system()?,
        MountSource::DevPts => crate::terminal::devpts::DevPts::new(),
        MountSource::Mqueue => Arc::new(crate::ipc::mqueue::MqueueFileSystem),
    })
}

pub(super) fn tmpfs(name: &'static str, size: Option<u64>, mode: u32, owner: (u32, u32)) -> Result<Arc<MemoryFileSystem>> {
    MemoryFileSystem::tmpfs(name, TmpfsOptions { size, mode, owner, ..TmpfsOptions::default() })
}

/// A tree that is being made.
struct Tree<'a> {
    root: Place,
    walker: Walker<'a>,
}

impl Tree<'_> {
    fn find(&self, path: &[u8]) -> Result<Place> {
        self.walker.find(&self.root, path, Last::Follow)
    }

    /// The place of a path. What is missing of it is made: directories, and at its end what `node` says.
    fn ensure(&self, path: &[u8], node: NewNode<'_>, mode: u32) -> Result<Place> {
        let mut place = self.root.clone();
        let ends = (1..=path.len()).filter(|end| path.get(*end).is_none_or(|byte| *byte == b'/'));
        for end in ends {
            let part = path.get(..end).unwrap_or_default();
            let walked = self.walker.walk(&self.root, part, Last::Follow)?;
            if !walked.place.dentry.negative() {
                place = walked.place;
            } else if end < path.len() {
                place = self.make(part, NewNode::Directory, 0o755)?;
            } else {
                place = self.make(part, node.clone(), mode)?;
            }
        }
        Ok(place)
    }

    /// Makes a mount point, or one in memory where the file system below can't be written to: a mount on it keeps the name.
    fn make(&self, path: &[u8], node: NewNode<'_>, mode: u32) -> Result<Place> {
        match names::make(&self.walker, &self.root, path, node.clone(), mode) {
            Err(Errno::ROFS | Errno::PERM | Errno::ACCESS | Errno::NOENT) => {
                let (parent, name, _) = self.walker.walk(&self.root, path, Last::Name)?.named(Errno::EXIST)?;
                let memory = tmpfs("tmpfs", None, 0o755, (0, 0))?;
                if !matches!(node, NewNode::Directory) {
                    let inode = memory.node().create(&name, node, mode, (0, 0))?;
                    return Ok(parent.with(parent.dentry.hook(&name, Some(inode), true)?));
                }
                // A directory is mounted, to stay while further mount points are made in it.
                let place = parent.with(parent.dentry.hook(&name, Some(memory.node().clone()), true)?);
                Mount::attach(&Mount::whole(memory, b"tmpfs", MountFlags::READ_ONLY)?, &place)?;
                Ok(place.top())
            }
            made => made,
        }
    }

    fn add(&self, target: &[u8], child: Arc<Mount>) -> Result<()> {
        let place = if child.root.is_directory() {
            self.ensure(target, NewNode::Directory, 0o755)?
        } else {
            self.ensure(target, NewNode::Regular, 0o644)?
        };
        Mount::attach(&child, &place)
    }

    fn add_device(&self, device: &DeviceSpec) -> Result<()> {
        let node = match device.mode & kind::MASK {
            kind::BLOCK => NewNode::BlockDevice(device.number),
            kind::FIFO => NewNode::Fifo,
            _ => NewNode::CharacterDevice(device.number),
        };
        let place = self.ensure(&device.path, node, device.mode & 0o7777)?;
        let inode: &Arc<dyn Inode> = place.inode()?;
        let change = super::inode::Attributes {
            mode: Some(device.mode & 0o7777),
            uid: Some(device.uid),
            gid: Some(device.gid),
            ..Default::default()
        };
        inode.set_attributes(&change)
    }

    /// Mounts a place onto itself, read-only.
    fn make_read_only(&self, path: &[u8]) -> Result<()> {
        let place = self.find(path)?;
        let flags = place.flags() | MountFlags::READ_ONLY;
        let again = Mount::new(place.mount.super_block.clone(), place.dentry.clone(), &place.mount.source, flags);
        Mount::attach(&again, &place)
    }

    /// Puts an empty directory, or for files an empty device, on a place.
    fn mask(&self, path: &[u8]) -> Result<()> {
        let place = self.find(path)?;
        let flags = MountFlags::READ_ONLY | MountFlags::NO_SETUID | MountFlags::NO_EXECUTION;
        let empty = tmpfs("tmpfs", Some(0), 0o755, (0, 0))?;
        if place.dentry.is_directory() {
            return Mount::attach(&Mount::whole(empty, b"tmpfs", flags)?, &place);
        }
        let null = NewNode::CharacterDevice(rustix::fs::makedev(1, 3));
        empty.node().create(b"null", null, 0o666, (0, 0))?;
        let super_block = SuperBlock::new(empty)?;
        let node = super_block.root.child(b"null")?;
        Mount::attach(&Mount::new(super_block, node, b"tmpfs", flags), &place)
    }
}

/// How much memory the file systems below a root hold, in bytes. A file system that is mounted twice counts once.
pub fn memory_used(root: &Arc<Mount>) -> u64 {
    let mut seen: Vec<*const SuperBlock> = Vec::new();
    let mut total = 0;
    for mount in root.tree() {
        let address = Arc::as_ptr(&mount.super_block);
        if !seen.contains(&address) {
            seen.push(address);
            total += mount.super_block.file_system.memory();
        }
    }
    total
}
