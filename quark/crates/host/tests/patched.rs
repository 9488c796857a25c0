//! Guests whose `syscall` instructions have been replaced by jumps do the same as those that trap.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use quark_host::platform::{Event, HostCall, Registers};
use quark_patch::{Arena, Code, Kind, Patches, plan_text};
use support::{CODE, DATA, Guest, World, anonymous};

std::arch::global_asm!(
    r#"
    .globl patched_calls, patched_calls_end, patched_loop, patched_loop_end, patched_ready, patched_ready_end, patched_vectors, patched_vectors_end, patched_bases, patched_bases_end, patched_tail, patched_tail_end
patched_calls:
    mov rdi, 0x1111111111111111
    mov rsi, 0x2222222222222222
    mov rdx, 0x3333333333333333
    mov r10, 0x4444444444444444
    mov r8, 0x5555555555555555
    mov r9, 0x6666666666666666
    mov rbx, 0x7777777777777777
    mov rbp, 0x8888888888888888
    mov r12, 0x9999999999999999
    mov r13, 0x1010101010101010
    mov r14, 0x1212121212121212
    mov r15, 0x1313131313131313
    mov eax, 39
    syscall
    cmp rax, -4095
    jae 9f
    mov rax, 0x0000000000000001
    syscall
    test eax, eax
    lea rdi, [rip + patched_calls]
    mov r13, [rip + patched_word]
    xor eax, eax
    syscall
    cmp rax, -4095
    jae 9f
    call 8f
    call 7f
    mov eax, 60
    syscall
    hlt
8:  mov rsi, [rsp]
    jmp 6f
6:  mov rax, rsi
    syscall
    ret
7:  nop
    jmp 5f
5:  syscall
    mov rdx, rax
    add rdx, 5
    jz 9f
    ret
9:  ud2
patched_word:
    .quad 0x1234123412341234
patched_calls_end:

// One call a round, numbered by RBX, which is also in the stack's red zone.
patched_loop:
    xor ebx, ebx
2:  inc rbx
    mov [rsp - 8], rbx
    mov [rsp - 128], rbx
    mov rdi, rbx
    mov eax, 39
    syscall
    mov rcx, 0
    cmp rax, rbx
    jne 9f
    cmp [rsp - 8], rbx
    jne 9f
    cmp [rsp - 128], rbx
    jne 9f
    jmp 2b
9:  ud2
patched_loop_end:

// Calls for ever, and sees that nothing changes but RAX.
patched_ready:
    mov rbx, rsp
    mov r8, 88
2:  mov [rsp - 8], rbx
    mov eax, 39
    syscall
    mov rcx, 0
    cmp eax, 4711
    jne 9f
    cmp [rsp - 8], rbx
    jne 9f
    cmp rsp, rbx
    jne 9f
    cmp r8, 88
    jne 9f
    jmp 2b
9:  ud2
patched_ready_end:

patched_vectors:
    vmovdqu ymm5, [rdi]
    mov eax, 39
    syscall
    vmovdqu [rsi], ymm5
    mov eax, 40
    syscall
patched_vectors_end:

patched_bases:
    wrgsbase r12
    mov eax, 39
    syscall
    mov rbx, gs:[0]
    mov eax, 40
    syscall
patched_bases_end:

patched_tail:
    nop
    jmp 3f
3:  syscall
    cmp rax, 41
    sete bl
    mov eax, 40
    syscall
patched_tail_end:
"#
);

/// A guest, the patches in it, and what of its code is whose.
struct Patched {
    guest: Guest,
    patches: Patches,
    kinds: Vec<Kind>,
}

