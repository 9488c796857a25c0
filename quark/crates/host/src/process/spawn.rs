//! Starting a process with clone3.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

use super::last_errno;

/// Namespaces that a process gets for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Namespaces {
    pub user: bool,
    pub mount: bool,
    pub pid: bool,
    pub network: bool,
    pub ipc: bool,
    pub uts: bool,
    pub cgroup: bool,
}

impl Namespaces {
    pub(super) fn bits(self) -> i32 {
        let pairs = [
            (self.user, libc::CLONE_NEWUSER),
            (self.mount, libc::CLONE_NEWNS),
            (self.pid, libc::CLONE_NEWPID),
            (self.network, libc::CLONE_NEWNET),
            (self.ipc, libc::CLONE_NEWIPC),
            (self.uts, libc::CLONE_NEWUTS),
            (self.cgroup, libc::CLONE_NEWCGROUP),
        ];
        pairs.iter().filter(|(wanted, _)| *wanted).fold(0, |bits, (_, flag)| bits | flag)
    }
}

/// A process to be.
pub struct Spawn<'a> {
    /// The program's file.
    pub program: BorrowedFd<'a>,
    /// `argv`.
    pub arguments: &'a [&'a CStr],
    /// `envp`.
    pub environment: &'a [&'a CStr],
    /// Its descriptors 0, 1 and 2; all others are closed.
    pub stdio: [BorrowedFd<'a>; 3],
    /// What it gets for itself.
    pub namespaces: Namespaces,
    /// The cgroups that it is in from its start.
    pub cgroups: Cgroups<'a>,
}

/// Cgroups that a process can start in without a wait: to move one by `cgroup.procs`, the host waits until all its processors have passed through
/// its scheduler (`cgroup_threadgroup_rwsem`), some 10 ms.
#[derive(Clone, Copy, Default)]
pub struct Cgroups<'a> {
    /// Version 2's directory (CLONE_INTO_CGROUP).
    pub unified: Option<BorrowedFd<'a>>,
    /// Version 1's `tasks` files, open for writing: a thread that moves itself alone needs not wait.
    pub tasks: &'a [BorrowedFd<'a>],
}

/// A started process.
#[derive(Debug)]
pub struct Spawned {
    /// Its id.
    pub pid: i32,
    /// Readable once it has ended.
    pub pidfd: OwnedFd,
}

/// The exit code of a child that could not join a cgroup.
pub const NO_CGROUP: i32 = 125;
/// The exit code of a child that could not run its program.
pub const NO_PROGRAM: i32 = 127;
/// The exit code of a child that has panicked.
const PANICKED: u8 = 101;

/// `libc` has it too narrow.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The layout of the host's `struct clone_args`, its third version (88 bytes).
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Starts a process, a child of the caller. Fails if it can't start in version 2's cgroup.
/// A child that can't join version 1's or run its program ends with exit code 125 or 127.
pub fn spawn(spawn: &Spawn<'_>) -> Result<Spawned, Errno> {
    let pointers = |strings: &[&CStr]| -> Vec<*const libc::c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let arguments = pointers(spawn.arguments);
    let environment = pointers(spawn.environment);
    match clone(spawn.namespaces, spawn.cgroups)? {
        Some(spawned) => Ok(spawned),
        // SAFETY: this is the child, which has nothing to go back to.
        None => unsafe {
            settle(spawn.cgroups, spawn.stdio);
            child(spawn, &arguments, &environment)
        },
    }
}

/// A process to be that goes on in this program: it need not be read, nor the C library be set up anew, which costs some 1 ms where the processor's
/// `cpuid` is slow (in virtual machines).
pub struct Fork<'a> {
    /// What `ps` shows for its arguments.
    pub title: &'a CStr,
    /// Its descriptors 0, 1 and 2; all others are closed.
    pub stdio: [BorrowedFd<'a>; 3],
    /// What it gets for itself.
    pub namespaces: Namespaces,
    /// The cgroups that it is in from its start.
    pub cgroups: Cgroups<'a>,
}

/// Starts a process, a child of the caller, that runs `body`, which must use no file that was opened before, and ends with the exit code that
/// it returns. The caller's arguments and environment are not in it. EINVAL if the caller has more than one thread. Else as [`spawn`].
pub fn fork(fork: &Fork<'_>, body: impl FnOnce() -> u8) -> Result<Spawned, Errno> {
    // SAFETY: of a process with one thread this changes nothing; of others it refuses to.
    if unsafe { libc::unshare(libc::CLONE_VM) } != 0 {
        return Err(last_errno());
    }
    if let Some(spawned) = clone(fork.namespaces, fork.cgroups)? {
        return Ok(spawned);
    }
    // SAFETY: this is the child, whose memory is a copy in which no other thread has been at work; nothing of the caller's is used or dropped.
    unsafe {
        settle(fork.cgroups, fork.stdio);
        libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0);
        super::title::set(fork.title);
    }
    let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(PANICKED);
    std::process::exit(code.into())
}

/// Makes a child, which has its own copy of everything. None: this is it.
fn clone(namespaces: Namespaces, cgroups: Cgroups<'_>) -> Result<Option<Spawned>, Errno> {
    let mut pidfd: RawFd = -1;
    let mut clone = CloneArguments {
        flags: (namespaces.bits() | libc::CLONE_PIDFD) as u32 as u64,
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArguments::default()
    };
    if let Some(cgroup) = cgroups.unified {
        clone.flags |= CLONE_INTO_CGROUP;
        clone.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM the child has its own copy of everything, like after fork. Another thread's locks may be held in that copy: both
    // callers see to it that the child takes none.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const clone, size_of::<CloneArguments>()) };
    match pid {
        0 => Ok(None),
        // SAFETY: the host has just made it for CLONE_PIDFD.
        1.. => Ok(Some(Spawned { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } })),
        _ => Err(last_errno()),
    }
}

