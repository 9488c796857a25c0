//! Which system calls are patched to come by a jump, and what a thread's kernel half has to know of it.
//!
//! docs/plans/quark.md, "Patched calls", has the whole story; the memory's part is in `memory/patch.rs`. Nothing depends on it: with
//! patching off, every call traps.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quark_host::platform::{Context, Event, Registers};
use quark_patch::Patches;

use crate::memory::Memory;

/// The trap at which a site is patched, counted by thread: by then the traps have cost as much as a patch (about 30 µs).
const TRAPS: u8 = 12;
/// Sites that a thread counts at most; beyond, it starts afresh.
const SITES: usize = 1024;
/// How long `syscall` is.
const SYSCALL_LENGTH: u64 = 2;

/// Calls that have the thread itself do something, for which it needs a signal's frame: a jump would save nothing.
const BY_THE_THREAD: &[i64] = &[
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_munmap,
    libc::SYS_brk,
    libc::SYS_rt_sigreturn,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_clone,
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_execve,
    libc::SYS_clone3,
];

/// Where patched calls jump to, for all guests of this process; 0 while nothing is patched.
static FAST_ENTRY: AtomicU64 = AtomicU64::new(0);

/// Lets calls be patched from now on that jump to `fast_entry` ([`quark_host::platform::Platform::fast_entry`]); `None` stops that.
/// What is patched already stays so.
pub fn set_fast_entry(fast_entry: Option<u64>) {
    FAST_ENTRY.store(fast_entry.unwrap_or(0), Ordering::Relaxed);
}

/// Where patched calls jump to, if any may be.
pub(crate) fn fast_entry() -> Option<u64> {
    Some(FAST_ENTRY.load(Ordering::Relaxed)).filter(|entry| *entry != 0)
}

/// What a kernel half knows of its address space's patches. Between its runs, registers never point into a trampoline.
#[derive(Default)]
pub struct View {
    generation: u64,
    patches: Arc<Patches>,
    /// Where the thread stopped, and what the guest is told of that.
    stopped: Option<(u64, u64)>,
    traps: HashMap<u64, u8>,
}

impl View {
    /// Before the thread runs: where it really goes on.
    pub fn enter(&mut self, memory: &Memory, registers: &mut Registers) {
        self.refresh(memory);
        registers.rip = match self.stopped {
            Some((stopped, told)) if told == registers.rip => stopped,
            _ => self.patches.resume(registers.rip),
        };
    }

    /// After the thread ran: makes of the registers and the event what they were without patches. `None` if there was no event then:
    /// the thread had come to an instruction that has moved, and runs on.
    pub fn leave(&mut self, memory: &Memory, registers: &mut Registers, event: Event) -> Option<Event> {
        self.refresh(memory);
        let stopped = registers.rip;
        let told = self.patches.original(stopped);
        registers.rip = told;
        self.stopped = Some((stopped, told));
        match event {
            Event::Fault(fault) if fault.signal == libc::SIGILL && self.patches.resume(stopped) != stopped => {
                self.stopped = None;
                None
            }
            Event::Fault(mut fault) => {
                if fault.address == stopped {
                    fault.address = told;
                }
                Some(Event::Fault(fault))
            }
            Event::Syscall => {
                registers.rcx = told;
                Some(event)
            }
            Event::Interrupted | Event::Died => Some(event),
        }
    }

    /// A system call has come: patches its site when it has trapped often enough.
    pub fn called(&mut self, memory: &Memory, context: &mut Context, registers: &Registers) {
        if context.called_fast() || fast_entry().is_none() || BY_THE_THREAD.contains(&(registers.rax as i64)) {
            return;
        }
        let site = registers.rip.wrapping_sub(SYSCALL_LENGTH);
        if self.traps.len() >= SITES && !self.traps.contains_key(&site) {
            self.traps.clear();
        }
        let count = self.traps.entry(site).or_default();
        *count = count.saturating_add(1);
        if *count == TRAPS {
            memory.patch(context, site, registers);
        }
    }

    fn refresh(&mut self, memory: &Memory) {
        if let Some((generation, patches)) = memory.patches_since(self.generation) {
            self.generation = generation;
            self.patches = patches;
            self.stopped = None;
        }
    }
}
