//! poll and select.

use super::nothing;
use crate::support::{block, close, file, pipe, sleep_ms, socket_pair, spawn, took, wait_for, write};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(poll_states),
    case!(poll_errors),
    case!(poll_times),
    case!(ppoll_mask),
    case!(select_sets),
    case!(select_errors),
    case!(pselect_mask),
];

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
