//! Threads and futexes.

use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Condvar, Mutex};

use crate::support::{in_child, pipe, sleep_ms, spawn, took, until, wait_for, zeroed};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(many_threads),
    case!(mutex_and_condition),
    case!(barrier),
    case!(thread_ids),
    case!(futex_wait_and_wake),
    case!(futex_errors),
    case!(futex_timeouts),
    case!(futex_bitsets),
    case!(futex_requeue),
    case!(futex_wake_op),
    case!(futex_shared_between_processes),
    case!(futex_in_a_shared_file),
    case!(priority_inheritance),
    case!(priority_inheritance_errors),
    case!(robust_list),
    case!(robust_over_processes),
    case!(clear_tid),
    case!(futex_waitv),
    case!(shared_descriptors),
    case!(shared_folder),
    case!(credentials_are_a_threads),
    case!(names_of_threads),
    case!(thread_local),
    case!(spinning_threads),
    case!(proc_task),
    case!(blocked_calls_end_on_exit),
];

fn many_threads(t: &Trace) {
    let sum = Arc::new(AtomicI32::new(0));
    let threads: Vec<_> = (0..100)
        .map(|i| {
            let sum = sum.clone();
            std::thread::spawn(move || _ = sum.fetch_add(i, SeqCst))
        })
        .collect();
    let joined = threads.into_iter().filter_map(|thread| thread.join().ok()).count();
    t.show("joined", joined);
    t.show("sum", sum.load(SeqCst));
}

fn mutex_and_condition(t: &Trace) {
    let shared = Arc::new((Mutex::new(0), Condvar::new()));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let shared = shared.clone();
            std::thread::spawn(move || {
                for _ in 0..500 {
                    *shared.0.lock().unwrap_or_else(|e| e.into_inner()) += 1;
                    shared.1.notify_all();
                }
            })
        })
        .collect();
    let mut value = shared.0.lock().unwrap_or_else(|e| e.into_inner());
    while *value < 2000 {
        value = shared.1.wait(value).unwrap_or_else(|e| e.into_inner());
    }
    t.show("value", *value);
    drop(value);
    threads.into_iter().for_each(|thread| _ = thread.join());
}

fn barrier(t: &Trace) {
    let barrier = Arc::new(Barrier::new(5));
    let threads: Vec<_> = (0..5)
        .map(|_| {
            let barrier = barrier.clone();
            std::thread::spawn(move || (0..50).filter(|_| barrier.wait().is_leader()).count())
        })
        .collect();
    t.show("leaders", threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum::<usize>());
}

fn thread_ids(t: &Trace) {
    t.show("main", sys!(SYS_gettid) == sys!(SYS_getpid));
    let (tid, pid) = std::thread::spawn(|| (sys!(SYS_gettid), sys!(SYS_getpid))).join().unwrap_or_default();
    t.show("same process", pid == sys!(SYS_getpid));
    t.show("own id", tid != pid);
}

fn futex(word: &AtomicU32, op: i32, value: u32, timeout: *const timespec) -> i64 {
    sys!(SYS_futex, word.as_ptr(), op, value, timeout, 0, 0)
}

const NONE: *const timespec = std::ptr::null();

/// So many threads that wait on the word, surely asleep.
fn sleepers(word: &Arc<AtomicU32>, number: usize, op: i32) -> Vec<std::thread::JoinHandle<i64>> {
    let threads = (0..number)
        .map(|_| {
            let word = word.clone();
            std::thread::spawn(move || sys!(SYS_futex, word.as_ptr(), op, 0, 0, 0, u32::MAX))
        })
        .collect();
    sleep_ms(60);
    threads
}

fn futex_wait_and_wake(t: &Trace) {
    for private in [0, FUTEX_PRIVATE_FLAG] {
        let word = Arc::new(AtomicU32::new(0));
        let threads = sleepers(&word, 3, FUTEX_WAIT | private);
        t.call("one", futex(&word, FUTEX_WAKE | private, 1, NONE));
        t.call("rest", futex(&word, FUTEX_WAKE | private, 100, NONE));
        t.call("nobody", futex(&word, FUTEX_WAKE | private, 100, NONE));
        t.show("returned", threads.into_iter().map(|thread| thread.join().unwrap_or(-1)).sum::<i64>());
    }
}

