//! `quark state`.

use crate::error::Result;
use crate::messages::{Answer, Order};
use crate::plan::HIBERNATED_ANNOTATION;
use crate::state::{Phase, State};
use crate::store::Store;

/// Prints what is known of a container.
pub fn state(store: &Store, id: &str) -> Result<()> {
    let (entry, mut state) = super::look_up(store, id)?;
    if state.phase != Phase::Creating && state.alive() && asleep(store, &state) {
        state.annotations.insert(HIBERNATED_ANNOTATION.to_owned(), "true".to_owned());
    }
    super::print_json(&state.report(entry.busy()))
}

/// Whether its pod's memory is in a file. A kernel that doesn't answer has other troubles.
fn asleep(store: &Store, state: &State) -> bool {
    let answer = super::connect(store, state).and_then(|connection| connection.ask(&Order::Asleep, &[]));
    matches!(answer, Ok(Answer::Asleep(true)))
}
