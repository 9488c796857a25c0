//! fork, vfork, clone and what they share.

use crate::support::{block, ending, in_child, pipe, show_read, sleep_ms, spawn_with, wait_for, write, zeroed};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(fork_and_exit_codes),
    case!(fork_copies),
    case!(vfork_waits),
    case!(exit_signal_of_clone),
    case!(clone_shares_descriptors),
    case!(clone_shares_memory),
    case!(clone_errors),
    case!(clone3_errors),
    case!(clone_parent),
    case!(clone_sets_tid),
    case!(many_children),
    case!(unshare_and_setns),
];

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
