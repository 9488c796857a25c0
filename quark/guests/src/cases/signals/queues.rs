//! What is pending, and what is told of it.

use super::{CODE, COUNT, VALUE, count, send};
use crate::support::{block, handle, set_of, sleep_ms, spawn, took, wait_for, zeroed};
use crate::trace::{Case, Trace, errno_name};
use crate::{case, sys};
use libc::*;
use std::sync::atomic::Ordering::SeqCst;

pub const CASES: &[Case] = &[
    case!(pending_merge),
    case!(queued_values),
    case!(real_time_order),
    case!(queue_limit),
    case!(info_of_kill),
    case!(info_of_a_child),
    case!(child_stop_flag),
    case!(timed_wait),
];

fn pending_merge(t: &Trace) {
    handle(SIGUSR1, 0, count);
    block(&[SIGUSR1]);
    for _ in 0..5 {
        send(SIGUSR1);
    }
    t.show("blocked", COUNT.load(SeqCst));
    let mut pending = 0u64;
    t.call("pending", sys!(SYS_rt_sigpending, &raw mut pending, 8));
    t.show("set", format!("{pending:#x}"));
    let none = 0u64;
    sys!(SYS_rt_sigprocmask, SIG_SETMASK, &raw const none, 0, 8);
    t.show("once", COUNT.load(SeqCst));
}

/// Sends with a value, as sigqueue(3).
fn queue(signal: c_int, value: usize) -> i64 {
    let mut info: siginfo_t = zeroed();
    info.si_signo = signal;
    info.si_code = SI_QUEUE;
    // SAFETY: where the kernel's siginfo holds pid, uid and value.
    unsafe {
        let words = (&raw mut info).cast::<i32>();
        *words.add(4) = getpid();
        *words.add(5) = getuid() as i32;
        *(&raw mut info).cast::<usize>().add(3) = value;
    }
    sys!(SYS_rt_sigqueueinfo, sys!(SYS_getpid), signal, &raw const info)
}

fn queued_values(t: &Trace) {
    handle(SIGUSR1, 0, count);
    t.call("queue", queue(SIGUSR1, 0x1234_5678_9abc));
    t.show("value", format!("{:#x} code {}", VALUE.load(SeqCst), CODE.load(SeqCst)));
    t.call("signal 0", queue(0, 1));
    t.call("unknown", queue(65, 1));
    let mut info: siginfo_t = zeroed();
    info.si_code = SI_USER;
    t.call("to another as kill", sys!(SYS_rt_sigqueueinfo, 1, SIGCONT, &raw const info));
    t.call("bad pointer", sys!(SYS_rt_sigqueueinfo, sys!(SYS_getpid), SIGUSR1, 8));
    info.si_code = SI_QUEUE;
    t.call("to a thread", sys!(SYS_rt_tgsigqueueinfo, sys!(SYS_getpid), sys!(SYS_gettid), SIGUSR1, &raw const info));
    t.show("count", COUNT.load(SeqCst));
}

fn take(set: &sigset_t) -> String {
    let mut info: siginfo_t = zeroed();
    let zero = timespec { tv_sec: 0, tv_nsec: 0 };
    let got = sys!(SYS_rt_sigtimedwait, &raw const *set, &raw mut info, &raw const zero, 8);
    if got == -1 {
        return errno_name();
    }
    // SAFETY: a queued signal has a value.
    format!("{got} value {} code {}", unsafe { info.si_value().sival_ptr as usize }, info.si_code)
}

fn real_time_order(t: &Trace) {
    let set = set_of(&[SIGUSR1, SIGUSR2, 40, 41, 42]);
    block(&[SIGUSR1, SIGUSR2, 40, 41, 42]);
    for (signal, value) in [(42, 1), (40, 2), (SIGUSR2, 3), (40, 4), (41, 5), (SIGUSR1, 6), (40, 7), (SIGUSR1, 8)] {
        queue(signal, value);
    }
    for _ in 0..8 {
        t.show("next", take(&set));
    }
}

