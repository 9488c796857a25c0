//! Pending signals of a thread or of a process.

use std::collections::VecDeque;

use super::info::Signal;
use super::set::{REAL_TIME, SignalSet};

/// What is pending. Standard signals collapse: one that is pending already is not queued again; real-time signals queue in order.
#[derive(Debug, Default)]
pub struct Queue {
    pending: SignalSet,
    entries: VecDeque<Signal>,
}

/// Why a signal was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A standard signal of this number is pending already: nothing is lost.
    Pending,
    /// RLIMIT_SIGPENDING: EAGAIN for the sender.
    Full,
}

impl Queue {
    /// Which signals are pending.
    pub fn pending(&self) -> SignalSet {
        self.pending
    }

    /// How many entries it holds, for RLIMIT_SIGPENDING.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Adds a signal. `room` is how many more entries its receiver may hold. Beyond it, a real-time signal of `sigqueue(3)` is refused
    /// and any other loses its details, as on Linux.
    pub fn push(&mut self, signal: Signal, room: u64) -> Result<(), Refused> {
        let collapses = signal.number < REAL_TIME;
        if collapses && self.pending.has(signal.number) {
            return Err(Refused::Pending);
        }
        // Kernel's and kill's signals of standard numbers are always kept.
        let precious = collapses && signal.origin.code() >= 0;
        if room == 0 && !precious {
            if !collapses && signal.origin.code() != super::info::SI_USER {
                return Err(Refused::Full);
            }
            self.pending = self.pending.with(signal.number);
            return Ok(());
        }
        self.pending = self.pending.with(signal.number);
        self.entries.push_back(signal);
        Ok(())
    }

    /// Takes the next signal out of `wanted`.
    pub fn take(&mut self, wanted: SignalSet) -> Option<Signal> {
        let number = self.pending.and(wanted).first()?;
        let position = self.entries.iter().position(|entry| entry.number == number);
        let signal = position.and_then(|at| self.entries.remove(at)).unwrap_or(Signal::without_details(number));
        if !self.entries.iter().any(|entry| entry.number == number) {
            self.pending = self.pending.without(SignalSet::of(&[number]));
        }
        Some(signal)
    }

    /// Forgets all of `signals`.
    pub fn discard(&mut self, signals: SignalSet) {
        self.pending = self.pending.without(signals);
        self.entries.retain(|entry| !signals.has(entry.number));
    }

    /// Forgets entries that `unwanted` says (a deleted timer's).
    pub fn discard_if(&mut self, mut unwanted: impl FnMut(&Signal) -> bool) {
        self.entries.retain(|entry| !unwanted(entry));
        let left = self.entries.iter().fold(SignalSet::EMPTY, |set, entry| set.with(entry.number));
        self.pending = self.pending.and(left);
    }

    /// Changes the first entry that `change` says true of; false if there is none (a timer's overrun).
    pub fn update(&mut self, mut change: impl FnMut(&mut Signal) -> bool) -> bool {
        self.entries.iter_mut().any(&mut change)
    }
}

#[cfg(test)]
mod tests {
    use super::super::info::{Origin, SI_QUEUE, SI_USER};
    use super::*;

    fn signal(number: i32, code: i32, value: u64) -> Signal {
        Signal { number, origin: Origin::User { code, pid: 1, uid: 0, value } }
    }

    #[test]
    fn standard_signals_collapse_and_real_time_signals_queue() {
        let mut queue = Queue::default();
        assert_eq!(queue.push(signal(10, SI_USER, 1), 9), Ok(()));
        assert_eq!(queue.push(signal(10, SI_USER, 2), 9), Err(Refused::Pending));
        assert_eq!(queue.push(signal(34, SI_QUEUE, 1), 9), Ok(()));
        assert_eq!(queue.push(signal(34, SI_QUEUE, 2), 9), Ok(()));
        let taken: Vec<_> = std::iter::from_fn(|| queue.take(SignalSet::ALL)).collect();
        assert_eq!(taken, [signal(10, SI_USER, 1), signal(34, SI_QUEUE, 1), signal(34, SI_QUEUE, 2)]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_full_queue_refuses_sigqueue_and_forgets_details_of_kill() {
        let mut queue = Queue::default();
        assert_eq!(queue.push(signal(35, SI_QUEUE, 1), 0), Err(Refused::Full));
        assert_eq!(queue.push(signal(35, SI_USER, 1), 0), Ok(()));
        assert_eq!(queue.take(SignalSet::ALL), Some(Signal::without_details(35)));
        assert_eq!(queue.push(signal(10, SI_USER, 1), 0), Ok(()));
        assert_eq!(queue.take(SignalSet::ALL), Some(signal(10, SI_USER, 1)));
    }

    #[test]
    fn only_what_is_wanted_is_taken() {
        let mut queue = Queue::default();
        assert_eq!(queue.push(signal(10, SI_USER, 0), 9), Ok(()));
        assert_eq!(queue.take(SignalSet::of(&[12])), None);
        queue.discard(SignalSet::of(&[10]));
        assert!(queue.is_empty());
        assert_eq!(queue.len(), 0);
    }
}
