//! Connections that the service has handed out: between two pods of the node, or between one and a link.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quark_channel::pod::End;
use quark_channel::port::{Bells, Port, bell};
use quark_channel::{StreamIn, StreamOut};
use quark_host::ring::{self, Ring, Side};

use crate::error::{Context, Result};

/// Bytes moved at a time between a ring and a link.
const PIECE: usize = 32 << 10;

/// Connections that there are.
static LIVE: AtomicU64 = AtomicU64::new(0);

/// Bytes that were moved between pods and links, in both directions.
static CARRIED: AtomicU64 = AtomicU64::new(0);

/// How many connections there are now, and how many bytes were moved between pods and links.
pub fn counts() -> (u64, u64) {
    (LIVE.load(Ordering::Relaxed), CARRIED.load(Ordering::Relaxed))
}

/// One connection. The service keeps it to cut it.
pub struct Connection {
    /// Who connected.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    way: Way,
}

enum Way {
    /// Between two pods: they share the memory, and we can break it.
    Here { memory: OwnedFd, bells: [Bells; 2] },
    /// Between a pod and a link.
    Away { port: Arc<Port>, pod: Mutex<Option<End>> },
}

/// The descriptors of the ends of a connection between two pods: the client's and the server's.
pub type Ends = (End, End);

impl Drop for Connection {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    fn new(from: SocketAddr, to: SocketAddr, way: Way) -> Connection {
        LIVE.fetch_add(1, Ordering::Relaxed);
        Connection { from, to, way }
    }

    /// Between two pods of the node.
    pub fn here(from: SocketAddr, to: SocketAddr) -> Result<(Connection, Ends)> {
        let what = || "make a ring";
        let memory = ring::create().context(what)?;
        let (client, server) = (bell().context(what)?, bell().context(what)?);
        let twice = |bell: &OwnedFd| -> Result<Bells> {
            Ok(Bells { reader: bell.try_clone().context(what)?, writer: bell.try_clone().context(what)? })
        };
        let end = |own: &OwnedFd, other: &OwnedFd| -> Result<End> {
            Ok(End { memory: memory.try_clone().context(what)?, own: own.try_clone().context(what)?, other: twice(other)? })
        };
        let ends = (end(&client, &server)?, end(&server, &client)?);
        let bells = [twice(&client)?, twice(&server)?];
        Ok((Connection::new(from, to, Way::Here { memory, bells }), ends))
    }

    /// Between a pod, which has `side` of the ring, and a link.
    pub fn away(from: SocketAddr, to: SocketAddr, side: Side) -> Result<Connection> {
        let what = || "make a ring";
        let memory = ring::create().context(what)?;
        let ours = Bells::new().context(what)?;
        let theirs = bell().context(what)?;
        let twice = Bells { reader: theirs.try_clone().context(what)?, writer: theirs.try_clone().context(what)? };
        let other_side = if side == Side::Client { Side::Server } else { Side::Client };
        let ring = Ring::open(memory.as_fd(), other_side).context(what)?;
        let end = End { memory, own: theirs, other: ours.again().context(what)? };
        let port = Arc::new(Port::new(ring, ours, twice, None));
        Ok(Connection::new(from, to, Way::Away { port, pod: Mutex::new(Some(end)) }))
    }

    /// The pod's end of one that goes away, once.
    pub fn take_end(&self) -> Option<End> {
        match &self.way {
            Way::Here { .. } => None,
            Way::Away { pod, .. } => pod.lock().unwrap_or_else(PoisonError::into_inner).take(),
        }
    }

    /// Breaks it: both ends see a reset.
    pub fn cut(&self) {
        match &self.way {
            Way::Here { memory, bells } => {
                // Memory that we have made opens.
                let _ = ring::cut(memory.as_fd());
                bells.iter().for_each(Bells::ring);
            }
            Way::Away { port, .. } => port.cut(),
        }
    }

    /// Moves bytes between the ring and a stream of a link, in two threads, until both directions have ended or one has broken.
    pub fn pump(&self, (incoming, outgoing): (StreamIn, StreamOut)) -> Result<()> {
        let Way::Away { port, .. } = &self.way else { return Ok(()) };
        let (to_link, to_pod) = (port.clone(), port.clone());
        crate::pod::spawn("to-link", move || {
            let mut piece = vec![0; PIECE];
            loop {
                match to_link.receive(&mut piece) {
                    Ok(0) => return outgoing.end(),
                    Ok(count) if outgoing.send(piece.get(..count).unwrap_or_default()).is_ok() => {
                        CARRIED.fetch_add(count as u64, Ordering::Relaxed);
                    }
                    Ok(_) => return to_link.cut(),
                    Err(_) => return outgoing.reset(),
                }
            }
        })?;
        crate::pod::spawn("to-pod", move || {
            loop {
                match incoming.receive() {
                    Ok(None) => return to_pod.end(),
                    Ok(Some(data)) if to_pod.send(&data).is_ok() => {
                        CARRIED.fetch_add(data.len() as u64, Ordering::Relaxed);
                        incoming.consumed(data.len());
                    }
                    Ok(Some(_)) => return incoming.reset(),
                    Err(_) => return to_pod.cut(),
                }
            }
        })
    }
}
