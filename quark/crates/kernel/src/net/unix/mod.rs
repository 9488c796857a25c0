//! Unix sockets: streams, datagrams and sequenced packets between processes of the pod, with files and credentials.
//!
//! A file in flight is kept by the receiver's queue. Sockets that are in each other's queues and nowhere else stay until the pod
//! ends; how many files of a container can be in flight is bounded as Linux bounds a user's (RLIMIT_NOFILE).

mod endpoint;
mod names;
mod packet;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

pub use names::{Name, Names};
use packet::Inbox;

use super::message::Sender;
use crate::task::lock;
use crate::wait::{Events, WaitQueue};
use crate::{Errno, Result};

/// How much a receiver queues: `net.core.wmem_default`.
pub const QUEUE_BYTES: usize = 212_992;

/// A unix socket.
pub struct UnixSocket {
    /// SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.
    kind: i32,
    me: Weak<UnixSocket>,
    names: Arc<Names>,
    creator: Sender,
    state: Mutex<State>,
    queue: WaitQueue,
    pass_credentials: AtomicBool,
    /// Its inode number as a file; 0 while nobody has accepted it.
    number: AtomicU64,
    /// SO_SNDBUF of this socket: how much a peer may queue for it to send.
    room: AtomicUsize,
}

struct State {
    name: Name,
    role: Role,
    inbox: Inbox,
    shut_receive: bool,
    shut_send: bool,
    /// The peer ended with bytes unread: the next receive tells ECONNRESET.
    reset: bool,
    /// Who wait until there is room in the inbox.
    senders: Vec<Weak<UnixSocket>>,
}

enum Role {
    Fresh,
    Listening { backlog: usize, pending: VecDeque<Arc<UnixSocket>> },
    Connected { peer: Weak<UnixSocket>, peer_name: Name, peer_credentials: Sender },
}

impl UnixSocket {
    /// As `/proc/net/unix` tells it.
    fn listed(&self) -> Vec<u8> {
        let state = lock(&self.state);
        let (flags, connection) = match state.role {
            Role::Fresh => (0, 1),
            Role::Listening { .. } => (0x1_0000, 1),
            Role::Connected { .. } => (0, 3),
        };
        let number = self.number.load(Ordering::Relaxed);
        let mut line = format!("{:016}: {:08X} {:08X} {flags:08X} {:04X} {connection:02X} {number:5} ", 0, 2, 0, self.kind).into_bytes();
        match &state.name {
            Name::Path(path) => line.extend_from_slice(path),
            // NULs in a name are told as the first one is.
            Name::Abstract(name) => line.extend([0].iter().chain(name).map(|byte| if *byte == 0 { b'@' } else { *byte })),
            Name::Unnamed => {}
        }
        line.push(b'\n');
        line
    }

    /// A new socket.
    pub fn new(kind: i32, names: Arc<Names>, creator: Sender) -> Arc<UnixSocket> {
        Arc::new_cyclic(|me| UnixSocket {
            kind,
            me: me.clone(),
            names,
            creator,
            state: Mutex::new(State {
                name: Name::Unnamed,
                role: Role::Fresh,
                inbox: Inbox::new(kind == libc::SOCK_STREAM),
                shut_receive: false,
                shut_send: false,
                reset: false,
                senders: Vec::new(),
            }),
            queue: WaitQueue::default(),
            number: AtomicU64::new(0),
            pass_credentials: AtomicBool::new(false),
            room: AtomicUsize::new(QUEUE_BYTES),
        })
    }

    /// Two sockets that are connected to each other.
    pub fn pair(kind: i32, names: &Arc<Names>, creator: Sender) -> (Arc<UnixSocket>, Arc<UnixSocket>) {
        let one = UnixSocket::new(kind, names.clone(), creator);
        let two = UnixSocket::new(kind, names.clone(), creator);
        one.join(&two, creator);
        two.join(&one, creator);
        (one, two)
    }

    fn join(&self, peer: &Arc<UnixSocket>, peer_credentials: Sender) {
        let peer_name = lock(&peer.state).name.clone();
        lock(&self.state).role = Role::Connected { peer: Arc::downgrade(peer), peer_name, peer_credentials };
    }

    fn is_stream(&self) -> bool {
        self.kind == libc::SOCK_STREAM
    }

    fn is_datagram(&self) -> bool {
        self.kind == libc::SOCK_DGRAM
    }

    /// The connected peer: ENOTCONN; `None` if it has ended.
    fn connected(&self) -> Result<Option<Arc<UnixSocket>>> {
        match &lock(&self.state).role {
            Role::Connected { peer, .. } => Ok(peer.upgrade()),
            _ => Err(Errno::NOTCONN),
        }
    }

    /// Connects a stream to a listener: queues the other end of a new pair there.
    fn connect_stream(self: &Arc<Self>, listener: &Arc<UnixSocket>, credentials: Sender) -> Result<()> {
        if listener.kind != self.kind {
            return Err(Errno::PROTOTYPE);
        }
        match &lock(&self.state).role {
            Role::Fresh => {}
            Role::Listening { .. } => return Err(Errno::INVAL),
            Role::Connected { .. } => return Err(Errno::ISCONN),
        }
        let mut state = lock(&listener.state);
        let name = state.name.clone();
        let Role::Listening { backlog, pending } = &mut state.role else {
            return Err(Errno::CONNREFUSED);
        };
        if pending.len() > *backlog {
            return Err(Errno::AGAIN);
        }
        let served = UnixSocket::new(self.kind, self.names.clone(), listener.creator);
        served.room.store(listener.room.load(Ordering::Relaxed), Ordering::Relaxed);
        served.pass_credentials.store(listener.pass_credentials.load(Ordering::Relaxed), Ordering::Relaxed);
        lock(&served.state).name = name.clone();
        let mut own = lock(&self.state);
        if !matches!(own.role, Role::Fresh) {
            return Err(Errno::ISCONN);
        }
        own.role = Role::Connected { peer: Arc::downgrade(&served), peer_name: name, peer_credentials: listener.creator };
        drop(own);
        served.join(self, credentials);
        pending.push_back(served);
        drop(state);
        listener.queue.notify(Events::IN | Events::RDNORM);
        self.queue.notify(Events::OUT | Events::WRNORM);
        Ok(())
    }

    /// Tells those who wait to send here that there is room.
    fn made_room(&self) {
        let senders = std::mem::take(&mut lock(&self.state).senders);
        for sender in senders.iter().filter_map(Weak::upgrade) {
            sender.queue.notify(Events::OUT | Events::WRNORM);
        }
    }

    /// The peer has ended, or will not send or receive any more.
    fn peer_shut(&self, receive: bool, send: bool, reset: bool) {
        let mut state = lock(&self.state);
        state.shut_receive |= receive;
        state.shut_send |= send;
        state.reset |= reset;
        drop(state);
        self.queue.notify(Events::all());
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Name::Abstract(name) = &state.name {
            self.names.release(name);
        }
        let unread = !state.inbox.is_empty();
        let senders = std::mem::take(&mut state.senders);
        match std::mem::replace(&mut state.role, Role::Fresh) {
            Role::Connected { peer, .. } if self.kind != libc::SOCK_DGRAM => {
                if let Some(peer) = peer.upgrade() {
                    peer.peer_shut(true, true, unread && self.kind == libc::SOCK_STREAM);
                }
            }
            Role::Listening { pending, .. } => drop(pending),
            _ => {}
        }
        for sender in senders.iter().filter_map(Weak::upgrade) {
            sender.queue.notify(Events::all());
        }
    }
}

#[cfg(test)]
mod tests;
