//! A pod's kernel process, taken over: `guests takeover PID PATH SECRET OTHER…` runs on the host, as root, and has the process PID make host
//! calls of an attacker's choice, in a thread of its own, behind all of its walls. PATH is a file of the host that holds SECRET, OTHER are
//! processes of the host. Prints a line for each try, as attacks do; the process goes on afterwards as if nothing had been.

use std::fs::File;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::ptr::{null_mut, without_provenance_mut};

use crate::attacks::{breach, say};
use crate::support::zeroed;

/// Answers that are no success and no accident.
const REFUSED: std::ops::RangeInclusive<i64> = -4_095..=-1;

struct Victim {
    pid: i32,
    memory: File,
    registers: libc::user_regs_struct,
    /// Of a `syscall` instruction.
    gadget: u64,
    /// Where its thread's stack is not in use.
    scratch: u64,
}

/// False when the process can't be taken over.
pub fn main(args: &[&str]) -> bool {
    let [pid, path, secret, others @ ..] = args else { return false };
    let (Ok(pid), others) = (pid.parse(), others.iter().flat_map(|pid| pid.parse::<i32>())) else { return false };
    let Some(mut victim) = Victim::seize(pid) else { return false };
    calls(&mut victim);
    files(&mut victim, path, secret);
    processes(&mut victim, &others.collect::<Vec<_>>());
    network(&mut victim);
    victim.release();
    true
}

impl Victim {
    fn seize(pid: i32) -> Option<Victim> {
        let memory = File::options().read(true).write(true).open(format!("/proc/{pid}/mem")).ok()?;
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
        let gadget = maps.lines().filter(|line| line.contains(" r-x")).find_map(|line| find_gadget(&memory, line))?;
        let mut registers: libc::user_regs_struct = zeroed();
        // SAFETY: the registers outlive the call; the status is not asked for.
        unsafe {
            if libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) != 0 || libc::ptrace(libc::PTRACE_INTERRUPT, pid, 0, 0) != 0 {
                return None;
            }
            libc::waitpid(pid, null_mut(), libc::__WALL);
            libc::ptrace(libc::PTRACE_GETREGS, pid, 0, &raw mut registers);
        }
        let scratch = (registers.rsp - 16_384) & !0xfff;
        Some(Victim { pid, memory, registers, gadget, scratch })
    }

    /// Has it make one call: what the host answers.
    fn call(&mut self, number: i64, [a, b, c, d, e, f]: [i64; 6]) -> i64 {
        let mut registers = self.registers;
        (registers.rip, registers.rax, registers.orig_rax) = (self.gadget, number as u64, u64::MAX);
        (registers.rdi, registers.rsi, registers.rdx) = (a as u64, b as u64, c as u64);
        (registers.r10, registers.r8, registers.r9) = (d as u64, e as u64, f as u64);
        let mut status = 0;
        // SAFETY: the registers and the status outlive the calls.
        unsafe {
            libc::ptrace(libc::PTRACE_SETREGS, self.pid, 0, &raw const registers);
            libc::ptrace(libc::PTRACE_SINGLESTEP, self.pid, 0, without_provenance_mut::<u8>(0));
            libc::waitpid(self.pid, &raw mut status, libc::__WALL);
            libc::ptrace(libc::PTRACE_GETREGS, self.pid, 0, &raw mut registers);
        }
        assert!(libc::WIFSTOPPED(status), "the kernel process ended: {status:#x}");
        registers.rax as i64
    }

    /// Puts bytes where its calls may point to: their address there.
    fn place(&self, at: u64, bytes: &[u8]) -> i64 {
        self.memory.write_all_at(bytes, self.scratch + at).expect("the stack can be written");
        (self.scratch + at) as i64
    }

    /// `openat2`, without any of the bounds that the kernel itself always asks for.
    fn open(&mut self, directory: i32, path: &str, flags: i32) -> i64 {
        let name = self.place(0, &[path.as_bytes(), &[0]].concat());
        let how = self.place(4_096, [flags as u64, 0, 0].map(u64::to_ne_bytes).as_flattened());
        self.call(libc::SYS_openat2, [i64::from(directory), name, how, 24, 0, 0])
    }

    /// What it reads from one of its descriptors.
    fn read(&mut self, fd: i64) -> Vec<u8> {
        let mut bytes = vec![0; 1_024];
        let buffer = self.place(4_096, &bytes);
        let count = self.call(libc::SYS_pread64, [fd, buffer, bytes.len() as i64, 0, 0, 0]);
        let _ = self.memory.read_exact_at(&mut bytes, buffer as u64);
        bytes.truncate(usize::try_from(count).unwrap_or(0));
        bytes
    }

    fn close(&mut self, fd: i64) {
        self.call(libc::SYS_close, [fd, 0, 0, 0, 0, 0]);
    }

    fn descriptors(&self) -> Vec<i32> {
        let all = std::fs::read_dir(format!("/proc/{}/fd", self.pid)).expect("it runs");
        all.flatten().filter_map(|entry| entry.file_name().to_string_lossy().parse().ok()).collect()
    }

    fn release(self) {
        // SAFETY: the registers are those that it had.
        unsafe {
            libc::ptrace(libc::PTRACE_SETREGS, self.pid, 0, &raw const self.registers);
            libc::ptrace(libc::PTRACE_DETACH, self.pid, 0, 0);
        }
    }
}

