//! The start of every call that takes a path: who asks, from where.

use std::sync::Arc;

use crate::task::{Credentials, Task};
use crate::vfs::inode::{Inode, Stat};
use crate::vfs::mount::FileSystemStat;
use crate::vfs::open::OpenFile;
use crate::vfs::path::{Last, Resolve, Walker};
use crate::vfs::place::Place;
use crate::{Errno, Result};

/// A task's view of the tree for one call.
pub struct At<'t> {
    task: &'t Arc<Task>,
    credentials: Arc<Credentials>,
    root: Place,
}

/// What an `*at` call with AT_EMPTY_PATH acts on.
pub enum Target {
    /// A place that a path led to.
    Place(Place),
    /// What a descriptor refers to.
    File(Arc<OpenFile>),
}

impl<'t> At<'t> {
    /// The view of `task` now.
    pub fn new(task: &'t Arc<Task>) -> At<'t> {
        At { task, credentials: task.credentials(), root: task.fs().root() }
    }

    /// The same with the real ids instead of the effective ones, for `access(2)`.
    pub fn real(task: &'t Arc<Task>) -> At<'t> {
        let mut credentials = Credentials::clone(&task.credentials());
        credentials.fsuid = credentials.uid;
        credentials.fsgid = credentials.gid;
        // A set-user-ID program asks for its user, whose root has all, and others nothing.
        credentials.effective = if credentials.uid == 0 { credentials.permitted } else { 0 };
        At { task, credentials: Arc::new(credentials), root: task.fs().root() }
    }

    /// Who asks.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The root.
    pub fn root(&self) -> &Place {
        &self.root
    }

    /// A walker without restrictions.
    pub fn walker(&self) -> Walker<'_> {
        Walker::new(&self.credentials, self.root.clone())
    }

    /// A walker with `openat2(2)`'s restrictions.
    pub fn confined(&self, resolve: Resolve) -> Walker<'_> {
        Walker { credentials: &self.credentials, root: self.root.clone(), resolve }
    }

    /// Where a path starts that is relative to `directory` (or AT_FDCWD): EBADF, ENOTDIR.
    pub fn start(&self, directory: i32, path: &[u8]) -> Result<Place> {
        if path.starts_with(b"/") {
            return Ok(self.root.clone());
        }
        self.directory(directory)
    }

    /// The place of a directory descriptor or AT_FDCWD.
    pub fn directory(&self, directory: i32) -> Result<Place> {
        if directory == libc::AT_FDCWD {
            return Ok(self.task.fs().directory());
        }
        self.task.files().get_any(directory)?.place.clone().ok_or(Errno::NOTDIR)
    }

    /// The place of a path.
    pub fn find(&self, directory: i32, path: &[u8], last: Last) -> Result<Place> {
        self.walker().find(&self.start(directory, path)?, path, last)
    }

    /// What a call with `flags` (AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW) acts on.
    pub fn target(&self, directory: i32, path: &[u8], flags: i32, last: Last) -> Result<Target> {
        if path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
            if directory == libc::AT_FDCWD {
                return Ok(Target::Place(self.task.fs().directory()));
            }
            return Ok(Target::File(self.task.files().get_any(directory)?));
        }
        let last = if flags & libc::AT_SYMLINK_NOFOLLOW != 0 { Last::Stay } else { last };
        self.find(directory, path, last).map(Target::Place)
    }
}

impl Target {
    /// Its attributes.
    pub fn stat(&self) -> Result<Stat> {
        match self {
            Target::Place(place) => place.inode()?.stat(),
            Target::File(file) => file.file.stat(),
        }
    }

    /// Its inode; `none` for a file without one.
    pub fn inode(&self, none: Errno) -> Result<Arc<dyn Inode>> {
        match self {
            Target::Place(place) => place.inode().cloned(),
            Target::File(file) => file.file.inode().cloned().ok_or(none),
        }
    }

    /// EROFS if it is on a read-only mount.
    pub fn writable(&self) -> Result<()> {
        match self.place() {
            Some(place) => place.mount.writable(),
            None => Ok(()),
        }
    }

    /// Its place.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Target::Place(place) => Some(place),
            Target::File(file) => file.place.as_ref(),
        }
    }

    /// Its file system: what `statfs(2)` tells, and the mount's flags.
    pub fn file_system(&self) -> Result<(FileSystemStat, u64)> {
        match self.place() {
            Some(place) => Ok((place.mount.super_block.file_system.stat()?, place.flags().bits())),
            // Pipes, sockets, and others without a file system that is mounted (`fs/libfs.c`: simple_statfs).
            None => Ok((FileSystemStat { magic: 0x0904_1934, block_size: 4096, name_max: 255, ..FileSystemStat::default() }, 0)),
        }
    }
}
