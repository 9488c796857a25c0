//! Guest threads and processes.

mod answers;
pub mod clone;
pub mod compare;
pub mod credentials;
pub mod execute;
pub mod exit;
pub mod family;
pub mod identity;
pub mod limits;
pub mod namespace;
pub mod pidfd;
pub mod prctl;
pub mod process;
pub mod run;
pub mod schedule;
pub mod session;
pub mod status;
pub mod stop;
pub mod usage;
pub mod wait;

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use quark_host::platform::{Fault, Interrupter};

use crate::Result;
use crate::call::{Call, restart};
use crate::file::File;
use crate::ipc::semaphore::UndoList;
use crate::kernel::Kernel;
use crate::memory::Memory;
use crate::seccomp::Seccomp;
use crate::signal::TaskSignals;
use crate::vfs::open::{FdTable, FsContext};
use crate::wait::{Bell, Events, Parker, WaitQueue, Waiter};

use status::WaitStatus;

pub use credentials::Credentials;
pub use process::{Limit, Process};

/// Locks a mutex whose holder may have panicked: the state is consistent between our steps, and one guest's bad luck is not another's.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Task>>> = const { RefCell::new(None) };
}

/// The guest thread whose kernel half the calling thread is; `None` on others. For files that tell everybody something else (`/proc/self`).
pub fn current() -> Option<Arc<Task>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Says whose kernel half the calling thread is.
pub(crate) fn set_current(task: Option<Arc<Task>>) {
    let before = CURRENT.replace(task);
    drop(before);
}

/// How an interrupted call goes on after a stop or a handler-less signal (`restart_syscall(2)`): a sleep until a fixed time, say.
pub type RestartBlock = Box<dyn FnMut(&mut Call<'_>) -> Result<u64> + Send>;

/// A guest thread.
pub struct Task {
    tid: AtomicI32,
    /// Its process.
    pub process: Arc<Process>,
    /// Replaced as a whole when changed.
    pub credentials: Mutex<Arc<Credentials>>,
    /// Descriptors; shared with others after CLONE_FILES.
    pub files: Mutex<Arc<FdTable>>,
    /// Root, working directory, umask; shared after CLONE_FS.
    pub fs: Mutex<Arc<FsContext>>,
    /// Blocked and pending signals, the alternate stack.
    pub signals: TaskSignals,
    /// What its kernel half sleeps on.
    pub parker: Arc<Parker>,
    /// Stops it when it runs.
    pub interrupter: Mutex<Option<Interrupter>>,
    /// `comm`, at most 15 bytes.
    pub name: Mutex<Vec<u8>>,
    /// What `restart_syscall` does; set by a call that answers `restart::BLOCK`.
    pub restart: Mutex<Option<RestartBlock>>,
    /// What it may call.
    pub seccomp: Seccomp,
    /// What its System V semaphores are given back when it ends; shared after CLONE_SYSVSEM.
    pub semaphore_undo: Mutex<Option<Arc<UndoList>>>,
    /// What else is only its own.
    pub own: Mutex<Own>,
    /// The host thread of its kernel half, for its processor time; 0 before it runs.
    pub(crate) half: AtomicI32,
    /// Somebody wants it to look up from what it does: a signal, a stop, its end, a pause.
    attention: AtomicBool,
    /// It has to end at once: its process ends, or another thread executes another program.
    doomed: AtomicBool,
}

/// State of a thread that mostly itself looks at.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// Zeroed and woken (futex) when the thread ends: CLONE_CHILD_CLEARTID, `set_tid_address`.
    pub clear_tid: u64,
    /// `set_robust_list`.
    pub robust_list: u64,
    /// PR_SET_PDEATHSIG.
    pub parent_death_signal: i32,
    /// The thread that made it, for PR_SET_PDEATHSIG; 0 is none.
    pub maker: i32,
    /// The last fault, for the guest's signal frames.
    pub fault: Option<Fault>,
    /// PR_SET_TIMERSLACK, nanoseconds.
    pub timer_slack: u64,
    /// `sched_setscheduler`, `setpriority`, `ioprio_set`, `sched_setaffinity`.
    pub scheduling: Scheduling,
    /// It called `exit`.
    pub exit_status: Option<WaitStatus>,
}

