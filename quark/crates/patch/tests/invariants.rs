//! Every patch of real programs, and of random and damaged code, is right by an independent reading of its bytes.

mod common {
    pub mod check;
    mod elf;
    pub use elf::*;
}

use common::check::{branch_targets, check, check_targets};
use quark_patch::{Arena, Code, Kind, Unpatchable, plan_text, survey};

const FAST: u64 = 0x7fff_f000_1230;
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

fn free(code: Code<'_>) -> [std::ops::Range<u64>; 2] {
    let page = |address: u64| address & !0xfff;
    [0x1_0000..page(code.address).max(0x1_0000), page(code.end()).saturating_add(0x2000)..0x7fff_ffff_0000]
}

#[test]
fn real_programs_are_patched_right_and_nearly_wholly() {
    let (mut sites, mut good) = (0, 0);
    for path in common::binaries() {
        for section in common::sections(&path) {
            let code = Code { address: section.address, bytes: &section.bytes };
            let targets = branch_targets(code);
            let mut arena = Arena::default();
            for (syscall, plan) in plan_text(code, None) {
                sites += 1;
                let Ok(site) = plan else { continue };
                assert_eq!(site.syscall, syscall);
                let placed = arena.place(&site, FAST, &free(code)).unwrap();
                check(code, &site, &placed.patch, FAST);
                check_targets(&targets, &placed.patch);
                good += 1;
            }
        }
    }
    assert!(sites > 40, "this test's own program has more: {sites}");
    assert!(good * 100 >= sites * 97, "{good} of {sites}");
}

#[test]
fn one_site_alone_is_planned_as_in_its_whole_text() {
    for path in common::binaries() {
        for section in common::sections(&path) {
            let code = Code { address: section.address, bytes: &section.bytes };
            for (syscall, plan) in plan_text(code, None) {
                let from = syscall.saturating_sub(1024).max(code.address);
                let to = (syscall + 1024).min(code.end());
                let around = Code { address: from, bytes: code.at(from, (to - from) as usize).unwrap() };
                match (survey(around, syscall), plan) {
                    (Ok(alone), Ok(whole)) => assert_eq!(alone.syscall, whole.syscall),
                    (Ok(alone), Err(reason)) => assert!(reason != Unpatchable::NoRoom, "{alone:?}"),
                    (Err(_), _) => {}
                }
            }
        }
    }
}

#[test]
fn random_bytes_are_refused_or_patched_right() {
    let seed = std::env::var("QUARK_PATCH_SEED").ok().and_then(|it| it.parse().ok()).unwrap_or(1);
    let mut random = Random(seed);
    let mut good = 0;
    for round in 0..6_000 {
        let mut bytes: Vec<u8> = (0..64 + random.below(400)).map(|_| random.next() as u8).collect();
        let at = random.below(bytes.len() - 2);
        bytes[at..at + 2].copy_from_slice(&SYSCALL);
        let address = [0x40_0000, 0x7f12_3456_7000, 0, u64::MAX - 600][round % 4] + random.below(64) as u64;
        let code = Code { address, bytes: &bytes };
        if let Ok(site) = survey(code, address + at as u64) {
            good += 1;
            if let Ok(placed) = Arena::default().place(&site, FAST, &free(code)) {
                check(code, &site, &placed.patch, FAST);
                check_targets(&branch_targets(code), &placed.patch);
            }
        }
    }
    assert!(good > 100, "seed {seed}: only {good}");
}

#[test]
fn damaged_programs_are_refused_or_patched_right() {
    let mut random = Random(2);
    let own = std::env::current_exe().unwrap();
    let mut good = 0;
    for section in common::sections(&own) {
        let code = Code { address: section.address, bytes: &section.bytes };
        for (syscall, _) in plan_text(code, None) {
            for _ in 0..20 {
                let from = syscall.saturating_sub(300).max(code.address);
                let length = 600.min((code.end() - from) as usize);
                let mut bytes = code.at(from, length).unwrap().to_vec();
                for _ in 0..1 + random.below(8) {
                    let near = ((syscall - from) as usize + random.below(40)).saturating_sub(20).min(length - 1);
                    bytes[near] = random.next() as u8;
                }
                let damaged = Code { address: from, bytes: &bytes };
                let Ok(site) = survey(damaged, syscall) else {
                    continue;
                };
                if let Ok(placed) = Arena::default().place(&site, FAST, &free(damaged)) {
                    check(damaged, &site, &placed.patch, FAST);
                    check_targets(&branch_targets(damaged), &placed.patch);
                    good += 1;
                }
            }
        }
    }
    assert!(good > 100, "{good}");
}

