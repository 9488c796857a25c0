//! The end of children, and who is told.

use super::info_line;
use crate::support::{block, ending, in_child, pipe, show_read, sleep_ms, spawn, spawn_with, until, wait_for, write, zeroed};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(wait_errors),
    case!(wait_any_order),
    case!(wait_by_group),
    case!(waitid_info),
    case!(waitid_leaves),
    case!(wait_usage),
    case!(stopped_and_continued),
    case!(killed),
    case!(orphans),
    case!(subreaper),
    case!(children_not_waited_for),
    case!(parent_death_signal),
    case!(exit_with_threads),
    case!(main_thread_ends),
];

fn wait_errors(t: &Trace) {
    let mut status = 0;
    t.call("no child", sys!(SYS_wait4, -1, &raw mut status, 0, 0));
    t.call("stranger", sys!(SYS_wait4, 1, &raw mut status, 0, 0));
    t.call("options", sys!(SYS_wait4, -1, &raw mut status, 0x100, 0));
    let pid = spawn(|| sleep_ms(50));
    t.call("not yet", sys!(SYS_wait4, pid, &raw mut status, WNOHANG, 0));
    t.call("another group", sys!(SYS_wait4, -30_000, &raw mut status, 0, 0));
    t.call("impossible", sys!(SYS_wait4, i32::MIN, &raw mut status, 0, 0));
    t.call("bad pointer", sys!(SYS_wait4, pid, 8, 0, 0));
    t.call("was reaped", sys!(SYS_wait4, pid, &raw mut status, 0, 0));
}

fn wait_any_order(t: &Trace) {
    let first = spawn_with(|| {
        sleep_ms(120);
        1
    });
    let second = spawn_with(|| 2);
    let mut status = 0;
    let got = sys!(SYS_wait4, -1, &raw mut status, 0, 0) as i32;
    t.show("first ended", format!("{} {}", got == second, ending(status)));
    let got = sys!(SYS_wait4, -1, &raw mut status, 0, 0) as i32;
    t.show("second ended", format!("{} {}", got == first, ending(status)));
}

fn wait_by_group(t: &Trace) {
    let other = spawn_with(|| {
        sys!(SYS_setpgid, 0, 0);
        sleep_ms(30);
        5
    });
    sys!(SYS_setpgid, other, other);
    let own = spawn_with(|| 6);
    let mut status = 0;
    t.show("own group", format!("{} {}", sys!(SYS_wait4, 0, &raw mut status, 0, 0) as i32 == own, ending(status)));
    t.show("other group", format!("{} {}", sys!(SYS_wait4, -other, &raw mut status, 0, 0) as i32 == other, ending(status)));
}

fn waitid_info(t: &Trace) {
    let mut info: siginfo_t = zeroed();
    let pid = spawn_with(|| 3);
    t.call("exited", sys!(SYS_waitid, P_PID, pid, &raw mut info, WEXITED, 0));
    t.show("info", info_line(&info, pid));
    let pid = spawn(|| _ = sys!(SYS_kill, sys!(SYS_getpid), SIGTERM));
    t.call("killed", sys!(SYS_waitid, P_ALL, 0, &raw mut info, WEXITED, 0));
    t.show("info", info_line(&info, pid));
    t.call("no option", sys!(SYS_waitid, P_ALL, 0, &raw mut info, 0, 0));
    t.call("kind", sys!(SYS_waitid, 9, 0, &raw mut info, WEXITED, 0));
    t.call("nobody", sys!(SYS_waitid, P_ALL, 0, &raw mut info, WEXITED, 0));
    let pid = spawn(|| sleep_ms(100));
    t.call("not yet", sys!(SYS_waitid, P_PID, pid, &raw mut info, WEXITED | WNOHANG, 0));
    t.show("zeroed", format!("{} {}", info.si_signo, info.si_code));
    t.show("child", wait_for(pid));
}

fn waitid_leaves(t: &Trace) {
    let pid = spawn_with(|| 4);
    let mut info: siginfo_t = zeroed();
    for _ in 0..2 {
        t.call("look", sys!(SYS_waitid, P_PID, pid, &raw mut info, WEXITED | WNOWAIT, 0));
        t.show("info", info_line(&info, pid));
    }
    t.call("kill a zombie", sys!(SYS_kill, pid, SIGKILL));
    t.show("take", wait_for(pid));
    t.call("kill nobody", sys!(SYS_kill, pid, SIGKILL));
}

fn wait_usage(t: &Trace) {
    let pid = spawn(|| {
        let mut sum = 0u64;
        for i in 0..30_000_000u64 {
            sum = std::hint::black_box(sum + i);
        }
    });
    let mut usage: rusage = zeroed();
    t.show("waited", sys!(SYS_wait4, pid, 0, 0, &raw mut usage) as i32 == pid);
    t.show("time used", usage.ru_utime.tv_sec > 0 || usage.ru_utime.tv_usec > 0);
    t.show("memory used", usage.ru_maxrss > 0);
    let mut children: rusage = zeroed();
    t.call("getrusage", sys!(SYS_getrusage, RUSAGE_CHILDREN, &raw mut children));
    t.show("of children", children.ru_utime.tv_sec > 0 || children.ru_utime.tv_usec > 0);
    t.call("unknown", sys!(SYS_getrusage, 9, &raw mut children));
    let mut times: tms = zeroed();
    t.ok("times", sys!(SYS_times, &raw mut times));
}

