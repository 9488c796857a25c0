//! What has to be true of every patch, whatever code it was made for. Decodes the result and judges it afresh.

use std::collections::BTreeSet;

use iced_x86::{Decoder, DecoderOptions, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register};
use quark_patch::{Code, Patch, REFUSED, Site};

fn decode(bytes: &[u8], address: u64) -> Vec<Instruction> {
    Decoder::with_ip(64, bytes, address, DecoderOptions::NONE).iter().collect()
}

/// What an instruction does: its operation, what it reads and writes, and where it goes.
fn effect(instruction: &Instruction) -> String {
    let mut factory = InstructionInfoFactory::new();
    let info = factory.info(instruction);
    let direct = instruction.op0_kind() == OpKind::NearBranch64;
    let target = if direct { instruction.near_branch_target() } else { 0 };
    let constant = (0..instruction.op_count())
        .filter(|i| instruction.op_kind(*i) != OpKind::NearBranch64)
        .filter_map(|i| instruction.try_immediate(i).ok())
        .collect::<Vec<_>>();
    format!(
        "{:?} {:?} {:?} {constant:?} {target:#x} {:#x} {:#x} {:#x}",
        instruction.mnemonic(),
        info.used_registers(),
        info.used_memory(),
        instruction.memory_displacement64(),
        instruction.rflags_read(),
        instruction.rflags_modified()
    )
}

/// The window's instructions, decoded from the original bytes.
fn window(code: Code<'_>, site: &Site) -> Vec<Instruction> {
    let length = (site.resume().max(site.behind()) - site.start()) as usize;
    decode(code.at(site.start(), length).unwrap(), site.start())
}

/// Panics with what is wrong.
pub fn check(code: Code<'_>, site: &Site, patch: &Patch, fast: u64) {
    let window = window(code, site);
    let is_call = |it: &&Instruction| it.mnemonic() == Mnemonic::Syscall;
    assert_eq!(window.iter().filter(is_call).count(), 1, "one system call, {window:?}");
    assert_eq!(window.iter().find(is_call).unwrap().ip(), site.syscall);
    assert_eq!(patch.overwritten, site.start()..site.start() + 5);
    assert_eq!(code.at(site.start(), 5).unwrap(), patch.original);
    check_jump(site, patch, &window);
    check_trampoline(site, patch, &window, fast);
}

fn check_jump(site: &Site, patch: &Patch, window: &[Instruction]) {
    let jump = decode(&patch.bytes, site.start());
    assert_eq!(jump.len(), 1);
    assert_eq!(jump[0].mnemonic(), Mnemonic::Jmp);
    assert_eq!(jump[0].near_branch_target(), patch.at);
    for inside in window.iter().map(Instruction::ip).filter(|ip| *ip > site.start() && *ip < patch.overwritten.end) {
        let byte = patch.bytes[(inside - site.start()) as usize];
        assert!(REFUSED.contains(&byte), "{byte:#x} could be executed at {inside:#x}");
        let moved = patch.resume(inside).expect("an overwritten instruction has a new place");
        assert_eq!(patch.original(moved), Some(inside));
    }
    assert_eq!(patch.resume(site.start()), None, "the start is the jump's own");
    assert_eq!(patch.resume(patch.overwritten.end), None);
}

/// The trampoline's instructions are the window's with the call in the place of `syscall`, and each boundary is mapped.
fn check_trampoline(site: &Site, patch: &Patch, window: &[Instruction], fast: u64) {
    assert!(patch.trampoline.len() <= site.trampoline_max());
    let mut at = 0;
    let mut boundaries = Vec::new();
    let mut next = || {
        let instruction = Decoder::with_ip(64, &patch.trampoline[at..], patch.at + at as u64, DecoderOptions::NONE).decode();
        boundaries.push(at as u32);
        at += instruction.len();
        if instruction.is_jmp_near_indirect() {
            at += 8;
        }
        instruction
    };
    for original in window {
        if original.mnemonic() == Mnemonic::Syscall {
            let lea = next();
            assert_eq!((lea.mnemonic(), lea.op0_register()), (Mnemonic::Lea, Register::RCX));
            let jump = next();
            let pointer = jump.memory_displacement64() - patch.at;
            let word: [u8; 8] = patch.trampoline[pointer as usize..][..8].try_into().unwrap();
            assert_eq!(u64::from_le_bytes(word), fast);
            let back = lea.memory_displacement64();
            let tail = site.resume() != site.behind();
            assert_eq!(back, if tail { jump.next_ip() + 8 } else { site.behind() });
            assert_eq!(patch.original(back).unwrap_or(back), site.behind());
        } else {
            let moved = next();
            assert_eq!(effect(&moved), effect(original), "{original:?} has become {moved:?}");
            assert_eq!(patch.original(moved.ip()), Some(original.ip()));
        }
    }
    if site.resume() != site.behind() {
        assert_eq!(next().near_branch_target(), site.resume());
    }
    assert_eq!(at, patch.trampoline.len(), "nothing else in the trampoline");
    assert_eq!(patch.back.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), boundaries);
}

/// Where direct branches go by a sweep over all of the code.
pub fn branch_targets(code: Code<'_>) -> BTreeSet<u64> {
    let all = Decoder::with_ip(64, code.bytes, code.address, DecoderOptions::NONE);
    all.into_iter().filter(|it| it.op0_kind() == OpKind::NearBranch64).map(|it| it.near_branch_target()).collect()
}

/// None of the branches goes to an instruction inside of the overwritten bytes.
pub fn check_targets(targets: &BTreeSet<u64>, patch: &Patch) {
    for target in targets.range(patch.overwritten.start + 1..patch.overwritten.end) {
        assert!(patch.resume(*target).is_none(), "a branch goes to {target:#x}");
    }
}
