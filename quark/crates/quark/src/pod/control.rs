//! The thread that hears the outside: signals of the host, the command that has started this kernel, and those who connect.

use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Duration;

use quark_host::footprint;
use quark_host::process::Signals;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::server::{self, Pod};
use crate::log;

/// Where it hears them.
pub struct Doors {
    /// Those that are meant for the first container's first process.
    pub signals: Signals,
    /// Whoever wants something of the pod connects here.
    pub listener: UnixListener,
    /// The command that has made the first container. If it goes without having said that it keeps the kernel, nobody knows of it.
    pub command: UnixStream,
}

/// What orders have needed is given back when none has come for so long.
const TRIM_AFTER: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Hears, for ever.
pub fn attend(pod: &Arc<Pod>, doors: Doors) {
    let Doors { signals, listener, command } = doors;
    let (mut command, mut kept, mut trimmed) = (Some(command), false, false);
    loop {
        let mut files = vec![PollFd::new(&signals, PollFlags::IN), PollFd::new(&listener, PollFlags::IN)];
        files.extend(command.as_ref().map(|command| PollFd::new(command, PollFlags::IN)));
        match poll(&mut files, if trimmed { None } else { Some(&TRIM_AFTER) }) {
            Ok(0) => footprint::trim(),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => {
                log::error(&format!("Cannot wait for orders: {error}"));
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
        }
        let ready: Vec<bool> = files.iter().map(|file| !file.revents().is_empty()).collect();
        trimmed = !ready.contains(&true);
        let is_ready = |index: usize| ready.get(index).copied().unwrap_or(false);
        if is_ready(0)
            && let Ok(report) = signals.read()
        {
            pod.forward(report);
        }
        if is_ready(1) {
            take(pod, &listener);
        }
        if is_ready(2) && !command.as_ref().is_some_and(|command| pod.hear(command, &mut kept)) {
            command = None;
            if !kept {
                pod.abandon();
            }
        }
    }
}

fn take(pod: &Arc<Pod>, listener: &UnixListener) {
    match listener.accept() {
        Ok((socket, _)) => {
            let pod = pod.clone();
            if let Err(error) = server::spawn("connection", move || pod.serve(&socket)) {
                log::error(&error.to_string());
            }
        }
        Err(error) => {
            log::error(&format!("Cannot take connections: {error}"));
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
