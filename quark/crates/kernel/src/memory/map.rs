//! What is mapped where. Pure.
//!
//! Areas never overlap, and no two that could be one touch ([`Area::joins`]).

use std::collections::BTreeMap;

use super::area::{Area, Flags};

/// The mappings of one address space.
#[derive(Clone)]
pub struct Map {
    lowest: u64,
    end: u64,
    areas: BTreeMap<u64, Area>,
    totals: Totals,
    searched: Searched,
}

/// How many bytes are mapped, of which kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Everything.
    pub all: u64,
    /// [`Area::is_data`].
    pub data: u64,
    /// What grows down.
    pub stack: u64,
    /// [`Area::is_text`].
    pub text: u64,
    /// `mlock`ed.
    pub locked: u64,
}

/// What the last search for free addresses has learnt: in `from..high`, no hole is larger than `hole`. So a search for more may start at `from`.
#[derive(Clone, Copy, Default)]
struct Searched {
    high: u64,
    from: u64,
    hole: u64,
}

impl Map {
    /// Nothing is mapped; mappings lie in `lowest..end`.
    pub fn new(lowest: u64, end: u64) -> Map {
        Map { lowest, end, areas: BTreeMap::new(), totals: Totals::default(), searched: Searched::default() }
    }

    /// The lowest address that may be mapped.
    pub fn lowest(&self) -> u64 {
        self.lowest
    }

    /// Behind the highest address that may be mapped.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// How much is mapped.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// All areas, by rising address.
    pub fn areas(&self) -> impl DoubleEndedIterator<Item = &Area> {
        self.areas.values()
    }

    /// The area that has `address`.
    pub fn at(&self, address: u64) -> Option<&Area> {
        self.areas.range(..=address).next_back().map(|(_, area)| area).filter(|area| address < area.end)
    }

    /// The lowest area that ends above `address`.
    pub fn at_or_above(&self, address: u64) -> Option<&Area> {
        self.at(address).or_else(|| self.areas.range(address..).next().map(|(_, area)| area))
    }

    /// The highest area that starts below `address`.
    pub fn below(&self, address: u64) -> Option<&Area> {
        self.areas.range(..address).next_back().map(|(_, area)| area)
    }

    /// The areas that have something in `start..end`, by rising address.
    pub fn within(&self, start: u64, end: u64) -> impl Iterator<Item = &Area> {
        let first = self.at(start).map_or(start, |area| area.start);
        self.areas.range(first..end.max(first)).map(|(_, area)| area)
    }

    /// Whether nothing in `start..end` is mapped.
    pub fn is_free(&self, start: u64, end: u64) -> bool {
        self.within(start, end).next().is_none()
    }

    /// The first address in `start..end` that is not mapped.
    pub fn first_gap(&self, start: u64, end: u64) -> Option<u64> {
        let mut covered = start;
        for area in self.within(start, end) {
            if area.start > covered {
                break;
            }
            covered = area.end;
        }
        (covered < end).then_some(covered)
    }

    /// Maps an area, in place of whatever was there. An empty one changes nothing.
    pub fn insert(&mut self, area: Area) {
        if area.start >= area.end {
            return;
        }
        self.remove(area.start, area.end);
        let (start, end) = (area.start, area.end);
        self.put(area);
        if self.at_or_above(end).is_some_and(|area| area.flags.contains(Flags::GROWS_DOWN)) {
            // What is below the new area is no longer kept free.
            self.note_hole(start);
        }
        self.join_at(end);
        self.join_at(start);
    }

    /// Unmaps what there is in `start..end`, and returns it.
    pub fn remove(&mut self, start: u64, end: u64) -> Vec<Area> {
        let removed = self.take(start, end);
        if !removed.is_empty() {
            self.note_hole(start);
        }
        removed
    }

