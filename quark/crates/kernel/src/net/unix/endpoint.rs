//! Unix sockets as [`Endpoint`]s.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::packet::Packet;
use super::{Name, Role, UnixSocket};
use crate::call::Call;
use crate::net::message::{Ancillary, InFlight, Sender};
use crate::net::node;
use crate::net::socket::{Endpoint, Incoming, Outgoing};
use crate::task::{Task, lock};
use crate::wait::{Events, WaitQueue};
use crate::{Errno, Result};

impl UnixSocket {
    fn me(&self) -> Result<Arc<UnixSocket>> {
        self.me.upgrade().ok_or(Errno::BADF)
    }

    /// Who listens under a name: ECONNREFUSED, and what the walk says.
    fn find(&self, task: &Arc<Task>, name: &Name) -> Result<Arc<UnixSocket>> {
        match name {
            Name::Unnamed => Err(Errno::INVAL),
            Name::Abstract(name) => self.names.abstract_socket(name).ok_or(Errno::CONNREFUSED),
            Name::Path(path) => self.names.at_node(node::find(task, path)?).ok_or(Errno::CONNREFUSED),
        }
    }

    /// Where a send goes: the address, or else the peer.
    fn receiver(&self, task: Option<&Arc<Task>>, address: &[u8]) -> Result<Arc<UnixSocket>> {
        if !address.is_empty() && self.is_datagram() {
            let receiver = self.find(task.ok_or(Errno::INVAL)?, &Name::parse(address)?)?;
            return if receiver.is_datagram() { Ok(receiver) } else { Err(Errno::PROTOTYPE) };
        }
        if !address.is_empty() && self.is_stream() {
            return Err(if self.connected().is_ok() { Errno::ISCONN } else { Errno::OPNOTSUPP });
        }
        let gone = if self.is_datagram() { Errno::CONNREFUSED } else { Errno::PIPE };
        self.connected()?.ok_or(gone)
    }

    /// Queues what fits. Locks the receiver only.
    fn deliver(&self, to: &Arc<UnixSocket>, message: &Outgoing<'_>, from: Name, sender: Sender) -> Result<usize> {
        let mut state = lock(&to.state);
        if state.shut_receive {
            return Err(Errno::PIPE);
        }
        if let (true, Role::Connected { peer, .. }) = (to.is_datagram(), &state.role)
            && !std::ptr::eq(peer.as_ptr(), self)
        {
            return Err(Errno::PERM);
        }
        let room = self.room.load(Ordering::Relaxed);
        if !self.is_stream() && message.data.len() > room {
            return Err(Errno::MSGSIZE);
        }
        let free = room.saturating_sub(state.inbox.used());
        if free == 0 || !self.is_stream() && free < message.data.len() {
            state.senders.retain(|sender| sender.strong_count() > 0 && !std::ptr::eq(sender.as_ptr(), self));
            state.senders.push(self.me.clone());
            return Err(Errno::AGAIN);
        }
        let length = if self.is_stream() { message.data.len().min(free) } else { message.data.len() };
        let files = Ancillary { files: message.ancillary.files.clone(), ..Ancillary::default() };
        let flight = InFlight::of(&message.ancillary);
        let data = message.data.get(..length).unwrap_or_default().to_vec();
        state.inbox.push(Packet { data, from, files, flight, sender });
        drop(state);
        to.queue.notify(Events::IN | Events::RDNORM);
        Ok(length)
    }

    fn credentials_of_peer(&self) -> Sender {
        match &lock(&self.state).role {
            Role::Connected { peer_credentials, .. } => *peer_credentials,
            _ => Sender { pid: 0, uid: u32::MAX, gid: u32::MAX },
        }
    }

    fn writable(&self) -> bool {
        match self.connected() {
            Ok(Some(peer)) => {
                let mut state = lock(&peer.state);
                let free = state.inbox.used() < self.room.load(Ordering::Relaxed);
                if !free && !state.senders.iter().any(|sender| std::ptr::eq(sender.as_ptr(), self)) {
                    state.senders.push(self.me.clone());
                }
                free
            }
            Ok(None) => true,
            Err(_) => !matches!(lock(&self.state).role, Role::Listening { .. }),
        }
    }
}

impl Endpoint for UnixSocket {
    fn bind(&self, task: &Arc<Task>, address: &[u8]) -> Result<()> {
        let name = Name::parse(address)?;
        let me = self.me()?;
        if lock(&self.state).name != Name::Unnamed {
            return if name == Name::Unnamed { Ok(()) } else { Err(Errno::INVAL) };
        }
        let name = match name {
            Name::Unnamed => Name::Abstract(self.names.choose(&me)?),
            Name::Abstract(name) => {
                self.names.take(&name, &me)?;
                Name::Abstract(name)
            }
            Name::Path(path) => {
                self.names.set_node(node::make(task, &path)?, &me);
                Name::Path(path)
            }
        };
        lock(&self.state).name = name;
        Ok(())
    }

