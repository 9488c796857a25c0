//! eventfd, timerfd, signalfd, epoll, poll, select, inotify.

pub mod counters;
pub mod epoll;
pub mod inotify;
pub mod poll;

use libc::*;

extern "C" fn nothing(_: c_int, _: *mut siginfo_t, _: *mut c_void) {}
