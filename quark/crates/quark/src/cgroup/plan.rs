//! Which directories a container's limits need, and what is written to them. Pure.
//!
//! Files and conversions are as the kernel's documentation has them (admin-guide/cgroup-v1/*, admin-guide/cgroup-v2.rst).

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::layout::Layout;
use crate::config::{Cpu, Memory, Resources};

/// Threads and processes of ours that are no guest's; each guest thread has one in the pod's kernel, and one in a stub.
const OUR_THREADS: i64 = 32;

/// What to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// By controller, in the order in which they are joined; version 2's is `unified`.
    pub directories: Vec<(String, PathBuf)>,
    /// In order.
    pub writes: Vec<Write>,
    /// What is asked for and can't be limited.
    pub notes: Vec<String>,
    /// Where each hierarchy is mounted, by controller.
    pub roots: BTreeMap<String, PathBuf>,
}

/// One limit.
#[derive(Debug, PartialEq, Eq)]
pub struct Write {
    /// Whose directory it's in.
    pub controller: String,
    /// The file.
    pub file: PathBuf,
    /// What is written.
    pub value: String,
    /// Hosts may lack it: failing is no error.
    pub optional: bool,
}

/// Plans a container's cgroups. `path` is absolute from the mounts or relative to our own cgroup.
pub fn plan(layout: &Layout, path: &str, resources: &Resources) -> Plan {
    let mut plan = Plan::default();
    for (controller, hierarchy) in &layout.v1 {
        plan.directories.push((controller.clone(), hierarchy.directory(path)));
        plan.roots.insert(controller.clone(), hierarchy.mount.clone());
    }
    if let Some(v2) = &layout.v2 {
        plan.directories.push(("unified".to_owned(), v2.directory(path)));
        plan.roots.insert("unified".to_owned(), v2.mount.clone());
    }
    let mut builder = Builder { layout, path, plan };
    builder.resources(resources);
    builder.plan
}

/// Lifts the memory limit's order problem of `update`: version 1 refuses a memory limit above that of memory and swap, so that the
/// latter is written first when both grow. `current` is the latter's present value, bytes.
pub fn unlimited_changes(plan: &mut Plan, current: Option<i64>) {
    let position = |plan: &Plan, name: &str| plan.writes.iter().position(|write| write.file.ends_with(name));
    let (Some(memory), Some(swap)) = (position(plan, "memory.limit_in_bytes"), position(plan, "memory.memsw.limit_in_bytes")) else {
        return;
    };
    let wanted = plan.writes.get(swap).and_then(|write| write.value.parse::<i64>().ok());
    let grows = wanted == Some(-1) || wanted > current;
    if grows && memory < swap {
        plan.writes.swap(memory, swap);
    }
}

struct Builder<'a> {
    layout: &'a Layout,
    path: &'a str,
    plan: Plan,
}

/// Which version has a controller.
enum Version {
    One,
    Two,
}

