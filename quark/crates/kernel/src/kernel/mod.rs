//! What the command drives: one kernel a pod, containers in it, processes in those.

mod container;
mod directories;
mod reaper;
mod spec;
mod start;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use quark_host::platform::Platform;

pub use container::Container;
pub use reaper::Reaper;
pub use spec::{Cgroups, ContainerSpec, DeviceSpec, Exit, HostLimits, MountSource, MountSpec, ProcessInfo, ProcessSpec, Stdio, Usage};

use crate::futex::table::Table as Futexes;
use crate::hibernate::Hibernation;
use crate::signal::Origin;
use crate::signal::send::{begin_stop, queue_to_process};
use crate::system::Names;
use crate::task::lock;
use crate::task::stop::PauseGate;
use crate::{Errno, Result, ipc, patching};

/// The kernel of a pod.
pub struct Kernel {
    /// What its guests run in.
    pub platform: Platform,
    /// Host name and domain name.
    pub names: Mutex<Names>,
    /// `linux.sysctl` of all containers, by path below `/proc/sys`: what they set is the pod's, whose containers after the first one name its namespaces.
    pub sysctl: Mutex<BTreeMap<String, String>>,
    /// Who waits for words of memory.
    pub futexes: Futexes,
    /// Kills stubs that don't obey.
    pub reaper: Reaper,
    pub(crate) pause_gate: PauseGate,
    /// Whether the pod sleeps.
    pub hibernation: Arc<Hibernation>,
    containers: Mutex<BTreeMap<String, Arc<Container>>>,
    started: Instant,
}

impl Kernel {
    /// Starts the kernel: its stub processes, and nothing else. The process must be as locked down as it will be, but for its own seccomp filter,
    /// which must wait for [`Platform::ready`].
    pub fn boot() -> Result<Arc<Kernel>> {
        // Threads learn from their own events that their stub has ended.
        let platform = Platform::start(Box::new(|_| {}))?;
        crate::time::clock::learn();
        patching::set_fast_entry(platform.fast_entry());
        let kernel = Arc::new(Kernel {
            platform,
            names: Mutex::default(),
            sysctl: Mutex::default(),
            futexes: Futexes::default(),
            reaper: Reaper::default(),
            pause_gate: PauseGate::default(),
            containers: Mutex::default(),
            hibernation: Arc::default(),
            started: Instant::now(),
        });
        kernel.hibernation.belongs_to(&kernel);
        Ok(kernel)
    }

    /// How long it has been running.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Makes a container with its mounts, without a process. What it fails of is told in words: "mount /x: not a directory".
    pub fn create_container(self: &Arc<Self>, mut spec: ContainerSpec) -> Result<Arc<Container>, String> {
        let mut containers = lock(&self.containers);
        if containers.contains_key(&spec.id) {
            return Err("it is there already".to_owned());
        }
        let shared = match &spec.share_pids_with {
            Some(other) => {
                Some(containers.get(other).ok_or_else(|| format!("container {other}, whose processes it shares: not found"))?.pids.clone())
            }
            None => None,
        };
        if containers.is_empty() {
            let set = spec.sysctl.get("kernel/domainname").map(|name| name.clone().into_bytes());
            // What Linux has where nobody set one.
            let domain = Some(spec.domain_name.clone()).filter(|name| !name.is_empty()).or(set).unwrap_or_else(|| b"(none)".to_vec());
            *lock(&self.names) = Names { host: spec.hostname.clone(), domain };
        }
        ipc::limits::configure(&spec.sysctl);
        spec.sysctl = {
            let mut all = lock(&self.sysctl);
            all.extend(spec.sysctl);
            all.clone()
        };
        let container = Container::new(spec, shared, &self.platform)?;
        containers.insert(container.id.clone(), container.clone());
        Ok(container)
    }

    /// A container by its id: ENOENT.
    pub fn container(&self, id: &str) -> Result<Arc<Container>> {
        lock(&self.containers).get(id).cloned().ok_or(Errno::NOENT)
    }

    /// All containers.
    pub fn containers(&self) -> Vec<Arc<Container>> {
        lock(&self.containers).values().cloned().collect()
    }

    /// Removes a container: kills its processes, drops its file systems.
    pub fn remove_container(&self, id: &str) -> Result<()> {
        let container = self.container(id)?;
        container.kill_all();
        lock(&self.containers).remove(id);
        container.drop_mounts();
        Ok(())
    }

    /// Waits until a process that `start` started has ended (or has already). ESRCH if there was none; each is forgotten once it was waited for.
    pub fn wait(&self, container: &str, pid: i32) -> Result<Exit> {
        self.container(container)?.wait(pid)
    }

    /// Sends a signal to a process, or to all of the container if `pid` is `None`. ESRCH. SIGKILL and SIGSTOP reach also an init.
    pub fn signal(&self, container: &str, pid: Option<i32>, signal: i32) -> Result<()> {
        let container = self.container(container)?;
        let receivers = match pid {
            Some(pid) => vec![container.pids.process(pid)?],
            None => container.processes(),
        };
        let origin = Origin::User { code: crate::signal::info::SI_USER, pid: 0, uid: 0, value: 0 };
        for process in receivers {
            match signal {
                0 => {}
                libc::SIGKILL => process.kill(),
                libc::SIGSTOP => begin_stop(&process, signal),
                signal => queue_to_process(&process, signal, origin)?,
            }
        }
        Ok(())
    }

    /// Tells a process' terminal that the host's has another size.
    pub fn resized(&self, container: &str, pid: i32) -> Result<()> {
        let process = self.container(container)?.pids.process(pid)?;
        let terminal = process.session().and_then(|session| session.terminal()).ok_or(Errno::NOTTY)?;
        terminal.resized();
        Ok(())
    }

    /// The container's processes.
    pub fn processes(&self, container: &str) -> Result<Vec<ProcessInfo>> {
        Ok(self.container(container)?.processes().iter().map(|process| process.info()).collect())
    }

    /// Stops all guest code of the pod until `resume`.
    pub fn pause(&self) -> Result<()> {
        self.pause_gate.close();
        for container in self.containers() {
            for process in container.processes() {
                process.threads().iter().for_each(|task| task.kick());
            }
        }
        Ok(())
    }

    /// Lets it go on.
    pub fn resume(&self) -> Result<()> {
        self.pause_gate.open();
        Ok(())
    }

    /// What a container uses.
    pub fn usage(&self, container: &str) -> Result<Usage> {
        Ok(self.container(container)?.usage())
    }
}
