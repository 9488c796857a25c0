//! Chooses the window of each `syscall`.

use std::collections::BTreeSet;
use std::ops::Range;

use iced_x86::{Code as Opcode, FlowControl, Instruction, Mnemonic};

use crate::decode::{self, Code};
use crate::jump::JUMP;
use crate::liveness::live_behind;
use crate::site::{Site, Unpatchable};

/// Before a `syscall`, at most so many instructions are moved.
const BEFORE_MAX: usize = 5;
/// Behind a `syscall`, at most so many.
const AFTER_MAX: usize = 3;
/// The bytes of `syscall`.
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// Plans for one `syscall` that has trapped, given code around it: 256 bytes on either side suffice for most, a page is better.
/// Costs about 20 µs a KiB.
pub fn survey(code: Code<'_>, syscall: u64) -> Result<Site, Unpatchable> {
    if code.at(syscall, SYSCALL.len()) != Some(&SYSCALL) {
        return Err(Unpatchable::NoSyscall);
    }
    let chain = decode::chain_before(code, syscall)?;
    choose(code, syscall, &chain, &decode::branch_targets(code))
}

/// Plans for each `syscall` instruction of a text section, in order of address. With `functions` (from symbols or `.eh_frame`,
/// sorted) only what is in one of those and reached by decoding it from its start; without, what a sweep over all of the section
/// comes by, where data between functions may hide some and, with bad luck, look like one.
pub fn plan_text(code: Code<'_>, functions: Option<&[Range<u64>]>) -> Vec<(u64, Result<Site, Unpatchable>)> {
    let targets = decode::branch_targets(code);
    let whole = code.address..code.end();
    let mut plans = Vec::new();
    for range in functions.unwrap_or(std::slice::from_ref(&whole)) {
        let Some(function) = code.slice(range) else {
            continue;
        };
        let found: Vec<u64> =
            function.decoder(range.start).iter().filter(|it| it.mnemonic() == Mnemonic::Syscall).map(|it| it.ip()).collect();
        for syscall in found {
            plans.push((syscall, plan_one(code, range.start, syscall, &targets)));
        }
    }
    plans.sort_by_key(|(syscall, _)| *syscall);
    plans.dedup_by_key(|(syscall, _)| *syscall);
    plans
}

fn plan_one(code: Code<'_>, start: u64, syscall: u64, targets: &BTreeSet<u64>) -> Result<Site, Unpatchable> {
    // Decoding from far is repeated only over the last bytes: any start in step with the sweep gives the same instructions.
    let chain = decode::chain_before(code, syscall).or_else(|_| decode::chain_from(code, start, syscall).ok_or(Unpatchable::Ambiguous))?;
    let chain: Vec<_> = chain.into_iter().filter(|it| it.ip() >= start).collect();
    choose(code, syscall, &chain, targets)
}

/// The best window: one that can be written at once, then one that leaves `syscall` where it is rather than one that doesn't, then the one with the fewest boundaries inside.
fn choose(code: Code<'_>, syscall: u64, chain: &[Instruction], targets: &BTreeSet<u64>) -> Result<Site, Unpatchable> {
    if live_behind(code, syscall.wrapping_add(2)) {
        return Err(Unpatchable::Live);
    }
    let before: Vec<Instruction> = chain.iter().rev().take(BEFORE_MAX).take_while(|it| movable(it)).copied().collect();
    let after = movable_behind(code, syscall);
    let mut windows = Vec::new();
    for count in (0..=before.len()).rev() {
        let window: Vec<Instruction> = before.iter().take(count).rev().copied().collect();
        windows.extend(complete(code, syscall, window, &after));
    }
    if windows.is_empty() {
        return Err(Unpatchable::NoRoom);
    }
    windows.retain(|site| !site.interior().any(|at| targets.contains(&at)));
    windows
        .into_iter()
        .min_by_key(|site| (site.atomic_word().is_none(), site.kind(), site.interior().count()))
        .ok_or(Unpatchable::BranchTarget)
}

/// Adds as few instructions behind the `syscall` as make a window of five bytes.
fn complete(code: Code<'_>, syscall: u64, before: Vec<Instruction>, after: &[Instruction]) -> Option<Site> {
    let start = before.first().map_or(syscall, Instruction::ip);
    let needed = start.wrapping_add(JUMP);
    let behind = syscall.wrapping_add(2);
    let mut count = 0;
    let mut end = behind;
    while end < needed {
        end = after.get(count)?.next_ip();
        count += 1;
    }
    if minimal(&before, syscall) {
        let original = code.at(start, JUMP as usize)?.try_into().ok()?;
        let after = after.iter().take(count).copied().collect();
        return Some(Site { syscall, before, after, original });
    }
    None
}

/// Whether the first instruction is needed: a window that has its five bytes without it would only be longer.
fn minimal(before: &[Instruction], syscall: u64) -> bool {
    before.get(1).is_none_or(|second| second.ip().wrapping_add(JUMP) > syscall)
}

/// Whether an instruction does the same elsewhere and goes on to the next.
fn movable(instruction: &Instruction) -> bool {
    let kind = instruction.mnemonic();
    instruction.flow_control() == FlowControl::Next
        && !instruction.is_invalid()
        && !instruction.is_privileged()
        && !matches!(
            kind,
            Mnemonic::Syscall | Mnemonic::Endbr64 | Mnemonic::Endbr32 | Mnemonic::Sysenter | Mnemonic::Rdsspq | Mnemonic::Rdsspd
        )
}

/// The instructions behind the `syscall` that may be moved; a conditional branch or a jump may be the last.
fn movable_behind(code: Code<'_>, syscall: u64) -> Vec<Instruction> {
    let mut list = Vec::new();
    for instruction in code.decoder(syscall.wrapping_add(2)).iter().take(AFTER_MAX) {
        if movable(&instruction) {
            list.push(instruction);
            continue;
        }
        let branch = instruction.is_jcc_short_or_near() || matches!(instruction.code(), Opcode::Jmp_rel8_64 | Opcode::Jmp_rel32_64);
        let returns = instruction.code() == Opcode::Retnq;
        if branch || returns {
            list.push(instruction);
        }
        break;
    }
    list
}
