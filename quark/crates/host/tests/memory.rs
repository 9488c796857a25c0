//! The kernel reads and writes guest memory: whichever way it takes, the same comes of it.

mod support;

use quark_host::platform::{Event, HostCall};
use rustix::io::Errno;
use support::{Guest, World, anonymous};

std::arch::global_asm!(
    r#"
    .globl calls, calls_end, jumps, jumps_end
calls:
    syscall
    jmp calls
calls_end:

// Calls by a jump, with the direction flag set.
jumps:
    std
2:  lea rcx, [rip + 3f]
    jmp rbx
3:  pushfq
    pop rbp
    jmp 2b
jumps_end:
"#
);

const PAGES: u64 = 0x1000_0000;
const MAPPED: u64 = 0x8000;
const ROUNDS: u64 = 3000;

/// Pages with a hole behind them, and one behind that which can't be written.
fn map_pages(guest: &mut Guest) {
    let readable = HostCall::Protect { address: PAGES + MAPPED + 0x1000, length: 0x1000, protection: libc::PROT_READ };
    guest.context.call(&[anonymous(PAGES, MAPPED), anonymous(PAGES + MAPPED + 0x1000, 0x1000), readable]).unwrap();
}

fn pattern(round: u64, length: usize) -> Vec<u8> {
    (0..length as u64).map(|index| (index.wrapping_mul(31) ^ round.wrapping_mul(7)) as u8).collect()
}

/// Accesses of all lengths at all places, after calls in quick succession.
fn access(guest: &mut Guest) {
    map_pages(guest);
    let mut seed = 1u64;
    for round in 0..ROUNDS {
        assert_eq!(guest.run(), Event::Syscall);
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let length = [1, 8, 100, 4096, 5000, 16384, 20000][(seed >> 33) as usize % 7];
        let address = PAGES + (seed >> 40) % MAPPED;
        let fits = address + length as u64 <= PAGES + MAPPED;
        let bytes = pattern(round, length);
        let written = guest.context.write(address, &bytes);
        assert_eq!(written, if fits { Ok(()) } else { Err(Errno::FAULT) }, "{round}: {length} at {address:#x}");
        let mut seen = vec![0; length];
        let read = guest.context.read(address, &mut seen);
        assert_eq!(read.is_ok(), fits);
        assert!(!fits || seen == bytes, "{round}: {length} at {address:#x}");
        assert_eq!(guest.context.write(PAGES + MAPPED + 0x1000, &[1]), Err(Errno::FAULT));
        guest.context.read(PAGES + MAPPED + 0x1000, &mut [0]).unwrap();
        // Both ways see the same memory.
        if fits {
            guest.space.read(address, &mut seen).unwrap();
            assert!(seen == bytes);
        }
    }
}

#[test]
fn accesses_after_traps() {
    let world = World::start();
    let mut guest = world.guest(guest_code!(calls, calls_end));
    access(&mut guest);
}

#[test]
fn accesses_after_jumps_keep_the_guests_direction() {
    const DIRECTION: u64 = 0x400;
    let world = World::start();
    let Some(entry) = world.platform.fast_entry() else { return };
    let mut guest = world.guest(guest_code!(jumps, jumps_end));
    guest.registers.rbx = entry;
    access(&mut guest);
    assert_eq!(guest.registers.rbp & DIRECTION, DIRECTION);
    assert_eq!(guest.registers.eflags & DIRECTION, DIRECTION);
}

#[test]
fn lazily_read_files_are_waited_for_and_lost_ones_are_faults() {
    let world = World::start();
    let mut guest = world.guest(guest_code!(calls, calls_end));
    let file = support::memfd(&[9; 8192]);
    let map = HostCall::Map {
        address: PAGES,
        length: 8192,
        protection: libc::PROT_READ | libc::PROT_WRITE,
        flags: libc::MAP_SHARED | libc::MAP_FIXED,
        file: Some((std::os::fd::AsFd::as_fd(&file), 0)),
    };
    guest.context.call(&[map]).unwrap();
    for round in 0..200 {
        assert_eq!(guest.run(), Event::Syscall);
        let mut seen = [0; 16];
        guest.context.read(PAGES + 4090, &mut seen).unwrap();
        assert_eq!(seen, [9; 16], "{round}");
    }
    rustix::fs::ftruncate(&file, 4096).unwrap();
    for _ in 0..200 {
        assert_eq!(guest.run(), Event::Syscall);
        assert_eq!(guest.context.read(PAGES + 4090, &mut [0; 16]), Err(Errno::FAULT));
        assert_eq!(guest.context.write(PAGES + 4096, &[0; 16]), Err(Errno::FAULT));
    }
}

#[test]
fn addresses_of_the_stub_are_faults() {
    let world = World::start();
    let mut guest = world.guest(guest_code!(calls, calls_end));
    let end = world.platform.layout().end;
    for _ in 0..100 {
        assert_eq!(guest.run(), Event::Syscall);
        for address in [end, end - 1, end + 0x4000_0000, u64::MAX, u64::MAX - 1] {
            assert_eq!(guest.context.read(address, &mut [0; 2]), Err(Errno::FAULT));
            assert_eq!(guest.context.write(address, &[0; 2]), Err(Errno::FAULT));
        }
    }
}
