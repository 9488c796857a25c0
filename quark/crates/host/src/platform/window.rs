//! Guest memory by way of the window: a stub that looks for the end of the kernel's turn copies what the kernel asks for, in a tenth of the time
//! that the host's copies between processes take.

use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};

use rustix::io::Errno;

use super::patience::{ticks, ticks_per_us};
use super::process::{Process, Seat};
use super::shared::{COPY_DONE, COPY_FAULT, COPY_NONE, COPY_READ, COPY_WRITE, Slot, WINDOW_BYTES};

/// Above this many bytes the second copy costs more than the host's way.
const BYTES_MAX: usize = 16384;
const _: () = assert!(BYTES_MAX as u64 <= WINDOW_BYTES);
/// A stub that has not begun by then does not look.
const BEGIN_US: u64 = 2;
/// A copy that has begun takes as long as the page faults in it. After that the host's way is taken, which waits for the same, and the window
/// is not used until the stub comes back.
const END_US: u64 = 1000;

/// Reads guest memory at `address`; none if the stub doesn't look.
pub(super) fn read(process: &Process, seat: &Seat, address: u64, to: &mut [u8]) -> Option<Result<(), Errno>> {
    let slot = process.slot(seat);
    if !may_copy(slot, to.len()) {
        return None;
    }
    let result = copy(slot, COPY_READ, address, to.len())?;
    if result.is_ok() {
        process.control.empty_window(seat.index, to);
    }
    Some(result)
}

/// Writes guest memory at `address`; none if the stub doesn't look.
pub(super) fn write(process: &Process, seat: &Seat, address: u64, from: &[u8]) -> Option<Result<(), Errno>> {
    let slot = process.slot(seat);
    if !may_copy(slot, from.len()) {
        return None;
    }
    process.control.fill_window(seat.index, 0, from);
    copy(slot, COPY_WRITE, address, from.len())
}

fn may_copy(slot: &Slot, length: usize) -> bool {
    length <= BYTES_MAX && looks(slot) && matches!(slot.copy.load(Relaxed), COPY_NONE | COPY_DONE | COPY_FAULT)
}

/// Whether the stub looks, as far as one can tell.
fn looks(slot: &Slot) -> bool {
    slot.spins.load(Relaxed) != 0 && slot.stub_sleeps.load(Relaxed) == 0
}

fn copy(slot: &Slot, direction: u32, address: u64, length: usize) -> Option<Result<(), Errno>> {
    slot.copy_address.store(address, Relaxed);
    slot.copy_length.store(length as u32, Relaxed);
    slot.copy.store(direction, SeqCst);
    let start = ticks();
    loop {
        let waited = ticks().wrapping_sub(start);
        match slot.copy.load(Acquire) {
            COPY_DONE => return Some(Ok(())),
            COPY_FAULT => return Some(Err(Errno::FAULT)),
            _ if waited > END_US * ticks_per_us() => return None,
            state if state == direction && (waited > BEGIN_US * ticks_per_us() || !looks(slot)) => {
                if slot.copy.compare_exchange(direction, COPY_NONE, SeqCst, Relaxed).is_ok() {
                    return None;
                }
            }
            _ => std::hint::spin_loop(),
        }
    }
}
