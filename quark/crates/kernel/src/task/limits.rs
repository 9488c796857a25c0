//! `getrlimit(2)` and its relatives.

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Limit, lock};
use crate::call::Call;
use crate::{Errno, Result};

const CAP_SYS_RESOURCE: u32 = 24;
/// RLIM_INFINITY.
const INFINITE: u64 = u64::MAX;

/// What a container's first process has where its configuration says nothing, as Linux gives to its init.
pub const DEFAULTS: [Limit; 16] = {
    const FREE: Limit = Limit { soft: INFINITE, hard: INFINITE };
    let mut limits = [FREE; 16];
    limits[libc::RLIMIT_STACK as usize] = Limit { soft: 8 << 20, hard: INFINITE };
    limits[libc::RLIMIT_CORE as usize] = Limit { soft: 0, hard: INFINITE };
    limits[libc::RLIMIT_NOFILE as usize] = Limit { soft: 1024, hard: 1 << 20 };
    limits[libc::RLIMIT_MEMLOCK as usize] = Limit { soft: 8 << 20, hard: 8 << 20 };
    limits[libc::RLIMIT_SIGPENDING as usize] = Limit { soft: 65536, hard: 65536 };
    limits[libc::RLIMIT_MSGQUEUE as usize] = Limit { soft: 819_200, hard: 819_200 };
    limits[libc::RLIMIT_NICE as usize] = Limit { soft: 0, hard: 0 };
    limits[libc::RLIMIT_RTPRIO as usize] = Limit { soft: 0, hard: 0 };
    limits
};

/// `struct rlimit64`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct UserLimit {
    soft: u64,
    hard: u64,
}

/// The new limit, if it may be set: EINVAL, EPERM for more than the hard limit without the capability.
fn checked(current: Limit, soft: u64, hard: u64, capable: bool) -> Result<Limit> {
    if soft > hard {
        return Err(Errno::INVAL);
    }
    if hard > current.hard && !capable {
        return Err(Errno::PERM);
    }
    Ok(Limit { soft, hard })
}

/// The descriptor table's largest size, `/proc/sys/fs/nr_open`: RLIMIT_NOFILE can't be higher.
const OPEN_MAX: u64 = 1 << 20;

/// `prlimit64(2)`.
pub fn prlimit64(call: &mut Call<'_>) -> Result<u64> {
    access(call, call.int(0), call.arg(1) as u32, call.arg(2), call.arg(3))
}

/// `getrlimit(2)`.
pub fn getrlimit(call: &mut Call<'_>) -> Result<u64> {
    let at = call.arg(1);
    if at == 0 {
        return Err(Errno::FAULT);
    }
    access(call, 0, call.arg(0) as u32, 0, at)
}

/// `setrlimit(2)`.
pub fn setrlimit(call: &mut Call<'_>) -> Result<u64> {
    let at = call.arg(1);
    if at == 0 {
        return Err(Errno::FAULT);
    }
    access(call, 0, call.arg(0) as u32, at, 0)
}

fn access(call: &mut Call<'_>, pid: i32, resource: u32, new: u64, old: u64) -> Result<u64> {
    let task = super::identity::named_thread(call, pid).map_err(|_| Errno::SRCH)?;
    let mine = call.task.credentials();
    if task.process.pid != call.task.process.pid && !same_user(call, &task) && !mine.capable(CAP_SYS_RESOURCE) {
        return Err(Errno::PERM);
    }
    let wanted: Option<UserLimit> = if new != 0 { Some(call.read_value(new)?) } else { None };
    let before = {
        let mut limits = lock(&task.process.limits);
        let place = usize::try_from(resource).ok().and_then(|at| limits.get_mut(at)).ok_or(Errno::INVAL)?;
        let before = *place;
        if let Some(UserLimit { soft, hard }) = wanted {
            if resource == libc::RLIMIT_NOFILE && hard > OPEN_MAX {
                return Err(Errno::PERM);
            }
            *place = checked(before, soft, hard, mine.capable(CAP_SYS_RESOURCE))?;
        }
        before
    };
    if let (libc::RLIMIT_CPU, Some(UserLimit { soft, hard })) = (resource, wanted) {
        task.process.timers.limit(&task.process, Limit { soft, hard })?;
    }
    if old != 0 {
        call.write_value(old, &UserLimit { soft: before.soft, hard: before.hard })?;
    }
    Ok(0)
}

fn same_user(call: &Call<'_>, task: &super::Task) -> bool {
    let (mine, theirs) = (call.task.credentials(), task.credentials());
    [theirs.uid, theirs.euid, theirs.suid].iter().all(|uid| *uid == mine.uid)
        && [theirs.gid, theirs.egid, theirs.sgid].iter().all(|gid| *gid == mine.gid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_lowered_by_all_and_raised_by_the_capable() {
        let current = Limit { soft: 5, hard: 10 };
        assert_eq!(checked(current, 10, 10, false), Ok(Limit { soft: 10, hard: 10 }));
        assert_eq!(checked(current, 11, 10, true), Err(Errno::INVAL));
        assert_eq!(checked(current, 5, 11, false), Err(Errno::PERM));
        assert_eq!(checked(current, 5, 11, true), Ok(Limit { soft: 5, hard: 11 }));
    }
}
