//! How long to look at a word before sleeping on it.
//!
//! A look costs nothing, a sleep 5 to 15 µs until its end is noticed. But who looks keeps a processor from others, so only as many pairs of a
//! kernel half and its stub look at all as there are processors to spare, and of them those whose waits have been short lately. Two on the same
//! processor don't look for each other.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The kernel looks for so long. About what a sleep and the wake from it cost.
const LOOK_US: u64 = 20;
/// And for so long if the stub has to wake first: once both look, neither has to.
const LOOK_WAKING_US: u64 = 50;
/// If one of the two slept, a wait of so long would have been one of [`LOOK_US`] without: a busy host takes 30 µs for a wake.
const LOOK_AND_WAKES_US: u64 = 120;
/// A stub looks so often, with a `pause` of some 20 to 40 ns between.
const STUB_LOOKS: u32 = 400;
/// And pays by that if the kernel is done within.
const STUB_LOOK_US: u64 = 10;

/// A score starts here, and looking is worth it from here on.
const WORTH: i32 = 8;
const SCORE_MAX: i32 = 16;
/// What a look in vain takes from the score. A wait that was short, or would have been, adds 1.
const LOSS: i32 = 6;

/// Of all pairs, those whose kernel half looks now.
static LOOKING: AtomicU32 = AtomicU32::new(0);

/// How many may: one processor is for those who work.
fn looking_max() -> u32 {
    static MAX: OnceLock<u32> = OnceLock::new();
    *MAX.get_or_init(|| std::thread::available_parallelism().map_or(0, |count| count.get() as u32 - 1))
}

/// Ticks of the processor's clock, which is faster to read than the host's.
pub(super) fn ticks() -> u64 {
    // SAFETY: all processors that we run on have it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Measured when it is first asked for, which takes some 50 µs.
pub(super) fn ticks_per_us() -> u64 {
    static RATE: OnceLock<u64> = OnceLock::new();
    *RATE.get_or_init(|| {
        let (start, first) = (Instant::now(), ticks());
        while start.elapsed() < Duration::from_micros(50) {}
        (ticks().wrapping_sub(first) * 1000 / start.elapsed().as_nanos() as u64).max(1)
    })
}

/// Measures what takes time to measure.
pub(super) fn prepare() {
    ticks_per_us();
    looking_max();
}

/// What is known of the waits of a kernel half and its stub's thread for each other. Only the kernel half uses it.
#[derive(Debug)]
pub(super) struct Patience {
    kernel: AtomicI32,
    stub: AtomicI32,
    /// When the stub got the turn.
    gave: AtomicU64,
    /// When the kernel did.
    got: AtomicU64,
    /// Whether the stub had slept then.
    woke: AtomicU32,
}

fn add(score: &AtomicI32, change: i32) {
    score.store((score.load(Relaxed) + change).clamp(0, SCORE_MAX), Relaxed);
}

impl Patience {
    pub(super) const fn new() -> Patience {
        Patience {
            kernel: AtomicI32::new(WORTH),
            stub: AtomicI32::new(WORTH),
            gave: AtomicU64::new(0),
            got: AtomicU64::new(0),
            woke: AtomicU32::new(0),
        }
    }

    /// Takes note that the stub gets the turn, who slept, or not, although it was to look `looked` times. How often it shall look the next time.
    pub(super) fn gives(&self, looked: u32, slept: bool) -> u32 {
        let now = ticks();
        let handled = now.wrapping_sub(self.got.load(Relaxed));
        self.gave.store(now, Relaxed);
        self.woke.store(u32::from(slept), Relaxed);
        if looked > 0 && slept {
            add(&self.stub, -LOSS);
        } else {
            add(&self.stub, if handled < STUB_LOOK_US * ticks_per_us() { 1 } else { -1 });
        }
        if looking_max() > 0 && self.stub.load(Relaxed) >= WORTH { STUB_LOOKS } else { 0 }
    }

    /// Looks until `come`, for a while, if that is worth it, and if the stub's thread is on a processor `apart`.
    pub(super) fn look(&self, apart: bool, come: impl Fn() -> bool) {
        let right = if apart && self.kernel.load(Relaxed) >= WORTH { Right::take() } else { None };
        let look = if self.woke.load(Relaxed) != 0 { LOOK_WAKING_US } else { LOOK_US };
        if right.is_some() && !look_for(look * ticks_per_us(), come) {
            add(&self.kernel, -LOSS - 1);
        }
    }

    /// Takes note that the kernel got the turn, after a sleep or not.
    pub(super) fn gets(&self, slept: bool) {
        let now = ticks();
        self.got.store(now, Relaxed);
        let limit = if slept || self.woke.load(Relaxed) != 0 { LOOK_AND_WAKES_US } else { LOOK_US };
        let waited = now.wrapping_sub(self.gave.load(Relaxed));
        add(&self.kernel, if waited < limit * ticks_per_us() { 1 } else { -1 });
    }
}

/// A pair's right to look.
struct Right;

impl Right {
    fn take() -> Option<Right> {
        let taken = LOOKING.fetch_add(1, Relaxed);
        let right = Right;
        (taken < looking_max()).then_some(right)
    }
}

impl Drop for Right {
    fn drop(&mut self) {
        LOOKING.fetch_sub(1, Relaxed);
    }
}

fn look_for(duration: u64, come: impl Fn() -> bool) -> bool {
    let start = ticks();
    loop {
        if come() {
            return true;
        }
        if ticks().wrapping_sub(start) > duration {
            return false;
        }
        std::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_in_vain_are_given_up_and_tried_again_if_waits_are_short() {
        prepare();
        let patience = Patience::new();
        let mut looks = 0;
        for _ in 0..100 {
            patience.gives(0, false);
            let before = patience.kernel.load(Relaxed);
            patience.look(true, || false);
            looks += u32::from(patience.kernel.load(Relaxed) < before);
            patience.gets(true);
        }
        assert!(looks <= 25 || looking_max() == 0, "{looks}");
        assert!(looks >= 5 || looking_max() == 0, "{looks}");
    }

    #[test]
    fn long_waits_are_not_looked_at() {
        prepare();
        let patience = Patience::new();
        for _ in 0..20 {
            patience.gives(0, false);
            std::thread::sleep(Duration::from_micros(200));
            patience.gets(true);
        }
        patience.look(true, || panic!("must not look"));
        assert_eq!(patience.kernel.load(Relaxed), 0);
    }

    #[test]
    fn a_stub_looks_while_the_kernel_is_quick() {
        prepare();
        let patience = Patience::new();
        patience.gets(false);
        assert_eq!(patience.gives(STUB_LOOKS, true), 0);
        let mut looks = 0;
        for _ in 0..WORTH {
            patience.gets(false);
            looks = patience.gives(0, true);
        }
        assert_eq!(looks > 0, looking_max() > 0);
    }

    #[test]
    fn only_so_many_look_at_once() {
        let rights: Vec<_> = (0..looking_max() + 3).map(|_| Right::take()).collect();
        assert!(rights.iter().filter(|right| right.is_some()).count() <= looking_max() as usize);
    }
}
