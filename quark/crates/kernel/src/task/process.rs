//! Processes: what threads of a group share.

use std::sync::{Arc, Mutex, OnceLock};

use super::clone::VforkDone;
use super::session::Session;
use super::status::WaitStatus;
use super::usage::Times;
use super::{Task, lock};
use crate::kernel::{Container, Kernel};
use crate::memory::Memory;
use crate::signal::action::Actions;
use crate::signal::send::begin_exit;
use crate::signal::{Origin, ProcessSignals};
use crate::time::process_timers::ProcessTimers;
use crate::wait::WaitQueue;

/// `RLIMIT_*`: soft and hard, `u64::MAX` is RLIM_INFINITY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Limit {
    pub soft: u64,
    pub hard: u64,
}

/// A guest process (thread group).
pub struct Process {
    /// Its id in its container's pid namespace: the tid of its first thread.
    pub pid: i32,
    /// What it is in.
    pub container: Arc<Container>,
    /// The kernel.
    pub kernel: Arc<Kernel>,
    /// Its address space; replaced by execve, shared between processes after vfork.
    pub memory: Mutex<Arc<Memory>>,
    /// Handlers and signals for the whole process.
    pub signals: ProcessSignals,
    /// By `RLIMIT_*`.
    pub limits: Mutex<[Limit; 16]>,
    /// Those who wait for a child of it to change state.
    pub children_changed: WaitQueue,
    /// Those who wait for the process to end (pidfd) or for its threads to.
    pub ended: WaitQueue,
    /// Its living threads.
    pub(crate) threads: Mutex<Vec<Arc<Task>>>,
    /// Timers that send it signals.
    pub timers: ProcessTimers,
    /// What else it has.
    pub details: Mutex<Details>,
    vfork: Mutex<Option<Arc<VforkDone>>>,
    /// Set once, when it has become a zombie.
    pub(super) end: OnceLock<WaitStatus>,
}

/// What is rarely looked at of a process.
#[derive(Clone, Debug, Default)]
pub struct Details {
    /// `/proc/PID/oom_score_adj`.
    pub oom_score_adjust: i32,
    /// PR_SET_DUMPABLE's value; 1 is usual.
    pub dumpable: i32,
    /// PR_SET_THP_DISABLE.
    pub no_huge_pages: bool,
    /// `personality(2)`.
    pub personality: u32,
    /// It has registered for `membarrier(2)`.
    pub barriers: bool,
    /// When it started, nanoseconds since the kernel did.
    pub started: u64,
    /// Of its threads that have ended and of former address spaces.
    pub past_time: Times,
    /// Of its children that were waited for.
    pub children_time: Times,
    /// Its user when it ended.
    pub last_uid: u32,
    /// How its first thread ended, if by `exit` while others live.
    pub leader_status: Option<WaitStatus>,
}

impl Details {
    /// What a forked child starts with.
    pub fn for_child(&self, now: u64) -> Details {
        Details {
            oom_score_adjust: self.oom_score_adjust,
            dumpable: self.dumpable,
            no_huge_pages: self.no_huge_pages,
            personality: self.personality,
            barriers: self.barriers,
            started: now,
            ..Details::default()
        }
    }
}

/// What a new process starts with.
pub struct NewProcess {
    /// Its id.
    pub pid: i32,
    /// What it is in.
    pub container: Arc<Container>,
    /// The kernel.
    pub kernel: Arc<Kernel>,
    /// Its address space.
    pub memory: Arc<Memory>,
    /// What it does with signals.
    pub actions: Arc<Mutex<Actions>>,
    /// By `RLIMIT_*`.
    pub limits: [Limit; 16],
    /// The rest.
    pub details: Details,
    /// Who waits until it has executed a program or ended.
    pub vfork: Option<Arc<VforkDone>>,
}

