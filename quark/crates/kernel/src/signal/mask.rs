//! System calls of those who receive signals.

use std::time::{Duration, Instant};

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::action::Action;
use super::frame::{UserContext, UserStack, restore};
use super::info::Origin;
use super::set::{SignalSet, is_signal};
use super::state::{AlternateStack, SS_AUTODISARM, SS_DISABLE};
use crate::call::{Call, restart};
use crate::task::{Task, lock};
use crate::wait::Events;
use crate::{Errno, Result};

const SIG_BLOCK: i32 = 0;
const SIG_UNBLOCK: i32 = 1;
const SIG_SETMASK: i32 = 2;
const SS_ONSTACK: u32 = 1;
/// The smallest alternate stack that Linux takes, unless the frame needs more.
const MINSIGSTKSZ: u64 = 2048;
/// FP_XSTATE_MAGIC1, and where in the area it and the size of all are.
const MAGIC1: u32 = 0x4650_5853;
const MAGIC1_AT: usize = 464;
/// Of FXSAVE.
const LEGACY_AREA: usize = 512;
/// More than any processor's XSAVE area has.
const AREA_MAX: usize = 16 << 10;

/// `rt_sigaction(2)`.
pub fn rt_sigaction(call: &mut Call<'_>) -> Result<u64> {
    let (signal, new, old, size) = (call.int(0), call.arg(1), call.arg(2), call.arg(3));
    if size != 8 || !is_signal(signal) || new != 0 && SignalSet::UNBLOCKABLE.has(signal) {
        return Err(Errno::INVAL);
    }
    let action: Option<Action> = if new != 0 { Some(call.read_value(new)?) } else { None };
    let process = &call.task.process;
    call.task.settle_actions();
    let before = {
        let actions = process.signals.actions();
        let mut actions = lock(&actions);
        let before = actions.get(signal);
        if let Some(action) = action {
            actions.set(signal, action);
        }
        before
    };
    if action.is_some_and(|action| action.ignores(signal)) {
        discard_everywhere(call.task, signal);
    }
    if action.is_some() {
        call.task.publish_actions();
    }
    if old != 0 {
        call.write_value(old, &before)?;
    }
    Ok(0)
}

/// What comes to be ignored is no longer pending, blocked or not (POSIX 3.3.1.3).
fn discard_everywhere(task: &Task, signal: i32) {
    let signals = SignalSet::of(&[signal]);
    let threads = task.process.threads();
    task.process.signals.lock().pending.discard(signals);
    for thread in threads {
        thread.signals.lock().pending.discard(signals);
    }
}

/// The mask after `rt_sigprocmask(2)`.
fn changed(how: i32, blocked: SignalSet, set: SignalSet) -> Result<SignalSet> {
    match how {
        SIG_BLOCK => Ok(blocked.or(set)),
        SIG_UNBLOCK => Ok(blocked.without(set)),
        SIG_SETMASK => Ok(set),
        _ => Err(Errno::INVAL),
    }
}

/// `rt_sigprocmask(2)`.
pub fn rt_sigprocmask(call: &mut Call<'_>) -> Result<u64> {
    let (how, new, old, size) = (call.int(0), call.arg(1), call.arg(2), call.arg(3));
    if size != 8 {
        return Err(Errno::INVAL);
    }
    let before = call.task.signals.blocked();
    if new != 0 {
        let set = SignalSet(call.read_value(new)?);
        call.task.set_blocked(changed(how, before, set)?);
    }
    if old != 0 {
        call.write_value(old, &before.0)?;
    }
    Ok(0)
}

/// `rt_sigpending(2)`: what is pending and blocked.
pub fn rt_sigpending(call: &mut Call<'_>) -> Result<u64> {
    let size = call.arg(1) as usize;
    if size > 8 {
        return Err(Errno::INVAL);
    }
    let signals = &call.task.signals;
    let set = signals.pending(&call.task.process.signals).and(signals.blocked());
    let bytes = set.0.to_le_bytes();
    call.write(call.arg(0), bytes.get(..size).unwrap_or_default())?;
    Ok(0)
}

/// `rt_sigsuspend(2)`.
pub fn rt_sigsuspend(call: &mut Call<'_>) -> Result<u64> {
    let mask = Task::read_mask(call, call.arg(0), call.arg(1))?;
    call.task.set_blocked_during_call(mask);
    wait_for_signal(call.task)
}

