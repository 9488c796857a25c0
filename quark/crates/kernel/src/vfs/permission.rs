//! Who may do what with a file: `path_resolution(7)`, `capabilities(7)`.

use super::inode::{Attributes, Inode, kind};
use crate::task::Credentials;
use crate::{Errno, Result};

/// Execute, or search a directory (X_OK).
pub const EXECUTE: u32 = 1;
/// Write (W_OK).
pub const WRITE: u32 = 2;
/// Read (R_OK).
pub const READ: u32 = 4;

/// Capabilities that file systems ask for, by number.
#[allow(missing_docs)]
pub mod capability {
    pub const CHOWN: u32 = 0;
    pub const DAC_OVERRIDE: u32 = 1;
    pub const DAC_READ_SEARCH: u32 = 2;
    pub const FOWNER: u32 = 3;
    pub const FSETID: u32 = 4;
    pub const LINUX_IMMUTABLE: u32 = 9;
    pub const IPC_LOCK: u32 = 14;
    pub const SYS_CHROOT: u32 = 18;
    pub const SYS_ADMIN: u32 = 21;
    pub const SYS_RESOURCE: u32 = 24;
    pub const MKNOD: u32 = 27;
    pub const SETFCAP: u32 = 31;
}

/// Whether one of a thread's groups is `gid`.
pub fn in_group(credentials: &Credentials, gid: u32) -> bool {
    credentials.fsgid == gid || credentials.groups.contains(&gid)
}

/// EACCES unless all of `want` (READ, WRITE, EXECUTE) is allowed, by the permission bits or a capability.
pub fn check(inode: &dyn Inode, credentials: &Credentials, want: u32) -> Result<()> {
    let (mode, uid, gid) = inode.permissions()?;
    if allowed(mode, uid, gid, credentials, want) { Ok(()) } else { Err(Errno::ACCESS) }
}

/// The same, of known permissions.
pub fn allowed(mode: u32, uid: u32, gid: u32, credentials: &Credentials, want: u32) -> bool {
    let class = if credentials.fsuid == uid {
        mode >> 6
    } else if in_group(credentials, gid) {
        mode >> 3
    } else {
        mode
    };
    if class & want == want {
        return true;
    }
    let directory = mode & kind::MASK == kind::DIRECTORY;
    if credentials.capable(capability::DAC_OVERRIDE) && (directory || want & EXECUTE == 0 || mode & 0o111 != 0) {
        return true;
    }
    let reading = want == READ || directory && want & WRITE == 0;
    reading && credentials.capable(capability::DAC_READ_SEARCH)
}

/// Whether a thread may act as a file's owner: it is, or has CAP_FOWNER.
pub fn owns(credentials: &Credentials, uid: u32) -> bool {
    credentials.fsuid == uid || credentials.capable(capability::FOWNER)
}

/// EPERM if a sticky directory keeps a thread from removing or renaming another's file.
pub fn check_sticky(directory: &dyn Inode, victim: &dyn Inode, credentials: &Credentials) -> Result<()> {
    let (mode, uid, _) = directory.permissions()?;
    if mode & 0o1000 == 0 || credentials.fsuid == uid {
        return Ok(());
    }
    let (_, victim_uid, _) = victim.permissions()?;
    if owns(credentials, victim_uid) { Ok(()) } else { Err(Errno::PERM) }
}

/// A file was written to: without CAP_FSETID a set-user-ID or set-group-ID program loses that.
pub fn drop_privileges(inode: &dyn Inode, credentials: &Credentials) -> Result<()> {
    let (mode, _, _) = inode.permissions()?;
    let now = crate::fs::memory::without_privileges(mode & 0o7777);
    if mode & kind::MASK != kind::REGULAR || now == mode & 0o7777 || credentials.capable(capability::FSETID) {
        return Ok(());
    }
    inode.set_attributes(&Attributes { mode: Some(now), ..Attributes::default() })
}

/// Owner and permissions of something new in a directory: the group and S_ISGID are inherited from a directory that has S_ISGID, and
/// who isn't in the group can't make a set-group-ID file.
pub fn new_owner(directory: &dyn Inode, credentials: &Credentials, mode: u32, new_directory: bool) -> Result<(u32, (u32, u32))> {
    let (parent_mode, _, parent_gid) = directory.permissions()?;
    if parent_mode & 0o2000 == 0 {
        return Ok((mode, (credentials.fsuid, credentials.fsgid)));
    }
    let mut mode = mode;
    if new_directory {
        mode |= 0o2000;
    } else if mode & 0o2010 == 0o2010 && !in_group(credentials, parent_gid) && !credentials.capable(capability::FSETID) {
        mode &= !0o2000;
    }
    Ok((mode, (credentials.fsuid, parent_gid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(uid: u32, gid: u32, capabilities: &[u32]) -> Credentials {
        let effective = capabilities.iter().fold(0, |all, capability| all | 1 << capability);
        Credentials { fsuid: uid, fsgid: gid, effective, ..Credentials::default() }
    }

    #[test]
    fn only_one_class_counts() {
        let file = kind::REGULAR | 0o047;
        assert!(!allowed(file, 5, 6, &user(5, 6, &[]), READ));
        assert!(allowed(file, 5, 6, &user(7, 6, &[]), READ));
        assert!(!allowed(file, 5, 6, &user(7, 6, &[]), WRITE));
        assert!(allowed(file, 5, 6, &user(7, 8, &[]), READ | WRITE | EXECUTE));
    }

    #[test]
    fn an_override_executes_only_what_somebody_may() {
        let root = user(0, 0, &[capability::DAC_OVERRIDE]);
        assert!(allowed(kind::REGULAR, 5, 6, &root, READ | WRITE));
        assert!(!allowed(kind::REGULAR, 5, 6, &root, EXECUTE));
        assert!(allowed(kind::REGULAR | 1, 5, 6, &root, EXECUTE));
        assert!(allowed(kind::DIRECTORY, 5, 6, &root, EXECUTE | WRITE));
    }

    #[test]
    fn a_reader_may_search_but_not_write() {
        let backup = user(1, 1, &[capability::DAC_READ_SEARCH]);
        assert!(allowed(kind::REGULAR, 5, 6, &backup, READ));
        assert!(allowed(kind::DIRECTORY, 5, 6, &backup, READ | EXECUTE));
        assert!(!allowed(kind::DIRECTORY, 5, 6, &backup, WRITE));
        assert!(!allowed(kind::REGULAR | 0o111, 5, 6, &backup, WRITE));
    }
}
