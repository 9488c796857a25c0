//! A container: its own root, mounts and process ids.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock};

use quark_host::platform::Platform;

use super::spec::{ContainerSpec, Exit, HostLimits, ProcessInfo, Usage};
use super::{DeviceSpec, Kernel};
use crate::signal::state::Job;
use crate::task::namespace::PidNamespace;
use crate::task::status::WaitStatus;
use crate::task::{Process, lock};
use crate::vfs::mount::Mount;
use crate::vfs::tree::{self, Additions};
use crate::wait::{Events, Parker, Waiter};
use crate::{Errno, Result};

/// As many threads as a container may have that nothing limits.
const THREADS_MAX: u64 = 32768;

/// A container of the pod: its own root, mounts and pid namespace; network, IPC objects and host name are the pod's.
pub struct Container {
    /// As the command knows it.
    pub id: String,
    /// Its process ids; shared with another container if it was asked for.
    pub pids: Arc<PidNamespace>,
    /// What is mounted at its root.
    pub root: Arc<Mount>,
    /// What the host limits it to.
    pub limits: HostLimits,
    /// Device nodes beyond the default ones.
    pub devices: Vec<DeviceSpec>,
    /// Where its stubs come from, if it has cgroups of its own.
    platform: Option<Platform>,
    /// Those that its kernel halves join.
    cgroups: Vec<OwnedFd>,
    /// Files of its processes that are on their way through unix sockets.
    pub in_flight: Arc<AtomicUsize>,
    /// Its first process.
    init: OnceLock<i32>,
    /// What `Kernel::start` started and `Kernel::wait` didn't wait for yet.
    started: Mutex<BTreeMap<i32, Arc<Process>>>,
}

impl Container {
    /// Makes it, with its mounts.
    pub(super) fn new(spec: ContainerSpec, pids: Option<Arc<PidNamespace>>, platform: &Platform) -> Result<Arc<Container>, String> {
        let additions = Additions {
            masked: &spec.masked,
            read_only: &spec.read_only,
            devices: &spec.devices,
            sysctl: &spec.sysctl,
            memory: spec.limits.total_memory(),
        };
        let root = tree::build(spec.mounts, additions).map_err(|error| error.to_string())?;
        let (platform, cgroups) = match spec.cgroups {
            None => (None, Vec::new()),
            Some(cgroups) => {
                (Some(platform.within(cgroups.processes).map_err(|error| format!("join its cgroups: {error}"))?), cgroups.threads)
            }
        };
        let limit = spec.limits.pids.unwrap_or(THREADS_MAX).min(THREADS_MAX);
        Ok(Arc::new(Container {
            id: spec.id,
            pids: pids.unwrap_or_else(|| PidNamespace::new(limit as usize)),
            root,
            limits: spec.limits,
            devices: spec.devices,
            platform,
            cgroups,
            init: OnceLock::new(),
            in_flight: Arc::default(),
            started: Mutex::default(),
        }))
    }

    /// Where its stubs come from.
    pub fn platform<'a>(&'a self, kernel: &'a Kernel) -> &'a Platform {
        self.platform.as_ref().unwrap_or(&kernel.platform)
    }

    /// Has the host limit and count the calling thread's processor time, and that of all threads which it starts, as the container's.
    pub(super) fn enter_cgroups(&self) {
        for threads in &self.cgroups {
            // Without it the time counts as the pod's first container's.
            let _ = rustix::io::write(threads, b"0");
        }
    }

    /// Its first process' id, once there is one.
    pub fn init(&self) -> Option<i32> {
        self.init.get().copied()
    }

    /// The first that `may_be_init` is it.
    pub(super) fn has_started(&self, process: &Arc<Process>, may_be_init: bool) {
        if may_be_init {
            let _ = self.init.set(process.pid);
        }
        lock(&self.started).insert(process.pid, process.clone());
    }

    pub(super) fn forget(&self, pid: i32) {
        lock(&self.started).remove(&pid);
    }

    /// Whether `Kernel::wait` will wait for it.
    pub(crate) fn awaits(&self, pid: i32) -> bool {
        lock(&self.started).contains_key(&pid)
    }

    /// Its processes that live.
    pub fn processes(self: &Arc<Self>) -> Vec<Arc<Process>> {
        let mut all = self.pids.processes();
        all.retain(|process| Arc::ptr_eq(&process.container, self) && !process.has_ended());
        all
    }

    pub(super) fn wait(&self, pid: i32) -> Result<Exit> {
        let process = lock(&self.started).get(&pid).cloned().ok_or(Errno::SRCH)?;
        let status = wait_for(&process);
        if lock(&self.started).remove(&pid).is_some() {
            self.pids.table().reap(pid);
        }
        Ok(match status.signal() {
            Some(signal) => Exit::Signal(signal),
            None => Exit::Code(status.code()),
        })
    }

    /// Kills all processes and waits until they have ended.
    pub(super) fn kill_all(self: &Arc<Self>) {
        loop {
            let left = self.processes();
            let Some(first) = left.first() else {
                return;
            };
            left.iter().for_each(|process| process.kill());
            wait_for(first);
        }
    }

    pub(super) fn drop_mounts(&self) {
        self.root.detach_children();
    }

    pub(super) fn usage(self: &Arc<Self>) -> Usage {
        let processes = self.processes();
        let mut usage = Usage { processes: processes.len() as u64, ..Usage::default() };
        for process in &processes {
            let times = process.times();
            usage.threads += process.threads().len() as u64;
            usage.user += times.user;
            usage.system += times.system;
        }
        usage.memory_in_file_systems = tree::memory_used(&self.root);
        usage
    }
}

/// Waits, on a thread of the command's, until a process is a zombie.
fn wait_for(process: &Arc<Process>) -> WaitStatus {
    let parker = Arc::new(Parker::default());
    let waiter: Arc<dyn Waiter> = parker.clone();
    let key = process.ended.register(Events::all(), &waiter);
    let status = loop {
        if let Some(status) = process.status() {
            break status;
        }
        parker.park(None);
    };
    process.ended.remove(key);
    status
}

impl Process {
    /// For `ps`.
    pub(super) fn info(&self) -> ProcessInfo {
        let memory = lock(&self.memory).clone();
        ProcessInfo {
            pid: self.pid,
            parent: self.parent_id(),
            uid: self.uid(),
            threads: self.threads().len(),
            state: self.state(),
            arguments: arguments(&memory),
            host_pid: memory.space.pid(),
        }
    }

    /// As `/proc/PID/stat` tells it: R, S, T or Z.
    pub fn state(&self) -> char {
        let stopped = matches!(self.signals.lock().job, Job::Stopped(_));
        match self.leader() {
            None => 'Z',
            Some(_) if stopped => 'T',
            Some(task) if task.sleeps() => 'S',
            Some(_) => 'R',
        }
    }
}

/// `argv`, as the process may have changed it.
fn arguments(memory: &crate::memory::Memory) -> Vec<Vec<u8>> {
    let (start, end) = memory.image().arguments;
    let mut bytes = vec![0; end.saturating_sub(start).min(1 << 17) as usize];
    if memory.space.read(start, &mut bytes).is_err() {
        return Vec::new();
    }
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
    bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}
