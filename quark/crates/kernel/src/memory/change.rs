//! mmap, munmap and mprotect on a [`Memory`].

use quark_host::platform::{Context, HostCall};

use super::allowance::Allowance;
use super::area::{Area, Backing, Flags, Protection};
use super::host::{map_call, text_source, unmap_call};
use super::map::Map;
use super::place::{MapRequest, is_aligned, plan_map, range_end};
use super::{Memory, State};
use crate::task::lock;
use crate::{Errno, Result};

impl Memory {
    /// `mmap(2)`; the address. `populate`: MAP_POPULATE.
    pub fn map(&self, context: &mut Context, allowance: &Allowance, mut request: MapRequest, populate: bool) -> Result<u64> {
        let mut state = lock(&self.state);
        let state = &mut *state;
        request.flags |= state.future;
        let area = plan_map(&mut state.map, state.base, &request, allowance)?;
        let start = area.start;
        state.map_area(context, area, populate)?;
        Ok(start)
    }

    /// `munmap(2)`: EINVAL.
    pub fn unmap(&self, context: &mut Context, address: u64, length: u64) -> Result<()> {
        let mut state = lock(&self.state);
        let end = range_end(&state.map, address, length).filter(|end| *end != address && is_aligned(address)).ok_or(Errno::INVAL)?;
        if state.map.is_free(address, end) {
            return Ok(());
        }
        state.unpatch(context, address..end, false);
        context.call(&[unmap_call(address, end)])?;
        state.map.remove(address, end);
        Ok(())
    }

    /// `mprotect(2)`: EINVAL, ENOMEM for what isn't mapped (all below the first gap is changed), EACCES. `grows_down`: PROT_GROWSDOWN,
    /// the change starts where the area starts.
    pub fn protect(
        &self,
        context: &mut Context,
        allowance: &Allowance,
        range: (u64, u64),
        protection: Protection,
        grows_down: bool,
    ) -> Result<()> {
        let mut state = lock(&self.state);
        let (mut start, length) = range;
        if !is_aligned(start) {
            return Err(Errno::INVAL);
        }
        let end = range_end(&state.map, start, length).ok_or(Errno::NOMEM)?;
        if end == start {
            return Ok(());
        }
        if grows_down {
            start = state.start_of_growing(start)?;
        }
        let (end, outcome) = plan_protect(&state.map, start, end, protection, allowance);
        if end > start {
            if protection.contains(Protection::WRITE) {
                state.unpatch(context, start..end, true);
            }
            context.call(&[HostCall::Protect { address: start, length: end - start, protection: protection.bits() as i32 }])?;
            state.map.change(start, end, |area| area.protection = protection);
        }
        outcome
    }
}

/// How far protection may be changed from `start` on, and what the call answers then. Pure.
pub(super) fn plan_protect(map: &Map, start: u64, end: u64, protection: Protection, allowance: &Allowance) -> (u64, Result<()>) {
    let reached = map.first_gap(start, end).unwrap_or(end);
    let mut data = 0;
    for area in map.within(start, reached).map(|area| area.part(start, reached)) {
        let forbidden = (protection.contains(Protection::WRITE) && area.flags.contains(Flags::NEVER_WRITE))
            || (protection.contains(Protection::EXEC) && area.flags.contains(Flags::NEVER_EXEC))
            || (protection.contains(Protection::WRITE) && matches!(area.backing, Backing::Host(_)));
        if forbidden {
            return (area.start, Err(Errno::ACCESS));
        }
        let after = Area { protection, ..area.clone() };
        if after.is_data() && !area.is_data() {
            data += area.length();
            let fits = allowance.check_reserve(&after, area.length()).and_then(|()| allowance.check_growth(map.totals(), 0, data));
            if fits.is_err() {
                return (area.start, Err(Errno::NOMEM));
            }
        }
    }
    (reached, if reached < end { Err(Errno::NOMEM) } else { Ok(()) })
}

