//! What host calls of a stub may ask for: the seccomp filter has it, and [`super::calls`] refuses the rest before a stub would die of it.

/// `mmap(2)`: nothing that takes memory which the host can't take back (MAP_LOCKED, MAP_HUGETLB), or that reaches further than memory.
pub(crate) const MAP_FLAGS: i32 = libc::MAP_SHARED
    | libc::MAP_PRIVATE
    | libc::MAP_FIXED
    | libc::MAP_FIXED_NOREPLACE
    | libc::MAP_ANONYMOUS
    | libc::MAP_NORESERVE
    | libc::MAP_POPULATE
    | libc::MAP_NONBLOCK
    | libc::MAP_STACK
    | libc::MAP_GROWSDOWN
    | libc::MAP_32BIT
    | libc::MAP_DENYWRITE
    | libc::MAP_EXECUTABLE;

/// `mremap(2)`: all that there are.
pub(crate) const REMAP_FLAGS: i32 = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;

/// `madvise(2)`: what concerns the guest's own memory only. Not MADV_MERGEABLE, by which neighbours could be watched, nor what breaks memory.
pub(crate) const ADVICE: &[i32] = &[
    libc::MADV_NORMAL,
    libc::MADV_RANDOM,
    libc::MADV_SEQUENTIAL,
    libc::MADV_WILLNEED,
    libc::MADV_DONTNEED,
    libc::MADV_FREE,
    libc::MADV_REMOVE,
    libc::MADV_DONTFORK,
    libc::MADV_DOFORK,
    libc::MADV_HUGEPAGE,
    libc::MADV_NOHUGEPAGE,
    libc::MADV_DONTDUMP,
    libc::MADV_DODUMP,
    libc::MADV_WIPEONFORK,
    libc::MADV_KEEPONFORK,
    libc::MADV_COLD,
    libc::MADV_PAGEOUT,
    libc::MADV_POPULATE_READ,
    libc::MADV_POPULATE_WRITE,
    libc::MADV_COLLAPSE,
    MADV_GUARD_INSTALL,
    MADV_GUARD_REMOVE,
];
const MADV_GUARD_INSTALL: i32 = 102;
const MADV_GUARD_REMOVE: i32 = 103;

/// `futex(2)`: kinds that wait, wake and move waiters, without priority inheritance. Those that a browser lets its pages' processes call.
pub(crate) const FUTEXES: &[i32] = &[
    libc::FUTEX_WAIT,
    libc::FUTEX_WAKE,
    libc::FUTEX_REQUEUE,
    libc::FUTEX_CMP_REQUEUE,
    libc::FUTEX_WAKE_OP,
    libc::FUTEX_WAIT_BITSET,
    libc::FUTEX_WAKE_BITSET,
];

/// What may go with them.
pub(crate) const FUTEX_FLAGS: i32 = libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME;

/// `membarrier(2)`: of the own process only. QUERY, PRIVATE_EXPEDITED, its registration, and the same with SYNC_CORE.
pub(crate) const BARRIERS: &[i32] = &[0, 1 << 3, 1 << 4, 1 << 5, 1 << 6];