/// Joins cgroups, and puts descriptors where a program looks for them.
///
/// # Safety
/// In a child that has no use for its descriptors 0, 1 and 2.
unsafe fn settle(cgroups: Cgroups<'_>, stdio: [BorrowedFd<'_>; 3]) {
    // SAFETY: host calls on descriptors that the parent's borrow keeps valid. Copies above 2 first: a descriptor among 0..3 may be the source of
    // another.
    unsafe {
        for tasks in cgroups.tasks {
            if libc::write(tasks.as_raw_fd(), c"0".as_ptr().cast(), 1) != 1 {
                libc::_exit(NO_CGROUP);
            }
        }
        let copies = stdio.map(|fd| libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3));
        for (number, copy) in (0..).zip(copies) {
            if libc::dup2(copy, number) < 0 {
                libc::_exit(NO_PROGRAM);
            }
        }
    }
}

/// # Safety
/// In a child.
unsafe fn child(spawn: &Spawn<'_>, arguments: &[*const libc::c_char], environment: &[*const libc::c_char]) -> ! {
    // SAFETY: host calls on descriptors and strings that the parent's borrow keeps valid.
    unsafe {
        let program = libc::fcntl(spawn.program.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3);
        libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
        libc::syscall(libc::SYS_execveat, program, c"".as_ptr(), arguments.as_ptr(), environment.as_ptr(), libc::AT_EMPTY_PATH);
        libc::_exit(NO_PROGRAM)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsFd;

    use rustix::process::{WaitOptions, waitpid};

    use super::*;

    fn run(arguments: &[&CStr], namespaces: Namespaces, cgroups: Cgroups<'_>) -> (String, i32) {
        let program = File::open("/bin/sh").expect("shell");
        let null = File::open("/dev/null").expect("null");
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("pipe");
        let spawned = spawn(&Spawn {
            program: program.as_fd(),
            arguments,
            environment: &[c"A=b"],
            stdio: [null.as_fd(), writer.as_fd(), writer.as_fd()],
            namespaces,
            cgroups,
        })
        .expect("spawn");
        drop(writer);
        let mut output = String::new();
        File::from(reader).read_to_string(&mut output).expect("read");
        let (_, status) = waitpid(rustix::process::Pid::from_raw(spawned.pid), WaitOptions::empty()).expect("wait").expect("ended");
        (output, status.exit_status().unwrap_or(-1))
    }

    #[test]
    fn a_child_runs_with_its_arguments_environment_and_descriptors_only() {
        let (output, code) =
            run(&[c"sh", c"-c", c"echo $A $1; ls /proc/self/fd | wc -l; exit 7", c"x", c"y"], Namespaces::default(), Cgroups::default());
        // 0, 1, 2 and the directory that ls reads.
        assert_eq!((output.as_str(), code), ("b y\n4\n", 7));
    }

    #[test]
    fn what_has_threads_is_not_forked() {
        let null = File::open("/dev/null").expect("null");
        let stdio = [null.as_fd(), null.as_fd(), null.as_fd()];
        let forked = Fork { title: c"x", stdio, namespaces: Namespaces::default(), cgroups: Cgroups::default() };
        // Tests run on threads.
        assert_eq!(fork(&forked, || 0).err(), Some(Errno::INVAL));
    }

    #[test]
    fn a_child_is_the_first_in_its_pid_namespace() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let (output, code) = run(&[c"sh", c"-c", c"echo $$"], Namespaces { pid: true, ..Namespaces::default() }, Cgroups::default());
        assert_eq!((output.as_str(), code), ("1\n", 0));
    }
    /// Where a cgroup file system is mounted, of the type and with the option.
    fn mounted(kind: &str, option: &str) -> Option<String> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").expect("mounts");
        let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let found = lines.find(|fields| fields.get(2) == Some(&kind) && fields.get(3).is_some_and(|options| options.ends_with(option)))?;
        found.get(1).map(|place| (*place).to_owned())
    }

    #[test]
    fn a_child_starts_in_its_cgroups() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let name = format!("quark-spawn-{}", std::process::id());
        let made: Vec<_> = [mounted("cgroup2", ""), mounted("cgroup", "pids")]
            .map(|mount| mount.map(|mount| format!("{mount}/{name}")).filter(|path| std::fs::create_dir(path).is_ok()))
            .into();
        let unified = made[0].as_ref().map(|path| File::open(path).expect("directory"));
        let tasks = made[1].as_ref().map(|path| File::options().write(true).open(format!("{path}/tasks")).expect("tasks"));
        let tasks: Vec<BorrowedFd<'_>> = tasks.iter().map(File::as_fd).collect();
        let cgroups = Cgroups { unified: unified.as_ref().map(File::as_fd), tasks: &tasks };
        let (output, code) = run(&[c"sh", c"-c", c"cat /proc/self/cgroup"], Namespaces::default(), cgroups);
        made.iter().flatten().for_each(|path| std::fs::remove_dir(path).expect("remove"));
        assert_eq!(code, 0);
        assert_eq!(output.matches(&name).count(), made.iter().flatten().count(), "{output}");
    }
}
