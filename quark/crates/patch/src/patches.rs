//! The patches of one address space, and the translation of addresses that they require.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::Patch;

/// What has been patched in an address space.
#[derive(Clone, Debug, Default)]
pub struct Patches {
    /// By the start of the overwritten bytes.
    sites: BTreeMap<u64, Arc<Patch>>,
    /// By the start of the trampoline; those too that no jump leads to any more, as threads may still be there.
    trampolines: BTreeMap<u64, Arc<Patch>>,
}

impl Patches {
    /// Notes a patch.
    pub fn insert(&mut self, patch: Patch) {
        let patch = Arc::new(patch);
        self.trampolines.insert(patch.at, patch.clone());
        self.sites.insert(patch.overwritten.start, patch);
    }

    /// Notes that the bytes from `start` on are as they were, or gone. The trampoline stays: a thread may be in it.
    pub fn retire(&mut self, start: u64) {
        self.sites.remove(&start);
    }

    /// Forgets retired trampolines in a range that is no longer theirs.
    pub fn forget(&mut self, range: Range<u64>) {
        self.trampolines.retain(|at, _| !range.contains(at));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sites.len()
    }

    /// Whether nothing is patched.
    pub fn is_empty(&self) -> bool {
        self.sites.is_empty()
    }

    /// The original address for one in a trampoline; any other as it is. For all that shows a guest its own registers.
    pub fn original(&self, address: u64) -> u64 {
        let nearest = self.trampolines.range(..=address).next_back();
        nearest.and_then(|(_, patch)| patch.original(address)).unwrap_or(address)
    }

    /// Where a thread has to go on whose instruction at `address` has been overwritten; any other address as it is.
    pub fn resume(&self, address: u64) -> u64 {
        let from = address.saturating_sub(crate::jump::JUMP);
        self.sites.range(from..=address).find_map(|(_, patch)| patch.resume(address)).unwrap_or(address)
    }

    /// The patches that overwrite bytes of a range.
    pub fn within(&self, range: Range<u64>) -> impl Iterator<Item = &Patch> {
        let from = range.start.saturating_sub(crate::jump::JUMP);
        let sites = if from < range.end { Some(self.sites.range(from..range.end)) } else { None };
        sites.into_iter().flatten().map(|(_, patch)| patch.as_ref()).filter(move |patch| patch.overwritten.end > range.start)
    }

    /// The patches whose trampolines lie in a range.
    pub fn through(&self, range: Range<u64>) -> impl Iterator<Item = &Patch> {
        self.sites.values().map(Arc::as_ref).filter(move |patch| patch.code().start < range.end && patch.code().end > range.start)
    }

    /// Puts the original bytes into `bytes`, which were read at `address`: what a debugger is shown.
    pub fn hide(&self, address: u64, bytes: &mut [u8]) {
        let end = address.saturating_add(bytes.len() as u64);
        for patch in self.within(address..end) {
            for (at, byte) in patch.overwritten.clone().zip(patch.original) {
                let index = at.checked_sub(address).and_then(|index| usize::try_from(index).ok());
                if let Some(shown) = index.and_then(|index| bytes.get_mut(index)) {
                    *shown = byte;
                }
            }
        }
    }
}
