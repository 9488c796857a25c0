//! Clocks, sleeps and timers.

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst};

use crate::support::{block, handle, in_child, now_ms, set_of, sleep_ms, spawn, took, until, wait_for, zeroed};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(clocks),
    case!(clock_errors),
    case!(clocks_of_processes),
    case!(clocks_set),
    case!(wall_time),
    case!(sleeps),
    case!(sleep_errors),
    case!(alarms),
    case!(interval_timers),
    case!(interval_timer_errors),
    case!(timer_signals),
    case!(timer_overruns),
    case!(timer_errors),
    case!(timers_and_fork),
    case!(cpu_limit),
    case!(cpu_timers),
    case!(clock_adjust),
];

static COUNT: AtomicI32 = AtomicI32::new(0);
static VALUE: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: c_int, info: *mut siginfo_t, _: *mut c_void) {
    COUNT.fetch_add(1, SeqCst);
    // SAFETY: the kernel's.
    unsafe { VALUE.store((*info).si_value().sival_ptr as usize + (((*info).si_code as u8 as usize) << 56), SeqCst) };
}

/// By the system call, not the vDSO.
fn clock(id: i32) -> i64 {
    let mut now: timespec = zeroed();
    if sys!(SYS_clock_gettime, id, &raw mut now) == -1 { -1 } else { now.tv_sec * 1_000_000_000 + now.tv_nsec }
}

fn clocks(t: &Trace) {
    for id in 0..12 {
        if id == CLOCK_REALTIME_ALARM || id == CLOCK_BOOTTIME_ALARM {
            continue;
        }
        let first = clock(id);
        if first == -1 {
            t.call(&id.to_string(), first);
        } else {
            t.show(&id.to_string(), clock(id) >= first);
        }
    }
    let (before, mut now) = (clock(CLOCK_MONOTONIC), zeroed::<timespec>());
    // SAFETY: now outlives the call; by the vDSO.
    unsafe { clock_gettime(CLOCK_MONOTONIC, &raw mut now) };
    t.show("one clock", now.tv_sec * 1_000_000_000 + now.tv_nsec >= before);
    let mut resolution: timespec = zeroed();
    t.call("resolution", sys!(SYS_clock_getres, CLOCK_MONOTONIC, &raw mut resolution));
    t.show("nanoseconds", resolution.tv_nsec);
    t.call("coarse", sys!(SYS_clock_getres, CLOCK_MONOTONIC_COARSE, &raw mut resolution));
    t.call("no result wanted", sys!(SYS_clock_getres, CLOCK_MONOTONIC, 0));
}

fn clock_errors(t: &Trace) {
    let mut now: timespec = zeroed();
    t.call("unknown", sys!(SYS_clock_gettime, 99, &raw mut now));
    t.call("bad pointer", sys!(SYS_clock_gettime, CLOCK_MONOTONIC, 8));
    t.call("resolution", sys!(SYS_clock_getres, 99, &raw mut now));
    t.call("of nobody", sys!(SYS_clock_gettime, (!32_000i32 << 3) | 2, &raw mut now));
    t.call("gettimeofday", sys!(SYS_gettimeofday, 8, 0));
    t.call("time", sys!(SYS_time, 8));
}

fn clocks_of_processes(t: &Trace) {
    let start = clock(CLOCK_PROCESS_CPUTIME_ID);
    let end = now_ms() + 30;
    while now_ms() < end {}
    t.show("process", clock(CLOCK_PROCESS_CPUTIME_ID) > start);
    t.show("thread", clock(CLOCK_THREAD_CPUTIME_ID) > 0);
    let own = (!(std::process::id() as i32) << 3) | 2;
    t.show("by pid", clock(own) > 0);
    let mut usage: rusage = zeroed();
    t.call("getrusage", sys!(SYS_getrusage, RUSAGE_SELF, &raw mut usage));
    t.show("used", usage.ru_utime.tv_sec * 1_000_000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec > 0);
    t.call("thread's", sys!(SYS_getrusage, RUSAGE_THREAD, &raw mut usage));
}

