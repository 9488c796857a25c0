//! The streams of one link: who may send how much, and what frames mean. Pure: no bytes are moved here, no time passes.
//!
//! Invariants: of each stream, bytes sent and not yet [consumed](Session::consumed) by the receiver ≤ [`WINDOW`]; a stream that is unknown to one side is
//! reset by it, once; whatever the other side says costs at most [`STREAMS_MAX`] streams and a window each.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::frame::{Frame, PodAt};

/// Bytes of a stream on their way, or waiting for its receiver.
pub const WINDOW: u32 = 256 << 10;

/// Credit is given back when so many bytes were consumed: half a window.
const CREDIT_STEP: u32 = WINDOW / 2;

/// Streams of one link, of both sides.
pub const STREAMS_MAX: usize = 16_384;

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// We have asked, and wait for an answer.
    Asking,
    /// The other side has asked, and waits for ours.
    Asked,
    Open,
}

struct Stream {
    phase: Phase,
    /// Bytes that we may send.
    credit: u32,
    /// Bytes that the other side may send, as it has been told.
    allowed: u32,
    /// Bytes consumed that it has not been told of.
    consumed: u32,
    sent_end: bool,
    got_end: bool,
}

/// What a frame means to whoever holds the streams.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody wants to connect: answer by [`Session::accept`] or [`Session::refuse`].
    Asked {
        /// The new stream.
        stream: u32,
        /// Who connects.
        from: SocketAddr,
        /// To whom.
        to: SocketAddr,
    },
    /// Ours was accepted.
    Opened(u32),
    /// Ours was refused, and is forgotten.
    Refused(u32),
    /// Bytes came.
    Data(u32, Vec<u8>),
    /// More may be sent.
    Credit(u32),
    /// No more bytes will come.
    Ended(u32),
    /// The stream is broken and forgotten.
    Reset(u32),
    /// All pods that the other side has now.
    Pods(Vec<PodAt>),
    /// Nothing to do.
    Nothing,
}

/// The other side does what no peer of ours does: the link is to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation(pub &'static str);

/// A frame to send, if there is one.
pub type Answer = Option<(u32, Frame)>;

/// All streams of a link.
pub struct Session {
    streams: BTreeMap<u32, Stream>,
    /// The next stream of ours: one side has the even numbers, the other the odd ones.
    next: u32,
}

impl Stream {
    fn new(phase: Phase) -> Stream {
        Stream { phase, credit: WINDOW, allowed: WINDOW, consumed: 0, sent_end: false, got_end: false }
    }
}

impl Session {
    /// A session without streams; the two sides differ in `first`.
    pub fn new(first: bool) -> Session {
        Session { streams: BTreeMap::new(), next: u32::from(!first) }
    }

    /// How many streams there are.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Asks for a stream. None if there are too many.
    pub fn open(&mut self, from: SocketAddr, to: SocketAddr) -> Option<(u32, Frame)> {
        if self.streams.len() >= STREAMS_MAX {
            return None;
        }
        while self.streams.contains_key(&self.next) {
            self.next = self.next.wrapping_add(2);
        }
        let stream = self.next;
        self.next = self.next.wrapping_add(2);
        self.streams.insert(stream, Stream::new(Phase::Asking));
        Some((stream, Frame::Open { from, to }))
    }

    /// Answers that somebody has it. None if it was reset meanwhile.
    pub fn accept(&mut self, stream: u32) -> Answer {
        let known = self.streams.get_mut(&stream).filter(|known| known.phase == Phase::Asked)?;
        known.phase = Phase::Open;
        Some((stream, Frame::Accepted))
    }

    /// Answers that nobody has it.
    pub fn refuse(&mut self, stream: u32) -> Answer {
        self.streams.get(&stream).filter(|known| known.phase == Phase::Asked)?;
        self.streams.remove(&stream);
        Some((stream, Frame::Refused))
    }

    /// How many bytes may be sent now; none if the stream is no more, or has ended.
    pub fn credit(&self, stream: u32) -> Option<u32> {
        self.streams.get(&stream).filter(|known| known.phase == Phase::Open && !known.sent_end).map(|known| known.credit)
    }