impl Process {
    /// A process without threads.
    pub fn new(new: NewProcess) -> Arc<Process> {
        Arc::new(Process {
            pid: new.pid,
            container: new.container,
            kernel: new.kernel,
            memory: Mutex::new(new.memory),
            signals: ProcessSignals::new(new.actions),
            limits: Mutex::new(new.limits),
            children_changed: WaitQueue::default(),
            ended: WaitQueue::default(),
            threads: Mutex::default(),
            timers: ProcessTimers::default(),
            details: Mutex::new(new.details),
            vfork: Mutex::new(new.vfork),
            end: OnceLock::new(),
        })
    }

    /// Ends it as by SIGKILL, also where it is an init that no signal reaches.
    pub fn kill(self: &Arc<Process>) {
        begin_exit(self, WaitStatus::signaled(libc::SIGKILL));
        self.kernel.reaper.watch(self);
    }

    /// How it ended; `None` while it lives, or still ends.
    pub fn status(&self) -> Option<WaitStatus> {
        self.end.get().copied()
    }

    /// Whether another process is in its memory, after vfork.
    pub(crate) fn shares_memory(&self) -> bool {
        let memory = lock(&self.memory).clone();
        super::exit::used_by_others(&self.container.pids.table(), self, &memory)
    }

    /// Lets the parent of a vfork go on.
    pub(crate) fn release_vfork_parent(&self) {
        let vfork = lock(&self.vfork).take();
        if let Some(vfork) = vfork {
            vfork.finish();
        }
    }

    /// The real user id of its first thread; the last one it had if it has ended.
    pub fn uid(&self) -> u32 {
        self.leader().map_or_else(|| lock(&self.details).last_uid, |task| task.credentials().uid)
    }

    /// Whether its container ends with it.
    pub(crate) fn is_container_init(&self) -> bool {
        self.container.init() == Some(self.pid)
    }

    /// PR_SET_PDEATHSIG of its first thread.
    pub(crate) fn parent_death_signal(&self) -> Option<i32> {
        let leader = self.leader()?;
        let signal = lock(&leader.own).parent_death_signal;
        (signal != 0).then_some(signal)
    }

    /// What its parent's SIGCHLD tells of its end.
    pub(crate) fn end_origin(&self, status: WaitStatus) -> Origin {
        let (code, told) = status.told();
        let times = self.times();
        Origin::Child { code, pid: self.pid, uid: self.uid(), status: told, user: times.user_ticks(), system: times.system_ticks() }
    }

    /// Keeps the processor time of the calling thread, which ends.
    pub(crate) fn take_times(&self) {
        let thread = Times::of_calling_thread();
        lock(&self.details).past_time.system += thread.system;
    }

    /// Keeps the processor time of a stub process that is left behind.
    pub(crate) fn keep_stub_time(&self, memory: &Memory) {
        let used = quark_host::clock::process_time(memory.space.pid());
        lock(&self.details).past_time.user += used;
    }

    /// The soft limit `RLIMIT_*` now; no limit for what isn't one.
    pub fn limit(&self, resource: u32) -> u64 {
        usize::try_from(resource).ok().and_then(|at| lock(&self.limits).get(at).copied()).map_or(u64::MAX, |limit| limit.soft)
    }

    /// Its living threads, the first one first if it lives.
    pub fn threads(&self) -> Vec<Arc<Task>> {
        lock(&self.threads).clone()
    }

    /// Its first thread, or another one if that has ended; none if the process has.
    pub fn leader(&self) -> Option<Arc<Task>> {
        lock(&self.threads).first().cloned()
    }

    /// Its process group.
    pub fn group(&self) -> i32 {
        self.container.pids.table().family.get(self.pid).map_or(0, |member| member.group)
    }

    /// Its session; none after it was waited for.
    pub fn session(&self) -> Option<Arc<Session>> {
        let table = self.container.pids.table();
        let session = table.family.get(self.pid)?.session;
        table.sessions.get(&session).cloned()
    }

    /// Its parent's id; 0 for what the kernel itself started.
    pub fn parent_id(&self) -> i32 {
        self.container.pids.table().family.get(self.pid).map_or(0, |member| member.parent)
    }

    /// Whether it has no threads any more: it ends, or has ended ([`Process::status`]).
    pub fn has_ended(&self) -> bool {
        lock(&self.threads).is_empty()
    }
}
