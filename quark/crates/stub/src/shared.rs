//! What the kernel and its stubs have in common: where things lie in a stub, and the pages through which they talk.
//!
//! Both sides compile this file. The kernel takes no word in these pages at its value: the guest can write all of them.

use core::sync::atomic::{AtomicU32, AtomicU64};

/// Guests map memory below this; the stub, its pages and stacks, the vDSO and its data are above.
pub const GUEST_END: u64 = 0x7fff_0000_0000;

/// Where patched system calls jump to: the first byte of the stub's text.
pub const FAST_ENTRY: u64 = GUEST_END;

/// Where a stub process maps its control file: [`SLOTS`] slots of [`SLOT_BYTES`].
pub const CONTROL: u64 = 0x7fff_4000_0000;
/// A [`Slot`] of one page, and the window.
pub const SLOT_BYTES: u64 = 0x1_0000;
/// Slots that there are.
pub const SLOTS: u64 = 0x4000;
/// Of the window, from the slot's start.
pub const WINDOW: u64 = 0x1000;
/// Bytes that pass through a slot's window at once.
pub const WINDOW_BYTES: u64 = SLOT_BYTES - WINDOW;

/// The private signal stacks, one a slot.
pub const STACKS: u64 = 0x7fff_8000_0000;
/// Enough for two signal frames with all the vector state there is (12 KiB with AMX), aligned by its size.
pub const STACK_BYTES: u64 = 0x8000;

/// The descriptor of a stub's socket.
pub const SOCKET: u64 = 0;
/// The descriptor of the first stub's control file while it starts.
pub const CONTROL_FILE: u64 = 1;

/// The signal that interrupts a guest thread, of no use to stubs otherwise.
pub const INTERRUPT: i32 = 23;

/// [`Slot::turn`]: the stub's thread runs the guest or executes a command.
pub const TURN_STUB: u32 = 0;
/// [`Slot::turn`]: the thread waits for the kernel.
pub const TURN_KERNEL: u32 = 1;

/// [`Slot::command`]: load the registers and go on with the guest.
pub const COMMAND_RESUME: u32 = 0;
/// [`Slot::command`]: make the host calls in [`Slot::operations`], until one fails.
pub const COMMAND_CALLS: u32 = 1;
/// [`Slot::command`]: receive a control file and a socket, and clone the process.
pub const COMMAND_FORK: u32 = 2;
/// [`Slot::command`]: start a thread on the slot in [`Slot::operand`].
pub const COMMAND_THREAD: u32 = 3;
/// [`Slot::command`]: end the thread, or with an operand the process.
pub const COMMAND_EXIT: u32 = 4;
/// [`Slot::command`]: end the process, whoever has the turn: the kernel has given up on its fork.
pub const COMMAND_ABANDON: u32 = 6;

/// [`Slot::command`]: after [`EVENT_FAST`], go back with RAX; all other registers are as they were.
pub const COMMAND_RETURN: u32 = 5;

/// [`Slot::command`]: make the guest's own call in its place, which is the first of [`Slot::operations`], and go on with the guest.
pub const COMMAND_OWN: u32 = 7;

/// [`Slot::command`]: make the host calls in [`Slot::operations`], none with a file, and go on with the guest; or [`EVENT_FAILED`].
pub const COMMAND_CALLS_RESUME: u32 = 8;

/// [`Slot::event`]: a new thread or process has come so far.
pub const EVENT_START: u32 = 0;
/// [`Slot::event`]: the guest called.
pub const EVENT_SYSCALL: u32 = 1;
/// [`Slot::event`]: a synchronous signal, told in [`Slot::fault`].
pub const EVENT_FAULT: u32 = 2;
/// [`Slot::event`]: [`INTERRUPT`] came.
pub const EVENT_INTERRUPT: u32 = 3;
/// [`Slot::event`]: a command other than [`COMMAND_RESUME`] is done.
pub const EVENT_DONE: u32 = 4;

/// [`Slot::event`]: the guest called by the fast entry, and has no signal frame.
pub const EVENT_FAST: u32 = 5;

/// [`Slot::event`]: the guest's own call was interrupted: as [`EVENT_SYSCALL`], it is to be made again.
pub const EVENT_BROKEN: u32 = 6;
/// [`Slot::event`]: the guest's own call is being made. The kernel is not told of it.
pub const EVENT_OWN: u32 = 7;

/// [`Slot::event`]: a call of [`COMMAND_CALLS_RESUME`] has failed, as the result tells.
pub const EVENT_FAILED: u32 = 8;

/// [`Slot::copy`]: nothing to do.
pub const COPY_NONE: u32 = 0;
/// [`Slot::copy`]: the kernel wants guest memory in the window.
pub const COPY_READ: u32 = 1;
/// [`Slot::copy`]: the kernel wants the window in guest memory.
pub const COPY_WRITE: u32 = 2;
/// [`Slot::copy`]: the stub is at it.
pub const COPY_BUSY: u32 = 3;
/// [`Slot::copy`]: done.
pub const COPY_DONE: u32 = 4;
/// [`Slot::copy`]: not all of the memory is there.
pub const COPY_FAULT: u32 = 5;

