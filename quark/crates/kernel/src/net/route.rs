//! Netlink route sockets: what `ip addr`, `ip route` and libc's getifaddrs ask. The guest's requests are not passed on; each of the few
//! that are answered is made anew, to a netlink socket of the host in the pod's network namespace, and its answer handed back.

use std::any::Any;
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use quark_host::socket as host;
use rustix::event::{PollFd, PollFlags, poll};

use super::socket::{Endpoint, Incoming, Outgoing};
use crate::call::Call;
use crate::task::{Task, lock};
use crate::wait::{Events, WaitQueue};
use crate::{Errno, Result};

/// A netlink socket of the family NETLINK_ROUTE.
pub struct RouteSocket {
    port: u32,
    kind: i32,
    answers: Mutex<VecDeque<Vec<u8>>>,
    queue: WaitQueue,
}

/// Bytes before what a message is about.
pub(super) const HEADER: usize = 16;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
/// The highest type of request that Linux 6.12 knows.
const RTM_MAX: u16 = 123;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

static NEXT_PORT: AtomicU32 = AtomicU32::new(1);

/// A request as the guest wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Request {
    kind: u16,
    flags: u16,
    sequence: u32,
    /// The first byte behind the header.
    family: u8,
}

fn request(bytes: &[u8]) -> Result<(Request, usize)> {
    let word = |at: usize| bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map(u32::from_ne_bytes).ok_or(Errno::INVAL);
    let length = word(0)? as usize;
    if length < HEADER || length > bytes.len() {
        return Err(Errno::INVAL);
    }
    let both = word(4)?;
    let family = if length > HEADER { bytes.get(HEADER).copied().unwrap_or(0) } else { 0 };
    Ok((Request { kind: both as u16, flags: (both >> 16) as u16, sequence: word(8)?, family }, length))
}

fn message(kind: u16, flags: u16, sequence: u32, port: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ((HEADER + payload.len()) as u32).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    bytes.extend_from_slice(&port.to_ne_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// How long the fixed part of a request is that may be made, by its type: RTM_GETLINK, GETADDR, GETROUTE, GETNEIGH, GETRULE.
fn body(kind: u16) -> Option<usize> {
    match kind {
        18 => Some(16),
        22 => Some(8),
        26 | 30 | 34 => Some(12),
        _ => None,
    }
}

impl RouteSocket {
    /// A new socket; `protocol` other than NETLINK_ROUTE is EPROTONOSUPPORT.
    pub fn new(kind: i32, protocol: i32) -> Result<Arc<RouteSocket>> {
        if protocol != libc::NETLINK_ROUTE {
            return Err(Errno::PROTONOSUPPORT);
        }
        if kind != libc::SOCK_RAW && kind != libc::SOCK_DGRAM {
            return Err(Errno::SOCKTNOSUPPORT);
        }
        let port = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(RouteSocket { port, kind, answers: Mutex::default(), queue: WaitQueue::default() }))
    }

    /// Has the guest receive these bytes (`mq_notify`).
    pub fn deliver(&self, bytes: Vec<u8>) {
        lock(&self.answers).push_back(bytes);
        self.queue.notify(Events::IN | Events::RDNORM);
    }

    fn serve(&self, request: Request) {
        let errno = match body(request.kind) {
            Some(length) if request.flags & NLM_F_DUMP != 0 => match dump_for(self.port, request, length) {
                Ok(answers) => {
                    lock(&self.answers).extend(answers);
                    return;
                }
                Err(errno) => errno,
            },
            Some(_) => Errno::OPNOTSUPP,
            None if request.kind > RTM_MAX => Errno::OPNOTSUPP,
            // What changes the network is for who administers it.
            None if request.kind >= 16 => Errno::PERM,
            None => return,
        };
        if errno == Errno::OPNOTSUPP || errno == Errno::PERM || request.flags & NLM_F_ACK != 0 {
            let mut payload = (-errno.raw_os_error()).to_ne_bytes().to_vec();
            payload.extend_from_slice(&message(request.kind, request.flags, request.sequence, self.port, &[]));
            lock(&self.answers).push_back(message(NLMSG_ERROR, 0, request.sequence, self.port, &payload));
        }
    }
}

/// Asks the host for everything of a kind; the request's fixed part has `length` bytes, its family first.
pub(super) fn dump(kind: u16, family: u8, length: usize) -> Result<Vec<Vec<u8>>> {
    dump_for(0, Request { kind, flags: 0, sequence: 1, family }, length)
}

fn dump_for(port: u32, request: Request, length: usize) -> Result<Vec<Vec<u8>>> {
    let socket = host::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?;
    let mut payload = vec![0; length];
    if let Some(family) = payload.first_mut() {
        *family = request.family;
    }
    let asked = message(request.kind, 1 | NLM_F_DUMP, request.sequence, 0, &payload);
    host::send(socket.as_fd(), &asked, &[], &[], 0)?;
    let mut answers = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        let piece = receive(&socket, deadline)?;
        let (piece, done) = readdress(piece, port);
        answers.push(piece);
        if done {
            return Ok(answers);
        }
    }
}

