//! eventfd, timerfd, signalfd, epoll, poll, select, inotify.

use crate::support::{block, close, file, in_child, pipe, set_of, show_read, sleep_ms, socket_pair, spawn, took, wait_for, write, zeroed};
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
    case!(epoll_level),
    case!(epoll_edge),
    case!(epoll_once),
    case!(epoll_exclusive),
    case!(epoll_errors),
    case!(epoll_nested),
    case!(epoll_closed_and_copied),
    case!(epoll_many),
    case!(epoll_wakes),
    case!(epoll_mask),
    case!(poll_states),
    case!(poll_errors),
    case!(poll_times),
    case!(ppoll_mask),
    case!(select_sets),
    case!(select_errors),
    case!(pselect_mask),
    case!(inotify_events),
    case!(inotify_moves),
    case!(inotify_masks),
    case!(inotify_errors),
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

fn control(epoll: i64, op: i32, fd: i32, events: i32, value: u64) -> i64 {
    let event = epoll_event { events: events as u32, u64: value };
    sys!(SYS_epoll_ctl, epoll, op, fd, &raw const event)
}

fn ready(t: &Trace, what: &str, epoll: i64) {
    let mut events = [epoll_event { events: 0, u64: 0 }; 8];
    let got = sys!(SYS_epoll_wait, epoll, events.as_mut_ptr(), 8, 0);
    let mut found: Vec<(u64, u32)> = events[..usize::try_from(got).unwrap_or(0)].iter().map(|event| (event.u64, event.events)).collect();
    found.sort();
    t.show(what, format!("{found:x?}"));
}

fn epoll_level(t: &Trace) {
    let epoll = sys!(SYS_epoll_create1, EPOLL_CLOEXEC);
    let (reader, writer) = pipe();
    t.call("add", control(epoll, EPOLL_CTL_ADD, reader, EPOLLIN, 1));
    t.call("add", control(epoll, EPOLL_CTL_ADD, writer, EPOLLOUT, 2));
    ready(t, "writable", epoll);
    write(writer, b"abc");
    ready(t, "both", epoll);
    ready(t, "still", epoll);
    t.call("change", control(epoll, EPOLL_CTL_MOD, writer, 0, 3));
    ready(t, "one", epoll);
    show_read(t, "read", reader);
    ready(t, "none", epoll);
    close(writer);
    ready(t, "hung up", epoll);
    t.call("remove", control(epoll, EPOLL_CTL_DEL, reader, 0, 0));
    ready(t, "none", epoll);
}

fn epoll_edge(t: &Trace) {
    let epoll = sys!(SYS_epoll_create1, 0);
    let (reader, writer) = pipe();
    control(epoll, EPOLL_CTL_ADD, reader, EPOLLIN | EPOLLET, 1);
    ready(t, "empty", epoll);
    write(writer, b"a");
    ready(t, "edge", epoll);
    ready(t, "no edge", epoll);
    write(writer, b"b");
    ready(t, "second edge", epoll);
    show_read(t, "read", reader);
    ready(t, "read, no edge", epoll);
    write(writer, b"c");
    ready(t, "third", epoll);
    t.call("armed again", control(epoll, EPOLL_CTL_MOD, reader, EPOLLIN | EPOLLET, 1));
    ready(t, "still full", epoll);
    let (one, other) = socket_pair(SOCK_STREAM);
    control(epoll, EPOLL_CTL_ADD, one, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 2);
    ready(t, "socket", epoll);
    write(other, b"x");
    ready(t, "data", epoll);
    close(other);
    ready(t, "closed", epoll);
}

fn epoll_once(t: &Trace) {
    let epoll = sys!(SYS_epoll_create1, 0);
    let (reader, writer) = pipe();
    control(epoll, EPOLL_CTL_ADD, reader, EPOLLIN | EPOLLONESHOT, 1);
    write(writer, b"a");
    ready(t, "once", epoll);
    write(writer, b"b");
    ready(t, "disarmed", epoll);
    t.call("arm", control(epoll, EPOLL_CTL_MOD, reader, EPOLLIN | EPOLLONESHOT, 2));
    ready(t, "again", epoll);
}