    /// Sends bytes, which must be within the credit: none if they are not, or the stream is no more.
    pub fn send(&mut self, stream: u32, data: Vec<u8>) -> Answer {
        let credit = self.credit(stream)?;
        let left = u32::try_from(data.len()).ok().and_then(|length| credit.checked_sub(length))?;
        self.streams.get_mut(&stream)?.credit = left;
        Some((stream, Frame::Data(data)))
    }

    /// The receiver has taken bytes: what to tell the sender, now and then.
    pub fn consumed(&mut self, stream: u32, count: u32) -> Answer {
        let known = self.streams.get_mut(&stream)?;
        known.consumed = known.consumed.saturating_add(count);
        if known.consumed < CREDIT_STEP || known.got_end {
            return None;
        }
        let count = std::mem::take(&mut known.consumed);
        known.allowed = known.allowed.saturating_add(count);
        Some((stream, Frame::Credit(count)))
    }

    /// Sends no more.
    pub fn end(&mut self, stream: u32) -> Answer {
        let known = self.streams.get_mut(&stream).filter(|known| known.phase == Phase::Open && !known.sent_end)?;
        known.sent_end = true;
        self.forget_ended(stream);
        Some((stream, Frame::End))
    }

    /// Breaks a stream.
    pub fn reset(&mut self, stream: u32) -> Answer {
        self.streams.remove(&stream).map(|_| (stream, Frame::Reset))
    }

    /// The link is gone: the streams that go with it.
    pub fn cut(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.streams).into_keys().collect()
    }

    fn forget_ended(&mut self, stream: u32) {
        if self.streams.get(&stream).is_some_and(|known| known.sent_end && known.got_end) {
            self.streams.remove(&stream);
        }
    }

    /// A frame came: what it means, and what to answer.
    pub fn receive(&mut self, stream: u32, frame: Frame) -> Result<(Event, Answer), Violation> {
        let frame = match frame {
            Frame::Open { from, to } => return self.asked(stream, from, to),
            Frame::Pods(pods) => return Ok((Event::Pods(pods), None)),
            frame => frame,
        };
        let Some(known) = self.streams.get_mut(&stream) else {
            // It may have been reset here a moment ago. Resets are not answered, or two sides would go on for ever.
            let answer = matches!(frame, Frame::Data(_) | Frame::Accepted).then_some((stream, Frame::Reset));
            return Ok((Event::Nothing, answer));
        };
        let event = match (known.phase, frame) {
            (_, Frame::Reset) => {
                self.streams.remove(&stream);
                Event::Reset(stream)
            }
            (Phase::Asking, Frame::Accepted) => {
                known.phase = Phase::Open;
                Event::Opened(stream)
            }
            (Phase::Asking, Frame::Refused) => {
                self.streams.remove(&stream);
                Event::Refused(stream)
            }
            (Phase::Open, Frame::Data(data)) if !known.got_end => {
                let length = u32::try_from(data.len()).map_err(|_| Violation("a frame that is too long"))?;
                known.allowed = known.allowed.checked_sub(length).ok_or(Violation("bytes without credit"))?;
                Event::Data(stream, data)
            }
            (Phase::Open, Frame::Credit(count)) => {
                let credit = known.credit.checked_add(count).filter(|credit| *credit <= WINDOW);
                known.credit = credit.ok_or(Violation("credit beyond the window"))?;
                Event::Credit(stream)
            }
            (Phase::Open, Frame::End) if !known.got_end => {
                known.got_end = true;
                self.forget_ended(stream);
                Event::Ended(stream)
            }
            _ => return Err(Violation("a frame that can't come now")),
        };
        Ok((event, None))
    }

    fn asked(&mut self, stream: u32, from: SocketAddr, to: SocketAddr) -> Result<(Event, Answer), Violation> {
        if stream % 2 == self.next % 2 || self.streams.contains_key(&stream) {
            return Err(Violation("a stream number that isn't its to give"));
        }
        if self.streams.len() >= STREAMS_MAX {
            return Ok((Event::Nothing, Some((stream, Frame::Refused))));
        }
        self.streams.insert(stream, Stream::new(Phase::Asked));
        Ok((Event::Asked { stream, from, to }, None))
    }
}

#[cfg(test)]
mod tests;
