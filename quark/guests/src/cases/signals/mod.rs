//! Dispositions, masks, queues, handlers and what they interrupt.

pub mod disposition;
pub mod faults;
pub mod frames;
pub mod interruption;
pub mod queues;
pub mod receivers;

use crate::sys;
use libc::*;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst};

static COUNT: AtomicI32 = AtomicI32::new(0);

static LAST: AtomicI32 = AtomicI32::new(0);

static CODE: AtomicI32 = AtomicI32::new(0);

static VALUE: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    COUNT.fetch_add(1, SeqCst);
    LAST.store(signal, SeqCst);
    // SAFETY: the kernel's.
    unsafe {
        CODE.store((*info).si_code, SeqCst);
        VALUE.store((*info).si_value().sival_ptr as usize, SeqCst);
    }
}

fn send(signal: c_int) -> i64 {
    sys!(SYS_tgkill, sys!(SYS_getpid), sys!(SYS_gettid), signal)
}

fn mask() -> u64 {
    let mut mask = 0u64;
    sys!(SYS_rt_sigprocmask, SIG_BLOCK, 0, &raw mut mask, 8);
    mask
}
