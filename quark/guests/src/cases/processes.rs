//! fork, clone, exit, wait; sessions, groups, prctl and limits.

use crate::support::{block, ending, handle, in_child, pipe, show_read, sleep_ms, spawn, spawn_with, until, wait_for, write, zeroed};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(fork_and_exit_codes),
    case!(fork_copies),
    case!(vfork_waits),
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
    case!(exit_signal_of_clone),
    case!(clone_shares_descriptors),
    case!(clone_shares_memory),
    case!(clone_errors),
    case!(clone3_errors),
    case!(clone_parent),
    case!(clone_sets_tid),
    case!(pidfd),
    case!(pidfd_of_thread_and_errors),
    case!(groups),
    case!(group_errors),
    case!(sessions),
    case!(prctl_names),
    case!(prctl_flags),
    case!(prctl_errors),
    case!(limits),
    case!(prlimit_of_another),
    case!(process_limit_is_per_user),
    case!(exit_with_threads),
    case!(main_thread_ends),
    case!(kill_checks),
    case!(proc_status),
    case!(many_children),
    case!(unshare_and_setns),
];

extern "C" fn nothing(_: c_int, _: *mut siginfo_t, _: *mut c_void) {}

fn fork_and_exit_codes(t: &Trace) {
    for code in [0, 1, 42, 255, 256, -1] {
        t.show("ended", wait_for(spawn_with(|| code)));
    }
    t.show("exit", in_child(|| _ = sys!(SYS_exit, 7)));
    t.show("exit_group", in_child(|| _ = sys!(SYS_exit_group, 8)));
}

fn fork_copies(t: &Trace) {
    let mut value = 1;
    block(&[SIGUSR1]);
    // SAFETY: a signal to ourselves.
    unsafe { raise(SIGUSR1) };
    let end = in_child(|| {
        value += 1;
        t.show("value", value);
        let mut pending: sigset_t = zeroed();
        // SAFETY: asks only.
        unsafe { sigpending(&raw mut pending) };
        // SAFETY: asks only.
        t.call("pending is not inherited", unsafe { sigismember(&raw const pending, SIGUSR1) });
        t.show("parent", sys!(SYS_getppid) > 0);
        t.show("alarm", sys!(SYS_alarm, 0));
    });
    t.show("child", end);
    t.show("value", value);
}

fn vfork_waits(t: &Trace) {
    let (reader, writer) = pipe();
    // SAFETY: the child only writes and ends; CLONE_VFORK without CLONE_VM keeps the stack our own.
    let pid = unsafe { syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0) } as i32;
    if pid == 0 {
        sleep_ms(30);
        write(writer, b"child first");
        // SAFETY: ends the child.
        unsafe { _exit(3) };
    }
    sys!(SYS_fcntl, reader, F_SETFL, O_NONBLOCK);
    show_read(t, "written before we go on", reader);
    t.show("child", wait_for(pid));
}

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

