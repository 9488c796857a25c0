//! Starting processes from outside: a container's init, and what is executed in it later.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use quark_host::platform::Platform;

use super::directories::{add_home, place};
use super::spec::{ProcessSpec, Stdio};
use super::{Container, Kernel};
use crate::exec::{Loaded, Request, load, open_program};
use crate::host_stream;
use crate::signal::action::Actions;
use crate::task::family::Member;
use crate::task::process::{Details, NewProcess};
use crate::task::{Limit, NewTask, Own, Process, Task, limits, lock, run};
use crate::terminal::tty::Terminal;
use crate::terminal::{console, devpts_of, job};
use crate::vfs::open::{FdTable, FsContext, OpenFile};
use crate::{Errno, Result};

/// What is searched for programs where the environment has no PATH.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Kernel {
    /// Starts a process in a container: the first is its init (pid 1), the others are as by `exec`. What it fails of is told in words:
    /// "exec /bin/x: no such file or directory".
    pub fn start(self: &Arc<Self>, container: &str, spec: ProcessSpec) -> Result<i32, String> {
        self.start_as(container, spec, false)
    }

    /// Starts a process in a container that has none yet, and that isn't its init: what has to be done there before.
    pub fn start_before(self: &Arc<Self>, container: &str, spec: ProcessSpec) -> Result<i32, String> {
        self.start_as(container, spec, true)
    }

    fn start_as(self: &Arc<Self>, container: &str, mut spec: ProcessSpec, before: bool) -> Result<i32, String> {
        self.hibernation.wake();
        let container = self.container(container).map_err(|_| format!("container {container}: not found"))?;
        let limits = merged(&spec.limits);
        let fs = place(&container, &spec)?;
        add_home(&fs, &mut spec);
        let loaded = load_program(container.platform(self), &fs, &spec, &limits)?;
        let mut terminal = None;
        let stdio = match spec.stdio {
            Stdio::Files(fds) => Streams::Files(fds.into()),
            Stdio::Terminal(host) => {
                let pts = devpts_of(&fs.root(), &spec.credentials);
                let made = console(host, pts.as_deref(), spec.credentials.fsuid).map_err(|error| format!("terminal: {error}"))?;
                terminal = Some(made.0);
                Streams::Terminal(OpenFile::anonymous(made.1, libc::O_RDWR as u32))
            }
        };
        let files = descriptors(stdio, spec.inherited, &limits).map_err(|error| format!("standard files: {error}"))?;
        let details = Details { dumpable: 1, oom_score_adjust: spec.oom_score_adjust, started: self.now(), ..Details::default() };
        let prepared = Prepared { fs, files, limits, details, terminal, before };
        self.run(&container, loaded, prepared).map_err(|error| format!("start: {error}"))
    }

    /// Nanoseconds since it booted.
    pub fn now(&self) -> u64 {
        u64::try_from(self.uptime().as_nanos()).unwrap_or(u64::MAX)
    }

    fn run(self: &Arc<Self>, container: &Arc<Container>, loaded: Loaded, prepared: Prepared) -> Result<i32> {
        let mut table = container.pids.table();
        let pid = match container.init() {
            Some(_) => table.allocate()?,
            None if prepared.before => table.allocate_before_init()?,
            None => table.allocate_init()?,
        };
        let process = Process::new(NewProcess {
            pid,
            container: container.clone(),
            kernel: self.clone(),
            memory: loaded.memory,
            actions: Arc::new(Mutex::new(Actions::default())),
            limits: prepared.limits,
            details: prepared.details,
            vfork: None,
        });
        let task = Task::new(NewTask {
            tid: pid,
            process: process.clone(),
            credentials: Arc::new(loaded.credentials),
            files: Arc::new(prepared.files),
            fs: Arc::new(prepared.fs),
            name: loaded.name,
            own: Own::default(),
        });
        // It leads a session of its own, as what a container runtime starts does.
        let member = Member { executed: true, ..Member::new(0, pid, pid, libc::SIGCHLD) };
        table.add_process(&process, member);
        table.add_task(&task);
        container.has_started(&process, !prepared.before);
        drop(table);
        if let Some(terminal) = &prepared.terminal {
            job::give(&process, terminal);
        }
        let entering = container.clone();
        if let Err(error) = run::start(task, loaded.context, loaded.registers, move || entering.enter_cgroups()) {
            container.forget(pid);
            lock(&process.threads).clear();
            let mut table = container.pids.table();
            table.tasks.remove(&pid);
            table.reap(pid);
            return Err(error);
        }
        Ok(pid)
    }
}

