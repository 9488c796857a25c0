//! Users, groups and capabilities.

use crate::support::{file, in_child, zeroed};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(get_all),
    case!(set_as_root),
    case!(set_as_user),
    case!(reuid_rules),
    case!(saved_id),
    case!(group_ids),
    case!(supplementary_groups),
    case!(file_system_ids),
    case!(capabilities_listed),
    case!(capabilities_dropped),
    case!(capabilities_lost_with_root),
    case!(capability_errors),
    case!(bounding_set),
    case!(ambient_set),
    case!(secure_bits),
    case!(files_of_users),
    case!(no_new_privileges),
    case!(signals_between_users),
    case!(seccomp_strict_and_filter),
    case!(seccomp_errors),
];

fn uids() -> String {
    let (mut real, mut effective, mut saved) = (9u32, 9u32, 9u32);
    sys!(SYS_getresuid, &raw mut real, &raw mut effective, &raw mut saved);
    format!("{real} {effective} {saved}")
}

fn gids() -> String {
    let (mut real, mut effective, mut saved) = (9u32, 9u32, 9u32);
    sys!(SYS_getresgid, &raw mut real, &raw mut effective, &raw mut saved);
    format!("{real} {effective} {saved}")
}

/// Effective, permitted and inheritable.
fn capabilities() -> String {
    let header = [0x2008_0522u32, 0];
    let mut data = [0u32; 6];
    if sys!(SYS_capget, header.as_ptr(), data.as_mut_ptr()) == -1 {
        return crate::trace::errno_name();
    }
    format!("{:x}{:08x} {:x}{:08x} {:x}{:08x}", data[3], data[0], data[4], data[1], data[5], data[2])
}

fn get_all(t: &Trace) {
    t.call("uid", sys!(SYS_getuid));
    t.call("euid", sys!(SYS_geteuid));
    t.call("gid", sys!(SYS_getgid));
    t.call("egid", sys!(SYS_getegid));
    t.show("uids", uids());
    t.show("gids", gids());
    t.call("bad pointer", sys!(SYS_getresuid, 8, 8, 8));
}

fn set_as_root(t: &Trace) {
    let end = in_child(|| {
        t.call("setuid", sys!(SYS_setuid, 1000));
        t.show("all", uids());
        t.call("back", sys!(SYS_setuid, 0));
        t.show("capabilities", capabilities());
    });
    t.show("child", end);
    t.call("too large", sys!(SYS_setuid, -1));
    let end = in_child(|| {
        t.call("setresuid", sys!(SYS_setresuid, 1, 2, 3));
        t.show("uids", uids());
        t.call("swap", sys!(SYS_setresuid, 3, 1, 2));
        t.call("other", sys!(SYS_setresuid, 4, -1, -1));
    });
    t.show("child", end);
}

fn set_as_user(t: &Trace) {
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("other", sys!(SYS_setuid, 1001));
        t.call("same", sys!(SYS_setuid, 1000));
        t.call("group", sys!(SYS_setgid, 5));
        t.call("groups", sys!(SYS_setgroups, 0, 0));
        t.call("nothing changes", sys!(SYS_setresuid, -1, -1, -1));
    });
    t.show("child", end);
}

fn reuid_rules(t: &Trace) {
    let end = in_child(|| {
        t.call("setreuid", sys!(SYS_setreuid, 1000, 2000));
        t.show("uids", uids());
        t.call("swap", sys!(SYS_setreuid, 2000, 1000));
        t.show("uids", uids());
        t.call("other", sys!(SYS_setreuid, -1, 3000));
    });
    t.show("child", end);
    let end = in_child(|| {
        t.call("effective only", sys!(SYS_setreuid, -1, 1000));
        t.show("uids", uids());
        t.call("back", sys!(SYS_setreuid, -1, 0));
        t.show("capabilities are back", capabilities());
    });
    t.show("child", end);
}

fn saved_id(t: &Trace) {
    let end = in_child(|| {
        sys!(SYS_setresuid, 1000, 1000, 0);
        t.call("setuid to saved", sys!(SYS_setuid, 0));
        t.show("uids", uids());
    });
    t.show("child", end);
    let end = in_child(|| {
        sys!(SYS_setresuid, 1000, 1000, 1001);
        t.call("setuid to saved", sys!(SYS_setuid, 1001));
        t.show("uids", uids());
    });
    t.show("child", end);
}

