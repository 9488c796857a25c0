//! Classic BPF programs as seccomp takes them: checked once, then run over a description of each system call (`man 2 seccomp`).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Errno, Result};

/// BPF_MAXINSNS.
pub const LENGTH_MAX: usize = 4096;
/// `sizeof(struct seccomp_data)`.
const DATA_SIZE: u32 = 64;
/// BPF_MEMWORDS.
const WORDS: usize = 16;

/// A `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[allow(missing_docs)]
pub struct Instruction {
    pub code: u16,
    pub if_true: u8,
    pub if_false: u8,
    pub k: u32,
}

/// A `struct seccomp_data`: the call that is judged.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[allow(missing_docs)]
pub struct Data {
    pub number: i32,
    pub architecture: u32,
    pub instruction_pointer: u64,
    pub args: [u64; 6],
}

/// A program that ends and touches nothing but its own memory and [`Data`].
#[derive(Debug, PartialEq, Eq)]
pub struct Program {
    code: Vec<Instruction>,
}

/// The classes of BPF (the lowest three bits of a code).
mod class {
    pub const ST: u16 = 2;
    pub const STX: u16 = 3;
    pub const ALU: u16 = 4;
    pub const JMP: u16 = 5;
    pub const RET: u16 = 6;
}

const LOAD_WORD: u16 = 0x20;
const LOAD_IMMEDIATE: u16 = 0x00;
const LOAD_INDEX_IMMEDIATE: u16 = 0x01;
const LOAD_MEMORY: u16 = 0x60;
const LOAD_INDEX_MEMORY: u16 = 0x61;
const LOAD_LENGTH: u16 = 0x80;
const LOAD_INDEX_LENGTH: u16 = 0x81;
const RETURN_CONSTANT: u16 = 0x06;
const RETURN_A: u16 = 0x16;
const JUMP_ALWAYS: u16 = 0x05;
const A_TO_X: u16 = 0x07;
const X_TO_A: u16 = 0x87;
/// The operand is X, not the constant.
const BY_X: u16 = 0x08;
const NEGATE: u16 = 0x84;

impl Program {
    /// Checks a program: EINVAL for one that is empty, too long, not sure to return, or does what seccomp does not offer.
    pub fn check(code: Vec<Instruction>) -> Result<Program> {
        if code.is_empty() || code.len() > LENGTH_MAX {
            return Err(Errno::INVAL);
        }
        let all = code.iter().enumerate().all(|(at, instruction)| is_valid(instruction, code.len() - at - 1));
        let returns = code.last().is_some_and(|last| last.code & 7 == class::RET);
        if all && returns { Ok(Program { code }) } else { Err(Errno::INVAL) }
    }

    /// How many instructions it has.
    pub fn length(&self) -> usize {
        self.code.len()
    }

    /// What it returns for a call. A division by zero returns 0, which is to kill.
    pub fn run(&self, data: &Data) -> u32 {
        let mut machine = Machine { a: 0, x: 0, memory: [0; WORDS] };
        let mut at = 0;
        while let Some(instruction) = self.code.get(at) {
            match machine.step(instruction, data) {
                Step::Next(skip) => at += 1 + skip,
                Step::Return(value) => return value,
            }
        }
        0
    }
}

/// Whether an instruction is one that seccomp takes, with so many behind it.
fn is_valid(instruction: &Instruction, behind: usize) -> bool {
    let k = instruction.k;
    let by_x = instruction.code & BY_X != 0;
    match instruction.code {
        LOAD_WORD => k < DATA_SIZE && k.is_multiple_of(4),
        LOAD_IMMEDIATE | LOAD_INDEX_IMMEDIATE | LOAD_LENGTH | LOAD_INDEX_LENGTH | RETURN_CONSTANT | RETURN_A | A_TO_X | X_TO_A | NEGATE => {
            true
        }
        LOAD_MEMORY | LOAD_INDEX_MEMORY => (k as usize) < WORDS,
        code if code == class::ST || code == class::STX => (k as usize) < WORDS,
        JUMP_ALWAYS => (k as usize) < behind,
        code => match (code & 7, code & 0xf0) {
            // Add, subtract, multiply, or, and, exclusive or.
            (class::ALU, 0x00 | 0x10 | 0x20 | 0x40 | 0x50 | 0xa0) => true,
            (class::ALU, 0x30) => by_x || k != 0,
            (class::ALU, 0x60 | 0x70) => by_x || k < 32,
            // Equal, greater, greater or equal, any bit.
            (class::JMP, 0x10..=0x40) => (instruction.if_true as usize) < behind && (instruction.if_false as usize) < behind,
            _ => false,
        },
    }
}

struct Machine {
    a: u32,
    x: u32,
    memory: [u32; WORDS],
}

enum Step {
    /// Goes on behind so many instructions.
    Next(usize),
    Return(u32),
}