    fn listen(&self, _: &Arc<Task>, backlog: i32) -> Result<()> {
        if self.is_datagram() {
            return Err(Errno::OPNOTSUPP);
        }
        let mut state = lock(&self.state);
        if state.name == Name::Unnamed {
            return Err(Errno::INVAL);
        }
        // Linux caps at net.core.somaxconn; a negative backlog is the most.
        let wanted = usize::try_from(backlog).unwrap_or(4096).min(4096);
        match &mut state.role {
            Role::Fresh => state.role = Role::Listening { backlog: wanted, pending: Default::default() },
            Role::Listening { backlog, .. } => *backlog = wanted,
            Role::Connected { .. } => return Err(Errno::INVAL),
        }
        drop(state);
        // Those who wait to connect may try again.
        self.made_room();
        Ok(())
    }

    fn connect(&self, task: &Arc<Task>, address: &[u8]) -> Result<()> {
        let unspecified = address.get(..2) == Some(&(libc::AF_UNSPEC as u16).to_ne_bytes());
        if unspecified && self.is_datagram() {
            lock(&self.state).role = Role::Fresh;
            return Ok(());
        }
        let target = self.find(task, &Name::parse(address)?)?;
        let me = self.me()?;
        if self.is_datagram() {
            if !target.is_datagram() {
                return Err(Errno::PROTOTYPE);
            }
            self.join(&target, target.creator);
            return Ok(());
        }
        let answer = me.connect_stream(&target, node::sender(task));
        if answer == Err(Errno::AGAIN) {
            lock(&target.state).senders.push(self.me.clone());
        }
        answer
    }

    fn accept(&self) -> Result<(Arc<dyn Endpoint>, Vec<u8>)> {
        let mut state = lock(&self.state);
        let shut = state.shut_receive;
        let Role::Listening { pending, .. } = &mut state.role else {
            return Err(if self.is_datagram() { Errno::OPNOTSUPP } else { Errno::INVAL });
        };
        let Some(served) = pending.pop_front() else {
            return Err(if shut { Errno::INVAL } else { Errno::AGAIN });
        };
        drop(state);
        self.made_room();
        let address = served.peer().unwrap_or_else(|_| Name::Unnamed.address());
        Ok((served, address))
    }

    fn send(&self, task: Option<&Arc<Task>>, message: &Outgoing<'_>) -> Result<usize> {
        if message.flags & libc::MSG_OOB != 0 {
            return Err(Errno::OPNOTSUPP);
        }
        let (from, shut) = {
            let state = lock(&self.state);
            (state.name.clone(), state.shut_send)
        };
        if shut {
            return Err(Errno::PIPE);
        }
        let to = self.receiver(task, message.address)?;
        let sender = message.ancillary.sender.unwrap_or_else(|| task.map_or(self.creator, node::sender));
        self.deliver(&to, message, from, sender)
    }

    fn receive(&self, to: &mut [u8], flags: i32) -> Result<Incoming> {
        if flags & libc::MSG_OOB != 0 {
            return Err(Errno::OPNOTSUPP);
        }
        let mut state = lock(&self.state);
        match state.role {
            Role::Listening { .. } => return Err(Errno::INVAL),
            Role::Fresh if !self.is_datagram() => return Err(Errno::INVAL),
            _ => {}
        }
        let Some(mut incoming) = state.inbox.take(to, flags & libc::MSG_PEEK != 0) else {
            if std::mem::take(&mut state.reset) {
                return Err(Errno::CONNRESET);
            }
            return if state.shut_receive { Ok(Incoming::default()) } else { Err(Errno::AGAIN) };
        };
        drop(state);
        if flags & libc::MSG_PEEK == 0 {
            self.made_room();
        }
        if !self.pass_credentials.load(Ordering::Relaxed) {
            incoming.ancillary.sender = None;
        }
        Ok(incoming)
    }

    fn shutdown(&self, how: i32) -> Result<()> {
        let (receive, send) = (how != libc::SHUT_WR, how != libc::SHUT_RD);
        // Without a peer it is noted for later.
        let peer = self.connected().unwrap_or_default();
        {
            let mut state = lock(&self.state);
            state.shut_receive |= receive;
            state.shut_send |= send;
        }
        self.queue.notify(Events::all());
        self.made_room();
        if let Some(peer) = peer.filter(|_| !self.is_datagram()) {
            peer.peer_shut(send, receive, false);
        }
        Ok(())
    }

