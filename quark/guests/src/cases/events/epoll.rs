//! epoll.

use super::nothing;
use crate::support::{block, close, file, in_child, pipe, show_read, sleep_ms, socket_pair, spawn, took, wait_for, write};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
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
];

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
