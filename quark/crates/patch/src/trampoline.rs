//! The code that a patched `syscall` jumps to.

use std::ops::Range;

use iced_x86::{Encoder, Instruction};

use crate::jump::{self, JUMP};
use crate::{Site, Unpatchable};

/// One site with its trampoline's place chosen: what to write where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The address of the `syscall` instruction, which is where the system call is restarted.
    pub site: u64,
    /// The five bytes that change.
    pub overwritten: Range<u64>,
    /// What they become.
    pub bytes: [u8; JUMP as usize],
    /// What they were.
    pub original: [u8; JUMP as usize],
    /// The address of the trampoline.
    pub at: u64,
    /// Its code.
    pub trampoline: Vec<u8>,
    /// For each instruction of the trampoline, by its offset, the original address with the same state: ascending.
    pub back: Vec<(u32, u64)>,
    /// For each original address that has become a refused byte the offset in the trampoline with the same state.
    pub forward: Vec<(u64, u32)>,
}

impl Patch {
    /// The trampoline's addresses.
    pub fn code(&self) -> Range<u64> {
        self.at..self.at.wrapping_add(self.trampoline.len() as u64)
    }

    /// The original address that an address in the trampoline stands for. In the middle of an instruction, that of the instruction.
    pub fn original(&self, address: u64) -> Option<u64> {
        let offset = u32::try_from(address.checked_sub(self.at)?).ok()?;
        if offset as usize >= self.trampoline.len() {
            return None;
        }
        let next = self.back.partition_point(|(at, _)| *at <= offset);
        self.back.get(next.checked_sub(1)?).map(|(_, original)| *original)
    }

    /// The address in the trampoline that an overwritten instruction moved to.
    pub fn resume(&self, address: u64) -> Option<u64> {
        let (_, offset) = self.forward.iter().find(|(original, _)| *original == address)?;
        Some(self.at.wrapping_add(u64::from(*offset)))
    }
}

impl Site {
    /// A bound of the trampoline's length.
    pub fn trampoline_max(&self) -> usize {
        let moved = self.before.len() + self.after.len();
        16 * moved + 7 + 14 + 5
    }

    /// Makes the trampoline for address `at`, which leads to `fast`, the absolute address of the stub's fast entry: that is jumped to with all
    /// registers as at the `syscall`, but `rcx`, which has the address to come back to, and `r11`, which is free. Nothing is on the stack, and the
    /// red zone is in use. `Unpatchable::NoSlot` if the jump to there does not reach, or isn't safe to land in.
    pub fn build(&self, at: u64, fast: u64) -> Result<Patch, Unpatchable> {
        let bytes = jump::safe(self, at).ok_or(Unpatchable::NoSlot)?;
        let mut writer = Writer { at, code: Vec::new(), back: Vec::new() };
        for instruction in &self.before {
            writer.moved(instruction)?;
        }
        // If the instruction behind the `syscall` has moved, too, the call returns to here.
        let tail = !self.after.is_empty();
        writer.call(self.syscall, (!tail).then_some(self.behind()), fast)?;
        if tail {
            for instruction in &self.after {
                writer.moved(instruction)?;
            }
            writer.jump(self.resume(), self.resume())?;
        }
        let forward = self.interior().filter_map(|address| writer.first(address).map(|offset| (address, offset))).collect();
        let overwritten = self.overwritten();
        Ok(Patch {
            site: self.syscall,
            overwritten,
            bytes,
            original: self.original,
            at,
            trampoline: writer.code,
            back: writer.back,
            forward,
        })
    }
}

/// Appends instructions, and notes what original address each stands for.
struct Writer {
    at: u64,
    code: Vec<u8>,
    back: Vec<(u32, u64)>,
}

impl Writer {
    fn here(&self) -> u64 {
        self.at.wrapping_add(self.code.len() as u64)
    }

    fn first(&self, original: u64) -> Option<u32> {
        self.back.iter().find(|(_, it)| *it == original).map(|(offset, _)| *offset)
    }

    fn put(&mut self, original: u64, bytes: &[u8]) {
        self.back.push((self.code.len() as u32, original));
        self.code.extend_from_slice(bytes);
    }

    /// An instruction as it was, encoded for its new address.
    fn moved(&mut self, instruction: &Instruction) -> Result<(), Unpatchable> {
        let mut moved = *instruction;
        moved.as_near_branch();
        let mut encoder = Encoder::new(64);
        encoder.encode(&moved, self.here()).map_err(|_| Unpatchable::Encoding)?;
        self.put(instruction.ip(), &encoder.take_buffer());
        Ok(())
    }

    /// Four bytes that reach `target` from the end of an instruction of `length` bytes here.
    fn reach(&self, length: u64, target: u64) -> Result<[u8; 4], Unpatchable> {
        let distance = target.wrapping_sub(self.here().wrapping_add(length)) as i64;
        i32::try_from(distance).map(i32::to_le_bytes).map_err(|_| Unpatchable::Encoding)
    }

    fn jump(&mut self, original: u64, target: u64) -> Result<(), Unpatchable> {
        let [a, b, c, d] = self.reach(JUMP, target)?;
        self.put(original, &[0xe9, a, b, c, d]);
        Ok(())
    }

    /// `rcx` = where to come back to, and off to the stub. Without `behind` that is the code that follows here.
    fn call(&mut self, syscall: u64, behind: Option<u64>, fast: u64) -> Result<(), Unpatchable> {
        const LEA: u64 = 7;
        const LEAVE: u64 = 14;
        let tail = self.here().wrapping_add(LEA + LEAVE);
        let [a, b, c, d] = self.reach(LEA, behind.unwrap_or(tail))?;
        self.put(syscall, &[0x48, 0x8d, 0x0d, a, b, c, d]); // lea back(%rip), %rcx
        let [a, b, c, d, e, f, g, h] = fast.to_le_bytes();
        self.put(syscall, &[0xff, 0x25, 0, 0, 0, 0, a, b, c, d, e, f, g, h]); // jmp *0(%rip), and the address
        Ok(())
    }
}