    fn name(&self) -> Result<Vec<u8>> {
        Ok(lock(&self.state).name.address())
    }

    fn peer(&self) -> Result<Vec<u8>> {
        match &lock(&self.state).role {
            Role::Connected { peer_name, .. } => Ok(peer_name.address()),
            _ => Err(Errno::NOTCONN),
        }
    }

    fn set_option(&self, _: &Arc<Task>, level: i32, name: i32, value: &[u8]) -> Result<()> {
        if level != libc::SOL_SOCKET {
            return Err(Errno::OPNOTSUPP);
        }
        let number = value.get(..4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes).ok_or(Errno::INVAL)?;
        match name {
            libc::SO_PASSCRED => self.pass_credentials.store(number != 0, Ordering::Relaxed),
            // As Linux: doubled, with a least and a most.
            libc::SO_SNDBUF | libc::SO_SNDBUFFORCE => {
                self.room.store((number.clamp(2304, QUEUE_MAX) as usize) * 2, Ordering::Relaxed);
            }
            libc::SO_RCVBUF
            | libc::SO_RCVBUFFORCE
            | libc::SO_REUSEADDR
            | libc::SO_KEEPALIVE
            | libc::SO_PRIORITY
            | libc::SO_TIMESTAMP
            | libc::SO_LINGER => {}
            _ => return Err(Errno::NOPROTOOPT),
        }
        Ok(())
    }

    fn option(&self, level: i32, name: i32, room: usize) -> Result<Vec<u8>> {
        if level != libc::SOL_SOCKET {
            return Err(Errno::OPNOTSUPP);
        }
        let number = match name {
            libc::SO_PEERCRED => {
                let bytes = self.credentials_of_peer().bytes();
                return Ok(bytes.get(..room.min(bytes.len())).unwrap_or_default().to_vec());
            }
            libc::SO_PASSCRED => i32::from(self.pass_credentials.load(Ordering::Relaxed)),
            libc::SO_SNDBUF => self.room.load(Ordering::Relaxed) as i32,
            libc::SO_RCVBUF => super::QUEUE_BYTES as i32,
            libc::SO_ACCEPTCONN => i32::from(matches!(lock(&self.state).role, Role::Listening { .. })),
            libc::SO_ERROR => i32::from(std::mem::take(&mut lock(&self.state).reset)) * libc::ECONNRESET,
            libc::SO_REUSEADDR | libc::SO_KEEPALIVE | libc::SO_PRIORITY | libc::SO_TIMESTAMP | libc::SO_BROADCAST | libc::SO_OOBINLINE => 0,
            libc::SO_RCVLOWAT => 1,
            libc::SO_LINGER => return Ok(vec![0; room.min(8)]),
            _ => return Err(Errno::NOPROTOOPT),
        };
        Ok(number.to_ne_bytes().get(..room.min(4)).unwrap_or_default().to_vec())
    }

    fn poll(&self, interest: Events) -> Events {
        let mut now = Events::empty();
        {
            let state = lock(&self.state);
            let pending = matches!(&state.role, Role::Listening { pending, .. } if !pending.is_empty());
            now.set(Events::IN | Events::RDNORM, pending || !state.inbox.is_empty() || state.shut_receive);
            now.set(Events::RDHUP, state.shut_receive);
            now.set(Events::HUP, state.shut_receive && state.shut_send || !self.is_datagram() && matches!(state.role, Role::Fresh));
            now.set(Events::ERR, state.reset);
        }
        now.set(Events::OUT | Events::WRNORM, self.writable());
        now & (interest | Events::ERR | Events::HUP)
    }

    fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn ioctl(&self, call: &mut Call<'_>, request: u32, argument: u64) -> Result<u64> {
        let bytes = match u64::from(request) {
            libc::FIONREAD => lock(&self.state).inbox.readable(),
            libc::TIOCOUTQ => self.connected()?.map_or(0, |peer| lock(&peer.state).inbox.used()),
            _ => return Err(Errno::NOTTY),
        };
        call.write_value(argument, &(bytes as i32))?;
        Ok(0)
    }

    fn kind(&self) -> (i32, i32, i32) {
        (libc::AF_UNIX, self.kind, 0)
    }

    fn numbered(&self, number: u64) {
        self.number.store(number, Ordering::Relaxed);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `net.core.wmem_max`.
const QUEUE_MAX: i32 = 212_992;
