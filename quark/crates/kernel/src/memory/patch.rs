//! Patched system calls: the trampolines and changed bytes of an address space.
//!
//! Trampoline pages are not in the map, as the guest has not mapped them. They lie where the search for free addresses comes last; if the guest
//! takes their place all the same, or does something to patched text that it could notice, the patches are undone first.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quark_host::platform::{Context, HostCall, Registers};
use quark_patch::{Arena, Code, Patch, Patches, Site, Unpatchable, survey};

use super::area::{Area, Backing, Flags, ObjectKind, PAGE, Protection};
use super::map::Map;
use super::{Memory, State};
use crate::task::lock;
use crate::{Result, patching};

/// The code around a site that is looked at, bytes before and behind.
const AROUND: (u64, u64) = (512, 256);
/// Where trampolines may lie: so many bytes above the mappings, or below the program.
const ZONE: u64 = 32 << 20;
/// What a jump reaches, with room for the zone.
const REACH: u64 = (1 << 31) - 2 * ZONE;
/// Trampoline pages of one address space. Beyond, calls trap.
const PAGES: usize = 64;
/// The lowest pages stay free of everything, so that null pointers fault.
const LOWEST: u64 = 0x1_0000;

/// What is patched in an address space.
#[derive(Default)]
pub(super) struct Patching {
    arena: Arena,
    patches: Arc<Patches>,
    /// Counts the changes of `patches`.
    pub(super) generation: Arc<AtomicU64>,
}

impl Patching {
    /// The child's, whose memory has the same patches.
    pub(super) fn forked(&self) -> Patching {
        let generation = u64::from(!self.patches.is_empty());
        Patching { arena: self.arena.clone(), patches: self.patches.clone(), generation: Arc::new(generation.into()) }
    }

    /// The pages of trampolines, as they are mapped.
    pub(super) fn areas(&self) -> impl Iterator<Item = Area> {
        let protection = Protection::READ | Protection::EXEC;
        let area = move |start| Area { start, end: start + PAGE, protection, flags: Flags::empty(), backing: Backing::Anonymous };
        self.arena.pages().map(area)
    }

    /// Changes the patches, and has all threads look.
    fn change(&mut self, change: impl FnOnce(&mut Patches)) {
        change(Arc::make_mut(&mut self.patches));
        self.generation.fetch_add(1, Ordering::Release);
    }
}

impl Memory {
    /// The patches, if they are others than those of `generation`, and their generation.
    pub(crate) fn patches_since(&self, generation: u64) -> Option<(u64, Arc<Patches>)> {
        if self.generation.load(Ordering::Acquire) == generation {
            return None;
        }
        let state = lock(&self.state);
        Some((self.generation.load(Ordering::Acquire), state.patching.patches.clone()))
    }

    /// Patches the system call at `site`, at which a thread has trapped with `registers`, if it can be. Otherwise it goes on trapping.
    pub(crate) fn patch(&self, context: &mut Context, site: u64, registers: &Registers) {
        let Some(fast) = patching::fast_entry() else { return };
        let mut state = lock(&self.state);
        let state = &mut *state;
        let Some(area) = state.map.at(site).filter(|area| may_be_patched(area)).cloned() else { return };
        let Ok(plan) = state.plan(context, &area, site, fast, registers) else { return };
        // Before it is so: a thread that comes upon it must find it here.
        state.patching.change(|patches| patches.insert(plan.patch.clone()));
        if context.call(&plan.calls()).is_err() {
            state.patching.change(|patches| patches.retire(plan.patch.overwritten.start));
            let _ = context.call(&plan.undo());
        }
    }

    /// Puts into `bytes`, which have been read at `address`, what is there without patches.
    pub(super) fn hide_patches(&self, address: u64, bytes: &mut [u8]) {
        let patches = lock(&self.state).patching.patches.clone();
        patches.hide(address, bytes);
    }
}

/// Whether an area's text may be changed: nobody else sees it, and the guest doesn't write it.
fn may_be_patched(area: &Area) -> bool {
    let file = matches!(&area.backing, Backing::Object(object, _) if matches!(object.kind, ObjectKind::File(_)));
    file && area.is_text() && area.protection.contains(Protection::READ) && !area.flags.contains(Flags::SHARED)
}

/// A patch, and the host calls that make it.
struct Plan {
    patch: Patch,
    /// To be mapped first.
    new_page: Option<u64>,
    /// The eight bytes that are written at once, and where.
    word: (u64, u64),
    /// Of the text.
    protection: Protection,
}

