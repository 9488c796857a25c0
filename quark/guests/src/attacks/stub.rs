//! A process that has taken its own stub over: it jumps to the stub's own `syscall`, which the host's filter lets make some calls, keeps what
//! the stub is given for a moment, and writes over the pages that it shares with the kernel. Fails where there is no stub, as on Linux.

use super::{Attack, Canaries, c, say};
use crate::support::{in_child, sleep_ms, spawn, until, wait_for};
use crate::sys;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

pub const ATTACKS: &[Attack] = &[
    ("kept_descriptors", kept_descriptors),
    ("stub_calls", stub_calls),
    ("unknown_clones", unknown_clones),
    ("scribbled_pages", scribbled_pages),
];

const TEXT: u64 = 0x7fff_0000_0000;
const CONTROL: u64 = 0x7fff_4000_0000;
const STACKS: u64 = 0x7fff_8000_0000;

/// The address of `syscall; ret` in the stub's text.
fn gadget() -> u64 {
    // SAFETY: the stub's text is at least a page, and may be read.
    let text = unsafe { std::slice::from_raw_parts(TEXT as *const u8, 4_096) };
    text.windows(3).position(|bytes| bytes == [0x0f, 0x05, 0xc3]).map_or(0, |at| TEXT + at as u64)
}

/// A call of the host, from the stub's text: a negative errno when it fails.
fn host(gadget: u64, number: i64, [a, b, c, d, e, f]: [u64; 6]) -> i64 {
    let mut answer = number;
    // SAFETY: what the calls do to this process is what the attack is about.
    unsafe {
        std::arch::asm!("call {gadget}", gadget = in(reg) gadget, inlateout("rax") answer, in("rdi") a, in("rsi") b, in("rdx") c,
            in("r10") d, in("r8") e, in("r9") f, out("rcx") _, out("r11") _);
    }
    answer
}

/// Stubs are given files to map them: what this one may only read stays so for who keeps the descriptor.
fn kept_descriptors(a: &Canaries) {
    let marker = b"what may only be read";
    let (tmpfs, memory) = (c("kept"), sys!(SYS_memfd_create, c"kept".as_ptr(), 0));
    std::fs::write("kept", marker).unwrap_or_default();
    sys!(SYS_write, memory, marker.as_ptr(), marker.len());
    let segment = sys!(SYS_shmget, libc::IPC_PRIVATE, 4_096, 0o600);
    let attached = sys!(SYS_shmat, segment, 0, 0);
    // SAFETY: a page that has just been attached.
    unsafe { std::ptr::copy_nonoverlapping(marker.as_ptr(), attached as *mut u8, marker.len()) };
    sys!(SYS_shmdt, attached);
    let again = c(&format!("/proc/self/fd/{memory}"));
    let files = [
        ("tmpfs", sys!(SYS_open, tmpfs.as_ptr(), libc::O_RDONLY)),
        ("memfd", sys!(SYS_open, again.as_ptr(), libc::O_RDONLY)),
        ("volume", sys!(SYS_open, c"/readonly/file".as_ptr(), libc::O_RDONLY)),
    ];
    for (what, fd) in files {
        keep(a, what, || sys!(SYS_mmap, 0, 4_096, libc::PROT_READ, libc::MAP_SHARED, fd, 0));
    }
    keep(a, "private mapping", || sys!(SYS_mmap, 0, 4_096, 3, libc::MAP_PRIVATE, files[0].1, 0));
    keep(a, "segment", || sys!(SYS_shmat, segment, 0, libc::SHM_RDONLY));
    sys!(SYS_shmctl, segment, libc::IPC_RMID, 0);
    a.must("the file is as it was", std::fs::read("kept").is_ok_and(|bytes| bytes == marker));
}

/// What the thief saw: whether it has a descriptor, and what came of mapping it for writing, and of making a mapping of it writable.
type Loot = [AtomicI64; 3];

