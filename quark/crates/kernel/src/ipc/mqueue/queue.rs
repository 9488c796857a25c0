//! A queue: messages by priority, and who waits for one, or for room.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::notice::Notice;
use super::{MESSAGES_MAX, MessageQueue, SIZE_MAX};
use crate::ipc::limits::limits;
use crate::ipc::sleeper::Sleeper;
use crate::task::lock;
use crate::vfs::inode::TimeStamp;
use crate::wait::Events;
use crate::{Errno, Result};

/// A message, and its priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Below MQ_PRIO_MAX.
    pub priority: u32,
    /// What it says.
    pub text: Vec<u8>,
}

/// How large a queue is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// `mq_maxmsg`.
    pub messages: i64,
    /// `mq_msgsize`.
    pub size: i64,
}

impl Default for Shape {
    fn default() -> Shape {
        let most = limits();
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        Shape {
            messages: number(most.posix_messages_default.min(most.posix_messages)),
            size: number(most.posix_message_bytes_default.min(most.posix_message_bytes)),
        }
    }
}

impl Shape {
    /// EINVAL for what is too large, or nothing.
    pub fn check(self, privileged: bool) -> Result<()> {
        let most = |usual: u64, hard: u64| if privileged { hard } else { usual.min(hard) };
        let fits = |number: i64, most: u64| u64::try_from(number).is_ok_and(|number| (1..=most).contains(&number));
        let limits = limits();
        let messages = fits(self.messages, most(limits.posix_messages, MESSAGES_MAX));
        if messages && fits(self.size, most(limits.posix_message_bytes, SIZE_MAX)) { Ok(()) } else { Err(Errno::INVAL) }
    }

    /// What counts against RLIMIT_MSGQUEUE: as if it were full, with what Linux keeps of a message and of a priority.
    pub fn bytes(self) -> u64 {
        let messages = self.messages.unsigned_abs();
        messages.saturating_mul(self.size.unsigned_abs() + 48).saturating_add(messages.min(32768) * 48)
    }
}

type Receiver = Arc<Sleeper<Message>>;
type Sender = Arc<Sleeper<()>>;

/// What changes of a queue.
pub struct State {
    /// Permission bits.
    pub mode: u32,
    /// User and group.
    pub owner: (u32, u32),
    /// Whose RLIMIT_MSGQUEUE it counts against.
    pub maker: u32,
    /// Accessed, modified, changed.
    pub times: [TimeStamp; 3],
    /// Who is told of the next message.
    pub notice: Option<Notice>,
    messages: BTreeMap<Reverse<u32>, VecDeque<Vec<u8>>>,
    count: i64,
    bytes: u64,
    receivers: VecDeque<Receiver>,
    senders: VecDeque<(Message, Sender)>,
}

impl State {
    /// An empty queue's.
    pub fn new(mode: u32, maker: u32, owner: (u32, u32)) -> State {
        State {
            mode,
            owner,
            maker,
            times: [crate::fs::now(); 3],
            notice: None,
            messages: BTreeMap::new(),
            count: 0,
            bytes: 0,
            receivers: VecDeque::new(),
            senders: VecDeque::new(),
        }
    }

    /// Messages, and bytes.
    pub fn held(&self) -> (i64, u64) {
        (self.count, self.bytes)
    }

    fn put(&mut self, message: Message) {
        self.count += 1;
        self.bytes += message.text.len() as u64;
        self.messages.entry(Reverse(message.priority)).or_default().push_back(message.text);
    }

    /// The oldest of the highest priority.
    fn take(&mut self) -> Option<Message> {
        let mut first = self.messages.first_entry()?;
        let priority = first.key().0;
        let text = first.get_mut().pop_front()?;
        if first.get().is_empty() {
            first.remove();
        }
        self.count -= 1;
        self.bytes -= text.len() as u64;
        Some(Message { priority, text })
    }
}

/// What became of a message.
pub enum Sent {
    /// It was received, or is in the queue.
    Done,
    /// The same, and somebody wanted to be told.
    Noticed(Notice),
    /// There is no room.
    Full,
}

impl MessageQueue {
    /// Gives a message to who waits for one, or keeps it. Where there is no room it waits for some with its sender, if that does.
    pub fn send(&self, message: Message, sender: Option<&Sender>) -> Sent {
        let mut state = lock(&self.state);
        if let Some(receiver) = state.receivers.pop_front() {
            receiver.finish(message);
            return Sent::Done;
        }
        if state.count >= self.shape.messages {
            state.senders.extend(sender.map(|sender| (message, sender.clone())));
            return Sent::Full;
        }
        state.put(message);
        let notice = if state.count == 1 { state.notice.take() } else { None };
        drop(state);
        self.changed.notify(Events::IN | Events::RDNORM);
        notice.map_or(Sent::Done, Sent::Noticed)
    }

