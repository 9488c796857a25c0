//! `/proc/PID` and `/proc/PID/task/TID`.

use std::sync::Arc;

use super::links::{self, Descriptors};
use super::{maps, mounts, status};
use crate::fs::pseudo::{About, Body, Folder, Pseudo, Text};
use crate::task::{Process, Task, lock};
use crate::vfs::inode::kind;
use crate::{Errno, Result};

/// What one directory is about: a process, or one of its threads.
#[derive(Clone)]
pub(super) struct Subject {
    pub device: u64,
    pub process: Arc<Process>,
    /// The thread that is asked: the one of `task/TID`, or the process' first. `None` for one that has ended.
    pub task: Option<Arc<Task>>,
    /// Whether it is `task/TID`.
    pub thread: bool,
}

impl Subject {
    /// The living thread: ESRCH.
    pub fn task(&self) -> Result<&Arc<Task>> {
        self.task.as_ref().ok_or(Errno::SRCH)
    }

    /// EACCES unless who asks may look into the process (`ptrace(2)`, PTRACE_MODE_READ_FSCREDS): the same user with no more rights, or CAP_SYS_PTRACE.
    pub fn may_look(&self) -> Result<()> {
        const SYS_PTRACE: u32 = 19;
        let (asker, task) = (super::asker()?, self.task()?);
        if Arc::ptr_eq(&asker.process, &self.process) {
            return Ok(());
        }
        let (who, whom) = (asker.credentials(), task.credentials());
        let same_user = [whom.uid, whom.euid, whom.suid].iter().all(|uid| *uid == who.fsuid);
        let same_group = [whom.gid, whom.egid, whom.sgid].iter().all(|gid| *gid == who.fsgid);
        let dumpable = lock(&self.process.details).dumpable == 1;
        let equal = same_user && same_group && dumpable && whom.permitted & !who.permitted == 0;
        if equal || who.capable(SYS_PTRACE) { Ok(()) } else { Err(Errno::ACCESS) }
    }

    /// The first inode number of its directory.
    fn base(&self) -> u64 {
        let number = number(&self.process);
        match (&self.task, self.thread) {
            (Some(task), true) => number & !0xffff_ffff | (task.tid() as u64) << 21 & 0xffff_ffff | 1 << 20,
            _ => number,
        }
    }

    fn owner(&self) -> (u32, u32) {
        self.task.as_ref().map_or((0, 0), |task| {
            let credentials = task.credentials();
            (credentials.euid, credentials.egid)
        })
    }

    fn about(&self, offset: u64, mode: u32) -> About {
        About { device: self.device, number: self.base() + offset, mode, owner: self.owner(), strict: false }
    }
}

/// The inode number of a process' directory: its id, and when it started, as ids come again.
pub(super) fn number(process: &Process) -> u64 {
    let started = (lock(&process.details).started / 1_000_000) & 0xf_ffff;
    started << 43 | (process.pid as u64) << 20
}

type Make = fn(&Subject) -> Result<Vec<u8>>;

/// Text files: name, permissions, what makes them. Those of `io`, `limits` and so on are for whoever may look.
const FILES: &[(&str, u32, Make)] = &[
    ("auxv", 0o400, |subject| looked(subject, |subject| Ok(lock(&subject.process.memory).image().auxiliary.clone()))),
    ("cgroup", 0o444, |_| Ok(b"0::/\n".to_vec())),
    ("cmdline", 0o444, maps::cmdline),
    ("comm", 0o644, status::comm),
    ("environ", 0o400, |subject| looked(subject, maps::environ)),
    ("gid_map", 0o444, |_| Ok(WHOLE_MAP.to_vec())),
    ("io", 0o400, |subject| looked(subject, status::io)),
    ("limits", 0o444, status::limits),
    ("loginuid", 0o644, |_| Ok(b"4294967295".to_vec())),
    ("maps", 0o444, |subject| looked(subject, maps::maps)),
    ("mountinfo", 0o444, mounts::mountinfo),
    ("mounts", 0o444, mounts::mounts),
    ("oom_adj", 0o644, |_| Ok(b"0\n".to_vec())),
    ("oom_score", 0o444, |_| Ok(b"0\n".to_vec())),
    ("oom_score_adj", 0o644, status::oom_score_adj),
    ("personality", 0o400, |subject| looked(subject, status::personality)),
    ("sessionid", 0o444, |_| Ok(b"4294967295".to_vec())),
    ("setgroups", 0o644, |_| Ok(b"allow\n".to_vec())),
    ("smaps", 0o444, |subject| looked(subject, maps::smaps)),
    ("smaps_rollup", 0o444, |subject| looked(subject, maps::smaps_rollup)),
    ("stat", 0o444, status::stat),
    ("statm", 0o444, status::statm),
    ("status", 0o444, status::status),
    ("syscall", 0o400, |subject| looked(subject, |_| Ok(b"running\n".to_vec()))),
    ("timerslack_ns", 0o666, |subject| looked(subject, |subject| Ok(format!("{}\n", lock(&subject.task()?.own).timer_slack).into_bytes()))),
    ("uid_map", 0o444, |_| Ok(WHOLE_MAP.to_vec())),
    ("wchan", 0o444, |_| Ok(b"0".to_vec())),
];

const WHOLE_MAP: &[u8] = b"         0          0 4294967295\n";

fn looked(subject: &Subject, make: Make) -> Result<Vec<u8>> {
    subject.may_look()?;
    make(subject)
}

