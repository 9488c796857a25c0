//! Who is whose child, and in which process group and session. Only numbers: what follows from a change is the caller's to do.

use std::collections::{BTreeMap, BTreeSet};

use super::status::WaitStatus;
use crate::{Errno, Result};

/// The init process of a pid namespace.
pub const INIT: i32 = 1;

/// What is known of a process, alive or not yet waited for.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its parent; 0 for what the kernel itself started.
    pub parent: i32,
    /// Process group.
    pub group: i32,
    /// Session.
    pub session: i32,
    /// Its children.
    pub children: BTreeSet<i32>,
    /// What its parent gets when it ends; 0 for nothing.
    pub exit_signal: i32,
    /// Ended, and how.
    pub ended: Option<WaitStatus>,
    /// PR_SET_CHILD_SUBREAPER.
    pub subreaper: bool,
    /// Has it called execve since it was forked: its parent can't move it to another group.
    pub executed: bool,
}

impl Member {
    /// A new process in its parent's group and session.
    pub fn new(parent: i32, group: i32, session: i32, exit_signal: i32) -> Member {
        Member { parent, group, session, children: BTreeSet::new(), exit_signal, ended: None, subreaper: false, executed: false }
    }
}

/// All processes of a pid namespace.
#[derive(Debug, Default)]
pub struct Family {
    members: BTreeMap<i32, Member>,
}

impl Family {
    /// One process.
    pub fn get(&self, pid: i32) -> Option<&Member> {
        self.members.get(&pid)
    }

    /// One process.
    pub fn get_mut(&mut self, pid: i32) -> Option<&mut Member> {
        self.members.get_mut(&pid)
    }

    /// How many there are, the ended ones included.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Adds a process to its parent's children.
    pub fn add(&mut self, pid: i32, member: Member) {
        if let Some(parent) = self.members.get_mut(&member.parent) {
            parent.children.insert(pid);
        }
        self.members.insert(pid, member);
    }

    /// Forgets an ended process: it has been waited for.
    pub fn reap(&mut self, pid: i32) -> Option<Member> {
        let member = self.members.remove(&pid)?;
        if let Some(parent) = self.members.get_mut(&member.parent) {
            parent.children.remove(&pid);
        }
        Some(member)
    }

    /// Whether `number` is a process, a group or a session: a new process can't have it.
    pub fn taken(&self, number: i32) -> bool {
        self.members.contains_key(&number) || self.members.values().any(|member| member.group == number || member.session == number)
    }

    /// Who takes the children of `pid` when it ends: the nearest ancestor that is a subreaper, or init, if those live; 0 is the kernel.
    pub fn reaper_of(&self, pid: i32) -> i32 {
        let mut at = self.get(pid).map_or(0, |member| member.parent);
        // Parents are older than children, so this ends; the bound is for a tree that is broken.
        for _ in 0..self.members.len() {
            match self.get(at) {
                Some(member) if member.subreaper && member.ended.is_none() => return at,
                Some(member) => at = member.parent,
                None => break,
            }
        }
        let init = self.get(INIT).is_some_and(|member| member.ended.is_none()) && pid != INIT;
        if init { INIT } else { 0 }
    }

    /// Gives the children of `pid` to its reaper and returns that and them. The reaper gets SIGCHLD from now on, whatever the exit signal was.
    pub fn orphan_children_of(&mut self, pid: i32) -> (i32, Vec<i32>) {
        let reaper = self.reaper_of(pid);
        let children = self.get_mut(pid).map(|member| std::mem::take(&mut member.children)).unwrap_or_default();
        for child in &children {
            if let Some(member) = self.get_mut(*child) {
                member.parent = reaper;
                member.exit_signal = libc::SIGCHLD;
            }
        }
        if let Some(member) = self.get_mut(reaper) {
            member.children.extend(&children);
        }
        (reaper, children.into_iter().collect())
    }

    /// The processes of a group, ended ones included.
    pub fn group(&self, group: i32) -> Vec<i32> {
        self.members.iter().filter(|(_, member)| member.group == group).map(|(pid, _)| *pid).collect()
    }

    /// The session of a group, if it has members.
    pub fn session_of_group(&self, group: i32) -> Option<i32> {
        self.members.values().find(|member| member.group == group).map(|member| member.session)
    }

    /// Whether a group is orphaned: no member that lives has a parent in another group of the same session. Such a group can't be
    /// continued by its shell, so terminal stops don't stop it. `without` is left out, as if it had ended.
    pub fn orphaned(&self, group: i32, without: Option<i32>) -> bool {
        !self.members.iter().any(|(pid, member)| {
            let counts = member.group == group && member.ended.is_none() && Some(*pid) != without && member.parent != 0;
            counts && self.get(member.parent).is_some_and(|parent| parent.session == member.session && parent.group != group)
        })
    }

