//! The start of the first stub process, of which the others are clones.

use core::sync::atomic::Ordering::Relaxed;

use crate::entry::{signal_entry, signal_return, trap};
use crate::host::{self, number};
use crate::shared::{CONTROL_FILE, INTERRUPT};
use crate::trap::{SEGV_AND_BUS, slot};

/// Bytes of [`BOOT_STACK`].
pub const BOOT_STACK_BYTES: usize = 16384;

/// A stack, aligned as the processor's calls want it.
#[repr(align(16))]
pub struct Stack(#[allow(dead_code)] [u8; BOOT_STACK_BYTES]);

/// What the first thread runs on until it traps.
pub static mut BOOT_STACK: Stack = Stack([0; BOOT_STACK_BYTES]);

/// The same in all stubs, set before there is a second one.
pub static mut FACTS: Facts = Facts {
    parent: 0,
    fsgsbase: false,
};

/// What the stub learned when it started.
#[derive(Clone, Copy)]
pub struct Facts {
    /// The kernel's process id.
    pub parent: i64,
    /// Whether the instructions that read and write the segment bases may be used.
    pub fsgsbase: bool,
}

/// [`FACTS`].
pub fn facts() -> Facts {
    // SAFETY: written by `boot` only, before any other thread or process is there.
    unsafe { (&raw const FACTS).read() }
}

/// The entries of the auxiliary vector that matter here.
#[derive(Default)]
struct Auxiliary {
    vdso: u64,
    capabilities2: u64,
    executable: u64,
}

/// Sets up the process; `stack` is where the host's kernel left the arguments. Returns to a trap.
pub extern "C" fn boot(stack: *const u64) {
    // SAFETY: the host's kernel has put them there.
    let auxiliary = unsafe { read_auxiliary(stack) };
    // SAFETY: there is one thread.
    unsafe { (&raw mut FACTS).write(Facts { parent: host::call(number::GETPPID, &[]), fsgsbase: auxiliary.capabilities2 & 2 != 0 }) };
    must(host::map_first_control());
    must(host::call(number::CLOSE, &[CONTROL_FILE]));
    must(host::map_stack(0));
    must(host::use_stack(0));
    host::die_with_parent(facts().parent);
    handle_signals();
    unmap_host_stack(stack as u64, auxiliary.executable);
    let slot = slot(0);
    slot.operand.store(auxiliary.vdso, Relaxed);
    slot.thread
        .store(host::call(number::GETTID, &[]) as u32, Relaxed);
    // The kernel has left a `struct sock_fprog` in the window. SECCOMP_SET_MODE_FILTER.
    must(host::call(
        number::SECCOMP,
        &[1, 0, slot as *const _ as u64 + crate::shared::WINDOW],
    ));
}

fn must(result: i64) {
    if result < 0 {
        host::die(result.unsigned_abs());
    }
}

/// # Safety
/// `stack` points to what the host's kernel leaves for a program: count and arguments, environment, auxiliary vector.
unsafe fn read_auxiliary(stack: *const u64) -> Auxiliary {
    let mut found = Auxiliary::default();
    // SAFETY: as promised.
    unsafe {
        let mut at = stack.add(1 + *stack as usize + 1);
        while *at != 0 {
            at = at.add(1);
        }
        at = at.add(1);
        while *at != 0 {
            match *at {
                26 => found.capabilities2 = *at.add(1),
                31 => found.executable = *at.add(1),
                33 => found.vdso = *at.add(1),
                _ => {}
            }
            at = at.add(2);
        }
    }
    found
}

/// `struct sigaction` of the host's kernel: handler, flags, restorer, mask.
fn handle_signals() {
    // SA_NODEFER: what is told of a fault in the guest's memory may be copied from and to memory that faults again.
    const SA_SIGINFO_ONSTACK_RESTORER_NODEFER: u64 = 4 | 0x0800_0000 | 0x0400_0000 | 0x4000_0000;
    let entry = signal_entry as *const () as u64;
    let action = [
        entry,
        SA_SIGINFO_ONSTACK_RESTORER_NODEFER,
        signal_return as *const () as u64,
        !SEGV_AND_BUS,
    ];
    // SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS.
    for signal in [4, 5, 7, 8, 11, 31, INTERRUPT as u64] {
        must(host::call(
            number::RT_SIGACTION,
            &[signal, action.as_ptr() as u64, 0, 8],
        ));
    }
}

/// The stack ends on the page of its last string, the program's name.
fn unmap_host_stack(bottom: u64, name: u64) {
    const BELOW: u64 = 0x10_0000;
    let start = (bottom & !0xfff) - BELOW;
    let mut end = name;
    // SAFETY: the name is a string, on the stack.
    while unsafe { *(end as *const u8) } != 0 {
        end += 1;
    }
    must(host::call(
        number::MUNMAP,
        &[start, ((end + 9 + 0xfff) & !0xfff) - start],
    ));
}

/// The panic handler's end.
pub fn fail() -> ! {
    // SAFETY: it has no conditions.
    unsafe { trap() }
}
