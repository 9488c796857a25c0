//! Signals of the host's kernel: the guest's system calls and faults come as such, and interrupts by ours.

use core::arch::asm;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use crate::boot::facts;
use crate::entry::{frame_return, guarded_copy, guarded_copy_at, guarded_copy_failed, guarded_exchange_at, guarded_exchange_failed, guarded_store_at, in_text, trap};
use crate::fast::{self, Progress, fast_copy_at, fast_copy_failed};
use crate::host::{self, number};
use crate::shared::*;

/// SIGSEGV and SIGBUS may come while a handler touches guest memory.
pub const SEGV_AND_BUS: u64 = 1 << 10 | 1 << 6;

/// The general registers in `ucontext_t`, by their place there.
#[repr(C)]
pub struct SignalRegisters {
    r8: u64,
    r9: u64,
    pub r10: u64,
    pub r11: u64,
    r12: u64,
    r13: u64,
    r14: u64,
    r15: u64,
    rdi: u64,
    rsi: u64,
    rbp: u64,
    pub rbx: u64,
    rdx: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rsp: u64,
    pub rip: u64,
    pub eflags: u64,
    segments: u64,
    error: u64,
    trap: u64,
    old_mask: u64,
    cr2: u64,
}

impl SignalRegisters {
    /// Puts a call's number and arguments where the host looks for them.
    pub fn set_call(&mut self, number: u64, [rdi, rsi, rdx, r10, r8, r9]: [u64; 6]) {
        self.rax = number;
        (self.rdi, self.rsi, self.rdx, self.r10, self.r8, self.r9) = (rdi, rsi, rdx, r10, r8, r9);
    }
}

/// `ucontext_t`, as far as it is of use here.
#[repr(C)]
pub struct SignalContext {
    flags: u64,
    link: u64,
    /// `ss_sp`, `ss_flags`, `ss_size`: what the host sets when the handler returns.
    pub stack: [u64; 3],
    pub registers: SignalRegisters,
    /// Where the XSAVE area is.
    pub extended: u64,
}

impl SignalContext {
    /// The frame that it is a part of: it follows the return address.
    pub fn frame(&self) -> u64 {
        &raw const *self as u64 - 8
    }
}

/// `siginfo_t`.
#[repr(C)]
pub struct SignalInfo {
    signal: i32,
    errno: i32,
    code: i32,
    /// `si_addr`, or of SIGSYS `si_call_addr`.
    address: u64,
    /// Of SIGSYS.
    number: i32,
    /// Of SIGSYS, `AUDIT_ARCH_*`.
    architecture: u32,
}

/// The slot `index` of this process.
pub fn slot(index: u64) -> &'static Slot {
    // SAFETY: the control file is mapped there, and made of atomic words.
    unsafe { &*((CONTROL + index * SLOT_BYTES) as *const Slot) }
}

/// The slot of the thread whose signal stack holds `address`.
pub fn slot_index(address: u64) -> u64 {
    (address.wrapping_sub(STACKS) / STACK_BYTES) % SLOTS
}

/// The handler of all signals, on the thread's signal stack, with all signals blocked but SIGSEGV and SIGBUS.
pub unsafe extern "C" fn on_signal(signal: i32, info: &SignalInfo, context: &mut SignalContext) {
    if in_text(context.registers.rip) && recover(context) {
        return;
    }
    let slot = slot(slot_index(context.frame()));
    match fast::progress(signal, slot, context) {
        Progress::Waits => return,
        Progress::Commanded => continue_serving(slot, context),
        Progress::Called => {
            slot.event.store(EVENT_SYSCALL, Relaxed);
            save(slot, context);
        }
        Progress::Answered => {
            load(slot, context);
            slot.event.store(EVENT_INTERRUPT, Relaxed);
            save(slot, context);
        }
        Progress::Broken => {
            load(slot, context);
            slot.event.store(EVENT_BROKEN, Relaxed);
            save(slot, context);
        }
        Progress::None if context.registers.rip == trap as *const () as u64 => slot.event.store(EVENT_START, Relaxed),
        Progress::None => tell(slot, signal, info, context),
    }
    serve(slot, context)
}

