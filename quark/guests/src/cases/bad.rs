//! Bad pointers and bad descriptors, for many calls: what is checked first is part of what is compared.

use crate::support::file;
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(closed_descriptors),
    case!(path_descriptors),
    case!(plain_files),
    case!(events),
    case!(epolls),
    case!(folders),
    case!(sockets),
    case!(bad_names),
    case!(bad_buffers),
    case!(bad_results),
    case!(bad_structures),
];

/// Calls that take a descriptor first, with arguments behind it that are right or do not matter.
const BY_DESCRIPTOR: &[(&str, i64, [i64; 5])] = &[
    ("read", SYS_read, [0, 0, 0, 0, 0]),
    ("write", SYS_write, [0, 0, 0, 0, 0]),
    ("pread64", SYS_pread64, [0, 0, 0, 0, 0]),
    ("pwrite64", SYS_pwrite64, [0, 0, 0, 0, 0]),
    ("readv", SYS_readv, [0, 0, 0, 0, 0]),
    ("writev", SYS_writev, [0, 0, 0, 0, 0]),
    ("preadv", SYS_preadv, [0, 0, 0, 0, 0]),
    ("pwritev", SYS_pwritev, [0, 0, 0, 0, 0]),
    ("preadv2", SYS_preadv2, [0, 0, 0, 0, 0]),
    ("pwritev2", SYS_pwritev2, [0, 0, 0, 0, 0]),
    ("lseek", SYS_lseek, [0, 0, 0, 0, 0]),
    ("dup", SYS_dup, [0, 0, 0, 0, 0]),
    ("dup2", SYS_dup2, [50, 0, 0, 0, 0]),
    ("dup3", SYS_dup3, [51, 0, 0, 0, 0]),
    ("fcntl", SYS_fcntl, [F_GETFL as i64, 0, 0, 0, 0]),
    ("ioctl", SYS_ioctl, [0x1234, 0, 0, 0, 0]),
    ("flock", SYS_flock, [LOCK_SH as i64, 0, 0, 0, 0]),
    ("fsync", SYS_fsync, [0, 0, 0, 0, 0]),
    ("fdatasync", SYS_fdatasync, [0, 0, 0, 0, 0]),
    ("syncfs", SYS_syncfs, [0, 0, 0, 0, 0]),
    ("sync_file_range", SYS_sync_file_range, [0, 0, 0, 0, 0]),
    ("ftruncate", SYS_ftruncate, [0, 0, 0, 0, 0]),
    ("fallocate", SYS_fallocate, [0, 0, 1, 0, 0]),
    ("fadvise64", SYS_fadvise64, [0, 0, 0, 0, 0]),
    ("readahead", SYS_readahead, [0, 1, 0, 0, 0]),
    ("getdents64", SYS_getdents64, [0, 0, 0, 0, 0]),
    ("getdents", SYS_getdents, [0, 0, 0, 0, 0]),
    ("fchdir", SYS_fchdir, [0, 0, 0, 0, 0]),
    ("fchmod", SYS_fchmod, [0o644, 0, 0, 0, 0]),
    ("fchown", SYS_fchown, [-1, -1, 0, 0, 0]),
    ("fstat", SYS_fstat, [0, 0, 0, 0, 0]),
    ("fstatfs", SYS_fstatfs, [0, 0, 0, 0, 0]),
    ("flistxattr", SYS_flistxattr, [0, 0, 0, 0, 0]),
    ("sendfile", SYS_sendfile, [0, 0, 0, 0, 0]),
    ("splice", SYS_splice, [0, 0, 0, 1, 0]),
    ("tee", SYS_tee, [0, 1, 0, 0, 0]),
    ("vmsplice", SYS_vmsplice, [0, 0, 0, 0, 0]),
    ("bind", SYS_bind, [0, 0, 0, 0, 0]),
    ("connect", SYS_connect, [0, 0, 0, 0, 0]),
    ("listen", SYS_listen, [1, 0, 0, 0, 0]),
    ("accept", SYS_accept, [0, 0, 0, 0, 0]),
    ("accept4", SYS_accept4, [0, 0, 0, 0, 0]),
    ("shutdown", SYS_shutdown, [0, 0, 0, 0, 0]),
    ("getsockname", SYS_getsockname, [0, 0, 0, 0, 0]),
    ("getpeername", SYS_getpeername, [0, 0, 0, 0, 0]),
    ("getsockopt", SYS_getsockopt, [1, 3, 0, 0, 0]),
    ("setsockopt", SYS_setsockopt, [1, 2, 0, 4, 0]),
    ("sendto", SYS_sendto, [0, 0, 0, 0, 0]),
    ("recvfrom", SYS_recvfrom, [0, 0, 0, 0, 0]),
    ("sendmsg", SYS_sendmsg, [0, 0, 0, 0, 0]),
    ("recvmsg", SYS_recvmsg, [0, 0, 0, 0, 0]),
    ("sendmmsg", SYS_sendmmsg, [0, 0, 0, 0, 0]),
    ("recvmmsg", SYS_recvmmsg, [0, 0, 0, 0, 0]),
    ("epoll_ctl", SYS_epoll_ctl, [EPOLL_CTL_DEL as i64, 1, 0, 0, 0]),
    ("epoll_wait", SYS_epoll_wait, [0, 1, 0, 0, 0]),
    ("timerfd_settime", SYS_timerfd_settime, [0, 0, 0, 0, 0]),
    ("timerfd_gettime", SYS_timerfd_gettime, [0, 0, 0, 0, 0]),
    ("inotify_add_watch", SYS_inotify_add_watch, [0, 1, 0, 0, 0]),
    ("inotify_rm_watch", SYS_inotify_rm_watch, [1, 0, 0, 0, 0]),
    ("mq_getsetattr", SYS_mq_getsetattr, [0, 0, 0, 0, 0]),
    ("mq_notify", SYS_mq_notify, [0, 0, 0, 0, 0]),
    ("pidfd_send_signal", SYS_pidfd_send_signal, [0, 0, 0, 0, 0]),
    ("pidfd_getfd", SYS_pidfd_getfd, [0, 0, 0, 0, 0]),
    ("setns", SYS_setns, [0, 0, 0, 0, 0]),
    ("copy_file_range", SYS_copy_file_range, [0, 1, 0, 0, 0]),
    ("close", SYS_close, [0, 0, 0, 0, 0]),
];