fn load_program(platform: &Platform, fs: &FsContext, spec: &ProcessSpec, limits: &[Limit; 16]) -> Result<Loaded, String> {
    let name = spec.arguments.first().ok_or("no arguments: name a program")?;
    let words = |error: Errno| format!("exec {}: {error}", String::from_utf8_lossy(name));
    let (filename, program) = find(fs, spec, name).map_err(|error| match error {
        Errno::NOENT if !name.contains(&b'/') => format!("exec {}: executable file not found in $PATH", String::from_utf8_lossy(name)),
        error => words(error),
    })?;
    load(Request {
        platform,
        fs,
        credentials: &spec.credentials,
        limits,
        personality: 0,
        program,
        filename,
        filename_vanishes: false,
        arguments: spec.arguments.clone(),
        environment: spec.environment.clone(),
    })
    .map_err(words)
}

/// What a process has besides its program.
struct Prepared {
    fs: FsContext,
    files: FdTable,
    limits: [Limit; 16],
    details: Details,
    terminal: Option<Arc<Terminal>>,
    /// Whether it runs before the container's init.
    before: bool,
}

/// The defaults, and what the configuration says.
fn merged(given: &[Option<Limit>; 16]) -> [Limit; 16] {
    let mut merged = limits::DEFAULTS;
    for (place, limit) in merged.iter_mut().zip(given) {
        *place = limit.unwrap_or(*place);
    }
    merged
}

/// The places to look for a program: itself if its name has a slash, else the directories of PATH.
fn candidates(name: &[u8], environment: &[Vec<u8>]) -> Vec<Vec<u8>> {
    if name.contains(&b'/') {
        return vec![name.to_vec()];
    }
    let path = environment.iter().rev().find_map(|variable| variable.strip_prefix(b"PATH=".as_slice())).unwrap_or(DEFAULT_PATH);
    let under = |directory: &[u8]| match directory {
        b"" => name.to_vec(),
        directory => [directory, b"/", name].concat(),
    };
    path.split(|byte| *byte == b':').map(under).collect()
}

/// The first candidate that can be opened; EACCES if one could only not be executed.
fn find(fs: &FsContext, spec: &ProcessSpec, name: &[u8]) -> Result<(Vec<u8>, Arc<OpenFile>)> {
    let mut worst = Errno::NOENT;
    for path in candidates(name, &spec.environment) {
        match open_program(fs, &spec.credentials, None, &path, true) {
            Ok(program) => return Ok((path, program)),
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(error) => worst = error,
        }
    }
    Err(worst)
}

/// What a process' standard input, output and error are.
enum Streams {
    Files(Vec<OwnedFd>),
    Terminal(Arc<OpenFile>),
}

fn descriptors(stdio: Streams, inherited: Vec<OwnedFd>, limits: &[Limit; 16]) -> Result<FdTable> {
    let table = FdTable::default();
    let limit = limits.get(libc::RLIMIT_NOFILE as usize).map_or(u64::MAX, |limit| limit.soft).max(3 + inherited.len() as u64);
    let mut opened = match stdio {
        Streams::Files(fds) => host_stream::open_all(fds)?,
        Streams::Terminal(file) => vec![file; 3],
    };
    opened.extend(host_stream::open_all(inherited)?);
    for file in opened {
        table.install(file, 0, false, limit)?;
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_without_a_slash_are_looked_up_in_path() {
        let environment = [b"A=1".to_vec(), b"PATH=/x::/y".to_vec()];
        assert_eq!(candidates(b"sh", &environment), [b"/x/sh".to_vec(), b"sh".to_vec(), b"/y/sh".to_vec()]);
        assert_eq!(candidates(b"./sh", &environment), [b"./sh".to_vec()]);
        assert_eq!(candidates(b"sh", &[]).len(), 6);
    }

    #[test]
    fn limits_that_are_not_given_are_the_defaults() {
        let mut given = [None; 16];
        given[7] = Some(Limit { soft: 5, hard: 6 });
        let merged = merged(&given);
        assert_eq!(merged[7], Limit { soft: 5, hard: 6 });
        assert_eq!(merged[3].soft, 8 << 20);
    }
}
