//! Instruction boundaries around an address, and where direct branches go.

use std::collections::BTreeSet;
use std::ops::Range;

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, OpKind};

use crate::Unpatchable;

/// How far before a `syscall` decoding starts when no function's start is known, bytes. Decoding of x86 falls into step within a few instructions.
const LOOK_BACK: u64 = 128;
/// From how many different addresses decoding starts; all have to agree about the instructions before the `syscall`.
const STARTS: u64 = 8;
/// The bytes before a `syscall` about which they have to agree: five for the jump, plus the longest instruction.
const CHAIN: u64 = 20;

/// Machine code, and the address that it is executed at.
#[derive(Clone, Copy, Debug)]
pub struct Code<'a> {
    /// Of the first byte.
    pub address: u64,
    /// The longer, the more branches are seen; nothing outside of it is judged.
    pub bytes: &'a [u8],
}

impl<'a> Code<'a> {
    /// The address behind the last byte.
    pub fn end(&self) -> u64 {
        self.address.saturating_add(self.bytes.len() as u64)
    }

    /// `length` bytes at an address, or nothing if they are not all here.
    pub fn at(&self, address: u64, length: usize) -> Option<&'a [u8]> {
        let from = usize::try_from(address.checked_sub(self.address)?).ok()?;
        self.bytes.get(from..from.checked_add(length)?)
    }

    /// Decodes from an address until the code's end. Bytes that are no instruction come as invalid ones of one byte.
    pub(crate) fn decoder(&self, address: u64) -> Decoder<'a> {
        let from = usize::try_from(address.saturating_sub(self.address)).unwrap_or(usize::MAX);
        Decoder::with_ip(64, self.bytes.get(from..).unwrap_or_default(), address, DecoderOptions::NONE)
    }

    /// The code of one function.
    pub(crate) fn slice(&self, range: &Range<u64>) -> Option<Code<'a>> {
        let length = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
        Some(Code { address: range.start, bytes: self.at(range.start, length)? })
    }
}

/// Where direct branches of all instructions go to, by a linear sweep: a set that may have too many but lacks only what data in the
/// text hides.
pub(crate) fn branch_targets(code: Code<'_>) -> BTreeSet<u64> {
    code.decoder(code.address).iter().filter_map(|instruction| direct_target(&instruction)).collect()
}

/// The target of a direct jump or call.
pub(crate) fn direct_target(instruction: &Instruction) -> Option<u64> {
    let direct = matches!(instruction.op0_kind(), OpKind::NearBranch64 | OpKind::NearBranch32 | OpKind::NearBranch16);
    (direct || instruction.flow_control() == FlowControl::XbeginXabortXend).then(|| instruction.near_branch_target())
}

/// The instructions that end right before `site`, those of the last [`CHAIN`] bytes at least (fewer at the code's start).
pub(crate) fn chain_before(code: Code<'_>, site: u64) -> Result<Vec<Instruction>, Unpatchable> {
    let first = site.saturating_sub(LOOK_BACK).max(code.address);
    let mut agreed: Option<Vec<Instruction>> = None;
    for start in first..first.saturating_add(STARTS).min(site) {
        let Some(chain) = chain_from(code, start, site) else {
            continue;
        };
        match &agreed {
            None => agreed = Some(chain),
            Some(before) if before.iter().map(Instruction::ip).eq(chain.iter().map(Instruction::ip)) => {}
            Some(_) => return Err(Unpatchable::Ambiguous),
        }
    }
    agreed.ok_or(Unpatchable::Ambiguous)
}

/// Decodes from `start`, the beginning of an instruction; nothing if that does not come to `site`, or over invalid bytes near it.
pub(crate) fn chain_from(code: Code<'_>, start: u64, site: u64) -> Option<Vec<Instruction>> {
    let near = site.saturating_sub(CHAIN);
    let mut chain = Vec::new();
    for instruction in &mut code.decoder(start) {
        if instruction.ip() >= site {
            return (instruction.ip() == site).then_some(chain);
        }
        if instruction.next_ip() > near {
            if instruction.is_invalid() {
                return None;
            }
            chain.push(instruction);
        }
    }
    None
}
