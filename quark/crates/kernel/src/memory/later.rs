//! Changes of private memory that a process' only thread makes on its way back to the guest, after they are written down: one hand-over less. If the
//! host refuses, they are undone.

use quark_host::platform::HostCall;

use super::allowance::Allowance;
use super::area::{Area, Backing, Flags, Protection};
use super::change::plan_protect;
use super::host::{map_call, unmap_call};
use super::place::{MapRequest, is_aligned, plan_map, range_end};
use super::{Memory, State};
use crate::task::lock;

/// A change that is written down and still to be made.
pub struct Later {
    /// What makes it.
    pub call: HostCall<'static>,
    undo: Undo,
}

enum Undo {
    Unmap(u64, u64),
    /// Puts these in the place of what is there.
    Restore(Vec<Area>),
}

impl Memory {
    /// [`Memory::map`] of plain memory where nothing is yet: the address. `None` if it has to be made at once, or fails.
    pub(crate) fn map_later(&self, allowance: &Allowance, request: &MapRequest) -> Option<(u64, Later)> {
        let mut state = self.for_later()?;
        let mut request = request.clone();
        request.flags |= state.future;
        let base = state.base;
        let area = plan_map(&mut state.map, base, &request, allowance).ok()?;
        let (start, end) = (area.start, area.end);
        if !is_plain(&area) || !state.map.is_free(start, end) || state.has_patches(start..end) {
            return None;
        }
        let HostCall::Map { address, length, protection, flags, file: None } = map_call(&area, None, false) else { return None };
        state.map.insert(area);
        let call = HostCall::Map { address, length, protection, flags, file: None };
        Some((start, Later { call, undo: Undo::Unmap(start, end) }))
    }

    /// [`Memory::unmap`] of plain memory only: what else is unmapped is let go at once.
    pub(crate) fn unmap_later(&self, address: u64, length: u64) -> Option<Later> {
        let mut state = self.for_later()?;
        let end = range_end(&state.map, address, length).filter(|end| *end != address && is_aligned(address))?;
        if state.map.is_free(address, end) || !state.map.within(address, end).all(is_plain) || state.has_patches(address..end) {
            return None;
        }
        let areas = state.map.remove(address, end);
        Some(Later { call: unmap_call(address, end), undo: Undo::Restore(areas) })
    }

    /// [`Memory::protect`] of all of a range of plain memory.
    pub(crate) fn protect_later(&self, allowance: &Allowance, (start, length): (u64, u64), protection: Protection) -> Option<Later> {
        let mut state = self.for_later()?;
        let end = range_end(&state.map, start, length).filter(|end| *end != start && is_aligned(start))?;
        let whole = plan_protect(&state.map, start, end, protection, allowance) == (end, Ok(()));
        if !whole || !state.map.within(start, end).all(is_plain) || state.has_patches(start..end) {
            return None;
        }
        let before = state.map.within(start, end).map(|area| area.part(start, end)).collect();
        state.map.change(start, end, |area| area.protection = protection);
        let call = HostCall::Protect { address: start, length: end - start, protection: protection.bits() as i32 };
        Some(Later { call, undo: Undo::Restore(before) })
    }

    /// The host has refused.
    pub(crate) fn undo(&self, later: Later) {
        let map = &mut lock(&self.state).map;
        match later.undo {
            Undo::Unmap(start, end) => drop(map.remove(start, end)),
            Undo::Restore(areas) => areas.into_iter().for_each(|area| map.insert(area)),
        }
    }

    /// The map, if no other thread could come across what is not made yet.
    fn for_later(&self) -> Option<std::sync::MutexGuard<'_, State>> {
        self.space.has_one_thread().then(|| lock(&self.state))
    }
}

fn is_plain(area: &Area) -> bool {
    matches!(area.backing, Backing::Anonymous) && !area.flags.contains(Flags::SHARED)
}

#[cfg(test)]
mod tests {
    use super::super::map::Map;
    use super::*;

    #[test]
    fn what_was_changed_is_as_before_when_its_parts_are_restored() {
        let mut map = Map::new(0x1_0000, 0x7fff_0000_0000);
        let flags = Flags::empty();
        map.insert(Area { start: 0x10_0000, end: 0x10_4000, protection: Protection::READ, flags, backing: Backing::Anonymous });
        let show = |map: &Map| map.areas().map(|area| (area.start, area.end, area.protection)).collect::<Vec<_>>();
        let before = (show(&map), map.totals());
        let parts: Vec<Area> = map.within(0x10_1000, 0x10_2000).map(|area| area.part(0x10_1000, 0x10_2000)).collect();
        map.change(0x10_1000, 0x10_2000, |area| area.protection = Protection::WRITE);
        assert_eq!(show(&map).len(), 3);
        parts.into_iter().for_each(|area| map.insert(area));
        assert_eq!((show(&map), map.totals()), before);
        let parts = map.remove(0x10_3000, 0x10_4000);
        parts.into_iter().for_each(|area| map.insert(area));
        assert_eq!((show(&map), map.totals()), before);
    }
}
