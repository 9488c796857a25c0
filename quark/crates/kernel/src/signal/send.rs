//! Sending signals.

use std::sync::Arc;

use super::action::Action;
use super::info::{Origin, Signal, child};
use super::queue::Refused;
use super::set::{DefaultAction, SignalSet, default_action, is_signal};
use super::state::{Job, ProcessState};
use crate::task::family::INIT;
use crate::task::status::WaitStatus;
use crate::task::{Process, Task, lock};
use crate::wait::Events;
use crate::{Errno, Result};

/// RLIMIT_SIGPENDING.
const RLIMIT_SIGPENDING: u32 = 11;

/// Sends a signal to a thread. It is woken or interrupted if it takes it now. Without effect if it ends.
pub fn send_to_task(task: &Arc<Task>, signal: i32, origin: Origin) {
    // Only a full queue refuses, and then nobody waits to be told.
    let _ = queue_to_task(task, signal, origin);
}

/// Sends a signal to a process: to any of its threads that does not block it.
pub fn send_to_process(process: &Arc<Process>, signal: i32, origin: Origin) {
    let _ = queue_to_process(process, signal, origin);
}

/// Sends a signal to all processes of a group; how many there are.
pub fn send_to_group(of: &Process, group: i32, signal: i32, origin: Origin) -> usize {
    let members = of.container.pids.group(group);
    for process in &members {
        send_to_process(process, signal, origin);
    }
    members.len()
}

/// Like [`send_to_task`]; EAGAIN if the receiver's queue of real-time signals is full.
pub fn queue_to_task(task: &Arc<Task>, signal: i32, origin: Origin) -> Result<()> {
    queue(&task.process, Some(task), Signal { number: signal, origin })
}

/// Like [`send_to_process`]; EAGAIN if the receiver's queue of real-time signals is full.
pub fn queue_to_process(process: &Arc<Process>, signal: i32, origin: Origin) -> Result<()> {
    queue(process, None, Signal { number: signal, origin })
}

/// What is decided on when a signal is sent, before it is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// It does nothing to its receiver.
    Drop,
    /// It waits to be taken.
    Queue,
    /// It ends the whole process now.
    End,
}

/// What of a receiver decides what sending does.
#[derive(Clone, Copy, Debug)]
pub struct Receiver {
    /// What the process does with the signal.
    pub action: Action,
    /// The thread that would take it blocks it.
    pub blocked: bool,
    /// The thread waits for it in `sigtimedwait`, or somebody may read it from a signalfd later: it is not lost or deadly yet.
    pub awaited: bool,
    /// The init of its pid namespace: only what it handles reaches it.
    pub init: bool,
}

/// Decides what a signal does to a receiver that is sent it.
pub fn decide(signal: i32, receiver: &Receiver) -> Sending {
    if receiver.init && receiver.action.handler == super::action::DEFAULT && !receiver.awaited && !receiver.blocked {
        return Sending::Drop;
    }
    if receiver.init && SignalSet::UNBLOCKABLE.has(signal) {
        return Sending::Drop;
    }
    if signal == libc::SIGKILL {
        return Sending::End;
    }
    if receiver.blocked || receiver.awaited {
        return Sending::Queue;
    }
    if receiver.action.ignores(signal) {
        return Sending::Drop;
    }
    let deadly = !receiver.action.is_handler() && default_action(signal) == DefaultAction::Terminate;
    if deadly { Sending::End } else { Sending::Queue }
}

fn queue(process: &Arc<Process>, target: Option<&Arc<Task>>, signal: Signal) -> Result<()> {
    if !is_signal(signal.number) {
        return Err(Errno::INVAL);
    }
    let threads = lock(&process.threads);
    if threads.is_empty() {
        return Ok(());
    }
    let mut state = process.signals.lock();
    if state.exit.is_some() {
        return Ok(());
    }
    let continued = cancel_opposite(&threads, &mut state, signal.number);
    let Some(taker) = target.or_else(|| taker(&threads, signal.number)) else {
        return Ok(());
    };
    let receiver = receiver(process, taker, signal.number);
    let outcome = match decide(signal.number, &receiver) {
        Sending::Drop => Ok(false),
        Sending::End => {
            begin_exit_locked(&threads, &mut state, WaitStatus::signaled(signal.number));
            process.kernel.reaper.watch(process);
            Ok(false)
        }
        Sending::Queue => push(process, &mut state, taker, target.is_some(), signal),
    };
    if matches!(outcome, Ok(true)) && (!receiver.blocked || receiver.awaited) {
        taker.kick();
    }
    drop(state);
    drop(threads);
    super::signalfd::ARRIVED.notify(Events::IN);
    if continued {
        tell_parent(process, WaitStatus::continued());
    }
    outcome.map(|_| ())
}

/// Queues it; whether it is new.
fn push(process: &Process, state: &mut ProcessState, taker: &Task, private: bool, signal: Signal) -> Result<bool> {
    let limit = process.limit(RLIMIT_SIGPENDING);
    let mut own = taker.signals.lock();
    let held = (own.pending.len() + state.pending.len()) as u64;
    let queue = if private { &mut own.pending } else { &mut state.pending };
    match queue.push(signal, limit.saturating_sub(held)) {
        Ok(()) => Ok(true),
        Err(Refused::Pending) => Ok(false),
        Err(Refused::Full) => Err(Errno::AGAIN),
    }
}

