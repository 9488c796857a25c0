//! Whether the code behind a `syscall` reads what a patched call leaves different: the flags, `rcx` and `r11`.

use iced_x86::{FlowControl, InstructionInfoFactory, Mnemonic, OpAccess, Register, RflagsBits, UsedRegister};

use crate::{Code, decode::direct_target};

/// How many instructions are looked at.
const STEPS: usize = 64;
/// The flags that arithmetic sets. A patched call leaves the others as they are.
const ARITHMETIC: u32 = RflagsBits::OF | RflagsBits::SF | RflagsBits::ZF | RflagsBits::AF | RflagsBits::PF | RflagsBits::CF;

pub(crate) fn only_reads(access: OpAccess) -> bool {
    matches!(access, OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess | OpAccess::None)
}

/// Follows the code from `behind` until all are overwritten or a call or return is reached, by whose conventions they don't matter
/// (System V ABI for x86-64, section 3.2). True also when it leads out of the code, or takes too long.
/// Behind a conditional branch `rcx` and `r11` count as dead, which every `syscall` wrapper declares; flags don't.
pub(crate) fn live_behind(code: Code<'_>, behind: u64) -> bool {
    let mut factory = InstructionInfoFactory::new();
    let mut flags = ARITHMETIC;
    let mut registers = vec![Register::RCX, Register::R11];
    let mut at = behind;
    for _ in 0..STEPS {
        if flags == 0 && registers.is_empty() {
            return false;
        }
        let instruction = code.decoder(at).decode();
        if instruction.is_invalid() {
            return true;
        }
        if instruction.mnemonic() == Mnemonic::Syscall {
            // Another one, which destroys both registers, and whose kernel does not judge flags.
            registers.clear();
            at = instruction.next_ip();
            continue;
        }
        let info = factory.info(&instruction);
        let read = info.used_registers().iter().any(|used| reads(used.access()) && registers.contains(&used.register().full_register()));
        if read || instruction.rflags_read() & flags != 0 {
            return true;
        }
        if instruction.op1_register() != Register::CL {
            // A shift by a count of zero leaves the flags.
            flags &= !instruction.rflags_modified();
        }
        registers.retain(|register| !info.used_registers().iter().any(|used| replaces(used, *register)));
        match instruction.flow_control() {
            FlowControl::Next => at = instruction.next_ip(),
            FlowControl::UnconditionalBranch => match direct_target(&instruction) {
                Some(target) => at = target,
                None => return flags != 0,
            },
            FlowControl::Call | FlowControl::IndirectCall | FlowControl::Return | FlowControl::Interrupt => return false,
            _ => return flags != 0,
        }
        if at < code.address || at >= code.end() {
            return flags != 0;
        }
    }
    true
}

/// Whether the old value matters. A conditional write counts as a read: it may leave the old value there.
fn reads(access: OpAccess) -> bool {
    matches!(access, OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite | OpAccess::ReadCondWrite)
}

/// Whether all of a register, named by its 64-bit name, is written. A write of 32 bits clears the rest; one of 8 or 16 keeps it.
fn replaces(used: &UsedRegister, full: Register) -> bool {
    used.access() == OpAccess::Write && used.register().full_register() == full && used.register().size() >= 4
}