fn clocks_set(t: &Trace) {
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        let now: timespec = zeroed();
        t.call("realtime", sys!(SYS_clock_settime, CLOCK_REALTIME, &raw const now));
        t.call("settimeofday", sys!(SYS_settimeofday, &raw const now, 0));
    });
    t.show("child", end);
    let wrong = timespec { tv_sec: -1, tv_nsec: 0 };
    t.call("wrong", sys!(SYS_clock_settime, CLOCK_REALTIME, &raw const wrong));
    t.call("monotonic", sys!(SYS_clock_settime, CLOCK_MONOTONIC, &raw const wrong));
    t.call("unknown", sys!(SYS_clock_settime, 99, &raw const wrong));
}

fn wall_time(t: &Trace) {
    let mut day: timeval = zeroed();
    t.call("gettimeofday", sys!(SYS_gettimeofday, &raw mut day, 0));
    let seconds = sys!(SYS_time, 0);
    t.show("one time", (seconds - day.tv_sec).abs() <= 1 && seconds > 1_700_000_000);
    let mut stored = 0i64;
    t.show("stored", sys!(SYS_time, &raw mut stored) == stored);
    // SAFETY: by the vDSO.
    t.show("vdso", unsafe { (libc::time(std::ptr::null_mut()) - seconds).abs() <= 1 });
    let (mut cpu, mut node) = (99u32, 99u32);
    t.call("getcpu", sys!(SYS_getcpu, &raw mut cpu, &raw mut node, 0));
    t.show("node", node);
}

fn sleeps(t: &Trace) {
    let short = timespec { tv_sec: 0, tv_nsec: 30_000_000 };
    took(t, "time", 30, || t.call("nanosleep", sys!(SYS_nanosleep, &raw const short, 0)));
    took(t, "time", 30, || t.call("relative", sys!(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &raw const short, 0)));
    for id in [CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME] {
        let end = clock(id) + 30_000_000;
        let until = timespec { tv_sec: end / 1_000_000_000, tv_nsec: end % 1_000_000_000 };
        took(t, "time", 30, || t.call("absolute", sys!(SYS_clock_nanosleep, id, TIMER_ABSTIME, &raw const until, 0)));
        took(t, "past", 0, || t.call("absolute", sys!(SYS_clock_nanosleep, id, TIMER_ABSTIME, &raw const short, 0)));
    }
    let none = timespec { tv_sec: 0, tv_nsec: 0 };
    t.call("nothing", sys!(SYS_nanosleep, &raw const none, 0));
}

fn sleep_errors(t: &Trace) {
    for (seconds, nanoseconds) in [(-1, 0), (0, -1), (0, 1_000_000_000)] {
        let wrong = timespec { tv_sec: seconds, tv_nsec: nanoseconds };
        t.call("time", sys!(SYS_nanosleep, &raw const wrong, 0));
    }
    let some: timespec = zeroed();
    t.call("bad pointer", sys!(SYS_nanosleep, 8, 0));
    t.call("clock", sys!(SYS_clock_nanosleep, 99, 0, &raw const some, 0));
    t.call("thread's clock", sys!(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &raw const some, 0));
    t.call("coarse", sys!(SYS_clock_nanosleep, CLOCK_MONOTONIC_COARSE, 0, &raw const some, 0));
}

fn alarms(t: &Trace) {
    handle(SIGALRM, 0, count);
    t.call("set", sys!(SYS_alarm, 100));
    t.call("replace", sys!(SYS_alarm, 1));
    took(t, "time", 900, || t.call("pause", sys!(SYS_pause)));
    t.show("count", COUNT.load(SeqCst));
    sys!(SYS_alarm, 100);
    t.call("clear", sys!(SYS_alarm, 0));
    t.call("none", sys!(SYS_alarm, 0));
}

