//! `quark update`.

use std::io::Read;
use std::path::Path;

use crate::cgroup::{self, Layout};
use crate::cli::Parsed;
use crate::config::{Resources, read_limited};
use crate::error::{Context, Error, Result};
use crate::state::State;
use crate::store::Store;

/// Changes limits: those of the flags, or those of a file, which then say nothing of others.
pub fn update(store: &Store, parsed: &Parsed) -> Result<()> {
    let id = parsed.operand(0);
    let entry = store.lock(id)?;
    let state = entry.state()?;
    if !state.alive() {
        return Err(Error::not_running(id));
    }
    let resources = match parsed.value("resources") {
        Some("-") => {
            let mut text = Vec::new();
            std::io::stdin().take(1 << 20).read_to_end(&mut text).context(|| "read standard input")?;
            read(&text, "standard input")?
        }
        Some(path) => read(&read_limited(Path::new(path))?, path)?,
        None => from_flags(parsed)?,
    };
    // Planned for directories that are there: their place in each hierarchy is known, whatever our own cgroup is now.
    let mut plan = cgroup::plan(&pinned(&state), "/", &resources);
    cgroup::unlimited_changes(&mut plan, current_swap(&state));
    cgroup::update(&plan, &state.cgroups)
}

fn read(text: &[u8], name: &str) -> Result<Resources> {
    serde_json::from_slice(text).context(|| format!("read limits from \"{name}\""))
}

/// A layout whose hierarchies begin at the container's own directories.
fn pinned(state: &State) -> Layout {
    let mut layout = Layout::of_host();
    layout.v1.retain(|controller, hierarchy| match state.cgroups.get(controller) {
        Some(directory) => {
            hierarchy.mount = directory.into();
            true
        }
        None => false,
    });
    match (&mut layout.v2, state.cgroups.get("unified")) {
        (Some(v2), Some(directory)) => v2.mount = directory.into(),
        _ => (layout.v2, layout.v2_controllers) = (None, Vec::new()),
    }
    layout
}

fn current_swap(state: &State) -> Option<i64> {
    let path = Path::new(state.cgroups.get("memory")?).join("memory.memsw.limit_in_bytes");
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn from_flags(parsed: &Parsed) -> Result<Resources> {
    let mut resources = Resources::default();
    let memory = resources.memory.get_or_insert_default();
    (memory.limit, memory.reservation, memory.swap) =
        (parsed.number("memory")?, parsed.number("memory-reservation")?, parsed.number("memory-swap")?);
    let cpu = resources.cpu.get_or_insert_default();
    (cpu.period, cpu.quota, cpu.shares) = (parsed.number("cpu-period")?, parsed.number("cpu-quota")?, parsed.number("cpu-share")?);
    cpu.cpus = parsed.value("cpuset-cpus").unwrap_or_default().to_owned();
    cpu.mems = parsed.value("cpuset-mems").unwrap_or_default().to_owned();
    resources.pids.get_or_insert_default().limit = parsed.number("pids-limit")?;
    resources.block_io.get_or_insert_default().weight = parsed.number("blkio-weight")?;
    Ok(resources)
}
