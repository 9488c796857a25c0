//! eventfd, timerfd, signalfd.

use crate::support::{block, set_of, sleep_ms, spawn, took, wait_for, zeroed};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(eventfd_counts),
    case!(eventfd_limits),
    case!(eventfd_semaphore),
    case!(eventfd_wakes),
    case!(timerfd_once),
    case!(timerfd_repeats),
    case!(timerfd_absolute),
    case!(timerfd_errors),
    case!(signalfd_reads),
    case!(signalfd_errors),
];

fn read_count(t: &Trace, what: &str, fd: i64) {
    let mut value = 0u64;
    let got = sys!(SYS_read, fd, &raw mut value, 8);
    if got == 8 { t.show(what, value) } else { t.call(what, got) }
}

fn add(fd: i64, value: u64) -> i64 {
    sys!(SYS_write, fd, &raw const value, 8)
}

fn eventfd_counts(t: &Trace) {
    let fd = sys!(SYS_eventfd2, 3, EFD_NONBLOCK);
    t.call("create", fd);
    read_count(t, "first", fd);
    read_count(t, "empty", fd);
    t.call("add", add(fd, 5));
    add(fd, 7);
    read_count(t, "sum", fd);
    t.call("zero", add(fd, 0));
    read_count(t, "still empty", fd);
}

fn eventfd_limits(t: &Trace) {
    let fd = sys!(SYS_eventfd2, 0, EFD_NONBLOCK);
    t.call("most", add(fd, u64::MAX - 1));
    t.call("one more", add(fd, 1));
    t.call("too large", add(fd, u64::MAX));
    t.call("short", sys!(SYS_write, fd, b"abc".as_ptr(), 3));
    t.call("short read", sys!(SYS_read, fd, [0u8; 4].as_mut_ptr(), 4));
    read_count(t, "value", fd);
    t.call("flags", sys!(SYS_eventfd2, 0, 1 << 5));
    t.call("seek", sys!(SYS_lseek, fd, 0, SEEK_SET));
    t.call("old call", sys!(SYS_eventfd, 1));
    t.call("bad pointer", sys!(SYS_write, fd, 8, 8));
}

fn eventfd_semaphore(t: &Trace) {
    let fd = sys!(SYS_eventfd2, 3, EFD_SEMAPHORE | EFD_NONBLOCK);
    for _ in 0..4 {
        read_count(t, "take", fd);
    }
}

fn eventfd_wakes(t: &Trace) {
    let fd = sys!(SYS_eventfd2, 0, 0);
    let child = spawn(|| read_count(t, "child", fd));
    sleep_ms(40);
    add(fd, 9);
    t.show("ended", wait_for(child));
}

fn timer(fd: i64, flags: i32, first_ms: i64, repeat_ms: i64) -> i64 {
    let part = |ms: i64| timespec { tv_sec: ms / 1000, tv_nsec: ms % 1000 * 1_000_000 };
    let spec = itimerspec { it_value: part(first_ms), it_interval: part(repeat_ms) };
    sys!(SYS_timerfd_settime, fd, flags, &raw const spec, 0)
}

fn timerfd_once(t: &Trace) {
    let fd = sys!(SYS_timerfd_create, CLOCK_MONOTONIC, 0);
    t.call("create", fd);
    t.call("set", timer(fd, 0, 40, 0));
    took(t, "time", 40, || read_count(t, "fired", fd));
    let mut spec: itimerspec = zeroed();
    t.call("get", sys!(SYS_timerfd_gettime, fd, &raw mut spec));
    t.show("left", spec.it_value.tv_sec + spec.it_value.tv_nsec);
    timer(fd, 0, 100_000, 0);
    sys!(SYS_timerfd_gettime, fd, &raw mut spec);
    t.show("long", (99..=100).contains(&spec.it_value.tv_sec));
    t.call("disarm", timer(fd, 0, 0, 0));
    sys!(SYS_fcntl, fd, F_SETFL, O_NONBLOCK);
    read_count(t, "nothing", fd);
}

fn timerfd_repeats(t: &Trace) {
    let fd = sys!(SYS_timerfd_create, CLOCK_MONOTONIC, 0);
    timer(fd, 0, 10, 10);
    sleep_ms(100);
    let mut value = 0u64;
    sys!(SYS_read, fd, &raw mut value, 8);
    t.show("several", value >= 8);
    took(t, "next", 0, || _ = sys!(SYS_read, fd, &raw mut value, 8));
    t.show("again", value >= 1);
}

