//! The kernel process' own filter, the second wall: what somebody could ask of the host who has taken the kernel over.
//!
//! Nothing here opens a path outside of the mount namespace, starts a program, makes memory executable, reaches another family of
//! sockets, or changes who the process is. A call that isn't here answers ENOSYS rather than ending the pod: newer C libraries try
//! calls that are new to us and manage without, and so they do without a few that only make things nicer (names of threads, robust lists).

use super::assemble::{self, Condition, Instruction, Rule, assemble, compare, load, ret, unless_equal};
use rustix::io::Errno;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
const X32: u32 = 0x4000_0000;

/// What every guest needs, with whatever arguments: memory, threads, clocks, waiting.
const PLAIN: &[i64] = &[
    libc::SYS_munmap,
    // Without it the C library takes ENOSYS for an address.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_kill,
    libc::SYS_waitid,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sysinfo,
    libc::SYS_restart_syscall,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ppoll,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_memfd_create,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
];

/// Files, by descriptors of their directories alone.
const FILES: &[i64] = &[
    libc::SYS_openat2,
    libc::SYS_statx,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_getdents64,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_readlinkat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat2,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_syncfs,
    libc::SYS_fgetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_fremovexattr,
    libc::SYS_flistxattr,
];

/// Sockets that [`rules`] let be made.
const SOCKETS: &[i64] = &[
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_listen,
    libc::SYS_accept4,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
];

/// The flags with which the C library makes a thread.
const CLONE_THREAD: i32 = libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SYSVSEM
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SETTLS
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_CLEARTID;

/// `ioctl(2)` requests: which pages of a process are its own, how much waits to be read, a console's settings and size, facts about network
/// interfaces.
const REQUESTS: &[u64] = &[
    crate::pagemap::PAGEMAP_SCAN,
    libc::FIONREAD,
    libc::TIOCOUTQ,
    libc::TCGETS,
    libc::TCSETS,
    libc::TIOCGWINSZ,
    libc::SIOCGIFNAME,
    libc::SIOCGIFFLAGS,
    libc::SIOCGIFADDR,
    libc::SIOCGIFBRDADDR,
    libc::SIOCGIFNETMASK,
    libc::SIOCGIFMTU,
    libc::SIOCGIFHWADDR,
    libc::SIOCGIFINDEX,
    libc::SIOCGIFTXQLEN,
];

const COMMANDS: &[i32] = &[
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_ADD_SEALS,
    libc::F_GET_SEALS,
    libc::F_GETPIPE_SZ,
    libc::F_SETPIPE_SZ,
];

/// What the kernel process may still call once a pod runs.
pub fn rules() -> Vec<Rule> {
    use Condition::{Equal, Masked};
    let mut rules: Vec<Rule> = [PLAIN, FILES, SOCKETS].concat().into_iter().map(Rule::any).collect();
    // For the guest's own, which needs no registration.
    rules.push(Rule::when(libc::SYS_membarrier, &[Masked(0, u32::MAX, crate::barrier::MEMBARRIER_CMD_GLOBAL as u32)]));
    // Nothing becomes executable.
    let never = [Masked(2, libc::PROT_EXEC as u32, 0)];
    rules.extend([libc::SYS_mmap, libc::SYS_mprotect].map(|number| Rule::when(number, &never)));
    rules.push(Rule::when(libc::SYS_clone, &[Equal(0, CLONE_THREAD as u64)]));
    rules.extend(REQUESTS.iter().map(|request| Rule::when(libc::SYS_ioctl, &[Masked(1, u32::MAX, *request as u32)])));
    rules.extend(COMMANDS.iter().map(|command| Rule::when(libc::SYS_fcntl, &[Masked(1, u32::MAX, *command as u32)])));
    // Types without SOCK_NONBLOCK and SOCK_CLOEXEC.
    let kind = 0xf;
    for family in [libc::AF_INET, libc::AF_INET6] {
        for wanted in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
            rules.push(Rule::when(libc::SYS_socket, &[Equal(0, family as u64), Masked(1, kind, wanted as u32)]));
        }
    }
    let route = [Equal(0, libc::AF_NETLINK as u64), Masked(1, kind, libc::SOCK_RAW as u32), Equal(2, libc::NETLINK_ROUTE as u64)];
    rules.push(Rule::when(libc::SYS_socket, &route));
    rules.push(Rule::when(libc::SYS_socketpair, &[Equal(0, libc::AF_UNIX as u64)]));
    // Regular files, FIFOs and sockets; never devices.
    for node in [0, libc::S_IFREG, libc::S_IFIFO, libc::S_IFSOCK] {
        rules.push(Rule::when(libc::SYS_mknodat, &[Masked(2, libc::S_IFMT, node)]));
    }
    rules
}

/// The filter, as instructions.
pub fn kernel_filter() -> Vec<Instruction> {
    let mut filter =
        vec![load(assemble::ARCHITECTURE), unless_equal(AUDIT_ARCH_X86_64, 2), load(assemble::NUMBER), compare(X32, 0, 1), ret(KILL)];
    filter.extend(assemble(&rules(), ALLOW, REFUSE));
    filter
}

