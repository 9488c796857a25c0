//! What becomes of a pending signal, and of the call that it interrupted: decisions only, the kernel half acts on them.

use super::action::{Action, ActionFlags, IGNORE};
use super::info::{Origin, Signal};
use super::set::{DefaultAction, SignalSet, default_action};
use crate::call::restart;
use crate::task::family::INIT;
use crate::task::{Task, lock};
use crate::{Errno, Result};

/// What to do with a signal that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Nothing.
    Ignore,
    /// End the process.
    End,
    /// Stop the process, if its group is not orphaned or the signal is SIGSTOP.
    Stop,
    /// Run the handler.
    Handle(Action),
}

/// Decides what a taken signal does. `init`: the first process of its namespace is spared by defaults.
pub fn decide(signal: i32, action: &Action, init: bool) -> Delivery {
    if action.is_handler() && !SignalSet::UNBLOCKABLE.has(signal) {
        return Delivery::Handle(*action);
    }
    if action.handler == IGNORE || init {
        return Delivery::Ignore;
    }
    match default_action(signal) {
        DefaultAction::Terminate => Delivery::End,
        DefaultAction::Stop => Delivery::Stop,
        DefaultAction::Ignore | DefaultAction::Continue => Delivery::Ignore,
    }
}

/// How an interrupted call goes on when a handler runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// It answers EINTR.
    Interrupt,
    /// It is made again after the handler.
    Again,
}

/// Whether an answer is one of the pseudo-errnos.
pub fn is_restart(error: Errno) -> bool {
    [restart::SYS, restart::NO_INTERRUPT, restart::NO_HANDLER, restart::BLOCK].contains(&error)
}

/// Decides how a call that answered `error` goes on after a handler with `flags`.
pub fn resume(error: Errno, flags: ActionFlags) -> Resumption {
    let again = error == restart::NO_INTERRUPT || error == restart::SYS && flags.contains(ActionFlags::RESTART);
    if again { Resumption::Again } else { Resumption::Interrupt }
}

/// The mask while a handler runs.
pub fn mask_in_handler(blocked: SignalSet, signal: i32, action: &Action) -> SignalSet {
    let mask = blocked.or(SignalSet(action.mask));
    let mask = if action.flags().contains(ActionFlags::NODEFER) { mask } else { mask.with(signal) };
    mask.without(SignalSet::UNBLOCKABLE)
}

impl Task {
    /// Takes the next signal that the thread does not block, and decides. A handler with SA_RESETHAND is reset.
    pub(crate) fn take_signal(&self) -> Option<(Signal, Delivery)> {
        let signal = self.take_pending(|blocked| SignalSet::ALL.without(blocked))?;
        let actions = self.process.signals.actions();
        let mut actions = lock(&actions);
        let action = actions.get(signal.number);
        let delivery = decide(signal.number, &action, self.process.pid == INIT);
        if matches!(delivery, Delivery::Handle(_)) && action.flags().contains(ActionFlags::RESETHAND) {
            actions.set(signal.number, Action { handler: super::action::DEFAULT, ..action });
        }
        Some((signal, delivery))
    }

    /// Takes a pending signal out of what is `wanted`, given the thread's mask; the thread's own first. A timer's is told how late it is.
    pub(crate) fn take_pending(&self, wanted: impl FnOnce(SignalSet) -> SignalSet) -> Option<Signal> {
        let mut signal = {
            let mut shared = self.process.signals.lock();
            let mut own = self.signals.lock();
            let wanted = wanted(own.blocked);
            own.pending.take(wanted).or_else(|| shared.pending.take(wanted))?
        };
        if let Origin::Timer { id, overrun, .. } = &mut signal.origin {
            *overrun = self.process.timers.take(*id).unwrap_or(*overrun);
        }
        Some(signal)
    }

    /// Sets the mask; SIGKILL and SIGSTOP can't be blocked. What is unblocked by it is delivered before the thread goes on.
    pub fn set_blocked(&self, mask: SignalSet) {
        self.signals.lock().blocked = mask.without(SignalSet::UNBLOCKABLE);
        self.want_attention();
    }

    /// Sets the mask for the duration of a call (`sigsuspend`, `ppoll`, `pselect`, `epoll_pwait`): it goes back when the call has
    /// ended and the signals that ended it have been delivered.
    pub fn set_blocked_during_call(&self, mask: SignalSet) {
        let mut own = self.signals.lock();
        own.saved = Some(own.saved.unwrap_or(own.blocked));
        own.blocked = mask.without(SignalSet::UNBLOCKABLE);
        drop(own);
        self.want_attention();
    }

    /// Goes back to the mask before [`Task::set_blocked_during_call`]; true if there was one.
    pub(crate) fn restore_blocked(&self) -> bool {
        let mut own = self.signals.lock();
        let Some(saved) = own.saved.take() else {
            return false;
        };
        own.blocked = saved;
        drop(own);
        self.want_attention();
        true
    }

    /// Reads a signal mask argument of a call: EINVAL if its size isn't 8.
    pub fn read_mask(call: &mut crate::call::Call<'_>, address: u64, size: u64) -> Result<SignalSet> {
        if size != 8 {
            return Err(Errno::INVAL);
        }
        call.read_value(address).map(SignalSet)
    }
}

#[cfg(test)]
mod tests {
    use super::super::action::DEFAULT;
    use super::*;

    fn action(handler: u64, flags: ActionFlags) -> Action {
        Action { handler, flags: flags.bits(), ..Action::default() }
    }

    #[test]
    fn restarts_are_those_of_the_manual() {
        let none = ActionFlags::empty();
        assert_eq!(resume(restart::SYS, ActionFlags::RESTART), Resumption::Again);
        assert_eq!(resume(restart::SYS, none), Resumption::Interrupt);
        assert_eq!(resume(restart::NO_INTERRUPT, none), Resumption::Again);
        assert_eq!(resume(restart::NO_HANDLER, ActionFlags::RESTART), Resumption::Interrupt);
        assert_eq!(resume(restart::BLOCK, ActionFlags::RESTART), Resumption::Interrupt);
        assert!(!is_restart(Errno::INTR));
    }

    #[test]
    fn a_taken_signal_is_handled_ignored_or_deadly() {
        let default = action(DEFAULT, ActionFlags::empty());
        let handler = action(0x1000, ActionFlags::empty());
        assert_eq!(decide(libc::SIGTERM, &handler, true), Delivery::Handle(handler));
        assert_eq!(decide(libc::SIGTERM, &default, false), Delivery::End);
        assert_eq!(decide(libc::SIGTERM, &default, true), Delivery::Ignore);
        assert_eq!(decide(libc::SIGTSTP, &default, false), Delivery::Stop);
        assert_eq!(decide(libc::SIGCHLD, &default, false), Delivery::Ignore);
        assert_eq!(decide(libc::SIGSTOP, &handler, false), Delivery::Stop);
    }

    #[test]
    fn handlers_block_their_own_signal_unless_told_not_to() {
        let blocked = SignalSet::of(&[libc::SIGHUP]);
        let usual = Action { mask: SignalSet::of(&[libc::SIGINT, libc::SIGKILL]).0, ..action(1, ActionFlags::empty()) };
        assert_eq!(mask_in_handler(blocked, libc::SIGUSR1, &usual), SignalSet::of(&[libc::SIGHUP, libc::SIGINT, libc::SIGUSR1]));
        assert_eq!(mask_in_handler(blocked, libc::SIGUSR1, &action(1, ActionFlags::NODEFER)), blocked);
    }
}
