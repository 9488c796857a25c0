//! Stub processes that end while their guests wait, and are made again: what the host kept of them beside the guest's memory.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::PlainActions;
use super::api::{AddressSpace, Context, Platform};
use super::birth::Cradle;
use super::memory;
use super::process::Seat;
use super::shared::READY;

/// How long a stub may take for what it is told here, on a host that may be busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// The threads of a stub process, as the host has them.
pub struct Threads(Vec<Thread>);

struct Thread {
    slot: u64,
    extended: Vec<u8>,
    /// See `Slot::ready`.
    ready: [u64; READY],
    plain: PlainActions,
}

impl Threads {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl Platform {
    /// Lets go of what waits to be used, so that an idle sandbox has no process but first ones, of which others are made; or has it made again.
    pub fn keep_ready(&self, ready: bool) {
        self.nursery.keep_ready(ready);
    }

    /// A thread of the process that makes calls for the kernel. All of its threads must have stopped, and their contexts not be in use; what
    /// it is told is to be done within seconds (ETIMEDOUT). ESRCH if the process has ended.
    pub fn stand_in(&self, space: &Arc<AddressSpace>) -> Result<Context, Errno> {
        let seat = space.process.taken().first().map(|seat| seat.index).ok_or(Errno::SRCH)?;
        if space.process.is_dead() { Err(Errno::SRCH) } else { Ok(self.on_slot(space, seat)) }
    }

    fn on_slot(&self, space: &Arc<AddressSpace>, index: u64) -> Context {
        let deadline = Some(Instant::now() + PATIENCE);
        let seat = Arc::new(Seat::new(index, 0));
        Context { space: space.clone(), seat, family: self.nursery.family(), fast: Cell::new(None), deadline, waited: Cell::new(None) }
    }

    /// The threads of a process, under the conditions of [`Platform::stand_in`].
    pub fn threads(&self, space: &Arc<AddressSpace>) -> Result<Threads, Errno> {
        let read = |seat: Arc<Seat>| {
            let mut context = self.on_slot(space, seat.index);
            // A thread that called by the fast entry has its state in the registers as yet: a command has it saved.
            context.settle()?;
            let ready = space.process.slot(&seat).ready.each_ref().map(|word| word.load(Relaxed));
            let plain = context.interrupter().acted();
            Ok(Thread { slot: seat.index, extended: context.extended()?, ready, plain })
        };
        space.process.taken().into_iter().map(read).collect::<Result<_, Errno>>().map(Threads)
    }

    /// Ends the process for now; its contexts stay, for [`Platform::revive`], and answer ESRCH or [`super::Event::Died`] meanwhile.
    pub fn put_away(&self, space: &AddressSpace) {
        let process = &space.process;
        process.kill();
        process.wait_dismissed();
        process.control.forget();
    }

    /// Makes the process anew, empty, with the threads that it had; the contexts that they had are good again once the kernel has filled its
    /// memory. What makes the calls for that. The process must have been [`Platform::put_away`].
    pub fn revive(&self, space: &Arc<AddressSpace>, threads: &Threads) -> Result<Context, Errno> {
        let process = &space.process;
        let family = self.nursery.family();
        let cradle = Cradle::again(process)?;
        let pid = self.nursery.fork_into(&cradle)?;
        cradle.adopt_again(pid, process, &family)?;
        let mut context = self.on_slot(space, 0);
        let filled = self.restart(&mut context, threads);
        filled.inspect_err(|_| process.kill())?;
        Ok(context)
    }

    fn restart(&self, first: &mut Context, threads: &Threads) -> Result<(), Errno> {
        let space = first.space.clone();
        for seat in space.process.restart_seats() {
            let slot = space.process.slot(&seat);
            if seat.index == 0 {
                seat.thread.store(slot.thread.load(Relaxed) as i32, Relaxed);
            } else {
                first.start_on(&seat)?;
            }
            let Some(thread) = threads.0.iter().find(|thread| thread.slot == seat.index) else { continue };
            self.on_slot(&space, seat.index).set_extended(&thread.extended)?;
            let words =
                [(&slot.plain, thread.plain.signals), (&slot.restored, thread.plain.restored), (&slot.restorer, thread.plain.restorer)];
            let ready = slot.ready.iter().zip(thread.ready);
            ready.chain(words).for_each(|(word, value)| word.store(value, Relaxed));
        }
        Ok(())
    }
}

impl AddressSpace {
    /// How many threads it has.
    pub fn thread_count(&self) -> usize {
        self.process.taken().len()
    }

    /// Writes `bytes` to several places, in order, each an address and how many bytes. EFAULT.
    pub fn scatter(&self, places: &[(u64, usize)], bytes: &[u8]) -> Result<(), Errno> {
        memory::scatter(&self.process, places, bytes)
    }
}

impl Context {
    /// Has the thread do nothing, so that all of its state is in its signal's frame.
    fn settle(&mut self) -> Result<(), Errno> {
        self.make_batch(&[]).map(drop)
    }
}
