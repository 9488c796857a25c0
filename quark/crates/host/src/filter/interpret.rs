//! Runs a filter as the host's kernel does, to test what it says.

use super::Instruction;

/// `struct seccomp_data`.
pub(super) struct HostCallData {
    pub number: u32,
    pub architecture: u32,
    pub pointer: u64,
    pub arguments: [u64; 6],
}

impl HostCallData {
    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.architecture,
            8 => self.pointer as u32,
            12 => (self.pointer >> 32) as u32,
            _ => {
                let argument = self.arguments[(offset as usize - 16) / 8];
                if offset.is_multiple_of(8) { argument as u32 } else { (argument >> 32) as u32 }
            }
        }
    }
}

/// What `filter` returns for `data`.
pub(super) fn run(filter: &[Instruction], data: &HostCallData) -> u32 {
    let mut at = 0;
    let mut word = 0;
    loop {
        let instruction = filter[at];
        at += 1;
        let holds = match instruction.code {
            0x20 => {
                word = data.word(instruction.operand);
                continue;
            }
            0x54 => {
                word &= instruction.operand;
                continue;
            }
            0x05 => {
                at += instruction.operand as usize;
                continue;
            }
            0x15 => word == instruction.operand,
            0x35 => word >= instruction.operand,
            0x06 => return instruction.operand,
            code => panic!("no such instruction: {code:#x}"),
        };
        at += usize::from(if holds { instruction.jump_true } else { instruction.jump_false });
    }
}
