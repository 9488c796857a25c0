//! Limits by the host's cgroups: version 1, version 2, both at once (hybrid), or none. Where limits go is decided by [`plan`], without effects.
//!
//! A pod's kernel is in the cgroups of the pod's first container. The processes that run guests are in those of their containers, and so are, in
//! version 1 and as far as processor time goes, the kernel's threads that work for them. Device rules have no effect on guests and are not applied:
//! no guest reaches a device of the host.

mod layout;
mod plan;
mod stats;

pub use layout::{Layout, systemd_path};
pub use plan::{Plan, Write, plan, unlimited_changes};
pub use stats::{memory_kills, stats};

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use crate::error::{Context, Result};
use crate::log;

/// How long removing a cgroup is tried again while its last processes end.
const REMOVE_WAIT: Duration = Duration::from_millis(500);
/// Between two tries, at first and at most.
const REMOVE_PAUSE: Duration = Duration::from_micros(100);
const REMOVE_PAUSE_MAX: Duration = Duration::from_millis(10);

/// What `apply` did.
#[derive(Debug, Default)]
pub struct Applied {
    /// Directories, by controller.
    pub directories: BTreeMap<String, String>,
    /// How processes get into them.
    pub entrances: Entrances,
}

/// What a process needs to start in cgroups: see [`quark_host::process::Cgroups`].
#[derive(Debug, Default)]
pub struct Entrances {
    /// Version 2's directory.
    pub unified: Option<File>,
    /// Version 1's `tasks`.
    pub tasks: Vec<File>,
}

/// Files to which the ids are written of what is to move into cgroups that are there (`0`: the writing thread's).
#[derive(Debug)]
pub struct Transfers {
    /// For processes, while they have one thread.
    pub processes: Vec<File>,
    /// For threads: version 1's, of what limits and counts processor time.
    pub threads: Vec<File>,
}

impl Transfers {
    /// Into directories by controller.
    pub fn open(directories: &BTreeMap<String, String>) -> Result<Transfers> {
        let open = |controller: &str, directory: &str| {
            let path = Path::new(directory).join(if controller == "unified" { "cgroup.procs" } else { "tasks" });
            File::options().write(true).open(&path).context(|| format!("open \"{}\"", path.display()))
        };
        let processor = ["cpu", "cpuacct", "cpuset"];
        let of_threads = directories.iter().filter(|(controller, _)| processor.contains(&controller.as_str()));
        Ok(Transfers {
            processes: directories.iter().map(|(controller, directory)| open(controller, directory)).collect::<Result<_>>()?,
            threads: of_threads.map(|(controller, directory)| open(controller, directory)).collect::<Result<_>>()?,
        })
    }

    /// All, as a message has them.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.processes.iter().chain(&self.threads).map(File::as_fd)
    }
}

/// Makes a plan's directories and writes its limits. A directory that can't be made (read-only or no cgroups), and a controller of version 2 that isn't passed on to it,
/// are only logged; a limit that can't be written is an error.
pub fn apply(plan: &Plan) -> Result<Applied> {
    let mut applied = Applied::default();
    for (controller, directory) in &plan.directories {
        if let Err(error) = make(plan, controller, directory) {
            log::warn(&format!("No limits by the controller \"{controller}\": cannot make \"{}\": {error}", directory.display()));
            continue;
        }
        applied.directories.insert(controller.clone(), directory.display().to_string());
    }
    for write in plan.writes.iter().filter(|write| applied.directories.contains_key(&write.controller)) {
        if let Err(error) = write_limit(write) {
            remove(&applied.directories);
            return Err(error);
        }
    }
    for (controller, directory) in &applied.directories {
        applied.entrances.add(controller, Path::new(directory))?;
    }
    for note in &plan.notes {
        log::warn(note);
    }
    log::debug(&describe(&applied.directories));
    Ok(applied)
}

impl Entrances {
    fn add(&mut self, controller: &str, directory: &Path) -> Result<()> {
        if controller == "unified" {
            self.unified = Some(File::open(directory).context(|| format!("open \"{}\"", directory.display()))?);
        } else {
            let path = directory.join("tasks");
            self.tasks.push(File::options().write(true).open(&path).context(|| format!("open \"{}\"", path.display()))?);
        }
        Ok(())
    }
}

fn describe(directories: &BTreeMap<String, String>) -> String {
    let all: Vec<String> = directories.iter().map(|(controller, directory)| format!("{controller} in {directory}")).collect();
    if all.is_empty() { "Nothing is limited: no cgroups".to_owned() } else { format!("Limits: {}", all.join(", ")) }
}

/// Writes changed limits to directories that are there.
pub fn update(plan: &Plan, directories: &BTreeMap<String, String>) -> Result<()> {
    for write in &plan.writes {
        if directories.contains_key(&write.controller) {
            write_limit(write)?;
        }
    }
    for note in &plan.notes {
        log::warn(note);
    }
    Ok(())
}

