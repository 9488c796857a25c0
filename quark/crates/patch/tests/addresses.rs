//! Where trampolines go, and how addresses in them are translated.

use std::slice::from_ref;

use quark_patch::{Arena, Code, PAGE, Patches, Site, Unpatchable, survey};

const BASE: u64 = 0x7f00_0000_0000;
const FREE: std::ops::Range<u64> = BASE - 0x10_0000..BASE;

/// `before`, `syscall`, `behind`, among no-operations.
fn code(before: &[u8], behind: &[u8]) -> (Vec<u8>, u64) {
    let mut bytes = vec![0x90; 256];
    bytes.extend_from_slice(before);
    let syscall = BASE + bytes.len() as u64;
    bytes.extend_from_slice(&[0x0f, 0x05]);
    bytes.extend_from_slice(behind);
    bytes.extend_from_slice(&[0xc3; 64]);
    (bytes, syscall)
}

fn site(before: &[u8], behind: &[u8]) -> Site {
    let (bytes, syscall) = code(before, behind);
    survey(Code { address: BASE, bytes: &bytes }, syscall).unwrap()
}

fn getpid() -> Site {
    site(&[0xb8, 39, 0, 0, 0], &[])
}

/// `call; syscall; cmp $-4095, %rax; jae`.
fn behind() -> Site {
    site(&[0xe8, 0, 0, 0, 0], &[0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, 0x73, 0x01])
}

const FAST: u64 = 0x1234;

#[test]
fn trampolines_share_pages_and_do_not_overlap() {
    let mut arena = Arena::default();
    let mut taken: Vec<std::ops::Range<u64>> = Vec::new();
    for _ in 0..300 {
        let placed = arena.place(&getpid(), FAST, from_ref(&FREE)).unwrap();
        let code = placed.patch.code();
        assert!(FREE.start <= code.start && code.end <= FREE.end);
        assert_eq!(code.start & !(PAGE - 1), (code.end - 1) & !(PAGE - 1), "within a page");
        assert!(taken.iter().all(|other| other.end <= code.start || code.end <= other.start));
        taken.push(code);
    }
    assert_eq!(arena.pages().count(), 300 * 32 / 4096 + 1);
}

#[test]
fn room_that_is_given_back_is_used_again() {
    let mut arena = Arena::default();
    let first = arena.place(&getpid(), FAST, from_ref(&FREE)).unwrap();
    assert!(first.new_page.is_some());
    arena.release(&first.patch);
    let second = arena.place(&getpid(), FAST, from_ref(&FREE)).unwrap();
    assert_eq!((second.patch.at, second.new_page), (first.patch.at, None));
}

#[test]
fn memory_out_of_reach_is_of_no_use() {
    let far = [BASE - 0x1_0000_0000..BASE - 0x9000_0000, BASE + 0x9000_0000..BASE + 0xa000_0000];
    assert_eq!(Arena::default().place(&getpid(), FAST, &far), Err(Unpatchable::NoSlot));
    assert_eq!(Arena::default().place(&getpid(), FAST, &[]), Err(Unpatchable::NoSlot));
    let edge = BASE - 0x7fff_e000..BASE - 0x7fff_d000;
    assert!(Arena::default().place(&getpid(), FAST, from_ref(&edge)).is_ok());
}

#[test]
fn addresses_translate_to_and_fro() {
    let mut arena = Arena::default();
    let mut patches = Patches::default();
    let patch = arena.place(&behind(), FAST, from_ref(&FREE)).unwrap().patch;
    patches.insert(patch.clone());
    let back = patch.site + 2;
    let tail = patches.resume(back);
    assert!(patch.code().contains(&tail));
    assert_eq!(patches.original(tail), back);
    assert_eq!(patches.original(tail + 1), back, "in the middle of an instruction it is the instruction's");
    for same in [0, patch.site, patch.site - 1, patch.site + 5, patch.at - 1, patch.code().end, u64::MAX] {
        assert_eq!(patches.resume(same), same);
    }
    for same in [0, patch.at - 1, patch.code().end, u64::MAX] {
        assert_eq!(patches.original(same), same);
    }
    patches.retire(patch.overwritten.start);
    assert!(patches.is_empty());
    assert_eq!(patches.resume(back), back);
    assert_eq!(patches.original(tail), back, "a thread may still be in the trampoline");
    patches.forget(patch.at..patch.at + 1);
    assert_eq!(patches.original(tail), tail);
}

#[test]
fn a_debugger_is_shown_what_was_there() {
    let (bytes, syscall) = code(&[0xb8, 39, 0, 0, 0], &[]);
    let site = survey(Code { address: BASE, bytes: &bytes }, syscall).unwrap();
    let patch = Arena::default().place(&site, FAST, from_ref(&FREE)).unwrap().patch;
    let mut patched = bytes.clone();
    let from = (patch.overwritten.start - BASE) as usize;
    patched[from..from + 5].copy_from_slice(&patch.bytes);
    let mut patches = Patches::default();
    patches.insert(patch);
    for (start, end) in [(0, bytes.len()), (from + 2, from + 4), (from + 4, bytes.len()), (0, from + 1), (0, from)] {
        let mut read = patched[start..end].to_vec();
        patches.hide(BASE + start as u64, &mut read);
        assert_eq!(read, bytes[start..end], "{start}..{end}");
    }
}

#[test]
fn patches_are_found_by_what_they_touch() {
    let patch = Arena::default().place(&getpid(), FAST, from_ref(&FREE)).unwrap().patch;
    let mut patches = Patches::default();
    patches.insert(patch.clone());
    let start = patch.overwritten.start;
    assert_eq!(patches.within(start + 4..start + 5).count(), 1);
    assert_eq!(patches.within(start + 5..start + 50).count(), 0);
    assert_eq!(patches.within(start - 10..start).count(), 0);
    assert_eq!(patches.within(5..5).count() + patches.within(0..1).count(), 0);
    assert_eq!(patches.through(patch.at..patch.at + 1).count(), 1);
    assert_eq!(patches.through(patch.code().end..u64::MAX).count(), 0);
}

#[test]
fn words_for_atomic_writes_stay_in_a_line_and_cover_the_jump() {
    let mut crossing = 0;
    for shift in 0..64 {
        let mut bytes = vec![0x90; 128 + shift];
        bytes.extend_from_slice(&[0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3]);
        let code = Code { address: BASE, bytes: &bytes };
        let site = survey(code, BASE + 128 + shift as u64 + 5).unwrap();
        let Some(word) = site.atomic_word() else {
            crossing += 1;
            continue;
        };
        assert_eq!(word & !63, (word + 7) & !63);
        assert!(word <= site.start() && site.start() + 5 <= word + 8);
        assert!(word % 8 == 0 || site.start() % 8 > 3);
    }
    assert_eq!(crossing, 4);
}
