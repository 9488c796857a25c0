//! The system calls of sockets: making, naming, connecting them, and their options.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::host::{HostSocket, allowed};
use super::node;
use super::route::RouteSocket;
use super::socket::{Endpoint, Socket};
use super::tcp::TcpSocket;
use super::unix::UnixSocket;
use super::{NAMES, transfer};
use crate::call::{Call, restart};
use crate::dispatch::Calls;
use crate::vfs::open::OpenFile;
use crate::wait::Events;
use crate::{Errno, Result};

/// The system calls of this module.
pub const CALLS: Calls = &[
    (libc::SYS_socket, socket),
    (libc::SYS_socketpair, socketpair),
    (libc::SYS_bind, bind),
    (libc::SYS_listen, listen),
    (libc::SYS_accept, |call| accept(call, 0)),
    (libc::SYS_accept4, |call| accept(call, call.int(3))),
    (libc::SYS_connect, connect),
    (libc::SYS_getsockname, |call| tell_name(call, false)),
    (libc::SYS_getpeername, |call| tell_name(call, true)),
    (libc::SYS_shutdown, shutdown),
    (libc::SYS_setsockopt, set_option),
    (libc::SYS_getsockopt, get_option),
    (libc::SYS_sendto, transfer::sendto),
    (libc::SYS_recvfrom, transfer::recvfrom),
    (libc::SYS_sendmsg, transfer::sendmsg),
    (libc::SYS_recvmsg, transfer::recvmsg),
    (libc::SYS_sendmmsg, transfer::sendmmsg),
    (libc::SYS_recvmmsg, transfer::recvmmsg),
];

/// The longest `sockaddr` that is read from a guest.
const ADDRESS_MAX: usize = quark_host::socket::ADDRESS_MAX;

/// An open file that is a socket.
pub(super) struct Opened {
    open: Arc<OpenFile>,
}

impl Opened {
    /// The socket of a descriptor: EBADF, ENOTSOCK.
    pub(super) fn find(call: &Call<'_>, fd: i32) -> Result<Opened> {
        let open = call.task.files().get(fd)?;
        if open.file.as_any().is::<Socket>() { Ok(Opened { open }) } else { Err(Errno::NOTSOCK) }
    }

    pub(super) fn socket(&self) -> Result<&Socket> {
        self.open.file.as_any().downcast_ref().ok_or(Errno::NOTSOCK)
    }

    pub(super) fn endpoint(&self) -> Result<&Arc<dyn Endpoint>> {
        Ok(&self.socket()?.endpoint)
    }

