//! A memory barrier on all of the host's processors, for the guest's `membarrier(2)`.

use rustix::io::Errno;

pub(crate) const MEMBARRIER_CMD_GLOBAL: i32 = 1;

/// Returns after every thread of the host that runs has passed a full memory barrier. Takes milliseconds.
pub fn everywhere() -> Result<(), Errno> {
    // SAFETY: has no effect on memory but to order accesses to it.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if result == 0 { Ok(()) } else { Err(Errno::NOSYS) }
}
