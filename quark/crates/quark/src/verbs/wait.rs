//! `quark wait`.

use crate::error::Result;
use crate::follow::{block_signals, follow};
use crate::messages::{End, Order};
use crate::store::Store;

/// Waits for a container's end; the result is its exit code. Signals to this command are the container's.
pub fn wait(store: &Store, id: &str) -> Result<u8> {
    let (_, state) = super::look_up(store, id)?;
    let signals = block_signals()?;
    let connection = super::connect(store, &state)?;
    connection.send(&Order::Wait { id: id.to_owned(), tied: false }, &[])?;
    follow(&connection.into_socket(), &signals).map(End::code)
}