    /// Does something that answers EAGAIN until it is done, waiting in between unless the file or `flags` (MSG_DONTWAIT) say not to.
    /// With a time limit (SO_RCVTIMEO, SO_SNDTIMEO) a signal makes it EINTR, for it isn't to begin again.
    pub(super) fn wait<T>(
        &self,
        call: &mut Call<'_>,
        events: Events,
        flags: i32,
        mut attempt: impl FnMut(&mut Call<'_>) -> Result<T>,
    ) -> Result<T> {
        let first = attempt(call);
        if first.as_ref().err() != Some(&Errno::AGAIN) || self.open.non_blocking() || flags & libc::MSG_DONTWAIT != 0 {
            return first;
        }
        let sending = events.contains(Events::OUT);
        let limit = self.socket()?.timeout(sending);
        let deadline = limit.map(|limit| Instant::now() + limit);
        let task = call.task.clone();
        let waited = task.block_on_file(self.socket()?, events, deadline, || match attempt(call) {
            Err(Errno::AGAIN) => None,
            answer => Some(answer),
        });
        match waited {
            Ok(Some(answer)) => answer,
            Ok(None) => Err(Errno::AGAIN),
            Err(restart::SYS) if limit.is_some() => Err(Errno::INTR),
            Err(errno) => Err(errno),
        }
    }
}

/// Reads a `sockaddr`: EINVAL for an impossible length.
pub(super) fn read_address(call: &mut Call<'_>, address: u64, length: u32) -> Result<Vec<u8>> {
    let length = length as usize;
    if length > ADDRESS_MAX {
        return Err(Errno::INVAL);
    }
    let mut bytes = vec![0; length];
    call.read(address, &mut bytes)?;
    Ok(bytes)
}

/// Writes a `sockaddr`, cut to what the guest has room for, and its whole length. Nothing if `address` is NULL.
pub(super) fn write_address(call: &mut Call<'_>, address: u64, length: u64, bytes: &[u8]) -> Result<()> {
    if address == 0 {
        return Ok(());
    }
    let room: i32 = call.read_value(length)?;
    let room = usize::try_from(room).map_err(|_| Errno::INVAL)?;
    call.write(address, bytes.get(..room.min(bytes.len())).unwrap_or_default())?;
    call.write_value(length, &(bytes.len() as u32))
}

const KIND: i32 = 0xf;

/// The type without its flags: EINVAL for unknown ones.
fn kind_of(wanted: i32) -> Result<i32> {
    if wanted & !(KIND | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) != 0 {
        return Err(Errno::INVAL);
    }
    Ok(wanted & KIND)
}

fn install(call: &Call<'_>, endpoint: Arc<dyn Endpoint>, flags: i32) -> Result<i32> {
    // SOCK_NONBLOCK and SOCK_CLOEXEC are O_NONBLOCK and O_CLOEXEC.
    let flags = (flags & (libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)) as u32;
    call.install(Socket::new(endpoint), flags | libc::O_RDWR as u32)
}

fn unix_kind(kind: i32, protocol: i32) -> Result<i32> {
    if protocol != 0 && protocol != libc::AF_UNIX {
        return Err(Errno::PROTONOSUPPORT);
    }
    match kind {
        libc::SOCK_STREAM | libc::SOCK_DGRAM | libc::SOCK_SEQPACKET => Ok(kind),
        libc::SOCK_RAW => Ok(libc::SOCK_DGRAM),
        _ => Err(Errno::SOCKTNOSUPPORT),
    }
}

fn socket(call: &mut Call<'_>) -> Result<u64> {
    let (domain, protocol) = (call.int(0), call.int(2));
    let kind = kind_of(call.int(1))?;
    let endpoint: Arc<dyn Endpoint> = match domain {
        libc::AF_INET | libc::AF_INET6 => match allowed(domain, kind, protocol)? {
            libc::IPPROTO_TCP => TcpSocket::new(domain)?,
            protocol => HostSocket::new(domain, kind, protocol)?,
        },
        libc::AF_UNIX => UnixSocket::new(unix_kind(kind, protocol)?, NAMES.clone(), node::sender(call.task)),
        libc::AF_NETLINK => RouteSocket::new(kind, protocol)?,
        libc::AF_PACKET => return Err(Errno::PERM),
        _ => return Err(Errno::AFNOSUPPORT),
    };
    install(call, endpoint, call.int(1)).map(|fd| fd as u64)
}

fn socketpair(call: &mut Call<'_>) -> Result<u64> {
    let kind = kind_of(call.int(1))?;
    match call.int(0) {
        libc::AF_UNIX => {}
        libc::AF_INET | libc::AF_INET6 | libc::AF_NETLINK => return Err(Errno::OPNOTSUPP),
        _ => return Err(Errno::AFNOSUPPORT),
    }
    let (one, two) = UnixSocket::pair(unix_kind(kind, call.int(2))?, &NAMES, node::sender(call.task));
    let files = call.task.files();
    let one = install(call, one, call.int(1))?;
    let two = install(call, two, call.int(1)).inspect_err(|_| {
        let _ = files.close(one);
    })?;
    let address = call.arg(3);
    call.write_value(address, &[one, two]).inspect_err(|_| {
        let _ = files.close(one);
        let _ = files.close(two);
    })?;
    Ok(0)
}

fn bind(call: &mut Call<'_>) -> Result<u64> {
    let opened = Opened::find(call, call.int(0))?;
    let address = read_address(call, call.arg(1), call.arg(2) as u32)?;
    opened.endpoint()?.bind(call.task, &address)?;
    Ok(0)
}

fn listen(call: &mut Call<'_>) -> Result<u64> {
    let opened = Opened::find(call, call.int(0))?;
    opened.endpoint()?.listen(call.task, call.int(1))?;
    Ok(0)
}

fn accept(call: &mut Call<'_>, flags: i32) -> Result<u64> {
    if flags & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) != 0 {
        return Err(Errno::INVAL);
    }
    let opened = Opened::find(call, call.int(0))?;
    let (endpoint, peer) = opened.wait(call, Events::IN, 0, |_| opened.endpoint()?.accept())?;
    let fd = install(call, endpoint, flags)?;
    let files = call.task.files();
    write_address(call, call.arg(1), call.arg(2), &peer).inspect_err(|_| {
        let _ = files.close(fd);
    })?;
    Ok(fd as u64)
}

