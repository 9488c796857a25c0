//! Which thread or process a signal reaches.

use super::{COUNT, count, mask};
use crate::support::{block, handle, in_child, sleep_ms, spawn, wait_for};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering::SeqCst};

pub const CASES: &[Case] = &[case!(to_a_thread), case!(thread_masks), case!(kill_everyone_in_group), case!(signal_during_fork_storm)];

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
    // Who joins a thread is woken a moment before its id is gone.
    crate::support::until(|| sys!(SYS_tgkill, sys!(SYS_getpid), target, 0) == -1);
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
