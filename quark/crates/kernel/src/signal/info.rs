//! What a receiver is told about a signal, and how `siginfo_t` lays it out on x86-64.

/// The bytes of a `siginfo_t`.
pub const INFO_SIZE: usize = 128;

/// A signal on its way to a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Its number.
    pub number: i32,
    /// Why it came.
    pub origin: Origin,
}

/// Why a signal came (`si_code` and what follows it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Origin {
    /// `kill`, `tgkill` (SI_USER, SI_TKILL), `sigqueue` (`code`, `value`); `value` also is the 16th to 24th byte of what a program made up itself.
    User { code: i32, pid: i32, uid: u32, value: u64 },
    /// The kernel, without more (SI_KERNEL).
    Kernel,
    /// A fault.
    Fault { code: i32, address: u64 },
    /// SIGCHLD. Times in clock ticks of 10 ms.
    Child { code: i32, pid: i32, uid: u32, status: i32, user: i64, system: i64 },
    /// SIGSYS of a seccomp filter: the filter's 16 bits, the call and where it came from.
    Filtered { errno: i32, address: u64, number: u32 },
    /// A POSIX timer.
    Timer { id: i32, overrun: i32, value: u64 },
    /// SIGIO and such; `code` is POLL_IN and so on.
    Poll { code: i32, band: u64, fd: i32 },
}

/// `si_code` of `kill(2)`.
pub const SI_USER: i32 = 0;
/// `si_code` of the kernel.
pub const SI_KERNEL: i32 = 0x80;
/// `si_code` of `sigqueue(3)`.
pub const SI_QUEUE: i32 = -1;
/// `si_code` of a seccomp filter.
pub const SYS_SECCOMP: i32 = 1;
/// `si_code` of a POSIX timer.
pub const SI_TIMER: i32 = -2;
/// `si_code` of `tgkill(2)`.
pub const SI_TKILL: i32 = -6;

/// `si_code` of SIGCHLD.
#[allow(missing_docs)]
pub mod child {
    pub const EXITED: i32 = 1;
    pub const KILLED: i32 = 2;
    pub const DUMPED: i32 = 3;
    pub const STOPPED: i32 = 5;
    pub const CONTINUED: i32 = 6;
}

impl Origin {
    /// `si_code`.
    pub fn code(&self) -> i32 {
        match self {
            Origin::User { code, .. } | Origin::Fault { code, .. } | Origin::Child { code, .. } | Origin::Poll { code, .. } => *code,
            Origin::Kernel => SI_KERNEL,
            Origin::Filtered { .. } => SYS_SECCOMP,
            Origin::Timer { .. } => SI_TIMER,
        }
    }
}

impl Signal {
    /// Whose details were lost because the receiver's queue was full.
    pub fn without_details(number: i32) -> Signal {
        Signal { number, origin: Origin::User { code: SI_USER, pid: 0, uid: 0, value: 0 } }
    }

    /// As `siginfo_t`.
    pub fn encode(&self) -> [u8; INFO_SIZE] {
        let mut bytes = [0; INFO_SIZE];
        let mut put = |at: usize, value: &[u8]| {
            if let Some(place) = bytes.get_mut(at..at + value.len()) {
                place.copy_from_slice(value);
            }
        };
        put(0, &self.number.to_le_bytes());
        put(8, &self.origin.code().to_le_bytes());
        match self.origin {
            Origin::User { pid, uid, value, .. } => {
                put(16, &pid.to_le_bytes());
                put(20, &uid.to_le_bytes());
                put(24, &value.to_le_bytes());
            }
            Origin::Kernel => {}
            Origin::Fault { address, .. } => put(16, &address.to_le_bytes()),
            Origin::Child { pid, uid, status, user, system, .. } => {
                put(16, &pid.to_le_bytes());
                put(20, &uid.to_le_bytes());
                put(24, &status.to_le_bytes());
                put(32, &user.to_le_bytes());
                put(40, &system.to_le_bytes());
            }
            Origin::Filtered { errno, address, number } => {
                put(4, &errno.to_le_bytes());
                put(16, &address.to_le_bytes());
                put(24, &number.to_le_bytes());
                put(28, &crate::seccomp::ARCHITECTURE.to_le_bytes());
            }
            Origin::Timer { id, overrun, value } => {
                put(16, &id.to_le_bytes());
                put(20, &overrun.to_le_bytes());
                put(24, &value.to_le_bytes());
            }
            Origin::Poll { band, fd, .. } => {
                put(16, &band.to_le_bytes());
                put(24, &fd.to_le_bytes());
            }
        }
        bytes
    }

    /// What a program gave to `rt_sigqueueinfo(2)`. `number` is the call's, not the one in `bytes`.
    pub fn decode(number: i32, bytes: &[u8; INFO_SIZE]) -> Signal {
        let word = |at: usize| bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_le_bytes);
        let value = u64::from(word(24)) | u64::from(word(28)) << 32;
        Signal { number, origin: Origin::User { code: word(8) as i32, pid: word(16) as i32, uid: word(20), value } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_queues_is_what_its_receiver_reads() {
        let signal = Signal { number: 40, origin: Origin::User { code: SI_QUEUE, pid: 7, uid: 1000, value: 0x1122_3344_5566_7788 } };
        assert_eq!(Signal::decode(40, &signal.encode()), signal);
    }

    #[test]
    fn a_dead_child_is_told_as_the_c_library_reads_it() {
        let origin = Origin::Child { code: child::EXITED, pid: 5, uid: 1, status: 3, user: 2, system: 1 };
        let bytes = Signal { number: libc::SIGCHLD, origin }.encode();
        assert_eq!(bytes[..4], 17i32.to_le_bytes());
        assert_eq!(bytes[8..12], 1i32.to_le_bytes());
        assert_eq!(bytes[16..20], 5i32.to_le_bytes());
        assert_eq!(bytes[24..28], 3i32.to_le_bytes());
        assert_eq!(bytes[32..40], 2i64.to_le_bytes());
    }
}
