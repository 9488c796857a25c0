//! Memory policies (`man 7 numa`), on a machine with one node.

use super::super::place::{is_aligned, range_end};
use crate::call::Call;
use crate::task::lock;
use crate::{Errno, Result};

/// The highest MPOL_* mode (MPOL_WEIGHTED_INTERLEAVE).
const HIGHEST_MODE: u64 = 6;
/// MPOL_DEFAULT.
const DEFAULT: u64 = 0;
/// MPOL_PREFERRED.
const PREFERRED: u64 = 1;
/// MPOL_LOCAL.
const LOCAL: u64 = 4;
/// MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES | MPOL_F_NUMA_BALANCING.
const MODE_FLAGS: u64 = 0xe000;
/// MPOL_MF_STRICT | MPOL_MF_MOVE | MPOL_MF_MOVE_ALL.
const BIND_FLAGS: u64 = 7;
/// MPOL_F_NODE, MPOL_F_ADDR and MPOL_F_MEMS_ALLOWED.
const GET_FLAGS: (u64, u64, u64) = (1, 2, 4);
/// More bits than this in a node mask are EINVAL: those of a page, as in Linux.
const MASK_BITS: u64 = 4096 * 8;

/// Reads a node mask: whether it has node 0; EINVAL if it has others.
fn read_mask(call: &mut Call<'_>, address: u64, bits: u64) -> Result<bool> {
    let bits = bits.saturating_sub(1);
    if bits == 0 || address == 0 {
        return Ok(false);
    }
    if bits > MASK_BITS {
        return Err(Errno::INVAL);
    }
    let words: Vec<u64> = call.read_values(address, bits.div_ceil(64) as usize)?;
    let others = words.iter().enumerate().any(|(index, word)| if index == 0 { word & !1 != 0 } else { *word != 0 });
    if others { Err(Errno::INVAL) } else { Ok(words.first().is_some_and(|word| word & 1 == 1)) }
}

fn check_policy(call: &mut Call<'_>, mode: u64, mask: u64, bits: u64) -> Result<()> {
    let (kind, flags) = (mode & !MODE_FLAGS, mode & MODE_FLAGS);
    if kind > HIGHEST_MODE || flags & 0xc000 == 0xc000 {
        return Err(Errno::INVAL);
    }
    let some = read_mask(call, mask, bits)?;
    match kind {
        DEFAULT | LOCAL if some => Err(Errno::INVAL),
        DEFAULT | LOCAL | PREFERRED => Ok(()),
        _ if some => Ok(()),
        _ => Err(Errno::INVAL),
    }
}

/// `man 2 set_mempolicy`
pub fn set_mempolicy(call: &mut Call<'_>) -> Result<u64> {
    let [mode, mask, bits, ..] = call.args;
    check_policy(call, mode & 0xffff_ffff, mask, bits)?;
    Ok(0)
}

/// `man 2 mbind`
pub fn mbind(call: &mut Call<'_>) -> Result<u64> {
    let [start, length, mode, mask, bits, flags] = call.args;
    if flags & !BIND_FLAGS != 0 || !is_aligned(start) {
        return Err(Errno::INVAL);
    }
    check_policy(call, mode, mask, bits)?;
    let memory = call.task.memory();
    let state = lock(&memory.state);
    let end = range_end(&state.map, start, length).ok_or(Errno::INVAL)?;
    if state.map.first_gap(start, end).is_some() { Err(Errno::FAULT) } else { Ok(0) }
}

/// `man 2 get_mempolicy`: the policy is always the default one.
pub fn get_mempolicy(call: &mut Call<'_>) -> Result<u64> {
    let [mode, mask, bits, address, flags, _] = call.args;
    let (node, by_address, allowed) = GET_FLAGS;
    if flags & !(node | by_address | allowed) != 0 || (mask != 0 && bits < 2) {
        return Err(Errno::INVAL);
    }
    let only_allowed = flags & allowed != 0;
    if only_allowed && flags & (node | by_address) != 0 {
        return Err(Errno::INVAL);
    }
    if flags & by_address != 0 {
        lock(&call.task.memory().state).map.at(address).ok_or(Errno::FAULT)?;
    } else if address != 0 || flags & node != 0 {
        // MPOL_F_NODE alone asks where interleaving would go on, but nothing interleaves.
        return Err(Errno::INVAL);
    }
    if mode != 0 && !only_allowed {
        call.write(mode, &0_i32.to_ne_bytes())?;
    }
    if mask != 0 {
        let mut words = vec![0_u8; (bits.min(MASK_BITS).div_ceil(64) * 8) as usize];
        if let Some(first) = words.first_mut().filter(|_| only_allowed) {
            *first = 1;
        }
        call.write(mask, &words)?;
    }
    Ok(0)
}

/// `man 2 migrate_pages`: there is nowhere to go, and nothing that couldn't be moved.
pub fn migrate_pages(call: &mut Call<'_>) -> Result<u64> {
    let [_, bits, from, to, ..] = call.args;
    read_mask(call, from, bits)?;
    read_mask(call, to, bits)?;
    Ok(0)
}

/// `man 2 move_pages`: all pages are on node 0.
pub fn move_pages(call: &mut Call<'_>) -> Result<u64> {
    let [_, count, pages, nodes, status, flags] = call.args;
    if flags & !6 != 0 {
        return Err(Errno::INVAL);
    }
    for index in 0..count {
        let page: u64 = call.read_value(pages.wrapping_add(index.wrapping_mul(8)))?;
        if nodes != 0 && call.read_value::<i32>(nodes.wrapping_add(index.wrapping_mul(4)))? != 0 {
            return Err(Errno::NODEV);
        }
        let mapped = lock(&call.task.memory().state).map.at(page).is_some();
        let answer = if mapped { 0 } else { -Errno::FAULT.raw_os_error() };
        call.write(status.wrapping_add(index.wrapping_mul(4)), &answer.to_ne_bytes())?;
    }
    Ok(0)
}

/// `set_mempolicy_home_node(2)`
pub fn set_home_node(call: &mut Call<'_>) -> Result<u64> {
    let [start, _, node, flags, ..] = call.args;
    if !is_aligned(start) || flags != 0 || node != 0 { Err(Errno::INVAL) } else { Ok(0) }
}
