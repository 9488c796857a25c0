//! Terminals: pseudo-terminals, and the host's terminal that a container's process was given.

pub mod console;
pub mod devpts;
pub mod discipline;
pub mod echo;
pub mod file;
mod ioctl;
pub mod job;
pub mod termios;
pub mod tty;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use devpts::Root;
use file::ProgramSide;
use tty::Terminal;

use crate::task::{Credentials, Task};
use crate::vfs::inode::Inode;
use crate::vfs::path::{Last, Walker};
use crate::vfs::place::Place;
use crate::{Errno, Result};

/// Opens `/dev/tty`: the terminal of the task's session, ENXIO if it has none.
pub fn open_controlling(task: &Arc<Task>, flags: u32, inode: Arc<dyn Inode>) -> Result<Arc<ProgramSide>> {
    let terminal = task.process.session().and_then(|session| session.terminal()).ok_or(Errno::NXIO)?;
    let me = terminal.as_any().downcast_ref::<Terminal>().and_then(Terminal::itself).ok_or(Errno::NXIO)?;
    ProgramSide::open(&me, flags, Some(inode))
}

/// What is mounted at `/dev/pts` of a root directory, if that is a devpts.
pub fn devpts_of(root: &Place, credentials: &Credentials) -> Option<Arc<Root>> {
    let place = Walker::new(credentials, root.clone()).find(root, b"/dev/pts", Last::Follow).ok()?;
    place.inode().ok()?.as_any().downcast_ref::<Root>()?.itself()
}

/// A terminal for a process that is given one of the host's: a node of `pts`, the container's devpts, if it has one. The terminal, and the
/// file that its standard input, output and error are.
pub fn console(host: OwnedFd, pts: Option<&Root>, owner: u32) -> Result<(Arc<Terminal>, Arc<ProgramSide>)> {
    let pts = pts.map(|root| root.allocate(owner, false)).transpose()?;
    let inode = pts.as_ref().map(|pts| pts.inode());
    let terminal = pts.as_ref().map_or_else(|| Terminal::new(0, false), |pts| pts.terminal.clone());
    let file = ProgramSide::open(&terminal, libc::O_RDWR as u32, inode)?;
    console::connect(host, &terminal, pts)?;
    Ok((terminal, file))
}
