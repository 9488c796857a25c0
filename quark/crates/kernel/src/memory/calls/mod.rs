//! The system calls about memory.

mod advise;
mod lock;
mod map;
mod nodes;

pub use map::map_page;

use super::{memfd, peers, shm};
use crate::dispatch::Calls;

/// See [`crate::dispatch`].
pub const CALLS: Calls = &[
    (libc::SYS_mmap, map::mmap),
    (libc::SYS_munmap, map::munmap),
    (libc::SYS_mprotect, map::mprotect),
    (libc::SYS_mremap, map::mremap),
    (libc::SYS_brk, map::brk),
    (libc::SYS_remap_file_pages, map::remap_file_pages),
    (libc::SYS_madvise, advise::madvise),
    (libc::SYS_msync, advise::msync),
    (libc::SYS_mincore, advise::mincore),
    (libc::SYS_mlock, lock::mlock),
    (libc::SYS_mlock2, lock::mlock2),
    (libc::SYS_munlock, lock::munlock),
    (libc::SYS_mlockall, lock::mlockall),
    (libc::SYS_munlockall, lock::munlockall),
    (libc::SYS_mbind, nodes::mbind),
    (libc::SYS_set_mempolicy, nodes::set_mempolicy),
    (libc::SYS_get_mempolicy, nodes::get_mempolicy),
    (libc::SYS_migrate_pages, nodes::migrate_pages),
    (libc::SYS_move_pages, nodes::move_pages),
    (SET_MEMPOLICY_HOME_NODE, nodes::set_home_node),
    (libc::SYS_pkey_mprotect, map::pkey_mprotect),
    (libc::SYS_pkey_alloc, map::pkey_alloc),
    (libc::SYS_pkey_free, map::pkey_free),
    (libc::SYS_userfaultfd, map::userfaultfd),
    (libc::SYS_memfd_create, memfd::create),
    (libc::SYS_memfd_secret, map::memfd_secret),
    (libc::SYS_shmget, shm::shmget),
    (libc::SYS_shmat, shm::shmat),
    (libc::SYS_shmdt, shm::shmdt),
    (libc::SYS_shmctl, shm::shmctl),
    (libc::SYS_process_vm_readv, peers::process_vm_readv),
    (libc::SYS_process_vm_writev, peers::process_vm_writev),
    (libc::SYS_process_madvise, peers::process_madvise),
    (libc::SYS_process_mrelease, peers::process_mrelease),
];

/// `set_mempolicy_home_node`, which libc has no name for.
const SET_MEMPOLICY_HOME_NODE: i64 = 450;
