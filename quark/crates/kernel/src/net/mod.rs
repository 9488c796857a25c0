//! Sockets. Internet sockets are the host's, in the pod's network namespace, but for TCP of the pod to itself; unix sockets are ours; of netlink, what tells the addresses.

mod calls;
pub mod given;
mod host;
mod interfaces;
pub mod listing;
pub mod message;
mod node;
mod options;
pub mod route;
pub mod socket;
pub mod tables;
mod tcp;
mod transfer;
pub mod unix;

use std::sync::{Arc, LazyLock};

pub use calls::CALLS;
pub use tcp::channel;
use unix::Names;

/// The names of the pod's unix sockets: a kernel process is one pod.
/// `/proc/net/unix`.
pub fn unix_listing() -> Vec<u8> {
    NAMES.listing()
}

static NAMES: LazyLock<Arc<Names>> = LazyLock::new(Arc::default);
