//! `quark events`.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::cgroup;
use crate::cli::Parsed;
use crate::duration::parse_duration;
use crate::error::{Error, Result};
use crate::messages::{Answer, Order};
use crate::state::State;
use crate::store::Store;

/// How often it is looked whether the host has killed for want of memory, and whether the container still lives.
const LOOK: Duration = Duration::from_millis(100);

/// Prints a line of JSON at once and, unless `--stats` is set, after each interval as long as the container lives; and one when the host has killed a
/// process of its for want of memory, as runc does.
pub fn events(store: &Store, parsed: &Parsed) -> Result<()> {
    let id = parsed.operand(0);
    let interval = parsed.value("interval").unwrap_or("5s");
    let interval = parse_duration(interval)
        .ok_or_else(|| Error::usage(format!("--interval must be a duration such as 500ms, 5s or 1m30s, not \"{interval}\"")))?;
    let (_, state) = super::look_up(store, id)?;
    let mut kills = cgroup::memory_kills(&state.cgroups);
    let mut due = Instant::now();
    loop {
        // Of a container that has ended, too: its cgroups stay until it is deleted.
        let now = cgroup::memory_kills(&state.cgroups);
        if now > kills {
            super::print(&format!("{}\n", json!({ "type": "oom", "id": id })))?;
            kills = now;
        }
        if !state.alive() {
            return if parsed.has("stats") { Err(Error::not_running(id)) } else { Ok(()) };
        }
        if Instant::now() >= due {
            due = Instant::now() + interval;
            match line(store, &state) {
                // It ended meanwhile.
                Err(_) if !state.alive() => continue,
                line => super::print(&line?)?,
            }
        }
        if parsed.has("stats") {
            return Ok(());
        }
        std::thread::sleep(LOOK.min(interval));
    }
}

fn line(store: &Store, state: &State) -> Result<String> {
    let mut data = cgroup::stats(&state.cgroups);
    // What the kernel counts itself is per container, also for those that share a pod's cgroup.
    let kernel = super::connect(store, state)?;
    if let (Ok(Answer::Usage(usage)), Some(data)) = (kernel.ask(&Order::Usage { id: state.id.clone() }, &[]), data.as_object_mut()) {
        // The host counts ours as well: two for each of the guests', and some.
        data.insert("pids".to_owned(), json!({ "current": usage.threads, "limit": data.get("pids").and_then(|pids| pids.get("limit")) }));
        data.insert("guest".to_owned(), json!(usage));
    }
    Ok(format!("{}\n", json!({ "type": "stats", "id": state.id, "data": data })))
}
