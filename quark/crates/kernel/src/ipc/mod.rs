//! Message queues of POSIX, semaphores and messages of System V (`man 7 sysvipc`), and what those have in common with its shared memory: owners, and tables of ids and
//! keys. They are the pod's, and there is one kernel a pod.

pub mod limits;
pub mod message;
pub mod mqueue;
pub mod semaphore;
pub mod sleeper;

use std::time::{SystemTime, UNIX_EPOCH};

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::task::Credentials;
use crate::{Errno, Result};

/// IPC_PRIVATE: no key.
pub const PRIVATE: i32 = 0;
/// How many ids of a kind there are at most (IPCMNI).
pub const IDS_MAX: usize = 32768;

const CAP_IPC_OWNER: u32 = 15;
const CAP_SYS_ADMIN: u32 = 21;

/// Who owns an object, and who may do what with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpcOwner {
    /// Its key; IPC_PRIVATE once it is removed.
    pub key: i32,
    /// The owner, changed by IPC_SET.
    pub uid: u32,
    /// See `uid`.
    pub gid: u32,
    /// Who made it.
    pub maker_uid: u32,
    /// See `maker_uid`.
    pub maker_gid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// `struct ipc64_perm` of x86-64.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable)]
#[repr(C)]
#[allow(missing_docs)]
pub struct IpcPermissions {
    pub key: i32,
    pub uid: u32,
    pub gid: u32,
    pub maker_uid: u32,
    pub maker_gid: u32,
    pub mode: u32,
    pub sequence: u16,
    pub padding: [u16; 3],
    pub unused: [u64; 2],
}

/// The start of a `struct ipc64_perm`, which is what IPC_SET looks at.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
#[repr(C)]
#[allow(missing_docs)]
pub struct IpcChange {
    pub key: i32,
    pub uid: u32,
    pub gid: u32,
    pub maker_uid: u32,
    pub maker_gid: u32,
    pub mode: u32,
}

/// Seconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

impl IpcOwner {
    /// A new object's: `mode` is the flags of the call that makes it.
    pub fn new(key: i32, credentials: &Credentials, mode: u32) -> IpcOwner {
        let (uid, gid) = (credentials.euid, credentials.egid);
        IpcOwner { key, uid, gid, maker_uid: uid, maker_gid: gid, mode: mode & 0o777 }
    }

    /// Whether all of `want` (permission bits, in any of the three classes) is allowed: EACCES.
    pub fn check(&self, credentials: &Credentials, want: u32) -> Result<()> {
        let want = (want >> 6 | want >> 3 | want) & 7;
        let user = credentials.euid;
        let in_group = |gid| credentials.egid == gid || credentials.groups.contains(&gid);
        let granted = if user == self.uid || user == self.maker_uid {
            self.mode >> 6
        } else if in_group(self.gid) || in_group(self.maker_gid) {
            self.mode >> 3
        } else {
            self.mode
        };
        if want & !granted == 0 || credentials.capable(CAP_IPC_OWNER) { Ok(()) } else { Err(Errno::ACCESS) }
    }

    /// Whether it may be changed or removed: EPERM.
    pub fn check_control(&self, credentials: &Credentials) -> Result<()> {
        let owns = credentials.euid == self.uid || credentials.euid == self.maker_uid;
        if owns || credentials.capable(CAP_SYS_ADMIN) { Ok(()) } else { Err(Errno::PERM) }
    }

    /// IPC_SET: EPERM, EINVAL for ids that are none.
    pub fn change(&mut self, credentials: &Credentials, change: &IpcChange) -> Result<()> {
        self.check_control(credentials)?;
        if change.uid == u32::MAX || change.gid == u32::MAX {
            return Err(Errno::INVAL);
        }
        (self.uid, self.gid, self.mode) = (change.uid, change.gid, change.mode & 0o777);
        Ok(())
    }

    /// As C programs see it.
    pub fn permissions(&self, id: i32) -> IpcPermissions {
        IpcPermissions {
            key: self.key,
            uid: self.uid,
            gid: self.gid,
            maker_uid: self.maker_uid,
            maker_gid: self.maker_gid,
            mode: self.mode,
            sequence: (id / IDS_MAX as i32) as u16,
            padding: [0; 3],
            unused: [0; 2],
        }
    }
}

/// Objects of one kind, by id. An id is a slot and a sequence number, so that the id of a removed object is not soon another's.
pub struct IpcTable<T> {
    slots: Vec<Option<(i32, T)>>,
    sequence: i32,
}

impl<T> IpcTable<T> {
    /// Nothing.
    pub const fn new() -> IpcTable<T> {
        IpcTable { slots: Vec::new(), sequence: 0 }
    }