fn receive(socket: &OwnedFd, deadline: Instant) -> Result<Vec<u8>> {
    let mut bytes = vec![0; 32 << 10];
    loop {
        match host::receive(socket.as_fd(), &mut bytes, 0) {
            Ok(got) => {
                bytes.truncate(got.length);
                return Ok(bytes);
            }
            Err(Errno::AGAIN) => {}
            Err(errno) => return Err(errno),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Errno::TIMEDOUT);
        }
        let _ = poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&crate::wait::timespec(left)));
    }
}

/// Makes the messages of a piece the guest socket's, and tells whether the last one was among them.
fn readdress(mut piece: Vec<u8>, port: u32) -> (Vec<u8>, bool) {
    let mut at = 0;
    let mut done = piece.is_empty();
    while let Some(Ok((found, length))) = piece.get(at..).filter(|rest| rest.len() >= HEADER).map(request) {
        if let Some(place) = piece.get_mut(at + 12..at + 16) {
            place.copy_from_slice(&port.to_ne_bytes());
        }
        done |= found.kind == NLMSG_DONE || found.kind == NLMSG_ERROR;
        at += (length + 3) & !3;
    }
    (piece, done)
}

fn address(port: u32) -> Vec<u8> {
    let mut bytes = (libc::AF_NETLINK as u16).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&port.to_ne_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes
}

impl Endpoint for RouteSocket {
    fn bind(&self, _: &Arc<Task>, address: &[u8]) -> Result<()> {
        if address.len() < 12 || address.get(..2) != Some(&(libc::AF_NETLINK as u16).to_ne_bytes()) { Err(Errno::INVAL) } else { Ok(()) }
    }

    fn listen(&self, _: &Arc<Task>, _: i32) -> Result<()> {
        Err(Errno::OPNOTSUPP)
    }

