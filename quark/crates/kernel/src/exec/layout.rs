//! Where the parts of a program go. Pure: from the plans of its files and some random numbers.
//!
//! The places are those of Linux on x86-64: the program at two thirds of the address space if it may be moved, the stack at its end,
//! other mappings from below the stack downwards, the heap behind the program.

use super::elf::{Plan, Segment};
use crate::memory::map::Map;
use crate::memory::{Area, Backing, Flags, GUARD, PAGE, Protection};
use crate::{Errno, Result};

/// Random numbers, each of 64 bits; all zero for a layout without randomness (ADDR_NO_RANDOMIZE).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Random {
    /// For the stack's end.
    pub stack: u64,
    /// For where other mappings begin.
    pub mappings: u64,
    /// For a movable program.
    pub program: u64,
    /// For the heap.
    pub heap: u64,
}

/// How far each is moved at most, in pages: Linux' STACK_RND_MASK, `vm.mmap_rnd_bits` (also for programs), and `arch_randomize_brk`.
const STACK_PAGES: u64 = 1 << 22;
const MAPPING_PAGES: u64 = 1 << 28;
const HEAP_PAGES: u64 = 0x0200_0000 / PAGE;
/// The least and the most room that is kept for the stack to grow, bytes.
const STACK_ROOM: (u64, u64) = (128 << 20, 16 << 40);
/// Where movable programs are on Linux: two thirds of 2^47. Debuggers, sanitizers and people know it.
const DYNAMIC_BASE: u64 = 0x5555_5555_4000;
/// The stack that is mapped at once, if its limit allows; the rest is mapped when it is touched.
const STACK_MAPPED: u64 = 8 << 20;

/// Which file a mapping is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The program.
    Program,
    /// Its interpreter.
    Interpreter,
}

/// One thing to map, in order; later ones replace earlier ones where they overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Page aligned.
    pub start: u64,
    /// Page aligned, above `start`.
    pub end: u64,
    /// What it may be used for.
    pub protection: Protection,
    /// A file and the offset in it, page aligned; `None` is zeroes.
    pub file: Option<(Origin, u64)>,
}

/// Where everything is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// What to map, but for the stack.
    pub mappings: Vec<Mapping>,
    /// Bytes to overwrite by zeroes: the end of a file's last page, where memory goes on behind the file. Start and end.
    pub clear: Vec<(u64, u64)>,
    /// The stack.
    pub stack: (u64, u64),
    /// Where the search for free addresses begins, downwards.
    pub base: u64,
    /// Where the heap starts.
    pub heap: u64,
    /// Where the first instruction is.
    pub entry: u64,
    /// AT_ENTRY.
    pub program_entry: u64,
    /// AT_PHDR, or 0.
    pub headers: u64,
    /// AT_BASE: how far the interpreter was moved, or 0.
    pub interpreter: u64,
    /// The program's text.
    pub code: (u64, u64),
    /// Its data.
    pub data: (u64, u64),
}

/// What a layout is made for.
pub struct Wanted<'a> {
    /// The program.
    pub program: &'a Plan,
    /// What loads it.
    pub interpreter: Option<&'a Plan>,
    /// Random numbers.
    pub random: Random,
    /// RLIMIT_STACK, bytes.
    pub stack_limit: u64,
    /// What the stack has to hold from the start, bytes.
    pub stack_least: u64,
}

/// Lays a program out in an address space, where `map` has what is already taken (the host's vDSO). ENOMEM if it doesn't fit, EINVAL for a fixed
/// program where nothing may be mapped.
pub fn layout(map: &Map, wanted: &Wanted<'_>) -> Result<Layout> {
    let mut map = map.clone();
    let mut layout = Layout::default();
    let random = &wanted.random;
    layout.place_stack(&mut map, wanted)?;
    let room = wanted.stack_limit.saturating_add(GUARD).clamp(STACK_ROOM.0, STACK_ROOM.1);
    let top = layout.stack.1.saturating_sub(room) & !(PAGE - 1);
    layout.base = top.saturating_sub(pages(random.mappings, MAPPING_PAGES)).max(map.lowest());

    let dynamic_base = DYNAMIC_BASE.min((map.end() / 4 * 3) & !(PAGE - 1));
    let preferred = dynamic_base + pages(random.program, MAPPING_PAGES);
    let alone = wanted.interpreter.is_none();
    let bias = layout.place(&mut map, wanted.program, if alone { None } else { Some(preferred) })?;
    layout.add(wanted.program, bias, Origin::Program)?;
    layout.program_entry = wanted.program.entry.wrapping_add(bias);
    layout.entry = layout.program_entry;
    layout.headers = match wanted.program.headers.0 {
        0 => 0,
        address => address.wrapping_add(bias),
    };
    layout.note_program(wanted.program, bias);
    if let Some(interpreter) = wanted.interpreter {
        let bias = layout.place(&mut map, interpreter, None)?;
        layout.add(interpreter, bias, Origin::Interpreter)?;
        layout.interpreter = bias;
        layout.entry = interpreter.entry.wrapping_add(bias);
    }
    let (_, end) = wanted.program.span()?;
    // A movable program without interpreter (a static one, or ld.so itself) is among the mappings, where a heap couldn't grow.
    let heap = if alone && wanted.program.movable { dynamic_base } else { end.wrapping_add(bias) };
    layout.heap = heap + pages(random.heap, HEAP_PAGES);
    Ok(layout)
}

