//! Open files, and a process' root and working directory.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

pub use super::descriptors::FdTable;
use super::locks::{self, Owner};
use super::notify;
pub use super::place::Place;
use crate::exec::busy::Writing;
use crate::file::File;
use crate::task::lock;
use crate::{Errno, Result};

/// The bits of `open(2)`, x86-64.
#[allow(missing_docs)]
pub mod flags {
    pub const ACCESS: u32 = 3;
    pub const READ_ONLY: u32 = 0;
    pub const WRITE_ONLY: u32 = 1;
    pub const READ_WRITE: u32 = 2;
    pub const CREATE: u32 = 0o100;
    pub const EXCLUSIVE: u32 = 0o200;
    pub const NO_TERMINAL: u32 = 0o400;
    pub const TRUNCATE: u32 = 0o1000;
    pub const APPEND: u32 = 0o2000;
    pub const NON_BLOCKING: u32 = 0o4000;
    pub const DATA_SYNC: u32 = 0o10000;
    pub const ASYNC: u32 = 0o20000;
    pub const DIRECT: u32 = 0o40000;
    pub const LARGE_FILE: u32 = 0o100000;
    pub const DIRECTORY: u32 = 0o200000;
    pub const NO_FOLLOW: u32 = 0o400000;
    pub const NO_ACCESS_TIME: u32 = 0o1000000;
    pub const CLOSE_ON_EXEC: u32 = 0o2000000;
    pub const SYNC: u32 = 0o4010000;
    pub const PATH: u32 = 0o10000000;
    /// Without O_DIRECTORY, which O_TMPFILE includes.
    pub const TEMPORARY: u32 = 0o20000000;
}

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
    /// Who gets SIGIO (`F_SETOWN`: a pid, or a process group if negative), and which signal instead (`F_SETSIG`).
    pub owner: Mutex<(i32, i32)>,
    /// What locks taken through it are kept under; empty if none ever were.
    pub(super) lock_key: OnceLock<locks::Key>,
    /// Of a regular file that is open for writing: it can't be executed.
    _writing: Option<Writing>,
}

/// A process' root, working directory and umask (CLONE_FS shares it).
pub struct FsContext {
    state: Mutex<(Place, Place)>,
    umask: AtomicU32,
}

impl OpenFile {
    /// An open file without a place in the tree, such as a pipe's end.
    pub fn anonymous(file: Arc<dyn File>, flags: u32) -> Arc<OpenFile> {
        OpenFile::new(file, flags, None)
    }

    /// An open file; `flags` are those that F_GETFL tells.
    pub fn new(file: Arc<dyn File>, flags: u32, place: Option<Place>) -> Arc<OpenFile> {
        OpenFile::with_writing(file, flags, place, None)
    }

    /// An open file, which keeps what it writes from being executed.
    pub(super) fn with_writing(file: Arc<dyn File>, flags: u32, place: Option<Place>, writing: Option<Writing>) -> Arc<OpenFile> {
        Arc::new(OpenFile {
            file,
            flags: AtomicU32::new(flags),
            offset: Mutex::new(0),
            place,
            owner: Mutex::default(),
            lock_key: OnceLock::new(),
            _writing: writing,
        })
    }

    /// Its flags now.
    pub fn flags(&self) -> u32 {
        self.flags.load(Ordering::Relaxed)
    }

    /// Whether it is O_NONBLOCK.
    pub fn non_blocking(&self) -> bool {
        self.flags() & flags::NON_BLOCKING != 0
    }

    /// Sets O_NONBLOCK, or clears it.
    pub fn set_non_blocking(&self, on: bool) {
        if on {
            self.flags.fetch_or(flags::NON_BLOCKING, Ordering::Relaxed);
        } else {
            self.flags.fetch_and(!flags::NON_BLOCKING, Ordering::Relaxed);
        }
    }

    /// Whether it is O_PATH: a place only.
    pub fn is_path(&self) -> bool {
        self.flags() & flags::PATH != 0
    }

    /// EBADF unless it is open for reading.
    pub fn readable(&self) -> Result<()> {
        if self.flags() & flags::PATH == 0 && self.flags() & flags::ACCESS != flags::WRITE_ONLY { Ok(()) } else { Err(Errno::BADF) }
    }

    /// EBADF unless it is open for writing.
    pub fn writable(&self) -> Result<()> {
        let access = self.flags() & flags::ACCESS;
        if self.flags() & flags::PATH == 0 && access != flags::READ_ONLY { Ok(()) } else { Err(Errno::BADF) }
    }

    /// One descriptor of it was closed in a table.
    pub(super) fn closed_in(&self, table: u64) {
        if let Some(key) = self.lock_key.get() {
            locks::release(*key, Owner::Process { table, pid: 0 });
        }
        if !self.is_path() {
            self.file.closed();
        }
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if let Some(place) = self.place.as_ref().filter(|_| !self.is_path()) {
            let wrote = self.writable().is_ok();
            notify::at(place, if wrote { notify::mask::CLOSE_WRITE } else { notify::mask::CLOSE_NOWRITE });
        }
        if let Some(key) = self.lock_key.get() {
            let address = std::ptr::from_ref(self).addr();
            locks::release(*key, Owner::File(address));
            locks::release(*key, Owner::Flock(address));
        }
    }
}

impl FsContext {
    /// A root, and the working directory there.
    pub fn new(root: Place, directory: Place, umask: u32) -> FsContext {
        FsContext { state: Mutex::new((root, directory)), umask: AtomicU32::new(umask & 0o777) }
    }

    /// The root directory.
    pub fn root(&self) -> Place {
        lock(&self.state).0.clone()
    }

    /// The working directory.
    pub fn directory(&self) -> Place {
        lock(&self.state).1.clone()
    }

    /// `chroot(2)`.
    pub fn set_root(&self, root: Place) {
        let before = std::mem::replace(&mut lock(&self.state).0, root);
        drop(before);
    }

    /// `chdir(2)`.
    pub fn set_directory(&self, directory: Place) {
        let before = std::mem::replace(&mut lock(&self.state).1, directory);
        drop(before);
    }

    /// The bits that new files don't get.
    pub fn umask(&self) -> u32 {
        self.umask.load(Ordering::Relaxed)
    }

    /// Sets them and tells those before.
    pub fn set_umask(&self, umask: u32) -> u32 {
        self.umask.swap(umask & 0o777, Ordering::Relaxed)
    }

    /// A copy of its own (`fork`, `unshare(CLONE_FS)`).
    pub fn copy(&self) -> FsContext {
        let (root, directory) = lock(&self.state).clone();
        FsContext::new(root, directory, self.umask())
    }
}
