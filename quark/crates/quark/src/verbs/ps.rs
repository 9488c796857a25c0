//! `quark ps`.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::cli::Parsed;
use crate::error::{Error, Result};
use crate::messages::{Answer, GuestProcess, Order};
use crate::store::Store;

/// Lists processes: a table with the pids that the container sees, or as JSON the pids of the host.
pub fn ps(store: &Store, parsed: &Parsed) -> Result<()> {
    let id = parsed.operand(0);
    let (_, state) = super::look_up(store, id)?;
    let kernel = super::connect(store, &state)?;
    let Answer::Processes(processes) = kernel.ask(&Order::Processes { id: id.to_owned() }, &[])? else {
        return Err(Error::new("The pod's kernel has not told its processes"));
    };
    match parsed.value("format").unwrap_or("table") {
        "json" => {
            let inside = state.kernel.map_or_else(BTreeMap::new, |kernel| inner_pids(kernel.pid));
            let mut pids: Vec<i32> = processes.iter().filter_map(|process| inside.get(&process.host_pid).copied()).collect();
            // The container's first process is known by the process that stands for it.
            if let Some(own) = state.process.filter(|_| pids.is_empty()) {
                pids.push(own.pid);
            }
            super::print_json(&pids)
        }
        "table" => super::print(&table(&processes)),
        format => Err(Error::usage(format!("--format must be table or json, not \"{format}\""))),
    }
}

/// The host's pids of a kernel's children, by their pids in the pod's namespace.
fn inner_pids(kernel: i32) -> BTreeMap<i32, i32> {
    let mut pids = BTreeMap::new();
    for pid in crate::scores::children(kernel) {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        if let Some(inner) = innermost(&status) {
            pids.insert(inner, pid);
        }
    }
    pids
}

/// The last number in the line `NSpid:`.
fn innermost(status: &str) -> Option<i32> {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().last()?.parse().ok()
}

fn table(processes: &[GuestProcess]) -> String {
    let mut text = String::from("UID        PID  PPID NLWP STAT CMD\n");
    for process in processes {
        let _ = writeln!(
            text,
            "{:<8} {:>5} {:>5} {:>4} {:<4} {}",
            process.uid, process.pid, process.parent, process.threads, process.state, process.command
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pids_in_the_pod_are_the_innermost() {
        assert_eq!(innermost("Name:\tx\nNSpid:\t4242\t17\t3\nVmRSS: 1\n"), Some(3));
        assert_eq!(innermost("Name:\tx\n"), None);
    }

    #[test]
    fn the_table_is_aligned() {
        let process = GuestProcess { pid: 1, parent: 0, uid: 0, threads: 2, state: 'S', command: "sh -c x".into(), host_pid: 9 };
        assert_eq!(table(&[process]), "UID        PID  PPID NLWP STAT CMD\n0            1     0    2 S    sh -c x\n");
    }
}
