//! Which directories of the host are kept open: descriptors of the kernel process are scarce (RLIMIT_NOFILE).

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Mutex, Weak};

use super::node::HostNode;
use crate::task::lock;

/// The most directories that are kept open.
const OPEN_MAX: usize = 4000;

/// The directories that are open, the process' only such list. A clock: those that were used since the hand passed stay.
static OPEN: LazyLock<Pool> = LazyLock::new(|| {
    let nofile = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    Pool { ring: Mutex::default(), limit: OPEN_MAX.min(usize::try_from(nofile / 4).unwrap_or(OPEN_MAX)) }
});

struct Pool {
    ring: Mutex<VecDeque<Weak<HostNode>>>,
    limit: usize,
}

/// Notes that a node has opened its directory; another one may be closed for it.
pub(super) fn opened(node: &Arc<HostNode>) {
    let mut held = Vec::new();
    let mut ring = lock(&OPEN.ring);
    ring.push_back(Arc::downgrade(node));
    let mut turns = 2 * OPEN.limit;
    while ring.len() > OPEN.limit && turns > 0 {
        turns -= 1;
        let Some(first) = ring.pop_front() else { break };
        let Some(node) = first.upgrade() else { continue };
        if node.used() {
            ring.push_back(first);
        } else {
            node.close();
        }
        // Dropped outside of the lock: it may be the last one of a long chain.
        held.push(node);
    }
    drop(ring);
    drop(held);
}
