//! Sockets of the host that a container was given open: standard streams of a parent that is node or systemd, LISTEN_FDS. Internet sockets are as the
//! guest's own ([`HostSocket`]); unix sockets carry bytes and nothing else, as what their addresses and files mean is the host's business.

use std::any::Any;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use quark_host::socket as host;

use super::host::HostSocket;
use super::options::{Judgement, judge};
use super::socket::{Endpoint, Incoming, Outgoing};
use crate::call::Call;
use crate::reactor::Watched;
use crate::task::Task;
use crate::wait::{Events, WaitQueue};
use crate::{Errno, Result};

/// The `sockaddr` of a unix socket without a name.
const UNNAMED: [u8; 2] = (libc::AF_UNIX as u16).to_ne_bytes();

/// What a socket of the host can be used as. EAFNOSUPPORT for other families than guests have.
pub fn endpoint(socket: OwnedFd) -> Result<Arc<dyn Endpoint>> {
    let asked = |name| {
        let value = host::option(socket.as_fd(), libc::SOL_SOCKET, name, 4)?;
        Ok(i32::from_ne_bytes(value.try_into().map_err(|_| Errno::INVAL)?))
    };
    let kind = (asked(libc::SO_DOMAIN)?, asked(libc::SO_TYPE)?, asked(libc::SO_PROTOCOL)?);
    match kind.0 {
        libc::AF_UNIX => Ok(Arc::new(GivenSocket { socket: Watched::new(socket), kind })),
        libc::AF_INET | libc::AF_INET6 => Ok(Arc::new(HostSocket::sharing(socket, kind, Arc::default()))),
        _ => Err(Errno::AFNOSUPPORT),
    }
}

/// A unix socket.
struct GivenSocket {
    socket: Watched,
    kind: (i32, i32, i32),
}

impl Endpoint for GivenSocket {
    fn bind(&self, _: &Arc<Task>, _: &[u8]) -> Result<()> {
        Err(Errno::INVAL)
    }

    fn listen(&self, _: &Arc<Task>, backlog: i32) -> Result<()> {
        host::listen(self.socket.as_fd(), backlog)
    }

    fn connect(&self, _: &Arc<Task>, _: &[u8]) -> Result<()> {
        Err(Errno::ISCONN)
    }

    fn accept(&self) -> Result<(Arc<dyn Endpoint>, Vec<u8>)> {
        crate::reactor::must_be_ready(self.socket.as_fd(), Events::IN)?;
        let (socket, _) = host::accept(self.socket.as_fd())?;
        Ok((Arc::new(GivenSocket { socket: Watched::new(socket), kind: self.kind }), UNNAMED.to_vec()))
    }

    fn send(&self, _: Option<&Arc<Task>>, message: &Outgoing<'_>) -> Result<usize> {
        if !message.address.is_empty() {
            return Err(Errno::ISCONN);
        }
        if !message.ancillary.files.is_empty() {
            return Err(Errno::OPNOTSUPP);
        }
        host::send(self.socket.as_fd(), message.data, &[], &[], message.flags)
    }

    fn receive(&self, to: &mut [u8], flags: i32) -> Result<Incoming> {
        let stream = self.kind.1 == libc::SOCK_STREAM;
        // MSG_TRUNC on a stream throws bytes away instead of telling a length.
        let asked = if stream { flags } else { flags | libc::MSG_TRUNC };
        let length = host::receive_bytes(self.socket.as_fd(), to, asked)?;
        let filled = length.min(to.len());
        Ok(Incoming { filled, length, flags: if length > filled { libc::MSG_TRUNC } else { 0 }, ..Incoming::default() })
    }

    fn shutdown(&self, how: i32) -> Result<()> {
        host::shutdown(self.socket.as_fd(), how)
    }

    fn name(&self) -> Result<Vec<u8>> {
        Ok(UNNAMED.to_vec())
    }

    fn peer(&self) -> Result<Vec<u8>> {
        host::peer(self.socket.as_fd()).map(|_| UNNAMED.to_vec())
    }