/// In the mapping that a line of `maps` tells of.
fn find_gadget(memory: &File, line: &str) -> Option<u64> {
    let (start, rest) = line.split_once('-')?;
    let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(rest.split_once(' ')?.0, 16).ok()?);
    let mut bytes = vec![0; (end - start) as usize];
    memory.read_exact_at(&mut bytes, start).ok()?;
    bytes.windows(2).position(|two| two == [0x0f, 0x05]).map(|at| start + at as u64)
}

fn refused(what: impl std::fmt::Display, answer: i64) {
    if REFUSED.contains(&answer) { say(what, std::io::Error::from_raw_os_error(-answer as i32)) } else { breach(what, answer) }
}

/// None of these is let through, whatever its arguments.
fn calls(victim: &mut Victim) {
    let numbers = [
        libc::SYS_open,
        libc::SYS_openat,
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_fork,
        libc::SYS_vfork,
        libc::SYS_clone3,
        libc::SYS_ptrace,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_chdir,
        libc::SYS_fchdir,
        libc::SYS_move_mount,
        libc::SYS_open_tree,
        libc::SYS_fsopen,
        libc::SYS_fspick,
        libc::SYS_mount_setattr,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_setuid,
        libc::SYS_setresuid,
        libc::SYS_capset,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_io_uring_setup,
        libc::SYS_keyctl,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_kexec_load,
        libc::SYS_name_to_handle_at,
        libc::SYS_open_by_handle_at,
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_getfd,
        libc::SYS_kcmp,
        libc::SYS_prlimit64,
        libc::SYS_sched_setaffinity,
        libc::SYS_setpriority,
        libc::SYS_seccomp,
        libc::SYS_prctl,
        libc::SYS_reboot,
        libc::SYS_sethostname,
        libc::SYS_shmget,
        libc::SYS_msgget,
        libc::SYS_syslog,
        libc::SYS_quotactl,
        libc::SYS_swapon,
        libc::SYS_acct,
        libc::SYS_iopl,
    ];
    for number in numbers {
        refused(format!("call {number}"), victim.call(number, [0; 6]));
    }
    refused("memory that runs", victim.call(libc::SYS_mmap, [0, 4_096, 7, 0x22, -1, 0]));
    refused("memory made to run", victim.call(libc::SYS_mprotect, [victim.scratch as i64, 4_096, 7, 0, 0, 0]));
    refused("a process", victim.call(libc::SYS_clone, [i64::from(libc::SIGCHLD), 0, 0, 0, 0, 0]));
    refused("typing into the terminal", victim.call(libc::SYS_ioctl, [0, libc::TIOCSTI as i64, victim.scratch as i64, 0, 0, 0]));
    for (family, kind, protocol) in
        [(1, 1, 0), (17, 3, 0), (38, 5, 0), (40, 1, 0), (44, 3, 0), (2, 3, 6), (10, 3, 6), (16, 3, 12), (16, 3, 15)]
    {
        refused(format!("a socket of {family}, {kind}, {protocol}"), victim.call(libc::SYS_socket, [family, kind, protocol, 0, 0, 0]));
    }
}

/// By absolute paths there is nothing, and from no descriptor does a path lead out, or to more than the descriptor's mount may.
fn files(victim: &mut Victim, path: &str, secret: &str) {
    for absolute in [path, "/etc/passwd", "/bin/sh", "/proc/self/mem", "/proc/1/root", "/sys/fs/cgroup", "/dev/null", "/run", "/tmp"] {
        refused(format!("open {absolute}"), victim.open(libc::AT_FDCWD, absolute, libc::O_RDONLY));
    }
    let out = format!("{}{}", "../".repeat(12), path.trim_start_matches('/'));
    let mut process_folders = 0;
    for fd in victim.descriptors() {
        refused(format!("out of {fd}"), victim.open(fd, &out, libc::O_RDONLY));
        let above = victim.open(fd, "../canary", libc::O_RDONLY);
        if above >= 0 && victim.read(above).windows(secret.len()).any(|bytes| bytes == secret.as_bytes()) {
            breach(format!("above {fd}"), "the secret");
        }
        read_only(victim, fd);
        process_folders += usize::from(own_processes(victim, fd));
    }
    if process_folders == 0 { breach("the kernel's own procfs", "was not found") } else { say("procfs", process_folders) }
}

