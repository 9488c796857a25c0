//! Links to the services of other nodes: one between two nodes, made by the one with the smaller address once it has pods, made again when it breaks.
//!
//! A link is believed to be its node's if it comes from the node's address and a privileged port: pods whose connections leave with the node's address
//! have other ports (`MASQUERADE_PORTS` of packages/network).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quark_channel::frame::PodAt;
use quark_channel::link::Offer;
use quark_channel::{Accept, Link, Tcp};
use quark_host::ring::Side;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::connection::Connection;
use super::registry::{Offered, Registry};
use crate::log;
use crate::pod::spawn;

/// A node that does not take a connection in this time is tried again later: each time after twice as long.
const CONNECT: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(500);
const AGAIN_MAX: Duration = Duration::from_secs(30);

/// Ports that links come from.
const PRIVILEGED: RangeInclusive<u16> = 512..=1023;

/// How long a node may take to answer for its pod; pods wait no longer for a service.
const ANSWER: Duration = Duration::from_millis(150);

/// When an answer comes too late.
pub fn deadline() -> Instant {
    Instant::now() + ANSWER
}

/// All links.
pub struct Links {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Arc<Registry>,
    own: SocketAddr,
    links: Mutex<BTreeMap<IpAddr, Link>>,
    /// Nodes that a thread connects to, for as long as the plan has them.
    followed: Mutex<BTreeSet<SocketAddr>>,
    /// Held while nodes are told of pods, so that what they hear last is the newest.
    telling: Mutex<()>,
}

/// Answers the streams that one node asks for.
struct Incoming {
    registry: Arc<Registry>,
    node: IpAddr,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Accept for Incoming {
    fn asked(&self, from: SocketAddr, to: SocketAddr, offer: Offer) {
        let believed = self.registry.node_of(from.ip()) == Some(self.node) && self.registry.allows(from.ip(), to);
        let Some(target) = self.registry.find(to.ip()).filter(|_| believed) else { return };
        if let Ok(connection) = Connection::away(from, to, Side::Server)
            && let Some(end) = connection.take_end()
        {
            // Who gets it back drops it, which refuses.
            let _ = target.offer(&Arc::new(connection), &end, Offered::Link(offer));
        }
    }

    fn told(&self, pods: Vec<PodAt>) {
        self.registry.told(self.node, pods);
    }
}

impl Links {
    /// No links yet; `own` is where this node's service listens.
    pub fn new(registry: Arc<Registry>, own: SocketAddr) -> Links {
        let (links, followed, telling) = Default::default();
        Links { shared: Arc::new(Shared { registry, own, links, followed, telling }) }
    }

    /// The link to the node of a pod, if it is up.
    pub fn to_pod(&self, pod: IpAddr) -> Option<Link> {
        let node = self.shared.registry.node_of(pod)?;
        lock(&self.shared.links).get(&node).filter(|link| link.alive()).cloned()
    }

    /// The nodes to which there is a link.
    pub fn up(&self) -> Vec<IpAddr> {
        lock(&self.shared.links).iter().filter(|(_, link)| link.alive()).map(|(node, _)| *node).collect()
    }

    /// Tells all nodes which pods there are here.
    pub fn tell(&self) {
        self.shared.tell(None);
    }

    /// Takes links of other nodes, for ever. Only those of the plan are let in.
    pub fn accept(&self, listener: &TcpListener) {
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                std::thread::sleep(AGAIN);
                continue;
            };
            let peer = stream.peer_addr().ok().filter(|peer| PRIVILEGED.contains(&peer.port())).map(|peer| peer.ip());
            let known = peer.filter(|ip| self.shared.registry.planned(|plan| plan.services().iter().any(|node| node.ip() == *ip)));
            if let Some(node) = known {
                self.shared.take(node, stream, false);
            }
        }
    }

    /// Connects to nodes that are new in the plan, if there are pods here, and drops links to those that it has no more.
    pub fn follow_plan(&self) {
        let nodes = self.shared.registry.planned(|plan| plan.services());
        let gone: Vec<Link> = {
            let mut links = lock(&self.shared.links);
            let gone: Vec<IpAddr> = links.keys().filter(|ip| !nodes.iter().any(|node| node.ip() == **ip)).copied().collect();
            gone.iter().inspect(|ip| self.shared.registry.silent(**ip)).filter_map(|ip| links.remove(ip)).collect()
        };
        gone.iter().for_each(Link::cut);
        if !self.shared.registry.has_pods() {
            return;
        }
        for node in nodes.into_iter().filter(|node| self.shared.own.ip() < node.ip()) {
            if lock(&self.shared.followed).insert(node) {
                let shared = self.shared.clone();
                if let Err(error) = spawn("node", move || shared.follow(node)) {
                    log::error(&error.to_string());
                    lock(&self.shared.followed).remove(&node);
                }
            }
        }
    }
}

impl Shared {
    fn take(&self, node: IpAddr, stream: TcpStream, first: bool) {
        let incoming = Arc::new(Incoming { registry: self.registry.clone(), node });
        match Link::start(Box::new(Tcp(stream)), first, incoming) {
            Ok(link) => {
                log::info(&format!("There is a link to {node}"));
                if let Some(old) = lock(&self.links).insert(node, link) {
                    old.cut();
                }
                self.tell(Some(node));
            }
            Err(error) => log::warn(&format!("Cannot use a link to {node}: {error}")),
        }
    }

    /// Tells one node, or all.
    fn tell(&self, only: Option<IpAddr>) {
        let _telling = lock(&self.telling);
        let pods = self.registry.to_tell();
        let links: Vec<Link> = {
            let links = lock(&self.links);
            links
                .iter()
                .filter(|(node, link)| link.alive() && only.is_none_or(|only| only == **node))
                .map(|(_, link)| link.clone())
                .collect()
        };
        links.iter().for_each(|link| link.tell(pods.clone()));
    }

    /// Keeps a link to a node up for as long as the plan has it.
    fn follow(&self, node: SocketAddr) {
        let mut pause = AGAIN;
        while self.registry.planned(|plan| plan.services().contains(&node)) {
            let alive = lock(&self.links).get(&node.ip()).is_some_and(Link::alive);
            match (!alive).then(|| connect(self.own.ip(), node)) {
                None => pause = AGAIN,
                Some(Ok(stream)) => self.take(node.ip(), stream, true),
                Some(Err(_)) => pause = AGAIN_MAX.min(pause * 2),
            }
            std::thread::sleep(pause);
        }
        lock(&self.followed).remove(&node);
    }
}

/// Connects from a privileged port.
fn connect(own: IpAddr, node: SocketAddr) -> Result<TcpStream, Errno> {
    let family = if node.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    for port in PRIVILEGED.rev() {
        let socket: OwnedFd = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        set_socket_timeout(socket.as_fd(), Timeout::Send, Some(CONNECT))?;
        let connected = rustix::net::bind(&socket, &SocketAddr::new(own, port)).and_then(|()| rustix::net::connect(&socket, &node));
        match connected {
            Err(Errno::ADDRINUSE | Errno::ADDRNOTAVAIL) => {}
            connected => {
                connected?;
                set_socket_timeout(socket.as_fd(), Timeout::Send, None)?;
                return Ok(TcpStream::from(socket));
            }
        }
    }
    Err(Errno::ADDRINUSE)
}
