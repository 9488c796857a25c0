//! What a process does with signals, and which it blocks.

use super::{COUNT, LAST, count, mask, send};
use crate::support::{block, handle, in_child, set_of, signal_name, spawn, zeroed};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

pub const CASES: &[Case] = &[
    case!(default_actions),
    case!(ignored),
    case!(handled),
    case!(handler_errors),
    case!(default_anew),
    case!(mask_calls),
    case!(mask_while_handling),
    case!(no_defer),
    case!(reset_hand),
];

fn default_actions(t: &Trace) {
    for signal in 1..=64 {
        if [32, 33].contains(&signal) {
            continue;
        }
        let pid = spawn(|| {
            // SAFETY: the default action.
            unsafe { libc::signal(signal, SIG_DFL) };
            let none = rlimit { rlim_cur: 0, rlim_max: 0 };
            sys!(SYS_setrlimit, RLIMIT_CORE, &raw const none);
            send(signal);
        });
        let mut status = 0;
        sys!(SYS_wait4, pid, &raw mut status, WUNTRACED, 0);
        t.show(&signal.to_string(), crate::support::ending(status));
        sys!(SYS_kill, pid, SIGKILL);
    }
}

fn ignored(t: &Trace) {
    for signal in [SIGHUP, SIGTERM, SIGUSR1, SIGTSTP, SIGRTMIN()] {
        // SAFETY: ignores a signal.
        unsafe { libc::signal(signal, SIG_IGN) };
        t.call(&signal_name(signal), send(signal));
    }
    block(&[SIGUSR1]);
    send(SIGUSR1);
    let mut pending: sigset_t = zeroed();
    // SAFETY: asks only.
    unsafe { sigpending(&raw mut pending) };
    // SAFETY: asks only.
    t.call("ignored and blocked", unsafe { sigismember(&raw const pending, SIGUSR1) });
    handle(SIGUSR1, 0, count);
    // SAFETY: ignores a signal, which drops what is pending.
    unsafe { libc::signal(SIGUSR1, SIG_IGN) };
    handle(SIGUSR1, 0, count);
    let none = set_of(&[]);
    sys!(SYS_rt_sigprocmask, SIG_SETMASK, &raw const none, 0, 8);
    t.show("dropped", COUNT.load(SeqCst));
}

fn handled(t: &Trace) {
    handle(SIGUSR1, 0, count);
    t.call("send", send(SIGUSR1));
    t.show("count", COUNT.load(SeqCst));
    t.show("signal", signal_name(LAST.load(SeqCst)));
    for _ in 0..1000 {
        send(SIGUSR1);
    }
    t.show("count", COUNT.load(SeqCst));
    let mut old: sigaction = zeroed();
    // SAFETY: asks only.
    unsafe { sigaction(SIGUSR1, std::ptr::null(), &raw mut old) };
    t.show("flags", format!("{:#x}", old.sa_flags & !0x0400_0000));
}

fn handler_errors(t: &Trace) {
    let action = [0u64; 4];
    t.call("SIGKILL", sys!(SYS_rt_sigaction, SIGKILL, action.as_ptr(), 0, 8));
    t.call("SIGSTOP", sys!(SYS_rt_sigaction, SIGSTOP, action.as_ptr(), 0, 8));
    t.call("ask SIGKILL", sys!(SYS_rt_sigaction, SIGKILL, 0, [0u64; 4].as_mut_ptr(), 8));
    t.call("zero", sys!(SYS_rt_sigaction, 0, action.as_ptr(), 0, 8));
    t.call("65", sys!(SYS_rt_sigaction, 65, action.as_ptr(), 0, 8));
    t.call("size", sys!(SYS_rt_sigaction, SIGUSR1, action.as_ptr(), 0, 4));
    t.call("bad pointer", sys!(SYS_rt_sigaction, SIGUSR1, 8, 0, 8));
    t.call("bad result", sys!(SYS_rt_sigaction, SIGUSR1, 0, 8, 8));
}

