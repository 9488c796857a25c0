//! Two containers of one pod: `guests keep SECRET` has something to lose in one, and attacks of the other try to get it.
//!
//! A pod's containers share a network, System V objects and queues, as in Kubernetes, but no files and no processes.

use std::io::Write;

use super::{Attack, Canaries, breach, c, read_some, say};
use crate::support::{set_of, sleep_ms};
use crate::sys;

pub const ATTACKS: &[Attack] = &[
    ("neighbours_files", neighbours_files),
    ("neighbours_processes", neighbours_processes),
    ("neighbours_memory", neighbours_memory),
    ("exhausted_kernel", exhausted_kernel),
    ("beyond_limits", beyond_limits),
];

/// Keeps the secret in files, in memory and in its environment, says `ready`, and that each signal that it gets is a `BREACH`.
pub fn keep(secret: &str) -> ! {
    let every: Vec<i32> = (1..32).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)).collect();
    crate::support::block(&every);
    for path in ["/secret", "/tmp/secret", "/dev/shm/secret"] {
        let mut file = std::fs::File::create(path).expect("a file of one's own");
        file.write_all(secret.repeat(8_192).as_bytes()).expect("room for it");
        std::mem::forget(file);
    }
    let memory = secret.repeat(65_536);
    say("keeper", "ready");
    let mut wait = crate::support::zeroed::<libc::timespec>();
    wait.tv_sec = 3_600;
    loop {
        // SAFETY: the set and the time outlive the call.
        let signal = unsafe { libc::sigtimedwait(&raw const *&set_of(&every), std::ptr::null_mut(), &raw const wait) };
        if signal > 0 || memory.len() < 65_536 {
            breach("keeper", format!("signal {signal}"));
        }
    }
}

fn neighbours_files(a: &Canaries) {
    for path in ["/secret", "/tmp/secret", "/dev/shm/secret", "../../../secret", "/proc/1/root/../secret"] {
        a.not_canary(path, path);
    }
    for pid in 1..64 {
        for path in ["root/secret", "root/tmp/secret", "cwd/secret", "fd/3", "fd/4", "fd/5", "environ", "maps", "exe"] {
            if let Ok(bytes) = read_some(&format!("/proc/{pid}/{path}")) {
                a.no_secret(format!("/proc/{pid}/{path}"), &bytes);
            }
        }
    }
    let list = read_some("/proc/self/mountinfo").unwrap_or_default();
    a.no_secret("mountinfo", &list);
}

/// All pids that are not ours are nobody's.
fn neighbours_processes(a: &Canaries) {
    let ours: Vec<i64> = vec![1, sys!(SYS_getpid)];
    for pid in (2..300).filter(|pid| !ours.contains(pid)) {
        for (what, answer) in [
            ("kill", sys!(SYS_kill, pid, libc::SIGTERM)),
            ("tgkill", sys!(SYS_tgkill, pid, pid, libc::SIGTERM)),
            ("queue", sys!(SYS_rt_sigqueueinfo, pid, libc::SIGTERM, [libc::SIGTERM, 0, -1].repeat(11).as_ptr())),
            ("pidfd_open", sys!(SYS_pidfd_open, pid, 0)),
            ("ptrace", sys!(SYS_ptrace, libc::PTRACE_ATTACH, pid, 0, 0)),
            ("prlimit64", sys!(SYS_prlimit64, pid, libc::RLIMIT_NOFILE, 0, [0u64; 2].as_mut_ptr())),
            ("getpgid", sys!(SYS_getpgid, pid)),
            ("sched_setaffinity", sys!(SYS_sched_setaffinity, pid, 8, [1u64].as_ptr())),
            ("setpriority", sys!(SYS_setpriority, libc::PRIO_PROCESS, pid, 19)),
        ] {
            if answer != -1 {
                breach(format!("{what} of {pid}"), answer);
            }
        }
    }
    sys!(SYS_kill, -1, libc::SIGUSR1);
    sys!(SYS_setpriority, libc::PRIO_USER, 0, 5);
    say("all pids", "tried");
    let listed = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let listed = listed.filter(|entry| entry.file_name().to_string_lossy().parse::<i64>().is_ok_and(|pid| !ours.contains(&pid)));
    a.must("processes of others are not listed", listed.count() == 0);
}