impl Machine {
    fn step(&mut self, instruction: &Instruction, data: &Data) -> Step {
        let Instruction { code, k, .. } = *instruction;
        let operand = if code & BY_X != 0 { self.x } else { k };
        match code {
            RETURN_CONSTANT => return Step::Return(k),
            RETURN_A => return Step::Return(self.a),
            JUMP_ALWAYS => return Step::Next(k as usize),
            LOAD_WORD => self.a = word(data, k),
            LOAD_IMMEDIATE => self.a = k,
            LOAD_INDEX_IMMEDIATE => self.x = k,
            LOAD_LENGTH => self.a = DATA_SIZE,
            LOAD_INDEX_LENGTH => self.x = DATA_SIZE,
            LOAD_MEMORY => self.a = self.memory.get(k as usize).copied().unwrap_or(0),
            LOAD_INDEX_MEMORY => self.x = self.memory.get(k as usize).copied().unwrap_or(0),
            A_TO_X => self.x = self.a,
            X_TO_A => self.a = self.x,
            NEGATE => self.a = self.a.wrapping_neg(),
            _ if code & 7 == class::JMP => {
                let taken = holds(code & 0xf0, self.a, operand);
                return Step::Next(usize::from(if taken { instruction.if_true } else { instruction.if_false }));
            }
            _ if code & 7 == class::ALU => match calculate(code & 0xf0, self.a, operand) {
                Some(result) => self.a = result,
                None => return Step::Return(0),
            },
            _ => {
                let value = if code & 7 == class::ST { self.a } else { self.x };
                if let Some(place) = self.memory.get_mut(k as usize) {
                    *place = value;
                }
            }
        }
        Step::Next(0)
    }
}

fn word(data: &Data, at: u32) -> u32 {
    let at = at as usize;
    data.as_bytes().get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

fn holds(comparison: u16, a: u32, operand: u32) -> bool {
    match comparison {
        0x10 => a == operand,
        0x20 => a > operand,
        0x30 => a >= operand,
        _ => a & operand != 0,
    }
}

/// None for a division by zero.
fn calculate(operation: u16, a: u32, operand: u32) -> Option<u32> {
    Some(match operation {
        0x00 => a.wrapping_add(operand),
        0x10 => a.wrapping_sub(operand),
        0x20 => a.wrapping_mul(operand),
        0x30 => a.checked_div(operand)?,
        0x40 => a | operand,
        0x50 => a & operand,
        0x60 => a.wrapping_shl(operand),
        0x70 => a.wrapping_shr(operand),
        _ => a ^ operand,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(code: u16, if_true: u8, if_false: u8, k: u32) -> Instruction {
        Instruction { code, if_true, if_false, k }
    }

    /// Returns 7 for call 39, 9 for the rest.
    fn one_call() -> Vec<Instruction> {
        vec![step(0x20, 0, 0, 0), step(0x15, 0, 1, 39), step(0x06, 0, 0, 7), step(0x06, 0, 0, 9)]
    }

    #[test]
    fn a_filter_tells_calls_apart() {
        let program = Program::check(one_call()).unwrap();
        assert_eq!(program.run(&Data { number: 39, ..Data::default() }), 7);
        assert_eq!(program.run(&Data { number: 40, ..Data::default() }), 9);
    }

    #[test]
    fn arguments_are_read_by_halves() {
        let code = vec![step(0x20, 0, 0, 20), step(0x16, 0, 0, 0)];
        let program = Program::check(code).unwrap();
        let mut data = Data::default();
        data.args[0] = 0x1111_2222_3333_4444;
        assert_eq!(program.run(&data), 0x1111_2222);
    }

    #[test]
    fn memory_arithmetic_and_index_work_together() {
        // A = 6; M[3] = A; X = M[3]; A = 7; A *= X; A -= 2; return A.
        let code = vec![
            step(0x00, 0, 0, 6),
            step(0x02, 0, 0, 3),
            step(0x61, 0, 0, 3),
            step(0x00, 0, 0, 7),
            step(0x2c, 0, 0, 0),
            step(0x14, 0, 0, 2),
            step(0x16, 0, 0, 0),
        ];
        assert_eq!(Program::check(code).unwrap().run(&Data::default()), 40);
    }

    #[test]
    fn a_division_by_zero_kills() {
        let code = vec![step(0x00, 0, 0, 6), step(0x3c, 0, 0, 0), step(0x06, 0, 0, 9)];
        assert_eq!(Program::check(code).unwrap().run(&Data::default()), 0);
    }

    #[test]
    fn what_may_not_end_or_leaves_its_memory_is_refused() {
        let bad = [
            vec![],
            vec![step(0x20, 0, 0, 0)],
            vec![step(0x20, 0, 0, 64), step(0x06, 0, 0, 0)],
            vec![step(0x20, 0, 0, 2), step(0x06, 0, 0, 0)],
            vec![step(0x15, 1, 0, 0), step(0x06, 0, 0, 0)],
            vec![step(0x05, 0, 0, 1), step(0x06, 0, 0, 0)],
            vec![step(0x02, 0, 0, 16), step(0x06, 0, 0, 0)],
            vec![step(0x34, 0, 0, 0), step(0x06, 0, 0, 0)],
            vec![step(0x64, 0, 0, 32), step(0x06, 0, 0, 0)],
            vec![step(0x28, 0, 0, 0), step(0x06, 0, 0, 0)],
            vec![step(0x06, 0, 0, 0); LENGTH_MAX + 1],
        ];
        for code in bad {
            assert_eq!(Program::check(code.clone()).err(), Some(Errno::INVAL), "{code:?}");
        }
    }
}
