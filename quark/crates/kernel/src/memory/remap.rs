//! `mremap(2)`.

use quark_host::platform::{Context, HostCall};

use super::allowance::Allowance;
use super::area::{Area, Backing, Flags};
use super::host::unmap_call;
use super::map::Map;
use super::place::{Fixed, MapRequest, Zone, is_aligned, is_free_guarded, page_up, place};
use super::{Memory, State};
use crate::task::lock;
use crate::{Errno, Result};

/// The arguments of `mremap`, as the guest gave them.
#[derive(Clone, Copy, Debug)]
pub struct RemapRequest {
    /// `old_address`.
    pub address: u64,
    /// `old_size`.
    pub length: u64,
    /// `new_size`.
    pub new_length: u64,
    /// `MREMAP_*`.
    pub flags: i32,
    /// `new_address`, with MREMAP_FIXED.
    pub new_address: u64,
}

/// What a request comes to. Lengths are page aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemapPlan {
    /// It stays where it is, and ends earlier or as before.
    Shrink { address: u64, end: u64, old_end: u64 },
    /// It stays where it is, and ends later.
    Grow { address: u64, length: u64, new_length: u64 },
    /// It goes elsewhere. `keep`: the old place stays mapped (MREMAP_DONTUNMAP, or an `old_size` of 0).
    Move { address: u64, length: u64, to: u64, new_length: u64, keep: bool },
}

/// Decides what a request comes to: EINVAL, EFAULT for what isn't mapped as one area, ENOMEM, EAGAIN for locked memory. Pure.
pub fn plan_remap(map: &mut Map, base: u64, request: &RemapRequest, allowance: &Allowance) -> Result<RemapPlan> {
    let RemapRequest { address, flags, .. } = *request;
    let fixed = flags & libc::MREMAP_FIXED != 0;
    let may_move = flags & libc::MREMAP_MAYMOVE != 0;
    let keep = flags & libc::MREMAP_DONTUNMAP != 0;
    let unknown = flags & !(libc::MREMAP_FIXED | libc::MREMAP_MAYMOVE | libc::MREMAP_DONTUNMAP) != 0;
    if unknown || ((fixed || keep) && !may_move) || !is_aligned(address) {
        return Err(Errno::INVAL);
    }
    let length = page_up(request.length).ok_or(Errno::INVAL)?;
    let new_length = page_up(request.new_length).filter(|length| *length != 0).ok_or(Errno::INVAL)?;
    if keep && length != new_length {
        return Err(Errno::INVAL);
    }
    let area = map.at(address).ok_or(Errno::FAULT)?.clone();
    if fixed {
        check_target(map, request.new_address, new_length, address, length)?;
    }
    let old_end = address.checked_add(length).filter(|end| *end <= map.end()).ok_or(Errno::INVAL)?;
    if !fixed && !keep && length >= new_length {
        return Ok(RemapPlan::Shrink { address, end: address + new_length, old_end });
    }
    let moved = length.min(new_length);
    check_source(&area, address, moved, new_length, keep)?;
    check_growth(map, &area, new_length - moved, if keep || length == 0 { new_length } else { 0 }, allowance)?;
    if fixed {
        let to = request.new_address;
        return Ok(RemapPlan::Move { address, length, to, new_length, keep: keep || length == 0 });
    }
    if !keep && length != 0 && old_end == area.end && fits_in_place(map, old_end, address, new_length) {
        return Ok(RemapPlan::Grow { address, length, new_length });
    }
    if !may_move {
        return Err(Errno::NOMEM);
    }
    let to = place_moved(map, base, &area, request, new_length)?;
    Ok(RemapPlan::Move { address, length, to, new_length, keep: keep || length == 0 })
}

fn fits_in_place(map: &Map, end: u64, address: u64, new_length: u64) -> bool {
    address.checked_add(new_length).is_some_and(|new_end| new_end <= map.end() && is_free_guarded(map, end, new_end))
}

fn check_target(map: &Map, to: u64, new_length: u64, address: u64, length: u64) -> Result<()> {
    let overlaps = to < address.saturating_add(length) && address < to.saturating_add(new_length);
    let outside = to.checked_add(new_length).is_none_or(|end| end > map.end());
    if !is_aligned(to) || outside || overlaps {
        return Err(Errno::INVAL);
    }
    if to < map.lowest() { Err(Errno::PERM) } else { Ok(()) }
}

