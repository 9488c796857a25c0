//! Which pages of a stub process it has to itself, as `/proc/PID/pagemap` tells (Linux' pagemap.rst).

use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::{Errno, pread};

use crate::procfs;

const PAGE: u64 = 4096;
/// Entries of pages that are read at once, where the host doesn't search.
const ENTRIES: u64 = 8192;
/// Regions that the host tells at once.
const REGIONS: usize = 512;

/// `_IOWR('f', 16, struct pm_scan_arg)`, Linux 6.7; what it tells of guards 6.15.
pub(crate) const PAGEMAP_SCAN: u64 = 0xc060_6610;
const PAGE_IS_FILE: u64 = 1 << 2;
const PAGE_IS_PRESENT: u64 = 1 << 3;
const PAGE_IS_SWAPPED: u64 = 1 << 4;
const PAGE_IS_PFNZERO: u64 = 1 << 5;
const PAGE_IS_GUARD: u64 = 1 << 8;

/// Bits of an entry.
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const OF_FILE: u64 = 1 << 61;
const GUARD: u64 = 1 << 58;

/// What is at pages that are not as they come from the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Something that the process, or who forked it, has written, or zeros.
    Own,
    /// Nothing: who touches them gets a fault (MADV_GUARD_INSTALL).
    Guard,
}

/// A process' page map.
pub struct PageMap {
    file: OwnedFd,
    searches: bool,
}

impl PageMap {
    /// Of the process `pid` of this pid namespace. ESRCH, ENOENT.
    pub fn open(pid: i32) -> Result<PageMap, Errno> {
        Ok(PageMap { file: procfs::page_map(pid)?, searches: true })
    }

    /// The pages in `range`, of private memory, that are not as they come from the mapping, by rising address.
    pub fn own(&mut self, range: Range<u64>) -> Result<Vec<(Content, Range<u64>)>, Errno> {
        let mut found = Vec::new();
        let mut at = range.start;
        while at < range.end {
            at = match self.searches.then(|| self.search(at..range.end, &mut found)) {
                Some(Err(Errno::NOTTY | Errno::INVAL | Errno::NOSYS)) => {
                    self.searches = false;
                    at
                }
                Some(end) => end?,
                None => self.look(at..range.end, &mut found)?,
            };
        }
        Ok(found)
    }

    /// By the host's search; how far it has come.
    fn search(&self, range: Range<u64>, found: &mut Vec<(Content, Range<u64>)>) -> Result<u64, Errno> {
        let mut regions = [[0u64; 3]; REGIONS];
        let any = PAGE_IS_PRESENT | PAGE_IS_SWAPPED | PAGE_IS_GUARD;
        let told = any | PAGE_IS_FILE | PAGE_IS_PFNZERO;
        let vector = regions.as_mut_ptr() as u64;
        let mut argument = [96, 0, range.start, range.end, 0, vector, REGIONS as u64, 0, 0, 0, any, told];
        // SAFETY: the argument has the layout of struct pm_scan_arg, and its vector room for as many regions as it says.
        let count = unsafe { libc::ioctl(self.file.as_raw_fd(), PAGEMAP_SCAN, argument.as_mut_ptr()) };
        if count < 0 {
            return Err(crate::platform::last_error());
        }
        for [start, end, what] in regions.into_iter().take(count as usize) {
            if what & PAGE_IS_GUARD != 0 {
                append(found, Content::Guard, start..end);
            } else if what & (PAGE_IS_FILE | PAGE_IS_PFNZERO) == 0 {
                append(found, Content::Own, start..end);
            }
        }
        Ok(argument[4].max(range.start + PAGE))
    }

    /// By the entries of some pages; how far it has come.
    fn look(&self, range: Range<u64>, found: &mut Vec<(Content, Range<u64>)>) -> Result<u64, Errno> {
        let count = ((range.end - range.start) / PAGE).clamp(1, ENTRIES);
        let mut entries = vec![0; count as usize * 8];
        let mut done = 0;
        while done < entries.len() {
            match pread(&self.file, &mut entries[done..], range.start / PAGE * 8 + done as u64)? {
                0 => return Err(Errno::IO),
                count => done += count,
            }
        }
        for (entry, start) in entries.chunks_exact(8).zip((range.start..).step_by(PAGE as usize)) {
            if let Some(content) = content(entry.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))) {
                append(found, content, start..start + PAGE);
            }
        }
        Ok(range.start + count * PAGE)
    }
}