/// How a thread asked to be scheduled. It is told what it asked for; the host schedules all alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// SCHED_*, without SCHED_RESET_ON_FORK.
    pub policy: i32,
    /// SCHED_RESET_ON_FORK.
    pub reset_on_fork: bool,
    /// 1 to 99 for SCHED_FIFO and SCHED_RR.
    pub priority: i32,
    /// -20 to 19.
    pub nice: i32,
    /// `ioprio_set`'s value.
    pub io_priority: i32,
    /// Processors it may run on, as a bit mask; empty is all.
    pub affinity: Vec<u64>,
}

/// What a new thread starts with.
pub struct NewTask {
    /// Its id.
    pub tid: i32,
    /// Its process.
    pub process: Arc<Process>,
    /// Who it is.
    pub credentials: Arc<Credentials>,
    /// Descriptors.
    pub files: Arc<FdTable>,
    /// Root and working directory.
    pub fs: Arc<FsContext>,
    /// `comm`.
    pub name: Vec<u8>,
    /// The rest.
    pub own: Own,
}

impl Task {
    /// A thread that does not run yet.
    pub fn new(new: NewTask) -> Arc<Task> {
        let parker = Arc::new(Parker::behind(new.process.kernel.hibernation.clone()));
        Arc::new(Task {
            tid: AtomicI32::new(new.tid),
            process: new.process,
            credentials: Mutex::new(new.credentials),
            files: Mutex::new(new.files),
            fs: Mutex::new(new.fs),
            signals: TaskSignals::default(),
            parker,
            interrupter: Mutex::default(),
            name: Mutex::new(new.name),
            restart: Mutex::default(),
            seccomp: Seccomp::default(),
            semaphore_undo: Mutex::default(),
            own: Mutex::new(new.own),
            half: AtomicI32::new(0),
            // What came before it was known to others is found out at its first step.
            attention: AtomicBool::new(true),
            doomed: AtomicBool::new(false),
        })
    }

    /// Its id in its container's pid namespace. It changes once, if it executes a program and is not its process' first thread.
    pub fn tid(&self) -> i32 {
        self.tid.load(Ordering::Relaxed)
    }

    pub(crate) fn set_tid(&self, tid: i32) {
        self.tid.store(tid, Ordering::Relaxed);
    }

    /// Who it is now.
    pub fn credentials(&self) -> Arc<Credentials> {
        lock(&self.credentials).clone()
    }

    /// Its descriptors.
    pub fn files(&self) -> Arc<FdTable> {
        lock(&self.files).clone()
    }

    /// Its root, working directory and umask.
    pub fn fs(&self) -> Arc<FsContext> {
        lock(&self.fs).clone()
    }

    /// Its address space.
    pub fn memory(&self) -> Arc<Memory> {
        lock(&self.process.memory).clone()
    }

    /// The kernel.
    pub fn kernel(&self) -> &Arc<Kernel> {
        &self.process.kernel
    }

    /// Makes it look up from what it does: ends its wait or its run of guest code.
    pub fn kick(&self) {
        self.attention.store(true, Ordering::SeqCst);
        self.parker.wake();
        if let Some(interrupter) = lock(&self.interrupter).as_ref() {
            interrupter.interrupt();
        }
    }

    /// Ends its wait for a futex, if its own thread waits. It makes the call again, and looks for no signals,
    /// which are another's.
    pub(crate) fn call_in(&self) {
        if let Some(interrupter) = lock(&self.interrupter).as_ref().filter(|thread| thread.waits()) {
            interrupter.interrupt();
        }
    }

    /// Whether it waits, and runs nothing.
    pub fn sleeps(&self) -> bool {
        self.parker.asleep() || lock(&self.interrupter).as_ref().is_some_and(Interrupter::waits)
    }

