//! What guest memory a read or write goes to or comes from.

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::call::Call;
use crate::{Errno, Result};

/// The most bytes that one call moves (MAX_RW_COUNT).
pub const TRANSFER_MAX: u64 = 0x7fff_f000;

/// The most pieces (IOV_MAX).
const PIECES_MAX: u64 = 1024;

/// Guest addresses end below this (TASK_SIZE_MAX of x86-64): beyond is EFAULT, whether or not anything is read.
const ADDRESS_END: u64 = 0x7fff_ffff_f000;

/// `struct iovec`.
#[derive(Clone, Copy, FromBytes, Immutable, IntoBytes)]
#[repr(C)]
struct Piece {
    address: u64,
    length: u64,
}

/// Pieces of guest memory, together at most [`TRANSFER_MAX`] bytes.
pub struct Vectors {
    first: Piece,
    rest: Vec<Piece>,
    /// All bytes.
    pub total: u64,
}

impl Vectors {
    /// One piece: EFAULT if it isn't guest memory at all.
    pub fn one(address: u64, length: u64) -> Result<Vectors> {
        if (length as i64) < 0 {
            return Err(Errno::INVAL);
        }
        let length = length.min(TRANSFER_MAX);
        check(Piece { address, length })?;
        Ok(Vectors { first: Piece { address, length }, rest: Vec::new(), total: length })
    }

    /// The pieces of an array of `struct iovec`: EINVAL for more than 1,024, or negative lengths.
    pub fn read(call: &mut Call<'_>, address: u64, count: u64) -> Result<Vectors> {
        if count > PIECES_MAX {
            return Err(Errno::INVAL);
        }
        let mut pieces: Vec<Piece> = call.read_values(address, count as usize)?;
        let mut total = 0_u64;
        for piece in &mut pieces {
            if (piece.length as i64) < 0 {
                return Err(Errno::INVAL);
            }
            piece.length = piece.length.min(TRANSFER_MAX - total);
            check(*piece)?;
            total += piece.length;
        }
        pieces.retain(|piece| piece.length > 0);
        Ok(Vectors { first: Piece { address: 0, length: 0 }, rest: pieces, total })
    }

    /// Writes `from` to the guest, from `skip` bytes into the pieces on. How much could be written, at least a byte: EFAULT.
    pub fn scatter(&self, call: &mut Call<'_>, skip: u64, from: &[u8]) -> Result<usize> {
        self.copy(skip, from.len(), |address, start, end| call.write(address, from.get(start..end).ok_or(Errno::FAULT)?))
    }

    /// Reads `to` from the guest, from `skip` bytes into the pieces on. How much could be read, at least a byte: EFAULT.
    pub fn gather(&self, call: &mut Call<'_>, skip: u64, to: &mut [u8]) -> Result<usize> {
        let length = to.len();
        self.copy(skip, length, |address, start, end| call.read(address, to.get_mut(start..end).ok_or(Errno::FAULT)?))
    }

    /// Copies all at once, and after a fault once more page by page up to the one that faults.
    fn copy(&self, skip: u64, length: usize, mut act: impl FnMut(u64, usize, usize) -> Result<()>) -> Result<usize> {
        match self.each(skip, length, &mut act) {
            Err(Errno::FAULT) => {}
            answer => return answer.map(|()| length),
        }
        let mut copied = 0;
        let pages = self.each(skip, length, |address, start, end| {
            let mut at = start;
            while at < end {
                let page = 4096 - ((address + (at - start) as u64) & 4095) as usize;
                let next = end.min(at + page);
                act(address + (at - start) as u64, at, next)?;
                copied = next;
                at = next;
            }
            Ok(())
        });
        if copied > 0 { Ok(copied) } else { pages.map(|()| length) }
    }

    /// Calls `act` with each guest address and the part of a buffer of `length` bytes that belongs to it.
    fn each(&self, skip: u64, length: usize, mut act: impl FnMut(u64, usize, usize) -> Result<()>) -> Result<()> {
        let (mut skip, mut done) = (skip, 0);
        for piece in std::iter::once(&self.first).chain(&self.rest) {
            if done == length {
                break;
            }
            if skip >= piece.length {
                skip -= piece.length;
                continue;
            }
            let count = usize::try_from(piece.length - skip).unwrap_or(usize::MAX).min(length - done);
            act(piece.address + skip, done, done + count)?;
            done += count;
            skip = 0;
        }
        Ok(())
    }
}

fn check(piece: Piece) -> Result<()> {
    let end = piece.address.checked_add(piece.length).ok_or(Errno::FAULT)?;
    if end > ADDRESS_END { Err(Errno::FAULT) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_cut_where_the_buffer_begins_and_ends() {
        let piece = |address, length| Piece { address, length };
        let vectors = Vectors { first: piece(0, 0), rest: vec![piece(100, 10), piece(200, 5), piece(300, 20)], total: 35 };
        let mut parts = Vec::new();
        vectors
            .each(8, 9, |address, start, end| {
                parts.push((address, start, end));
                Ok(())
            })
            .unwrap();
        assert_eq!(parts, [(108, 0, 2), (200, 2, 7), (300, 7, 9)]);
    }

    #[test]
    fn addresses_beyond_the_guests_are_refused() {
        assert_eq!(Vectors::one(u64::MAX - 5, 10).err(), Some(Errno::FAULT));
        assert_eq!(Vectors::one(0x7fff_ffff_efff, 2).err(), Some(Errno::FAULT));
        assert_eq!(Vectors::one(0, u64::MAX).err(), Some(Errno::INVAL));
        assert_eq!(Vectors::one(0x1000, 1 << 40).unwrap().total, TRANSFER_MAX);
    }
}