/// `pause(2)`.
pub fn pause(call: &mut Call<'_>) -> Result<u64> {
    wait_for_signal(call.task)
}

fn wait_for_signal(task: &Task) -> Result<u64> {
    while !task.interrupted() {
        task.parker.park(None);
    }
    Err(restart::NO_HANDLER)
}

/// `struct timespec`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

/// `rt_sigtimedwait(2)`.
pub fn rt_sigtimedwait(call: &mut Call<'_>) -> Result<u64> {
    let wanted = Task::read_mask(call, call.arg(0), call.arg(3))?.without(SignalSet::UNBLOCKABLE);
    let deadline = match call.arg(2) {
        0 => None,
        at => Some(deadline_in(call.read_value(at)?)?),
    };
    let task = call.task;
    task.signals.lock().awaited = wanted;
    let taken = loop {
        if let Some(signal) = task.take_pending(|_| wanted) {
            break Ok(signal);
        }
        if task.interrupted() {
            break Err(Errno::INTR);
        }
        if !task.parker.park(deadline) {
            break task.take_pending(|_| wanted).ok_or(Errno::AGAIN);
        }
    };
    task.signals.lock().awaited = SignalSet::EMPTY;
    let signal = taken?;
    if call.arg(1) != 0 {
        call.write(call.arg(1), &signal.encode())?;
    }
    Ok(signal.number as u64)
}

fn deadline_in(time: Timespec) -> Result<Instant> {
    if time.seconds < 0 || !(0..1_000_000_000).contains(&time.nanoseconds) {
        return Err(Errno::INVAL);
    }
    // What can't be told in the host's clock is forever: 300 years.
    let wait = Duration::new(time.seconds.unsigned_abs().min(300 * 365 * 86400), time.nanoseconds as u32);
    Ok(Instant::now() + wait)
}

/// `rt_sigreturn(2)`. What the frame says is the guest's: it can only set what it could anyway.
pub fn rt_sigreturn(call: &mut Call<'_>) -> Result<u64> {
    match sigreturn(call) {
        Ok(()) => {}
        Err(_) => call.task.force(libc::SIGSEGV, Origin::Kernel),
    }
    Ok(call.registers.rax)
}

fn sigreturn(call: &mut Call<'_>) -> Result<()> {
    // The handler's `ret` has taken the restorer's address from the frame.
    let context: UserContext = call.read_value(call.registers.rsp)?;
    let area = read_extended(call, context.extended)?;
    call.context.set_extended(&area)?;
    *call.registers = restore(call.registers, &context);
    let stack = context.stack;
    // As Linux, which ignores a stack that it wouldn't take.
    let _ = set_stack(call.task, &stack, context.rsp);
    call.task.set_blocked(SignalSet(context.mask));
    Ok(())
}

/// The XSAVE area of a frame; only its legacy part if the frame doesn't say that there is more.
fn read_extended(call: &mut Call<'_>, address: u64) -> Result<Vec<u8>> {
    if address == 0 {
        return Ok(Vec::new());
    }
    let mut area = vec![0; LEGACY_AREA];
    call.read(address, &mut area)?;
    let word = |at: usize| area.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_le_bytes);
    let size = word(MAGIC1_AT + 4) as usize;
    if word(MAGIC1_AT) == MAGIC1 && (LEGACY_AREA..=AREA_MAX).contains(&size) {
        area.resize(size, 0);
        call.read(address, &mut area)?;
    }
    Ok(area)
}

/// `sigaltstack(2)`.
pub fn sigaltstack(call: &mut Call<'_>) -> Result<u64> {
    let (new, old) = (call.arg(0), call.arg(1));
    let stack_pointer = call.registers.rsp;
    let wanted: Option<UserStack> = if new != 0 { Some(call.read_value(new)?) } else { None };
    let before = call.task.signals.lock().stack;
    if let Some(wanted) = wanted {
        set_stack(call.task, &wanted, stack_pointer)?;
    }
    if old != 0 {
        call.write_value(old, &described(&before, stack_pointer))?;
    }
    Ok(0)
}

fn set_stack(task: &Task, wanted: &UserStack, stack_pointer: u64) -> Result<()> {
    let mut own = task.signals.lock();
    own.stack = checked_stack(&own.stack, wanted, stack_pointer)?;
    Ok(())
}

