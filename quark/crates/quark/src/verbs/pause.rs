//! `quark pause` and `quark resume`.

use crate::error::{Error, Result};
use crate::messages::Order;
use crate::state::Phase;
use crate::store::Store;

/// Stops guest code. Our kernel goes on answering, so that a paused container can be looked at and killed.
pub fn pause(store: &Store, id: &str) -> Result<()> {
    change(store, id, ["running"], &Order::Pause, Phase::Paused)
}

/// Lets it go on.
pub fn resume(store: &Store, id: &str) -> Result<()> {
    change(store, id, ["paused"], &Order::Resume, Phase::Running)
}

fn change(store: &Store, id: &str, from: [&str; 1], order: &Order, to: Phase) -> Result<()> {
    let entry = store.lock(id)?;
    let mut state = entry.state()?;
    let status = state.status(false);
    if !from.contains(&status) {
        return Err(Error::new(format!("container \"{id}\" must be {} for this: it is {status}", from.join(" or "))));
    }
    super::connect(store, &state)?.tell(order, &[])?;
    state.phase = to;
    entry.save(&state)
}
