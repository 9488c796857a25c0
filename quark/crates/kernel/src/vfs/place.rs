//! Places in the tree of names.

use std::sync::Arc;

use super::dentry::Dentry;
use super::inode::Inode;
use super::mount::{Mount, MountFlags};
use crate::Result;

/// A place in the tree: a name in a mount. Cheap to clone.
#[derive(Clone)]
pub struct Place {
    /// The mount.
    pub mount: Arc<Mount>,
    /// The name in its file system.
    pub dentry: Arc<Dentry>,
}

impl Place {
    /// The inode: ENOENT if the name is absent.
    pub fn inode(&self) -> Result<&Arc<dyn Inode>> {
        self.dentry.inode()
    }

    /// Whether both are the same place.
    pub fn is(&self, other: &Place) -> bool {
        Arc::ptr_eq(&self.mount, &other.mount) && Arc::ptr_eq(&self.dentry, &other.dentry)
    }

    /// The mount's flags.
    pub fn flags(&self) -> MountFlags {
        self.mount.flags()
    }

    /// What is seen here: the root of what is mounted here, if anything is.
    pub fn top(mut self) -> Place {
        while let Some(mount) = self.mount.mounted_on(&self.dentry) {
            self = mount.place();
        }
        self
    }

    /// What is mounted on, if this is the root of a mount.
    pub fn below(mut self) -> Place {
        while Arc::ptr_eq(&self.dentry, &self.mount.root) {
            let Some(on) = self.mount.parent() else { break };
            self = on;
        }
        self
    }

    /// `..`: never above `root`, and the same place at the top of the tree.
    pub fn parent(&self, root: &Place) -> Place {
        let mut at = self.clone();
        loop {
            if at.is(root) {
                return at;
            }
            if !Arc::ptr_eq(&at.dentry, &at.mount.root) {
                let Some(parent) = at.dentry.parent() else { return at };
                return Place { mount: at.mount, dentry: parent }.top();
            }
            let Some(on) = at.mount.parent() else { return at };
            at = on;
        }
    }

    /// The same mount's place of another dentry.
    pub fn with(&self, dentry: Arc<Dentry>) -> Place {
        Place { mount: self.mount.clone(), dentry }
    }

    /// The absolute path as seen from `root`, and whether it is there at all (else the path ends at the top of its own tree). Nothing of the mounts above `root` shows.
    pub fn path(&self, root: &Place) -> (Vec<u8>, bool) {
        let mut names: Vec<Arc<[u8]>> = Vec::new();
        let mut at = self.clone();
        let reached = loop {
            if at.is(root) {
                break true;
            }
            if Arc::ptr_eq(&at.dentry, &at.mount.root) {
                let Some(on) = at.mount.parent() else { break false };
                at = on;
                continue;
            }
            names.push(at.dentry.name());
            let Some(parent) = at.dentry.parent() else { break false };
            at.dentry = parent;
        };
        let mut path = Vec::new();
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        if path.is_empty() {
            path.push(b'/');
        }
        (path, reached)
    }

    /// What `/proc/self/fd/N` and `/proc/self/cwd` say: the path, with ` (deleted)` if its name was removed.
    pub fn shown(&self, root: &Place) -> Vec<u8> {
        let (mut path, _) = self.path(root);
        if self.dentry.removed() {
            path.extend_from_slice(b" (deleted)");
        }
        path
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}:{}", self.mount.id, String::from_utf8_lossy(&self.dentry.name()))
    }
}
