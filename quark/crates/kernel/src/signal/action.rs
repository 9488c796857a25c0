//! What a process does with each signal (`sigaction(2)`).

use bitflags::bitflags;
use quark_host::platform::PlainActions;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::set::{DefaultAction, HIGHEST, SignalSet, default_action, is_signal};

/// SIG_DFL.
pub const DEFAULT: u64 = 0;
/// SIG_IGN.
pub const IGNORE: u64 = 1;

bitflags! {
    /// `sa_flags`; unknown ones are kept and given back.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ActionFlags: u64 {
        /// No SIGCHLD for stops.
        const NOCLDSTOP = 1;
        /// Children leave no zombies.
        const NOCLDWAIT = 2;
        /// The handler gets `siginfo_t` and `ucontext_t`.
        const SIGINFO = 4;
        /// `restorer` is set; it has to be.
        const RESTORER = 0x0400_0000;
        /// On the alternate stack.
        const ONSTACK = 0x0800_0000;
        /// Interrupted calls are made again.
        const RESTART = 0x1000_0000;
        /// Not blocked while its handler runs.
        const NODEFER = 0x4000_0000;
        /// The default again once it was taken.
        const RESETHAND = 0x8000_0000;
        const _ = !0;
    }
}

/// `struct kernel_sigaction` of x86-64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Action {
    /// Its address, or [`DEFAULT`] or [`IGNORE`].
    pub handler: u64,
    /// `SA_*`.
    pub flags: u64,
    /// Where the handler returns to.
    pub restorer: u64,
    /// Blocked while the handler runs.
    pub mask: u64,
}

impl Action {
    /// Its flags.
    pub fn flags(&self) -> ActionFlags {
        ActionFlags::from_bits_retain(self.flags)
    }

    /// Whether it is a handler of the program's.
    pub fn is_handler(&self) -> bool {
        self.handler != DEFAULT && self.handler != IGNORE
    }

    /// Whether `signal` does nothing with it.
    pub fn ignores(&self, signal: i32) -> bool {
        match self.handler {
            IGNORE => true,
            DEFAULT => matches!(default_action(signal), DefaultAction::Ignore | DefaultAction::Continue),
            _ => false,
        }
    }
}

/// All 64 actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actions([Action; HIGHEST as usize]);

impl Default for Actions {
    fn default() -> Actions {
        Actions([Action::default(); HIGHEST as usize])
    }
}

impl Actions {
    /// Of one signal; the default for what is no signal.
    pub fn get(&self, signal: i32) -> Action {
        usize::try_from(signal - 1).ok().and_then(|at| self.0.get(at)).copied().unwrap_or_default()
    }

    /// Sets one. SIGKILL and SIGSTOP can't be in the mask of a handler.
    pub fn set(&mut self, signal: i32, mut action: Action) {
        action.mask &= !SignalSet::UNBLOCKABLE.0;
        if !is_signal(signal) {
            return;
        }
        if let Some(place) = usize::try_from(signal - 1).ok().and_then(|at| self.0.get_mut(at)) {
            *place = action;
        }
    }

    /// As execve leaves them: handlers become the default, what is ignored stays so.
    pub fn reset_handlers(&mut self) {
        for action in &mut self.0 {
            let handler = if action.is_handler() { DEFAULT } else { action.handler };
            *action = Action { handler, ..Action::default() };
        }
    }

    /// Those that are plain: nothing changes for anybody else by setting them to the default anew. Not what is ignored by default, as setting that
    /// forgets what is pending.
    pub fn plain(&self) -> PlainActions {
        let restores = |action: &Action| action.flags().contains(ActionFlags::RESTORER);
        let restorer = self.0.iter().find(|action| restores(action)).map_or(0, |action| action.restorer);
        let restored = Action { flags: ActionFlags::RESTORER.bits(), restorer, ..Action::default() };
        let plain = |action: &Action, signal| {
            let settable = !SignalSet::UNBLOCKABLE.has(signal) && !action.ignores(signal);
            settable && (*action == Action::default() || *action == restored)
        };
        PlainActions {
            signals: self.select(plain).0,
            restored: self.select(|action, signal| plain(action, signal) && restores(action)).0,
            restorer,
        }
    }

