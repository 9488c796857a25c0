//! Copies what is below a directory into another one, as `cp -a` does, but for what hard links have in common.

use std::sync::Arc;

use super::inode::{Attributes, Inode, NewNode, Stat, kind};
use super::place::Place;
use crate::task::Credentials;
use crate::{Errno, Result};

/// How much of a file is read at once, and how many bytes of names.
const CHUNK: usize = 64 << 10;

/// Copies what is in the directory `from`, without what is mounted below it, into the empty directory `to`. ENOSPC.
pub fn copy_below(from: &Place, to: &Place) -> Result<()> {
    let mut left = vec![(from.inode()?.clone(), to.inode()?.clone())];
    // Their times, when nothing is made in them any more.
    let mut done: Vec<(Arc<dyn Inode>, Stat)> = Vec::new();
    while let Some((from, to)) = left.pop() {
        for name in names(&from)? {
            let source = from.lookup(&name)?;
            let told = source.stat()?;
            let link = if told.mode & kind::MASK == kind::SYMLINK { source.read_link()? } else { Vec::new() };
            let copy = to.create(&name, node(&told, &link), told.mode & 0o7777, (told.uid, told.gid))?;
            match told.mode & kind::MASK {
                kind::DIRECTORY => left.push((source, copy.clone())),
                kind::REGULAR => copy_bytes(&source, &copy)?,
                _ => {}
            }
            done.push((copy, told));
        }
    }
    for (copy, told) in done {
        copy.set_attributes(&Attributes { accessed: Some(told.accessed), modified: Some(told.modified), ..Attributes::default() })?;
    }
    Ok(())
}

fn node<'a>(told: &Stat, link: &'a [u8]) -> NewNode<'a> {
    match told.mode & kind::MASK {
        kind::DIRECTORY => NewNode::Directory,
        kind::SYMLINK => NewNode::Symlink(link),
        kind::FIFO => NewNode::Fifo,
        kind::SOCKET => NewNode::Socket,
        kind::CHARACTER => NewNode::CharacterDevice(told.represents),
        kind::BLOCK => NewNode::BlockDevice(told.represents),
        _ => NewNode::Regular,
    }
}

/// The names in a directory, but for the dots.
fn names(directory: &Arc<dyn Inode>) -> Result<Vec<Vec<u8>>> {
    let file = directory.clone().open(libc::O_RDONLY as u32, &Credentials::default())?;
    let mut all = Vec::new();
    let mut position = 0;
    loop {
        let entries = file.entries(position, CHUNK)?;
        let Some(last) = entries.last() else { return Ok(all) };
        if last.next == position {
            return Err(Errno::IO);
        }
        position = last.next;
        all.extend(entries.into_iter().map(|entry| entry.name).filter(|name| name != b"." && name != b".."));
    }
}

fn copy_bytes(from: &Arc<dyn Inode>, to: &Arc<dyn Inode>) -> Result<()> {
    let (reader, writer) = (
        from.clone().open(libc::O_RDONLY as u32, &Credentials::default())?,
        to.clone().open(libc::O_WRONLY as u32, &Credentials::default())?,
    );
    let mut buffer = vec![0; CHUNK];
    let mut position = 0;
    loop {
        let count = reader.read(&mut buffer, position)?;
        let mut rest = buffer.get(..count).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        while !rest.is_empty() {
            let written = writer.write(rest, position)?;
            position += written as u64;
            rest = rest.get(written..).unwrap_or_default();
        }
    }
}
