//! Messages between commands and a pod's kernel, over a unix stream socket.
//!
//! A message is 12 bytes (version, length and number of descriptors, each 32 bits, little endian), then one byte for every 64
//! descriptors, which come with it (SCM_RIGHTS), then JSON.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of everything that is said on the socket. Another one is refused: commands and kernel are of one program.
const VERSION: u32 = 1;

/// The longest message, bytes.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Descriptors that go with one byte. Linux takes 253 (SCM_MAX_FD).
const CHUNK: usize = 64;

/// Descriptors of one message.
const DESCRIPTORS_MAX: usize = 4096;

/// Why a message could not be sent or received.
#[derive(Debug)]
pub enum WireError {
    /// The other side is gone. What `recv` says before the first byte of a message.
    Closed,
    /// The host says so.
    Host(Errno),
    /// It isn't one of our messages.
    Malformed(String),
}

impl std::fmt::Display for WireError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WireError::Closed => formatter.write_str("the other side has closed the connection"),
            WireError::Host(error) => write!(formatter, "{error}"),
            WireError::Malformed(what) => formatter.write_str(what),
        }
    }
}

impl From<Errno> for WireError {
    fn from(error: Errno) -> WireError {
        match error {
            Errno::PIPE | Errno::CONNRESET => WireError::Closed,
            error => WireError::Host(error),
        }
    }
}

/// Sends a message with descriptors, in order.
pub fn send(socket: impl AsFd, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> Result<(), WireError> {
    let body = serde_json::to_vec(message).map_err(|error| WireError::Malformed(error.to_string()))?;
    if body.len() > MESSAGE_BYTES_MAX || descriptors.len() > DESCRIPTORS_MAX {
        return Err(WireError::Malformed(format!("a message of {} bytes and {} descriptors is too large", body.len(), descriptors.len())));
    }
    let mut bytes = Vec::with_capacity(body.len() + 12);
    for word in [VERSION, body.len() as u32, descriptors.len() as u32] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    if !descriptors.is_empty() {
        send_bytes(socket.as_fd(), &bytes)?;
        bytes.clear();
        for chunk in descriptors.chunks(CHUNK) {
            send_descriptors(socket.as_fd(), chunk)?;
        }
    }
    bytes.extend_from_slice(&body);
    send_bytes(socket.as_fd(), &bytes)
}

fn send_bytes(socket: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), WireError> {
    while !bytes.is_empty() {
        // `write`, as the filter of a pod's kernel lets pass; SIGPIPE is ignored in every Rust program.
        match rustix::io::write(socket, bytes) {
            Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn send_descriptors(socket: BorrowedFd<'_>, descriptors: &[BorrowedFd<'_>]) -> Result<(), WireError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(CHUNK))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(WireError::Malformed("too many descriptors at once".to_owned()));
    }
    loop {
        match rustix::net::sendmsg(socket, &[IoSlice::new(&[0])], &mut control, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sends one descriptor with some bytes that say what it is, as others expect it (runc's console and pidfd sockets).
pub fn send_file(socket: impl AsFd, name: &[u8], file: BorrowedFd<'_>) -> Result<(), WireError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files = [file];
    control.push(SendAncillaryMessage::ScmRights(&files));
    rustix::net::sendmsg(socket, &[IoSlice::new(name)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives a message and what came with it.
pub fn receive<M: DeserializeOwned>(socket: impl AsFd) -> Result<(M, Vec<OwnedFd>), WireError> {
    let mut header = [0; 12];
    receive_bytes(socket.as_fd(), &mut header, true)?;
    let mut words = header.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap_or_default()));
    let (version, length, count) = (words.next(), words.next().unwrap_or(0) as usize, words.next().unwrap_or(0) as usize);
    if version != Some(VERSION) {
        return Err(WireError::Malformed("the pod's kernel is of another version of quark: recreate the pod".to_owned()));
    }
    if length > MESSAGE_BYTES_MAX || count > DESCRIPTORS_MAX {
        return Err(WireError::Malformed(format!("a message of {length} bytes and {count} descriptors is too large")));
    }
    let mut descriptors = Vec::new();
    while descriptors.len() < count {
        let more = receive_descriptors(socket.as_fd())?;
        if more.is_empty() {
            return Err(WireError::Malformed("descriptors are missing (is the limit of open files reached?)".to_owned()));
        }
        descriptors.extend(more);
    }
    let mut body = vec![0; length];
    receive_bytes(socket.as_fd(), &mut body, false)?;
    let message = serde_json::from_slice(&body).map_err(|error| WireError::Malformed(error.to_string()))?;
    Ok((message, descriptors))
}

fn receive_bytes(socket: BorrowedFd<'_>, mut to: &mut [u8], first: bool) -> Result<(), WireError> {
    let wanted = to.len();
    while !to.is_empty() {
        match rustix::io::read(socket, &mut *to) {
            Ok(0) if first && to.len() == wanted => return Err(WireError::Closed),
            Ok(0) => return Err(WireError::Malformed("the message is cut off".to_owned())),
            Ok(received) => to = to.get_mut(received..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn receive_descriptors(socket: BorrowedFd<'_>) -> Result<Vec<OwnedFd>, WireError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(CHUNK))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    loop {
        match rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    Ok(descriptors)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn messages_keep_their_descriptors_and_order() {
        let (left, right) = UnixStream::pair().expect("pair");
        let files: Vec<_> = (0..150).map(|_| std::fs::File::open("/dev/null").expect("open")).collect();
        let sender = std::thread::spawn(move || {
            let borrowed: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
            send(&left, &"x".repeat(1 << 20), &borrowed).expect("send");
            send(&left, &"second", &[]).expect("send");
        });
        let (first, descriptors): (String, _) = receive(&right).expect("first");
        assert_eq!((first.len(), descriptors.len()), (1 << 20, 150));
        let (second, none): (String, _) = receive(&right).expect("second");
        assert_eq!((second.as_str(), none.len()), ("second", 0));
        sender.join().expect("sender");
        assert!(matches!(receive::<String>(&right), Err(WireError::Closed)));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let say = |bytes: &[u8]| {
            let (left, right) = UnixStream::pair().expect("pair");
            send_bytes(left.as_fd(), bytes).expect("send");
            drop(left);
            receive::<String>(&right).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(say(b"GET / HTTP/1.1\r\n\r\n").contains("another version"));
        assert!(say(&[1, 0, 0]).contains("cut off"));
        assert!(say(&[1, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0]).contains("too large"));
        assert!(say(&[1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, b'x']).contains("descriptors are missing"));
        assert!(say(&[1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, b'x']).contains("expected value"));
    }
}
