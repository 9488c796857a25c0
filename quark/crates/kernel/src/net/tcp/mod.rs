//! TCP sockets: the host's, in the pod's network namespace, but for connections of the pod to itself, which never leave the kernel process.
//!
//! A listener listens on the host too, for who comes from outside (probes, port-forward) or finds no room here. A `connect` to an address of the pod at
//! which one of its own sockets listens is answered here. The connecting socket keeps its host socket bound, so that its port is nobody else's; the
//! accepted one has a host socket only if it is asked for options.

mod address;
mod carrier;
pub mod channel;
mod endpoint;
mod listeners;
mod options;
mod pair;
mod ring_end;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use quark_host::socket as host;

use super::host::HostSocket;
use super::socket::Endpoint;
use crate::Result;
use crate::task::lock;
use crate::wait::WaitQueue;
pub use carrier::CLOSE;
use carrier::{Carrier, WireEnd};
use listeners::{Backlog, Listeners};
use options::Options;

/// The pod's: a kernel process is one pod.
static LISTENERS: LazyLock<Listeners> = LazyLock::new(Listeners::default);

/// A TCP socket.
pub struct TcpSocket {
    domain: i32,
    queue: Arc<WaitQueue>,
    /// None yet: one that was accepted here.
    host: OnceLock<HostSocket>,
    options: Arc<Mutex<Options>>,
    role: Mutex<Role>,
}

enum Role {
    /// The host's alone.
    Host,
    Listening(Arc<Backlog>),
    Inside(Inside),
}

/// One end of a connection that is not the host's.
#[derive(Clone)]
struct Inside {
    carrier: Arc<dyn Carrier>,
    name: SocketAddr,
    peer: SocketAddr,
    /// `connect` was told that it has succeeded.
    told: Arc<AtomicBool>,
}

impl TcpSocket {
    /// A new socket.
    pub fn new(domain: i32) -> Result<Arc<TcpSocket>> {
        let socket = host::socket(domain, libc::SOCK_STREAM, libc::IPPROTO_TCP)?;
        let queue = Arc::<WaitQueue>::default();
        Ok(TcpSocket::over(HostSocket::sharing(socket, kind(domain), queue.clone()), domain, queue))
    }

    fn over(socket: HostSocket, domain: i32, queue: Arc<WaitQueue>) -> Arc<TcpSocket> {
        let host = OnceLock::from(socket);
        Arc::new(TcpSocket { domain, queue, host, options: Arc::default(), role: Mutex::new(Role::Host) })
    }

    /// Its socket of the host, which one that was accepted inside gets now.
    fn host(&self) -> Result<&HostSocket> {
        if let Some(host) = self.host.get() {
            return Ok(host);
        }
        let socket = host::socket(self.domain, libc::SOCK_STREAM, libc::IPPROTO_TCP)?;
        for (level, name, value) in lock(&self.options).all() {
            // The host took it from the listener.
            let _ = host::set_option(socket.as_fd(), level, name, value);
        }
        Ok(self.host.get_or_init(|| HostSocket::sharing(socket, kind(self.domain), self.queue.clone())))
    }

    fn inside(&self) -> Option<Inside> {
        match &*lock(&self.role) {
            Role::Inside(inside) => Some(inside.clone()),
            _ => None,
        }
    }

    /// Connects inside, or over a channel to another pod. None: it is for the host.
    fn connect_elsewhere(&self, address: &[u8]) -> Option<Inside> {
        let target = address::target(address::parse(self.domain, address)?);
        let backlog = LISTENERS.find(target);
        let channel = !target.ip().is_loopback() && channel::may_ask(target);
        if backlog.is_none() && !channel {
            return None;
        }
        let own = lock(&self.options).clone();
        let host = self.host.get()?;
        if own.need_the_host() || target.is_ipv4() && own.only_six() || host.in_use() {
            return None;
        }
        let source = address::loopback_source(target.ip()).or_else(|| source_for(target))?;
        // Packets to one's own address leave from it.
        let inside = target.ip().is_loopback() || source == target.ip();
        let (carrier, name): (Arc<dyn Carrier>, _) = match backlog {
            Some(backlog) if inside => self.connect_inside(host, &backlog, (source, target))?,
            // One that listens at any address here has nothing to do with another pod's.
            _ if !inside && channel => {
                let name = self.reserve(host, source)?;
                (channel::ask(name, target, &self.queue)?, name)
            }
            _ => return None,
        };
        Some(Inside { carrier, name, peer: target, told: Arc::default() })
    }

