//! What a thread's stub answers by itself: calls that ask only who one is, made by a patched site (`docs/plans/quark.md`, "Patched calls").
//!
//! Whoever changes an answer publishes all of the thread's anew, under the lock of the process table, so that the last change is what is told.

use std::sync::Arc;

use quark_host::platform::Interrupter;

use super::namespace::Table;
use super::{Process, Task, lock};
use crate::trace;

/// The calls. No two are the same modulo 32 ([`quark_host::platform::Interrupter::publish`]).
const CALLS: [i64; 8] = [
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getpgrp,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
];

impl Task {
    /// Has the stub know what the thread is told now. Takes the lock of the process table.
    pub(crate) fn publish(&self) {
        self.process.container.pids.table().publish(self);
    }

    /// Has the stub know which signals' actions are plain, if nobody else has the same actions. By the thread itself, or before it runs.
    pub(crate) fn publish_actions(&self) {
        let actions = self.process.signals.actions();
        // One is the process' own, the other this.
        let alone = Arc::strong_count(&actions) == 2 && lock(&self.process.threads).len() <= 1;
        let told = alone && !self.seccomp.is_on() && !trace::enabled();
        let plain = told.then(|| lock(&actions).plain());
        if let Some(stub) = lock(&self.interrupter).as_ref() {
            stub.let_act(plain);
        }
    }

    /// Learns what the thread has set by itself. By the thread's own half.
    pub(crate) fn settle_actions(&self) {
        let acted = lock(&self.interrupter).as_ref().map(Interrupter::acted);
        if let Some(acted) = acted.filter(|acted| acted.restored != 0) {
            lock(&self.process.signals.actions()).settle(acted);
        }
    }

    /// The same, and that it has to ask from now on.
    pub(crate) fn share_actions(&self) {
        self.settle_actions();
        if let Some(stub) = lock(&self.interrupter).as_ref() {
            stub.let_act(None);
        }
    }

    /// The answers to [`CALLS`]; none for a thread whose calls somebody wants to see, or that is not known any more.
    fn answers(&self, table: &Table) -> Option<[u32; CALLS.len()]> {
        if self.seccomp.is_on() || trace::enabled() {
            return None;
        }
        let member = table.family.get(self.process.pid)?;
        let who = self.credentials();
        let ids = [self.process.pid, self.tid(), member.parent, member.group].map(|id| id as u32);
        let [pid, tid, parent, group] = ids;
        Some([pid, tid, parent, group, who.uid, who.euid, who.gid, who.egid])
    }
}

impl Table {
    /// Has the stub know what a thread is told now.
    pub(crate) fn publish(&self, task: &Task) {
        let answers = task.answers(self);
        let interrupter = lock(&task.interrupter);
        let Some(stub) = interrupter.as_ref() else { return };
        stub.let_wait(answers.is_some());
        if answers.is_none() {
            stub.let_act(None);
        }
        for (index, number) in CALLS.into_iter().enumerate() {
            stub.publish(number as u32, answers.and_then(|answers| answers.get(index).copied()));
        }
    }

    /// The same for all threads of a process.
    pub(crate) fn publish_all(&self, process: &Process) {
        process.threads().iter().for_each(|task| self.publish(task));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_a_place_of_its_own() {
        let mut places = [&CALLS[..], &[libc::SYS_futex, libc::SYS_rt_sigaction]].concat();
        places.iter_mut().for_each(|number| *number %= 32);
        places.sort_unstable();
        assert!(places.windows(2).all(|pair| matches!(pair, [one, next] if one != next)), "{places:?}");
    }
}
