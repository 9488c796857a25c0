//! A cgroup v2 view: the container is at the root of its own cgroup namespace. It tells the limits, and takes none.

use std::sync::Arc;

use super::pseudo::{About, Body, Fixed, Pseudo, PseudoFileSystem, Text, Writable};
use crate::kernel::{Container, HostLimits};
use crate::task::{Task, current};
use crate::{Errno, Result};

const MAGIC: u64 = 0x6367_7270;

/// `cpu.max`'s period, microseconds.
const PERIOD: u64 = 100_000;

type Make = fn(&Arc<Task>) -> String;

/// The files, in the order in which they are listed. Those of the root cgroup of a host are fewer; in a container's namespace its own are here.
const FILES: &[(&str, Make)] = &[
    ("cgroup.controllers", |_| "cpu memory pids\n".into()),
    ("cgroup.subtree_control", |_| "\n".into()),
    ("cgroup.type", |_| "domain\n".into()),
    ("cgroup.events", |_| "populated 1\nfrozen 0\n".into()),
    ("cgroup.freeze", |_| "0\n".into()),
    ("cgroup.max.depth", |_| "max\n".into()),
    ("cgroup.max.descendants", |_| "max\n".into()),
    ("cgroup.stat", |_| "nr_descendants 0\nnr_dying_descendants 0\n".into()),
    ("cgroup.procs", |task| numbers(container(task).processes().iter().map(|process| process.pid))),
    ("cgroup.threads", |task| {
        let processes = container(task).processes();
        numbers(processes.iter().flat_map(|process| process.threads()).map(|thread| thread.tid()))
    }),
    ("cpu.max", |task| match limits(task).processor {
        Some(thousandths) => format!("{} {PERIOD}\n", thousandths * PERIOD / 1000),
        None => format!("max {PERIOD}\n"),
    }),
    ("cpu.max.burst", |_| "0\n".into()),
    ("cpu.weight", |_| "100\n".into()),
    ("cpu.weight.nice", |_| "0\n".into()),
    ("cpu.stat", processor_time),
    ("memory.max", |task| limits(task).memory.map_or("max\n".into(), |bytes| format!("{bytes}\n"))),
    ("memory.high", |_| "max\n".into()),
    ("memory.low", |_| "0\n".into()),
    ("memory.min", |_| "0\n".into()),
    ("memory.current", |task| format!("{}\n", super::proc::memory_in_use(task))),
    ("memory.events", |_| "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n".into()),
    ("memory.oom.group", |_| "0\n".into()),
    ("memory.stat", |task| {
        let shared = crate::vfs::tree::memory_used(&container(task).root);
        let all = super::proc::memory_in_use(task);
        format!("anon {}\nfile {shared}\nshmem {shared}\ninactive_file 0\nactive_file 0\n", all.saturating_sub(shared))
    }),
    ("memory.swap.max", |_| "0\n".into()),
    ("memory.swap.current", |_| "0\n".into()),
    ("pids.max", |task| limits(task).pids.map_or("max\n".into(), |count| format!("{count}\n"))),
    ("pids.current", |task| format!("{}\n", container(task).processes().iter().map(|process| process.threads().len()).sum::<usize>())),
];

fn container(task: &Task) -> Arc<Container> {
    task.process.container.clone()
}

fn limits(task: &Task) -> HostLimits {
    task.process.container.limits
}

fn numbers(all: impl Iterator<Item = i32>) -> String {
    all.map(|number| format!("{number}\n")).collect()
}

fn processor_time(task: &Arc<Task>) -> String {
    let times = container(task).processes().iter().fold((0, 0), |(user, system), process| {
        let used = process.times();
        (user + used.user.as_micros(), system + used.system.as_micros())
    });
    format!(
        "usage_usec {}\nuser_usec {}\nsystem_usec {}\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n",
        times.0 + times.1,
        times.0,
        times.1
    )
}

/// A cgroup2 file system.
pub fn file_system() -> Arc<PseudoFileSystem> {
    let device = super::next_device();
    let about = |number, mode| About { device, number, mode, owner: (0, 0), strict: true };
    let mut root = Fixed::default();
    for (number, (name, make)) in (2..).zip(FILES) {
        let read = move || Ok(make(&current().ok_or(Errno::SRCH)?).into_bytes());
        // A process may be "moved" to where it is; limits are the host's to set.
        let text: Box<dyn Text> = if matches!(*name, "cgroup.procs" | "cgroup.threads") {
            Box::new(Writable(read, |_: &[u8]| -> Result<()> { Ok(()) }))
        } else {
            Box::new(Writable(read, |_: &[u8]| -> Result<()> { Err(Errno::PERM) }))
        };
        let writable = matches!(*name, "cgroup.procs" | "cgroup.threads" | "cgroup.subtree_control") || name.ends_with(".max");
        root = root.with(name, Pseudo::new(about(number, if writable { 0o644 } else { 0o444 }), Body::Text(text)));
    }
    PseudoFileSystem::new("cgroup2", MAGIC, Pseudo::new(about(1, 0o755), Body::Folder(Box::new(root))))
}
