//! What carries a link: bytes between two nodes or two processes, in order, until it is cut.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quark_host::ring::{self, Ring, Side};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

/// The two directions of a transport, for a thread each, and how to end both from a third.
pub struct Halves {
    /// Blocks until there are bytes; 0 or an error is the end.
    pub reader: Box<dyn Read + Send>,
    /// Blocks until there is room.
    pub writer: Box<dyn Write + Send>,
    /// Ends both directions, here and on the other side. May be called more than once.
    pub cut: Box<dyn Fn() + Send + Sync>,
}

/// Bytes in order and without loss. RDMA (one queue pair between two nodes, writes with immediate data) would be one more.
pub trait Transport: Send {
    /// Takes it into use.
    fn split(self: Box<Self>) -> io::Result<Halves>;
}

/// Between nodes.
pub struct Tcp(pub TcpStream);

impl Transport for Tcp {
    fn split(self: Box<Self>) -> io::Result<Halves> {
        self.0.set_nodelay(true)?;
        let (reader, cut) = (self.0.try_clone()?, self.0.try_clone()?);
        // Who is not connected any more is cut already.
        let cut = move || drop(cut.shutdown(Shutdown::Both));
        Ok(Halves { reader: Box::new(reader), writer: Box::new(self.0), cut: Box::new(cut) })
    }
}

/// Between processes of a node: [`Ring`]s, bells to wake by, and a socket pair whose hang-up tells that the other one is gone.
pub struct Memory {
    ring: Ring,
    bells: Bells,
    life: UnixStream,
}

/// Of each end: what wakes its reader, and what wakes its writer.
struct Bells {
    own: [OwnedFd; 2],
    other: [OwnedFd; 2],
}

const READER: usize = 0;
const WRITER: usize = 1;

impl Memory {
    /// Both ends, for use in one process or, by their descriptors, in two.
    pub fn pair() -> io::Result<(Memory, Memory)> {
        let memory = ring::create()?;
        let bell = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let bells = [[bell()?, bell()?], [bell()?, bell()?]];
        let again = |[reader, writer]: &[OwnedFd; 2]| io::Result::Ok([reader.try_clone()?, writer.try_clone()?]);
        let copies = [again(&bells[0])?, again(&bells[1])?];
        let ([client, server], [client_again, server_again]) = (bells, copies);
        let (life, other_life) = UnixStream::pair()?;
        let open = |side| Ring::open(memory.as_fd(), side);
        let one = Memory { ring: open(Side::Client)?, bells: Bells { own: client, other: server }, life };
        let two = Memory { ring: open(Side::Server)?, bells: Bells { own: server_again, other: client_again }, life: other_life };
        Ok((one, two))
    }
}

struct MemoryEnd {
    ring: Mutex<Ring>,
    bells: Bells,
    life: UnixStream,
}

impl Transport for Memory {
    fn split(self: Box<Self>) -> io::Result<Halves> {
        let end = Arc::new(MemoryEnd { ring: Mutex::new(self.ring), bells: self.bells, life: self.life });
        let (reader, cut) = (end.clone(), end.clone());
        let cut = move || drop(cut.life.shutdown(Shutdown::Both));
        Ok(Halves { reader: Box::new(MemoryReader(reader)), writer: Box::new(MemoryWriter(end)), cut: Box::new(cut) })
    }
}

impl MemoryEnd {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, whom: usize) {
        // Full only if it was rung 2^64 times and never looked at.
        let _ = self.bells.other.get(whom).map(|bell| rustix::io::write(bell, &1u64.to_ne_bytes()));
    }

    /// Waits for a bell. False: the other side is gone, or we were cut.
    fn wait(&self, who: usize) -> io::Result<bool> {
        let Some(bell) = self.bells.own.get(who) else { return Ok(false) };
        let mut polled = [PollFd::new(bell, PollFlags::IN), PollFd::new(&self.life, PollFlags::IN)];
        match poll(&mut polled, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [rung, gone] = polled.map(|polled| !polled.revents().is_empty());
        if rung {
            let _ = rustix::io::read(bell, &mut [0; 8][..]);
        }
        Ok(!gone)
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the other side of a memory transport broke its rules")
}

struct MemoryReader(Arc<MemoryEnd>);
struct MemoryWriter(Arc<MemoryEnd>);

impl Read for MemoryReader {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            let moved = {
                let mut ring = self.0.ring();
                let moved = ring.receive(to, false).map_err(|_| broken())?;
                if moved.count == 0 && !ring.ready_to_receive().map_err(|_| broken())? { None } else { Some(moved) }
            };
            match moved {
                Some(moved) if moved.ring => self.0.wake(WRITER),
                Some(_) => {}
                None if self.0.wait(READER)? => continue,
                None => return Ok(0),
            }
            if let Some(moved) = moved.filter(|moved| moved.count > 0 || to.is_empty()) {
                return Ok(moved.count);
            }
        }
    }
}

impl Write for MemoryWriter {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        loop {
            let moved = {
                let mut ring = self.0.ring();
                let moved = ring.send(from).map_err(|_| broken())?;
                if moved.count == 0 && !ring.ready_to_send().map_err(|_| broken())? { None } else { Some(moved) }
            };
            match moved {
                Some(moved) => {
                    if moved.ring {
                        self.0.wake(READER);
                    }
                    if moved.count > 0 || from.is_empty() {
                        return Ok(moved.count);
                    }
                }
                None if self.0.wait(WRITER)? => {}
                None => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
