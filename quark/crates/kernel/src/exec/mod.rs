//! Programs: from a file to a fresh address space that runs it.
//!
//! `load` does what of execve is about memory; what is about the process (other threads, descriptors, signals, the parent of a vfork)
//! is its caller's, after `load` has succeeded: until then nothing of the old program has changed.

pub mod busy;
mod calls;
pub mod elf;
pub mod layout;
mod load;
mod open;
mod privilege;
pub mod script;
mod stack;

use std::sync::Arc;

use quark_host::platform::{Context, Platform, Registers};

use crate::memory::Memory;
use crate::task::{Credentials, Limit};
use crate::vfs::open::{FsContext, OpenFile};

pub use calls::{read_execve, read_execveat};
pub use load::load;
pub use open::{open_place, open_program};

/// A program to load.
pub struct Request<'a> {
    /// Gives the blank address space.
    pub platform: &'a Platform,
    /// Where interpreters are looked up.
    pub fs: &'a FsContext,
    /// Who calls.
    pub credentials: &'a Credentials,
    /// By `RLIMIT_*`.
    pub limits: &'a [Limit; 16],
    /// As of `personality(2)`.
    pub personality: u32,
    /// The program, opened by [`open_program`].
    pub program: Arc<OpenFile>,
    /// What it was called by: AT_EXECFN, and a script's last argument; `/dev/fd/N` or `/dev/fd/N/PATH` for `execveat`.
    pub filename: Vec<u8>,
    /// The descriptor of `filename` closes on exec: a script can't be read again, ENOENT.
    pub filename_vanishes: bool,
    /// `argv`.
    pub arguments: Vec<Vec<u8>>,
    /// `envp`.
    pub environment: Vec<Vec<u8>>,
}

/// A program that is ready to run.
pub struct Loaded {
    /// Its memory.
    pub memory: Arc<Memory>,
    /// Its first thread, stopped.
    pub context: Context,
    /// What that thread starts with.
    pub registers: Registers,
    /// Set-user-id bits and file capabilities done.
    pub credentials: Credentials,
    /// `comm`, at most 15 bytes.
    pub name: Vec<u8>,
    /// AT_SECURE: it gained privileges. Not dumpable, no parent death signal.
    pub secure: bool,
}
