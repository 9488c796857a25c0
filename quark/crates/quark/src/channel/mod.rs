//! `quark channel`: the service of a node that gives pods connections which don't go through the node's network.
//!
//! It belongs to the node's control side, which starts it and writes a [`Plan`] a line to its standard input; it ends when that does. Pods' kernels
//! come by a unix socket that only root may connect to, before any guest of theirs runs; other nodes by TCP, and only those of the plan.

mod connection;
mod links;
mod plan;
mod registry;

use std::io::BufRead;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use quark_channel::pod::{self, Message};
use quark_host::ring::Side;
use rustix::fs::{CWD, Mode};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::cli::Parsed;
use crate::error::{Context, Error, Result};
use crate::log;
use crate::pod::spawn;
use connection::Connection;
use links::Links;
use plan::Plan;
use registry::{Offered, Pod, Registry};

struct Service {
    registry: Arc<Registry>,
    links: Links,
}

/// Runs until standard input ends.
pub fn main(parsed: &Parsed) -> Result<u8> {
    let path = parsed.value("socket").unwrap_or(pod::SOCKET);
    let address: SocketAddr = parsed
        .value("listen")
        .and_then(|address| address.parse().ok())
        .ok_or_else(|| Error::usage("--listen must be an address and a port, such as 192.168.0.1:7788"))?;
    let pods = listen_for_pods(path)?;
    let nodes = TcpListener::bind(address).context(|| format!("listen at {address}"))?;
    let registry = Arc::<Registry>::default();
    let service = Arc::new(Service { links: Links::new(registry.clone(), address), registry });
    let accepting = service.clone();
    spawn("pods", move || accept_pods(&accepting, &pods))?;
    let accepting = service.clone();
    spawn("nodes", move || accepting.links.accept(&nodes))?;
    for line in std::io::stdin().lock().lines() {
        let line = line.context(|| "read standard input")?;
        match serde_json::from_str::<Plan>(&line) {
            Ok(plan) => service.registry.replace(plan),
            Err(error) => log::error(&format!("A line of standard input is no plan, and the last one holds: {error}")),
        }
        service.links.follow_plan();
    }
    let _ = rustix::fs::unlink(path);
    Ok(0)
}

fn listen_for_pods(path: &str) -> Result<OwnedFd> {
    let what = || format!("listen at \"{path}\"");
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).context(what)?;
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
        let started = accepted.context(|| "accept").and_then(|socket| spawn("pod", move || service.serve(socket)));
        if let Err(error) = started {
            log::error(&format!("Cannot take a pod: {error}"));
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}

impl Service {
    /// One pod, from its name to its end.
    fn serve(self: &Arc<Self>, socket: OwnedFd) {
        let Ok(Some((Message::Name(name), None))) = pod::receive(&socket) else { return };
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let Ok(writer) = socket.try_clone() else { return };
        let pod = Pod::new(writer, String::from_utf8_lossy(name).into_owned());
        self.registry.add(&pod);
        while let Ok(Some((message, None))) = pod::receive(&socket) {
            match message {
                Message::Ask { id, from, to } => self.ask(&pod, id, (from, to)),
                Message::Taken { id } => self.answered(&pod, id, true),
                Message::Refused { id } => self.answered(&pod, id, false),
                Message::Closed { id } => pod.forget(id),
                _ => break,
            }
        }
        self.registry.remove(&pod);
        pod.end().into_iter().for_each(refuse);
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
