//! What is on its way to a unix socket.

use std::collections::VecDeque;

use super::super::message::{Ancillary, InFlight, Sender};
use super::super::socket::Incoming;
use super::Name;

/// Some bytes that one send brought.
pub struct Packet {
    /// What was sent.
    pub data: Vec<u8>,
    /// Who sent it from where.
    pub from: Name,
    /// Files and credentials; the credentials are always known here.
    pub files: Ancillary,
    /// Counts the files.
    pub flight: Option<InFlight>,
    /// Whether the sender asked to tell who it is.
    pub sender: Sender,
}

/// A receiver's queue: packets, or a stream made of pieces.
pub struct Inbox {
    stream: bool,
    packets: VecDeque<Packet>,
    /// Of the first piece, how much was read.
    taken: usize,
    bytes: usize,
}

/// Every packet counts for so much beside its bytes.
const OVERHEAD: usize = 64;

impl Inbox {
    /// An empty one.
    pub fn new(stream: bool) -> Inbox {
        Inbox { stream, packets: VecDeque::new(), taken: 0, bytes: 0 }
    }

    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// How much is queued, with what each packet costs.
    pub fn used(&self) -> usize {
        self.bytes
    }

    /// Unread bytes (FIONREAD): of the stream, or of the first packet.
    pub fn readable(&self) -> usize {
        if self.stream {
            self.packets.iter().map(|packet| packet.data.len()).sum::<usize>() - self.taken
        } else {
            self.packets.front().map_or(0, |packet| packet.data.len())
        }
    }

    /// Queues a packet.
    pub fn push(&mut self, packet: Packet) {
        self.bytes += packet.data.len() + OVERHEAD;
        if self.stream
            && packet.files.files.is_empty()
            && let Some(last) = self.packets.back_mut()
            && last.sender == packet.sender
            && last.files.files.is_empty()
            && last.data.len() + packet.data.len() <= 16 << 10
        {
            last.data.extend_from_slice(&packet.data);
            self.bytes -= OVERHEAD;
            return;
        }
        self.packets.push_back(packet);
    }

    /// Takes what one receive brings, or looks at it (`peek`). Of a stream: bytes up to where the sender changes or behind files.
    pub fn take(&mut self, to: &mut [u8], peek: bool) -> Option<Incoming> {
        if self.stream { self.take_stream(to, peek) } else { self.take_packet(to, peek) }
    }

    fn take_packet(&mut self, to: &mut [u8], peek: bool) -> Option<Incoming> {
        let first = self.packets.front()?;
        let filled = copy(to, &first.data);
        let length = first.data.len();
        let files = Ancillary { files: first.files.files.clone(), sender: Some(first.sender), counter: None };
        let incoming = Incoming {
            filled,
            length,
            address: if first.from == Name::Unnamed { Vec::new() } else { first.from.address() },
            ancillary: files,
            flags: if filled < length { libc::MSG_TRUNC } else { 0 },
            ..Incoming::default()
        };
        if !peek {
            self.bytes -= length + OVERHEAD;
            self.packets.pop_front();
        }
        Some(incoming)
    }

    fn take_stream(&mut self, to: &mut [u8], peek: bool) -> Option<Incoming> {
        let sender = self.packets.front()?.sender;
        let mut incoming = Incoming { ancillary: Ancillary { sender: Some(sender), ..Ancillary::default() }, ..Incoming::default() };
        let mut at = 0;
        let mut taken = self.taken;
        while let Some(packet) = self.packets.get_mut(at) {
            let stop = packet.sender != sender
                || at > 0 && !packet.files.files.is_empty()
                || incoming.filled > 0 && !incoming.ancillary.files.is_empty();
            if stop || incoming.filled == to.len() && (incoming.filled > 0 || to.is_empty()) {
                break;
            }
            if !packet.files.files.is_empty() {
                incoming.ancillary.files = if peek { packet.files.files.clone() } else { std::mem::take(&mut packet.files.files) };
                if !peek {
                    packet.flight = None;
                }
            }
            let rest = packet.data.get(taken..).unwrap_or_default();
            let copied = copy(to.get_mut(incoming.filled..).unwrap_or_default(), rest);
            incoming.filled += copied;
            if copied < rest.len() {
                taken += copied;
                break;
            }
            taken = 0;
            at += 1;
        }
        if !peek {
            for packet in self.packets.drain(..at) {
                self.bytes -= packet.data.len() + OVERHEAD;
            }
            self.taken = taken;
        }
        incoming.length = incoming.filled;
        Some(incoming)
    }
}

fn copy(to: &mut [u8], from: &[u8]) -> usize {
    let length = to.len().min(from.len());
    if let (Some(to), Some(from)) = (to.get_mut(..length), from.get(..length)) {
        to.copy_from_slice(from);
    }
    length
}
