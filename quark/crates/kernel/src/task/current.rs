//! Which guest thread a kernel half is of: for files whose answer depends on who asks (signalfd, terminals).

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use super::Task;

thread_local! {
    static CURRENT: RefCell<Weak<Task>> = const { RefCell::new(Weak::new()) };
}

/// Called by a kernel half when it starts.
pub fn enter(task: &Arc<Task>) {
    CURRENT.with(|current| *current.borrow_mut() = Arc::downgrade(task));
}

/// The guest thread that runs on this host thread; none on the kernel's own threads.
pub fn current() -> Option<Arc<Task>> {
    CURRENT.with(|current| current.borrow().upgrade())
}
