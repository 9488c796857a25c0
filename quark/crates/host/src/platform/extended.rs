//! XSAVE areas, as they are in signal frames: what the host would restore. Processors without XSAVE, which some virtual machines emulate, have
//! FXSAVE's part of it alone.

use std::sync::LazyLock;

use rustix::io::Errno;

use crate::processor;

/// Of the area without a header: FXSAVE.
const LEGACY: usize = 512;
/// And the header.
const HEADER: usize = 64;
/// An area of all the state there is today takes 11 KiB.
const AREA_MAX: usize = 16384;
const MAGIC1: u32 = 0x4650_5853;
const MAGIC2: u32 = 0x4650_5845;

/// Offsets in `struct _fpstate_64`, whose end the host's kernel has to itself: `struct _fpx_sw_bytes`.
const MXCSR: usize = 24;
const MXCSR_MASK: usize = 28;
const MAGIC1_AT: usize = 464;
const EXTENDED_SIZE: usize = 468;
const FEATURES: usize = 472;
const STATE_SIZE: usize = 480;

/// The shape of the areas of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// All of it, with the last magic word.
    pub(super) size: usize,
    features: u64,
    mxcsr_mask: u32,
}

/// Bytes that tell the shape.
pub(super) const SHAPE_BYTES: usize = LEGACY;

fn u32_at(area: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(area.get(offset..offset + 4)?.try_into().ok()?))
}

fn u64_at(area: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(area.get(offset..offset + 8)?.try_into().ok()?))
}

/// Whether the host's kernel saves more than FXSAVE does: OSXSAVE of `cpuid`.
static HAS_XSAVE: LazyLock<bool> = LazyLock::new(|| processor::leaf(1)[2] & 1 << 27 != 0);

/// The shape of the area that starts with `area`, if it is one of this host.
pub(super) fn shape(area: &[u8]) -> Option<Shape> {
    if *HAS_XSAVE { extended_shape(area) } else { legacy_shape(area) }
}

fn legacy_shape(area: &[u8]) -> Option<Shape> {
    Some(Shape { size: LEGACY, features: 0, mxcsr_mask: mxcsr_mask(area)? })
}

/// As Linux has it for processors that don't say.
fn mxcsr_mask(area: &[u8]) -> Option<u32> {
    u32_at(area, MXCSR_MASK).map(|mask| if mask == 0 { 0xffbf } else { mask })
}

fn extended_shape(area: &[u8]) -> Option<Shape> {
    let size = u32_at(area, EXTENDED_SIZE)? as usize;
    let state = u32_at(area, STATE_SIZE)? as usize;
    let valid = u32_at(area, MAGIC1_AT)? == MAGIC1 && size <= AREA_MAX && state >= LEGACY + HEADER && state + 4 <= size;
    valid.then_some(Shape { size, features: u64_at(area, FEATURES)?, mxcsr_mask: mxcsr_mask(area)? })
}

/// Takes from an area without XSAVE what Linux says in it all the same: that another word comes behind it. None does, and guests have no room for it.
pub(super) fn forget_extension(area: &mut [u8]) {
    if let Some(words) = area.get_mut(MAGIC1_AT..LEGACY).filter(|_| !*HAS_XSAVE) {
        words.fill(0);
    }
}

/// The area for the host to restore: `area` with the host's own bytes of `current`, EINVAL if it would refuse.
pub(super) fn restorable(area: &[u8], current: &[u8]) -> Result<Vec<u8>, Errno> {
    let host = shape(current).ok_or(Errno::INVAL)?;
    if area.is_empty() {
        return Ok(initial(current));
    }
    if host.size == LEGACY { checked_legacy(area, host) } else { checked(area, current, host) }
}

fn checked_legacy(area: &[u8], host: Shape) -> Result<Vec<u8>, Errno> {
    let mxcsr = u32_at(area, MXCSR).ok_or(Errno::INVAL)?;
    if area.len() != LEGACY || mxcsr & !host.mxcsr_mask != 0 { Err(Errno::INVAL) } else { Ok(area.to_vec()) }
}

fn checked(area: &[u8], current: &[u8], host: Shape) -> Result<Vec<u8>, Errno> {
    let given = extended_shape(area).ok_or(Errno::INVAL)?;
    let mxcsr = u32_at(area, MXCSR).ok_or(Errno::INVAL)?;
    let state = u32_at(area, STATE_SIZE).ok_or(Errno::INVAL)? as usize;
    let present = u64_at(area, LEGACY).ok_or(Errno::INVAL)?;
    let rest = area.get(LEGACY + 8..LEGACY + HEADER).ok_or(Errno::INVAL)?;
    let whole = area.len() == host.size && given.size == host.size && u32_at(area, state) == Some(MAGIC2);
    if !whole || mxcsr & !host.mxcsr_mask != 0 || present & !host.features != 0 || rest.iter().any(|byte| *byte != 0) {
        return Err(Errno::INVAL);
    }
    let mut area = area.to_vec();
    area.get_mut(MAGIC1_AT..LEGACY).zip(current.get(MAGIC1_AT..LEGACY)).ok_or(Errno::INVAL)?.0.copy_from_slice(&current[MAGIC1_AT..LEGACY]);
    Ok(area)
}

/// The state of a fresh processor, in the shape of `current`.
fn initial(current: &[u8]) -> Vec<u8> {
    let mut area = current.to_vec();
    for (offset, byte) in area.iter_mut().enumerate() {
        let host = (MXCSR_MASK..MXCSR_MASK + 4).contains(&offset) || (MAGIC1_AT..LEGACY).contains(&offset) || offset >= current.len() - 4;
        if !host {
            *byte = 0;
        }
    }
    // FCW and MXCSR, as of the psABI.
    area[..2].copy_from_slice(&0x37fu16.to_le_bytes());
    area[MXCSR..MXCSR + 4].copy_from_slice(&0x1f80u32.to_le_bytes());
    area
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_of_processors_without_xsave_are_fxsaves() {
        let mut current = vec![7; LEGACY];
        current[MXCSR_MASK..MXCSR_MASK + 4].copy_from_slice(&0xffffu32.to_le_bytes());
        let host = legacy_shape(&current).expect("shape");
        assert_eq!((host.size, host.mxcsr_mask), (LEGACY, 0xffff));
        let fresh = initial(&current);
        assert_eq!((fresh.len(), u32_at(&fresh, MXCSR)), (LEGACY, Some(0x1f80)));
        assert_eq!(checked_legacy(&fresh, host).as_deref(), Ok(fresh.as_slice()));
        // Bits that the processor would fault for, and an area of another machine.
        let mut reserved = fresh.clone();
        reserved[MXCSR + 2] = 1;
        assert_eq!(checked_legacy(&reserved, host), Err(Errno::INVAL));
        assert_eq!(checked_legacy(&[0; LEGACY + HEADER], host), Err(Errno::INVAL));
        assert_eq!(legacy_shape(&[0; LEGACY]).map(|shape| shape.mxcsr_mask), Some(0xffbf));
    }
}
