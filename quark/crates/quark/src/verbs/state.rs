//! `quark state`.

use crate::error::Result;
use crate::store::Store;

/// Prints what is known of a container.
pub fn state(store: &Store, id: &str) -> Result<()> {
    let (entry, state) = super::look_up(store, id)?;
    super::print_json(&state.report(entry.busy()))
}
