//! What a container's cgroups say it uses, in the shape that `runc events` prints.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::plan::limit_of_threads;

/// Reads what there is; sections without a controller are zero.
pub fn stats(directories: &BTreeMap<String, String>) -> Value {
    let reader = Reader(directories);
    json!({
        "cpu": reader.cpu(),
        "memory": reader.memory(),
        "pids": {
            "current": reader.number(&[("pids", "pids.current"), ("unified", "pids.current")]),
            "limit": limit_of_threads(reader.number(&[("pids", "pids.max"), ("unified", "pids.max")])),
        },
    })
}

/// How many processes the host has killed because they had reached a limit of memory. Version 1 tells it since Linux 4.13.
pub fn memory_kills(directories: &BTreeMap<String, String>) -> u64 {
    let reader = Reader(directories);
    let file = if directories.contains_key("memory") { ("memory", "memory.oom_control") } else { ("unified", "memory.events") };
    reader.table(file.0, file.1).get("oom_kill").copied().unwrap_or(0)
}

struct Reader<'a>(&'a BTreeMap<String, String>);

impl Reader<'_> {
    fn text(&self, controller: &str, file: &str) -> Option<String> {
        std::fs::read_to_string(Path::new(self.0.get(controller)?).join(file)).ok()
    }

    /// The first of these that can be read; `max` is 0, as runc has it for limits of processes.
    fn number(&self, places: &[(&str, &str)]) -> u64 {
        let texts = places.iter().filter_map(|(controller, file)| self.text(controller, file));
        texts.filter_map(|text| text.trim().parse().ok()).next().unwrap_or(0)
    }

    /// `name value` lines.
    fn table(&self, controller: &str, file: &str) -> BTreeMap<String, u64> {
        parse_table(&self.text(controller, file).unwrap_or_default())
    }

    fn cpu(&self) -> Value {
        if self.0.contains_key("cpuacct") {
            let throttling = self.table("cpu", "cpu.stat");
            let ticks = self.table("cpuacct", "cpuacct.stat");
            // USER_HZ is 100 on x86-64.
            let nanoseconds = |name: &str| ticks.get(name).copied().unwrap_or(0) * 10_000_000;
            return json!({
                "usage": { "total": self.number(&[("cpuacct", "cpuacct.usage")]), "kernel": nanoseconds("system"), "user": nanoseconds("user") },
                "throttling": { "periods": throttling.get("nr_periods"), "throttledPeriods": throttling.get("nr_throttled"), "throttledTime": throttling.get("throttled_time") },
            });
        }
        let table = self.table("unified", "cpu.stat");
        let nanoseconds = |name: &str| table.get(name).copied().unwrap_or(0) * 1000;
        json!({
            "usage": { "total": nanoseconds("usage_usec"), "kernel": nanoseconds("system_usec"), "user": nanoseconds("user_usec") },
            "throttling": { "periods": table.get("nr_periods"), "throttledPeriods": table.get("nr_throttled"), "throttledTime": nanoseconds("throttled_usec") },
        })
    }

    fn memory(&self) -> Value {
        let (usage, limit, raw) = if self.0.contains_key("memory") {
            ([("memory", "memory.usage_in_bytes")], [("memory", "memory.limit_in_bytes")], self.table("memory", "memory.stat"))
        } else {
            ([("unified", "memory.current")], [("unified", "memory.max")], self.table("unified", "memory.stat"))
        };
        let cache = raw.get("cache").or_else(|| raw.get("file"));
        json!({
            "cache": cache,
            "usage": { "usage": self.number(&usage), "limit": self.number(&limit), "max": self.number(&[("memory", "memory.max_usage_in_bytes"), ("unified", "memory.peak")]), "failcnt": self.number(&[("memory", "memory.failcnt")]) },
            "raw": raw,
        })
    }
}

fn parse_table(text: &str) -> BTreeMap<String, u64> {
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fake_hierarchy_is_read() {
        let directory = std::env::temp_dir().join(format!("quark-stats-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("directory");
        for (file, text) in [
            ("memory.current", "4096\n"),
            ("memory.max", "max\n"),
            ("memory.stat", "anon 1\nfile 2\n"),
            ("pids.current", "3\n"),
            ("pids.max", "52\n"),
            ("cpu.stat", "usage_usec 5\nuser_usec 4\n"),
        ] {
            std::fs::write(directory.join(file), text).expect("write");
        }
        std::fs::write(directory.join("memory.events"), "max 4\noom 3\noom_kill 2\n").expect("write");
        let directories = BTreeMap::from([("unified".to_owned(), directory.display().to_string())]);
        assert_eq!((memory_kills(&directories), memory_kills(&BTreeMap::new())), (2, 0));
        let stats = stats(&directories);
        std::fs::remove_dir_all(&directory).expect("remove");
        assert_eq!(stats["memory"]["usage"]["usage"], 4096);
        assert_eq!(stats["memory"]["cache"], 2);
        assert_eq!(stats["pids"], json!({ "current": 3, "limit": 10 }));
        assert_eq!(stats["cpu"]["usage"]["total"], 5000);
    }
}
