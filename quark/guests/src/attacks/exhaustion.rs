//! Using up what a container has: each ends at a limit, and the kernel answers afterwards.

use super::{Attack, Canaries};
use crate::support::in_child;
use crate::sys;
use crate::trace::errno_name;

pub const ATTACKS: &[Attack] = &[
    ("fork_bomb", fork_bomb),
    ("thread_bomb", thread_bomb),
    ("descriptors", descriptors),
    ("pipes", pipes),
    ("memory", memory),
    ("mappings", mappings),
    ("watches", watches),
    ("timers", timers),
    ("queued_signals", queued_signals),
    ("arguments", arguments),
    ("paths", paths),
    ("epoll_nest", epoll_nest),
    ("files_in_flight", files_in_flight),
];

/// Repeats a call until it fails, at most so often; which error ended it.
fn until_refused(a: &Canaries, what: &str, most: u64, mut call: impl FnMut() -> i64) {
    let mut count = 0;
    while count < most && call() != -1 {
        count += 1;
    }
    a.must(format!("{what} end after {count} with {}", errno_name()), count < most);
    a.must("a child still runs", in_child(|| ()) == "exited 0");
}

fn limit(resource: u32, value: u64) {
    sys!(SYS_prlimit64, 0, resource, [value; 2].as_ptr(), 0);
}

/// Not as root, which the limit of processes does not bind.
fn fork_bomb(a: &Canaries) {
    let bomber = crate::support::spawn(|| {
        sys!(SYS_setuid, 4_711);
        limit(libc::RLIMIT_NPROC, 100);
        let mut children = 0;
        // SAFETY: the children do nothing but wait.
        while children < 400 {
            match unsafe { libc::fork() } {
                -1 => break,
                0 => loop {
                    sys!(SYS_pause);
                },
                _ => children += 1,
            }
        }
        a.must(format!("forks end after {children} with {}", errno_name()), children < 110);
        sys!(SYS_kill, -1, libc::SIGKILL);
    });
    crate::support::wait_for(bomber);
    a.must("a child still runs", in_child(|| ()) == "exited 0");
}

fn thread_bomb(a: &Canaries) {
    let bomber = crate::support::spawn(|| {
        sys!(SYS_setuid, 4_712);
        limit(libc::RLIMIT_NPROC, 100);
        let sleeper = || std::thread::Builder::new().stack_size(65_536).spawn(|| crate::support::sleep_ms(60_000));
        let started = (0..400).take_while(|_| sleeper().is_ok()).count();
        a.must(format!("threads end after {started}"), started < 110);
    });
    crate::support::wait_for(bomber);
    a.must("a child still runs", in_child(|| ()) == "exited 0");
}

fn descriptors(a: &Canaries) {
    let ending = in_child(|| {
        let mut count = 0;
        while sys!(SYS_eventfd2, 0, 0) != -1 && count < 100_000 {
            count += 1;
        }
        a.must(format!("descriptors end after {count} with {}", errno_name()), count <= 1_024);
    });
    a.must(format!("the child {ending}"), ending == "exited 0");
    a.must("there are descriptors again", sys!(SYS_eventfd2, 0, 0) >= 0);
}

fn pipes(a: &Canaries) {
    let ending = in_child(|| {
        let page = [0u8; 65_536];
        let mut ends = [0i32; 2];
        let mut count = 0;
        while sys!(SYS_pipe2, ends.as_mut_ptr(), libc::O_NONBLOCK) == 0 && count < 10_000 {
            while sys!(SYS_write, ends[1], page.as_ptr(), page.len()) > 0 {}
            count += 1;
        }
        a.must(format!("full pipes end after {count} with {}", errno_name()), count <= 512);
    });
    a.must(format!("the child {ending}"), ending == "exited 0");
}

fn memory(a: &Canaries) {
    limit(libc::RLIMIT_AS, 256 << 20);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    until_refused(a, "megabytes", 1_000, || sys!(SYS_mmap, 0, 1 << 20, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0));
}

/// Natively, `vm.max_map_count` ends it.
fn mappings(a: &Canaries) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let mut turn = 0;
    let end = crate::support::now_ms() + 6_000;
    while turn < 70_000 && crate::support::now_ms() < end {
        let protection = if turn % 2 == 0 { libc::PROT_READ } else { libc::PROT_NONE };
        if sys!(SYS_mmap, 0, 4_096, protection, flags, -1, 0) == -1 {
            break;
        }
        turn += 1;
    }
    a.must("a child still runs", in_child(|| ()) == "exited 0");
}

fn watches(a: &Canaries) {
    until_refused(a, "instances", 1_100, || sys!(SYS_inotify_init1, 0));
}

