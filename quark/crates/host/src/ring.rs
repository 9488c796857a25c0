//! A connection in shared memory: two rings, one a direction, in a memfd that two processes map. Neither trusts the other: each keeps its own
//! positions in its own memory, and takes from the other only numbers that it checks. What a hostile other can do is to send garbage, or nothing.
//!
//! Waking is not done here: an operation says when the other end asked to be woken, and whoever holds the descriptors rings.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU32, fence};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Bytes that are on their way at most, in each direction. A power of two.
pub const RING_BYTES: usize = 256 << 10;

const HEADER_BYTES: usize = 4096;
const TOTAL_BYTES: usize = HEADER_BYTES + 2 * RING_BYTES;
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// What the sender of one direction tells. Who waits sets its word, and who rings clears it.
#[repr(C, align(64))]
struct Sent {
    /// Bytes put in, modulo 2^32.
    tail: AtomicU32,
    /// [`OPEN`], [`ENDED`] or [`RESET`].
    state: AtomicU32,
    /// The sender waits for room.
    starved: AtomicU32,
}

/// What its receiver tells.
#[repr(C, align(64))]
struct Taken {
    /// Bytes taken out, modulo 2^32.
    head: AtomicU32,
    /// The receiver waits for bytes.
    hungry: AtomicU32,
    /// The receiver takes no more.
    closed: AtomicU32,
}

#[repr(C)]
struct Direction {
    sent: Sent,
    taken: Taken,
}

/// Nothing has happened yet.
const OPEN: u32 = 0;
/// All was sent that will be.
const ENDED: u32 = 1;
/// The connection broke: what was sent may not be all.
const RESET: u32 = 2;

const _: () = assert!(2 * size_of::<Direction>() <= HEADER_BYTES && RING_BYTES.is_power_of_two());

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Who connected.
    Client,
    /// Who was connected to.
    Server,
}

/// What an operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Bytes.
    pub count: usize,
    /// The other end waits for it: ring its bell.
    pub ring: bool,
}

/// The other end broke the rules: positions that can't be. The connection is to be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// One end of a connection.
pub struct Ring {
    base: NonNull<u8>,
    side: Side,
    /// Bytes sent and received, modulo 2^32. Ours alone.
    tail: u32,
    head: u32,
}

// SAFETY: the mapping is shared memory that only atomics and raw copies touch; everything of ours needs `&mut`.
unsafe impl Send for Ring {}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nobody uses it any more.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), TOTAL_BYTES) };
    }
}

