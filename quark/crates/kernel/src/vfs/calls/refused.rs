//! Calls that no container may make, or that this kernel has not: each with the errno that Linux gives to those without the right.

use crate::call::Call;
use crate::dispatch::Calls;
use crate::{Errno, Result};

pub const CALLS: Calls = &[
    (libc::SYS_name_to_handle_at, |_| Err(Errno::OPNOTSUPP)),
    (libc::SYS_open_by_handle_at, not_permitted),
    (libc::SYS_fanotify_init, not_permitted),
    (libc::SYS_fanotify_mark, not_permitted),
    (libc::SYS_quotactl, not_permitted),
    (libc::SYS_quotactl_fd, not_permitted),
    (libc::SYS_lookup_dcookie, |_| Err(Errno::NOSYS)),
    (libc::SYS_uselib, |_| Err(Errno::NOSYS)),
    (libc::SYS_sysfs, |_| Err(Errno::NOSYS)),
    (libc::SYS_ustat, |_| Err(Errno::NOSYS)),
    (libc::SYS_nfsservctl, |_| Err(Errno::NOSYS)),
];

fn not_permitted(_: &mut Call<'_>) -> Result<u64> {
    Err(Errno::PERM)
}
