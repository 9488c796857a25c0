//! One `syscall` instruction that can be patched, and why others can't.

use std::fmt;
use std::ops::Range;

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use crate::jump::JUMP;

/// A `syscall` and the whole instructions around it that make room for a jump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The address of the `syscall` instruction.
    pub syscall: u64,
    /// The instructions of the window before it, in order.
    pub(crate) before: Vec<Instruction>,
    /// Those behind it. Empty if `syscall` keeps its place.
    pub(crate) after: Vec<Instruction>,
    /// The first five bytes of the window as they are.
    pub original: [u8; JUMP as usize],
}

/// What a window is made of; for reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One instruction of five bytes or more before `syscall`, such as `mov $imm32, %eax`.
    One,
    /// Several instructions before `syscall`, which stays.
    Several,
    /// Instructions before `syscall`, and itself.
    Through,
    /// `syscall` and instructions behind it, perhaps also before.
    Behind,
}

/// Why a `syscall` is left to trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unpatchable {
    /// There is no `syscall` at that address.
    NoSyscall,
    /// Where the instructions before it begin depends on where decoding starts.
    Ambiguous,
    /// No five bytes of instructions that can be moved.
    NoRoom,
    /// A direct branch goes into each window that would do.
    BranchTarget,
    /// The code behind it may read the flags, `rcx` or `r11`.
    Live,
    /// No place for the trampoline within reach.
    NoSlot,
    /// An instruction can't be encoded at the trampoline's address.
    Encoding,
}

impl fmt::Display for Unpatchable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSyscall => "there is no syscall instruction",
            Self::Ambiguous => "the instructions before it are ambiguous",
            Self::NoRoom => "its neighbours can't be moved",
            Self::BranchTarget => "a branch goes between it and its neighbours",
            Self::Live => "the code behind it may read flags, rcx or r11",
            Self::NoSlot => "no free memory is near enough",
            Self::Encoding => "a neighbour can't be encoded elsewhere",
        })
    }
}

impl std::error::Error for Unpatchable {}

impl Site {
    /// Where the window begins, and the jump is put.
    pub fn start(&self) -> u64 {
        self.before.first().map_or(self.syscall, Instruction::ip)
    }

    /// The address behind the `syscall`, where the system call returns to.
    pub fn behind(&self) -> u64 {
        self.syscall.wrapping_add(2)
    }

    /// The first instruction behind the window.
    pub fn resume(&self) -> u64 {
        self.after.last().map_or(self.behind(), Instruction::next_ip)
    }

    /// The five bytes that become a jump.
    pub fn overwritten(&self) -> Range<u64> {
        self.start()..self.start().wrapping_add(JUMP)
    }

    /// What the window is made of.
    pub fn kind(&self) -> Kind {
        if self.overwritten().end <= self.syscall {
            return if self.before.len() == 1 { Kind::One } else { Kind::Several };
        }
        if self.after.is_empty() { Kind::Through } else { Kind::Behind }
    }

    /// Addresses inside of the overwritten bytes, but the first, where an instruction began.
    pub fn interior(&self) -> impl Iterator<Item = u64> + '_ {
        let inside = self.overwritten();
        let starts = self.before.iter().map(Instruction::ip).chain([self.syscall]).chain(self.after.iter().map(Instruction::ip));
        starts.filter(move |at| *at > inside.start && *at < inside.end)
    }

    /// Whether the jump can be written by one locked access of eight bytes in a cache line: the address of those, or nothing.
    /// What crosses a line may only be written while no other thread runs.
    pub fn atomic_word(&self) -> Option<u64> {
        let start = self.start();
        let (line, word) = (start & !63, start & !7);
        if start - word <= 8 - JUMP {
            return Some(word);
        }
        (start - line <= 64 - JUMP).then(|| start.min(line + 56))
    }

    /// Whether the general registers at the trap are as the window's instructions have left them, which shows that these
    /// were executed: `registers` by the processor's numbers (rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15).
    pub fn agrees(&self, registers: &[u64; 16]) -> bool {
        let value = |register: Register| registers.get(register.number()).copied();
        self.before.iter().enumerate().all(|(i, instruction)| {
            let later = self.before.get(i + 1..).unwrap_or_default();
            let target = instruction.op0_register().full_register();
            let lost = |register: Register| {
                let full = register.full_register();
                matches!(full, Register::RCX | Register::R11) || later.iter().any(|next| writes(next, full))
            };
            match moved(instruction) {
                Some(Moved::Constant(constant)) => lost(target) || value(target) == Some(constant),
                Some(Moved::Register(from)) => {
                    let mask = if instruction.op0_register().size() == 4 { u64::from(u32::MAX) } else { u64::MAX };
                    lost(target)
                        || lost(from)
                        || target == from.full_register()
                        || value(from.full_register()).map(|it| it & mask) == value(target)
                }
                None => true,
            }
        })
    }
}

/// What a register is set to by a simple instruction.
pub(crate) enum Moved {
    Constant(u64),
    Register(Register),
}

/// The effect of `mov` to a register of 32 or 64 bits from a constant or register, and of `xor` or `sub` with itself.
pub(crate) fn moved(instruction: &Instruction) -> Option<Moved> {
    let target = instruction.op0_register();
    if instruction.op_count() != 2 || !target.is_gpr() || target.size() < 4 {
        return None;
    }
    let same = instruction.op1_kind() == OpKind::Register && instruction.op1_register() == target;
    match (instruction.mnemonic(), instruction.op1_kind()) {
        (Mnemonic::Xor | Mnemonic::Sub, OpKind::Register) if same => Some(Moved::Constant(0)),
        (Mnemonic::Mov, OpKind::Register) => instruction.op1_register().is_gpr().then(|| Moved::Register(instruction.op1_register())),
        (Mnemonic::Mov, OpKind::Immediate32) => Some(Moved::Constant(u64::from(instruction.immediate32()))),
        (Mnemonic::Mov, OpKind::Immediate32to64 | OpKind::Immediate64) => Some(Moved::Constant(instruction.immediate(1))),
        _ => None,
    }
}

/// Whether an instruction may write a register, `full` being its 64-bit name.
pub(crate) fn writes(instruction: &Instruction, full: Register) -> bool {
    let mut factory = iced_x86::InstructionInfoFactory::new();
    let info = factory.info(instruction);
    info.used_registers().iter().any(|used| used.register().full_register() == full && !crate::liveness::only_reads(used.access()))
}