fn futex_errors(t: &Trace) {
    let word = AtomicU32::new(5);
    t.call("other value", futex(&word, FUTEX_WAIT, 4, NONE));
    t.call("unaligned", sys!(SYS_futex, word.as_ptr() as usize + 1, FUTEX_WAIT, 5, 0, 0, 0));
    t.call("bad address", sys!(SYS_futex, 8, FUTEX_WAIT, 5, 0, 0, 0));
    t.call("bad address, wake", sys!(SYS_futex, 8, FUTEX_WAKE, 5, 0, 0, 0));
    t.call("kernel's", sys!(SYS_futex, -8i64, FUTEX_WAIT, 5, 0, 0, 0));
    t.call("unknown", futex(&word, 77, 5, NONE));
    t.call("bad time", sys!(SYS_futex, word.as_ptr(), FUTEX_WAIT, 5, 8, 0, 0));
    let wrong = timespec { tv_sec: 0, tv_nsec: 1_000_000_000 };
    t.call("wrong time", futex(&word, FUTEX_WAIT, 5, &raw const wrong));
    t.call("empty bitset", sys!(SYS_futex, word.as_ptr(), FUTEX_WAIT_BITSET, 5, 0, 0, 0));
    t.call("clock of wake", futex(&word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 5, NONE));
}

fn futex_timeouts(t: &Trace) {
    let word = AtomicU32::new(0);
    let short = timespec { tv_sec: 0, tv_nsec: 40_000_000 };
    took(t, "relative", 40, || t.call("wait", futex(&word, FUTEX_WAIT, 0, &raw const short)));
    took(t, "private", 40, || t.call("wait", futex(&word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &raw const short)));
    for (clock, flag) in [(CLOCK_MONOTONIC, 0), (CLOCK_REALTIME, FUTEX_CLOCK_REALTIME)] {
        let mut end: timespec = zeroed();
        sys!(SYS_clock_gettime, clock, &raw mut end);
        end.tv_nsec += 40_000_000;
        end.tv_sec += end.tv_nsec / 1_000_000_000;
        end.tv_nsec %= 1_000_000_000;
        took(t, "absolute", 40, || {
            t.call("wait", sys!(SYS_futex, word.as_ptr(), FUTEX_WAIT_BITSET | flag, 0, &raw const end, 0, u32::MAX));
        });
        took(t, "in the past", 0, || {
            t.call("wait", sys!(SYS_futex, word.as_ptr(), FUTEX_WAIT_BITSET | flag, 0, &raw const short, 0, u32::MAX));
        });
    }
}

fn futex_bitsets(t: &Trace) {
    let word = Arc::new(AtomicU32::new(0));
    let threads: Vec<_> = [1u32, 2, 4]
        .map(|bits| {
            let word = word.clone();
            std::thread::spawn(move || sys!(SYS_futex, word.as_ptr(), FUTEX_WAIT_BITSET, 0, 0, 0, bits))
        })
        .into();
    sleep_ms(60);
    let wake = |bits: u32| sys!(SYS_futex, word.as_ptr(), FUTEX_WAKE_BITSET, 10, 0, 0, bits);
    t.call("none of them", wake(8));
    t.call("second", wake(2));
    t.call("the others", wake(7));
    t.call("no bits", wake(0));
    threads.into_iter().for_each(|thread| t.call("returned", thread.join().unwrap_or(-1)));
}

fn futex_requeue(t: &Trace) {
    let (from, to) = (Arc::new(AtomicU32::new(0)), AtomicU32::new(0));
    let threads = sleepers(&from, 4, FUTEX_WAIT);
    let requeue = |op: i32, wake: u32, more: u32, value: u32| sys!(SYS_futex, from.as_ptr(), op, wake, more, to.as_ptr(), value);
    t.call("other value", requeue(FUTEX_CMP_REQUEUE, 1, 2, 9));
    t.call("wake one, move two", requeue(FUTEX_CMP_REQUEUE, 1, 2, 0));
    t.call("moved", futex(&to, FUTEX_WAKE, 10, NONE));
    t.call("move the last", requeue(FUTEX_REQUEUE, 0, 10, 0));
    t.call("nobody left", futex(&from, FUTEX_WAKE, 10, NONE));
    t.call("moved", futex(&to, FUTEX_WAKE, 10, NONE));
    t.show("returned", threads.into_iter().map(|thread| thread.join().unwrap_or(-1)).sum::<i64>());
}

