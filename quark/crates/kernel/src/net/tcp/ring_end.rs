//! A connection to another pod in shared memory that the service of the node has given us. The other end may be hostile.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};

use quark_channel::pod::End;
use quark_channel::port::Bells;
use quark_host::ring::{Broken, Moved, Ring, Side};

use super::carrier::{CLOSE, Carrier};
use super::pair::Buffers;
use crate::reactor::Watched;
use crate::task::lock;
use crate::wait::{Bell, Events, WaitQueue};
use crate::{Errno, Result};

/// One end of a ring.
pub struct RingEnd {
    /// Rung by the other end. Who waits for this end alone hears it himself; the reactor tells the socket's queue once somebody waits there.
    bell: Watched,
    other: Bells,
    queue: Arc<WaitQueue>,
    state: Mutex<State>,
    closed: Box<dyn Fn() + Send + Sync>,
}

struct State {
    ring: Ring,
    shut_receive: bool,
    shut_send: bool,
    closed: bool,
    reset: bool,
    error: Option<Errno>,
}

impl State {
    fn die(&mut self) {
        if !self.reset {
            self.error = Some(if self.ring.ended() { Errno::PIPE } else { Errno::CONNRESET });
            self.reset = true;
            self.ring.reset();
        }
    }

    /// Whether it is broken, as far as the other end tells.
    fn look(&mut self) {
        if self.ring.was_reset() {
            self.die();
        }
    }

    /// What the other end has made impossible resets the connection.
    fn checked<T>(&mut self, act: impl FnOnce(&mut Ring) -> Result<T, Broken>) -> Result<T> {
        act(&mut self.ring).map_err(|Broken| {
            self.die();
            Errno::CONNRESET
        })
    }

    fn no_more(&self) -> bool {
        self.ring.ended() || self.shut_receive || self.reset
    }

    fn over(&self) -> bool {
        self.reset || self.ring.ended() && self.shut_send
    }
}

impl RingEnd {
    /// Takes an end into use; `closed` is called once, when it is closed. EINVAL for memory that is no ring.
    pub fn new(end: End, side: Side, queue: Arc<WaitQueue>, closed: Box<dyn Fn() + Send + Sync>) -> Result<RingEnd> {
        let ring = Ring::open(end.memory.as_fd(), side)?;
        let bell = Watched::sharing(end.own, queue.clone());
        let state = State { ring, shut_receive: false, shut_send: false, closed: false, reset: false, error: None };
        Ok(RingEnd { bell, other: end.other, queue, state: Mutex::new(state), closed })
    }

    /// The service is gone, and with it whatever it carried.
    pub fn cut(&self) {
        lock(&self.state).die();
        self.other.ring();
        self.queue.notify(Events::all());
    }

    fn tell(&self, moved: Moved) -> usize {
        if moved.ring {
            self.other.ring();
        }
        moved.count
    }
}

impl Carrier for RingEnd {
    fn send(&self, data: &[u8], urgent: bool) -> Result<usize> {
        if urgent {
            return Err(Errno::OPNOTSUPP);
        }
        let mut state = lock(&self.state);
        state.look();
        if let Some(error) = state.error.take() {
            return Err(error);
        }
        if state.shut_send || state.reset {
            return Err(Errno::PIPE);
        }
        if state.ring.refuses() {
            state.die();
            return Ok(data.len());
        }
        let moved = state.checked(|ring| ring.send(data))?;
        if moved.count == 0 && !data.is_empty() {
            // Asks to be rung; there may be room by now.
            if !state.checked(|ring| ring.ready_to_send())? {
                return Err(Errno::AGAIN);
            }
            return state.checked(|ring| ring.send(data)).map(|moved| self.tell(moved));
        }
        Ok(self.tell(moved))
    }

    fn receive(&self, to: &mut [u8], flags: i32) -> Result<usize> {
        if flags & libc::MSG_OOB != 0 {
            return Err(Errno::INVAL);
        }
        let mut state = lock(&self.state);
        state.look();
        let mut take = |ring: &mut Ring| match flags & (libc::MSG_TRUNC | libc::MSG_PEEK) {
            libc::MSG_TRUNC => ring.skip(to.len()),
            peek => ring.receive(to, peek & libc::MSG_PEEK != 0),
        };
        // Before the bytes: what has ended by now has nothing behind what is there.
        let (no_more, ended) = (state.no_more(), state.ring.ended());
        let moved = state.checked(&mut take)?;
        if moved.count > 0 {
            return Ok(self.tell(moved));
        }
        match state.error.take_if(|_| !ended) {
            Some(error) => Err(error),
            None if no_more => Ok(0),
            None if !state.checked(|ring| ring.ready_to_receive())? => Err(Errno::AGAIN),
            None => match state.checked(take)? {
                Moved { count: 0, .. } if state.ring.ended() => Ok(0),
                Moved { count: 0, .. } => Err(Errno::AGAIN),
                moved => Ok(self.tell(moved)),
            },
        }
    }

    fn shutdown(&self, how: i32) -> Result<()> {
        let mut state = lock(&self.state);
        state.look();
        if state.over() {
            return Err(Errno::NOTCONN);
        }
        state.shut_receive |= how != libc::SHUT_WR;
        if how != libc::SHUT_RD {
            state.shut_send = true;
            state.ring.end();
        }
        drop(state);
        self.other.ring();
        Ok(())
    }

    fn close(&self, abort: bool) {
        let mut state = lock(&self.state);
        if std::mem::replace(&mut state.closed, true) {
            return;
        }
        if abort || state.ring.available() != Ok(0) {
            state.ring.reset();
        } else {
            state.ring.end();
        }
        state.ring.close();
        drop(state);
        self.other.ring();
        (self.closed)();
    }

    fn poll(&self) -> Events {
        let mut state = lock(&self.state);
        state.look();
        let readable = state.checked(|ring| ring.ready_to_receive()).unwrap_or(true);
        let writable = state.shut_send || state.ring.refuses() || state.checked(|ring| ring.ready_to_send()).unwrap_or(true);
        let no_more = state.no_more();
        let mut now = Events::empty();
        now.set(Events::IN | Events::RDNORM, readable || no_more);
        now.set(Events::RDHUP, no_more);
        now.set(Events::HUP, no_more && (state.shut_send || state.reset));
        now.set(Events::ERR, state.error.is_some());
        now.set(Events::OUT | Events::WRNORM, writable || state.reset);
        now
    }

    fn take_error(&self) -> Option<Errno> {
        let mut state = lock(&self.state);
        state.look();
        state.error.take()
    }

    fn queued(&self) -> usize {
        lock(&self.state).ring.available().unwrap_or(0)
    }

    fn state(&self) -> u8 {
        let mut state = lock(&self.state);
        state.look();
        match (state.over(), state.shut_send, state.ring.ended()) {
            (true, _, _) => CLOSE,
            (_, true, _) => 5,
            (_, _, true) => 8,
            _ => 1,
        }
    }

    fn bell(&self) -> Option<Bell> {
        Some(Bell { fd: self.bell.fd().clone(), queue: self.queue.clone() })
    }

    fn watch(&self) {
        self.bell.watched();
    }

    /// A ring's size is fixed.
    fn set_buffers(&self, _: Buffers) {}
}

impl Drop for RingEnd {
    fn drop(&mut self) {
        self.close(true);
    }
}

#[cfg(test)]
mod tests;