/// A stop forgets pending continuations and the other way round; SIGCONT continues whoever handles, blocks or ignores it.
/// True if it continued a process that had stopped.
fn cancel_opposite(threads: &[Arc<Task>], state: &mut ProcessState, signal: i32) -> bool {
    let opposite = if signal == libc::SIGCONT {
        SignalSet::STOPS
    } else if SignalSet::STOPS.has(signal) {
        SignalSet::of(&[libc::SIGCONT])
    } else {
        return false;
    };
    state.pending.discard(opposite);
    for task in threads {
        task.signals.lock().pending.discard(opposite);
    }
    if signal != libc::SIGCONT {
        return false;
    }
    let before = std::mem::take(&mut state.job);
    if before != Job::Runs {
        threads.iter().for_each(|task| task.kick());
    }
    let stopped = matches!(before, Job::Stopped(_));
    if stopped {
        state.report = Some(WaitStatus::continued());
    }
    stopped
}

/// The thread that takes a signal for the process: one that does not block it or waits for it, the first one if possible.
fn taker(threads: &[Arc<Task>], signal: i32) -> Option<&Arc<Task>> {
    let takes = |task: &&Arc<Task>| {
        let own = task.signals.lock();
        !task.doomed() && (!own.blocked.has(signal) || own.awaited.has(signal))
    };
    threads.iter().find(takes).or(threads.first())
}

fn receiver(process: &Process, taker: &Task, signal: i32) -> Receiver {
    let own = taker.signals.lock();
    Receiver {
        action: process.signals.action(signal),
        blocked: own.blocked.has(signal) && !SignalSet::UNBLOCKABLE.has(signal),
        awaited: own.awaited.has(signal),
        init: process.pid == INIT,
    }
}

/// Begins the end of a process: all of its threads end at their next opportunity. The first status counts.
pub fn begin_exit(process: &Arc<Process>, status: WaitStatus) {
    let threads = lock(&process.threads);
    begin_exit_locked(&threads, &mut process.signals.lock(), status);
    // A thread that ends its process needs nobody to see to it, but the others may not obey.
    if threads.len() > 1 {
        process.kernel.reaper.watch(process);
    }
}

fn begin_exit_locked(threads: &[Arc<Task>], state: &mut ProcessState, status: WaitStatus) {
    if state.exit.is_some() {
        return;
    }
    state.exit = Some(status);
    state.job = Job::Runs;
    threads.iter().for_each(|task| task.doom());
}

/// Begins to stop a process for `signal`.
pub fn begin_stop(process: &Process, signal: i32) {
    let threads = lock(&process.threads);
    let mut state = process.signals.lock();
    if state.exit.is_none() && state.job == Job::Runs {
        state.job = Job::Stops(signal);
        threads.iter().for_each(|task| task.kick());
    }
}

/// Tells a process' parent that it has stopped or goes on: SIGCHLD unless it has SA_NOCLDSTOP, and its waits.
pub fn tell_parent(process: &Process, status: WaitStatus) {
    let Some(parent) = process.container.pids.table().parent_of(process.pid) else {
        return;
    };
    let flags = parent.signals.action(libc::SIGCHLD).flags();
    if !flags.contains(super::action::ActionFlags::NOCLDSTOP) {
        let (code, told) = status.told();
        let uid = process.leader().map_or(0, |task| task.credentials().uid);
        let origin = Origin::Child { code, pid: process.pid, uid, status: told, user: 0, system: 0 };
        debug_assert!(code == child::STOPPED || code == child::CONTINUED);
        send_to_process(&parent, libc::SIGCHLD, origin);
    }
    parent.children_changed.notify(Events::IN);
}

#[cfg(test)]
mod tests {
    use super::super::action::{DEFAULT, IGNORE};
    use super::*;

    const HANDLER: u64 = 0x1000;

    fn receiver(handler: u64) -> Receiver {
        Receiver { action: Action { handler, ..Action::default() }, blocked: false, awaited: false, init: false }
    }

    #[test]
    fn a_deadly_signal_ends_the_process_unless_it_is_blocked_handled_or_ignored() {
        let sent = |receiver: Receiver| decide(libc::SIGTERM, &receiver);
        assert_eq!(sent(receiver(DEFAULT)), Sending::End);
        assert_eq!(sent(receiver(HANDLER)), Sending::Queue);
        assert_eq!(sent(receiver(IGNORE)), Sending::Drop);
        assert_eq!(sent(Receiver { blocked: true, ..receiver(DEFAULT) }), Sending::Queue);
        assert_eq!(sent(Receiver { blocked: true, ..receiver(IGNORE) }), Sending::Queue, "it may be handled when it is unblocked");
        assert_eq!(sent(Receiver { awaited: true, ..receiver(DEFAULT) }), Sending::Queue);
    }

    #[test]
    fn init_gets_only_what_it_handles() {
        let init = |handler| Receiver { init: true, ..receiver(handler) };
        assert_eq!(decide(libc::SIGTERM, &init(DEFAULT)), Sending::Drop);
        assert_eq!(decide(libc::SIGTERM, &init(HANDLER)), Sending::Queue);
        assert_eq!(decide(libc::SIGKILL, &init(DEFAULT)), Sending::Drop);
        assert_eq!(decide(libc::SIGSTOP, &init(DEFAULT)), Sending::Drop);
        assert_eq!(decide(libc::SIGTERM, &Receiver { blocked: true, ..init(DEFAULT) }), Sending::Queue);
    }

    #[test]
    fn stops_and_default_ignored_signals() {
        assert_eq!(decide(libc::SIGTSTP, &receiver(DEFAULT)), Sending::Queue);
        assert_eq!(decide(libc::SIGCHLD, &receiver(DEFAULT)), Sending::Drop);
        assert_eq!(decide(libc::SIGCHLD, &receiver(HANDLER)), Sending::Queue);
        assert_eq!(decide(libc::SIGKILL, &receiver(DEFAULT)), Sending::End);
    }
}