impl Builder<'_> {
    fn resources(&mut self, resources: &Resources) {
        if let Some(memory) = &resources.memory {
            self.memory(memory);
        }
        if let Some(cpu) = &resources.cpu {
            self.cpu(cpu);
            self.cpuset(cpu);
        }
        if let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit) {
            let limit = if limit > 0 { threads_of(limit).to_string() } else { "max".to_owned() };
            self.either("pids", "pids.max", "pids.max", limit, "the number of processes");
        }
        self.block_io(resources);
        for limit in &resources.hugepage_limits {
            let (one, two) = (format!("hugetlb.{}.limit_in_bytes", limit.page_size), format!("hugetlb.{}.max", limit.page_size));
            self.either("hugetlb", &one, &two, limit.limit.to_string(), "huge pages");
        }
        for (file, value) in &resources.unified {
            let sane = !file.contains('/') && file.contains('.') && !file.starts_with("cgroup.");
            match self.layout.v2 {
                Some(_) if sane => self.write("unified", file, value.clone(), false),
                Some(_) => self.plan.notes.push(format!("`linux.resources.unified` has \"{file}\", which is no file of a limit")),
                None => self.plan.notes.push(format!("`linux.resources.unified` has \"{file}\", but the host has no cgroup version 2")),
            }
        }
    }

    fn memory(&mut self, memory: &Memory) {
        match self.version("memory") {
            Some(Version::One) => self.memory_one(memory),
            Some(Version::Two) => self.memory_two(memory),
            None if memory.limit.is_some_and(|limit| limit != 0) => self.missing("memory", "memory"),
            None => {}
        }
    }

    fn memory_one(&mut self, memory: &Memory) {
        let set = |value: Option<i64>| value.filter(|bytes| *bytes != 0);
        if let Some(limit) = set(memory.limit) {
            self.write("memory", "memory.limit_in_bytes", limit.to_string(), false);
        }
        if let Some(swap) = set(memory.swap) {
            // Without swap accounting the file isn't there.
            self.write("memory", "memory.memsw.limit_in_bytes", swap.to_string(), true);
        }
        if let Some(reservation) = set(memory.reservation) {
            self.write("memory", "memory.soft_limit_in_bytes", reservation.to_string(), false);
        }
        if let Some(swappiness) = memory.swappiness {
            self.write("memory", "memory.swappiness", swappiness.to_string(), true);
        }
        if let Some(true) = memory.disable_oom_killer {
            self.write("memory", "memory.oom_control", "1".to_owned(), false);
        }
    }

    fn memory_two(&mut self, memory: &Memory) {
        let set = |value: Option<i64>| value.filter(|bytes| *bytes != 0);
        let text = |bytes: i64| if bytes < 0 { "max".to_owned() } else { bytes.to_string() };
        if let Some(swap) = set(memory.swap) {
            let alone = match memory.limit {
                Some(limit) if swap > 0 && limit > 0 => text((swap - limit).max(0)),
                _ => text(-1),
            };
            self.write("unified", "memory.swap.max", alone, true);
        }
        if let Some(limit) = set(memory.limit) {
            self.write("unified", "memory.max", text(limit), false);
        }
        if let Some(reservation) = set(memory.reservation) {
            self.write("unified", "memory.low", text(reservation), false);
        }
    }

    fn cpu(&mut self, cpu: &Cpu) {
        let limits = cpu.quota.is_some_and(|quota| quota > 0);
        match self.version("cpu") {
            Some(Version::One) => self.cpu_one(cpu),
            Some(Version::Two) => self.cpu_two(cpu),
            None if limits => self.missing("cpu", "processor time"),
            None => {}
        }
    }

    fn cpu_one(&mut self, cpu: &Cpu) {
        let words = [
            ("cpu.shares", cpu.shares.filter(|shares| *shares != 0).map(|shares| shares.to_string()), false),
            ("cpu.cfs_period_us", cpu.period.filter(|period| *period != 0).map(|period| period.to_string()), false),
            ("cpu.cfs_quota_us", cpu.quota.filter(|quota| *quota != 0).map(|quota| quota.to_string()), false),
            ("cpu.cfs_burst_us", cpu.burst.map(|burst| burst.to_string()), true),
            ("cpu.rt_period_us", cpu.realtime_period.filter(|period| *period != 0).map(|period| period.to_string()), false),
            ("cpu.rt_runtime_us", cpu.realtime_runtime.filter(|runtime| *runtime != 0).map(|runtime| runtime.to_string()), false),
            ("cpu.idle", cpu.idle.map(|idle| idle.to_string()), true),
        ];
        for (file, value, optional) in words {
            if let Some(value) = value {
                self.write("cpu", file, value, optional);
            }
        }
    }

    fn cpu_two(&mut self, cpu: &Cpu) {
        if let Some(shares) = cpu.shares.filter(|shares| *shares != 0) {
            self.write("unified", "cpu.weight", weight_of_shares(shares).to_string(), false);
        }
        let quota = cpu.quota.filter(|quota| *quota != 0);
        let period = cpu.period.filter(|period| *period != 0);
        if quota.is_some() || period.is_some() {
            let quota = quota.filter(|quota| *quota > 0).map_or_else(|| "max".to_owned(), |quota| quota.to_string());
            self.write("unified", "cpu.max", format!("{quota} {}", period.unwrap_or(100_000)), false);
        }
        if let Some(burst) = cpu.burst {
            self.write("unified", "cpu.max.burst", burst.to_string(), true);
        }
        if let Some(idle) = cpu.idle {
            self.write("unified", "cpu.idle", idle.to_string(), true);
        }
    }

    fn cpuset(&mut self, cpu: &Cpu) {
        for (file, list) in [("cpuset.cpus", &cpu.cpus), ("cpuset.mems", &cpu.mems)] {
            if !list.is_empty() {
                self.either("cpuset", file, file, list.clone(), "which processors are used");
            }
        }
    }

    fn block_io(&mut self, resources: &Resources) {
        let Some(block) = &resources.block_io else {
            return;
        };
        let version = self.version(if self.layout.v1.contains_key("blkio") { "blkio" } else { "io" });
        let throttles = [
            (&block.throttle_read_bps_device, "blkio.throttle.read_bps_device", "rbps"),
            (&block.throttle_write_bps_device, "blkio.throttle.write_bps_device", "wbps"),
            (&block.throttle_read_iops_device, "blkio.throttle.read_iops_device", "riops"),
            (&block.throttle_write_iops_device, "blkio.throttle.write_iops_device", "wiops"),
        ];
        for (list, one, two) in throttles {
            for throttle in list {
                let device = format!("{}:{}", throttle.major, throttle.minor);
                match version {
                    Some(Version::One) => self.write("blkio", one, format!("{device} {}", throttle.rate), false),
                    Some(Version::Two) => self.write("unified", "io.max", format!("{device} {two}={}", throttle.rate), false),
                    None => self.missing("io", "block I/O"),
                }
            }
        }
        // Which of the files there is depends on the host's I/O scheduler.
        match (version, block.weight.filter(|weight| *weight != 0)) {
            (Some(Version::One), Some(weight)) => self.write("blkio", "blkio.bfq.weight", weight.to_string(), true),
            (Some(Version::Two), Some(weight)) => self.write("unified", "io.bfq.weight", weight.to_string(), true),
            _ => {}
        }
    }

    fn either(&mut self, controller: &str, one: &str, two: &str, value: String, what: &str) {
        match self.version(controller) {
            Some(Version::One) => self.write(controller, one, value, false),
            Some(Version::Two) => self.write("unified", two, value, false),
            None => self.missing(controller, what),
        }
    }

    fn version(&self, controller: &str) -> Option<Version> {
        if self.layout.v1.contains_key(controller) {
            return Some(Version::One);
        }
        self.layout.v2_controllers.iter().any(|name| name == controller).then_some(Version::Two)
    }

    fn write(&mut self, controller: &str, file: &str, value: String, optional: bool) {
        let hierarchy = match controller {
            "unified" => self.layout.v2.as_ref(),
            controller => self.layout.v1.get(controller),
        };
        if let Some(hierarchy) = hierarchy {
            let file = hierarchy.directory(self.path).join(file);
            self.plan.writes.push(Write { controller: controller.to_owned(), file, value, optional });
        }
    }

    fn missing(&mut self, controller: &str, what: &str) {
        let note = format!("No limit of {what}: the host's cgroups have no controller \"{controller}\"");
        if !self.plan.notes.contains(&note) {
            self.plan.notes.push(note);
        }
    }
}

