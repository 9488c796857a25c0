//! What commands and a pod's kernel say to each other (see [`crate::wire`]).

use serde::{Deserialize, Serialize};

use crate::config::IdMapping;
use crate::log::Format;

/// What a command asks for. Descriptors go with the message in the order in which it mentions them.
#[derive(Debug, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant)]
pub enum Order {
    /// The first one, on the kernel's standard input. Comes with the listening control socket, and a network namespace to join. Answers [`Answer::MapIds`], or `Ready`.
    Boot(Boot),
    /// The user namespace of the kernel has its ids.
    IdsMapped,
    /// Comes with the mounts' directories, the process' standard streams, and its further descriptors. Answers `Done`.
    Create(Box<NewContainer>),
    /// The command that has started the kernel is done, and others know of the container: until then the kernel ends when it goes. No answer.
    Keep,
    /// Runs the first process of a container, and before that, one after the other, what must succeed first. Comes with the standard streams of
    /// those. Answers `Done`.
    Start { id: String, before: Vec<NewHook> },
    /// Runs another one; descriptors as in `Create`. Answers `Started`, later `Ended`. The process is killed when the connection closes, if `tied`.
    Exec { id: String, process: NewProcess, tied: bool },
    /// Answers `Ended` once the container's first process has ended. `tied` as in `Exec`.
    Wait { id: String, tied: bool },
    /// A signal for one process: the container's first, or that of this connection's `Exec`; or for all of the container. Answers `Done`, not on a connection that waits for `Ended`.
    Signal { id: String, signal: i32, all: bool },
    /// The terminal of this connection's process has another size. No answer.
    Resized { id: String },
    /// Answers `Processes`.
    Processes { id: String },
    /// Answers `Usage`.
    Usage { id: String },
    /// Answers `Done`.
    Pause,
    /// Answers `Done`.
    Resume,
    /// Comes with a file that nobody else has: the pod's memory goes there. Answers `Done`, once it has.
    Hibernate { hold_timers: bool },
    /// Answers `Done`, once the pod's memory is back.
    Wake,
    /// Answers `Asleep`.
    Asleep,
    /// Comes with a connection to the service of the node, which takes the place of the one before (see [`crate::channel`]). Answers `Done`.
    Channel,
    /// Forgets a container, whose processes are killed. Answers `Done`.
    Remove { id: String },
}

/// What the kernel answers.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Answer {
    /// "Write my id maps, then say IdsMapped".
    MapIds,
    Ready,
    Done,
    Failed(String),
    /// Its pid in the container.
    Started(i32),
    Ended(End),
    Processes(Vec<GuestProcess>),
    Usage(GuestUsage),
    /// Whether the pod's memory is in a file.
    Asleep(bool),
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// Its exit code.
    Code(u8),
    /// A signal.
    Signal(i32),
}

impl End {
    /// The exit code of whoever stands for it on the host.
    pub fn code(self) -> u8 {
        match self {
            End::Code(code) => code,
            End::Signal(signal) => 128_u8.saturating_add(signal.clamp(0, 127) as u8),
        }
    }
}

/// How the kernel is set up.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Boot {
    pub id: String,
    pub network: Network,
    /// A user namespace with these ids; without mappings the kernel stays in the host's (for the host's network's sake).
    pub user_namespace: bool,
    /// Sysctls of the network namespace, as paths below /proc/sys.
    pub sysctl: Vec<(String, String)>,
    /// Where an empty file system can be mounted: a directory that nobody else uses.
    pub mount_point: String,
    /// Whether a terminal comes too, whose changes of size are the first container's.
    pub terminal: bool,
    /// Whether a connection to the service of the node comes too (see [`crate::channel`]).
    pub channel: bool,
    /// Whether the pod takes one later.
    pub channels: bool,
    /// Whether system calls are patched in the programs' memory.
    pub patching: bool,
    pub log_format: Format,
    pub debug: bool,
}

/// The pod's network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// The host's.
    Host,
    /// A new one.
    New,
    /// The descriptor that comes with the message.
    Join,
}

/// A container, as our kernel wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct NewContainer {
    pub id: String,
    /// If it has cgroups of its own: how many descriptors there are of `cgroup.procs`, and of `tasks`, before all others.
    pub cgroups: Option<(usize, usize)>,
    pub mounts: Vec<NewMount>,
    pub masked: Vec<String>,
    pub read_only: Vec<String>,
    pub hostname: String,
    pub domain_name: String,
    pub sysctl: Vec<(String, String)>,
    pub devices: Vec<NewDevice>,
    pub share_pids_with: Option<String>,
    pub memory_limit: Option<u64>,
    pub processor_limit: Option<u64>,
    pub pids_limit: Option<u64>,
    pub process: NewProcess,
    /// One more descriptor comes, behind the process' own: the file for [`Order::Hibernate`].
    pub hibernation: Option<NewHibernation>,
}

/// When a pod goes to sleep by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct NewHibernation {
    pub after_ms: u64,
    pub hold_timers: bool,
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct NewMount {
    pub target: String,
    pub source: NewSource,
    /// `MS_*`.
    pub flags: u64,
}

/// What a mount shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum NewSource {
    /// The next descriptor.
    Host,
    /// A regular file: the next descriptor reads it, and the one behind that writes it, too.
    HostFile {
        writable: bool,
    },
    /// The next descriptor, under a layer in memory.
    Overlay,
    Tmpfs {
        /// As of `man 5 tmpfs`.
        options: String,
        /// With a copy of what is at its place.
        copy_up: bool,
    },
    Proc,
    Sys,
    Dev,
    DevPts,
    Mqueue,
    Cgroup,
}

/// A device node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct NewDevice {
    pub path: String,
    pub mode: u32,
    pub number: u64,
    pub uid: u32,
    pub gid: u32,
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct NewProcess {
    pub arguments: Vec<String>,
    pub environment: Vec<String>,
    pub directory: String,
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub bounding: u64,
    pub effective: u64,
    pub inheritable: u64,
    pub permitted: u64,
    pub ambient: u64,
    pub no_new_privileges: bool,
    /// `RLIMIT_*`, soft, hard.
    pub limits: Vec<(usize, u64, u64)>,
    pub umask: u32,
    pub oom_score_adjust: i32,
    /// One descriptor, a terminal, stands for the three standard streams.
    pub terminal: bool,
    /// Descriptors behind the standard streams.
    pub inherited: usize,
}

/// A process that runs before a container's first one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct NewHook {
    pub process: NewProcess,
    /// Seconds, after which it is killed and has failed.
    pub timeout: Option<u64>,
}

/// One line of `ps`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct GuestProcess {
    pub pid: i32,
    pub parent: i32,
    pub uid: u32,
    pub threads: usize,
    pub state: char,
    pub command: String,
    /// In the pod's pid namespace.
    pub host_pid: i32,
}

/// What a container uses, as its kernel counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct GuestUsage {
    pub processes: u64,
    pub threads: u64,
    pub user_ns: u64,
    pub system_ns: u64,
    pub memory_in_file_systems: u64,
}

/// The mapping by which every id of the host is itself.
pub const ALL_IDS: IdMapping = IdMapping { container_id: 0, host_id: 0, size: u32::MAX };
