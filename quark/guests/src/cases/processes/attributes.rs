//! prctl, limits and what /proc says.

use crate::support::{block, handle, in_child, spawn, wait_for, zeroed};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(prctl_names),
    case!(prctl_flags),
    case!(prctl_errors),
    case!(limits),
    case!(prlimit_of_another),
    case!(process_limit_is_per_user),
    case!(proc_status),
];

extern "C" fn nothing(_: c_int, _: *mut siginfo_t, _: *mut c_void) {}

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
