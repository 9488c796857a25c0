//! A session over a transport: a thread that reads, a thread that writes, and streams for whoever wants to wait.
//!
//! Frames are queued under the lock under which the session decides, so they leave in the order of the decisions; nobody holds that lock while a
//! transport blocks. Data frames in the queue are bounded by credit, answers by [`QUEUE_BYTES_MAX`].

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::frame::{Frame, HEADER, Header, PAYLOAD_MAX, PodAt};
use crate::session::{Event, Session};
use crate::transport::{Halves, Transport};

/// A peer that sends and does not read is cut when so much waits for it, bytes.
const QUEUE_BYTES_MAX: usize = 256 << 20;

const STACK_BYTES: usize = 128 << 10;

/// Who hears the other side. Must not block.
pub trait Accept: Send + Sync {
    /// A stream from `from` to `to` is wanted. Dropping the offer refuses it; the answer may come later.
    fn asked(&self, from: SocketAddr, to: SocketAddr, offer: Offer);

    /// All pods that it has now.
    fn told(&self, pods: Vec<PodAt>);
}

/// A link to another node.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Something is in `outgoing`, or the link is cut.
    queued: Condvar,
    cut: Box<dyn Fn() + Send + Sync>,
}

struct State {
    session: Session,
    streams: BTreeMap<u32, Arc<Inbox>>,
    outgoing: VecDeque<Vec<u8>>,
    outgoing_bytes: usize,
    cut: bool,
}

/// What has come for one stream, and who waits for it.
#[derive(Default)]
struct Inbox {
    state: Mutex<Came>,
    changed: Condvar,
}