fn info_line(info: &siginfo_t, pid: i32) -> String {
    // SAFETY: the kernel filled in the part for SIGCHLD.
    let (from, status) = unsafe { (info.si_pid(), info.si_status()) };
    format!("signal {} code {} own {} status {status}", info.si_signo, info.si_code, from == pid)
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

fn exit_signal_of_clone(t: &Trace) {
    block(&[SIGUSR1, SIGCHLD]);
    // SAFETY: a fork whose end is told by another signal.
    let pid = unsafe { syscall(SYS_clone, SIGUSR1, 0, 0, 0, 0) } as i32;
    if pid == 0 {
        // SAFETY: ends the child.
        unsafe { _exit(2) };
    }
    let set = crate::support::set_of(&[SIGUSR1, SIGCHLD]);
    let mut info: siginfo_t = zeroed();
    t.call("signal", sys!(SYS_rt_sigtimedwait, &raw const set, &raw mut info, 0, 8));
    t.call("plain wait", sys!(SYS_wait4, pid, 0, WNOHANG, 0));
    let mut status = 0;
    t.show("wait for clones", sys!(SYS_wait4, pid, &raw mut status, __WCLONE, 0) as i32 == pid);
    t.show("status", ending(status));
}

fn clone_shares_descriptors(t: &Trace) {
    // SAFETY: the child shares descriptors and folder alone.
    let pid = unsafe { syscall(SYS_clone, CLONE_FILES | CLONE_FS | SIGCHLD, 0, 0, 0, 0) } as i32;
    if pid == 0 {
        sys!(SYS_dup2, 0, 20);
        sys!(SYS_chdir, c"/".as_ptr());
        sys!(SYS_umask, 0o77);
        // SAFETY: ends the child.
        unsafe { _exit(0) };
    }
    t.show("child", wait_for(pid));
    t.call("descriptor", sys!(SYS_fcntl, 20, F_GETFD));
    t.show("folder", std::env::current_dir().map(|path| path.display().to_string()).unwrap_or_default());
    t.call("umask", sys!(SYS_umask, 0));
}

static SHARED: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(0);

extern "C" fn set_shared(_: *mut c_void) -> c_int {
    SHARED.store(5, std::sync::atomic::Ordering::SeqCst);
    11
}

fn clone_shares_memory(t: &Trace) {
    let mut stack = vec![0u8; 65_536];
    // SAFETY: the child runs on the stack's end, then ends; the stack outlives it.
    let pid = unsafe { clone(set_shared, stack.as_mut_ptr().add(65_536).cast(), CLONE_VM | SIGCHLD, std::ptr::null_mut()) };
    t.show("child", wait_for(pid));
    t.show("shared", SHARED.load(std::sync::atomic::Ordering::SeqCst));
    // SAFETY: as above.
    let pid = unsafe { clone(set_shared, stack.as_mut_ptr().add(65_536).cast(), CLONE_VM | CLONE_VFORK | SIGCHLD, std::ptr::null_mut()) };
    t.show("child", wait_for(pid));
}

fn clone_errors(t: &Trace) {
    let clone = |flags: i64| sys!(SYS_clone, flags, 0, 0, 0, 0);
    t.call("handlers without memory", clone(i64::from(CLONE_SIGHAND)));
    t.call("thread without handlers", clone(i64::from(CLONE_THREAD | CLONE_VM)));
    t.call("folder and namespace", clone(i64::from(CLONE_FS | CLONE_NEWNS)));
    t.call("thread and namespace", clone(i64::from(CLONE_NEWPID | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM)));
}

fn clone3_errors(t: &Trace) {
    let mut args: clone_args = zeroed();
    t.call("short", sys!(SYS_clone3, &raw const args, 8));
    t.call("bad pointer", sys!(SYS_clone3, 8, size_of::<clone_args>()));
    args.exit_signal = 100;
    t.call("signal", sys!(SYS_clone3, &raw const args, size_of::<clone_args>()));
    args.exit_signal = 0;
    args.flags = 1 << 60;
    t.call("flag", sys!(SYS_clone3, &raw const args, size_of::<clone_args>()));
    args.flags = 0;
    args.stack = 4096;
    t.call("stack without size", sys!(SYS_clone3, &raw const args, size_of::<clone_args>()));
    args.stack = 0;
    args.exit_signal = SIGCHLD as u64;
    let pid = sys!(SYS_clone3, &raw const args, size_of::<clone_args>());
    if pid == 0 {
        // SAFETY: ends the child.
        unsafe { _exit(6) };
    }
    t.show("child", wait_for(pid as i32));
}

fn clone_parent(t: &Trace) {
    let own = sys!(SYS_getpid);
    let end = in_child(|| {
        // SAFETY: a fork that becomes our parent's child.
        let pid = unsafe { syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) };
        if pid == 0 {
            t.show("sibling's parent", sys!(SYS_getppid) == own);
            // SAFETY: ends the child.
            unsafe { _exit(12) };
        }
        t.call("not our child", sys!(SYS_wait4, pid, 0, 0, 0));
    });
    t.show("child", end);
    t.show("sibling", wait_for(-1).replace("not waited for: ECHILD", "exited 12"));
}

fn clone_sets_tid(t: &Trace) {
    let (mut parent, mut child) = (0i32, 0i32);
    let flags = CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD;
    let pid = sys!(SYS_clone, flags, 0, &raw mut parent, &raw mut child, 0);
    if pid == 0 {
        t.show("child's", i64::from(child) == sys!(SYS_gettid));
        // SAFETY: ends the child.
        unsafe { _exit(0) };
    }
    t.show("parent's", i64::from(parent) == pid);
    t.show("not ours", child);
    t.show("child", wait_for(pid as i32));
    t.show("set_tid_address", sys!(SYS_set_tid_address, &raw mut child) == sys!(SYS_gettid));
}

