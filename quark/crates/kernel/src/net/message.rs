//! Control messages (`cmsg(3)`), as bytes and as what they mean.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::vfs::open::OpenFile;
use crate::{Errno, Result};

const HEADER: usize = 16;

/// Who sent something, as SCM_CREDENTIALS tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Sender {
    pub pid: i32,
    pub uid: u32,
    pub gid: u32,
}

/// What a message carries beside its bytes.
#[derive(Clone, Default)]
pub struct Ancillary {
    /// SCM_RIGHTS.
    pub files: Vec<Arc<OpenFile>>,
    /// SCM_CREDENTIALS.
    pub sender: Option<Sender>,
    /// Where files in flight are counted: the sending container's count.
    pub counter: Option<Arc<AtomicUsize>>,
}

/// Files that are in flight, counted until this is dropped.
pub struct InFlight {
    counter: Arc<AtomicUsize>,
    files: usize,
}

impl InFlight {
    /// Those of a message; none if it has no files, or nobody counts them.
    pub fn of(message: &Ancillary) -> Option<InFlight> {
        let files = message.files.len();
        let counter = message.counter.clone().filter(|_| files > 0)?;
        counter.fetch_add(files, Ordering::Relaxed);
        Some(InFlight { counter, files })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.counter.fetch_sub(self.files, Ordering::Relaxed);
    }
}

/// One control message: level, type, data.
pub type Control<'a> = (i32, i32, &'a [u8]);

/// Takes control messages apart. EINVAL for a header whose length cannot be.
pub fn parse(bytes: &[u8]) -> Result<Vec<Control<'_>>> {
    let mut messages = Vec::new();
    let mut rest = bytes;
    while rest.len() >= HEADER {
        let length = usize::try_from(u64::from_ne_bytes(field(rest, 0)?)).map_err(|_| Errno::INVAL)?;
        let data = rest.get(HEADER..length).ok_or(Errno::INVAL)?;
        messages.push((i32::from_ne_bytes(field(rest, 8)?), i32::from_ne_bytes(field(rest, 12)?), data));
        rest = rest.get(aligned(length)..).unwrap_or_default();
    }
    Ok(messages)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    bytes.get(at..at + N).and_then(|field| field.try_into().ok()).ok_or(Errno::INVAL)
}

/// Appends a control message if it fits into `room` bytes altogether; cut to what fits if `cut`. False if something is missing.
pub fn append(to: &mut Vec<u8>, room: usize, (level, kind, data): Control<'_>, cut: bool) -> bool {
    let left = room.saturating_sub(to.len());
    if left < HEADER || !cut && left < HEADER + data.len() {
        return false;
    }
    let shown = data.len().min(left - HEADER);
    to.extend_from_slice(&((HEADER + shown) as u64).to_ne_bytes());
    to.extend_from_slice(&level.to_ne_bytes());
    to.extend_from_slice(&kind.to_ne_bytes());
    to.extend_from_slice(data.get(..shown).unwrap_or_default());
    to.resize(aligned(to.len()).min(room), 0);
    shown == data.len()
}

/// How many descriptors of an SCM_RIGHTS message fit into what is left of `room`.
pub fn rights_that_fit(used: usize, room: usize) -> usize {
    room.saturating_sub(used + HEADER) / size_of::<i32>()
}

fn aligned(length: usize) -> usize {
    length.saturating_add(7) & !7
}

/// Descriptors of an SCM_RIGHTS message; EINVAL for half a one or more than 253.
pub fn descriptors(data: &[u8]) -> Result<Vec<i32>> {
    if !data.len().is_multiple_of(4) || data.len() / 4 > 253 {
        return Err(Errno::INVAL);
    }
    Ok(data.chunks_exact(4).filter_map(|piece| piece.try_into().ok().map(i32::from_ne_bytes)).collect())
}

/// The content of an SCM_CREDENTIALS message.
pub fn sender(data: &[u8]) -> Result<Sender> {
    if data.len() != 12 {
        return Err(Errno::INVAL);
    }
    Ok(Sender {
        pid: i32::from_ne_bytes(field(data, 0)?),
        uid: u32::from_ne_bytes(field(data, 4)?),
        gid: u32::from_ne_bytes(field(data, 8)?),
    })
}

impl Sender {
    /// As `struct ucred`.
    pub fn bytes(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        let fields = self.pid.to_ne_bytes().into_iter().chain(self.uid.to_ne_bytes()).chain(self.gid.to_ne_bytes());
        bytes.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_apart_as_they_were_put_together() {
        let mut bytes = Vec::new();
        assert!(append(&mut bytes, 100, (1, 2, b"credentials!"), false));
        assert!(append(&mut bytes, 100, (1, 1, &[7, 0, 0, 0]), false));
        assert_eq!(bytes.len(), 32 + 24);
        assert_eq!(parse(&bytes).unwrap(), [(1, 2, b"credentials!".as_slice()), (1, 1, &[7, 0, 0, 0])]);
    }

    #[test]
    fn what_does_not_fit_is_cut_or_left_out() {
        let mut bytes = Vec::new();
        assert!(!append(&mut bytes, 20, (1, 2, b"credentials!"), false));
        assert!(bytes.is_empty());
        assert!(!append(&mut bytes, 20, (1, 2, b"credentials!"), true));
        assert_eq!(parse(&bytes).unwrap(), [(1, 2, b"cred".as_slice())]);
        assert_eq!(rights_that_fit(0, 27), 2);
    }

    #[test]
    fn impossible_lengths_are_refused() {
        for length in [0u64, 15, 33, u64::MAX] {
            let mut bytes = vec![0; 32];
            bytes[..8].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(parse(&bytes).err(), Some(Errno::INVAL), "{length}");
        }
        assert!(parse(&[1; 15]).unwrap().is_empty());
        assert!(descriptors(&[0; 5]).is_err() && descriptors(&[0; 254 * 4]).is_err() && sender(&[0; 11]).is_err());
    }
}