fn epoll_exclusive(t: &Trace) {
    let epoll = sys!(SYS_epoll_create1, 0);
    let (reader, writer) = pipe();
    t.call("add", control(epoll, EPOLL_CTL_ADD, reader, EPOLLIN | EPOLLEXCLUSIVE, 1));
    t.call("change", control(epoll, EPOLL_CTL_MOD, reader, EPOLLIN, 1));
    t.call("with once", control(epoll, EPOLL_CTL_ADD, writer, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 1));
    write(writer, b"a");
    ready(t, "ready", epoll);
}

fn epoll_errors(t: &Trace) {
    t.call("flags", sys!(SYS_epoll_create1, 1));
    t.call("size", sys!(SYS_epoll_create, 0));
    let epoll = sys!(SYS_epoll_create, 1);
    let (reader, _) = pipe();
    t.call("closed", control(epoll, EPOLL_CTL_ADD, 99, EPOLLIN, 0));
    t.call("file", control(epoll, EPOLL_CTL_ADD, file(c"a", b""), EPOLLIN, 0));
    t.call("itself", control(epoll, EPOLL_CTL_ADD, epoll as i32, EPOLLIN, 0));
    t.call("no epoll", control(0, EPOLL_CTL_ADD, reader, EPOLLIN, 0));
    t.call("change missing", control(epoll, EPOLL_CTL_MOD, reader, EPOLLIN, 0));
    t.call("remove missing", control(epoll, EPOLL_CTL_DEL, reader, EPOLLIN, 0));
    control(epoll, EPOLL_CTL_ADD, reader, EPOLLIN, 0);
    t.call("twice", control(epoll, EPOLL_CTL_ADD, reader, EPOLLIN, 0));
    t.call("operation", control(epoll, 9, reader, EPOLLIN, 0));
    t.call("bad pointer", sys!(SYS_epoll_ctl, epoll, EPOLL_CTL_MOD, reader, 8));
    let mut event = epoll_event { events: 0, u64: 0 };
    t.call("none wanted", sys!(SYS_epoll_wait, epoll, &raw mut event, 0, 0));
    t.call("not epoll", sys!(SYS_epoll_wait, reader, &raw mut event, 1, 0));
    t.call("closed", sys!(SYS_epoll_wait, 99, &raw mut event, 1, 0));
    t.call("read", sys!(SYS_read, epoll, [0u8; 8].as_mut_ptr(), 8));
}

fn epoll_nested(t: &Trace) {
    let (inner, outer) = (sys!(SYS_epoll_create1, 0), sys!(SYS_epoll_create1, 0));
    let (reader, writer) = pipe();
    control(inner, EPOLL_CTL_ADD, reader, EPOLLIN, 1);
    t.call("add", control(outer, EPOLL_CTL_ADD, inner as i32, EPOLLIN, 2));
    t.call("circle", control(inner, EPOLL_CTL_ADD, outer as i32, EPOLLIN, 3));
    ready(t, "none", outer);
    write(writer, b"a");
    ready(t, "outer", outer);
    ready(t, "inner", inner);
    let mut poll = pollfd { fd: outer as i32, events: POLLIN, revents: 0 };
    t.call("poll", sys!(SYS_poll, &raw mut poll, 1, 0));
    show_read(t, "read", reader);
    t.call("poll", sys!(SYS_poll, &raw mut poll, 1, 0));
}

fn epoll_closed_and_copied(t: &Trace) {
    let epoll = sys!(SYS_epoll_create1, 0);
    let (reader, writer) = pipe();
    control(epoll, EPOLL_CTL_ADD, reader, EPOLLIN, 1);
    let copy = sys!(SYS_dup, reader) as i32;
    t.call("copy too", control(epoll, EPOLL_CTL_ADD, copy, EPOLLIN, 2));
    write(writer, b"a");
    ready(t, "both", epoll);
    close(reader);
    ready(t, "after close of one", epoll);
    close(copy);
    ready(t, "after close of all", epoll);
    t.show("child", in_child(|| ready(t, "in a child", epoll)));
}