fn all(t: &Trace, fd: impl Fn() -> i64) {
    for (name, number, rest) in BY_DESCRIPTOR {
        let fd = fd();
        // SAFETY: the pointers are null, which the kernel refuses.
        t.call(name, unsafe { syscall(*number, fd, rest[0], rest[1], rest[2], rest[3], rest[4]) });
        sys!(SYS_close, fd);
    }
}

fn closed_descriptors(t: &Trace) {
    all(t, || 999);
    all(t, || -1);
}

fn path_descriptors(t: &Trace) {
    file(c"a", b"abc");
    all(t, || sys!(SYS_open, c"a".as_ptr(), O_PATH));
}

fn plain_files(t: &Trace) {
    all(t, || i64::from(file(c"a", b"abc")));
}

fn events(t: &Trace) {
    all(t, || sys!(SYS_eventfd2, 0, EFD_NONBLOCK));
}

fn epolls(t: &Trace) {
    all(t, || sys!(SYS_epoll_create1, 0));
}

fn folders(t: &Trace) {
    all(t, || sys!(SYS_open, c".".as_ptr(), O_RDONLY | O_DIRECTORY));
}

fn sockets(t: &Trace) {
    all(t, || sys!(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
}

const BAD: [i64; 3] = [8, 0x7fff_ffff_f000, -4096];

fn bad_names(t: &Trace) {
    const AT: i64 = AT_FDCWD as i64;
    let calls: &[(&str, i64, fn(i64) -> [i64; 5])] = &[
        ("open", SYS_open, |bad| [bad, 0, 0, 0, 0]),
        ("openat", SYS_openat, |bad| [AT, bad, 0, 0, 0]),
        ("creat", SYS_creat, |bad| [bad, 0o600, 0, 0, 0]),
        ("stat", SYS_stat, |bad| [bad, 0, 0, 0, 0]),
        ("lstat", SYS_lstat, |bad| [bad, 0, 0, 0, 0]),
        ("newfstatat", SYS_newfstatat, |bad| [AT, bad, 0, 0, 0]),
        ("statx", SYS_statx, |bad| [AT, bad, 0, 0, 0]),
        ("access", SYS_access, |bad| [bad, 0, 0, 0, 0]),
        ("faccessat", SYS_faccessat, |bad| [AT, bad, 0, 0, 0]),
        ("chdir", SYS_chdir, |bad| [bad, 0, 0, 0, 0]),
        ("chroot", SYS_chroot, |bad| [bad, 0, 0, 0, 0]),
        ("mkdir", SYS_mkdir, |bad| [bad, 0, 0, 0, 0]),
        ("mkdirat", SYS_mkdirat, |bad| [AT, bad, 0, 0, 0]),
        ("rmdir", SYS_rmdir, |bad| [bad, 0, 0, 0, 0]),
        ("unlink", SYS_unlink, |bad| [bad, 0, 0, 0, 0]),
        ("unlinkat", SYS_unlinkat, |bad| [AT, bad, 0, 0, 0]),
        ("rename", SYS_rename, |bad| [bad, bad, 0, 0, 0]),
        ("renameat2", SYS_renameat2, |bad| [AT, bad, AT, bad, 0]),
        ("link", SYS_link, |bad| [bad, bad, 0, 0, 0]),
        ("linkat", SYS_linkat, |bad| [AT, bad, AT, bad, 0]),
        ("symlink", SYS_symlink, |bad| [bad, bad, 0, 0, 0]),
        ("symlinkat", SYS_symlinkat, |bad| [bad, AT, bad, 0, 0]),
        ("readlink", SYS_readlink, |bad| [bad, 0, 10, 0, 0]),
        ("readlinkat", SYS_readlinkat, |bad| [AT, bad, 0, 10, 0]),
        ("chmod", SYS_chmod, |bad| [bad, 0, 0, 0, 0]),
        ("fchmodat", SYS_fchmodat, |bad| [AT, bad, 0, 0, 0]),
        ("chown", SYS_chown, |bad| [bad, 0, 0, 0, 0]),
        ("lchown", SYS_lchown, |bad| [bad, 0, 0, 0, 0]),
        ("fchownat", SYS_fchownat, |bad| [AT, bad, 0, 0, 0]),
        ("truncate", SYS_truncate, |bad| [bad, 0, 0, 0, 0]),
        ("mknod", SYS_mknod, |bad| [bad, 0o600, 0, 0, 0]),
        ("mknodat", SYS_mknodat, |bad| [AT, bad, 0o600, 0, 0]),
        ("utime", SYS_utime, |bad| [bad, 0, 0, 0, 0]),
        ("utimes", SYS_utimes, |bad| [bad, 0, 0, 0, 0]),
        ("utimensat", SYS_utimensat, |bad| [AT, bad, 0, 0, 0]),
        ("statfs", SYS_statfs, |bad| [bad, 0, 0, 0, 0]),
        ("setxattr", SYS_setxattr, |bad| [bad, bad, 0, 0, 0]),
        ("getxattr", SYS_getxattr, |bad| [bad, bad, 0, 0, 0]),
        ("listxattr", SYS_listxattr, |bad| [bad, 0, 0, 0, 0]),
        ("removexattr", SYS_removexattr, |bad| [bad, bad, 0, 0, 0]),
        ("execve", SYS_execve, |bad| [bad, 0, 0, 0, 0]),
        ("mount", SYS_mount, |bad| [bad, bad, bad, 0, 0]),
        ("umount2", SYS_umount2, |bad| [bad, 0, 0, 0, 0]),
        ("mq_unlink", SYS_mq_unlink, |bad| [bad, 0, 0, 0, 0]),
        ("memfd_create", SYS_memfd_create, |bad| [bad, 0, 0, 0, 0]),
    ];
    for bad in BAD {
        for (name, number, args) in calls {
            let a = args(bad);
            // SAFETY: the kernel refuses the name.
            t.call(name, unsafe { syscall(*number, a[0], a[1], a[2], a[3], a[4]) });
        }
    }
}

fn bad_buffers(t: &Trace) {
    for bad in BAD {
        let fd = file(c"a", b"abcdef");
        t.call("read", sys!(SYS_read, fd, bad, 4));
        t.call("write", sys!(SYS_write, fd, bad, 4));
        t.call("pread", sys!(SYS_pread64, fd, bad, 4, 0));
        t.call("readv", sys!(SYS_readv, fd, bad, 1));
        t.call("getdents", sys!(SYS_getdents64, sys!(SYS_open, c".".as_ptr(), O_RDONLY), bad, 1000));
        t.call("random", sys!(SYS_getrandom, bad, 4, 0));
        t.call("zero", sys!(SYS_read, sys!(SYS_open, c"/dev/zero".as_ptr(), O_RDONLY), bad, 4));
        t.call("null", sys!(SYS_write, sys!(SYS_open, c"/dev/null".as_ptr(), O_WRONLY), bad, 4));
        t.call("proc", sys!(SYS_read, sys!(SYS_open, c"/proc/self/status".as_ptr(), O_RDONLY), bad, 4));
        let (one, other) = crate::support::socket_pair(SOCK_STREAM);
        t.call("send", sys!(SYS_sendto, one, bad, 4, 0, 0, 0));
        crate::support::write(one, b"abcd");
        t.call("receive", sys!(SYS_recvfrom, other, bad, 4, 0, 0, 0));
    }
    // A buffer whose second page is missing: what fits is transferred.
    let at = sys!(SYS_mmap, 0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sys!(SYS_munmap, at + 4096, 4096);
    let fd = file(c"a", &[7; 8192]);
    t.call("half a read", sys!(SYS_read, fd, at + 4000, 200));
    t.call("half a write", sys!(SYS_write, fd, at + 4000, 200));
    let (_reader, writer) = crate::support::pipe();
    t.call("half into a pipe", sys!(SYS_write, writer, at + 4000, 200));
    t.call("half a name", sys!(SYS_open, at + 4095, O_RDONLY));
}

fn bad_results(t: &Trace) {
    for bad in BAD {
        t.call("stat", sys!(SYS_stat, c".".as_ptr(), bad));
        t.call("statx", sys!(SYS_statx, AT_FDCWD, c".".as_ptr(), 0, STATX_BASIC_STATS, bad));
        t.call("statfs", sys!(SYS_statfs, c".".as_ptr(), bad));
        t.call("getcwd", sys!(SYS_getcwd, bad, 100));
        t.call("pipe", sys!(SYS_pipe, bad));
        t.call("uname", sys!(SYS_uname, bad));
        t.call("sysinfo", sys!(SYS_sysinfo, bad));
        t.call("getrlimit", sys!(SYS_getrlimit, RLIMIT_NOFILE, bad));
        t.call("getrusage", sys!(SYS_getrusage, RUSAGE_SELF, bad));
        t.call("times", sys!(SYS_times, bad));
        t.call("gettimeofday", sys!(SYS_gettimeofday, bad, 0));
        t.call("clock_gettime", sys!(SYS_clock_gettime, CLOCK_REALTIME, bad));
        t.call("getitimer", sys!(SYS_getitimer, ITIMER_REAL, bad));
        t.call("getresuid", sys!(SYS_getresuid, bad, bad, bad));
        t.call("rt_sigpending", sys!(SYS_rt_sigpending, bad, 8));
        t.call("sigaltstack", sys!(SYS_sigaltstack, 0, bad));
        t.call("sched_getaffinity", sys!(SYS_sched_getaffinity, 0, 128, bad));
        t.call("sched_getparam", sys!(SYS_sched_getparam, 0, bad));
        t.call("getcpu", sys!(SYS_getcpu, bad, 0, 0));
        t.call("prctl name", sys!(SYS_prctl, PR_GET_NAME, bad, 0, 0, 0));
        t.call("socketpair", sys!(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, bad));
        t.call("get_robust_list", sys!(SYS_get_robust_list, 0, bad, bad));
        t.call("capget", sys!(SYS_capget, bad, bad));
        t.call("timer_create", sys!(SYS_timer_create, CLOCK_REALTIME, 0, bad));
        t.call("none open", sys!(SYS_fcntl, 3, F_GETFD));
    }
}

fn bad_structures(t: &Trace) {
    for bad in BAD {
        t.call("nanosleep", sys!(SYS_nanosleep, bad, 0));
        t.call("clock_nanosleep", sys!(SYS_clock_nanosleep, CLOCK_REALTIME, 0, bad, 0));
        t.call("setrlimit", sys!(SYS_setrlimit, RLIMIT_NOFILE, bad));
        t.call("setitimer", sys!(SYS_setitimer, ITIMER_REAL, bad, 0));
        t.call("rt_sigaction", sys!(SYS_rt_sigaction, SIGUSR1, bad, 0, 8));
        t.call("rt_sigprocmask", sys!(SYS_rt_sigprocmask, SIG_BLOCK, bad, 0, 8));
        t.call("rt_sigsuspend", sys!(SYS_rt_sigsuspend, bad, 8));
        t.call("rt_sigtimedwait", sys!(SYS_rt_sigtimedwait, bad, 0, 0, 8));
        t.call("poll", sys!(SYS_poll, bad, 1, 0));
        t.call("select", sys!(SYS_select, 1, bad, 0, 0, 0));
        t.call("ppoll time", sys!(SYS_ppoll, 0, 0, bad, 0, 8));
        t.call("setgroups", sys!(SYS_setgroups, 1, bad));
        t.call("capset", sys!(SYS_capset, bad, bad));
        t.call("sched_setaffinity", sys!(SYS_sched_setaffinity, 0, 8, bad));
        t.call("clone3", sys!(SYS_clone3, bad, 88));
        t.call("openat2", sys!(SYS_openat2, AT_FDCWD, c".".as_ptr(), bad, 24));
        t.call("fcntl lock", sys!(SYS_fcntl, file(c"a", b""), F_SETLK, bad));
        t.call("epoll_ctl", sys!(SYS_epoll_ctl, sys!(SYS_epoll_create1, 0), EPOLL_CTL_ADD, crate::support::pipe().0, bad));
        t.call("utimensat", sys!(SYS_utimensat, AT_FDCWD, c"a".as_ptr(), bad, 0));
        t.call("semop", sys!(SYS_semop, 0, bad, 1));
        t.call("seccomp", sys!(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, bad));
        t.call("sendmsg", sys!(SYS_sendmsg, crate::support::socket_pair(SOCK_STREAM).0, bad, 0));
        t.call("process_vm_readv", sys!(SYS_process_vm_readv, sys!(SYS_getpid), bad, 1, bad, 1, 0));
    }
}
