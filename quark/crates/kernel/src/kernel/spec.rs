//! What the command asks for.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::task::{Credentials, Limit};

/// What a mount in a container shows.
#[derive(Debug)]
pub enum MountSource {
    /// A directory of the host, written through; of anything else attributes alone are seen.
    Host(OwnedFd),
    /// A regular file of the host, opened for reading, and for both reading and writing if guests may write to it.
    HostFile {
        /// What those get who only read: stubs that map the file hold it.
        reader: OwnedFd,
        /// What the others get.
        writer: Option<OwnedFd>,
    },
    /// A directory of the host under an upper layer in memory: writes are kept until the container ends.
    Overlay(OwnedFd),
    /// An empty file system in memory.
    Tmpfs {
        /// As of `man 5 tmpfs`: `size=64m,mode=755`.
        options: Vec<u8>,
        /// Whether it starts with what is at its place.
        copy_up: bool,
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

/// Files that move into cgroups whose processes' or threads' ids are written to them, opened by somebody who may.
#[derive(Debug, Default)]
pub struct Cgroups {
    /// `cgroup.procs` of all.
    pub processes: Vec<OwnedFd>,
    /// Version 1's `tasks` of those that limit and count processor time.
    pub threads: Vec<OwnedFd>,
}

/// A container to be.
#[derive(Debug)]
pub struct ContainerSpec {
    /// As the command knows it.
    pub id: String,
    /// Its own cgroups, if it has others than the kernel process.
    pub cgroups: Option<Cgroups>,
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
    /// `linux.sysctl`, by path below `/proc/sys`.
    pub sysctl: BTreeMap<String, String>,
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

impl HostLimits {
    /// Bytes of memory that there are for the container: the host's, or as many as it may have.
    pub fn total_memory(&self) -> u64 {
        let host = rustix::system::sysinfo();
        let total = (host.totalram as u64).saturating_mul(u64::from(host.mem_unit.max(1)));
        self.memory.map_or(total, |limit| limit.min(total))
    }
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