fn pidfd(t: &Trace) {
    let pid = spawn_with(|| {
        sys!(SYS_pause);
        0
    });
    let fd = sys!(SYS_pidfd_open, pid, 0);
    t.call("open", fd);
    t.call("closes on exec", sys!(SYS_fcntl, fd, F_GETFD));
    let mut poll = pollfd { fd: fd as i32, events: POLLIN, revents: 0 };
    t.call("alive", sys!(SYS_poll, &raw mut poll, 1, 0));
    t.call("signal", sys!(SYS_pidfd_send_signal, fd, SIGTERM, 0, 0));
    t.call("ended", sys!(SYS_poll, &raw mut poll, 1, 3000));
    t.show("events", poll.revents);
    let mut info: siginfo_t = zeroed();
    t.call("waitid", sys!(SYS_waitid, P_PIDFD, fd, &raw mut info, WEXITED, 0));
    t.show("info", info_line(&info, pid));
    t.call("signal nobody", sys!(SYS_pidfd_send_signal, fd, SIGTERM, 0, 0));
    t.call("wait again", sys!(SYS_waitid, P_PIDFD, fd, &raw mut info, WEXITED, 0));
}

fn pidfd_of_thread_and_errors(t: &Trace) {
    t.call("nobody", sys!(SYS_pidfd_open, 32_000, 0));
    t.call("negative", sys!(SYS_pidfd_open, -1, 0));
    t.call("flags", sys!(SYS_pidfd_open, sys!(SYS_getpid), 1));
    t.call("not a pidfd", sys!(SYS_pidfd_send_signal, 0, SIGTERM, 0, 0));
    let own = sys!(SYS_pidfd_open, sys!(SYS_getpid), 0);
    t.call("signal 0", sys!(SYS_pidfd_send_signal, own, 0, 0, 0));
    t.call("take a descriptor", sys!(SYS_pidfd_getfd, own, 1, 0));
    t.call("closed", sys!(SYS_pidfd_getfd, own, 99, 0));
    t.call("flags", sys!(SYS_pidfd_getfd, own, 1, 1));
}

fn groups(t: &Trace) {
    let own = sys!(SYS_getpid);
    t.show("leader", sys!(SYS_getpgrp) == own && sys!(SYS_getsid, 0) == own);
    let end = in_child(|| {
        t.show("inherited", sys!(SYS_getpgid, 0) == own);
        t.call("setpgid", sys!(SYS_setpgid, 0, 0));
        t.show("its own", sys!(SYS_getpgid, 0) == sys!(SYS_getpid));
        t.call("back", sys!(SYS_setpgid, 0, own));
        t.show("joined", sys!(SYS_getpgrp) == own);
    });
    t.show("child", end);
    let pid = spawn(|| _ = sys!(SYS_pause));
    let other = spawn(|| _ = sys!(SYS_pause));
    t.call("of a child", sys!(SYS_setpgid, pid, pid));
    t.call("join it", sys!(SYS_setpgid, other, pid));
    t.call("kill both", sys!(SYS_kill, -pid, SIGTERM));
    t.show("ended", format!("{} {}", wait_for(pid), wait_for(other)));
    t.call("empty group", sys!(SYS_kill, -pid, SIGTERM));
}

fn group_errors(t: &Trace) {
    t.call("session leader", sys!(SYS_setpgid, 0, 0));
    t.call("negative", sys!(SYS_setpgid, 0, -1));
    t.call("stranger", sys!(SYS_setpgid, 32_000, 0));
    t.call("pid 1", sys!(SYS_setpgid, 1, 1));
    let end = in_child(|| t.call("no such group", sys!(SYS_setpgid, 0, 31_000)));
    t.show("child", end);
    let pid = spawn(|| {
        sys!(SYS_setsid);
        sleep_ms(200);
    });
    t.show("other session", until(|| sys!(SYS_getsid, pid) == i64::from(pid)));
    t.call("into another session", sys!(SYS_setpgid, pid, 0));
    t.call("getpgid of nobody", sys!(SYS_getpgid, 32_000));
    t.call("getsid of nobody", sys!(SYS_getsid, 32_000));
}

