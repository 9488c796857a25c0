//! What system calls cost: `guests bench NAME…` prints a line of JSON for each.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use crate::cases::sockets::{connect, listener, pair, set, socket};
use crate::support::{close, file, pipe, spawn, wait_for, write};
use crate::sys;
use libc::*;

/// One thing to measure; the function does it so many times.
struct Bench {
    name: &'static str,
    run: fn(u64),
}

const BENCHES: &[Bench] = &[
    Bench { name: "getppid", run: getppid_inline },
    Bench { name: "getppid_wrapper", run: getppid_wrapper },
    Bench { name: "clock_gettime", run: clock },
    Bench { name: "write_null", run: write_null },
    Bench { name: "pread_4k", run: pread_4k },
    Bench { name: "pwrite_4k", run: pwrite_4k },
    Bench { name: "stat", run: stat_file },
    Bench { name: "open_close", run: open_close },
    Bench { name: "create_unlink", run: create_unlink },
    Bench { name: "pipe_within", run: pipe_within },
    Bench { name: "pipe_ping_pong", run: pipe_ping_pong },
    Bench { name: "tcp_within", run: tcp_within },
    Bench { name: "tcp_ping_pong", run: tcp_ping_pong },
    Bench { name: "tcp_stream_64k", run: tcp_stream_64k },
    Bench { name: "tcp_connect", run: tcp_connect },
    Bench { name: "futex_ping_pong", run: futex_ping_pong },
    Bench { name: "map_4k", run: map_4k },
    Bench { name: "map_1m", run: map_1m },
    Bench { name: "fork_wait", run: fork_wait },
    Bench { name: "spawn_wait", run: spawn_wait },
    Bench { name: "tree", run: tree },
];

/// A batch takes about this long, and there are so many of them.
const BATCH_NS: u64 = 10_000_000;
const BATCHES: usize = 31;

