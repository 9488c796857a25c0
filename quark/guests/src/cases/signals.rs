//! Dispositions, masks, queues, handlers and what they interrupt.

use std::sync::atomic::{AtomicI32, AtomicI64, AtomicUsize, Ordering::SeqCst};

use crate::support::{block, handle, in_child, pipe, set_of, show_read, signal_name, sleep_ms, spawn, took, wait_for, write, zeroed};
use crate::trace::{Case, Trace, errno_name};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(default_actions),
    case!(ignored),
    case!(handled),
    case!(handler_errors),
    case!(mask_calls),
    case!(mask_while_handling),
    case!(no_defer),
    case!(reset_hand),
    case!(pending_merge),
    case!(queued_values),
    case!(real_time_order),
    case!(queue_limit),
    case!(info_of_kill),
    case!(info_of_a_child),
    case!(child_stop_flag),
    case!(alternate_stack),
    case!(alternate_stack_errors),
    case!(stack_overflow),
    case!(restarts_read),
    case!(interrupts_read),
    case!(sleep_interrupted),
    case!(poll_interrupted),
    case!(wait_restarts),
    case!(pause_and_suspend),
    case!(timed_wait),
    case!(wait_wakes),
    case!(stop_and_continue),
    case!(stop_signals),
    case!(faults),
    case!(fault_blocked),
    case!(fault_handled_and_mended),
    case!(divide_and_traps),
    case!(registers_survive),
    case!(vectors_survive),
    case!(context_is_changed),
    case!(nested),
    case!(to_a_thread),
    case!(thread_masks),
    case!(jump_out),
    case!(broken_frame),
    case!(kill_everyone_in_group),
    case!(signal_during_fork_storm),
];

static COUNT: AtomicI32 = AtomicI32::new(0);
static LAST: AtomicI32 = AtomicI32::new(0);
static CODE: AtomicI32 = AtomicI32::new(0);
static VALUE: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    COUNT.fetch_add(1, SeqCst);
    LAST.store(signal, SeqCst);
    // SAFETY: the kernel's.
    unsafe {
        CODE.store((*info).si_code, SeqCst);
        VALUE.store((*info).si_value().sival_ptr as usize, SeqCst);
    }
}

fn send(signal: c_int) -> i64 {
    sys!(SYS_tgkill, sys!(SYS_getpid), sys!(SYS_gettid), signal)
}

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

