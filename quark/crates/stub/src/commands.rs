//! What the kernel has a stopped thread do.

use core::sync::atomic::Ordering::Relaxed;

use crate::boot::facts;
use crate::entry::{guarded_exchange, guarded_store, thread_entry};
use crate::host::{self, number};
use crate::shared::*;
use crate::trap::{SignalContext, slot as slot_at, slot_index};

const EBADF: i64 = -9;
const EFAULT: i64 = -14;
const EINVAL: i64 = -22;

/// Flags of the only two clones that the filter lets pass.
pub const CLONE_PROCESS: u64 = 0x0000_8000 | 0x0020_0000 | 17;
/// CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, CHILD_CLEARTID.
pub const CLONE_THREAD: u64 = 0x100 | 0x200 | 0x400 | 0x800 | 0x1_0000 | 0x4_0000 | 0x20_0000;

/// Executes `command`, which is not to resume.
pub fn execute(command: u32, slot: &Slot, context: &mut SignalContext) {
    let result = match command {
        COMMAND_CALLS => calls(slot).0,
        COMMAND_FORK => {
            let pid = fork(slot);
            if pid == 0 {
                slot.event.store(EVENT_START, Relaxed);
                return;
            }
            pid
        }
        COMMAND_THREAD => thread(slot.operand.load(Relaxed) % SLOTS, context),
        COMMAND_EXIT => exit(slot.operand.load(Relaxed) != 0),
        COMMAND_ABANDON => exit(true),
        _ => EINVAL,
    };
    slot.result.store(result as u64, Relaxed);
    slot.event.store(EVENT_DONE, Relaxed);
}

fn exit(process: bool) -> ! {
    if !process {
        host::call(number::EXIT, &[0]);
    }
    host::die(0)
}

/// Makes the calls that the guest goes on after; false, and tells, if one fails.
pub fn make_calls(slot: &Slot) -> bool {
    let (result, failed) = calls(slot);
    if failed {
        slot.result.store(result as u64, Relaxed);
        slot.event.store(EVENT_FAILED, Relaxed);
    }
    !failed
}

/// Makes the calls in order until one fails: what the last one returned, and whether it failed. Files that were sent for the calls after it are received
/// all the same, and closed.
fn calls(slot: &Slot) -> (i64, bool) {
    let count = (slot.count.load(Relaxed) as usize).min(OPERATIONS);
    let mut result = 0;
    let mut failed = false;
    for operation in slot.operations.iter().take(count) {
        let last = operate(operation, failed);
        if !failed {
            result = last;
            failed = is_error(operation, last);
        }
    }
    (result, failed)
}

fn is_error(operation: &Operation, result: i64) -> bool {
    (-4095..0).contains(&result)
        && (operation.kind.load(Relaxed) != OPERATION_EXCHANGE || result == EFAULT)
}

fn operate(operation: &Operation, skip: bool) -> i64 {
    let kind = operation.kind.load(Relaxed);
    let number = operation.number.load(Relaxed);
    let mut arguments = [0; 6];
    for (to, from) in arguments.iter_mut().zip(&operation.arguments) {
        *to = from.load(Relaxed);
    }
    match kind {
        OPERATION_CALL_FILE => with_file(number, arguments, skip),
        _ if skip => 0,
        OPERATION_CALL => host::call(number, &arguments),
        OPERATION_EXCHANGE => exchange(arguments),
        OPERATION_STORE => store(arguments),
        _ => EINVAL,
    }
}

fn with_file(number: u64, mut arguments: [u64; 6], skip: bool) -> i64 {
    let mut files = [0; 2];
    if host::receive_files(SOCKET, &mut files) == 0 {
        return EBADF;
    }
    arguments[4] = files[0];
    let result = if skip {
        0
    } else {
        host::call(number, &arguments)
    };
    host::call(number::CLOSE, &[files[0]]);
    result
}

fn exchange([address, expected, desired, ..]: [u64; 6]) -> i64 {
    // SAFETY: the kernel wants it; a fault is recovered from.
    match unsafe { guarded_exchange(address, expected as u32, desired as u32) } {
        -1 => EFAULT,
        before => before & 0xffff_ffff,
    }
}

fn store([address, value, ..]: [u64; 6]) -> i64 {
    // SAFETY: the kernel wants it; a fault is recovered from.
    match unsafe { guarded_store(address, value) } {
        0 => 0,
        _ => EFAULT,
    }
}

/// Clones the process. The child leaves its parent's control pages for its own before it writes anything to either.
fn fork(slot: &Slot) -> i64 {
    let mut files = [0; 2];
    if host::receive_files(SOCKET, &mut files) != 2 {
        return EBADF;
    }
    let pid = host::call(
        number::CLONE,
        &[CLONE_PROCESS, 0, 0, slot.thread.as_ptr() as u64],
    );
    if pid == 0 {
        if host::map_control(files[0]) < 0 || host::call(number::DUP2, &[files[1], SOCKET]) < 0 {
            host::die(1);
        }
        host::die_with_parent(facts().parent);
        slot.thread
            .store(host::call(number::GETTID, &[]) as u32, Relaxed);
    }
    host::call(number::CLOSE, &[files[0]]);
    host::call(number::CLOSE, &[files[1]]);
    pid
}

/// Starts a thread on slot `index`: it gets a copy of this thread's signal frame, at the same place of its own stack.
fn thread(index: u64, context: &SignalContext) -> i64 {
    let mapped = host::map_stack(index);
    if mapped < 0 {
        return mapped;
    }
    let frame = context.frame();
    let own = slot_index(frame);
    let delta = (STACKS + index * STACK_BYTES).wrapping_sub(STACKS + own * STACK_BYTES);
    let end = STACKS + (own + 1) * STACK_BYTES;
    let copy = frame.wrapping_add(delta);
    // SAFETY: both are in signal stacks, and nobody runs on the other one.
    let (copied, stack) = unsafe {
        core::ptr::copy_nonoverlapping(frame as *const u8, copy as *mut u8, (end - frame) as usize);
        let copied = &mut *((copy + 8) as *mut SignalContext);
        copied.extended = copied.extended.wrapping_add(delta);
        copied.stack = [STACKS + index * STACK_BYTES, 0, STACK_BYTES];
        let stack = ((copy - 256) & !15) as *mut u64;
        *stack = thread_entry as *const () as u64;
        *stack.add(1) = copy + 8;
        (copied, stack)
    };
    let slot = slot_at(slot_index(copied.frame()));
    host::call(
        number::CLONE,
        &[CLONE_THREAD, stack as u64, 0, slot.thread.as_ptr() as u64],
    )
}
