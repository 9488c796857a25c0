//! Links to the services of other nodes: one between two nodes, made by the one with the smaller address, made again when it breaks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quark_channel::link::Offer;
use quark_channel::{Accept, Link, Tcp};
use quark_host::ring::Side;

use super::connection::Connection;
use super::registry::{Offered, Registry};
use crate::log;
use crate::pod::spawn;

/// A node that does not take a connection in this time is tried again later.
const CONNECT: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(500);

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
        let believed = self.registry.planned(|plan| plan.lives_on(from.ip(), self.node) && plan.allows(from.ip(), to));
        let Some(target) = self.registry.find(to.ip()).filter(|_| believed) else { return };
        if let Ok(connection) = Connection::away(from, to, Side::Server)
            && let Some(end) = connection.take_end()
        {
            // Who gets it back drops it, which refuses.
            let _ = target.offer(&Arc::new(connection), &end, Offered::Link(offer));
        }
    }
}

impl Links {
    /// No links yet; `own` is where this node's service listens.
    pub fn new(registry: Arc<Registry>, own: SocketAddr) -> Links {
        Links { shared: Arc::new(Shared { registry, own, links: Mutex::default(), followed: Mutex::default() }) }
    }

    /// The link to the node of a pod, if it is up.
    pub fn to_pod(&self, pod: IpAddr) -> Option<Link> {
        let node = self.shared.registry.planned(|plan| plan.pods.get(&pod).copied())?;
        lock(&self.shared.links).get(&node.ip()).filter(|link| link.alive()).cloned()
    }

    /// Takes links of other nodes, for ever. Only those of the plan are let in.
    pub fn accept(&self, listener: &TcpListener) {
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                std::thread::sleep(AGAIN);
                continue;
            };
            let peer = stream.peer_addr().map(|peer| peer.ip());
            let known = peer.ok().filter(|ip| self.shared.registry.planned(|plan| plan.nodes().iter().any(|node| node.ip() == *ip)));
            if let Some(node) = known {
                self.shared.take(node, stream, false);
            }
        }
    }

    /// Connects to nodes that are new in the plan, and drops links to those that it has no more.
    pub fn follow_plan(&self) {
        let nodes = self.shared.registry.planned(|plan| plan.nodes());
        let gone: Vec<Link> = {
            let mut links = lock(&self.shared.links);
            let gone: Vec<IpAddr> = links.keys().filter(|ip| !nodes.iter().any(|node| node.ip() == **ip)).copied().collect();
            gone.iter().filter_map(|ip| links.remove(ip)).collect()
        };
        gone.iter().for_each(Link::cut);
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
            }
            Err(error) => log::warn(&format!("Cannot use a link to {node}: {error}")),
        }
    }

    /// Keeps a link to a node up for as long as the plan has it.
    fn follow(&self, node: SocketAddr) {
        while self.registry.planned(|plan| plan.nodes().contains(&node)) {
            let alive = lock(&self.links).get(&node.ip()).is_some_and(Link::alive);
            if !alive && let Ok(stream) = TcpStream::connect_timeout(&node, CONNECT) {
                self.take(node.ip(), stream, true);
            }
            std::thread::sleep(AGAIN);
        }
        lock(&self.followed).remove(&node);
    }
}
