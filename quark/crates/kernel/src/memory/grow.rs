//! Memory that grows: the heap by `brk(2)`, the stack and MAP_GROWSDOWN by being touched.

use quark_host::platform::{Context, Fault};

use super::allowance::Allowance;
use super::area::{Area, Backing, Flags, GUARD, PAGE, Protection};
use super::host::unmap_call;
use super::map::Map;
use super::place::{check_limits, is_free_guarded, page_up};
use super::{Memory, State};
use crate::task::lock;
use crate::{Errno, Result};

/// How much the stack grows at once, in bytes: a fault costs some microseconds.
const STACK_STEP: u64 = 32 * PAGE;
/// SEGV_MAPERR.
const NOT_MAPPED: i32 = 1;

impl Memory {
    /// `brk(2)`: the end of the heap afterwards, which is what was asked for, or the old one.
    pub fn set_break(&self, context: &mut Context, allowance: &Allowance, wanted: u64) -> u64 {
        let mut state = lock(&self.state);
        let (start, end) = state.heap;
        if wanted < start || wanted == end {
            return end;
        }
        match state.move_break(context, allowance, wanted) {
            Ok(()) => {
                state.heap.1 = wanted;
                wanted
            }
            Err(_) => end,
        }
    }

    /// Whether a fault of a guest thread is no fault after all, because memory that grows down (MAP_GROWSDOWN, the stack) has now
    /// grown: the thread goes on where it was. Else it gets its signal.
    pub fn fault(&self, context: &mut Context, fault: &Fault, allowance: &Allowance) -> bool {
        if fault.signal != libc::SIGSEGV || fault.code != NOT_MAPPED {
            return false;
        }
        let mut state = lock(&self.state);
        if let Some(area) = state.map.at(fault.address) {
            // Another thread may have made it grow meanwhile.
            return area.flags.contains(Flags::GROWS_DOWN);
        }
        match plan_growth(&state.map, fault.address, allowance) {
            Some(area) => state.map_area(context, area, false).is_ok(),
            None => false,
        }
    }
}

/// The area to add below one that grows down, so that `address` is mapped. Pure.
fn plan_growth(map: &Map, address: u64, allowance: &Allowance) -> Option<Area> {
    let area = map.at_or_above(address).filter(|area| area.flags.contains(Flags::GROWS_DOWN))?;
    let page = address & !(PAGE - 1);
    let below = map.below(page);
    // Accessible memory below keeps its distance; a guard page of the guest's own (PROT_NONE) may be as near as it likes.
    let floor = below.map_or(map.lowest(), |below| {
        let apart = below.flags.contains(Flags::GROWS_DOWN) || below.protection.is_empty();
        below.end + if apart { 0 } else { GUARD }
    });
    let lowest = floor.max(area.end.saturating_sub(allowance.stack & !(PAGE - 1)));
    if page < lowest {
        return None;
    }
    let step = if area.flags.contains(Flags::STACK) { STACK_STEP } else { PAGE };
    let start = area.start.saturating_sub(step).max(lowest).min(page);
    let grown = Area { start, end: area.start, ..area.clone() };
    check_limits(map, &grown, allowance).ok()?;
    Some(grown)
}

impl State {
    fn move_break(&mut self, context: &mut Context, allowance: &Allowance, wanted: u64) -> Result<()> {
        let (start, end) = self.heap;
        let old = page_up(end).ok_or(Errno::NOMEM)?;
        let new = page_up(wanted).ok_or(Errno::NOMEM)?;
        if new <= old {
            if new < old {
                context.call(&[unmap_call(new, old)])?;
                self.map.remove(new, old);
            }
            return Ok(());
        }
        let data = self.image.data.1.saturating_sub(self.image.data.0);
        if (wanted - start).saturating_add(data) > allowance.data || new > self.map.end() {
            return Err(Errno::NOMEM);
        }
        // One page stays free above it, as Linux wants it.
        if !is_free_guarded(&self.map, old, new.saturating_add(PAGE)) {
            return Err(Errno::NOMEM);
        }
        let protection = Protection::READ | Protection::WRITE;
        let area = Area { start: old, end: new, protection, flags: self.future, backing: Backing::Anonymous };
        check_limits(&self.map, &area, allowance)?;
        self.map_area(context, area, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK_END: u64 = 0x7000_0000_0000;

    fn map(flags: Flags) -> Map {
        let mut map = Map::new(0x1_0000, 0x7fff_0000_0000);
        let protection = Protection::READ | Protection::WRITE;
        let (start, end) = (STACK_END - 0x2000, STACK_END);
        map.insert(Area { start, end, protection, flags: flags | Flags::GROWS_DOWN, backing: Backing::Anonymous });
        map
    }

    #[test]
    fn grows_to_the_touched_page_and_the_stack_some_more() {
        let allowance = Allowance { stack: 8 << 20, ..Allowance::ALL };
        let start = |flags, address| plan_growth(&map(flags), address, &allowance).map(|area| (area.start, area.end));
        assert_eq!(start(Flags::empty(), STACK_END - 0x2001), Some((STACK_END - 0x3000, STACK_END - 0x2000)));
        assert_eq!(start(Flags::empty(), STACK_END - 0x9001), Some((STACK_END - 0xa000, STACK_END - 0x2000)));
        assert_eq!(start(Flags::STACK, STACK_END - 0x2001), Some((STACK_END - 0x2000 - STACK_STEP, STACK_END - 0x2000)));
    }

    #[test]
    fn stops_at_the_limit_and_in_front_of_other_memory() {
        let allowance = Allowance { stack: 0x10000, ..Allowance::ALL };
        let mut map = map(Flags::STACK);
        let start = |address| plan_growth(&map, address, &allowance).map(|area| area.start);
        assert_eq!(start(STACK_END - 0x10000), Some(STACK_END - 0x10000));
        assert_eq!(start(STACK_END - 0x10001), None);
        let protection = Protection::READ;
        let (low, high) = (STACK_END - GUARD - 0x4000, STACK_END - GUARD - 0x3000);
        map.insert(Area { start: low, end: high, protection, flags: Flags::empty(), backing: Backing::Anonymous });
        assert_eq!(plan_growth(&map, STACK_END - 0x2001, &allowance).map(|area| area.start), Some(STACK_END - 0x3000));
        assert!(plan_growth(&map, STACK_END - 0x3001, &allowance).is_none());
    }
}
