//! The pods of this node that the service knows, what they have connected, and what the control side has said.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use quark_channel::link::Offer;
use quark_channel::pod::{self, CONNECTIONS_MAX, End, Message};
use rustix::net::SendFlags;

use super::connection::Connection;
use super::plan::Plan;

/// A pod's kernel.
pub struct Pod {
    /// Where it reads.
    socket: OwnedFd,
    /// Said before any guest ran.
    pub name: String,
    next: AtomicU32,
    state: Mutex<PodState>,
}

#[derive(Default)]
struct PodState {
    gone: bool,
    connections: HashMap<u32, Arc<Connection>>,
    offered: HashMap<u32, Offered>,
}

/// Who waits for a pod to take a connection.
pub enum Offered {
    /// A pod of this node, by its own number and with its own end.
    Pod { asker: Arc<Pod>, id: u32, end: Box<End> },
    /// A link.
    Link(Offer),
}

/// All of them.
#[derive(Default)]
pub struct Registry {
    /// What the control side has said last.
    pub plan: RwLock<Plan>,
    pods: Mutex<HashMap<String, Arc<Pod>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pod {
    /// A pod that has said which one it is.
    pub fn new(socket: OwnedFd, name: String) -> Arc<Pod> {
        Arc::new(Pod { socket, name, next: AtomicU32::new(1), state: Mutex::default() })
    }

    /// Tells it something. False if it doesn't read, or is gone.
    pub fn say(&self, message: &Message, end: Option<&End>) -> bool {
        pod::send(&self.socket, message, end, SendFlags::DONTWAIT).is_ok()
    }

    /// Notes a connection by the number that the pod has given it. False if there are too many, or the number is taken.
    pub fn keep(&self, id: u32, connection: &Arc<Connection>) -> bool {
        let mut state = lock(&self.state);
        if state.gone || state.connections.len() >= CONNECTIONS_MAX || state.connections.contains_key(&id) {
            return false;
        }
        state.connections.insert(id, connection.clone());
        true
    }

    /// Offers it a connection. Who waits is given back if that can't be.
    pub fn offer(&self, connection: &Arc<Connection>, end: &End, offered: Offered) -> Result<(), Offered> {
        let id = self.next.fetch_add(2, Ordering::Relaxed) | 1;
        if !self.keep(id, connection) {
            return Err(offered);
        }
        lock(&self.state).offered.insert(id, offered);
        if self.say(&Message::Offer { id, from: connection.from, to: connection.to }, Some(end)) {
            return Ok(());
        }
        lock(&self.state).connections.remove(&id);
        lock(&self.state).offered.remove(&id).map_or(Ok(()), Err)
    }

    /// Its answer to an offer: who waits for it, and the connection.
    pub fn answered(&self, id: u32, taken: bool) -> Option<(Offered, Arc<Connection>)> {
        let mut state = lock(&self.state);
        let offered = state.offered.remove(&id)?;
        let connection = if taken { state.connections.get(&id).cloned() } else { state.connections.remove(&id) };
        Some((offered, connection?))
    }

    /// It is done with a connection.
    pub fn forget(&self, id: u32) {
        lock(&self.state).connections.remove(&id);
    }

    /// It is gone: its connections break. Who waits for it is given back.
    pub fn end(&self) -> Vec<Offered> {
        let mut state = lock(&self.state);
        state.gone = true;
        let (connections, offered) = (std::mem::take(&mut state.connections), std::mem::take(&mut state.offered));
        drop(state);
        connections.values().for_each(|connection| connection.cut());
        offered.into_values().collect()
    }

    fn cut_unless(&self, allowed: impl Fn(&Connection) -> bool) {
        let connections: Vec<_> = lock(&self.state).connections.values().cloned().collect();
        connections.iter().filter(|connection| !allowed(connection)).for_each(|connection| connection.cut());
    }
}

impl Registry {
    /// Whether a connection may be a channel now.
    pub fn allows(&self, from: IpAddr, to: SocketAddr) -> bool {
        self.plan.read().unwrap_or_else(PoisonError::into_inner).allows(from, to)
    }

    /// Asks something of the plan.
    pub fn planned<T>(&self, ask: impl FnOnce(&Plan) -> T) -> T {
        ask(&self.plan.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Another plan: what it does not allow is cut.
    pub fn replace(&self, plan: Plan) {
        *self.plan.write().unwrap_or_else(PoisonError::into_inner) = plan;
        self.enforce();
    }

    /// Cuts what is not allowed. A connection that was judged by the plan before is kept before this, or judged again by who kept it.
    fn enforce(&self) {
        let pods: Vec<_> = lock(&self.pods).values().cloned().collect();
        pods.iter().for_each(|pod| pod.cut_unless(|connection| self.allows(connection.from.ip(), connection.to)));
    }

    /// The pod of this node that the plan gives an address.
    pub fn find(&self, address: IpAddr) -> Option<Arc<Pod>> {
        let name = self.planned(|plan| plan.local.get(&address).cloned())?;
        lock(&self.pods).get(&name).cloned()
    }

    /// A pod that has come. Of two of a name the newer one is meant.
    pub fn add(&self, pod: &Arc<Pod>) {
        lock(&self.pods).insert(pod.name.clone(), pod.clone());
    }

    /// A pod that is gone.
    pub fn remove(&self, pod: &Arc<Pod>) {
        lock(&self.pods).retain(|_, other| !Arc::ptr_eq(pod, other));
    }
}
