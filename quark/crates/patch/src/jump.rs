//! The jump that replaces a window, and which trampoline addresses make it safe to land inside of it.

use crate::Site;

/// The length of `jmp rel32`.
pub(crate) const JUMP: u64 = 5;

/// First bytes of an instruction that every x86-64 processor refuses with #UD whatever follows (Intel SDM volume 2, tables
/// "i64"). Without 0xd5 and 0x62, 0xc4, 0xc5, which newer processors have made into prefixes.
pub const REFUSED: [u8; 19] =
    [0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x82, 0x9a, 0xce, 0xd4, 0xd6, 0xea];

/// `jmp rel32` from `start` to `target`; nothing if it is out of reach.
pub(crate) fn encode(start: u64, target: u64) -> Option<[u8; JUMP as usize]> {
    let distance = target.wrapping_sub(start.wrapping_add(JUMP)) as i64;
    let [a, b, c, d] = i32::try_from(distance).ok()?.to_le_bytes();
    Some([0xe9, a, b, c, d])
}

/// The jump of a site to a trampoline at `target`, if each instruction boundary in it has become a refused byte.
pub(crate) fn safe(site: &Site, target: u64) -> Option<[u8; JUMP as usize]> {
    let bytes = encode(site.start(), target)?;
    site.interior().all(|at| bytes.get((at - site.start()) as usize).is_some_and(|byte| REFUSED.contains(byte))).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use iced_x86::{Decoder, DecoderOptions};

    use super::*;

    #[test]
    fn refused_bytes_begin_no_instruction() {
        for first in REFUSED {
            for second in 0..=255u8 {
                let bytes = [first, second, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                assert!(Decoder::new(64, &bytes, DecoderOptions::NONE).decode().is_invalid(), "{first:#x} {second:#x}");
            }
        }
    }

    #[test]
    fn a_jump_reaches_two_gibibytes_and_no_further() {
        let start = 0x7000_0000_0000;
        assert_eq!(encode(start, start + 5), Some([0xe9, 0, 0, 0, 0]));
        assert_eq!(encode(start, start), Some([0xe9, 0xfb, 0xff, 0xff, 0xff]));
        assert_eq!(encode(start, start + 5 + 0x7fff_ffff), Some([0xe9, 0xff, 0xff, 0xff, 0x7f]));
        assert_eq!(encode(start, start + 5 + 0x8000_0000), None);
        assert_eq!(encode(0, u64::MAX), Some([0xe9, 0xfa, 0xff, 0xff, 0xff]));
    }
}
