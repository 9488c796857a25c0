//! Files of `/proc` about the system.

use std::sync::Arc;

use quark_host::procfs::Resident;

use super::Make;
use crate::Result;
use crate::system::{RELEASE, VERSION};
use crate::task::{Process, Task, lock};

pub(super) const FILES: &[(&str, Make)] = &[
    ("cgroups", |_| Ok(b"#subsys_name\thierarchy\tnum_cgroups\tenabled\n".to_vec())),
    ("cmdline", |_| Ok(b"\n".to_vec())),
    ("cpuinfo", |_| Ok(super::processor::cpuinfo().into_bytes())),
    ("devices", |_| Ok(DEVICES.as_bytes().to_vec())),
    ("diskstats", |_| Ok(Vec::new())),
    ("filesystems", |_| Ok(FILE_SYSTEMS.as_bytes().to_vec())),
    ("interrupts", |_| Ok(Vec::new())),
    ("loadavg", loadavg),
    ("meminfo", meminfo),
    ("modules", |_| Ok(Vec::new())),
    ("partitions", |_| Ok(b"major minor  #blocks  name\n\n".to_vec())),
    ("stat", stat),
    ("swaps", |_| Ok(b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_vec())),
    ("uptime", uptime),
    ("version", |_| Ok(format!("Linux version {RELEASE} (quark) {VERSION}\n").into_bytes())),
    ("vmstat", vmstat),
];

const FILE_SYSTEMS: &str =
    "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tcgroup2\nnodev\tdevtmpfs\nnodev\tdevpts\nnodev\tmqueue\nnodev\toverlay\n";

const DEVICES: &str = "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n136 pts\n\nBlock devices:\n";

/// How many processors guests see: those that this process may run on.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How much the host has, and what of that is free, in bytes.
fn host_memory() -> (u64, u64) {
    let host = rustix::system::sysinfo();
    let unit = u64::from(host.mem_unit.max(1));
    (host.totalram as u64 * unit, host.freeram as u64 * unit)
}

/// What a process has in memory, which its stub process has; nothing once that has ended.
pub(super) fn resident(process: &Process) -> Resident {
    let pid = lock(&process.memory).space.pid();
    quark_host::procfs::resident(pid).unwrap_or_default()
}

/// What a container uses of its memory: its processes' and its file systems'. Bytes; what several processes share counts for each.
pub fn memory_in_use(task: &Arc<Task>) -> u64 {
    let container = &task.process.container;
    let processes: u64 = container.processes().iter().map(|process| resident(process).total).sum();
    let all = processes + crate::vfs::tree::memory_used(&container.root);
    container.limits.memory.map_or(all, |limit| all.min(limit))
}

fn meminfo(task: &Arc<Task>) -> Result<Vec<u8>> {
    let container = &task.process.container;
    let (host_total, host_free) = host_memory();
    let total = container.limits.memory.map_or(host_total, |limit| limit.min(host_total));
    let free = total.saturating_sub(memory_in_use(task)).min(host_free);
    let shared = crate::vfs::tree::memory_used(&container.root);
    let rows = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", free),
        ("Buffers", 0),
        ("Cached", shared),
        ("SwapCached", 0),
        ("Active", total - free),
        ("Inactive", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("AnonPages", (total - free).saturating_sub(shared)),
        ("Mapped", 0),
        ("Shmem", shared),
        ("Slab", 0),
        ("CommitLimit", total),
        ("Committed_AS", total - free),
        ("VmallocTotal", 0),
        ("AnonHugePages", 0),
    ];
    let mut text: String = rows.iter().map(|(name, bytes)| format!("{:<15} {:>8} kB\n", format!("{name}:"), bytes / 1024)).collect();
    text.push_str("HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\nHugePages_Surp:        0\nHugepagesize:       2048 kB\n");
    Ok(text.into_bytes())
}

/// Averages are of this moment: nobody counts while nothing happens.
fn loadavg(task: &Arc<Task>) -> Result<Vec<u8>> {
    let tasks: Vec<Arc<Task>> = task.process.container.pids.table().tasks.values().cloned().collect();
    let running = tasks.iter().filter(|task| !task.sleeps()).count();
    let last = tasks.iter().map(|task| task.tid()).max().unwrap_or(0);
    Ok(format!("{running}.00 {running}.00 {running}.00 {running}/{} {last}\n", tasks.len()).into_bytes())
}

/// In hundredths of a second: user and system time of all processes.
fn busy(task: &Arc<Task>) -> (u128, u128) {
    task.process.container.pids.processes().iter().fold((0, 0), |(user, system), process| {
        let times = process.times();
        (user + times.user.as_millis() / 10, system + times.system.as_millis() / 10)
    })
}

fn stat(task: &Arc<Task>) -> Result<Vec<u8>> {
    let uptime = task.kernel().uptime();
    let (user, system) = busy(task);
    let count = processors() as u128;
    let idle = (uptime.as_millis() / 10 * count).saturating_sub(user + system);
    let mut text = format!("cpu  {user} 0 {system} {idle} 0 0 0 0 0 0\n");
    for number in 0..count {
        text.push_str(&format!("cpu{number} {} 0 {} {} 0 0 0 0 0 0\n", user / count, system / count, idle / count));
    }
    let boot = crate::fs::now().seconds - i64::try_from(uptime.as_secs()).unwrap_or(0);
    let table = task.process.container.pids.table();
    let (processes, running) = (table.processes.len(), table.tasks.len());
    drop(table);
    text.push_str(&format!("intr 0\nctxt 0\nbtime {boot}\nprocesses {processes}\nprocs_running {running}\nprocs_blocked 0\nsoftirq 0\n"));
    Ok(text.into_bytes())
}

fn uptime(task: &Arc<Task>) -> Result<Vec<u8>> {
    let uptime = task.kernel().uptime();
    let (user, system) = busy(task);
    let idle = (uptime.as_millis() / 10 * processors() as u128).saturating_sub(user + system);
    Ok(format!("{:.2} {}.{:02}\n", uptime.as_secs_f64(), idle / 100, idle % 100).into_bytes())
}

fn vmstat(task: &Arc<Task>) -> Result<Vec<u8>> {
    let free = host_memory().1 / 4096;
    let shared = crate::vfs::tree::memory_used(&task.process.container.root) / 4096;
    Ok(format!("nr_free_pages {free}\nnr_shmem {shared}\npgpgin 0\npgpgout 0\npswpin 0\npswpout 0\npgfault 0\npgmajfault 0\noom_kill 0\n")
        .into_bytes())
}