/// What an entry tells of a page of private memory.
fn content(entry: u64) -> Option<Content> {
    if entry & GUARD != 0 {
        return Some(Content::Guard);
    }
    (entry & (PRESENT | SWAPPED) != 0 && entry & OF_FILE == 0).then_some(Content::Own)
}

fn append(found: &mut Vec<(Content, Range<u64>)>, content: Content, range: Range<u64>) {
    match found.last_mut() {
        Some((last, before)) if *last == content && before.end == range.start => before.end = range.end,
        _ => found.push((content, range)),
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{MemfdFlags, memfd_create};
    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

    use super::*;

    const PAGES: usize = 64;

    /// A private mapping of a file: some pages read, some written.
    fn touched() -> u64 {
        let file = memfd_create("file", MemfdFlags::CLOEXEC).unwrap();
        rustix::io::write(&file, &vec![1; PAGES * 4096]).unwrap();
        // SAFETY: a new mapping.
        let base = unsafe { mmap(std::ptr::null_mut(), PAGES * 4096, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE, &file, 0) };
        let base = base.unwrap().cast::<u8>();
        for page in 0..PAGES {
            // SAFETY: within the mapping, which nobody else knows.
            unsafe {
                assert_eq!(base.add(page * 4096).read_volatile(), 1);
                if page % 10 < 3 {
                    base.add(page * 4096 + 5).write_volatile(2);
                }
            }
        }
        base as u64
    }

    #[test]
    fn both_ways_find_what_was_written() {
        let base = touched();
        let end = base + PAGES as u64 * PAGE;
        let expected: Vec<_> = (0..7).map(|ten| (Content::Own, base + ten * 10 * PAGE..base + (ten * 10 + 3) * PAGE)).collect();
        for searches in [true, false] {
            let mut map = PageMap { searches, ..PageMap::open(std::process::id() as i32).unwrap() };
            assert_eq!(map.own(base..end).unwrap(), expected);
        }
        // SAFETY: nobody uses it any more.
        unsafe { munmap(base as *mut _, PAGES * 4096) }.unwrap();
    }

    #[test]
    fn guards_and_zeros_are_told_apart_where_the_host_has_guards() {
        // SAFETY: a new mapping.
        let base =
            unsafe { mmap_anonymous(std::ptr::null_mut(), 8 * 4096, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) }.unwrap();
        // SAFETY: within the mapping.
        unsafe {
            assert_eq!(base.cast::<u8>().add(4096).read_volatile(), 0);
            base.cast::<u8>().write_volatile(1);
            let _ = madvise(base, 4096, Advice::Normal);
        }
        let start = base as u64;
        // SAFETY: within the mapping; MADV_GUARD_INSTALL.
        let guarded = unsafe { libc::madvise(base.add(3 * 4096), 4096, 102) } == 0;
        let mut map = PageMap::open(std::process::id() as i32).unwrap();
        let found = map.own(start..start + 8 * PAGE).unwrap();
        assert_eq!(found[0].0, Content::Own);
        assert_eq!(found[0].1.start, start);
        assert_eq!(found.contains(&(Content::Guard, start + 3 * PAGE..start + 4 * PAGE)), guarded);
        // SAFETY: nobody uses it any more.
        unsafe { munmap(base, 8 * 4096) }.unwrap();
    }

    #[test]
    fn entries_of_what_the_process_has_to_itself() {
        assert_eq!(content(0), None);
        assert_eq!(content(PRESENT | 7), Some(Content::Own));
        assert_eq!(content(SWAPPED | 7), Some(Content::Own));
        assert_eq!(content(PRESENT | OF_FILE), None);
        assert_eq!(content(GUARD), Some(Content::Guard));
    }
}
