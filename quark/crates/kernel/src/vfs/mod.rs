//! The virtual file system: inodes, names, mounts, descriptors, open files.

pub mod calls;
mod copy;
pub mod dentry;
pub mod descriptors;
pub mod inode;
pub mod locks;
pub mod mount;
pub mod names;
pub mod notify;
pub mod open;
pub mod opening;
pub mod path;
pub mod permission;
pub mod place;
pub mod tree;

#[cfg(test)]
pub(crate) mod tests;
