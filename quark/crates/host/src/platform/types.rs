//! What passes between the kernel and a guest thread.

use std::os::fd::BorrowedFd;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The general registers of a guest thread, x86-64. The order is that of `struct user_regs_struct`'s names, not its layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Registers {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rip: u64,
    pub eflags: u64,
    pub rsp: u64,
    pub fs_base: u64,
    pub gs_base: u64,
}

impl Registers {
    /// Whether these differ from `before` by no more than a system call's result, and what the instruction itself clobbers.
    pub(super) fn only_answers(&self, before: &Registers) -> bool {
        *self == Registers { rax: self.rax, rcx: self.rcx, r11: self.r11, ..*before }
    }
}

/// Why a guest thread stopped running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It executed `syscall`: `rax` has the number, `rdi rsi rdx r10 r8 r9` the arguments, `rip` points behind the instruction
    /// (two bytes long).
    Syscall,
    /// It did what the processor or the host's memory management refuses.
    Fault(Fault),
    /// [`Interrupter::interrupt`](super::Interrupter::interrupt) was called while it ran.
    Interrupted,
    /// Its host thread is gone: the whole stub process was killed or ended.
    Died,
}

/// A synchronous signal, as the host's `siginfo_t` and `ucontext_t` tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// SIGSEGV, SIGBUS, SIGFPE, SIGILL or SIGTRAP.
    pub signal: i32,
    /// `si_code`, such as SEGV_MAPERR.
    pub code: i32,
    /// `si_addr`.
    pub address: u64,
    /// The processor's error code (`REG_ERR`), trap number (`REG_TRAPNO`) and page fault address (`REG_CR2`), for the guest's own signal frame.
    pub error: u64,
    /// See `error`.
    pub trap: u64,
    /// See `error`.
    pub cr2: u64,
}

/// One host call that a stopped guest thread makes in its own address space. Each is harmless in hostile hands; so are all
/// of them in any order.
#[derive(Clone, Copy, Debug)]
pub enum HostCall<'fd> {
    /// `mmap(2)` of anonymous memory, or of a file that is passed to the stub for this call. `flags` includes MAP_FIXED: the kernel, not the host, chooses addresses.
    Map {
        /// Page aligned.
        address: u64,
        /// Bytes.
        length: u64,
        /// `PROT_*`.
        protection: i32,
        /// `MAP_*`.
        flags: i32,
        /// The file and the offset in it. A hostile stub keeps the descriptor, and maps of it what and how its open mode permits: it must not
        /// permit more than the guest may do.
        file: Option<(BorrowedFd<'fd>, u64)>,
    },
    /// `munmap(2)`.
    Unmap {
        /// Page aligned.
        address: u64,
        /// Bytes.
        length: u64,
    },
    /// `mprotect(2)`.
    Protect {
        /// Page aligned.
        address: u64,
        /// Bytes.
        length: u64,
        /// `PROT_*`.
        protection: i32,
    },
    /// `mremap(2)` with MREMAP_FIXED | MREMAP_MAYMOVE if `new_address` differs from `address`.
    Remap {
        /// Page aligned.
        address: u64,
        /// Bytes.
        length: u64,
        /// Page aligned.
        new_address: u64,
        /// Bytes.
        new_length: u64,
        /// Further flags, such as MREMAP_DONTUNMAP.
        flags: i32,
    },
    /// `madvise(2)`.
    Advise {
        /// Page aligned.
        address: u64,
        /// Bytes.
        length: u64,
        /// `MADV_*`; the stub's filter lets pass what is harmless.
        advice: i32,
    },
    /// `msync(2)`.
    Sync {
        /// Page aligned.
        address: u64,
        /// Bytes.
        length: u64,
        /// `MS_*`.
        flags: i32,
    },
    /// An atomic compare and exchange of a word of guest memory; the result is the word's value before, or -EFAULT.
    CompareExchange {
        /// Aligned by 4.
        address: u64,
        /// Expected.
        expected: u32,
        /// Stored if it was as expected.
        desired: u32,
    },
    /// A store of eight bytes that other threads, and processors that execute them, see as a whole if they are in one cache line. EFAULT.
    Store {
        /// Need not be aligned.
        address: u64,
        /// Little-endian.
        value: u64,
    },
    /// FUTEX_WAKE by the stub; the result is how many woke.
    FutexWake {
        /// Aligned by 4.
        address: u64,
        /// At most so many.
        count: u32,
        /// With FUTEX_PRIVATE_FLAG.
        private: bool,
    },
    /// `membarrier(2)` of the own process.
    Barrier {
        /// MEMBARRIER_CMD_QUERY, PRIVATE_EXPEDITED and its registration, and those with SYNC_CORE.
        command: i32,
    },
}

/// A call of the guest's that its own thread makes on the host, in the guest's place: futexes are the host's. A signal's interrupt ends a wait, and
/// the call comes to the kernel as if it had not been made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnCall {
    /// `futex(2)` of a kind without priority inheritance, with these arguments.
    Futex([u64; 6]),
    /// FUTEX_WAIT_BITSET until a time of CLOCK_MONOTONIC.
    FutexUntil {
        /// All but the time.
        arguments: [u64; 6],
        /// Seconds and nanoseconds.
        deadline: [i64; 2],
    },
    /// `futex_waitv(2)`.
    FutexWaitMany([u64; 6]),
}

/// Signals whose action is the default, with no mask, and either nothing else or a restorer (SA_RESTORER) that is the same for all. Signal 1 is bit 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlainActions {
    /// Which they are.
    pub signals: u64,
    /// Those of them that have the restorer.
    pub restored: u64,
    /// Its address.
    pub restorer: u64,
}

/// How a stub process ended, by the host's wait status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StubExit {
    /// Its pid in K's pid namespace.
    pub pid: i32,
    /// As of `wait4(2)`.
    pub status: i32,
}
