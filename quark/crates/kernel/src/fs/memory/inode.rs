//! A node in memory as an inode.

use std::any::Any;
use std::sync::{Arc, MutexGuard};

use super::directory::{Directory, retire};
use super::file::{MemoryDirectory, MemoryFile};
use super::node::{Body, Node};
use crate::file::File;
use crate::task::{Credentials, lock};
use crate::vfs::inode::{Attributes, Inode, NewNode, Stat, kind};
use crate::{Errno, Result};

/// RENAME_NOREPLACE and RENAME_EXCHANGE.
const NO_REPLACE: u32 = 1;
const EXCHANGE: u32 = 2;
/// All extended attributes of one inode together, bytes.
const ATTRIBUTES_MAX: usize = 1 << 20;

impl Node {
    pub(super) fn of(inode: &Arc<dyn Inode>) -> Result<Arc<Node>> {
        let any: Arc<dyn Any + Send + Sync> = inode.clone();
        any.downcast().map_err(|_| Errno::XDEV)
    }

    fn adopt(&self, child: &Node) {
        if let Ok(directory) = child.directory() {
            lock(directory).parent = self.this.clone();
        }
    }

    fn add_link(&self, count: i32) {
        self.change(|meta| meta.links = meta.links.saturating_add_signed(count));
    }

    /// Its name was taken away.
    fn lost_name(&self) {
        self.change(|meta| meta.links = if self.kind == kind::DIRECTORY { 0 } else { meta.links.saturating_sub(1) });
    }

    /// Renames within or between locked directories; what it replaced.
    fn rename_locked(&self, names: (&[u8], &[u8]), from: &mut Directory, to: Option<&mut Directory>, no_replace: bool) -> Result<Renamed> {
        let (name, new_name) = names;
        let node = from.find(&self.shared, name)?;
        let target = to.as_deref().unwrap_or(from);
        if target.removed {
            return Err(Errno::NOENT);
        }
        let replaced = match target.find(&self.shared, new_name) {
            Ok(replaced) => Some(replaced),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error),
        };
        if let Some(replaced) = &replaced {
            if Arc::ptr_eq(replaced, &node) {
                return Ok(Renamed { node, replaced: None, same: true });
            }
            if no_replace {
                return Err(Errno::EXIST);
            }
            if std::ptr::eq(&raw const **replaced, self) {
                return Err(Errno::NOTEMPTY);
            }
            retire(replaced, node.kind == kind::DIRECTORY)?;
        }
        from.remove(name)?;
        to.unwrap_or(from).put(new_name, node.clone());
        Ok(Renamed { node, replaced, same: false })
    }

    fn exchange_locked(&self, names: (&[u8], &[u8]), from: &mut Directory, to: Option<&mut Directory>) -> Result<(Arc<Node>, Arc<Node>)> {
        let one = from.find(&self.shared, names.0)?;
        let other = to.as_deref().unwrap_or(from).find(&self.shared, names.1)?;
        from.put(names.0, other.clone());
        to.unwrap_or(from).put(names.1, one.clone());
        Ok((one, other))
    }
}

struct Renamed {
    node: Arc<Node>,
    replaced: Option<Arc<Node>>,
    same: bool,
}

/// Locks both directories, or the one that both are. Others lock one directory, or a directory and then one in it that they remove; renames take turns.
fn lock_both<'a>(from: &'a Node, to: &'a Node) -> Result<(MutexGuard<'a, Directory>, Option<MutexGuard<'a, Directory>>)> {
    let first = lock(from.directory()?);
    let second = if std::ptr::eq(from, to) { None } else { Some(lock(to.directory()?)) };
    Ok((first, second))
}

impl Inode for Node {
    fn stat(&self) -> Result<Stat> {
        Ok(self.describe())
    }

    fn permissions(&self) -> Result<(u32, u32, u32)> {
        let meta = lock(&self.meta);
        Ok((self.kind | meta.mode, meta.uid, meta.gid))
    }

    fn set_attributes(&self, change: &Attributes) -> Result<()> {
        self.pin();
        if let Some(size) = change.size {
            self.data().ok_or(Errno::INVAL)?.truncate(size, &self.shared.quota)?;
            self.modified();
        }
        self.change(|meta| {
            meta.mode = change.mode.map_or(meta.mode, |mode| mode & 0o7777);
            meta.uid = change.uid.unwrap_or(meta.uid);
            meta.gid = change.gid.unwrap_or(meta.gid);
            meta.accessed = change.accessed.unwrap_or(meta.accessed);
            meta.modified = change.modified.unwrap_or(meta.modified);
        });
        Ok(())
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let child = lock(self.directory()?).find(&self.shared, name)?;
        self.adopt(&child);
        Ok(child)
    }

    fn create(&self, name: &[u8], node: NewNode<'_>, mode: u32, owner: (u32, u32)) -> Result<Arc<dyn Inode>> {
        self.pin();
        let mut directory = lock(self.directory()?);
        directory.vacant(&self.shared, name)?;
        let child = Node::new(&self.shared, &node, mode, owner)?;
        directory.put(name, child.clone());
        drop(directory);
        self.adopt(&child);
        self.change(|meta| {
            meta.modified = crate::fs::now();
            meta.links += u32::from(child.kind == kind::DIRECTORY);
        });
        Ok(child)
    }