/// Memory that is new is empty, whoever had it before.
fn neighbours_memory(a: &Canaries) {
    let length = 64 << 20;
    for (what, fd) in [("memory", -1), ("memfd", sys!(SYS_memfd_create, c"m".as_ptr(), 0))] {
        sys!(SYS_ftruncate, fd, length);
        let kind = if fd == -1 { libc::MAP_PRIVATE | libc::MAP_ANONYMOUS } else { libc::MAP_SHARED };
        let address = sys!(SYS_mmap, 0, length, 3, kind, fd, 0);
        // SAFETY: as long as was mapped.
        let bytes = unsafe { std::slice::from_raw_parts(address as *const u8, length) };
        a.must(format!("{what} is zero"), bytes.iter().all(|byte| *byte == 0));
        sys!(SYS_munmap, address, length);
    }
    let file = sys!(SYS_open, c"/dev/shm/new".as_ptr(), libc::O_RDWR | libc::O_CREAT, 0o600);
    sys!(SYS_fallocate, file, 0, 0, 1 << 20);
    a.must("files are zero", read_some("/dev/shm/new").is_ok_and(|bytes| bytes.iter().all(|byte| *byte == 0)));
}

/// More processes and memory than the container's limits, which are a hundred threads and 64 MiB, as root. Without limits, less than that is tried.
fn beyond_limits(a: &Canaries) {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let limited = meminfo.lines().next().is_some_and(|total| total.contains(" 65536 kB"));
    say("limited", limited);
    if !limited {
        return;
    }
    let bomb = crate::support::in_child(|| {
        let mut children = 0;
        sys!(SYS_setsid);
        while children < 400 {
            // SAFETY: the children do nothing but wait.
            match unsafe { libc::fork() } {
                -1 => break,
                0 => loop {
                    sleep_ms(1_000);
                },
                _ => children += 1,
            }
        }
        a.must(format!("forks end after {children} with {}", crate::trace::errno_name()), children < 110);
        sys!(SYS_kill, 0, libc::SIGKILL);
    });
    say("the bomb", bomb);
    for round in 0..3 {
        let ending = crate::support::in_child(|| {
            let memory = vec![1u8; 256 << 20];
            say("too much was had", memory.iter().map(|byte| u64::from(*byte)).sum::<u64>());
        });
        a.must(format!("{round}: who takes 256 MiB is {ending}"), ending == "killed by SIGKILL");
    }
    a.must("a child still runs", crate::support::in_child(|| ()) == "exited 0");
}

/// Descriptors, pipes and files in memory until the kernel has no more of them: for this container, not for its neighbour.
fn exhausted_kernel(a: &Canaries) {
    let full = std::fs::File::create("/dev/shm/full").map(|mut file| {
        let block = vec![1; 1 << 20];
        let count = (0..4_096).take_while(|_| file.write_all(&block).is_ok()).count();
        (count, crate::trace::errno_name())
    });
    say("a full file system", format!("{full:?}"));
    let _ = std::fs::remove_file("/dev/shm/full");
    let mut children = Vec::new();
    for _ in 0..24 {
        children.push(crate::support::spawn(|| {
            let mut ends = [0i32; 2];
            while sys!(SYS_pipe2, ends.as_mut_ptr(), libc::O_NONBLOCK) == 0 {}
            while sys!(SYS_memfd_create, c"m".as_ptr(), 0) >= 0 {}
            sleep_ms(1_500);
        }));
    }
    sleep_ms(1_000);
    for child in children {
        sys!(SYS_kill, child, libc::SIGKILL);
        crate::support::wait_for(child);
    }
    a.must("a child still runs", crate::support::in_child(|| ()) == "exited 0");
    a.must("a file can be made", std::fs::write("after", b"x").is_ok());
    a.refused("an empty name", sys!(SYS_open, c("").as_ptr(), libc::O_RDONLY));
}