fn group_ids(t: &Trace) {
    let end = in_child(|| {
        t.call("setresgid", sys!(SYS_setresgid, 1, 2, 3));
        t.show("gids", gids());
        t.call("setregid", sys!(SYS_setregid, 2, -1));
        t.show("gids", gids());
        sys!(SYS_setuid, 1000);
        t.call("setgid", sys!(SYS_setgid, 9));
        t.call("to saved", sys!(SYS_setresgid, -1, 3, -1));
        t.show("gids", gids());
    });
    t.show("child", end);
}

fn supplementary_groups(t: &Trace) {
    let groups = [30u32, 10, 20];
    t.call("set", sys!(SYS_setgroups, 3, groups.as_ptr()));
    t.call("count", sys!(SYS_getgroups, 0, 0));
    let mut got = [0u32; 8];
    t.call("get", sys!(SYS_getgroups, 8, got.as_mut_ptr()));
    t.show("sorted", format!("{:?}", &got[..3]));
    t.call("small", sys!(SYS_getgroups, 2, got.as_mut_ptr()));
    t.call("negative", sys!(SYS_getgroups, -1, got.as_mut_ptr()));
    t.call("too many", sys!(SYS_setgroups, 65_537, groups.as_ptr()));
    t.call("bad pointer", sys!(SYS_setgroups, 3, 8));
    t.show("child", in_child(|| t.call("inherited", sys!(SYS_getgroups, 0, 0))));
}

fn file_system_ids(t: &Trace) {
    t.call("set", sys!(SYS_setfsuid, 1000));
    t.call("was", sys!(SYS_setfsuid, -1));
    t.call("group", sys!(SYS_setfsgid, 500));
    sys!(SYS_chmod, c".".as_ptr(), 0o777);
    file(c"a", b"");
    let mut stat: stat = zeroed();
    sys!(SYS_stat, c"a".as_ptr(), &raw mut stat);
    t.show("owner", format!("{} {}", stat.st_uid, stat.st_gid));
    t.call("seteuid resets", sys!(SYS_setresuid, -1, 0, -1));
    t.call("now", sys!(SYS_setfsuid, -1));
}

fn capabilities_listed(t: &Trace) {
    t.show("own", capabilities());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with("Cap")) {
        t.show("status", line.replace('\t', " "));
    }
    let old = [0x1998_0330u32, 0];
    let mut data = [0u32; 6];
    t.call("first version", sys!(SYS_capget, old.as_ptr(), data.as_mut_ptr()));
    let mut unknown = [1u32, 0];
    t.call("unknown version", sys!(SYS_capget, unknown.as_mut_ptr(), data.as_mut_ptr()));
    t.show("told", format!("{:#x}", unknown[0]));
    t.call("ask version", sys!(SYS_capget, unknown.as_mut_ptr(), 0));
}

fn set_capabilities(effective: u32, permitted: u32, inheritable: u32) -> i64 {
    let header = [0x2008_0522u32, 0];
    let data = [effective, permitted, inheritable, 0, 0, 0];
    sys!(SYS_capset, header.as_ptr(), data.as_ptr())
}

fn capabilities_dropped(t: &Trace) {
    // CAP_CHOWN and CAP_KILL.
    t.call("set", set_capabilities(1, 0x21, 0));
    t.show("now", capabilities());
    t.call("raise effective", set_capabilities(0x21, 0x21, 0x20));
    t.call("raise permitted", set_capabilities(1, 0x61, 0));
    t.call("effective without permitted", set_capabilities(0x40, 0x21, 0));
    file(c"a", b"");
    t.call("chown works", sys!(SYS_chown, c"a".as_ptr(), 5, 5));
    t.call("setuid does not", sys!(SYS_setuid, 1000));
    sys!(SYS_chmod, c"a".as_ptr(), 0);
    t.call("nor reading all", sys!(SYS_open, c"a".as_ptr(), O_RDONLY));
    t.call("chroot", sys!(SYS_chroot, c".".as_ptr()));
    t.call("nor nice", sys!(SYS_setpriority, PRIO_PROCESS, 0, -5));
}

