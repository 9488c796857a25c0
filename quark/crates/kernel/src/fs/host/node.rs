//! A file of the host: where it is, and how to get at it.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Statx, StatxFlags};

use super::Devices;
use crate::task::lock;
use crate::vfs::inode::{DirectoryEntry, Stat, TimeStamp, kind};
use crate::vfs::mount::FileSystemStat;
use crate::{Errno, Result};

/// A file of the host, known by the directory that it is in, its name, and its device and inode number.
pub struct HostNode {
    /// The host's device and inode number.
    pub identity: (u64, u64),
    /// S_IFMT.
    pub kind: u32,
    this: Weak<HostNode>,
    devices: Arc<Devices>,
    /// `None` for the root.
    location: Mutex<Option<Location>>,
    /// As it was seen last.
    seen: Mutex<Stat>,
    /// Directories only (and the root): open, O_PATH. A root is never closed.
    handle: Mutex<Option<Arc<OwnedFd>>>,
    /// A root that is a file: opened for writing, too, while `handle` only reads.
    writer: Option<OwnedFd>,
    used: AtomicBool,
    /// The file as it was opened last, while somebody has it open.
    open: Mutex<Weak<OwnedFd>>,
}

#[derive(Clone)]
struct Location {
    directory: Arc<HostNode>,
    name: Arc<[u8]>,
}

/// What of a file is open from the start.
#[derive(Default)]
struct Handles {
    path: Option<Arc<OwnedFd>>,
    writer: Option<OwnedFd>,
}

const STATX: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);
const CONFINED: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

impl HostNode {
    /// The root of a host file system; `writer` of one that is a file.
    pub fn root(handle: OwnedFd, writer: Option<OwnedFd>) -> Result<Arc<HostNode>> {
        let told = rustix::fs::statx(&handle, c"", AtFlags::EMPTY_PATH, STATX)?;
        let devices = Devices { device: crate::fs::next_device(), host_device: identity(&told).0, others: Mutex::default() };
        let devices = Arc::new(devices);
        Ok(HostNode::new(&told, devices, None, Handles { path: Some(Arc::new(handle)), writer }))
    }

    /// The child of a name: ENOENT, ENOTDIR.
    pub fn child(&self, name: &[u8]) -> Result<Arc<HostNode>> {
        let told = self.look(name)?;
        let location = Location { directory: self.this()?, name: Arc::from(name) };
        Ok(HostNode::new(&told, self.devices.clone(), Some(location), Handles::default()))
    }

    fn new(told: &Statx, devices: Arc<Devices>, location: Option<Location>, handles: Handles) -> Arc<HostNode> {
        Arc::new_cyclic(|this| HostNode {
            identity: identity(told),
            kind: u32::from(told.stx_mode) & kind::MASK,
            this: this.clone(),
            location: Mutex::new(location),
            seen: Mutex::new(to_stat(told, &devices)),
            handle: Mutex::new(handles.path),
            writer: handles.writer,
            used: AtomicBool::new(true),
            open: Mutex::default(),
            devices,
        })
    }

    /// Itself, to hold.
    pub(super) fn this(&self) -> Result<Arc<HostNode>> {
        self.this.upgrade().ok_or(Errno::STALE)
    }

