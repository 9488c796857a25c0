//! Which directories of the host are kept open: descriptors of the kernel process are scarce (RLIMIT_NOFILE).

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Mutex, Weak};

use super::node::HostNode;
use crate::task::lock;

/// The most directories that are kept open.
const OPEN_MAX: usize = 4000;

/// The directories that are open, the process' only such list. A clock: those that were used since the hand passed stay.
static OPEN: LazyLock<Mutex<VecDeque<Weak<HostNode>>>> = LazyLock::new(Mutex::default);

/// Notes that a node has opened its directory; another one may be closed for it.
pub(super) fn opened(node: &Arc<HostNode>) {
    lock(&OPEN).push_back(Arc::downgrade(node));
    shrink(OPEN_MAX);
}

/// The host gave no more descriptors: closes half of those that are open. False if there was nothing to close.
pub(super) fn relieve() -> bool {
    let open = lock(&OPEN).len();
    shrink(open / 2);
    open > 1
}

fn shrink(limit: usize) {
    let mut held = Vec::new();
    let mut ring = lock(&OPEN);
    let mut turns = 2 * ring.len();
    while ring.len() > limit && turns > 0 {
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
