//! The frame that a handler of the guest's returns through: `struct rt_sigframe` of Linux on x86-64, as programs, unwinders and
//! language runtimes read it.

use quark_host::platform::{Fault, Registers};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::action::{Action, ActionFlags};
use super::info::{INFO_SIZE, Signal};
use super::set::SignalSet;
use super::state::{AlternateStack, SS_AUTODISARM};

/// What the frame holds, from the restorer's address that the handler returns to on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Frame {
    /// `pretcode`.
    pub restorer: u64,
    /// `ucontext_t` from here.
    pub context: UserContext,
    /// `siginfo_t`.
    pub info: [u8; INFO_SIZE],
}

/// `struct ucontext` of the kernel, with `struct sigcontext` in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
#[allow(missing_docs)]
pub struct UserContext {
    pub flags: u64,
    pub link: u64,
    pub stack: UserStack,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub rdx: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rsp: u64,
    pub rip: u64,
    pub eflags: u64,
    pub cs: u16,
    pub gs: u16,
    pub fs: u16,
    pub ss: u16,
    pub error: u64,
    pub trap: u64,
    pub old_mask: u64,
    pub cr2: u64,
    pub extended: u64,
    pub reserved: [u64; 8],
    pub mask: u64,
}

/// `stack_t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
#[allow(missing_docs)]
pub struct UserStack {
    pub address: u64,
    pub flags: u32,
    pub padding: u32,
    pub size: u64,
}

/// UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS.
const CONTEXT_FLAGS: u64 = 0b111;
/// What compilers use below the stack pointer without moving it.
const RED_ZONE: u64 = 128;
const USER_CS: u16 = 0x33;
const USER_SS: u16 = 0x2b;
/// DF, TF and RF are clear when a handler starts.
const CLEARED_FLAGS: u64 = 1 << 10 | 1 << 8 | 1 << 16;
/// What of the flags `rt_sigreturn` takes from the frame: AC, RF, OF, DF, TF, SF, ZF, AF, PF, CF.
const RESTORED_FLAGS: u64 = 1 << 18 | 1 << 16 | 1 << 11 | 1 << 10 | 1 << 8 | 1 << 7 | 1 << 6 | 1 << 4 | 1 << 2 | 1;
/// Always set: bit 1, and interrupts enabled.
const FIXED_FLAGS: u64 = 1 << 9 | 1 << 1;

/// What a handler is started with.
pub struct Entry<'a> {
    /// What came.
    pub signal: &'a Signal,
    /// Its handler.
    pub action: &'a Action,
    /// The mask that `rt_sigreturn` restores.
    pub mask: SignalSet,
    /// The alternate stack.
    pub stack: AlternateStack,
    /// The last fault.
    pub fault: Option<Fault>,
    /// How long the XSAVE area is.
    pub extended: usize,
}

/// Where everything goes, and what the handler starts with.
#[derive(Debug)]
pub struct Plan {
    /// The frame's bytes.
    pub frame: Frame,
    /// Where it goes.
    pub frame_at: u64,
    /// Where the XSAVE area goes.
    pub extended_at: u64,
    /// For the handler.
    pub registers: Registers,
}

