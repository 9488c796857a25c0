//! Who a thread is, and how that changes (`man 7 credentials`, `man 7 capabilities`).

use std::sync::Arc;

use crate::{Errno, Result};

/// Who a thread is, in its container. Capability sets are bit masks of `CAP_*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Credentials {
    pub uid: u32,
    pub euid: u32,
    pub suid: u32,
    pub fsuid: u32,
    pub gid: u32,
    pub egid: u32,
    pub sgid: u32,
    pub fsgid: u32,
    pub groups: Arc<[u32]>,
    pub permitted: u64,
    pub effective: u64,
    pub inheritable: u64,
    pub bounding: u64,
    pub ambient: u64,
    pub secure_bits: u32,
    pub no_new_privileges: bool,
}

impl Credentials {
    /// Whether a capability (`CAP_*`, its number) is effective.
    pub fn capable(&self, capability: u32) -> bool {
        capability < 64 && self.effective >> capability & 1 == 1
    }
}

/// All capabilities that there are: CAP_CHECKPOINT_RESTORE (40) is the last.
pub const ALL_CAPABILITIES: u64 = (1 << 41) - 1;

const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;
const CAP_SETPCAP: u32 = 8;
/// What follows the file system user: CAP_CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, MKNOD, LINUX_IMMUTABLE, MAC_OVERRIDE.
const FILE_CAPABILITIES: u64 = 1 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 27 | 1 << 9 | 1 << 32;

/// SECBIT_*.
#[allow(missing_docs)]
pub mod secure {
    pub const NO_ROOT: u32 = 1;
    pub const NO_SETUID_FIXUP: u32 = 1 << 2;
    pub const KEEP_CAPS: u32 = 1 << 4;
    pub const KEEP_CAPS_LOCKED: u32 = 1 << 5;
    pub const NO_CAP_AMBIENT_RAISE: u32 = 1 << 6;
    /// All that there are.
    pub const ALL: u32 = 0xff;
    /// Those that lock another.
    pub const LOCKS: u32 = 0xaa;
}

/// "As it is", where a call takes several ids.
const KEEP: u32 = u32::MAX;

/// Credentials about to change, by one of the `set*id` calls.
#[derive(Clone, Debug)]
pub struct Ids {
    /// The new ones.
    pub who: Credentials,
}

impl Ids {
    /// `setuid(2)`.
    pub fn set_user(&mut self, uid: u32) -> Result<()> {
        let before = self.who.clone();
        if uid == KEEP {
            return Err(Errno::INVAL);
        }
        if before.capable(CAP_SETUID) {
            (self.who.uid, self.who.suid) = (uid, uid);
        } else if uid != before.uid && uid != before.suid {
            return Err(Errno::PERM);
        }
        (self.who.euid, self.who.fsuid) = (uid, uid);
        self.fix_capabilities(&before);
        Ok(())
    }

    /// `setgid(2)`.
    pub fn set_group(&mut self, gid: u32) -> Result<()> {
        if gid == KEEP {
            return Err(Errno::INVAL);
        }
        if self.who.capable(CAP_SETGID) {
            (self.who.gid, self.who.sgid) = (gid, gid);
        } else if gid != self.who.gid && gid != self.who.sgid {
            return Err(Errno::PERM);
        }
        (self.who.egid, self.who.fsgid) = (gid, gid);
        Ok(())
    }

    /// `setreuid(2)`.
    pub fn set_users(&mut self, real: u32, effective: u32) -> Result<()> {
        let before = self.who.clone();
        let old = [before.uid, before.euid, before.suid];
        let (uid, euid, suid) = two(old, real, effective, before.capable(CAP_SETUID))?;
        (self.who.uid, self.who.euid, self.who.suid, self.who.fsuid) = (uid, euid, suid, euid);
        self.fix_capabilities(&before);
        Ok(())
    }

    /// `setregid(2)`.
    pub fn set_groups(&mut self, real: u32, effective: u32) -> Result<()> {
        let old = [self.who.gid, self.who.egid, self.who.sgid];
        let (gid, egid, sgid) = two(old, real, effective, self.who.capable(CAP_SETGID))?;
        (self.who.gid, self.who.egid, self.who.sgid, self.who.fsgid) = (gid, egid, sgid, egid);
        Ok(())
    }

