//! File calls of the host that rustix has no safe form of. All of them act on a descriptor that the caller holds, O_PATH or not, and never on a path.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

/// `fchmodat2(2)` of what `file` refers to, without following a link. ENOSYS before Linux 6.6.
pub fn change_mode(file: BorrowedFd<'_>, mode: u32) -> Result<(), Errno> {
    // SAFETY: the path is a constant string with a NUL; the call reads nothing else and keeps nothing.
    let answer = unsafe { libc::syscall(libc::SYS_fchmodat2, file.as_raw_fd(), c"".as_ptr(), mode, libc::AT_EMPTY_PATH) };
    if answer == 0 { Ok(()) } else { Err(last_error()) }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn changes_the_mode_of_a_path_descriptor() {
        use rustix::fs::{Mode, OFlags};
        let directory = std::env::temp_dir().join(format!("quark-mode-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = rustix::fs::open(&directory, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        change_mode(file.as_fd(), 0o710).unwrap();
        assert_eq!(rustix::fs::fstat(&file).unwrap().st_mode & 0o7777, 0o710);
        std::fs::remove_dir(&directory).unwrap();
    }
}