/// The alternate stack after `wanted` was asked for: EPERM while running on it, EINVAL, ENOMEM if too small.
fn checked_stack(current: &AlternateStack, wanted: &UserStack, stack_pointer: u64) -> Result<AlternateStack> {
    if current.holds(stack_pointer) {
        return Err(Errno::PERM);
    }
    let mode = wanted.flags & !SS_AUTODISARM;
    if ![0, SS_ONSTACK, SS_DISABLE].contains(&mode) {
        return Err(Errno::INVAL);
    }
    if mode == SS_DISABLE {
        return Ok(AlternateStack { flags: wanted.flags, ..AlternateStack::default() });
    }
    if wanted.size < MINSIGSTKSZ {
        return Err(Errno::NOMEM);
    }
    Ok(AlternateStack { address: wanted.address, flags: wanted.flags & SS_AUTODISARM, size: wanted.size })
}

/// What `sigaltstack` tells of the stack.
fn described(stack: &AlternateStack, stack_pointer: u64) -> UserStack {
    let mode = if stack.size == 0 {
        SS_DISABLE
    } else if stack.holds(stack_pointer) {
        SS_ONSTACK
    } else {
        0
    };
    UserStack { address: stack.address, flags: mode | stack.flags & SS_AUTODISARM, padding: 0, size: stack.size }
}

/// `restart_syscall(2)`: the guest makes it itself only by mistake.
pub fn restart_syscall(call: &mut Call<'_>) -> Result<u64> {
    let block = lock(&call.task.restart).take();
    match block {
        Some(mut block) => block(call),
        None => Err(Errno::INTR),
    }
}

impl Task {
    /// Waits for one of `wanted` to be pending, for signalfd: see [`super::ProcessSignals::arrived`].
    pub fn signal_events(&self, wanted: SignalSet) -> Events {
        let pending = self.signals.pending(&self.process.signals).and(wanted);
        if pending.is_empty() { Events::empty() } else { Events::IN | Events::RDNORM }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: AlternateStack = AlternateStack { address: 0x1000, flags: 0, size: 0x2000 };

    fn user(flags: u32, size: u64) -> UserStack {
        UserStack { address: 0x1000, flags, padding: 0, size }
    }

    #[test]
    fn masks_change_as_told() {
        let (one, two) = (SignalSet::of(&[1]), SignalSet::of(&[2]));
        assert_eq!(changed(SIG_BLOCK, one, two), Ok(SignalSet::of(&[1, 2])));
        assert_eq!(changed(SIG_UNBLOCK, one, one), Ok(SignalSet::EMPTY));
        assert_eq!(changed(SIG_SETMASK, one, two), Ok(two));
        assert_eq!(changed(3, one, two), Err(Errno::INVAL));
    }

    #[test]
    fn the_alternate_stack_cannot_change_under_a_handler() {
        assert_eq!(checked_stack(&STACK, &user(0, 0x2000), 0x1800), Err(Errno::PERM));
        assert_eq!(checked_stack(&STACK, &user(SS_DISABLE, 0), 0x9000), Ok(AlternateStack::default()));
        assert_eq!(checked_stack(&AlternateStack::default(), &user(0, 100), 0x9000), Err(Errno::NOMEM));
        assert_eq!(checked_stack(&AlternateStack::default(), &user(8, 0x2000), 0x9000), Err(Errno::INVAL));
        assert_eq!(checked_stack(&AlternateStack::default(), &user(SS_ONSTACK, 0x2000), 0x9000), Ok(STACK));
    }

    #[test]
    fn the_alternate_stack_is_described_as_used_while_it_is() {
        assert_eq!(described(&STACK, 0x1800).flags, SS_ONSTACK);
        assert_eq!(described(&STACK, 0x9000).flags, 0);
        assert_eq!(described(&AlternateStack::default(), 0x1800).flags, SS_DISABLE);
    }

    #[test]
    fn times_that_are_none_are_refused() {
        assert!(deadline_in(Timespec { seconds: 0, nanoseconds: 1_000_000_000 }).is_err());
        assert!(deadline_in(Timespec { seconds: -1, nanoseconds: 0 }).is_err());
        assert!(deadline_in(Timespec { seconds: i64::MAX, nanoseconds: 0 }).is_ok());
    }
}