impl Patched {
    /// Patches all that can be.
    fn new(world: &World, code: &[u8]) -> Patched {
        let fast = world.platform.fast_entry().expect("the host has FSGSBASE");
        let (mut guest, mut arena, mut patches) = (world.guest(code), Arena::default(), Patches::default());
        let end = CODE + (code.len() as u64).next_multiple_of(4096);
        let mut kinds = Vec::new();
        guest.context.call(&[protect(CODE, end - CODE, true)]).unwrap();
        for (_, plan) in plan_text(Code { address: CODE, bytes: code }, None) {
            let Ok(site) = plan else { continue };
            let free = [0x1_0000..CODE, end..DATA];
            let placed = arena.place(&site, fast, &free).unwrap();
            if let Some(page) = placed.new_page {
                guest.context.call(&[anonymous(page, 4096), protect(page, 4096, true)]).unwrap();
            }
            guest.space.write(placed.patch.at, &placed.patch.trampoline).unwrap();
            guest.space.write(placed.patch.overwritten.start, &placed.patch.bytes).unwrap();
            kinds.push(site.kind());
            patches.insert(placed.patch);
        }
        guest.context.call(&[protect(CODE, end - CODE, false)]).unwrap();
        Patched { guest, patches, kinds }
    }

    /// As the kernel will run it: what a thread finds overwritten is where it has moved to, and nobody sees that.
    fn run(&mut self) -> Event {
        loop {
            let moved = self.patches.resume(self.guest.registers.rip);
            self.guest.registers.rip = moved;
            let event = self.guest.run();
            let stopped = self.guest.registers.rip;
            self.guest.registers.rip = self.patches.original(stopped);
            match event {
                Event::Fault(fault) if fault.signal == libc::SIGILL && self.patches.resume(stopped) != stopped => {}
                event => return event,
            }
        }
    }
}

fn protect(address: u64, length: u64, write: bool) -> HostCall<'static> {
    let write = if write { libc::PROT_WRITE } else { 0 };
    HostCall::Protect { address, length, protection: libc::PROT_READ | libc::PROT_EXEC | write }
}

/// Without the arithmetic flags and what `syscall` clobbers.
fn comparable(registers: &Registers) -> Registers {
    Registers { eflags: registers.eflags & !0x8d5, rcx: 0, r11: 0, ..*registers }
}

#[test]
fn patched_code_makes_the_same_calls_with_the_same_registers() {
    let world = World::start();
    let code = guest_code!(patched_calls, patched_calls_end);
    let (mut plain, mut patched) = (world.guest(code), Patched::new(&world, code));
    patched.kinds.sort();
    patched.kinds.dedup();
    assert_eq!(patched.kinds, [Kind::One, Kind::Several, Kind::Through, Kind::Behind], "the code has all kinds of windows");
    for round in 0..6u64 {
        assert_eq!(plain.run(), Event::Syscall);
        assert_eq!(patched.run(), Event::Syscall);
        assert_eq!(comparable(&patched.guest.registers), comparable(&plain.registers), "call {round}");
        for registers in [&mut plain.registers, &mut patched.guest.registers] {
            registers.rax = 1000 + round;
        }
    }
}

#[test]
fn calls_by_the_fast_entry_are_as_many_and_in_the_order_of_the_guest() {
    let world = World::start();
    let mut patched = Patched::new(&world, guest_code!(patched_loop, patched_loop_end));
    for round in 1..2000 {
        assert_eq!(patched.run(), Event::Syscall);
        assert_eq!((patched.guest.registers.rdi, patched.guest.registers.rbx), (round, round));
        patched.guest.registers.rax = round;
    }
}

#[test]
fn interrupts_neither_lose_nor_repeat_calls() {
    let world = World::start();
    let mut patched = Patched::new(&world, guest_code!(patched_loop, patched_loop_end));
    let interrupter = patched.guest.context.interrupter();
    let done = Arc::new(AtomicBool::new(false));
    let stop = done.clone();
    let storm = std::thread::spawn(move || {
        while !stop.load(SeqCst) {
            interrupter.interrupt();
            for _ in 0..50 {
                std::hint::spin_loop();
            }
        }
    });
    let end = CODE + guest_code!(patched_loop, patched_loop_end).len() as u64;
    let (mut calls, mut interrupts) = (0, 0);
    // On a busy machine the storm has to wait for its turn.
    while calls < 20_000 || interrupts <= 100 {
        match patched.run() {
            Event::Syscall => {
                calls += 1;
                assert_eq!(patched.guest.registers.rdi, calls);
                patched.guest.registers.rax = calls;
            }
            Event::Interrupted => {
                interrupts += 1;
                let at = patched.guest.registers.rip;
                assert!((CODE..end).contains(&at), "{at:#x} is no address of the guest's");
            }
            event => panic!("{event:?} at {:#x} after {calls} calls", patched.guest.registers.rip),
        }
    }
    done.store(true, SeqCst);
    storm.join().unwrap();
}

