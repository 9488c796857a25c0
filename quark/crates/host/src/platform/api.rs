//! The signatures that the kernel uses. Bodies come from the platform's owner.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::nursery::Nursery;
use super::process::{Process, Seat};
use super::reaper::Family;
use super::shared::{ACTION, FAST_ENTRY, GUEST_END, OWN, READY};
use super::{Event, HostCall, OwnCall, PlainActions, Registers, StubExit, memory, reaper};

/// What the sandbox's stubs come from: one a kernel process, and those for containers that have cgroups of their own ([`Platform::within`]). When it
/// is dropped, no more come; those that are there go on.
pub struct Platform {
    pub(super) nursery: Arc<Nursery>,
}

/// The memory of one guest process, and the stub process that holds it. Others than its own threads may only read and write it.
pub struct AddressSpace {
    pub(super) process: Arc<Process>,
}

/// One guest thread's host thread in a stub process. Its kernel half owns it. Dropping it is [`Context::exit`].
pub struct Context {
    pub(super) space: Arc<AddressSpace>,
    pub(super) seat: Arc<Seat>,
    pub(super) family: Arc<Family>,
    /// The registers of a system call that has come by the fast entry, while nothing else was asked of the thread since.
    pub(super) fast: Cell<Option<Registers>>,
    /// Until when a stub may take to do what it is told; guests' own threads have all the time.
    pub(super) deadline: Option<Instant>,
    /// How long the thread's own call had lasted when it was interrupted, if that was the last event.
    pub(super) waited: Cell<Option<Duration>>,
}

/// Stops a guest thread that runs, and tells it what it need not ask, from any thread of the kernel process.
#[derive(Clone)]
pub struct Interrupter {
    process: Arc<Process>,
    seat: Arc<Seat>,
}

/// Guest addresses that a stub keeps for itself: nothing of the guest may be mapped there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The lowest address that the guest may map (the host's `vm.mmap_min_addr`, 64 KiB).
    pub lowest: u64,
    /// The guest's mappings end here; the stub's own text, pages and stacks are above.
    pub end: u64,
    /// The vDSO's ELF header (AT_SYSINFO_EHDR), or 0.
    pub vdso: u64,
    /// What of `lowest..end` is taken by the host's vDSO and its data, start and end; empty if above `end`.
    pub reserved: (u64, u64),
}

impl Platform {
    /// Starts the thread that starts the first, empty stub process, from which the others are cloned, reaps stubs and calls `ended` for each
    /// that has. Returns before there is a stub, which takes some 1 ms.
    pub fn start(ended: Box<dyn Fn(StubExit) + Send + Sync>) -> Result<Platform, Errno> {
        let (family, coming) = reaper::start(ended)?;
        Ok(Platform { nursery: Nursery::new(family, coming) })
    }

    /// Another one of the same kernel process, whose stubs are in cgroups: `entrances` are their `cgroup.procs` files, opened for writing by somebody who
    /// may move processes there.
    pub fn within(&self, entrances: Vec<OwnedFd>) -> Result<Platform, Errno> {
        Ok(Platform { nursery: self.nursery.within(entrances)? })
    }

    /// Waits until stubs are there, or fails if they could not be made. Before that the process must not be confined by its own filter.
    pub fn ready(&self) -> Result<(), Errno> {
        self.nursery.ready().map(drop)
    }

    /// Where guests may map memory. Waits for the first stub.
    pub fn layout(&self) -> Layout {
        let vdso = self.nursery.ready().unwrap_or(0);
        Layout { lowest: 0x1_0000, end: GUEST_END, vdso, reserved: (GUEST_END, GUEST_END) }
    }