/// Goes on behind an instruction that was meant to fault. Any other fault in the text is the guest's, which jumped there.
fn recover(context: &mut SignalContext) -> bool {
    let guarded = [
        (&raw const guarded_exchange_at, &raw const guarded_exchange_failed),
        (&raw const guarded_store_at, &raw const guarded_exchange_failed),
        (&raw const guarded_copy_at, &raw const guarded_copy_failed),
        (&raw const fast_copy_at, &raw const fast_copy_failed),
    ];
    for (at, failed) in guarded {
        if context.registers.rip == at as u64 {
            context.registers.rip = failed as u64;
            return true;
        }
    }
    false
}

/// Leaves in the slot what happened.
fn tell(slot: &Slot, signal: i32, info: &SignalInfo, context: &mut SignalContext) {
    const SIGSEGV: i32 = 11;
    const SIGSYS: i32 = 31;
    const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
    const SI_KERNEL: u64 = 0x80;
    if signal == INTERRUPT {
        slot.event.store(EVENT_INTERRUPT, Relaxed);
    } else if signal == SIGSYS && info.architecture == AUDIT_ARCH_X86_64 {
        slot.event.store(EVENT_SYSCALL, Relaxed);
    } else if signal == SIGSYS {
        // `int 0x80` is what it would be on a kernel without 32-bit calls: a general protection fault at the instruction.
        context.registers.rip -= 2;
        tell_fault(slot, [SIGSEGV as u64, SI_KERNEL, 0, 0x80 << 3 | 2, 13, 0]);
    } else {
        let registers = &context.registers;
        tell_fault(slot, [signal as u64, info.code as u64, info.address, registers.error, registers.trap, registers.cr2]);
    }
    save(slot, context);
}

fn tell_fault(slot: &Slot, fault: [u64; 6]) {
    slot.event.store(EVENT_FAULT, Relaxed);
    for (to, from) in slot.fault.iter().zip(fault) {
        to.store(from, Relaxed);
    }
}

fn save(slot: &Slot, context: &SignalContext) {
    let r = &context.registers;
    let (fs, gs) = bases();
    let gs = if gs == own_gs(slot) { 0 } else { gs };
    let all = [
        r.r15, r.r14, r.r13, r.r12, r.rbp, r.rbx, r.r11, r.r10, r.r9, r.r8, r.rax, r.rcx, r.rdx, r.rsi, r.rdi, r.rip, r.eflags, r.rsp, fs,
        gs,
    ];
    for (to, from) in slot.registers.iter().zip(all) {
        to.store(from, Relaxed);
    }
}

fn load(slot: &Slot, context: &mut SignalContext) {
    let r = &mut context.registers;
    let (mut fs, mut gs) = (0, 0);
    let all = [
        &mut r.r15,
        &mut r.r14,
        &mut r.r13,
        &mut r.r12,
        &mut r.rbp,
        &mut r.rbx,
        &mut r.r11,
        &mut r.r10,
        &mut r.r9,
        &mut r.r8,
        &mut r.rax,
        &mut r.rcx,
        &mut r.rdx,
        &mut r.rsi,
        &mut r.rdi,
        &mut r.rip,
        &mut r.eflags,
        &mut r.rsp,
        &mut fs,
        &mut gs,
    ];
    for (to, from) in all.into_iter().zip(&slot.registers) {
        *to = from.load(Relaxed);
    }
    slot.stack.store(stack_top(context.frame()), Relaxed);
    set_bases(fs, if gs == 0 { own_gs(slot) } else { gs });
}

/// What GS's base is while the guest has none: by that the fast entry finds the slot.
fn own_gs(slot: &Slot) -> u64 {
    if facts().fsgsbase { &raw const *slot as u64 } else { 0 }
}

fn stack_top(frame: u64) -> u64 {
    STACKS + (slot_index(frame) + 1) * STACK_BYTES
}

/// The bases of FS and GS.
fn bases() -> (u64, u64) {
    let (mut fs, mut gs) = (0u64, 0u64);
    if facts().fsgsbase {
        // SAFETY: the host lets programs execute them.
        unsafe { asm!("rdfsbase {}", "rdgsbase {}", out(reg) fs, out(reg) gs, options(nomem, nostack, preserves_flags)) };
    } else {
        // ARCH_GET_FS, ARCH_GET_GS.
        host::call(number::ARCH_PRCTL, &[0x1003, &raw mut fs as u64]);
        host::call(number::ARCH_PRCTL, &[0x1004, &raw mut gs as u64]);
    }
    (fs, gs)
}