    fn set_option(&self, _: &Arc<Task>, level: i32, name: i32, value: &[u8]) -> Result<()> {
        match judge(level, name, true) {
            Judgement::Pass => host::set_option(self.socket.as_fd(), level, name, value),
            Judgement::Ignore => Ok(()),
            Judgement::Refuse(errno) => Err(errno),
        }
    }

    fn option(&self, level: i32, name: i32, room: usize) -> Result<Vec<u8>> {
        match judge(level, name, false) {
            Judgement::Pass => host::option(self.socket.as_fd(), level, name, room),
            Judgement::Ignore => Ok(vec![0; room.min(4)]),
            Judgement::Refuse(errno) => Err(errno),
        }
    }

    fn poll(&self, interest: Events) -> Events {
        crate::reactor::ready(self.socket.as_fd(), interest)
    }

    fn queue(&self) -> &WaitQueue {
        self.socket.queue()
    }

    fn ioctl(&self, call: &mut Call<'_>, request: u32, argument: u64) -> Result<u64> {
        let outgoing = match u64::from(request) {
            libc::FIONREAD => false,
            libc::TIOCOUTQ => true,
            _ => return Err(Errno::NOTTY),
        };
        call.write_value(argument, &host::queued(self.socket.as_fd(), outgoing)?)?;
        Ok(0)
    }

    fn kind(&self) -> (i32, i32, i32) {
        self.kind
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::with_bands;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    #[test]
    fn unix_streams_carry_bytes_and_have_no_names() {
        let (one, other) = UnixStream::pair().unwrap();
        let (one, other) = (endpoint(one.into()).unwrap(), endpoint(other.into()).unwrap());
        assert_eq!(one.kind(), (libc::AF_UNIX, libc::SOCK_STREAM, 0));
        assert_eq!((one.name().unwrap(), one.peer().unwrap()), (UNNAMED.to_vec(), UNNAMED.to_vec()));
        assert_eq!(one.receive(&mut [0; 4], 0).err(), Some(Errno::AGAIN));
        let outgoing = |data| Outgoing { data, ..Outgoing::default() };
        assert_eq!(other.send(None, &outgoing(b"hi")), Ok(2));
        assert_eq!(with_bands(one.poll(Events::IN)), Events::IN | Events::RDNORM);
        assert_eq!(one.receive(&mut [0; 4], 0).unwrap().filled, 2);
        assert_eq!(one.option(libc::SOL_SOCKET, libc::SO_TYPE, 4), Ok(libc::SOCK_STREAM.to_ne_bytes().to_vec()));
        assert_eq!(other.send(None, &Outgoing { address: b"\x01\x00/x", ..outgoing(b"x") }), Err(Errno::ISCONN));
        drop(other);
        assert_eq!(one.receive(&mut [0; 4], 0).unwrap().filled, 0);
        assert_eq!(one.send(None, &outgoing(b"x")), Err(Errno::PIPE));
    }

    #[test]
    fn datagrams_tell_what_was_cut() {
        let (one, other) = UnixDatagram::pair().unwrap();
        let one = endpoint(one.into()).unwrap();
        other.send(b"hello").unwrap();
        let got = one.receive(&mut [0; 2], 0).unwrap();
        assert_eq!((got.filled, got.length, got.flags), (2, 5, libc::MSG_TRUNC));
    }

    #[test]
    fn internet_sockets_are_as_the_guests_own() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let given = endpoint(listener.into()).unwrap();
        assert_eq!(given.kind(), (libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_TCP));
        let client = std::net::TcpStream::connect(address).unwrap();
        let (accepted, _) = loop {
            match given.accept() {
                Err(Errno::AGAIN) => std::thread::yield_now(),
                accepted => break accepted.unwrap(),
            }
        };
        assert_eq!(accepted.peer().unwrap().get(2..4).unwrap(), client.local_addr().unwrap().port().to_be_bytes());
    }
}
