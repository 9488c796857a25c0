//! Sockets of the host in the pod's network namespace: UDP, ICMP echo, and TCP that leaves the pod.
//!
//! The guest chooses among a few kinds; packets, raw sockets and every other family of the host stay out of reach.

use std::any::Any;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quark_host::socket as host;

use super::options::{Judgement, judge};
use super::socket::{Endpoint, Incoming, Outgoing};
use crate::call::Call;
use crate::reactor::Watched;
use crate::task::{Task, lock};
use crate::wait::{Events, WaitQueue};
use crate::{Errno, Result};

/// A TCP, UDP or ICMP echo socket.
pub struct HostSocket {
    socket: Watched,
    kind: (i32, i32, i32),
    /// A `connect` that was answered EINPROGRESS and has not been seen to end.
    connecting: AtomicBool,
}

/// Whether guests may have such a socket: the protocol to ask the host for, or the errno that Linux gives for what isn't there.
pub fn allowed(domain: i32, kind: i32, protocol: i32) -> Result<i32> {
    let (icmp, icmp6) = (libc::IPPROTO_ICMP, libc::IPPROTO_ICMPV6);
    match (kind, protocol) {
        (libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => Ok(libc::IPPROTO_TCP),
        (libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => Ok(libc::IPPROTO_UDP),
        (libc::SOCK_DGRAM, protocol) if protocol == icmp && domain == libc::AF_INET => Ok(icmp),
        (libc::SOCK_DGRAM, protocol) if protocol == icmp6 && domain == libc::AF_INET6 => Ok(icmp6),
        (libc::SOCK_RAW, _) => Err(Errno::PERM),
        (libc::SOCK_STREAM | libc::SOCK_DGRAM, _) => Err(Errno::PROTONOSUPPORT),
        _ => Err(Errno::SOCKTNOSUPPORT),
    }
}

const CAP_NET_BIND_SERVICE: u32 = 10;

/// `net.ipv4.ip_unprivileged_port_start`: ports below need CAP_NET_BIND_SERVICE (`man 7 ip`). What the pod's configuration says, or 1024.
fn first_open_port(task: &Task) -> u16 {
    let sysctl = lock(&task.kernel().sysctl);
    let configured = sysctl.get("net/ipv4/ip_unprivileged_port_start");
    configured.and_then(|value| value.trim().parse().ok()).unwrap_or(1024)
}

impl HostSocket {
    /// A new socket of an [`allowed`] kind.
    pub fn new(domain: i32, kind: i32, protocol: i32) -> Result<Arc<HostSocket>> {
        let socket = host::socket(domain, kind, protocol)?;
        Ok(Arc::new(HostSocket::sharing(socket, (domain, kind, protocol), Arc::default())))
    }

    /// A socket of the host that shares its queue with something else.
    pub fn sharing(socket: OwnedFd, kind: (i32, i32, i32), queue: Arc<WaitQueue>) -> HostSocket {
        HostSocket { socket: Watched::sharing(socket, queue), kind, connecting: AtomicBool::new(false) }
    }

    /// Takes a connection, which gets a queue: it and its peer's address.
    pub fn accept_sharing(&self, queue: &Arc<WaitQueue>) -> Result<(HostSocket, Vec<u8>)> {
        let (socket, address) = host::accept(self.socket.as_fd())?;
        Ok((HostSocket::sharing(socket, self.kind, queue.clone()), address))
    }

    /// Whether it is connected, or about to be.
    pub fn in_use(&self) -> bool {
        self.connecting.load(Ordering::Relaxed) || host::peer(self.socket.as_fd()).is_ok()
    }
}

impl AsFd for HostSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Endpoint for HostSocket {
    fn bind(&self, task: &Arc<Task>, address: &[u8]) -> Result<()> {
        let port = address.get(2..4).and_then(|two| two.try_into().ok()).map_or(0, u16::from_be_bytes);
        if port != 0 && port < first_open_port(task) && !task.credentials().capable(CAP_NET_BIND_SERVICE) {
            return Err(Errno::ACCESS);
        }
        host::bind(self.socket.as_fd(), address)
    }

    fn listen(&self, _: &Arc<Task>, backlog: i32) -> Result<()> {
        host::listen(self.socket.as_fd(), backlog)
    }

    fn connect(&self, _: &Arc<Task>, address: &[u8]) -> Result<()> {
        match host::connect(self.socket.as_fd(), address) {
            Err(Errno::INPROGRESS) => {
                self.connecting.store(true, Ordering::Relaxed);
                Err(Errno::INPROGRESS)
            }
            // A call that a signal interrupted is made again, and finds the connection made.
            Err(Errno::ISCONN) if self.connecting.swap(false, Ordering::Relaxed) => Ok(()),
            answer => {
                self.connecting.store(false, Ordering::Relaxed);
                answer
            }
        }
    }

    fn accept(&self) -> Result<(Arc<dyn Endpoint>, Vec<u8>)> {
        // What takes no connections says so at once.
        if self.kind.1 == libc::SOCK_STREAM {
            crate::reactor::must_be_ready(self.socket.as_fd(), Events::IN)?;
        }
        let (socket, address) = self.accept_sharing(&Arc::default())?;
        Ok((Arc::new(socket), address))
    }

    fn send(&self, _: Option<&Arc<Task>>, message: &Outgoing<'_>) -> Result<usize> {
        host::send(self.socket.as_fd(), message.data, message.address, message.control, message.flags)
    }

    fn receive(&self, to: &mut [u8], flags: i32) -> Result<Incoming> {
        let room = to.len();
        // MSG_TRUNC on a stream throws bytes away instead of telling a length.
        let stream = self.kind.1 == libc::SOCK_STREAM;
        let asked = if stream { flags } else { flags | libc::MSG_TRUNC };
        let got = host::receive(self.socket.as_fd(), to, asked)?;
        Ok(Incoming {
            filled: got.length.min(room),
            length: got.length,
            address: got.address,
            control: got.control,
            flags: got.flags & (libc::MSG_TRUNC | libc::MSG_EOR | libc::MSG_ERRQUEUE | libc::MSG_OOB),
            ..Incoming::default()
        })
    }

    fn shutdown(&self, how: i32) -> Result<()> {
        host::shutdown(self.socket.as_fd(), how)
    }

    fn name(&self) -> Result<Vec<u8>> {
        host::name(self.socket.as_fd())
    }

    fn peer(&self) -> Result<Vec<u8>> {
        host::peer(self.socket.as_fd())
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
        match u64::from(request) {
            libc::FIONREAD => call.write_value(argument, &host::queued(self.socket.as_fd(), false)?)?,
            libc::TIOCOUTQ => call.write_value(argument, &host::queued(self.socket.as_fd(), true)?)?,
            libc::SIOCGIFCONF => super::interfaces::list(call, argument)?,
            _ => {
                let mut asked: [u8; 40] = call.read_value(argument)?;
                host::interface(self.socket.as_fd(), request, &mut asked)?;
                call.write_value(argument, &asked)?;
            }
        }
        Ok(0)
    }

    fn kind(&self) -> (i32, i32, i32) {
        self.kind
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
