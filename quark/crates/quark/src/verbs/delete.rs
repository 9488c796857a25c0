//! `quark delete`.

use std::time::{Duration, Instant};

use crate::cgroup;
use crate::client::Connection;
use crate::error::{Error, Result};
use crate::hooks;
use crate::log;
use crate::messages::Order;
use crate::state::{Phase, State};
use crate::store::{Entry, Store};

/// How long a killed process may take to be gone.
const DEATH_WAIT: Duration = Duration::from_secs(10);

/// Removes a container: one that has stopped or was never started, or any with `force`.
pub fn delete(store: &Store, id: &str, force: bool) -> Result<()> {
    let entry = match store.lock(id) {
        Err(error) if force && error.to_string().contains("does not exist") => return Ok(()),
        entry => entry?,
    };
    let state = entry.state()?;
    if !force && state.alive() && matches!(state.phase, Phase::Running | Phase::Paused) {
        let status = state.status(false);
        return Err(Error::new(format!("cannot delete container \"{id}\": it is {status}; stop it first, or use --force")));
    }
    remove(store, entry, &state)
}

/// Removes everything of a container, whatever state it is in. Goes on after failures of parts.
pub fn remove(store: &Store, entry: Entry, state: &State) -> Result<()> {
    if state.sandbox != state.id {
        forget(store, state);
    }
    super::kill::end(state);
    await_death(state)?;
    if state.sandbox == state.id {
        // Stubs of a kernel that is being torn down may be left.
        cgroup::destroy(&state.cgroups);
    } else {
        cgroup::remove(&state.cgroups);
    }
    if state.phase != Phase::Creating {
        let report = super::create::report(state, false)?;
        hooks::run_all("poststop", &state.hooks.poststop, &report);
    }
    entry.remove()
}

/// Tells the pod's kernel, which runs other containers too, to drop this one.
fn forget(store: &Store, state: &State) {
    if !state.kernel.is_some_and(|kernel| kernel.alive()) {
        return;
    }
    let told =
        store.open(&state.sandbox).and_then(|sandbox| Connection::open(&sandbox)?.tell(&Order::Remove { id: state.id.clone() }, &[]));
    if let Err(error) = told {
        log::debug(&format!("The pod's kernel has not dropped the container: {error}"));
    }
}

fn await_death(state: &State) -> Result<()> {
    let deadline = Instant::now() + DEATH_WAIT;
    let mut pause = Duration::from_micros(100);
    while state.alive() {
        if Instant::now() > deadline {
            return Err(Error::new(format!("The process of container \"{}\" has been killed but does not end", state.id)));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
    Ok(())
}