/// `before`, `syscall`, `behind`, with enough around that decoding is certain.
fn wrapper(before: &[u8], behind: &[u8]) -> (Vec<u8>, u64) {
    let mut bytes = vec![0x90; 256];
    bytes.extend_from_slice(before);
    let syscall = 0x40_0000 + bytes.len() as u64;
    bytes.extend_from_slice(&SYSCALL);
    bytes.extend_from_slice(behind);
    bytes.extend_from_slice(&[0xc3; 64]);
    (bytes, syscall)
}

fn plan(before: &[u8], behind: &[u8]) -> Result<quark_patch::Site, Unpatchable> {
    let (bytes, syscall) = wrapper(before, behind);
    survey(Code { address: 0x40_0000, bytes: &bytes }, syscall)
}

#[test]
fn windows_are_chosen_by_what_is_around() {
    let compare = [0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff];
    let kinds = [
        (plan(&[0xb8, 39, 0, 0, 0], &[]), Kind::One),                      // mov $39, %eax
        (plan(&[0x48, 0xc7, 0xc0, 1, 0, 0, 0], &[]), Kind::One),           // mov $1, %rax
        (plan(&[0x4d, 0x89, 0xc8, 0x31, 0xc0], &[]), Kind::Several),       // mov %r9, %r8; xor %eax, %eax
        (plan(&[0xe8, 0, 0, 0, 0, 0x44, 0x89, 0xc0], &[]), Kind::Through), // call; mov %r8d, %eax
        (plan(&[0xe8, 0, 0, 0, 0], &compare), Kind::Behind),               // call; syscall; cmp
    ];
    for (site, kind) in kinds {
        assert_eq!(site.unwrap().kind(), kind);
    }
    assert_eq!(plan(&[0xe8, 0, 0, 0, 0], &[0xc3]), Err(Unpatchable::NoRoom));
}

#[test]
fn a_prefix_belongs_to_its_instruction() {
    // mov $39, %r8d has the bytes of mov $39, %eax behind a prefix.
    let site = plan(&[0x41, 0xb8, 39, 0, 0, 0], &[]).unwrap();
    assert_eq!(site.start(), site.syscall - 6);
}

#[test]
fn code_that_reads_flags_or_clobbered_registers_behind_is_left_alone() {
    let number = [0xb8, 39, 0, 0, 0];
    assert_eq!(plan(&number, &[0x72, 0x10]), Err(Unpatchable::Live)); // jb
    assert_eq!(plan(&number, &[0x4c, 0x89, 0xd8]), Err(Unpatchable::Live)); // mov %r11, %rax
    assert!(plan(&number, &[0x85, 0xc0, 0x72, 0x10]).is_ok()); // test %eax, %eax; jb
}

#[test]
fn flags_are_followed_both_ways_of_a_branch() {
    let number = [0xb8, 39, 0, 0, 0];
    let dec = [0x48, 0xff, 0xcf]; // dec %rdi, which leaves the carry flag
    let after = |branch: &[u8]| plan(&number, &[&dec[..], branch].concat()).map(|_| ());
    assert_eq!(after(&[0x75, 0xf4]), Ok(())); // jne to the window's start: a loop
    assert_eq!(after(&[0x75, 0x01]), Ok(())); // jne over a no-operation
    assert_eq!(after(&[0x75, 0x02, 0x72, 0x00]), Err(Unpatchable::Live)); // jne; jb
    assert_eq!(after(&[0x75, 0x01, 0xc3, 0x72, 0x00]), Err(Unpatchable::Live)); // jne to a jb, ret
}

#[test]
fn branches_into_the_window_forbid_it() {
    // jmp to the syscall from behind: it may stay where it is, but not be overwritten.
    assert!(plan(&[0xb8, 39, 0, 0, 0], &[0x85, 0xc0, 0x74, 0xfa]).is_ok());
    assert_eq!(plan(&[0xe8, 0, 0, 0, 0, 0x44, 0x89, 0xc0], &[0xc3, 0x74, 0xfb]), Err(Unpatchable::BranchTarget));
}

#[test]
fn registers_at_the_trap_show_whether_the_window_was_executed() {
    let mut registers = [7u64; 16];
    registers[0] = 39;
    assert!(plan(&[0xb8, 39, 0, 0, 0], &[]).unwrap().agrees(&registers));
    assert!(!plan(&[0xb8, 40, 0, 0, 0], &[]).unwrap().agrees(&registers));
    let through = plan(&[0xe8, 0, 0, 0, 0, 0x44, 0x89, 0xc0], &[]).unwrap();
    assert!(!through.agrees(&registers));
    registers[8] = 0xffff_ffff_0000_0027;
    assert!(through.agrees(&registers), "a move of 32 bits clears the others");
}
