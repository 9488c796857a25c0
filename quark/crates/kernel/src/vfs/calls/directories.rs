//! `getdents`, `getdents64`.

use crate::call::Call;
use crate::dispatch::Calls;
use crate::task::lock;
use crate::vfs::inode::DirectoryEntry;
use crate::{Errno, Result};

pub const CALLS: Calls = &[(libc::SYS_getdents64, |call| list(call, encode64)), (libc::SYS_getdents, |call| list(call, encode))];

/// The most that one call tells, bytes: what is beyond comes with the next.
const ROOM_MAX: usize = 256 << 10;

fn list(call: &mut Call<'_>, encode: fn(&DirectoryEntry, &mut Vec<u8>)) -> Result<u64> {
    let (buffer, size) = (call.arg(1), call.arg(2) as u32);
    let file = call.task.files().get(call.int(0))?;
    let room = (size as usize).min(ROOM_MAX);
    let mut position = lock(&file.offset);
    if file.place.as_ref().is_some_and(|place| place.dentry.is_directory() && place.dentry.removed()) {
        // Nothing is in it, not even itself (`fs/readdir.c`: IS_DEADDIR).
        file.file.entries(*position, room)?;
        return Err(Errno::NOENT);
    }
    let entries = file.file.entries(*position, room)?;
    let mut told = Vec::with_capacity(room.min(32 << 10));
    let mut next = *position;
    for entry in &entries {
        let before = told.len();
        encode(entry, &mut told);
        if told.len() > room {
            told.truncate(before);
            break;
        }
        next = entry.next;
    }
    if told.is_empty() && !entries.is_empty() {
        return Err(Errno::INVAL);
    }
    call.write(buffer, &told)?;
    *position = next;
    Ok(told.len() as u64)
}

fn pad(told: &mut Vec<u8>, start: usize) {
    let length = (told.len() - start).next_multiple_of(8);
    told.resize(start + length, 0);
    if let Some(field) = told.get_mut(start + 16..start + 18) {
        field.copy_from_slice(&(length as u16).to_ne_bytes());
    }
}

/// `struct linux_dirent64`.
fn encode64(entry: &DirectoryEntry, told: &mut Vec<u8>) {
    let start = told.len();
    told.extend_from_slice(&entry.inode.to_ne_bytes());
    told.extend_from_slice(&entry.next.to_ne_bytes());
    told.extend_from_slice(&[0, 0, entry.kind]);
    told.extend_from_slice(&entry.name);
    told.push(0);
    pad(told, start);
}

/// `struct linux_dirent`: the kind is in its last byte.
fn encode(entry: &DirectoryEntry, told: &mut Vec<u8>) {
    let start = told.len();
    told.extend_from_slice(&entry.inode.to_ne_bytes());
    told.extend_from_slice(&entry.next.to_ne_bytes());
    told.extend_from_slice(&[0, 0]);
    told.extend_from_slice(&entry.name);
    told.extend_from_slice(&[0, 0]);
    pad(told, start);
    if let Some(last) = told.last_mut() {
        *last = entry.kind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_laid_out_as_linux_does() {
        let entry = DirectoryEntry { name: b"abcde".to_vec(), inode: 7, kind: libc::DT_REG, next: 9 };
        let mut told = Vec::new();
        encode64(&entry, &mut told);
        assert_eq!(told.len(), 32);
        assert_eq!(told[16..20], [32, 0, libc::DT_REG, b'a']);
        let mut told = Vec::new();
        encode(&entry, &mut told);
        assert_eq!(told.len(), 32);
        assert_eq!(told[31], libc::DT_REG);
        assert_eq!(&told[18..24], b"abcde\0");
    }
}
