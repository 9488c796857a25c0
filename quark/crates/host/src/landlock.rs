//! Landlock: which files this process may still reach by path, whatever else fails (`landlock(7)`).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

/// What may be done below a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read files and directories.
    Read,
    /// That, and write, make, remove, rename, truncate.
    ReadWrite,
}

const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REGULAR: u64 = 1 << 8;
const MAKE_SOCKET: u64 = 1 << 9;
const MAKE_FIFO: u64 = 1 << 10;
const MAKE_SYMLINK: u64 = 1 << 12;
/// Since ABI 2.
const REFER: u64 = 1 << 13;
/// Since ABI 3.
const TRUNCATE: u64 = 1 << 14;

/// All rights of an ABI version up to 5: what a ruleset takes away. EXECUTE, making devices, and device ioctls are given to nobody.
fn handled(abi: i32) -> u64 {
    match abi {
        1 => (1 << 13) - 1,
        2 => (1 << 14) - 1,
        3 | 4 => (1 << 15) - 1,
        _ => (1 << 16) - 1,
    }
}

fn rights(access: Access, directory: bool) -> u64 {
    let file = match access {
        Access::Read => READ_FILE,
        Access::ReadWrite => READ_FILE | WRITE_FILE | TRUNCATE,
    };
    if !directory {
        return file;
    }
    let made = REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REGULAR | MAKE_SOCKET | MAKE_FIFO | MAKE_SYMLINK | REFER;
    match access {
        Access::Read => file | READ_DIR,
        Access::ReadWrite => file | READ_DIR | made,
    }
}

/// `struct landlock_ruleset_attr`; hosts with an older ABI are told a shorter one.
#[repr(C)]
struct Ruleset {
    files: u64,
    network: u64,
    scoped: u64,
}

/// `struct landlock_path_beneath_attr`, packed.
#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: i32,
}

const SCOPE_ABSTRACT_UNIX: u64 = 1;

fn answer(result: libc::c_long) -> Result<libc::c_long, Errno> {
    if result < 0 { Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)) } else { Ok(result) }
}

/// The host's Landlock ABI version: ENOSYS or EOPNOTSUPP if there is none.
pub fn abi() -> Result<i32, Errno> {
    const VERSION: libc::c_long = 1;
    // SAFETY: with this flag the call takes no pointers.
    answer(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<Ruleset>(), 0usize, VERSION) }).map(|abi| abi as i32)
}

/// From now on this thread, and all threads and processes that it makes, may reach only these files and directories by path; also no unix
/// socket of others by an abstract name, where the host can tell (ABI 6). What is open already stays usable. Cannot be undone.
///
/// Call it before other threads start. Needs no_new_privs, or CAP_SYS_ADMIN in the user namespace (EPERM).
pub fn restrict(reachable: &[(BorrowedFd<'_>, bool, Access)]) -> Result<(), Errno> {
    let abi = abi()?;
    let ruleset = Ruleset { files: handled(abi), network: 0, scoped: if abi >= 6 { SCOPE_ABSTRACT_UNIX } else { 0 } };
    let size = match abi {
        ..=3 => 8,
        4 | 5 => 16,
        _ => size_of::<Ruleset>(),
    };
    // SAFETY: the attributes are as long as we say, or longer.
    let fd = answer(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const ruleset, size, 0) })?;
    // SAFETY: the host has just given this descriptor to us.
    let rules = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    for (parent, directory, access) in reachable {
        let rule = PathBeneath { allowed: rights(*access, *directory) & handled(abi), parent: parent.as_raw_fd() };
        const BENEATH: libc::c_int = 1;
        // SAFETY: the rule is a whole `landlock_path_beneath_attr`.
        answer(unsafe { libc::syscall(libc::SYS_landlock_add_rule, rules.as_raw_fd(), BENEATH, &raw const rule, 0) })?;
    }
    // SAFETY: takes no pointers.
    answer(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags, open};
    use std::os::fd::AsFd;

    /// In a thread of its own: the restriction is the thread's.
    #[test]
    fn only_what_was_named_can_be_reached() {
        let directory = std::env::temp_dir().join(format!("landlock-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("inside")).unwrap();
        std::fs::write(directory.join("outside"), b"x").unwrap();
        let root = directory.clone();
        let checked = std::thread::spawn(move || {
            let inside = open(root.join("inside"), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
            rustix::thread::set_no_new_privs(true).unwrap();
            restrict(&[(inside.as_fd(), true, Access::ReadWrite)]).unwrap();
            let written = std::fs::write(root.join("inside/file"), b"y").is_ok();
            let read = std::fs::read(root.join("outside")).err().map(|error| error.kind());
            let passwords = std::fs::read("/etc/shadow").err().map(|error| error.kind());
            (written, read, passwords)
        });
        let refused = Some(std::io::ErrorKind::PermissionDenied);
        assert_eq!(checked.join().unwrap(), (true, refused, refused));
        assert_eq!(std::fs::read(directory.join("inside/file")).unwrap(), b"y");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
