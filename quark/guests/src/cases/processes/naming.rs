//! Process ids, groups and sessions, and who may signal whom.

use super::info_line;
use crate::support::{in_child, sleep_ms, spawn, spawn_with, until, wait_for, zeroed};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] =
    &[case!(pidfd), case!(pidfd_of_thread_and_errors), case!(groups), case!(group_errors), case!(sessions), case!(kill_checks)];

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