/// Plans a handler's frame on top of `registers`. `None` if the stack can't take it or there is nowhere to return to: SIGSEGV.
/// Source: `man 2 sigreturn`, and the layout that `struct rt_sigframe` has in Linux' `asm/sigframe.h`.
pub fn plan(registers: &Registers, entry: &Entry<'_>) -> Option<Plan> {
    let flags = entry.action.flags();
    if !flags.contains(ActionFlags::RESTORER) {
        return None;
    }
    let nested = entry.stack.holds(registers.rsp);
    let below = registers.rsp.wrapping_sub(RED_ZONE);
    let enters = flags.contains(ActionFlags::ONSTACK) && entry.stack.size > 0 && !entry.stack.holds(below);
    let top = if enters { entry.stack.address.wrapping_add(entry.stack.size) } else { below };
    let extended_at = top.wrapping_sub(entry.extended as u64) & !63;
    // The handler finds the stack as after a call: 16-byte aligned less the return address.
    let frame_at = (extended_at.wrapping_sub(size_of::<Frame>() as u64) & !15).wrapping_sub(8);
    let within = AlternateStack { flags: entry.stack.flags & !SS_AUTODISARM, ..entry.stack };
    if (nested || enters) && !within.holds(frame_at) {
        return None;
    }
    let context_at = frame_at.wrapping_add(8);
    let frame = Frame { restorer: entry.action.restorer, context: save(registers, entry, extended_at), info: entry.signal.encode() };
    let started = Registers {
        rdi: entry.signal.number as u64,
        rsi: context_at.wrapping_add(size_of::<UserContext>() as u64),
        rdx: context_at,
        rax: 0,
        rip: entry.action.handler,
        rsp: frame_at,
        eflags: registers.eflags & !CLEARED_FLAGS,
        ..*registers
    };
    Some(Plan { frame, frame_at, extended_at, registers: started })
}

fn save(registers: &Registers, entry: &Entry<'_>, extended_at: u64) -> UserContext {
    let fault = entry.fault;
    UserContext {
        flags: CONTEXT_FLAGS,
        stack: UserStack { address: entry.stack.address, flags: entry.stack.flags, padding: 0, size: entry.stack.size },
        r8: registers.r8,
        r9: registers.r9,
        r10: registers.r10,
        r11: registers.r11,
        r12: registers.r12,
        r13: registers.r13,
        r14: registers.r14,
        r15: registers.r15,
        rdi: registers.rdi,
        rsi: registers.rsi,
        rbp: registers.rbp,
        rbx: registers.rbx,
        rdx: registers.rdx,
        rax: registers.rax,
        rcx: registers.rcx,
        rsp: registers.rsp,
        rip: registers.rip,
        eflags: registers.eflags,
        cs: USER_CS,
        ss: USER_SS,
        error: fault.map_or(0, |fault| fault.error),
        trap: fault.map_or(0, |fault| fault.trap),
        old_mask: entry.mask.0,
        cr2: fault.map_or(0, |fault| fault.cr2),
        extended: if entry.extended == 0 { 0 } else { extended_at },
        mask: entry.mask.0,
        ..UserContext::default()
    }
}

/// The registers that `rt_sigreturn` goes back to. Segment bases stay; flags that are not the program's stay as they have to be.
pub fn restore(current: &Registers, context: &UserContext) -> Registers {
    Registers {
        r8: context.r8,
        r9: context.r9,
        r10: context.r10,
        r11: context.r11,
        r12: context.r12,
        r13: context.r13,
        r14: context.r14,
        r15: context.r15,
        rdi: context.rdi,
        rsi: context.rsi,
        rbp: context.rbp,
        rbx: context.rbx,
        rdx: context.rdx,
        rax: context.rax,
        rcx: context.rcx,
        rsp: context.rsp,
        rip: context.rip,
        eflags: context.eflags & RESTORED_FLAGS | FIXED_FLAGS,
        fs_base: current.fs_base,
        gs_base: current.gs_base,
    }
}

/// Whether the guest can be resumed there: a user address, as a return to anything else faults.
pub fn is_user_address(address: u64) -> bool {
    address < 1 << 47
}

#[cfg(test)]
mod tests {
    use super::super::info::Origin;
    use super::*;
    use std::mem::offset_of;

    const SIGNAL: Signal = Signal { number: libc::SIGUSR1, origin: Origin::Kernel };

    fn action(flags: u64) -> Action {
        Action { handler: 0x40_1000, flags: flags | ActionFlags::RESTORER.bits(), restorer: 0x40_2000, mask: 0 }
    }