fn connect(call: &mut Call<'_>) -> Result<u64> {
    let opened = Opened::find(call, call.int(0))?;
    let address = read_address(call, call.arg(1), call.arg(2) as u32)?;
    let endpoint = opened.endpoint()?.clone();
    let answer = opened.wait(call, Events::OUT, 0, |call| endpoint.connect(call.task, &address));
    let under_way = matches!(answer, Err(Errno::INPROGRESS | Errno::ALREADY));
    if !under_way || opened.open.non_blocking() {
        return answer.map(|()| 0);
    }
    let settled = Events::OUT | Events::ERR | Events::HUP;
    opened.wait(call, Events::OUT, 0, |_| if endpoint.poll(settled).intersects(settled) { Ok(()) } else { Err(Errno::AGAIN) }).map_err(
        // The time limit of a connect is told so.
        |errno| if errno == Errno::AGAIN { Errno::INPROGRESS } else { errno },
    )?;
    // Asking again tells how it ended, and makes the host see that too: the next connect is EISCONN, or a fresh one.
    endpoint.connect(call.task, &address).map(|()| 0)
}

fn tell_name(call: &mut Call<'_>, peer: bool) -> Result<u64> {
    let opened = Opened::find(call, call.int(0))?;
    let endpoint = opened.endpoint()?;
    let name = if peer { endpoint.peer()? } else { endpoint.name()? };
    if call.arg(1) == 0 {
        return Err(Errno::FAULT);
    }
    write_address(call, call.arg(1), call.arg(2), &name)?;
    Ok(0)
}

fn shutdown(call: &mut Call<'_>) -> Result<u64> {
    let opened = Opened::find(call, call.int(0))?;
    if !(0..=2).contains(&call.int(1)) {
        return Err(Errno::INVAL);
    }
    opened.endpoint()?.shutdown(call.int(1))?;
    Ok(0)
}

fn set_option(call: &mut Call<'_>) -> Result<u64> {
    let opened = Opened::find(call, call.int(0))?;
    let (level, name) = (call.int(1), call.int(2));
    let length = usize::try_from(call.int(4)).map_err(|_| Errno::INVAL)?;
    let mut value = vec![0; length.min(4096)];
    call.read(call.arg(3), &mut value)?;
    match (level, name) {
        (libc::SOL_SOCKET, libc::SO_RCVTIMEO | libc::SO_SNDTIMEO) => {
            opened.socket()?.set_timeout(name == libc::SO_SNDTIMEO, read_timeout(&value)?);
        }
        _ => opened.endpoint()?.set_option(call.task, level, name, &value)?,
    }
    Ok(0)
}

/// A `struct timeval`: EINVAL if short, EDOM for impossible microseconds; a negative time is none at all.
fn read_timeout(value: &[u8]) -> Result<Duration> {
    let word = |at: usize| value.get(at..at + 8).and_then(|eight| eight.try_into().ok()).map(i64::from_ne_bytes).ok_or(Errno::INVAL);
    let (seconds, micros) = (word(0)?, word(8)?);
    if !(0..1_000_000).contains(&micros) {
        return Err(Errno::DOM);
    }
    // Zero waits for ever: the shortest wait that is none stands for negative times.
    Ok(u64::try_from(seconds).map_or(Duration::from_nanos(1), |seconds| Duration::new(seconds, micros as u32 * 1000)))
}

fn timeout_bytes(timeout: Option<Duration>) -> Vec<u8> {
    let timeout = timeout.unwrap_or_default();
    let seconds = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
    [seconds.to_ne_bytes(), i64::from(timeout.subsec_micros()).to_ne_bytes()].concat()
}

fn get_option(call: &mut Call<'_>) -> Result<u64> {
    let opened = Opened::find(call, call.int(0))?;
    let (level, name) = (call.int(1), call.int(2));
    let room: i32 = call.read_value(call.arg(4))?;
    let room = usize::try_from(room).map_err(|_| Errno::INVAL)?;
    let (domain, kind, protocol) = opened.endpoint()?.kind();
    let value = match (level, name) {
        (libc::SOL_SOCKET, libc::SO_TYPE) => kind.to_ne_bytes().to_vec(),
        (libc::SOL_SOCKET, libc::SO_DOMAIN) => domain.to_ne_bytes().to_vec(),
        (libc::SOL_SOCKET, libc::SO_PROTOCOL) => protocol.to_ne_bytes().to_vec(),
        (libc::SOL_SOCKET, libc::SO_RCVTIMEO | libc::SO_SNDTIMEO) => timeout_bytes(opened.socket()?.timeout(name == libc::SO_SNDTIMEO)),
        _ => opened.endpoint()?.option(level, name, room)?,
    };
    let shown = value.get(..room.min(value.len())).unwrap_or_default();
    call.write(call.arg(3), shown)?;
    call.write_value(call.arg(4), &(shown.len() as u32))?;
    Ok(0)
}
