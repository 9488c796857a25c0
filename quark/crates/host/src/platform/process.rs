//! A stub process, as the kernel knows it: its pages, its threads, and whether it still is.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI32};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Instant;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::futex;

use super::control::Control;
use super::patience::Patience;
use super::shared::{SLOTS, Slot, TURN_KERNEL, TURN_STUB, processor};

/// One a stub process.
pub(super) struct Process {
    /// In the kernel's pid namespace; of the last one, while it has no stub.
    pid: AtomicI32,
    pub(super) control: Arc<Control>,
    /// The kernel's end of what files go through; locked while they are on their way, so that threads don't receive each other's.
    pub(super) socket: Mutex<OwnedFd>,
    seats: Mutex<Seats>,
    /// Set before the host may give the pid to another process.
    dead: AtomicBool,
    /// Set when those who waited for it know.
    dismissed: AtomicBool,
    /// Whoever uses the pid holds it; the reaper takes it to write before the pid is free again.
    reaped: RwLock<bool>,
}

/// The kernel's side of a slot that is in use.
pub(super) struct Seat {
    pub(super) index: u64,
    /// The host thread's id, by its own word: good for signals within its process only.
    pub(super) thread: AtomicI32,
    /// Whether the guest may be running, so that only a signal stops it.
    pub(super) running: AtomicBool,
    /// Whether an interrupt has not been reported yet.
    pub(super) interrupted: AtomicBool,
    /// Whether the kernel's half waits for the stub.
    waiting: AtomicBool,
    patience: Patience,
}

#[derive(Default)]
struct Seats {
    /// In use.
    taken: Vec<Arc<Seat>>,
    /// Slots of threads that end or have ended.
    left: Vec<u64>,
    /// No slot from here on was ever used, but for the first thread's.
    next: u64,
    /// Of the process's first thread, which must not end before the others.
    first: u64,
}

