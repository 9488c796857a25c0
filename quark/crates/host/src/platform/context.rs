//! Guest threads: commands to their stubs, and events from them.

use std::cell::Cell;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use rustix::io::Errno;

use super::api::{AddressSpace, Context};
use super::birth::{Cradle, send_files};
use super::patience::{ticks, ticks_per_us};
use super::process::{Departure, Process, Seat, lock};
use super::reaper::Family;
use super::shared::*;
use super::{Event, Fault, HostCall, OwnCall, Registers, calls, extended, memory, window};

impl Context {
    pub(super) fn new(process: Arc<Process>, seat: Arc<Seat>, family: Arc<Family>) -> Context {
        seat.thread.store(process.slot(&seat).thread.load(Relaxed) as i32, Relaxed);
        Context { space: Arc::new(AddressSpace { process }), seat, family, fast: Cell::new(None), deadline: None, waited: Cell::new(None) }
    }

    fn process(&self) -> &Process {
        &self.space.process
    }

    fn slot(&self) -> &Slot {
        self.process().slot(&self.seat)
    }

    /// Lets the stub's thread go on, with `command`.
    fn go(&self, command: u32) {
        let slot = self.slot();
        slot.command.store(command, Relaxed);
        self.seat.give_turn(slot);
    }

    fn wait(&self) -> Result<(), Errno> {
        self.seat.wait(self.process(), self.slot(), self.deadline)
    }

    /// Has the stub execute `command`; what came of it, by its own word.
    fn command(&self, command: u32) -> Result<u64, Errno> {
        self.fast.set(None);
        self.go(command);
        self.wait()?;
        let result = self.slot().result.load(Relaxed);
        match -(result as i64) {
            error @ 1..=4095 => Err(Errno::from_raw_os_error(error as i32)),
            _ => Ok(result),
        }
    }

    pub(super) fn run_guest(&mut self, registers: &mut Registers) -> Event {
        loop {
            match self.run_once(registers) {
                // Left over from an interrupt that was reported otherwise.
                Event::Interrupted if !self.seat.interrupted.swap(false, SeqCst) => {}
                event => return event,
            }
        }
    }

    fn run_once(&mut self, registers: &mut Registers) -> Event {
        let fast = self.fast.take();
        self.waited.set(None);
        self.seat.running.store(true, SeqCst);
        if self.seat.interrupted.load(SeqCst) {
            self.seat.running.store(false, SeqCst);
            self.fast.set(fast);
            return Event::Interrupted;
        }
        self.load(registers);
        let answered = fast.is_some_and(|before| registers.only_answers(&before));
        self.go(if answered { COMMAND_RETURN } else { COMMAND_RESUME });
        self.next_event(registers)
    }

    /// Waits for what comes of the thread's run.
    fn next_event(&self, registers: &mut Registers) -> Event {
        let waited = self.wait();
        self.seat.running.store(false, SeqCst);
        if waited.is_err() {
            return Event::Died;
        }
        self.save(registers);
        match self.slot().event.load(Relaxed) {
            EVENT_FAST => self.fast.set(Some(*registers)),
            EVENT_BROKEN => {
                // That was what interrupted it.
                self.seat.interrupted.store(false, SeqCst);
                let us = ticks().saturating_sub(self.slot().since.load(Relaxed)) / ticks_per_us();
                self.waited.set(Some(Duration::from_micros(us)));
            }
            _ => {}
        }
        self.event()
    }

    pub(super) fn make_own_call(&mut self, registers: &mut Registers, call: &OwnCall, waited: Duration) -> Result<Event, Errno> {
        let operation = self.encode_own_call(call)?;
        self.fast.set(None);
        self.seat.running.store(true, SeqCst);
        if self.seat.interrupted.swap(false, SeqCst) {
            self.seat.running.store(false, SeqCst);
            self.waited.set(Some(waited));
            return Ok(Event::Syscall);
        }
        self.waited.set(None);
        self.load(registers);
        let slot = self.slot();
        operation.store(slot, 0);
        let since = ticks().saturating_sub((waited.as_micros() as u64).saturating_mul(ticks_per_us()));
        slot.since.store(since, Relaxed);
        self.go(COMMAND_OWN);
        match self.next_event(registers) {
            Event::Interrupted if !self.seat.interrupted.swap(false, SeqCst) => Ok(self.run_guest(registers)),
            event => Ok(event),
        }
    }

