//! Guest memory, by the host's copies between processes.

use rustix::io::Errno;

use super::process::Process;
use super::shared::GUEST_END;

/// Reads `to.len()` bytes at `address` of guest memory.
pub(super) fn read(process: &Process, address: u64, to: &mut [u8]) -> Result<(), Errno> {
    check(address, to.len())?;
    read_any(process, address, to)
}

/// Writes `from` at `address` of guest memory.
pub(super) fn write(process: &Process, address: u64, from: &[u8]) -> Result<(), Errno> {
    check(address, from.len())?;
    write_any(process, address, from)
}

/// EFAULT for what is not the guest's.
pub(super) fn check(address: u64, length: usize) -> Result<(), Errno> {
    match address.checked_add(length as u64) {
        Some(end) if end <= GUEST_END => Ok(()),
        _ => Err(Errno::FAULT),
    }
}

/// Reads memory of the stub, its own too.
pub(super) fn read_any(process: &Process, address: u64, to: &mut [u8]) -> Result<(), Errno> {
    if to.is_empty() {
        return Ok(());
    }
    let _held = process.hold_pid().map_err(|_| Errno::FAULT)?;
    let local = libc::iovec { iov_base: to.as_mut_ptr().cast(), iov_len: to.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: to.len() };
    // SAFETY: writes to `to` only.
    let copied = unsafe { libc::process_vm_readv(process.pid(), &local, 1, &remote, 1, 0) };
    complete(copied, to.len())
}

/// Writes memory of the stub, its own too.
pub(super) fn write_any(process: &Process, address: u64, from: &[u8]) -> Result<(), Errno> {
    if from.is_empty() {
        return Ok(());
    }
    let _held = process.hold_pid().map_err(|_| Errno::FAULT)?;
    let local = libc::iovec { iov_base: from.as_ptr().cast_mut().cast(), iov_len: from.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: from.len() };
    // SAFETY: reads `from` only; writes to another process.
    let copied = unsafe { libc::process_vm_writev(process.pid(), &local, 1, &remote, 1, 0) };
    complete(copied, from.len())
}

/// Writes `from` to several places of guest memory, in order, each an address and how many bytes.
pub(super) fn scatter(process: &Process, places: &[(u64, usize)], from: &[u8]) -> Result<(), Errno> {
    // IOV_MAX
    const VECTORS: usize = 1024;
    let _held = process.hold_pid().map_err(|_| Errno::FAULT)?;
    let mut rest = from;
    for places in places.chunks(VECTORS) {
        let mut length = 0usize;
        let mut remote = Vec::with_capacity(places.len());
        for (address, bytes) in places {
            check(*address, *bytes)?;
            length = length.checked_add(*bytes).ok_or(Errno::FAULT)?;
            remote.push(libc::iovec { iov_base: *address as *mut libc::c_void, iov_len: *bytes });
        }
        let (now, later) = rest.split_at_checked(length).ok_or(Errno::FAULT)?;
        let local = libc::iovec { iov_base: now.as_ptr().cast_mut().cast(), iov_len: length };
        // SAFETY: reads `now` only; writes to another process.
        let copied = unsafe { libc::process_vm_writev(process.pid(), &local, 1, remote.as_ptr(), remote.len() as u64, 0) };
        complete(copied, length)?;
        rest = later;
    }
    Ok(())
}

fn complete(copied: isize, wanted: usize) -> Result<(), Errno> {
    if copied == wanted as isize { Ok(()) } else { Err(Errno::FAULT) }
}
