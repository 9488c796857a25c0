//! What carries a link: bytes between two nodes or two processes, in order, until it is cut.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use quark_host::ring::{self, Ring, Side};

use crate::link::Reset;
use crate::port::{Bells, Port};

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

/// Between processes of a node: a [`Ring`], bells to wake by, and a socket pair whose hang-up tells that the other one is gone.
pub struct Memory {
    port: Port,
    life: UnixStream,
}

impl Memory {
    /// Both ends.
    pub fn pair() -> io::Result<(Memory, Memory)> {
        let memory = ring::create()?;
        let (client, server) = (Bells::new()?, Bells::new()?);
        let (life, other_life) = UnixStream::pair()?;
        let end = |side, own: &Bells, other: &Bells, life: UnixStream| {
            let ring = Ring::open(memory.as_fd(), side)?;
            io::Result::Ok(Memory { port: Port::new(ring, own.again()?, other.again()?, Some(life.try_clone()?)), life })
        };
        Ok((end(Side::Client, &client, &server, life)?, end(Side::Server, &server, &client, other_life)?))
    }
}

impl Transport for Memory {
    fn split(self: Box<Self>) -> io::Result<Halves> {
        let life = self.life;
        let port = Arc::new(self.port);
        let (reader, cut) = (port.clone(), port.clone());
        let cut = move || {
            cut.cut();
            let _ = life.shutdown(Shutdown::Both);
        };
        Ok(Halves { reader: Box::new(MemoryReader(reader)), writer: Box::new(MemoryWriter(port)), cut: Box::new(cut) })
    }
}

struct MemoryReader(Arc<Port>);
struct MemoryWriter(Arc<Port>);

impl Read for MemoryReader {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.0.receive(to).map_err(|Reset| io::ErrorKind::ConnectionReset.into())
    }
}

impl Write for MemoryWriter {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.0.send(from).map_err(|Reset| io::Error::from(io::ErrorKind::ConnectionReset))?;
        Ok(from.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
