//! What is in a pipe: up to as many slots as it has pages. Pure.
//!
//! Slots, not bytes, are counted, as by Linux (`fs/pipe.c`): `poll` says that a pipe can be written to while a whole slot is free, and a small
//! write is put behind the last one if it fits there as a whole. So both PIPE_BUF's promise and the poll masks come out as they do there.

use std::collections::VecDeque;

/// Bytes of a slot: a page; and PIPE_BUF, what is written in one piece or not at all.
pub const SLOT: usize = 4096;

/// Pages kept for the next write, so that a pipe that is written to and read in turn doesn't allocate.
const SPARE: usize = 2;

struct Slot {
    data: Vec<u8>,
    /// What of `data` was read.
    start: usize,
    /// One packet of an O_DIRECT pipe: ends a read, and what the read has no room for is lost.
    packet: bool,
}

/// The bytes in a pipe, in slots.
pub struct Slots {
    slots: VecDeque<Slot>,
    spare: Vec<Vec<u8>>,
    capacity: usize,
    bytes: usize,
}

impl Slots {
    /// An empty buffer of `capacity` slots.
    pub fn new(capacity: usize) -> Slots {
        Slots { slots: VecDeque::new(), spare: Vec::new(), capacity, bytes: 0 }
    }

    /// How many slots it has.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes in it (FIONREAD).
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether all slots are in use (the last may still have room for a small write).
    pub fn is_full(&self) -> bool {
        self.slots.len() >= self.capacity
    }

    /// Changes the number of slots; false if more are in use.
    pub fn resize(&mut self, capacity: usize) -> bool {
        let fits = capacity >= self.slots.len();
        if fits {
            self.capacity = capacity;
        }
        fits
    }

    /// Puts in as much of `from` as fits and answers how much that was: 0 if nothing did. Up to [`SLOT`] bytes go in as a whole or not at all.
    pub fn push(&mut self, from: &[u8], packets: bool) -> usize {
        let mut pushed = if packets { 0 } else { self.merge(from) };
        while !self.is_full() {
            let rest = from.get(pushed..).unwrap_or_default();
            let piece = rest.get(..SLOT).unwrap_or(rest);
            if piece.is_empty() {
                break;
            }
            self.add_slot(piece, packets);
            pushed += piece.len();
        }
        self.bytes += pushed;
        pushed
    }

    /// Puts what of `from` isn't whole pages behind the last slot's bytes, if it fits.
    fn merge(&mut self, from: &[u8]) -> usize {
        let odd = from.get(..from.len() % SLOT).unwrap_or_default();
        match self.slots.back_mut() {
            Some(last) if !last.packet && last.data.len() + odd.len() <= SLOT => {
                last.data.extend_from_slice(odd);
                odd.len()
            }
            _ => 0,
        }
    }

    fn add_slot(&mut self, piece: &[u8], packet: bool) {
        let mut data = if packet { Vec::with_capacity(piece.len()) } else { self.spare.pop().unwrap_or_else(|| Vec::with_capacity(SLOT)) };
        data.extend_from_slice(piece);
        self.slots.push_back(Slot { data, start: 0, packet });
    }

    /// Takes out what fits into `to`, one packet at most, and answers how much.
    pub fn pop(&mut self, to: &mut [u8]) -> usize {
        let (read, packet) = self.copy(to);
        if packet && read > 0 {
            self.drop_first();
        } else {
            self.consume(read);
        }
        read
    }

    /// Copies what fits into `to` without taking it out; also whether it was (the begin of) a packet.
    pub fn copy(&self, to: &mut [u8]) -> (usize, bool) {
        let mut read = 0;
        for slot in &self.slots {
            let there = slot.data.get(slot.start..).unwrap_or_default();
            let room = to.get_mut(read..).unwrap_or_default();
            if room.is_empty() || (slot.packet && read > 0) {
                break;
            }
            let count = there.len().min(room.len());
            if let (Some(room), Some(there)) = (room.get_mut(..count), there.get(..count)) {
                room.copy_from_slice(there);
            }
            read += count;
            if slot.packet {
                return (read, true);
            }
        }
        (read, false)
    }

    /// Takes out `count` bytes that [`Slots::copy`] has shown.
    pub fn consume(&mut self, mut count: usize) {
        while let Some(first) = self.slots.front_mut().filter(|_| count > 0) {
            let there = first.data.len() - first.start;
            if there > count {
                first.start += count;
                self.bytes -= count;
                return;
            }
            count -= there;
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(mut slot) = self.slots.pop_front() {
            self.bytes -= slot.data.len() - slot.start;
            if self.spare.len() < SPARE && slot.data.capacity() >= SLOT {
                slot.data.clear();
                self.spare.push(slot.data);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(slots: &mut Slots, count: usize) -> Vec<u8> {
        let mut to = vec![0; count];
        let got = slots.pop(&mut to);
        to.truncate(got);
        to
    }

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut slots = Slots::new(4);
        let data: Vec<u8> = (0..10_000u32).map(|n| n as u8).collect();
        assert_eq!(slots.push(&data, false), data.len());
        assert_eq!(slots.bytes(), data.len());
        let mut got = read(&mut slots, 5000);
        got.extend(read(&mut slots, 9000));
        assert_eq!(got, data);
        assert!(slots.is_empty());
        assert_eq!(slots.bytes(), 0);
    }

    #[test]
    fn small_writes_are_whole_or_not_at_all() {
        let mut slots = Slots::new(1);
        assert_eq!(slots.push(&[1; 4000], false), 4000);
        assert!(slots.is_full());
        assert_eq!(slots.push(&[2; 97], false), 0);
        assert_eq!(slots.push(&[2; 96], false), 96);
        assert_eq!(slots.push(&[3; 1], false), 0);
        // What was read from the front of a slot gives no room behind it.
        assert_eq!(read(&mut slots, 4095).len(), 4095);
        assert_eq!(slots.push(&[3; 1], false), 0);
        assert_eq!(read(&mut slots, 10), [2]);
        assert_eq!(slots.push(&[3; 1], false), 1);
    }

    #[test]
    fn large_writes_fill_what_there_is() {
        let mut slots = Slots::new(2);
        assert_eq!(slots.push(&[1; 3 * SLOT], false), 2 * SLOT);
        assert_eq!(slots.push(&[1], false), 0);
        assert!(!slots.resize(1));
        assert!(slots.resize(4));
        assert_eq!(slots.push(&[1], false), 1);
    }

    #[test]
    fn packets_keep_their_bounds_and_lose_what_is_not_read() {
        let mut slots = Slots::new(8);
        slots.push(b"first", true);
        slots.push(b"second", true);
        slots.push(b"stream", false);
        slots.push(b" on", false);
        assert_eq!(read(&mut slots, 3), b"fir");
        assert_eq!(read(&mut slots, 100), b"second");
        assert_eq!(read(&mut slots, 100), b"stream on");
        assert_eq!(slots.bytes(), 0);
        assert_eq!(slots.push(&[7; SLOT + 1], true), SLOT + 1);
        assert_eq!(read(&mut slots, 2 * SLOT).len(), SLOT);
        assert_eq!(read(&mut slots, 0).len(), 0);
        assert_eq!(read(&mut slots, 2 * SLOT).len(), 1);
    }
}
