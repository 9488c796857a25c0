//! How much of the host's memory this process takes.

use std::thread::available_parallelism;

unsafe extern "C" {
    /// The linker's: where the program begins in memory, and its code ends.
    static __executable_start: u8;
    static etext: u8;
}

/// Has threads share heaps, one a processor: the C library gives each a heap of its own, of which most have little to keep.
/// To be called before there are threads.
pub fn share_heaps() {
    let heaps = available_parallelism().map_or(1, |count| count.get().min(64) as i32);
    // SAFETY: a number for later; no other thread allocates meanwhile.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, heaps) };
}

/// Gives back what only the start has needed: free memory of the heaps, and this process' view of its program's code and constants, of which
/// the host shows again what is used. The pages are in the host's page cache all the same, for all processes of the program.
pub fn trim() {
    const PAGE: usize = 4096;
    // SAFETY: frees what is free.
    unsafe { libc::malloc_trim(0) };
    let start = (&raw const __executable_start).addr();
    let end = (&raw const etext).addr() & !(PAGE - 1);
    // SAFETY: private pages of a file that nobody has written to: they are read again when they are used. The linker keeps what is written to
    // (and what its relocations write to) behind the code.
    unsafe { libc::madvise(std::ptr::with_exposed_provenance_mut(start), end.saturating_sub(start), libc::MADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_trimmed_program_works_on() {
        super::share_heaps();
        let before = vec![7u8; 1 << 20];
        super::trim();
        assert!(before.iter().all(|byte| *byte == 7));
        assert_eq!(format!("{:?}", std::thread::spawn(|| 1 + 1).join().unwrap()), "2");
    }
}