/// Sets them; the kernel has seen that they are canonical.
fn set_bases(fs: u64, gs: u64) {
    let (old_fs, old_gs) = bases();
    if facts().fsgsbase {
        if fs != old_fs {
            // SAFETY: the stub uses no thread locals.
            unsafe { asm!("wrfsbase {}", in(reg) fs, options(nomem, nostack, preserves_flags)) };
        }
        if gs != old_gs {
            // SAFETY: as above.
            unsafe { asm!("wrgsbase {}", in(reg) gs, options(nomem, nostack, preserves_flags)) };
        }
        return;
    }
    if fs != old_fs {
        host::call(number::ARCH_PRCTL, &[0x1002, fs]);
    }
    if gs != old_gs {
        host::call(number::ARCH_PRCTL, &[0x1001, gs]);
    }
}

/// Hands over to the kernel and does what it says, until that is to go on with the guest.
pub fn serve(slot: &'static Slot, context: &mut SignalContext) -> ! {
    // Of a forked process this is another slot than at first.
    slot.extended.store(context.extended, Relaxed);
    hand_over(slot);
    continue_serving(slot, context)
}

/// Like [`serve`], when the kernel has already said what to do.
fn continue_serving(slot: &'static Slot, context: &mut SignalContext) -> ! {
    slot.extended.store(context.extended, Relaxed);
    let own = loop {
        match slot.command.load(Relaxed) {
            COMMAND_RESUME | COMMAND_RETURN => break false,
            COMMAND_OWN => break true,
            COMMAND_CALLS_RESUME if crate::commands::make_calls(slot) => {
                // That came while the kernel had the turn, or the calls had.
                if slot.interrupted.swap(0, Relaxed) == 0 {
                    break false;
                }
                slot.event.store(EVENT_INTERRUPT, Relaxed);
            }
            COMMAND_CALLS_RESUME => {}
            command => crate::commands::execute(command, slot, context),
        }
        slot.extended.store(context.extended, Relaxed);
        hand_over(slot);
    };
    load(slot, context);
    if own {
        fast::make_own_call(slot, context);
    }
    // SAFETY: the frame is what the host's kernel made, or a copy.
    unsafe { frame_return(context.frame() as *mut u8) }
}

/// Waits for the kernel's turn to end.
fn hand_over(slot: &Slot) {
    let here = processor();
    slot.stub_processor.store(here, Relaxed);
    slot.turn.store(TURN_KERNEL, SeqCst);
    if slot.kernel_sleeps.load(SeqCst) != 0 {
        host::futex_wake(&slot.turn);
    }
    let apart = slot.kernel_processor.load(Relaxed) != here;
    let mut spins = if apart { slot.spins.load(Relaxed) } else { 0 };
    while slot.turn.load(Acquire) == TURN_KERNEL {
        if copied(slot) {
            spins = slot.spins.load(Relaxed);
        }
        if spins > 0 {
            spins -= 1;
            core::hint::spin_loop();
            continue;
        }
        // The kernel may have given up on a fork before this process came here.
        if slot.command.load(SeqCst) == COMMAND_ABANDON {
            host::die(0);
        }
        slot.stub_sleeps.store(1, SeqCst);
        while slot.turn.load(SeqCst) == TURN_KERNEL {
            host::futex_wait(&slot.turn, TURN_KERNEL);
        }
        slot.stub_sleeps.store(0, Relaxed);
    }
}

/// Copies what the kernel wants, if it wants anything.
fn copied(slot: &Slot) -> bool {
    let wanted = slot.copy.load(Acquire);
    if wanted != COPY_READ && wanted != COPY_WRITE || slot.copy.compare_exchange(wanted, COPY_BUSY, SeqCst, Relaxed).is_err() {
        return false;
    }
    let window = &raw const *slot as u64 + WINDOW;
    let guest = slot.copy_address.load(Relaxed);
    let (to, from) = if wanted == COPY_READ { (window, guest) } else { (guest, window) };
    // SAFETY: the kernel wants it; a fault is recovered from.
    let done = unsafe { guarded_copy(to, from, u64::from(slot.copy_length.load(Relaxed))) };
    slot.copy.store(if done { COPY_DONE } else { COPY_FAULT }, Release);
    true
}

/// The start of another thread, on its signal stack, with a frame that was copied there.
pub extern "C" fn on_thread(context: &mut SignalContext) -> ! {
    let index = slot_index(context.frame());
    let slot = slot(index);
    host::use_stack(index);
    slot.thread.store(host::call(number::GETTID, &[]) as u32, Relaxed);
    slot.event.store(EVENT_START, Relaxed);
    serve(slot, context)
}