    /// `setresuid(2)`.
    pub fn set_all_users(&mut self, wanted: [u32; 3]) -> Result<()> {
        let before = self.who.clone();
        let [uid, euid, suid] = three([before.uid, before.euid, before.suid], wanted, before.capable(CAP_SETUID))?;
        (self.who.uid, self.who.euid, self.who.suid, self.who.fsuid) = (uid, euid, suid, euid);
        self.fix_capabilities(&before);
        Ok(())
    }

    /// `setresgid(2)`.
    pub fn set_all_groups(&mut self, wanted: [u32; 3]) -> Result<()> {
        let who = &mut self.who;
        let [gid, egid, sgid] = three([who.gid, who.egid, who.sgid], wanted, who.capable(CAP_SETGID))?;
        (who.gid, who.egid, who.sgid, who.fsgid) = (gid, egid, sgid, egid);
        Ok(())
    }

    /// `setfsuid(2)`.
    pub fn set_file_user(&mut self, uid: u32) -> Result<()> {
        let who = &mut self.who;
        if ![who.uid, who.euid, who.suid, who.fsuid].contains(&uid) && !who.capable(CAP_SETUID) || uid == KEEP {
            return Err(Errno::PERM);
        }
        let before = std::mem::replace(&mut who.fsuid, uid);
        if who.secure_bits & secure::NO_SETUID_FIXUP == 0 {
            if before == 0 && uid != 0 {
                who.effective &= !FILE_CAPABILITIES;
            } else if before != 0 && uid == 0 {
                who.effective |= who.permitted & FILE_CAPABILITIES;
            }
        }
        Ok(())
    }

    /// `setfsgid(2)`.
    pub fn set_file_group(&mut self, gid: u32) -> Result<()> {
        let who = &mut self.who;
        if ![who.gid, who.egid, who.sgid, who.fsgid].contains(&gid) && !who.capable(CAP_SETGID) || gid == KEEP {
            return Err(Errno::PERM);
        }
        who.fsgid = gid;
        Ok(())
    }

    /// `capset(2)`: nothing is added to what is permitted; what is inheritable needs CAP_SETPCAP beyond that.
    pub fn set_capabilities(&mut self, effective: u64, permitted: u64, inheritable: u64) -> Result<()> {
        let who = &mut self.who;
        let (effective, permitted, inheritable) =
            (effective & ALL_CAPABILITIES, permitted & ALL_CAPABILITIES, inheritable & ALL_CAPABILITIES);
        let new_inheritable = inheritable & !who.inheritable;
        if !who.capable(CAP_SETPCAP) && new_inheritable & !who.permitted != 0 {
            return Err(Errno::PERM);
        }
        if new_inheritable & !who.bounding != 0 && inheritable & !(who.inheritable | who.bounding) != 0 {
            return Err(Errno::PERM);
        }
        if permitted & !who.permitted != 0 || effective & !permitted != 0 {
            return Err(Errno::PERM);
        }
        (who.effective, who.permitted, who.inheritable) = (effective, permitted, inheritable);
        who.ambient &= permitted & inheritable;
        Ok(())
    }

    /// What a change of users does to capabilities (`man 7 capabilities`, "Effect of user ID changes on capabilities").
    fn fix_capabilities(&mut self, before: &Credentials) {
        let who = &mut self.who;
        if who.secure_bits & secure::NO_SETUID_FIXUP != 0 {
            return;
        }
        let was_root = [before.uid, before.euid, before.suid].contains(&0);
        let is_root = [who.uid, who.euid, who.suid].contains(&0);
        if was_root && !is_root {
            if who.secure_bits & secure::KEEP_CAPS == 0 {
                (who.permitted, who.effective) = (0, 0);
            }
            who.ambient = 0;
        }
        if before.euid == 0 && who.euid != 0 {
            who.effective = 0;
        } else if before.euid != 0 && who.euid == 0 {
            who.effective = who.permitted;
        }
    }
}