fn check_source(area: &Area, address: u64, length: u64, new_length: u64, keep: bool) -> Result<()> {
    match &area.backing {
        Backing::Host(_) => return Err(if keep { Errno::INVAL } else { Errno::FAULT }),
        Backing::Object(_, offset) => {
            let end = (offset + (address - area.start)).checked_add(new_length);
            end.filter(|end| *end <= i64::MAX as u64).ok_or(Errno::INVAL)?;
        }
        Backing::Anonymous => (),
    }
    if length == 0 && !area.flags.contains(Flags::SHARED) {
        return Err(Errno::INVAL);
    }
    if length > area.end - address { Err(Errno::FAULT) } else { Ok(()) }
}

fn check_growth(map: &Map, area: &Area, grown: u64, copied: u64, allowance: &Allowance) -> Result<()> {
    let more = grown.max(copied);
    if area.flags.contains(Flags::LOCKED) {
        allowance.check_locked(map.totals(), more)?;
    }
    if more == 0 {
        return Ok(());
    }
    allowance.check_reserve(area, more)?;
    allowance.check_growth(map.totals(), more, if area.is_data() { more } else { 0 })
}

fn place_moved(map: &mut Map, base: u64, area: &Area, request: &RemapRequest, new_length: u64) -> Result<u64> {
    // Without MREMAP_FIXED, MREMAP_DONTUNMAP takes the new address as a hint.
    let hint = if request.flags & libc::MREMAP_DONTUNMAP != 0 { request.new_address } else { 0 };
    let wanted = MapRequest {
        address: hint,
        length: new_length,
        fixed: Fixed::No,
        zone: Zone::Any,
        protection: area.protection,
        flags: area.flags,
        backing: area.backing.clone(),
    };
    place(map, base, &wanted, new_length, &Allowance::ALL)
}

impl Memory {
    /// `mremap(2)`; the new address.
    pub fn remap(&self, context: &mut Context, allowance: &Allowance, request: &RemapRequest) -> Result<u64> {
        let mut state = lock(&self.state);
        let state = &mut *state;
        match plan_remap(&mut state.map, state.base, request, allowance)? {
            RemapPlan::Shrink { address, end, old_end } => {
                if end < old_end {
                    state.unpatch(context, end..old_end, false);
                    context.call(&[unmap_call(end, old_end)])?;
                    state.map.remove(end, old_end);
                }
                Ok(address)
            }
            RemapPlan::Grow { address, length, new_length } => {
                state.unpatch(context, address + length..address + new_length, false);
                context.call(&[HostCall::Remap { address, length, new_address: address, new_length, flags: 0 }])?;
                let area = state.map.at(address).map(|area| area.part(address, address + length));
                if let Some(mut area) = area {
                    area.end = address + new_length;
                    state.map.insert(area);
                }
                Ok(address)
            }
            plan @ RemapPlan::Move { to, .. } => {
                state.move_area(context, plan)?;
                Ok(to)
            }
        }
    }
}

impl State {
    fn move_area(&mut self, context: &mut Context, plan: RemapPlan) -> Result<()> {
        let RemapPlan::Move { address, length, to, new_length, keep } = plan else {
            return Ok(());
        };
        let moved = length.min(new_length);
        let area = self.map.at(address).ok_or(Errno::FAULT)?.part(address, address + moved.max(1));
        let flags = if keep && length != 0 { libc::MREMAP_DONTUNMAP } else { 0 };
        self.unpatch(context, address..address + length.max(moved), true);
        self.unpatch(context, to..to + new_length, false);
        let result = context.call(&[HostCall::Remap { address, length, new_address: to, new_length, flags }]);
        if let Err(error) = result {
            // The host may have unmapped the target before it refused, and so does Linux.
            if !self.map.is_free(to, to + new_length) {
                context.call(&[unmap_call(to, to + new_length)])?;
                self.map.remove(to, to + new_length);
            }
            return Err(error);
        }
        if !keep {
            self.map.remove(address, address + length);
        }
        self.map.insert(Area { start: to, end: to + new_length, ..area });
        Ok(())
    }
}