    pub(super) fn run_guest_after(&mut self, call: &HostCall<'static>, registers: &mut Registers) -> Result<Event, Errno> {
        let operation = calls::encode(call)?;
        self.fast.set(None);
        self.waited.set(None);
        self.seat.running.store(true, SeqCst);
        if self.seat.interrupted.load(SeqCst) {
            self.seat.running.store(false, SeqCst);
            self.make_batch(&[operation])?;
            return Ok(self.run_guest(registers));
        }
        self.load(registers);
        let slot = self.slot();
        operation.store(slot, 0);
        slot.count.store(1, Relaxed);
        self.go(COMMAND_CALLS_RESUME);
        let event = self.next_event(registers);
        if event != Event::Died && self.slot().event.load(Relaxed) == EVENT_FAILED {
            let errno = (self.slot().result.load(Relaxed) as i64).wrapping_neg();
            return Err(if (1..=4095).contains(&errno) { Errno::from_raw_os_error(errno as i32) } else { Errno::INVAL });
        }
        match event {
            Event::Interrupted if !self.seat.interrupted.swap(false, SeqCst) => Ok(self.run_guest(registers)),
            event => Ok(event),
        }
    }

    fn encode_own_call(&self, call: &OwnCall) -> Result<calls::Encoded<'static>, Errno> {
        match *call {
            OwnCall::Futex(arguments) => calls::encode_futex(arguments),
            OwnCall::FutexWaitMany(arguments) => calls::encode_futexes(arguments),
            OwnCall::FutexUntil { mut arguments, deadline } => {
                let [seconds, nanoseconds] = deadline.map(i64::to_ne_bytes);
                let window = &self.process().control;
                window.fill_window(self.seat.index, 0, &seconds);
                window.fill_window(self.seat.index, 8, &nanoseconds);
                arguments[3] = CONTROL + self.seat.index * SLOT_BYTES + WINDOW;
                calls::encode_futex(arguments)
            }
        }
    }

    fn load(&self, registers: &Registers) {
        let mut all: [u64; 20] = zerocopy::transmute!(*registers);
        // Other bases fault in the instructions that set them; no guest can ask for them.
        for base in &mut all[18..] {
            *base = if *base < 1 << 47 { *base } else { 0 };
        }
        self.slot().registers.iter().zip(all).for_each(|(to, from)| to.store(from, Relaxed));
    }

    fn save(&self, registers: &mut Registers) {
        let mut all = [0u64; 20];
        all.iter_mut().zip(&self.slot().registers).for_each(|(to, from)| *to = from.load(Relaxed));
        *registers = zerocopy::transmute!(all);
    }

    /// What the stub says has happened. Nonsense is as good as an illegal instruction.
    fn event(&self) -> Event {
        let slot = self.slot();
        match slot.event.load(Relaxed) {
            EVENT_SYSCALL | EVENT_FAST | EVENT_BROKEN => Event::Syscall,
            EVENT_INTERRUPT => Event::Interrupted,
            EVENT_FAULT => {
                let [signal, code, address, error, trap, cr2] = slot.fault.each_ref().map(|word| word.load(Relaxed));
                let signal = match signal as i32 {
                    signal @ (libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL | libc::SIGTRAP) => signal,
                    _ => libc::SIGILL,
                };
                Event::Fault(Fault { signal, code: code as i32, address, error, trap, cr2 })
            }
            _ => Event::Fault(Fault { signal: libc::SIGILL, code: 0, address: 0, error: 0, trap: 0, cr2: 0 }),
        }
    }

    pub(super) fn make_calls(&mut self, calls: &[HostCall<'_>]) -> Result<u64, Errno> {
        let mut result = 0;
        for batch in calls.chunks(calls::BATCH) {
            let mut refused = None;
            let mut encoded = Vec::with_capacity(batch.len());
            for call in batch {
                match calls::encode(call) {
                    Ok(operation) => encoded.push(operation),
                    Err(errno) => {
                        refused = Some(errno);
                        break;
                    }
                }
            }
            if !encoded.is_empty() {
                result = self.make_batch(&encoded)?;
            }
            if let Some(errno) = refused {
                return Err(errno);
            }
        }
        Ok(result)
    }

    pub(super) fn make_batch(&mut self, batch: &[calls::Encoded<'_>]) -> Result<u64, Errno> {
        let slot = self.slot();
        batch.iter().enumerate().for_each(|(index, operation)| operation.store(slot, index));
        slot.count.store(batch.len() as u32, Relaxed);
        let files: Vec<BorrowedFd<'_>> = batch.iter().filter_map(|operation| operation.file).collect();
        if files.is_empty() {
            return self.command(COMMAND_CALLS);
        }
        let socket = lock(&self.process().socket);
        for file in files {
            send_files(&socket, &[file])?;
        }
        self.command(COMMAND_CALLS)
    }

    /// Forks the process; the new one's first thread is on the slot of the same number.
    pub(super) fn fork_process(&mut self) -> Result<Context, Errno> {
        let cradle = self.family.stock.take_cradle()?;
        self.fork_with(cradle)
    }

    /// The same with a cradle that somebody has.
    pub(super) fn fork_with(&mut self, cradle: Cradle) -> Result<Context, Errno> {
        let cradle = cradle.at(self.seat.index);
        let pid = self.fork_into(&cradle)?;
        let (process, seat) = cradle.adopt(pid, Some(self.process()), &self.family)?;
        Ok(Context::new(process, seat, self.family.clone()))
    }

    /// Forks the process into `cradle`; the pid, as the stub says.
    pub(super) fn fork_into(&mut self, cradle: &Cradle) -> Result<i32, Errno> {
        let cloned = {
            let socket = lock(&self.process().socket);
            send_files(&socket, &cradle.files())?;
            self.command(COMMAND_FORK)
        };
        // It may have been cloned all the same.
        let pid = cloned.inspect_err(|_| cradle.abandon())?;
        Ok(i32::try_from(pid).unwrap_or(0))
    }

    pub(super) fn start_thread(&mut self) -> Result<Context, Errno> {
        let seat = self.process().take_seat()?;
        self.start_on(&seat).inspect_err(|_| self.process().return_seat(&seat))?;
        Ok(Context {
            space: self.space.clone(),
            seat,
            family: self.family.clone(),
            fast: Cell::new(None),
            deadline: None,
            waited: Cell::new(None),
        })
    }

    /// Starts a thread on the slot of `seat`.
    pub(super) fn start_on(&mut self, seat: &Seat) -> Result<(), Errno> {
        let process = self.process();
        let slot = process.slot(seat);
        slot.command.store(COMMAND_RESUME, SeqCst);
        slot.turn.store(TURN_STUB, SeqCst);
        // Until the thread says otherwise, and so that nobody takes the slot.
        slot.thread.store(u32::MAX, SeqCst);
        self.slot().operand.store(seat.index, Relaxed);
        self.command(COMMAND_THREAD)?;
        seat.wait(process, slot, self.deadline)?;
        seat.thread.store(slot.thread.load(Relaxed) as i32, Relaxed);
        Ok(())
    }

    pub(super) fn read_memory(&mut self, address: u64, to: &mut [u8]) -> Result<(), Errno> {
        memory::check(address, to.len())?;
        window::read(self.process(), &self.seat, address, to).unwrap_or_else(|| memory::read(self.process(), address, to))
    }

    pub(super) fn write_memory(&mut self, address: u64, from: &[u8]) -> Result<(), Errno> {
        memory::check(address, from.len())?;
        window::write(self.process(), &self.seat, address, from).unwrap_or_else(|| memory::write(self.process(), address, from))
    }

    /// Ends the host thread, or the process with the last one.
    pub(super) fn leave(&mut self) {
        let last = match self.process().leave_seat(&self.seat) {
            Departure::Stay => return,
            Departure::Leave => 0,
            Departure::Last => 1,
        };
        self.slot().operand.store(last, Relaxed);
        self.go(COMMAND_EXIT);
    }

    pub(super) fn read_extended(&mut self) -> Result<Vec<u8>, Errno> {
        if self.fast.get().is_some() {
            // It is in the registers as yet: any command has the thread save it.
            self.make_batch(&[])?;
        }
        let address = self.slot().extended.load(Relaxed);
        let mut start = [0; extended::SHAPE_BYTES];
        memory::read_any(self.process(), address, &mut start)?;
        let shape = extended::shape(&start).ok_or(Errno::INVAL)?;
        let mut area = vec![0; shape.size];
        memory::read_any(self.process(), address, &mut area)?;
        // It may have changed meanwhile.
        if extended::shape(&area) != Some(shape) {
            return Err(Errno::INVAL);
        }
        extended::forget_extension(&mut area);
        Ok(area)
    }

    pub(super) fn write_extended(&mut self, area: &[u8]) -> Result<(), Errno> {
        let current = self.read_extended()?;
        let area = extended::restorable(area, &current)?;
        memory::write_any(self.process(), self.slot().extended.load(Relaxed), &area)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.leave();
    }
}
