//! Files that are made up when they are looked at: what proc, sys and the cgroup view are made of.

mod file;
mod open_file;

use std::any::Any;
use std::sync::Arc;

pub use open_file::place_of;

use super::now;
use crate::file::File;
use crate::task::Credentials;
use crate::vfs::inode::{Inode, NewNode, Stat, kind};
use crate::vfs::mount::{FileSystem, FileSystemStat};
use crate::vfs::open::flags as open;
use crate::vfs::place::Place;
use crate::{Errno, Result};

/// What is in a text file.
pub trait Text: Send + Sync {
    /// All of it, now.
    fn read(&self) -> Result<Vec<u8>>;

    /// One `write(2)` to it; EIO for what isn't written to.
    fn write(&self, from: &[u8]) -> Result<()> {
        let _ = from;
        Err(Errno::IO)
    }
}

impl<F: Fn() -> Result<Vec<u8>> + Send + Sync> Text for F {
    fn read(&self) -> Result<Vec<u8>> {
        self()
    }
}

/// A text file that is written to as well.
pub struct Writable<R, W>(pub R, pub W);

impl<R: Fn() -> Result<Vec<u8>> + Send + Sync, W: Fn(&[u8]) -> Result<()> + Send + Sync> Text for Writable<R, W> {
    fn read(&self) -> Result<Vec<u8>> {
        self.0()
    }

    fn write(&self, from: &[u8]) -> Result<()> {
        self.1(from)
    }
}

/// What is in a directory.
pub trait Folder: Send + Sync {
    /// Names, inode numbers and kinds (S_IFMT): ENOENT if what it is about is gone.
    fn names(&self) -> Result<Vec<(Vec<u8>, u64, u32)>>;

    /// The file of a name: ENOENT.
    fn child(&self, name: &[u8]) -> Result<Arc<Pseudo>>;
}

/// A directory that stays as it was made.
#[derive(Default)]
pub struct Fixed {
    entries: Vec<(Vec<u8>, Arc<Pseudo>)>,
}

impl Fixed {
    /// Adds a file.
    pub fn with(mut self, name: &str, file: Arc<Pseudo>) -> Fixed {
        self.entries.push((name.as_bytes().to_vec(), file));
        self
    }
}

impl Folder for Fixed {
    fn names(&self) -> Result<Vec<(Vec<u8>, u64, u32)>> {
        Ok(self.entries.iter().map(|(name, file)| (name.clone(), file.about.number, file.kind())).collect())
    }

    fn child(&self, name: &[u8]) -> Result<Arc<Pseudo>> {
        self.entries.iter().find(|(other, _)| other == name).map(|(_, file)| file.clone()).ok_or(Errno::NOENT)
    }
}

/// Who a made-up file is.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct About {
    pub device: u64,
    pub number: u64,
    /// Permissions.
    pub mode: u32,
    pub owner: (u32, u32),
    /// As sysfs and cgroups are: not even root opens for writing what nobody may write.
    pub strict: bool,
}

/// What a made-up file is.
pub enum Body {
    /// A regular file.
    Text(Box<dyn Text>),
    /// A directory.
    Folder(Box<dyn Folder>),
    /// A symbolic link.
    Link(Box<dyn Fn() -> Result<Vec<u8>> + Send + Sync>),
    /// A link that leads to a place, whatever it says.
    Magic(Box<dyn Fn() -> Result<Vec<u8>> + Send + Sync>, Box<dyn Fn() -> Result<Place> + Send + Sync>),
}

/// A made-up file.
pub struct Pseudo {
    about: About,
    body: Body,
}

impl Pseudo {
    /// Makes one up.
    pub fn new(about: About, body: Body) -> Arc<Pseudo> {
        Arc::new(Pseudo { about, body })
    }

    fn kind(&self) -> u32 {
        match self.body {
            Body::Text(_) => kind::REGULAR,
            Body::Folder(_) => kind::DIRECTORY,
            Body::Link(_) | Body::Magic(..) => kind::SYMLINK,
        }
    }
}

impl Inode for Pseudo {
    fn stat(&self) -> Result<Stat> {
        let time = now();
        let (mode, links) = match self.body {
            Body::Folder(_) => (self.about.mode, 2),
            _ => (self.about.mode, 1),
        };
        Ok(Stat {
            device: self.about.device,
            inode: self.about.number,
            mode: self.kind() | mode,
            links,
            uid: self.about.owner.0,
            gid: self.about.owner.1,
            block_size: 1024,
            accessed: time,
            modified: time,
            changed: time,
            ..Stat::default()
        })
    }

    fn permissions(&self) -> Result<(u32, u32, u32)> {
        Ok((self.kind() | self.about.mode, self.about.owner.0, self.about.owner.1))
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        match &self.body {
            Body::Folder(folder) => Ok(folder.child(name)?),
            _ => Err(Errno::NOTDIR),
        }
    }

    fn cacheable(&self) -> bool {
        false
    }

    /// What there is, is there; other names can't be.
    fn create(&self, _: &[u8], _: NewNode<'_>, _: u32, _: (u32, u32)) -> Result<Arc<dyn Inode>> {
        Err(if self.about.strict { Errno::PERM } else { Errno::NOENT })
    }

    fn is(&self, other: &dyn Inode) -> bool {
        let other = other.as_any().downcast_ref::<Pseudo>();
        other.is_some_and(|other| (other.about.number, other.kind()) == (self.about.number, self.kind()))
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        match &self.body {
            Body::Link(text) | Body::Magic(text, _) => text(),
            _ => Err(Errno::INVAL),
        }
    }

    fn magic_link(&self) -> Option<Result<Place>> {
        if let Body::Magic(_, place) = &self.body { Some(place()) } else { None }
    }

    fn open(self: Arc<Self>, flags: u32, _: &Credentials) -> Result<Arc<dyn File>> {
        let writes = flags & open::ACCESS != open::READ_ONLY;
        if self.about.strict && writes && self.about.mode & 0o222 == 0 {
            return Err(Errno::ACCESS);
        }
        file::open(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A file system of made-up files.
pub struct PseudoFileSystem {
    name: &'static str,
    magic: u64,
    root: Arc<Pseudo>,
}

impl PseudoFileSystem {
    /// A file system; its name as in `/proc/filesystems`, and its magic number.
    pub fn new(name: &'static str, magic: u64, root: Arc<Pseudo>) -> Arc<PseudoFileSystem> {
        Arc::new(PseudoFileSystem { name, magic, root })
    }
}

impl FileSystem for PseudoFileSystem {
    fn name(&self) -> &'static str {
        self.name
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }

    fn stat(&self) -> Result<FileSystemStat> {
        Ok(FileSystemStat { magic: self.magic, block_size: 4096, name_max: 255, ..FileSystemStat::default() })
    }

    fn dentries(&self) -> usize {
        0
    }
}