    fn create_unnamed(&self, mode: u32, owner: (u32, u32)) -> Result<Arc<dyn Inode>> {
        let node = Node::new(&self.shared, &NewNode::Regular, mode, owner)?;
        lock(&node.meta).links = 0;
        Ok(node)
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let target = Node::of(target)?;
        if !Arc::ptr_eq(&target.shared, &self.shared) {
            return Err(Errno::XDEV);
        }
        self.pin();
        let mut directory = lock(self.directory()?);
        directory.vacant(&self.shared, name)?;
        target.pin();
        directory.put(name, target.clone());
        drop(directory);
        target.add_link(1);
        self.modified();
        Ok(())
    }

    fn unlink(&self, name: &[u8], directory: bool) -> Result<()> {
        self.pin();
        let mut entries = lock(self.directory()?);
        let node = entries.find(&self.shared, name)?;
        retire(&node, directory)?;
        entries.remove(name)?;
        drop(entries);
        node.lost_name();
        self.change(|meta| {
            meta.modified = crate::fs::now();
            meta.links -= u32::from(directory && meta.links > 2);
        });
        Ok(())
    }

    fn rename(&self, name: &[u8], to: &Arc<dyn Inode>, new_name: &[u8], flags: u32) -> Result<()> {
        let to = Node::of(to)?;
        if !Arc::ptr_eq(&to.shared, &self.shared) {
            return Err(Errno::XDEV);
        }
        let turn = lock(&self.shared.renaming);
        self.pin();
        to.pin();
        let (mut first, mut second) = lock_both(self, &to)?;
        let names = (name, new_name);
        let (node, other) = if flags & EXCHANGE != 0 {
            let (node, other) = self.exchange_locked(names, &mut first, second.as_deref_mut())?;
            (node, Some(other))
        } else {
            let renamed = self.rename_locked(names, &mut first, second.as_deref_mut(), flags & NO_REPLACE != 0)?;
            if renamed.same {
                return Ok(());
            }
            (renamed.node, renamed.replaced)
        };
        drop((first, second));
        node.change(|_| {});
        to.adopt(&node);
        self.settle(&to, &node, other.as_deref(), flags & EXCHANGE != 0);
        drop(turn);
        Ok(())
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        match &self.body {
            Body::Symlink(target) => Ok(target.clone()),
            _ => Err(Errno::INVAL),
        }
    }

    fn open(self: Arc<Self>, _: u32, _: &Credentials) -> Result<Arc<dyn File>> {
        Ok(if self.kind == kind::DIRECTORY { Arc::new(MemoryDirectory::new(self)) } else { Arc::new(MemoryFile::open(self)?) })
    }

    fn extended_attribute(&self, name: &[u8]) -> Result<Vec<u8>> {
        if let Some(own) = &lock(&self.meta).attributes {
            return own.get(name).cloned().ok_or(Errno::NODATA);
        }
        self.lower
            .as_ref()
            .ok_or(Errno::NODATA)?
            .read_attribute(name)
            .map_err(|error| if error == Errno::OPNOTSUPP { Errno::NODATA } else { error })
    }

    fn set_extended_attribute(&self, name: &[u8], value: Option<&[u8]>, flags: u32) -> Result<()> {
        if name.starts_with(b"system.") {
            return Err(Errno::OPNOTSUPP);
        }
        let mut own = self.own_attributes()?;
        let had = own.contains_key(name);
        match value {
            Some(_) if had && flags & libc::XATTR_CREATE as u32 != 0 => return Err(Errno::EXIST),
            Some(_) if !had && flags & libc::XATTR_REPLACE as u32 != 0 => return Err(Errno::NODATA),
            None if !had => return Err(Errno::NODATA),
            Some(value) => {
                own.insert(name.to_vec(), value.to_vec());
            }
            None => {
                own.remove(name);
            }
        }
        if own.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > ATTRIBUTES_MAX {
            return Err(Errno::NOSPC);
        }
        self.change(|meta| meta.attributes = Some(own));
        Ok(())
    }

    fn extended_attributes(&self) -> Result<Vec<Vec<u8>>> {
        if let Some(own) = &lock(&self.meta).attributes {
            return Ok(own.keys().cloned().collect());
        }
        self.lower.as_ref().map_or(Ok(Vec::new()), |lower| lower.attribute_names())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Node {
    /// Counts and times after a rename of `node` from here to `to`.
    fn settle(&self, to: &Node, node: &Node, other: Option<&Node>, exchanged: bool) {
        let directory = |node: &Node| i32::from(node.kind == kind::DIRECTORY);
        let across = !std::ptr::eq(self, to);
        let mut here = if across { -directory(node) } else { 0 };
        let mut there = if across { directory(node) } else { 0 };
        match other {
            Some(other) if exchanged => {
                other.change(|_| {});
                self.adopt(other);
                here += if across { directory(other) } else { 0 };
                there -= if across { directory(other) } else { 0 };
            }
            Some(other) => {
                other.lost_name();
                there -= directory(other);
            }
            None => {}
        }
        self.add_link(here);
        self.modified();
        to.add_link(there);
        to.modified();
    }

    /// Its extended attributes, copied from the lower layer if they are still there.
    fn own_attributes(&self) -> Result<std::collections::BTreeMap<Vec<u8>, Vec<u8>>> {
        if let Some(own) = &lock(&self.meta).attributes {
            return Ok(own.clone());
        }
        let Some(lower) = &self.lower else { return Ok(Default::default()) };
        lower.attribute_names()?.into_iter().map(|name| lower.read_attribute(&name).map(|value| (name, value))).collect()
    }
}
