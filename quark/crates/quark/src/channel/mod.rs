//! `quark channel`: the service of a node that gives pods connections which don't go through the node's network.
//!
//! It belongs to the node's control side, which starts it and connects to its control socket: each line there is a [`Plan`], answered by a [`Report`]; an
//! empty one asks for that alone. Without a control side it goes on by the last plan, as long as it has pods. Pods' kernels come by a unix socket that only
//! root may connect to, before any guest of theirs runs, or are come to, by their own control sockets, if they were there first; other nodes by TCP,
//! and only those of the plan.

mod connection;
mod links;
mod plan;
mod registry;

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quark_channel::pod::{self, Message};
use quark_host::ring::Side;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socketpair};
use serde::Serialize;

use crate::cli::Parsed;
use crate::client;
use crate::error::{Context, Error, Result};
use crate::log;
use crate::messages::Order;
use crate::pod::spawn;
use crate::store::Store;
use connection::Connection;
use links::Links;
use plan::Plan;
use registry::{Offered, Pod, Registry};

struct Service {
    registry: Arc<Registry>,
    links: Links,
    store: Store,
    /// Sandboxes whose kernels were come to, whatever they said.
    tried: Mutex<HashSet<String>>,
    /// Connections that were made.
    opened: AtomicU64,
}

/// What the control side hears, as a line of JSON.
#[derive(Serialize)]
struct Report {
    /// Pods that use channels.
    pods: usize,
    /// Nodes to which there is a link.
    links: Vec<IpAddr>,
    /// Connections that there are now.
    connections: u64,
    /// Connections that were made.
    opened: u64,
    /// Bytes to and from other nodes.
    carried_bytes: u64,
}

/// How often it is looked whether there are pods, while there is no control side.
const ALONE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// Runs until there is neither a control side nor a pod. The pods of `store` are those that it comes to.
pub fn main(parsed: &Parsed, store: Store) -> Result<u8> {
    let path = parsed.value("socket").unwrap_or(pod::SOCKET);
    let control =
        parsed.value("control").ok_or_else(|| Error::usage("--control must be a path, such as /run/quark-channel-control.sock"))?;
    let address: SocketAddr = parsed
        .value("listen")
        .and_then(|address| address.parse().ok())
        .ok_or_else(|| Error::usage("--listen must be an address and a port, such as 192.168.0.1:7788"))?;
    // First, as two can't: the sockets of one that runs are not taken from it.
    let nodes = TcpListener::bind(address).context(|| format!("listen at {address}"))?;
    let pods = listen_at(path, SocketType::SEQPACKET)?;
    let control = UnixListener::from(listen_at(control, SocketType::STREAM)?);
    let registry = Arc::<Registry>::default();
    let links = Links::new(registry.clone(), address);
    let service = Arc::new(Service { registry, links, store, tried: Mutex::default(), opened: AtomicU64::new(0) });
    let accepting = service.clone();
    spawn("pods", move || accept_pods(&accepting, &pods))?;
    let accepting = service.clone();
    spawn("nodes", move || accepting.links.accept(&nodes))?;
    let mut before = None;
    loop {
        match poll(&mut [PollFd::new(&control, PollFlags::IN)], before.and(Some(&ALONE))) {
            Ok(0) if !service.registry.has_pods() => return Ok(0),
            Ok(0) | Err(Errno::INTR) => continue,
            polled => polled.context(|| "wait for the control side")?,
        };
        let (socket, _) = control.accept().context(|| "accept the control side")?;
        if let Err(error) = service.hear(&socket) {
            log::warn(&format!("The control side is gone: {error}"));
        }
        if !service.registry.has_pods() {
            return Ok(0);
        }
        before = Some(());
    }
}

fn listen_at(path: &str, kind: SocketType) -> Result<OwnedFd> {
    let what = || format!("listen at \"{path}\"");
    let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).context(what)?;
    let _ = rustix::fs::unlink(path);
    let address = SocketAddrUnix::new(path).context(what)?;
    rustix::net::bind(&socket, &address).context(what)?;
    rustix::fs::chmodat(CWD, path, Mode::RUSR | Mode::WUSR, rustix::fs::AtFlags::empty()).context(what)?;
    rustix::net::listen(&socket, 128).context(what)?;
    Ok(socket)
}