    /// What is behind a name now.
    fn look(&self, name: &[u8]) -> Result<Statx> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        rustix::fs::statx(self.directory()?.as_fd(), single(name)?, flags, STATX)
    }

    /// Whether a name still leads to `known`, whose attributes are refreshed.
    pub fn leads_to(&self, name: &[u8], known: Option<&HostNode>) -> bool {
        match (self.look(name), known) {
            (Ok(told), Some(known)) if identity(&told) == known.identity => {
                *lock(&known.seen) = to_stat(&told, &self.devices);
                true
            }
            (Err(Errno::NOENT), None) => true,
            _ => false,
        }
    }

    /// Its attributes as they were seen last.
    pub fn seen(&self) -> Stat {
        *lock(&self.seen)
    }

    /// Its attributes now: ESTALE if another file has its name.
    pub fn stat(&self) -> Result<Stat> {
        let location = lock(&self.location).clone();
        let told = match location {
            Some(at) if self.kind != kind::DIRECTORY => at.directory.look(&at.name)?,
            _ => rustix::fs::statx(self.directory()?.as_fd(), c"", AtFlags::EMPTY_PATH, STATX)?,
        };
        if identity(&told) != self.identity {
            return Err(Errno::STALE);
        }
        let stat = to_stat(&told, &self.devices);
        *lock(&self.seen) = stat;
        Ok(stat)
    }

    /// The attributes of an open file of this file system.
    pub fn stat_of(&self, file: &OwnedFd) -> Result<Stat> {
        let told = rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, STATX)?;
        Ok(to_stat(&told, &self.devices))
    }

    /// The directory that it is in, and its name there: ESTALE for a root.
    pub fn place(&self) -> Result<(Arc<HostNode>, Arc<[u8]>)> {
        lock(&self.location).as_ref().map(|at| (at.directory.clone(), at.name.clone())).ok_or(Errno::STALE)
    }

    /// It is now `name` in `directory`.
    pub fn set_location(&self, directory: &Arc<HostNode>, name: &[u8]) {
        let location = Location { directory: directory.clone(), name: Arc::from(name) };
        let before = lock(&self.location).replace(location);
        drop(before);
    }

    /// An O_PATH descriptor of this directory (or of the root, whatever it is), which is kept open for a while.
    pub fn directory(&self) -> Result<Arc<OwnedFd>> {
        if let Some(handle) = self.open_handle() {
            return Ok(handle);
        }
        // Up to the first that is open, and down again; a chain may be too long for recursion.
        let mut closed = vec![self.this()?];
        let mut handle = loop {
            let at = closed.last().and_then(|node| lock(&node.location).clone()).ok_or(Errno::STALE)?;
            if let Some(handle) = at.directory.open_handle() {
                break handle;
            }
            closed.push(at.directory);
        };
        while let Some(node) = closed.pop() {
            let name = lock(&node.location).as_ref().map(|at| at.name.clone()).ok_or(Errno::STALE)?;
            let opened = Arc::new(node.open_in(&handle, &name, OFlags::PATH | OFlags::DIRECTORY)?);
            *lock(&node.handle) = Some(opened.clone());
            super::pool::opened(&node);
            handle = opened;
        }
        Ok(handle)
    }

    fn open_handle(&self) -> Option<Arc<OwnedFd>> {
        let handle = lock(&self.handle).clone();
        if handle.is_some() {
            self.used.store(true, Ordering::Relaxed);
        }
        handle
    }

    /// An O_PATH descriptor of whatever it is.
    pub fn handle(&self) -> Result<Arc<OwnedFd>> {
        let location = lock(&self.location).clone();
        match location {
            Some(at) if self.kind != kind::DIRECTORY => {
                Ok(Arc::new(self.open_in(at.directory.directory()?.as_ref(), &at.name, OFlags::PATH)?))
            }
            _ => self.directory(),
        }
    }

    /// Opens the regular file or directory for input and output. ENXIO for anything else.
    pub fn open(&self, flags: OFlags) -> Result<OwnedFd> {
        if self.kind != kind::REGULAR && self.kind != kind::DIRECTORY {
            return Err(Errno::NXIO);
        }
        // Opened by its name again, as O_PATH descriptors can't be opened; the identity check tells if the name was given to another.
        let location = lock(&self.location).clone();
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
        match location {
            _ if self.kind == kind::DIRECTORY => self.open_in(self.directory()?.as_ref(), b".", flags),
            Some(at) => match self.open_in(at.directory.directory()?.as_ref(), &at.name, flags) {
                // Its name is gone or another's: somebody may have it open.
                Err(error @ (Errno::NOENT | Errno::STALE)) => self.again(lock(&self.open).upgrade().ok_or(error)?.as_ref(), flags),
                file => file,
            },
            None => match self.writer.as_ref().filter(|_| flags & OFlags::RWMODE != OFlags::RDONLY) {
                Some(writer) => self.again(writer, flags),
                None => self.again(self.directory()?.as_ref(), flags),
            },
        }
    }

    /// Somebody has it open, so that it can be opened once more after its name is gone.
    pub fn opened(&self, file: &Arc<OwnedFd>) {
        *lock(&self.open) = Arc::downgrade(file);
    }

    /// A new file without a name in this directory.
    pub fn unnamed(&self, mode: u32) -> Result<Arc<HostNode>> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode & 0o7777);
        let file = rustix::fs::openat2(self.directory()?.as_ref(), c".", flags, mode, CONFINED)?;
        let told = rustix::fs::statx(&file, c"", AtFlags::EMPTY_PATH, STATX)?;
        Ok(HostNode::new(&told, self.devices.clone(), None, Handles { path: Some(Arc::new(file)), writer: None }))
    }

    /// What can't be opened by a name: a descriptor is what there is of it.
    fn again(&self, handle: &OwnedFd, flags: OFlags) -> Result<OwnedFd> {
        let has = rustix::fs::fcntl_getfl(handle)?;
        if has.contains(OFlags::PATH) {
            return Err(Errno::ACCESS);
        }
        let wanted = flags & OFlags::RWMODE;
        let access = has & OFlags::RWMODE;
        if access != OFlags::RDWR && access != wanted {
            return Err(Errno::ACCESS);
        }
        rustix::io::fcntl_dupfd_cloexec(handle, 3)
    }

    fn open_in(&self, directory: &OwnedFd, name: &[u8], flags: OFlags) -> Result<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || rustix::fs::openat2(directory, name, flags, Mode::empty(), CONFINED);
        let file = match open() {
            Err(Errno::MFILE | Errno::NFILE) if super::pool::relieve() => open()?,
            file => file?,
        };
        let told = rustix::fs::fstat(&file)?;
        if (told.st_dev, told.st_ino) != self.identity {
            return Err(Errno::STALE);
        }
        Ok(file)
    }

    /// Makes a regular file and opens it for reading and writing: EEXIST.
    pub fn create_file(&self, name: &[u8], mode: u32) -> Result<OwnedFd> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode & 0o7777);
        rustix::fs::openat2(self.directory()?.as_ref(), single(name)?, flags, mode, CONFINED)
    }

    /// All names in this directory but `.` and `..`.
    pub fn names(&self) -> Result<Vec<DirectoryEntry>> {
        let file = self.open(OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        loop {
            let more = super::directory::read_entries(&file, 32768)?;
            if more.is_empty() {
                return Ok(names);
            }
            names.extend(more.into_iter().filter(|entry| !matches!(entry.name.as_slice(), b"." | b"..")));
        }
    }

    /// The file system's `statfs(2)`.
    pub fn file_system(&self) -> Result<FileSystemStat> {
        let told = rustix::fs::fstatfs(self.directory()?.as_ref())?;
        Ok(FileSystemStat {
            magic: told.f_type as u64,
            block_size: told.f_bsize as u64,
            blocks: told.f_blocks,
            free: told.f_bfree,
            available: told.f_bavail,
            files: told.f_files,
            free_files: told.f_ffree,
            name_max: told.f_namelen as u64,
        })
    }

    /// `syncfs(2)`.
    pub fn sync_file_system(&self) -> Result<()> {
        let file = self.open(OFlags::RDONLY)?;
        rustix::fs::syncfs(&file)
    }

    /// Whether its directory was used since this was asked last; roots always are.
    pub(super) fn used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed) || lock(&self.location).is_none()
    }

    /// Closes its directory.
    pub(super) fn close(&self) {
        let handle = lock(&self.handle).take();
        drop(handle);
    }
}