    fn connect_inside(&self, host: &HostSocket, backlog: &Backlog, way: (IpAddr, SocketAddr)) -> Option<(Arc<dyn Carrier>, SocketAddr)> {
        if lock(&backlog.options).need_the_host() {
            return None;
        }
        let name = self.reserve(host, way.0)?;
        let buffers = (lock(&self.options).buffers(), lock(&backlog.options).buffers());
        let (client, server, queue) = WireEnd::pair(buffers, self.queue.clone());
        let offered = backlog.offer(|| accepted(backlog, queue, Arc::new(server), way.1, name));
        offered.then(|| (Arc::new(client) as Arc<dyn Carrier>, name))
    }

    /// The address that the socket connects from, with a port that the host gives nobody else.
    fn reserve(&self, host: &HostSocket, source: IpAddr) -> Option<SocketAddr> {
        let bound = |host: &HostSocket| address::parse(self.domain, &host::name(host.as_fd()).ok()?);
        let mut name = bound(host)?;
        if name.port() == 0 {
            host::bind(host.as_fd(), &address::form(self.domain, SocketAddr::new(source, 0))).ok()?;
            // With IP_BIND_ADDRESS_NO_PORT there is none until the host connects it.
            name = bound(host).filter(|name| name.port() != 0)?;
        }
        if name.ip().is_unspecified() {
            name.set_ip(source);
        }
        Some(name)
    }

    /// Ends what it was.
    fn end(&self, role: Role) {
        match role {
            Role::Host => {}
            Role::Listening(backlog) => {
                LISTENERS.remove(&backlog);
                backlog.close();
            }
            Role::Inside(inside) => inside.carrier.close(lock(&self.options).aborts()),
        }
    }

    /// Resets the connection, if it is one's end.
    fn abort(&self) {
        if let Some(inside) = self.inside() {
            inside.carrier.close(true);
        }
    }
}

impl Drop for TcpSocket {
    fn drop(&mut self) {
        let role = self.role.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        let role = std::mem::replace(role, Role::Host);
        self.end(role);
    }
}

/// State of a TCP socket as `/proc/net/tcp` numbers it, and bytes that wait in it.
pub fn state(endpoint: &dyn Endpoint) -> Option<(u8, usize)> {
    let socket: &TcpSocket = endpoint.as_any().downcast_ref()?;
    if let Some(inside) = socket.inside() {
        return Some((inside.carrier.state(), inside.carrier.queued()));
    }
    let host = socket.host.get()?.as_fd();
    let state = host::option(host, libc::IPPROTO_TCP, libc::TCP_INFO, 1).ok()?.first().copied()?;
    Some((state, host::queued(host, false).map_or(0, |count| count.unsigned_abs() as usize)))
}

/// A socket over one of the host.
#[cfg(test)]
pub fn of_host(socket: std::os::fd::OwnedFd, domain: i32) -> Arc<TcpSocket> {
    let queue = Arc::<WaitQueue>::default();
    TcpSocket::over(HostSocket::sharing(socket, kind(domain), queue.clone()), domain, queue)
}

fn kind(domain: i32) -> (i32, i32, i32) {
    (domain, libc::SOCK_STREAM, libc::IPPROTO_TCP)
}

/// The listener's end of a new connection.
fn accepted(backlog: &Backlog, queue: Arc<WaitQueue>, carrier: Arc<dyn Carrier>, target: SocketAddr, from: SocketAddr) -> Arc<TcpSocket> {
    let inside = Inside { carrier, name: target, peer: from, told: Arc::new(AtomicBool::new(true)) };
    Arc::new(TcpSocket {
        domain: backlog.domain,
        queue,
        host: OnceLock::new(),
        options: Arc::new(Mutex::new(lock(&backlog.options).clone())),
        role: Mutex::new(Role::Inside(inside)),
    })
}

/// The address that packets to another leave from, as the host routes them.
fn source_for(target: SocketAddr) -> Option<IpAddr> {
    let domain = if target.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let probe = host::socket(domain, libc::SOCK_DGRAM, libc::IPPROTO_UDP).ok()?;
    host::connect(probe.as_fd(), &address::form(domain, target)).ok()?;
    Some(address::parse(domain, &host::name(probe.as_fd()).ok()?)?.ip())
}
