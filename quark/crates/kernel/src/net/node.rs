//! Unix sockets' nodes in the file system.

use std::sync::Arc;

use super::message::Sender;
use crate::task::Task;
use crate::vfs::inode::NewNode;
use crate::vfs::path::{Last, Walker};
use crate::vfs::permission;
use crate::{Errno, Result};

/// Who a task says it is.
pub fn sender(task: &Arc<Task>) -> Sender {
    let credentials = task.credentials();
    Sender { pid: task.process.pid, uid: credentials.euid, gid: credentials.egid }
}

/// Device and inode number of the socket at a path that the task may write to: ECONNREFUSED if it isn't a socket.
pub fn find(task: &Arc<Task>, path: &[u8]) -> Result<(u64, u64)> {
    let credentials = task.credentials();
    let fs = task.fs();
    let place = Walker::new(&credentials, fs.root()).find(&fs.directory(), path, Last::Follow)?;
    let inode = place.inode()?;
    permission::check(inode.as_ref(), &credentials, permission::WRITE)?;
    let stat = inode.stat()?;
    if stat.mode & libc::S_IFMT != libc::S_IFSOCK {
        return Err(Errno::CONNREFUSED);
    }
    Ok((stat.device, stat.inode))
}

/// Makes a socket's node: EADDRINUSE if the name is taken.
pub fn make(task: &Arc<Task>, path: &[u8]) -> Result<(u64, u64)> {
    let credentials = task.credentials();
    let fs = task.fs();
    let walked = Walker::new(&credentials, fs.root()).walk(&fs.directory(), path, Last::Name)?;
    let (parent, name, place) = walked.named(Errno::ADDRINUSE)?;
    if !place.dentry.negative() {
        return Err(Errno::ADDRINUSE);
    }
    parent.mount.writable()?;
    let directory = parent.inode()?;
    permission::check(directory.as_ref(), &credentials, permission::WRITE | permission::EXECUTE)?;
    let (mode, owner) = permission::new_owner(directory.as_ref(), &credentials, 0o777 & !fs.umask(), false)?;
    let made = directory.create(&name, NewNode::Socket, mode, owner);
    let inode = made.map_err(|errno| if errno == Errno::EXIST { Errno::ADDRINUSE } else { errno })?;
    let stat = inode.stat()?;
    parent.dentry.hook(&name, Some(inode), true)?;
    Ok((stat.device, stat.inode))
}
