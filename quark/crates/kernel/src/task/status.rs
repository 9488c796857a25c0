//! What `wait4(2)` stores and `waitid(2)` tells about a child.

use crate::signal::info::child;

/// A wait status in Linux' encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitStatus(pub i32);

impl WaitStatus {
    /// It called `exit` with `code`, of which the low eight bits count.
    pub fn exited(code: i32) -> WaitStatus {
        WaitStatus((code & 0xff) << 8)
    }

    /// A signal ended it. No core is ever dumped.
    pub fn signaled(signal: i32) -> WaitStatus {
        WaitStatus(signal & 0x7f)
    }

    /// It has stopped.
    pub fn stopped(signal: i32) -> WaitStatus {
        WaitStatus((signal & 0xff) << 8 | 0x7f)
    }

    /// It goes on after SIGCONT.
    pub fn continued() -> WaitStatus {
        WaitStatus(0xffff)
    }

    /// WTERMSIG, if a signal ended it.
    pub fn signal(self) -> Option<i32> {
        (self.0 != 0xffff && self.0 & 0xff != 0x7f && self.0 & 0x7f != 0).then_some(self.0 & 0x7f)
    }

    /// WEXITSTATUS of one that exited.
    pub fn code(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// `si_code` and `si_status` for it.
    pub fn told(self) -> (i32, i32) {
        match self.0 {
            0xffff => (child::CONTINUED, libc::SIGCONT),
            status if status & 0xff == 0x7f => (child::STOPPED, status >> 8 & 0xff),
            status if status & 0x7f != 0 => (child::KILLED, status & 0x7f),
            status => (child::EXITED, status >> 8 & 0xff),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_what_the_c_librarys_macros_read() {
        let exited = WaitStatus::exited(259).0;
        assert!(libc::WIFEXITED(exited));
        assert_eq!(libc::WEXITSTATUS(exited), 3);
        let killed = WaitStatus::signaled(libc::SIGSEGV).0;
        assert!(libc::WIFSIGNALED(killed) && !libc::WCOREDUMP(killed));
        assert_eq!(libc::WTERMSIG(killed), libc::SIGSEGV);
        let stopped = WaitStatus::stopped(libc::SIGTSTP).0;
        assert!(libc::WIFSTOPPED(stopped));
        assert_eq!(libc::WSTOPSIG(stopped), libc::SIGTSTP);
        assert!(libc::WIFCONTINUED(WaitStatus::continued().0));
    }

    #[test]
    fn a_parent_is_told_how_its_child_ended() {
        assert_eq!(WaitStatus::exited(7).told(), (child::EXITED, 7));
        assert_eq!(WaitStatus::signaled(9).told(), (child::KILLED, 9));
        assert_eq!(WaitStatus::stopped(19).told(), (child::STOPPED, 19));
        assert_eq!(WaitStatus::continued().told(), (child::CONTINUED, libc::SIGCONT));
        assert_eq!(WaitStatus::signaled(9).signal(), Some(9));
        assert_eq!(WaitStatus::exited(9).signal(), None);
    }
}