/// Memory for a connection, for both ends to [open](Ring::open).
pub fn create() -> Result<OwnedFd, Errno> {
    let memory = rustix::fs::memfd_create("channel", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    rustix::fs::ftruncate(&memory, TOTAL_BYTES as u64)?;
    rustix::fs::fcntl_add_seals(&memory, SEALS)?;
    Ok(memory)
}

/// Breaks the connection from outside, for both ends, which are to be rung.
pub fn cut(memory: BorrowedFd<'_>) -> Result<(), Errno> {
    let ring = Ring::open(memory, Side::Client)?;
    for side in [Side::Client, Side::Server] {
        ring.direction(side).sent.state.store(RESET, SeqCst);
    }
    Ok(())
}

impl Ring {
    /// Maps one end. EINVAL for memory of another size, or whose size could change while it is used.
    pub fn open(memory: BorrowedFd<'_>, side: Side) -> Result<Ring, Errno> {
        let size = rustix::fs::fstat(memory)?.st_size;
        if size != TOTAL_BYTES as i64 || !rustix::fs::fcntl_get_seals(memory)?.contains(SealFlags::SHRINK) {
            return Err(Errno::INVAL);
        }
        // SAFETY: the host chooses where; nothing else is there.
        let base = unsafe { mmap(std::ptr::null_mut(), TOTAL_BYTES, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, memory, 0)? };
        let base = NonNull::new(base.cast()).ok_or(Errno::NOMEM)?;
        Ok(Ring { base, side, tail: 0, head: 0 })
    }

    fn direction(&self, of: Side) -> &Direction {
        let index = usize::from(of == Side::Server);
        // SAFETY: both directions are inside of the header, aligned as the page is, made of atomics alone, and mapped while `self` lives.
        unsafe { &*self.base.as_ptr().cast::<Direction>().add(index) }
    }

    fn outgoing(&self) -> &Direction {
        self.direction(self.side)
    }

    fn incoming(&self) -> &Direction {
        self.direction(self.other())
    }

    fn other(&self) -> Side {
        if self.side == Side::Client { Side::Server } else { Side::Client }
    }

    fn data(&self, of: Side, at: u32) -> *mut u8 {
        let ring = HEADER_BYTES + usize::from(of == Side::Server) * RING_BYTES;
        // SAFETY: inside of the mapping: an offset into a ring is below its length.
        unsafe { self.base.as_ptr().add(ring + at as usize % RING_BYTES) }
    }

    /// Bytes that may be sent now.
    fn room(&self) -> Result<usize, Broken> {
        let used = self.tail.wrapping_sub(self.outgoing().taken.head.load(Acquire)) as usize;
        RING_BYTES.checked_sub(used).ok_or(Broken)
    }

    /// Bytes that may be received now.
    pub fn available(&self) -> Result<usize, Broken> {
        let there = self.incoming().sent.tail.load(Acquire).wrapping_sub(self.head) as usize;
        if there <= RING_BYTES { Ok(there) } else { Err(Broken) }
    }

    /// Sends what there is room for.
    pub fn send(&mut self, from: &[u8]) -> Result<Moved, Broken> {
        let count = self.room()?.min(from.len());
        let (first, second) = from.split_at(count.min(RING_BYTES - self.tail as usize % RING_BYTES));
        let second = &second[..count - first.len()];
        for (piece, at) in [(first, self.tail), (second, self.tail.wrapping_add(first.len() as u32))] {
            // SAFETY: the piece ends at the ring's end at the latest, and is memory of ours. What the other end makes of it meanwhile is its loss.
            unsafe { std::ptr::copy_nonoverlapping(piece.as_ptr(), self.data(self.side, at), piece.len()) };
        }
        self.tail = self.tail.wrapping_add(count as u32);
        let out = self.outgoing();
        out.sent.tail.store(self.tail, Release);
        fence(SeqCst);
        let ring = count > 0 && out.taken.hungry.load(Relaxed) != 0;
        if ring {
            out.taken.hungry.store(0, Relaxed);
        }
        Ok(Moved { count, ring })
    }

    /// Copies what is there, and takes it out unless `peek`. `ring`: the sender waits, and at least a third is free.
    pub fn receive(&mut self, to: &mut [u8], peek: bool) -> Result<Moved, Broken> {
        let count = self.available()?.min(to.len());
        let split = count.min(RING_BYTES - self.head as usize % RING_BYTES);
        for (start, length) in [(0, split), (split, count - split)] {
            let piece = &mut to[start..start + length];
            // SAFETY: the piece ends at the ring's end at the latest; `to` is ours. What is read was written by who may be hostile: bytes are bytes.
            unsafe {
                std::ptr::copy_nonoverlapping(self.data(self.other(), self.head.wrapping_add(start as u32)), piece.as_mut_ptr(), length)
            };
        }
        if peek {
            return Ok(Moved { count, ring: false });
        }
        self.skip(count)
    }

    /// Takes bytes out without looking at them, as many as are there at most.
    pub fn skip(&mut self, count: usize) -> Result<Moved, Broken> {
        let there = self.available()?;
        let count = count.min(there);
        self.head = self.head.wrapping_add(count as u32);
        let incoming = self.incoming();
        incoming.taken.head.store(self.head, Release);
        fence(SeqCst);
        let free = RING_BYTES - (there - count) >= RING_BYTES / 3;
        let ring = free && incoming.sent.starved.load(Relaxed) != 0;
        if ring {
            incoming.sent.starved.store(0, Relaxed);
        }
        Ok(Moved { count, ring })
    }

    /// Whether as much is free as makes a sender ready: a third. If not, the other end will ring when it is.
    pub fn ready_to_send(&self) -> Result<bool, Broken> {
        let enough = |ring: &Ring| Ok(ring.room()? >= RING_BYTES / 3);
        if enough(self)? {
            return Ok(true);
        }
        self.outgoing().sent.starved.store(1, Relaxed);
        fence(SeqCst);
        enough(self)
    }

    /// Whether there is something to receive (bytes, or the end of them). If not, the other end will ring when there is.
    pub fn ready_to_receive(&self) -> Result<bool, Broken> {
        let ready = |ring: &Ring| Ok(ring.available()? > 0 || ring.ended() || ring.was_reset());
        if ready(self)? {
            return Ok(true);
        }
        self.incoming().taken.hungry.store(1, Relaxed);
        fence(SeqCst);
        ready(self)
    }

    /// Sends no more. The other end is to be rung.
    pub fn end(&self) {
        let _ = self.outgoing().sent.state.compare_exchange(OPEN, ENDED, SeqCst, Relaxed);
    }

    /// Breaks the connection, for both directions. The other end is to be rung.
    pub fn reset(&self) {
        self.outgoing().sent.state.store(RESET, SeqCst);
        self.outgoing().sent.tail.store(self.tail, SeqCst);
    }

    /// Receives no more. The other end is to be rung.
    pub fn close(&self) {
        self.incoming().taken.closed.store(1, SeqCst);
    }

    /// The other end sends no more than what is there.
    pub fn ended(&self) -> bool {
        self.incoming().sent.state.load(SeqCst) == ENDED
    }

    /// The other end has broken the connection.
    pub fn was_reset(&self) -> bool {
        self.incoming().sent.state.load(SeqCst) == RESET
    }

    /// The other end receives no more.
    pub fn refuses(&self) -> bool {
        self.outgoing().taken.closed.load(SeqCst) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn pair() -> (Ring, Ring) {
        let memory = create().unwrap();
        (Ring::open(memory.as_fd(), Side::Client).unwrap(), Ring::open(memory.as_fd(), Side::Server).unwrap())
    }

    fn take(ring: &mut Ring, room: usize) -> Vec<u8> {
        let mut bytes = vec![0; room];
        let moved = ring.receive(&mut bytes, false).unwrap();
        bytes.truncate(moved.count);
        bytes
    }

    #[test]
    fn bytes_go_around_the_end_in_order() {
        let (mut one, mut other) = pair();
        let (mut sent, mut got) = (0u32, 0u32);
        for round in 0..3000usize {
            let data: Vec<u8> = (0..round * 37 % 5000).map(|at| (sent as usize + at) as u8).collect();
            let count = one.send(&data).unwrap().count;
            sent += count as u32;
            for byte in take(&mut other, round * 53 % 5000) {
                assert_eq!(byte, got as u8);
                got += 1;
            }
        }
        assert!(sent as usize > 5 * RING_BYTES && got as usize > 5 * RING_BYTES);
    }

    #[test]
    fn a_full_ring_takes_no_more_and_tells_when_a_third_is_free() {
        let (mut one, mut other) = pair();
        assert_eq!(one.send(&vec![1; RING_BYTES + 9]).unwrap().count, RING_BYTES);
        assert_eq!(one.send(&[1]).unwrap().count, 0);
        assert_eq!(one.ready_to_send(), Ok(false));
        assert!(!other.skip(RING_BYTES / 3 - 1).unwrap().ring);
        assert!(other.skip(1).unwrap().ring);
        assert!(!other.skip(1).unwrap().ring, "once");
        assert_eq!(one.ready_to_send(), Ok(true));
    }

    #[test]
    fn who_waits_is_rung_once() {
        let (mut one, mut other) = pair();
        assert!(!one.send(b"x").unwrap().ring);
        assert_eq!(take(&mut other, 9), b"x");
        assert_eq!(other.ready_to_receive(), Ok(false));
        assert!(one.send(b"y").unwrap().ring);
        assert!(!one.send(b"z").unwrap().ring);
        assert_eq!(take(&mut other, 9), b"yz");
    }

    #[test]
    fn ends_come_behind_the_bytes_and_resets_differ_from_them() {
        let (mut one, mut other) = pair();
        one.send(b"last").unwrap();
        one.end();
        assert!(other.ended() && !other.was_reset() && !one.ended());
        assert_eq!(take(&mut other, 9), b"last");
        other.close();
        assert!(one.refuses());
        one.reset();
        assert!(other.was_reset() && !other.ended());
        one.end();
        assert!(other.was_reset(), "a reset stays one");
        let memory = create().unwrap();
        let ends = [Side::Client, Side::Server].map(|side| Ring::open(memory.as_fd(), side).unwrap());
        cut(memory.as_fd()).unwrap();
        assert!(ends.iter().all(Ring::was_reset));
    }

    #[test]
    fn positions_that_cannot_be_are_found() {
        let (mut one, mut other) = pair();
        one.outgoing().sent.tail.store(RING_BYTES as u32 + 1, SeqCst);
        assert_eq!(other.receive(&mut [0; 9], false), Err(Broken));
        assert_eq!(other.ready_to_receive(), Err(Broken));
        other.incoming().taken.head.store(7, SeqCst);
        assert_eq!(one.send(b"x"), Err(Broken));
    }

    #[test]
    fn other_memory_is_refused() {
        let memory = rustix::fs::memfd_create("x", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::ftruncate(&memory, TOTAL_BYTES as u64).unwrap();
        assert_eq!(Ring::open(memory.as_fd(), Side::Client).err(), Some(Errno::INVAL));
        let pipe = rustix::pipe::pipe().unwrap().0;
        assert!(Ring::open(pipe.as_fd(), Side::Client).is_err());
    }
}