fn pages(random: u64, count: u64) -> u64 {
    random % count * PAGE
}

fn fill(map: &mut Map, start: u64, end: u64, flags: Flags) {
    map.insert(Area { start, end, protection: Protection::READ, flags, backing: Backing::Anonymous });
}

impl Layout {
    fn place_stack(&mut self, map: &mut Map, wanted: &Wanted<'_>) -> Result<()> {
        let length = wanted.stack_limit.min(STACK_MAPPED).max(wanted.stack_least);
        let length = length.checked_next_multiple_of(PAGE).ok_or(Errno::NOMEM)?;
        let high = map.end().saturating_sub(pages(wanted.random.stack, STACK_PAGES)).saturating_sub(PAGE);
        let start = map.find_down(length, map.lowest(), high).ok_or(Errno::NOMEM)?;
        self.stack = (start, start + length);
        fill(map, start, start + length, Flags::GROWS_DOWN);
        Ok(())
    }

    /// Finds a file's place, and takes it: how far it is moved.
    fn place(&self, map: &mut Map, plan: &Plan, preferred: Option<u64>) -> Result<u64> {
        let (start, end) = plan.span()?;
        let length = end - start;
        let at = if plan.movable { self.find(map, plan.alignment, (start, length), preferred)? } else { start };
        let stop = at.checked_add(length).filter(|stop| *stop <= map.end()).ok_or(Errno::NOMEM)?;
        if at < map.lowest() {
            return Err(Errno::PERM);
        }
        if !map.is_free(at, stop) {
            return Err(Errno::NOMEM);
        }
        fill(map, at, stop, Flags::empty());
        Ok(at.wrapping_sub(start))
    }

    fn find(&self, map: &mut Map, alignment: u64, (start, length): (u64, u64), preferred: Option<u64>) -> Result<u64> {
        let align = |address: u64| address / alignment * alignment + start % alignment;
        if let Some(at) = preferred.map(align) {
            let stop = at.checked_add(length).filter(|stop| *stop <= map.end());
            if stop.is_some_and(|stop| at >= map.lowest() && map.is_free(at, stop)) {
                return Ok(at);
            }
        }
        let roomy = length.checked_add(alignment - PAGE).ok_or(Errno::NOMEM)?;
        let found = map.find_down(roomy, map.lowest(), self.base).ok_or(Errno::NOMEM)?;
        let at = align(found);
        Ok(if at < found { at + alignment } else { at })
    }

    fn add(&mut self, plan: &Plan, bias: u64, origin: Origin) -> Result<()> {
        for segment in &plan.segments {
            self.add_segment(segment, bias, origin)?;
        }
        Ok(())
    }

    /// Maps what is in the file, clears the rest of its last page, and maps zeroes behind it.
    fn add_segment(&mut self, segment: &Segment, bias: u64, origin: Origin) -> Result<()> {
        let address = segment.address.wrapping_add(bias);
        let start = address & !(PAGE - 1);
        let file_end = address + segment.file_size;
        let end = (address + segment.memory_size).checked_next_multiple_of(PAGE).ok_or(Errno::NOMEM)?;
        let mut zeroes = start;
        if segment.file_size != 0 {
            zeroes = file_end.checked_next_multiple_of(PAGE).ok_or(Errno::NOMEM)?;
            let offset = segment.offset - (address - start);
            let file = Some((origin, offset));
            self.mappings.push(Mapping { start, end: zeroes, protection: segment.protection, file });
            let writable = segment.protection.contains(Protection::WRITE);
            if writable && segment.memory_size > segment.file_size && file_end < zeroes {
                self.clear.push((file_end, zeroes));
            }
        }
        if end > zeroes && segment.memory_size != 0 {
            let protection = Protection::READ | Protection::WRITE | (segment.protection & Protection::EXEC);
            self.mappings.push(Mapping { start: zeroes, end, protection, file: None });
        }
        Ok(())
    }

    fn note_program(&mut self, plan: &Plan, bias: u64) {
        let moved = |address: u64| address.wrapping_add(bias);
        let text = plan.segments.iter().filter(|segment| segment.protection.contains(Protection::EXEC));
        let ends = |segment: &Segment| segment.address + segment.file_size;
        let start = plan.segments.iter().map(|segment| segment.address).min().unwrap_or(0);
        self.code = (moved(start), moved(text.map(ends).max().unwrap_or(start)));
        let data = plan.segments.iter().map(|segment| segment.address).max().unwrap_or(0);
        self.data = (moved(data), moved(plan.segments.iter().map(ends).max().unwrap_or(data)));
    }
}

#[cfg(test)]
mod tests;