fn write_limit(write: &Write) -> Result<()> {
    let written = File::options().write(true).open(&write.file).and_then(|mut file| file.write_all(write.value.as_bytes()));
    match written {
        Err(error) if error.kind() == ErrorKind::NotFound && write.controller == "unified" => {
            log::warn(&unlimited(&write.file));
            Ok(())
        }
        Err(error) if write.optional => {
            log::warn(&format!("Cannot write \"{}\" to \"{}\": {error}", write.value, write.file.display()));
            Ok(())
        }
        written => written.context(|| format!("write \"{}\" to \"{}\"", write.value, write.file.display())),
    }
}

/// Says why a directory of version 2 lacks the file of a limit.
fn unlimited(file: &Path) -> String {
    let [directory, above] = [1, 2].map(|up| file.ancestors().nth(up).unwrap_or(file));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let controller = name.split('.').next().unwrap_or_default();
    let processes = fs::read_to_string(above.join("cgroup.procs")).is_ok_and(|pids| !pids.is_empty());
    let why = if processes { "which has processes of its own (move them to a cgroup below)" } else { "which nobody has delegated" };
    let (directory, above) = (directory.display(), above.display());
    format!("No limit by \"{name}\": \"{directory}\" has no controller \"{controller}\" from \"{above}\", {why}")
}

fn make(plan: &Plan, controller: &str, directory: &Path) -> std::io::Result<()> {
    let new = !directory.is_dir();
    if new {
        fs::create_dir_all(directory)?;
    }
    match controller {
        "cpuset" if new => inherit_cpuset(plan, directory),
        // Whoever made the directory may have left this to us.
        "unified" => enable_controllers(plan, directory),
        _ => Ok(()),
    }
}

/// Version 1's cpuset is empty in a new directory, and nothing can join it until it isn't: takes over what the parents have.
fn inherit_cpuset(plan: &Plan, directory: &Path) -> std::io::Result<()> {
    let root = plan.roots.get("cpuset").cloned().unwrap_or_default();
    let below: Vec<&Path> = directory.ancestors().take_while(|path| *path != root).collect();
    for path in below.into_iter().rev() {
        let Some(parent) = path.parent() else { continue };
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if fs::read_to_string(path.join(file))?.trim().is_empty() {
                fs::write(path.join(file), fs::read_to_string(parent.join(file))?)?;
            }
        }
    }
    Ok(())
}

/// Version 2 has only those controllers in a directory that its parent passes on.
fn enable_controllers(plan: &Plan, directory: &Path) -> std::io::Result<()> {
    let root = plan.roots.get("unified").cloned().unwrap_or_default();
    let mut above: Vec<&Path> = directory.ancestors().skip(1).take_while(|path| path.starts_with(&root)).collect();
    above.reverse();
    for path in above {
        // Passing some on would make it a threaded domain, below which no process can be. The host's root, which has no type, may have both.
        if path.join("cgroup.type").exists() && !fs::read_to_string(path.join("cgroup.procs"))?.is_empty() {
            log::debug(&format!("\"{}\" has processes of its own and passes no controllers on", path.display()));
            continue;
        }
        let known = fs::read_to_string(path.join("cgroup.controllers"))?;
        let passed = fs::read_to_string(path.join("cgroup.subtree_control"))?;
        let wanted = known.split_whitespace().filter(|name| !passed.split_whitespace().any(|other| other == *name));
        // One at a time: a controller that can't be passed on must not take the others along.
        for controller in wanted.map(|name| format!("+{name}")) {
            if let Err(error) = fs::write(path.join("cgroup.subtree_control"), &controller) {
                log::debug(&format!("Cannot pass \"{controller}\" on below \"{}\": {error}", path.display()));
            }
        }
    }
    Ok(())
}

/// Removes directories, once their processes have ended. What can't be removed is logged.
pub fn remove(directories: &BTreeMap<String, String>) {
    remove_all(directories, |_| {});
}

/// The same, and kills processes that are left in them.
pub fn destroy(directories: &BTreeMap<String, String>) {
    remove_all(directories, kill);
}

fn remove_all(directories: &BTreeMap<String, String>, busy: impl Fn(&Path)) {
    for directory in directories.values() {
        if let Err(error) = remove_one(Path::new(directory), &busy) {
            log::warn(&format!("Cannot remove the cgroup \"{directory}\": {error}"));
        }
    }
}

fn remove_one(directory: &Path, busy: impl Fn(&Path)) -> std::io::Result<()> {
    let mut pause = REMOVE_PAUSE;
    let mut waited = Duration::ZERO;
    loop {
        match fs::remove_dir(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ResourceBusy && waited < REMOVE_WAIT => {
                busy(directory);
                std::thread::sleep(pause);
                waited += pause;
                pause = (pause * 2).min(REMOVE_PAUSE_MAX);
            }
            result => return result,
        }
    }
}

/// The processes in directories that are a container's own.
pub fn members(directories: &BTreeMap<String, String>) -> BTreeSet<i32> {
    let lists = directories.values().filter_map(|directory| fs::read_to_string(Path::new(directory).join("cgroup.procs")).ok());
    lists.flat_map(|list| list.lines().filter_map(|line| line.parse().ok()).collect::<Vec<i32>>()).collect()
}

/// Kills every process in a container's own directory.
fn kill(directory: &Path) {
    let processes = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    for pid in processes.lines().filter_map(|line| rustix::process::Pid::from_raw(line.parse().ok()?)) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}