impl Plan {
    fn calls(&self) -> Vec<HostCall<'static>> {
        let page = self.patch.at & !(PAGE - 1);
        let mut calls = Vec::new();
        calls.extend(self.new_page.map(|address| HostCall::Map {
            address,
            length: PAGE,
            protection: libc::PROT_READ,
            flags: libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            file: None,
        }));
        calls.push(protect(page, PAGE, Protection::all()));
        calls.extend(words(&self.patch).into_iter().map(|(address, value)| HostCall::Store { address, value }));
        calls.push(protect(page, PAGE, Protection::READ | Protection::EXEC));
        let (text, length) = pages(self.word.0);
        calls.push(protect(text, length, Protection::all()));
        calls.push(HostCall::Store { address: self.word.0, value: self.word.1 });
        calls.push(protect(text, length, self.protection));
        calls
    }

    /// What leaves everything as it was but for the trampoline, after any number of the calls. No bytes have changed: that comes last.
    fn undo(&self) -> [HostCall<'static>; 1] {
        let (text, length) = pages(self.word.0);
        [protect(text, length, self.protection)]
    }
}

fn protect(address: u64, length: u64, protection: Protection) -> HostCall<'static> {
    HostCall::Protect { address, length, protection: protection.bits() as i32 }
}

/// The pages that eight bytes lie on.
fn pages(word: u64) -> (u64, u64) {
    let start = word & !(PAGE - 1);
    (start, ((word + 7) & !(PAGE - 1)) + PAGE - start)
}

/// A trampoline as aligned words. What is in the first and last of them besides is nobody's.
fn words(patch: &Patch) -> Vec<(u64, u64)> {
    let start = patch.at & !7;
    let lead = (patch.at - start) as usize;
    let mut bytes = vec![0xcc; lead];
    bytes.extend_from_slice(&patch.trampoline);
    let value = |chunk: &[u8]| chunk.iter().rev().fold(0xcccc_cccc_cccc_cccc, |value: u64, byte| value << 8 | u64::from(*byte));
    (start..).step_by(8).zip(bytes.chunks(8).map(value)).collect()
}

/// Writes five bytes of text back.
fn rewrite(context: &mut Context, start: u64, bytes: &[u8], protection: Protection) -> Result<()> {
    let (page, length) = pages(start);
    let mut word = [0; 8];
    context.read(start, &mut word)?;
    word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    let store = HostCall::Store { address: start, value: u64::from_le_bytes(word) };
    context.call(&[protect(page, length, Protection::all()), store, protect(page, length, protection)]).map(drop)
}

impl State {
    /// Whether [`State::unpatch`] has anything to do there.
    pub(super) fn has_patches(&self, range: Range<u64>) -> bool {
        let patches = &self.patching.patches;
        let pages = self.patching.arena.pages().any(|page| page < range.end && page + PAGE > range.start);
        pages || patches.within(range.clone()).next().is_some() || patches.through(range).next().is_some()
    }

    /// Undoes what the guest could notice, or would destroy, before `range` changes. `stays`: its bytes do, elsewhere or to be written.
    pub(super) fn unpatch(&mut self, context: &mut Context, range: Range<u64>, stays: bool) {
        let patches = &self.patching.patches;
        let pages: Vec<u64> = self.patching.arena.pages().filter(|page| *page < range.end && page + PAGE > range.start).collect();
        let within: Vec<&Patch> = patches.within(range.clone()).collect();
        if pages.is_empty() && within.is_empty() {
            return;
        }
        let whole = |patch: &Patch| range.start <= patch.overwritten.start && patch.overwritten.end <= range.end;
        let kept = within.iter().copied().filter(|patch| stays || !whole(patch));
        for patch in kept.chain(patches.through(range.clone())) {
            let start = patch.overwritten.start;
            let protection = self.map.at(start).map_or(Protection::READ, |area| area.protection);
            // It fails where the guest has unmapped it otherwise, and so has nothing there.
            let _ = rewrite(context, start, &patch.original, protection);
        }
        let gone: Vec<u64> = within.into_iter().chain(patches.through(range)).map(|patch| patch.overwritten.start).collect();
        self.patching.change(|patches| {
            gone.into_iter().for_each(|start| patches.retire(start));
            pages.iter().for_each(|page| patches.forget(*page..page + PAGE));
        });
        pages.into_iter().for_each(|page| self.patching.arena.remove_page(page));
    }