/// Where the host's mount is read-only, nothing is changed, even by a descriptor that is opened again.
fn read_only(victim: &mut Victim, fd: i32) {
    let file = victim.open(fd, "file", libc::O_RDONLY);
    if file < 0 || victim.read(file) != b"read only" {
        return;
    }
    refused(format!("write to the read-only {fd}"), victim.open(fd, "file", libc::O_RDWR));
    let name = victim.place(0, b"file\0");
    refused("unlink in it", victim.call(libc::SYS_unlinkat, [i64::from(fd), name, 0, 0, 0, 0]));
    refused("chmod in it", victim.call(libc::SYS_fchmod, [file, 0o777, 0, 0, 0, 0]));
    for process in victim.descriptors() {
        refused(format!("again by {process}"), victim.open(process, &format!("self/fd/{file}"), libc::O_RDWR));
    }
    victim.close(file);
}

/// What the kernel's own procfs, if this is it, leads to.
fn own_processes(victim: &mut Victim, fd: i32) -> bool {
    if victim.open(fd, "self/statm", libc::O_RDONLY) < 0 {
        return false;
    }
    for path in ["self/mem", "1/mem", "self/oom_score_adj", "self/uid_map", "self/attr/current", "self/exe", "1/exe", "self/timerslack_ns"]
    {
        refused(format!("write to {path}"), victim.open(fd, path, libc::O_RDWR));
    }
    for path in
        ["sys/kernel/core_pattern", "sysrq-trigger", "kcore", "cmdline", "1/root/etc/passwd", "self/cwd/../etc/passwd", "../etc/passwd"]
    {
        refused(format!("open {path}"), victim.open(fd, path, libc::O_RDONLY));
    }
    true
}

fn processes(victim: &mut Victim, others: &[i32]) {
    for other in others {
        let pid = i64::from(*other);
        refused(format!("signal to {other}"), victim.call(libc::SYS_kill, [pid, 0, 0, 0, 0, 0]));
        refused(format!("signal to thread {other}"), victim.call(libc::SYS_tgkill, [pid, pid, 0, 0, 0, 0]));
        let vector = victim.place(0, [victim.scratch + 256, 8].map(u64::to_ne_bytes).as_flattened());
        refused(format!("memory of {other}"), victim.call(libc::SYS_process_vm_readv, [pid, vector, 1, vector, 1, 0]));
    }
}

/// A datagram needs no socket of a family that is refused: a pair of sockets sends where it is told to.
fn network(victim: &mut Victim) {
    let name = format!("takeover-{}", std::process::id());
    let canary = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).expect("a name")).expect("a socket");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let pair = victim.place(0, &[0; 8]);
    if victim.call(libc::SYS_socketpair, [1, i64::from(libc::SOCK_DGRAM), 0, pair, 0, 0]) == 0 {
        let mut fd = [0; 4];
        let _ = victim.memory.read_exact_at(&mut fd, pair as u64);
        let fd = i64::from(i32::from_ne_bytes(fd));
        let mut address = vec![1, 0, 0];
        address.extend(name.bytes());
        let to = victim.place(64, &address) as u64;
        let vector = victim.place(256, [victim.scratch, 8].map(u64::to_ne_bytes).as_flattened()) as u64;
        let message = victim.place(512, [to, address.len() as u64, vector, 1, 0, 0, 0].map(u64::to_ne_bytes).as_flattened());
        refused("a datagram to a socket of the host", victim.call(libc::SYS_sendmsg, [fd, message, libc::MSG_DONTWAIT.into(), 0, 0, 0]));
        refused("a connection to it", victim.call(libc::SYS_connect, [fd, to as i64, address.len() as i64, 0, 0, 0]));
    }
    canary.set_nonblocking(true).expect("a socket");
    if canary.recv(&mut [0; 8]).is_ok() {
        breach("a socket of the host", "a datagram came");
    }
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    if namespace("self") != namespace(&victim.pid.to_string()) {
        let port = listener.local_addr().expect("an address").port().to_be_bytes();
        let address = victim.place(0, &[2, 0, port[0], port[1], 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        let socket = victim.call(libc::SYS_socket, [2, 1, 0, 0, 0, 0]);
        refused("the host's loopback", victim.call(libc::SYS_connect, [socket, address, 16, 0, 0, 0]));
        victim.close(socket);
    }
}
