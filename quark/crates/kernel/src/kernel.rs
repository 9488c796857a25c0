//! What the command drives: one kernel a pod, containers in it, processes in those.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::task::namespace::PidNamespace;
use crate::task::{Credentials, Limit};
use crate::{Errno, Result};

/// The kernel of a pod.
pub struct Kernel {}

/// A container of the pod: its own root, mounts and pid namespace; network, IPC objects and host name are the pod's.
pub struct Container {
    /// As the command knows it.
    pub id: String,
    /// Its process ids; shared with another container if it was asked for.
    pub pids: Arc<PidNamespace>,
}

/// What a mount in a container shows.
#[derive(Debug)]
pub enum MountSource {
    /// A directory or file of the host, written through.
    Host(OwnedFd),
    /// A directory of the host under an upper layer in memory: writes are kept until the container ends.
    Overlay(OwnedFd),
    /// An empty file system in memory; size in bytes, root's permissions.
    Tmpfs {
        /// `size=`, bytes.
        size: Option<u64>,
        /// `mode=`.
        mode: u32,
        /// `uid=`.
        uid: u32,
        /// `gid=`.
        gid: u32,
    },
    /// procfs.
    Proc,
    /// sysfs.
    Sys,
    /// devtmpfs: null, zero, full, random, urandom, tty, console, ptmx, and links.
    Dev,
    /// devpts, of this container.
    DevPts,
    /// POSIX message queues.
    Mqueue,
    /// A cgroup v2 view of the container's own limits.
    Cgroup,
}

/// One mount, in the order in which they are made; the first is at `/`.
#[derive(Debug)]
pub struct MountSpec {
    /// Absolute, inside the container. Made if missing.
    pub target: Vec<u8>,
    /// What it shows.
    pub source: MountSource,
    /// `MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME …`
    pub flags: u64,
}

/// A container to be.
#[derive(Debug)]
pub struct ContainerSpec {
    /// As the command knows it.
    pub id: String,
    /// The root first.
    pub mounts: Vec<MountSpec>,
    /// `linux.maskedPaths`.
    pub masked: Vec<Vec<u8>>,
    /// `linux.readonlyPaths`.
    pub read_only: Vec<Vec<u8>>,
    /// `hostname`; the pod's from its first container.
    pub hostname: Vec<u8>,
    /// `domainname`.
    pub domain_name: Vec<u8>,
    /// `linux.sysctl`.
    pub sysctl: Vec<(String, String)>,
    /// Device nodes beyond the default ones.
    pub devices: Vec<DeviceSpec>,
    /// Whether it shares the process ids of another container of the pod, by id.
    pub share_pids_with: Option<String>,
    /// Memory and processor limits, for what the guest is told (`/proc/meminfo`, cgroup files, sysinfo).
    pub limits: HostLimits,
}

/// A device node of `linux.devices`. Opening one that our kernel has no driver for is ENXIO.
#[derive(Debug)]
pub struct DeviceSpec {
    /// Absolute, inside the container.
    pub path: Vec<u8>,
    /// S_IFCHR or S_IFBLK, and permissions.
    pub mode: u32,
    /// As of `makedev`.
    pub number: u64,
    /// Who owns it.
    pub uid: u32,
    /// Who owns it.
    pub gid: u32,
}

/// What the host's cgroup limits the pod to.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostLimits {
    /// Bytes.
    pub memory: Option<u64>,
    /// Processors, in thousandths.
    pub processor: Option<u64>,
    /// Guest threads.
    pub pids: Option<u64>,
}

/// Standard input, output and error of a process.
#[derive(Debug)]
pub enum Stdio {
    /// Files of the host.
    Files([OwnedFd; 3]),
    /// The slave side of a pseudo-terminal of the host, in raw mode: our kernel has the line discipline.
    Terminal(OwnedFd),
}

/// A process to be.
#[derive(Debug)]
pub struct ProcessSpec {
    /// The program's path (looked up in `PATH` of `environment` if it has no slash) and arguments.
    pub arguments: Vec<Vec<u8>>,
    /// `NAME=value`.
    pub environment: Vec<Vec<u8>>,
    /// Absolute.
    pub directory: Vec<u8>,
    /// Ids and capabilities.
    pub credentials: Credentials,
    /// `None` keeps the default of this `RLIMIT_*`.
    pub limits: [Option<Limit>; 16],
    /// Of new files.
    pub umask: u32,
    /// Where it reads and writes.
    pub stdio: Stdio,
    /// `oom_score_adj`.
    pub oom_score_adjust: i32,
    /// Further descriptors from 3 on (LISTEN_FDS).
    pub inherited: Vec<OwnedFd>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// `exit_group`, 0 to 255.
    Code(u8),
    /// A signal.
    Signal(i32),
}

/// A guest process, for `ps`.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct ProcessInfo {
    pub pid: i32,
    pub parent: i32,
    pub uid: u32,
    pub threads: usize,
    pub state: char,
    pub arguments: Vec<Vec<u8>>,
    /// The stub process, in the sandbox's pid namespace.
    pub host_pid: i32,
}

/// What a container uses.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct Usage {
    pub processes: u64,
    pub threads: u64,
    pub user: Duration,
    pub system: Duration,
    pub memory_in_file_systems: u64,
}

impl Kernel {
    /// Starts the kernel: its stub processes, and nothing else. The process must be as locked down as it will be, but for its own seccomp filter.
    pub fn boot() -> Result<Arc<Kernel>> {
        Err(Errno::NOSYS)
    }

    /// Makes a container with its mounts, without a process.
    pub fn create_container(self: &Arc<Self>, spec: ContainerSpec) -> Result<Arc<Container>> {
        let _ = spec;
        Err(Errno::NOSYS)
    }

    /// Removes a container: kills its processes, drops its file systems.
    pub fn remove_container(&self, id: &str) -> Result<()> {
        let _ = id;
        Err(Errno::NOSYS)
    }

    /// Starts a process in a container: the first is its init (pid 1), the others are as by `exec`. What it fails of is told in words: "exec /bin/x: no such file or directory".
    pub fn start(&self, container: &str, spec: ProcessSpec) -> Result<i32, String> {
        let _ = (container, spec);
        Err("not yet".into())
    }

    /// Waits until a process that `start` started has ended (or has already).
    pub fn wait(&self, container: &str, pid: i32) -> Result<Exit> {
        let _ = (container, pid);
        Err(Errno::NOSYS)
    }

    /// Sends a signal to a process, or to all of the container if `pid` is `None`. ESRCH.
    pub fn signal(&self, container: &str, pid: Option<i32>, signal: i32) -> Result<()> {
        let _ = (container, pid, signal);
        Err(Errno::NOSYS)
    }

    /// Tells a process' terminal that the host's has another size.
    pub fn resized(&self, container: &str, pid: i32) -> Result<()> {
        let _ = (container, pid);
        Err(Errno::NOSYS)
    }

    /// The container's processes.
    pub fn processes(&self, container: &str) -> Result<Vec<ProcessInfo>> {
        let _ = container;
        Err(Errno::NOSYS)
    }

    /// Stops all guest code of the pod until `resume`.
    pub fn pause(&self) -> Result<()> {
        Err(Errno::NOSYS)
    }

    /// Lets it go on.
    pub fn resume(&self) -> Result<()> {
        Err(Errno::NOSYS)
    }

    /// What a container uses.
    pub fn usage(&self, container: &str) -> Result<Usage> {
        let _ = container;
        Err(Errno::NOSYS)
    }
}