    fn connect(&self, _: &Arc<Task>, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn accept(&self) -> Result<(Arc<dyn Endpoint>, Vec<u8>)> {
        Err(Errno::OPNOTSUPP)
    }

    fn send(&self, _: Option<&Arc<Task>>, outgoing: &Outgoing<'_>) -> Result<usize> {
        let mut rest = outgoing.data;
        while rest.len() >= HEADER {
            let Ok((found, length)) = request(rest) else { break };
            self.serve(found);
            rest = rest.get((length + 3) & !3..).unwrap_or_default();
        }
        self.queue.notify(Events::IN | Events::RDNORM);
        Ok(outgoing.data.len())
    }

    fn receive(&self, to: &mut [u8], flags: i32) -> Result<Incoming> {
        let mut answers = lock(&self.answers);
        let first = answers.front().ok_or(Errno::AGAIN)?;
        let (filled, length) = (first.len().min(to.len()), first.len());
        to.iter_mut().zip(first).for_each(|(to, from)| *to = *from);
        if flags & libc::MSG_PEEK == 0 {
            answers.pop_front();
        }
        let cut = if filled < length { libc::MSG_TRUNC } else { 0 };
        Ok(Incoming { filled, length, address: address(0), flags: cut, ..Incoming::default() })
    }

    fn shutdown(&self, _: i32) -> Result<()> {
        Err(Errno::OPNOTSUPP)
    }

    fn name(&self) -> Result<Vec<u8>> {
        Ok(address(self.port))
    }

    fn peer(&self) -> Result<Vec<u8>> {
        Ok(address(0))
    }

    fn set_option(&self, _: &Arc<Task>, level: i32, _: i32, _: &[u8]) -> Result<()> {
        // Buffers, extended answers, strict checks: nothing that is asked for here changes what can be answered.
        if level == libc::SOL_SOCKET || level == libc::SOL_NETLINK { Ok(()) } else { Err(Errno::NOPROTOOPT) }
    }

    fn option(&self, level: i32, name: i32, room: usize) -> Result<Vec<u8>> {
        let number = match (level, name) {
            (libc::SOL_SOCKET, libc::SO_ERROR) => 0,
            (libc::SOL_SOCKET, libc::SO_SNDBUF | libc::SO_RCVBUF) => super::unix::QUEUE_BYTES as i32,
            _ => return Err(Errno::NOPROTOOPT),
        };
        Ok(number.to_ne_bytes().get(..room.min(4)).unwrap_or_default().to_vec())
    }

    fn poll(&self, interest: Events) -> Events {
        let mut now = Events::OUT | Events::WRNORM;
        now.set(Events::IN | Events::RDNORM, !lock(&self.answers).is_empty());
        now & interest
    }

    fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn ioctl(&self, call: &mut Call<'_>, request: u32, argument: u64) -> Result<u64> {
        if u64::from(request) != libc::FIONREAD {
            return Err(Errno::NOTTY);
        }
        let bytes = lock(&self.answers).front().map_or(0, Vec::len);
        call.write_value(argument, &(bytes as i32))?;
        Ok(0)
    }

    fn kind(&self) -> (i32, i32, i32) {
        (libc::AF_NETLINK, self.kind, libc::NETLINK_ROUTE)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(kind: u16, flags: u16) -> Vec<u8> {
        message(kind, flags, 77, 0, &[0; 16])
    }

    #[test]
    fn a_dump_of_links_has_the_loopback() {
        let socket = RouteSocket::new(libc::SOCK_RAW, libc::NETLINK_ROUTE).unwrap();
        let data = ask(18, 1 | NLM_F_DUMP);
        assert_eq!(socket.send(None, &Outgoing { data: &data, ..Outgoing::default() }), Ok(data.len()));
        let mut bytes = vec![0; 32 << 10];
        let got = socket.receive(&mut bytes, 0).unwrap();
        let (first, _) = request(&bytes[..got.filled]).unwrap();
        assert_eq!((first.kind, first.sequence), (16, 77));
        assert!(bytes[..got.filled].windows(3).any(|three| three == b"lo\0"));
        while socket.receive(&mut bytes, 0).is_ok() {}
        assert_eq!(socket.receive(&mut bytes, 0).err(), Some(Errno::AGAIN));
    }

    #[test]
    fn changes_are_refused() {
        let socket = RouteSocket::new(libc::SOCK_RAW, libc::NETLINK_ROUTE).unwrap();
        let data = ask(16, 1);
        socket.send(None, &Outgoing { data: &data, ..Outgoing::default() }).unwrap();
        let mut bytes = [0; 64];
        socket.receive(&mut bytes, 0).unwrap();
        assert_eq!(request(&bytes).unwrap().0.kind, NLMSG_ERROR);
        assert_eq!(bytes[16..20], (-libc::EPERM).to_ne_bytes());
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        for length in [0u32, 15, 33, u32::MAX] {
            let mut bytes = ask(18, 0);
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(request(&bytes).err(), Some(Errno::INVAL));
        }
    }
}
