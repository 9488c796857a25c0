//! Signals to read (`man 2 signalfd`). Who reads takes the signals that are pending for the reading thread and its process.

use std::any::Any;
use std::sync::{Arc, Mutex};

use zerocopy::{Immutable, IntoBytes};

use super::info::{Origin, Signal};
use super::set::SignalSet;
use crate::call::Call;
use crate::dispatch::Calls;
use crate::file::File;
use crate::task::current;
use crate::task::{Task, lock};
use crate::wait::{Events, WaitQueue};
use crate::{Errno, Result};

/// What this module answers.
pub const CALLS: Calls = &[(libc::SYS_signalfd, signalfd), (libc::SYS_signalfd4, signalfd4)];

/// Bytes of a `struct signalfd_siginfo`.
const INFO: usize = 128;

/// `struct signalfd_siginfo`.
#[derive(Clone, Copy, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
struct SignalFdInfo {
    signo: u32,
    errno: i32,
    code: i32,
    pid: u32,
    uid: u32,
    fd: i32,
    tid: u32,
    band: u32,
    overrun: u32,
    trapno: u32,
    status: i32,
    int: i32,
    ptr: u64,
    utime: u64,
    stime: u64,
    addr: u64,
    rest: [u64; 6],
}

impl From<Signal> for SignalFdInfo {
    fn from(signal: Signal) -> SignalFdInfo {
        let info = SignalFdInfo { signo: signal.number as u32, code: signal.origin.code(), ..SignalFdInfo::default() };
        match signal.origin {
            Origin::User { pid, uid, value, .. } => SignalFdInfo { pid: pid as u32, uid, int: value as i32, ptr: value, ..info },
            Origin::Kernel => info,
            Origin::Fault { address, .. } | Origin::Filtered { address, .. } => SignalFdInfo { addr: address, ..info },
            Origin::Child { pid, uid, status, user, system, .. } => {
                SignalFdInfo { pid: pid as u32, uid, status, utime: user as u64, stime: system as u64, ..info }
            }
            Origin::Timer { id, overrun, value } => {
                SignalFdInfo { tid: id as u32, overrun: overrun as u32, int: value as i32, ptr: value, ..info }
            }
            Origin::Poll { band, fd, .. } => SignalFdInfo { band: band as u32, fd, ..info },
        }
    }
}

/// A set of signals that is read like a file.
pub struct SignalFd {
    wanted: Mutex<SignalSet>,
}

/// All who wait for any signalfd, told of every signal that came to be pending: a process that inherits one waits for its own signals, not
/// its maker's, so the file can't know whose queue that is. Few wait at a time.
pub static ARRIVED: WaitQueue = WaitQueue::new();

impl SignalFd {
    fn wanted(&self) -> SignalSet {
        *lock(&self.wanted)
    }

    fn take(&self, task: &Task) -> Option<Signal> {
        task.take_pending(|_| self.wanted())
    }
}

impl File for SignalFd {
    fn read(&self, to: &mut [u8], _: u64) -> Result<usize> {
        if to.len() < INFO {
            return Err(Errno::INVAL);
        }
        let task = current().ok_or(Errno::AGAIN)?;
        let mut read = 0;
        for place in to.chunks_exact_mut(INFO) {
            let Some(signal) = self.take(&task) else {
                break;
            };
            place.copy_from_slice(SignalFdInfo::from(signal).as_bytes());
            read += INFO;
        }
        if read == 0 { Err(Errno::AGAIN) } else { Ok(read) }
    }

    fn poll(&self, interest: Events) -> Events {
        let pending = current().map_or(SignalSet::EMPTY, |task| task.signals.pending(&task.process.signals));
        if pending.and(self.wanted()).is_empty() { Events::empty() } else { interest & Events::IN }
    }

    fn ignores_position(&self) -> bool {
        true
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&ARRIVED)
    }

    fn name(&self) -> Vec<u8> {
        b"anon_inode:[signalfd]".to_vec()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn signalfd(call: &mut Call<'_>) -> Result<u64> {
    set(call, 0)
}

fn signalfd4(call: &mut Call<'_>) -> Result<u64> {
    set(call, call.int(3))
}

fn set(call: &mut Call<'_>, flags: i32) -> Result<u64> {
    if call.arg(2) != 8 || flags & !(libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) != 0 {
        return Err(Errno::INVAL);
    }
    let wanted = SignalSet(call.read_value(call.arg(1))?).without(SignalSet::UNBLOCKABLE);
    if call.int(0) == -1 {
        let file = SignalFd { wanted: Mutex::new(wanted) };
        return call.install(Arc::new(file), (flags | libc::O_RDWR) as u32).map(|fd| fd as u64);
    }
    let file = call.task.files().get(call.int(0))?;
    let signals: &SignalFd = file.file.as_any().downcast_ref().ok_or(Errno::INVAL)?;
    *lock(&signals.wanted) = wanted;
    // What was pending already may be wanted now.
    ARRIVED.notify(Events::IN);
    Ok(call.arg(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infos_have_the_layout_of_linux() {
        assert_eq!(size_of::<SignalFdInfo>(), size_of::<libc::signalfd_siginfo>());
        let origin = Origin::Child { code: 1, pid: 7, uid: 8, status: 9, user: 10, system: 11 };
        let info = SignalFdInfo::from(Signal { number: libc::SIGCHLD, origin });
        let words: Vec<u32> = info.as_bytes().chunks_exact(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap())).collect();
        assert_eq!(words[..6], [17, 0, 1, 7, 8, 0]);
        assert_eq!(words[10], 9);
        assert_eq!((words[14], words[16]), (10, 11));
    }
}
