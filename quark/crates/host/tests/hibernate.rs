//! A guest's process ends and is made again between two of its instructions, and the guest doesn't know.

mod support;

use std::os::fd::AsFd;

use quark_host::platform::{Context, Event, HostCall, Registers};
use rustix::io::Errno;
use support::{CODE, DATA, DATA_BYTES, Guest, World, anonymous, memfd};

std::arch::global_asm!(
    r#"
    .globl keeps, keeps_end
// Vector registers and the base of FS stay over a call, which comes by a jump if RBX says where to.
keeps:
    vmovdqu ymm5, [rdi]
    vmovdqu ymm15, [rdi + 32]
2:  test rbx, rbx
    jz 3f
    lea rcx, [rip + 4f]
    jmp rbx
3:  syscall
4:  vmovdqu [rsi], ymm5
    vmovdqu [rsi + 32], ymm15
    mov rbp, fs:[0]
    inc r12
    jmp 2b
keeps_end:
"#
);

const SLOT: u64 = 0x1000;

/// What each thread keeps: 64 bytes of its own.
fn pattern(thread: u64) -> Vec<u8> {
    (0..64).map(|index| (thread as u8 + 1).wrapping_mul(37) ^ index).collect()
}

fn begin(guest: &mut Guest, thread: u64, fast: Option<u64>) {
    let data = DATA + thread * SLOT;
    guest.context.write(data, &pattern(thread)).unwrap();
    guest.context.write(data + 256, &(0x1234_0000 + thread).to_ne_bytes()).unwrap();
    let rbx = fast.unwrap_or(0);
    guest.registers = Registers {
        rip: CODE,
        rsp: data + SLOT,
        rdi: data,
        rsi: data + 64,
        rbx,
        fs_base: data + 256,
        eflags: 0x202,
        ..Registers::default()
    };
    assert_eq!(guest.run(), Event::Syscall);
}

fn go_on(guest: &mut Guest, thread: u64, times: u64) {
    let data = DATA + thread * SLOT;
    guest.context.write(data + 64, &[0; 64]).unwrap();
    assert_eq!(guest.run(), Event::Syscall);
    let mut seen = [0; 64];
    guest.context.read(data + 64, &mut seen).unwrap();
    assert_eq!(seen.as_slice(), pattern(thread), "thread {thread}");
    assert_eq!((guest.registers.rbp, guest.registers.r12), (0x1234_0000 + thread, times));
}

/// Ends the process of `guests`, all of its threads, and makes it again with the same memory.
fn over(world: &World, guests: &mut [Guest], code: &[u8]) {
    let space = guests[0].space.clone();
    let mut data = vec![0; DATA_BYTES as usize];
    space.read(DATA, &mut data).unwrap();
    let threads = world.platform.threads(&space).unwrap();
    assert_eq!(threads.count(), guests.len());
    let before = space.pid();
    world.platform.put_away(&space);
    assert_eq!(space.read(DATA, &mut [0]), Err(Errno::FAULT));
    let mut context = world.platform.revive(&space, &threads).unwrap();
    assert_ne!(space.pid(), before);
    map(&mut context, code);
    space.scatter(&[(DATA, 8192), (DATA + 8192, data.len() - 8192)], &data).unwrap();
}

fn map(context: &mut Context, code: &[u8]) {
    let file = memfd(code);
    let text = HostCall::Map {
        address: CODE,
        length: (code.len() as u64).next_multiple_of(4096),
        protection: libc::PROT_READ | libc::PROT_EXEC,
        flags: libc::MAP_PRIVATE | libc::MAP_FIXED,
        file: Some((file.as_fd(), 0)),
    };
    context.call(&[text, anonymous(DATA, DATA_BYTES)]).unwrap();
}

fn another(of: &mut Guest) -> Guest {
    Guest { space: of.space.clone(), context: of.context.thread().unwrap(), registers: Registers::default() }
}

#[test]
fn threads_go_on_where_they_were() {
    let world = World::start();
    let code = guest_code!(keeps, keeps_end);
    let fast = world.platform.fast_entry();
    let mut guests = vec![world.guest(code)];
    for _ in 1..4 {
        let next = another(&mut guests[0]);
        guests.push(next);
    }
    // A thread that ended leaves its seat to another one.
    drop(guests.remove(2));
    for (thread, guest) in guests.iter_mut().enumerate() {
        begin(guest, thread as u64, fast.filter(|_| thread % 2 == 1));
    }
    for times in 1..20 {
        over(&world, &mut guests, code);
        guests.iter_mut().enumerate().for_each(|(thread, guest)| go_on(guest, thread as u64, times));
    }
    let mut late = another(&mut guests[0]);
    begin(&mut late, 3, None);
    guests.push(late);
    over(&world, &mut guests, code);
    go_on(&mut guests[3], 3, 1);
}

#[test]
fn a_process_that_another_thread_than_the_first_has_forked() {
    let world = World::start();
    let code = guest_code!(keeps, keeps_end);
    let mut first = world.guest(code);
    let mut second = another(&mut first);
    begin(&mut second, 1, world.platform.fast_entry());
    let (space, context) = second.context.fork().unwrap();
    let mut children = vec![Guest { space, context, registers: second.registers }];
    over(&world, &mut children, code);
    go_on(&mut children[0], 1, 1);
    go_on(&mut second, 1, 1);
    for thread in 2..5 {
        let mut next = another(&mut children[0]);
        begin(&mut next, thread, None);
        children.push(next);
    }
    over(&world, &mut children, code);
    for (thread, times) in [(1, 2), (2, 1), (3, 1), (4, 1)] {
        go_on(&mut children[thread as usize - 1], thread, times);
    }
    // Its own child, too.
    let (space, context) = children[2].context.fork().unwrap();
    let mut grandchild = [Guest { space, context, registers: children[2].registers }];
    go_on(&mut grandchild[0], 3, 2);
    over(&world, &mut grandchild, code);
    go_on(&mut grandchild[0], 3, 3);
}

#[test]
fn nothing_waits_to_be_used_while_all_is_idle() {
    support::alone("nothing_waits_to_be_used_while_all_is_idle", || {
        let world = World::start();
        let guest = world.guest(guest_code!(keeps, keeps_end));
        let children = || {
            let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
            tasks
                .map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default().split_whitespace().count())
                .sum::<usize>()
        };
        let threads = world.platform.threads(&guest.space).unwrap();
        world.platform.put_away(&guest.space);
        world.platform.keep_ready(false);
        let mut left = 0;
        for _ in 0..5000 {
            left = children();
            if left == 1 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert_eq!(left, 1, "only the first stub is left");
        world.platform.keep_ready(true);
        drop(world.platform.revive(&guest.space, &threads).unwrap());
        assert!(world.platform.blank().is_ok());
    });
}
