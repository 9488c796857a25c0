//! Sets of signals and their default actions.

/// A set of signals in the format of the kernel's `sigset_t`: bit `n - 1` is signal `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SignalSet(pub u64);

/// The highest signal number.
pub const HIGHEST: i32 = 64;
/// The first real-time signal: those queue, the ones below collapse.
pub const REAL_TIME: i32 = 32;

/// Why a signal exists where nobody handles it: `man 7 signal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum DefaultAction {
    Terminate,
    Ignore,
    Stop,
    Continue,
}

impl SignalSet {
    /// Of none.
    pub const EMPTY: SignalSet = SignalSet(0);
    /// Of all.
    pub const ALL: SignalSet = SignalSet(u64::MAX);
    /// What can be neither blocked nor handled.
    pub const UNBLOCKABLE: SignalSet = SignalSet::of(&[libc::SIGKILL, libc::SIGSTOP]);
    /// Job control's stops.
    pub const STOPS: SignalSet = SignalSet::of(&[libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU]);
    /// What instructions raise: taken before others.
    pub const SYNCHRONOUS: SignalSet =
        SignalSet::of(&[libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGTRAP, libc::SIGFPE, libc::SIGSYS]);
    /// Ignored by default.
    const IGNORED: SignalSet = SignalSet::of(&[libc::SIGCONT, libc::SIGCHLD, libc::SIGWINCH, libc::SIGURG]);

    /// Of these signals; numbers that are none are left out.
    pub const fn of(signals: &[i32]) -> SignalSet {
        let mut set = 0;
        let mut rest = signals;
        while let [first, others @ ..] = rest {
            set |= SignalSet::bit(*first);
            rest = others;
        }
        SignalSet(set)
    }

    const fn bit(signal: i32) -> u64 {
        if is_signal(signal) { 1 << (signal - 1) } else { 0 }
    }

    /// Whether `signal` is in it.
    pub const fn has(self, signal: i32) -> bool {
        self.0 & SignalSet::bit(signal) != 0
    }

    /// With `signal`.
    pub const fn with(self, signal: i32) -> SignalSet {
        SignalSet(self.0 | SignalSet::bit(signal))
    }

    /// Without those of `other`.
    pub const fn without(self, other: SignalSet) -> SignalSet {
        SignalSet(self.0 & !other.0)
    }

    /// In both.
    pub const fn and(self, other: SignalSet) -> SignalSet {
        SignalSet(self.0 & other.0)
    }

    /// In any of them.
    pub const fn or(self, other: SignalSet) -> SignalSet {
        SignalSet(self.0 | other.0)
    }

    /// Whether nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The signal that is taken first: one that an instruction raised, else the lowest.
    pub fn first(self) -> Option<i32> {
        let urgent = self.and(SignalSet::SYNCHRONOUS);
        let from = if urgent.is_empty() { self } else { urgent };
        (!from.is_empty()).then(|| from.0.trailing_zeros() as i32 + 1)
    }
}

/// Whether it is a signal's number, 1 to 64.
pub const fn is_signal(number: i32) -> bool {
    number >= 1 && number <= HIGHEST
}

/// What a signal does that nobody handles. Signals that dump core on Linux only end the process here.
pub fn default_action(signal: i32) -> DefaultAction {
    if signal == libc::SIGCONT {
        DefaultAction::Continue
    } else if SignalSet::IGNORED.has(signal) {
        DefaultAction::Ignore
    } else if SignalSet::STOPS.has(signal) {
        DefaultAction::Stop
    } else {
        DefaultAction::Terminate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_take_what_an_instruction_raised_first() {
        assert_eq!(SignalSet::of(&[libc::SIGHUP, libc::SIGSEGV]).first(), Some(libc::SIGSEGV));
        assert_eq!(SignalSet::of(&[64, libc::SIGUSR1]).first(), Some(libc::SIGUSR1));
        assert_eq!(SignalSet::of(&[64]), SignalSet(1 << 63));
        assert_eq!(SignalSet::EMPTY.first(), None);
    }

    #[test]
    fn numbers_that_are_no_signals_are_in_no_set() {
        for number in [0, -1, 65, i32::MAX, i32::MIN] {
            assert!(SignalSet::of(&[number]).is_empty());
            assert!(!SignalSet::ALL.has(number));
        }
    }

    #[test]
    fn defaults_are_those_of_the_manual() {
        assert_eq!(default_action(libc::SIGTERM), DefaultAction::Terminate);
        assert_eq!(default_action(libc::SIGQUIT), DefaultAction::Terminate);
        assert_eq!(default_action(40), DefaultAction::Terminate);
        assert_eq!(default_action(libc::SIGWINCH), DefaultAction::Ignore);
        assert_eq!(default_action(libc::SIGTTOU), DefaultAction::Stop);
        assert_eq!(default_action(libc::SIGCONT), DefaultAction::Continue);
    }
}