/// What the host counts where guests may have `limit` threads. The pod's kernel counts those; the host's limit is for what it does not know of.
fn threads_of(limit: i64) -> i64 {
    limit.saturating_mul(2).saturating_add(OUR_THREADS)
}

/// The limit of guests' threads of which the host's is `limit`.
pub fn limit_of_threads(limit: u64) -> u64 {
    limit.saturating_sub(OUR_THREADS.unsigned_abs()).div_ceil(2)
}

/// Version 2's weight (1 to 10000) for version 1's shares (2 to 262144), linear, as Kubernetes and runc convert them.
fn weight_of_shares(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::layout::Hierarchy;
    use super::*;

    fn resources() -> Resources {
        serde_json::from_value(json!({
            "memory": { "limit": 1000, "swap": 1500, "reservation": 500 },
            "cpu": { "shares": 1024, "quota": 50000, "period": 100000, "cpus": "0-1" },
            "pids": { "limit": 10 },
            "devices": [{ "allow": false }]
        }))
        .expect("resources")
    }

    #[test]
    fn limits_of_threads_are_told_as_they_were_asked_for() {
        assert_eq!([1, 10, 4096].map(|limit| limit_of_threads(threads_of(limit).unsigned_abs())), [1, 10, 4096]);
        assert_eq!(limit_of_threads(0), 0);
    }

    fn written(layout: &Layout) -> (Vec<String>, Vec<String>) {
        let plan = plan(layout, "/p/c", &resources());
        let writes = plan.writes.iter().map(|write| format!("{}={}", write.file.display(), write.value)).collect();
        (writes, plan.notes)
    }

    fn one(names: &[&str]) -> BTreeMap<String, Hierarchy> {
        names.iter().map(|name| (name.to_string(), Hierarchy { mount: format!("/c/{name}").into(), own: "/".into() })).collect()
    }

    #[test]
    fn version_1_has_a_directory_a_controller() {
        let layout = Layout { v1: one(&["cpu", "cpuset", "freezer", "memory", "pids"]), ..Layout::default() };
        let (writes, notes) = written(&layout);
        assert_eq!(
            writes,
            [
                "/c/memory/p/c/memory.limit_in_bytes=1000",
                "/c/memory/p/c/memory.memsw.limit_in_bytes=1500",
                "/c/memory/p/c/memory.soft_limit_in_bytes=500",
                "/c/cpu/p/c/cpu.shares=1024",
                "/c/cpu/p/c/cpu.cfs_period_us=100000",
                "/c/cpu/p/c/cpu.cfs_quota_us=50000",
                "/c/cpuset/p/c/cpuset.cpus=0-1",
                "/c/pids/p/c/pids.max=52",
            ]
        );
        assert_eq!(notes, Vec::<String>::new());
        assert_eq!(plan(&layout, "/p/c", &Resources::default()).directories.len(), 5);
    }

    #[test]
    fn version_2_has_one_directory() {
        let controllers = ["cpu", "cpuset", "memory", "pids", "io"].map(str::to_owned).to_vec();
        let layout =
            Layout { v2: Some(Hierarchy { mount: "/c".into(), own: "/".into() }), v2_controllers: controllers, ..Layout::default() };
        let (writes, _) = written(&layout);
        assert_eq!(
            writes,
            [
                "/c/p/c/memory.swap.max=500",
                "/c/p/c/memory.max=1000",
                "/c/p/c/memory.low=500",
                "/c/p/c/cpu.weight=39",
                "/c/p/c/cpu.max=50000 100000",
                "/c/p/c/cpuset.cpus=0-1",
                "/c/p/c/pids.max=52",
            ]
        );
    }

    #[test]
    fn hybrid_uses_what_each_version_has() {
        let v2 = Some(Hierarchy { mount: "/u".into(), own: "/".into() });
        let layout = Layout { v1: one(&["cpu"]), v2, v2_controllers: vec!["memory".into()] };
        let (writes, notes) = written(&layout);
        assert!(writes.contains(&"/c/cpu/p/c/cpu.shares=1024".into()) && writes.contains(&"/u/p/c/memory.max=1000".into()));
        assert_eq!(
            notes,
            [
                "No limit of which processors are used: the host's cgroups have no controller \"cpuset\"",
                "No limit of the number of processes: the host's cgroups have no controller \"pids\"",
            ]
        );
    }

    #[test]
    fn without_cgroups_everything_is_told() {
        let (writes, notes) = written(&Layout::default());
        assert_eq!((writes.len(), notes.len()), (0, 4));
    }

    #[test]
    fn shares_and_weights_meet_at_their_ends() {
        assert_eq!([0, 2, 1024, 262_144, u64::MAX].map(weight_of_shares), [1, 1, 39, 10_000, 10_000]);
    }

    #[test]
    fn growing_limits_write_swap_first() {
        let layout = Layout { v1: one(&["memory"]), ..Layout::default() };
        let mut grown = plan(&layout, "/p/c", &resources());
        unlimited_changes(&mut grown, Some(1200));
        assert!(grown.writes.first().is_some_and(|write| write.file.ends_with("memory.memsw.limit_in_bytes")));
        let mut shrunk = plan(&layout, "/p/c", &resources());
        unlimited_changes(&mut shrunk, Some(9000));
        assert!(shrunk.writes.first().is_some_and(|write| write.file.ends_with("memory.limit_in_bytes")));
    }
}