fn capabilities_lost_with_root(t: &Trace) {
    let end = in_child(|| {
        sys!(SYS_setresuid, 1000, 1000, 1000);
        t.show("lost", capabilities());
    });
    t.show("child", end);
    let end = in_child(|| {
        sys!(SYS_setresuid, -1, 1000, -1);
        t.show("effective lost", capabilities());
        sys!(SYS_setresuid, -1, 0, -1);
        t.show("and back", capabilities());
    });
    t.show("child", end);
    let end = in_child(|| {
        sys!(SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0);
        sys!(SYS_setresuid, 1000, 1000, 1000);
        t.show("kept", capabilities());
    });
    t.show("child", end);
}

fn capability_errors(t: &Trace) {
    t.call("bad header", sys!(SYS_capget, 8, 8));
    let other = [0x2008_0522u32, 1];
    let data = [0u32; 6];
    t.call("another's", sys!(SYS_capset, other.as_ptr(), data.as_ptr()));
    let nobody = [0x2008_0522u32, 32_000];
    t.call("nobody's", sys!(SYS_capget, nobody.as_ptr(), data.as_ptr()));
    let own = [0x2008_0522u32, 0];
    t.call("bad data", sys!(SYS_capset, own.as_ptr(), 8));
}

fn bounding_set(t: &Trace) {
    t.call("has", sys!(SYS_prctl, PR_CAPBSET_READ, 5, 0, 0, 0));
    t.call("drop", sys!(SYS_prctl, PR_CAPBSET_DROP, 5, 0, 0, 0));
    t.call("dropped", sys!(SYS_prctl, PR_CAPBSET_READ, 5, 0, 0, 0));
    t.show("own stay", capabilities());
    t.call("unknown", sys!(SYS_prctl, PR_CAPBSET_DROP, 99, 0, 0, 0));
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("another", sys!(SYS_prctl, PR_CAPBSET_DROP, 6, 0, 0, 0));
    });
    t.show("child", end);
    let end = in_child(|| {
        let args = [c"guests".as_ptr(), c"helper".as_ptr(), c"credentials".as_ptr(), std::ptr::null()];
        sys!(SYS_execve, c"/guests".as_ptr(), args.as_ptr(), 0);
    });
    t.show("after exec", end);
}

