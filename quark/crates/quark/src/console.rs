//! Terminals: a pseudo-terminal of the host stands between the outside and our kernel, which has the line discipline.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use crate::config::Process;
use crate::error::{Context, Error, Result};
use crate::wire;

/// A new pseudo-terminal.
pub struct Pseudoterminal {
    master: OwnedFd,
    /// The guest's side, in raw mode.
    pub slave: OwnedFd,
}

impl Pseudoterminal {
    /// Makes one, as large as the process wants it.
    pub fn new(process: &Process) -> Result<Pseudoterminal> {
        let make = || -> rustix::io::Result<Pseudoterminal> {
            let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
            rustix::pty::unlockpt(&master)?;
            let slave = rustix::pty::ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
            let mut modes = tcgetattr(&slave)?;
            modes.make_raw();
            tcsetattr(&slave, OptionalActions::Now, &modes)?;
            if let Some(size) = process.console_size {
                tcsetwinsize(&master, Winsize { ws_row: size.height, ws_col: size.width, ws_xpixel: 0, ws_ypixel: 0 })?;
            }
            Ok(Pseudoterminal { master, slave })
        };
        make().context(|| "make a pseudo-terminal")
    }

    /// Sends its master side to whoever listens on `socket`, as runc does: one message with the terminal's name and the descriptor.
    pub fn send_master(&self, socket: &str) -> Result<()> {
        let what = || format!("send the terminal to \"{socket}\"");
        let connection = UnixStream::connect(socket).context(what)?;
        wire::send_file(&connection, b"/dev/ptmx", self.master.as_fd()).context(what)
    }
}

/// The user's own terminal in raw mode, until dropped.
pub struct RawTerminal {
    modes: Option<Termios>,
}

impl RawTerminal {
    /// Puts standard input into raw mode.
    pub fn of_standard_input() -> Result<RawTerminal> {
        let input = rustix::stdio::stdin();
        let Ok(modes) = tcgetattr(input) else {
            return Err(Error::new(
                "process.terminal is set, but standard input is no terminal and there is no --console-socket: use --detach with one, or a terminal",
            ));
        };
        let mut raw = modes.clone();
        raw.make_raw();
        tcsetattr(input, OptionalActions::Now, &raw).context(|| "set the terminal's modes")?;
        Ok(RawTerminal { modes: Some(modes) })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(modes) = self.modes.take() {
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &modes);
        }
    }
}
