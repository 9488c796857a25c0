//! Connections to other pods over channels, by the service of the node (crate `quark-channel`). Who asks for one and gets none has the host's.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use quark_channel::pod::{self, End, Message};
use quark_host::ring::Side;
use rustix::net::SendFlags;

use super::ring_end::RingEnd;
use super::{LISTENERS, accepted};
use crate::task::lock;
use crate::wait::WaitQueue;
use crate::{Errno, Result};

/// A service that takes longer is passed over: connections are the host's.
const ANSWER: Duration = Duration::from_millis(200);

/// Where the service has said no it is not asked again for so long.
const REFUSED: Duration = Duration::from_secs(1);
const REFUSED_MAX: usize = 1024;

struct Service {
    socket: OwnedFd,
    next: AtomicU32,
    gone: AtomicBool,
    answers: Mutex<HashMap<u32, Option<Option<End>>>>,
    answered: Condvar,
    refused: Mutex<HashMap<SocketAddr, Instant>>,
    rings: Mutex<Vec<Weak<RingEnd>>>,
}

/// The last that came.
static SERVICE: RwLock<Option<Arc<Service>>> = RwLock::new(None);

fn service() -> Option<Arc<Service>> {
    SERVICE.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Takes a connection to the service of the node into use, in place of the one before: tells it which pod this is, and listens to it. ENAMETOOLONG.
pub fn start(socket: OwnedFd, name: &str) -> Result<()> {
    let name = pod::name(name).ok_or(Errno::NAMETOOLONG)?;
    let service = Arc::new(Service {
        socket,
        next: AtomicU32::new(2),
        gone: AtomicBool::new(false),
        answers: Mutex::default(),
        answered: Condvar::new(),
        refused: Mutex::default(),
        rings: Mutex::default(),
    });
    pod::send(&service.socket, &Message::Name(name), None, SendFlags::empty())?;
    let listening = service.clone();
    let thread = std::thread::Builder::new().name("channel".into()).stack_size(128 << 10);
    thread.spawn(move || listening.run()).map_err(|_| Errno::AGAIN)?;
    *SERVICE.write().unwrap_or_else(PoisonError::into_inner) = Some(service);
    Ok(())
}

/// Whether there is a service to ask for a connection to `to`.
pub fn may_ask(to: SocketAddr) -> bool {
    service().is_some_and(|service| !service.gone.load(Ordering::Relaxed) && !service.has_refused(to))
}

/// Asks for a connection: none if it is for the host.
pub fn ask(from: SocketAddr, to: SocketAddr, queue: &Arc<WaitQueue>) -> Option<Arc<RingEnd>> {
    let service = service()?;
    let id = service.next.fetch_add(2, Ordering::Relaxed);
    lock(&service.answers).insert(id, None);
    let asked = service.say(&Message::Ask { id, from, to });
    let end = if asked { service.wait(id) } else { None };
    lock(&service.answers).remove(&id);
    match end.map(|end| service.ring(id, end, Side::Client, queue)) {
        Some(Ok(ring)) => Some(ring),
        _ => {
            service.note_refusal(to);
            None
        }
    }
}

impl Service {
    /// False if it doesn't read, or is gone.
    fn say(&self, message: &Message) -> bool {
        pod::send(&self.socket, message, None, SendFlags::DONTWAIT).is_ok()
    }

    fn wait(&self, id: u32) -> Option<End> {
        let deadline = Instant::now() + ANSWER;
        let mut answers = lock(&self.answers);
        loop {
            if let Some(answer) = answers.get_mut(&id).and_then(Option::take) {
                return answer;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.gone.load(Ordering::Relaxed) {
                return None;
            }
            answers = self.answered.wait_timeout(answers, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn ring(self: &Arc<Self>, id: u32, end: End, side: Side, queue: &Arc<WaitQueue>) -> Result<Arc<RingEnd>> {
        let service = self.clone();
        let closed = move || {
            service.say(&Message::Closed { id });
        };
        let ring = RingEnd::new(end, side, queue.clone(), Box::new(closed)).inspect_err(|_| {
            self.say(&Message::Closed { id });
        })?;
        let ring = Arc::new(ring);
        let mut rings = lock(&self.rings);
        if rings.len() >= 64 && rings.len().is_power_of_two() {
            rings.retain(|ring| ring.strong_count() > 0);
        }
        rings.push(Arc::downgrade(&ring));
        drop(rings);
        if self.gone.load(Ordering::SeqCst) {
            ring.cut();
        }
        Ok(ring)
    }

    fn run(self: &Arc<Self>) {
        while let Ok(Some((message, end))) = pod::receive(&self.socket) {
            match (message, end) {
                (Message::Host { id }, None) => self.answer(id, None),
                (Message::Connected { id }, Some(end)) => self.answer(id, Some(end)),
                (Message::Offer { id, from, to }, Some(end)) => {
                    let taken = self.offer(id, (from, to), end);
                    self.say(&if taken { Message::Taken { id } } else { Message::Refused { id } });
                }
                _ => break,
            }
        }
        self.gone.store(true, Ordering::SeqCst);
        self.answered.notify_all();
        let rings = std::mem::take(&mut *lock(&self.rings));
        rings.iter().filter_map(Weak::upgrade).for_each(|ring| ring.cut());
    }

    fn answer(self: &Arc<Self>, id: u32, end: Option<End>) {
        let mut answers = lock(&self.answers);
        match (answers.get_mut(&id), end) {
            (Some(answer), end) => *answer = Some(end),
            // Nobody waits for it any more: the other end is to see that.
            (None, Some(end)) => drop(self.ring(id, end, Side::Client, &Arc::default())),
            (None, None) => {}
        }
        drop(answers);
        self.answered.notify_all();
    }

    /// Whether one of the pod's sockets listens there and has room.
    fn offer(self: &Arc<Self>, id: u32, (from, to): (SocketAddr, SocketAddr), end: End) -> bool {
        let Some(backlog) = LISTENERS.find(to).filter(|backlog| !lock(&backlog.options).need_the_host()) else {
            return false;
        };
        let queue = Arc::<WaitQueue>::default();
        let Ok(ring) = self.ring(id, end, Side::Server, &queue) else {
            return false;
        };
        backlog.offer(|| accepted(&backlog, queue, ring, to, from))
    }

    fn has_refused(&self, to: SocketAddr) -> bool {
        lock(&self.refused).get(&to).is_some_and(|until| Instant::now() < *until)
    }

    fn note_refusal(&self, to: SocketAddr) {
        let mut refused = lock(&self.refused);
        if refused.len() >= REFUSED_MAX {
            refused.clear();
        }
        refused.insert(to, Instant::now() + REFUSED);
    }
}