    fn entry<'a>(action: &'a Action, stack: AlternateStack) -> Entry<'a> {
        Entry { signal: &SIGNAL, action, mask: SignalSet(0x5), stack, fault: None, extended: 2696 }
    }

    fn registers() -> Registers {
        Registers { rsp: 0x7fff_0000_1238, rip: 0x40_0123, rbx: 7, rax: 9, eflags: 0x646, fs_base: 0x1000, ..Registers::default() }
    }

    #[test]
    fn the_layout_is_that_of_the_c_librarys_ucontext() {
        assert_eq!(size_of::<Frame>(), 440);
        assert_eq!(size_of::<UserContext>(), 304);
        assert_eq!(offset_of!(UserContext, r8), offset_of!(libc::ucontext_t, uc_mcontext));
        assert_eq!(offset_of!(UserContext, mask), offset_of!(libc::ucontext_t, uc_sigmask));
        let register = |index: i32| offset_of!(libc::ucontext_t, uc_mcontext) + index as usize * 8;
        assert_eq!(offset_of!(UserContext, rip), register(libc::REG_RIP));
        assert_eq!(offset_of!(UserContext, eflags), register(libc::REG_EFL));
        assert_eq!(offset_of!(UserContext, cs), register(libc::REG_CSGSFS));
        assert_eq!(offset_of!(UserContext, error), register(libc::REG_ERR));
        assert_eq!(offset_of!(UserContext, trap), register(libc::REG_TRAPNO));
        assert_eq!(offset_of!(UserContext, cr2), register(libc::REG_CR2));
        assert_eq!(offset_of!(UserContext, extended), register(23));
    }

    #[test]
    fn a_handler_starts_below_the_red_zone_with_an_aligned_stack() {
        let action = action(0);
        let plan = plan(&registers(), &entry(&action, AlternateStack::default())).unwrap();
        assert_eq!(plan.frame_at % 16, 8);
        assert_eq!(plan.extended_at % 64, 0);
        assert!(plan.extended_at + 2696 <= 0x7fff_0000_1238 - 128);
        assert!(plan.frame_at + 440 <= plan.extended_at);
        assert_eq!(plan.registers.rip, 0x40_1000);
        assert_eq!((plan.registers.rdi, plan.registers.rdx), (10, plan.frame_at + 8));
        assert_eq!(plan.registers.rsi, plan.frame_at + 312);
        assert_eq!(plan.registers.eflags, 0x246, "DF is clear");
        assert_eq!((plan.frame.restorer, plan.frame.context.mask), (0x40_2000, 5));
    }

    #[test]
    fn what_was_saved_is_restored() {
        let action = action(0);
        let plan = plan(&registers(), &entry(&action, AlternateStack::default())).unwrap();
        assert_eq!(restore(&plan.registers, &plan.frame.context), registers());
    }

    #[test]
    fn hostile_flags_are_not_restored() {
        let context = UserContext { eflags: u64::MAX, cs: 0, ..UserContext::default() };
        assert_eq!(restore(&registers(), &context).eflags, RESTORED_FLAGS | FIXED_FLAGS);
    }

    #[test]
    fn the_alternate_stack_is_entered_once_and_never_overflows() {
        let stack = AlternateStack { address: 0x1_0000, flags: 0, size: 0x4000 };
        let action = action(ActionFlags::ONSTACK.bits());
        let first = plan(&registers(), &entry(&action, stack)).unwrap();
        assert!(stack.holds(first.frame_at) && first.frame_at > 0x1_2000);
        let second = plan(&first.registers, &entry(&action, stack)).unwrap();
        assert!(second.frame_at < first.frame_at && second.frame_at > first.frame_at - 0x1000);
        let small = AlternateStack { size: 2048, ..stack };
        assert!(plan(&registers(), &entry(&action, small)).is_none());
    }

    #[test]
    fn without_a_restorer_there_is_no_way_back() {
        let action = Action { handler: 1, ..Action::default() };
        assert!(plan(&registers(), &entry(&action, AlternateStack::default())).is_none());
    }
}