    /// Takes a message, and lets the first sender that waits have its room. Without one, `receiver` waits from now on.
    pub fn receive(&self, receiver: Option<&Receiver>) -> Option<Message> {
        let mut state = lock(&self.state);
        let Some(message) = state.take() else {
            state.receivers.extend(receiver.cloned());
            return None;
        };
        if let Some((next, sender)) = state.senders.pop_front() {
            state.put(next);
            sender.finish(());
        }
        drop(state);
        self.changed.notify(Events::OUT | Events::WRNORM);
        Some(message)
    }

    /// A receiver does not wait any more.
    pub fn forget_receiver(&self, receiver: &Receiver) {
        lock(&self.state).receivers.retain(|other| !Arc::ptr_eq(other, receiver));
    }

    /// A sender does not wait any more; its message is gone.
    pub fn forget_sender(&self, sender: &Sender) {
        lock(&self.state).senders.retain(|(_, other)| !Arc::ptr_eq(other, sender));
    }

    /// What it is ready for.
    pub fn ready(&self) -> Events {
        let count = lock(&self.state).count;
        let mut ready = Events::empty();
        ready.set(Events::IN | Events::RDNORM, count > 0);
        ready.set(Events::OUT | Events::WRNORM, count < self.shape.messages);
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::WaitQueue;
    use std::sync::Mutex;

    fn queue(messages: i64) -> MessageQueue {
        let state = Mutex::new(State::new(0o600, 0, (0, 0)));
        MessageQueue { number: 2, shape: Shape { messages, size: 8 }, state, changed: WaitQueue::new() }
    }

    fn message(priority: u32, text: &str) -> Message {
        Message { priority, text: text.into() }
    }

    fn send(queue: &MessageQueue, priority: u32, text: &str) {
        assert!(matches!(queue.send(message(priority, text), None), Sent::Done));
    }

    #[test]
    fn the_oldest_of_the_highest_priority_comes_first() {
        let queue = queue(9);
        for (priority, text) in [(1, "a"), (5, "b"), (3, "c"), (5, "d")] {
            send(&queue, priority, text);
        }
        let order: Vec<Vec<u8>> = std::iter::from_fn(|| queue.receive(None)).map(|message| message.text).collect();
        assert_eq!(order, [b"b", b"d", b"c", b"a"]);
        assert_eq!(lock(&queue.state).held(), (0, 0));
    }

    #[test]
    fn who_waits_for_a_message_has_the_next_one_and_nobody_else() {
        let queue = queue(1);
        let (first, second, gone) = (Arc::new(Sleeper::detached()), Arc::new(Sleeper::detached()), Arc::new(Sleeper::detached()));
        for receiver in [&gone, &first, &second] {
            assert_eq!(queue.receive(Some(receiver)), None);
        }
        queue.forget_receiver(&gone);
        send(&queue, 0, "one");
        assert_eq!(queue.receive(None), None);
        send(&queue, 0, "two");
        assert_eq!((first.take(), second.take(), gone.take()), (Some(message(0, "one")), Some(message(0, "two")), None));
    }

    #[test]
    fn who_waits_for_room_has_it_when_a_message_is_taken() {
        let queue = queue(1);
        send(&queue, 0, "one");
        assert_eq!(queue.ready(), Events::IN | Events::RDNORM);
        let (sender, gone) = (Arc::new(Sleeper::detached()), Arc::new(Sleeper::detached()));
        for (text, sender) in [("gone", &gone), ("two", &sender)] {
            assert!(matches!(queue.send(message(0, text), Some(sender)), Sent::Full));
        }
        queue.forget_sender(&gone);
        assert_eq!(queue.receive(None), Some(message(0, "one")));
        assert_eq!((sender.take(), gone.take()), (Some(()), None));
        assert_eq!(queue.receive(None), Some(message(0, "two")));
        assert_eq!(queue.ready(), Events::OUT | Events::WRNORM);
    }

    #[test]
    fn shapes_have_limits() {
        let check = |messages, size, privileged| Shape { messages, size }.check(privileged);
        assert_eq!(check(10, 8192, false), Ok(()));
        for (messages, size) in [(0, 1), (1, 0), (-1, 1), (11, 1), (1, 8193), (i64::MAX, i64::MAX), (i64::MIN, 1)] {
            assert_eq!(check(messages, size, false), Err(Errno::INVAL));
        }
        assert_eq!(check(11, 8193, true), Ok(()));
        assert_eq!(Shape { messages: 10, size: 8192 }.bytes(), 82880);
        assert_eq!(Shape { messages: i64::MAX, size: i64::MAX }.bytes(), u64::MAX);
    }
}