fn futex_wake_op(t: &Trace) {
    let (one, two) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (first, second) = (sleepers(&one, 2, FUTEX_WAIT), sleepers(&two, 2, FUTEX_WAIT));
    // Adds 5 to the second word; wakes there when it was 0.
    let add = (FUTEX_OP_ADD << 28) | (FUTEX_OP_CMP_EQ << 24) | (5 << 12);
    t.call("wake", sys!(SYS_futex, one.as_ptr(), FUTEX_WAKE_OP, 1, 1, two.as_ptr(), add));
    t.show("changed", two.load(SeqCst));
    t.call("no match", sys!(SYS_futex, one.as_ptr(), FUTEX_WAKE_OP, 1, 1, two.as_ptr(), add));
    t.show("changed", two.load(SeqCst));
    t.call("last", futex(&two, FUTEX_WAKE, 10, NONE));
    first.into_iter().chain(second).for_each(|thread| t.call("returned", thread.join().unwrap_or(-1)));
    t.call("unknown", sys!(SYS_futex, one.as_ptr(), FUTEX_WAKE_OP, 1, 1, two.as_ptr(), 0xf << 24));
}

/// A futex word in memory that children share.
fn shared_word() -> &'static AtomicU32 {
    let at = sys!(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    // SAFETY: a page of our own that stays.
    unsafe { AtomicU32::from_ptr(at as *mut u32) }
}

fn futex_shared_between_processes(t: &Trace) {
    let word = shared_word();
    let child = spawn(|| t.call("child", futex(word, FUTEX_WAIT, 0, NONE)));
    sleep_ms(50);
    t.call("private does not reach it", futex(word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NONE));
    t.call("wake", futex(word, FUTEX_WAKE, 1, NONE));
    t.show("ended", wait_for(child));
}

