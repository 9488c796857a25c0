//! A connection whose both ends are in the pod: what TCP would have told each end, without packets. Pure.
//!
//! Rules are those of Linux' `net/ipv4/tcp*.c`: the end of a stream (FIN) is one direction's, unread bytes of a closed end reset the other
//! (RST), and a reset is an error that is told once.

use std::collections::VecDeque;

use super::carrier::CLOSE;
use crate::wait::Events;
use crate::{Errno, Result};

/// SO_RCVBUF and SO_SNDBUF as they count, bytes: an end queues what it has for receiving and the other for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffers {
    pub receive: usize,
    pub send: usize,
}

/// A queue that was larger gives its memory back when it is empty, bytes.
const KEPT: usize = 256 << 10;

/// States of `/proc/net/tcp` and TCP_INFO.
mod state {
    pub const ESTABLISHED: u8 = 1;
    pub const FIN_WAIT2: u8 = 5;
    pub const CLOSE_WAIT: u8 = 8;
}

/// One end.
struct Side {
    /// What has come and was not read.
    inbox: VecDeque<u8>,
    buffers: Buffers,
    /// The last byte that came by MSG_OOB.
    urgent: Option<u8>,
    /// The peer sends no more.
    ended: bool,
    shut_receive: bool,
    shut_send: bool,
    /// It was reset.
    reset: bool,
    /// Of a reset, told once.
    error: Option<Errno>,
    closed: bool,
    /// It was told that the peer has no room, and not yet that it has.
    starved: bool,
}

/// Which end of a [`Pair`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Who connected.
    Client,
    /// Who was connected to.
    Server,
}

/// What to tell those who wait for either end.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// The end itself.
    pub own: Events,
    /// The other one.
    pub peer: Events,
}

const NOTHING: Told = Told { own: Events::empty(), peer: Events::empty() };
const READABLE: Events = Events::IN.union(Events::RDNORM);
const WRITABLE: Events = Events::OUT.union(Events::WRNORM);

/// Both ends.
pub struct Pair {
    client: Side,
    server: Side,
}

impl Side {
    fn new(buffers: Buffers) -> Side {
        Side {
            inbox: VecDeque::new(),
            buffers,
            urgent: None,
            ended: false,
            shut_receive: false,
            shut_send: false,
            reset: false,
            error: None,
            closed: false,
            starved: false,
        }
    }

    /// An RST came.
    fn die(&mut self) {
        self.error = Some(if self.ended { Errno::PIPE } else { Errno::CONNRESET });
        self.reset = true;
    }

    /// How much more it takes from a peer.
    fn room(&self, peer: &Side) -> usize {
        (self.buffers.receive + peer.buffers.send).saturating_sub(self.inbox.len())
    }

    /// Whether `poll` says that the peer may send more: a third is free, as for Linux' sockets.
    fn has_room(&self, peer: &Side) -> bool {
        self.room(peer) >= (self.buffers.receive + peer.buffers.send) / 3
    }

    fn take(&mut self, to: &mut [u8], flags: i32) -> usize {
        let count = self.inbox.len().min(to.len());
        if flags & libc::MSG_TRUNC == 0 {
            let (first, second) = self.inbox.as_slices();
            let split = first.len().min(count);
            if let (Some((to_first, to_second)), Some(first), Some(second)) =
                (to.get_mut(..count).map(|to| to.split_at_mut(split)), first.get(..split), second.get(..count - split))
            {
                to_first.copy_from_slice(first);
                to_second.copy_from_slice(second);
            }
        }
        if flags & libc::MSG_PEEK == 0 {
            self.inbox.drain(..count);
            if self.inbox.is_empty() && self.inbox.capacity() > KEPT {
                self.inbox = VecDeque::new();
            }
        }
        count
    }
}

impl Pair {
    /// A new connection.
    pub fn new(client: Buffers, server: Buffers) -> Pair {
        Pair { client: Side::new(client), server: Side::new(server) }
    }

    fn ends(&mut self, end: End) -> (&mut Side, &mut Side) {
        match end {
            End::Client => (&mut self.client, &mut self.server),
            End::Server => (&mut self.server, &mut self.client),
        }
    }

    fn side(&self, end: End) -> &Side {
        match end {
            End::Client => &self.client,
            End::Server => &self.server,
        }
    }

    /// Changes an end's buffers.
    pub fn set_buffers(&mut self, end: End, buffers: Buffers) {
        self.ends(end).0.buffers = buffers;
    }