fn epoll_many(t: &Trace) {
    let epoll = sys!(SYS_epoll_create1, 0);
    let fds: Vec<i64> = (0..200).map(|_| sys!(SYS_eventfd2, 1, 0)).collect();
    for (i, fd) in fds.iter().enumerate() {
        control(epoll, EPOLL_CTL_ADD, *fd as i32, EPOLLIN, i as u64);
    }
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let mut events = [epoll_event { events: 0, u64: 0 }; 10];
        let got = sys!(SYS_epoll_wait, epoll, events.as_mut_ptr(), 10, 0);
        seen.extend(events[..usize::try_from(got).unwrap_or(0)].iter().map(|event| event.u64));
    }
    t.show("each had its turn", seen.len());
}

fn epoll_wakes(t: &Trace) {
    let epoll = sys!(SYS_epoll_create1, 0);
    let (reader, writer) = pipe();
    control(epoll, EPOLL_CTL_ADD, reader, EPOLLIN, 7);
    let child = spawn(|| {
        sleep_ms(40);
        write(writer, b"a");
    });
    let mut event = epoll_event { events: 0, u64: 0 };
    t.call("waits", sys!(SYS_epoll_wait, epoll, &raw mut event, 1, -1));
    let value = event.u64;
    t.show("value", value);
    show_read(t, "read", reader);
    wait_for(child);
    took(t, "time", 40, || t.call("nothing", sys!(SYS_epoll_wait, epoll, &raw mut event, 1, 40)));
    let short = timespec { tv_sec: 0, tv_nsec: 30_000_000 };
    took(t, "time", 30, || t.call("pwait2", sys!(SYS_epoll_pwait2, epoll, &raw mut event, 1, &raw const short, 0, 8)));
    // Added while somebody waits.
    let (second, far) = pipe();
    let thread = std::thread::spawn(move || {
        let mut event = epoll_event { events: 0, u64: 0 };
        sys!(SYS_epoll_wait, epoll, &raw mut event, 1, 5000)
    });
    sleep_ms(40);
    write(far, b"b");
    control(epoll, EPOLL_CTL_ADD, second, EPOLLIN, 8);
    t.call("added later", thread.join().unwrap_or(-1));
}

extern "C" fn nothing(_: c_int, _: *mut siginfo_t, _: *mut c_void) {}

fn epoll_mask(t: &Trace) {
    crate::support::handle(SIGUSR1, 0, nothing);
    block(&[SIGUSR1]);
    sys!(SYS_kill, sys!(SYS_getpid), SIGUSR1);
    let epoll = sys!(SYS_epoll_create1, 0);
    let mut event = epoll_event { events: 0, u64: 0 };
    let none = 0u64;
    t.call("unblocked for the wait", sys!(SYS_epoll_pwait, epoll, &raw mut event, 1, 2000, &raw const none, 8));
    t.call("then blocked", sys!(SYS_epoll_pwait, epoll, &raw mut event, 1, 10, 0, 8));
    t.call("size", sys!(SYS_epoll_pwait, epoll, &raw mut event, 1, 10, &raw const none, 4));
}

fn poll_one(fd: i32, events: i16) -> String {
    let mut poll = pollfd { fd, events, revents: 0x7fff };
    let got = sys!(SYS_poll, &raw mut poll, 1, 0);
    format!("{got} {:#x}", poll.revents)
}

