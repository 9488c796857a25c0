//! Host calls of the stub.

use crate::entry::host_call;
use crate::shared::{CONTROL, CONTROL_FILE, SLOT_BYTES, SLOTS, STACK_BYTES, STACKS};
use core::sync::atomic::AtomicU32;

/// Numbers, as of `asm/unistd_64.h`.
pub mod number {
    #![allow(missing_docs)]
    pub const CLOSE: u64 = 3;
    pub const MMAP: u64 = 9;
    pub const MUNMAP: u64 = 11;
    pub const RT_SIGACTION: u64 = 13;
    pub const MADVISE: u64 = 28;
    pub const DUP2: u64 = 33;
    pub const RECVMSG: u64 = 47;
    pub const CLONE: u64 = 56;
    pub const EXIT: u64 = 60;
    pub const GETPPID: u64 = 110;
    pub const SIGALTSTACK: u64 = 131;
    pub const PRCTL: u64 = 157;
    pub const ARCH_PRCTL: u64 = 158;
    pub const GETTID: u64 = 186;
    pub const FUTEX: u64 = 202;
    pub const EXIT_GROUP: u64 = 231;
    pub const SECCOMP: u64 = 317;
}

/// Makes the call `number`; the arguments that are left out are 0.
pub fn call(number: u64, arguments: &[u64]) -> i64 {
    let mut all = [0; 6];
    for (to, from) in all.iter_mut().zip(arguments) {
        *to = *from;
    }
    // SAFETY: every caller makes a call that touches only memory which it owns for this, or what the kernel told it to.
    unsafe { host_call(number, &all) }
}

/// Sleeps while `word` is `value`.
pub fn futex_wait(word: &AtomicU32, value: u32) {
    call(
        number::FUTEX,
        &[word.as_ptr() as u64, 0, u64::from(value), 0],
    );
}

/// Wakes who sleeps on `word`.
pub fn futex_wake(word: &AtomicU32) {
    call(number::FUTEX, &[word.as_ptr() as u64, 1, 1]);
}

/// Ends the process; there is nobody to tell why.
pub fn die(status: u64) -> ! {
    loop {
        call(number::EXIT_GROUP, &[status]);
    }
}

/// Maps a control file in place of the one before.
pub fn map_control(file: u64) -> i64 {
    // PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED.
    call(number::MMAP, &[CONTROL, SLOTS * SLOT_BYTES, 3, 0x11, file])
}

/// Maps the first control file.
pub fn map_first_control() -> i64 {
    map_control(CONTROL_FILE)
}

/// Maps the signal stack of slot `index`. Huge pages would waste memory here.
pub fn map_stack(index: u64) -> i64 {
    let address = STACKS + index * STACK_BYTES;
    // PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS.
    let mapped = call(number::MMAP, &[address, STACK_BYTES, 3, 0x32, u64::MAX]);
    // MADV_NOHUGEPAGE; without huge pages in the host's kernel it fails, which is as good.
    call(number::MADVISE, &[address, STACK_BYTES, 15]);
    mapped
}

/// Makes the signal stack of slot `index` this thread's.
pub fn use_stack(index: u64) -> i64 {
    let stack = [STACKS + index * STACK_BYTES, 0, STACK_BYTES];
    call(number::SIGALTSTACK, &[stack.as_ptr() as u64])
}

/// Ends the process with K's main process. K may be gone already.
pub fn die_with_parent(parent: i64) {
    // PR_SET_PDEATHSIG, SIGKILL.
    call(number::PRCTL, &[1, 9]);
    if call(number::GETPPID, &[]) != parent {
        die(1);
    }
}

/// Receives descriptors into `files`; how many came.
pub fn receive_files(socket: u64, files: &mut [u64; 2]) -> usize {
    let mut byte = 0u8;
    let mut vector = [&raw mut byte as u64, 1];
    let mut control = [0u64; 4];
    let mut message = [
        0,
        0,
        &raw mut vector as u64,
        1,
        &raw mut control as u64,
        size_of_val(&control) as u64,
        0,
    ];
    // MSG_CMSG_CLOEXEC is of no use: stubs can't execute programs.
    if call(number::RECVMSG, &[socket, &raw mut message as u64, 0]) < 0 || message[5] < 20 {
        return 0;
    }
    // A `struct cmsghdr` of length, level and type, then descriptors of 32 bits.
    let count = ((control[0] as usize).saturating_sub(16) / 4).min(2);
    files[0] = control[2] & 0xffff_ffff;
    files[1] = control[2] >> 32;
    count
}
