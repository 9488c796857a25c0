//! Who a program runs as: set-user-ID bits and file capabilities (`man 7 capabilities`, "Transformation of capabilities during execve()"). Pure.

use crate::task::Credentials;
use crate::{Errno, Result};

const SET_USER: u32 = 0o4000;
const SET_GROUP: u32 = 0o2000;
const GROUP_EXECUTE: u32 = 0o0010;
/// SECBIT_NOROOT: root is nobody special.
const NO_ROOT: u32 = 1;
/// SECBIT_KEEP_CAPS ends with execve.
const KEEP_CAPABILITIES: u32 = 1 << 4;
/// CAP_SETUID.
const SETUID: u32 = 7;

/// The capabilities of a file (`security.capability`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileCapabilities {
    /// Masks of CAP_*.
    pub permitted: u64,
    /// See `permitted`.
    pub inheritable: u64,
    /// What is permitted is effective, too.
    pub effective: bool,
}

/// Reads the extended attribute `security.capability` (`struct vfs_ns_cap_data`): EINVAL for what it isn't. `None`: of another user namespace than ours (`rootid` isn't 0).
pub fn parse_capabilities(value: &[u8]) -> Result<Option<FileCapabilities>> {
    let words: Vec<u64> = value.chunks_exact(4).filter_map(|word| word.try_into().ok().map(u32::from_le_bytes)).map(u64::from).collect();
    let magic = words.first().copied().ok_or(Errno::INVAL)?;
    let word = |index: usize| words.get(index).copied().unwrap_or(0);
    let (permitted, inheritable) = match (magic >> 24, value.len()) {
        (1, 12) => (word(1), word(2)),
        (2, 20) | (3, 24) => (word(1) | word(3) << 32, word(2) | word(4) << 32),
        _ => return Err(Errno::INVAL),
    };
    if magic >> 24 == 3 && word(5) != 0 {
        return Ok(None);
    }
    Ok(Some(FileCapabilities { permitted, inheritable, effective: magic & 1 != 0 }))
}

/// What of a program's file matters for who runs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileOwner {
    /// Permission bits, S_ISUID and S_ISGID among them.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// If it has some.
    pub capabilities: Option<FileCapabilities>,
    /// Its mount has MS_NOSUID: bits and capabilities don't count.
    pub no_setuid: bool,
}

/// The credentials after execve, and whether it is AT_SECURE. EPERM if the file's capabilities are effective, and more than the bounding set allows.
/// `all`: the mask of all capabilities that exist here.
pub fn after_exec(old: &Credentials, file: &FileOwner, all: u64) -> Result<(Credentials, bool)> {
    let mut new = old.clone();
    let honoured = !file.no_setuid && !old.no_new_privileges;
    if honoured && file.mode & SET_USER != 0 {
        new.euid = file.uid;
    }
    if honoured && file.mode & (SET_GROUP | GROUP_EXECUTE) == SET_GROUP | GROUP_EXECUTE {
        new.egid = file.gid;
    }
    // no_new_privs keeps file capabilities out by the intersection below, as Linux does; nosuid by forgetting them.
    let capabilities = file.capabilities.filter(|_| !file.no_setuid);
    let mut effective = false;
    new.permitted = 0;
    if let Some(of) = capabilities {
        new.permitted = (old.bounding & of.permitted) | (old.inheritable & of.inheritable);
        effective = of.effective;
        if effective && of.permitted & all & !new.permitted != 0 {
            return Err(Errno::PERM);
        }
    }
    root_gains(old, &mut new, capabilities.is_some(), &mut effective);
    let is_set = new.euid != old.uid || new.egid != old.gid;
    if old.no_new_privileges && (is_set || new.permitted & !old.permitted != 0) {
        new.euid = old.uid;
        new.egid = old.gid;
        if !old.capable(SETUID) || old.no_new_privileges {
            new.permitted &= old.permitted;
        }
    }
    new.suid = new.euid;
    new.fsuid = new.euid;
    new.sgid = new.egid;
    new.fsgid = new.egid;
    if capabilities.is_some() || is_set {
        new.ambient = 0;
    }
    new.permitted |= new.ambient;
    new.effective = if effective { new.permitted } else { new.ambient };
    new.secure_bits &= !KEEP_CAPABILITIES;
    let gained = effective || new.permitted & !new.ambient != 0;
    let secure = is_set || (new.uid != 0 && gained);
    Ok((new, secure))
}