    /// Makes it end at the next opportunity.
    pub(crate) fn doom(&self) {
        self.doomed.store(true, Ordering::SeqCst);
        self.kick();
    }

    /// Whether it has to end at once.
    pub fn doomed(&self) -> bool {
        self.doomed.load(Ordering::SeqCst)
    }

    pub(crate) fn take_attention(&self) -> bool {
        self.attention.swap(false, Ordering::SeqCst)
    }

    pub(crate) fn has_attention(&self) -> bool {
        self.attention.load(Ordering::SeqCst)
    }

    pub(crate) fn want_attention(&self) {
        self.attention.store(true, Ordering::SeqCst);
    }

    /// Whether a signal that it does not block is pending, or it has to end or stop: a wait has to end.
    pub fn interrupted(&self) -> bool {
        self.has_attention() && (self.doomed() || self.signals.deliverable(&self.process.signals))
    }

    /// Keeps how to go on with the present call, which then answers [`restart::BLOCK`].
    pub fn set_restart(&self, restart: impl FnMut(&mut Call<'_>) -> Result<u64> + Send + 'static) {
        *lock(&self.restart) = Some(Box::new(restart));
    }

    /// Waits until `ready` answers something, looking again whenever `queue` is notified of `interest`.
    /// `restart::SYS` if a signal came first (callers choose another pseudo-errno where Linux does); `None` when the deadline has passed.
    pub fn block_on<T>(
        &self,
        queue: &WaitQueue,
        interest: Events,
        deadline: Option<Instant>,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Result<Option<T>> {
        let waiter: Arc<dyn Waiter> = self.parker.clone();
        let key = queue.register(interest, &waiter);
        let answer = loop {
            if let Some(value) = ready() {
                break Ok(Some(value));
            }
            if self.interrupted() {
                break Err(restart::SYS);
            }
            if !self.parker.park(deadline) {
                break Ok(ready());
            }
        };
        queue.remove(key);
        answer
    }

    /// Waits like [`Task::block_on`] for a file: on the host's descriptor itself where the file is one, else on its queue. A file that is always
    /// ready and still has nothing is asked once only.
    pub fn block_on_file<T>(
        &self,
        file: &dyn File,
        interest: Events,
        deadline: Option<Instant>,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Result<Option<T>> {
        if let Some(bell) = file.bell() {
            return self.block_on_bell(&bell, interest, deadline, ready);
        }
        let Some(host) = file.host() else {
            return match file.queue() {
                Some(queue) => self.block_on(queue, interest, deadline, ready),
                None => Ok(ready()),
            };
        };
        loop {
            if let Some(value) = ready() {
                return Ok(Some(value));
            }
            if self.interrupted() {
                return Err(restart::SYS);
            }
            if !self.parker.park_on(host, interest, deadline)? {
                return Ok(ready());
            }
        }
    }

    fn block_on_bell<T>(
        &self,
        bell: &Bell,
        interest: Events,
        deadline: Option<Instant>,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Result<Option<T>> {
        let waiter: Arc<dyn Waiter> = self.parker.clone();
        let key = bell.queue.register(interest, &waiter);
        let answer = loop {
            if let Some(value) = ready() {
                break Ok(Some(value));
            }
            if self.interrupted() {
                break Err(restart::SYS);
            }
            match self.parker.park_on(bell.fd.as_fd(), Events::IN, deadline) {
                Ok(true) => bell.take(key),
                Ok(false) => break Ok(ready()),
                Err(errno) => break Err(errno),
            }
        };
        bell.queue.remove(key);
        answer
    }

    /// Waits like [`Task::block_on`], but only the end of the thread ends it early: then `None`.
    pub(crate) fn block_until_doomed<T>(&self, queue: &WaitQueue, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
        let waiter: Arc<dyn Waiter> = self.parker.clone();
        let key = queue.register(Events::all(), &waiter);
        let answer = loop {
            if let Some(value) = ready() {
                break Some(value);
            }
            if self.doomed() {
                break None;
            }
            self.parker.park(None);
        };
        queue.remove(key);
        answer
    }
}
