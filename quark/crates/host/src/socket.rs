//! Sockets of the host, by bytes: addresses, options and control messages are the guest's own, in the ABI that both speak.
//! The kernel judges domains, types and options before it calls; nothing here blocks (sockets are made non-blocking).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

/// The longest `sockaddr` (`struct sockaddr_storage`).
pub const ADDRESS_MAX: usize = 128;

/// The most bytes of control messages that one receive takes.
pub const CONTROL_MAX: usize = 512;

/// What `recvmsg(2)` brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// How much of the buffer is filled; with MSG_TRUNC asked for, the datagram's own length.
    pub length: usize,
    /// The sender's `sockaddr`; empty for streams.
    pub address: Vec<u8>,
    /// Control messages as in memory.
    pub control: Vec<u8>,
    /// `MSG_TRUNC`, `MSG_EOR`, …
    pub flags: i32,
}

fn answer(result: libc::ssize_t) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| last_error())
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

fn length(bytes: &[u8]) -> libc::socklen_t {
    libc::socklen_t::try_from(bytes.len()).unwrap_or(libc::socklen_t::MAX)
}

/// `socket(2)`, non-blocking and closed on exec.
pub fn socket(domain: i32, kind: i32, protocol: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: takes no pointers.
    let fd = unsafe { libc::socket(domain, kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, protocol) };
    own(fd)
}

fn own(fd: i32) -> Result<OwnedFd, Errno> {
    if fd < 0 {
        return Err(last_error());
    }
    // SAFETY: the host has just given this descriptor to us, nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `bind(2)`.
pub fn bind(socket: BorrowedFd<'_>, address: &[u8]) -> Result<(), Errno> {
    // SAFETY: the address is as long as we say, and only read.
    let result = unsafe { libc::bind(socket.as_raw_fd(), address.as_ptr().cast(), length(address)) };
    answer(result as libc::ssize_t).map(drop)
}

/// `connect(2)`: EINPROGRESS as a rule.
pub fn connect(socket: BorrowedFd<'_>, address: &[u8]) -> Result<(), Errno> {
    // SAFETY: the address is as long as we say, and only read.
    let result = unsafe { libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), length(address)) };
    answer(result as libc::ssize_t).map(drop)
}

/// `listen(2)`.
pub fn listen(socket: BorrowedFd<'_>, backlog: i32) -> Result<(), Errno> {
    // SAFETY: takes no pointers.
    answer(unsafe { libc::listen(socket.as_raw_fd(), backlog) } as libc::ssize_t).map(drop)
}

/// `accept4(2)`: the connection, non-blocking, and the peer's address.
pub fn accept(socket: BorrowedFd<'_>) -> Result<(OwnedFd, Vec<u8>), Errno> {
    let mut fd = -1;
    let address = address_of(|address, length| {
        // SAFETY: `address_of` gives a buffer and its length.
        fd = unsafe { libc::accept4(socket.as_raw_fd(), address, length, libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) };
        fd
    })?;
    Ok((own(fd)?, address))
}

/// `getsockname(2)`.
pub fn name(socket: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    // SAFETY: `address_of` gives a buffer and its length.
    address_of(|address, length| unsafe { libc::getsockname(socket.as_raw_fd(), address, length) })
}

/// `getpeername(2)`.
pub fn peer(socket: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    // SAFETY: `address_of` gives a buffer and its length.
    address_of(|address, length| unsafe { libc::getpeername(socket.as_raw_fd(), address, length) })
}

fn address_of(ask: impl FnOnce(*mut libc::sockaddr, *mut libc::socklen_t) -> i32) -> Result<Vec<u8>, Errno> {
    #[repr(align(8))]
    struct Storage([u8; ADDRESS_MAX]);
    let mut storage = Storage([0; ADDRESS_MAX]);
    let mut length = ADDRESS_MAX as libc::socklen_t;
    if ask(storage.0.as_mut_ptr().cast(), &mut length) < 0 {
        return Err(last_error());
    }
    Ok(storage.0[..ADDRESS_MAX.min(length as usize)].to_vec())
}

/// `shutdown(2)`; `how` is SHUT_RD, SHUT_WR or SHUT_RDWR.
pub fn shutdown(socket: BorrowedFd<'_>, how: i32) -> Result<(), Errno> {
    // SAFETY: takes no pointers.
    answer(unsafe { libc::shutdown(socket.as_raw_fd(), how) } as libc::ssize_t).map(drop)
}

/// `setsockopt(2)`. The kernel lets pass only options whose values have no pointers in them.
pub fn set_option(socket: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    // SAFETY: the value is as long as we say, and only read.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value.as_ptr().cast(), length(value)) };
    answer(result as libc::ssize_t).map(drop)
}

/// `getsockopt(2)` into `room` bytes at most.
pub fn option(socket: BorrowedFd<'_>, level: i32, name: i32, room: usize) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; room.min(4096)];
    let mut size = length(&value);
    // SAFETY: the buffer is as long as we say; options with pointers in them are not let pass.
    let result = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &mut size) };
    answer(result as libc::ssize_t)?;
    value.truncate(size as usize);
    Ok(value)
}

/// `sendmsg(2)` without waiting and without SIGPIPE. An empty address sends to the peer.
pub fn send(socket: BorrowedFd<'_>, data: &[u8], address: &[u8], control: &[u8], flags: i32) -> Result<usize, Errno> {
    let mut piece = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    // SAFETY: all zeroes is a valid `msghdr`.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &mut piece;
    header.msg_iovlen = 1;
    if !address.is_empty() {
        header.msg_name = address.as_ptr().cast_mut().cast();
        header.msg_namelen = length(address);
    }
    if !control.is_empty() {
        header.msg_control = control.as_ptr().cast_mut().cast();
        header.msg_controllen = control.len();
    }
    // SAFETY: the header points to buffers of the lengths it tells, which sendmsg only reads.
    answer(unsafe { libc::sendmsg(socket.as_raw_fd(), &header, flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) })
}