/// One thread takes the descriptor off the stub's socket before the other, which maps, gets it. That one waits for it in vain, so both are a
/// process of their own.
fn keep(a: &Canaries, what: &str, map: impl Fn() -> i64) {
    let loot = sys!(SYS_mmap, 0, 4_096, 3, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1, 0) as *const Loot;
    // SAFETY: a page of its own, of zeros.
    let loot = unsafe { &*loot };
    let child = spawn(|| {
        std::thread::spawn(|| steal(gadget(), loot));
        sleep_ms(20);
        loop {
            let address = map();
            sys!(SYS_munmap, address, 4_096);
        }
    });
    let stolen = until(|| loot[0].load(Ordering::Acquire) == 1);
    // Its end, for which the kernel gives a process some time, is not waited for.
    sys!(SYS_kill, child, libc::SIGKILL);
    let [_, written, protected] = loot.each_ref().map(|word| word.load(Ordering::Relaxed));
    a.must(format!("{what}: a descriptor was kept"), stolen);
    a.must(format!("{what}: it is not mapped for writing: {written}"), written == -i64::from(libc::EACCES));
    a.must(format!("{what}: nor made writable: {protected}"), protected == -i64::from(libc::EACCES));
}

/// The stub's socket, on which it gets files.
const SOCKET: u64 = 0;

fn steal(gadget: u64, loot: &Loot) {
    let (mut byte, mut control) = (0u8, [0u64; 4]);
    let vector = [&raw mut byte as u64, 1];
    let fd = loop {
        let message = [0, 0, vector.as_ptr() as u64, 1, control.as_mut_ptr() as u64, 32, 0];
        // The length of a `cmsghdr` with one descriptor is 20.
        if host(gadget, libc::SYS_recvmsg, [SOCKET, message.as_ptr() as u64, 0, 0, 0, 0]) > 0 && control[0] >= 20 {
            break control[2] & 0xffff_ffff;
        }
    };
    loot[1].store(try_map(gadget, fd, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED), Ordering::Relaxed);
    let page = try_map(gadget, fd, libc::PROT_READ, libc::MAP_SHARED);
    loot[2].store(host(gadget, libc::SYS_mprotect, [page as u64, 4_096, 3, 0, 0, 0]), Ordering::Relaxed);
    loot[0].store(1, Ordering::Release);
}

fn try_map(gadget: u64, fd: u64, protection: i32, flags: i32) -> i64 {
    host(gadget, libc::SYS_mmap, [0, 4_096, protection as u64, flags as u64, fd, 0])
}

/// Calls that the stub has no need of end the process, and nothing else.
fn stub_calls(a: &Canaries) {
    let here = libc::AT_FDCWD as u64;
    let secret = c(&a.path);
    let path = secret.as_ptr() as u64;
    let calls: &[(&str, i64, [u64; 6])] = &[
        ("open", libc::SYS_open, [path, 0, 0, 0, 0, 0]),
        ("openat2", libc::SYS_openat2, [here, path, 0, 24, 0, 0]),
        ("socket", libc::SYS_socket, [1, 1, 0, 0, 0, 0]),
        ("sendmsg", libc::SYS_sendmsg, [0, 0, 0, 0, 0, 0]),
        ("write", libc::SYS_write, [2, path, 1, 0, 0, 0]),
        ("execve", libc::SYS_execve, [path, 0, 0, 0, 0, 0]),
        ("ptrace", libc::SYS_ptrace, [16, 1, 0, 0, 0, 0]),
        ("process_vm_readv", libc::SYS_process_vm_readv, [1, 0, 0, 0, 0, 0]),
        ("kill", libc::SYS_kill, [1, 9, 0, 0, 0, 0]),
        ("kill all", libc::SYS_kill, [u64::MAX, 9, 0, 0, 0, 0]),
        ("tgkill", libc::SYS_tgkill, [1, 1, 9, 0, 0, 0]),
        ("pidfd_open", libc::SYS_pidfd_open, [1, 0, 0, 0, 0, 0]),
        ("fork", libc::SYS_fork, [0; 6]),
        ("clone", libc::SYS_clone, [libc::CLONE_NEWUSER as u64 | 17, 0, 0, 0, 0, 0]),
        ("unshare", libc::SYS_unshare, [libc::CLONE_NEWUSER as u64, 0, 0, 0, 0, 0]),
        ("memory of the file system", libc::SYS_memfd_create, [path, 0, 0, 0, 0, 0]),
        ("userfaultfd", libc::SYS_userfaultfd, [0; 6]),
        ("io_uring_setup", libc::SYS_io_uring_setup, [8, path, 0, 0, 0, 0]),
        ("bpf", libc::SYS_bpf, [0; 6]),
        ("prctl", libc::SYS_prctl, [libc::PR_SET_DUMPABLE as u64, 0, 0, 0, 0, 0]),
        ("seccomp", libc::SYS_seccomp, [0; 6]),
        ("setrlimit", libc::SYS_setrlimit, [0; 6]),
        ("requeue of priority", libc::SYS_futex, [path, libc::FUTEX_CMP_REQUEUE_PI as u64, 0, 0, 0, 0]),
        ("wait for it", libc::SYS_futex, [path, libc::FUTEX_WAIT_REQUEUE_PI as u64, 0, 0, 0, 0]),
        ("shared futex of priority", libc::SYS_futex, [path, libc::FUTEX_LOCK_PI as u64, 0, 0, 0, 0]),
    ];
    for (what, number, arguments) in calls {
        let answer = AtomicU64::new(0);
        let ending = in_child(|| answer.store(host(gadget(), *number, *arguments) as u64, Ordering::Relaxed));
        a.must(format!("{what}: {ending}"), ending.starts_with("killed"));
    }
}

