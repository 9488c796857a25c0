//! What file systems implement.

use std::any::Any;
use std::sync::Arc;

use crate::file::File;
use crate::task::Credentials;
use crate::{Errno, Result};

/// The kinds of inodes in a mode (S_IFMT).
#[allow(missing_docs)]
pub mod kind {
    pub const MASK: u32 = 0o170000;
    pub const SOCKET: u32 = 0o140000;
    pub const SYMLINK: u32 = 0o120000;
    pub const REGULAR: u32 = 0o100000;
    pub const BLOCK: u32 = 0o060000;
    pub const DIRECTORY: u32 = 0o040000;
    pub const CHARACTER: u32 = 0o020000;
    pub const FIFO: u32 = 0o010000;
}

/// A time stamp: seconds and nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeStamp {
    /// Seconds, may be negative.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// What `stat(2)` and `statx(2)` tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Stat {
    pub device: u64,
    pub inode: u64,
    /// Kind (S_IFMT) and permissions.
    pub mode: u32,
    pub links: u32,
    pub uid: u32,
    pub gid: u32,
    /// Of a device node.
    pub represents: u64,
    pub size: u64,
    pub block_size: u32,
    /// Of 512 bytes.
    pub blocks: u64,
    pub accessed: TimeStamp,
    pub modified: TimeStamp,
    pub changed: TimeStamp,
    pub born: Option<TimeStamp>,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Without slash or NUL.
    pub name: Vec<u8>,
    /// Its inode number.
    pub inode: u64,
    /// `DT_*`.
    pub kind: u8,
    /// The position behind it.
    pub next: u64,
}

/// What to change of an inode's attributes; `None` stays. The caller has checked permissions.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct Attributes {
    /// Permission bits only.
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub size: Option<u64>,
    pub accessed: Option<TimeStamp>,
    pub modified: Option<TimeStamp>,
}

/// What to make in a directory.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum NewNode<'a> {
    Regular,
    Directory,
    Symlink(&'a [u8]),
    Fifo,
    Socket,
    /// A device's numbers, as of `makedev`.
    CharacterDevice(u64),
    BlockDevice(u64),
}

/// A file, directory, link or device of some file system. The VFS has checked names, permissions, mounts and read-only-ness before it calls.
pub trait Inode: Send + Sync + Any {
    /// Its attributes.
    fn stat(&self) -> Result<Stat>;

    /// Changes attributes.
    fn set_attributes(&self, change: &Attributes) -> Result<()> {
        let _ = change;
        Err(Errno::PERM)
    }

    /// The inode of a name in this directory: ENOENT, ENOTDIR.
    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let _ = name;
        Err(Errno::NOTDIR)
    }

    /// Whether the VFS may remember what `lookup` answered (not in proc).
    fn cacheable(&self) -> bool {
        true
    }

    /// Whether what `lookup` answered for a name earlier (`None`: ENOENT) is still so. File systems that others than this kernel change ask again.
    fn still(&self, name: &[u8], known: Option<&Arc<dyn Inode>>) -> bool {
        let _ = (name, known);
        self.cacheable()
    }

    /// Whether it is the same file as another: the VFS keeps the dentry that it has of it.
    fn is(&self, other: &dyn Inode) -> bool {
        std::ptr::addr_eq(std::ptr::from_ref(self.as_any()), std::ptr::from_ref(other.as_any()))
    }

    /// Mode, uid and gid for permission checks; cheaper than `stat` where that asks the host.
    fn permissions(&self) -> Result<(u32, u32, u32)> {
        self.stat().map(|stat| (stat.mode, stat.uid, stat.gid))
    }

    /// Makes a node; `mode` is permissions without the umask's, `owner` is who will own it. EEXIST.
    fn create(&self, name: &[u8], node: NewNode<'_>, mode: u32, owner: (u32, u32)) -> Result<Arc<dyn Inode>> {
        let _ = (name, node, mode, owner);
        Err(Errno::PERM)
    }

    /// Makes an unnamed regular file (O_TMPFILE).
    fn create_unnamed(&self, mode: u32, owner: (u32, u32)) -> Result<Arc<dyn Inode>> {
        let _ = (mode, owner);
        Err(Errno::OPNOTSUPP)
    }

    /// Gives `target`, of the same file system, another name here.
    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let _ = (name, target);
        Err(Errno::PERM)
    }

    /// Removes a name: of a directory if `directory` (ENOTEMPTY), else of anything else.
    fn unlink(&self, name: &[u8], directory: bool) -> Result<()> {
        let _ = (name, directory);
        Err(Errno::PERM)
    }

    /// Renames within the file system. `flags` are RENAME_NOREPLACE or RENAME_EXCHANGE.
    fn rename(&self, name: &[u8], to: &Arc<dyn Inode>, new_name: &[u8], flags: u32) -> Result<()> {
        let _ = (name, to, new_name, flags);
        Err(Errno::PERM)
    }

    /// It (an inode of this file system that was renamed) is now `name` in `directory`.
    fn moved(&self, directory: &Arc<dyn Inode>, name: &[u8]) {
        let _ = (directory, name);
    }

    /// What a symbolic link says.
    fn read_link(&self) -> Result<Vec<u8>> {
        Err(Errno::INVAL)
    }

    /// Where a magic link (`/proc/self/fd/3`) leads, if it is one: an already open file's or directory's place.
    fn magic_link(&self) -> Option<Result<crate::vfs::open::Place>> {
        None
    }

    /// Opens it. `flags` are O_ACCMODE, O_TRUNC (already judged), O_NONBLOCK, O_DIRECTORY and so on; FIFOs and devices of the VFS's own are opened by the VFS, not here.
    fn open(self: Arc<Self>, flags: u32, credentials: &Credentials) -> Result<Arc<dyn File>> {
        let _ = (flags, credentials);
        Err(Errno::NXIO)
    }

    /// Whether `open` above is to be used although it is a FIFO or device: what is open already, behind a magic link.
    fn opens_itself(&self) -> bool {
        false
    }

    /// An extended attribute; ENODATA, ENOTSUP.
    fn extended_attribute(&self, name: &[u8]) -> Result<Vec<u8>> {
        let _ = name;
        Err(Errno::OPNOTSUPP)
    }

    /// Sets one (`flags`: XATTR_CREATE, XATTR_REPLACE) or removes it (`value` is `None`).
    fn set_extended_attribute(&self, name: &[u8], value: Option<&[u8]>, flags: u32) -> Result<()> {
        let _ = (name, value, flags);
        Err(Errno::OPNOTSUPP)
    }

    /// Their names.
    fn extended_attributes(&self) -> Result<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }

    /// For those who need to know the kind.
    fn as_any(&self) -> &dyn Any;
}
