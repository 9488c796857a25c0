//! Our kernel: what the application takes for Linux.
//!
//! A guest thread has one host thread here, its *kernel half*, which runs it ([`quark_host::platform::Context::run`]), answers its
//! system calls on that thread's own stack, and waits there when a call waits.
#![forbid(unsafe_code)]

pub mod call;
pub mod dispatch;
pub mod epoll;
pub mod eventfd;
pub mod exec;
pub mod file;
pub mod fs;
pub mod futex;
pub mod hibernate;
pub mod host_stream;
pub mod ipc;
pub mod kernel;
pub mod memory;
pub mod net;
pub mod patching;
pub mod pipe;
pub mod poll;
pub mod reactor;
pub mod seccomp;
pub mod signal;
pub mod system;
pub mod task;
pub mod terminal;
pub mod time;
pub mod trace;
pub mod vfs;
pub mod wait;

pub use rustix::io::Errno;

/// What nearly everything here returns.
pub type Result<T, E = Errno> = core::result::Result<T, E>;