#[test]
fn vector_registers_survive_and_can_be_read_and_written() {
    let world = World::start();
    let mut patched = Patched::new(&world, guest_code!(patched_vectors, patched_vectors_end));
    let data: Vec<u8> = (1..=32).collect();
    patched.guest.space.write(DATA, &data).unwrap();
    (patched.guest.registers.rdi, patched.guest.registers.rsi) = (DATA, DATA + 64);
    assert_eq!(patched.run(), Event::Syscall);
    let mut area = patched.guest.context.extended().unwrap();
    let at = 160 + 5 * 16;
    assert_eq!(area[at..at + 16], data[..16], "the lower half of YMM5");
    area[at] = 77;
    patched.guest.context.set_extended(&area).unwrap();
    patched.guest.registers.rax = 0;
    assert_eq!(patched.run(), Event::Syscall);
    let mut stored = [0; 32];
    patched.guest.space.read(DATA + 64, &mut stored).unwrap();
    assert_eq!(stored[0], 77);
    assert_eq!(stored[1..], data[1..]);
}

#[test]
fn a_call_by_the_fast_entry_may_map_memory_fork_and_start_threads() {
    let world = World::start();
    let mut patched = Patched::new(&world, guest_code!(patched_loop, patched_loop_end));
    assert_eq!(patched.run(), Event::Syscall);
    patched.guest.context.call(&[anonymous(0x80_0000, 4096)]).unwrap();
    patched.guest.space.write(0x80_0000, &[1]).unwrap();
    patched.guest.registers.rax = 1;
    assert_eq!(patched.run(), Event::Syscall);
    let registers = Registers { rax: 2, ..patched.guest.registers };
    let (space, context) = patched.guest.context.fork().unwrap();
    let thread = patched.guest.context.thread().unwrap();
    let child = Patched { guest: Guest { space: space.clone(), context, registers }, patches: patched.patches.clone(), kinds: vec![] };
    let stack = Registers { rsp: registers.rsp - 0x1000, ..registers };
    let thread = Patched { guest: Guest { space, context: thread, registers: stack }, patches: patched.patches.clone(), kinds: vec![] };
    patched.guest.registers.rax = 2;
    let mut fresh = [0; 8];
    fresh.copy_from_slice(&2u64.to_le_bytes());
    patched.guest.space.write(stack.rsp - 8, &fresh).unwrap();
    patched.guest.space.write(stack.rsp - 128, &fresh).unwrap();
    for mut one in [patched, child, thread] {
        for round in 3..50 {
            assert_eq!(one.run(), Event::Syscall);
            assert_eq!(one.guest.registers.rdi, round);
            one.guest.registers.rax = round;
        }
    }
}

#[test]
fn other_registers_than_the_result_can_be_changed() {
    let world = World::start();
    let mut patched = Patched::new(&world, guest_code!(patched_loop, patched_loop_end));
    assert_eq!(patched.run(), Event::Syscall);
    let back = patched.guest.registers;
    (patched.guest.registers.rbx, patched.guest.registers.rax) = (500, 500);
    patched.guest.space.write(back.rsp - 8, &500u64.to_le_bytes()).unwrap();
    patched.guest.space.write(back.rsp - 128, &500u64.to_le_bytes()).unwrap();
    assert_eq!(patched.run(), Event::Syscall);
    assert_eq!(patched.guest.registers.rdi, 501);
    patched.guest.registers.rip = CODE;
    assert_eq!(patched.run(), Event::Syscall);
    assert_eq!(patched.guest.registers.rdi, 1, "it began again");
}

#[test]
fn a_guest_with_a_segment_of_its_own_calls_all_the_same() {
    let world = World::start();
    let mut patched = Patched::new(&world, guest_code!(patched_bases, patched_bases_end));
    patched.guest.space.write(DATA, &7u64.to_le_bytes()).unwrap();
    patched.guest.registers.r12 = DATA;
    assert_eq!(patched.run(), Event::Syscall);
    assert_eq!((patched.guest.registers.rax, patched.guest.registers.gs_base), (39, DATA));
    assert_eq!(patched.run(), Event::Syscall);
    assert_eq!((patched.guest.registers.rax, patched.guest.registers.rbx), (40, 7));
}

