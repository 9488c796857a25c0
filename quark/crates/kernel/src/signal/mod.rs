//! Signals.

pub mod action;
pub mod calls;
pub mod deliver;
pub mod frame;
pub mod info;
pub mod mask;
pub mod queue;
pub mod send;
pub mod set;
pub mod signalfd;
pub mod state;

pub use info::{Origin, Signal};
pub use send::{queue_to_process, queue_to_task, send_to_group, send_to_process, send_to_task};
pub use set::SignalSet;
pub use state::{ProcessSignals, TaskSignals};
