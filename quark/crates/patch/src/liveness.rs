//! Whether the code behind a `syscall` reads what a patched call leaves different: the flags, `rcx` and `r11`.

use std::collections::BTreeSet;

use iced_x86::{FlowControl, InstructionInfoFactory, Mnemonic, OpAccess, Register, RflagsBits, UsedRegister};

use crate::{Code, decode::direct_target};

/// How many instructions are looked at.
const STEPS: usize = 128;
/// The flags that arithmetic sets. A patched call leaves the others as they are.
const ARITHMETIC: u32 = RflagsBits::OF | RflagsBits::SF | RflagsBits::ZF | RflagsBits::AF | RflagsBits::PF | RflagsBits::CF;

pub(crate) fn only_reads(access: OpAccess) -> bool {
    matches!(access, OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess | OpAccess::None)
}

/// A place in the code, and what has been written by nobody since the call.
struct Place {
    at: u64,
    flags: u32,
    registers: Vec<Register>,
}

/// Where one instruction leads.
enum Next {
    /// All that is live is read, or lost from sight.
    Live,
    /// Nothing is live any more.
    Dead,
    /// On to one of these.
    Go(Vec<u64>),
}

/// Follows the code from `behind` until all are overwritten or a call or return is reached, by whose conventions they don't matter
/// (System V ABI for x86-64, section 3.2). True also when it leads out of the code, or takes too long.
/// Behind a conditional branch `rcx` and `r11` count as dead, which every `syscall` wrapper declares; flags are followed both ways.
pub(crate) fn live_behind(code: Code<'_>, behind: u64) -> bool {
    let mut factory = InstructionInfoFactory::new();
    let mut open = vec![Place { at: behind, flags: ARITHMETIC, registers: vec![Register::RCX, Register::R11] }];
    let mut seen = BTreeSet::new();
    let mut steps = 0;
    while let Some(mut place) = open.pop() {
        steps += 1;
        if steps > STEPS {
            return true;
        }
        match step(code, &mut place, &mut factory) {
            Next::Live => return true,
            Next::Dead => {}
            Next::Go(places) => {
                let branches = places.len() > 1;
                for at in places {
                    let registers = if branches { Vec::new() } else { place.registers.clone() };
                    // A loop comes back with what it had.
                    if seen.insert((at, place.flags, registers.len())) {
                        open.push(Place { at, flags: place.flags, registers });
                    }
                }
            }
        }
    }
    false
}

/// Judges the instruction at a place, and takes from the place what it writes.
fn step(code: Code<'_>, place: &mut Place, factory: &mut InstructionInfoFactory) -> Next {
    if place.flags == 0 && place.registers.is_empty() {
        return Next::Dead;
    }
    if place.at < code.address || place.at >= code.end() {
        return if place.flags == 0 { Next::Dead } else { Next::Live };
    }
    let instruction = code.decoder(place.at).decode();
    if instruction.is_invalid() {
        return Next::Live;
    }
    if instruction.mnemonic() == Mnemonic::Syscall {
        // Another one, which destroys both registers, and whose kernel does not judge flags.
        place.registers.clear();
        return Next::Go(vec![instruction.next_ip()]);
    }
    let info = factory.info(&instruction);
    let read = info.used_registers().iter().any(|used| reads(used.access()) && place.registers.contains(&used.register().full_register()));
    if read || instruction.rflags_read() & place.flags != 0 {
        return Next::Live;
    }
    if instruction.op1_register() != Register::CL {
        // A shift by a count of zero leaves the flags.
        place.flags &= !instruction.rflags_modified();
    }
    place.registers.retain(|register| !info.used_registers().iter().any(|used| replaces(used, *register)));
    let lost = if place.flags == 0 { Next::Dead } else { Next::Live };
    match (instruction.flow_control(), direct_target(&instruction)) {
        (FlowControl::Next, _) => Next::Go(vec![instruction.next_ip()]),
        (FlowControl::UnconditionalBranch, Some(target)) => Next::Go(vec![target]),
        (FlowControl::ConditionalBranch, Some(target)) if place.flags != 0 => Next::Go(vec![instruction.next_ip(), target]),
        (FlowControl::Call | FlowControl::IndirectCall | FlowControl::Return | FlowControl::Interrupt, _) => Next::Dead,
        _ => lost,
    }
}

/// Whether the old value matters. A conditional write counts as a read: it may leave the old value there.
fn reads(access: OpAccess) -> bool {
    matches!(access, OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite | OpAccess::ReadCondWrite)
}

/// Whether all of a register, named by its 64-bit name, is written. A write of 32 bits clears the rest; one of 8 or 16 keeps it.
fn replaces(used: &UsedRegister, full: Register) -> bool {
    used.access() == OpAccess::Write && used.register().full_register() == full && used.register().size() >= 4
}
