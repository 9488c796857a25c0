//! What a handler finds on its stack, and what it leaves there.

use super::{COUNT, count, mask, send};
use crate::support::{block, handle, in_child, signal_name, zeroed};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst};

pub const CASES: &[Case] = &[
    case!(alternate_stack),
    case!(alternate_stack_errors),
    case!(registers_survive),
    case!(vectors_survive),
    case!(context_is_changed),
    case!(nested),
    case!(jump_out),
    case!(broken_frame),
];

static PLACE: AtomicUsize = AtomicUsize::new(0);

static ON_STACK: AtomicI32 = AtomicI32::new(-1);

extern "C" fn keep_place(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    let local = 0u8;
    PLACE.store(&raw const local as usize, SeqCst);
    let mut stack: stack_t = zeroed();
    // SAFETY: asks only.
    unsafe { sigaltstack(std::ptr::null(), &raw mut stack) };
    ON_STACK.store(stack.ss_flags, SeqCst);
}

fn alternate_stack(t: &Trace) {
    let memory = vec![0u8; 65_536];
    let inside = || (memory.as_ptr() as usize..memory.as_ptr() as usize + 65_536).contains(&PLACE.load(SeqCst));
    let stack = stack_t { ss_sp: memory.as_ptr() as *mut _, ss_flags: 0, ss_size: 65_536 };
    t.call("set", sys!(SYS_sigaltstack, &raw const stack, 0));
    handle(SIGUSR1, 0, keep_place);
    send(SIGUSR1);
    t.show("without the flag", format!("{} {}", inside(), ON_STACK.load(SeqCst)));
    handle(SIGUSR1, SA_ONSTACK, keep_place);
    send(SIGUSR1);
    t.show("with it", format!("{} {}", inside(), ON_STACK.load(SeqCst)));
    let mut old: stack_t = zeroed();
    t.call("get", sys!(SYS_sigaltstack, 0, &raw mut old));
    t.show("state", format!("{} {} {}", old.ss_flags, old.ss_size, old.ss_sp == stack.ss_sp));
    t.show(
        "child's",
        in_child(|| {
            sys!(SYS_sigaltstack, 0, &raw mut old);
            t.show("inherited", old.ss_size);
        }),
    );
    let off = stack_t { ss_sp: std::ptr::null_mut(), ss_flags: SS_DISABLE, ss_size: 0 };
    t.call("off", sys!(SYS_sigaltstack, &raw const off, 0));
    send(SIGUSR1);
    t.show("off", format!("{} {}", inside(), ON_STACK.load(SeqCst)));
}

fn alternate_stack_errors(t: &Trace) {
    let mut stack = stack_t { ss_sp: [0u8; 64].as_mut_ptr().cast(), ss_flags: 0, ss_size: 64 };
    t.call("small", sys!(SYS_sigaltstack, &raw const stack, 0));
    stack.ss_flags = 77;
    t.call("flags", sys!(SYS_sigaltstack, &raw const stack, 0));
    t.call("bad pointer", sys!(SYS_sigaltstack, 8, 0));
    t.call("bad result", sys!(SYS_sigaltstack, 0, 8));
}

fn registers_survive(t: &Trace) {
    use std::arch::asm;
    handle(SIGUSR1, 0, count);
    let (mut wrong, pid, tid) = (0u64, sys!(SYS_getpid), sys!(SYS_gettid));
    for round in 0..100u64 {
        let (mut a, mut b, mut c, mut d, mut e) = (round, round + 1, round + 2, round + 3, round + 4);
        // SAFETY: tgkill by a plain syscall instruction; the handler runs before it returns.
        unsafe {
            asm!("syscall", inlateout("rax") SYS_tgkill => _, in("rdi") pid, in("rsi") tid, in("rdx") u64::from(SIGUSR1 as u32),
                inlateout("r8") a, inlateout("r9") b, inlateout("r10") c, inlateout("r14") d, inlateout("r15") e, lateout("rcx") _, lateout("r11") _);
        }
        wrong += u64::from((a, b, c, d, e) != (round, round + 1, round + 2, round + 3, round + 4));
    }
    t.show("wrong", wrong);
    t.show("handled", COUNT.load(SeqCst));
}

extern "C" fn spoil_vectors(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    COUNT.fetch_add(1, SeqCst);
    // SAFETY: the kernel restores what a handler changes.
    unsafe {
        std::arch::asm!("pcmpeqd xmm0, xmm0", "pcmpeqd xmm5, xmm5", "pcmpeqd xmm15, xmm15", out("xmm0") _, out("xmm5") _, out("xmm15") _)
    };
}

