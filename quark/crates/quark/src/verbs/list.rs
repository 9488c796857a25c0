//! `quark list`.

use std::fmt::Write;

use crate::cli::Parsed;
use crate::error::{Error, Result};
use crate::store::Store;

/// Lists containers. Those that are deleted meanwhile are left out.
pub fn list(store: &Store, parsed: &Parsed) -> Result<()> {
    let ids = store.ids()?;
    if parsed.has("quiet") {
        return super::print(&ids.iter().map(|id| format!("{id}\n")).collect::<String>());
    }
    let all: Vec<_> = ids.iter().filter_map(|id| super::look_up(store, id).ok()).map(|(entry, state)| (entry.busy(), state)).collect();
    match parsed.value("format").unwrap_or("table") {
        "json" => super::print_json(&all.iter().map(|(busy, state)| state.report(*busy)).collect::<Vec<_>>()),
        "table" => {
            let mut text = format!("{:<24} {:<8} {:<9} {:<31} BUNDLE\n", "ID", "PID", "STATUS", "CREATED");
            for (busy, state) in &all {
                let status = state.status(*busy);
                let pid = state.process.filter(|_| status != "stopped").map_or(0, |process| process.pid);
                let _ = writeln!(text, "{:<24} {:<8} {:<9} {:<31} {}", state.id, pid, status, state.created, state.bundle);
            }
            super::print(&text)
        }
        format => Err(Error::usage(format!("--format must be table or json, not \"{format}\""))),
    }
}
