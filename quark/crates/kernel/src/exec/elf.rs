//! The headers of ELF files (`man 5 elf`, System V ABI for x86-64). Pure.
//!
//! What is refused, and with which error, is what Linux' `fs/binfmt_elf.c` refuses before a program has started.

use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::memory::{PAGE, Protection};
use crate::{Errno, Result};

/// How much of a file is looked at to tell what it is (Linux' BINPRM_BUF_SIZE).
pub const HEAD: usize = 256;
/// The most bytes that the program headers may have.
const HEADERS_MAX: usize = 65536;
/// The longest interpreter path, its NUL included.
const INTERPRETER_MAX: u64 = 4096;

const EXECUTABLE: u16 = 2;
const SHARED_OBJECT: u16 = 3;
const X86_64: u16 = 62;
const LOAD: u32 = 1;
const INTERPRETER: u32 = 3;
const GNU_STACK: u32 = 0x6474_e551;

#[derive(FromBytes, KnownLayout, Immutable)]
#[repr(C)]
struct FileHeader {
    magic: [u8; 4],
    class: u8,
    order: u8,
    _identity: [u8; 10],
    kind: u16,
    machine: u16,
    _version: u32,
    entry: u64,
    headers_offset: u64,
    _sections_offset: u64,
    _flags: u32,
    _size: u16,
    header_size: u16,
    header_count: u16,
    _sections: [u16; 3],
}

#[derive(FromBytes, KnownLayout, Immutable)]
#[repr(C)]
struct ProgramHeader {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    _physical: u64,
    file_size: u64,
    memory_size: u64,
    alignment: u64,
}

/// A part of the file that is mapped (PT_LOAD).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// In the file; the same as `address`, modulo a page.
    pub offset: u64,
    /// In memory, before anything is moved.
    pub address: u64,
    /// Bytes that come from the file.
    pub file_size: u64,
    /// Bytes in memory; those beyond `file_size` are zero.
    pub memory_size: u64,
    /// What it may be used for.
    pub protection: Protection,
}

/// What an ELF file says about how to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// It may be anywhere (ET_DYN), not only where its addresses say (ET_EXEC).
    pub movable: bool,
    /// Where it starts, before anything is moved.
    pub entry: u64,
    /// By their order in the file; if there are none, [`Plan::span`] says so.
    pub segments: Vec<Segment>,
    /// Where the program headers are in memory, before anything is moved, or 0; and how many.
    pub headers: (u64, u64),
    /// Where the interpreter's path is in the file, and how long it is, its NUL included.
    pub interpreter: Option<(u64, u64)>,
    /// PT_GNU_STACK asks for a stack that may be executed.
    pub executable_stack: bool,
    /// The largest alignment of a segment that is a power of two, at least a page.
    pub alignment: u64,
}

/// Where the program headers are in the file, by its first [`HEAD`] bytes (fewer if it is shorter): offset and length in bytes. ENOEXEC for what isn't
/// an ELF program for this machine.
pub fn locate_headers(head: &[u8]) -> Result<(u64, usize)> {
    let (header, _) = FileHeader::read_from_prefix(head).map_err(|_| Errno::NOEXEC)?;
    let right = header.magic == *b"\x7fELF" && header.class == 2 && header.order == 1 && header.machine == X86_64;
    let program = header.kind == EXECUTABLE || header.kind == SHARED_OBJECT;
    let length = usize::from(header.header_count) * size_of::<ProgramHeader>();
    let sized = usize::from(header.header_size) == size_of::<ProgramHeader>() && length != 0 && length <= HEADERS_MAX;
    if right && program && sized { Ok((header.headers_offset, length)) } else { Err(Errno::NOEXEC) }
}

/// What a file says, by its first bytes and its program headers: ENOEXEC, EINVAL for segments that can't be. Addresses may not be above `end`.
pub fn parse(head: &[u8], headers: &[u8], end: u64) -> Result<Plan> {
    locate_headers(head)?;
    let (file, _) = FileHeader::read_from_prefix(head).map_err(|_| Errno::NOEXEC)?;
    let mut plan = Plan {
        movable: file.kind == SHARED_OBJECT,
        entry: file.entry,
        segments: Vec::new(),
        headers: (0, u64::from(file.header_count)),
        interpreter: None,
        executable_stack: false,
        alignment: PAGE,
    };
    for bytes in headers.chunks_exact(size_of::<ProgramHeader>()) {
        let header = ProgramHeader::read_from_bytes(bytes).map_err(|_| Errno::NOEXEC)?;
        match header.kind {
            LOAD => plan.add_segment(&header, file.headers_offset, end)?,
            INTERPRETER if plan.interpreter.is_none() => plan.interpreter = Some(interpreter(&header)?),
            GNU_STACK => plan.executable_stack = header.flags & 1 != 0,
            _ => (),
        }
    }
    Ok(plan)
}

fn interpreter(header: &ProgramHeader) -> Result<(u64, u64)> {
    let length = header.file_size;
    if (2..=INTERPRETER_MAX).contains(&length) { Ok((header.offset, length)) } else { Err(Errno::NOEXEC) }
}

impl Plan {
    fn add_segment(&mut self, header: &ProgramHeader, headers_offset: u64, end: u64) -> Result<()> {
        let segment = Segment {
            offset: header.offset,
            address: header.address,
            file_size: header.file_size,
            memory_size: header.memory_size,
            protection: protection(header.flags),
        };
        let fits = segment.address.checked_add(segment.memory_size).is_some_and(|stop| stop <= end);
        let aligned = segment.file_size == 0 || segment.offset % PAGE == segment.address % PAGE;
        let in_file = segment.offset.checked_add(segment.file_size).is_some_and(|stop| stop <= i64::MAX as u64);
        if segment.file_size > segment.memory_size || !fits || !aligned || !in_file {
            return Err(Errno::INVAL);
        }
        let within = headers_offset.checked_sub(segment.offset).filter(|distance| *distance < segment.file_size);
        if let Some(distance) = within.filter(|_| self.headers.0 == 0) {
            self.headers.0 = segment.address + distance;
        }
        if header.alignment.is_power_of_two() && header.alignment <= end {
            self.alignment = self.alignment.max(header.alignment);
        }
        self.segments.push(segment);
        Ok(())
    }

    /// The addresses that the segments take, before anything is moved: page aligned, not empty. ENOEXEC without segments, EINVAL if
    /// they are empty.
    pub fn span(&self) -> Result<(u64, u64)> {
        let start = self.segments.iter().map(|segment| segment.address & !(PAGE - 1)).min().ok_or(Errno::NOEXEC)?;
        let end = self.segments.iter().map(|segment| segment.address + segment.memory_size).max().unwrap_or(0);
        let end = end.checked_next_multiple_of(PAGE).ok_or(Errno::INVAL)?;
        if end > start { Ok((start, end)) } else { Err(Errno::INVAL) }
    }
}

/// PF_X, PF_W, PF_R.
fn protection(flags: u32) -> Protection {
    let mut protection = Protection::empty();
    protection.set(Protection::EXEC, flags & 1 != 0);
    protection.set(Protection::WRITE, flags & 2 != 0);
    protection.set(Protection::READ, flags & 4 != 0);
    protection
}