fn ambient_set(t: &Trace) {
    t.call("has", sys!(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 5, 0, 0));
    t.call("not inheritable", sys!(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 5, 0, 0));
    set_capabilities(0x21, 0x21, 0x20);
    t.call("raise", sys!(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 5, 0, 0));
    t.call("has", sys!(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 5, 0, 0));
    t.call("clear", sys!(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
    t.call("has", sys!(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 5, 0, 0));
    t.call("unknown", sys!(SYS_prctl, PR_CAP_AMBIENT, 99, 5, 0, 0));
}

fn secure_bits(t: &Trace) {
    t.call("get", sys!(SYS_prctl, PR_GET_SECUREBITS, 0, 0, 0, 0));
    t.call("keep", sys!(SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0));
    t.call("get", sys!(SYS_prctl, PR_GET_SECUREBITS, 0, 0, 0, 0));
    t.call("keep, wrong", sys!(SYS_prctl, PR_SET_KEEPCAPS, 2, 0, 0, 0));
}

fn files_of_users(t: &Trace) {
    sys!(SYS_chmod, c".".as_ptr(), 0o777);
    let end = in_child(|| {
        let groups = [77u32];
        sys!(SYS_setgroups, 1, groups.as_ptr());
        sys!(SYS_setgid, 500);
        sys!(SYS_setuid, 1000);
        file(c"a", b"");
        sys!(SYS_mkdir, c"d".as_ptr(), 0o700);
    });
    t.show("child", end);
    for name in [c"a", c"d"] {
        let mut stat: stat = zeroed();
        sys!(SYS_stat, name.as_ptr(), &raw mut stat);
        t.show("owner", format!("{} {} {:o}", stat.st_uid, stat.st_gid, stat.st_mode));
    }
    let end = in_child(|| {
        sys!(SYS_setgid, 501);
        sys!(SYS_setuid, 1001);
        t.call("another enters", sys!(SYS_chdir, c"d".as_ptr()));
        t.call("another removes", sys!(SYS_unlink, c"a".as_ptr()));
    });
    t.show("child", end);
}

fn no_new_privileges(t: &Trace) {
    sys!(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    t.show("status", status.lines().find(|line| line.starts_with("NoNewPrivs")).unwrap_or("none").replace('\t', " "));
    t.show("inherited", in_child(|| t.call("get", sys!(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0))));
}

fn signals_between_users(t: &Trace) {
    let sleeper = crate::support::spawn(|| {
        sys!(SYS_setresuid, 1000, 1001, 1002);
        sys!(SYS_pause);
    });
    crate::support::sleep_ms(30);
    for uid in [1000, 1001, 1002, 1003] {
        let end = in_child(|| {
            sys!(SYS_setuid, uid);
            t.call(&uid.to_string(), sys!(SYS_kill, sleeper, 0));
        });
        t.show("child", end);
    }
    t.call("root", sys!(SYS_kill, sleeper, SIGKILL));
    t.show("ended", crate::support::wait_for(sleeper));
}

/// A filter that answers one system call so, and allows the rest.
fn filter(number: i64, answer: u32) -> i64 {
    sys!(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    install(number, answer)
}

fn install(number: i64, answer: u32) -> i64 {
    let code = [
        sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 },
        sock_filter { code: 0x15, jt: 0, jf: 1, k: number as u32 },
        sock_filter { code: 0x06, jt: 0, jf: 0, k: answer },
        sock_filter { code: 0x06, jt: 0, jf: 0, k: SECCOMP_RET_ALLOW },
    ];
    let program = sock_fprog { len: 4, filter: code.as_ptr() as *mut _ };
    sys!(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &raw const program)
}

extern "C" fn trapped(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel's: the call's number is behind its address.
    let (code, errno, number) = unsafe { ((*info).si_code, (*info).si_errno, *info.cast::<i32>().add(6)) };
    Trace.show("trapped", format!("{} code {code} errno {errno} call {number}", crate::support::signal_name(signal)));
}

fn seccomp_strict_and_filter(t: &Trace) {
    let end = in_child(|| {
        t.call("errno", filter(SYS_getppid, SECCOMP_RET_ERRNO | 77));
        t.call("getppid", sys!(SYS_getppid));
        t.call("mode", sys!(SYS_prctl, PR_GET_SECCOMP, 0, 0, 0, 0));
        t.show("inherited", in_child(|| t.call("getppid", sys!(SYS_getppid))));
        t.call("stronger", filter(SYS_getppid, SECCOMP_RET_KILL_PROCESS));
        t.show("killed", in_child(|| _ = sys!(SYS_getppid)));
    });
    t.show("child", end);
    let end = in_child(|| {
        crate::support::handle(SIGSYS, 0, trapped);
        t.call("trap", filter(SYS_getpgrp, SECCOMP_RET_TRAP | 5));
        sys!(SYS_getpgrp);
        t.show("goes on", "yes");
    });
    t.show("child", end);
    let end = in_child(|| {
        t.call("strict", sys!(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0));
        t.show("write works", "yes");
        sys!(SYS_getpid);
    });
    t.show("child", end);
}

fn seccomp_errors(t: &Trace) {
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("privilege", install(SYS_getppid, SECCOMP_RET_ALLOW));
        sys!(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        t.call("no new privileges", filter(SYS_getppid, SECCOMP_RET_ALLOW));
    });
    t.show("child", end);
    t.call("operation", sys!(SYS_seccomp, 99, 0, 0));
    t.call("bad pointer", sys!(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, 8));
    let code = [sock_filter { code: 0x20, jt: 0, jf: 0, k: 3 }];
    let program = sock_fprog { len: 1, filter: code.as_ptr() as *mut _ };
    t.call("bad program", sys!(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &raw const program));
    let action = SECCOMP_RET_ERRNO;
    t.call("available", sys!(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &raw const action));
}
