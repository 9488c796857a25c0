//! The kernel half of a guest thread: runs it, answers its calls, delivers its signals, until it ends.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;

use quark_host::platform::{Context, Event, Fault, HostCall, OwnCall, Registers};
use zerocopy::IntoBytes;

use super::status::WaitStatus;
use super::{Task, exit, lock};
use crate::call::{Call, restart};
use crate::dispatch::dispatch;
use crate::memory::{Allowance, Later};
use crate::patching::View;
use crate::seccomp::Verdict;
use crate::signal::action::Action;
use crate::signal::deliver::{Delivery, Resumption, is_restart, mask_in_handler, resume};
use crate::signal::frame::{Entry, is_user_address, plan};
use crate::signal::info::{Origin, Signal};
use crate::signal::send::{begin_exit, begin_stop, queue_to_task};
use crate::signal::state::{AlternateStack, SS_AUTODISARM};
use crate::{Errno, Result, trace};

/// The stack of a kernel half. System calls don't recurse, and big buffers are on the heap.
const STACK: usize = 256 << 10;
/// How long `syscall` is.
const SYSCALL_LENGTH: u64 = 2;

/// Starts a thread's kernel half; EAGAIN if the host gives no thread.
pub fn start(task: Arc<Task>, context: Context, registers: Registers, first: impl FnOnce() + Send + 'static) -> Result<()> {
    *lock(&task.interrupter) = Some(context.interrupter());
    let name = format!("guest {}", task.tid());
    let half = move || {
        first();
        task.half.store(rustix::thread::gettid().as_raw_nonzero().get(), std::sync::atomic::Ordering::Relaxed);
        super::set_current(Some(task.clone()));
        Half { task, context, registers, broken: None, later: None, view: View::default() }.run();
        super::set_current(None);
    };
    thread::Builder::new().name(name).stack_size(STACK).spawn(half).map(drop).map_err(|_| Errno::AGAIN)
}

/// A call that a signal interrupted and that is not answered yet.
struct Broken {
    number: u32,
    args: [u64; 6],
    error: Errno,
    /// It is the thread's to make, and was not interrupted but has not begun.
    own: Option<OwnCall>,
}

struct Half {
    task: Arc<Task>,
    context: Context,
    registers: Registers,
    broken: Option<Broken>,
    later: Option<Later>,
    view: View,
}

impl Half {
    fn run(mut self) {
        self.task.publish();
        self.task.publish_actions();
        while self.step().is_continue() {}
        exit::end(&self.task, self.context);
    }

