//! How guest code runs: stub processes, one a guest address space, each thread of which runs one guest thread.
//!
//! This is the one narrow interface between our kernel and whatever runs its guests. Today that is a process with a seccomp
//! filter whose system calls trap; a virtual machine would offer the same.
//!
//! Nothing that comes from a stub is trusted: registers, events and results of commands are whatever the guest likes.

mod api;
mod birth;
mod calls;
mod context;
mod control;
mod extended;
mod hibernate;
mod image;
pub(crate) mod limits;
mod memory;
mod nursery;
mod patience;
mod process;
mod reaper;
#[allow(dead_code)]
#[path = "../../../stub/src/shared.rs"]
mod shared;
mod types;
mod window;

pub(crate) use birth::last_error;

pub use api::{AddressSpace, Context, Interrupter, Layout, Platform};
pub use hibernate::Threads;
pub use types::{Event, Fault, HostCall, OwnCall, PlainActions, Registers, StubExit};
