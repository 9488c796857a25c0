//! `mq_notify(3)`: who is told once that a message has come to an empty queue.

use std::sync::{Arc, Weak};

use crate::net::route::RouteSocket;
use crate::net::socket::Socket;
use crate::signal::info::Origin;
use crate::signal::send::send_to_process;
use crate::task::{Process, Task};
use crate::vfs::open::OpenFile;

/// Bytes that a thread of the C library waits for; the last one says why they came.
pub const COOKIE: usize = 32;
/// A message came, or nobody is told any more.
const WOKEN: u8 = 1;
const REMOVED: u8 = 2;
/// `si_code` of a message's signal.
const SI_MESGQ: i32 = -3;

/// How somebody is told.
#[derive(Clone)]
pub enum Means {
    /// Not at all: the queue is only taken (SIGEV_NONE).
    Silent,
    /// By a signal with a value (SIGEV_SIGNAL).
    Signal(i32, u64),
    /// By a cookie through a netlink socket (SIGEV_THREAD).
    Thread([u8; COOKIE], Arc<OpenFile>),
}

/// Who is told, and how.
#[derive(Clone)]
pub struct Notice {
    /// Who asked.
    pub process: Weak<Process>,
    /// How.
    pub means: Means,
}

/// The socket behind a file, if that is one to be told by.
pub fn route_socket(file: &OpenFile) -> Option<&RouteSocket> {
    let socket: &Socket = file.file.as_any().downcast_ref()?;
    socket.endpoint.as_any().downcast_ref()
}

impl Notice {
    /// Whether a process asked for it.
    pub fn is_of(&self, process: &Arc<Process>) -> bool {
        std::ptr::eq(self.process.as_ptr(), Arc::as_ptr(process))
    }

    /// SIGEV_*, signal and process, as told by reading the queue.
    pub fn describe(&self) -> (i32, i32, i32) {
        let pid = self.process.upgrade().map_or(0, |process| process.pid);
        match &self.means {
            Means::Silent => (libc::SIGEV_NONE, 0, pid),
            Means::Signal(signal, _) => (libc::SIGEV_SIGNAL, *signal, pid),
            Means::Thread(..) => (libc::SIGEV_THREAD, 0, pid),
        }
    }

    /// A message came, from `sender`.
    pub fn tell(self, sender: &Task) {
        match self.means {
            Means::Silent => {}
            Means::Signal(0, _) => {}
            Means::Signal(signal, value) => {
                let origin = Origin::User { code: SI_MESGQ, pid: sender.process.pid, uid: sender.credentials().uid, value };
                if let Some(process) = self.process.upgrade() {
                    send_to_process(&process, signal, origin);
                }
            }
            Means::Thread(cookie, file) => send_cookie(cookie, WOKEN, &file),
        }
    }

    /// It is taken back.
    pub fn withdraw(self) {
        if let Means::Thread(cookie, file) = self.means {
            send_cookie(cookie, REMOVED, &file);
        }
    }
}

fn send_cookie(mut cookie: [u8; COOKIE], why: u8, file: &OpenFile) {
    if let Some(last) = cookie.last_mut() {
        *last = why;
    }
    if let Some(socket) = route_socket(file) {
        socket.deliver(cookie.to_vec());
    }
}
