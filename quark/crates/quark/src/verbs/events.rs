//! `quark events`.

use serde_json::json;

use crate::cgroup;
use crate::cli::Parsed;
use crate::duration::parse_duration;
use crate::error::{Error, Result};
use crate::messages::{Answer, Order};
use crate::state::State;
use crate::store::Store;

/// Prints a line of JSON at once and, unless `--stats` is set, after each interval as long as the container lives.
pub fn events(store: &Store, parsed: &Parsed) -> Result<()> {
    let id = parsed.operand(0);
    let interval = parsed.value("interval").unwrap_or("5s");
    let interval = parse_duration(interval)
        .ok_or_else(|| Error::usage(format!("--interval must be a duration such as 500ms, 5s or 1m30s, not \"{interval}\"")))?;
    loop {
        let (_, state) = super::look_up(store, id)?;
        if !state.alive() {
            return if parsed.has("stats") { Err(Error::not_running(id)) } else { Ok(()) };
        }
        super::print(&line(store, &state)?)?;
        if parsed.has("stats") {
            return Ok(());
        }
        std::thread::sleep(interval);
    }
}

fn line(store: &Store, state: &State) -> Result<String> {
    let mut data = cgroup::stats(&state.cgroups);
    // What the kernel counts itself is per container, also for those that share a pod's cgroup.
    let kernel = super::connect(store, state)?;
    if let (Ok(Answer::Usage(usage)), Some(data)) = (kernel.ask(&Order::Usage { id: state.id.clone() }, &[]), data.as_object_mut()) {
        data.insert("guest".to_owned(), json!(usage));
    }
    Ok(format!("{}\n", json!({ "type": "stats", "id": state.id, "data": data })))
}