fn sessions(t: &Trace) {
    t.call("leader again", sys!(SYS_setsid));
    let end = in_child(|| {
        t.show("new", sys!(SYS_setsid) == sys!(SYS_getpid));
        t.show("group too", sys!(SYS_getpgrp) == sys!(SYS_getpid));
        t.call("no terminal", sys!(SYS_open, c"/dev/tty".as_ptr(), O_RDWR));
    });
    t.show("child", end);
}

fn prctl_names(t: &Trace) {
    let mut name = [0u8; 16];
    t.call("set", sys!(SYS_prctl, PR_SET_NAME, c"a name that is too long".as_ptr(), 0, 0, 0));
    t.call("get", sys!(SYS_prctl, PR_GET_NAME, name.as_mut_ptr(), 0, 0, 0));
    t.bytes("name", &name);
    t.show("comm", std::fs::read_to_string("/proc/self/comm").unwrap_or_default().trim_end());
    let _ = std::fs::write("/proc/self/comm", "other");
    sys!(SYS_prctl, PR_GET_NAME, name.as_mut_ptr(), 0, 0, 0);
    t.bytes("written", &name);
    t.show("inherited", in_child(|| t.show("comm", std::fs::read_to_string("/proc/self/comm").unwrap_or_default().trim_end())));
}

