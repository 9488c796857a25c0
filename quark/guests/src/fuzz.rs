//! Random system calls with hostile arguments: `guests fuzz SEED ROUNDS`.
//!
//! Each round is a process that makes calls until it has made enough, dies, or is killed, which must end it. Prints a line for each round
//! that went wrong, and `fuzzed ROUNDS` at the end. The same seed makes the same calls, as far as threads and time let it.

use crate::support::{in_child, now_ms, sleep_ms, spawn, until};
use crate::sys;

/// Calls of one round, and how long it may take.
const CALLS: u64 = 400;
const ROUND_MS: i64 = 300;
/// The last number of a call that Linux 6.18 has, and some more.
const NUMBERS: u64 = 480;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 33
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 16) % bound
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// Runs all rounds; false when the kernel has not held.
pub fn main(seed: u64, rounds: u64) -> bool {
    let mut held = true;
    for round in seed..seed + rounds {
        let child = spawn(|| fuzz(round));
        let end = now_ms() + ROUND_MS;
        let mut gone = false;
        while !gone && now_ms() < end {
            gone = sys!(SYS_wait4, child, 0, libc::WNOHANG, 0) == i64::from(child);
            sleep_ms(1);
        }
        sys!(SYS_kill, -1, libc::SIGKILL);
        gone = gone || until(|| sys!(SYS_wait4, child, 0, libc::WNOHANG, 0) == i64::from(child));
        // SAFETY: asks for any child that is left.
        while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
        if !gone || in_child(|| ()) != "exited 0" {
            println!("BREACH round {round}: the process does not end, or no other is made");
            held = false;
            break;
        }
    }
    println!("fuzzed {rounds}");
    held
}

/// Twice the memory that arguments point to: the second half cannot be touched.
const ARENA: u64 = 1 << 16;

fn fuzz(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bound();
    let arena = sys!(SYS_mmap, 0, 2 * ARENA, 3, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0) as u64;
    sys!(SYS_munmap, arena + ARENA, ARENA);
    let calls = 1 + random.below(CALLS);
    let many = random.below(4) == 0;
    if many {
        let other = Random(seed ^ u64::MAX);
        std::thread::spawn(move || run(other, arena, CALLS));
    }
    run(random, arena, calls);
}

/// What a round may use up of the machine.
fn bound() {
    let limits = [
        (libc::RLIMIT_AS, 1 << 30),
        (libc::RLIMIT_FSIZE, 16 << 20),
        (libc::RLIMIT_NOFILE, 256),
        (libc::RLIMIT_MSGQUEUE, 1 << 20),
        (libc::RLIMIT_SIGPENDING, 100),
    ];
    for (resource, value) in limits {
        sys!(SYS_prlimit64, 0, resource, [value as u64; 2].as_ptr(), 0);
    }
    let null = sys!(SYS_open, c"/dev/null".as_ptr(), libc::O_RDWR);
    for fd in 0..3 {
        sys!(SYS_dup2, null, fd);
    }
    files();
}

/// Descriptors of many kinds, from 3 on.
fn files() {
    let mut ends = [0i32; 2];
    for path in [c"/", c"/proc", c"/proc/self/maps", c"/proc/self/mem", c"/dev/ptmx", c"/dev/zero", c"/sys", c"/dev/shm", c"/guests"] {
        sys!(SYS_open, path.as_ptr(), libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK);
        sys!(SYS_open, path.as_ptr(), libc::O_RDONLY | libc::O_NOCTTY | libc::O_NONBLOCK);
    }
    sys!(SYS_open, c"file".as_ptr(), libc::O_RDWR | libc::O_CREAT, 0o644);
    sys!(SYS_pipe2, ends.as_mut_ptr(), libc::O_NONBLOCK);
    sys!(SYS_memfd_create, c"fuzz".as_ptr(), libc::MFD_ALLOW_SEALING);
    sys!(SYS_epoll_create1, 0);
    sys!(SYS_eventfd2, 0, libc::EFD_NONBLOCK);
    sys!(SYS_timerfd_create, libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK);
    sys!(SYS_signalfd4, -1, [u64::MAX].as_ptr(), 8, libc::SFD_NONBLOCK);
    sys!(SYS_inotify_init1, libc::IN_NONBLOCK);
    for (family, kind) in [(1, 1), (1, 2), (1, 5), (2, 1), (2, 2), (10, 1), (10, 2), (16, 3)] {
        sys!(SYS_socket, family, kind | libc::SOCK_NONBLOCK, 0);
    }
    sys!(SYS_socketpair, 1, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0, ends.as_mut_ptr());
    sys!(SYS_pidfd_open, sys!(SYS_getpid), 0);
}

/// Calls that would end the round, or have it wait for nothing, too often.
const SELDOM: &[i64] = &[
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_pause,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigsuspend,
    libc::SYS_execve,
    libc::SYS_munmap,
    libc::SYS_close_range,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_vfork,
    libc::SYS_clone,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_seccomp,
    libc::SYS_prctl,
];

fn run(mut random: Random, arena: u64, calls: u64) {
    for _ in 0..calls {
        let number = random.below(NUMBERS) as i64;
        if SELDOM.contains(&number) && random.below(30) != 0 {
            continue;
        }
        fill(&mut random, arena);
        let [a, b, c, d, e, f] = std::array::from_fn(|_| argument(&mut random, arena));
        // A process of the same memory would run on from here, on the same stack.
        let a = if number == libc::SYS_clone { a & !(libc::CLONE_VM as u64) } else { a };
        if number == libc::SYS_vfork {
            continue;
        }
        // SAFETY: what becomes of this process does not matter.
        unsafe { libc::syscall(number, a, b, c, d, e, f) };
    }
}

/// Words of the arena: structures of random content, with pointers, small numbers, and paths.
fn fill(random: &mut Random, arena: u64) {
    let at = random.below(ARENA / 8 - 64) * 8;
    for word in 0..random.below(48) {
        let value = argument(random, arena);
        // SAFETY: within the arena, unless a call has unmapped it, which ends the round.
        unsafe { ((arena + at + word * 8) as *mut u64).write_volatile(value) };
    }
    let paths: [&[u8]; 8] = [b"/\0", b"file\0", b"/proc/self/fd/3\0", b"../../..\0", b"dir/x\0", b"/dev/tty\0", b"/tmp/\xff\xfe\0", b"\0"];
    let path = random.of(&paths);
    // SAFETY: as above; paths are shorter than what is left.
    unsafe { std::ptr::copy_nonoverlapping(path.as_ptr(), (arena + random.below(64) * 32) as *mut u8, path.len()) };
}

fn argument(random: &mut Random, arena: u64) -> u64 {
    const ODD: &[u64] = &[
        0,
        1,
        2,
        3,
        8,
        24,
        0x1000,
        0xffff,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        1 << 32,
        i64::MAX as u64,
        1 << 63,
        u64::MAX,
        u64::MAX - 1,
        u64::MAX - 99,
        0x7fff_0000_0000,
        0x7fff_4000_0000,
        0x7fff_8000_0000,
        0x7fff_ffff_f000,
        0xffff_8880_0000_0000,
        0xffff_ffff_ffff_f000,
    ];
    match random.below(12) {
        0..=2 => arena + random.below(ARENA / 8) * 8,
        3 => arena + random.below(64) * 32,
        4 => arena + ARENA - random.below(64),
        5 => random.of(ODD),
        6 | 7 => 3 + random.below(42),
        8 | 9 => random.below(300),
        10 => 1 << random.below(64),
        _ => random.next(),
    }
}
