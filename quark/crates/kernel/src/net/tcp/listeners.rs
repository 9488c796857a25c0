//! Who of the pod listens, and connections that wait to be accepted there.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::TcpSocket;
use super::options::Options;
use crate::reactor::with_bands;
use crate::task::lock;
use crate::wait::{Events, WaitQueue};

/// `net.core.somaxconn`.
const BACKLOG_MAX: usize = 4096;

/// A listening socket.
pub struct Backlog {
    /// The address that it is bound to.
    pub name: SocketAddr,
    /// AF_INET or AF_INET6.
    pub domain: i32,
    /// IPV6_V6ONLY.
    pub only_six: bool,
    /// What was set on the listener, which those that it accepts have too.
    pub options: Arc<Mutex<Options>>,
    /// Who waits for the listener.
    pub queue: Arc<WaitQueue>,
    pending: Mutex<Pending>,
}

struct Pending {
    limit: usize,
    /// How many times somebody was accepted.
    turns: u32,
    sockets: VecDeque<Arc<TcpSocket>>,
    closed: bool,
}

impl Backlog {
    /// A listener that nobody finds yet.
    pub fn new(name: SocketAddr, domain: i32, only_six: bool, options: Arc<Mutex<Options>>, queue: Arc<WaitQueue>) -> Backlog {
        let pending = Pending { limit: 0, turns: 0, sockets: VecDeque::new(), closed: false };
        Backlog { name, domain, only_six, options, queue, pending: Mutex::new(pending) }
    }

    /// How many may wait, as `listen(2)` says it.
    pub fn set_limit(&self, backlog: i32) {
        lock(&self.pending).limit = usize::try_from(backlog).unwrap_or(BACKLOG_MAX).min(BACKLOG_MAX);
    }

    /// Queues a connection: false if there is no room or nobody listens any more.
    pub fn offer(&self, socket: impl FnOnce() -> Arc<TcpSocket>) -> bool {
        let mut pending = lock(&self.pending);
        if pending.closed || pending.sockets.len() > pending.limit {
            return false;
        }
        pending.sockets.push_back(socket());
        drop(pending);
        self.queue.notify(with_bands(Events::IN));
        true
    }

    /// The first that waits.
    pub fn take(&self) -> Option<Arc<TcpSocket>> {
        lock(&self.pending).sockets.pop_front()
    }

    /// Whether this `accept` asks the host first: every sixteenth.
    pub fn outside_first(&self) -> bool {
        let mut pending = lock(&self.pending);
        pending.turns = pending.turns.wrapping_add(1);
        pending.turns.is_multiple_of(16)
    }

    /// Whether somebody waits.
    pub fn ready(&self) -> bool {
        !lock(&self.pending).sockets.is_empty()
    }

    /// Nobody listens any more: those that wait are reset.
    pub fn close(&self) {
        let mut pending = lock(&self.pending);
        pending.closed = true;
        let waiting = std::mem::take(&mut pending.sockets);
        drop(pending);
        waiting.iter().for_each(|socket| socket.abort());
    }

    /// How well it fits a target: `None` not at all, more is better. An address that is given beats "any", and a family the other.
    fn score(&self, target: IpAddr) -> Option<u8> {
        match (self.name.ip(), target) {
            (own, target) if own == target => Some(2 + u8::from(self.domain == libc::AF_INET)),
            (IpAddr::V4(own), IpAddr::V4(_)) if own.is_unspecified() => Some(1),
            (IpAddr::V6(own), IpAddr::V6(_)) if own.is_unspecified() => Some(1),
            (IpAddr::V6(own), IpAddr::V4(_)) if own.is_unspecified() && !self.only_six => Some(0),
            _ => None,
        }
    }
}

/// The listeners of a pod by port.
#[derive(Default)]
pub struct Listeners {
    ports: Mutex<HashMap<u16, Vec<Weak<Backlog>>>>,
    /// Takes turns between those that share a port (SO_REUSEPORT).
    turn: AtomicUsize,
}

impl Listeners {
    /// Makes a listener known.
    pub fn add(&self, backlog: &Arc<Backlog>) {
        let mut ports = lock(&self.ports);
        ports.retain(|_, all| {
            all.retain(|one| one.strong_count() > 0);
            !all.is_empty()
        });
        ports.entry(backlog.name.port()).or_default().push(Arc::downgrade(backlog));
    }

    /// Forgets a listener.
    pub fn remove(&self, backlog: &Arc<Backlog>) {
        if let Some(all) = lock(&self.ports).get_mut(&backlog.name.port()) {
            all.retain(|one| !std::ptr::eq(one.as_ptr(), Arc::as_ptr(backlog)));
        }
    }

    /// Who answers at an address.
    pub fn find(&self, target: SocketAddr) -> Option<Arc<Backlog>> {
        let ports = lock(&self.ports);
        let all = ports.get(&target.port())?;
        let scored: Vec<_> = all.iter().filter_map(Weak::upgrade).filter_map(|one| Some((one.score(target.ip())?, one))).collect();
        let best = scored.iter().map(|(score, _)| *score).max()?;
        let mut equal: Vec<_> = scored.into_iter().filter(|(score, _)| *score == best).collect();
        let turn = if equal.len() > 1 { self.turn.fetch_add(1, Ordering::Relaxed) % equal.len() } else { 0 };
        Some(equal.swap_remove(turn).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(name: &str, only_six: bool) -> Arc<Backlog> {
        let name: SocketAddr = name.parse().unwrap();
        let domain = if name.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        Arc::new(Backlog::new(name, domain, only_six, Arc::default(), Arc::default()))
    }

    fn find(listeners: &Listeners, target: &str) -> Option<SocketAddr> {
        listeners.find(target.parse().unwrap()).map(|found| found.name)
    }

    #[test]
    fn the_nearest_address_answers() {
        let listeners = Listeners::default();
        let all = [("0.0.0.0:80", false), ("127.0.0.2:80", false), ("[::]:80", true), ("[::]:81", false), ("[::1]:82", false)];
        let all = all.map(|(name, only_six)| listener(name, only_six));
        all.iter().for_each(|one| listeners.add(one));
        let expected = [
            ("127.0.0.1:80", Some(0)),
            ("127.0.0.2:80", Some(1)),
            ("[::1]:80", Some(2)),
            ("127.0.0.1:81", Some(3)),
            ("[::1]:81", Some(3)),
            ("127.0.0.1:82", None),
            ("127.0.0.1:83", None),
        ];
        for (target, index) in expected {
            assert_eq!(find(&listeners, target), index.map(|index: usize| all[index].name), "{target}");
        }
        listeners.remove(&all[1]);
        assert_eq!(find(&listeners, "127.0.0.2:80"), Some(all[0].name));
        drop(all);
        assert_eq!(find(&listeners, "127.0.0.2:80"), None);
    }

    #[test]
    fn those_that_share_a_port_take_turns() {
        let listeners = Listeners::default();
        let all: Vec<_> = (0..3).map(|_| listener("0.0.0.0:80", false)).collect();
        all.iter().for_each(|one| listeners.add(one));
        let found: Vec<_> = (0..3).filter_map(|_| listeners.find("127.0.0.1:80".parse().unwrap())).collect();
        assert!(all.iter().all(|one| found.iter().any(|found| Arc::ptr_eq(one, found))));
    }
}
