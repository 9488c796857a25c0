//! The host's terminal as keyboard and screen of one of ours: bytes go to and fro, by a thread that waits on the host's descriptor. The
//! host's side is raw; ours has the line discipline.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;

use rustix::event::{PollFd, PollFlags};
use rustix::time::Timespec;

use super::devpts::Pts;
use super::tty::Terminal;
use crate::task::session::ControllingTerminal;
use crate::wait::{Events, Parker, Registration, Waiter};
use crate::{Errno, Result};

/// Bytes that are moved at a time.
const STEP: usize = 4096;

/// Connects the host's terminal `host` (raw, the side that programs use) with a terminal of ours, until the host hangs up or everybody here
/// has closed ours. `pts` is its node, if it has one. EAGAIN if the host gives us no thread.
pub fn connect(host: OwnedFd, terminal: &Arc<Terminal>, pts: Option<Pts>) -> Result<()> {
    let host = Arc::new(host);
    let _ = terminal.host.set(host.clone());
    terminal.resized();
    let terminal = terminal.clone();
    let pump = move || {
        Pump { host, terminal, pending: Vec::new() }.run();
        drop(pts);
    };
    thread::Builder::new().name("console".into()).stack_size(64 << 10).spawn(pump).map(drop).map_err(|_| Errno::AGAIN)
}

struct Pump {
    host: Arc<OwnedFd>,
    terminal: Arc<Terminal>,
    /// For the screen, taken from the terminal.
    pending: Vec<u8>,
}

impl Pump {
    fn run(mut self) {
        let parker = Arc::new(Parker::default());
        let waiter: Arc<dyn Waiter> = parker.clone();
        let terminal = self.terminal.clone();
        let _place = Registration::new(&terminal.screen, Events::all(), &waiter);
        loop {
            let typed = self.keyboard();
            let shown = self.screen();
            if typed.is_err() || shown.is_err() {
                break;
            }
            let mut interest = Events::empty();
            interest.set(Events::IN, terminal.screen_ready().contains(Events::OUT));
            interest.set(Events::OUT, !self.pending.is_empty());
            if !parker.park_on(self.host.as_fd(), interest, None).is_ok_and(|woken| woken) {
                break;
            }
        }
        terminal.hang_up();
    }

    fn ready(&self, what: PollFlags) -> bool {
        let mut polled = [PollFd::new(&self.host, what)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut polled, Some(&now)).is_ok_and(|count| count > 0)
    }

    /// From the keyboard: an error when the host has hung up.
    fn keyboard(&mut self) -> Result<()> {
        while self.terminal.screen_ready().contains(Events::OUT) && self.ready(PollFlags::IN) {
            let mut bytes = [0; STEP];
            let count = rustix::io::read(&self.host, &mut bytes[..])?;
            if count == 0 {
                return Err(Errno::IO);
            }
            self.terminal.type_in(bytes.get(..count).unwrap_or_default())?;
        }
        Ok(())
    }

    /// To the screen: an error when there will be nothing more, or nobody to see it.
    fn screen(&mut self) -> Result<()> {
        loop {
            if self.pending.is_empty() {
                let mut bytes = [0; STEP];
                match self.terminal.show(&mut bytes) {
                    Ok(count) => self.pending.extend_from_slice(bytes.get(..count).unwrap_or_default()),
                    Err(Errno::AGAIN) => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
            if !self.ready(PollFlags::OUT) {
                return Ok(());
            }
            let written = rustix::io::write(&self.host, &self.pending)?;
            self.pending.drain(..written);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::ProgramSide;
    use super::*;
    use crate::file::File;
    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::{OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};
    use std::time::{Duration, Instant};

    fn host_terminal() -> (OwnedFd, OwnedFd) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        unlockpt(&master).unwrap();
        let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
        let mut raw = tcgetattr(&slave).unwrap();
        raw.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &raw).unwrap();
        tcsetwinsize(&slave, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        (master, slave)
    }

    fn eventually<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
        let patience = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(value) = attempt() {
                return value;
            }
            assert!(Instant::now() < patience);
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn what_is_typed_at_the_host_is_a_line_here_and_its_echo_there() {
        let (master, slave) = host_terminal();
        let terminal = Terminal::new(0, false);
        let program = ProgramSide::open(&terminal, 0, None).unwrap();
        connect(slave, &terminal, None).unwrap();
        assert_eq!(terminal.state().size, [24, 80, 0, 0]);
        rustix::io::write(&master, b"lx\x7fs\r").unwrap();
        let mut line = [0; 20];
        let count = eventually(|| program.read(&mut line, 0).ok());
        assert_eq!(&line[..count], b"ls\n");
        program.write(b"file\n", 0).unwrap();
        let expected = b"lx\x08 \x08s\r\nfile\r\n";
        let mut screen = Vec::new();
        while screen.len() < expected.len() {
            let mut bytes = [0; 100];
            let count = rustix::io::read(&master, &mut bytes[..]).unwrap();
            screen.extend_from_slice(&bytes[..count]);
        }
        assert_eq!(screen, expected);
        drop(master);
        eventually(|| (program.write(b"x", 0) == Err(Errno::IO)).then_some(()));
    }

    #[test]
    fn the_last_words_are_shown_before_it_ends() {
        let (master, slave) = host_terminal();
        let terminal = Terminal::new(0, false);
        let program = ProgramSide::open(&terminal, 0, None).unwrap();
        connect(slave, &terminal, None).unwrap();
        program.write(b"bye", 0).unwrap();
        drop(program);
        let mut bytes = [0; 100];
        assert_eq!(rustix::io::read(&master, &mut bytes[..]), Ok(3));
        drop(terminal);
        // Everything of it is closed then, so that the host's other side sees the end.
        eventually(|| (rustix::io::read(&master, &mut bytes[..]) == Err(Errno::IO)).then_some(()));
    }
}