fn mask() -> u64 {
    let mut mask = 0u64;
    sys!(SYS_rt_sigprocmask, SIG_BLOCK, 0, &raw mut mask, 8);
    mask
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

extern "C" fn leave(_: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel's; ends the process.
    unsafe { _exit(40 + (*info).si_code) }
}

#[allow(unconditional_recursion)]
fn endless(depth: u64) -> u64 {
    let block = std::hint::black_box([depth; 64]);
    block[3] + endless(depth + 1) + block[5]
}

fn stack_overflow(t: &Trace) {
    t.show(
        "default",
        in_child(|| {
            // SAFETY: the default action.
            unsafe { libc::signal(SIGSEGV, SIG_DFL) };
            std::hint::black_box(endless(0));
        }),
    );
    let memory = vec![0u8; 65_536];
    let stack = stack_t { ss_sp: memory.as_ptr() as *mut _, ss_flags: 0, ss_size: 65_536 };
    t.show(
        "on another stack",
        in_child(|| {
            sys!(SYS_sigaltstack, &raw const stack, 0);
            handle(SIGSEGV, SA_ONSTACK, leave);
            std::hint::black_box(endless(0));
        }),
    );
}

/// Sends SIGUSR1 to its parent after a while, then writes to a pipe.
fn disturb(writer: c_int) -> c_int {
    let parent = sys!(SYS_getpid);
    spawn(|| {
        sleep_ms(40);
        sys!(SYS_kill, parent, SIGUSR1);
        sleep_ms(40);
        write(writer, b"data");
    })
}

fn restarts_read(t: &Trace) {
    handle(SIGUSR1, SA_RESTART, count);
    let (reader, writer) = pipe();
    let child = disturb(writer);
    show_read(t, "read", reader);
    t.show("handled", COUNT.load(SeqCst));
    t.show("child", wait_for(child));
}

fn interrupts_read(t: &Trace) {
    handle(SIGUSR1, 0, count);
    let (reader, writer) = pipe();
    let child = disturb(writer);
    show_read(t, "read", reader);
    show_read(t, "again", reader);
    t.show("child", wait_for(child));
}

fn sleep_interrupted(t: &Trace) {
    let (_, writer) = pipe();
    for flags in [0, SA_RESTART] {
        handle(SIGUSR1, flags, count);
        let child = disturb(writer);
        let wanted = timespec { tv_sec: 3, tv_nsec: 0 };
        let mut left: timespec = zeroed();
        t.call("nanosleep", sys!(SYS_nanosleep, &raw const wanted, &raw mut left));
        t.show("left", left.tv_sec);
        t.show("child", wait_for(child));
    }
    // SAFETY: ignores a signal.
    unsafe { libc::signal(SIGUSR1, SIG_IGN) };
    let child = disturb(writer);
    let wanted = timespec { tv_sec: 0, tv_nsec: 150_000_000 };
    took(t, "not by an ignored one", 150, || t.call("nanosleep", sys!(SYS_nanosleep, &raw const wanted, 0)));
    t.show("child", wait_for(child));
}

fn poll_interrupted(t: &Trace) {
    let (reader, writer) = pipe();
    for flags in [0, SA_RESTART] {
        handle(SIGUSR1, flags, count);
        let child = disturb(writer);
        let mut poll = pollfd { fd: reader, events: POLLIN, revents: 0 };
        t.call("poll", sys!(SYS_poll, &raw mut poll, 1, 5000));
        let epoll = sys!(SYS_epoll_create1, 0);
        let mut event = epoll_event { events: 0, u64: 0 };
        t.show("child", wait_for(child));
        let child = disturb(writer);
        t.call("epoll_wait", sys!(SYS_epoll_wait, epoll, &raw mut event, 1, 5000));
        t.show("child", wait_for(child));
        let child = disturb(writer);
        let word = 0u32;
        let wait = timespec { tv_sec: 2, tv_nsec: 0 };
        if flags == 0 {
            t.call("futex", sys!(SYS_futex, &raw const word, FUTEX_WAIT, 0, &raw const wait));
        }
        t.show("child", wait_for(child));
    }
}

fn wait_restarts(t: &Trace) {
    let (_, writer) = pipe();
    for flags in [0, SA_RESTART] {
        handle(SIGUSR1, flags, count);
        let child = disturb(writer);
        let got = sys!(SYS_wait4, child, 0, 0, 0);
        if got == -1 {
            t.call("wait", got)
        } else {
            t.show("wait", "the child")
        }
        wait_for(child);
    }
}

fn pause_and_suspend(t: &Trace) {
    let (_, writer) = pipe();
    handle(SIGUSR1, SA_RESTART, count);
    let child = disturb(writer);
    t.call("pause", sys!(SYS_pause));
    wait_for(child);
    block(&[SIGUSR1]);
    send(SIGUSR1);
    let none = 0u64;
    t.call("suspend", sys!(SYS_rt_sigsuspend, &raw const none, 8));
    t.show("count", COUNT.load(SeqCst));
    t.show("mask is back", format!("{:#x}", mask()));
    t.call("size", sys!(SYS_rt_sigsuspend, &raw const none, 4));
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

fn wait_wakes(t: &Trace) {
    let (_, writer) = pipe();
    block(&[SIGUSR1]);
    let set = set_of(&[SIGUSR1]);
    let child = disturb(writer);
    t.call("comes", sys!(SYS_rt_sigtimedwait, &raw const set, 0, 0, 8));
    wait_for(child);
    handle(SIGUSR2, 0, count);
    let parent = sys!(SYS_getpid);
    let child = spawn(|| {
        sleep_ms(30);
        sys!(SYS_kill, parent, SIGUSR2);
    });
    t.call("interrupted", sys!(SYS_rt_sigtimedwait, &raw const set, 0, 0, 8));
    wait_for(child);
}

fn stop_and_continue(t: &Trace) {
    let (reader, writer) = pipe();
    let pid = spawn(|| {
        for _ in 0..1000 {
            write(writer, b".");
            sleep_ms(1);
        }
    });
    let mut buffer = [0u8; 100];
    sys!(SYS_read, reader, buffer.as_mut_ptr(), 1);
    sys!(SYS_kill, pid, SIGSTOP);
    let mut status = 0;
    sys!(SYS_wait4, pid, &raw mut status, WUNTRACED, 0);
    sys!(SYS_fcntl, reader, F_SETFL, O_NONBLOCK);
    while sys!(SYS_read, reader, buffer.as_mut_ptr(), 100) > 0 {}
    sleep_ms(30);
    t.call("silent", sys!(SYS_read, reader, buffer.as_mut_ptr(), 100));
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    t.show("state", state.split(") ").nth(1).unwrap_or("").chars().next().unwrap_or(' '));
    sys!(SYS_kill, pid, SIGCONT);
    t.show("goes on", crate::support::until(|| sys!(SYS_read, reader, buffer.as_mut_ptr(), 100) > 0));
    sys!(SYS_kill, pid, SIGTERM);
    t.show("ended", wait_for(pid));
}

fn stop_signals(t: &Trace) {
    handle(SIGTSTP, 0, count);
    send(SIGTSTP);
    t.show("handled", COUNT.load(SeqCst));
    block(&[SIGTSTP, SIGCONT]);
    send(SIGTSTP);
    send(SIGCONT);
    let mut pending = 0u64;
    sys!(SYS_rt_sigpending, &raw mut pending, 8);
    t.show("CONT drops TSTP", format!("{pending:#x}"));
    send(SIGTSTP);
    sys!(SYS_rt_sigpending, &raw mut pending, 8);
    t.show("TSTP drops CONT", format!("{pending:#x}"));
    let pid = spawn(|| {
        // SAFETY: the default action, in a group whose session has no other member.
        unsafe { libc::signal(SIGTTIN, SIG_DFL) };
        sys!(SYS_setsid);
        send(SIGTTIN);
    });
    t.show("orphaned group", wait_for(pid));
}

static ADDRESS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn report_fault(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel's.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    let right = address == ADDRESS.load(SeqCst);
    Trace.show("fault", format!("{} code {code} address is right: {right}", signal_name(signal)));
    // SAFETY: ends the process.
    unsafe { _exit(0) }
}

fn faults(t: &Trace) {
    for signal in [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP] {
        handle(signal, 0, report_fault);
    }
    let touch = |address: usize, write: bool| {
        ADDRESS.store(address, SeqCst);
        in_child(|| {
            // SAFETY: a fault is what the case is about.
            unsafe {
                if write { std::ptr::write_volatile(address as *mut u8, 1) } else { _ = std::ptr::read_volatile(address as *const u8) }
            }
        })
    };
    t.show("unmapped read", touch(0x1000, false));
    t.show("unmapped write", touch(0x1008, true));
    let page = sys!(SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) as usize;
    t.show("write of read-only", touch(page + 12, true));
    sys!(SYS_mprotect, page, 4096, PROT_NONE);
    t.show("read of nothing", touch(page + 100, false));
    ADDRESS.store(0, SeqCst);
    t.show(
        "not canonical",
        in_child(|| {
            // SAFETY: a fault is what the case is about.
            _ = unsafe { std::ptr::read_volatile((1u64 << 60) as *const u8) }
        }),
    );
    t.show("kernel's", touch(0xffff_ffff_8000_0000, false));
    let fd = crate::support::file(c"a", b"abc");
    let map = sys!(SYS_mmap, 0, 8192, PROT_READ, MAP_SHARED, fd, 0) as usize;
    t.show("behind a file", touch(map + 4096, false));
}

fn fault_blocked(t: &Trace) {
    handle(SIGSEGV, 0, report_fault);
    t.show(
        "blocked",
        in_child(|| {
            block(&[SIGSEGV]);
            // SAFETY: a fault is what the case is about.
            _ = unsafe { std::ptr::read_volatile(8 as *const u8) }
        }),
    );
    t.show(
        "ignored",
        in_child(|| {
            // SAFETY: ignores a signal; a fault is what the case is about.
            unsafe {
                libc::signal(SIGSEGV, SIG_IGN);
                std::ptr::read_volatile(8 as *const u8);
            }
        }),
    );
}

extern "C" fn mend(_: c_int, info: *mut siginfo_t, _: *mut c_void) {
    COUNT.fetch_add(1, SeqCst);
    // SAFETY: the page of the fault is the case's own.
    let page = unsafe { (*info).si_addr() as usize } & !4095;
    sys!(SYS_mprotect, page, 4096, PROT_READ | PROT_WRITE);
}

fn fault_handled_and_mended(t: &Trace) {
    handle(SIGSEGV, 0, mend);
    let at = sys!(SYS_mmap, 0, 16 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) as usize;
    for page in 0..16 {
        // SAFETY: the handler makes it writable.
        unsafe { std::ptr::write_volatile((at + page * 4096 + 8) as *mut u64, page as u64) };
    }
    t.show("faults", COUNT.load(SeqCst));
    // SAFETY: is readable now.
    t.show("last", unsafe { std::ptr::read_volatile((at + 15 * 4096 + 8) as *const u64) });
}

extern "C" fn code_only(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel's; ends the process.
    unsafe {
        Trace.show("trap", format!("{} code {}", signal_name(signal), (*info).si_code));
        _exit(0)
    }
}

fn divide_and_traps(t: &Trace) {
    use std::arch::asm;
    for signal in [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP] {
        handle(signal, 0, code_only);
    }
    // SAFETY, for all: a trap is what the case is about.
    t.show(
        "divide",
        in_child(|| unsafe { asm!("xor ecx, ecx", "mov eax, 1", "cdq", "idiv ecx", out("eax") _, out("ecx") _, out("edx") _) }),
    );
    t.show("ud2", in_child(|| unsafe { asm!("ud2") }));
    t.show("int3", in_child(|| unsafe { asm!("int3") }));
    t.show("hlt", in_child(|| unsafe { asm!("hlt") }));
    t.show("int 0x55", in_child(|| unsafe { asm!("int 0x55") }));
    t.show("single step", in_child(|| unsafe { asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq", "nop") }));
    t.show(
        "default ud2",
        in_child(|| unsafe {
            libc::signal(SIGILL, SIG_DFL);
            asm!("ud2")
        }),
    );
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

static THREAD: AtomicI64 = AtomicI64::new(0);

extern "C" fn keep_thread(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    THREAD.store(sys!(SYS_gettid), SeqCst);
}

fn to_a_thread(t: &Trace) {
    handle(SIGUSR1, 0, keep_thread);
    let tid = std::sync::Arc::new(AtomicI64::new(0));
    let own = tid.clone();
    let thread = std::thread::spawn(move || {
        own.store(sys!(SYS_gettid), SeqCst);
        sys!(SYS_pause);
    });
    crate::support::until(|| tid.load(SeqCst) != 0);
    sleep_ms(20);
    let target = tid.load(SeqCst);
    t.call("send", sys!(SYS_tgkill, sys!(SYS_getpid), target, SIGUSR1));
    let _ = thread.join();
    t.show("there", THREAD.load(SeqCst) == target);
    t.call("gone", sys!(SYS_tgkill, sys!(SYS_getpid), target, SIGUSR1));
}

fn thread_masks(t: &Trace) {
    handle(SIGUSR1, 0, keep_thread);
    let stop = std::sync::Arc::new(AtomicI32::new(0));
    let (own, inner) = (std::sync::Arc::new(AtomicI64::new(0)), stop.clone());
    let tid = own.clone();
    let thread = std::thread::spawn(move || {
        own.store(sys!(SYS_gettid), SeqCst);
        while inner.load(SeqCst) == 0 {
            sleep_ms(2);
        }
    });
    crate::support::until(|| tid.load(SeqCst) != 0);
    block(&[SIGUSR1]);
    sys!(SYS_kill, sys!(SYS_getpid), SIGUSR1);
    t.show("the thread takes it", crate::support::until(|| THREAD.load(SeqCst) == tid.load(SeqCst)));
    stop.store(1, SeqCst);
    let _ = thread.join();
    t.show("inherited mask", std::thread::spawn(|| format!("{:#x}", mask())).join().unwrap_or_default());
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

fn kill_everyone_in_group(t: &Trace) {
    let end = in_child(|| {
        sys!(SYS_setpgid, 0, 0);
        let one = spawn(|| _ = sys!(SYS_pause));
        let two = spawn(|| _ = sys!(SYS_pause));
        // SAFETY: ignores a signal.
        unsafe { libc::signal(SIGTERM, SIG_IGN) };
        t.call("kill", sys!(SYS_kill, 0, SIGTERM));
        t.show("one", wait_for(one));
        t.show("two", wait_for(two));
    });
    t.show("child", end);
}

fn signal_during_fork_storm(t: &Trace) {
    handle(SIGUSR1, SA_RESTART, count);
    let parent = sys!(SYS_getpid);
    let child = spawn(|| {
        for _ in 0..200 {
            sys!(SYS_kill, parent, SIGUSR1);
        }
    });
    let mut good = 0;
    for _ in 0..30 {
        let pid = spawn(|| ());
        good += i32::from(sys!(SYS_wait4, pid, 0, 0, 0) == i64::from(pid));
    }
    t.show("good", good);
    t.show("child", wait_for(child));
    t.show("some handled", COUNT.load(SeqCst) > 0);
}