/// Runs the benches named, or all; `--list` names them.
pub fn main(args: &[&str]) -> ExitCode {
    if args == ["--list"] {
        BENCHES.iter().for_each(|bench| println!("{}", bench.name));
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = args.iter().find(|name| !BENCHES.iter().any(|bench| bench.name == **name)) {
        eprintln!("guests: no bench is named {unknown}; see guests bench --list");
        return ExitCode::from(2);
    }
    let folder = format!("/tmp/bench-{}", std::process::id());
    if std::fs::create_dir_all(&folder).and_then(|()| std::env::set_current_dir(&folder)).is_err() {
        eprintln!("guests: cannot make {folder}");
        return ExitCode::FAILURE;
    }
    for bench in BENCHES.iter().filter(|bench| args.is_empty() || args.contains(&bench.name)) {
        measure(bench);
    }
    let _ = std::fs::remove_dir_all(&folder);
    ExitCode::SUCCESS
}

fn measure(bench: &Bench) {
    let mut count = 1;
    loop {
        let ns = time(bench, count);
        if ns >= BATCH_NS || count >= 1 << 24 {
            break;
        }
        count = (count * BATCH_NS / ns.max(1)).clamp(count + 1, count * 8);
    }
    let mut samples: Vec<f64> = (0..BATCHES).map(|_| time(bench, count) as f64 / count as f64).collect();
    samples.sort_by(f64::total_cmp);
    println!(
        "{{\"name\":\"{}\",\"bestNs\":{:.1},\"medianNs\":{:.1},\"iterations\":{}}}",
        bench.name,
        samples[0],
        samples[BATCHES / 2],
        count * BATCHES as u64
    );
}

fn time(bench: &Bench, count: u64) -> u64 {
    let start = std::time::Instant::now();
    (bench.run)(count);
    start.elapsed().as_nanos() as u64
}

/// As compilers and Go emit it: a number and a `syscall` side by side.
fn getppid_inline(count: u64) {
    for _ in 0..count {
        // SAFETY: asks only.
        unsafe { std::arch::asm!("mov eax, 110", "syscall", out("rax") _, out("rcx") _, out("r11") _) };
    }
}

/// By the C library's syscall(2).
fn getppid_wrapper(count: u64) {
    for _ in 0..count {
        black_box(sys!(SYS_getppid));
    }
}

fn clock(count: u64) {
    let mut now: timespec = crate::support::zeroed();
    for _ in 0..count {
        // SAFETY: now outlives the call.
        black_box(unsafe { clock_gettime(CLOCK_MONOTONIC, &raw mut now) });
    }
}

fn write_null(count: u64) {
    let fd = sys!(SYS_open, c"/dev/null".as_ptr(), O_WRONLY) as i32;
    (0..count).for_each(|_| _ = write(fd, b"x"));
    close(fd);
}

fn pread_4k(count: u64) {
    let fd = file(c"data", &[1; 4096]);
    let mut buffer = [0u8; 4096];
    (0..count).for_each(|_| _ = black_box(sys!(SYS_pread64, fd, buffer.as_mut_ptr(), 4096, 0)));
    close(fd);
}

fn pwrite_4k(count: u64) {
    let fd = file(c"data", &[1; 4096]);
    let buffer = [2u8; 4096];
    (0..count).for_each(|_| _ = black_box(sys!(SYS_pwrite64, fd, buffer.as_ptr(), 4096, 0)));
    close(fd);
}

fn stat_file(count: u64) {
    close(file(c"data", b""));
    let mut stat: stat = crate::support::zeroed();
    (0..count).for_each(|_| _ = black_box(sys!(SYS_stat, c"data".as_ptr(), &raw mut stat)));
}

fn open_close(count: u64) {
    close(file(c"data", b""));
    (0..count).for_each(|_| close(sys!(SYS_open, c"data".as_ptr(), O_RDONLY) as i32));
}

fn create_unlink(count: u64) {
    for _ in 0..count {
        close(sys!(SYS_creat, c"new".as_ptr(), 0o600) as i32);
        sys!(SYS_unlink, c"new".as_ptr());
    }
}

fn pipe_within(count: u64) {
    let (reader, writer) = pipe();
    let mut byte = [0u8; 1];
    for _ in 0..count {
        write(writer, b"x");
        sys!(SYS_read, reader, byte.as_mut_ptr(), 1);
    }
    close(reader);
    close(writer);
}

fn pipe_ping_pong(count: u64) {
    let ((there, to), (back, from)) = (pipe(), pipe());
    let mut byte = [0u8; 1];
    let child = spawn(|| {
        let mut byte = [0u8; 1];
        for _ in 0..count {
            sys!(SYS_read, there, byte.as_mut_ptr(), 1);
            write(from, b"x");
        }
    });
    for _ in 0..count {
        write(to, b"x");
        sys!(SYS_read, back, byte.as_mut_ptr(), 1);
    }
    wait_for(child);
    [there, to, back, from].into_iter().for_each(close);
}

/// On the loopback, in one thread.
fn tcp_within(count: u64) {
    let (one, other) = tcp_pair();
    let mut byte = [0u8; 1];
    for _ in 0..count {
        write(one, b"x");
        sys!(SYS_read, other, byte.as_mut_ptr(), 1);
    }
    close(one);
    close(other);
}

/// One byte there and back between two processes.
fn tcp_ping_pong(count: u64) {
    let (one, other) = tcp_pair();
    set(one as i64, IPPROTO_TCP, TCP_NODELAY, 1);
    set(other as i64, IPPROTO_TCP, TCP_NODELAY, 1);
    let mut byte = [0u8; 1];
    let child = spawn(|| {
        let mut byte = [0u8; 1];
        for _ in 0..count {
            sys!(SYS_read, other, byte.as_mut_ptr(), 1);
            write(other, b"x");
        }
    });
    for _ in 0..count {
        write(one, b"x");
        sys!(SYS_read, one, byte.as_mut_ptr(), 1);
    }
    wait_for(child);
    close(one);
    close(other);
}

/// As many blocks of 64 KiB from one process to another.
fn tcp_stream_64k(count: u64) {
    let (one, other) = tcp_pair();
    let block = vec![1u8; 65_536];
    let child = spawn(|| {
        close(other);
        (0..count).for_each(|_| _ = write(one, &block));
    });
    close(one);
    let mut buffer = vec![0u8; 65_536];
    while sys!(SYS_read, other, buffer.as_mut_ptr(), buffer.len()) > 0 {}
    wait_for(child);
    close(other);
}

fn tcp_pair() -> (c_int, c_int) {
    let (one, other) = pair();
    (one as c_int, other as c_int)
}

/// Connect, accept and close both ends.
fn tcp_connect(count: u64) {
    let (server, port) = listener();
    for _ in 0..count {
        let client = socket(SOCK_STREAM);
        connect(client, port);
        let accepted = sys!(SYS_accept, server, 0, 0);
        // A reset: no port is kept for a minute.
        let linger = linger { l_onoff: 1, l_linger: 0 };
        sys!(SYS_setsockopt, client, SOL_SOCKET, SO_LINGER, &raw const linger, 8);
        close(client as c_int);
        close(accepted as c_int);
    }
    close(server as c_int);
}

/// Gives the turn to the other of two threads, and waits until it is back.
fn turns(word: &AtomicU32, own: u32, count: u64) {
    for _ in 0..count {
        while word.load(SeqCst) != own {
            sys!(SYS_futex, word.as_ptr(), FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 1 - own, 0, 0, 0);
        }
        word.store(1 - own, SeqCst);
        sys!(SYS_futex, word.as_ptr(), FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, 0, 0, 0);
    }
}

fn futex_ping_pong(count: u64) {
    let word = Arc::new(AtomicU32::new(0));
    let other = word.clone();
    let thread = std::thread::spawn(move || turns(&other, 1, count));
    turns(&word, 0, count);
    let _ = thread.join();
}

fn map(count: u64, length: usize) {
    for _ in 0..count {
        let at = sys!(SYS_mmap, 0, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for page in (0..length).step_by(4096) {
            // SAFETY: just mapped.
            unsafe { std::ptr::write_volatile((at as usize + page) as *mut u8, 1) };
        }
        sys!(SYS_munmap, at, length);
    }
}

fn map_4k(count: u64) {
    map(count, 4096);
}

fn map_1m(count: u64) {
    map(count, 1 << 20);
}

fn fork_wait(count: u64) {
    (0..count).for_each(|_| _ = wait_for(spawn(|| ())));
}

fn spawn_wait(count: u64) {
    let args = [c"guests".as_ptr(), c"helper".as_ptr(), c"exit".as_ptr(), c"0".as_ptr(), std::ptr::null()];
    let variables = [std::ptr::null::<c_char>()];
    for _ in 0..count {
        let mut pid = 0;
        // SAFETY: the arguments end with null; the C library forks without copying memory.
        unsafe {
            posix_spawn(
                &raw mut pid,
                c"/proc/self/exe".as_ptr(),
                std::ptr::null(),
                std::ptr::null(),
                args.as_ptr().cast(),
                variables.as_ptr().cast(),
            );
        }
        wait_for(pid);
    }
}

/// As a build does: folders are listed, each of 100 files is looked at, opened, read to its end and closed.
fn tree(count: u64) {
    for folder in 0..10 {
        let _ = std::fs::create_dir_all(format!("tree/{folder}"));
        for name in 0..10 {
            let _ = std::fs::write(format!("tree/{folder}/{name}"), [7u8; 3000]);
        }
    }
    for _ in 0..count {
        for folder in std::fs::read_dir("tree").into_iter().flatten().flatten() {
            for entry in std::fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                black_box(entry.metadata().ok());
                black_box(std::fs::read(entry.path()).ok());
            }
        }
    }
}