fn accept_pods(service: &Arc<Service>, listener: &OwnedFd) {
    loop {
        let accepted = rustix::net::accept_with(listener, SocketFlags::CLOEXEC);
        let service = service.clone();
        let started = accepted.context(|| "accept").and_then(|socket| spawn("pod", move || service.welcome(socket)));
        if let Err(error) = started {
            log::error(&format!("Cannot take a pod: {error}"));
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}

impl Service {
    /// One control side, until it is gone.
    fn hear(self: &Arc<Self>, socket: &UnixStream) -> Result<()> {
        for line in BufReader::new(socket).lines() {
            let line = line.context(|| "read a plan")?;
            if !line.is_empty() {
                self.follow(&line);
            }
            self.report(socket).context(|| "write a report")?;
        }
        Ok(())
    }

    fn follow(self: &Arc<Self>, line: &str) {
        let plan = serde_json::from_str::<Plan>(line).unwrap_or_else(|error| {
            log::error(&format!("A line of the control side is no plan, so that no connection is a channel: {error}"));
            Plan::default()
        });
        self.registry.replace(plan);
        self.links.follow_plan();
        self.links.tell();
        self.come_to_pods();
    }

    fn report(&self, mut socket: &UnixStream) -> std::io::Result<()> {
        let (connections, carried_bytes) = connection::counts();
        let (pods, links, opened) = (self.registry.count(), self.links.up(), self.opened.load(Ordering::Relaxed));
        let mut line = serde_json::to_string(&Report { pods, links, connections, opened, carried_bytes })?;
        line.push('\n');
        socket.write_all(line.as_bytes())
    }

    /// Pods that were made while no service ran: their kernels are given a connection. Who is not there yet will come by itself.
    fn come_to_pods(self: &Arc<Self>) {
        let missing = self.registry.missing();
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        tried.retain(|name| missing.contains(name));
        for name in missing {
            if !self.store.open(&name).is_ok_and(|entry| entry.path().join("control.sock").exists()) || !tried.insert(name.clone()) {
                continue;
            }
            let service = self.clone();
            if let Err(error) = spawn("come-to", move || service.come_to(name)) {
                log::error(&error.to_string());
            }
        }
    }

    fn come_to(self: &Arc<Self>, name: String) {
        let given = self.store.open(&name).and_then(|entry| {
            let connection = client::Connection::open(&entry)?;
            let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
            let (ours, theirs) = pair.context(|| "make a socket")?;
            connection.tell(&Order::Channel, &[theirs.as_fd()])?;
            Ok(ours)
        });
        match given {
            Ok(socket) => self.serve(name, socket),
            Err(error) => log::debug(&format!("Pod {name} uses no channels: {error}")),
        }
    }

    /// One pod that has come, from its name to its end.
    fn welcome(self: &Arc<Self>, socket: OwnedFd) {
        let Ok(Some((Message::Name(name), None))) = pod::receive(&socket) else { return };
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        self.serve(String::from_utf8_lossy(name).into_owned(), socket);
    }

    fn serve(self: &Arc<Self>, name: String, socket: OwnedFd) {
        let Ok(writer) = socket.try_clone() else { return };
        let pod = Pod::new(writer, name);
        self.registry.add(&pod);
        self.links.follow_plan();
        self.links.tell();
        while let Ok(Some((message, None))) = pod::receive(&socket) {
            match message {
                Message::Ask { id, from, to } => self.ask(&pod, id, (from, to)),
                Message::Taken { id } => self.answered(&pod, id, true),
                Message::Refused { id } => self.answered(&pod, id, false),
                Message::Closed { id } => pod.forget(id),
                // Who was come to says it, too.
                Message::Name(_) => {}
                _ => break,
            }
        }
        self.registry.remove(&pod);
        pod.end().into_iter().for_each(refuse);
        self.links.tell();
    }

    fn ask(self: &Arc<Self>, pod: &Arc<Pod>, id: u32, way: (SocketAddr, SocketAddr)) {
        let (from, to) = way;
        let own = self.registry.planned(|plan| plan.has(&pod.name, from.ip())) && id.is_multiple_of(2);
        let asked = own && self.registry.allows(from.ip(), to) && self.connect(pod, id, way).is_ok();
        if !asked {
            pod.say(&Message::Host { id }, None);
        }
    }

    /// Offers it to a pod of this node, or asks the node that has it, whose answer tells the pod later.
    fn connect(self: &Arc<Self>, asker: &Arc<Pod>, id: u32, (from, to): (SocketAddr, SocketAddr)) -> Result<()> {
        if let Some(target) = self.registry.find(to.ip()) {
            let (connection, (client, server)) = Connection::here(from, to)?;
            let offered = Offered::Pod { asker: asker.clone(), id, end: Box::new(client) };
            return target.offer(&Arc::new(connection), &server, offered).map_err(|_| Error::new("the pod takes no more"));
        }
        let link = self.links.to_pod(to.ip()).ok_or_else(|| Error::new("no link to that pod's node"))?;
        let (service, asker) = (self.clone(), asker.clone());
        spawn("asker", move || {
            let opened = link.open(from, to, links::deadline()).ok_or_else(|| Error::new("nobody has it"));
            let connected = opened.and_then(|streams| {
                let connection = Arc::new(Connection::away(from, to, Side::Client)?);
                let end = connection.take_end().ok_or_else(|| Error::new("an end is given once"))?;
                connection.pump(streams)?;
                service.connected(&asker, id, &connection, Some(&end))
            });
            if connected.is_err() {
                asker.say(&Message::Host { id }, None);
            }
        })
    }

    /// Gives the asker its end. What is no longer allowed by now is cut.
    fn connected(&self, asker: &Pod, id: u32, connection: &Arc<Connection>, end: Option<&quark_channel::pod::End>) -> Result<()> {
        if !asker.keep(id, connection) || !asker.say(&Message::Connected { id }, end) {
            connection.cut();
            asker.forget(id);
            return Err(Error::new("the pod takes no more"));
        }
        self.opened.fetch_add(1, Ordering::Relaxed);
        if !self.registry.allows(connection.from.ip(), connection.to) {
            connection.cut();
        }
        Ok(())
    }

    fn answered(&self, pod: &Pod, id: u32, taken: bool) {
        let Some((offered, connection)) = pod.answered(id, taken) else { return };
        match offered {
            offered if !taken => refuse(offered),
            Offered::Pod { asker, id, end } => {
                if self.connected(&asker, id, &connection, Some(&end)).is_err() {
                    asker.say(&Message::Host { id }, None);
                }
            }
            Offered::Link(offer) => {
                let pumped = offer.accept().ok_or_else(|| Error::new("given up")).and_then(|streams| connection.pump(streams));
                self.opened.fetch_add(1, Ordering::Relaxed);
                if pumped.is_err() || !self.registry.allows(connection.from.ip(), connection.to) {
                    connection.cut();
                }
            }
        }
    }
}

/// Nobody takes it: dropping a link's offer refuses it.
fn refuse(offered: Offered) {
    if let Offered::Pod { asker, id, .. } = offered {
        asker.say(&Message::Host { id }, None);
    }
}
