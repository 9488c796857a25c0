//! Directories in memory: what differs from the lower layer, if there is one.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Weak};

use super::Shared;
use super::node::Node;
use crate::fs::host::HostNode;
use crate::vfs::inode::{DirectoryEntry, kind};
use crate::{Errno, Result};

/// The entries of a directory.
#[derive(Default)]
pub(super) struct Directory {
    entries: BTreeMap<Arc<[u8]>, Entry>,
    /// The directory whose names are seen through, but for those in `entries`.
    lower: Option<Arc<HostNode>>,
    /// For `..`.
    pub parent: Weak<Node>,
    /// Removed: nothing may be made in it any more.
    pub removed: bool,
}

enum Entry {
    Node(Arc<Node>),
    /// A name of the lower layer that is gone.
    Whiteout,
}

impl Directory {
    pub fn over(lower: Arc<HostNode>) -> Directory {
        Directory { lower: Some(lower), ..Directory::default() }
    }

    /// As tmpfs counts: 20 bytes a name.
    pub fn size(&self) -> u64 {
        match self.lower {
            Some(_) => 4096,
            None => 40 + 20 * self.entries.len() as u64,
        }
    }

    /// What a name leads to: ENOENT.
    pub fn find(&self, shared: &Arc<Shared>, name: &[u8]) -> Result<Arc<Node>> {
        match (self.entries.get(name), &self.lower) {
            (Some(Entry::Node(node)), _) => Ok(node.clone()),
            (None, Some(lower)) => shared.of_lower(lower.child(name)?),
            _ => Err(Errno::NOENT),
        }
    }

    /// EEXIST if a name is taken, ENOENT if the directory was removed.
    pub fn vacant(&self, shared: &Arc<Shared>, name: &[u8]) -> Result<()> {
        if self.removed {
            return Err(Errno::NOENT);
        }
        match self.find(shared, name) {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Gives a name to a node, whatever had it before.
    pub fn put(&mut self, name: &[u8], node: Arc<Node>) {
        self.entries.insert(Arc::from(name), Entry::Node(node));
    }

    /// Takes a name away. If the lower layer has it, it stays hidden.
    pub fn remove(&mut self, name: &[u8]) -> Result<()> {
        let below = match &self.lower {
            None => false,
            Some(lower) => match lower.child(name) {
                Ok(_) => true,
                Err(Errno::NOENT) => false,
                Err(error) => return Err(error),
            },
        };
        if below {
            self.entries.insert(Arc::from(name), Entry::Whiteout);
        } else {
            self.entries.remove(name);
        }
        Ok(())
    }

    /// Whether there is no name in it.
    pub fn is_empty(&self) -> Result<bool> {
        if self.entries.values().any(|entry| matches!(entry, Entry::Node(_))) {
            return Ok(false);
        }
        let Some(lower) = &self.lower else { return Ok(true) };
        Ok(lower.names()?.iter().all(|found| self.entries.contains_key(found.name.as_slice())))
    }

    /// All entries, but for `.` and `..`: those above, then those below that show.
    pub fn list(&self, shared: &Shared) -> Result<Vec<DirectoryEntry>> {
        let mut all = Vec::new();
        for (name, entry) in &self.entries {
            if let Entry::Node(node) = entry {
                all.push(DirectoryEntry { name: name.to_vec(), inode: node.number, kind: (node.kind >> 12) as u8, next: 0 });
            }
        }
        if let Some(lower) = &self.lower {
            let hidden: HashSet<&[u8]> = self.entries.keys().map(|name| &**name).collect();
            let below = lower.names()?.into_iter().filter(|found| !hidden.contains(found.name.as_slice()));
            all.extend(below.map(|found| DirectoryEntry { inode: shared.number_of((lower.identity.0, found.inode)), ..found }));
        }
        Ok(all)
    }

    /// Takes all nodes out, when the file system ends.
    pub fn take(&mut self) -> Vec<Arc<Node>> {
        self.lower = None;
        let entries = std::mem::take(&mut self.entries);
        entries.into_values().filter_map(|entry| if let Entry::Node(node) = entry { Some(node) } else { None }).collect()
    }
}

/// EISDIR, ENOTDIR, ENOTEMPTY if a node may not be removed as what the caller takes it for. A directory is marked as removed.
pub(super) fn retire(node: &Node, directory: bool) -> Result<()> {
    match (node.kind == kind::DIRECTORY, directory) {
        (true, false) => return Err(Errno::ISDIR),
        (false, true) => return Err(Errno::NOTDIR),
        (false, false) => return Ok(()),
        (true, true) => {}
    }
    let mut state = crate::task::lock(node.directory()?);
    if !state.is_empty()? {
        return Err(Errno::NOTEMPTY);
    }
    state.removed = true;
    Ok(())
}