impl Drop for HostNode {
    /// Lets go of its ancestors one by one: there may be more of them than our stack is deep.
    fn drop(&mut self) {
        let mut location = lock(&self.location).take();
        while let Some(at) = location {
            location = Arc::into_inner(at.directory).and_then(|node| lock(&node.location).take());
        }
    }
}

/// EINVAL unless it is one name: not empty, `.`, `..`, and without a slash or NUL. The walk gives no others; this is the second lock on the door.
pub(super) fn single(name: &[u8]) -> Result<&[u8]> {
    let odd = name.is_empty() || name == b"." || name == b".." || name.iter().any(|byte| matches!(byte, b'/' | 0));
    if odd { Err(Errno::INVAL) } else { Ok(name) }
}

fn identity(told: &Statx) -> (u64, u64) {
    (rustix::fs::makedev(told.stx_dev_major, told.stx_dev_minor), told.stx_ino)
}

fn to_stat(told: &Statx, devices: &Devices) -> Stat {
    let stamp = |at: &rustix::fs::StatxTimestamp| TimeStamp { seconds: at.tv_sec, nanoseconds: at.tv_nsec };
    Stat {
        device: devices.shown(identity(told).0),
        inode: told.stx_ino,
        mode: u32::from(told.stx_mode),
        links: told.stx_nlink,
        uid: told.stx_uid,
        gid: told.stx_gid,
        represents: rustix::fs::makedev(told.stx_rdev_major, told.stx_rdev_minor),
        size: told.stx_size,
        block_size: told.stx_blksize,
        blocks: told.stx_blocks,
        accessed: stamp(&told.stx_atime),
        modified: stamp(&told.stx_mtime),
        changed: stamp(&told.stx_ctime),
        born: (told.stx_mask & StatxFlags::BTIME.bits() != 0).then(|| stamp(&told.stx_btime)),
    }
}