/// Root, by its real or effective id, has everything that the bounding set allows.
fn root_gains(old: &Credentials, new: &mut Credentials, has_capabilities: bool, effective: &mut bool) {
    if old.secure_bits & NO_ROOT != 0 {
        return;
    }
    // A set-user-ID-root program with capabilities of its own gets those only.
    if has_capabilities && new.uid != 0 && new.euid == 0 {
        return;
    }
    if new.euid == 0 || new.uid == 0 {
        new.permitted = old.bounding | old.inheritable;
    }
    if new.euid == 0 {
        *effective = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u64 = (1 << 41) - 1;

    fn user(id: u32) -> Credentials {
        Credentials {
            uid: id,
            euid: id,
            suid: id,
            fsuid: id,
            gid: id,
            egid: id,
            sgid: id,
            fsgid: id,
            bounding: 0xff,
            ..Credentials::default()
        }
    }

    fn after(old: &Credentials, file: FileOwner) -> (Credentials, bool) {
        after_exec(old, &file, ALL).unwrap()
    }

    #[test]
    fn plain_programs_change_nothing_for_users() {
        let (new, secure) = after(&user(5), FileOwner { mode: 0o755, ..FileOwner::default() });
        assert_eq!((new, secure), (user(5), false));
    }

    #[test]
    fn root_has_its_bounding_set() {
        let (new, secure) = after(&user(0), FileOwner { mode: 0o755, ..FileOwner::default() });
        assert_eq!((new.permitted, new.effective, secure), (0xff, 0xff, false));
        let old = Credentials { secure_bits: NO_ROOT, ..user(0) };
        assert_eq!(after(&old, FileOwner::default()).0.permitted, 0);
    }

    #[test]
    fn set_user_id_root() {
        let file = FileOwner { mode: 0o4755, ..FileOwner::default() };
        let (new, secure) = after(&user(5), file);
        assert_eq!((new.uid, new.euid, new.suid, new.fsuid), (5, 0, 0, 0));
        assert_eq!((new.permitted, new.effective, secure), (0xff, 0xff, true));
        let (new, secure) = after(&user(5), FileOwner { no_setuid: true, ..file });
        assert_eq!((new, secure), (user(5), false));
        let old = Credentials { no_new_privileges: true, ..user(5) };
        let (new, secure) = after(&old, file);
        assert_eq!((new.clone(), secure), (old, false));
        assert_eq!(new.permitted, 0);
    }

    #[test]
    fn set_group_id_needs_group_execute() {
        let file = FileOwner { mode: 0o2755, gid: 7, ..FileOwner::default() };
        assert_eq!(after(&user(5), file).0.egid, 7);
        assert_eq!(after(&user(5), FileOwner { mode: 0o2745, ..file }).0.egid, 5);
    }

    #[test]
    fn file_capabilities() {
        let of = FileCapabilities { permitted: 1 << 3, inheritable: 0, effective: true };
        let file = FileOwner { mode: 0o755, capabilities: Some(of), ..FileOwner::default() };
        let (new, secure) = after(&user(5), file);
        assert_eq!((new.permitted, new.effective, secure), (1 << 3, 1 << 3, true));
        let more = FileCapabilities { permitted: 1 << 20, ..of };
        let refused = after_exec(&user(5), &FileOwner { capabilities: Some(more), ..file }, ALL);
        assert_eq!(refused, Err(Errno::PERM));
        let quiet = FileCapabilities { effective: false, ..more };
        assert_eq!(after(&user(5), FileOwner { capabilities: Some(quiet), ..file }).0.permitted, 0);
        let old = Credentials { no_new_privileges: true, ..user(5) };
        assert_eq!(after(&old, file).0.permitted, 0);
    }

    #[test]
    fn ambient_capabilities_stay_for_plain_programs() {
        let old = Credentials { ambient: 4, inheritable: 4, permitted: 4, effective: 4, ..user(5) };
        let (new, secure) = after(&old, FileOwner { mode: 0o755, ..FileOwner::default() });
        assert_eq!((new.permitted, new.effective, new.ambient, secure), (4, 4, 4, false));
        let (new, _) = after(&old, FileOwner { mode: 0o4755, uid: 6, ..FileOwner::default() });
        assert_eq!((new.permitted, new.ambient), (0, 0));
    }

    #[test]
    fn reads_the_attribute() {
        let bytes = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let of = FileCapabilities { permitted: 1 | 1 << 32, inheritable: 2, effective: true };
        assert_eq!(parse_capabilities(&bytes(&[0x0200_0001, 1, 2, 1, 0])), Ok(Some(of)));
        assert_eq!(parse_capabilities(&bytes(&[0x0300_0001, 1, 2, 1, 0, 0])), Ok(Some(of)));
        assert_eq!(parse_capabilities(&bytes(&[0x0300_0001, 1, 2, 1, 0, 9])), Ok(None));
        assert_eq!(parse_capabilities(&bytes(&[0x0200_0001, 1])), Err(Errno::INVAL));
        assert_eq!(parse_capabilities(b""), Err(Errno::INVAL));
    }
}