/// Directories and links: numbers behind those of the files.
const DIRECTORIES: &[&str] = &["fd", "fdinfo", "net", "ns", "task"];
const DIRECTORY_NUMBERS: u64 = 0x80;
const LINK_NUMBERS: u64 = 0xa0;

/// One process' or thread's directory.
struct Directory {
    subject: Subject,
}

/// `/proc/ID`: of a process, or of any thread, which has one that isn't listed.
pub(super) fn directory(device: u64, asker: &Arc<Task>, id: i32) -> Result<Arc<Pseudo>> {
    let pids = &asker.process.container.pids;
    let process = match pids.process(id) {
        Ok(process) => process,
        Err(_) => pids.task(id).map_err(|_| Errno::NOENT)?.process.clone(),
    };
    let task = process.leader();
    let subject = Subject { device, process, task, thread: false };
    Ok(Pseudo::new(subject.about(0, 0o555), Body::Folder(Box::new(Directory { subject }))))
}

impl Directory {
    fn is_gone(&self) -> bool {
        let table = self.subject.process.container.pids.table();
        !table.processes.get(&self.subject.process.pid).is_some_and(|now| Arc::ptr_eq(now, &self.subject.process))
    }

    fn shows(&self, name: &str) -> bool {
        name != "task" || !self.subject.thread
    }

    fn folder(&self, name: &str) -> Result<Option<(Box<dyn Folder>, u32)>> {
        let subject = self.subject.clone();
        Ok(Some(match name {
            "fd" => (Box::new(Descriptors { subject, information: false }), 0o500),
            "fdinfo" => (Box::new(Descriptors { subject, information: true }), 0o555),
            "net" => (Box::new(links::net(subject.device, subject.base())), 0o555),
            "ns" => (Box::new(links::Namespaces { subject }), 0o511),
            "task" if !subject.thread => (Box::new(Threads { subject }), 0o555),
            _ => return Ok(None),
        }))
    }
}

impl Folder for Directory {
    fn names(&self) -> Result<Vec<(Vec<u8>, u64, u32)>> {
        if self.is_gone() {
            return Err(Errno::NOENT);
        }
        let base = self.subject.base();
        let files = FILES.iter().zip(1..).map(|((name, _, _), number)| (*name, base + number, kind::REGULAR));
        let folders = DIRECTORIES.iter().zip(DIRECTORY_NUMBERS..).map(|(name, number)| (*name, base + number, kind::DIRECTORY));
        let links = links::LINKS.iter().zip(LINK_NUMBERS..).map(|((name, _), number)| (*name, base + number, kind::SYMLINK));
        let all = files.chain(folders).chain(links).filter(|(name, _, _)| self.shows(name));
        Ok(all.map(|(name, number, kind)| (name.as_bytes().to_vec(), number, kind)).collect())
    }

    fn child(&self, name: &[u8]) -> Result<Arc<Pseudo>> {
        if self.is_gone() {
            return Err(Errno::NOENT);
        }
        let name = std::str::from_utf8(name).map_err(|_| Errno::NOENT)?;
        if let Some(((name, mode, make), number)) = FILES.iter().zip(1..).find(|((other, _, _), _)| *other == name) {
            let text = File { name, subject: self.subject.clone(), make: *make };
            return Ok(Pseudo::new(self.subject.about(number, *mode), Body::Text(Box::new(text))));
        }
        if let Some(number) = DIRECTORIES.iter().zip(DIRECTORY_NUMBERS..).find(|(other, _)| **other == name).map(|(_, number)| number)
            && let Some((folder, mode)) = self.folder(name)?
        {
            return Ok(Pseudo::new(self.subject.about(number, mode), Body::Folder(folder)));
        }
        let link = links::LINKS.iter().zip(LINK_NUMBERS..).find(|((other, _), _)| *other == name);
        let ((_, place), number) = link.ok_or(Errno::NOENT)?;
        Ok(links::to_place(self.subject.clone(), self.subject.about(number, 0o777), *place))
    }
}

/// A text file of a process.
struct File {
    name: &'static str,
    subject: Subject,
    make: Make,
}

impl Text for File {
    fn read(&self) -> Result<Vec<u8>> {
        (self.make)(&self.subject)
    }

    fn write(&self, from: &[u8]) -> Result<()> {
        match self.name {
            "comm" => status::set_comm(&self.subject, from),
            "oom_score_adj" => status::set_oom_score_adj(&self.subject, from),
            "oom_adj" => Ok(()),
            "setgroups" | "uid_map" | "gid_map" | "loginuid" => Err(Errno::PERM),
            _ => Err(Errno::IO),
        }
    }
}

/// `/proc/PID/task`.
struct Threads {
    subject: Subject,
}

impl Threads {
    fn of(&self, task: Arc<Task>) -> Subject {
        Subject { task: Some(task), thread: true, ..self.subject.clone() }
    }
}

impl Folder for Threads {
    fn names(&self) -> Result<Vec<(Vec<u8>, u64, u32)>> {
        let threads = self.subject.process.threads();
        Ok(threads.into_iter().map(|task| (task.tid().to_string().into_bytes(), self.of(task).base(), kind::DIRECTORY)).collect())
    }

    fn child(&self, name: &[u8]) -> Result<Arc<Pseudo>> {
        let tid = super::parse_id(name).ok_or(Errno::NOENT)?;
        let task = self.subject.process.threads().into_iter().find(|task| task.tid() == tid).ok_or(Errno::NOENT)?;
        let subject = self.of(task);
        Ok(Pseudo::new(subject.about(0, 0o555), Body::Folder(Box::new(Directory { subject }))))
    }
}
