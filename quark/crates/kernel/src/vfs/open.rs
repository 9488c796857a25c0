//! Open files, descriptor tables, and places in the tree. (The vfs owner's; the shapes that others use are here.)

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;

use crate::file::File;
use crate::task::Credentials;
use crate::{Errno, Result};

/// A place in the tree: a name in a mount. Cheap to clone.
#[derive(Clone)]
pub struct Place {}

/// What descriptors refer to: a file and its position and flags, shared by `dup` and `fork`.
pub struct OpenFile {
    /// The file.
    pub file: Arc<dyn File>,
    /// O_APPEND, O_NONBLOCK, O_ACCMODE, O_DIRECT …
    pub flags: AtomicU32,
    /// The position of seekable files and directories.
    pub offset: Mutex<u64>,
    /// Where it was opened, for `/proc/self/fd`, `fchdir`, the `*at` calls.
    pub place: Option<Place>,
}

/// A process' descriptors.
#[derive(Default)]
pub struct FdTable {}

/// A process' root, working directory and umask (CLONE_FS shares it).
pub struct FsContext {}

impl Place {
    /// `MS_*` of its mount, such as MS_NOSUID and MS_NOEXEC.
    pub fn mount_flags(&self) -> u64 {
        0
    }
}

/// Opens a file to be executed: a regular file that the caller may execute, on a mount without MS_NOEXEC (else EACCES). Relative paths
/// start at `directory`, or at the working directory. `follow`: of a symbolic link at the end (else ELOOP).
pub fn open_program(
    fs: &FsContext,
    credentials: &Credentials,
    directory: Option<&Place>,
    path: &[u8],
    follow: bool,
) -> Result<Arc<OpenFile>> {
    let _ = (fs, credentials, directory, path, follow);
    Err(Errno::NOSYS)
}

impl OpenFile {
    /// An open file without a place in the tree, such as a pipe's end.
    pub fn anonymous(file: Arc<dyn File>, flags: u32) -> Arc<OpenFile> {
        Arc::new(OpenFile { file, flags: AtomicU32::new(flags), offset: Mutex::new(0), place: None })
    }
}

impl FdTable {
    /// What descriptor `fd` refers to: EBADF.
    pub fn get(&self, fd: i32) -> Result<Arc<OpenFile>> {
        let _ = fd;
        unimplemented!("vfs")
    }

    /// Takes the lowest free descriptor from `lowest` on; EMFILE beyond `limit` (RLIMIT_NOFILE).
    pub fn install(&self, file: Arc<OpenFile>, lowest: i32, close_on_exec: bool, limit: u64) -> Result<i32> {
        let _ = (file, lowest, close_on_exec, limit);
        unimplemented!("vfs")
    }

    /// Takes a descriptor away, as `close(2)` does: EBADF.
    pub fn remove(&self, fd: i32) -> Result<Arc<OpenFile>> {
        let _ = fd;
        unimplemented!("vfs")
    }
}