#[derive(Default)]
struct Came {
    data: VecDeque<Vec<u8>>,
    /// Whether it was accepted, once that is known.
    answer: Option<bool>,
    ended: bool,
    reset: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inbox {
    fn change(&self, change: impl FnOnce(&mut Came)) {
        change(&mut lock(&self.state));
        self.changed.notify_all();
    }

    /// Waits until something can be said.
    fn wait<T>(&self, deadline: Option<Instant>, mut look: impl FnMut(&mut Came) -> Option<T>) -> Option<T> {
        let mut state = lock(&self.state);
        loop {
            if let Some(value) = look(&mut state) {
                return Some(value);
            }
            let left = deadline.map_or(Duration::from_secs(3600), |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    /// Lets the session decide, and queues what it says.
    fn say<T>(&self, decide: impl FnOnce(&mut State) -> (T, Option<(u32, Frame)>)) -> T {
        let mut state = lock(&self.state);
        let (value, answer) = decide(&mut state);
        if let Some((stream, frame)) = answer.filter(|_| !state.cut) {
            let bytes = frame.encode(stream);
            state.outgoing_bytes += bytes.len();
            state.outgoing.push_back(bytes);
            let flooded = state.outgoing_bytes > QUEUE_BYTES_MAX;
            drop(state);
            self.queued.notify_one();
            if flooded {
                self.end();
            }
        }
        value
    }

    /// The link is no more: every stream is reset.
    fn end(&self) {
        let mut state = lock(&self.state);
        state.cut = true;
        state.session.cut();
        state.outgoing.clear();
        let streams = std::mem::take(&mut state.streams);
        drop(state);
        (self.cut)();
        self.queued.notify_all();
        streams.values().for_each(|inbox| inbox.change(|came| came.reset = true));
    }

    fn write(&self, writer: &mut dyn Write) -> io::Result<()> {
        loop {
            let mut state = lock(&self.state);
            while state.outgoing.is_empty() && !state.cut {
                state = self.queued.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.cut {
                return Ok(());
            }
            let frames = std::mem::take(&mut state.outgoing);
            drop(state);
            let bytes: usize = frames.iter().map(Vec::len).sum();
            for frame in frames {
                writer.write_all(&frame)?;
            }
            let mut state = lock(&self.state);
            state.outgoing_bytes = state.outgoing_bytes.saturating_sub(bytes);
        }
    }

    fn read(self: &Arc<Self>, reader: &mut dyn Read, accept: &dyn Accept) -> io::Result<()> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let mut reader = io::BufReader::with_capacity(PAYLOAD_MAX + HEADER, reader);
        loop {
            let mut header = [0; HEADER];
            reader.read_exact(&mut header)?;
            let header = Header::parse(header).map_err(|_| invalid("no frame"))?;
            let mut payload = vec![0; header.length];
            reader.read_exact(&mut payload)?;
            let frame = header.frame(payload).map_err(|_| invalid("no frame"))?;
            let event = self.say(|state| match state.session.receive(header.stream, frame) {
                Ok((event, answer)) => (Ok((state.inbox(&event), event)), answer),
                Err(violation) => (Err(invalid(violation.0)), None),
            });
            let (inbox, event) = event?;
            self.tell(inbox, event, accept);
        }
    }

    fn tell(self: &Arc<Self>, inbox: Option<Arc<Inbox>>, event: Event, accept: &dyn Accept) {
        if let Event::Asked { stream, from, to } = event {
            let inbox = Arc::<Inbox>::default();
            lock(&self.state).streams.insert(stream, inbox.clone());
            return accept.asked(from, to, Offer { stream: Some(Stream { shared: self.clone(), stream, inbox }) });
        }
        if let Event::Pods(pods) = event {
            return accept.told(pods);
        }
        let Some(inbox) = inbox else { return };
        inbox.change(|came| match event {
            Event::Opened(_) => came.answer = Some(true),
            Event::Refused(_) => came.answer = Some(false),
            Event::Data(_, data) => came.data.push_back(data),
            Event::Ended(_) => came.ended = true,
            Event::Reset(_) => came.reset = true,
            Event::Credit(_) | Event::Nothing | Event::Asked { .. } | Event::Pods(_) => {}
        });
    }
}

impl State {
    /// Where an event goes; of streams that the session has forgotten by it, for the last time.
    fn inbox(&mut self, event: &Event) -> Option<Arc<Inbox>> {
        match event {
            Event::Opened(stream) | Event::Data(stream, _) | Event::Credit(stream) | Event::Ended(stream) => {
                self.streams.get(stream).cloned()
            }
            Event::Refused(stream) | Event::Reset(stream) => self.streams.remove(stream),
            Event::Asked { .. } | Event::Pods(_) | Event::Nothing => None,
        }
    }
}

impl Link {
    /// Takes a transport into use. The two sides differ in `first`.
    pub fn start(transport: Box<dyn Transport>, first: bool, accept: Arc<dyn Accept>) -> io::Result<Link> {
        let Halves { mut reader, mut writer, cut } = transport.split()?;
        let state =
            State { session: Session::new(first), streams: BTreeMap::new(), outgoing: VecDeque::new(), outgoing_bytes: 0, cut: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), queued: Condvar::new(), cut });
        let spawn = |name: &str| thread::Builder::new().name(name.into()).stack_size(STACK_BYTES);
        let reading = shared.clone();
        spawn("link-reader").spawn(move || {
            // Why it ended makes no difference to its streams.
            let _ = reading.read(&mut reader, &*accept);
            reading.end();
        })?;
        let writing = shared.clone();
        spawn("link-writer").spawn(move || {
            let _ = writing.write(&mut writer);
            writing.end();
        })?;
        Ok(Link { shared })
    }

    /// Whether it has not been cut.
    pub fn alive(&self) -> bool {
        !lock(&self.shared.state).cut
    }

    /// Tells the other side which pods there are here now.
    pub fn tell(&self, pods: Vec<PodAt>) {
        self.shared.say(|_| ((), Some((0, Frame::Pods(pods)))));
    }

    /// Ends it: all streams are reset, on both sides.
    pub fn cut(&self) {
        self.shared.end();
    }

    /// A stream to somebody on the other side. None if nobody has it, or no answer came by the deadline.
    pub fn open(&self, from: SocketAddr, to: SocketAddr, deadline: Instant) -> Option<(StreamIn, StreamOut)> {
        let inbox = Arc::<Inbox>::default();
        let stream = self.shared.say(|state| match state.session.open(from, to).filter(|_| !state.cut) {
            Some((stream, frame)) => {
                state.streams.insert(stream, inbox.clone());
                (Some(stream), Some((stream, frame)))
            }
            None => (None, None),
        })?;
        let stream = Stream { shared: self.shared.clone(), stream, inbox };
        let answer = stream.inbox.wait(Some(deadline), |came| came.answer.or(came.reset.then_some(false)));
        (answer == Some(true)).then(|| stream.halves())
    }
}

/// A stream in use. Who lets go of it before both directions have ended resets it.
struct Stream {
    shared: Arc<Shared>,
    stream: u32,
    inbox: Arc<Inbox>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.reset();
    }
}

impl Stream {
    fn halves(self) -> (StreamIn, StreamOut) {
        let stream = Arc::new(self);
        (StreamIn(stream.clone()), StreamOut(stream))
    }