    fn step(&mut self) -> ControlFlow<()> {
        while self.task.take_attention() || self.broken.as_ref().is_some_and(|broken| broken.own.is_none()) {
            self.change_memory();
            self.settle()?;
        }
        if !is_user_address(self.registers.rip) {
            self.change_memory();
            let address = self.registers.rip;
            self.raise(Fault { signal: libc::SIGSEGV, code: libc::SI_KERNEL, address, error: 0, trap: 13, cr2: 0 });
            return ControlFlow::Continue(());
        }
        match self.run_guest() {
            Event::Syscall => self.answer(),
            Event::Fault(fault) => self.fault(fault),
            Event::Interrupted => self.task.want_attention(),
            Event::Died => {
                begin_exit(&self.task.process, WaitStatus::signaled(libc::SIGKILL));
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// Runs the thread until something happens, other than that it comes upon an instruction that a patch has moved.
    fn run_guest(&mut self) -> Event {
        let memory = self.task.memory();
        loop {
            self.view.enter(&memory, &mut self.registers);
            let event = self.run_once();
            let Some(event) = self.view.leave(&memory, &mut self.registers, event) else { continue };
            if event == Event::Syscall && self.context.waited().is_none() {
                self.view.called(&memory, &mut self.context, &self.registers);
            }
            return event;
        }
    }

    /// Runs the thread, from a call that it makes itself if there is one.
    fn run_once(&mut self) -> Event {
        if let Some(later) = self.later.take() {
            match self.context.run_after(&later.call, &mut self.registers) {
                Ok(event) => return event,
                Err(errno) => self.refuse_change(later, errno),
            }
        }
        let Some(Broken { own: Some(call), .. }) = self.broken.take() else {
            return self.context.run(&mut self.registers);
        };
        let waited = self.context.waited().unwrap_or_default();
        match self.context.run_own_call(&mut self.registers, &call, waited) {
            Ok(event) => event,
            Err(errno) => {
                self.registers.rax = encode(Err(errno));
                self.context.run(&mut self.registers)
            }
        }
    }

    fn answer(&mut self) {
        let registers = &self.registers;
        let number = registers.rax as u32;
        let args = [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9];
        let address = registers.rip;
        match self.task.seccomp.judge(number, address, args) {
            Verdict::Allow => self.make(number, args, dispatch),
            verdict => self.refuse(verdict, Origin::Filtered { errno: 0, address, number }),
        }
    }

    /// Does what a seccomp filter says with a call that is not made.
    fn refuse(&mut self, verdict: Verdict, origin: Origin) {
        let end = |signal| WaitStatus::signaled(signal);
        let process = &self.task.process;
        match (verdict, origin) {
            (Verdict::Errno(errno), _) => self.registers.rax = i64::from(errno).wrapping_neg() as u64,
            // `rax` stays the call's number, as if it had not been tried.
            (Verdict::Trap(errno), Origin::Filtered { address, number, .. }) => {
                self.task.force(libc::SIGSYS, Origin::Filtered { errno: errno as i32, address, number });
            }
            (Verdict::KillThread, _) if process.threads().len() > 1 => {
                lock(&self.task.own).exit_status = Some(end(libc::SIGSYS));
                self.task.doom();
            }
            (Verdict::Strict, _) => begin_exit(process, end(libc::SIGKILL)),
            (Verdict::KillThread | Verdict::KillProcess, _) => begin_exit(process, end(libc::SIGSYS)),
            _ => self.registers.rax = encode(Err(Errno::NOSYS)),
        }
    }

    /// Makes a call and puts its answer where the guest finds it, or keeps it for the signal that interrupted it.
    fn make(&mut self, number: u32, args: [u64; 6], handler: impl FnOnce(&mut Call<'_>) -> Result<u64>) {
        let mut call =
            Call { task: &self.task, context: &mut self.context, registers: &mut self.registers, number, args, own: None, later: None };
        let answer = handler(&mut call);
        let (own, later) = (call.own, call.later);
        if trace::enabled() {
            trace::tell(&self.task, number, &args, &answer);
        }
        match answer {
            Err(error) if is_restart(error) => {
                self.broken = Some(Broken { number, args, error, own });
                return;
            }
            Err(Errno::INTR) => {}
            // What a call's mask let through, but did not interrupt it, waits for the next chance.
            _ => drop(self.task.restore_blocked()),
        }
        self.registers.rax = encode(answer);
        self.later = later;
    }

    /// Makes the change of memory that the thread was to make on its way, as something else comes first.
    fn change_memory(&mut self) {
        let Some(later) = self.later.take() else { return };
        if let Err(errno) = self.context.call(&[later.call]) {
            self.refuse_change(later, errno);
        }
    }

    fn refuse_change(&mut self, later: Later, errno: Errno) {
        self.task.memory().undo(later);
        self.registers.rax = encode(Err(errno));
    }

    /// Does what others want of the thread, then brings the interrupted call on its way.
    fn settle(&mut self) -> ControlFlow<()> {
        loop {
            self.task.kernel().pause_gate.pass(&self.task);
            self.task.take_part_in_stop();
            if self.task.doomed() {
                return ControlFlow::Break(());
            }
            let Some((signal, delivery)) = self.task.take_signal() else {
                break;
            };
            self.deliver(signal, delivery);
        }
        if self.task.restore_blocked() {
            return ControlFlow::Continue(());
        }
        if let Some(broken) = self.broken.take_if(|broken| broken.own.is_none()) {
            self.again(broken);
        }
        ControlFlow::Continue(())
    }

    fn again(&mut self, broken: Broken) {
        if broken.error != restart::BLOCK {
            return self.make(broken.number, broken.args, dispatch);
        }
        let block = lock(&self.task.restart).take();
        self.make(broken.number, broken.args, |call| match block {
            Some(mut block) => block(call),
            None => Err(Errno::INTR),
        });
    }

    fn deliver(&mut self, signal: Signal, delivery: Delivery) {
        match delivery {
            Delivery::Ignore => {}
            Delivery::End => begin_exit(&self.task.process, WaitStatus::signaled(signal.number)),
            Delivery::Stop => {
                let process = &self.task.process;
                if signal.number == libc::SIGSTOP || !process.container.pids.orphaned(process.group()) {
                    begin_stop(process, signal.number);
                }
            }
            Delivery::Handle(action) => self.handle(signal, &action),
        }
    }

    fn handle(&mut self, signal: Signal, action: &Action) {
        if let Some(broken) = self.broken.take() {
            match resume(broken.error, action.flags()) {
                Resumption::Interrupt => self.registers.rax = encode(Err(Errno::INTR)),
                Resumption::Again => {
                    self.registers.rax = u64::from(broken.number);
                    self.registers.rip = self.registers.rip.wrapping_sub(SYSCALL_LENGTH);
                }
            }
        }
        if self.push_frame(&signal, action).is_err() {
            self.bad_stack(signal.number);
        }
    }

    fn push_frame(&mut self, signal: &Signal, action: &Action) -> Result<()> {
        let (mask, stack) = {
            let own = self.task.signals.lock();
            (own.saved.unwrap_or(own.blocked), own.stack)
        };
        let extended = self.context.extended()?;
        let fault = lock(&self.task.own).fault;
        let entry = Entry { signal, action, mask, stack, fault, extended: extended.len() };
        let plan = plan(&self.registers, &entry).ok_or(Errno::FAULT)?;
        self.context.write(plan.extended_at, &extended)?;
        self.context.write(plan.frame_at, plan.frame.as_bytes())?;
        self.registers = plan.registers;
        let mut own = self.task.signals.lock();
        own.saved = None;
        own.blocked = mask_in_handler(own.blocked, signal.number, action);
        if own.stack.flags & SS_AUTODISARM != 0 {
            own.stack = AlternateStack::default();
        }
        Ok(())
    }

    /// A handler's frame can't be written: SIGSEGV, which ends the process if it was that one's frame. Nothing can be written to one that the host has killed.
    fn bad_stack(&mut self, signal: i32) {
        if !self.answers() {
            return begin_exit(&self.task.process, WaitStatus::signaled(libc::SIGKILL));
        }
        if signal == libc::SIGSEGV {
            return begin_exit(&self.task.process, WaitStatus::signaled(signal));
        }
        self.task.force(libc::SIGSEGV, Origin::Kernel);
    }

    /// Whether the thread's stub is there.
    fn answers(&mut self) -> bool {
        let nothing = HostCall::Advise { address: 0, length: 0, advice: libc::MADV_NORMAL };
        self.context.call(&[nothing]) != Err(Errno::SRCH)
    }

    fn fault(&mut self, fault: Fault) {
        let memory = self.task.memory();
        if memory.fault(&mut self.context, &fault, &Allowance::of(&self.task)) {
            return;
        }
        self.raise(fault);
    }

    fn raise(&mut self, fault: Fault) {
        lock(&self.task.own).fault = Some(fault);
        self.task.force(fault.signal, Origin::Fault { code: fault.code, address: fault.address });
    }
}

impl Task {
    /// Sends a signal that the thread caused and can't escape: blocked or ignored, it ends the process.
    pub fn force(self: &Arc<Task>, signal: i32, origin: Origin) {
        let action = self.process.signals.action(signal);
        let lost = self.signals.blocked().has(signal) || !action.is_handler();
        if lost {
            return begin_exit(&self.process, WaitStatus::signaled(signal));
        }
        self.want_attention();
        if queue_to_task(self, signal, origin).is_err() {
            begin_exit(&self.process, WaitStatus::signaled(signal));
        }
    }
}

/// An answer as `rax` has it.
fn encode(answer: Result<u64>) -> u64 {
    match answer {
        Ok(value) => value,
        Err(error) => i64::from(-error.raw_os_error()) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_negative_numbers_in_rax() {
        assert_eq!(encode(Ok(7)), 7);
        assert_eq!(encode(Err(Errno::NOENT)), -2i64 as u64);
    }
}
