//! Programs that run may not be written, and files that are open for writing may not be executed (ETXTBSY, `man 2 open`, `man 2 execve`).
//!
//! There is one kernel a process, so one table. Files are told apart by device and inode number.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use crate::task::lock;
use crate::{Errno, Result};

/// A file's device and inode number.
pub type Identity = (u64, u64);

static USES: LazyLock<Mutex<HashMap<Identity, Uses>>> = LazyLock::new(Mutex::default);

/// How often a file is used in each way; never in both.
#[derive(Default)]
struct Uses {
    running: usize,
    writing: usize,
}

/// Keeps a file from being written.
#[derive(Debug)]
pub struct Running(Identity);

/// Keeps a file from being executed. Held by those who have it open for writing.
#[derive(Debug)]
pub struct Writing(Identity);

impl Running {
    /// A program begins to run: ETXTBSY if somebody writes it.
    pub fn new(file: Identity) -> Result<Running> {
        let mut uses = lock(&USES);
        let uses = uses.entry(file).or_default();
        if uses.writing > 0 {
            return Err(Errno::TXTBSY);
        }
        uses.running += 1;
        Ok(Running(file))
    }
}

impl Writing {
    /// A file is opened for writing: ETXTBSY if it runs.
    pub fn new(file: Identity) -> Result<Writing> {
        let mut uses = lock(&USES);
        let uses = uses.entry(file).or_default();
        if uses.running > 0 {
            return Err(Errno::TXTBSY);
        }
        uses.writing += 1;
        Ok(Writing(file))
    }

    /// ETXTBSY if the file runs (`truncate(2)`).
    pub fn check(file: Identity) -> Result<()> {
        let running = lock(&USES).get(&file).is_some_and(|uses| uses.running > 0);
        if running { Err(Errno::TXTBSY) } else { Ok(()) }
    }
}

fn end(file: Identity, less: impl FnOnce(&mut Uses)) {
    let mut all = lock(&USES);
    if let Some(uses) = all.get_mut(&file) {
        less(uses);
        if uses.running == 0 && uses.writing == 0 {
            all.remove(&file);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        end(self.0, |uses| uses.running -= 1);
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        end(self.0, |uses| uses.writing -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_runs_or_is_written() {
        let file = (u64::MAX, 1);
        let writers = [Writing::new(file).unwrap(), Writing::new(file).unwrap()];
        assert_eq!(Running::new(file).unwrap_err(), Errno::TXTBSY);
        drop(writers);
        let programs = [Running::new(file).unwrap(), Running::new(file).unwrap()];
        assert_eq!(Writing::new(file).unwrap_err(), Errno::TXTBSY);
        assert_eq!(Writing::check(file), Err(Errno::TXTBSY));
        drop(programs);
        assert!(Writing::new(file).is_ok() && Writing::check(file).is_ok());
        assert!(!lock(&USES).contains_key(&file));
    }
}
