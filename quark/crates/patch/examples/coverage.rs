//! Tells how many `syscall` instructions of the given ELF files can be patched, by kind of window, and why the others can't:
//! `cargo run -p quark-patch --example coverage -- /lib/x86_64-linux-gnu/libc.so.6`.

#[path = "../tests/common/elf.rs"]
mod elf;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use quark_patch::{Arena, Code, plan_text};

fn main() {
    let verbose = std::env::var_os("VERBOSE").is_some();
    for path in std::env::args().skip(1) {
        let (mut sites, mut good, mut atomic, mut placed, mut bytes) = (0, 0, 0, 0, 0);
        let mut table: BTreeMap<String, usize> = BTreeMap::new();
        let mut arena = Arena::default();
        let begin = Instant::now();
        for section in elf::sections(Path::new(&path)) {
            bytes += section.bytes.len();
            let code = Code { address: section.address, bytes: &section.bytes };
            for (address, plan) in plan_text(code, None) {
                sites += 1;
                match plan {
                    Ok(site) => {
                        good += 1;
                        atomic += usize::from(site.atomic_word().is_some());
                        *table.entry(format!("{:?}", site.kind())).or_default() += 1;
                        let free = [0x1_0000..0x40_0000, 0x4000_0000..0x7fff_ffff_0000];
                        placed += usize::from(arena.place(&site, 0, &free).is_ok());
                    }
                    Err(reason) => {
                        *table.entry(format!("{reason:?}")).or_default() += 1;
                        if verbose {
                            println!("{address:#x} {reason}");
                        }
                    }
                }
            }
        }
        let took = begin.elapsed();
        println!(
            "{path}: {sites} sites, {good} patchable, {atomic} in one line, {placed} placed in {} pages, {} KiB in {took:?}: {table:?}",
            arena.pages().count(),
            bytes / 1024
        );
    }
}