fn futex_in_a_shared_file(t: &Trace) {
    let fd = crate::support::file(c"a", &[0; 4096]);
    let child = spawn(|| {
        let at = sys!(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        t.call("child", sys!(SYS_futex, at, FUTEX_WAIT, 0, 0, 0, 0));
    });
    sleep_ms(50);
    let at = sys!(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    t.call("wake by another mapping", sys!(SYS_futex, at, FUTEX_WAKE, 1, 0, 0, 0));
    t.show("ended", wait_for(child));
}

fn priority_inheritance(t: &Trace) {
    let word = Arc::new(AtomicU32::new(0));
    t.call("lock", futex(&word, FUTEX_LOCK_PI, 0, NONE));
    t.show("owner", i64::from(word.load(SeqCst)) == sys!(SYS_gettid));
    let inner = word.clone();
    let other = std::thread::spawn(move || {
        let got = futex(&inner, FUTEX_LOCK_PI, 0, NONE);
        let owner = i64::from(inner.load(SeqCst) & 0x3fff_ffff) == sys!(SYS_gettid);
        (got, owner, futex(&inner, FUTEX_UNLOCK_PI, 0, NONE))
    });
    t.show("waiters bit", until(|| word.load(SeqCst) & 0x8000_0000 != 0));
    t.call("unlock", futex(&word, FUTEX_UNLOCK_PI, 0, NONE));
    t.show("other", format!("{:?}", other.join().unwrap_or_default()));
    t.show("free", word.load(SeqCst));
    t.call("try", futex(&word, FUTEX_TRYLOCK_PI, 0, NONE));
}

fn priority_inheritance_errors(t: &Trace) {
    let word = AtomicU32::new(0);
    futex(&word, FUTEX_LOCK_PI, 0, NONE);
    t.call("again", futex(&word, FUTEX_LOCK_PI, 0, NONE));
    let free = AtomicU32::new(0);
    t.call("unlock another's", futex(&free, FUTEX_UNLOCK_PI, 0, NONE));
    let nobody = AtomicU32::new(32_000);
    t.call("owner is gone", futex(&nobody, FUTEX_LOCK_PI, 0, NONE));
}

#[repr(C)]
struct Robust {
    next: *mut Robust,
    word: AtomicU32,
}

#[repr(C)]
struct RobustHead {
    next: *mut Robust,
    offset: i64,
    pending: *mut Robust,
}

/// Makes the entry the one robust lock of this thread.
fn own_robustly(head: *mut RobustHead, entry: *mut Robust) -> i64 {
    // SAFETY: both stay until the thread ends.
    unsafe {
        (*entry).next = head.cast();
        *head = RobustHead { next: entry, offset: 8, pending: std::ptr::null_mut() };
        (*entry).word.store(sys!(SYS_gettid) as u32, SeqCst);
    }
    sys!(SYS_set_robust_list, head, 24)
}

fn robust_list(t: &Trace) {
    let entry = Box::into_raw(Box::new(Robust { next: std::ptr::null_mut(), word: AtomicU32::new(0) })) as usize;
    let got = std::thread::spawn(move || {
        let head = Box::into_raw(Box::new(RobustHead { next: std::ptr::null_mut(), offset: 0, pending: std::ptr::null_mut() }));
        own_robustly(head, entry as *mut Robust)
    });
    t.call("set", got.join().unwrap_or(-1));
    // SAFETY: leaked.
    let word = unsafe { &(*(entry as *const Robust)).word };
    t.show("owner died", until(|| word.load(SeqCst) == 0x4000_0000));
    t.call("size", sys!(SYS_set_robust_list, 0, 8));
    let (mut head, mut size) = (0u64, 0u64);
    t.call("get", sys!(SYS_get_robust_list, 0, &raw mut head, &raw mut size));
    t.show("size", size);
    t.call("nobody's", sys!(SYS_get_robust_list, 32_000, &raw mut head, &raw mut size));
}

fn robust_over_processes(t: &Trace) {
    let at = sys!(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) as usize;
    let (entry, head) = (at as *mut Robust, (at + 256) as *mut RobustHead);
    let (reader, writer) = pipe();
    let child = spawn(|| {
        own_robustly(head, entry);
        crate::support::write(writer, b"x");
        sys!(SYS_pause);
    });
    crate::support::show_read(t, "child holds", reader);
    // SAFETY: the page stays.
    let word = unsafe { &(*entry).word };
    let value = word.load(SeqCst) | 0x8000_0000;
    word.store(value, SeqCst);
    let killer = spawn(|| {
        sleep_ms(50);
        sys!(SYS_kill, child, SIGKILL);
    });
    t.call("woken by its death", futex(word, FUTEX_WAIT, value, NONE));
    t.show("died", word.load(SeqCst) & 0x4000_0000 != 0);
    t.show("children", format!("{} {}", wait_for(child), wait_for(killer)));
}

fn clear_tid(t: &Trace) {
    let word = shared_word();
    word.store(7, SeqCst);
    let pid = sys!(SYS_clone, CLONE_CHILD_CLEARTID | SIGCHLD, 0, 0, word.as_ptr(), 0);
    if pid == 0 {
        sleep_ms(40);
        // SAFETY: ends the child.
        unsafe { _exit(0) };
    }
    // Of a process that shares no memory, nothing is cleared.
    t.show("child", wait_for(pid as i32));
    t.show("word", word.load(SeqCst));
}

fn futex_waitv(t: &Trace) {
    let words = Arc::new([const { AtomicU32::new(0) }; 3]);
    let inner = words.clone();
    let thread = std::thread::spawn(move || {
        let waiters: Vec<[u64; 3]> = inner.iter().map(|word| [0, word.as_ptr() as u64, 2]).collect();
        sys!(SYS_futex_waitv, waiters.as_ptr(), 3, 0, 0, CLOCK_MONOTONIC)
    });
    sleep_ms(50);
    t.call("wake the second", futex(&words[1], FUTEX_WAKE, 1, NONE));
    t.call("which", thread.join().unwrap_or(-1));
    t.call("none", sys!(SYS_futex_waitv, words.as_ptr(), 0, 0, 0, CLOCK_MONOTONIC));
    t.call("flags", sys!(SYS_futex_waitv, words.as_ptr(), 1, 1, 0, CLOCK_MONOTONIC));
}

fn shared_descriptors(t: &Trace) {
    std::thread::spawn(|| sys!(SYS_dup2, 0, 30)).join().ok();
    t.call("seen", sys!(SYS_fcntl, 30, F_GETFD));
    std::thread::spawn(|| {
        sys!(SYS_unshare, CLONE_FILES);
        sys!(SYS_close, 30);
    })
    .join()
    .ok();
    t.call("unshared", sys!(SYS_fcntl, 30, F_GETFD));
}

fn shared_folder(t: &Trace) {
    std::thread::spawn(|| _ = std::env::set_current_dir("/proc")).join().ok();
    t.show("folder", std::env::current_dir().map(|path| path.display().to_string()).unwrap_or_default());
    std::thread::spawn(|| sys!(SYS_umask, 0o7)).join().ok();
    t.call("umask", sys!(SYS_umask, 0));
}

fn credentials_are_a_threads(t: &Trace) {
    std::thread::spawn(|| {
        sys!(SYS_setresuid, -1, 1000, -1);
        Trace.call("thread", sys!(SYS_geteuid));
    })
    .join()
    .ok();
    t.call("main", sys!(SYS_geteuid));
}

fn names_of_threads(t: &Trace) {
    sys!(SYS_prctl, PR_SET_NAME, c"main".as_ptr(), 0, 0, 0);
    std::thread::spawn(|| {
        sys!(SYS_prctl, PR_SET_NAME, c"other".as_ptr(), 0, 0, 0);
        Trace.show("own", std::fs::read_to_string("/proc/thread-self/comm").unwrap_or_default().trim_end());
    })
    .join()
    .ok();
    t.show("main", std::fs::read_to_string("/proc/self/comm").unwrap_or_default().trim_end());
}

thread_local! {
    static LOCAL: std::cell::Cell<i32> = const { std::cell::Cell::new(1) };
}

fn thread_local(t: &Trace) {
    LOCAL.set(5);
    let seen = std::thread::spawn(|| LOCAL.replace(9)).join().unwrap_or(-1);
    t.show("fresh", seen);
    t.show("own", LOCAL.get());
    t.show("in a child", in_child(|| Trace.show("kept", LOCAL.get())));
}

fn spinning_threads(t: &Trace) {
    let turn = Arc::new(AtomicU32::new(0));
    let threads: Vec<_> = (0..3u32)
        .map(|i| {
            let turn = turn.clone();
            std::thread::spawn(move || {
                for _ in 0..50 {
                    while turn.load(SeqCst) % 3 != i {
                        sys!(SYS_sched_yield);
                    }
                    turn.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| _ = thread.join());
    t.show("turns", turn.load(SeqCst));
}

fn proc_task(t: &Trace) {
    let barrier = Arc::new(Barrier::new(4));
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let barrier = barrier.clone();
            std::thread::spawn(move || {
                barrier.wait();
                barrier.wait();
            })
        })
        .collect();
    barrier.wait();
    t.show("listed", std::fs::read_dir("/proc/self/task").map(Iterator::count).unwrap_or(0));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    t.show("counted", status.lines().find(|line| line.starts_with("Threads")).unwrap_or("").replace('\t', " "));
    barrier.wait();
    threads.into_iter().for_each(|thread| _ = thread.join());
}

fn blocked_calls_end_on_exit(t: &Trace) {
    let end = in_child(|| {
        let (reader, _writer) = pipe();
        std::thread::spawn(move || {
            let mut buffer = [0u8; 1];
            sys!(SYS_read, reader, buffer.as_mut_ptr(), 1)
        });
        std::thread::spawn(|| futex(&AtomicU32::new(0), FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, NONE));
        std::thread::spawn(|| futex(&AtomicU32::new(0), FUTEX_WAIT, 0, NONE));
        std::thread::spawn(|| sleep_ms(100_000));
        std::thread::spawn(|| {
            loop {
                std::hint::spin_loop();
            }
        });
        sleep_ms(50);
        // SAFETY: ends the process.
        unsafe { _exit(33) };
    });
    t.show("child", end);
}