fn timers(a: &Canaries) {
    limit(libc::RLIMIT_SIGPENDING, 500);
    let mut id = 0i32;
    until_refused(a, "timers", 20_000, || sys!(SYS_timer_create, libc::CLOCK_MONOTONIC, 0, &raw mut id));
}

fn queued_signals(a: &Canaries) {
    limit(libc::RLIMIT_SIGPENDING, 500);
    crate::support::block(&[40]);
    let mut info = [0i32; 32];
    (info[0], info[2]) = (40, -1);
    let own = sys!(SYS_getpid);
    until_refused(a, "signals", 20_000, || sys!(SYS_rt_sigqueueinfo, own, 40, info.as_ptr()));
}

fn arguments(a: &Canaries) {
    let long = vec![b'x'; 8 << 20].into_iter().chain([0]).collect::<Vec<u8>>();
    let one = [long.as_ptr() as usize, 0];
    a.refused("an argument of 8 MiB", sys!(SYS_execve, c"/guests".as_ptr(), one.as_ptr(), 0));
    let short = [c"x".as_ptr() as usize].repeat(4 << 20).into_iter().chain([0]).collect::<Vec<usize>>();
    a.refused("four million arguments", sys!(SYS_execve, c"/guests".as_ptr(), short.as_ptr(), 0));
    let endless = vec![c"x".as_ptr() as usize; 4_096];
    a.refused("arguments without an end", sys!(SYS_execve, c"/guests".as_ptr(), endless.as_ptr(), 0x1000));
}

fn paths(a: &Canaries) {
    let deep = super::c(&"a/".repeat(5_000));
    a.refused("a path of 10,000 bytes", sys!(SYS_open, deep.as_ptr(), 0));
    let _ = std::os::unix::fs::symlink("loop/loop", "loop");
    a.refused("links in a circle", sys!(SYS_open, c"loop".as_ptr(), 0));
    for depth in 0..3_000 {
        if sys!(SYS_mkdir, c"d".as_ptr(), 0o755) == -1 || sys!(SYS_chdir, c"d".as_ptr()) == -1 {
            a.must(format!("folders end after {depth} with {}", errno_name()), true);
            break;
        }
    }
    let mut name = vec![0u8; 65_536];
    a.refused("the way of 3,000 folders in 100 bytes", sys!(SYS_getcwd, name.as_mut_ptr(), 100));
    for _ in 0..3_000 {
        sys!(SYS_chdir, c"..".as_ptr());
        sys!(SYS_rmdir, c"d".as_ptr());
    }
}

/// epolls that watch each other must not be walked without an end (`man 2 epoll_ctl`, ELOOP).
fn epoll_nest(a: &Canaries) {
    let mut last = sys!(SYS_epoll_create1, 0);
    let first = last;
    let mut event: libc::epoll_event = crate::support::zeroed();
    event.events = libc::EPOLLIN as u32;
    for _ in 0..500 {
        let next = sys!(SYS_epoll_create1, 0);
        if sys!(SYS_epoll_ctl, next, libc::EPOLL_CTL_ADD, last, &raw mut event) == -1 {
            break;
        }
        last = next;
    }
    a.refused("a circle", sys!(SYS_epoll_ctl, first, libc::EPOLL_CTL_ADD, last, &raw mut event));
    a.must("a child still runs", in_child(|| ()) == "exited 0");
}

/// Files in the queues of sockets take no descriptor of anybody's: what is in flight has a limit of its own (ETOOMANYREFS).
fn files_in_flight(a: &Canaries) {
    let (mut byte, mut control) = (0u8, vec![0u64; 2 + 127]);
    let file = sys!(SYS_memfd_create, c"m".as_ptr(), 0) as u64;
    // A header of length, level and type, then 253 descriptors of 32 bits.
    control[0] = 16 + 253 * 4;
    control[1] = (libc::SCM_RIGHTS as u64) << 32 | libc::SOL_SOCKET as u64;
    control[2..].fill(file << 32 | file);
    let vector = [&raw mut byte as u64, 1];
    let message = [0, 0, vector.as_ptr() as u64, 1, control.as_ptr() as u64, control[0], 0];
    let mut sent = 0;
    for _ in 0..40 {
        let (from, _to) = crate::support::socket_pair(libc::SOCK_STREAM);
        while sent < 10_000 && sys!(SYS_sendmsg, from, message.as_ptr(), libc::MSG_DONTWAIT) == 1 {
            sent += 253;
        }
    }
    a.must(format!("{sent} files are in flight, then {}", errno_name()), (253..2_000).contains(&sent));
    a.must("a child still runs", in_child(|| ()) == "exited 0");
}