fn prctl_flags(t: &Trace) {
    t.call("dumpable", sys!(SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0));
    t.call("not", sys!(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0));
    t.call("dumpable", sys!(SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0));
    t.call("wrong", sys!(SYS_prctl, PR_SET_DUMPABLE, 7, 0, 0, 0));
    t.call("keep capabilities", sys!(SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0));
    t.call("kept", sys!(SYS_prctl, PR_GET_KEEPCAPS, 0, 0, 0, 0));
    t.call("privileges", sys!(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    t.call("no new", sys!(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    t.call("privileges", sys!(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    t.call("not back", sys!(SYS_prctl, PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    t.call("slack", sys!(SYS_prctl, PR_SET_TIMERSLACK, 70_000, 0, 0, 0));
    t.call("slack", sys!(SYS_prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0));
    t.call("secure bits", sys!(SYS_prctl, PR_GET_SECUREBITS, 0, 0, 0, 0));
    t.call("bounding", sys!(SYS_prctl, PR_CAPBSET_READ, 0, 0, 0, 0));
    t.call("huge pages", sys!(SYS_prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0));
}

fn prctl_errors(t: &Trace) {
    t.call("unknown", sys!(SYS_prctl, 99_999, 0, 0, 0, 0));
    t.call("no such capability", sys!(SYS_prctl, PR_CAPBSET_READ, 99, 0, 0, 0));
    t.call("bad name", sys!(SYS_prctl, PR_SET_NAME, 8, 0, 0, 0));
    t.call("extra argument", sys!(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0));
    t.call("seccomp mode", sys!(SYS_prctl, PR_GET_SECCOMP, 0, 0, 0, 0));
    t.call("arch_prctl", sys!(SYS_arch_prctl, 0x9999, 0));
    let mut base = 0u64;
    t.call("FS", sys!(SYS_arch_prctl, 0x1003, &raw mut base));
    t.show("not zero", base != 0);
    t.call("kernel's FS", sys!(SYS_arch_prctl, 0x1002, 1u64 << 63));
}

fn limits(t: &Trace) {
    let mut limit: rlimit = zeroed();
    let set = |cur: u64, max: u64| {
        let limit = rlimit { rlim_cur: cur, rlim_max: max };
        sys!(SYS_setrlimit, RLIMIT_NOFILE, &raw const limit)
    };
    t.call("set", set(100, 200));
    t.call("get", sys!(SYS_getrlimit, RLIMIT_NOFILE, &raw mut limit));
    t.show("limit", format!("{} {}", limit.rlim_cur, limit.rlim_max));
    t.call("above", set(300, 200));
    t.call("unknown", sys!(SYS_getrlimit, 99, &raw mut limit));
    t.call("bad pointer", sys!(SYS_getrlimit, RLIMIT_NOFILE, 8));
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("raise", set(100, 300));
        t.call("to the hard limit", set(200, 200));
        t.call("lower", set(50, 60));
    });
    t.show("child", end);
    t.show("listed", std::fs::read_to_string("/proc/self/limits").unwrap_or_default().contains("Max open files"));
}

fn prlimit_of_another(t: &Trace) {
    let pid = spawn(|| _ = sys!(SYS_pause));
    let new = rlimit { rlim_cur: 33, rlim_max: 44 };
    let mut old: rlimit = zeroed();
    t.call("set", sys!(SYS_prlimit64, pid, RLIMIT_CORE, &raw const new, 0));
    t.call("get", sys!(SYS_prlimit64, pid, RLIMIT_CORE, 0, &raw mut old));
    t.show("limit", format!("{} {}", old.rlim_cur, old.rlim_max));
    t.call("nobody", sys!(SYS_prlimit64, 32_000, RLIMIT_CORE, 0, &raw mut old));
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("another user", sys!(SYS_prlimit64, pid, RLIMIT_CORE, 0, &raw mut old));
    });
    t.show("child", end);
    sys!(SYS_kill, pid, SIGKILL);
    t.show("ended", wait_for(pid));
}

fn process_limit_is_per_user(t: &Trace) {
    let end = in_child(|| {
        let limit = rlimit { rlim_cur: 1, rlim_max: 1 };
        sys!(SYS_setrlimit, RLIMIT_NPROC, &raw const limit);
        t.show("root", in_child(|| ()));
        sys!(SYS_setuid, 4321);
        t.call("another", spawn(|| ()));
    });
    t.show("child", end);
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

fn kill_checks(t: &Trace) {
    let own = sys!(SYS_getpid);
    t.call("own", sys!(SYS_kill, own, 0));
    t.call("nobody", sys!(SYS_kill, 32_000, 0));
    t.call("unknown signal", sys!(SYS_kill, own, 65));
    t.call("negative signal", sys!(SYS_kill, own, -1));
    t.call("tgkill", sys!(SYS_tgkill, own, own, 0));
    t.call("wrong process", sys!(SYS_tgkill, 1, own, 0));
    t.call("negative", sys!(SYS_tgkill, -1, own, 0));
    t.call("tkill", sys!(SYS_tkill, own, 0));
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("root's", sys!(SYS_kill, own, SIGTERM));
        t.call("init", sys!(SYS_kill, 1, 0));
        t.call("itself", sys!(SYS_kill, sys!(SYS_getpid), 0));
    });
    t.show("child", end);
}

fn proc_status(t: &Trace) {
    handle(SIGUSR1, 0, nothing);
    block(&[SIGUSR2]);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap_or("none");
        line.split_once(':').map_or("none", |(_, value)| value.trim()).replace('\t', " ")
    };
    for name in ["Name", "State", "Uid", "Gid", "Groups", "Threads", "SigBlk", "SigCgt", "Umask", "FDSize"] {
        t.show(name, value(name));
    }
    t.show("pid", value("Pid") == std::process::id().to_string());
    t.show("parent", value("PPid"));
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    t.show("stat fields", stat.split_whitespace().count());
    t.show(
        "command",
        std::fs::read("/proc/self/cmdline").unwrap_or_default().split(|byte| *byte == 0).next().unwrap_or_default().escape_ascii(),
    );
}

fn many_children(t: &Trace) {
    let pids: Vec<_> = (0..60).map(|i| spawn_with(|| i)).collect();
    let sum: i32 = pids
        .iter()
        .map(|pid| {
            let mut status = 0;
            sys!(SYS_wait4, *pid, &raw mut status, 0, 0);
            WEXITSTATUS(status)
        })
        .sum();
    t.show("sum of exit codes", sum);
    let mut different = pids.clone();
    different.sort();
    different.dedup();
    t.show("different pids", different.len());
}

fn unshare_and_setns(t: &Trace) {
    let end = in_child(|| {
        t.call("files", sys!(SYS_unshare, CLONE_FILES | CLONE_FS));
        t.call("unknown", sys!(SYS_unshare, 1));
        t.call("setns of a file", sys!(SYS_setns, 0, 0));
        t.call("setns closed", sys!(SYS_setns, 99, 0));
        sys!(SYS_setuid, 1000);
        t.call("mounts", sys!(SYS_unshare, CLONE_NEWNS));
    });
    t.show("child", end);
}