fn poll_states(t: &Trace) {
    let all = POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM;
    let (reader, writer) = pipe();
    t.show("empty pipe", poll_one(reader, all));
    t.show("writer", poll_one(writer, all));
    write(writer, b"a");
    t.show("full pipe", poll_one(reader, all));
    close(writer);
    t.show("no writer", poll_one(reader, all));
    let (reader, writer) = pipe();
    close(reader);
    t.show("no reader", poll_one(writer, all));
    let (one, other) = socket_pair(SOCK_STREAM);
    t.show("socket", poll_one(one, all));
    sys!(SYS_shutdown, other, SHUT_WR);
    t.show("half closed", poll_one(one, all));
    close(other);
    t.show("closed", poll_one(one, all));
    t.show("file", poll_one(file(c"a", b""), all));
    t.show("folder", poll_one(sys!(SYS_open, c".".as_ptr(), O_RDONLY) as i32, all));
    t.show("null", poll_one(sys!(SYS_open, c"/dev/null".as_ptr(), O_RDWR) as i32, all));
    t.show("not open", poll_one(99, all));
    t.show("negative", poll_one(-1, all));
    t.show("new socket", poll_one(sys!(SYS_socket, AF_INET, SOCK_STREAM, 0) as i32, all));
    t.show("new unix socket", poll_one(sys!(SYS_socket, AF_UNIX, SOCK_STREAM, 0) as i32, all));
    t.show("path", poll_one(sys!(SYS_open, c".".as_ptr(), O_PATH) as i32, all));
}

fn poll_errors(t: &Trace) {
    t.call("bad pointer", sys!(SYS_poll, 8, 1, 0));
    t.call("too many", sys!(SYS_poll, 8, 1 << 30, 0));
    t.call("none", sys!(SYS_poll, 0, 0, 0));
    let wrong = timespec { tv_sec: 0, tv_nsec: 1_000_000_000 };
    t.call("wrong time", sys!(SYS_ppoll, 0, 0, &raw const wrong, 0, 8));
    t.call("bad time", sys!(SYS_ppoll, 0, 0, 8, 0, 8));
    let mask = 0u64;
    t.call("size", sys!(SYS_ppoll, 0, 0, 0, &raw const mask, 4));
}

fn poll_times(t: &Trace) {
    let (reader, writer) = pipe();
    let mut poll = pollfd { fd: reader, events: POLLIN, revents: 0 };
    took(t, "time", 40, || t.call("nothing", sys!(SYS_poll, &raw mut poll, 1, 40)));
    let child = spawn(|| {
        sleep_ms(40);
        write(writer, b"a");
    });
    t.call("woken", sys!(SYS_poll, &raw mut poll, 1, -1));
    t.show("child", wait_for(child));
    let mut left = timespec { tv_sec: 100, tv_nsec: 0 };
    t.call("ppoll", sys!(SYS_ppoll, &raw mut poll, 1, &raw mut left, 0, 8));
    t.show("time left is told", left.tv_sec < 100);
}

fn ppoll_mask(t: &Trace) {
    crate::support::handle(SIGUSR1, 0, nothing);
    block(&[SIGUSR1]);
    sys!(SYS_kill, sys!(SYS_getpid), SIGUSR1);
    let none = 0u64;
    t.call("unblocked", sys!(SYS_ppoll, 0, 0, 0, &raw const none, 8));
    let mut mask = 0u64;
    sys!(SYS_rt_sigprocmask, SIG_BLOCK, 0, &raw mut mask, 8);
    t.show("mask", format!("{mask:#x}"));
    let mut pending = 0u64;
    sys!(SYS_rt_sigpending, &raw mut pending, 8);
    t.show("pending", pending);
}