#[test]
fn a_guest_without_one_is_told_of_none() {
    let world = World::start();
    let mut patched = Patched::new(&world, guest_code!(patched_loop, patched_loop_end));
    patched.guest.registers.fs_base = DATA + 8;
    for round in 1..5 {
        assert_eq!(patched.run(), Event::Syscall);
        assert_eq!((patched.guest.registers.gs_base, patched.guest.registers.fs_base), (0, DATA + 8));
        patched.guest.registers.rax = round;
    }
}

#[test]
fn who_lands_on_an_overwritten_instruction_goes_on_in_the_trampoline() {
    let world = World::start();
    let mut patched = Patched::new(&world, guest_code!(patched_tail, patched_tail_end));
    assert!(patched.kinds.contains(&Kind::Behind));
    // Past the kernel's translation, as a return from a signal on the guest's stack would be: at the `cmp` that has moved.
    let behind = CODE + 5;
    assert_ne!(patched.patches.resume(behind), behind);
    (patched.guest.registers.rip, patched.guest.registers.rax) = (behind, 41);
    let event = patched.guest.run();
    assert!(matches!(event, Event::Fault(fault) if fault.signal == libc::SIGILL), "{event:?}");
    assert_eq!(patched.guest.registers.rip, behind);
    assert_eq!(patched.run(), Event::Syscall);
    assert_eq!((patched.guest.registers.rax, patched.guest.registers.rbx & 0xff), (40, 1));
}

#[test]
fn published_answers_are_given_without_the_kernel() {
    let world = World::start();
    let mut patched = Patched::new(&world, guest_code!(patched_loop, patched_loop_end));
    let publisher = patched.guest.context.interrupter();
    for round in 1..5 {
        assert_eq!(patched.run(), Event::Syscall);
        assert_eq!(patched.guest.registers.rdi, round);
        patched.guest.registers.rax = round;
    }
    // The guest checks that its fifth call answers 5, and its sixth not.
    publisher.publish(39, Some(5));
    publisher.publish(38, Some(6));
    assert!(matches!(patched.run(), Event::Fault(fault) if fault.signal == libc::SIGILL));
    assert_eq!((patched.guest.registers.rbx, patched.guest.registers.rax), (6, 5));
    for answer in [None, Some(u32::MAX)] {
        publisher.publish(39, answer);
        patched.guest.registers.rip = CODE;
        assert_eq!(patched.run(), Event::Syscall);
        assert_eq!(patched.guest.registers.rdi, 1);
    }
    publisher.publish(39, Some(2));
    patched.guest.registers.rax = 1;
    let registers = Registers { rip: CODE, ..patched.guest.registers };
    let (space, context) = patched.guest.context.fork().unwrap();
    let guest = Guest { space, context, registers };
    let mut child = Patched { guest, patches: patched.patches.clone(), kinds: vec![] };
    assert_eq!(child.run(), Event::Syscall, "a forked process has none of its parent's");
}

#[test]
fn interrupts_leave_answers_as_they_are() {
    let world = World::start();
    let mut patched = Patched::new(&world, guest_code!(patched_ready, patched_ready_end));
    let interrupter = patched.guest.context.interrupter();
    interrupter.publish(39, Some(4711));
    let mut interrupts = 0;
    let end = CODE + guest_code!(patched_ready, patched_ready_end).len() as u64;
    while interrupts < 2_000 {
        let other = interrupter.clone();
        let waker = std::thread::spawn(move || other.interrupt());
        match patched.run() {
            Event::Syscall => {
                assert_eq!(patched.guest.registers.rax, 39, "an interrupted call asks");
                patched.guest.registers.rax = 4711;
            }
            Event::Interrupted => {
                interrupts += 1;
                assert!((CODE..end).contains(&patched.guest.registers.rip));
            }
            event => panic!("{event:?} at {:#x}", patched.guest.registers.rip),
        }
        waker.join().unwrap();
    }
}