fn interval_timers(t: &Trace) {
    handle(SIGALRM, SA_RESTART, count);
    let spec = itimerval { it_interval: timeval { tv_sec: 0, tv_usec: 5_000 }, it_value: timeval { tv_sec: 0, tv_usec: 5_000 } };
    t.call("set", sys!(SYS_setitimer, ITIMER_REAL, &raw const spec, 0));
    t.show("several", until(|| COUNT.load(SeqCst) >= 5));
    let mut old: itimerval = zeroed();
    let off: itimerval = zeroed();
    t.call("off", sys!(SYS_setitimer, ITIMER_REAL, &raw const off, &raw mut old));
    t.show("interval", old.it_interval.tv_usec);
    t.call("get", sys!(SYS_getitimer, ITIMER_REAL, &raw mut old));
    t.show("none", old.it_value.tv_usec + old.it_interval.tv_usec);
    handle(SIGVTALRM, 0, count);
    handle(SIGPROF, 0, count);
    for (which, name) in [(ITIMER_VIRTUAL, "virtual"), (ITIMER_PROF, "profile")] {
        COUNT.store(0, SeqCst);
        let once = itimerval { it_interval: zeroed(), it_value: timeval { tv_sec: 0, tv_usec: 10_000 } };
        t.call(name, sys!(SYS_setitimer, which, &raw const once, 0));
        let end = now_ms() + 3_000;
        while COUNT.load(SeqCst) == 0 && now_ms() < end {}
        t.show("fired", COUNT.load(SeqCst));
    }
}

fn interval_timer_errors(t: &Trace) {
    let mut spec: itimerval = zeroed();
    t.call("which", sys!(SYS_getitimer, 9, &raw mut spec));
    t.call("set which", sys!(SYS_setitimer, 9, &raw const spec, 0));
    t.call("bad pointer", sys!(SYS_getitimer, ITIMER_REAL, 8));
    spec.it_value.tv_usec = 1_000_000;
    t.call("microseconds", sys!(SYS_setitimer, ITIMER_REAL, &raw const spec, 0));
    t.call("nothing", sys!(SYS_setitimer, ITIMER_REAL, 0, 0));
}

/// Makes a timer that signals this way.
fn make_timer(clock: i32, notify: i32, signal: i32, value: usize) -> (i64, i32) {
    let mut event: sigevent = zeroed();
    event.sigev_notify = notify;
    event.sigev_signo = signal;
    event.sigev_value.sival_ptr = value as *mut _;
    event.sigev_notify_thread_id = sys!(SYS_gettid) as i32;
    let mut id = -1i32;
    (sys!(SYS_timer_create, clock, &raw const event, &raw mut id), id)
}

fn arm(id: i32, flags: i32, first_ms: i64, repeat_ms: i64) -> i64 {
    let part = |ms: i64| timespec { tv_sec: ms / 1000, tv_nsec: ms % 1000 * 1_000_000 };
    let spec = itimerspec { it_value: part(first_ms), it_interval: part(repeat_ms) };
    sys!(SYS_timer_settime, id, flags, &raw const spec, 0)
}

fn timer_signals(t: &Trace) {
    handle(SIGUSR1, SA_RESTART, count);
    let (made, id) = make_timer(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 0x1234);
    t.call("create", made);
    t.show("id", id);
    t.call("arm", arm(id, 0, 20, 0));
    t.show("fired", until(|| COUNT.load(SeqCst) == 1));
    t.show("value and code", format!("{:#x}", VALUE.load(SeqCst)));
    let mut spec: itimerspec = zeroed();
    t.call("get", sys!(SYS_timer_gettime, id, &raw mut spec));
    t.show("left", spec.it_value.tv_nsec + spec.it_value.tv_sec);
    t.call("past", arm(id, TIMER_ABSTIME, 1, 0));
    t.show("fired", until(|| COUNT.load(SeqCst) == 2));
    t.call("delete", sys!(SYS_timer_delete, id));
    t.call("gone", arm(id, 0, 20, 0));
    let (made, id) = make_timer(CLOCK_REALTIME, SIGEV_NONE, 0, 0);
    t.call("silent", made);
    arm(id, 0, 60_000, 0);
    sys!(SYS_timer_gettime, id, &raw mut spec);
    t.show("runs", spec.it_value.tv_sec >= 58);
    let (made, id) = make_timer(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGUSR1, 1);
    t.call("to a thread", made);
    arm(id, 0, 10, 0);
    t.show("fired", until(|| COUNT.load(SeqCst) == 3));
}

