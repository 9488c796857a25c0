//! The two sides of a terminal as files: the one of programs (`/dev/pts/N`, `/dev/tty`), and the one of keyboard and screen (`/dev/ptmx`).

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::devpts::Pts;
use super::ioctl;
use super::job;
use super::tty::Terminal;
use crate::call::Call;
use crate::file::File;
use crate::task::Task;
use crate::task::current;
use crate::vfs::inode::{Inode, Stat};
use crate::wait::{Events, WaitQueue};
use crate::{Errno, Result};

const NON_BLOCKING: u32 = libc::O_NONBLOCK as u32;

/// A terminal that a program has open.
pub struct ProgramSide {
    /// The terminal.
    pub terminal: Arc<Terminal>,
    waits: AtomicBool,
    inode: Option<Arc<dyn Inode>>,
}

impl ProgramSide {
    /// Opens it: EIO if it's locked or hung up, EBUSY if somebody has it for himself (TIOCEXCL). `inode` is what `fstat` tells of.
    pub fn open(terminal: &Arc<Terminal>, flags: u32, inode: Option<Arc<dyn Inode>>) -> Result<Arc<ProgramSide>> {
        let mut state = terminal.state();
        if state.locked || state.hung_up {
            return Err(Errno::IO);
        }
        if state.exclusive && state.opens > 0 && !current().is_some_and(|task| job::is_admin(&task)) {
            return Err(Errno::BUSY);
        }
        state.opens += 1;
        state.ever_opened = true;
        drop(state);
        let waits = AtomicBool::new(flags & NON_BLOCKING == 0);
        Ok(Arc::new(ProgramSide { terminal: terminal.clone(), waits, inode }))
    }

    /// Like [`ProgramSide::open`] for a task, whose session's terminal it becomes if that has none and `flags` don't forbid it (O_NOCTTY).
    pub fn open_by(task: &Arc<Task>, terminal: &Arc<Terminal>, flags: u32, inode: Option<Arc<dyn Inode>>) -> Result<Arc<ProgramSide>> {
        let file = ProgramSide::open(terminal, flags, inode)?;
        let reads = flags as i32 & libc::O_ACCMODE != libc::O_WRONLY;
        if reads && flags & libc::O_NOCTTY as u32 == 0 {
            job::adopt(task, terminal);
        }
        Ok(file)
    }
}

impl Drop for ProgramSide {
    fn drop(&mut self) {
        let mut state = self.terminal.state();
        state.opens -= 1;
        let last = state.opens == 0;
        state.exclusive &= !last;
        drop(state);
        if last {
            self.terminal.screen.notify(Events::IN | Events::HUP);
        }
    }
}

impl File for ProgramSide {
    fn read(&self, to: &mut [u8], _: u64) -> Result<usize> {
        job::may_read(&self.terminal)?;
        self.terminal.read(to, self.waits.load(Ordering::Relaxed))
    }

    fn write(&self, from: &[u8], _: u64) -> Result<usize> {
        job::may_write(&self.terminal)?;
        self.terminal.write(from)
    }

    fn append(&self, from: &[u8]) -> Result<(usize, u64)> {
        Ok((self.write(from, 0)?, 0))
    }

    fn poll(&self, interest: Events) -> Events {
        self.terminal.program_ready() & (interest | Events::ERR | Events::HUP)
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.terminal.programs)
    }

    fn patience(&self, write: bool) -> Option<Duration> {
        self.terminal.patience().filter(|_| !write)
    }

    /// VTIME is over: as if at the end of a file.
    fn out_of_patience(&self) -> Result<usize> {
        Ok(0)
    }

    fn ioctl(&self, call: &mut Call<'_>, request: u32, argument: u64) -> Result<u64> {
        ioctl::program(&self.terminal, call, request, argument)
    }

    fn inode(&self) -> Option<&Arc<dyn Inode>> {
        self.inode.as_ref()
    }

    fn stat(&self) -> Result<Stat> {
        match &self.inode {
            Some(inode) => inode.stat(),
            None => Ok(Stat {
                inode: u64::from(self.terminal.number) + 3,
                mode: libc::S_IFCHR | 0o620,
                links: 1,
                represents: self.terminal.device_number(),
                block_size: 1024,
                ..Stat::default()
            }),
        }
    }

    fn name(&self) -> Vec<u8> {
        format!("/dev/pts/{}", self.terminal.number).into_bytes()
    }

    fn flags_changed(&self, flags: u32) {
        self.waits.store(flags & NON_BLOCKING == 0, Ordering::Relaxed);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The side of keyboard and screen. When it is closed, the terminal hangs up.
pub struct ScreenSide {
    /// The terminal.
    pub terminal: Arc<Terminal>,
    /// Its node in devpts, which goes with this.
    pub pts: Pts,
    inode: Arc<dyn Inode>,
}

impl ScreenSide {
    /// A new pseudo-terminal's; `inode` is `/dev/ptmx`.
    pub fn new(pts: Pts, inode: Arc<dyn Inode>) -> Arc<ScreenSide> {
        Arc::new(ScreenSide { terminal: pts.terminal.clone(), pts, inode })
    }
}

impl Drop for ScreenSide {
    fn drop(&mut self) {
        self.terminal.hang_up();
    }
}

impl File for ScreenSide {
    fn read(&self, to: &mut [u8], _: u64) -> Result<usize> {
        if to.is_empty() { Ok(0) } else { self.terminal.show(to) }
    }

    fn write(&self, from: &[u8], _: u64) -> Result<usize> {
        self.terminal.type_in(from)
    }

    fn append(&self, from: &[u8]) -> Result<(usize, u64)> {
        Ok((self.write(from, 0)?, 0))
    }

    fn poll(&self, interest: Events) -> Events {
        self.terminal.screen_ready() & (interest | Events::ERR | Events::HUP)
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.terminal.screen)
    }

    fn ioctl(&self, call: &mut Call<'_>, request: u32, argument: u64) -> Result<u64> {
        ioctl::screen(self, call, request, argument)
    }

    fn inode(&self) -> Option<&Arc<dyn Inode>> {
        Some(&self.inode)
    }

    fn name(&self) -> Vec<u8> {
        b"/dev/ptmx".to_vec()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
