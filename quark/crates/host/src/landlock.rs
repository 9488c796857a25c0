//! Landlock: what this process may not do to files, whatever else fails (`landlock(7)`).

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

const EXECUTE: u64 = 1;
const MAKE_CHARACTER_DEVICE: u64 = 1 << 6;
const MAKE_BLOCK_DEVICE: u64 = 1 << 11;
/// Since ABI 5.
const DEVICE_REQUESTS: u64 = 1 << 15;
/// Since ABI 6.
const ABSTRACT_UNIX_SOCKETS: u64 = 1;

/// `struct landlock_ruleset_attr`; hosts with an older ABI are told a shorter one.
#[repr(C)]
struct Ruleset {
    files: u64,
    network: u64,
    scoped: u64,
}

fn answer(result: libc::c_long) -> Result<libc::c_long, Errno> {
    if result < 0 { Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)) } else { Ok(result) }
}

/// The host's Landlock ABI version: ENOSYS or EOPNOTSUPP if there is none.
pub fn abi() -> Result<i32, Errno> {
    const VERSION: libc::c_long = 1;
    // SAFETY: with this flag the call takes no pointers.
    answer(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<Ruleset>(), 0usize, VERSION) }).map(|abi| abi as i32)
}

/// From now on this thread, and all threads and processes that it makes, can execute no file, make no device, make no requests to devices
/// that they open, and reach no unix socket of others by an abstract name, as far as the host's ABI knows these. Cannot be undone.
///
/// Which files there are to open is the mount namespace's to say: a pod's containers come one after the other, and Landlock takes no
/// further directories once it holds.
///
/// Call it before other threads start. Needs no_new_privs, or CAP_SYS_ADMIN in the user namespace (EPERM).
pub fn restrict() -> Result<(), Errno> {
    let abi = abi()?;
    let requests = if abi >= 5 { DEVICE_REQUESTS } else { 0 };
    let ruleset = Ruleset {
        files: EXECUTE | MAKE_CHARACTER_DEVICE | MAKE_BLOCK_DEVICE | requests,
        network: 0,
        scoped: if abi >= 6 { ABSTRACT_UNIX_SOCKETS } else { 0 },
    };
    let size = match abi {
        ..=3 => 8,
        4 | 5 => 16,
        _ => size_of::<Ruleset>(),
    };
    // SAFETY: the attributes are as long as we say, or longer.
    let fd = answer(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const ruleset, size, 0) })?;
    // SAFETY: the host has just given this descriptor to us.
    let rules = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    // SAFETY: takes no pointers.
    answer(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    /// In a thread of its own: the restriction is the thread's, and its children's.
    #[test]
    fn nothing_is_executed_or_made_a_device() {
        let node = std::env::temp_dir().join(format!("landlock-{}", std::process::id()));
        let path = node.clone();
        let checked = std::thread::spawn(move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            restrict().unwrap();
            let started = std::process::Command::new("/bin/true").status().err().map(|error| error.kind());
            let mode = rustix::fs::Mode::from_raw_mode(0o600);
            let device = rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::CharacterDevice, mode, 0x103).err();
            let file = std::fs::write(&path, b"x").is_ok();
            (started, device, file)
        });
        let (started, device, file) = checked.join().unwrap();
        assert_eq!(started, Some(ErrorKind::PermissionDenied));
        // Whoever isn't root may not make devices anyway.
        assert!(matches!(device, Some(Errno::ACCESS | Errno::PERM)), "{device:?}");
        assert!(file);
        std::fs::remove_file(&node).unwrap();
    }
}
