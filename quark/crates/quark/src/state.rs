//! What is remembered of a container between commands: `<root>/<id>/state.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::{Hooks, Process};

/// How far a container is, as of the last command; whether its process still lives is another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Phase {
    Creating,
    Created,
    Running,
    Paused,
}

/// A process of the host, told apart from later ones with the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// In the command's pid namespace.
    pub pid: i32,
    /// When it started, clock ticks after boot (`/proc/PID/stat`, field 22).
    pub start: u64,
}

/// What is remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// As in config.json.
    pub oci_version: String,
    /// The container's.
    pub id: String,
    /// See [`Phase`].
    pub phase: Phase,
    /// Absolute.
    pub bundle: String,
    /// Absolute.
    pub rootfs: String,
    /// RFC 3339.
    pub created: String,
    /// As in config.json.
    pub annotations: BTreeMap<String, String>,
    /// What ends with the container's exit status: the pod's kernel for its first container, a process that waits for others.
    pub process: Option<ProcessId>,
    /// The pod's kernel.
    pub kernel: Option<ProcessId>,
    /// The container whose `control.sock` is the kernel's; its own id for a pod's first container.
    pub sandbox: String,
    /// Directories of the host that limit it, by controller (`memory`, `cpu`, … or `unified`). Made by us.
    pub cgroups: BTreeMap<String, String>,
    /// Those that are still to run.
    pub hooks: Hooks,
    /// What `exec` starts from.
    pub template: Process,
}

/// What `quark state` and hooks are told (runtime.md, "State").
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report<'a> {
    oci_version: &'a str,
    id: &'a str,
    status: &'static str,
    pid: i32,
    bundle: &'a str,
    rootfs: &'a str,
    created: &'a str,
    owner: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

impl State {
    /// A container that is only begun.
    pub fn new(id: &str) -> State {
        State {
            oci_version: crate::cli::SPEC_VERSION.to_owned(),
            id: id.to_owned(),
            phase: Phase::Creating,
            bundle: String::new(),
            rootfs: String::new(),
            created: String::new(),
            annotations: BTreeMap::new(),
            process: None,
            kernel: None,
            sandbox: id.to_owned(),
            cgroups: BTreeMap::new(),
            hooks: Hooks::default(),
            template: Process::default(),
        }
    }

    /// Whether the process that stands for it lives.
    pub fn alive(&self) -> bool {
        self.process.is_some_and(ProcessId::alive)
    }

    /// The specification's word for how far it is. `busy`: a command holds its lock.
    pub fn status(&self, busy: bool) -> &'static str {
        match self.phase {
            Phase::Creating if busy => "creating",
            // Its command was killed.
            Phase::Creating => "stopped",
            _ if !self.alive() => "stopped",
            Phase::Created => "created",
            Phase::Running => "running",
            Phase::Paused => "paused",
        }
    }

    /// What others are told. runc's `list` and `state` have 0 for the pid of a stopped container.
    pub fn report(&self, busy: bool) -> Report<'_> {
        let status = self.status(busy);
        Report {
            oci_version: &self.oci_version,
            id: &self.id,
            status,
            pid: self.process.filter(|_| status != "stopped").map_or(0, |process| process.pid),
            bundle: &self.bundle,
            rootfs: &self.rootfs,
            created: &self.created,
            owner: "",
            annotations: &self.annotations,
        }
    }
}

/// The start time in a `/proc/PID/stat` line. The name in it, in parentheses, may hold anything.
fn start_of(stat: &str) -> Option<(char, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

impl ProcessId {
    /// The process that has this id now; `None` if none has.
    pub fn of(pid: i32) -> Option<ProcessId> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        start_of(&stat).map(|(_, start)| ProcessId { pid, start })
    }

    /// Whether it still lives. A zombie doesn't.
    pub fn alive(self) -> bool {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)) else {
            return false;
        };
        start_of(&stat).is_some_and(|(state, start)| start == self.start && !matches!(state, 'Z' | 'X'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_by_its_start() {
        let stat = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
        assert_eq!(start_of(stat), Some(('S', 4711)));
        assert_eq!(start_of("42 (x) R 1"), None);
        let own = ProcessId::of(std::process::id() as i32).expect("own");
        assert!(own.alive());
        assert!(!ProcessId { start: own.start + 1, ..own }.alive());
        assert!(!ProcessId { pid: i32::MAX, start: 1 }.alive());
    }
}
