//! Landlock: what this process may not reach, whatever else fails (`landlock(7)`).

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

/// Since ABI 6.
const ABSTRACT_UNIX_SOCKETS: u64 = 1;

/// `struct landlock_ruleset_attr`.
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

/// From now on this thread, and all threads and processes that it makes, reach no unix socket of others by an abstract name. Cannot be undone.
/// EOPNOTSUPP before ABI 6.
///
/// It says nothing of files. A ruleset that does takes away links and renames from one directory to another unless a rule allows them below
/// a directory, and takes no further rules once it holds, while a pod's containers come one after the other. What files there are is the
/// mount namespace's to say; that none is executed or a device, the filter's ([`crate::filter::kernel`]).
///
/// Call it before other threads start. Needs no_new_privs, or CAP_SYS_ADMIN in the user namespace (EPERM).
pub fn restrict() -> Result<(), Errno> {
    if abi()? < 6 {
        return Err(Errno::OPNOTSUPP);
    }
    let ruleset = Ruleset { files: 0, network: 0, scoped: ABSTRACT_UNIX_SOCKETS };
    // SAFETY: the attributes are as long as we say.
    let fd = answer(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const ruleset, size_of::<Ruleset>(), 0) })?;
    // SAFETY: the host has just given this descriptor to us.
    let rules = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    // SAFETY: takes no pointers.
    answer(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

    /// In a thread of its own: the restriction is the thread's.
    #[test]
    fn sockets_of_others_are_out_of_reach_and_files_are_as_before() {
        if abi().is_ok_and(|abi| abi < 6) {
            return assert_eq!(restrict(), Err(Errno::OPNOTSUPP));
        }
        let name = format!("landlock-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _listener = UnixListener::bind_addr(&address).unwrap();
        assert!(UnixStream::connect_addr(&address).is_ok());
        let folder = std::env::temp_dir().join(name);
        let inside = folder.join("inside");
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::write(folder.join("file"), b"x").unwrap();
        let from = folder.clone();
        let checked = std::thread::spawn(move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            restrict().unwrap();
            let linked = std::fs::hard_link(from.join("file"), inside.join("link")).is_ok();
            let moved = std::fs::rename(from.join("file"), inside.join("file")).is_ok();
            (UnixStream::connect_addr(&address).is_err(), linked, moved)
        });
        assert_eq!(checked.join().unwrap(), (true, true, true));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
