//! From the mounts that a container asks for to its tree.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::copy::copy_below;
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
    /// What of `/proc/sys` is as somebody has set it.
    pub sysctl: &'a BTreeMap<String, String>,
    /// How much memory the container has, bytes.
    pub memory: u64,
}

/// Makes a container's mounts; the first one must be at `/` (EINVAL). Targets are resolved inside of the container, and made if they are missing.
pub fn build(specs: Vec<MountSpec>, additions: Additions<'_>) -> Result<Arc<Mount>, TreeError> {
    let mut specs = specs.into_iter();
    let first = specs.next().filter(|first| first.target == b"/").ok_or(TreeError { target: b"/".to_vec(), error: Errno::INVAL })?;
    // It becomes read-only when everything else has been made in it.
    let root_flags = MountFlags::from_bits_truncate(first.flags);
    let root = named(b"/", || mount(first.source, root_flags - MountFlags::READ_ONLY, additions.sysctl))?;
    let credentials = Credentials { effective: ALL_CAPABILITIES, ..Credentials::default() };
    let tree = Tree { root: root.place(), walker: Walker::new(&credentials, root.place()) };
    for spec in specs {
        let MountSpec { target, source, flags } = spec;
        named(&target, || tree.add(&target, source, MountFlags::from_bits_truncate(flags), additions))?;
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

fn mount(source: MountSource, flags: MountFlags, sysctl: &BTreeMap<String, String>) -> Result<Arc<Mount>> {
    let file_system = file_system(source, sysctl)?;
    Mount::whole(file_system.clone(), file_system.name().as_bytes(), flags)
}

fn file_system(source: MountSource, sysctl: &BTreeMap<String, String>) -> Result<Arc<dyn FileSystem>> {
    Ok(match source {
        MountSource::Host(root) => HostFileSystem::new(root)?,
        MountSource::HostFile { reader, writer } => HostFileSystem::of_file(reader, writer)?,
        MountSource::Overlay(lower) => MemoryFileSystem::overlay(lower)?,
        MountSource::Tmpfs { options, .. } => MemoryFileSystem::tmpfs("tmpfs", TmpfsOptions::parse(&options)?)?,
        MountSource::Proc => crate::fs::proc::file_system(sysctl),
        MountSource::Sys => crate::fs::sys::file_system(),
        MountSource::Cgroup => crate::fs::cgroup::file_system(),
        MountSource::Dev => crate::fs::dev::file_system()?,
        MountSource::DevPts => crate::terminal::devpts::DevPts::new(),
        MountSource::Mqueue => Arc::new(crate::ipc::mqueue::MqueueFileSystem),
    })
}

/// A file system that nothing can be written to, once what we make in it is there.
fn small() -> Result<Arc<MemoryFileSystem>> {
    MemoryFileSystem::tmpfs("tmpfs", TmpfsOptions { size: Some(0), mode: Some(0o755), ..TmpfsOptions::default() })
}

/// A single node, to be mounted on a name.
fn single(node: NewNode<'_>, mode: u32, flags: MountFlags) -> Result<Arc<Mount>> {
    const NAME: &[u8] = b"node";
    let memory = small()?;
    memory.node().create(NAME, node, mode, (0, 0))?;
    let super_block = SuperBlock::new(memory)?;
    let node = super_block.root.child(NAME)?;
    Ok(Mount::new(super_block, node, b"tmpfs", flags))
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
                let memory = small()?;
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

    fn add(&self, target: &[u8], source: MountSource, flags: MountFlags, additions: Additions<'_>) -> Result<()> {
        if let MountSource::Tmpfs { options, copy_up } = source {
            return self.add_tmpfs(target, TmpfsOptions::parse(&options)?.within(additions.memory), copy_up, flags);
        }
        let child = mount(source, flags, additions.sysctl)?;
        let place = if child.root.is_directory() {
            self.ensure(target, NewNode::Directory, 0o755)?
        } else {
            self.ensure(target, NewNode::Regular, 0o644)?
        };
        Mount::attach(&child, &place)
    }

    /// It has the permissions of the directory that it is mounted on, unless it is said which (as runc has it), and with `copy_up` all that is in it.
    fn add_tmpfs(&self, target: &[u8], mut options: TmpfsOptions, copy_up: bool, flags: MountFlags) -> Result<()> {
        if let Ok(known) = self.find(target) {
            options.mode = options.mode.or(Some(known.inode()?.stat()?.mode & 0o7777));
        }
        let place = self.ensure(target, NewNode::Directory, 0o755)?;
        let memory = MemoryFileSystem::tmpfs("tmpfs", options)?;
        let child = Mount::whole(memory, b"tmpfs", flags - MountFlags::READ_ONLY)?;
        if copy_up {
            copy_below(&place, &child.place())?;
        }
        child.set_flags(flags);
        Mount::attach(&child, &place)
    }

    fn add_device(&self, device: &DeviceSpec) -> Result<()> {
        let node = match device.mode & kind::MASK {
            kind::BLOCK => NewNode::BlockDevice(device.number),
            kind::FIFO => NewNode::Fifo,
            _ => NewNode::CharacterDevice(device.number),
        };
        let place = self.ensure(&device.path, node.clone(), device.mode & 0o7777)?;
        // On a file system of the host there are none.
        let there = place.inode()?.stat()?;
        let own = place.mount.root.inode()?.stat()?.device == there.device && there.mode & kind::MASK == device.mode & kind::MASK;
        let place = if own {
            place
        } else {
            let flags = MountFlags::NO_SETUID | MountFlags::NO_EXECUTION;
            Mount::attach(&single(node, device.mode & 0o7777, flags)?, &place)?;
            place.top()
        };
        let change = super::inode::Attributes {
            mode: Some(device.mode & 0o7777),
            uid: Some(device.uid),
            gid: Some(device.gid),
            ..Default::default()
        };
        place.inode()?.set_attributes(&change)
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
        if place.dentry.is_directory() {
            return Mount::attach(&Mount::whole(small()?, b"tmpfs", flags)?, &place);
        }
        let null = NewNode::CharacterDevice(rustix::fs::makedev(1, 3));
        Mount::attach(&single(null, 0o666, flags)?, &place)
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
