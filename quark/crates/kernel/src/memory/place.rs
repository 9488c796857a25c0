//! Where a new mapping goes, and whether it may be made. Pure.

use super::allowance::Allowance;
use super::area::{Area, Backing, Flags, PAGE, Protection};
use super::map::Map;
use crate::{Errno, Result};

/// Where MAP_32BIT puts mappings.
const BELOW_2G: (u64, u64) = (0x4000_0000, 0x8000_0000);
/// From where on MAP_ABOVE4G puts mappings.
const ABOVE_4G: u64 = 1 << 32;

/// How an address is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixed {
    /// As a hint; 0 is none.
    No,
    /// MAP_FIXED: what is there goes.
    Replace,
    /// MAP_FIXED_NOREPLACE: EEXIST.
    Keep,
}

/// In which part of the address space a mapping without a fixed address goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// Anywhere.
    Any,
    /// MAP_32BIT.
    Below2G,
    /// MAP_ABOVE4G.
    Above4G,
}

/// A mapping to be.
#[derive(Clone)]
pub struct MapRequest {
    /// A hint, or the address.
    pub address: u64,
    /// Bytes, not 0 and not yet rounded up.
    pub length: u64,
    /// See [`Fixed`].
    pub fixed: Fixed,
    /// See [`Zone`].
    pub zone: Zone,
    /// What it may be used for.
    pub protection: Protection,
    /// What else is true of it.
    pub flags: Flags,
    /// What is mapped.
    pub backing: Backing,
}

/// Rounds up to a page; `None` if that overflows.
pub fn page_up(length: u64) -> Option<u64> {
    length.checked_add(PAGE - 1).map(|length| length & !(PAGE - 1))
}

/// Whether it is the start of a page.
pub fn is_aligned(address: u64) -> bool {
    address.is_multiple_of(PAGE)
}

/// The end of a range of the guest that starts at a page, its length rounded up to pages; `None` if it leaves the address space.
pub fn range_end(map: &Map, start: u64, length: u64) -> Option<u64> {
    let end = start.checked_add(page_up(length)?)?;
    (end <= map.end()).then_some(end)
}

/// Where a mapping of `length` bytes goes: EINVAL, EEXIST, ENOMEM, and EPERM below what may be mapped.
/// `base` is where the search downwards begins.
pub fn place(map: &mut Map, base: u64, request: &MapRequest, length: u64, allowance: &Allowance) -> Result<u64> {
    if length > map.end() {
        return Err(Errno::NOMEM);
    }
    if request.fixed != Fixed::No {
        return place_fixed(map, request, length, allowance);
    }
    let hint = match request.address & !(PAGE - 1) {
        0 => 0,
        hint => hint.max(map.lowest()),
    };
    if request.zone == Zone::Below2G {
        return place_low(map, hint, length);
    }
    if hint != 0 && hint <= map.end() - length && is_free_guarded(map, hint, hint + length) {
        return Ok(hint);
    }
    let low = if request.zone == Zone::Above4G { ABOVE_4G } else { map.lowest() };
    let found = map.find_down(length, low, base);
    let found = found.or_else(|| map.find_up(length, base, map.end()));
    found.ok_or(Errno::NOMEM)
}

fn place_fixed(map: &Map, request: &MapRequest, length: u64, allowance: &Allowance) -> Result<u64> {
    let address = request.address;
    if address > map.end() - length {
        return Err(Errno::NOMEM);
    }
    if !is_aligned(address) {
        return Err(Errno::INVAL);
    }
    if address < map.lowest() {
        // The host would refuse it to us as well: even with CAP_SYS_RAWIO there is nothing below.
        return Err(if allowance.low { Errno::ACCESS } else { Errno::PERM });
    }
    if request.fixed == Fixed::Keep && !map.is_free(address, address + length) {
        return Err(Errno::EXIST);
    }
    Ok(address)
}

fn place_low(map: &Map, hint: u64, length: u64) -> Result<u64> {
    let (low, high) = BELOW_2G;
    if hint >= low && hint.checked_add(length).is_some_and(|end| end <= high) && is_free_guarded(map, hint, hint + length) {
        return Ok(hint);
    }
    map.find_up(length, low, high).ok_or(Errno::NOMEM)
}

/// Whether a range is free, and not in the gap below memory that grows down.
pub fn is_free_guarded(map: &Map, start: u64, end: u64) -> bool {
    map.at_or_above(start).is_none_or(|area| area.guarded_start() >= end)
}

/// The area that a request leads to, all checks done: also E2BIG-like EOVERFLOW of file offsets, EAGAIN for locked memory, ENOMEM for limits.
pub fn plan_map(map: &mut Map, base: u64, request: &MapRequest, allowance: &Allowance) -> Result<Area> {
    let length = page_up(request.length).filter(|length| *length != 0).ok_or(Errno::NOMEM)?;
    if let Backing::Object(_, offset) = &request.backing
        && offset.checked_add(length).is_none_or(|end| end > i64::MAX as u64)
    {
        return Err(Errno::OVERFLOW);
    }
    let start = place(map, base, request, length, allowance)?;
    let area = Area { start, end: start + length, protection: request.protection, flags: request.flags, backing: request.backing.clone() };
    check_limits(map, &area, allowance)?;
    Ok(area)
}

/// Whether an area fits into what a process may map, in place of what is there.
pub fn check_limits(map: &Map, area: &Area, allowance: &Allowance) -> Result<()> {
    let mut now = map.totals();
    for old in map.within(area.start, area.end).map(|old| old.part(area.start, area.end)) {
        now.all -= old.length();
        if old.is_data() {
            now.data -= old.length();
        }
        if old.flags.contains(Flags::LOCKED) {
            now.locked -= old.length();
        }
    }
    if area.flags.contains(Flags::LOCKED) {
        allowance.check_locked(now, area.length())?;
    }
    allowance.check_reserve(area, area.length())?;
    allowance.check_growth(now, area.length(), if area.is_data() { area.length() } else { 0 })
}