    /// Takes over what a thread has set by itself, as it says: of what is plain, who has the restorer.
    pub fn settle(&mut self, acted: PlainActions) {
        let known = self.plain();
        let action = Action { flags: ActionFlags::RESTORER.bits(), restorer: acted.restorer, ..Action::default() };
        let news = SignalSet(acted.restored & known.signals & !known.restored);
        (1..=HIGHEST).filter(|signal| news.has(*signal)).for_each(|signal| self.set(signal, action));
    }

    /// Which signals do nothing now.
    pub fn ignored(&self) -> SignalSet {
        self.select(|action, _| action.handler == IGNORE)
    }

    /// Which have a handler.
    pub fn handled(&self) -> SignalSet {
        self.select(|action, _| action.is_handler())
    }

    fn select(&self, chosen: impl Fn(&Action, i32) -> bool) -> SignalSet {
        (1..).zip(&self.0).filter(|(signal, action)| chosen(action, *signal)).fold(SignalSet::EMPTY, |set, (signal, _)| set.with(signal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn execve_keeps_what_is_ignored_and_forgets_handlers() {
        let mut actions = Actions::default();
        actions.set(libc::SIGINT, Action { handler: IGNORE, flags: 4, restorer: 9, mask: 1 });
        actions.set(libc::SIGTERM, Action { handler: 0x1000, flags: 4, restorer: 9, mask: 1 });
        actions.reset_handlers();
        assert_eq!(actions.get(libc::SIGINT), Action { handler: IGNORE, ..Action::default() });
        assert_eq!(actions.get(libc::SIGTERM), Action::default());
        assert_eq!(actions.ignored(), SignalSet::of(&[libc::SIGINT]));
        assert!(actions.handled().is_empty());
    }

    #[test]
    fn what_a_thread_sets_to_the_default_by_itself_is_as_if_it_had_been_told() {
        const FLAGS: u64 = ActionFlags::RESTORER.bits();
        let mut actions = Actions::default();
        actions.set(libc::SIGINT, Action { handler: 0x1000, flags: FLAGS, restorer: 9, mask: 0 });
        actions.set(libc::SIGTERM, Action { flags: FLAGS, restorer: 9, ..Action::default() });
        actions.set(libc::SIGUSR1, Action { mask: 1, ..Action::default() });
        let plain = actions.plain();
        let bit = |signal: i32| 1 << (signal - 1);
        assert_eq!((plain.restored, plain.restorer), (bit(libc::SIGTERM), 9));
        for signal in [libc::SIGINT, libc::SIGUSR1, libc::SIGCHLD, libc::SIGKILL, libc::SIGSTOP] {
            assert_eq!(plain.signals & bit(signal), 0, "{signal}");
        }
        // A stub that lies about others changes nothing of them.
        actions.settle(PlainActions { restored: !0, signals: !0, ..plain });
        assert_eq!(actions.get(libc::SIGHUP), Action { flags: FLAGS, restorer: 9, ..Action::default() });
        assert_eq!(actions.get(libc::SIGINT).handler, 0x1000);
        assert_eq!(actions.get(libc::SIGUSR1), Action { mask: 1, ..Action::default() });
        assert_eq!(actions.get(libc::SIGCHLD), Action::default());
    }

    #[test]
    fn a_handlers_mask_never_has_sigkill_or_sigstop() {
        let mut actions = Actions::default();
        actions.set(64, Action { handler: 0x1000, mask: u64::MAX, ..Action::default() });
        assert_eq!(actions.get(64).mask, !SignalSet::UNBLOCKABLE.0);
        actions.set(i32::MIN + 1, Action { handler: 0x1000, ..Action::default() });
        assert_eq!(actions.get(65), Action::default());
    }

    #[test]
    fn default_sigchld_is_ignored_but_default_sigterm_is_not() {
        assert!(Action::default().ignores(libc::SIGCHLD));
        assert!(Action::default().ignores(libc::SIGCONT));
        assert!(!Action::default().ignores(libc::SIGTERM));
        assert!(!Action::default().ignores(libc::SIGTSTP));
    }
}
