//! Clocks, sleeps and timers.

pub mod clock;
pub mod cpu;
pub mod schedule;
pub mod sleep;
pub mod timerfd;
pub mod timers;
pub mod value;