fn stopped_and_continued(t: &Trace) {
    let pid = spawn_with(|| {
        sys!(SYS_kill, sys!(SYS_getpid), SIGSTOP);
        sleep_ms(150);
        9
    });
    let mut status = 0;
    sys!(SYS_wait4, pid, &raw mut status, WUNTRACED, 0);
    t.show("stopped", ending(status));
    t.call("once", sys!(SYS_wait4, pid, &raw mut status, WUNTRACED | WNOHANG, 0));
    t.call("continue", sys!(SYS_kill, pid, SIGCONT));
    sys!(SYS_wait4, pid, &raw mut status, WCONTINUED, 0);
    t.show("continued", ending(status));
    t.show("ended", wait_for(pid));
}

fn killed(t: &Trace) {
    for signal in [SIGKILL, SIGTERM, SIGABRT, SIGHUP, SIGALRM, SIGRTMIN()] {
        let pid = spawn(|| _ = sys!(SYS_pause));
        sys!(SYS_kill, pid, signal);
        let mut status = 0;
        sys!(SYS_wait4, pid, &raw mut status, 0, 0);
        t.show("ended", ending(status));
    }
    let pid = spawn(|| _ = sys!(SYS_pause));
    sys!(SYS_kill, pid, SIGSTOP);
    sys!(SYS_kill, pid, SIGKILL);
    t.show("stopped and killed", wait_for(pid));
}

fn orphans(t: &Trace) {
    let (reader, writer) = pipe();
    let end = in_child(|| {
        spawn(|| {
            until(|| sys!(SYS_getppid) == 1);
            t.show("adopted", sys!(SYS_getppid));
            write(writer, b"x");
        });
    });
    t.show("child", end);
    show_read(t, "grandchild", reader);
}

fn subreaper(t: &Trace) {
    t.call("set", sys!(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
    let mut on = 0i32;
    t.call("get", sys!(SYS_prctl, PR_GET_CHILD_SUBREAPER, &raw mut on, 0, 0, 0));
    t.show("on", on);
    let own = sys!(SYS_getpid);
    let end = in_child(|| {
        spawn_with(|| {
            until(|| sys!(SYS_getppid) == own);
            6
        });
    });
    t.show("child", end);
    t.show("grandchild", wait_for(-1).replace("not waited for: ECHILD", "exited 6"));
}

fn children_not_waited_for(t: &Trace) {
    // SAFETY: ignores a signal.
    unsafe { signal(SIGCHLD, SIG_IGN) };
    let pid = spawn(|| ());
    t.show("reaped by itself", until(|| sys!(SYS_kill, pid, 0) == -1));
    t.call("wait", sys!(SYS_wait4, pid, 0, 0, 0));
    let mut action: sigaction = zeroed();
    action.sa_flags = SA_NOCLDWAIT;
    // SAFETY: the default action, with a flag.
    unsafe { sigaction(SIGCHLD, &raw const action, std::ptr::null_mut()) };
    spawn(|| sleep_ms(30));
    t.call("waits for all, then none", sys!(SYS_wait4, -1, 0, 0, 0));
}

fn parent_death_signal(t: &Trace) {
    let (reader, writer) = pipe();
    let (ready, go) = pipe();
    let end = in_child(|| {
        spawn(|| {
            t.call("set", sys!(SYS_prctl, PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0));
            block(&[SIGUSR1]);
            write(go, b"x");
            let set = crate::support::set_of(&[SIGUSR1]);
            let mut info: siginfo_t = zeroed();
            t.call("got", sys!(SYS_rt_sigtimedwait, &raw const set, &raw mut info, 0, 8));
            write(writer, b"done");
        });
        show_read(t, "ready", ready);
    });
    t.show("child", end);
    show_read(t, "grandchild", reader);
    t.call("unknown signal", sys!(SYS_prctl, PR_SET_PDEATHSIG, 100, 0, 0, 0));
}

fn exit_with_threads(t: &Trace) {
    let end = in_child(|| {
        std::thread::spawn(|| sleep_ms(5_000));
        std::thread::spawn(|| {
            sleep_ms(20);
            // SAFETY: ends the process.
            unsafe { _exit(21) };
        });
        sys!(SYS_pause);
    });
    t.show("by a thread", end);
    let end = in_child(|| {
        std::thread::spawn(|| _ = sys!(SYS_kill, sys!(SYS_getpid), SIGKILL));
        sys!(SYS_pause);
    });
    t.show("by a signal", end);
}

fn main_thread_ends(t: &Trace) {
    let pid = spawn(|| {
        std::thread::spawn(|| {
            sleep_ms(60);
            // SAFETY: ends the process.
            unsafe { _exit(22) };
        });
        sys!(SYS_exit, 1);
    });
    sleep_ms(20);
    t.call("not yet", sys!(SYS_wait4, pid, 0, WNOHANG, 0));
    t.show("ended", wait_for(pid));
}
