//! Where trampolines go: pages of the guest's address space that the guest does not see, within reach of the jumps.

use std::ops::Range;

use crate::jump::{self, REFUSED};
use crate::{Patch, Site, Unpatchable};

/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// Trampolines begin at multiples of this.
const SLOT: u64 = 16;
const SLOTS: usize = (PAGE / SLOT) as usize;
/// In each direction, so many pages from each starting point are tried for a new page.
const TRIED_PAGES: u64 = 32;
/// At most so many starting points.
const STARTING_POINTS: usize = 512;

/// The trampoline pages of one address space.
#[derive(Clone, Debug, Default)]
pub struct Arena {
    pages: Vec<Page>,
}

#[derive(Clone, Debug)]
struct Page {
    address: u64,
    used: [bool; SLOTS],
}

/// A patch, and the page that has to be mapped for it first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// What to write.
    pub patch: Patch,
    /// The address of a page that is not there yet; it is the arena's from now on.
    pub new_page: Option<u64>,
}

impl Arena {
    /// Takes room for a site's trampoline to `fast`, in a page that it has or in one of the `free` ranges (page aligned, ascending, of
    /// addresses that neither the guest nor anybody else uses).
    pub fn place(&mut self, site: &Site, fast: u64, free: &[Range<u64>]) -> Result<Placement, Unpatchable> {
        let length = site.trampoline_max();
        let known = self.pages.iter().find_map(|page| page.fit(site, length));
        let (at, new_page) = match known {
            Some(at) => (at, None),
            None => self.grow(site, length, free).ok_or(Unpatchable::NoSlot)?,
        };
        let patch = site.build(at, fast)?;
        if let Some(address) = new_page {
            self.pages.push(Page { address, used: [false; SLOTS] });
        }
        self.mark(&patch.code(), true);
        Ok(Placement { patch, new_page })
    }

    /// Gives the room of a patch back that is no longer in use, by any thread.
    pub fn release(&mut self, patch: &Patch) {
        self.mark(&patch.code(), false);
    }

    /// The pages, each by its address.
    pub fn pages(&self) -> impl Iterator<Item = u64> + '_ {
        self.pages.iter().map(|page| page.address)
    }

    /// Forgets a page that is no longer mapped.
    pub fn remove_page(&mut self, address: u64) {
        self.pages.retain(|page| page.address != address);
    }

    fn mark(&mut self, code: &Range<u64>, used: bool) {
        for page in self.pages.iter_mut().filter(|page| page.address == code.start & !(PAGE - 1)) {
            let first = ((code.start - page.address) / SLOT) as usize;
            let last = ((code.end - page.address).div_ceil(SLOT)) as usize;
            page.used.iter_mut().take(last).skip(first).for_each(|slot| *slot = used);
        }
    }

    /// A new page, as near to the site as its jump allows.
    fn grow(&self, site: &Site, length: usize, free: &[Range<u64>]) -> Option<(u64, Option<u64>)> {
        starting_points(site).find_map(|from| {
            let from = from & !(PAGE - 1);
            let below = (0..TRIED_PAGES).filter_map(|i| from.checked_sub(i * PAGE));
            let above = (1..TRIED_PAGES).filter_map(|i| from.checked_add(i * PAGE));
            let near = free.iter().flat_map(|range| edges(range, from));
            below.chain(above).chain(near).find_map(|address| {
                let is_free =
                    free.iter().any(|range| range.start <= address && address.checked_add(PAGE).is_some_and(|end| end <= range.end));
                let known = self.pages.iter().any(|page| page.address == address);
                let fit = (is_free && !known).then(|| Page { address, used: [false; SLOTS] }.fit(site, length)).flatten();
                fit.map(|at| (at, Some(address)))
            })
        })
    }
}

impl Page {
    /// The first run of free slots that the site's jump may go to.
    fn fit(&self, site: &Site, length: usize) -> Option<u64> {
        jump::encode(site.start(), self.address)?;
        let needed = (length as u64).div_ceil(SLOT) as usize;
        (0..=SLOTS.checked_sub(needed)?).find_map(|first| {
            let at = self.address + first as u64 * SLOT;
            let free = self.used.iter().skip(first).take(needed).all(|used| !used);
            // Any address of the first slot will do: an instruction boundary behind the jump's first byte fixes the lowest byte.
            let shift = low_byte_shift(site, at)?;
            (free && jump::safe(site, at + shift).is_some()).then_some(at + shift)
        })
    }
}

/// How far behind `at`, less than a slot, a trampoline has to begin for a boundary at the second byte of the jump. 0 if there is none.
fn low_byte_shift(site: &Site, at: u64) -> Option<u64> {
    if !site.interior().any(|boundary| boundary == site.start().wrapping_add(1)) {
        return Some(0);
    }
    (0..SLOT).find(|shift| {
        (at + shift).wrapping_sub(site.start().wrapping_add(jump::JUMP)).to_le_bytes().first().is_some_and(|low| REFUSED.contains(low))
    })
}

/// Addresses around which trampolines for the site may lie, nearest first: around the site itself, or so far away that the high
/// bytes of the distance are refused ones.
fn starting_points(site: &Site) -> impl Iterator<Item = u64> {
    let start = site.start();
    let from = start.wrapping_add(jump::JUMP);
    let has = |offset: u64| site.interior().any(|at| at == start.wrapping_add(offset));
    let refused = || REFUSED.iter().map(|byte| i64::from(*byte));
    let (high, middle): (Vec<i64>, Vec<i64>) = match (has(4), has(3)) {
        (false, false) => (vec![0], vec![0]),
        (false, true) => ((-128..128).collect(), refused().collect()),
        (true, false) => (refused().map(|byte| i64::from(byte as i8)).collect(), vec![0, 64, 128, 192]),
        (true, true) => (refused().map(|byte| i64::from(byte as i8)).collect(), refused().collect()),
    };
    let mut distances: Vec<i64> = high.iter().flat_map(|high| middle.iter().map(move |middle| (high << 24) + (middle << 16))).collect();
    distances.sort_by_key(|distance| distance.unsigned_abs());
    distances.into_iter().take(STARTING_POINTS).filter_map(move |distance| from.checked_add_signed(distance))
}

/// Pages at the ends of a free range that are nearest to an address outside of it.
fn edges(range: &Range<u64>, from: u64) -> impl Iterator<Item = u64> {
    let pages = (range.end.saturating_sub(range.start) / PAGE).min(TRIED_PAGES);
    let (start, end, below) = (range.start, range.end, range.end <= from);
    (0..pages).map(move |i| if below { end - (i + 1) * PAGE } else { start + i * PAGE })
}