/// `setreuid`'s rules on real, effective and saved ids.
fn two([real, effective, saved]: [u32; 3], new_real: u32, new_effective: u32, capable: bool) -> Result<(u32, u32, u32)> {
    if new_real != KEEP && !capable && ![real, effective].contains(&new_real) {
        return Err(Errno::PERM);
    }
    if new_effective != KEEP && !capable && ![real, effective, saved].contains(&new_effective) {
        return Err(Errno::PERM);
    }
    let next_real = if new_real == KEEP { real } else { new_real };
    let next_effective = if new_effective == KEEP { effective } else { new_effective };
    let follows = new_real != KEEP || new_effective != KEEP && new_effective != real;
    Ok((next_real, next_effective, if follows { next_effective } else { saved }))
}

/// `setresuid`'s rules.
fn three(old: [u32; 3], wanted: [u32; 3], capable: bool) -> Result<[u32; 3]> {
    if !capable && wanted.iter().any(|id| *id != KEEP && !old.contains(id)) {
        return Err(Errno::PERM);
    }
    let [real, effective, saved] = old;
    let [new_real, new_effective, new_saved] = wanted;
    let pick = |new: u32, old: u32| if new == KEEP { old } else { new };
    Ok([pick(new_real, real), pick(new_effective, effective), pick(new_saved, saved)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(uid: u32, capabilities: u64) -> Ids {
        let who = Credentials {
            uid,
            euid: uid,
            suid: uid,
            fsuid: uid,
            permitted: capabilities,
            effective: capabilities,
            bounding: ALL_CAPABILITIES,
            ..Credentials::default()
        };
        Ids { who }
    }

    #[test]
    fn root_that_becomes_a_user_loses_its_capabilities() {
        let mut root = ids(0, ALL_CAPABILITIES);
        assert_eq!(root.set_user(1000), Ok(()));
        assert_eq!((root.who.uid, root.who.suid, root.who.permitted, root.who.effective), (1000, 1000, 0, 0));
        assert_eq!(root.set_user(0), Err(Errno::PERM));
    }

    #[test]
    fn kept_capabilities_stay_permitted_but_not_effective() {
        let mut root = ids(0, ALL_CAPABILITIES);
        root.who.secure_bits = secure::KEEP_CAPS;
        assert_eq!(root.set_all_users([1000, 1000, 1000]), Ok(()));
        assert_eq!((root.who.permitted, root.who.effective), (ALL_CAPABILITIES, 0));
    }

    #[test]
    fn an_effective_user_goes_and_comes_back() {
        let mut root = ids(0, ALL_CAPABILITIES);
        assert_eq!(root.set_all_users([KEEP, 1000, KEEP]), Ok(()));
        assert_eq!((root.who.effective, root.who.permitted), (0, ALL_CAPABILITIES));
        assert_eq!(root.set_all_users([KEEP, 0, KEEP]), Ok(()));
        assert_eq!(root.who.effective, ALL_CAPABILITIES);
    }

    #[test]
    fn a_user_may_swap_only_its_own_ids() {
        let mut user = ids(5, 0);
        (user.who.euid, user.who.suid) = (6, 6);
        assert_eq!(user.set_users(6, 5), Ok(()));
        assert_eq!((user.who.uid, user.who.euid, user.who.suid), (6, 5, 5));
        assert_eq!(user.set_users(7, KEEP), Err(Errno::PERM));
        assert_eq!(user.set_all_users([KEEP, 7, KEEP]), Err(Errno::PERM));
        assert_eq!(user.set_user(KEEP), Err(Errno::INVAL));
    }

    #[test]
    fn capset_only_takes_away() {
        let mut user = ids(5, 0b11);
        assert_eq!(user.set_capabilities(0b111, 0b111, 0), Err(Errno::PERM));
        assert_eq!(user.set_capabilities(0b10, 0b01, 0), Err(Errno::PERM), "effective must be permitted");
        assert_eq!(user.set_capabilities(0b01, 0b01, 0b01), Ok(()));
        assert_eq!((user.who.effective, user.who.permitted, user.who.inheritable), (1, 1, 1));
        assert_eq!(user.set_capabilities(0, 0, 0b100), Err(Errno::PERM));
    }

    #[test]
    fn the_file_users_capabilities_follow_it() {
        let mut root = ids(0, ALL_CAPABILITIES);
        assert_eq!(root.set_file_user(1000), Ok(()));
        assert_eq!(root.who.effective, ALL_CAPABILITIES & !FILE_CAPABILITIES);
        assert_eq!(root.set_file_user(0), Ok(()));
        assert_eq!(root.who.effective, ALL_CAPABILITIES);
    }
}
