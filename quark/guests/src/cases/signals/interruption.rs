//! What becomes of a call that a signal interrupts, and of a process that it stops.

use super::{COUNT, count, mask, send};
use crate::support::{block, handle, pipe, set_of, show_read, sleep_ms, spawn, took, wait_for, write, zeroed};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;
use std::sync::atomic::Ordering::SeqCst;

pub const CASES: &[Case] = &[
    case!(restarts_read),
    case!(interrupts_read),
    case!(sleep_interrupted),
    case!(poll_interrupted),
    case!(wait_restarts),
    case!(pause_and_suspend),
    case!(wait_wakes),
    case!(stop_and_continue),
    case!(stop_signals),
];

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
