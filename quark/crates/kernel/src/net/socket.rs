//! What every kind of socket offers, and sockets as files.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::listing;
use super::message::Ancillary;
use crate::Result;
use crate::call::Call;
use crate::file::File;
use crate::task::{Task, current, lock};
use crate::vfs::inode::Stat;
use crate::wait::{Bell, Events, WaitQueue};

/// What to send.
#[derive(Default)]
pub struct Outgoing<'a> {
    /// The bytes, in one piece.
    pub data: &'a [u8],
    /// A `sockaddr`; empty for the peer.
    pub address: &'a [u8],
    /// Files and credentials, for unix sockets.
    pub ancillary: Ancillary,
    /// Control messages as bytes, for host sockets.
    pub control: &'a [u8],
    /// `MSG_*`.
    pub flags: i32,
}

/// What came.
#[derive(Default)]
pub struct Incoming {
    /// How much of the buffer is filled.
    pub filled: usize,
    /// How long the message was (more than `filled` if it was cut).
    pub length: usize,
    /// The sender's `sockaddr`.
    pub address: Vec<u8>,
    /// Files and credentials.
    pub ancillary: Ancillary,
    /// Control messages as bytes.
    pub control: Vec<u8>,
    /// `MSG_TRUNC`, `MSG_EOR`, `MSG_ERRQUEUE`.
    pub flags: i32,
}

/// One kind of socket. Nothing blocks: EAGAIN, and [`Endpoint::queue`] tells when to try again.
pub trait Endpoint: Send + Sync + Any {
    /// `bind(2)`.
    fn bind(&self, task: &Arc<Task>, address: &[u8]) -> Result<()>;
    /// `listen(2)`.
    fn listen(&self, task: &Arc<Task>, backlog: i32) -> Result<()>;
    /// `connect(2)`; EINPROGRESS if it goes on by itself and `poll` says when it has ended, EAGAIN if it has to be tried again.
    fn connect(&self, task: &Arc<Task>, address: &[u8]) -> Result<()>;
    /// Takes a connection: it and its peer's address.
    fn accept(&self) -> Result<(Arc<dyn Endpoint>, Vec<u8>)>;
    /// Sends; how much. Without a task it is a `write(2)`: nothing but data.
    fn send(&self, task: Option<&Arc<Task>>, message: &Outgoing<'_>) -> Result<usize>;
    /// Receives.
    fn receive(&self, to: &mut [u8], flags: i32) -> Result<Incoming>;
    /// `shutdown(2)`.
    fn shutdown(&self, how: i32) -> Result<()>;
    /// `getsockname(2)`.
    fn name(&self) -> Result<Vec<u8>>;
    /// `getpeername(2)`.
    fn peer(&self) -> Result<Vec<u8>>;
    /// `setsockopt(2)`, but for what [`Socket`] keeps itself.
    fn set_option(&self, task: &Arc<Task>, level: i32, name: i32, value: &[u8]) -> Result<()>;
    /// `getsockopt(2)`.
    fn option(&self, level: i32, name: i32, room: usize) -> Result<Vec<u8>>;
    /// Readiness.
    fn poll(&self, interest: Events) -> Events;
    /// Who waits.
    fn queue(&self) -> &WaitQueue;
    /// As [`File::bell`].
    fn bell(&self) -> Option<Bell> {
        None
    }
    /// `ioctl(2)`.
    fn ioctl(&self, call: &mut Call<'_>, request: u32, argument: u64) -> Result<u64>;
    /// Domain, type and protocol as given to `socket(2)`.
    fn kind(&self) -> (i32, i32, i32);
    /// It is a file now, of this inode number.
    fn numbered(&self, number: u64) {
        let _ = number;
    }
    /// The kind behind it.
    fn as_any(&self) -> &dyn Any;
}

/// A socket as a file.
pub struct Socket {
    /// What it does.
    pub endpoint: Arc<dyn Endpoint>,
    number: u64,
    /// SO_RCVTIMEO and SO_SNDTIMEO; none waits for ever.
    timeouts: Mutex<[Option<Duration>; 2]>,
}

static NEXT: AtomicU64 = AtomicU64::new(1);

impl Socket {
    /// A socket of some kind.
    pub fn new(endpoint: Arc<dyn Endpoint>) -> Arc<Socket> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        endpoint.numbered(number);
        let socket = Arc::new(Socket { endpoint, number, timeouts: Mutex::default() });
        listing::add(&socket);
        socket
    }

    /// Its inode number, as `/proc/net/*` and `socket:[N]` tell it.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How long a receive (`sending`: a send, connect or accept's peer) may wait.
    pub fn timeout(&self, sending: bool) -> Option<Duration> {
        let [receive, send] = *lock(&self.timeouts);
        if sending { send } else { receive }
    }

    /// SO_RCVTIMEO or SO_SNDTIMEO; zero waits for ever.
    pub fn set_timeout(&self, sending: bool, timeout: Duration) {
        let value = (!timeout.is_zero()).then_some(timeout);
        let [receive, send] = &mut *lock(&self.timeouts);
        *(if sending { send } else { receive }) = value;
    }
}

impl File for Socket {
    fn read(&self, to: &mut [u8], _: u64) -> Result<usize> {
        // Nothing is asked for: Linux does not look at the socket either.
        if to.is_empty() { Ok(0) } else { Ok(self.endpoint.receive(to, 0)?.filled) }
    }

    fn write(&self, from: &[u8], _: u64) -> Result<usize> {
        self.endpoint.send(current().as_ref(), &Outgoing { data: from, ..Outgoing::default() })
    }

    fn poll(&self, interest: Events) -> Events {
        self.endpoint.poll(interest)
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(self.endpoint.queue())
    }

    fn bell(&self) -> Option<Bell> {
        self.endpoint.bell()
    }

    fn ioctl(&self, call: &mut Call<'_>, request: u32, argument: u64) -> Result<u64> {
        self.endpoint.ioctl(call, request, argument)
    }

    fn stat(&self) -> Result<Stat> {
        Ok(Stat { device: 8, inode: self.number, mode: libc::S_IFSOCK | 0o777, links: 1, block_size: 4096, ..Stat::default() })
    }

    fn name(&self) -> Vec<u8> {
        format!("socket:[{}]", self.number).into_bytes()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