/// [`Operation::kind`]: a host call.
pub const OPERATION_CALL: u64 = 0;
/// [`Operation::kind`]: a host call with a received file as its fifth argument.
pub const OPERATION_CALL_FILE: u64 = 1;
/// [`Operation::kind`]: compare and exchange the word at the first argument.
pub const OPERATION_EXCHANGE: u64 = 2;

/// [`Operation::kind`]: store the second argument, eight bytes, at the first.
pub const OPERATION_STORE: u64 = 3;

/// Operations that fit into a slot.
pub const OPERATIONS: usize = 48;

/// `futex(2)`, the only call that the fast entry may make itself.
pub const OWN: u32 = 202;
/// FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME.
pub const FUTEX_FLAGS: u32 = 128 | 256;
/// The operations of it that it may make are WAIT and WAKE, REQUEUE to WAKE_OP, and WAIT_BITSET and WAKE_BITSET.
pub const FUTEXES: [core::ops::RangeInclusive<u32>; 3] = [0..=1, 3..=5, 9..=10];

/// `rt_sigaction(2)`, which the fast entry may answer itself, as [`Slot::plain`] tells.
pub const ACTION: u32 = 13;
/// SA_RESTORER.
pub const RESTORER: u64 = 0x0400_0000;

/// Words of [`Slot::ready`]; a call's is the one with the low bits of its number.
pub const READY: usize = 32;

/// The segment whose limit tells the processor, for the host's own vDSO.
pub const PROCESSOR_SEGMENT: u32 = 0x7b;
/// The processor's number in it. Above is the node's.
pub const PROCESSOR_MASK: u32 = 0xfff;

/// The number of the processor that this thread is on.
pub fn processor() -> u32 {
    let limit: u32;
    // SAFETY: reads a segment's limit.
    unsafe { core::arch::asm!("lsl {0:e}, {1:e}", out(reg) limit, in(reg) PROCESSOR_SEGMENT, options(nomem, nostack)) };
    limit & PROCESSOR_MASK
}

/// One of [`COMMAND_CALLS`].
#[repr(C)]
pub struct Operation {
    /// `OPERATION_*`.
    pub kind: AtomicU64,
    /// The host's call number.
    pub number: AtomicU64,
    /// Its arguments.
    pub arguments: [AtomicU64; 6],
}

/// The shared page of a guest thread.
#[repr(C, align(4096))]
pub struct Slot {
    /// `TURN_*`; a futex.
    pub turn: AtomicU32,
    /// Whether the kernel's half sleeps on `turn`.
    pub kernel_sleeps: AtomicU32,
    /// Whether the stub's thread sleeps on `turn`.
    pub stub_sleeps: AtomicU32,
    /// How often the stub looks at `turn` before it sleeps.
    pub spins: AtomicU32,
    /// On which processor the kernel's half was when it last gave the turn: looking there would keep it from running.
    pub kernel_processor: AtomicU32,
    /// On which one the stub's thread was when it did.
    pub stub_processor: AtomicU32,
    /// `COMMAND_*`.
    pub command: AtomicU32,
    /// `EVENT_*`.
    pub event: AtomicU32,
    /// `COPY_*`. While the stub looks whether the kernel's turn ends, it copies for it.
    pub copy: AtomicU32,
    /// Bytes to copy.
    pub copy_length: AtomicU32,
    /// Where they are in guest memory.
    pub copy_address: AtomicU64,
    /// How many of `operations` there are.
    pub count: AtomicU32,
    /// The thread's id, which the host's kernel sets to 0 when it has ended.
    pub thread: AtomicU32,
    /// What the last of the operations returned, or the clone.
    pub result: AtomicU64,
    /// Of some commands.
    pub operand: AtomicU64,
    /// Where the thread's XSAVE area is.
    pub extended: AtomicU64,
    /// The top of the thread's signal stack.
    pub stack: AtomicU64,
    /// Whether the thread makes a call of its own, and so may sleep.
    pub waits: AtomicU32,
    /// When it began, by the processor's clock.
    pub since: AtomicU64,
    /// Whether [`INTERRUPT`] came while the kernel had the turn, after [`EVENT_FAST`].
    pub interrupted: AtomicU32,
    /// By which the kernel knows a process that it has not seen before.
    pub nonce: [AtomicU64; 2],
    /// As `quark_host::platform::Registers`.
    pub registers: [AtomicU64; 20],
    /// Signal, code, address, error, trap number, CR2.
    pub fault: [AtomicU64; 6],
    /// Calls that the fast entry need not hand over: the number in the lower half of a word, in the upper one more than the answer, or 0 for a call
    /// that the thread may make itself ([`OWN`], [`ACTION`]).
    pub ready: [AtomicU64; READY],
    /// Signals, from bit 0 on, whose action is the default, without a mask or flags but [`RESTORER`]. The fast entry tells these, and sets them to
    /// the default with the restorer, which changes nothing that anybody but who asks could see.
    pub plain: AtomicU64,
    /// Those of them that have the restorer.
    pub restored: AtomicU64,
    /// Which one.
    pub restorer: AtomicU64,
    /// Of [`COMMAND_CALLS`].
    pub operations: [Operation; OPERATIONS],
}

const _: () = assert!(size_of::<Slot>() == WINDOW as usize);
