//! TCP sockets: the host's, in the pod's network namespace, but for connections of the pod to itself, which never leave the kernel process.
//!
//! A listener listens on the host too, for who comes from outside (probes, port-forward) or finds no room here. A `connect` to an address of the pod at
//! which one of its own sockets listens is answered here. The connecting socket keeps its host socket bound, so that its port is nobody else's; the
//! accepted one has a host socket only if it is asked for options.

mod address;
mod endpoint;
mod listeners;
mod options;
mod pair;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use quark_host::socket as host;

use super::host::HostSocket;
use crate::Result;
use crate::reactor::with_bands;
use crate::task::lock;
use crate::wait::WaitQueue;
use listeners::{Backlog, Listeners};
use options::Options;
use pair::{End, Pair, Told};

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

/// One end of a connection inside.
#[derive(Clone)]
struct Inside {
    wire: Arc<Wire>,
    end: End,
    name: SocketAddr,
    peer: SocketAddr,
}

/// A connection, and who waits at its ends.
struct Wire {
    pair: Mutex<Pair>,
    client: Arc<WaitQueue>,
    server: Arc<WaitQueue>,
    /// The client's `connect` was told that it has succeeded.
    told: AtomicBool,
}

impl Wire {
    fn tell(&self, end: End, told: &Told) {
        let (own, peer) = match end {
            End::Client => (&self.client, &self.server),
            End::Server => (&self.server, &self.client),
        };
        for (queue, events) in [(peer, told.peer), (own, told.own)] {
            if !events.is_empty() {
                queue.notify(with_bands(events));
            }
        }
    }
}

impl Inside {
    /// Does something with the connection, and tells who waits.
    fn act<T>(&self, act: impl FnOnce(&mut Pair, End) -> Result<(T, Told)>) -> Result<T> {
        let (answer, told) = act(&mut lock(&self.wire.pair), self.end)?;
        self.wire.tell(self.end, &told);
        Ok(answer)
    }
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

    /// Connects inside, if one of the pod's own sockets listens there. None: it is for the host.
    fn connect_inside(&self, address: &[u8]) -> Option<Inside> {
        let target = address::target(address::parse(self.domain, address)?);
        let backlog = LISTENERS.find(target)?;
        let own = lock(&self.options).clone();
        let host = self.host.get()?;
        if own.need_the_host() || lock(&backlog.options).need_the_host() || target.is_ipv4() && own.only_six() || host.in_use() {
            return None;
        }
        let source = address::loopback_source(target.ip()).or_else(|| own_address(target))?;
        let name = self.reserve(host, source)?;
        let buffers = (own.buffers(), lock(&backlog.options).buffers());
        let wire = Arc::new(Wire {
            pair: Mutex::new(Pair::new(buffers.0, buffers.1)),
            client: self.queue.clone(),
            server: Arc::default(),
            told: false.into(),
        });
        let offered = backlog.offer(|| accepted(&wire, &backlog, target, name));
        offered.then(|| Inside { wire, end: End::Client, name, peer: target })
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
            Role::Inside(inside) => {
                let abort = lock(&self.options).aborts();
                let told = lock(&inside.wire.pair).close(inside.end, abort);
                inside.wire.tell(inside.end, &told);
            }
        }
    }

    /// Resets the connection inside, if it is one's end.
    fn abort(&self) {
        if let Some(inside) = self.inside() {
            let told = lock(&inside.wire.pair).close(inside.end, true);
            inside.wire.tell(inside.end, &told);
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

fn kind(domain: i32) -> (i32, i32, i32) {
    (domain, libc::SOCK_STREAM, libc::IPPROTO_TCP)
}

/// The listener's end of a new connection.
fn accepted(wire: &Arc<Wire>, backlog: &Backlog, target: SocketAddr, from: SocketAddr) -> Arc<TcpSocket> {
    let inside = Inside { wire: wire.clone(), end: End::Server, name: target, peer: from };
    Arc::new(TcpSocket {
        domain: backlog.domain,
        queue: wire.server.clone(),
        host: OnceLock::new(),
        options: Arc::new(Mutex::new(lock(&backlog.options).clone())),
        role: Mutex::new(Role::Inside(inside)),
    })
}

/// Whether an address is one of the pod's, which is then where a connection to it comes from: packets to one's own address leave from it.
fn own_address(target: SocketAddr) -> Option<IpAddr> {
    let domain = if target.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let probe = host::socket(domain, libc::SOCK_DGRAM, libc::IPPROTO_UDP).ok()?;
    host::connect(probe.as_fd(), &address::form(domain, target)).ok()?;
    let source = address::parse(domain, &host::name(probe.as_fd()).ok()?)?.ip();
    (source == target.ip()).then_some(source)
}
