//! Executable sections of ELF files, read by hand: section headers of ELF64 (System V gABI, chapter 4).
#![allow(dead_code)]

use std::path::Path;

pub struct Section {
    pub name: String,
    pub address: u64,
    pub bytes: Vec<u8>,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + N).map_or(0, |it| it.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// The executable sections, but the procedure linkage tables.
pub fn sections(path: &Path) -> Vec<Section> {
    let Ok(file) = std::fs::read(path) else {
        return Vec::new();
    };
    if file.get(..5) != Some(b"\x7fELF\x02") {
        return Vec::new();
    }
    let table = number::<8>(&file, 0x28) as usize;
    let names = number::<2>(&file, 0x3e) as usize;
    let header = |index: usize| file.get(table + index * 64..table + index * 64 + 64).unwrap_or(&[0; 64]);
    let name_table = number::<8>(header(names), 24) as usize;
    let mut list = Vec::new();
    for index in 0..number::<2>(&file, 0x3c) as usize {
        let section = header(index);
        let (offset, size) = (number::<8>(section, 24) as usize, number::<8>(section, 32) as usize);
        let name: Vec<u8> = file[name_table + number::<4>(section, 0) as usize..].iter().take_while(|byte| **byte != 0).copied().collect();
        let name = String::from_utf8_lossy(&name).into_owned();
        let executable = number::<4>(section, 4) == 1 && number::<8>(section, 8) & 4 != 0;
        if executable && !name.starts_with(".plt") {
            list.push(Section { name, address: number::<8>(section, 16), bytes: file[offset..offset + size].to_vec() });
        }
    }
    list
}

/// Programs of many compilers and languages that may be on this machine; `QUARK_PATCH_BINARIES` adds more, separated by colons.
pub fn binaries() -> Vec<std::path::PathBuf> {
    let known = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2", "/bin/busybox", "/lib/x86_64-linux-gnu/libpthread.so.0"];
    let more = std::env::var("QUARK_PATCH_BINARIES").unwrap_or_default();
    let this = std::env::current_exe().ok();
    known
        .iter()
        .copied()
        .chain(more.split(':').filter(|it| !it.is_empty()))
        .map(Into::into)
        .chain(this)
        .filter(|path: &std::path::PathBuf| path.exists())
        .collect()
}
