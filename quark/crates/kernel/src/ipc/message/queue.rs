//! A queue of messages of several kinds, and which of them a receiver gets. Pure, but for the time.

use std::collections::VecDeque;

use crate::ipc::limits::limits;
use crate::ipc::{IpcOwner, now};
use crate::{Errno, Result};

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `mtype`: at least 1.
    pub kind: i64,
    /// `mtext`.
    pub text: Vec<u8>,
}

/// Which message `msgrcv(2)` wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The first one.
    Any,
    /// The first of a kind.
    Kind(i64),
    /// The first of any other kind (MSG_EXCEPT).
    NotKind(i64),
    /// The first of the lowest kind up to this one.
    Lowest(i64),
    /// That at a place of the queue, which stays there (MSG_COPY).
    Copy(usize),
}

/// A queue.
#[derive(Debug)]
pub struct Queue {
    /// Whose.
    pub owner: IpcOwner,
    /// How many bytes, and how many messages, it may hold.
    pub limit: u64,
    /// Who last sent, 0 for nobody.
    pub last_sender: i32,
    /// Who last received.
    pub last_receiver: i32,
    /// Seconds since 1970, 0 for never.
    pub sent_at: i64,
    /// See `sent_at`.
    pub received_at: i64,
    /// See `sent_at`.
    pub changed_at: i64,
    messages: VecDeque<Message>,
    bytes: u64,
    removed: bool,
}

impl Wanted {
    /// What the arguments of `msgrcv` say: EINVAL.
    pub fn parse(kind: i64, flags: i32) -> Result<Wanted> {
        if flags & libc::MSG_COPY != 0 {
            let waits = flags & libc::IPC_NOWAIT == 0;
            if flags & libc::MSG_EXCEPT != 0 || waits {
                return Err(Errno::INVAL);
            }
            return Ok(Wanted::Copy(usize::try_from(kind).unwrap_or(usize::MAX)));
        }
        Ok(match kind {
            0 => Wanted::Any,
            ..0 => Wanted::Lowest(kind.checked_neg().unwrap_or(i64::MAX)),
            _ if flags & libc::MSG_EXCEPT != 0 => Wanted::NotKind(kind),
            _ => Wanted::Kind(kind),
        })
    }
}

impl Queue {
    /// An empty one.
    pub fn new(owner: IpcOwner) -> Queue {
        Queue {
            owner,
            limit: limits().queue_bytes,
            last_sender: 0,
            last_receiver: 0,
            sent_at: 0,
            received_at: 0,
            changed_at: now(),
            messages: VecDeque::new(),
            bytes: 0,
            removed: false,
        }
    }

    /// Messages in it.
    pub fn len(&self) -> u64 {
        self.messages.len() as u64
    }

    /// Bytes in it.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Empties it; who finds it now is told EIDRM.
    pub fn remove(&mut self) {
        self.removed = true;
        self.messages = VecDeque::new();
    }

    /// EIDRM if it was removed.
    pub fn check_there(&self) -> Result<()> {
        if self.removed { Err(Errno::IDRM) } else { Ok(()) }
    }

    /// Whether a message of this size has room now.
    pub fn has_room(&self, size: usize) -> bool {
        self.bytes + size as u64 <= self.limit && self.len() < self.limit
    }

    /// Adds a message.
    pub fn push(&mut self, message: Message, pid: i32) {
        self.bytes += message.text.len() as u64;
        self.messages.push_back(message);
        self.last_sender = pid;
        self.sent_at = now();
    }

    /// Takes (or copies) a message: `None` if there is none of those wanted, E2BIG if it is longer than `most` bytes.
    pub fn take(&mut self, wanted: Wanted, most: usize, pid: i32) -> Result<Option<Message>> {
        let Some((at, message)) = self.select(wanted) else {
            return Ok(None);
        };
        if message.text.len() > most {
            return Err(Errno::TOOBIG);
        }
        if matches!(wanted, Wanted::Copy(_)) {
            return Ok(Some(message.clone()));
        }
        let taken = self.messages.remove(at);
        self.bytes -= taken.as_ref().map_or(0, |message| message.text.len() as u64);
        self.last_receiver = pid;
        self.received_at = now();
        Ok(taken)
    }

    fn select(&self, wanted: Wanted) -> Option<(usize, &Message)> {
        let mut all = self.messages.iter().enumerate();
        match wanted {
            Wanted::Any => all.next(),
            Wanted::Kind(kind) => all.find(|(_, message)| message.kind == kind),
            Wanted::NotKind(kind) => all.find(|(_, message)| message.kind != kind),
            // The first one of the lowest: `min_by_key` keeps the earlier of equal ones.
            Wanted::Lowest(most) => all.filter(|(_, message)| message.kind <= most).min_by_key(|(_, message)| message.kind),
            Wanted::Copy(at) => all.nth(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Credentials;

    fn queue(kinds: &[i64]) -> Queue {
        let mut queue = Queue::new(IpcOwner::new(1, &Credentials::default(), 0o600));
        kinds.iter().enumerate().for_each(|(at, kind)| queue.push(Message { kind: *kind, text: vec![at as u8; at] }, 1));
        queue
    }

    fn taken(queue: &mut Queue, wanted: Wanted) -> Option<usize> {
        queue.take(wanted, 100, 2).unwrap().map(|message| message.text.len())
    }

    #[test]
    fn receivers_choose() {
        let mut queue = queue(&[5, 2, 9, 2]);
        assert_eq!(taken(&mut queue, Wanted::Copy(2)), Some(2));
        assert_eq!(taken(&mut queue, Wanted::Copy(4)), None);
        assert_eq!(taken(&mut queue, Wanted::Lowest(1)), None);
        assert_eq!(taken(&mut queue, Wanted::Lowest(5)), Some(1));
        assert_eq!(taken(&mut queue, Wanted::NotKind(5)), Some(2));
        assert_eq!(taken(&mut queue, Wanted::Kind(2)), Some(3));
        assert_eq!(queue.take(Wanted::Any, 100, 2), Ok(Some(Message { kind: 5, text: Vec::new() })));
        assert_eq!((queue.len(), queue.bytes(), queue.last_receiver), (0, 0, 2));
    }

    #[test]
    fn what_is_too_long_stays() {
        let mut queue = queue(&[1, 1]);
        assert_eq!(queue.take(Wanted::Any, 0, 2), Ok(Some(Message { kind: 1, text: Vec::new() })));
        assert_eq!(queue.take(Wanted::Any, 0, 2), Err(Errno::TOOBIG));
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn bytes_and_messages_are_limited() {
        let mut queue = queue(&[]);
        queue.limit = 2;
        assert!(queue.has_room(2) && !queue.has_room(3));
        for _ in 0..2 {
            queue.push(Message { kind: 1, text: Vec::new() }, 1);
        }
        assert!(!queue.has_room(0));
    }

    #[test]
    fn what_is_wanted_is_parsed() {
        assert_eq!(Wanted::parse(i64::MIN, 0), Ok(Wanted::Lowest(i64::MAX)));
        assert_eq!(Wanted::parse(3, libc::MSG_EXCEPT), Ok(Wanted::NotKind(3)));
        assert_eq!(Wanted::parse(3, libc::MSG_COPY), Err(Errno::INVAL));
        assert_eq!(Wanted::parse(-1, libc::MSG_COPY | libc::IPC_NOWAIT), Ok(Wanted::Copy(usize::MAX)));
    }
}
