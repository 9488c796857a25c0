//! Signals that are read from a descriptor instead of interrupting.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

use super::last_errno;

/// Signals of this process that no longer do anything but become readable here.
pub struct Signals {
    file: OwnedFd,
}

/// One signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalReport {
    /// Its number.
    pub signal: i32,
    /// Whether a process sent it, and not the host's kernel (SIGHUP and SIGWINCH of a terminal, SIGCHLD).
    pub sent: bool,
}

impl Signals {
    /// Blocks `signals` in the calling thread, and so in all that it starts afterwards.
    pub fn block(signals: &[i32]) -> Result<Signals, Errno> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset initialises the set; sigaddset refuses numbers that are no signals.
        let set = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in signals {
                libc::sigaddset(set.as_mut_ptr(), *signal);
            }
            set.assume_init()
        };
        // SAFETY: the set is valid for both calls.
        let file = unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
            libc::signalfd(-1, &set, libc::SFD_CLOEXEC)
        };
        if file < 0 {
            return Err(last_errno());
        }
        // SAFETY: signalfd has just made it.
        Ok(Signals { file: unsafe { OwnedFd::from_raw_fd(file) } })
    }

    /// Waits for the next signal.
    pub fn read(&self) -> Result<SignalReport, Errno> {
        let mut report = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        loop {
            // SAFETY: the buffer has room for one structure.
            let read = unsafe { libc::read(self.file.as_raw_fd(), report.as_mut_ptr().cast(), size_of::<libc::signalfd_siginfo>()) };
            if read == size_of::<libc::signalfd_siginfo>() as isize {
                // SAFETY: any bytes are a valid signalfd_siginfo, and the host has filled it.
                let report = unsafe { report.assume_init() };
                return Ok(SignalReport { signal: report.ssi_signo as i32, sent: report.ssi_code <= 0 });
            }
            match last_errno() {
                Errno::INTR => {}
                error => return Err(error),
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_signal_is_read() {
        std::thread::spawn(|| {
            let signals = Signals::block(&[libc::SIGUSR1]).expect("block");
            // SAFETY: raise has no preconditions; the signal is blocked in this thread.
            unsafe { libc::raise(libc::SIGUSR1) };
            assert_eq!(signals.read(), Ok(SignalReport { signal: libc::SIGUSR1, sent: true }));
        })
        .join()
        .expect("thread");
    }
}