fn select_sets(t: &Trace) {
    let (reader, writer) = pipe();
    let far = sys!(SYS_dup2, reader, 70) as i32;
    write(writer, b"a");
    let mut read = [0u64; 16];
    read[0] = 1 << reader;
    read[1] = 1 << (far - 64);
    let mut written = [0u64; 16];
    written[0] = 1 << writer;
    let mut time = timeval { tv_sec: 5, tv_usec: 0 };
    t.call("select", sys!(SYS_select, 71, read.as_mut_ptr(), written.as_mut_ptr(), 0, &raw mut time));
    t.show("sets", format!("{} {} {}", read[0] == 1 << reader, read[1], written[0] == 1 << writer));
    t.show("time left", time.tv_sec);
    read[0] = 1 << writer;
    time = timeval { tv_sec: 0, tv_usec: 30_000 };
    took(t, "time", 30, || t.call("nothing", sys!(SYS_select, writer + 1, 0, 0, read.as_mut_ptr(), &raw mut time)));
    t.show("time left", time.tv_sec + time.tv_usec);
    t.show("cleared", read[0]);
    took(t, "time", 20, || {
        time.tv_usec = 20_000;
        t.call("as a sleep", sys!(SYS_select, 0, 0, 0, 0, &raw mut time));
    });
}

fn select_errors(t: &Trace) {
    let mut set = [0u64; 16];
    set[0] = 1 << 40;
    t.call("closed", sys!(SYS_select, 64, set.as_mut_ptr(), 0, 0, 0));
    t.call("negative", sys!(SYS_select, -1, set.as_mut_ptr(), 0, 0, 0));
    t.call("bad pointer", sys!(SYS_select, 10, 8, 0, 0, 0));
    let mut time = timeval { tv_sec: -1, tv_usec: 0 };
    t.call("time", sys!(SYS_select, 0, 0, 0, 0, &raw mut time));
    t.call("bad time", sys!(SYS_select, 0, 0, 0, 0, 8));
}

fn pselect_mask(t: &Trace) {
    crate::support::handle(SIGUSR1, 0, nothing);
    block(&[SIGUSR1]);
    sys!(SYS_kill, sys!(SYS_getpid), SIGUSR1);
    let none = 0u64;
    let mask = [&raw const none as u64, 8];
    t.call("unblocked", sys!(SYS_pselect6, 0, 0, 0, 0, 0, mask.as_ptr()));
    let wrong = [&raw const none as u64, 4];
    t.call("size", sys!(SYS_pselect6, 0, 0, 0, 0, 0, wrong.as_ptr()));
    let time = timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    took(t, "time", 20, || t.call("sleep", sys!(SYS_pselect6, 0, 0, 0, 0, &raw const time, 0)));
}

/// What an inotify descriptor has, in order.
fn notes(t: &Trace, fd: i64) {
    let mut buffer = [0u8; 4096];
    let Ok(length) = usize::try_from(sys!(SYS_read, fd, buffer.as_mut_ptr(), 4096)) else {
        return t.call("no events", -1i64);
    };
    let (mut at, mut cookie) = (0, 0);
    while at < length {
        let word = |i: usize| u32::from_ne_bytes(buffer[at + i..at + i + 4].try_into().unwrap_or_default());
        let (mask, this, size) = (word(4), word(8), word(12) as usize);
        let name = buffer[at + 16..at + 16 + size].split(|byte| *byte == 0).next().unwrap_or_default();
        let same = if this == 0 {
            ""
        } else if this == cookie {
            " same cookie"
        } else {
            " cookie"
        };
        cookie = this;
        t.show("event", format!("{} {mask:#x} {}{same}", word(0), name.escape_ascii()));
        at += 16 + size;
    }
}

fn watch(fd: i64, name: &std::ffi::CStr, mask: u32) -> i64 {
    sys!(SYS_inotify_add_watch, fd, name.as_ptr(), mask)
}