    /// Where a patched system call jumps to, with the address to return to in `rcx` and all else as at the `syscall` instruction but
    /// `r11`, which is free. Nothing if the host's processor or kernel hasn't what it takes (FSGSBASE).
    pub fn fast_entry(&self) -> Option<u64> {
        const HWCAP2_FSGSBASE: usize = 2;
        let (_, capabilities2) = rustix::param::linux_hwcap();
        (capabilities2 & HWCAP2_FSGSBASE != 0).then_some(FAST_ENTRY)
    }

    /// An empty address space with one thread in it, from a few that are kept ready. The thread has stopped, as if at an event.
    pub fn blank(&self) -> Result<(Arc<AddressSpace>, Context), Errno> {
        let context = self.nursery.take()?;
        Ok((context.space.clone(), context))
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.nursery.close();
    }
}

impl AddressSpace {
    /// Reads guest memory; EFAULT if not all of it could be read.
    pub fn read(&self, address: u64, to: &mut [u8]) -> Result<(), Errno> {
        memory::read(&self.process, address, to)
    }

    /// Writes guest memory; EFAULT if not all of it could be written. What was written before the fault stays.
    pub fn write(&self, address: u64, from: &[u8]) -> Result<(), Errno> {
        memory::write(&self.process, address, from)
    }

    /// Whether it has one thread.
    pub fn has_one_thread(&self) -> bool {
        self.process.has_one_thread()
    }

    /// The pid of the stub process in the sandbox's pid namespace.
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Kills the stub process. All contexts in it answer [`Event::Died`].
    pub fn kill(&self) {
        self.process.kill();
    }
}

impl Context {
    /// Runs the guest from `registers` until something happens, and leaves its registers there. A change of `registers` by the kernel
    /// before the next call takes effect, floating point and vector registers stay in the stub (see [`Context::extended`]).
    pub fn run(&mut self, registers: &mut Registers) -> Event {
        self.run_guest(registers)
    }

    /// Has the thread make `call`, the one that it has stopped at, and go on as by [`Context::run`]. An event that is a system call at the same
    /// place may be this one again ([`Context::waited`]): it was interrupted, and nothing has come of it. `waited` is how long it has lasted
    /// before. EINVAL for a futex of another kind.
    pub fn run_own_call(&mut self, registers: &mut Registers, call: &OwnCall, waited: Duration) -> Result<Event, Errno> {
        self.make_own_call(registers, call, waited)
    }

    /// Has the thread make a host call without a file, and go on as by [`Context::run`]: one hand-over less than [`Context::call`] before that. The
    /// call's error, and then the thread has not run.
    pub fn run_after(&mut self, call: &HostCall<'static>, registers: &mut Registers) -> Result<Event, Errno> {
        self.run_guest_after(call, registers)
    }

    /// If the last event was a call of the thread's own that was interrupted, how long that had lasted (as the stub says, which can lie).
    pub fn waited(&self) -> Option<Duration> {
        self.waited.get()
    }

