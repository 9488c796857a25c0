//! `quark start`.

use crate::error::{Error, Result};
use crate::hooks;
use crate::messages::Order;
use crate::plan;
use crate::state::Phase;
use crate::store::Store;

/// Runs a created container's program. A failed poststart hook stops it, as runc does.
pub fn start(store: &Store, id: &str) -> Result<()> {
    let entry = store.lock(id)?;
    let mut state = entry.state()?;
    match state.status(false) {
        "created" => {}
        "stopped" => return Err(Error::new(format!("cannot start container \"{id}\": it has stopped"))),
        status => return Err(Error::new(format!("cannot start container \"{id}\": it is {status}, not created"))),
    }
    let before = state.hooks.start_container.iter().map(|hook| {
        let mut process = state.template.clone();
        process.args = if hook.args.is_empty() { vec![hook.path.clone()] } else { hook.args.clone() };
        process.env.clone_from(&hook.env);
        plan::process(&process)
    });
    let before = before.collect();
    super::connect(store, &state)?.tell(&Order::Start { id: id.to_owned(), before }, &[])?;
    state.phase = Phase::Running;
    entry.save(&state)?;
    let report = super::create::report(&state, false)?;
    if let Err(error) = hooks::run("poststart", &state.hooks.poststart, &report) {
        let _ = super::connect(store, &state)
            .and_then(|kernel| kernel.tell(&Order::Signal { id: id.to_owned(), signal: libc::SIGKILL, all: true }, &[]));
        return Err(error);
    }
    Ok(())
}