    /// `setsid(2)`: EPERM for a group's leader, or if a group has its number.
    pub fn new_session(&mut self, pid: i32) -> Result<()> {
        if self.members.values().any(|member| member.group == pid) {
            return Err(Errno::PERM);
        }
        let member = self.get_mut(pid).ok_or(Errno::SRCH)?;
        (member.group, member.session) = (pid, pid);
        Ok(())
    }

    /// `setpgid(2)`, made by process `caller`; zeros are resolved already.
    pub fn set_group(&mut self, caller: i32, pid: i32, group: i32) -> Result<()> {
        let session = self.get(caller).ok_or(Errno::SRCH)?.session;
        let member = self.get(pid).filter(|member| member.ended.is_none()).ok_or(Errno::SRCH)?;
        if pid != caller {
            if member.parent != caller {
                return Err(Errno::SRCH);
            }
            if member.session != session {
                return Err(Errno::PERM);
            }
            if member.executed {
                return Err(Errno::ACCESS);
            }
        }
        if member.session == pid {
            return Err(Errno::PERM);
        }
        if group != pid && self.session_of_group(group) != Some(session) {
            return Err(Errno::PERM);
        }
        if let Some(member) = self.get_mut(pid) {
            member.group = group;
        }
        Ok(())
    }

    /// Of all processes.
    pub fn iter(&self) -> impl Iterator<Item = (i32, &Member)> {
        self.members.iter().map(|(pid, member)| (*pid, member))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 has the children 2 and 3, 2 has 4; 2 leads a session of its own.
    fn family() -> Family {
        let mut family = Family::default();
        family.add(1, Member::new(0, 1, 1, libc::SIGCHLD));
        family.add(2, Member::new(1, 1, 1, libc::SIGCHLD));
        family.add(3, Member::new(1, 1, 1, libc::SIGCHLD));
        assert_eq!(family.new_session(2), Ok(()));
        family.add(4, Member::new(2, 2, 2, 0));
        family
    }

    #[test]
    fn orphans_go_to_init_and_it_gets_sigchld() {
        let mut family = family();
        assert_eq!(family.orphan_children_of(2), (1, vec![4]));
        let orphan = family.get(4).unwrap();
        assert_eq!((orphan.parent, orphan.exit_signal), (1, libc::SIGCHLD));
        assert!(family.get(1).unwrap().children.contains(&4));
    }

    #[test]
    fn orphans_go_to_the_nearest_living_subreaper() {
        let mut family = family();
        family.add(5, Member::new(4, 2, 2, libc::SIGCHLD));
        family.get_mut(2).unwrap().subreaper = true;
        assert_eq!(family.reaper_of(4), 2);
        family.get_mut(2).unwrap().ended = Some(WaitStatus::exited(0));
        assert_eq!(family.reaper_of(4), 1);
        assert_eq!(family.reaper_of(1), 0);
    }

    #[test]
    fn a_group_leader_cannot_make_a_session() {
        let mut family = family();
        assert_eq!(family.new_session(2), Err(Errno::PERM));
        assert_eq!(family.set_group(3, 3, 3), Ok(()));
        assert_eq!(family.new_session(3), Err(Errno::PERM));
    }

    #[test]
    fn a_parent_may_move_a_child_until_it_executes() {
        let mut family = family();
        assert_eq!(family.set_group(2, 4, 4), Ok(()));
        family.get_mut(4).unwrap().executed = true;
        assert_eq!(family.set_group(2, 4, 2), Err(Errno::ACCESS));
        assert_eq!(family.set_group(3, 4, 2), Err(Errno::SRCH));
        assert_eq!(family.set_group(2, 2, 1), Err(Errno::PERM), "a session's leader stays");
        assert_eq!(family.set_group(4, 4, 1), Err(Errno::PERM), "a group of another session");
        assert_eq!(family.set_group(1, 2, 2), Err(Errno::PERM), "a child in another session");
    }

    #[test]
    fn a_group_is_orphaned_when_its_last_parent_outside_ends() {
        let mut family = family();
        assert_eq!(family.set_group(2, 4, 4), Ok(()));
        assert!(!family.orphaned(4, None));
        assert!(family.orphaned(4, Some(4)));
        assert!(family.orphaned(2, None), "its parent is in another session");
        family.orphan_children_of(2);
        assert!(family.orphaned(4, None));
    }

    #[test]
    fn numbers_of_groups_stay_taken_after_their_leader_was_reaped() {
        let mut family = family();
        family.reap(2);
        assert!(family.taken(2));
        family.reap(4);
        assert!(!family.taken(2));
    }
}