    /// Plans a patch: where it can't be, an error that nobody needs.
    fn plan(&mut self, context: &mut Context, area: &Area, site: u64, fast: u64, registers: &Registers) -> Result<Plan, Unpatchable> {
        let from = site.saturating_sub(AROUND.0).max(area.start);
        let to = site.saturating_add(AROUND.1).min(area.end);
        let mut raw = vec![0; to.saturating_sub(from) as usize];
        context.read(from, &mut raw).map_err(|_| Unpatchable::NoSyscall)?;
        let mut bytes = raw.clone();
        self.patching.patches.hide(from, &mut bytes);
        let found = survey(Code { address: from, bytes: &bytes }, site)?;
        let word_at = found.atomic_word().ok_or(Unpatchable::NoRoom)?;
        // The code before the site was not executed as it looks, or another patch has changed it.
        if !found.agrees(&general(registers)) || self.patching.patches.within(found.start()..found.resume()).next().is_some() {
            return Err(Unpatchable::Ambiguous);
        }
        let word = Code { address: from, bytes: &raw }.at(word_at, 8).ok_or(Unpatchable::NoRoom)?;
        let mut word: [u8; 8] = word.try_into().map_err(|_| Unpatchable::NoRoom)?;
        let placement = self.place_trampoline(&found, area, fast)?;
        for (at, byte) in placement.patch.overwritten.clone().zip(placement.patch.bytes) {
            if let Some(changed) = word.get_mut((at - word_at) as usize) {
                *changed = byte;
            }
        }
        let word = (word_at, u64::from_le_bytes(word));
        Ok(Plan { patch: placement.patch, new_page: placement.new_page, word, protection: area.protection })
    }

    fn place_trampoline(&mut self, site: &Site, area: &Area, fast: u64) -> Result<quark_patch::Placement, Unpatchable> {
        let full = self.patching.arena.pages().count() >= PAGES;
        let free = if full { Vec::new() } else { zone(&self.map, self.base, area.start) };
        self.patching.arena.place(site, fast, &free)
    }
}

/// The general registers by the processor's numbers.
fn general(r: &Registers) -> [u64; 16] {
    [r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15]
}

/// Free addresses for the trampolines of text at `text`, where the guest's own mappings come last: above `base`, or below the program. Pure.
fn zone(map: &Map, base: u64, text: u64) -> Vec<Range<u64>> {
    let (start, end) = if text.abs_diff(base) < REACH {
        (base, base.saturating_add(ZONE).min(map.end()))
    } else {
        // Programs are a few areas with small gaps.
        let mut bottom = text;
        while let Some(area) = map.below(bottom).filter(|area| area.end.saturating_add(ZONE) > bottom && bottom - area.start < REACH) {
            bottom = area.start;
        }
        (bottom.saturating_sub(ZONE).max(LOWEST), bottom)
    };
    let mut free = Vec::new();
    let mut from = start;
    for area in map.within(start, end) {
        free.push(from..area.guarded_start().max(from));
        from = area.end;
    }
    free.push(from..end.max(from));
    free.retain(|range| !range.is_empty());
    free
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    fn area(start: u64, end: u64) -> Area {
        Area { start, end, protection: Protection::READ, flags: Flags::empty(), backing: Backing::Anonymous }
    }

    #[test]
    fn trampolines_of_libraries_lie_above_the_mappings_and_those_of_programs_below() {
        let (base, program) = (0x7ffe_0000_0000, 0x5555_5555_4000);
        let mut map = Map::new(0x1_0000, 0x7fff_0000_0000);
        map.insert(area(base - 0x10_0000, base));
        map.insert(area(program, program + 0x1000));
        map.insert(area(program + 0x3000, program + 0x5000));
        assert_eq!(zone(&map, base, base - 0x10_0000), from_ref(&(base..base + ZONE)));
        assert_eq!(zone(&map, base, program + 0x3000), from_ref(&(program - ZONE..program)));
        map.insert(area(base + 0x1000, base + 0x2000));
        assert_eq!(zone(&map, base, base - 0x10_0000), [base..base + 0x1000, base + 0x2000..base + ZONE]);
    }

    #[test]
    fn programs_at_the_bottom_leave_the_lowest_pages_free() {
        let mut map = Map::new(0x1_0000, 0x7fff_0000_0000);
        map.insert(area(0x40_0000, 0x50_0000));
        assert_eq!(zone(&map, 0x7ffe_0000_0000, 0x40_0000), from_ref(&(LOWEST..0x40_0000)));
    }

    #[test]
    fn words_cover_two_pages_only_if_they_cross() {
        assert_eq!(pages(0x1ff8), (0x1000, 0x1000));
        assert_eq!(pages(0x1ff9), (0x1000, 0x2000));
    }
}
