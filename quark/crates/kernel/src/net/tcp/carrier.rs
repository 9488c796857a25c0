//! Who carries a connection that is not the host's.

use std::sync::{Arc, Mutex};

use super::pair::{Buffers, End, Pair, Told};
use crate::reactor::with_bands;
use crate::task::lock;
use crate::wait::{Bell, Events, WaitQueue};
use crate::{Errno, Result};

/// State 7 of `/proc/net/tcp` and TCP_INFO: connected no longer.
pub const CLOSE: u8 = 7;

/// One end of a connection. Who waits for it is told by its socket's queue.
pub trait Carrier: Send + Sync {
    /// Sends what there is room for: EAGAIN, EPIPE, the error of a reset. With `urgent` the last byte is (MSG_OOB).
    fn send(&self, data: &[u8], urgent: bool) -> Result<usize>;
    /// Receives (MSG_PEEK, MSG_TRUNC, MSG_OOB): 0 at the end, EAGAIN, the error of a reset.
    fn receive(&self, to: &mut [u8], flags: i32) -> Result<usize>;
    /// `shutdown(2)`.
    fn shutdown(&self, how: i32) -> Result<()>;
    /// The end is closed; `abort` resets the other. More than once is once.
    fn close(&self, abort: bool);
    /// Readiness.
    fn poll(&self) -> Events;
    /// SO_ERROR.
    fn take_error(&self) -> Option<Errno>;
    /// SIOCINQ.
    fn queued(&self) -> usize;
    /// Its state as `/proc/net/tcp` and TCP_INFO number them.
    fn state(&self) -> u8;
    /// What it is rung by from outside, if it is.
    fn bell(&self) -> Option<Bell> {
        None
    }
    /// Somebody is to be told by the queue: by the reactor, if it is rung from outside.
    fn watch(&self) {}
    /// SO_RCVBUF or SO_SNDBUF was set.
    fn set_buffers(&self, buffers: Buffers);
}

/// A connection inside, and who waits at its ends.
struct Wire {
    pair: Mutex<Pair>,
    client: Arc<WaitQueue>,
    server: Arc<WaitQueue>,
}

/// One end of a connection inside.
pub struct WireEnd {
    wire: Arc<Wire>,
    end: End,
}

impl WireEnd {
    /// Both ends of a connection whose client waits at `queue`; and where its server does.
    pub fn pair(buffers: (Buffers, Buffers), queue: Arc<WaitQueue>) -> (WireEnd, WireEnd, Arc<WaitQueue>) {
        let server = Arc::<WaitQueue>::default();
        let wire = Arc::new(Wire { pair: Mutex::new(Pair::new(buffers.0, buffers.1)), client: queue, server: server.clone() });
        (WireEnd { wire: wire.clone(), end: End::Client }, WireEnd { wire, end: End::Server }, server)
    }

    fn act<T>(&self, act: impl FnOnce(&mut Pair) -> Result<(T, Told)>) -> Result<T> {
        let (answer, told) = act(&mut lock(&self.wire.pair))?;
        let (own, peer) = match self.end {
            End::Client => (&self.wire.client, &self.wire.server),
            End::Server => (&self.wire.server, &self.wire.client),
        };
        for (queue, events) in [(peer, told.peer), (own, told.own)] {
            if !events.is_empty() {
                queue.notify(with_bands(events));
            }
        }
        Ok(answer)
    }
}

impl Carrier for WireEnd {
    fn send(&self, data: &[u8], urgent: bool) -> Result<usize> {
        self.act(|pair| pair.send(self.end, data, urgent))
    }

    fn receive(&self, to: &mut [u8], flags: i32) -> Result<usize> {
        self.act(|pair| pair.receive(self.end, to, flags))
    }

    fn shutdown(&self, how: i32) -> Result<()> {
        self.act(|pair| Ok(((), pair.shutdown(self.end, how)?)))
    }

    fn close(&self, abort: bool) {
        let _ = self.act(|pair| Ok(((), pair.close(self.end, abort))));
    }

    fn poll(&self) -> Events {
        lock(&self.wire.pair).poll(self.end)
    }

    fn take_error(&self) -> Option<Errno> {
        lock(&self.wire.pair).take_error(self.end)
    }

    fn queued(&self) -> usize {
        lock(&self.wire.pair).queued(self.end)
    }

    fn state(&self) -> u8 {
        lock(&self.wire.pair).state(self.end)
    }

    fn set_buffers(&self, buffers: Buffers) {
        lock(&self.wire.pair).set_buffers(self.end, buffers);
    }
}
