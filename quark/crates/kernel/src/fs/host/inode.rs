//! A file of the host as an inode.

use std::any::Any;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, LazyLock};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, Uid, XattrFlags};

use super::directory::HostDirectory;
use super::file::HostFile;
use super::node::{HostNode, single};
use crate::file::File;
use crate::task::Credentials;
use crate::vfs::inode::{Attributes, Inode, NewNode, Stat, TimeStamp, kind};
use crate::vfs::open::flags as open;
use crate::{Errno, Result};

/// The longest value of an extended attribute (XATTR_SIZE_MAX), and list of names.
const ATTRIBUTE_MAX: usize = 65536;

impl HostNode {
    fn of(inode: &Arc<dyn Inode>) -> Result<Arc<HostNode>> {
        let any: Arc<dyn Any + Send + Sync> = inode.clone();
        any.downcast().map_err(|_| Errno::XDEV)
    }

    /// Gives what was just made here to its owner, and answers it. What has the name by now must be ours, or somebody swapped it.
    fn made(&self, name: &[u8], mode: u32, owner: (u32, u32)) -> Result<Arc<dyn Inode>> {
        let node = self.child(name)?;
        let stat = node.seen();
        if stat.uid != own_uid()? {
            return Err(Errno::STALE);
        }
        if (stat.uid, stat.gid) != owner {
            change_owner(&*node.handle()?, Some(owner.0), Some(owner.1))?;
        }
        // The kernel process' own umask, and the change of owner, may have taken bits.
        if node.kind != kind::SYMLINK && node.stat()?.mode & 0o7777 != mode & 0o7777 {
            node.change_mode(mode)?;
        }
        node.stat()?;
        Ok(node)
    }

    fn open_file(&self, flags: u32) -> Result<OwnedFd> {
        if self.kind == kind::DIRECTORY {
            return HostNode::open(self, OFlags::RDONLY | OFlags::DIRECTORY);
        }
        HostNode::open(self, host_flags(flags))
    }

    fn change_mode(&self, mode: u32) -> Result<()> {
        match quark_host::files::change_mode(self.handle()?.as_fd(), mode & 0o7777) {
            Err(Errno::NOSYS) => Ok(rustix::fs::fchmod(HostNode::open(self, OFlags::RDONLY)?, Mode::from_raw_mode(mode & 0o7777))?),
            answer => answer,
        }
    }

    fn change_times(&self, change: &Attributes) -> Result<()> {
        let stamp = |at: Option<TimeStamp>| match at {
            Some(at) => Timespec { tv_sec: at.seconds, tv_nsec: at.nanoseconds.into() },
            None => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
        };
        let times = Timestamps { last_access: stamp(change.accessed), last_modification: stamp(change.modified) };
        rustix::fs::utimensat(&*self.handle()?, c"", &times, AtFlags::EMPTY_PATH)
    }

    /// Opens it to get at its extended attributes.
    fn for_attributes(&self) -> Result<OwnedFd> {
        HostNode::open(self, OFlags::RDONLY).map_err(|error| if error == Errno::NXIO { Errno::OPNOTSUPP } else { error })
    }

    /// The host's attributes of a regular file or directory; ENODATA for those that are not shown.
    pub fn read_attribute(&self, name: &[u8]) -> Result<Vec<u8>> {
        if !shown(name) {
            return Err(Errno::NODATA);
        }
        let mut value = vec![0; ATTRIBUTE_MAX];
        let length = rustix::fs::fgetxattr(&self.for_attributes()?, name, &mut value[..])?;
        value.truncate(length);
        Ok(value)
    }

    /// Names of the attributes that are shown.
    pub fn attribute_names(&self) -> Result<Vec<Vec<u8>>> {
        let file = match self.for_attributes() {
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            file => file?,
        };
        let mut list = vec![0; ATTRIBUTE_MAX];
        let length = match rustix::fs::flistxattr(&file, &mut list[..]) {
            Err(Errno::OPNOTSUPP) => 0,
            length => length?,
        };
        list.truncate(length);
        let names = list.split(|byte| *byte == 0).filter(|name| !name.is_empty() && shown(name));
        Ok(names.map(<[u8]>::to_vec).collect())
    }
}

/// Whom the files that we make belong to at first. Learned from a file of no name: the process' own filter has no call that tells.
fn own_uid() -> Result<u32> {
    static UID: LazyLock<Result<u32>> = LazyLock::new(|| {
        let file = rustix::fs::memfd_create(c"uid", rustix::fs::MemfdFlags::CLOEXEC)?;
        Ok(rustix::fs::fstat(&file)?.st_uid)
    });
    *UID
}

/// Attributes of the host that guests may see. `trusted` and `security` (but for file capabilities) are the host's own business.
fn shown(name: &[u8]) -> bool {
    name.starts_with(b"user.") || name == b"security.capability"
}

fn change_owner(handle: &OwnedFd, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
    let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
    rustix::fs::chownat(handle, c"", uid, gid, AtFlags::EMPTY_PATH)
}

/// What of a guest's `open(2)` flags the host is told.
fn host_flags(flags: u32) -> OFlags {
    let told = open::ACCESS | open::DIRECT | open::SYNC | open::NO_ACCESS_TIME;
    OFlags::from_bits_truncate(flags & told)
}