fn inotify_events(t: &Trace) {
    sys!(SYS_mkdir, c"d".as_ptr(), 0o755);
    let fd = sys!(SYS_inotify_init1, IN_NONBLOCK);
    t.call("watch", watch(fd, c"d", IN_ALL_EVENTS));
    notes(t, fd);
    let new = sys!(SYS_open, c"d/a".as_ptr(), O_CREAT | O_RDWR, 0o644);
    sys!(SYS_write, new, b"abc".as_ptr(), 3);
    sys!(SYS_close, new);
    notes(t, fd);
    let _ = std::fs::read("d/a");
    sys!(SYS_chmod, c"d/a".as_ptr(), 0o600);
    sys!(SYS_truncate, c"d/a".as_ptr(), 1);
    notes(t, fd);
    sys!(SYS_mkdir, c"d/e".as_ptr(), 0o755);
    sys!(SYS_rmdir, c"d/e".as_ptr());
    sys!(SYS_symlink, c"x".as_ptr(), c"d/l".as_ptr());
    sys!(SYS_link, c"d/a".as_ptr(), c"d/b".as_ptr());
    sys!(SYS_unlink, c"d/a".as_ptr());
    sys!(SYS_unlink, c"d/b".as_ptr());
    sys!(SYS_unlink, c"d/l".as_ptr());
    notes(t, fd);
    sys!(SYS_rmdir, c"d".as_ptr());
    notes(t, fd);
}

fn inotify_moves(t: &Trace) {
    sys!(SYS_mkdir, c"d".as_ptr(), 0o755);
    sys!(SYS_mkdir, c"e".as_ptr(), 0o755);
    file(c"d/a", b"");
    let fd = sys!(SYS_inotify_init1, IN_NONBLOCK);
    watch(fd, c"d", IN_MOVE | IN_DELETE);
    watch(fd, c"e", IN_MOVE);
    watch(fd, c"d/a", IN_MOVE_SELF | IN_DELETE_SELF | IN_ATTRIB);
    sys!(SYS_rename, c"d/a".as_ptr(), c"d/b".as_ptr());
    notes(t, fd);
    sys!(SYS_rename, c"d/b".as_ptr(), c"e/c".as_ptr());
    notes(t, fd);
    sys!(SYS_unlink, c"e/c".as_ptr());
    notes(t, fd);
}

fn inotify_masks(t: &Trace) {
    let path = file(c"a", b"");
    let fd = sys!(SYS_inotify_init1, IN_NONBLOCK | IN_CLOEXEC);
    t.call("watch", watch(fd, c"a", IN_MODIFY | IN_ONESHOT));
    write(path, b"x");
    write(path, b"y");
    notes(t, fd);
    let number = watch(fd, c"a", IN_MODIFY);
    t.call("second number", number);
    t.call("same file", watch(fd, c"a", IN_ATTRIB));
    write(path, b"z");
    notes(t, fd);
    t.call("more", watch(fd, c"a", IN_MODIFY | IN_MASK_ADD));
    write(path, b"z");
    write(path, b"z");
    notes(t, fd);
    t.call("only new", watch(fd, c"a", IN_MODIFY | IN_MASK_CREATE));
    t.call("remove", sys!(SYS_inotify_rm_watch, fd, number));
    notes(t, fd);
    t.call("remove again", sys!(SYS_inotify_rm_watch, fd, number));
    let mut left = 0i32;
    watch(fd, c"a", IN_MODIFY);
    write(path, b"q");
    sys!(SYS_ioctl, fd, FIONREAD, &raw mut left);
    t.show("bytes", left);
}

fn inotify_errors(t: &Trace) {
    file(c"a", b"");
    t.call("flags", sys!(SYS_inotify_init1, 1));
    let fd = sys!(SYS_inotify_init);
    t.call("missing", watch(fd, c"x", IN_MODIFY));
    t.call("no mask", watch(fd, c"a", 0));
    t.call("no folder", watch(fd, c"a", IN_MODIFY | IN_ONLYDIR));
    t.call("closed", watch(99, c"a", IN_MODIFY));
    t.call("another kind", watch(0, c"a", IN_MODIFY));
    t.call("remove nothing", sys!(SYS_inotify_rm_watch, fd, 55));
    watch(fd, c"a", IN_MODIFY);
    sys!(SYS_truncate, c"a".as_ptr(), 5);
    t.call("small buffer", sys!(SYS_read, fd, [0u8; 8].as_mut_ptr(), 8));
}