    /// Changes the areas, or parts of areas, in `start..end`. `change` may change protection and flags.
    pub fn change(&mut self, start: u64, end: u64, mut change: impl FnMut(&mut Area)) {
        let mut seams = Vec::new();
        for mut area in self.take(start, end) {
            change(&mut area);
            seams.push(area.start);
            self.put(area);
        }
        for seam in seams {
            self.join_at(seam);
        }
        self.join_at(end);
    }

    /// Where `length` bytes are free in `low..high`: as high as possible.
    pub fn find_down(&mut self, length: u64, low: u64, high: u64) -> Option<u64> {
        let known = self.searched.high == high && length > self.searched.hole;
        let (from, mut hole) = if known { (self.searched.from, self.searched.hole) } else { (high, 0) };
        let mut top = self.areas.range(from..).next().map_or(from, |(_, area)| from.min(area.guarded_start()));
        let mut found = None;
        for area in self.areas.range(..from).rev().map(|(_, area)| area) {
            let bottom = area.end.max(low);
            let free = top.saturating_sub(bottom);
            if free >= length || top < low {
                found = (free >= length).then_some(top);
                break;
            }
            hole = hole.max(free);
            top = area.guarded_start();
        }
        let top = found.or_else(|| (top.checked_sub(low)? >= length).then_some(top))?;
        self.searched = Searched { high, from: top, hole };
        Some(top - length)
    }

    /// Where `length` bytes are free in `low..high`: as low as possible.
    pub fn find_up(&self, length: u64, low: u64, high: u64) -> Option<u64> {
        let mut bottom = low;
        for area in self.within(low, u64::MAX) {
            if area.guarded_start().min(high).saturating_sub(bottom) >= length {
                return Some(bottom);
            }
            bottom = bottom.max(area.end);
        }
        (high.saturating_sub(bottom) >= length).then_some(bottom)
    }

    fn take(&mut self, start: u64, end: u64) -> Vec<Area> {
        self.split_at(start);
        self.split_at(end);
        let keys: Vec<u64> = self.areas.range(start..end.max(start)).map(|(key, _)| *key).collect();
        let taken: Vec<Area> = keys.iter().filter_map(|key| self.areas.remove(key)).collect();
        for area in &taken {
            self.totals.count(area, u64::wrapping_sub);
        }
        taken
    }

    fn put(&mut self, area: Area) {
        self.totals.count(&area, u64::wrapping_add);
        self.areas.insert(area.start, area);
    }

    /// Makes `address` a border between two areas, if it is inside of one.
    fn split_at(&mut self, address: u64) {
        let Some(area) = self.at(address).filter(|area| area.start < address) else {
            return;
        };
        let (low, high) = (area.part(area.start, address), area.part(address, area.end));
        self.areas.insert(low.start, low);
        self.areas.insert(high.start, high);
    }

    /// Makes the areas on both sides of `address` one, if they can be.
    fn join_at(&mut self, address: u64) {
        let (Some(low), Some(high)) = (self.below(address), self.areas.get(&address)) else {
            return;
        };
        if !low.joins(high) {
            return;
        }
        let mut joined = low.clone();
        joined.end = high.end;
        self.areas.remove(&address);
        self.areas.insert(joined.start, joined);
    }

    /// There may be a hole at `address`, or one that ends there, that wasn't there before.
    fn note_hole(&mut self, address: u64) {
        let end = self.areas.range(address..).next().map_or(self.end, |(start, _)| *start);
        if end > self.searched.from {
            let start = self.below(address).map_or(0, |area| area.end);
            self.searched.hole = self.searched.hole.max(end - start);
        }
    }
}

impl Totals {
    fn count(&mut self, area: &Area, add: fn(u64, u64) -> u64) {
        let length = area.length();
        self.all = add(self.all, length);
        if area.is_data() {
            self.data = add(self.data, length);
        }
        if area.is_text() {
            self.text = add(self.text, length);
        }
        if area.flags.contains(Flags::GROWS_DOWN) {
            self.stack = add(self.stack, length);
        }
        if area.flags.contains(Flags::LOCKED) {
            self.locked = add(self.locked, length);
        }
    }
}

#[cfg(test)]
mod tests;