/// What is to become of a host thread whose guest thread has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Departure {
    /// The process ends with it.
    Last,
    /// It is the first one: the host can't reach the memory of a process without it. Or the seat was nobody's.
    Stay,
    /// The thread ends.
    Leave,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Process {
    /// A process whose first thread is on slot `first`.
    pub(super) fn new(pid: i32, control: Arc<Control>, socket: OwnedFd, first: u64) -> (Arc<Process>, Arc<Seat>) {
        let seat = Arc::new(Seat::new(first, pid));
        let seats = Seats { taken: vec![seat.clone()], left: Vec::new(), next: 0, first };
        let process = Process {
            pid: AtomicI32::new(pid),
            control,
            socket: Mutex::new(socket),
            seats: Mutex::new(seats),
            dead: AtomicBool::new(false),
            dismissed: AtomicBool::new(false),
            reaped: RwLock::new(false),
        };
        (Arc::new(process), seat)
    }

    /// See the field.
    pub(super) fn pid(&self) -> i32 {
        self.pid.load(Relaxed)
    }

    /// Has a stub again, `pid`, in place of the one that has ended.
    pub(super) fn become_alive(&self, pid: i32, socket: OwnedFd) {
        let mut reaped = self.reaped.write().unwrap_or_else(PoisonError::into_inner);
        *lock(&self.socket) = socket;
        self.pid.store(pid, Relaxed);
        self.dead.store(false, SeqCst);
        self.dismissed.store(false, SeqCst);
        *reaped = false;
    }

    pub(super) fn slot(&self, seat: &Seat) -> &Slot {
        self.control.slot(seat.index)
    }

    /// Whether the process has ended.
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(SeqCst)
    }

    /// Keeps the pid from being another process's while the guard lives; ESRCH if it is too late.
    pub(super) fn hold_pid(&self) -> Result<RwLockReadGuard<'_, bool>, Errno> {
        let guard = self.reaped.read().unwrap_or_else(PoisonError::into_inner);
        if *guard { Err(Errno::SRCH) } else { Ok(guard) }
    }

    /// Kills it, if it still is.
    pub(super) fn kill(&self) {
        if let (Ok(_held), Some(pid)) = (self.hold_pid(), Pid::from_raw(self.pid())) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// Sends the interrupting signal to a thread.
    pub(super) fn signal(&self, seat: &Seat) {
        if let Ok(_held) = self.hold_pid() {
            // SAFETY: a host call without pointers.
            unsafe { libc::syscall(libc::SYS_tgkill, self.pid(), seat.thread.load(Relaxed), super::shared::INTERRUPT) };
        }
    }

    /// Notes that the process has ended, from here on; nobody uses its pid any more.
    pub(super) fn bury(&self) {
        self.dead.store(true, SeqCst);
        *self.reaped.write().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Waits until it has ended, and nobody looks after it any more.
    pub(super) fn wait_dismissed(&self) {
        while !self.dismissed.load(SeqCst) {
            std::thread::sleep(std::time::Duration::from_micros(50));
        }
    }

    /// Wakes all kernel halves that wait for it, to see that it is dead.
    pub(super) fn dismiss(&self) {
        let taken = lock(&self.seats).taken.clone();
        for seat in taken {
            let slot = self.slot(&seat);
            slot.turn.store(TURN_KERNEL, SeqCst);
            let _ = futex::wake(&slot.turn, futex::Flags::empty(), 1);
            // A forked process that still has these pages may have written there, and the wake been too early.
            while seat.waiting.load(SeqCst) {
                let _ = futex::wake(&slot.turn, futex::Flags::empty(), 1);
                std::thread::sleep(std::time::Duration::from_micros(100));
            }
        }
        self.dismissed.store(true, SeqCst);
    }

    /// The seats of all threads.
    pub(super) fn taken(&self) -> Vec<Arc<Seat>> {
        lock(&self.seats).taken.clone()
    }

    pub(super) fn has_one_thread(&self) -> bool {
        lock(&self.seats).taken.len() == 1
    }

    /// The seats for a new stub, whose first thread is on slot 0: those of all threads, which are to be started again.
    pub(super) fn restart_seats(&self) -> Vec<Arc<Seat>> {
        let mut seats = lock(&self.seats);
        seats.restart();
        seats.taken.clone()
    }

    /// A seat for another thread, EAGAIN if there are too many.
    pub(super) fn take_seat(&self) -> Result<Arc<Seat>, Errno> {
        let mut seats = lock(&self.seats);
        let ended = seats.left.iter().position(|index| self.control.slot(*index).thread.load(SeqCst) == 0);
        let index = match ended {
            Some(position) => seats.left.swap_remove(position),
            None => {
                if seats.next == seats.first {
                    seats.next += 1;
                }
                seats.next += 1;
                seats.next - 1
            }
        };
        if index >= SLOTS {
            seats.next = SLOTS;
            return Err(Errno::AGAIN);
        }
        let seat = Arc::new(Seat::new(index, 0));
        self.slot(&seat).ready.iter().for_each(|word| word.store(0, Relaxed));
        seats.taken.push(seat.clone());
        Ok(seat)
    }

    /// Gives a seat back whose thread never started.
    pub(super) fn return_seat(&self, seat: &Seat) {
        self.slot(seat).thread.store(0, SeqCst);
        self.leave_seat(seat);
    }

    /// Gives a seat back; what the thread has to do.
    pub(super) fn leave_seat(&self, seat: &Seat) -> Departure {
        let mut seats = lock(&self.seats);
        let before = seats.taken.len();
        seats.taken.retain(|other| !std::ptr::eq(&**other, seat));
        if seats.taken.len() == before {
            return Departure::Stay;
        }
        if seats.taken.is_empty() {
            return Departure::Last;
        }
        if seat.index == seats.first {
            return Departure::Stay;
        }
        seats.left.push(seat.index);
        Departure::Leave
    }
}

impl Seats {
    /// For a stub whose first thread is on slot 0.
    fn restart(&mut self) {
        self.next = self.next.max(self.first + 1);
        if self.first != 0 && !self.taken.iter().any(|seat| seat.index == self.first) {
            self.left.push(self.first);
        }
        self.left.retain(|index| *index != 0);
        self.first = 0;
    }
}

impl Seat {
    /// A seat on slot `index`, which a thread may hold already: for the kernel's own commands to it.
    pub(super) fn new(index: u64, thread: i32) -> Seat {
        Seat {
            index,
            thread: AtomicI32::new(thread),
            running: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
            patience: Patience::new(),
        }
    }

    /// Gives the turn to the stub's thread, and wakes it if it sleeps.
    pub(super) fn give_turn(&self, slot: &Slot) {
        // It may go to sleep yet, which is no matter here.
        let sleeps = slot.stub_sleeps.load(Relaxed) != 0;
        let looks = self.patience.gives(slot.spins.load(Relaxed), sleeps);
        slot.spins.store(looks, Relaxed);
        slot.kernel_processor.store(processor(), Relaxed);
        slot.turn.store(TURN_STUB, SeqCst);
        if slot.stub_sleeps.load(SeqCst) != 0 {
            let _ = futex::wake(&slot.turn, futex::Flags::empty(), 1);
        }
    }

    /// Waits until it is the kernel's turn on `slot`; ESRCH if the process is dead, ETIMEDOUT.
    pub(super) fn wait(&self, process: &Process, slot: &Slot, deadline: Option<Instant>) -> Result<(), Errno> {
        let apart = slot.stub_processor.load(Relaxed) != processor();
        self.patience.look(apart, || slot.turn.load(Acquire) == TURN_KERNEL);
        let mut slept = false;
        loop {
            let turn = slot.turn.load(SeqCst);
            // After the turn is read: who buries the process gives it to the kernel.
            if process.is_dead() {
                return Err(Errno::SRCH);
            }
            if turn == TURN_KERNEL {
                self.patience.gets(slept);
                return Ok(());
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(Errno::TIMEDOUT);
            }
            let left = left.map(|left| futex::Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
            slept = true;
            self.waiting.store(true, SeqCst);
            slot.kernel_sleeps.store(1, SeqCst);
            if !process.is_dead() {
                let _ = futex::wait(&slot.turn, futex::Flags::empty(), turn, left.as_ref());
            }
            slot.kernel_sleeps.store(0, Relaxed);
            self.waiting.store(false, SeqCst);
        }
    }
}