impl State {
    /// Makes the stub map an area, and then the map.
    pub(super) fn map_area(&mut self, context: &mut Context, area: Area, populate: bool) -> Result<()> {
        let text = text_source(&area);
        self.unpatch(context, area.start..area.end, false);
        context.call(&[map_call(&area, text.as_ref(), populate)])?;
        self.map.insert(area);
        Ok(())
    }

    /// The start of the area at `address`, which grows down: ENOMEM, EINVAL.
    fn start_of_growing(&self, address: u64) -> Result<u64> {
        let area = self.map.at(address).ok_or(Errno::NOMEM)?;
        if area.flags.contains(Flags::GROWS_DOWN) { Ok(area.start) } else { Err(Errno::INVAL) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::place::{Fixed, Zone};
    use super::super::remap::{RemapPlan, RemapRequest, plan_remap};
    use super::*;

    const LOW: u64 = 0x1_0000;
    const END: u64 = 0x7fff_0000_0000;
    const BASE: u64 = 0x7ffe_0000_0000;

    fn request(address: u64, length: u64, fixed: Fixed) -> MapRequest {
        let protection = Protection::READ | Protection::WRITE;
        MapRequest { address, length, fixed, zone: Zone::Any, protection, flags: Flags::empty(), backing: Backing::Anonymous }
    }

    fn add(map: &mut Map, request: &MapRequest) -> Result<u64> {
        let area = plan_map(map, BASE, request, &Allowance::ALL)?;
        let start = area.start;
        map.insert(area);
        Ok(start)
    }

    #[test]
    fn places_from_the_top_down_and_honours_hints() {
        let mut map = Map::new(LOW, END);
        assert_eq!(add(&mut map, &request(0, 1, Fixed::No)), Ok(BASE - 0x1000));
        assert_eq!(add(&mut map, &request(0, 0x2000, Fixed::No)), Ok(BASE - 0x3000));
        assert_eq!(add(&mut map, &request(0x50_0123, 0x1000, Fixed::No)), Ok(0x50_0000));
        assert_eq!(add(&mut map, &request(0x50_0000, 0x1000, Fixed::No)), Ok(BASE - 0x4000));
        assert_eq!(add(&mut map, &request(0x1, 0x1000, Fixed::No)), Ok(BASE - 0x5000));
        let low = MapRequest { zone: Zone::Below2G, ..request(0, 0x1000, Fixed::No) };
        assert_eq!(add(&mut map, &low), Ok(0x4000_0000));
        assert_eq!(add(&mut map, &low), Ok(0x4000_1000));
    }

    #[test]
    fn refuses_what_linux_refuses() {
        let mut map = Map::new(LOW, END);
        let mut plan = |request: MapRequest| plan_map(&mut map, BASE, &request, &Allowance::ALL).err();
        assert_eq!(plan(request(0, u64::MAX, Fixed::No)), Some(Errno::NOMEM));
        assert_eq!(plan(request(0, END + 1, Fixed::No)), Some(Errno::NOMEM));
        assert_eq!(plan(request(0x1001, 1, Fixed::Replace)), Some(Errno::INVAL));
        assert_eq!(plan(request(0x1000, 1, Fixed::Replace)), Some(Errno::PERM));
        assert_eq!(plan(request(END, 1, Fixed::Replace)), Some(Errno::NOMEM));
        assert_eq!(plan(request(END - 0x1000, 1, Fixed::Keep)), None);
        map.insert(plan_map(&mut map.clone(), BASE, &request(END - 0x1000, 1, Fixed::Keep), &Allowance::ALL).unwrap());
        let again = plan_map(&mut map, BASE, &request(END - 0x2000, 0x2000, Fixed::Keep), &Allowance::ALL);
        assert_eq!(again.err(), Some(Errno::EXIST));
    }

    #[test]
    fn limits_count_what_a_fixed_mapping_replaces() {
        let mut map = Map::new(LOW, END);
        add(&mut map, &request(0x10_0000, 0x4000, Fixed::Replace)).unwrap();
        let allowance = Allowance { total: 0x5000, ..Allowance::ALL };
        let plan = |map: &mut Map, request| plan_map(map, BASE, &request, &allowance).err();
        assert_eq!(plan(&mut map, request(0x10_0000, 0x5000, Fixed::Replace)), None);
        assert_eq!(plan(&mut map, request(0x10_0000, 0x6000, Fixed::Replace)), Some(Errno::NOMEM));
        assert_eq!(plan(&mut map, request(0, 0x2000, Fixed::No)), Some(Errno::NOMEM));
        let allowance = Allowance { data: 0x4000, ..Allowance::ALL };
        assert_eq!(plan_map(&mut map, BASE, &request(0, 1, Fixed::No), &allowance).err(), Some(Errno::NOMEM));
        let read = MapRequest { protection: Protection::READ, ..request(0, 1, Fixed::No) };
        assert!(plan_map(&mut map, BASE, &read, &allowance).is_ok());
    }

    #[test]
    fn protection_changes_up_to_the_first_gap() {
        let mut map = Map::new(LOW, END);
        add(&mut map, &request(0x10_0000, 0x2000, Fixed::Replace)).unwrap();
        add(&mut map, &request(0x10_3000, 0x1000, Fixed::Replace)).unwrap();
        let plan = plan_protect(&map, 0x10_0000, 0x10_4000, Protection::READ, &Allowance::ALL);
        assert_eq!(plan, (0x10_2000, Err(Errno::NOMEM)));
        map.change(0x10_1000, 0x10_2000, |area| area.flags |= Flags::NEVER_WRITE);
        let plan = plan_protect(&map, 0x10_0000, 0x10_2000, Protection::WRITE, &Allowance::ALL);
        assert_eq!(plan, (0x10_1000, Err(Errno::ACCESS)));
    }

    #[test]
    fn remaps() {
        let mut map = Map::new(LOW, END);
        let address = 0x10_0000;
        add(&mut map, &request(address, 0x4000, Fixed::Replace)).unwrap();
        let mut plan = |length, new_length, flags, new_address| {
            let request = RemapRequest { address, length, new_length, flags, new_address };
            plan_remap(&mut map, BASE, &request, &Allowance::ALL)
        };
        let (may_move, fixed, keep) = (libc::MREMAP_MAYMOVE, libc::MREMAP_FIXED, libc::MREMAP_DONTUNMAP);
        assert_eq!(plan(0x4000, 0x1000, 0, 0), Ok(RemapPlan::Shrink { address, end: 0x10_1000, old_end: 0x10_4000 }));
        assert_eq!(plan(0x4000, 0x8000, 0, 0), Ok(RemapPlan::Grow { address, length: 0x4000, new_length: 0x8000 }));
        assert_eq!(plan(0x2000, 0x8000, 0, 0), Err(Errno::NOMEM));
        let to = BASE - 0x8000;
        let moved = RemapPlan::Move { address, length: 0x2000, to, new_length: 0x8000, keep: false };
        assert_eq!(plan(0x2000, 0x8000, may_move, 0), Ok(moved));
        assert_eq!(plan(0x5000, 0x8000, may_move, 0), Err(Errno::FAULT));
        assert_eq!(plan(0x2000, 0, may_move, 0), Err(Errno::INVAL));
        assert_eq!(plan(0x2000, 0x2000, fixed, 0x20_0000), Err(Errno::INVAL));
        assert_eq!(plan(0x2000, 0x2000, fixed | may_move, 0x10_1000), Err(Errno::INVAL));
        let moved = RemapPlan::Move { address, length: 0x2000, to: 0x20_0000, new_length: 0x1000, keep: false };
        assert_eq!(plan(0x2000, 0x1000, fixed | may_move, 0x20_0000), Ok(moved));
        assert_eq!(plan(0, 0x1000, may_move, 0), Err(Errno::INVAL));
        assert_eq!(plan(0x2000, 0x1000, keep | may_move, 0), Err(Errno::INVAL));
        let kept = RemapPlan::Move { address, length: 0x2000, to: 0x30_0000, new_length: 0x2000, keep: true };
        assert_eq!(plan(0x2000, 0x2000, keep | may_move, 0x30_0000), Ok(kept));
        assert_eq!(plan(u64::MAX, 0x1000, 0, 0), Err(Errno::INVAL));
    }
}