    fn reset(&self) {
        self.shared.say(|state| {
            state.streams.remove(&self.stream);
            ((), state.session.reset(self.stream))
        });
        self.inbox.change(|came| came.reset = true);
    }
}

/// A stream that the other side wants.
pub struct Offer {
    stream: Option<Stream>,
}

impl Offer {
    /// Somebody has it. None if it was given up meanwhile.
    pub fn accept(mut self) -> Option<(StreamIn, StreamOut)> {
        let stream = self.stream.take()?;
        let accepted = stream.shared.say(|state| {
            let answer = state.session.accept(stream.stream);
            (answer.is_some(), answer)
        });
        accepted.then(|| stream.halves())
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.shared.say(|state| {
                state.streams.remove(&stream.stream);
                ((), state.session.refuse(stream.stream))
            });
        }
    }
}

/// A stream was reset: by the other side, or because the link is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset;

/// The direction to us.
pub struct StreamIn(Arc<Stream>);

impl StreamIn {
    /// Waits for bytes; none at the end of all.
    pub fn receive(&self) -> Result<Option<Vec<u8>>, Reset> {
        let came = self.0.inbox.wait(None, |came| match came.data.pop_front() {
            Some(data) => Some(Ok(Some(data))),
            None if came.reset => Some(Err(Reset)),
            None => came.ended.then_some(Ok(None)),
        });
        came.unwrap_or(Err(Reset))
    }

    /// Breaks the stream, in both directions.
    pub fn reset(&self) {
        self.0.reset();
    }

    /// Bytes that were received have gone on: the sender may send as many more.
    pub fn consumed(&self, count: usize) {
        self.0.shared.say(|state| ((), state.session.consumed(self.0.stream, u32::try_from(count).unwrap_or(u32::MAX))));
    }
}

/// The direction from us.
pub struct StreamOut(Arc<Stream>);

impl StreamOut {
    /// Sends all of the bytes, waiting for credit.
    pub fn send(&self, mut data: &[u8]) -> Result<(), Reset> {
        while !data.is_empty() {
            let sent = self.0.shared.say(|state| match state.session.credit(self.0.stream) {
                None => (Err(Reset), None),
                Some(credit) => {
                    let count = data.len().min(credit as usize).min(PAYLOAD_MAX);
                    let piece = data.get(..count).unwrap_or_default().to_vec();
                    (Ok(count), if count == 0 { None } else { state.session.send(self.0.stream, piece) })
                }
            })?;
            data = data.get(sent..).unwrap_or_default();
            if sent == 0 {
                self.wait_for_credit()?;
            }
        }
        Ok(())
    }

    fn wait_for_credit(&self) -> Result<(), Reset> {
        let shared = &self.0.shared;
        let credited = self.0.inbox.wait(None, |came| {
            if came.reset {
                return Some(Err(Reset));
            }
            // The inbox' lock is taken before the link's nowhere else, and never the other way round.
            match lock(&shared.state).session.credit(self.0.stream) {
                Some(0) => None,
                Some(_) => Some(Ok(())),
                None => Some(Err(Reset)),
            }
        });
        credited.unwrap_or(Err(Reset))
    }

    /// Sends no more.
    pub fn end(&self) {
        self.0.shared.say(|state| ((), state.session.end(self.0.stream)));
    }

    /// Breaks the stream, in both directions.
    pub fn reset(&self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests;
