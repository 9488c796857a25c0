//! What a pod's kernel and the service of its node say to each other, over a unix socket that keeps messages apart (SOCK_SEQPACKET): one message of
//! [`BYTES`] each, with the descriptors of a ring where there is one. Both sides check what comes.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg,
    sendmsg,
};

use crate::frame::{address, bytes_of};
use crate::port::Bells;

/// Every message is so long.
pub const BYTES: usize = 80;

/// The longest name of a pod, bytes: what container runtimes call sandboxes by.
pub const NAME_MAX: usize = 64;

/// Connections of one pod at most; further ones are the host's.
pub const CONNECTIONS_MAX: usize = 4096;

/// Where the service of a node listens for pods.
pub const SOCKET: &str = "/run/quark-channel.sock";

/// One message. `id` is a connection's, given by whoever mentions it first: even by the pod, odd by the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Message {
    /// From the pod, first of all and before any guest runs: which one it is, with zeroes behind. See [`name`].
    Name([u8; NAME_MAX]),
    /// From the pod: may this be a channel?
    Ask { id: u32, from: SocketAddr, to: SocketAddr },
    /// From the service: it is for the host.
    Host { id: u32 },
    /// From the service, with a ring: it is connected.
    Connected { id: u32 },
    /// From the service, with a ring: somebody connects.
    Offer { id: u32, from: SocketAddr, to: SocketAddr },
    /// From the pod: it has somebody who listens there.
    Taken { id: u32 },
    /// From the pod: it has nobody.
    Refused { id: u32 },
    /// From the pod: its end is closed.
    Closed { id: u32 },
}

/// The descriptors of one end of a ring.
pub struct End {
    /// The shared memory.
    pub memory: OwnedFd,
    /// What this end is rung by.
    pub own: OwnedFd,
    /// What the other end is rung by.
    pub other: Bells,
}

impl End {
    fn descriptors(&self) -> [BorrowedFd<'_>; 4] {
        [self.memory.as_fd(), self.own.as_fd(), self.other.reader.as_fd(), self.other.writer.as_fd()]
    }
}

impl Message {
    fn encode(&self) -> [u8; BYTES] {
        let (kind, id, addresses) = match *self {
            Message::Name(_) => (0u32, 0, [None; 2]),
            Message::Ask { id, from, to } => (1, id, [Some(from), Some(to)]),
            Message::Host { id } => (2, id, [None; 2]),
            Message::Connected { id } => (3, id, [None; 2]),
            Message::Offer { id, from, to } => (4, id, [Some(from), Some(to)]),
            Message::Taken { id } => (5, id, [None; 2]),
            Message::Refused { id } => (6, id, [None; 2]),
            Message::Closed { id } => (7, id, [None; 2]),
        };
        let mut bytes = [0; BYTES];
        let addresses = addresses.into_iter().flat_map(|address| address.map_or([0; 18], bytes_of));
        let all = kind.to_le_bytes().into_iter().chain(id.to_le_bytes()).chain(addresses);
        bytes.iter_mut().zip(all).for_each(|(to, from)| *to = from);
        if let Message::Name(name) = self {
            bytes.iter_mut().skip(8).zip(name).for_each(|(to, from)| *to = *from);
        }
        bytes
    }

    fn decode(bytes: &[u8; BYTES]) -> Option<Message> {
        let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        let (kind, id) = (word(0)?, word(4)?);
        let at = |start: usize| address(bytes.get(start..start + 18)).ok();
        Some(match kind {
            0 => Message::Name(bytes.get(8..8 + NAME_MAX)?.try_into().ok()?),
            1 => Message::Ask { id, from: at(8)?, to: at(26)? },
            2 => Message::Host { id },
            3 => Message::Connected { id },
            4 => Message::Offer { id, from: at(8)?, to: at(26)? },
            5 => Message::Taken { id },
            6 => Message::Refused { id },
            7 => Message::Closed { id },
            _ => return None,
        })
    }
}

/// A pod's name as [`Message::Name`] has it. None for one that is too long.
pub fn name(name: &str) -> Option<[u8; NAME_MAX]> {
    let mut bytes = [0; NAME_MAX];
    bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
    Some(bytes)
}

/// Sends a message, with a ring if there is one. EAGAIN if the receiver doesn't read and `flags` say not to wait.
pub fn send(socket: impl AsFd, message: &Message, end: Option<&End>, flags: SendFlags) -> Result<(), Errno> {
    let bytes = message.encode();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = end.map(End::descriptors);
    if let Some(descriptors) = &descriptors {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, flags | SendFlags::NOSIGNAL).map(drop)
}

/// Waits for a message. None at the end of the connection; EBADMSG for what is no message.
pub fn receive(socket: impl AsFd) -> Result<Option<(Message, Option<End>)>, Errno> {
    let mut bytes = [0; BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            got => break got?,
        }
    };
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if got.bytes == 0 {
        return Ok(None);
    }
    let whole = got.bytes == BYTES && !got.flags.contains(ReturnFlags::TRUNC);
    let message = if whole { Message::decode(&bytes) } else { None };
    let end = match <[OwnedFd; 4]>::try_from(descriptors) {
        Ok([memory, own, reader, writer]) => Some(End { memory, own, other: Bells { reader, writer } }),
        Err(few) if few.is_empty() => None,
        Err(_) => return Err(Errno::BADMSG),
    };
    Ok(Some((message.ok_or(Errno::BADMSG)?, end)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::bell;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn messages_come_as_they_went_with_their_ring() {
        let (one, other) = pair();
        let (from, to) = ("10.0.0.1:7".parse().unwrap(), "[fd00::2]:80".parse().unwrap());
        let messages = [
            Message::Name(name("sandbox").unwrap()),
            Message::Ask { id: 2, from, to },
            Message::Host { id: 2 },
            Message::Offer { id: 3, from, to },
            Message::Taken { id: 3 },
            Message::Refused { id: u32::MAX },
            Message::Closed { id: 0 },
        ];
        for message in messages {
            send(&one, &message, None, SendFlags::empty()).unwrap();
            assert!(matches!(receive(&other), Ok(Some((got, None))) if got == message));
        }
        let end = End { memory: quark_host::ring::create().unwrap(), own: bell().unwrap(), other: Bells::new().unwrap() };
        send(&one, &Message::Connected { id: 2 }, Some(&end), SendFlags::empty()).unwrap();
        assert!(matches!(receive(&other), Ok(Some((Message::Connected { id: 2 }, Some(_))))));
        drop(one);
        assert!(matches!(receive(&other), Ok(None)));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bytes in [vec![9; BYTES], vec![1; 5], vec![1; BYTES + 1]] {
            let (one, other) = pair();
            rustix::io::write(&one, &bytes).unwrap();
            assert_eq!(receive(&other).err(), Some(Errno::BADMSG), "{}", bytes.len());
        }
    }
}
