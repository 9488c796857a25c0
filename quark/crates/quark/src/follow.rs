//! Stands for a process in a sandbox: passes on signals and sizes of the terminal, and learns how it ends.

use std::os::unix::net::UnixStream;

use quark_host::process::Signals;
use rustix::event::{PollFd, PollFlags, poll};

use crate::error::{Context, Result};
use crate::messages::{Answer, End, Order};
use crate::wire;

/// Signals that are passed on: all that can be and that a process is sent on purpose.
const FORWARDED: [i32; 14] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGTERM,
    libc::SIGCONT,
    libc::SIGTSTP,
    libc::SIGWINCH,
    libc::SIGIO,
    libc::SIGPWR,
    libc::SIGURG,
    libc::SIGVTALRM,
];

/// Blocks the signals that [`follow`] passes on. Before anything could be missed.
pub fn block_signals() -> Result<Signals> {
    Signals::block(&FORWARDED).context(|| "block signals")
}

/// Waits for the end that the connection was told to wait for (`Order::Exec`, `Order::Wait`). A pod whose kernel is gone was killed.
pub fn follow(socket: &UnixStream, signals: &Signals) -> Result<End> {
    loop {
        let mut files = [PollFd::new(socket, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
        match poll(&mut files, None) {
            Err(rustix::io::Errno::INTR) => continue,
            polled => polled.context(|| "wait")?,
        };
        let [from_kernel, from_host] = &files;
        let (from_kernel, from_host) = (!from_kernel.revents().is_empty(), !from_host.revents().is_empty());
        if from_host {
            pass_on(socket, signals)?;
        }
        if from_kernel {
            return Ok(match wire::receive::<Answer>(socket) {
                Ok((Answer::Ended(end), _)) => end,
                _ => End::Signal(libc::SIGKILL),
            });
        }
    }
}

fn pass_on(socket: &UnixStream, signals: &Signals) -> Result<()> {
    let report = signals.read().context(|| "read a signal")?;
    let id = String::new();
    let order = match report.signal {
        libc::SIGWINCH => Order::Resized { id },
        // The terminal's own: our kernel sees the same on the terminal itself.
        libc::SIGHUP | libc::SIGCONT if !report.sent => return Ok(()),
        signal => Order::Signal { id, signal, all: false },
    };
    // A kernel that is gone is noticed by its socket.
    let _ = wire::send(socket, &order, &[]);
    Ok(())
}

/// `quark wait-for`: standard input is the connection, standard output may be a terminal whose sizes are passed on.
pub fn main() -> Result<u8> {
    let signals = block_signals()?;
    let _ = rustix::thread::set_name(c"quark-wait-for");
    rustix::process::setsid().context(|| "start a session")?;
    let _ = rustix::process::ioctl_tiocsctty(rustix::stdio::stdout());
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).context(|| "use standard input")?;
    follow(&UnixStream::from(socket), &signals).map(End::code)
}
