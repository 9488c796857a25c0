//! The kernel process' own heap.

/// Gives the host back what is free in it.
pub fn trim() {
    // SAFETY: it frees what is free already.
    unsafe { libc::malloc_trim(0) };
}