/// `si_overrun`.
fn overrun(info: &siginfo_t) -> i32 {
    // SAFETY: the field is six words into the structure, which is 32.
    unsafe { (&raw const *info).cast::<i32>().add(5).read() }
}

fn timer_overruns(t: &Trace) {
    block(&[SIGUSR1]);
    let (_, id) = make_timer(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 0);
    arm(id, 0, 10, 10);
    sleep_ms(100);
    let set = set_of(&[SIGUSR1]);
    let mut info: siginfo_t = zeroed();
    t.call("take", sys!(SYS_rt_sigtimedwait, &raw const set, &raw mut info, 0, 8));
    let overruns = sys!(SYS_timer_getoverrun, id);
    t.show("several", overruns >= 5);
    t.show("told", i64::from(overrun(&info)) == overruns);
    t.show("code", info.si_code);
    t.call("off", arm(id, 0, 0, 0));
}

fn timer_errors(t: &Trace) {
    t.call("clock", make_timer(99, SIGEV_SIGNAL, SIGUSR1, 0).0);
    t.call("notify", make_timer(CLOCK_MONOTONIC, 99, SIGUSR1, 0).0);
    t.call("signal", make_timer(CLOCK_MONOTONIC, SIGEV_SIGNAL, 99, 0).0);
    t.call("bad event", sys!(SYS_timer_create, CLOCK_MONOTONIC, 8, [0i32; 1].as_mut_ptr()));
    t.call("bad result", sys!(SYS_timer_create, CLOCK_MONOTONIC, 0, 8));
    t.call("arm", arm(999, 0, 1, 0));
    t.call("get", sys!(SYS_timer_gettime, 999, [0i64; 4].as_mut_ptr()));
    t.call("overrun", sys!(SYS_timer_getoverrun, 999));
    t.call("delete", sys!(SYS_timer_delete, 999));
    let (_, id) = make_timer(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 0);
    let wrong = itimerspec { it_value: timespec { tv_sec: 0, tv_nsec: -1 }, it_interval: zeroed() };
    t.call("time", sys!(SYS_timer_settime, id, 0, &raw const wrong, 0));
    t.call("null", sys!(SYS_timer_settime, id, 0, 0, 0));
}

fn timers_and_fork(t: &Trace) {
    let (_, id) = make_timer(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
    sys!(SYS_alarm, 100);
    let end = in_child(|| {
        t.call("timer", arm(id, 0, 10, 0));
        t.call("alarm", sys!(SYS_alarm, 0));
    });
    t.show("child", end);
    t.call("ours", arm(id, 0, 10, 0));
    t.show("alarm", sys!(SYS_alarm, 0) > 90);
}

fn cpu_limit(t: &Trace) {
    let end = in_child(|| {
        let limit = rlimit { rlim_cur: 1, rlim_max: 10 };
        sys!(SYS_setrlimit, RLIMIT_CPU, &raw const limit);
        let end = now_ms() + 8_000;
        while now_ms() < end {}
    });
    t.show("spins", end);
}

fn cpu_timers(t: &Trace) {
    handle(SIGUSR1, 0, count);
    let (made, id) = make_timer(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR1, 0);
    t.call("create", made);
    t.call("arm", arm(id, 0, 10, 0));
    let end = now_ms() + 3_000;
    while COUNT.load(SeqCst) == 0 && now_ms() < end {}
    t.show("fired", COUNT.load(SeqCst));
    let child = spawn(|| {
        let short = timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        sys!(SYS_nanosleep, &raw const short, 0);
    });
    t.show("child", wait_for(child));
}

fn clock_adjust(t: &Trace) {
    let mut state: timex = zeroed();
    t.ok("ask", sys!(SYS_adjtimex, &raw mut state));
    t.call("bad pointer", sys!(SYS_adjtimex, 8));
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        state.modes = 0x8001;
        t.call("offset", sys!(SYS_adjtimex, &raw mut state));
    });
    t.show("child", end);
}
