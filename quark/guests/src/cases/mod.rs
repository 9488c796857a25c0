//! The cases by area.

pub mod bad;
pub mod credentials;
pub mod events;
pub mod exec;
pub mod files;
pub mod folders;
pub mod helpers;
pub mod ipc;
pub mod links;
pub mod loopback;
pub mod memory;
pub mod metadata;
pub mod pipes;
pub mod processes;
pub mod scheduling;
pub mod signals;
pub mod sockets;
pub mod system;
pub mod terminals;
pub mod threads;
pub mod time;
pub mod unix_sockets;

use crate::trace::Case;

/// Area to its cases.
pub const AREAS: &[(&str, &[Case])] = &[
    ("bad", bad::CASES),
    ("credentials", credentials::CASES),
    ("events", events::counters::CASES),
    ("events", events::epoll::CASES),
    ("events", events::poll::CASES),
    ("events", events::inotify::CASES),
    ("exec", exec::CASES),
    ("files", files::CASES),
    ("folders", folders::CASES),
    ("ipc", ipc::CASES),
    ("links", links::CASES),
    ("loopback", loopback::CASES),
    ("memory", memory::CASES),
    ("metadata", metadata::CASES),
    ("pipes", pipes::CASES),
    ("processes", processes::waiting::CASES),
    ("processes", processes::making::CASES),
    ("processes", processes::naming::CASES),
    ("processes", processes::attributes::CASES),
    ("scheduling", scheduling::CASES),
    ("signals", signals::disposition::CASES),
    ("signals", signals::queues::CASES),
    ("signals", signals::interruption::CASES),
    ("signals", signals::faults::CASES),
    ("signals", signals::frames::CASES),
    ("signals", signals::receivers::CASES),
    ("sockets", sockets::CASES),
    ("system", system::CASES),
    ("terminals", terminals::CASES),
    ("threads", threads::CASES),
    ("time", time::CASES),
    ("unix_sockets", unix_sockets::CASES),
];
