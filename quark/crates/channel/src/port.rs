//! One end of a ring for threads that wait: the service of a node, and the memory transport.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use quark_host::ring::{Broken, Moved, Ring};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use crate::link::Reset;

/// Of one end: what wakes who reads there, and what wakes who writes. May be the same twice.
pub struct Bells {
    /// For bytes that have come.
    pub reader: OwnedFd,
    /// For room that there is.
    pub writer: OwnedFd,
}

impl Bells {
    /// Two that differ.
    pub fn new() -> rustix::io::Result<Bells> {
        Ok(Bells { reader: bell()?, writer: bell()? })
    }

    /// The same once more.
    pub fn again(&self) -> io::Result<Bells> {
        Ok(Bells { reader: self.reader.try_clone()?, writer: self.writer.try_clone()? })
    }

    /// Wakes who waits there.
    pub fn ring(&self) {
        ring(&self.reader);
        ring(&self.writer);
    }
}

/// An eventfd that never blocks.
pub fn bell() -> rustix::io::Result<OwnedFd> {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
}

fn ring(bell: &OwnedFd) {
    // Full only if it was rung 2^64 times and never looked at.
    let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
}

/// One end of a ring.
pub struct Port {
    ring: Mutex<Ring>,
    own: Bells,
    other: Bells,
    /// Hangs up when the other process is gone, if nobody else tells.
    life: Option<UnixStream>,
    cut: AtomicBool,
}

/// What a look at the ring gave.
enum Look {
    Moved(Moved),
    /// Nothing, and nothing more.
    End,
    /// Nothing yet: the bell will tell.
    Later,
}

impl Port {
    /// An end with its bells and the other's.
    pub fn new(ring: Ring, own: Bells, other: Bells, life: Option<UnixStream>) -> Port {
        Port { ring: Mutex::new(ring), own, other, life, cut: AtomicBool::new(false) }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Breaks the connection: for the other end, and for who waits at this one.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        self.ring().reset();
        self.own.ring();
        self.other.ring();
    }

    /// Sends no more.
    pub fn end(&self) {
        self.ring().end();
        ring(&self.other.reader);
    }

    /// Waits for a bell.
    fn wait(&self, bell: &OwnedFd) -> Result<(), Reset> {
        let mut polled = vec![PollFd::new(bell, PollFlags::IN)];
        polled.extend(self.life.iter().map(|life| PollFd::new(life, PollFlags::IN)));
        // An interruption is an early return.
        let _ = poll(&mut polled, None);
        let mut rung = polled.iter().map(|polled| !polled.revents().is_empty());
        let (rung, gone) = (rung.next() == Some(true), rung.next() == Some(true));
        if rung {
            let _ = rustix::io::read(bell, &mut [0; 8][..]);
        }
        if gone || self.cut.load(Ordering::SeqCst) { Err(Reset) } else { Ok(()) }
    }

    fn look(&self, act: impl FnOnce(&mut Ring) -> Result<Look, Broken>) -> Result<Look, Reset> {
        if self.cut.load(Ordering::SeqCst) {
            return Err(Reset);
        }
        act(&mut self.ring()).map_err(|Broken| Reset)
    }

    /// Waits for bytes: how many came, or 0 at the end of all.
    pub fn receive(&self, to: &mut [u8]) -> Result<usize, Reset> {
        loop {
            let look = self.look(|ring| {
                let moved = ring.receive(to, false)?;
                if moved.count > 0 {
                    return Ok(Look::Moved(moved));
                }
                let over = ring.ended();
                let later = !ring.ready_to_receive()?;
                // Bytes may have come before the end did.
                Ok(if over && ring.available()? == 0 {
                    Look::End
                } else if later {
                    Look::Later
                } else {
                    Look::Moved(moved)
                })
            })?;
            match look {
                Look::Moved(moved) => {
                    if moved.ring {
                        ring(&self.other.writer);
                    }
                    if moved.count > 0 {
                        return Ok(moved.count);
                    }
                    if self.ring().was_reset() {
                        return Err(Reset);
                    }
                }
                Look::End => return Ok(0),
                Look::Later => self.wait(&self.own.reader)?,
            }
        }
    }

    /// Sends all bytes, waiting for room.
    pub fn send(&self, mut from: &[u8]) -> Result<(), Reset> {
        while !from.is_empty() {
            let look = self.look(|ring| {
                let moved = ring.send(from)?;
                let later = moved.count == 0 && !ring.ready_to_send()?;
                Ok(if ring.was_reset() || ring.refuses() {
                    Look::End
                } else if later {
                    Look::Later
                } else {
                    Look::Moved(moved)
                })
            })?;
            match look {
                Look::Moved(moved) => {
                    if moved.ring {
                        ring(&self.other.reader);
                    }
                    from = from.get(moved.count..).unwrap_or_default();
                }
                Look::End => return Err(Reset),
                Look::Later => self.wait(&self.own.writer)?,
            }
        }
        Ok(())
    }
}