    /// Makes host calls in the stopped thread's address space, in order, until one fails. Returns the result of the last one that
    /// ran, or its error (which a hostile stub may invent: it tells the shape of the guest's own memory, no more).
    pub fn call(&mut self, calls: &[HostCall<'_>]) -> Result<u64, Errno> {
        self.make_calls(calls)
    }

    /// Whether the last event was a system call that came by [`Platform::fast_entry`], and nothing was asked of the thread since.
    pub fn called_fast(&self) -> bool {
        self.fast.get().is_some()
    }

    /// Forks the stub process: the new one has a copy of the memory and one thread, stopped, which continues from what the kernel
    /// gives to its first [`Context::run`]. Its vector registers are those of this thread.
    pub fn fork(&mut self) -> Result<(Arc<AddressSpace>, Context), Errno> {
        let context = self.fork_process()?;
        Ok((context.space.clone(), context))
    }

    /// Starts another thread in the same stub process, stopped.
    pub fn thread(&mut self) -> Result<Context, Errno> {
        self.start_thread()
    }

    /// Ends the host thread. The stub process ends with its last thread.
    pub fn exit(self) {
        drop(self);
    }

    /// The address space that the thread is in.
    pub fn space(&self) -> &Arc<AddressSpace> {
        &self.space
    }

    /// Reads guest memory like [`AddressSpace::read`], faster: through the shared pages where that pays.
    pub fn read(&mut self, address: u64, to: &mut [u8]) -> Result<(), Errno> {
        self.read_memory(address, to)
    }

    /// Writes guest memory like [`AddressSpace::write`], faster: through the shared pages where that pays.
    pub fn write(&mut self, address: u64, from: &[u8]) -> Result<(), Errno> {
        self.write_memory(address, from)
    }

    /// The thread's XSAVE area in the format of the host's signal frames (`fpstate`, with its magic words), as of its last event.
    pub fn extended(&mut self) -> Result<Vec<u8>, Errno> {
        self.read_extended()
    }

    /// Sets the XSAVE area for the next run; refused with EINVAL if the host wouldn't restore it. Empty resets to the initial state.
    pub fn set_extended(&mut self, area: &[u8]) -> Result<(), Errno> {
        self.write_extended(area)
    }

    /// A handle by which others interrupt this thread's [`Context::run`]. An interrupt that comes while the thread isn't running guest
    /// code ends its next run at once.
    pub fn interrupter(&self) -> Interrupter {
        Interrupter { process: self.space.process.clone(), seat: self.seat.clone() }
    }
}

impl Interrupter {
    /// Makes the guest thread stop with [`Event::Interrupted`]. Cheap if it is not running.
    pub fn interrupt(&self) {
        let pending = self.seat.interrupted.swap(true, SeqCst);
        if !pending && self.seat.running.load(SeqCst) {
            self.process.signal(&self.seat);
        }
    }

    /// Has the thread's calls `number` by [`Platform::fast_entry`] answered on the spot, with 32 bits that are not all ones, or not any more.
    /// Numbers that are the same modulo 32 are in each other's place. A new thread has no answers, a forked one neither. The guest can overwrite
    /// them, and then deceives itself.
    pub fn publish(&self, number: u32, answer: Option<u32>) {
        let word = answer.and_then(|answer| answer.checked_add(1)).map_or(0, |answer| u64::from(answer) << 32 | u64::from(number));
        self.make_ready(number, word);
    }

    /// Lets the thread make futex calls that come by the fast entry itself, or not any more. A new thread may not.
    pub fn let_wait(&self, may: bool) {
        self.make_ready(OWN, if may { u64::from(OWN) } else { 0 });
    }

    /// Lets the thread answer `rt_sigaction` by the fast entry itself, for signals that are `plain`, or not any more. A new thread may not.
    pub fn let_act(&self, plain: Option<PlainActions>) {
        let slot = self.process.slot(&self.seat);
        let PlainActions { signals, restored, restorer } = plain.unwrap_or_default();
        slot.plain.store(signals, SeqCst);
        slot.restored.store(restored, SeqCst);
        slot.restorer.store(restorer, SeqCst);
        self.make_ready(ACTION, if plain.is_some() { u64::from(ACTION) } else { 0 });
    }

    /// Which plain signals the thread has set to the default with the restorer, or had been so before, as the stub says.
    pub fn acted(&self) -> PlainActions {
        let slot = self.process.slot(&self.seat);
        let [signals, restored, restorer] = [&slot.plain, &slot.restored, &slot.restorer].map(|word| word.load(SeqCst));
        PlainActions { signals, restored: restored & signals, restorer }
    }

    fn make_ready(&self, number: u32, word: u64) {
        if let Some(place) = self.process.slot(&self.seat).ready.get(number as usize % READY) {
            place.store(word, SeqCst);
        }
    }

    /// Whether the thread makes a call of its own, as the stub says: it probably waits.
    pub fn waits(&self) -> bool {
        self.process.slot(&self.seat).waits.load(Relaxed) != 0
    }
}