fn vectors_survive(t: &Trace) {
    use std::arch::asm;
    handle(SIGUSR1, 0, spoil_vectors);
    let (pid, tid) = (sys!(SYS_getpid), sys!(SYS_gettid));
    let mut wrong = 0;
    for round in 0..100u64 {
        let (mut a, mut b, mut c): (u64, u64, u64);
        // SAFETY: tgkill by a plain syscall instruction; the handler runs before it returns.
        unsafe {
            asm!("movq xmm0, r12", "movq xmm5, r12", "movq xmm15, r12", "syscall", "movq r12, xmm0", "movq r13, xmm5", "movq r14, xmm15",
                inlateout("rax") SYS_tgkill => _, in("rdi") pid, in("rsi") tid, in("rdx") u64::from(SIGUSR1 as u32),
                inlateout("r12") round => a, lateout("r13") b, lateout("r14") c, lateout("rcx") _, lateout("r11") _, out("xmm0") _, out("xmm5") _, out("xmm15") _);
        }
        wrong += u64::from((a, b, c) != (round, round, round));
        (a, b, c) = (0, 0, 0);
        std::hint::black_box((a, b, c));
    }
    t.show("wrong", wrong);
    t.show("handled", COUNT.load(SeqCst));
}

extern "C" fn skip(_: c_int, _: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel's; ud2 has two bytes.
    unsafe {
        let registers = &mut (*context.cast::<ucontext_t>()).uc_mcontext.gregs;
        registers[REG_RIP as usize] += 2;
        registers[REG_RBX as usize] += 0;
        registers[REG_R12 as usize] = 77;
    }
}

fn context_is_changed(t: &Trace) {
    handle(SIGILL, 0, skip);
    let mut value = 1u64;
    // SAFETY: the handler steps over it.
    unsafe { std::arch::asm!("ud2", inlateout("r12") value) };
    t.show("register from the handler", value);
}

extern "C" fn nest(signal: c_int, _: *mut siginfo_t, _: *mut c_void) {
    let depth = COUNT.fetch_add(1, SeqCst);
    Trace.show("enter", signal_name(signal));
    if depth < 3 {
        send(if signal == SIGUSR1 { SIGUSR2 } else { SIGUSR1 });
    }
    Trace.show("leave", signal_name(signal));
}

fn nested(t: &Trace) {
    handle(SIGUSR1, 0, nest);
    handle(SIGUSR2, 0, nest);
    send(SIGUSR1);
    t.show("count", COUNT.load(SeqCst));
    block(&[SIGUSR1, SIGUSR2]);
    send(SIGUSR2);
    send(SIGUSR1);
    let none = 0u64;
    sys!(SYS_rt_sigprocmask, SIG_SETMASK, &raw const none, 0, 8);
}

unsafe extern "C" {
    fn __sigsetjmp(buffer: *mut [u64; 32], save: c_int) -> c_int;
    fn siglongjmp(buffer: *mut [u64; 32], value: c_int) -> !;
}

static mut JUMP: [u64; 32] = [0; 32];

extern "C" fn jump(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    COUNT.fetch_add(1, SeqCst);
    // SAFETY: the case set it, in a function that still runs.
    unsafe { siglongjmp(&raw mut JUMP, 1) }
}

fn jump_out(t: &Trace) {
    handle(SIGSEGV, 0, jump);
    for _ in 0..3 {
        // SAFETY: no value of this function lives over the jump.
        unsafe {
            if __sigsetjmp(&raw mut JUMP, 1) == 0 {
                std::ptr::read_volatile(8 as *const u8);
            }
        }
    }
    t.show("count", COUNT.load(SeqCst));
    t.show("mask", format!("{:#x}", mask()));
}

fn broken_frame(t: &Trace) {
    // SAFETY, for both: a broken frame or stack is what the case is about.
    t.show(
        "sigreturn of nothing",
        in_child(|| unsafe { std::arch::asm!("mov rsp, 16", "syscall", in("rax") SYS_rt_sigreturn, options(noreturn)) }),
    );
    t.show("no room for a frame", in_child(|| {
        handle(SIGUSR1, 0, count);
        let (pid, tid) = (sys!(SYS_getpid), sys!(SYS_gettid));
        unsafe {
            std::arch::asm!("mov rsp, 4096", "syscall", "ud2", in("rax") SYS_tgkill, in("rdi") pid, in("rsi") tid, in("rdx") u64::from(SIGUSR1 as u32), options(noreturn))
        }
    }));
}
