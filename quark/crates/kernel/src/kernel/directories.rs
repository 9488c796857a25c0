//! Where a process starts, and where its user is at home.

use std::sync::Arc;

use super::{Container, ProcessSpec};
use crate::task::Credentials;
use crate::task::credentials::ALL_CAPABILITIES;
use crate::vfs::inode::{Inode, NewNode};
use crate::vfs::names;
use crate::vfs::open::FsContext;
use crate::vfs::path::{Last, Walker};
use crate::vfs::place::Place;
use crate::{Errno, Result};

/// As much as is read of a container's list of users, bytes.
const USERS_BYTES_MAX: usize = 1 << 20;

/// Root and working directory. The latter is made if it is missing, and may be one that the process' user can't enter, as runc has both.
pub fn place(container: &Container, spec: &ProcessSpec) -> Result<FsContext, String> {
    let root = container.root.place().top();
    let path = if spec.directory.is_empty() { b"/".as_slice() } else { &spec.directory };
    let words = |error: Errno| format!("chdir to {}: {error}", String::from_utf8_lossy(path));
    let directory = enter(&root, path).map_err(words)?;
    Ok(FsContext::new(root, directory, spec.umask))
}

fn enter(root: &Place, path: &[u8]) -> Result<Place> {
    let credentials = Credentials { effective: ALL_CAPABILITIES, ..Credentials::default() };
    let walker = Walker::new(&credentials, root.clone());
    let mut place = root.clone();
    for end in (1..=path.len()).filter(|end| path.get(*end).is_none_or(|byte| *byte == b'/')) {
        let part = path.get(..end).unwrap_or_default();
        place = match walker.find(root, part, Last::Follow) {
            Err(Errno::NOENT) => names::make(&walker, root, part, NewNode::Directory, 0o755)?,
            found => found?,
        };
    }
    if place.dentry.is_directory() { Ok(place) } else { Err(Errno::NOTDIR) }
}

/// Gives a process the variable HOME, unless it has one: what the container's `/etc/passwd` says of its user, or `/`.
pub fn add_home(fs: &FsContext, spec: &mut ProcessSpec) {
    const NAME: &[u8] = b"HOME=";
    let set = |variable: &Vec<u8>| variable.strip_prefix(NAME).is_some_and(|value| !value.is_empty());
    if spec.environment.iter().any(set) {
        return;
    }
    spec.environment.retain(|variable| !variable.starts_with(NAME));
    let users = read(&fs.root(), b"/etc/passwd").unwrap_or_default();
    let home = home_of(&users, spec.credentials.uid).unwrap_or(b"/");
    spec.environment.push([NAME, home].concat());
}

/// The sixth field of the user's line (`man 5 passwd`).
fn home_of(users: &[u8], uid: u32) -> Option<&[u8]> {
    users.split(|byte| *byte == b'\n').find_map(|line| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let number = std::str::from_utf8(fields.get(2)?).ok()?.parse::<u32>().ok()?;
        fields.get(5).copied().filter(|home| number == uid && !home.is_empty())
    })
}

fn read(root: &Place, path: &[u8]) -> Result<Vec<u8>> {
    let credentials = Credentials { effective: ALL_CAPABILITIES, ..Credentials::default() };
    let inode: Arc<dyn Inode> = Walker::new(&credentials, root.clone()).find(root, path, Last::Follow)?.inode()?.clone();
    let stat = inode.stat()?;
    if stat.mode & crate::vfs::inode::kind::MASK != crate::vfs::inode::kind::REGULAR {
        return Err(Errno::INVAL);
    }
    let file = inode.open(libc::O_RDONLY as u32, &credentials)?;
    let mut text = vec![0; usize::try_from(stat.size).unwrap_or(usize::MAX).min(USERS_BYTES_MAX)];
    let mut filled = 0;
    while let Some(rest) = text.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest, filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    text.truncate(filled);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_are_of_the_users_line() {
        let users = b"root:x:0:0:root:/root:/bin/sh\nbroken\nnone:x:4:4:::\nsome:x:5:6::/home/some:/bin/sh\nagain:x:5:6::/other:/bin/sh\n";
        let homes = [0, 4, 5, 6].map(|uid| home_of(users, uid));
        assert_eq!(homes, [Some(b"/root".as_slice()), None, Some(b"/home/some"), None]);
    }
}