/// As posix_spawn does with all signals, often enough to have the call's site patched.
fn default_anew(t: &Trace) {
    const RESTORER: u64 = 0x0400_0000;
    let action = [0u64, RESTORER, 0x1234, 0];
    let show = |what: &str, signal: c_int| {
        let mut old = [7u64; 4];
        t.call(what, sys!(SYS_rt_sigaction, signal, 0, old.as_mut_ptr(), 8));
        t.show("action", format!("{old:x?}"));
    };
    for _ in 0..40 {
        for signal in [SIGUSR1, SIGTERM, SIGCHLD] {
            sys!(SYS_rt_sigaction, signal, action.as_ptr(), 0, 8);
        }
    }
    show("set", SIGUSR1);
    show("set, ignored by default", SIGCHLD);
    show("not set", SIGHUP);
    let mut both = action;
    t.call("set and ask in one place", sys!(SYS_rt_sigaction, SIGHUP, both.as_ptr(), both.as_mut_ptr(), 8));
    t.show("before", format!("{both:x?}"));
    show("after", SIGHUP);
    let other = [0u64, RESTORER, 0x5678, 1];
    t.call("with a mask", sys!(SYS_rt_sigaction, SIGHUP, other.as_ptr(), 0, 8));
    show("after", SIGHUP);
    t.call("without anything", sys!(SYS_rt_sigaction, SIGHUP, [0u64; 4].as_ptr(), 0, 8));
    show("after", SIGHUP);
    t.call("bad pointer", sys!(SYS_rt_sigaction, SIGUSR2, 8, 0, 8));
    show("after", SIGUSR2);
    t.call("bad result", sys!(SYS_rt_sigaction, SIGUSR2, action.as_ptr(), 8, 8));
    show("after", SIGUSR2);
    t.call("SIGKILL", sys!(SYS_rt_sigaction, SIGKILL, action.as_ptr(), 0, 8));
    t.call("65", sys!(SYS_rt_sigaction, 65, 0, 0, 8));
    t.call("size", sys!(SYS_rt_sigaction, SIGUSR1, 0, 0, 16));
    in_child(|| show("in a child", SIGUSR1));
    handle(SIGUSR1, 0, count);
    send(SIGUSR1);
    t.show("handled", COUNT.load(SeqCst));
    sys!(SYS_rt_sigaction, SIGUSR1, action.as_ptr(), 0, 8);
    show("after the handler", SIGUSR1);
    let thread = std::thread::spawn(move || sys!(SYS_rt_sigaction, SIGQUIT, action.as_ptr(), 0, 8));
    t.call("in a thread", thread.join().unwrap_or(-1));
    show("set by a thread", SIGQUIT);
    block(&[SIGCHLD]);
    send(SIGCHLD);
    sys!(SYS_rt_sigaction, SIGCHLD, action.as_ptr(), 0, 8);
    let mut pending = 0u64;
    sys!(SYS_rt_sigpending, &raw mut pending, 8);
    t.show("pending", pending);
}

fn mask_calls(t: &Trace) {
    let some = 0x5u64;
    t.call("block", sys!(SYS_rt_sigprocmask, SIG_BLOCK, &raw const some, 0, 8));
    t.show("mask", format!("{:#x}", mask()));
    let one = 0x4u64;
    t.call("unblock", sys!(SYS_rt_sigprocmask, SIG_UNBLOCK, &raw const one, 0, 8));
    t.show("mask", format!("{:#x}", mask()));
    let all = u64::MAX;
    t.call("all", sys!(SYS_rt_sigprocmask, SIG_SETMASK, &raw const all, 0, 8));
    t.show("without KILL and STOP", format!("{:#x}", mask()));
    t.call("how", sys!(SYS_rt_sigprocmask, 9, &raw const all, 0, 8));
    t.call("ask with a wrong how", sys!(SYS_rt_sigprocmask, 9, 0, 0, 8));
    t.call("size", sys!(SYS_rt_sigprocmask, SIG_BLOCK, &raw const all, 0, 16));
    t.call("bad pointer", sys!(SYS_rt_sigprocmask, SIG_BLOCK, 8, 0, 8));
    t.call("bad result", sys!(SYS_rt_sigprocmask, SIG_BLOCK, 0, 8, 8));
    t.call("pending, size", sys!(SYS_rt_sigpending, 8, 16));
    t.call("pending, bad pointer", sys!(SYS_rt_sigpending, 8, 8));
}

static MASK: AtomicI64 = AtomicI64::new(0);

extern "C" fn keep_mask(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    MASK.store(mask() as i64, SeqCst);
}

fn mask_while_handling(t: &Trace) {
    let mut action: sigaction = zeroed();
    action.sa_sigaction = keep_mask as *const () as usize;
    action.sa_flags = SA_SIGINFO;
    action.sa_mask = set_of(&[SIGUSR2, SIGTERM]);
    // SAFETY: the action is complete.
    unsafe { sigaction(SIGUSR1, &raw const action, std::ptr::null_mut()) };
    send(SIGUSR1);
    t.show("inside", format!("{:#x}", MASK.load(SeqCst)));
    t.show("after", format!("{:#x}", mask()));
}

fn no_defer(t: &Trace) {
    for flags in [0, SA_NODEFER] {
        handle(SIGUSR1, flags, keep_mask);
        send(SIGUSR1);
        t.show("inside", format!("{:#x}", MASK.load(SeqCst)));
    }
}

fn reset_hand(t: &Trace) {
    handle(SIGUSR1, SA_RESETHAND, count);
    send(SIGUSR1);
    t.show("count", COUNT.load(SeqCst));
    t.show("again", in_child(|| _ = send(SIGUSR1)));
}
