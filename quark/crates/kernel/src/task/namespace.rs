//! The process ids of one container, or of several that share them, and what can be found by them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use super::family::{Family, INIT, Member};
use super::session::Session;
use super::{Process, Task, lock};
use crate::wait::WaitQueue;
use crate::{Errno, Result};

/// The highest process id, `/proc/sys/kernel/pid_max` less one.
pub const PID_MAX: i32 = (1 << 22) - 1;
/// After a wrap, ids below it are not given again, as on Linux.
const RESERVED: i32 = 300;

/// A pid namespace.
pub struct PidNamespace {
    table: Mutex<Table>,
    /// Held while an end is told to those concerned.
    telling: Mutex<()>,
    /// Notified when a process has ended.
    pub changed: WaitQueue,
}

/// What a pid namespace knows, under its lock: the first one in the lock order.
pub struct Table {
    /// Parents, children, groups and sessions.
    pub family: Family,
    /// Processes, those included that have ended but were not waited for.
    pub processes: BTreeMap<i32, Arc<Process>>,
    /// Living threads.
    pub tasks: BTreeMap<i32, Arc<Task>>,
    /// Sessions that have members.
    pub sessions: BTreeMap<i32, Arc<Session>>,
    /// Numbers that were given and don't have their thread yet.
    reserved: BTreeSet<i32>,
    last: i32,
    limit: usize,
}

impl PidNamespace {
    /// An empty one for at most `limit` threads.
    pub fn new(limit: usize) -> Arc<PidNamespace> {
        let table = Table {
            family: Family::default(),
            processes: BTreeMap::new(),
            tasks: BTreeMap::new(),
            sessions: BTreeMap::new(),
            reserved: BTreeSet::new(),
            last: 0,
            limit,
        };
        Arc::new(PidNamespace { table: Mutex::new(table), telling: Mutex::default(), changed: WaitQueue::default() })
    }

    /// Locks it.
    pub fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }

    /// Held while a process' end is entered and its signals are sent, and while somebody looks for ends: who has waited for a child has its SIGCHLD.
    /// Before the table in the lock order.
    pub fn telling(&self) -> MutexGuard<'_, ()> {
        lock(&self.telling)
    }

    /// A living thread.
    pub fn task(&self, tid: i32) -> Result<Arc<Task>> {
        self.table().tasks.get(&tid).cloned().ok_or(Errno::SRCH)
    }

    /// A process; one that has ended but was not waited for is one too.
    pub fn process(&self, pid: i32) -> Result<Arc<Process>> {
        self.table().processes.get(&pid).cloned().ok_or(Errno::SRCH)
    }

    /// All processes, for `/proc`.
    pub fn processes(&self) -> Vec<Arc<Process>> {
        self.table().processes.values().cloned().collect()
    }

    /// The session of a process group, if it has members.
    pub fn session_of_group(&self, group: i32) -> Option<i32> {
        self.table().family.session_of_group(group)
    }

    /// The processes of a group.
    pub fn group(&self, group: i32) -> Vec<Arc<Process>> {
        self.table().group(group)
    }

    /// Whether a group is orphaned: terminal reads and writes of it are EIO, not SIGTTIN and SIGTTOU.
    pub fn orphaned(&self, group: i32) -> bool {
        self.table().family.orphaned(group, None)
    }
}

impl Table {
    /// A number for a new thread, kept for it until [`Table::add_task`] or [`Table::release`]; EAGAIN if there are too many.
    pub fn allocate(&mut self) -> Result<i32> {
        if self.tasks.len() + self.reserved.len() >= self.limit {
            return Err(Errno::AGAIN);
        }
        for _ in 0..PID_MAX {
            self.last = if self.last >= PID_MAX { RESERVED } else { self.last + 1 };
            if !self.reserved.contains(&self.last) && !self.tasks.contains_key(&self.last) && !self.family.taken(self.last) {
                self.reserved.insert(self.last);
                return Ok(self.last);
            }
        }
        Err(Errno::AGAIN)
    }

    /// As [`Table::allocate`], for a container's first process: init's number if nobody has it.
    pub fn allocate_init(&mut self) -> Result<i32> {
        if self.tasks.contains_key(&INIT) || self.family.taken(INIT) || !self.reserved.insert(INIT) {
            return self.allocate();
        }
        self.last = self.last.max(INIT);
        Ok(INIT)
    }

    /// As [`Table::allocate`], for a process that runs before init: init's number stays free.
    pub fn allocate_before_init(&mut self) -> Result<i32> {
        self.last = self.last.max(INIT);
        self.allocate()
    }

    /// Gives a number back that no thread came to have.
    pub fn release(&mut self, tid: i32) {
        self.reserved.remove(&tid);
    }

    /// Adds a thread, whose process is known, to that.
    pub fn add_task(&mut self, task: &Arc<Task>) {
        self.reserved.remove(&task.tid());
        self.tasks.insert(task.tid(), task.clone());
        lock(&task.process.threads).push(task.clone());
    }

    /// Adds a process, still without threads.
    pub fn add_process(&mut self, process: &Arc<Process>, member: Member) {
        self.sessions.entry(member.session).or_insert_with(|| Arc::new(Session::new(member.session)));
        self.family.add(process.pid, member);
        self.processes.insert(process.pid, process.clone());
    }

    /// Forgets a process that was waited for.
    pub fn reap(&mut self, pid: i32) {
        self.processes.remove(&pid);
        if let Some(member) = self.family.reap(pid) {
            self.drop_session_if_empty(member.session);
        }
    }

    /// `setsid(2)`: EPERM for a group's leader.
    pub fn new_session(&mut self, pid: i32) -> Result<()> {
        let before = self.family.get(pid).map(|member| member.session);
        self.family.new_session(pid)?;
        self.sessions.insert(pid, Arc::new(Session::new(pid)));
        if let Some(before) = before {
            self.drop_session_if_empty(before);
        }
        Ok(())
    }

    /// Forgets a session without members.
    pub fn drop_session_if_empty(&mut self, session: i32) {
        if !self.family.iter().any(|(_, member)| member.session == session) {
            self.sessions.remove(&session);
        }
    }

    /// The processes of a group.
    pub fn group(&self, group: i32) -> Vec<Arc<Process>> {
        self.family.group(group).iter().filter_map(|pid| self.processes.get(pid)).cloned().collect()
    }

    /// The parent of a process, if it is in this namespace.
    pub fn parent_of(&self, pid: i32) -> Option<Arc<Process>> {
        let parent = self.family.get(pid)?.parent;
        self.processes.get(&parent).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_up_and_wrap_above_the_reserved_ones() {
        let namespace = PidNamespace::new(10);
        let mut table = namespace.table();
        assert_eq!(table.allocate_before_init(), Ok(2));
        assert_eq!(table.allocate_init(), Ok(1));
        assert_eq!(table.allocate_init(), Ok(3));
        table.last = PID_MAX;
        assert_eq!(table.allocate(), Ok(RESERVED));
        table.family.add(RESERVED + 1, Member::new(0, 1, 1, 0));
        assert_eq!(table.allocate(), Ok(RESERVED + 2));
    }
}