fn queue_limit(t: &Trace) {
    block(&[40]);
    let limit = rlimit { rlim_cur: 0, rlim_max: 0 };
    sys!(SYS_setrlimit, RLIMIT_SIGPENDING, &raw const limit);
    t.call("queue", queue(40, 1));
    block(&[SIGUSR1]);
    t.call("plain", sys!(SYS_kill, sys!(SYS_getpid), SIGUSR1));
    t.show("delivered", take(&set_of(&[SIGUSR1])));
}

fn info_of_kill(t: &Trace) {
    block(&[SIGUSR1]);
    let own = sys!(SYS_getpid);
    let child = spawn(|| {
        sys!(SYS_setuid, 1000);
        t.call("not allowed", sys!(SYS_kill, own, SIGUSR1));
    });
    t.show("child", wait_for(child));
    let child = spawn(|| _ = sys!(SYS_kill, own, SIGUSR1));
    let set = set_of(&[SIGUSR1]);
    let mut info: siginfo_t = zeroed();
    t.call("wait", sys!(SYS_rt_sigtimedwait, &raw const set, &raw mut info, 0, 8));
    // SAFETY: a signal by kill has a sender.
    let (pid, uid) = unsafe { (info.si_pid(), info.si_uid()) };
    t.show("info", format!("code {} from the child {} uid {uid}", info.si_code, pid == child));
    t.show("child", wait_for(child));
    sys!(SYS_tkill, sys!(SYS_gettid), SIGUSR1);
    sys!(SYS_rt_sigtimedwait, &raw const set, &raw mut info, 0, 8);
    t.show("by tkill", info.si_code);
}

fn info_of_a_child(t: &Trace) {
    block(&[SIGCHLD]);
    let set = set_of(&[SIGCHLD]);
    let next = |pid: i32| {
        let mut info: siginfo_t = zeroed();
        sys!(SYS_rt_sigtimedwait, &raw const set, &raw mut info, 0, 8);
        // SAFETY: SIGCHLD has pid, uid and status.
        let (from, uid, status) = unsafe { (info.si_pid(), info.si_uid(), info.si_status()) };
        t.show("info", format!("code {} own {} uid {uid} status {status}", info.si_code, from == pid));
    };
    let pid = spawn(|| {
        send(SIGSTOP);
        sys!(SYS_exit_group, 3);
    });
    next(pid);
    sys!(SYS_kill, pid, SIGCONT);
    next(pid);
    wait_for(pid);
    // What came of the exit may have merged with what came of going on.
    let zero = timespec { tv_sec: 0, tv_nsec: 0 };
    sys!(SYS_rt_sigtimedwait, &raw const set, 0, &raw const zero, 8);
    let pid = spawn(|| _ = send(SIGKILL));
    next(pid);
    wait_for(pid);
}

fn child_stop_flag(t: &Trace) {
    handle(SIGCHLD, SA_NOCLDSTOP, count);
    let pid = spawn(|| _ = send(SIGSTOP));
    let mut status = 0;
    sys!(SYS_wait4, pid, &raw mut status, WUNTRACED, 0);
    sleep_ms(20);
    t.show("stopped silently", COUNT.load(SeqCst));
    sys!(SYS_kill, pid, SIGCONT);
    t.show("ended", wait_for(pid));
    t.show("then told", COUNT.load(SeqCst));
}

fn timed_wait(t: &Trace) {
    block(&[SIGUSR1, SIGUSR2]);
    let set = set_of(&[SIGUSR1]);
    let short = timespec { tv_sec: 0, tv_nsec: 30_000_000 };
    took(t, "time", 30, || t.call("nothing", sys!(SYS_rt_sigtimedwait, &raw const set, 0, &raw const short, 8)));
    send(SIGUSR2);
    t.call("another", sys!(SYS_rt_sigtimedwait, &raw const set, 0, &raw const short, 8));
    send(SIGUSR1);
    t.call("there", sys!(SYS_rt_sigtimedwait, &raw const set, 0, &raw const short, 8));
    let wrong = timespec { tv_sec: 0, tv_nsec: -1 };
    t.call("wrong time", sys!(SYS_rt_sigtimedwait, &raw const set, 0, &raw const wrong, 8));
    t.call("size", sys!(SYS_rt_sigtimedwait, &raw const set, 0, &raw const short, 4));
    t.call("bad pointer", sys!(SYS_rt_sigtimedwait, 8, 0, &raw const short, 8));
}
