//! Finds `syscall` instructions in machine code and plans how to replace them by jumps.
//!
//! A system call that traps costs a signal; one that is reached by a jump costs a jump. Five bytes of whole instructions, which
//! contain the `syscall` or end right before it (the *window*), become `jmp rel32` to a *trampoline*, which executes the window's
//! other instructions, puts into `rcx` what `syscall` would have put there, and jumps to the stub's fast entry.
//!
//! Invariants, from which it follows that a patch is right whatever a thread was doing when it was made:
//! * The window is a straight line of instructions: who enters at its start comes to the `syscall`.
//! * Where an instruction began inside of the five bytes, there is now a byte that no x86-64 processor executes ([`REFUSED`]): who
//!   lands there (a thread that was stopped there, a return from a signal, a computed jump that no analysis sees) gets SIGILL,
//!   and the kernel moves it to the same instruction in the trampoline ([`Patches::resume`]).
//! * Each instruction of a trampoline knows the original address that it stands for ([`Patches::original`]), so that no signal
//!   frame, debugger or restart sees a trampoline.
//! * `rcx`, `r11` and the flags, which differ from what the host's `syscall` leaves, are provably not read afterwards.
//!
//! Everything here is pure: code in, plan out. Nothing panics whatever the bytes are.
#![forbid(unsafe_code)]

mod arena;
mod decode;
mod jump;
mod liveness;
mod patches;
mod site;
mod survey;
mod trampoline;

pub use arena::{Arena, PAGE, Placement};
pub use decode::Code;
pub use jump::REFUSED;
pub use patches::Patches;
pub use site::{Kind, Site, Unpatchable};
pub use survey::{plan_text, survey};
pub use trampoline::Patch;
