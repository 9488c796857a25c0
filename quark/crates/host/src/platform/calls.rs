//! Host calls to operations of the stub.

use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering::Relaxed;

use rustix::io::Errno;

use super::shared::{GUEST_END, OPERATION_CALL, OPERATION_CALL_FILE, OPERATION_EXCHANGE, OPERATION_STORE, OPERATIONS, Slot};
use super::{HostCall, limits};

/// Calls that are given to a stub at once.
pub(super) const BATCH: usize = OPERATIONS;

/// An operation, and the file that it needs.
pub(super) struct Encoded<'fd> {
    kind: u64,
    number: i64,
    arguments: [u64; 6],
    pub(super) file: Option<BorrowedFd<'fd>>,
}

impl Encoded<'_> {
    fn call(number: i64, arguments: [u64; 6]) -> Result<Self, Errno> {
        Ok(Encoded { kind: OPERATION_CALL, number, arguments, file: None })
    }

    /// Writes it into a slot.
    pub(super) fn store(&self, slot: &Slot, index: usize) {
        let Some(operation) = slot.operations.get(index) else {
            return;
        };
        operation.kind.store(self.kind, Relaxed);
        operation.number.store(self.number as u64, Relaxed);
        for (to, from) in operation.arguments.iter().zip(self.arguments) {
            to.store(from, Relaxed);
        }
    }
}

/// The operation for `call`: EINVAL for what the stub's filter would kill it for, EFAULT or ENOMEM for memory that is not the guest's.
pub(super) fn encode<'fd>(call: &HostCall<'fd>) -> Result<Encoded<'fd>, Errno> {
    match *call {
        HostCall::Map { address, length, protection, flags, file } => {
            check_range(address, length)?;
            encode_map(address, length, protection, flags, file)
        }
        HostCall::Unmap { address, length } => {
            check_range(address, length).map_err(|_| Errno::INVAL)?;
            Encoded::call(libc::SYS_munmap, [address, length, 0, 0, 0, 0])
        }
        HostCall::Protect { address, length, protection } => {
            check_range(address, length)?;
            Encoded::call(libc::SYS_mprotect, [address, length, protection as u64, 0, 0, 0])
        }
        HostCall::Remap { address, length, new_address, new_length, flags } => {
            check_range(address, length)?;
            check_range(new_address, new_length)?;
            encode_remap([address, length, new_address, new_length], flags)
        }
        HostCall::Advise { address, length, advice } => {
            check_range(address, length)?;
            let known = limits::ADVICE.contains(&advice);
            if known { Encoded::call(libc::SYS_madvise, [address, length, advice as u64, 0, 0, 0]) } else { Err(Errno::INVAL) }
        }
        HostCall::Sync { address, length, flags } => {
            check_range(address, length)?;
            Encoded::call(libc::SYS_msync, [address, length, flags as u64, 0, 0, 0])
        }
        HostCall::CompareExchange { address, expected, desired } => {
            check_range(address, 4).map_err(|_| Errno::FAULT)?;
            let arguments = [address, u64::from(expected), u64::from(desired), 0, 0, 0];
            Ok(Encoded { kind: OPERATION_EXCHANGE, number: 0, arguments, file: None })
        }
        HostCall::Store { address, value } => {
            check_range(address, 8).map_err(|_| Errno::FAULT)?;
            Ok(Encoded { kind: OPERATION_STORE, number: 0, arguments: [address, value, 0, 0, 0, 0], file: None })
        }
        HostCall::FutexWake { address, count, private } => {
            check_range(address, 4).map_err(|_| Errno::FAULT)?;
            let operation = libc::FUTEX_WAKE | if private { libc::FUTEX_PRIVATE_FLAG } else { 0 };
            Encoded::call(libc::SYS_futex, [address, operation as u64, u64::from(count), 0, 0, 0])
        }
        HostCall::Barrier { command } => {
            let known = limits::BARRIERS.contains(&command);
            if known { Encoded::call(libc::SYS_membarrier, [command as u64, 0, 0, 0, 0, 0]) } else { Err(Errno::INVAL) }
        }
    }
}

/// The operation for a futex's call that the guest's thread makes itself.
pub(super) fn encode_futex(arguments: [u64; 6]) -> Result<Encoded<'static>, Errno> {
    let kind = arguments[1] as i32 & !limits::FUTEX_FLAGS;
    if limits::FUTEXES.contains(&kind) { Encoded::call(libc::SYS_futex, arguments) } else { Err(Errno::INVAL) }
}

/// The same for a wait for several.
pub(super) fn encode_futexes(arguments: [u64; 6]) -> Result<Encoded<'static>, Errno> {
    if arguments[2] as u32 == 0 { Encoded::call(libc::SYS_futex_waitv, arguments) } else { Err(Errno::INVAL) }
}

fn encode_map<'fd>(
    address: u64,
    length: u64,
    protection: i32,
    flags: i32,
    file: Option<(BorrowedFd<'fd>, u64)>,
) -> Result<Encoded<'fd>, Errno> {
    if flags & !limits::MAP_FLAGS != 0 || flags & (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE) == 0 {
        return Err(Errno::INVAL);
    }
    if file.is_some() != (flags & libc::MAP_ANONYMOUS == 0) {
        return Err(Errno::INVAL);
    }
    let offset = file.map_or(0, |(_, offset)| offset);
    let arguments = [address, length, protection as u64, flags as u32 as u64, u64::MAX, offset];
    let kind = if file.is_some() { OPERATION_CALL_FILE } else { OPERATION_CALL };
    Ok(Encoded { kind, number: libc::SYS_mmap, arguments, file: file.map(|(file, _)| file) })
}

fn encode_remap<'fd>([address, length, new_address, new_length]: [u64; 4], flags: i32) -> Result<Encoded<'fd>, Errno> {
    let moves = if address == new_address { 0 } else { libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED };
    // Without either, the host keeps the address or fails.
    if flags & !limits::REMAP_FLAGS != 0 || (moves == 0 && flags != 0) {
        return Err(Errno::INVAL);
    }
    Encoded::call(libc::SYS_mremap, [address, length, new_length, (flags | moves) as u64, new_address, 0])
}

fn check_range(address: u64, length: u64) -> Result<(), Errno> {
    match address.checked_add(length) {
        Some(end) if end <= GUEST_END => Ok(()),
        _ => Err(Errno::NOMEM),
    }
}
