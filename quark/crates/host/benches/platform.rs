//! What the hand-over costs: `cargo bench -p quark-host`. Each line is the least and the median of several rounds, per operation.

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use quark_host::platform::{Event, HostCall};
use support::{DATA, Guest, World, anonymous};

std::arch::global_asm!(
    r#"
calls:
    syscall
    jmp calls
calls_end:

jumps:
    lea rcx, [rip + 2f]
    jmp rbx
2:  jmp jumps
jumps_end:
"#
);

const ROUNDS: usize = 15;

/// As in `cargo bench -- mmap`.
fn is_left_out(name: &str) -> bool {
    std::env::args().skip(1).any(|word| !word.starts_with('-') && !name.contains(&word))
}

fn measure(name: &str, count: u32, mut operation: impl FnMut()) {
    if is_left_out(name) {
        return;
    }
    let mut times: Vec<u64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..count).for_each(|_| operation());
            start.elapsed().as_nanos() as u64 / u64::from(count)
        })
        .collect();
    times.sort_unstable();
    println!("{name:<44} {:>8} ns least {:>8} ns median", times[0], times[ROUNDS / 2]);
}

/// As processes start in life: with time between. What `make` returns is dropped untimed.
fn measure_now_and_then<T>(name: &str, mut make: impl FnMut() -> T) {
    if is_left_out(name) {
        return;
    }
    let mut times: Vec<u128> = (0..200)
        .map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(2));
            let start = Instant::now();
            let made = make();
            let time = start.elapsed().as_nanos();
            drop(made);
            time
        })
        .collect();
    times.sort_unstable();
    println!("{name:<44} {:>8} ns least {:>8} ns median", times[0], times[100]);
}

fn call(guest: &mut Guest) {
    assert_eq!(guest.run(), Event::Syscall);
}

fn main() {
    let world = World::start();
    let mut guest = world.guest(guest_code!(calls, calls_end));
    measure("system call by a trap", 10_000, || call(&mut guest));
    if let Some(entry) = world.platform.fast_entry() {
        let mut guest = world.guest(guest_code!(jumps, jumps_end));
        guest.registers.rbx = entry;
        measure("system call by a jump", 10_000, || call(&mut guest));
    }
    let mut bytes = [0; 4096];
    measure("read 64 bytes of guest memory", 10_000, || guest.context.read(DATA, &mut bytes[..64]).unwrap());
    measure("read 4096 bytes of guest memory", 10_000, || guest.context.read(DATA, &mut bytes).unwrap());
    measure("system call that reads 64 bytes", 5_000, || {
        call(&mut guest);
        guest.context.read(DATA, &mut bytes[..64]).unwrap();
    });
    measure("system call that writes 64 bytes", 5_000, || {
        call(&mut guest);
        guest.context.write(DATA, &bytes[..64]).unwrap();
    });
    measure("mmap, munmap", 2_000, || {
        guest.context.call(&[anonymous(0x2000_0000, 4096), HostCall::Unmap { address: 0x2000_0000, length: 4096 }]).unwrap();
    });
    measure("thread, exit", 200, || guest.context.thread().unwrap().exit());
    measure("fork, exit", 100, || guest.context.fork().unwrap().1.exit());
    measure("blank, exit", 100, || world.platform.blank().unwrap().1.exit());
    measure_now_and_then("thread, now and then", || guest.context.thread().unwrap());
    measure_now_and_then("fork, now and then", || guest.context.fork().unwrap());
    measure_now_and_then("blank, now and then", || world.platform.blank().unwrap());
}
