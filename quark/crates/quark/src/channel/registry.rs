//! The pods of this node that the service knows, what they have connected, and what the control side has said.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use quark_channel::frame::{PODS_MAX, PodAt};
use quark_channel::link::Offer;
use quark_channel::pod::{self, CONNECTIONS_MAX, End, Message};
use rustix::net::SendFlags;

use super::connection::Connection;
use super::plan::{Plan, Sender};

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
    plan: RwLock<Plan>,
    pods: Mutex<HashMap<String, Arc<Pod>>>,
    /// What other nodes have said of their pods, by the node and the pod.
    elsewhere: RwLock<HashMap<IpAddr, HashMap<IpAddr, Sender>>>,
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
    /// Whether a connection may be a channel now, as far as this node decides: the receiver's node has the last word, as with packets.
    pub fn allows(&self, from: IpAddr, to: SocketAddr) -> bool {
        self.planned(|plan| {
            let here = plan.pods.get(&from).map(|pod| pod.sender);
            let Some(sender) = here.or_else(|| self.elsewhere(plan, from)) else { return false };
            if plan.pods.contains_key(&to.ip()) {
                return plan.lets_in(sender, to);
            }
            self.elsewhere(plan, to.ip()).is_some_and(|pod| pod.network == sender.network)
        })
    }

    /// A pod of another node, if that has told of it and is believed.
    fn elsewhere(&self, plan: &Plan, pod: IpAddr) -> Option<Sender> {
        let told = self.elsewhere.read().unwrap_or_else(PoisonError::into_inner);
        told.get(&plan.node_of(pod)?)?.get(&pod).copied()
    }

    /// The node of a pod that is not here.
    pub fn node_of(&self, pod: IpAddr) -> Option<IpAddr> {
        self.planned(|plan| self.elsewhere(plan, pod).and_then(|_| plan.node_of(pod)))
    }

    /// Another node says which pods it has now. What is not allowed by that is cut.
    pub fn told(&self, node: IpAddr, pods: Vec<PodAt>) {
        let pods = pods.into_iter().map(|pod| (pod.address, pod.into())).collect();
        self.elsewhere.write().unwrap_or_else(PoisonError::into_inner).insert(node, pods);
        self.enforce();
    }

    /// A node has nothing to say any more.
    pub fn silent(&self, node: IpAddr) {
        self.elsewhere.write().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }

    /// What other nodes are to know of this one's pods.
    pub fn to_tell(&self) -> Vec<PodAt> {
        let pods = lock(&self.pods);
        self.planned(|plan| {
            let ours = plan.pods.iter().filter(|(_, pod)| pods.contains_key(&pod.sandbox));
            ours.filter_map(|(address, _)| plan.told(*address)).take(PODS_MAX).collect()
        })
    }

    /// Whether any pod has come.
    pub fn has_pods(&self) -> bool {
        !lock(&self.pods).is_empty()
    }

    /// Sandboxes of the plan that have not come.
    pub fn missing(&self) -> Vec<String> {
        let pods = lock(&self.pods);
        self.planned(|plan| plan.pods.values().map(|pod| pod.sandbox.clone()).filter(|name| !pods.contains_key(name)).collect())
    }

    /// How many pods have come.
    pub fn count(&self) -> usize {
        lock(&self.pods).len()
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
        let name = self.planned(|plan| plan.pods.get(&address).map(|pod| pod.sandbox.clone()))?;
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