/// Processes that the kernel does not know are no processes of the guest's, and can do nothing.
fn unknown_clones(a: &Canaries) {
    let flags = (libc::CLONE_PARENT | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD) as u64;
    let child = spawn(|| {
        let gadget = gadget();
        for _ in 0..20 {
            if host(gadget, libc::SYS_clone, [flags, 0, 0, 0, 0, 0]) == 0 {
                host(gadget, libc::SYS_exit_group, [0; 6]);
            }
        }
        loop {
            sleep_ms(1_000);
        }
    });
    sleep_ms(100);
    let listed = std::fs::read_dir("/proc").map_or(0, |all| {
        let names = all.flatten().map(|entry| entry.file_name());
        names.filter(|name| name.to_string_lossy().parse::<i32>().is_ok()).count()
    });
    a.must(format!("{listed} processes are listed"), listed <= 3);
    sys!(SYS_kill, child, libc::SIGKILL);
    say("the process", wait_for(child));
    say("another", in_child(|| ()));
}

/// One thread writes random words to the shared pages, the signal stacks, or both, as the other makes calls; then it is killed.
fn scribbled_pages(a: &Canaries) {
    for (seed, address, length) in
        [(1, CONTROL, 0x40), (2, CONTROL, 0x1000), (3, CONTROL, 0x4_0000), (4, STACKS, 0x2_0000), (5, CONTROL, 0x1_0000)]
    {
        let child = spawn(|| {
            std::thread::spawn(move || scribble(seed, address, length));
            loop {
                sys!(SYS_getppid);
                let mut buffer = [0u8; 64];
                sys!(SYS_uname, buffer.as_mut_ptr());
                sys!(SYS_mmap, 0, 4_096, 3, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
            }
        });
        sleep_ms(150);
        sys!(SYS_kill, child, libc::SIGKILL);
        let mut status = 0;
        let ended = until(|| sys!(SYS_wait4, child, &raw mut status, libc::WNOHANG, 0) == child as i64);
        a.must(format!("{address:#x}: the process ends when it is killed"), ended);
        a.must("others are made", in_child(|| ()) == "exited 0");
    }
}

fn scribble(seed: u64, address: u64, length: u64) -> ! {
    let mut random = 0x9e37_79b9_7f4a_7c15 ^ seed << 32;
    loop {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let word = ((address + random % length) & !3) as *mut u32;
        let small = (random >> 40) as u32 & 3;
        // SAFETY: pages that the stub shares with the kernel; what becomes of this process does not matter.
        unsafe { word.write_volatile(if random >> 62 == 0 { small } else { (random >> 16) as u32 }) };
    }
}
