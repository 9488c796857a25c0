//! The virtual file system: inodes, names, mounts, descriptors, open files.

pub mod inode;
pub mod open;