/// Puts the filter before every host call that this process makes from now on; `whole_process` takes in all of its threads. Cannot be
/// undone. Needs no_new_privs (EACCES).
pub fn confine(whole_process: bool) -> Result<(), Errno> {
    let filter = kernel_filter();
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut().cast() };
    let flags = if whole_process { libc::SECCOMP_FILTER_FLAG_TSYNC } else { 0 };
    // SAFETY: the program points to as many instructions as it says, which the host copies; `Instruction` is `sock_filter`.
    let answer = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    match answer {
        0 => Ok(()),
        // TSYNC names a thread that has another filter.
        1.. => Err(Errno::SRCH),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::interpret::{HostCallData, run};
    use super::*;
    use std::collections::BTreeSet;

    fn verdict(number: i64, arguments: [u64; 6]) -> u32 {
        let data = HostCallData { number: number as u32, architecture: AUDIT_ARCH_X86_64, pointer: 0, arguments };
        run(&kernel_filter(), &data)
    }

    #[test]
    fn lets_pass_at_most_eighty_calls_and_none_of_the_dangerous() {
        let numbers: BTreeSet<u32> = rules().iter().map(|rule| rule.number).collect();
        assert!(numbers.len() <= 80, "{}", numbers.len());
        let dangerous = [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_open,
            libc::SYS_openat,
            libc::SYS_ptrace,
            libc::SYS_mount,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_chroot,
            libc::SYS_pivot_root,
            libc::SYS_bpf,
            libc::SYS_keyctl,
            libc::SYS_userfaultfd,
            libc::SYS_perf_event_open,
            libc::SYS_io_uring_setup,
            libc::SYS_open_by_handle_at,
            libc::SYS_init_module,
            libc::SYS_setuid,
            libc::SYS_capset,
            libc::SYS_fork,
            libc::SYS_vfork,
            libc::SYS_clone3,
            libc::SYS_seccomp,
            libc::SYS_shmget,
            libc::SYS_move_mount,
        ];
        for number in dangerous {
            assert_eq!(verdict(number, [0; 6]), REFUSE, "{number}");
        }
    }

    #[test]
    fn judges_arguments() {
        assert_eq!(verdict(libc::SYS_mmap, [0, 4096, 3, 0, 0, 0]), ALLOW);
        assert_eq!(verdict(libc::SYS_mmap, [0, 4096, 4, 0, 0, 0]), REFUSE);
        assert_eq!(verdict(libc::SYS_mprotect, [0, 4096, 7, 0, 0, 0]), REFUSE);
        for family in 0..50u64 {
            for kind in 0..12u64 {
                let inet = [2, 10].contains(&family) && [1, 2].contains(&kind);
                let expected = if inet || family == 16 && kind == 3 { ALLOW } else { REFUSE };
                assert_eq!(verdict(libc::SYS_socket, [family, kind, 0, 0, 0, 0]), expected, "{family} {kind}");
            }
        }
        assert_eq!(verdict(libc::SYS_clone, [CLONE_THREAD as u64, 0, 0, 0, 0, 0]), ALLOW);
        assert_eq!(verdict(libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0, 0, 0, 0]), REFUSE);
        assert_eq!(verdict(libc::SYS_mknodat, [0, 0, 0o100_644, 0, 0, 0]), ALLOW);
        assert_eq!(verdict(libc::SYS_mknodat, [0, 0, 0o060_644, 0, 0, 0]), REFUSE);
        assert_eq!(verdict(libc::SYS_ioctl, [0, u64::from(libc::TIOCSTI as u32), 0, 0, 0, 0]), REFUSE);
    }

    #[test]
    fn refuses_all_numbers_that_have_no_rule() {
        let rules = rules();
        for number in 0..700 {
            let plain = rules.iter().any(|rule| rule.number == number && rule.conditions.is_empty());
            if plain || !rules.iter().any(|rule| rule.number == number) {
                assert_eq!(verdict(i64::from(number), [0; 6]), if plain { ALLOW } else { REFUSE }, "{number}");
            }
        }
    }

    /// In a thread of its own: the filter stays on it.
    #[test]
    fn holds_on_this_host() {
        let answers = std::thread::spawn(|| {
            rustix::thread::set_no_new_privs(true).unwrap();
            confine(false).unwrap();
            let shadow = rustix::fs::open("/etc/passwd", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).err();
            let packet = crate::socket::socket(libc::AF_PACKET, libc::SOCK_RAW, 0).err();
            let inet = crate::socket::socket(libc::AF_INET, libc::SOCK_STREAM, 0).is_ok();
            let thread = std::thread::spawn(|| vec![1u8; 1 << 20].len()).join().unwrap();
            (shadow, packet, inet, thread)
        });
        assert_eq!(answers.join().unwrap(), (Some(Errno::NOSYS), Some(Errno::NOSYS), true, 1 << 20));
    }
}
