//! Places of open files that have none in the tree: what `/proc/self/fd/N` leads to for a pipe or socket.

use std::any::Any;
use std::sync::{Arc, LazyLock};

use super::{About, Body, Fixed, Pseudo, PseudoFileSystem};
use crate::file::File;
use crate::task::Credentials;
use crate::vfs::dentry::{Dentry, DentryCache};
use crate::vfs::inode::{Inode, Stat, kind};
use crate::vfs::mount::{Mount, MountFlags, SuperBlock};
use crate::vfs::open::OpenFile;
use crate::vfs::place::Place;
use crate::{Errno, Result};

/// An open file as an inode.
struct FileInode {
    file: Arc<dyn File>,
}

impl Inode for FileInode {
    fn stat(&self) -> Result<Stat> {
        self.file.stat()
    }

    /// Whoever can name it has it, or may look into who has.
    fn permissions(&self) -> Result<(u32, u32, u32)> {
        let stat = self.file.stat()?;
        Ok((stat.mode & kind::MASK | 0o666, stat.uid, stat.gid))
    }

    fn open(self: Arc<Self>, flags: u32, _: &Credentials) -> Result<Arc<dyn File>> {
        Ok(self.file.reopen(flags)?.unwrap_or_else(|| self.file.clone()))
    }

    fn opens_itself(&self) -> bool {
        true
    }

    fn is(&self, other: &dyn Inode) -> bool {
        other.as_any().downcast_ref::<FileInode>().is_some_and(|other| Arc::ptr_eq(&other.file, &self.file))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

const ANONYMOUS_MAGIC: u64 = 0x0904_1934;

static NOWHERE: LazyLock<Result<Arc<SuperBlock>>> = LazyLock::new(|| {
    let root = Pseudo::new(About { mode: 0o500, ..About::default() }, Body::Folder(Box::new(Fixed::default())));
    SuperBlock::new(PseudoFileSystem::new("anon_inodefs", ANONYMOUS_MAGIC, root))
});

/// Where an open file is: its place in the tree, or one of its own outside of it.
pub fn place_of(open: &OpenFile) -> Result<Place> {
    if let Some(place) = &open.place {
        return Ok(place.clone());
    }
    let super_block = NOWHERE.clone().map_err(|_| Errno::NOENT)?;
    let inode: Arc<dyn Inode> = Arc::new(FileInode { file: open.file.clone() });
    let dentry = Dentry::root(inode, DentryCache::new(0))?;
    let mount = Mount::new(super_block, dentry, b"none", MountFlags::empty());
    Ok(mount.place())
}