fn timerfd_absolute(t: &Trace) {
    let fd = sys!(SYS_timerfd_create, CLOCK_REALTIME, TFD_NONBLOCK);
    t.call("past", timer(fd, TFD_TIMER_ABSTIME, 1000, 0));
    let mut poll = pollfd { fd: fd as i32, events: POLLIN, revents: 0 };
    t.call("poll", sys!(SYS_poll, &raw mut poll, 1, 2000));
    read_count(t, "fired", fd);
    t.call("cancel on set", timer(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, 4_000_000_000_000, 0));
    read_count(t, "not yet", fd);
}

fn timerfd_errors(t: &Trace) {
    t.call("clock", sys!(SYS_timerfd_create, 99, 0));
    t.call("flags", sys!(SYS_timerfd_create, CLOCK_MONOTONIC, 1));
    let fd = sys!(SYS_timerfd_create, CLOCK_MONOTONIC, 0);
    t.call("set flags", timer(fd, 99, 1, 0));
    let wrong = itimerspec { it_value: timespec { tv_sec: 0, tv_nsec: -1 }, it_interval: zeroed() };
    t.call("time", sys!(SYS_timerfd_settime, fd, 0, &raw const wrong, 0));
    t.call("bad pointer", sys!(SYS_timerfd_settime, fd, 0, 8, 0));
    t.call("another kind", timer(sys!(SYS_eventfd2, 0, 0), 0, 1, 0));
    t.call("closed", timer(99, 0, 1, 0));
    t.call("short read", sys!(SYS_read, fd, [0u8; 4].as_mut_ptr(), 4));
    t.call("write", sys!(SYS_write, fd, [0u8; 8].as_ptr(), 8));
}

fn signalfd_reads(t: &Trace) {
    block(&[SIGUSR1, SIGUSR2]);
    let set = set_of(&[SIGUSR1, SIGUSR2]);
    let fd = sys!(SYS_signalfd4, -1, &raw const set, 8, SFD_NONBLOCK);
    t.call("create", fd);
    let mut info: [signalfd_siginfo; 4] = zeroed();
    t.call("nothing", sys!(SYS_read, fd, info.as_mut_ptr(), size_of_val(&info)));
    sys!(SYS_kill, sys!(SYS_getpid), SIGUSR2);
    sys!(SYS_kill, sys!(SYS_getpid), SIGUSR1);
    let mut poll = pollfd { fd: fd as i32, events: POLLIN, revents: 0 };
    t.call("poll", sys!(SYS_poll, &raw mut poll, 1, 0));
    t.call("both", sys!(SYS_read, fd, info.as_mut_ptr(), size_of_val(&info)));
    for one in &info[..2] {
        t.show("signal", format!("{} code {} own {}", one.ssi_signo, one.ssi_code, one.ssi_pid == std::process::id()));
    }
    let one = set_of(&[SIGUSR1]);
    t.call("change", sys!(SYS_signalfd4, fd, &raw const one, 8, 0));
    sys!(SYS_kill, sys!(SYS_getpid), SIGUSR2);
    t.call("not asked for", sys!(SYS_read, fd, info.as_mut_ptr(), size_of_val(&info)));
    sys!(SYS_fcntl, fd, F_SETFL, 0);
    let own = sys!(SYS_getpid);
    let child = spawn(|| {
        sleep_ms(40);
        sys!(SYS_kill, own, SIGUSR1);
    });
    t.call("waits", sys!(SYS_read, fd, info.as_mut_ptr(), size_of_val(&info)));
    t.show("child", wait_for(child));
}

fn signalfd_errors(t: &Trace) {
    let set = set_of(&[SIGUSR1]);
    t.call("size", sys!(SYS_signalfd4, -1, &raw const set, 4, 0));
    t.call("flags", sys!(SYS_signalfd4, -1, &raw const set, 8, 1));
    t.call("closed", sys!(SYS_signalfd4, 99, &raw const set, 8, 0));
    t.call("another kind", sys!(SYS_signalfd4, 0, &raw const set, 8, 0));
    t.call("bad pointer", sys!(SYS_signalfd4, -1, 8, 8, 0));
    let fd = sys!(SYS_signalfd4, -1, &raw const set, 8, SFD_NONBLOCK | SFD_CLOEXEC);
    t.call("short read", sys!(SYS_read, fd, [0u8; 8].as_mut_ptr(), 8));
}