/// Receives bytes without waiting, and nothing else: files that a peer on the host sends along are dropped by the host.
pub fn receive_bytes(socket: BorrowedFd<'_>, to: &mut [u8], flags: i32) -> Result<usize, Errno> {
    let mut piece = libc::iovec { iov_base: to.as_mut_ptr().cast(), iov_len: to.len() };
    // SAFETY: all zeroes is a valid `msghdr`, without room for an address and control messages.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &mut piece;
    header.msg_iovlen = 1;
    // SAFETY: the header points to a buffer of the length it tells, which lives until the call returns.
    answer(unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, flags | libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC) })
}

/// `recvmsg(2)` without waiting.
pub fn receive(socket: BorrowedFd<'_>, to: &mut [u8], flags: i32) -> Result<Received, Errno> {
    #[repr(align(8))]
    struct Room([u8; ADDRESS_MAX], [u8; CONTROL_MAX]);
    let mut room = Room([0; ADDRESS_MAX], [0; CONTROL_MAX]);
    let mut piece = libc::iovec { iov_base: to.as_mut_ptr().cast(), iov_len: to.len() };
    // SAFETY: all zeroes is a valid `msghdr`.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &mut piece;
    header.msg_iovlen = 1;
    header.msg_name = room.0.as_mut_ptr().cast();
    header.msg_namelen = ADDRESS_MAX as libc::socklen_t;
    header.msg_control = room.1.as_mut_ptr().cast();
    header.msg_controllen = CONTROL_MAX;
    let flags = flags | libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the header points to buffers of the lengths it tells, which live until the call returns.
    let length = answer(unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, flags) })?;
    Ok(Received {
        length,
        address: room.0[..ADDRESS_MAX.min(header.msg_namelen as usize)].to_vec(),
        control: room.1[..CONTROL_MAX.min(header.msg_controllen)].to_vec(),
        flags: header.msg_flags,
    })
}

/// Bytes that wait to be received (SIOCINQ), or to be sent (SIOCOUTQ).
pub fn queued(socket: BorrowedFd<'_>, outgoing: bool) -> Result<i32, Errno> {
    let mut bytes: libc::c_int = 0;
    let request = if outgoing { libc::TIOCOUTQ } else { libc::FIONREAD };
    // SAFETY: both requests write one int.
    answer(unsafe { libc::ioctl(socket.as_raw_fd(), request, &raw mut bytes) } as libc::ssize_t)?;
    Ok(bytes)
}

/// Asks about a network interface: one of the SIOCGIF* requests, which read and write a `struct ifreq` of 40 bytes and no more.
pub fn interface(socket: BorrowedFd<'_>, request: u32, asked: &mut [u8; 40]) -> Result<(), Errno> {
    const ALLOWED: [u64; 9] = [
        libc::SIOCGIFNAME,
        libc::SIOCGIFFLAGS,
        libc::SIOCGIFADDR,
        libc::SIOCGIFBRDADDR,
        libc::SIOCGIFNETMASK,
        libc::SIOCGIFMTU,
        libc::SIOCGIFHWADDR,
        libc::SIOCGIFINDEX,
        libc::SIOCGIFTXQLEN,
    ];
    if !ALLOWED.contains(&u64::from(request)) {
        return Err(Errno::NOTTY);
    }
    // SAFETY: the allowed requests read and write one `ifreq` (40 bytes) in place.
    answer(unsafe { libc::ioctl(socket.as_raw_fd(), u64::from(request), asked.as_mut_ptr()) } as libc::ssize_t).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn datagrams_go_by_address_and_tell_their_sender() {
        let (one, two) = (socket(libc::AF_INET, libc::SOCK_DGRAM, 0).unwrap(), socket(libc::AF_INET, libc::SOCK_DGRAM, 0).unwrap());
        let loopback = [2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        bind(one.as_fd(), &loopback).unwrap();
        bind(two.as_fd(), &loopback).unwrap();
        assert_eq!(receive(two.as_fd(), &mut [0; 9], 0), Err(Errno::AGAIN));
        assert_eq!(send(one.as_fd(), b"hello", &name(two.as_fd()).unwrap(), &[], 0), Ok(5));
        assert_eq!(queued(two.as_fd(), false), Ok(5));
        let mut bytes = [0; 3];
        let got = receive(two.as_fd(), &mut bytes, libc::MSG_TRUNC).unwrap();
        assert_eq!((got.length, &bytes, got.address), (5, b"hel", name(one.as_fd()).unwrap()));
        assert_eq!(got.flags & libc::MSG_TRUNC, libc::MSG_TRUNC);
    }

    #[test]
    fn files_that_come_with_bytes_are_dropped() {
        let (one, two) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let files = [writer.as_fd()];
        assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&files)));
        rustix::net::sendmsg(&one, &[std::io::IoSlice::new(b"x")], &mut control, rustix::net::SendFlags::empty()).unwrap();
        drop(writer);
        assert_eq!(receive_bytes(two.as_fd(), &mut [0; 4], 0), Ok(1));
        // Nobody has the other end any more.
        assert_eq!(rustix::io::read(&reader, &mut [0; 1]), Ok(0));
    }

    #[test]
    fn options_have_their_own_length() {
        let socket = socket(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap();
        set_option(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, &1i32.to_ne_bytes()).unwrap();
        assert_eq!(option(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, 64), Ok(1i32.to_ne_bytes().to_vec()));
        assert_eq!(option(socket.as_fd(), libc::SOL_SOCKET, 9999, 4), Err(Errno::NOPROTOOPT));
    }
}
