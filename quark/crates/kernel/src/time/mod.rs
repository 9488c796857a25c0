//! Clocks, sleeps and timers.

pub mod clock;
pub mod cpu;
pub mod process_timers;
pub mod schedule;
pub mod signal_timer;
pub mod sleep;
pub mod timerfd;
pub mod timers;
pub mod value;