    /// Sends what there is room for: EAGAIN for none, EPIPE behind the stream's end, the error of a reset. With `urgent` the last byte is one.
    pub fn send(&mut self, end: End, data: &[u8], urgent: bool) -> Result<(usize, Told)> {
        let (own, peer) = self.ends(end);
        if let Some(error) = own.error.take() {
            return Err(error);
        }
        if own.shut_send || own.reset {
            return Err(Errno::PIPE);
        }
        if peer.closed || peer.shut_receive && peer.shut_send {
            // The RST for it comes at once.
            own.die();
            if !peer.closed {
                peer.die();
            }
            return Ok((data.len(), Told { own: Events::all(), peer: Events::all() }));
        }
        let plain = if urgent { data.split_last().map_or(data, |(_, plain)| plain) } else { data };
        let count = peer.room(own).min(plain.len());
        if count == 0 && !plain.is_empty() {
            own.starved = true;
            return Err(Errno::AGAIN);
        }
        peer.inbox.extend(plain.get(..count).unwrap_or_default());
        if !urgent || count < plain.len() {
            return Ok((count, Told { own: Events::empty(), peer: READABLE }));
        }
        peer.urgent = data.last().copied();
        Ok((data.len(), Told { own: Events::empty(), peer: READABLE | Events::PRI }))
    }

    /// Receives (MSG_PEEK, MSG_TRUNC, MSG_OOB): 0 at the end, EAGAIN if nothing is there, the error of a reset behind what came before it.
    pub fn receive(&mut self, end: End, to: &mut [u8], flags: i32) -> Result<(usize, Told)> {
        let (own, peer) = self.ends(end);
        if flags & libc::MSG_OOB != 0 {
            let (byte, slot) = (own.urgent.ok_or(Errno::INVAL)?, to.first_mut().ok_or(Errno::INVAL)?);
            *slot = byte;
            own.urgent = own.urgent.filter(|_| flags & libc::MSG_PEEK != 0);
            return Ok((1, NOTHING));
        }
        if own.inbox.is_empty() {
            return match own.error.take_if(|_| !own.ended) {
                Some(error) => Err(error),
                None if own.ended || own.shut_receive || own.reset => Ok((0, NOTHING)),
                None => Err(Errno::AGAIN),
            };
        }
        let count = own.take(to, flags);
        let fed = peer.starved && own.has_room(peer);
        peer.starved &= !fed;
        Ok((count, Told { own: Events::empty(), peer: if fed { WRITABLE } else { Events::empty() } }))
    }

    /// `shutdown(2)`: ENOTCONN if both directions have ended already.
    pub fn shutdown(&mut self, end: End, how: i32) -> Result<Told> {
        let (own, peer) = self.ends(end);
        if own.over() {
            return Err(Errno::NOTCONN);
        }
        own.shut_receive |= how != libc::SHUT_WR;
        if how == libc::SHUT_RD {
            return Ok(Told { own: Events::all(), peer: Events::empty() });
        }
        own.shut_send = true;
        peer.ended = true;
        Ok(Told { own: Events::all(), peer: Events::all() })
    }

    /// The end is closed; with `abort` (SO_LINGER of 0, or nobody accepted it) or bytes unread the other is reset.
    pub fn close(&mut self, end: End, abort: bool) -> Told {
        let (own, peer) = self.ends(end);
        if std::mem::replace(&mut own.closed, true) {
            return NOTHING;
        }
        let unread = !std::mem::take(&mut own.inbox).is_empty();
        if peer.closed || own.reset {
            return NOTHING;
        }
        if abort || unread {
            peer.die();
        } else {
            peer.ended = true;
        }
        Told { own: Events::empty(), peer: Events::all() }
    }

    /// Readiness. An end that isn't ready to send is told when it is.
    pub fn poll(&mut self, end: End) -> Events {
        let (own, peer) = self.ends(end);
        let mut now = Events::empty();
        let (no_more, mute) = (own.ended || own.shut_receive || own.reset, own.shut_send || own.reset);
        now.set(READABLE, no_more || !own.inbox.is_empty());
        now.set(Events::RDHUP, no_more);
        now.set(Events::HUP, no_more && mute);
        now.set(Events::ERR, own.error.is_some());
        now.set(Events::PRI, own.urgent.is_some());
        let writable = mute || peer.closed || peer.has_room(own);
        own.starved |= !writable;
        now.set(WRITABLE, writable);
        now
    }

    /// SO_ERROR.
    pub fn take_error(&mut self, end: End) -> Option<Errno> {
        self.ends(end).0.error.take()
    }

    /// SIOCINQ.
    pub fn queued(&self, end: End) -> usize {
        self.side(end).inbox.len()
    }

    /// Its state as `/proc/net/tcp` and TCP_INFO number them.
    pub fn state(&self, end: End) -> u8 {
        let side = self.side(end);
        match (side.over(), side.shut_send, side.ended) {
            (true, _, _) => CLOSE,
            (_, true, _) => state::FIN_WAIT2,
            (_, _, true) => state::CLOSE_WAIT,
            _ => state::ESTABLISHED,
        }
    }
}

impl Side {
    fn over(&self) -> bool {
        self.reset || self.ended && self.shut_send
    }
}

#[cfg(test)]
mod tests;