impl Inode for HostNode {
    fn stat(&self) -> Result<Stat> {
        HostNode::stat(self)
    }

    /// As the walk has just seen them.
    fn permissions(&self) -> Result<(u32, u32, u32)> {
        let seen = self.seen();
        Ok((seen.mode, seen.uid, seen.gid))
    }

    fn set_attributes(&self, change: &Attributes) -> Result<()> {
        if let Some(size) = change.size {
            rustix::fs::ftruncate(HostNode::open(self, OFlags::WRONLY)?, size)?;
        }
        if change.uid.is_some() || change.gid.is_some() {
            change_owner(&*self.handle()?, change.uid, change.gid)?;
        }
        if let Some(mode) = change.mode {
            self.change_mode(mode)?;
        }
        if change.accessed.is_some() || change.modified.is_some() {
            self.change_times(change)?;
        }
        HostNode::stat(self).map(|_| ())
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        Ok(self.child(name)?)
    }

    /// Others change the host's files as well.
    fn still(&self, name: &[u8], known: Option<&Arc<dyn Inode>>) -> bool {
        let node = known.and_then(|inode| inode.as_any().downcast_ref::<HostNode>());
        known.is_some() == node.is_some() && self.leads_to(name, node)
    }

    fn create(&self, name: &[u8], node: NewNode<'_>, mode: u32, owner: (u32, u32)) -> Result<Arc<dyn Inode>> {
        let directory = self.directory()?;
        let name = single(name)?;
        let permissions = Mode::from_raw_mode(mode & 0o7777);
        match node {
            NewNode::Regular => drop(self.create_file(name, mode)?),
            NewNode::Directory => rustix::fs::mkdirat(&*directory, name, permissions)?,
            NewNode::Symlink(target) => rustix::fs::symlinkat(target, &*directory, name)?,
            NewNode::Fifo => rustix::fs::mknodat(&*directory, name, rustix::fs::FileType::Fifo, permissions, 0)?,
            NewNode::Socket => rustix::fs::mknodat(&*directory, name, rustix::fs::FileType::Socket, permissions, 0)?,
            NewNode::CharacterDevice(_) | NewNode::BlockDevice(_) => return Err(Errno::PERM),
        }
        self.made(name, mode, owner)
    }

    fn create_unnamed(&self, mode: u32, owner: (u32, u32)) -> Result<Arc<dyn Inode>> {
        let node = self.unnamed(mode)?;
        let file = node.handle()?;
        if (node.seen().uid, node.seen().gid) != owner {
            change_owner(&file, Some(owner.0), Some(owner.1))?;
        }
        rustix::fs::fchmod(&*file, Mode::from_raw_mode(mode & 0o7777))?;
        node.stat()?;
        Ok(node)
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let target = HostNode::of(target)?;
        let Ok((from, old)) = target.place() else {
            // A file that never had a name, by its descriptor: Linux 6.10 lets who opened it do so.
            return rustix::fs::linkat(&*target.handle()?, c"", &*self.directory()?, single(name)?, AtFlags::EMPTY_PATH);
        };
        rustix::fs::linkat(&*from.directory()?, &*old, &*self.directory()?, single(name)?, AtFlags::empty())
    }

    fn unlink(&self, name: &[u8], directory: bool) -> Result<()> {
        let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        rustix::fs::unlinkat(&*self.directory()?, single(name)?, flags)
    }

    fn rename(&self, name: &[u8], to: &Arc<dyn Inode>, new_name: &[u8], flags: u32) -> Result<()> {
        let to = HostNode::of(to)?;
        let flags = RenameFlags::from_bits(flags).ok_or(Errno::INVAL)?;
        rustix::fs::renameat_with(&*self.directory()?, single(name)?, &*to.directory()?, single(new_name)?, flags)
    }

    fn moved(&self, directory: &Arc<dyn Inode>, name: &[u8]) {
        if let Ok(directory) = HostNode::of(directory) {
            self.set_location(&directory, name);
        }
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        if self.kind != kind::SYMLINK {
            return Err(Errno::INVAL);
        }
        Ok(rustix::fs::readlinkat(&*self.handle()?, c"", Vec::new())?.into_bytes())
    }

    fn open(self: Arc<Self>, flags: u32, _: &Credentials) -> Result<Arc<dyn File>> {
        let file = self.open_file(flags)?;
        Ok(if self.kind == kind::DIRECTORY { Arc::new(HostDirectory::new(self, file)) } else { Arc::new(HostFile::new(self, file)) })
    }

    fn extended_attribute(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.read_attribute(name)
    }

    fn set_extended_attribute(&self, name: &[u8], value: Option<&[u8]>, flags: u32) -> Result<()> {
        if !name.starts_with(b"user.") {
            return Err(Errno::OPNOTSUPP);
        }
        let file = self.for_attributes()?;
        match value {
            Some(value) => rustix::fs::fsetxattr(&file, name, value, XattrFlags::from_bits(flags).ok_or(Errno::INVAL)?)?,
            None => rustix::fs::fremovexattr(&file, name)?,
        }
        Ok(())
    }

    fn extended_attributes(&self) -> Result<Vec<Vec<u8>>> {
        self.attribute_names()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
