//! From the mounts that a container asks for to its tree.

use std::sync::Arc;

use super::spec::{MountSource, MountSpec};
use crate::fs::host::HostFileSystem;
use crate::fs::memory::{MemoryFileSystem, TmpfsOptions};
use crate::task::Credentials;
use crate::task::credentials::ALL_CAPABILITIES;
use crate::vfs::inode::{Inode, NewNode};
use crate::vfs::mount::{FileSystem, Mount, MountFlags};
use crate::vfs::names;
use crate::vfs::path::{Last, Walker};
use crate::vfs::place::Place;
use crate::{Errno, Result};

/// Makes the tree of mounts; its root. The first one must be at `/`: EINVAL.
pub fn tree(specs: Vec<MountSpec>, masked: &[Vec<u8>], read_only: &[Vec<u8>]) -> Result<Arc<Mount>> {
    let mut specs = specs.into_iter();
    let first = specs.next().filter(|first| first.target == b"/").ok_or(Errno::INVAL)?;
    let root = mount(first)?;
    for spec in specs {
        let target = spec.target.clone();
        attach(&root, &target, &mount(spec)?)?;
    }
    let _ = (masked, read_only);
    Ok(root)
}

fn mount(spec: MountSpec) -> Result<Arc<Mount>> {
    let flags = MountFlags::from_bits_truncate(spec.flags);
    let file_system = file_system(spec.source)?;
    Mount::whole(file_system.clone(), file_system.name().as_bytes(), flags)
}

fn file_system(source: MountSource) -> Result<Arc<dyn FileSystem>> {
    Ok(match source {
        MountSource::Host(root) => HostFileSystem::new(root)?,
        MountSource::Overlay(lower) => MemoryFileSystem::overlay(lower)?,
        MountSource::Tmpfs { size, mode, uid, gid } => {
            MemoryFileSystem::tmpfs("tmpfs", TmpfsOptions { size, mode, owner: (uid, gid), ..TmpfsOptions::default() })?
        }
        MountSource::Dev => crate::fs::dev::file_system()?,
        // Not there yet: an empty directory that nothing can be put into.
        MountSource::Proc => empty("proc")?,
        MountSource::Sys => empty("sysfs")?,
        MountSource::DevPts => empty("devpts")?,
        MountSource::Mqueue => empty("mqueue")?,
        MountSource::Cgroup => empty("cgroup2")?,
    })
}

fn empty(name: &'static str) -> Result<Arc<MemoryFileSystem>> {
    MemoryFileSystem::tmpfs(name, TmpfsOptions { size: Some(0), mode: 0o555, ..TmpfsOptions::default() })
}

fn attach(root: &Arc<Mount>, target: &[u8], child: &Arc<Mount>) -> Result<()> {
    let credentials = Credentials { effective: ALL_CAPABILITIES, ..Credentials::default() };
    let walker = Walker::new(&credentials, root.place());
    let place = mount_point(&walker, target, child.root.is_directory())?;
    Mount::attach(child, &place.top())
}

/// The place of a path, whose missing parts are made.
fn mount_point(walker: &Walker<'_>, target: &[u8], directory: bool) -> Result<Place> {
    let mut place = walker.root.clone();
    let ends = (1..=target.len()).filter(|end| target.get(*end).is_none_or(|byte| *byte == b'/'));
    for end in ends {
        let path = target.get(..end).unwrap_or_default();
        let walked = walker.walk(&walker.root, path, Last::Follow)?;
        if !walked.place.dentry.negative() {
            place = walked.place;
            continue;
        }
        let node = if end < target.len() || directory { NewNode::Directory } else { NewNode::Regular };
        place = make(walker, path, &node)?;
    }
    Ok(place)
}

/// Makes a mount point, as runtimes do, or where nothing can be made one in memory, which leaves the file system below as it is.
fn make(walker: &Walker<'_>, path: &[u8], node: &NewNode<'_>) -> Result<Place> {
    let mode = if matches!(node, NewNode::Directory) { 0o755 } else { 0o644 };
    match names::make(walker, &walker.root, path, node.clone(), mode) {
        Err(Errno::ROFS | Errno::PERM | Errno::ACCESS) => {
            let (parent, name, _) = walker.walk(&walker.root, path, Last::Name)?.named(Errno::EXIST)?;
            let memory = MemoryFileSystem::tmpfs("tmpfs", TmpfsOptions { mode: 0o755, ..TmpfsOptions::default() })?;
            let inode: Arc<dyn Inode> = match node {
                NewNode::Directory => memory.node().clone(),
                node => memory.node().create(&name, node.clone(), mode, (0, 0))?,
            };
            Ok(parent.with(parent.dentry.hook(&name, Some(inode), true)?))
        }
        made => made,
    }
}

/// How much memory the file systems under a root hold, in bytes.
pub fn memory_used(root: &Arc<Mount>) -> u64 {
    let _ = root;
    0
}
