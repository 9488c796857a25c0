//! What is mapped where. Pure.

use std::collections::BTreeMap;

use super::area::Area;

/// The mappings of one address space.
pub struct Map {
    lowest: u64,
    end: u64,
    areas: BTreeMap<u64, Area>,
}

impl Map {
    /// Nothing is mapped; mappings lie in `lowest..end`.
    pub fn new(lowest: u64, end: u64) -> Map {
        Map { lowest, end, areas: BTreeMap::new() }
    }

    /// By rising address.
    pub fn areas(&self) -> impl DoubleEndedIterator<Item = &Area> {
        self.areas.values()
    }
}