    /// Adds an object: its id. ENOSPC if there are `limit` already.
    pub fn add(&mut self, limit: usize, object: T) -> Result<i32> {
        let free = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        if free >= limit.min(IDS_MAX) {
            return Err(Errno::NOSPC);
        }
        if free == self.slots.len() {
            self.slots.push(None);
        }
        let id = self.sequence * IDS_MAX as i32 + free as i32;
        self.sequence = (self.sequence + 1) % (i32::MAX / IDS_MAX as i32);
        if let Some(slot) = self.slots.get_mut(free) {
            *slot = Some((id, object));
        }
        Ok(id)
    }

    /// The object of an id: EINVAL.
    pub fn get(&self, id: i32) -> Result<&T> {
        let (_, object) = self.at(id % IDS_MAX as i32).filter(|(known, _)| *known == id).ok_or(Errno::INVAL)?;
        Ok(object)
    }

    /// The object in a slot, and its id.
    pub fn at(&self, slot: i32) -> Option<(i32, &T)> {
        let slot = usize::try_from(slot).ok()?;
        self.slots.get(slot)?.as_ref().map(|(id, object)| (*id, object))
    }

    /// What `semget(2)` and its kin find under a key: the id of an object that is there, `None` if one is to be made. `owner` tells whose an
    /// object is, `fits` whether it is as large as asked for. EEXIST, ENOENT, EINVAL, EACCES.
    pub fn find(
        &self,
        key: i32,
        flags: i32,
        credentials: &Credentials,
        owner: impl Fn(&T) -> IpcOwner,
        fits: impl FnOnce(&T) -> bool,
    ) -> Result<Option<i32>> {
        let known = self.iter().map(|(id, object)| (id, object, owner(object))).find(|(_, _, owner)| key != PRIVATE && owner.key == key);
        let Some((id, object, owner)) = known else {
            return if key == PRIVATE || flags & libc::IPC_CREAT != 0 { Ok(None) } else { Err(Errno::NOENT) };
        };
        if flags & libc::IPC_CREAT != 0 && flags & libc::IPC_EXCL != 0 {
            return Err(Errno::EXIST);
        }
        if !fits(object) {
            return Err(Errno::INVAL);
        }
        owner.check(credentials, flags as u32 & 0o777)?;
        Ok(Some(id))
    }

    /// Removes an object.
    pub fn remove(&mut self, id: i32) -> Option<T> {
        self.get(id).ok()?;
        let slot = usize::try_from(id % IDS_MAX as i32).ok()?;
        self.slots.get_mut(slot)?.take().map(|(_, object)| object)
    }

    /// All, by slot.
    pub fn iter(&self) -> impl Iterator<Item = (i32, &T)> {
        self.slots.iter().flatten().map(|(id, object)| (*id, object))
    }

    /// The highest slot in use.
    pub fn highest(&self) -> i32 {
        self.slots.iter().rposition(Option::is_some).map_or(0, |slot| slot as i32)
    }
}

impl<T> Default for IpcTable<T> {
    fn default() -> Self {
        IpcTable::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_not_used_again_at_once() {
        let mut table = IpcTable::default();
        let first = table.add(2, 'a').unwrap();
        let second = table.add(2, 'b').unwrap();
        assert_eq!(table.add(2, 'c'), Err(Errno::NOSPC));
        assert_eq!(table.remove(first), Some('a'));
        let third = table.add(2, 'c').unwrap();
        assert_eq!(third % IDS_MAX as i32, first % IDS_MAX as i32);
        assert_eq!(table.get(first), Err(Errno::INVAL));
        assert_eq!((table.get(second), table.get(third)), (Ok(&'b'), Ok(&'c')));
        assert_eq!(table.get(-1), Err(Errno::INVAL));
        assert_eq!(table.highest(), 1);
    }

    #[test]
    fn permissions_are_by_class() {
        let mine = Credentials { euid: 1, egid: 2, ..Credentials::default() };
        let owner = IpcOwner::new(5, &mine, 0o640);
        assert_eq!(owner.check(&mine, 0o600), Ok(()));
        let group = Credentials { euid: 3, egid: 2, ..Credentials::default() };
        assert_eq!(owner.check(&group, 0o400), Ok(()));
        assert_eq!(owner.check(&group, 0o200), Err(Errno::ACCESS));
        let other = Credentials { euid: 3, egid: 3, ..Credentials::default() };
        assert_eq!(owner.check(&other, 0o004), Err(Errno::ACCESS));
        assert_eq!(owner.check_control(&group), Err(Errno::PERM));
    }
}
