//! Layouts of programs, and what becomes of broken ones.

use super::super::elf::{HEAD, locate_headers, parse};
use super::*;

const LOWEST: u64 = 0x1_0000;
const END: u64 = 0x7fff_0000_0000;

/// One program header: kind, flags, offset, address, file size, memory size, alignment.
type Header = (u32, u32, u64, u64, u64, u64, u64);

/// An ELF file's first bytes.
fn file(kind: u16, entry: u64, headers: &[Header]) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend(kind.to_le_bytes());
    bytes.extend(62_u16.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(entry.to_le_bytes());
    bytes.extend(64_u64.to_le_bytes());
    bytes.extend([0; 12]);
    for half in [64, 56, headers.len() as u16, 0, 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    for (kind, flags, offset, address, file_size, memory_size, alignment) in headers {
        bytes.extend(kind.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        for word in [offset, address, address, file_size, memory_size, alignment] {
            bytes.extend(word.to_le_bytes());
        }
    }
    bytes
}

fn plan(bytes: &[u8]) -> Result<Plan> {
    let (offset, length) = locate_headers(bytes)?;
    let start = usize::try_from(offset).map_err(|_| Errno::NOEXEC)?;
    let headers = start.checked_add(length).and_then(|end| bytes.get(start..end)).ok_or(Errno::NOEXEC)?;
    parse(bytes, headers, END)
}

fn lay(program: &Plan, interpreter: Option<&Plan>, random: Random) -> Result<Layout> {
    let wanted = Wanted { program, interpreter, random, stack_limit: 8 << 20, stack_least: 1 << 17 };
    layout(&Map::new(LOWEST, END), &wanted)
}

/// A program as a linker makes it: text, data with bss.
fn program(kind: u16, base: u64) -> Vec<u8> {
    let headers = [
        (1, 4, 0, base, 0x500, 0x500, 0x1000),
        (1, 5, 0x1000, base + 0x1000, 0x2345, 0x2345, 0x1000),
        (1, 6, 0x3e10, base + 0x4e10, 0x1234, 0x5000, 0x1000),
        (0x6474_e551, 6, 0, 0, 0, 0, 16),
    ];
    file(kind, base + 0x1040, &headers)
}

#[test]
fn a_fixed_program_is_where_it_says() {
    let plan = plan(&program(2, 0x40_0000)).unwrap();
    let layout = lay(&plan, None, Random::default()).unwrap();
    let data = Protection::READ | Protection::WRITE;
    let of = |offset| Some((Origin::Program, offset));
    let expected = [
        Mapping { start: 0x40_0000, end: 0x40_1000, protection: Protection::READ, file: of(0) },
        Mapping { start: 0x40_1000, end: 0x40_4000, protection: Protection::READ | Protection::EXEC, file: of(0x1000) },
        Mapping { start: 0x40_4000, end: 0x40_7000, protection: data, file: of(0x3000) },
        Mapping { start: 0x40_7000, end: 0x40_a000, protection: data, file: None },
    ];
    assert_eq!(layout.mappings, expected);
    assert_eq!(layout.clear, [(0x40_6044, 0x40_7000)]);
    assert_eq!((layout.entry, layout.program_entry, layout.headers), (0x40_1040, 0x40_1040, 0x40_0040));
    assert_eq!((layout.heap, layout.interpreter), (0x40_a000, 0));
    assert_eq!((layout.code, layout.data), ((0x40_0000, 0x40_3345), (0x40_4e10, 0x40_6044)));
    assert_eq!(layout.stack, (END - 0x1000 - (8 << 20), END - 0x1000));
    assert!(layout.base < layout.stack.0 - (100 << 20));
}

#[test]
fn a_movable_program_goes_to_two_thirds_and_its_loader_below_the_stack() {
    let (program, loader) = (plan(&program(3, 0)).unwrap(), plan(&program(3, 0)).unwrap());
    let layout = lay(&program, Some(&loader), Random::default()).unwrap();
    let base = DYNAMIC_BASE;
    assert_eq!(layout.program_entry, base + 0x1040);
    assert_eq!(layout.interpreter, layout.base - 0xa000);
    assert_eq!(layout.entry, layout.interpreter + 0x1040);
    assert_eq!(layout.heap, base + 0xa000);
    let alone = lay(&program, None, Random::default()).unwrap();
    assert_eq!(alone.entry, alone.base - 0xa000 + 0x1040);
    assert_eq!(alone.heap, base);
}

#[test]
fn random_numbers_move_everything() {
    let program = plan(&program(3, 0)).unwrap();
    let at = |random| lay(&program, Some(&program), random).unwrap();
    let still = at(Random::default());
    let moved = at(Random { stack: 5, mappings: 6, program: 7, heap: 8 });
    assert_eq!(moved.stack.1, still.stack.1 - 5 * PAGE);
    assert_eq!(moved.base, still.base - 11 * PAGE);
    assert_eq!(moved.program_entry, still.program_entry + 7 * PAGE);
    assert_eq!(moved.heap, still.heap + 15 * PAGE);
    at(Random { stack: u64::MAX, mappings: u64::MAX, program: u64::MAX, heap: u64::MAX });
}

#[test]
fn alignment_is_kept() {
    let program = plan(&file(3, 0, &[(1, 5, 0x1000, 0x1000, 0x100, 0x100, 0x20_0000)])).unwrap();
    for random in [0, 1, 77, 511] {
        let random = Random { program: random, mappings: random, ..Random::default() };
        let layout = lay(&program, Some(&program), random).unwrap();
        assert_eq!(layout.mappings[0].start % 0x20_0000, 0x1000);
        assert_eq!(layout.mappings[1].start % 0x20_0000, 0x1000);
    }
}

#[test]
fn broken_files_are_refused() {
    let refused = |bytes: &[u8]| plan(bytes).unwrap_err();
    let mut other = program(2, 0x40_0000);
    other[18] = 3;
    assert_eq!(refused(&other), Errno::NOEXEC);
    let mut other = program(2, 0x40_0000);
    other[4] = 1;
    assert_eq!(refused(&other), Errno::NOEXEC);
    assert_eq!(refused(&program(1, 0x40_0000)), Errno::NOEXEC);
    assert_eq!(refused(b"\x7fELF"), Errno::NOEXEC);
    assert_eq!(refused(&file(2, 0, &[])), Errno::NOEXEC);
    let empty = plan(&file(2, 0, &[(4, 0, 0, 0, 0, 0, 0)])).unwrap();
    assert_eq!(lay(&empty, None, Random::default()), Err(Errno::NOEXEC));
    assert_eq!(refused(&file(2, 0, &[(1, 5, 0, 0x40_0000, 2, 1, 0)])), Errno::INVAL);
    assert_eq!(refused(&file(2, 0, &[(1, 5, 1, 0x40_0000, 2, 2, 0)])), Errno::INVAL);
    assert_eq!(refused(&file(2, 0, &[(1, 5, 0, END, 0x1000, 0x1000, 0)])), Errno::INVAL);
    assert_eq!(refused(&file(2, 0, &[(1, 5, 0, u64::MAX - 0xfff, 0x1000, 0x1000, 0)])), Errno::INVAL);
    assert_eq!(refused(&file(3, 0, &[(3, 4, 0x1000, 0, 4097, 4097, 1)])), Errno::NOEXEC);
    assert_eq!(refused(&file(3, 0, &[(3, 4, 0x1000, 0, 1, 1, 1)])), Errno::NOEXEC);
}

#[test]
fn programs_that_do_not_fit_are_refused() {
    let at = |address, length| {
        let plan = plan(&file(2, 0, &[(1, 5, 0, address, 0x10, length, 0x1000)])).unwrap();
        lay(&plan, None, Random::default()).unwrap_err()
    };
    assert_eq!(at(0, 0x1000), Errno::PERM);
    assert_eq!(at(0x40_0000, END - 0x40_0000), Errno::NOMEM);
    assert_eq!(at(END - 0x2000, 0x2000), Errno::NOMEM);
}

/// Whatever a file says, nothing panics, and nothing is mapped but where the guest may be, and not over the stack.
#[test]
fn mutated_files_stay_in_the_address_space() {
    let mut seed = 1_u64;
    let mut random = |bound: usize| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize % bound
    };
    let mut accepted = 0;
    for round in 0..60_000 {
        let base = if round % 2 == 0 { program(2, 0x40_0000) } else { program(3, 0) };
        let mut bytes = base.clone();
        for _ in 0..1 + random(4) {
            let at = if random(4) == 0 { random(bytes.len()) } else { 24 + random(bytes.len() - 24) };
            bytes[at] = match random(4) {
                0 => 0,
                1 => 0xff,
                2 => bytes[at] ^ (1 << random(8)),
                _ => random(256) as u8,
            };
        }
        bytes.resize(HEAD + 64, 0);
        let Ok(plan) = plan(&bytes) else { continue };
        let words = Random { stack: random(1 << 30) as u64, program: random(1 << 30) as u64, ..Random::default() };
        let interpreter = (random(2) == 0).then_some(&plan);
        let Ok(layout) = lay(&plan, interpreter, words) else { continue };
        accepted += 1;
        for mapping in &layout.mappings {
            assert!(mapping.start < mapping.end && mapping.start >= LOWEST && mapping.end <= layout.stack.0.max(END));
            assert!(mapping.end <= layout.stack.0 || mapping.start >= layout.stack.1);
            assert!(mapping.start % PAGE == 0 && mapping.end % PAGE == 0);
            assert!(mapping.file.is_none_or(|(_, offset)| offset % PAGE == 0));
        }
        for (start, end) in &layout.clear {
            assert!(layout.mappings.iter().any(|mapping| mapping.start <= *start && *end <= mapping.end));
        }
        assert!(layout.stack.0 >= LOWEST && layout.stack.1 <= END && layout.base <= END && layout.heap <= END + (1 << 40));
    }
    assert!(accepted > 1000, "{accepted} of the files were accepted");
}
