//! The stub's program, and where its text lies.

use std::ops::Range;
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;

static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/stub.elf"));

/// The addresses of the stub's instructions: the one executable segment of its program.
pub(super) fn text() -> Range<u64> {
    const PT_LOAD: u64 = 1;
    const PF_X: u64 = 1;
    let headers = word(32, 8) as usize;
    let count = word(56, 2) as usize;
    for header in (0..count).map(|index| headers + index * 56) {
        if word(header, 4) == PT_LOAD && word(header + 4, 4) & PF_X != 0 {
            let start = word(header + 16, 8);
            return start..start + word(header + 40, 8);
        }
    }
    unreachable!("the stub is built with a text segment")
}

/// The little-endian number of `size` bytes at `offset` of the program.
fn word(offset: usize, size: usize) -> u64 {
    IMAGE[offset..offset + size].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A file that can be executed, closed on exec.
pub(super) fn file() -> Result<OwnedFd, Errno> {
    const MFD_EXEC: u32 = 0x10;
    let name = "quark-stub";
    let executable = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | MemfdFlags::from_bits_retain(MFD_EXEC);
    // Hosts before Linux 6.3 don't know the flag, and need none.
    let file = memfd_create(name, executable).or_else(|_| memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING))?;
    let mut rest = IMAGE;
    while !rest.is_empty() {
        rest = &rest[rustix::io::write(&file, rest)?..];
    }
    let seals = rustix::fs::SealFlags::WRITE | rustix::fs::SealFlags::GROW | rustix::fs::SealFlags::SHRINK | rustix::fs::SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file)
}
